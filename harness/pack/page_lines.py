"""Tables that list some verdicts: each required criterion is one line in the open, each value under its own heading.

For pages since decision 0051; earlier ones have other tables.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.pack.page_reading import Cell, Mark, PageRead, TableRead
from harness.pack.page_verdicts import unsaid
from harness.report.places import Places, parsed, written

Found = tuple[str, str]  # the place, and what is wrong there

SUBJECT = r"protocol > content > criteria > (metric|cell_class|kind|set)"
VALUE = r"verdicts > estimate( > (value|n|paired > [01]))?|page > verdict > f1( > .+)?"
THRESHOLD = r"protocol > content > criteria > (floor|ceiling)"
NAME = rf"verdicts > criterion|{SUBJECT}"
# The headings of each kind of such a table -> what stands under them, without the step that names the criterion.
SAMPLED: Mapping[str, str] = {
    "Outcome": "verdicts > outcome",
    "Criterion": NAME,
    "Plot": "",
    "Observed": VALUE,
    "Bounds": r"verdicts > estimate > (lower|upper)",
    "Required": THRESHOLD,
    "Margin": "page > verdict > margins",
}
EXACT: Mapping[str, str] = {
    "Outcome": "verdicts > outcome",
    "Criterion": NAME,
    "Plot": "",
    "Counted": VALUE,
    "Required": THRESHOLD,
}
UNMEASURED: Mapping[str, str] = {
    "Outcome": "verdicts > outcome",
    "Criterion": NAME,
    "Observed": VALUE,
    "Required": THRESHOLD,
}
OF_A_SET: Mapping[str, str] = {
    "Criterion": NAME,
    "Observed": VALUE,
    "Bound": r"verdicts > estimate > (lower|upper|method)",
    "Requirement": rf"{THRESHOLD}|protocol > content > criteria > level|verdicts > estimate > level",
    "Outcome": "verdicts > outcome",
}
KINDS = (SAMPLED, EXACT, UNMEASURED, OF_A_SET)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table of lines, and the criterion that it names."""

    kind: Mapping[str, str]
    name: str
    folded: bool
    row: Sequence[Cell]

    @property
    def n_drawings(self) -> int:
        return sum(len(cell.plots) for cell in self.row)

    @property
    def paths(self) -> list[str | None]:
        return [mark.path for cell in self.row for mark in cell.marks]


def lines(page: PageRead, places: Places, document: Mapping[str, Any]) -> Iterator[Found]:
    """Where a required criterion has no line in the open, or a value of one stands under another heading."""
    found: list[Line] = []
    for table in page.tables:
        if table.some != "verdicts":
            continue
        kind = _kind(table)
        if kind is None:
            yield table.caption, f"it lists verdicts under {table.heads}, as no table of a report does"
            continue
        for row in table.body:
            yield from _misplaced(row, table, kind)
            if (name := _named(row)) is not None and kind is not OF_A_SET:
                found.append(Line(kind, name, table.folded, row))
    by_name: dict[str, list[Line]] = {}
    for line in found:
        by_name.setdefault(line.name, []).append(line)
    for verdict in document["verdicts"]:
        name = verdict["criterion"]
        criterion = places.at("protocol", "content", "criteria", name)
        yield from _of(verdict, criterion, by_name.get(name, []), document)


def _kind(table: TableRead) -> Mapping[str, str] | None:
    return next((kind for kind in KINDS if Counter(table.heads) == Counter(list(kind))), None)


def _misplaced(row: Sequence[Cell], table: TableRead, kind: Mapping[str, str]) -> Iterator[Found]:
    if len(row) != len(table.heads) or any(cell.n_columns != 1 for cell in row):
        yield table.caption, "a line has more cells or fewer than the table has headings"
        return
    for cell, under in zip(row, table.heads, strict=True):
        for mark in cell.marks:
            if re.fullmatch(kind[under], _field(mark)) is None:
                yield table.caption, f"{mark.text!r} stands under {under!r}, and is {mark.path}"
        if cell.plots and under != "Plot":
            yield table.caption, f"a drawing stands under {under!r}"


def _field(mark: Mark) -> str:
    """A path without the name of the criterion; "-" where it is of none."""
    steps = parsed(mark.path or "")
    at = {"verdicts": 1, "protocol": 3, "page": 3}.get(steps[0]) if steps else None
    return "-" if at is None or len(steps) <= at else written((*steps[:at], *steps[at + 1 :]))


def _named(row: Sequence[Cell]) -> str | None:
    steps = (parsed(mark.path or "") for cell in row for mark in cell.marks)
    return next((each[1] for each in steps if len(each) == 3 and (each[0], each[2]) == ("verdicts", "criterion")), None)


def _of(
    verdict: Mapping[str, Any], criterion: Mapping[str, Any], own: Sequence[Line], document: Mapping[str, Any]
) -> Iterator[Found]:
    name, wanted = verdict["criterion"], 1 if verdict["required"] else 0
    if len(own) != wanted:
        yield "verdicts", f"{name} has {len(own)} lines among the required criteria, and {wanted} on a report"
    for line in own:
        kind, n_drawings = _wanted(verdict, criterion)
        if line.folded:
            yield "verdicts", f"the line of {name} is folded away"
        if line.kind is not kind:
            yield "verdicts", f"the line of {name} stands among others than its own kind"
        if line.n_drawings != n_drawings:
            yield "verdicts", f"the line of {name} has {line.n_drawings} drawings, and {n_drawings} on a report"
        for each in unsaid(line.row, verdict, criterion):
            yield "verdicts", f"the line of {name} does not say {each}"
        margin = written(("page", "verdict", "margins", name))
        if kind is SAMPLED and name in document["page"]["verdict"]["margins"] and margin not in line.paths:
            yield "verdicts", f"the line of {name} does not say its margin"


def _wanted(verdict: Mapping[str, Any], criterion: Mapping[str, Any]) -> tuple[Mapping[str, str], int]:
    """The table that a criterion's line stands in, and how many drawings it has."""
    estimate = verdict["estimate"] or {}
    if estimate.get("value") is None:
        return UNMEASURED, 0
    unit = estimate["unit"]
    threshold = criterion["floor"] if criterion["floor"] is not None else criterion["ceiling"]
    has_place = unit in ("fraction", "count") or bool(threshold)  # a percentage of 0 seconds is none
    return EXACT if unit == "count" else SAMPLED, int(has_place)
