"""Cohen's kappa: agreement beyond chance."""

from __future__ import annotations

import math

from harness.metrics.estimates import Estimate, Evaluation
from harness.metrics.unbounded import NO_BOUND, reported, without_bound

NAME = "cohen_kappa"
UNDEFINED = "chance alone agrees on everything"


def cohen_kappa(evaluation: Evaluation, *, level: float) -> Estimate:
    """Observed minus chance agreement, as a share of what chance leaves.

    It has no bound here: no exact one is known, and an asymptotic one is wrong where nearly everything is right. So it
    is reported, and no criterion can be on it.

    Returns:
        value None where it is undefined: chance alone agrees on everything.
    Source: Cohen (1960), Educ. Psychol. Meas. 20:37-46.
    """
    confusion = evaluation.confusion.astype(float)
    n, right = confusion.sum(), confusion.trace()
    reference, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    by_chance = float(reference @ predicted) / (n * n) if n else math.nan
    value = float(right / n - by_chance) / (1 - by_chance) if by_chance < 1 else None
    return without_bound(NAME, evaluation, value, level=level, note=NO_BOUND if value is not None else UNDEFINED)


METRICS = (
    reported(
        NAME,
        "Agreement of reference and predicted class beyond chance (Cohen's kappa); reported without a bound.",
        cohen_kappa,
    ),
)
