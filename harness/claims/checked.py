"""Does anything else that is printed say something about this statement? One that nothing meets cannot be checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.claims.deciding import Terms, is_decided_by_classes
from harness.claims.of_scores import decides_score
from harness.claims.records import (
    Accuracy,
    Averages,
    ClassCounts,
    Content,
    Directions,
    Errors,
    FalseCounts,
    Matrix,
    Mean,
    Outcomes,
    PerClass,
    Row,
    Rows,
    Score,
    Sides,
    Size,
    Supports,
    Worked,
)


def meets_another(index: int, contents: Sequence[Content], terms: Terms) -> bool:
    """Whether the other statements could contradict this one."""
    own = contents[index]
    others = [content for k, content in enumerate(contents) if k != index]
    if isinstance(own, Worked | Mean):
        return True
    if isinstance(own, Rows):
        return all(_row_meets(row, others, terms) for row in own.rows)
    if isinstance(own, Averages):
        return _average_meets(own, others, terms)
    if isinstance(own, Score):
        if decides_score(own, others):
            return own.name != "mcc" or _has(others, Matrix, Outcomes) or _has_all(others, terms, "precision")
        if own.name == "auc":
            return False
        if _has(others, Outcomes) or any(_both(other) for other in others):
            return True
        classes = is_decided_by_classes(own) and _has_all(others, terms, "recall")
        return classes and (own.name == "balanced accuracy" or _has(others, Supports, Matrix))
    if isinstance(own, Accuracy):
        sized = _has(others, Size, Supports, Matrix, PerClass, Outcomes) or any(_both(other) for other in others)
        return sized or _has_all(others, terms, "recall")
    if isinstance(own, Errors):
        return _has(others, Accuracy, Matrix, Directions, Outcomes, Errors, ClassCounts) or (
            _has(others, Rows) and _sized(others)
        )
    if isinstance(own, Outcomes):
        return _has(others, Score, Sides, Size, Accuracy, Errors, Outcomes)
    if isinstance(own, Size):
        return _has(others, Supports, Matrix, Accuracy, PerClass, Outcomes, Sides, Size)
    if isinstance(own, Supports):
        return _has(others, Size, Rows, Matrix, PerClass, Supports, Accuracy, ClassCounts)
    if isinstance(own, Directions | FalseCounts | ClassCounts):
        return _has(others, Rows, Matrix, Errors, Directions, FalseCounts, Accuracy, Supports)
    return bool(others)


def _has(contents: Iterable[Content], *kinds: type) -> bool:
    return any(isinstance(content, kinds) for content in contents)


def _both(content: Content) -> bool:
    return isinstance(content, Sides) and content.positives is not None and content.negatives is not None


def _sized(contents: Sequence[Content]) -> bool:
    return _has(contents, Size, Supports, PerClass, Matrix)


def _row_meets(row: Row, others: Sequence[Content], terms: Terms) -> bool:
    if None not in row.shares:
        return True
    supports = {name.lower() for c in others if isinstance(c, Supports) for name, _ in c.counts}
    if row.name.lower() in supports or _has(others, Matrix, ClassCounts, PerClass, FalseCounts, Directions):
        return True
    return (_has(others, Accuracy) and row.recall is not None) or _has(others, Averages)


def _average_meets(own: Averages, others: Sequence[Content], terms: Terms) -> bool:
    if _has(others, Matrix):
        return True
    if None not in own.shares and own.kind == "micro":
        return True
    metrics = [name for name, share in zip(("precision", "recall", "f1"), own.shares, strict=True) if share is not None]
    given = all(_has_all(others, terms, metric) for metric in metrics)
    return given and (own.kind == "macro" or _has(others, Supports))


def _has_all(contents: Sequence[Content], terms: Terms, metric: str) -> bool:
    named = {
        row.name.lower()
        for content in contents
        if isinstance(content, Rows)
        for row in content.rows
        if getattr(row, metric) is not None
    }
    return named >= {name.lower() for name in terms.classes}
