"""How a classifier scores a set, and how its probabilities are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.progress import Report
from harness.metrics.predictions import Predictions, predictions_of, widened
from harness.model.classifier import Classifier, predict
from harness.model.images import Images
from harness.run.recipes.basis import Pictures, place, rows_by_digest
from harness.run.recipes.classifier import Source

CACHE_FILE = "predictions.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """The probabilities of one set.

    open:  opens the classifier, where its answers were not kept.
    label: what progress calls the set.
    answers: who answers in the classifier's place, to the bit; None where it does.
    """

    pictures: Pictures
    source: Source
    open: Callable[[], Classifier]
    label: str
    answers: Callable[[Images], np.ndarray] | None = None

    def made_of(self) -> Mapping[str, object]:
        return {
            "classifier": self.source.card.answers_by,
            "pictures": self.pictures.made_of(),
            **place(self.source.machine),
        }

    def make(self, folder: Path, progress: Report) -> None:
        probabilities = predict(self.open(), self.pictures.images(label=self.label), answers=self.answers)
        digests = [cell.sha256 for cell in self.pictures.ordered]
        np.savez(folder / CACHE_FILE, digests=digests, probabilities=probabilities)


def read_scores(folder: Path, pictures: Pictures, classes: tuple[str, ...]) -> tuple[Predictions, tuple[str, ...]]:
    """(what was kept, in the order of the set; digests of the cells in the order in which they were scored)."""
    with np.load(folder / CACHE_FILE) as kept:
        scored = tuple(kept["digests"].tolist())
        ordered = kept["probabilities"][rows_by_digest(scored, pictures.cells)]
    return predictions_of(pictures.cells, widened(ordered, classes), set_name=pictures.name, classes=classes), scored
