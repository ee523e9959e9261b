"""How a classifier is adapted to a few cells of another laboratory, and what it then says of the others is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.progress import Report
from harness.data.records import labels_of
from harness.model.adapting import adapt
from harness.model.classifier import Classifier
from harness.protocol.adaptation import AdaptationPlan
from harness.run.recipes.basis import Pictures, place, read_json, rows_by_digest, write_json
from harness.run.recipes.classifier import Source

CACHE_FILE = "adapted.npz"
RECORD = "adapted.json"


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """The classifier adapted to the drawn cells, asked of the others.

    open: opens the classifier, where the answers were not kept.
    """

    drawn: Pictures
    others: Pictures
    plan: AdaptationPlan
    source: Source
    open: Callable[[], Classifier]

    def made_of(self) -> Mapping[str, object]:
        return {
            "classifier": self.source.card.answers_by,
            "classes": self.source.card.classes,
            "drawn": self.drawn.made_of(),
            "pictures": self.others.made_of(),
            "plan": self.plan.model_dump(mode="json"),
            **place(self.source.machine),
        }

    def make(self, folder: Path, progress: Report) -> None:
        found = adapt(
            self.open(),
            self.drawn.images(label=self.drawn.name),
            labels_of(self.drawn.ordered, self.source.card.classes),
            self.others.images(label=f"{self.others.name}, adapted"),
            method=self.plan.method,
            seed=self.plan.seed,
        )
        digests = [cell.sha256 for cell in self.others.ordered]
        np.savez(folder / CACHE_FILE, digests=digests, probabilities=found.probabilities)
        write_json(folder / RECORD, {"method": found.method, "scores": dict(found.scores), "notes": dict(found.notes)})


@dataclass(frozen=True, slots=True, eq=False)
class KeptAdaptation:
    """What was kept, with a row of probabilities for each of the other cells in the order of their set."""

    method: str
    scores: Mapping[str, int]
    notes: Mapping[str, str]
    probabilities: np.ndarray


def read_adaptation(folder: Path, others: Pictures) -> KeptAdaptation:
    with np.load(folder / CACHE_FILE) as kept:
        ordered = kept["probabilities"][rows_by_digest(kept["digests"].tolist(), others.cells)]
    said = read_json(folder / RECORD)
    return KeptAdaptation(said["method"], said["scores"], said["notes"], ordered)
