"""Which misses and false alarms do the printed shares of one class allow, and with which supports?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor

from harness.claims.matrix_rules import WORK, ClassRule, TooMuchWork
from harness.claims.records import Band
from harness.claims.spans import Span

FREE_ERRORS = 120  # most errors for which the supports are searched too


@dataclass(frozen=True, slots=True)
class Option:
    """One (r, f) of a class with the supports that fit it: disjoint inclusive intervals."""

    r: int
    f: int
    supports: tuple[Span, ...]


def options(rule: ClassRule, most_errors: int) -> tuple[Option, ...]:
    """Every (r, f) with r + f <= most_errors that the class's shares allow for some support.

    Raises:
        TooMuchWork: more than the budget of pairs.
    """
    return _options(rule, most_errors)


@lru_cache(maxsize=4096)
def _options(rule: ClassRule, most: int) -> tuple[Option, ...]:
    least, limit = rule.support
    if limit is not None and limit < least:
        return ()
    if least == limit:
        return tuple(_of_support(rule, least, most))
    if most > FREE_ERRORS:
        raise TooMuchWork
    rings = _rings(rule)
    for total in range(len(rings), most + 1):
        rings.append(tuple(_of_total(rule, total)))
    return tuple(option for ring in rings[: most + 1] for option in ring)


@lru_cache(maxsize=4096)
def _rings(rule: ClassRule) -> list[tuple[Option, ...]]:
    """The options of a class with unknown support by r + f; grows as more errors are asked for."""
    return []


def _of_total(rule: ClassRule, total: int) -> Iterator[Option]:
    limit = rule.support[1]
    first, last = 0, total
    if limit is not None:
        # Of at most `limit` cells a recall of at least lo misses so many; false alarms likewise.
        if rule.recall is not None:
            last = min(last, floor((1 - rule.recall[0]) * limit))
        if rule.precision is not None and rule.precision[0] > 0:
            first = max(first, total - floor((1 / rule.precision[0] - 1) * limit))
    if rule.false_negatives is not None:
        first, last = max(first, rule.false_negatives), min(last, rule.false_negatives)
    if rule.false_positives is not None:
        first, last = max(first, total - rule.false_positives), min(last, total - rule.false_positives)
    for r in range(first, last + 1):
        supports = _supports(rule, r, total - r)
        if supports:
            yield Option(r, total - r, supports)


def _of_support(rule: ClassRule, s: int, most: int) -> Iterator[Option]:
    least_t, most_t = 0, s
    if rule.recall is not None:
        least_t, most_t = ceil(rule.recall[0] * s), floor(rule.recall[1] * s)
        if s == 0 and rule.recall[0] > 0:  # no cells, no recall: printed 0 at most
            return
    if rule.correct is not None:
        least_t, most_t = max(least_t, rule.correct), min(most_t, rule.correct)
    if rule.false_negatives is not None:
        least_t, most_t = max(least_t, s - rule.false_negatives), min(most_t, s - rule.false_negatives)
    fixed: tuple[Span, ...] = ((s, s),)
    n_pairs = 0
    for t in range(min(most_t, s), max(least_t, s - most, 0) - 1, -1):
        r = s - t
        least_f, most_f = 0, most - r
        if t == 0:
            # Nothing right: every share that exists is 0, one that does not exist is printed as 0.
            if any(band is not None and band[0] > 0 for band in (rule.precision, rule.f1)):
                continue
        else:
            if rule.precision is not None:
                low, high = _denominators(t, rule.precision)
                least_f = max(least_f, low - t)
                most_f = most_f if high is None else min(most_f, high - t)
            if rule.f1 is not None:
                low, high = _denominators(2 * t, rule.f1)
                least_f = max(least_f, low - s - t)
                most_f = most_f if high is None else min(most_f, high - s - t)
        if rule.predicted is not None:
            least_f, most_f = max(least_f, rule.predicted - t), min(most_f, rule.predicted - t)
        if rule.false_positives is not None:
            least_f, most_f = max(least_f, rule.false_positives), min(most_f, rule.false_positives)
        n_pairs += 1 + max(0, most_f - least_f + 1)
        if n_pairs > WORK:
            raise TooMuchWork
        for f in range(least_f, most_f + 1):
            yield Option(r, f, fixed)


def _supports(rule: ClassRule, r: int, f: int) -> tuple[Span, ...]:
    """The supports for which r misses and f false alarms print as they are printed."""
    low: int
    high: int | None
    found: list[Span] = []
    # Nothing right: t = 0, so s = r, and every share is 0 or does not exist and is printed as 0.
    if all(band is None or band[0] <= 0 for band in (rule.precision, rule.recall, rule.f1)):
        _add(found, rule, r, r, r, f)
    low, high = r + 1, None  # t >= 1
    for band, wrong, per, offset in (
        (rule.recall, r, 1, 0),  # r / s
        (rule.precision, f, 1, f - r),  # f / (s + f - r)
        (rule.f1, r + f, 2, f - r),  # (r + f) / (2 s + f - r)
    ):
        if band is None:
            continue
        # wrong / total lies in [1 - hi, 1 - lo] with total = per * s + offset > 0
        (lo_n, lo_d), (hi_n, hi_d) = band[0].as_integer_ratio(), band[1].as_integer_ratio()
        if lo_n < lo_d:  # s >= (wrong / (1 - lo) - offset) / per, rounded up
            low = max(low, -((offset * (lo_d - lo_n) - wrong * lo_d) // (per * (lo_d - lo_n))))
        elif wrong:
            return tuple(found)
        if hi_n < hi_d:
            if wrong == 0:
                return tuple(found)
            top = (wrong * hi_d - offset * (hi_d - hi_n)) // (per * (hi_d - hi_n))
            high = top if high is None else min(high, top)
    _add(found, rule, low, high, r, f)
    return tuple(found)


def _add(found: list[Span], rule: ClassRule, low: int, high: int | None, r: int, f: int) -> None:
    low = max(low, rule.support[0])
    for top in (
        rule.support[1],
        None if rule.correct is None else rule.correct + r,
        None if rule.predicted is None else rule.predicted + r - f,
    ):
        high = top if high is None else (high if top is None else min(high, top))
    if rule.correct is not None:
        low = max(low, rule.correct + r)
    if rule.predicted is not None:
        low = max(low, rule.predicted + r - f)
    if high is None or low <= high:
        found.append((low, high))


def _denominators(numerator: int, band: Band) -> Span:
    """Every d with numerator / d in the band (numerator > 0); an empty span where there is none."""
    low, high = band
    if high <= 0:
        return 1, 0
    return ceil(Fraction(numerator) / high), None if low <= 0 else floor(Fraction(numerator) / low)
