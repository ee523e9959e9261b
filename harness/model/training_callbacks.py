"""Watches a training, averages its weights, and keeps what a killed one needs to continue: fastai callbacks."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.learner import Learner
from fastcore.foundation import L

from harness.core.files import atomic_stream
from harness.core.progress import Report
from harness.model.records import EpochRecord
from harness.protocol.training import PhasePlan


class Bfloat16(Callback):  # type: ignore[misc]
    """bfloat16 autocast of the forward pass on any device; fastai's own callback is written for CUDA."""

    order = 10

    def before_batch(self) -> None:
        self._context = torch.autocast(self.dls.device.type, dtype=torch.bfloat16)
        self._context.__enter__()  # type: ignore[no-untyped-call]

    def after_pred(self) -> None:
        self._context.__exit__(None, None, None)
        self.learn.pred = self.pred.float()


class Sentinel(Callback):  # type: ignore[misc]
    """Watches what the protocol limits: learning rate, trainable parameters, losses."""

    order = 55  # after the Recorder (50), before the checkpoint (100)

    def __init__(self, phase: PhasePlan, progress: Report) -> None:
        self._phase, self._progress = phase, progress
        self.latest: EpochRecord | None = None
        self.failure: str | None = None

    def before_epoch(self) -> None:
        self._started, self._rate = time.monotonic(), 0.0
        self._loss_sum, self._n_cells = 0.0, 0

    def before_step(self) -> None:
        self._rate = max(self._rate, *(float(hyper["lr"]) for hyper in self.opt.hypers))

    def after_batch(self) -> None:
        loss = self.loss.detach().item()
        if not math.isfinite(loss):
            part = "training" if self.training else "validation"
            self.failure = (
                f"{self._phase.name}, epoch {self.epoch}, batch {self.iter}: the {part} loss is {loss}. "
                "Lower the learning rate of the phase in the protocol."
            )
            raise CancelFitException  # fastai would rewrite the words of any other exception
        if self.training:
            self._loss_sum += loss * len(self.yb[0])
            self._n_cells += len(self.yb[0])
            self._progress(self._label, self.iter, self.n_iter, self._detail)

    def after_epoch(self) -> None:
        if self.failure is not None:
            return
        # The mean over the epoch's cells: the recorder's own training loss is smoothed over all epochs before it.
        train_loss = self._loss_sum / self._n_cells
        _, validation_loss, share = map(float, self.recorder.values[-1])
        trainable = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        self.latest = EpochRecord(
            epoch=self.epoch,
            learning_rate=self._rate,
            n_trainable_parameters=trainable,
            train_loss=train_loss,
            validation_loss=validation_loss,
            validation_accuracy=share,
            seconds=time.monotonic() - self._started,
        )
        self._progress(self._label, self.n_iter, self.n_iter, self._detail)

    @property
    def _label(self) -> str:
        return f"{self._phase.name}, epoch {self.epoch + 1} of at most {self._phase.max_epochs}"

    @property
    def _detail(self) -> str:
        if self.latest is None:
            return ""
        return f"train loss {self.latest.train_loss:.3f}, validation loss {self.latest.validation_loss:.3f}"


class Averaging(Callback):  # type: ignore[misc]
    """Validates, and lets the checkpoint keep, a running average of the weights instead of those of the last step.

    The steps at the end of a training wander around a flat region; their mean lies inside it. BatchNorm statistics are
    averaged like the weights. A tensor that does not change stays itself to the bit, so that frozen means frozen.
    """

    order = 60  # after the sentinel (55), which ends a training whose loss is not a number

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self.average: dict[str, torch.Tensor] = {}
        self.n_steps = 0

    def before_fit(self) -> None:
        if not self.average:  # a resumed phase brings its own
            self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def after_batch(self) -> None:
        if not self.training:
            return
        # The first steps count more, so that the average soon forgets where the phase began.
        self.n_steps += 1
        share = 1 - min(self._decay, (1 + self.n_steps) / (10 + self.n_steps))
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, share)
            else:
                self.average[name].copy_(tensor)

    def before_validate(self) -> None:
        self._own = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)

    def after_validate(self) -> None:
        self.model.load_state_dict(self._own)


@dataclass(slots=True)
class _PhaseState:
    """What an epoch leaves for the next, beside weights and optimiser."""

    epochs: list[EpochRecord] = field(default_factory=list)
    best_loss: float = math.inf
    best_epoch: int = -1
    waited: int = 0
    backbone_before: str = ""


class Checkpoint(Callback):  # type: ignore[misc]
    """Keeps the best weights by validation loss, stops early, and leaves what a killed run needs to continue."""

    order = 100
    FILE = "checkpoint.pt"

    def __init__(
        self, phase: PhasePlan, folder: Path, sentinel: Sentinel, averaging: Averaging | None, *, best: Path
    ) -> None:
        self._phase, self._folder, self._sentinel, self._averaging = phase, folder, sentinel, averaging
        self._best = best
        self.state = _PhaseState()
        self.failure: OSError | None = None

    def resume(self, learner: Learner, backbone: str) -> tuple[int, str]:
        """(first epoch to run, backbone digest before the phase), after loading this phase's checkpoint if any."""
        self.state.backbone_before = backbone
        file = self._folder / self.FILE
        if file.exists():
            saved = torch.load(file, map_location=learner.dls.device, weights_only=True)
            if saved["phase"] == self._phase.name:
                learner.model.load_state_dict(saved["model"])
                learner.opt.load_state_dict({key: L(value) for key, value in saved["optimiser"].items()})
                epochs = [EpochRecord(**epoch) for epoch in saved["state"].pop("epochs")]
                self.state = _PhaseState(epochs=epochs, **saved["state"])
                if self._averaging:
                    self._averaging.average, self._averaging.n_steps = saved["average"], saved["n_steps"]
        return len(self.state.epochs), self.state.backbone_before

    def before_fit(self) -> None:
        if self.state.waited >= self._phase.patience:  # killed between the last epoch and the phase's end
            raise CancelFitException

    def after_epoch(self) -> None:
        latest, state = self._sentinel.latest, self.state
        if latest is None or self._sentinel.failure is not None:
            return
        try:
            self._keep(latest, state)
        except OSError as error:
            self.failure = error
            raise CancelFitException from error  # fastai would rewrite the words of any other exception
        if state.waited >= self._phase.patience:
            raise CancelFitException

    def _keep(self, latest: EpochRecord, state: _PhaseState) -> None:
        state.epochs.append(latest)
        if latest.validation_loss < state.best_loss:
            state.best_loss, state.best_epoch, state.waited = latest.validation_loss, latest.epoch, 0
            kept = self._averaging.average if self._averaging else self.model.state_dict()
            _save(kept, self._best)
        else:
            state.waited += 1
        saved = {
            "phase": self._phase.name,
            "model": self.model.state_dict(),
            "optimiser": {key: [_plain(item) for item in value] for key, value in self.opt.state_dict().items()},
            "state": asdict(state),
            "average": self._averaging.average if self._averaging else {},
            "n_steps": self._averaging.n_steps if self._averaging else 0,
        }
        _save(saved, self._folder / self.FILE)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """fastai's hyperparameters with NumPy's scalars as Python's, so that a weights-only unpickler can read them."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _save(value: Any, path: Path) -> None:
    with atomic_stream(path) as stream:
        try:
            torch.save(value, stream)
        except RuntimeError as error:  # torch's own, at the end of a file that it could not write: it names no cause
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
