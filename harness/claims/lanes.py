"""Which counts of one class print its row? For each number of right cells, the predicted counts that fit.

The support is known. Integers only: a band is compared by cross multiplication.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from harness.claims.matrix_rules import ClassRule, TooMuchWork
from harness.claims.records import Band

MOST_LANES = 60_000  # of one class; a support above this without a printed recall is not searched


@dataclass(frozen=True, slots=True)
class Lane:
    """t right, and predicted counts from `least` to `most`."""

    t: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class OneAgainstAll:
    """What else is printed about one class: specificity and NPV, against all others."""

    specificity: Band | None = None
    npv: Band | None = None


NOTHING_ELSE = OneAgainstAll()


def lanes(rule: ClassRule, n: int, *, more: OneAgainstAll = NOTHING_ELSE, most_wrong: int | None = None) -> list[Lane]:
    """
    Args:
        rule: of a class whose support is one number.
        n: cells in all.
        most_wrong: most misses and false alarms together; None where the classes need not be all.
    Raises:
        TooMuchWork: too many numbers of right cells to try.
    """
    s = rule.support[0]
    least, most = _right(rule, s)
    if most - least > MOST_LANES:
        raise TooMuchWork
    found = []
    for t in range(least, most + 1):
        low, high = t, n - s + t
        if most_wrong is not None:
            high = min(high, most_wrong - s + 2 * t)
        if rule.predicted is not None:
            low, high = max(low, rule.predicted), min(high, rule.predicted)
        if rule.false_positives is not None:
            low, high = max(low, t + rule.false_positives), min(high, t + rule.false_positives)
        if t:
            low, high = _within(rule.precision, t, 0, low, high)
            low, high = _within(rule.f1, 2 * t, s, low, high)
        elif (rule.precision is not None and rule.precision[0] > 0) or (rule.f1 is not None and rule.f1[0] > 0):
            continue
        if more is not NOTHING_ELSE:
            low, high = _against_all(more, s, t, n, low, high)
        if low <= high:
            found.append(Lane(t, low, high))
    return found


def _right(rule: ClassRule, s: int) -> tuple[int, int]:
    """The numbers of right cells that the recall, the counts and F1 allow."""
    least, most = 0, s
    if rule.recall is not None:
        least, most = ceil(rule.recall[0] * s), min(s, floor(rule.recall[1] * s))
        if s == 0 and rule.recall[0] > 0:  # no cells, no recall: printed 0 at most
            return 1, 0
    if rule.f1 is not None and rule.f1[0] > 0:  # F1 is at most 2t / (s + t)
        least = max(least, ceil(rule.f1[0] * s / (2 - rule.f1[0])))
    if rule.correct is not None:
        least, most = max(least, rule.correct), min(most, rule.correct)
    if rule.false_negatives is not None:
        least, most = max(least, s - rule.false_negatives), min(most, s - rule.false_negatives)
    return least, most


def _within(band: Band | None, numerator: int, offset: int, low: int, high: int) -> tuple[int, int]:
    """The q with numerator / (q + offset) in the band; numerator > 0."""
    if band is None:
        return low, high
    (lo_n, lo_d), (hi_n, hi_d) = band[0].as_integer_ratio(), band[1].as_integer_ratio()
    if hi_n <= 0:
        return 1, 0
    low = max(low, -(-numerator * hi_d // hi_n) - offset)
    if lo_n > 0:
        high = min(high, numerator * lo_d // lo_n - offset)
    return low, high


def _against_all(more: OneAgainstAll, s: int, t: int, n: int, low: int, high: int) -> tuple[int, int]:
    """Of n - s others, n - s - f are left alone (f = q - t); of n - q not predicted so many are others."""
    if more.specificity is not None and n > s:
        bottom, top = more.specificity
        high = min(high, t + floor((1 - bottom) * (n - s)))
        low = max(low, t + ceil((1 - top) * (n - s)))
    if more.npv is not None and s > t:
        bottom, top = more.npv  # NPV = 1 - (s - t) / (n - q)
        if bottom < 1:
            high = min(high, n - ceil((s - t) / (1 - bottom)))
        else:
            return 1, 0
        if top < 1:
            low = max(low, n - floor((s - t) / (1 - top)))
    elif more.npv is not None and s == t and more.npv[1] < 1:
        high, low = min(high, n), max(low, n)  # all predicted: there is no NPV
    return low, high
