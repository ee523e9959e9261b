"""Which printed numbers contradict each other by arithmetic that a reader can do by hand?

Each check is sound by itself: what it finds no confusion matrix satisfies. The searches find the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from harness.claims.f1_bounds import why_not
from harness.claims.lanes import lanes
from harness.claims.matrix_rules import ClassRule, TooMuchWork
from harness.claims.records import (
    Accuracy,
    Averages,
    Band,
    Content,
    Matrix,
    Mean,
    Printed,
    Rounding,
    Row,
    Rows,
    Size,
    Supports,
    Worked,
)

_SHARES = ("precision", "recall", "f1")
_SPOKEN = {"precision": "precisions", "recall": "recalls", "f1": "F1s"}


@dataclass(frozen=True, slots=True)
class Clash:
    """Statements that cannot hold together. members: their positions; value: what it would be, recomputed."""

    members: frozenset[int]
    why: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """What is stated, by kind, with the positions of the statements."""

    contents: Sequence[Content]
    classes: tuple[str, ...]
    rounding: Rounding
    is_open: bool

    def of(self, *kinds: type) -> list[tuple[int, Content]]:
        return [(k, content) for k, content in enumerate(self.contents) if isinstance(content, kinds)]

    def rows(self) -> list[tuple[int, Row]]:
        return [
            (k, row) for k, content in enumerate(self.contents) if isinstance(content, Rows) for row in content.rows
        ]

    def has_all_rows(self) -> bool:
        named = {row.name.lower() for _, row in self.rows()}
        return named >= {name.lower() for name in self.classes} and len(self.rows()) == len(named)


def clashes(contents: Sequence[Content], classes: tuple[str, ...], rounding: Rounding, *, is_open: bool) -> list[Clash]:
    """Every contradiction of closed form, fewest statements first; none that holds a smaller one."""
    table = Table(contents, classes, rounding, is_open)
    found: list[Clash] = []
    for check in (_alone, _sums, _row_and_support, _share_of_n, _average, _accuracy_of_rows):
        found += [clash for clash in check(table) if not any(before.members <= clash.members for before in found)]
    return sorted(found, key=lambda clash: (len(clash.members), sorted(clash.members)))


# --- one statement --------------------------------------------------------------------------------


def _alone(table: Table) -> Iterator[Clash]:
    for k, content in table.of(Rows, Worked, Mean, Averages):
        if isinstance(content, Rows):
            for row in content.rows:
                if row_is_impossible(row, table.rounding):
                    value = said_f1(row)
                    yield Clash(
                        frozenset({k}), f"{row.name}: F1 of precision and recall, 2PR / (P + R), is {value}", value
                    )
        elif isinstance(content, Worked) and not holds_alone(content, table.rounding):
            value = content.share.like(content.value)
            yield Clash(frozenset({k}), f"{content.fraction} is {value}", value)
        elif isinstance(content, Mean) and not holds_alone(content, table.rounding):
            value = content.share.like(
                sum((share.value for share in content.shares), Fraction(0)) / len(content.shares)
            )
            yield Clash(frozenset({k}), f"the mean of the {len(content.shares)} values is {value}", value)
        elif isinstance(content, Averages) and content.kind == "micro":
            row = Row("micro average", *content.shares)
            if row_is_impossible(row, table.rounding):
                yield Clash(frozenset({k}), f"micro average: 2PR / (P + R) is {said_f1(row)}", said_f1(row))
        elif isinstance(content, Averages) and None not in content.shares:
            precision, recall, f1 = content.shares
            if precision and recall and f1 and (why := why_not(precision, recall, f1)) is not None:
                yield Clash(frozenset({k}), f"{content.kind} average: {why}")


def said_f1(row: Row) -> str:
    assert row.precision is not None and row.recall is not None and row.f1 is not None
    return row.f1.like(_harmonic(row.precision.value, row.recall.value))


def holds_alone(content: Worked | Mean, rounding: Rounding) -> bool:
    """Whether a fraction or a mean beside its own parts is what it is said to be."""
    low, high = content.share.band(rounding)
    if isinstance(content, Worked):
        return low <= content.value <= high
    bands = [share.band(rounding) for share in content.shares]
    least, most = (sum((band[end] for band in bands), Fraction(0)) / len(bands) for end in (0, 1))
    return least <= high and low <= most


def row_is_impossible(row: Row, rounding: Rounding) -> bool:
    """F1 is the harmonic mean of precision and recall, and grows with both."""
    if row.precision is None or row.recall is None or row.f1 is None or row.is_of_nothing:
        return False
    low, high = harmonic_band(row.precision.band(rounding), row.recall.band(rounding))
    wanted = row.f1.band(rounding)
    return high < wanted[0] or low > wanted[1]


def harmonic_band(precision: Band, recall: Band) -> Band:
    return _harmonic(precision[0], recall[0]), _harmonic(precision[1], recall[1])


def _harmonic(precision: Fraction, recall: Fraction) -> Fraction:
    return 2 * precision * recall / (precision + recall) if precision + recall else Fraction(0)


def is_of_means(content: Averages, rounding: Rounding) -> bool:
    """Whether F1 fits the harmonic mean of the averages, which some print instead of the average of F1s."""
    precision, recall, f1 = content.shares
    if precision is None or recall is None or f1 is None:
        return False
    low, high = harmonic_band(precision.band(rounding), recall.band(rounding))
    wanted = f1.band(rounding)
    return low <= wanted[1] and wanted[0] <= high


# --- two statements -------------------------------------------------------------------------------


def _sums(table: Table) -> Iterator[Clash]:
    sizes = table.of(Size)
    for k, content in table.of(Supports):
        assert isinstance(content, Supports)
        if len(content.counts) < len(table.classes):
            continue
        total = sum(count for _, count in content.counts)
        for j, size in sizes:
            assert isinstance(size, Size)
            if size.n != total:
                yield Clash(frozenset({k, j}), f"the supports add up to {total:,}", f"{total}")
    for n, (k, one) in enumerate(sizes):
        for j, other in sizes[:n]:
            assert isinstance(one, Size) and isinstance(other, Size)
            if one.n != other.n:
                yield Clash(frozenset({k, j}), "one set has one size")


_ANY_SIZE = 10**12  # other cells set no bound here: a rare class may be predicted a hundred times as often as it occurs


def _row_and_support(table: Table) -> Iterator[Clash]:
    """Recall x support is a whole number."""
    for j, content in table.of(Supports):
        assert isinstance(content, Supports)
        supports = {name.lower(): count for name, count in content.counts}
        for k, row in table.rows():
            s = supports.get(row.name.lower())
            if s is None:
                continue
            if row.recall is None:
                if s and _has_no_lane(row, s, table):
                    yield Clash(frozenset({k, j}), f"{row.name}: no counts of {s:,} cells print this row")
                continue
            low, high = row.recall.band(table.rounding)
            impossible = ceil(low * s) > floor(high * s) if s else low > 0 and not row.recall.is_whole
            if not impossible and s and _has_no_lane(row, s, table):
                yield Clash(frozenset({k, j}), f"{row.name}: no counts of {s:,} cells print this row")
            if impossible:
                near = _nearest(row.recall, s)
                yield Clash(frozenset({k, j}), f"{row.name}: of {s:,} cells no share is {row.recall.text}; {near}")


def _has_no_lane(row: Row, s: int, table: Table) -> bool:
    shares = (None if row.is_of_nothing else row.precision, row.recall, row.f1)
    precision, recall, f1 = (share.band(table.rounding) if share is not None else None for share in shares)
    try:
        return not lanes(ClassRule((s, s), precision, recall, f1), _ANY_SIZE)
    except TooMuchWork:
        return False


def _nearest(share: Printed, n: int) -> str:
    if n == 0:
        return "none has a recall"
    near = sorted(range(n + 1) if n < 50 else _around(share, n), key=lambda k: abs(Fraction(k, n) - share.value))[:2]
    return "nearest are " + " and ".join(f"{k}/{n} = {share.like(Fraction(k, n))}" for k in sorted(near))


def _around(share: Printed, n: int) -> range:
    middle = floor(share.value * n)
    return range(max(0, middle - 2), min(n, middle + 3) + 1)


def _share_of_n(table: Table) -> Iterator[Clash]:
    """An accuracy is k of n."""
    totals = [(k, content.n) for k, content in table.of(Size) if isinstance(content, Size)]
    totals += [
        (k, sum(count for _, count in content.counts))
        for k, content in table.of(Supports)
        if isinstance(content, Supports) and len(content.counts) == len(table.classes) and not table.is_open
    ]
    totals += [(k, sum(map(sum, content.counts))) for k, content in table.of(Matrix) if isinstance(content, Matrix)]
    for k, content in table.of(Accuracy):
        assert isinstance(content, Accuracy)
        low, high = content.share.band(table.rounding)
        for j, n in totals:
            if n and ceil(low * n) > floor(high * n):
                yield Clash(frozenset({k, j}), f"no k/{n} prints as {content.share.text}; {_nearest(content.share, n)}")


# --- averages -------------------------------------------------------------------------------------


def _average(table: Table) -> Iterator[Clash]:
    if not table.has_all_rows():
        return
    rows = table.rows()
    supports = next(iter(table.of(Supports)), None)
    weights = dict(supports[1].counts) if supports and isinstance(supports[1], Supports) else {}
    for k, content in table.of(Averages):
        assert isinstance(content, Averages)
        for metric, share in zip(_SHARES, content.shares, strict=True):
            if share is None or content.kind == "micro":
                continue
            if metric == "f1" and is_of_means(content, table.rounding):
                continue
            members = {k, *(j for j, _ in rows)}
            if content.kind == "weighted":
                if supports is None or any(row.name not in weights for _, row in rows):
                    continue
                members.add(supports[0])
            clash = _mean_clash(table, metric, share, [row for _, row in rows], weights, content.kind)
            if clash is not None:
                yield Clash(frozenset(members), *clash)


def _mean_clash(
    table: Table, metric: str, share: Printed, rows: Sequence[Row], weights: dict[str, int], kind: str
) -> tuple[str, str] | None:
    shares = [getattr(row, metric) for row in rows]
    if any(each is None for each in shares) or any(row.is_of_nothing for row in rows):
        return None
    own = [weights[row.name] if kind == "weighted" else 1 for row in rows]
    total = sum(own)
    if total == 0:
        return None
    low, high = share.band(table.rounding)
    bands = [each.band(table.rounding) for each in shares]
    least, most = (
        sum((w * band[end] for w, band in zip(own, bands, strict=True)), Fraction(0)) / total for end in (0, 1)
    )
    if least <= high and low <= most:
        return None
    value = share.like(sum((w * each.value for w, each in zip(own, shares, strict=True)), Fraction(0)) / total)
    how = "by support " if kind == "weighted" else ""
    return f"the {_SPOKEN[metric]} average {how}{value}, not {share.text}", value


def _accuracy_of_rows(table: Table) -> Iterator[Clash]:
    """Accuracy is the mean of the recalls by support: it lies within them."""
    if table.is_open or not table.has_all_rows():
        return
    rows = table.rows()
    recalls = [row.recall for _, row in rows]
    if any(recall is None for recall in recalls):
        return
    bands = [recall.band(table.rounding) for recall in recalls if recall is not None]
    supports = next(iter(table.of(Supports)), None)
    for k, content in table.of(Accuracy):
        assert isinstance(content, Accuracy)
        low, high = content.share.band(table.rounding)
        members = {k, *(j for j, _ in rows)}
        least, most = min(band[0] for band in bands), max(band[1] for band in bands)
        if most < low or least > high:
            texts = sorted((recall.value, recall.text) for recall in recalls if recall is not None)
            yield Clash(frozenset(members), f"the recalls lie between {texts[0][1]} and {texts[-1][1]}")
            continue
        if supports is None or not isinstance(supports[1], Supports):
            continue
        weights = dict(supports[1].counts)
        if any(row.name not in weights for _, row in rows) or not sum(weights.values()):
            continue
        clash = _mean_clash(table, "recall", content.share, [row for _, row in rows], weights, "weighted")
        if clash is not None:
            yield Clash(frozenset({*members, supports[0]}), *clash)
