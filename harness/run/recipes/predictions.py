"""How a classifier scores a set, and how its probabilities are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from harness.core.errors import InvalidPredictions
from harness.core.progress import Report
from harness.data.records import CellImage
from harness.metrics.predictions import Predictions, predictions_of
from harness.model.classifier import predict
from harness.run.recipes.basis import Pictures, place, rows_by_digest

KEPT = "predictions.npz"
NAMED_CELLS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """The probabilities of one set.

    weights:    digest of the classifier's.
    classifier: loads it, where its answers were not kept.
    label:      what the progress is called.
    """

    pictures: Pictures
    weights: str
    normalisation: str
    batch_size: int
    device: torch.device
    classifier: Callable[[], nn.Module]
    label: str

    def made_of(self) -> Mapping[str, object]:
        return {
            "weights": self.weights,
            "pictures": self.pictures.made_of(),
            "normalisation": self.normalisation,
            "batch_size": self.batch_size,  # sums of another batch may round otherwise
            **place(self.device),
        }

    def make(self, folder: Path, progress: Report) -> None:
        cells = self.pictures.decoded(progress)
        probabilities = predict(
            self.classifier(),
            cells,
            device=self.device,
            batch_size=self.batch_size,
            progress=progress,
            label=self.label,
        )
        _refuse_unscored(cells.images, probabilities, set_name=self.pictures.name)
        np.savez(folder / KEPT, digests=[image.sha256 for image in cells.images], probabilities=probabilities)


def read_scores(folder: Path, pictures: Pictures) -> tuple[Predictions, tuple[str, ...]]:
    """(what was kept, in the order of the set; digests of the cells in the order in which they were scored)."""
    with np.load(folder / KEPT) as kept:
        scored = tuple(kept["digests"].tolist())
        ordered = kept["probabilities"][rows_by_digest(scored, pictures.images)]
    found = predictions_of(pictures.images, ordered, set_name=pictures.name, classes=pictures.classes)
    return found, scored


def _refuse_unscored(cells: Sequence[CellImage], probabilities: np.ndarray, *, set_name: str) -> None:
    """Every cell is scored, or none is judged: a dropped last batch made 373 of 375 once."""
    if len(probabilities) != len(cells):
        left = [cell.path for cell in cells[len(probabilities) :]]
        more = " ..." if len(left) > NAMED_CELLS else ""
        named = f": without a score are {', '.join(left[:NAMED_CELLS])}{more}" if left else ""
        raise InvalidPredictions(
            f"set {set_name}: {len(probabilities)} rows of probabilities for {len(cells)} cells{named}. Score every "
            "cell exactly once; a loader that drops its last batch does not."
        )
