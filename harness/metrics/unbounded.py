"""Numbers of a whole confusion matrix that are reported without a bound, and that no criterion can be on."""

from __future__ import annotations

from collections.abc import Callable

from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject

NO_BOUND = "no bound is computed"


def without_bound(name: str, evaluation: Evaluation, value: float | None, *, level: float, note: str) -> Estimate:
    """The estimate of a value that has no bound; note: why, and where it is None why there is no value either."""
    return Estimate(
        name, evaluation.set, None, value, None, None, level, NO_BOUND, n=evaluation.n, note=note, support=evaluation.n
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
