"""How the trained classifier is exported as ONNX, and asked again where there is no torch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from harness.core.digests import file_digest
from harness.core.progress import Report
from harness.metrics.parity import SetParity, set_parity
from harness.metrics.predictions import Predictions
from harness.model.classifier import Machine
from harness.model.devices import n_threads
from harness.model.images import readable_by_anybody
from harness.model.onnx_export import write_onnx
from harness.model.onnx_runtime import Files, answers_elsewhere, engine
from harness.model.onnx_writing import ONNX
from harness.model.trained import card_of
from harness.run.recipes.basis import Pictures, rows_by_digest

ANSWERS = "answers.npz"
# Run in the process that opens the file, which does not import this project.
RUNS = ("harness.model.onnx_reader",)
WRITING, OPENING = f"writing {ONNX}", f"{ONNX} in a fresh process"


@dataclass(frozen=True, slots=True, eq=False)
class OnnxExport:
    """The file `classifier.onnx`.

    protocol: id of the protocol that the classifier was trained by.
    fitted:   part -> digest of the cells that it was trained on and chosen with.
    trained:  the folder of the training.
    """

    protocol: str
    fitted: Mapping[str, str]
    trained: Path

    def made_of(self) -> Mapping[str, object]:
        return {
            "classifier": card_of(self.trained).answers_by,
            "protocol": self.protocol,
            "fitted": dict(self.fitted),
            **{name: version(name) for name in ("onnx", "onnxscript")},
        }

    def make(self, folder: Path, progress: Report) -> None:
        progress(WRITING, 0, 1, "")
        write_onnx(self.trained, folder, protocol=self.protocol, **self.fitted)
        progress(WRITING, 1, 1, "")


@dataclass(frozen=True, slots=True, eq=False)
class OnnxAnswers:
    """What the file says of sets, in a process that has onnxruntime and no torch.

    file: the exported one; sets: the images that it is shown.
    """

    file: Path
    sets: tuple[Pictures, ...]
    machine: Machine

    def made_of(self) -> Mapping[str, object]:
        return {
            "file": file_digest(self.file),
            "sets": {each.name: each.made_of() for each in self.sets},
            "place": {"threads": n_threads(), "batch_size": self.machine.batch_size},
            "engine": engine(),
        }

    def make(self, folder: Path, progress: Report) -> None:
        progress(OPENING, 0, 1, "")
        with tempfile.TemporaryDirectory() as copies:
            files = [_handed_over(each, Path(copies) / str(number)) for number, each in enumerate(self.sets)]
            classes, answers = answers_elsewhere(self.file.read_bytes(), files, batch_size=self.machine.batch_size)
        named = {_key(name): each for name, each in answers.items()}
        np.savez(folder / ANSWERS, classes=np.array(classes), **named)  # type: ignore[arg-type]
        progress(OPENING, 1, 1, "")


def _handed_over(pictures: Pictures, copies: Path) -> Files:
    copies.mkdir()
    paths = (
        readable_by_anybody(pictures.root / cell.path, copies / f"{number}.png", formats=pictures.formats)
        for number, cell in enumerate(pictures.ordered)
    )
    return Files(pictures.name, tuple(paths), tuple(dict.fromkeys((*pictures.formats, "PNG"))))


def read_parity(folder: Path, sets: tuple[Pictures, ...], judged: Mapping[str, Predictions]) -> tuple[SetParity, ...]:
    """What was kept, compared with what was judged of the same sets."""
    with np.load(folder / ANSWERS) as kept:
        classes = tuple(kept["classes"].tolist())
        return tuple(
            set_parity(
                judged[each.name],
                classes,
                kept[_key(each.name)][rows_by_digest((cell.sha256 for cell in each.ordered), each.cells)],
            )
            for each in sets
        )


def _key(set_name: str) -> str:
    return f"set {set_name}"
