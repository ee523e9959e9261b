"""How the trained classifier is exported, and seen to say the same when it is opened elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import nn

from harness.core.files import write_atomically
from harness.core.progress import Report
from harness.metrics.predictions import Predictions
from harness.model.exports import CLASSIFIER, EXPORT, Claims, classifier_bytes, export_learner
from harness.model.weights import read_tensors
from harness.run.export_check import exported_differences
from harness.run.recipes.basis import read_json, write_json

CHECKED_IMAGES = 20
DIFFERENCES = "differences.json"
# Runs in the process that opens the export, without this project.
RUNS = ("harness.model.export_reader", "harness.model.torchvision_compat")
OPENING = "export.pkl in a fresh process"


@dataclass(frozen=True, slots=True, eq=False)
class Export:
    """The file `export.pkl` with, beside it, what opening it in a fresh process showed, and the safe format.

    weights:    digest of the classifier's; file: where they lie; classifier: loads it.
    validation: what the classifier said of the validation part; root: where its images lie.
    """

    weights: str
    claims: Claims
    validation: Predictions
    size_px: int
    resize: str
    file: Path
    root: Path
    classifier: Callable[[], nn.Sequential]

    def made_of(self) -> Mapping[str, object]:
        return {
            "weights": self.weights,
            "claims": asdict(self.claims),
            "pixels": [self.size_px, self.resize],
            "validation": self.validation.digest,
        }

    def make(self, folder: Path, progress: Report) -> None:
        path = folder / EXPORT
        write_atomically(folder / CLASSIFIER, classifier_bytes(read_tensors(self.file, sha256=None), self.claims))
        export_learner(
            self.classifier(),
            classes=self.validation.classes,
            size_px=self.size_px,
            resize=self.resize,
            path=path,
        )
        progress(OPENING, 0, 1, "")
        write_json(folder / DIFFERENCES, exported_differences(path, some_cells(self.validation), self.root))
        progress(OPENING, 1, 1, "")


def read_differences(folder: Path) -> tuple[str, ...]:
    return tuple(read_json(folder / DIFFERENCES))


def some_cells(predictions: Predictions) -> Predictions:
    """About as many cells as are checked, spread evenly over the set, and so over its classes."""
    every = slice(None, None, max(1, len(predictions.digests) // CHECKED_IMAGES))
    return replace(
        predictions,
        paths=predictions.paths[every],
        digests=predictions.digests[every],
        labels=predictions.labels[every],
        probabilities=predictions.probabilities[every],
        groups=predictions.groups[every] if predictions.groups else None,
    )
