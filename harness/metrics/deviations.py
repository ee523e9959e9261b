"""Did the training keep to its plan? What the sentinel recorded beside what the protocol says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.metrics.counts import counted
from harness.model.records import PhaseRecord, TrainingRecord
from harness.protocol.needs import TRAINING
from harness.protocol.training import PhasePlan, TrainingPlan

RATE_TOLERANCE = 1e-6  # relative; schedules are computed in floating point


def training_deviations(record: TrainingRecord, plan: TrainingPlan) -> Mapping[str, tuple[str, ...]]:
    """Training metric -> what deviates, one line each; empty means that nothing does."""
    pairs = list(zip(record.phases, plan.phases, strict=True))
    return {
        "frozen_tensor_changes": tuple(line for found, wanted in pairs for line in _frozen(found, wanted)),
        "epoch_limit_excess": tuple(line for found, wanted in pairs for line in _epochs(found, wanted)),
        "patience_excess": tuple(line for found, wanted in pairs for line in _patience(found, wanted)),
        "learning_rate_deviations": tuple(line for found, wanted in pairs for line in _rates(found, wanted)),
    }


def _frozen(found: PhaseRecord, wanted: PhasePlan) -> Iterator[str]:
    if wanted.trains == "head" and found.backbone_before != found.backbone_after:
        yield (
            f"{found.name} trains the head alone, yet the backbone went from {found.backbone_before[:12]} "
            f"to {found.backbone_after[:12]}"
        )


def _epochs(found: PhaseRecord, wanted: PhasePlan) -> Iterator[str]:
    if len(found.epochs) > wanted.max_epochs:
        yield f"{found.name} ran {len(found.epochs)} epochs, the limit is {wanted.max_epochs}"


def _patience(found: PhaseRecord, wanted: PhasePlan) -> Iterator[str]:
    waited = len(found.epochs) - 1 - found.best_epoch
    if waited > wanted.patience:
        yield f"{found.name} ran {waited} epochs past its best, the patience is {wanted.patience}"


def _rates(found: PhaseRecord, wanted: PhasePlan) -> Iterator[str]:
    peak = wanted.learning_rate
    for epoch in found.epochs:
        above = epoch.learning_rate > peak * (1 + RATE_TOLERANCE)
        below = wanted.schedule == "flat" and epoch.learning_rate < peak * (1 - RATE_TOLERANCE)
        if above or below:
            yield (
                f"{found.name}, epoch {epoch.epoch}: learning rate {epoch.learning_rate:g}, the protocol says {peak:g} "
                f"({wanted.schedule})"
            )


_NEEDS = frozenset({TRAINING})

METRICS = (
    counted("frozen_tensor_changes", "training", "Head-only phases that changed the backbone.", needs=_NEEDS),
    counted("epoch_limit_excess", "training", "Phases that ran more epochs than the plan allows.", needs=_NEEDS),
    counted("patience_excess", "training", "Phases that went on for longer than their patience.", needs=_NEEDS),
    counted("learning_rate_deviations", "training", "Epochs whose learning rate is not the schedule's.", needs=_NEEDS),
)
