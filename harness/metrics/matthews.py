"""Matthews correlation coefficient of several classes."""

from __future__ import annotations

import math

from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject

NAME = "matthews_correlation"


def matthews_correlation(evaluation: Evaluation, *, level: float) -> Estimate:
    """Correlation of reference and predicted class, 1 where all is right and 0 by chance.

    It has no bound here: no exact one is known, and an asymptotic one is wrong where nearly everything is right. So it
    is reported, and no criterion can be on it.

    Returns:
        value None where it is undefined: all cells are of one class, or predicted as one.
    Source: Gorodkin (2004), Comput. Biol. Chem. 28:367-374.
    """
    confusion = evaluation.confusion.astype(float)
    n, right = confusion.sum(), confusion.trace()
    reference, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    spread = (n * n - float(reference @ reference)) * (n * n - float(predicted @ predicted))
    value = float(right * n - reference @ predicted) / math.sqrt(spread) if spread > 0 else None
    return Estimate(
        NAME,
        evaluation.set,
        None,
        value,
        None,
        None,
        level,
        "no bound is computed",
        n=evaluation.n,
        note="no bound is computed" if value is not None else "all cells are of one class, or predicted as one",
        support=evaluation.n,
    )


def _measured(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    found = measurements.evaluation(subject.set)
    return found if isinstance(found, Unavailable) else matthews_correlation(found, level=level)


METRICS = (
    Metric(
        name=NAME,
        questions=("accuracy", "external"),
        meaning="Matthews correlation of reference and predicted class, over all classes; reported without a bound.",
        measure=_measured,
        range=(-1.0, 1.0),
        bounded=False,
    ),
)
