"""How a network is trained, and kept: the weights of every phase, the record of the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core.progress import Report
from harness.model.classifier import Machine
from harness.model.devices import n_threads
from harness.model.trained import train_classifier
from harness.protocol.training import TrainingPlan
from harness.run.recipes.basis import Pictures


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """One training with one seed.

    precision:    what the plan's choice comes to on this device.
    weights_file: where the initial weights lie; the plan has their digest.
    engine:       as on a `ModelCard`.
    """

    plan: TrainingPlan
    classes: tuple[str, ...]
    train: Pictures
    validation: Pictures
    machine: Machine
    precision: str
    weights_file: Path | None
    engine: str | None

    def made_of(self) -> Mapping[str, object]:
        return {
            "plan": self.plan.model_dump(mode="json"),
            "classes": self.classes,
            "train": self.train.made_of(),
            "validation": self.validation.made_of(),
            "precision": self.precision,
            "engine": self.engine,
            "device": self.machine.device,
            "threads": n_threads(),  # the order of summation, and so the last bit, follows it
        }

    def make(self, folder: Path, progress: Report) -> None:
        train_classifier(
            self.plan,
            train_cells=self.train.cells,
            validation_cells=self.validation.cells,
            root=self.train.root,
            classes=self.classes,
            formats=self.train.formats,
            weights_file=self.weights_file,
            machine=self.machine,
            folder=folder,
        )
