"""How corrupted cells and inputs without a cell are shown to a classifier, and how its answers are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.progress import Report
from harness.data.records import labels_of
from harness.metrics.ood_scores import ood_score
from harness.model.classifier import Classifier
from harness.model.corrupted import corrupted_predictions
from harness.model.images import Images
from harness.model.ood import ood_features, ood_score_of
from harness.protocol.stress import DetectionPlan, RobustnessPlan
from harness.run.recipes.basis import Pictures, place, rows_by_digest
from harness.run.recipes.classifier import Source

CACHE_FILE = "predictions.npz"
SCORES = "strangeness "  # begins the name of out-of-distribution scores; all else are probabilities of corrupted cells


@dataclass(frozen=True, slots=True, eq=False)
class Corruptions:
    """What a classifier predicts for the test part corrupted and turned, and the out-of-distribution scores.

    parts: the dataset's, by name.
    open:  opens the classifier, where its answers were not kept.
    corrupted: who corrupts and scores the images in the classifier's place, to the bit; None where it does.
    """

    parts: Mapping[str, Pictures]
    classes: tuple[str, ...]
    source: Source
    robustness: RobustnessPlan | None
    detection: DetectionPlan | None
    open: Callable[[], Classifier]
    corrupted: Callable[[Images], dict[str, np.ndarray]] | None = None

    def made_of(self) -> Mapping[str, object]:
        return {
            "classifier": self.source.card.answers_by,
            "parts": {name: pictures.made_of() for name, pictures in self.parts.items()},
            "classes": self.classes,
            "robustness": self.robustness and self.robustness.model_dump(mode="json"),
            "detection": self.detection and self.detection.model_dump(mode="json"),
            **place(self.source.machine),
        }

    def make(self, folder: Path, progress: Report) -> None:
        test, classifier = self.parts["test"], self.open()
        digests = [cell.sha256 for cell in test.ordered]
        found: dict[str, np.ndarray] = {}
        if self.robustness is not None:
            found |= (
                self.corrupted(test.images())
                if self.corrupted is not None and digests
                else corrupted_predictions(
                    classifier, test.images(), self.robustness, digests=digests, machine=self.source.machine
                )
            )
        if (plan := self.detection) is not None:
            train = self.parts["train"]
            seen = ood_features(
                classifier,
                plan,
                train=train.images(),
                sets={"test": test.images(), plan.reference: self.parts[plan.reference].images()},
                progress=progress,
            )
            score = ood_score_of(plan, self.source.card)
            scores = ood_score(score, seen, train_labels=labels_of(train.ordered, self.classes))
            found |= {f"{SCORES}{name}": values for name, values in scores.items()}
        found["digests"] = np.array(digests)
        np.savez(folder / CACHE_FILE, **found)  # type: ignore[arg-type]  # its stub takes any keyword for allow_pickle


def read_corruptions(folder: Path, test: Pictures) -> dict[str, np.ndarray]:
    """Name -> what was kept, with a row for each cell of the test part in the order of its predictions.

    Names as `model.corrupted` and `model.ood` give them; those of scores begin with "strangeness ".
    """
    with np.load(folder / CACHE_FILE) as kept:
        order = rows_by_digest(kept["digests"].tolist(), test.cells)
        found = {name: kept[name] for name in kept.files if name != "digests"}
    return {
        name: values[order] if not name.startswith(SCORES) or name == f"{SCORES}test" else values
        for name, values in found.items()
    }
