"""Matthews correlation coefficient of several classes."""

from __future__ import annotations

import math

from harness.metrics.estimates import Estimate, Evaluation
from harness.metrics.unbounded import NO_BOUND, reported, without_bound

NAME = "matthews_correlation"
UNDEFINED = "all cells are of one class, or predicted as one"


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
    return without_bound(NAME, evaluation, value, level=level, note=NO_BOUND if value is not None else UNDEFINED)


METRICS = (
    reported(
        NAME,
        "Matthews correlation of reference and predicted class, over all classes; reported without a bound.",
        matthews_correlation,
    ),
)
