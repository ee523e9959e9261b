"""How many cells do the specificity and the NPV of each class say that there are? Of one set all say the same number.

Of one class against all others, specificity is 1 - f / (n - s) and NPV is 1 - r / (n - q), with s cells, q predicted, r
missed and f false alarms. Its own row bounds r and f, so each of the two bounds n, whatever classes are not listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor
from typing import TypeAlias

from harness.claims.closed import Clash, Table
from harness.claims.lanes import Lane, lanes
from harness.claims.matrix_rules import ClassRule, TooMuchWork
from harness.claims.records import Band, Row, Size, Supports

_Span: TypeAlias = tuple[Fraction, Fraction]
_ANY_SIZE = 10**9  # cells that the others may have
_NO_END = Fraction(10**18)  # more than any set has


def size_clashes(table: Table) -> Iterator[Clash]:
    """Rows whose specificity or NPV needs another number of cells than is printed, or than another row needs."""
    for j, supports in table.of(Supports):
        assert isinstance(supports, Supports)
        known = dict(supports.counts)
        spans = [(k, row.name, _size_span(row, known[row.name], table)) for k, row in table.rows() if row.name in known]
        of_rows = [(k, name, *span) for k, name, span in spans if span is not None]
        if not of_rows:
            continue
        needs = "from its specificity or NPV there are"
        k, name, low, _ = max(of_rows, key=lambda each: each[2])
        i, other, _, high = min(of_rows, key=lambda each: each[3])
        if not table.is_open and high < sum(
            known.values()
        ):  # of several labels an image, more are listed than there are
            yield Clash(frozenset({i, j}), f"{other}: {needs} at most {floor(high):,} cells, and more are listed")
        elif ceil(low) > floor(high):
            ends = f"at least {ceil(low):,} cells, from that of {other} at most {floor(high):,}"
            yield Clash(frozenset({k, i, j}), f"{name}: {needs} {ends}")
        for at, size in table.of(Size):
            assert isinstance(size, Size)
            if size.n < low:
                yield Clash(frozenset({k, j, at}), f"{name}: {needs} at least {ceil(low):,} cells")


def _size_span(row: Row, s: int, table: Table) -> _Span | None:
    """(fewest, most) cells that the row allows; None where it says nothing of them, or is wrong by itself."""
    if row.is_of_nothing or (row.specificity is None and row.npv is None) or not s:
        return None
    precision, recall, f1 = (share.band(table.rounding) if share is not None else None for share in row.shares)
    try:
        found = lanes(ClassRule((s, s), precision, recall, f1), _ANY_SIZE)
    except TooMuchWork:
        return None
    spans = [span for lane in found if (span := _of_lane(lane, s, row, table))[0] <= span[1]]
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None


def _of_lane(lane: Lane, s: int, row: Row, table: Table) -> _Span:
    low, high = Fraction(s), _NO_END
    if row.specificity is not None:
        least, most = _others(row.specificity.band(table.rounding), lane.least - lane.t, lane.most - lane.t)
        low, high = max(low, s + least), min(high, s + most)
    if row.npv is not None:
        least, most = _others(row.npv.band(table.rounding), s - lane.t, s - lane.t)
        low, high = max(low, lane.least + least), min(high, lane.most + most)
    return low, high


def _others(band: Band, fewest: int, most: int) -> _Span:
    """The cells, of which so many are wrong, whose share of right ones is in the band."""
    low = Fraction(fewest) / (1 - band[0]) if band[0] < 1 else (_NO_END if fewest else Fraction(0))
    return low, Fraction(most) / (1 - band[1]) if band[1] < 1 else _NO_END
