"""How a small training is repeated in fresh processes, and what they got is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.core.progress import Report
from harness.metrics.reproducibility import ProcessDigests
from harness.model.devices import n_threads
from harness.protocol.records import Protocol
from harness.run.recipes.basis import read_json, write_json
from harness.run.reproduction import repeated, reproduce

CACHE_FILE = "processes.json"
REPEATING = "small training in two fresh processes"


@dataclass(frozen=True, slots=True, eq=False)
class Reproduction:
    """A small training under different conditions.

    manifest, split: digests of what every process must find for itself. data, split_file: where it looks.
    precision: what the training plan's choice comes to on this device.
    """

    protocol: Protocol
    manifest: str
    split: str
    device: str
    precision: str
    data: Path
    split_file: Path | None

    def made_of(self) -> Mapping[str, object]:
        protocol, dataset = self.protocol, self.protocol.dataset
        read = dataset.model_dump(mode="json", include={"classes", "labels", "columns", "parts"})
        return {
            "dataset": {**read, "formats": dataset.images.formats},
            "protocol": [
                part.model_dump(mode="json") for part in (protocol.split, repeated(protocol), protocol.reproducibility)
            ],
            "data": self.manifest,
            "split": self.split,
            "precision": self.precision,
            "device": self.device,
            "threads": n_threads(),
        }

    def make(self, folder: Path, progress: Report) -> None:
        progress(REPEATING, 0, 1, "")
        found = reproduce(self.protocol, data=self.data, split_file=self.split_file, device=self.device)
        write_json(folder / CACHE_FILE, [asdict(process) for process in found])
        progress(REPEATING, 1, 1, "")


def read_processes(folder: Path) -> tuple[ProcessDigests, ...]:
    return tuple(ProcessDigests(**process) for process in read_json(folder / CACHE_FILE))
