"""How the trained classifier is exported, and seen to say the same when it is opened elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.progress import Report
from harness.metrics.copies import only
from harness.metrics.predictions import Predictions
from harness.model.exports import EXPORT
from harness.model.trained import card_of, write_exports
from harness.run.export_check import exported_differences
from harness.run.recipes.basis import read_json, write_json

CHECKED_IMAGES = 20
DIFFERENCES = "differences.json"
# Run in the process that opens the export, which does not import this project.
RUNS = ("harness.model.export_reader", "harness.model.torchvision_compat")
OPENING = "export.pkl in a fresh process"


@dataclass(frozen=True, slots=True, eq=False)
class Export:
    """The file `export.pkl` with, beside it, what opening it in a fresh process showed, and the safe format.

    protocol:      id of the protocol that the classifier was trained by.
    fitted:        part -> digest of the cells that it was trained on and chosen with.
    validation:    what the classifier said of the validation part; root: where its images lie.
    trained:       the folder of the training.
    """

    protocol: str
    fitted: Mapping[str, str]
    validation: Predictions
    trained: Path
    root: Path

    def made_of(self) -> Mapping[str, object]:
        return {
            "classifier": card_of(self.trained).answers_by,
            "protocol": self.protocol,
            "fitted": dict(self.fitted),
            "validation": self.validation.digest,
        }

    def make(self, folder: Path, progress: Report) -> None:
        write_exports(self.trained, folder, protocol=self.protocol, **self.fitted)
        progress(OPENING, 0, 1, "")
        found = exported_differences(folder / EXPORT, some_cells(self.validation), self.root)
        write_json(folder / DIFFERENCES, found)
        progress(OPENING, 1, 1, "")


def read_differences(folder: Path) -> tuple[str, ...]:
    return tuple(read_json(folder / DIFFERENCES))


def some_cells(predictions: Predictions) -> Predictions:
    """About as many cells as are checked, spread evenly over the set, and so over its classes."""
    n = len(predictions.digests)
    return only(predictions, np.arange(n) % max(1, n // CHECKED_IMAGES) == 0)
