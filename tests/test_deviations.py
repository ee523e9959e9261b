"""Each limit of the training is exceeded once, and only its own metric says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.metrics.deviations import training_deviations
from harness.model.records import EpochRecord, PhaseRecord, TrainingRecord, WeightsRecord
from harness.protocol.training import TrainingPlan


def epoch(number: int, rate: float = 1e-3) -> EpochRecord:
    return EpochRecord(number, rate, 100, 1.0, 1.0, 0.5, 1.0)


def phase(name: str, trains: str, **changes: object) -> PhaseRecord:
    kept = PhaseRecord(
        name=name,
        trains=trains,
        max_epochs=2,
        patience=3,
        peak_learning_rate=1e-3,
        epochs=(epoch(0), epoch(1, 4e-4)),
        stop_reason="epoch limit",
        best_epoch=1,
        backbone_before="a" * 64,
        backbone_after="a" * 64 if trains == "head" else "b" * 64,
    )
    return replace(kept, **changes)  # type: ignore[arg-type]


def record(**changes: object) -> TrainingRecord:
    """A training as the small plan wants it, but for `changes` of its first phase."""
    phases = (phase("phase1", "head", **changes), phase("phase2", "all"))
    return TrainingRecord("resnet18", "cpu", "float32", 42, WeightsRecord("none", None, (), ()), None, phases, "w" * 64)


def test_a_training_that_kept_to_its_plan_has_no_deviation(small_plan: TrainingPlan):
    assert set(training_deviations(record(), small_plan).values()) == {()}


@pytest.mark.parametrize(
    ("metric", "changes", "words"),
    [
        ("frozen_tensor_changes", {"backbone_after": "c" * 64}, "from aaaaaaaaaaaa to cccccccccccc"),
        (
            "epoch_limit_excess",
            {"epochs": (epoch(0), epoch(1), epoch(2)), "best_epoch": 2},
            "ran 3 epochs, the limit is 2",
        ),
        ("learning_rate_deviations", {"epochs": (epoch(0), epoch(1, 1.1e-3))}, "epoch 1: learning rate 0.0011"),
    ],
)
def test_each_excess_is_found_by_its_own_metric(small_plan: TrainingPlan, metric: str, changes: dict, words: str):
    found = training_deviations(record(**changes), small_plan)
    assert {name for name, lines in found.items() if lines} == {metric}
    assert words in found[metric][0]


def test_waiting_longer_than_the_patience_is_found(small_plan: TrainingPlan):
    patient = small_plan.model_copy(
        update={"phases": tuple(p.model_copy(update={"max_epochs": 9}) for p in small_plan.phases)}
    )
    five = {"epochs": tuple(epoch(i) for i in range(5))}
    assert training_deviations(record(**five, best_epoch=1), patient)["patience_excess"] == ()  # 3 waited, 3 allowed
    (line,) = training_deviations(record(**five, best_epoch=0), patient)["patience_excess"]
    assert line == "phase1 ran 4 epochs past its best, the patience is 3"


def test_a_flat_schedule_may_not_sink(small_plan: TrainingPlan):
    flat = small_plan.model_copy(
        update={"phases": tuple(p.model_copy(update={"schedule": "flat"}) for p in small_plan.phases)}
    )
    assert len(training_deviations(record(), flat)["learning_rate_deviations"]) == 2  # the 4e-4 of either phase
