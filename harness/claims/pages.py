"""What does an HTML page state, and what are its lines, tables and headings? Read with BeautifulSoup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PreformattedString, Tag

from harness.claims.document import MOST_CELLS, Builder, Cells, Document, Image, Table, lines_of
from harness.claims.extract import extract
from harness.claims.printed import take_printed
from harness.claims.records import ReportClaims

_SKIPPED = {"style", "script", "svg", "head", "nav"}
_BLOCKS = {
    "p", "li", "figcaption", "dt", "dd", "summary", "blockquote", "div", "section", "figure", "details", "ul", "ol",
}  # fmt: skip
_HEADING = re.compile(r"h[1-6]")
# Tags that say nothing here. They are taken out before the page is parsed, because a report of the harness is half of
# them; a tag that is written in any other way is left to the parser. Attributes: a value in quotes may hold ">".
_ATTRIBUTE = r"""\s+[\w:-]{1,50}(?:=(?:"[^"<]{0,1000}"|'[^'<]{0,1000}'|[^\s"'<>=`]{1,300}))?"""
_SILENT = re.compile(
    rf"</?(?:b|i|em|strong|u|small|mark|font|a|code|data)(?:{_ATTRIBUTE}){{0,9}}+\s{{0,9}}>", re.IGNORECASE
)
# A drawing without a word in it. One with words is skipped when the page is read, where what is one is beyond doubt.
_DRAWING = re.compile(r"<svg(?:\s[^<>]*+)?>\s*+(?:</?(?!svg\b)\w[^<>]*+>\s*+)*+</svg>", re.IGNORECASE)
# What ends a page that breaks off inside a tag or comment: its parser would try again from each of its characters.
_ENDS = "\n<!---->\">'>"


@lru_cache(maxsize=4)
def read_page(text: str, name: str) -> ReportClaims:
    """The statements of an HTML page, kept: a pack's is read when it is written and again whenever it is verified."""
    return extract(read_html(text), name)


def read_html(text: str) -> Document:
    """Style, script, drawings and the table of contents are not read."""
    found = Builder()
    tables = add_page(found, text, first_line=1)
    return found.done(apart=tables)


def add_page(found: Builder, text: str, *, first_line: int) -> list[Table]:
    """Add what a page, or a piece of one, says; text reports in its <pre> are returned."""
    # As in a browser, "<![" begins no declaration; the parser refuses any word but SGML's after it.
    text = re.sub(r"<!\[", "<! [", text)
    for unread in (_SILENT, _DRAWING):
        text = unread.sub(lambda found: "\n" * found[0].count("\n"), text)
    soup = BeautifulSoup(text + _ENDS, "html.parser")
    page = _Page(found, first_line - 1)
    page.read(soup)
    return page.reports


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    rows: int
    columns: int


class _Page:
    def __init__(self, found: Builder, offset: int) -> None:
        self.found, self.offset = found, offset
        self.reports: list[Table] = []
        self.text: list[str] = []
        self.start = self.line = 1
        self.is_blank = True
        self.cells_left = MOST_CELLS

    def read(self, soup: Tag) -> None:
        for node, is_end in _events(soup):
            if isinstance(node, Tag):
                self._closed(node) if is_end else self._opened(node)
            elif isinstance(node, NavigableString):
                self._said(node)
        self._flush()

    def _said(self, node: NavigableString) -> None:
        if not isinstance(node, PreformattedString):
            if self.is_blank and not node.isspace():
                blank = len(node) - len(node.lstrip())
                self.start, self.is_blank = self.line + node.count("\n", 0, blank), False
            self.text.append(str(node))
        self.line += node.count("\n")

    def _opened(self, tag: Tag) -> None:
        self.line = tag.sourceline or self.line
        source = tag.get("src")
        if tag.name == "img" and isinstance(source, str) and source and not source.startswith("data:"):
            self.found.images.append(Image(self.line + self.offset, source))
        elif tag.name == "br":
            self.text.append(" ")
        elif tag.name in ("sup", "sub"):
            self.text.append("^")  # 0.97 with the footnote 1 is not 0.971
        elif tag.name in _BLOCKS or tag.name in ("table", "pre") or _HEADING.fullmatch(tag.name):
            self._flush()
        if tag.name == "table":
            self._table(tag)

    def _closed(self, tag: Tag) -> None:
        if tag.name == "pre":
            self._pre()
        elif _HEADING.fullmatch(tag.name):
            number = self.start + self.offset
            self.found.add_heading(number, int(tag.name[1]), self._taken())
        elif tag.name in _BLOCKS:
            self._flush()

    def _table(self, tag: Tag) -> None:
        number = (tag.sourceline or self.line) + self.offset
        caption = next((_text(child) for child in tag.find_all("caption", limit=1)), "")
        rows = _spread(_rows(tag, self.offset), most_cells=self.cells_left)
        self.cells_left -= sum(len(cells) for _, cells in rows or ())
        if rows is None:
            self.found.unread.append(f"line {number} begins a table of too many cells")
        elif len(rows) > 1:
            caption = caption or self.found.text_above(number)
            self.found.tables.append(Table(number, caption, rows[0][1], tuple(rows[1:]), self.found.heading))

    def _pre(self) -> None:
        lines, first = lines_of("".join(self.text)), self.start + self.offset
        blank = next((i for i, line in enumerate(lines) if line.strip()), 0)
        printed = take_printed(lines)
        for number, said in printed.said:
            self.found.add_line(number + first - 1 - blank, said)
        for table in printed.tables:
            rows = tuple((number + first - 1 - blank, cells) for number, cells in table.rows)
            moved = Table(table.line + first - 1 - blank, table.caption, table.header, rows, self.found.heading)
            self.found.tables.append(moved)
        self.found.code += [(first - blank + i, line) for i, line in enumerate(lines)]
        self._taken()

    def _taken(self) -> str:
        text, self.text, self.is_blank = " ".join("".join(self.text).split()), [], True
        return text

    def _flush(self) -> None:
        self.found.add_line(self.start + self.offset, self._taken())
        self.found.block += 1


def _events(soup: Tag) -> Iterator[tuple[object, bool]]:
    """Every node in order, tags at their start and their end; no recursion, a page may nest without end."""
    open_nodes: list[Iterator[object]] = [iter(soup.children)]
    tags: list[Tag] = []
    while open_nodes:
        node = next(open_nodes[-1], None)
        if node is None:
            open_nodes.pop()
            if tags:
                yield tags.pop(), True
            continue
        if isinstance(node, Tag) and node.name in _SKIPPED:
            continue
        yield node, False
        if isinstance(node, Tag):
            tags.append(node)
            open_nodes.append(iter(()) if node.name == "table" else iter(node.children))


def _rows(table: Tag, offset: int) -> list[tuple[int, list[_Cell]]]:
    """The rows of one table with their lines, in one pass. A cell ends where the next begins, whether it is closed or
    not, as HTML has it; a table inside a cell is none of its text."""
    rows: list[tuple[int, list[tuple[Tag, list[str]]]]] = []
    open_nodes: list[Iterator[object]] = [iter(table.children)]
    while open_nodes:
        node = next(open_nodes[-1], None)
        if node is None:
            open_nodes.pop()
        elif isinstance(node, Tag) and node.name not in _SKIPPED and node.name != "table":
            if node.name == "tr":
                rows.append(((node.sourceline or 1) + offset, []))
            elif node.name in ("td", "th") and rows:
                rows[-1][1].append((node, []))
            elif rows and rows[-1][1]:
                rows[-1][1][-1][1].append(_mark(node))
            open_nodes.append(iter(node.children))
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString) and rows and rows[-1][1]:
            rows[-1][1][-1][1].append(str(node))
    return [
        (
            line,
            [
                _Cell(_joined(parts), _span(tag.get("rowspan"), 65_534), _span(tag.get("colspan"), 1_000))
                for tag, parts in cells
            ],
        )
        for line, cells in rows
    ]


def _mark(tag: Tag) -> str:
    """A footnote mark is kept apart from the number before it."""
    return "^" if tag.name in ("sup", "sub") else " " if tag.name in ("br", "span", "div", "p") else ""


def _joined(parts: list[str]) -> str:
    return " ".join("".join(parts).split())


def _text(tag: Tag) -> str:
    parts = []
    for node in tag.descendants:
        if isinstance(node, Tag):
            parts.append(_mark(node))
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
            parts.append(str(node))
    return _joined(parts)


def _span(given: object, most: int) -> int:
    """A span as browsers take it, with their own limits."""
    plain = isinstance(given, str) and re.fullmatch(r"[0-9]{1,9}", given)
    return min(max(int(str(given)), 1), most) if plain else 1


def _spread(table: list[tuple[int, list[_Cell]]], *, most_cells: int) -> list[tuple[int, Cells]] | None:
    """Rows of plain text: a cell over several rows stands in each of them, one over several columns in the first.

    None if they would have more than `most_cells`: spans of a few bytes can ask for millions.
    """
    n_cells = 0
    rows: list[tuple[int, Cells]] = []
    above: dict[int, tuple[int, str]] = {}  # column -> (rows that a cell from above still covers, its text)
    for line, cells in table:
        if not cells:
            continue
        row: list[str] = []
        below: dict[int, tuple[int, str]] = {}
        rest = iter(cells)
        while True:
            if n_cells + len(row) > most_cells:
                return None
            held = above.pop(len(row), None)
            if held is not None:
                left, text = held
                if left > 1:
                    below[len(row)] = left - 1, text
                row.append(text)
                continue
            cell = next(rest, None)
            if cell is None:
                break
            for text in (cell.text, *[""] * (cell.columns - 1)):
                if cell.rows > 1:
                    below[len(row)] = cell.rows - 1, text
                row.append(text)
        above = below
        n_cells += len(row)
        rows.append((line, tuple(row)))
    return rows
