"""Do the rows of several sets and the row that pools them agree? Sums of cells, and an accuracy between the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.claims.records import Place, Printed, Problem

_POOLED = re.compile(
    r"(?:all|total|pooled|combined|sum|together|overall)(?:\s+(?:sets|data\s?sets|data|sites|images|cells))?",
    re.IGNORECASE,
)
_MEAN_TOO = re.compile(r"overall", re.IGNORECASE)  # some print the mean of the rows so, some the pooled share


@dataclass(frozen=True, slots=True)
class SetRow:
    """One row of a table of sets; None where it prints nothing."""

    name: str
    n: int | None
    correct: int | None
    accuracy: Printed | None
    place: Place


def pooling_problems(rows: Sequence[SetRow]) -> Iterator[Problem]:
    """Where exactly one row pools all others: what it cannot be.

    Groups that overlap (by age, by sex) add up to a multiple of their total; such a sum is none.
    """
    pooled = [row for row in rows if _POOLED.fullmatch(row.name.strip(" *`"))]
    parts = [row for row in rows if row not in pooled]
    if len(pooled) != 1 or len(parts) < 2:
        return
    whole, adds_up = pooled[0], True
    columns = (
        ("images", [row.n for row in parts], whole.n),
        ("right", [row.correct for row in parts], whole.correct),
    )
    for said, counts, total in columns:
        given = [count for count in counts if count is not None]
        if total is None or len(given) < len(parts) or sum(given) == total:
            continue
        adds_up = False
        if not (total and sum(given) % total == 0):
            places = tuple(row.place for row in (*parts, whole))
            yield Problem(f"{whole.name}: {total:,} {said}, and the rows above add up to {sum(given):,}", places)
    shares = [row.accuracy for row in parts if row.accuracy is not None]
    if whole.accuracy is None or len(shares) < len(parts) or not adds_up:
        return
    weights = [row.n for row in parts if row.n is not None]
    low, high = whole.accuracy.band("truncated")[0] - whole.accuracy.unit / 2, whole.accuracy.band("nearest")[1]
    spans = [_mean(shares, weights)] if len(weights) == len(parts) and any(weights) else [_hull(shares)]
    if _MEAN_TOO.match(whole.name.strip(" *`")):
        spans.append(_mean(shares, [1] * len(shares)))
    if all(most < low or least > high for least, most in spans):
        places = tuple(row.place for row in (*parts, whole))
        least, most = (whole.accuracy.like(end) for end in spans[0])
        said = least if least == most else f"between {least} and {most}"
        yield Problem(f"{whole.name}: accuracy {whole.accuracy.text}, and the rows above make it {said}", places)


def _mean(shares: Sequence[Printed], weights: Sequence[int]) -> tuple[Fraction, Fraction]:
    """Of shares that may be rounded or cut off."""
    ends = [(share.value - share.unit / 2, share.value + share.unit) for share in shares]
    total = sum(weights)
    least, most = (sum((w * end[k] for w, end in zip(weights, ends, strict=True)), Fraction(0)) / total for k in (0, 1))
    return least, most


def _hull(shares: Sequence[Printed]) -> tuple[Fraction, Fraction]:
    return min(s.value - s.unit / 2 for s in shares), max(s.value + s.unit for s in shares)
