"""Training on a few drawn cells: what is frozen, what stops it, what a kill costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from drawn import CLASSES, decoded, shown

from harness.core.errors import TrainingError
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.model import training as room
from harness.model.classifier import Machine, predict
from harness.model.networks import tensors_digest
from harness.model.preprocessing import CellPixels
from harness.model.records import TrainingRecord
from harness.model.trained import card_of, open_trained
from harness.model.training import augmentations, best_weights, read_training_record, train
from harness.model.weights import read_tensors
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.training import LearningRateFinderPlan, TrainingPlan

CPU = torch.device("cpu")
PROTOCOLS = DEFAULT_PROTOCOL.parent
Train = Callable[..., TrainingRecord]


@pytest.fixture(scope="module")
def cells(manifest: Manifest) -> dict[str, CellPixels]:
    return {
        "train": decoded(manifest, [image for i, image in enumerate(manifest.images) if i % 3]),
        "validation": decoded(manifest, manifest.images[::3]),
    }


@pytest.fixture
def run(cells: dict[str, CellPixels]) -> Train:
    def trained(plan: TrainingPlan, folder: Path, progress: object = silent) -> TrainingRecord:
        folder.mkdir(exist_ok=True)
        return train(
            plan,
            **cells,
            classes=CLASSES,
            weights_file=None,
            device=CPU,
            folder=folder,
            progress=progress,  # type: ignore[arg-type]
        )

    return trained


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, cells: dict[str, CellPixels], small_plan: TrainingPlan
) -> tuple[TrainingRecord, Path]:
    """One uninterrupted training of the small plan."""
    folder = tmp_path_factory.mktemp("finished")
    record = train(small_plan, **cells, classes=CLASSES, weights_file=None, device=CPU, folder=folder, progress=silent)
    return record, folder


def with_phases(plan: TrainingPlan, **changes: object) -> TrainingPlan:
    return plan.model_copy(update={"phases": tuple(p.model_copy(update=changes) for p in plan.phases)})


def test_the_head_phase_leaves_every_backbone_tensor_as_it_was(finished: tuple[TrainingRecord, Path]):
    head, everything = finished[0].phases
    assert head.backbone_before == head.backbone_after
    assert everything.backbone_before != everything.backbone_after
    assert head.epochs[0].n_trainable_parameters < everything.epochs[0].n_trainable_parameters


def test_the_trainable_parameters_of_the_head_phase_are_those_of_fastai_s_head(finished: tuple[TrainingRecord, Path]):
    # BatchNorm 1024 (2 x 1024), linear 1024 -> 512 without bias, BatchNorm 512 (2 x 512), linear 512 -> 5 without bias.
    by_hand = 2 * 1024 + 1024 * 512 + 2 * 512 + 512 * 5
    assert {epoch.n_trainable_parameters for epoch in finished[0].phases[0].epochs} == {by_hand}


def test_fastai_s_own_freeze_is_caught(
    run: Train, small_plan: TrainingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # What the published project did: freeze() alone, which goes on training the backbone's BatchNorm layers.
    def freeze_as_fastai_does(learner: object, trains: str) -> None:
        learner.create_opt()  # type: ignore[attr-defined]
        learner.freeze() if trains == "head" else learner.unfreeze()  # type: ignore[attr-defined]

    monkeypatch.setattr(room, "_freeze", freeze_as_fastai_does)
    monkeypatch.setattr(room, "BnFreeze", lambda: room.Callback())
    record = run(with_phases(small_plan, max_epochs=1), tmp_path)
    assert record.phases[0].backbone_before != record.phases[0].backbone_after


def test_the_same_seed_gives_the_same_losses_and_weights(
    run: Train, small_plan: TrainingPlan, finished: tuple[TrainingRecord, Path], tmp_path: Path
):
    again = run(small_plan, tmp_path)
    assert again.losses_digest == finished[0].losses_digest
    assert again.weights_digest == finished[0].weights_digest


@pytest.mark.slow
def test_another_seed_gives_other_weights(
    run: Train, small_plan: TrainingPlan, finished: tuple[TrainingRecord, Path], tmp_path: Path
):
    other = run(small_plan.model_copy(update={"seed": 43}), tmp_path)
    assert other.weights_digest != finished[0].weights_digest


@pytest.mark.slow
def test_the_learning_rate_finder_changes_nothing_that_follows(
    run: Train, small_plan: TrainingPlan, finished: tuple[TrainingRecord, Path], tmp_path: Path
):
    record = run(small_plan.model_copy(update={"lr_finder": LearningRateFinderPlan(iterations=12)}), tmp_path)
    assert record.learning_rate_curve is not None
    assert record.learning_rate_curve.learning_rates[0] < record.learning_rate_curve.learning_rates[-1]
    assert record.weights_digest == finished[0].weights_digest


@pytest.mark.slow
@pytest.mark.parametrize("killed_in", ["phase1, epoch 2", "phase2, epoch 1", "phase2, epoch 2"])
def test_a_killed_training_continues_to_the_same_bits(
    run: Train, small_plan: TrainingPlan, finished: tuple[TrainingRecord, Path], tmp_path: Path, killed_in: str
):
    class Killed(BaseException):
        pass

    def progress(label: str, done: int, total: int, detail: str) -> None:
        if label.startswith(killed_in) and done == 2:
            raise Killed

    with pytest.raises(Killed):
        run(small_plan, tmp_path, progress)
    record = run(small_plan, tmp_path)
    assert record.weights_digest == finished[0].weights_digest
    assert record.losses_digest == finished[0].losses_digest


AVERAGED = {"weight_averaging": 0.9}


@pytest.fixture(scope="module")
def averaged(
    tmp_path_factory: pytest.TempPathFactory, cells: dict[str, CellPixels], small_plan: TrainingPlan
) -> tuple[TrainingRecord, Path]:
    """One uninterrupted training of the small plan with averaged weights and every transform of another laboratory."""
    folder = tmp_path_factory.mktemp("averaged")
    plan = elsewhere(small_plan)
    record = train(plan, **cells, classes=CLASSES, weights_file=None, device=CPU, folder=folder, progress=silent)
    return record, folder


def elsewhere(plan: TrainingPlan) -> TrainingPlan:
    laboratory = {"min_zoom": 0.8, "max_zoom": 2.0, "max_shift": 0.1, "max_blur": 0.02, "p_stain": 0.75}
    stain = {"max_stain_gain": 0.4, "max_stain_mix": 0.5, "max_tint": 0.2}
    augmentation = plan.augmentation.model_copy(update={**laboratory, **stain})
    return plan.model_copy(update={**AVERAGED, "augmentation": augmentation})


def test_averaged_weights_are_others_and_frozen_layers_stay_frozen_in_them(
    averaged: tuple[TrainingRecord, Path], finished: tuple[TrainingRecord, Path]
):
    head, _ = averaged[0].phases
    assert head.backbone_before == head.backbone_after == finished[0].phases[0].backbone_after
    kept = torch.load(averaged[1] / best_weights("phase1"), weights_only=True)
    start = torch.load(finished[1] / best_weights("phase1"), weights_only=True)
    frozen = [name for name in kept if name.startswith("0.")]
    assert all(torch.equal(kept[name], start[name]) for name in frozen)
    assert averaged[0].weights_digest != finished[0].weights_digest


def test_the_validation_loss_of_averaged_weights_is_theirs(
    averaged: tuple[TrainingRecord, Path], cells: dict[str, CellPixels]
):
    record, folder = averaged
    probabilities = torch.from_numpy(
        predict(open_trained(folder, Machine("cpu", 8, workers=1, progress=silent)), shown(cells["validation"]))
    )
    loss = torch.nn.functional.nll_loss(probabilities.log(), torch.from_numpy(cells["validation"].labels))
    phase = record.phases[-1]
    assert float(loss) == pytest.approx(phase.epochs[phase.best_epoch].validation_loss, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("killed_in", ["phase1, epoch 2", "phase2, epoch 2"])
def test_a_killed_training_with_averaged_weights_continues_to_the_same_bits(
    run: Train, small_plan: TrainingPlan, averaged: tuple[TrainingRecord, Path], tmp_path: Path, killed_in: str
):
    class Killed(BaseException):
        pass

    def progress(label: str, done: int, total: int, detail: str) -> None:
        if label.startswith(killed_in) and done == 2:
            raise Killed

    with pytest.raises(Killed):
        run(elsewhere(small_plan), tmp_path, progress)
    record = run(elsewhere(small_plan), tmp_path)
    assert record.weights_digest == averaged[0].weights_digest
    assert record.losses_digest == averaged[0].losses_digest


def test_the_average_is_the_one_worked_by_hand():
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    averaging = room.Averaging(decay=0.25)
    averaging.learn = SimpleNamespace(model=model, training=True)
    averaging.before_fit()
    for weight in (8.0, 16.0):
        model.weight.data.fill_(weight)
        averaging.after_batch()
    # The first step keeps 2/11 of what was there, the second 0.25 (3/12 is no less): 0.25 x (9/11 x 8) + 0.75 x 16.
    assert averaging.average["weight"].item() == pytest.approx(0.25 * (9 / 11 * 8) + 0.75 * 16)
    averaging.before_validate()
    assert model.weight.item() == pytest.approx(averaging.average["weight"].item())
    averaging.after_validate()
    assert model.weight.item() == 16.0


@pytest.mark.slow
def test_cells_decoded_at_twice_the_size_train_a_network_of_the_plan_s_size(
    cells: dict[str, CellPixels], small_plan: TrainingPlan, tmp_path: Path
):
    def trained(pixels: np.ndarray, oversampling: int) -> TrainingRecord:
        augmentation = small_plan.augmentation.model_copy(update={"oversampling": oversampling})
        plan = with_phases(small_plan, max_epochs=1).model_copy(update={"augmentation": augmentation})
        parts = {"train": CellPixels(few.images, pixels, few.labels), "validation": cells["validation"]}
        folder = tmp_path / str(oversampling)
        folder.mkdir()
        return train(plan, **parts, classes=CLASSES, weights_file=None, device=CPU, folder=folder, progress=silent)

    few = cells["train"]
    once, twice = trained(few.pixels, 1), trained(few.pixels.repeat(2, axis=1).repeat(2, axis=2), 2)
    # Every pixel stands four times, and without a zoom their mean is the pixel: the same cells, if other draws.
    for one, two in zip(once.phases, twice.phases, strict=True):
        assert two.epochs[0].validation_loss == pytest.approx(one.epochs[0].validation_loss, rel=0.05)


@pytest.mark.parametrize("side", [31, 48, 96])
def test_cells_of_any_other_size_are_refused(
    cells: dict[str, CellPixels], small_plan: TrainingPlan, tmp_path: Path, side: int
):
    pixels = np.zeros((len(cells["train"].labels), side, side, 3), dtype=np.uint8)
    odd = CellPixels(cells["train"].images, pixels, cells["train"].labels)
    parts = {"train": odd, "validation": cells["validation"]}
    with pytest.raises(TrainingError, match=f"decoded at {side} px"):
        train(small_plan, **parts, classes=CLASSES, weights_file=None, device=CPU, folder=tmp_path, progress=silent)


def test_what_remains_are_the_weights_of_both_phases_and_the_record(finished: tuple[TrainingRecord, Path]):
    record, folder = finished
    assert sorted(file.name for file in folder.iterdir()) == [
        "best_model_phase1.pth",
        "best_model_phase2.pth",
        "training.json",
    ]
    assert read_training_record(folder) == record


def test_the_kept_weights_are_those_of_the_lowest_validation_loss(
    finished: tuple[TrainingRecord, Path], cells: dict[str, CellPixels]
):
    record, folder = finished
    kept = read_tensors(folder / best_weights("phase2"), sha256=None)
    assert card_of(folder).digest == record.weights_digest == tensors_digest(kept.items())
    probabilities = torch.from_numpy(
        predict(open_trained(folder, Machine("cpu", 8, workers=1, progress=silent)), shown(cells["validation"]))
    )
    loss = torch.nn.functional.nll_loss(probabilities.log(), torch.from_numpy(cells["validation"].labels))
    phase = record.phases[-1]
    assert phase.best_epoch == min(phase.epochs, key=lambda epoch: epoch.validation_loss).epoch
    assert float(loss) == pytest.approx(phase.epochs[phase.best_epoch].validation_loss, abs=1e-4)


@pytest.mark.slow
def test_early_stopping_waits_its_patience_and_no_longer(run: Train, small_plan: TrainingPlan, tmp_path: Path):
    # At this rate every step makes the validation loss worse, so the first epochs stay the best.
    wild = with_phases(small_plan, learning_rate=3.0, schedule="flat", max_epochs=12, patience=2)
    phases = run(wild, tmp_path).phases
    assert "early stopping" in {phase.stop_reason for phase in phases}
    for phase in phases:
        waited = len(phase.epochs) - 1 - phase.best_epoch
        if phase.stop_reason == "early stopping":
            assert waited == 2
        else:
            assert len(phase.epochs) == 12
            assert waited < 2


def test_a_flat_schedule_keeps_its_rate_and_one_cycle_stays_under_its_peak(
    run: Train, small_plan: TrainingPlan, finished: tuple[TrainingRecord, Path], tmp_path: Path
):
    flat = run(with_phases(small_plan, schedule="flat", max_epochs=1), tmp_path)
    assert [epoch.learning_rate for phase in flat.phases for epoch in phase.epochs] == [1e-3, 1e-3]
    assert all(phase.peak_learning_rate <= 1e-3 * (1 + 1e-6) for phase in finished[0].phases)


def test_a_loss_that_is_no_number_ends_the_training(run: Train, small_plan: TrainingPlan, tmp_path: Path):
    with pytest.raises(TrainingError, match=r"phase1, epoch 0.*loss is (nan|inf).*Lower the learning rate"):
        run(with_phases(small_plan, learning_rate=1e30, schedule="flat"), tmp_path)


def test_fewer_images_than_a_batch_is_refused(run: Train, small_plan: TrainingPlan, tmp_path: Path):
    with pytest.raises(TrainingError, match="the train part has 40 images and a batch needs 64"):
        run(small_plan.model_copy(update={"batch_size": 64}), tmp_path)


def test_bfloat16_trains_and_leaves_float32_weights(run: Train, small_plan: TrainingPlan, tmp_path: Path):
    record = run(with_phases(small_plan, max_epochs=1).model_copy(update={"precision": "bfloat16"}), tmp_path)
    weights = torch.load(tmp_path / best_weights("phase2"), weights_only=True)
    assert record.precision == "bfloat16"
    assert {tensor.dtype for name, tensor in weights.items() if name.endswith("weight")} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("in_hardware", ["float32", "bfloat16"])
def test_auto_trains_to_the_bits_of_what_it_chose_and_records_it(
    run: Train, small_plan: TrainingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_hardware: str
):
    monkeypatch.setattr("harness.model.precision.bfloat16_flags", lambda: ("amx_bf16",) * (in_hardware == "bfloat16"))
    short = with_phases(small_plan, max_epochs=1)
    (named, chosen) = tmp_path / "named", tmp_path / "chosen"
    for folder in (named, chosen):
        folder.mkdir()
    wanted = run(short.model_copy(update={"precision": in_hardware}), named)
    found = run(short.model_copy(update={"precision": "auto"}), chosen)
    assert found.precision == in_hardware
    assert found.weights_digest == wanted.weights_digest


def test_the_augmentations_are_the_published_ones():
    published = read_protocol(PROTOCOLS / "leukocyte.toml").training.augmentation
    # fastai folds flip, rotation and warp into one transform, and brightness, contrast and saturation into another.
    affine, lighting, crop, hue = augmentations(published, size_px=224)
    flip, rotate = (function.keywords for function in affine.aff_fs)
    (warp,) = affine.coord_fs
    assert flip["p"] == 0.5
    assert (rotate["max_deg"], rotate["p"]) == (180, 0.75)
    assert (warp.magnitude, warp.p) == (0.2, 0.75)
    assert crop.min_scale == 0.75
    assert [function.max_lighting for function in lighting.fs] == [0.5, 0.5, 0.5]
    assert {function.p for function in (*lighting.fs, *hue.fs)} == {0.75}


def test_what_the_plan_sets_to_zero_is_not_applied(small_plan: TrainingPlan):
    none = {"min_scale": 1.0, "max_hue": 0.0, "max_saturation": 0.0, "max_warp": 0.0, "max_lighting": 0.0}
    (affine,) = augmentations(small_plan.augmentation.model_copy(update=none), size_px=32)
    assert len(affine.coord_fs) == 0


def test_a_loss_that_is_no_number_from_the_start_is_told_by_the_finder(
    run: Train, small_plan: TrainingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Broken(room.CrossEntropyLossFlat):  # type: ignore[misc]
        def __call__(self, *args: object, **kwargs: object) -> torch.Tensor:
            return super().__call__(*args, **kwargs) * float("nan")

    monkeypatch.setattr(room, "CrossEntropyLossFlat", Broken)
    plan = small_plan.model_copy(update={"lr_finder": LearningRateFinderPlan(iterations=10)})
    with pytest.raises(TrainingError, match=r"learning-rate finder: 0 of \d+ losses are finite"):
        run(plan, tmp_path)
