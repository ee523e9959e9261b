"""How corrupted cells and inputs without a cell are shown to a classifier, and how its answers are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from harness.core.progress import Report
from harness.metrics.detection import strangeness
from harness.model.stress import outlook, stressed
from harness.protocol.records import DetectionPlan, RobustnessPlan
from harness.run.recipes.basis import Pictures, place, rows_by_digest

KEPT = "predictions.npz"
STRANGENESS = "strangeness "  # begins the name of what is a score of inputs, not probabilities of corrupted cells


@dataclass(frozen=True, slots=True, eq=False)
class Corruptions:
    """What a classifier says of the test part corrupted and turned, and how strange inputs look to it.

    parts:      the dataset's, by name.
    weights:    digest of the classifier's; classifier: loads it, where its answers were not kept.
    """

    parts: Mapping[str, Pictures]
    weights: str
    normalisation: str
    robustness: RobustnessPlan | None
    detection: DetectionPlan | None
    batch_size: int
    device: torch.device
    classifier: Callable[[], nn.Sequential]

    def made_of(self) -> Mapping[str, object]:
        return {
            "weights": self.weights,
            "parts": {name: pictures.made_of() for name, pictures in self.parts.items()},
            "normalisation": self.normalisation,
            "robustness": self.robustness and self.robustness.model_dump(mode="json"),
            "detection": self.detection and self.detection.model_dump(mode="json"),
            "batch_size": self.batch_size,
            **place(self.device),
        }

    def make(self, folder: Path, progress: Report) -> None:
        test, classifier = self.parts["test"].decoded(progress), self.classifier()
        found: dict[str, np.ndarray] = {}
        if self.robustness is not None:
            found |= stressed(
                classifier, test, self.robustness, device=self.device, batch_size=self.batch_size, progress=progress
            )
        if self.detection is not None:
            reference = self.detection.reference
            train = self.parts["train"].decoded(progress)
            seen = outlook(
                classifier,
                self.detection,
                train=train,
                sets={"test": test, reference: self.parts[reference].decoded(progress)},
                device=self.device,
                batch_size=self.batch_size,
                progress=progress,
            )
            scores = strangeness(self.detection.score, seen, train_labels=train.labels)
            found |= {f"{STRANGENESS}{name}": values for name, values in scores.items()}
        found["digests"] = np.array([image.sha256 for image in test.images])
        np.savez(folder / KEPT, **found)  # type: ignore[arg-type]  # its stub takes any keyword for allow_pickle


def read_corruptions(folder: Path, test: Pictures) -> dict[str, np.ndarray]:
    """Name -> what was kept, with a row for each cell of the test part in the order of its predictions.

    Names as `model.stress` gives them; those of scores begin with "strangeness ".
    """
    with np.load(folder / KEPT) as kept:
        order = rows_by_digest(kept["digests"].tolist(), test.images)
        found = {name: kept[name] for name in kept.files if name != "digests"}
    return {
        name: values[order] if not name.startswith(STRANGENESS) or name == f"{STRANGENESS}test" else values
        for name, values in found.items()
    }
