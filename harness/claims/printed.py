"""Which lines of a plain text are the output of a program? Tables, and lines of results, each with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.claims import caret, weka
from harness.claims.aligned_tables import aligned_at
from harness.claims.document import Table
from harness.claims.drawn_tables import drawn_at
from harness.claims.plain_tables import report_at


@dataclass
class Printed:
    """said: (line, text), as a report would state it. taken: the indexes of the lines that all was read from."""

    tables: list[Table] = field(default_factory=list)
    said: list[tuple[int, str]] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)


def take_printed(lines: Sequence[str]) -> Printed:
    found = Printed()
    at = 0
    while at < len(lines):
        after = at
        if at not in found.taken and lines[at].strip():
            after = _take(found, lines, at)
        at = max(after, at + 1)
    return found


def _take(found: Printed, lines: Sequence[str], at: int) -> int:
    said, after = weka.summary_at(lines, at)
    if said:
        found.said += said
        found.taken.update(range(at, after))
        return after
    said, tables, taken = caret.statistics_at(lines, at)
    if taken:
        found.said += said
        found.tables += tables
        found.taken |= taken
        return at + 1
    for reader in (weka.table_at, report_at, drawn_at, aligned_at):
        table, after = reader(lines, at)
        if table is not None:
            found.tables.append(table)
            found.taken.update(range(at, after))
            return after
    return at
