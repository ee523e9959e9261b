"""Train and validation pixels to a trained network: fastai, phase by phase as the protocol says.

A killed training continues after its last whole epoch, to the same bits: every epoch draws from seeds of its own, and
the checkpoint holds weights, optimiser and the early-stopping state.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from random import Random
from typing import Any

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import torch
from fastai.callback.core import Callback, CancelEpochException
from fastai.callback.schedule import lr_find  # noqa: F401  (patches Learner.lr_find and fit_one_cycle)
from fastai.callback.training import BnFreeze
from fastai.data.core import DataLoaders, TfmdDL
from fastai.data.transforms import IntToFloatTensor, Normalize
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.optimizer import Adam
from fastai.torch_core import TensorCategory, TensorImage, params
from fastai.vision.augment import Hue, RandomResizedCropGPU, Saturation, aug_transforms
from pydantic import TypeAdapter
from torch import nn

from harness.core.errors import TrainingError
from harness.core.files import write_atomically
from harness.core.progress import Report
from harness.model.architectures import engine_of
from harness.model.networks import tensors_digest, untrained, weights_digest
from harness.model.precision import precision_used
from harness.model.preprocessing import CellPixels, reduced
from harness.model.records import (
    LearningRateCurve,
    ModelCard,
    PhaseRecord,
    TrainingRecord,
    preprocessing_of,
)
from harness.model.seeding import derived_seed, seed_everything
from harness.model.stain import laboratory_transforms
from harness.model.torch_network import ABILITIES
from harness.model.training_callbacks import Averaging, Bfloat16, Checkpoint, Sentinel
from harness.protocol.training import AugmentationPlan, PhasePlan, TrainingPlan

RECORD = "training.json"


def best_weights(phase: str) -> str:
    """File name of a phase's best weights, as the published project names them."""
    return f"best_model_{phase}.pth"


def train(
    plan: TrainingPlan,
    *,
    train: CellPixels,
    validation: CellPixels,
    classes: tuple[str, ...],
    weights_file: Path | None,
    device: torch.device,
    folder: Path,
    progress: Report,
) -> TrainingRecord:
    """Train as the plan says; leaves `best_model_<phase>.pth` and `training.json` in `folder`.

    train: decoded at `augmentation.oversampling` times the plan's `image_size_px`; validation: at `image_size_px`.

    Raises:
        TrainingError: too few images for one batch, images of another size, or a loss that is not a number.
    """
    plan = plan.model_copy(update={"precision": precision_used(plan.precision, device)})
    if len(train.images) < plan.batch_size:
        raise TrainingError(
            f"the train part has {len(train.images)} images and a batch needs {plan.batch_size}. "
            "Use a smaller training.batch_size or more images."
        )
    for cells, side in ((train, plan.image_size_px * plan.augmentation.oversampling), (validation, plan.image_size_px)):
        if cells.pixels.shape[1:3] != (side, side):
            raise TrainingError(
                f"images decoded at {cells.pixels.shape[1]} px, and the plan needs {side} px. Decode the train part at "
                "image_size_px times augmentation.oversampling, every other part at image_size_px."
            )
    if (folder / RECORD).exists():  # killed between the record and the end
        _tidy(plan, folder)
        return read_training_record(folder)
    seed_everything(plan.seed)
    as_predicted = reduced(train, size_px=plan.image_size_px)
    model, weights = untrained(plan, n_classes=len(classes), weights_file=weights_file, train=as_predicted)
    learner = _learner(plan, model, train, validation, device=device, folder=folder)
    curve = _find_learning_rate(learner, plan, progress)
    phases = []
    for index, phase in enumerate(plan.phases):
        record = folder / f"{phase.name}.json"
        if record.exists():  # finished before the run was killed
            phases.append(TypeAdapter(PhaseRecord).validate_json(record.read_bytes()))
        else:
            if index > 0:
                _load(model, folder / best_weights(plan.phases[index - 1].name))
            phases.append(_run_phase(learner, phase, plan, folder, progress))
            write_atomically(record, TypeAdapter(PhaseRecord).dump_json(phases[-1]))
    _load(model, folder / best_weights(plan.phases[-1].name))
    digest = weights_digest(model)
    result = TrainingRecord(
        architecture=plan.architecture,
        device=device.type,
        precision=plan.precision,
        seed=plan.seed,
        weights=weights,
        learning_rate_curve=curve,
        phases=tuple(phases),
        weights_digest=digest,
        card=ModelCard(
            door="trained here",
            name=plan.architecture,
            digest=digest,
            classes=classes,
            preprocessing=preprocessing_of(plan),
            abilities=(*ABILITIES, "training"),
            corruptions_act_on="prepared arrays",
            architecture=plan.architecture,
            engine=engine_of(plan.architecture),
        ),
    )
    write_atomically(folder / RECORD, TypeAdapter(TrainingRecord).dump_json(result, indent=1))
    _tidy(plan, folder)
    return result


def _tidy(plan: TrainingPlan, folder: Path) -> None:
    """Remove what only a killed training would have needed."""
    for leftover in (*(f"{phase.name}.json" for phase in plan.phases), Checkpoint.FILE, "learning_rates.json"):
        (folder / leftover).unlink(missing_ok=True)
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)


def read_training_record(folder: Path) -> TrainingRecord:
    """What an earlier `train` left in `folder`."""
    return TypeAdapter(TrainingRecord).validate_json((folder / RECORD).read_bytes())


def augmentations(plan: AugmentationPlan, *, size_px: int) -> list[Any]:
    """fastai's batch transforms of the plan. Random crop first, as `aug_transforms(min_scale=...)` does."""
    crop = [RandomResizedCropGPU(size_px, min_scale=plan.min_scale, ratio=(1, 1))] if plan.min_scale < 1 else []
    colour: list[Any] = [Hue(max_hue=plan.max_hue, p=plan.p_colour)] if plan.max_hue else []
    if plan.max_saturation:
        colour.append(Saturation(max_lighting=plan.max_saturation, p=plan.p_colour))
    return aug_transforms(  # type: ignore[no-any-return]
        do_flip=plan.flips,
        flip_vert=plan.flips,
        max_rotate=plan.max_rotate_deg,
        max_zoom=1.0,
        max_lighting=plan.max_lighting,
        max_warp=plan.max_warp,
        p_affine=plan.p_affine,
        p_lighting=plan.p_lighting,
        xtra_tfms=[*crop, *colour, *laboratory_transforms(plan, size_px=size_px)],
    )


SCRATCH = "scratch"


class _Cells:
    """The decoded cells as a fastai dataset. split_idx: 0 is augmented, 1 is not."""

    # Without it fastai draws and augments one batch just to count its inputs, in the first epoch that a process runs:
    # that epoch would then use other random numbers than the same epoch of a run that was never killed.
    n_inp = 1

    def __init__(self, cells: CellPixels, *, split_idx: int) -> None:
        self.split_idx = split_idx
        self._pixels = torch.from_numpy(cells.pixels).permute(0, 3, 1, 2)
        self._labels = torch.from_numpy(cells.labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[TensorImage, TensorCategory]:
        return TensorImage(self._pixels[index]), TensorCategory(self._labels[index])


class _ResumingLearner(Learner):  # type: ignore[misc]
    """fastai's Learner, starting at a given epoch. fastai's own `start_epoch` runs the skipped epochs' end-of-epoch
    callbacks without any values, which the early-stopping callback cannot bear."""

    first_epoch = 0

    def _do_fit(self) -> None:
        for epoch in range(self.first_epoch, self.n_epoch):
            self.epoch = epoch
            self._with_events(self._do_epoch, "epoch", CancelEpochException)


def _learner(
    plan: TrainingPlan,
    model: nn.Module,
    train: CellPixels,
    validation: CellPixels,
    *,
    device: torch.device,
    folder: Path,
) -> _ResumingLearner:
    normalise = Normalize.from_stats(plan.mean, plan.deviation, cuda=False)
    loaders = []
    for cells, split_idx in ((train, 0), (validation, 1)):
        extra = augmentations(plan.augmentation, size_px=plan.image_size_px) if split_idx == 0 else []
        loaders.append(
            TfmdDL(
                _Cells(cells, split_idx=split_idx),
                bs=plan.batch_size,
                shuffle=split_idx == 0,
                drop_last=split_idx == 0,  # fastai's rule: a last batch of one would break BatchNorm
                num_workers=0,  # the pixels are in memory already
                after_batch=[IntToFloatTensor(), *extra, normalise],
                device=device,
                do_setup=False,
            )
        )
    callbacks = [Bfloat16()] if plan.precision == "bfloat16" else []
    return _ResumingLearner(
        DataLoaders(*loaders, device=device),
        model.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        loss_func=CrossEntropyLossFlat(),
        opt_func=Adam,
        splitter=_body_and_head,
        metrics=accuracy,
        path=folder,
        model_dir=SCRATCH,
        wd=plan.weight_decay,
        cbs=callbacks,
    )


def _body_and_head(model: nn.Sequential) -> list[list[nn.Parameter]]:
    """What is frozen or trained together."""
    body, head = model
    return [params(body), params(head)]


def _find_learning_rate(learner: _ResumingLearner, plan: TrainingPlan, progress: Report) -> LearningRateCurve | None:
    """fastai's sweep with the backbone frozen, as before phase 1. Leaves weights and optimiser as they were."""
    if plan.lr_finder is None:
        return None
    kept = learner.path / "learning_rates.json"
    if kept.exists():
        return TypeAdapter(LearningRateCurve).validate_json(kept.read_bytes())
    progress("learning-rate finder", 0, 1, "")
    seed_everything(derived_seed(plan.seed, "lr_finder"))
    learner.dls.train.rng = Random(derived_seed(plan.seed, "lr_finder", "order"))
    _freeze(learner, "head")
    try:
        with learner.no_bar(), learner.added_cbs([BnFreeze()]):
            suggestion = learner.lr_find(num_it=plan.lr_finder.iterations, show_plot=False)
    except IndexError:  # fastai looks for a valley among the finite losses, however few they are
        losses = [float(loss) for loss in learner.recorder.losses]
        n_finite = sum(map(math.isfinite, losses))
        raise TrainingError(
            f"learning-rate finder: {n_finite} of {len(losses)} losses are finite numbers, too few for a curve. The "
            "training cannot start: look at the loss, the initial weights and the images."
        ) from None
    rates, losses = learner.recorder.lrs, [float(loss) for loss in learner.recorder.losses]
    finite = [(rate, loss) for rate, loss in zip(rates, losses, strict=True) if math.isfinite(loss)]
    curve = LearningRateCurve(
        tuple(float(rate) for rate, _ in finite), tuple(loss for _, loss in finite), float(suggestion.valley)
    )
    write_atomically(kept, TypeAdapter(LearningRateCurve).dump_json(curve))
    progress("learning-rate finder", 1, 1, f"suggests {curve.suggestion:.2g}")
    return curve


def _run_phase(
    learner: _ResumingLearner, phase: PhasePlan, plan: TrainingPlan, folder: Path, progress: Report
) -> PhaseRecord:
    _freeze(learner, phase.trains)
    sentinel = Sentinel(phase, progress)
    averaging = Averaging(plan.weight_averaging) if plan.weight_averaging else None
    checkpoint = Checkpoint(phase, folder, sentinel, averaging, best=folder / best_weights(phase.name))
    callbacks: list[Callback] = [EpochStart(plan.seed, phase.name), sentinel, checkpoint]
    callbacks += [averaging] if averaging else []
    callbacks += [BnFreeze()] if phase.trains == "head" else []
    before = _backbone_digest(learner.model)
    learner.first_epoch, before = checkpoint.resume(learner, before)
    with learner.no_bar(), learner.no_logging():
        if phase.schedule == "one-cycle":
            learner.fit_one_cycle(phase.max_epochs, phase.learning_rate, cbs=callbacks)
        else:
            learner.fit(phase.max_epochs, phase.learning_rate, cbs=callbacks)
    learner.first_epoch = 0
    if sentinel.failure is not None:
        raise TrainingError(sentinel.failure)
    if checkpoint.failure is not None:
        raise checkpoint.failure
    state = checkpoint.state
    return PhaseRecord(
        name=phase.name,
        trains=phase.trains,
        max_epochs=phase.max_epochs,
        patience=phase.patience,
        peak_learning_rate=max(epoch.learning_rate for epoch in state.epochs),
        epochs=tuple(state.epochs),
        stop_reason="early stopping" if state.waited >= phase.patience else "epoch limit",
        best_epoch=state.best_epoch,
        backbone_before=before,
        backbone_after=_backbone_digest(learner.model),
    )


def _freeze(learner: _ResumingLearner, trains: str) -> None:
    """Set what is trained. "head" freezes truly: fastai's default would go on training the frozen backbone's
    BatchNorm weights (`train_bn=True`) and would go on updating their running statistics (see `BnFreeze`)."""
    learner.train_bn = trains != "head"
    learner.create_opt()
    if trains == "head":
        learner.freeze()
    else:
        learner.unfreeze()


class EpochStart(Callback):  # type: ignore[misc]
    """Lets each epoch depend on nothing but weights, optimiser and its number: it gets seeds of its own, and no
    gradient tensor of an earlier epoch is left, whose memory layout could change how the next one's sums round."""

    order = -20

    def __init__(self, seed: int, phase: str) -> None:
        self._seed, self._phase = seed, phase

    def before_epoch(self) -> None:
        seed_everything(derived_seed(self._seed, self._phase, self.epoch))
        self.learn.dls.train.rng = Random(derived_seed(self._seed, self._phase, self.epoch, "order"))
        self.model.zero_grad(set_to_none=True)


def _load(model: nn.Module, path: Path) -> None:
    model.load_state_dict(torch.load(path, map_location=next(model.parameters()).device, weights_only=True))


def _backbone_digest(model: nn.Module) -> str:
    body: nn.Module = model[0]  # type: ignore[index]
    return tensors_digest(body.state_dict().items())
