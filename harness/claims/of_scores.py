"""Which scores of a whole set do a matrix, a class table or an operating point rule out?

Kappa, MCC and balanced accuracy are functions of the matrix. A ROC curve that passes through an operating point has an
area of at least the box under it and at most all but the box above. MCC of several classes is (c n - sum s q) /
sqrt((n^2 - sum q^2) (n^2 - sum s^2)), Gorodkin 2004; of printed rows it is bounded by the ends of each part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import isqrt

from harness.claims.binary import VALUES, Four, area_span
from harness.claims.closed import Clash, Table
from harness.claims.f1_bounds import why_not
from harness.claims.lanes import lanes
from harness.claims.matrix_rules import ClassRule, TooMuchWork
from harness.claims.records import Band, Content, Matrix, Outcomes, Printed, Rounding, Row, Rows, Score, Sides, Supports

_SCALE = 10**18


def score_clashes(
    contents: Sequence[Content], classes: tuple[str, ...], rounding: Rounding, *, is_open: bool
) -> list[Clash]:
    """Every contradiction between a score and what decides it; none that holds a smaller one."""
    table = Table(contents, classes, rounding, is_open)
    return [*_of_matrices(table), *_areas(table), *_mcc_of_rows(table), *_of_means(table), *_balanced(table)]


# --- of a matrix ------------------------------------------------------------------------------------


def score_of_matrix(name: str, counts: Sequence[Sequence[int]]) -> Fraction | None:
    """The score, to 18 decimals where it is a root; None where the matrix has none, or the name is of another kind.

    >>> score_of_matrix("kappa", ((45, 5), (10, 40))), score_of_matrix("balanced accuracy", ((45, 5), (10, 40)))
    (Fraction(7, 10), Fraction(17, 20))
    """
    supports, predicted = [sum(row) for row in counts], [sum(column) for column in zip(*counts, strict=True)]
    n, right = sum(supports), sum(row[k] for k, row in enumerate(counts))
    agreed = sum(s * q for s, q in zip(supports, predicted, strict=True))
    if name == "balanced accuracy":
        recalls = [Fraction(row[k], s) for k, (row, s) in enumerate(zip(counts, supports, strict=True)) if s]
        return sum(recalls, Fraction(0)) / len(recalls) if recalls else None
    if name == "kappa" and n and agreed < n * n:
        return Fraction(right * n - agreed, n * n - agreed)
    if name == "mcc":
        under = (n * n - sum(q * q for q in predicted)) * (n * n - sum(s * s for s in supports))
        return Fraction((right * n - agreed) * _SCALE, isqrt(under * _SCALE**2)) if under else None
    return None


def _of_matrices(table: Table) -> Iterator[Clash]:
    for k, score in table.of(Score):
        for j, matrix in table.of(Matrix):
            assert isinstance(score, Score) and isinstance(matrix, Matrix)
            value = score_of_matrix(score.name, matrix.counts)
            if value is not None and not _is_in(value, score.share.band(table.rounding)):
                said = score.share.like(value)
                yield Clash(frozenset({k, j}), f"the matrix has {score.name} {said}", said)


def _is_in(value: Fraction, band: Band) -> bool:
    return band[0] - Fraction(2, _SCALE) <= value <= band[1] + Fraction(2, _SCALE)


# --- of other scores --------------------------------------------------------------------------------


def _only(table: Table, *names: str) -> dict[str, tuple[int, Printed]]:
    """The scores of these names, where each stands once."""
    given = [(k, content) for k, content in table.of(Score) if isinstance(content, Score) and content.name in names]
    found = {content.name: (k, content.share) for k, content in given}
    return found if len(given) == len(found) == len(names) else {}


def _of_means(table: Table) -> Iterator[Clash]:
    """F1 beside a precision and a recall, of which it is not said what they are means of."""
    found = _only(table, "precision", "sensitivity", "f1")
    if found and (why := why_not(*(found[name][1] for name in ("precision", "sensitivity", "f1")))) is not None:
        yield Clash(frozenset(k for k, _ in found.values()), why)


def _balanced(table: Table) -> Iterator[Clash]:
    """Of two answers the mean of sensitivity and specificity; of more classes the mean recall, which may be the
    sensitivity beside it."""
    found = _only(table, "balanced accuracy", "sensitivity", "specificity")
    if not found:
        return
    own, (low, high), (least, most) = (
        found[name][1].band(table.rounding) for name in ("balanced accuracy", "sensitivity", "specificity")
    )
    either = ((low + least) / 2, (high + most) / 2), (low, high)
    if all(own[1] < span[0] or own[0] > span[1] for span in either):
        mean = (found["sensitivity"][1].value + found["specificity"][1].value) / 2
        said = found["balanced accuracy"][1].like(mean)
        members = frozenset(k for k, _ in found.values())
        yield Clash(members, f"the mean of sensitivity and specificity is {said}", said)


# --- of an operating point ----------------------------------------------------------------------------


def _areas(table: Table) -> Iterator[Clash]:
    if not is_of_two(table.contents):
        return
    for k, score in table.of(Score):
        assert isinstance(score, Score)
        if score.name != "auc":
            continue
        low, high = score.share.band(table.rounding)
        for members, sensitivity, specificity in _points(table):
            least, most = area_span(sensitivity, specificity)
            if high < least or low > most:
                ends = f"{float(least):.3f} and {float(most):.3f}"
                why = f"a ROC curve through this sensitivity and specificity has an area between {ends}"
                yield Clash(members | {k}, why)
                break


def is_of_two(contents: Sequence[Content]) -> bool:
    """Whether the question has two answers. Of several classes the most likely one is called, and such a point lies on
    no curve of one class against the rest."""
    return any(isinstance(content, Outcomes | Sides) for content in contents)


def _points(table: Table) -> Iterator[tuple[frozenset[int], Band, Band]]:
    scores = [(k, content) for k, content in table.of(Score) if isinstance(content, Score)]
    named = {
        name: [(k, score.share.band(table.rounding)) for k, score in scores if score.name == name]
        for name in ("sensitivity", "specificity")
    }
    if all(len(each) == 1 for each in named.values()):
        (k, sensitivity), (j, specificity) = named["sensitivity"][0], named["specificity"][0]
        yield frozenset({k, j}), sensitivity, specificity
    for k, content in table.of(Outcomes):
        if isinstance(content, Outcomes) and None not in (content.tp, content.fp, content.fn, content.tn):
            four = Four(content.tp or 0, content.fp or 0, content.fn or 0, content.tn or 0)
            values = VALUES["sensitivity"](four), VALUES["specificity"](four)
            if values[0] is not None and values[1] is not None:
                yield frozenset({k}), (values[0], values[0]), (values[1], values[1])


# --- of the rows of a class table ---------------------------------------------------------------------


def _mcc_of_rows(table: Table) -> Iterator[Clash]:
    scores = [(k, content) for k, content in table.of(Score) if isinstance(content, Score) and content.name == "mcc"]
    if not scores or table.is_open or not table.has_all_rows():
        return
    supports = next(((k, content) for k, content in table.of(Supports)), None)
    if supports is None or not isinstance(supports[1], Supports):
        return
    span = mcc_span([row for _, row in table.rows()], dict(supports[1].counts), table.rounding)
    for k, score in scores:
        low, high = score.share.band(table.rounding)
        if span is not None and (high < span[0] or low > span[1]):
            members = frozenset({k, supports[0], *(j for j, _ in table.rows())})
            ends = f"{score.share.like(span[0])} and {score.share.like(span[1])}"
            yield Clash(members, f"the rows have an MCC between {ends}")


def mcc_span(rows: Sequence[Row], supports: dict[str, int], rounding: Rounding) -> Band | None:
    """The least and the most MCC of any counts that print these rows; None where that cannot be said."""
    n = sum(supports.values())
    right, predicted = [], []
    for row in rows:
        s = supports.get(row.name)
        if s is None or row.precision is None or row.recall is None or row.is_of_nothing:
            return None
        precision, recall, f1 = (share.band(rounding) if share is not None else None for share in row.shares)
        try:
            found = lanes(ClassRule((s, s), precision, recall, f1), n)
        except TooMuchWork:
            return None
        if not found:
            return None
        right.append((min(lane.t for lane in found), max(lane.t for lane in found)))
        predicted.append((min(lane.least for lane in found), max(lane.most for lane in found)))
    s_of = [supports[row.name] for row in rows]
    spread = n * n - sum(s * s for s in s_of)
    tops = [
        sum(t[end] for t in right) * n - sum(s * q[1 - end] for s, q in zip(s_of, predicted, strict=True))
        for end in (0, 1)
    ]
    unders = [(n * n - sum(q[1 - end] ** 2 for q in predicted)) * spread for end in (0, 1)]
    if unders[0] <= 0:
        return None
    roots = [isqrt(unders[0] * _SCALE**2), isqrt(unders[1] * _SCALE**2) + 1]
    ends = [Fraction(top * _SCALE, root) for top in tops for root in roots]
    return min(ends), max(ends)


def decides_score(own: Score, others: Sequence[Content]) -> bool:
    """Whether one of these says what this score has to be, or between what."""
    if any(isinstance(other, Matrix) for other in others):
        return own.name in ("kappa", "mcc", "balanced accuracy")
    if own.name == "auc":
        named = {other.name for other in others if isinstance(other, Score)}
        four = any(isinstance(c, Outcomes) and None not in (c.tp, c.fp, c.fn, c.tn) for c in others)
        return four or (is_of_two(others) and {"sensitivity", "specificity"} <= named)
    named = {other.name for other in others if isinstance(other, Score)} | {own.name}
    if own.name in (balanced := {"balanced accuracy", "sensitivity", "specificity"}) and balanced <= named:
        return True
    rows = any(isinstance(other, Rows) for other in others) and any(isinstance(other, Supports) for other in others)
    return own.name == "mcc" and rows
