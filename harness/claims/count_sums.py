"""Do the counts of a table add up to its totals? Images by class and set, with a column or a row for the whole.

Groups may overlap and a part may have grown, so a total is only held against its parts where another total of the same
table does add up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.claims.cells import count, is_head, place
from harness.claims.document import Table
from harness.claims.records import Problem

_SET = (
    r"(?:train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?|dev(?:elopment)?|hold[- ]?out|external)"
    r"(?: ?(?:set|split|images|cells|samples))?"
)
_PARTS = re.compile(_SET, re.IGNORECASE)
_COUNTS = re.compile(
    rf"{_SET}|original|augmented|(?:(?:no\.?|number|#) ?(?:of )?)?(?:images|cells|samples|tiles|patches|slides)|"
    r"n|counts?|total|all|sum",
    re.IGNORECASE,
)
_TOTAL = re.compile(r"(?:grand )?total|all(?: classes| sets)?|sum|gesamt|summe", re.IGNORECASE)


def sum_problems(table: Table, file: str) -> Iterator[Problem]:
    """Totals that are not the sum of their parts."""
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    if len(rows) < 2 or len(rows) > 200:
        return
    yield from _of_columns(table, file, rows)
    yield from _of_rows(table, file, rows)


def _of_columns(table: Table, file: str, rows: list[tuple[int, tuple[str, ...]]]) -> Iterator[Problem]:
    """The last row is the whole: each column of counts adds up to it."""
    line, last = rows[-1]
    body = rows[:-1]
    if len(body) < 2 or not is_head(_TOTAL, last[0]) or any(is_head(_TOTAL, cells[0]) for _, cells in body):
        return
    sums = []
    for k, head in enumerate(table.header):
        column, said = [count(cells[k]) for _, cells in body], count(last[k])
        if k and is_head(_COUNTS, head) and said is not None and None not in column:
            sums.append((head, sum(n or 0 for n in column), said))
    if any(total == said for _, total, said in sums):
        for head, total, said in sums:
            if total != said:
                why = f"{last[0].strip(' *')}, {head.strip(' *')}: {said:,}, and the rows add up to {total:,}"
                yield Problem(why, (place(file, line, last),))


def _of_rows(table: Table, file: str, rows: list[tuple[int, tuple[str, ...]]]) -> Iterator[Problem]:
    """A column is the whole: the train, validation and test parts of each row add up to it."""
    at_total = [k for k, head in enumerate(table.header) if k and is_head(_TOTAL, head)]
    parts = [k for k, head in enumerate(table.header) if k and is_head(_PARTS, head)]
    if len(at_total) != 1 or len(parts) < 2:
        return
    sums = []
    for line, cells in rows:
        counts, said = [count(cells[k]) for k in parts], count(cells[at_total[0]])
        if said is not None and None not in counts:
            sums.append((line, cells, sum(n or 0 for n in counts), said))
    if any(total == said for *_, total, said in sums):
        for line, cells, total, said in sums:
            if total != said:
                why = f"{cells[0].strip(' *')}: {said:,} in all, and its parts add up to {total:,}"
                yield Problem(why, (place(file, line, cells),))
