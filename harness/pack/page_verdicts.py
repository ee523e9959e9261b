"""What a row about a verdict says: its own values and no other's, and all that its estimate has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.pack.page_reading import Cell
from harness.report.places import parsed, written

VERDICTS = ("verdicts", "protocol > content > criteria")  # the lists whose rows are about one criterion each
ROOTS = (("verdicts",), ("protocol", "content", "criteria"), ("page", "verdict", "f1"))


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
