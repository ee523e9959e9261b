"""Intervals of whole numbers, both ends in: met, added, joined. None as the upper end: there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Span: TypeAlias = tuple[int, int | None]  # (least, most); None: no upper end
ANY: Span = (0, None)


class Contradiction(Exception):
    """Two plain numbers of the question exclude each other."""


def meet_or_none(a: Span, b: Span) -> Span | None:
    low = max(a[0], b[0])
    high = a[1] if b[1] is None else b[1] if a[1] is None else min(a[1], b[1])
    return None if high is not None and low > high else (low, high)


def meet(a: Span, b: Span) -> Span:
    met = meet_or_none(a, b)
    if met is None:
        raise Contradiction
    return met


def sum_of(spans: Sequence[Span]) -> Span:
    total: Span = (0, 0)
    for span in spans:
        total = plus(total, span)
    return total


def plus(a: Span, b: Span) -> Span:
    return a[0] + b[0], None if a[1] is None or b[1] is None else a[1] + b[1]


def below(span: Span, high: int | None) -> bool:
    return high is None or span[0] <= high


def joined_spans(spans: list[Span]) -> list[Span]:
    out: list[Span] = []
    for low, high in sorted(spans, key=lambda span: span[0]):
        if out and (out[-1][1] is None or low <= out[-1][1] + 1):
            if out[-1][1] is not None:
                out[-1] = (out[-1][0], None if high is None else max(out[-1][1], high))
        else:
            out.append((low, high))
    return out
