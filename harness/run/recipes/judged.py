"""How a classifier that existed before the run is kept: its file as it was read, and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.core.progress import Report
from harness.model.judged import ModelFile


@dataclass(frozen=True, slots=True, eq=False)
class GivenModel:
    """The file that --model names."""

    given: ModelFile

    def made_of(self) -> Mapping[str, object]:
        record = self.given.record
        return {"sha256": record.sha256, "weights": record.weights_digest, "claims": asdict(self.given.claims)}

    def make(self, folder: Path, progress: Report) -> None:
        self.given.keep(folder)
