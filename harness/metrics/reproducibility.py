"""Does the same seed give the same model? The digests of fresh processes, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.metrics.counts import counted
from harness.protocol.needs import REPEATED_TRAINING


@dataclass(frozen=True, slots=True)
class ProcessDigests:
    """What one fresh process got from a small training; equal records mean reproducible."""

    conditions: str
    split: str
    losses: str
    weights: str
    predictions: str


def differences(processes: Sequence[ProcessDigests], field: str) -> tuple[str, ...]:
    """One line per process whose digest differs from the first's."""
    first, *others = processes
    expected = getattr(first, field)
    return tuple(
        f"{field}: {getattr(other, field)[:12]} ({other.conditions}), {expected[:12]} ({first.conditions})"
        for other in others
        if getattr(other, field) != expected
    )


# Metric -> the field of `ProcessDigests` that it compares.
_FIELDS = {
    "split_differences": "split",
    "loss_differences": "losses",
    "weight_differences": "weights",
    "prediction_differences": "predictions",
}


def reproducibility(processes: Sequence[ProcessDigests]) -> Mapping[str, tuple[str, ...]]:
    """Reproducibility metric -> what differs, one line for each process."""
    return {metric: differences(processes, field) for metric, field in _FIELDS.items()}


METRICS = tuple(
    counted(
        name,
        "reproducibility",
        f"Fresh processes under other conditions that get another digest of the {field} from the same small training.",
        needs=frozenset({REPEATED_TRAINING}),
    )
    for name, field in _FIELDS.items()
)
