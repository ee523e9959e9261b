"""Is there a 2 x 2 table with these supports that prints all of it? Exact, for any size.

With both supports known, a and b right, everything else follows: what is called the first class is a + (second - b).
For each a, every printed share grows with b, so the b that fit are an interval, found by halving.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial

from harness.claims.choice import Choice, Meter, Sum, fits, value
from harness.claims.lanes import Lane
from harness.claims.matrix_rules import Answer


def decide_two(choice: Choice, meter: Meter) -> Answer:
    """UNDECIDED where the meter runs out."""
    one, two = choice.lanes
    if not one or not two:
        return Answer.INFEASIBLE
    second = choice.supports[1]
    at = {lane.t: lane for lane in two}
    least_b, most_b = two[0].t, two[-1].t
    for lane in one:
        a = lane.t
        low, high = max(least_b, a + second - lane.most), min(most_b, a + second - lane.least)
        for each in choice.sums:
            if low > high:
                break
            if each.kind == "linear":
                continue
            meter.left -= 2 * (high - low + 2).bit_length()
            low, high = _interval(partial(_total, choice, each, a), low, high, each)
        if meter.left < 0:
            return Answer.UNDECIDED
        for b in range(low, high + 1):
            other = at.get(b)
            if other is not None and _holds(choice, other, a, b):
                return Answer.FEASIBLE
            meter.left -= 4 if other is not None else 1
            if meter.left < 0:
                return Answer.UNDECIDED
    return Answer.INFEASIBLE


def _pairs(choice: Choice, a: int, b: int) -> tuple[tuple[int, int], tuple[int, int]]:
    first, second = choice.supports
    return (a, a + second - b), (b, b + first - a)


def _holds(choice: Choice, other: Lane, a: int, b: int) -> bool:
    pairs = _pairs(choice, a, b)
    return other.least <= pairs[1][1] <= other.most and fits(choice, pairs)


def _total(choice: Choice, each: Sum, a: int, b: int) -> Fraction:
    return sum((value(choice, each, k, pair) for k, pair in enumerate(_pairs(choice, a, b))), Fraction(0))


def _interval(total: Callable[[int], Fraction], low: int, high: int, each: Sum) -> tuple[int, int]:
    """The b in [low, high] whose total, which grows with b, is within the sum's ends."""
    return _first(lambda b: total(b) >= each.low, low, high + 1), _first(
        lambda b: total(b) > each.high, low, high + 1
    ) - 1


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
