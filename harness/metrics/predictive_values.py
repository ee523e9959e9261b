"""How far can a predictive value be trusted that is made of the rates of several classes?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WeightedRate:
    """A share of the cells of one class that are called a class, times how frequent that class is.

    lower, upper: one-sided bounds of it, each at the level of the bounds that are made of several.
    """

    value: float
    lower: float
    upper: float

    @property
    def distance(self) -> float:
        """The larger of the distances to its bounds: that of a rate of 1 to its upper bound is 0, and says too much."""
        return max(self.value - self.lower, self.upper - self.value)


def bounds_of_share(own: WeightedRate, others: Sequence[WeightedRate]) -> tuple[float, float]:
    """One-sided bounds of own / (own + sum of others), for rates that are independent: those of classes are.

    A share p has the odds t at which own - t * (sum of others) is 0. The bounds of that difference are made of those of
    each rate, whose distances add up as variances do (MOVER), and the bounds of t are where one of them is 0, as
    Fieller's are. benchmarks/gate_error_rates.py simulates how often they miss.

    Source: Zou and Donner (2008), Stat. Med. 27:1693-1702; Donner and Zou (2012), Stat. Methods Med. Res. 21:347-359,
        for ratios; Fieller (1954), J. R. Stat. Soc. B 16:175-185.
    >>> never = WeightedRate(0.0, 0.0, 0.04)
    >>> [round(bound, 3) for bound in bounds_of_share(WeightedRate(0.5, 0.48, 0.5), [never])]
    [0.926, 1.0]
    """
    if own.upper == 0.0:
        return 0.0, 0.0  # a class that does not occur: whatever is called so is not of it
    rest, rest_distance = sum(each.value for each in others), math.hypot(*(each.distance for each in others))
    product = own.value * rest
    own_square, rest_square = own.value**2 - own.distance**2, rest**2 - rest_distance**2
    root = math.sqrt(max(0.0, product**2 - own_square * rest_square))
    lower = own_square / (product + root) if own_square > 0 and product + root > 0 else 0.0
    upper = (product + root) / rest_square if rest_square > 0 else math.inf
    return lower / (1.0 + lower), upper / (1.0 + upper) if math.isfinite(upper) else 1.0
