"""What a page says of verdicts: a row its own values, all that its estimate has; an outcome its own sign and colour."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.judge.verdicts import Outcome
from harness.pack.page_reading import Cell, PageRead, is_outcome
from harness.report.places import parsed, written
from harness.report.verdicts import MARKS

VERDICTS = ("verdicts", "protocol > content > criteria")  # the lists whose rows are about one criterion each
ROOTS = (("verdicts",), ("protocol", "content", "criteria"), ("page", "verdict", "f1"), ("page", "verdict", "margins"))

# An outcome with its sign and its colour, as schema 4 has it; the word is marked, or the head of a row that counts it.
BOX = re.compile(
    r'<span class="outcome ([a-z-]+)"><span class="mark" aria-hidden="true">([^<]*)</span> (<data [^<>]*>)?([^<]*)<'
)
BANNER = re.compile(
    r'<div class="banner( passed)?">\s*<p class="word"><span aria-hidden="true">([^<]*)</span> <data [^<>]*>([^<]*)<'
)
BANNERED = re.compile(r'class="(?:[^"]* )?banner(?: [^"]*)?"')
BOXED = re.compile(r'class="(?:[^"]* )?(?:outcome|mark)(?: [^"]*)?"')
SIGNS = frozenset(MARKS.values()) - {"?", "…"}  # which stand in sentences, too


def misshown(html: str, page: PageRead) -> Iterator[str]:
    """Outcomes with another's sign or colour, and outcomes that stand alone and follow from nothing."""
    boxes = BOX.findall(html)
    if len(BOXED.findall(html)) != 2 * len(boxes):
        yield "something else than an outcome has an outcome's sign or colour"
    banners = BANNER.findall(html)
    if len(BANNERED.findall(html)) != len(banners) or len(banners) != 1:
        yield "the word of the whole run does not stand as it does on a report"
    for colour, sign, word in banners:
        passed = word == "Passed"
        if (bool(colour), sign) != (passed, "✓" if passed else "✗"):
            yield f"{word!r} has the sign {sign!r}, or the other word's colour"
    known = {outcome.value: (outcome.value.replace(" ", "-"), MARKS[outcome]) for outcome in Outcome}
    for colour, sign, _, word in boxes:
        if known.get(word) != (colour, sign):
            yield f"{word!r} has the sign {sign!r} and the colour of {colour!r}"
    words = Counter(word for *_, mark, word in boxes if not mark)
    signs = Counter([sign for _, sign, *_ in boxes] + [sign for _, sign, _ in banners])
    loose = [text.strip() for text, _ in page.loose]
    if Counter(text for text in loose if is_outcome(text)) - words:
        yield "an outcome stands alone, and names no criterion that it is of"
    if Counter(sign for text in loose for sign in text if sign in SIGNS) - signs:
        yield "the sign of an outcome stands without one"


def is_own(path: Sequence[str], names: set[str]) -> bool:
    """Whether a path leads below the entry of a name, and not merely past a step that reads like it."""
    named = {name for name in names if not name.isdecimal()} or names
    return any(tuple(path[: len(root)]) == root and path[len(root)] in named for root in ROOTS if len(path) > len(root))


def unsaid(row: Sequence[Cell], verdict: Mapping[str, Any], criterion: Mapping[str, Any]) -> Iterator[str]:
    """What the evidence has of a verdict and its row does not say."""
    own = [parsed(mark.path) for cell in row for mark in cell.marks if mark.path is not None]
    said = {written(path[2:]) for path in own if path[0] == "verdicts"}
    asked = {path[-1] for path in own if path[0] == "protocol"}
    estimate = verdict["estimate"] or {}
    if "outcome" not in said:
        yield "its outcome"
    for side in ("floor", "ceiling"):
        if criterion[side] is not None and side not in asked:
            yield f"its {side}"
    if estimate.get("value") is None:
        return
    if "estimate > value" not in said:
        yield "what was observed"
    with_f1 = any(path[:3] == ("page", "verdict", "f1") for path in own)
    if estimate["n"] is not None and not with_f1 and not said & {"estimate", "estimate > n"}:
        yield "its counts"
    exact = estimate["level"] == 1 and estimate["lower"] == estimate["value"] == estimate["upper"]
    for side in () if exact else ("lower", "upper"):
        if f"estimate > {side}" not in said:
            yield f"its {side} bound"
