"""How a network is trained, and kept: the weights of every phase, the record of the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.core.progress import Report
from harness.model.training import train
from harness.protocol.records import TrainingPlan
from harness.run.recipes.basis import Pictures, place


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """One training with one seed.

    weights_file: where the initial weights lie; the plan has their digest.
    """

    plan: TrainingPlan
    train: Pictures
    validation: Pictures
    device: torch.device
    weights_file: Path | None

    def made_of(self) -> Mapping[str, object]:
        return {
            "plan": self.plan.model_dump(mode="json"),
            "train": self.train.made_of(),
            "validation": self.validation.made_of(),
            **place(self.device),
        }

    def make(self, folder: Path, progress: Report) -> None:
        train(
            self.plan,
            train=self.train.decoded(progress, oversampling=self.plan.augmentation.oversampling),
            validation=self.validation.decoded(progress),
            n_classes=len(self.train.classes),
            weights_file=self.weights_file,
            device=self.device,
            folder=folder,
            progress=progress,
        )
