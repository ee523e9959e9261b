"""Which question to the search do these statements about one set make together?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.claims.closed import is_of_means
from harness.claims.matrix_rules import AverageRule, Cell, ClassRule, MatrixQuestion
from harness.claims.records import (
    Accuracy,
    Averages,
    Band,
    ClassCounts,
    Content,
    Directions,
    Errors,
    FalseCounts,
    Matrix,
    PerClass,
    Printed,
    Rounding,
    Rows,
    Size,
    Supports,
)
from harness.claims.spans import Span


class _Clash(Exception):
    """Two plain numbers exclude each other; no search is needed."""


def question_of(contents: Iterable[Content], classes: tuple[str, ...], *, rounding: Rounding) -> MatrixQuestion | None:
    """The question, or None where two plain numbers already exclude each other.

    Args:
        classes: every class of the set. A class that no content names may have any cells.
    """
    try:
        return _question(tuple(contents), classes, rounding)
    except _Clash:
        return None


def _question(contents: tuple[Content, ...], classes: tuple[str, ...], rounding: Rounding) -> MatrixQuestion:
    at = {name.lower(): k for k, name in enumerate(classes)}
    rules = [ClassRule() for _ in classes]
    n: Span = (0, None)
    errors: Span = (0, None)
    accuracy: Band | None = None
    cells: dict[tuple[int, int], int] = {}
    only: list[dict[tuple[int, int], int]] = []
    averages: list[AverageRule] = []
    for content in contents:
        match content:
            case Size(size):
                n = _meet(n, (size, size))
            case Errors(count):
                errors = _meet(errors, (count, count))
            case Accuracy(share):
                accuracy = _bands(accuracy, share.band(rounding))
            case PerClass(least, most):
                rules = [replace(rule, support=_meet(rule.support, (least, most))) for rule in rules]
            case Supports(counts):
                for name, count in counts:
                    k = at[name.lower()]
                    rules[k] = replace(rules[k], support=_meet(rules[k].support, (count, count)))
            case Rows(rows):
                for row in rows:
                    k = at[row.name.lower()]
                    shares = (None, *row.shares[1:]) if row.is_of_nothing else row.shares
                    bands = [_tighter(old, new, rounding) for old, new in zip(_bands_of(rules[k]), shares, strict=True)]
                    rules[k] = replace(rules[k], precision=bands[0], recall=bands[1], f1=bands[2])
            case ClassCounts(class_counts):
                for name, correct, support, predicted in class_counts:
                    k = at[name.lower()]
                    rules[k] = replace(rules[k], correct=_same(rules[k].correct, correct))
                    if support is not None:
                        rules[k] = replace(rules[k], support=_meet(rules[k].support, (support, support)))
                    if predicted is not None:
                        rules[k] = replace(rules[k], predicted=_same(rules[k].predicted, predicted))
            case FalseCounts(false_counts):
                for name, kind, count in false_counts:
                    k = at[name.lower()]
                    if kind == "FP":
                        rules[k] = replace(rules[k], false_positives=_same(rules[k].false_positives, count))
                    else:
                        rules[k] = replace(rules[k], false_negatives=_same(rules[k].false_negatives, count))
            case Directions(stated, exclusive):
                these = {(at[a.lower()], at[b.lower()]): count for a, b, count in stated}
                _put(cells, these)
                if exclusive:
                    only.append(these)
            case Matrix(names, table):
                order = [at[name.lower()] for name in names]
                these = {
                    (order[i], order[j]): table[i][j] for i in range(len(names)) for j in range(len(names)) if i != j
                }
                _put(cells, these)
                only.append(these)
                for i, counted in enumerate(table):
                    k, total = order[i], sum(counted)
                    rules[k] = replace(rules[k], support=_meet(rules[k].support, (total, total)))
            case Averages("micro"):
                pass  # of the summed counts: choice.py
            case Averages(kind):
                shares = content.shares
                if is_of_means(content, rounding):
                    shares = (*shares[:2], None)
                if kind == "weighted" and shares[1] is not None:
                    accuracy = _bands(accuracy, shares[1].band(rounding))  # the same number by definition
                bands = [_tighter(None, share, rounding) for share in shares]
                averages.append(AverageRule(kind == "weighted", *bands))
    for these in only:
        if any(count and these.get(cell, 0) != count for cell, count in cells.items()):
            raise _Clash
    if only:
        cells = {cell: count for cell, count in cells.items() if count}
    stated_cells: tuple[Cell, ...] = tuple((i, j, count) for (i, j), count in sorted(cells.items()))
    return MatrixQuestion(tuple(rules), n, errors, accuracy, stated_cells, bool(only), tuple(averages))


def _put(cells: dict[tuple[int, int], int], these: dict[tuple[int, int], int]) -> None:
    for cell, count in these.items():
        if cells.setdefault(cell, count) != count:
            raise _Clash


def _meet(a: Span, b: Span) -> Span:
    low = max(a[0], b[0])
    high = a[1] if b[1] is None else b[1] if a[1] is None else min(a[1], b[1])
    if high is not None and low > high:
        raise _Clash
    return low, high


def _bands(a: Band | None, b: Band) -> Band:
    if a is None:
        return b
    met = (max(a[0], b[0]), min(a[1], b[1]))
    if met[0] > met[1]:
        raise _Clash
    return met


def _bands_of(rule: ClassRule) -> tuple[Band | None, Band | None, Band | None]:
    return rule.precision, rule.recall, rule.f1


def _tighter(band: Band | None, share: Printed | None, rounding: Rounding) -> Band | None:
    return band if share is None else _bands(band, share.band(rounding))


def _same(a: int | None, b: int) -> int:
    if a is not None and a != b:
        raise _Clash
    return b
