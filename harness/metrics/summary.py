"""Every metric that one set's confusion matrix answers: what is reported whether or not a criterion asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.metrics import classification
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import NothingRecorded, NotRecorded
from harness.metrics.metric import Metric
from harness.metrics.table import TABLE
from harness.protocol.needs import PROBABILITIES
from harness.protocol.records import Protocol


@dataclass(frozen=True, slots=True)
class _OfOneClass:
    set: str
    cell_class: str | None
    kind: str | None = None


class OneSet(NothingRecorded):
    """The `Measurements` of a single evaluation: it knows its confusion matrix and nothing else."""

    def __init__(self, protocol: Protocol, evaluation: Evaluation) -> None:
        super().__init__(protocol, what=f"the confusion matrix of {evaluation.set}")
        self._evaluation = evaluation

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        return self._evaluation if set_name == self._evaluation.set else super().evaluation(set_name)


def summary_metrics() -> tuple[str, ...]:
    """The metrics of a confusion matrix that the tables of classes and accuracies do not print."""
    return tuple(
        metric.name
        for metric in TABLE.values()
        if "accuracy" in metric.questions and metric.needs == {PROBABILITIES} and metric not in classification.METRICS
    )


def summarise(protocol: Protocol, evaluation: Evaluation, *, names: Sequence[str], level: float) -> dict[str, Estimate]:
    """The estimate of each metric, or of each class by it, under names such as "specificity of monocyte".

    Args:
        names: of metrics that a confusion matrix answers.
        level: one-sided, of the bounds.
    """
    alone, found = OneSet(protocol, evaluation), {}
    for metric in map(TABLE.__getitem__, names):
        for cell_class in evaluation.classes if metric.per == "class" else (None,):
            measured = metric.measure(alone, _OfOneClass(evaluation.set, cell_class), level)
            assert isinstance(measured, Estimate)  # an evaluation is there
            found[metric.name if cell_class is None else f"{metric.name} of {cell_class}"] = measured
    return found


def measured_again(protocol: Protocol, evaluation: Evaluation, metric: Metric, estimate: Estimate) -> Estimate | None:
    """The same number from the confusion matrix alone; None for a metric that rests on more than it."""
    if metric.per == "column":
        return None
    try:
        found = metric.measure(
            OneSet(protocol, evaluation), _OfOneClass(evaluation.set, estimate.cell_class), estimate.level
        )
    except NotRecorded:
        return None
    return found if isinstance(found, Estimate) else None
