"""Between what does an F1 lie beside a precision and a recall, whatever mean of classes or folds they are?

The F1 of one class is the harmonic mean of its precision and recall, which is concave in the two: a mean of F1s is at
most the harmonic mean of the mean precision and the mean recall (Jensen). The least it can be is that of classes with
both 1, one 1 or none: precision + recall - 1. Equal weights for the three are all that is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from harness.claims.cells import METRICS, in_percent, is_head, place, share_of
from harness.claims.document import Table
from harness.claims.records import Band, Printed, Problem


def f1_span(precision: Band, recall: Band) -> Band:
    """The least and the most F1 beside a precision and a recall.

    >>> f1_span((Fraction(9, 10), Fraction(9, 10)), (Fraction(3, 5), Fraction(3, 5)))
    (Fraction(1, 2), Fraction(18, 25))
    """
    least = max(Fraction(0), precision[0] + recall[0] - 1)
    total = precision[1] + recall[1]
    return least, 2 * precision[1] * recall[1] / total if total else Fraction(0)


def why_not(precision: Printed, recall: Printed, f1: Printed) -> str | None:
    """Why no F1 beside these can be printed so, rounded or cut off; None where one can."""
    of = [(share.band("nearest"), share.band("truncated")) for share in (precision, recall, f1)]
    low, high = ([min(a[0], b[0]) for a, b in of], [max(a[1], b[1]) for a, b in of])
    least, most = f1_span((low[0], high[0]), (low[1], high[1]))
    beside = f"beside precision {precision.text} and recall {recall.text}"
    if low[2] > most:
        return f"F1 {f1.text} {beside}: it is at most their harmonic mean, {f1.like(most)}, whatever it is a mean of"
    if high[2] < least:
        return f"F1 {f1.text} {beside}: it is at least {f1.like(least)}, whatever it is a mean of"
    return None


def rows_of_means(table: Table) -> list[tuple[int, tuple[str, ...], tuple[Printed, Printed, Printed]]]:
    """The rows that print a precision, a recall and an F1, each in its only column."""
    at = []
    for name in ("precision", "recall", "f1"):
        own = [k for k, head in enumerate(table.header) if k and is_head(METRICS[name], head)]
        if len(own) != 1:
            return []
        at.append(own[0])
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    percent = [in_percent(table.header[k], [cells[k].strip(" *`") for _, cells in rows]) for k in at]
    found = []
    for line, cells in rows:
        shares = [share_of(cells[k].strip(" *`"), of)[0] for k, of in zip(at, percent, strict=True)]
        given = [share for share in shares if share is not None and share.value <= 1 and share.unit]
        if len(given) == 3:
            found.append((line, cells, (given[0], given[1], given[2])))
    return found


def f1_problems(
    rows: Sequence[tuple[int, tuple[str, ...], tuple[Printed, Printed, Printed]]], file: str
) -> Iterator[Problem]:
    """The rows whose F1 cannot be the mean of F1s that have their precision and recall."""
    for line, cells, shares in rows:
        if (why := why_not(*shares)) is not None:
            yield Problem(f"{cells[0].strip(' *`')}: {why}", (place(file, line, cells),))
