"""Which lines of plain text draw a table? Grids of + and |, boxes, ruled columns, and the tables of reStructuredText,
AsciiDoc, Org and MediaWiki.

Read from the raw lines, fenced or not; what their cells mean is asked elsewhere.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from harness.claims.document import MOST_CHARACTERS, Cells, Table

Rows: TypeAlias = list[tuple[int, Cells]]
Taken: TypeAlias = tuple[Table | None, int]  # the table, and the index of the first line after it

_BORDER = re.compile(r"\s*[+\u2500-\u257f|](?:[-=+:\u2500-\u257f]|\|(?=\s*$)){2,}\s*")
_BAR = re.compile(r"[|\u2502\u2503\u2551]")
_RULES = re.compile(r"\s*(?:[-=\u2500\u2550]{2,}[ \t]+)+[-=\u2500\u2550]{2,}\s*")
_LISTED = re.compile(r"\s*\.\. (?P<kind>list-table|csv-table)::(?P<title>.*)")
_MOST_LINES = 2_000


def drawn_at(lines: Sequence[str], at: int) -> Taken:
    """The table that begins at a line, its first row its head; (None, at) where none does."""
    line = lines[at]
    if not line.strip() or len(line) > MOST_CHARACTERS:
        return None, at
    reader: Callable[[Sequence[str], int], Taken] | None = None
    if _LISTED.match(line):
        reader = _listed
    elif line.strip() == "|===":
        reader = _asciidoc
    elif line.lstrip().startswith("{|"):
        reader = _wiki
    elif _BORDER.fullmatch(line) or (line.lstrip().startswith("|") and _is_org(lines, at)):
        reader = _boxed
    elif _RULES.fullmatch(line) or (at + 1 < len(lines) and _RULES.fullmatch(lines[at + 1])):
        reader = _ruled
    table, after = reader(lines, at) if reader else (None, at)
    if table is None or len(table.header) < 2:
        return None, at
    return replace(table, line=at + 1), after  # where it begins: what is its caption depends on that


def _table(rows: Rows, caption: str = "") -> Table | None:
    if len(rows) < 2 or len(rows) > _MOST_LINES:
        return None
    return Table(rows[0][0], caption.strip(), rows[0][1], tuple(rows[1:]), None)


# --- bars and borders -----------------------------------------------------------------------------


def _is_org(lines: Sequence[str], at: int) -> bool:
    """A row of bars right above a border with a plus in it; Markdown's border has bars."""
    return at + 1 < len(lines) and bool(re.fullmatch(r"\s*\|-+(?:\+-+)+\|?\s*", lines[at + 1]))


def _boxed(lines: Sequence[str], start: int) -> Taken:
    groups: list[Rows] = [[]]
    at = start
    while at < len(lines) and len(lines[at]) <= MOST_CHARACTERS:
        line = lines[at]
        if _BORDER.fullmatch(line):
            if groups[-1]:
                groups.append([])
        elif _BAR.match(line.strip()) and _BAR.search(line.strip(), 1):
            body = line.strip()[1:]
            body = body[:-1] if _BAR.match(body[-1]) else body
            groups[-1].append((at + 1, tuple(cell.strip() for cell in _BAR.split(body))))
        else:
            break
        at += 1
    groups = [group for group in groups if group]
    if len(groups) < 2:
        return None, start
    is_ruled = len(groups) > 2 and any(_continues(group) for group in groups)  # a row may have several lines
    rows = [row for group in groups for row in ([_one(group)] if is_ruled and _continues(group) else group)]
    return _table([_one(groups[0]), *rows[len(groups[0]) if not _continues(groups[0]) or not is_ruled else 1 :]]), at


def _continues(group: Rows) -> bool:
    return len(group) > 1 and all(not cells[0] for _, cells in group[1:])


def _one(group: Rows) -> tuple[int, Cells]:
    """The lines of one row as one row."""
    return group[0][0], tuple(
        " ".join(filter(None, parts)) for parts in zip(*(cells for _, cells in group), strict=False)
    )


# --- columns under rules ----------------------------------------------------------------------------


def _ruled(lines: Sequence[str], start: int) -> Taken:
    """Head and rows with rules above, between and below, or between alone; a rule says where its column begins."""
    has_top = bool(_RULES.fullmatch(lines[start]))
    rule = start if has_top else start + 1
    begins = [match.start() for match in re.finditer(r"\S+", lines[rule])]
    rows: Rows = []
    at = start
    if not has_top:
        rows.append((start + 1, _columns(lines[start], begins)))
        at = start + 2
    n_rules = 1
    while at < len(lines) and len(lines[at]) <= MOST_CHARACTERS:
        line = lines[at]
        if _RULES.fullmatch(line):
            n_rules += at > start
            if has_top and n_rules == 3 and not _goes_on(lines, at):
                at += 1
                break
        elif line.strip():
            rows.append((at + 1, _columns(line, begins)))
        elif not has_top or n_rules > 2:
            break
        at += 1
    if not rows or (has_top and n_rules < 2):
        return None, start
    return _table(rows), at


def _goes_on(lines: Sequence[str], at: int) -> bool:
    """Whether rows follow a third rule, as averages do, up to a last one."""
    rest = lines[at + 1 : at + 8]
    end = next((k for k, line in enumerate(rest) if not line.strip()), len(rest))
    return any(_RULES.fullmatch(line) for line in rest[:end])


def _columns(line: str, begins: Sequence[int]) -> Cells:
    ends = [*begins[1:], len(line)]
    return tuple(line[first:last].strip() for first, last in zip(begins, ends, strict=True))


# --- markup -----------------------------------------------------------------------------------------


def _listed(lines: Sequence[str], start: int) -> Taken:
    """`.. list-table::` and `.. csv-table::` of reStructuredText, with what is indented below."""
    match = _LISTED.match(lines[start])
    assert match is not None
    depth = len(lines[start]) - len(lines[start].lstrip())
    at, body = start + 1, []
    while at < len(lines) and (not lines[at].strip() or len(lines[at]) - len(lines[at].lstrip()) > depth):
        if lines[at].strip():
            body.append((at + 1, lines[at].strip()))
        at += 1
    rows: Rows = []
    for number, text in body:
        head = re.match(r":header:\s*(.+)", text)
        if head:
            rows.append((number, _separated(head[1])))
        elif text.startswith(":"):
            continue
        elif match["kind"] == "csv-table":
            rows.append((number, _separated(text)))
        elif text.startswith("* -"):
            rows.append((number, (text[3:].strip(),)))
        elif text.startswith("-") and rows:
            rows[-1] = (rows[-1][0], (*rows[-1][1], text[1:].strip()))
    return _table(rows, match["title"]), at


def _separated(text: str) -> Cells:
    return tuple(cell.strip() for cell in next(csv.reader([text], skipinitialspace=True), []))


def _asciidoc(lines: Sequence[str], start: int) -> Taken:
    """`|===`: the first line is the head; a row is a line, or a block of lines between empty ones."""
    end = next((k for k in range(start + 1, len(lines)) if lines[k].strip() == "|==="), None)
    if end is None:
        return None, start
    blocks: list[list[tuple[int, Cells]]] = [[]]
    for k in range(start + 1, end):
        if lines[k].strip():
            cells = tuple(cell.strip() for cell in lines[k].strip().removeprefix("|").split("|"))
            blocks[-1].append((k + 1, cells))
        else:
            blocks.append([])
    blocks = [block for block in blocks if block]
    if not blocks:
        return None, start
    n = len(blocks[0][0][1])
    rows = [row for block in blocks for row in ([_in_one(block)] if all(len(c) == 1 for _, c in block) else block)]
    return (_table(rows), end + 1) if n > 1 else (None, start)


def _in_one(block: Sequence[tuple[int, Cells]]) -> tuple[int, Cells]:
    return block[0][0], tuple(cell for _, cells in block for cell in cells)


def _wiki(lines: Sequence[str], start: int) -> Taken:
    """`{|` to `|}` of MediaWiki."""
    rows: list[tuple[int, list[str]]] = [(start + 1, [])]
    caption, at = "", start + 1
    while at < len(lines) and not lines[at].lstrip().startswith("|}"):
        line = lines[at].strip()
        if line.startswith("|+"):
            caption = line[2:]
        elif line.startswith("|-"):
            rows.append((at + 2, []))
        elif line.startswith(("|", "!")):
            rows[-1][1].extend(_wiki_cells(line))
        at += 1
    if at == len(lines):
        return None, start
    return _table([(number, tuple(cells)) for number, cells in rows if cells], caption), at + 1


def _wiki_cells(line: str) -> Iterator[str]:
    for cell in re.split(r"\|\||!!" if line[0] == "!" else r"\|\|", line[1:]):
        yield re.sub(r"^[^|\[]*=[^|]*\|", "", cell).strip(" '")
