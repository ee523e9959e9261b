"""Numbers of a whole confusion matrix that are reported without a bound, and that no criterion can be on."""

from __future__ import annotations

from collections.abc import Callable

from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject


def without_bound(name: str, evaluation: Evaluation, value: float | None, *, level: float, undefined: str) -> Estimate:
    """The estimate of a value that has no bound; undefined: why there is none, where it is None."""
    return Estimate(
        name,
        evaluation.set,
        None,
        value,
        None,
        None,
        level,
        "no bound is computed",
        n=evaluation.n,
        note="no bound is computed" if value is not None else undefined,
        support=evaluation.n,
    )


def reported(name: str, meaning: str, compute: Callable[..., Estimate]) -> Metric:
    """The entry of a metric that is reported for every set.

    Args:
        compute: takes an evaluation, and `level` by keyword.
    """

    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        found = measurements.evaluation(subject.set)
        return found if isinstance(found, Unavailable) else compute(found, level=level)

    return Metric(
        name=name,
        questions=("accuracy", "external"),
        meaning=meaning,
        measure=measure,
        range=(-1.0, 1.0),
        bounded=False,
    )
