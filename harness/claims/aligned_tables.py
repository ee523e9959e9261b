"""Which lines of plain text are columns of numbers that end under their heads, as pandas and R print them?

>>> table, after = aligned_at(["            a  b", "true a     10  2", "true b      1 20"], 0)
>>> table.header, table.rows[0][1], after
(('', 'a', 'b'), ('true a', '10', '2'), 3)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from harness.claims.document import MOST_CHARACTERS, Cells, Table

_VALUE = re.compile(r"[-+]?(?:\d+(?:[.,]\d+)?(?:e[-+]?\d+)?%?|nan|n/?a|-)", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_FEWEST = 2  # rows below a head
_MOST_LINES = 2_000


def aligned_at(lines: Sequence[str], start: int) -> tuple[Table | None, int]:
    """The table whose head is a line, and the index of the first line after it; (None, start) where there is none.

    A row "Actual" without values, with which pandas names its rows, and a line above with the name of the columns,
    as R has it, are read with the head.
    """
    head = lines[start]
    if not head.strip() or len(head) > MOST_CHARACTERS or re.search(r"[|:]\s", head.split("Class:")[0]):
        return None, start
    first, of_rows = start + 1, ""
    if first < len(lines) and re.fullmatch(r"[A-Za-z][\w .-]{0,40}", lines[first].strip()) and not _ends(lines[first]):
        of_rows, first = lines[first].strip(), first + 1
    if first >= len(lines):
        return None, start
    under = {word.end() for word in _WORD.finditer(head)}
    ends, at = [end for end in _ends(lines[first]) if end in under], first
    while at < len(lines) and at - first < _MOST_LINES and (own := _ends(lines[at])):
        ends = [end for end in ends if end in own]
        at += 1
    if at - first < _FEWEST or len(ends) < 2:
        return None, start
    split = [_cells(lines[k], ends) for k in range(first, at)]
    rows = [(first + 1 + k, cells) for k, (cells, _) in enumerate(split)]
    heads, _ = _cells(head, ends, names_end=max(name_end for _, name_end in split))
    if not heads or any(_VALUE.fullmatch(cell) and "." in cell for cell in heads[1:]):
        return None, start
    if not all(cells and cells[0] and all(_VALUE.fullmatch(cell) for cell in cells[1:]) for _, cells in rows):
        return None, start
    corner = f"{of_rows} \\ {heads[0]}" if of_rows else heads[0]
    above = lines[start - 1].strip() if start else ""
    caption = above if re.fullmatch(r"[A-Za-z][\w .()=,:-]{0,80}", above) else ""
    return Table(start + 1, caption, (corner, *heads[1:]), tuple(rows), None), at


def _ends(line: str) -> list[int]:
    """Where the values at the end of a line end."""
    found: list[int] = []
    if len(line) <= MOST_CHARACTERS:
        for word in reversed(list(_WORD.finditer(line))):
            if not _VALUE.fullmatch(word[0]):
                break
            found.insert(0, word.end())
    return found


def _cells(line: str, ends: Sequence[int], *, names_end: int | None = None) -> tuple[Cells, int]:
    """What stands before each end, and where the first of it ends; nothing where a word runs over one or none stands
    there. names_end: where the names of the rows end: in a head, words that begin further right are not of theirs."""
    words = list(_WORD.finditer(line))
    at = {word.end(): k for k, word in enumerate(words)}
    if not all(end in at for end in ends) or words[-1].end() > ends[-1]:
        return (), 0
    last = at[ends[0]]
    if names_end is not None:
        last = next((k for k, word in enumerate(words[:last]) if word.start() >= names_end), last)
    begins = [last, *(at[end] + 1 for end in ends)]
    cells = [" ".join(word[0] for word in words[a:b]) for a, b in pairwise(begins)]
    return (" ".join(word[0] for word in words[:last]), *cells), words[last - 1].end() if last else 0
