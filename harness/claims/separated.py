"""Which table is a file of separated values? CSV, TSV, or with semicolons; one file is one table."""

from __future__ import annotations

import csv

from harness.claims.document import MOST_CHARACTERS, Table

SUFFIXES = (".csv", ".tsv")
_MOST_ROWS = 2_000  # more are predictions, not a report


def read_separated(text: str) -> Table | None:
    """The table; None where it has no row below its head, or is too long for a report.

    >>> read_separated("class,recall\\na,0.9\\n").rows
    ((2, ('a', '0.9')),)
    """
    lines = text.splitlines()
    if len(lines) > _MOST_ROWS or any(len(line) > MOST_CHARACTERS for line in lines):
        return None
    first = next((line for line in lines if line.strip()), "")
    delimiter = max((",", ";", "\t"), key=first.count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [(reader.line_num, tuple(cell.strip() for cell in row)) for row in reader if any(map(str.strip, row))]
    except csv.Error:
        return None
    if len(rows) < 2 or len(rows[0][1]) < 2:
        return None
    return Table(rows[0][0], "", rows[0][1], tuple(rows[1:]), None)
