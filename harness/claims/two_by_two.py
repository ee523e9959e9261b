"""Which table is one of a test against a reference with two answers, and what are its four counts?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.claims.cells import Read, TableReading, count, place
from harness.claims.document import Table
from harness.claims.records import Outcomes, Problem

_YES = re.compile(r"\b(?:positives?|present|yes|pos)\b|\+", re.IGNORECASE)
_NO = re.compile(r"\b(?:negatives?|absent|no|neg)\b|[-\u2212\u2013]\s*$", re.IGNORECASE)
_REFERENCE = re.compile(
    r"\b(?:diseases?|condition|reference|actual|true|truth|gold|histolog\w*|patholog\w*|biopsy|PCR|microscopy|culture)\b",
    re.IGNORECASE,
)
_TEST = re.compile(
    r"\b(?:test|index|predicted|prediction|model|classifier|algorithm|network|AI|screen(?:ing)?|assay|software|system)\b",
    re.IGNORECASE,
)
_SUM = re.compile(r"(?:grand )?total|sum|all", re.IGNORECASE)


def read_two_by_two(table: Table, file: str) -> TableReading:
    """Four counts, and the sums around them; of kind "" where the sides do not say which is the reference."""
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    heads = table.header[1:]
    at, below = _sides(heads), _sides([cells[0] for _, cells in rows])
    if at is None or below is None:
        return TableReading("")
    corner = table.header[0]
    of_columns = bool(_REFERENCE.search(" ".join(heads))) and bool(_TEST.search(f"{corner} {_names(rows)}"))
    of_rows = bool(_REFERENCE.search(_names(rows))) and bool(_TEST.search(f"{corner} {' '.join(heads)}"))
    if of_columns == of_rows:
        return TableReading("")
    cells = [[count(rows[row][1][1 + column].strip(" *")) for column in at] for row in below]
    if any(cell is None for row in cells for cell in row):
        return TableReading("")
    counts = [[cell or 0 for cell in row] for row in cells]
    if of_rows:
        counts = [list(column) for column in zip(*counts, strict=True)]
    (tp, fp), (fn, tn) = counts
    places = tuple(place(file, line, row) for line, row in rows)
    problems = _sums(table, file, rows, at, below)
    return TableReading("matrix", (), (Read(Outcomes(tp, fp, fn, tn), places),), tuple(problems))


def _names(rows: Sequence[tuple[int, tuple[str, ...]]]) -> str:
    return " ".join(cells[0] for _, cells in rows)


def _sides(names: Sequence[str]) -> tuple[int, int] | None:
    """Where yes and no stand, with nothing else but a sum behind them."""
    yes = [k for k, name in enumerate(names) if _YES.search(name) and not _NO.search(name)]
    no = [k for k, name in enumerate(names) if _NO.search(name) and not _YES.search(name)]
    rest = [name for k, name in enumerate(names) if k not in (*yes, *no)]
    if len(yes) != 1 or len(no) != 1 or len(rest) > 1 or not all(_SUM.fullmatch(name.strip(" *")) for name in rest):
        return None
    return yes[0], no[0]


def _sums(
    table: Table, file: str, rows: Sequence[tuple[int, tuple[str, ...]]], at: tuple[int, int], below: tuple[int, int]
) -> list[Problem]:
    problems: list[Problem] = []
    of_all = [k for k in range(1, len(table.header)) if k - 1 not in at]
    for line, cells in rows:
        parts = [count(cells[1 + k].strip(" *")) for k in at]
        for k in of_all:
            said = count(cells[k].strip(" *"))
            if said is not None and None not in parts and said != sum(n or 0 for n in parts):
                why = f"{cells[0]}: {said:,}, and its counts add up to {sum(n or 0 for n in parts):,}"
                problems.append(Problem(why, (place(file, line, cells),)))
    for r, (line, cells) in enumerate(rows):
        if r in below:
            continue
        for k in range(1, len(table.header)):
            parts = [count(rows[b][1][k].strip(" *")) for b in below]
            said = count(cells[k].strip(" *"))
            if said is not None and None not in parts and said != sum(n or 0 for n in parts):
                why = f"{cells[0]}: {said:,}, and its counts add up to {sum(n or 0 for n in parts):,}"
                problems.append(Problem(why, (place(file, line, cells),)))
    return problems
