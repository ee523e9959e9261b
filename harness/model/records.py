"""How a classifier was trained or obtained, and how fast it answered. Values only; torch is not imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.core.digests import digest_of


@dataclass(frozen=True, slots=True)
class LearningRateCurve:
    """The learning-rate finder's sweep, and the rate that fastai's `valley` rule suggests."""

    learning_rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What the sentinel saw in one epoch."""

    epoch: int
    learning_rate: float
    n_trainable_parameters: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """One training phase.

    stop_reason: "epoch limit" or "early stopping".
    best_epoch:  the epoch whose weights were kept (lowest validation loss), counted from 0.
    backbone_before, backbone_after: digests of every backbone tensor, BatchNorm statistics included.
    """

    name: str
    trains: str
    max_epochs: int
    patience: int
    peak_learning_rate: float
    epochs: tuple[EpochRecord, ...]
    stop_reason: str
    best_epoch: int
    backbone_before: str
    backbone_after: str

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)


@dataclass(frozen=True, slots=True)
class WeightsRecord:
    """Where the initial weights came from and which tensors they filled."""

    source: str
    sha256: str | None
    filled: tuple[str, ...]
    unfilled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """Everything about a training but the weights themselves."""

    architecture: str
    device: str
    precision: str
    seed: int
    weights: WeightsRecord
    learning_rate_curve: LearningRateCurve | None
    phases: tuple[PhaseRecord, ...]
    weights_digest: str

    @property
    def losses_digest(self) -> str:
        return digest_of([[e.train_loss, e.validation_loss] for p in self.phases for e in p.epochs])


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """A classifier that existed before the run, and was judged (--model) instead of training one.

    file:           the name of its file; sha256 and n_bytes are of the bytes that were loaded.
    format:         what was read: tensors alone, or a pickle that was trusted by its digest.
    layout:         "fastai" (body and head) or "torchvision" (one last layer).
    architecture:   of the network that its tensors fill, all of it.
    weights_digest: of these tensors, as in a `TrainingRecord`.
    stated:         what the file itself says, and the protocol agrees with, such as "classes" and "image_size_px".
    trained_by:     id of the protocol that it says it was trained by.
    trusted:        why a pickle was opened; None where none was.
    cells:          what is known of the cells that it was trained on.
    """

    file: str
    sha256: str
    n_bytes: int
    format: Literal["safetensors", "state dict", "fastai pickle"]
    layout: Literal["fastai", "torchvision"]
    architecture: str
    weights_digest: str
    stated: tuple[str, ...]
    trained_by: str | None = None
    trusted: str | None = None
    cells: Literal["unknown", "stated by the file", "stated by the split file", "others than this split's"] = "unknown"

    @property
    def knows_its_cells(self) -> bool:
        """Whether somebody says that it was trained on this run's train part, and chosen on its validation part."""
        return self.cells in ("stated by the file", "stated by the split file")


@dataclass(frozen=True, slots=True)
class Timing:
    """Raw samples of one scenario on one device.

    scenario: "SingleStream" (batch 1, next on completion) or "Offline" (all at once), LoadGen's names.
    span:     "decode-to-label" or "model-only".
    samples_s: seconds per query, in the order measured; each query holds `images_per_query` images.
    """

    scenario: str
    span: str
    device: str
    images_per_query: int
    batch_size: int
    samples_s: tuple[float, ...]

    @property
    def images_per_s(self) -> float:
        """Images over total time of all samples."""
        return self.images_per_query * len(self.samples_s) / sum(self.samples_s)
