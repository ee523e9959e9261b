"""What are the lines, tables and headings of a report? One shape for Markdown, HTML and plain text alike.

Nothing here knows what a confusion matrix is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TypeAlias

Cells: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """level: 1 is the report's title. parent: index of the enclosing heading in Document.headings, or None."""

    line: int
    level: int
    title: str
    parent: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of prose, markup removed.

    heading: index in Document.headings, or None before the first.
    block:   lines of one paragraph or list share it.
    topic:   the last bold line of its own under this heading, "" where there is none.
    """

    number: int
    text: str
    heading: int | None
    block: int
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """header and rows as plain text; caption: what stands right above or in it."""

    line: int
    caption: str
    header: Cells
    rows: tuple[tuple[int, Cells], ...]
    heading: int | None


@dataclass(frozen=True, slots=True)
class Image:
    line: int
    path: str


@dataclass(frozen=True, slots=True)
class Document:
    """code: lines inside code blocks; images: what the report shows; unread: what was too long to be prose."""

    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    tables: tuple[Table, ...]
    code: tuple[tuple[int, str], ...]
    images: tuple[Image, ...]
    unread: tuple[str, ...] = ()


MOST_CELLS = 1_000_000  # in all tables of an HTML page, each counted as often as its spans repeat it
MOST_CHARACTERS = 20_000  # in a line of prose or one row of a table; an embedded picture or a data dump has more

_FENCE = re.compile(r"\s*(```+|~~~+)")
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_BOLD_LINE = re.compile(r"\s*(?:\*\*|__)([^*_|]+?)(?::?(?:\*\*|__)|(?:\*\*|__):?)\s*")
_DUMP = re.compile(r"\d{60}")
_STRUCK = re.compile(r"~~[^~\n]+~~")
# Possessive, and up to the next bracket at most: a line of brackets that never close costs its length, not its square.
_IMAGE = re.compile(r"!\[([^\[\]]*+)\]\(\s*+<?+([^)\s>\[]++)>?+[^)\[]*+\)")
_LINK = re.compile(r"\[([^\[\]]*+)\]\([^)\[]*+\)")
_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_MARKS = re.compile(r"\*\*|__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])|(?<!\w)_(?=\S)|(?<=\S)_(?!\w)")


def plain(text: str) -> str:
    """Markdown's emphasis and links removed; code spans keep their backticks, they mark file names.

    >>> plain("- **Accuracy:** 99.47% (*test*), see [here](x.md)")
    '- Accuracy: 99.47% (test), see here'
    """
    return " ".join(_MARKS.sub("", _LINK.sub(r"\1", _IMAGE.sub("", text))).split())


class _Builder:
    def __init__(self) -> None:
        self.headings: list[Heading] = []
        self.lines: list[Line] = []
        self.tables: list[Table] = []
        self.code: list[tuple[int, str]] = []
        self.images: list[Image] = []
        self.unread: list[str] = []
        self.block = 0
        self.topic = ""

    @property
    def heading(self) -> int | None:
        return len(self.headings) - 1 if self.headings else None

    def add_heading(self, line: int, level: int, title: str) -> None:
        parent = self.heading
        while parent is not None and self.headings[parent].level >= level:
            parent = self.headings[parent].parent
        self.headings.append(Heading(line, level, title, parent))
        self.block += 1
        self.topic = ""

    def add_line(self, number: int, text: str) -> None:
        if len(text) > MOST_CHARACTERS or _DUMP.search(text):
            self.unread.append(f"line {number} has {len(text):,} characters or a number without end: no prose")
        elif text:
            self.lines.append(Line(number, text, self.heading, self.block, self.topic))

    def text_above(self, number: int) -> str:
        """What stands right above a table, at most one empty line between."""
        return self.lines[-1].text if self.lines and number - 2 <= self.lines[-1].number < number else ""

    def done(self) -> Document:
        return Document(
            tuple(self.headings),
            tuple(self.lines),
            tuple(self.tables),
            tuple(self.code),
            tuple(self.images),
            tuple(self.unread),
        )


def read_markdown(text: str) -> Document:
    """Headings, lines, pipe tables and code blocks; a classification report in a code block is a table too."""
    found = _Builder()
    lines = _lines(_STRUCK.sub("", _without_comments(text)))
    fence: str | None = None
    code: list[tuple[int, str]] = []
    at = 0
    while at < len(lines):
        raw, number = lines[at], at + 1
        at += 1
        mark = _FENCE.match(raw)
        if fence is not None:
            if mark and mark[1].startswith(fence):
                fence = None
                _add_code(found, code)
                code = []
            else:
                code.append((number, raw))
            continue
        if mark:
            fence = mark[1][:3]
            found.block += 1
            continue
        if len(raw) > MOST_CHARACTERS:
            found.add_line(number, raw)
            continue
        found.images.extend(Image(number, match[2]) for match in _IMAGE.finditer(raw))
        heading = _HEADING.match(raw)
        bold = _BOLD_LINE.fullmatch(raw)
        if heading:
            found.add_heading(number, len(heading[1]), plain(heading[2].strip().rstrip("#")))
        elif "|" in raw and at < len(lines) and "|" in lines[at] and _RULE.fullmatch(lines[at]):
            header = _cells(raw)
            above = found.text_above(number)
            at += 1
            rows = []
            while at < len(lines) and "|" in lines[at] and len(lines[at]) <= MOST_CHARACTERS:
                rows.append((at + 1, _cells(lines[at])))
                at += 1
            found.tables.append(Table(number, above, header, tuple(rows), found.heading))
            found.block += 1
        elif not raw.strip():
            found.block += 1
        else:
            found.topic = plain(bold[1]) if bold else found.topic
            found.add_line(number, plain(raw))
    _add_code(found, code)  # a fence that nobody closed
    if not found.code and not found.tables:
        _add_plain_report(found, list(enumerate(lines, start=1)))
    return found.done()


def _without_comments(text: str) -> str:
    """The text with only the line ends left of each comment; one that nobody closed is text."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept += [text[at:start], "\n" * text.count("\n", start, end)]
        at = end + 3
    return "".join([*kept, text[at:]])


def _lines(text: str) -> list[str]:
    """As an editor counts them: a form feed or a Unicode separator ends no line."""
    return re.split(r"\r\n|\r|\n", text)


def _cells(raw: str) -> Cells:
    body = raw.strip().removeprefix("|")
    if body.endswith("|") and not body.endswith("\\|"):
        body = body[:-1]
    return tuple(plain(cell.replace("\\|", "|")).strip(" `") for cell in re.split(r"(?<!\\)\|", body))


def _add_code(found: _Builder, code: list[tuple[int, str]]) -> None:
    code = [(number, line) for number, line in code if len(line) <= MOST_CHARACTERS]
    found.code.extend(code)
    _add_plain_report(found, code)


def _add_plain_report(found: _Builder, lines: list[tuple[int, str]]) -> None:
    """scikit-learn's classification_report: a header of four words, then one row per class or average."""
    for start, (number, line) in enumerate(lines):
        if line.split() != ["precision", "recall", "f1-score", "support"]:
            continue
        rows: list[tuple[int, Cells]] = []
        for row_number, row in lines[start + 1 :]:
            # Names may hold spaces; numbers stand at the end, "accuracy" has two, the others four.
            match = re.match(r"\s*(\S.*?)\s{2,}([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+(\d+)\s*$", row)
            match = match or re.match(r"\s*(\S.*?)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+(\d+)\s*$", row)
            short = re.match(r"\s*(accuracy)\s+([\d.]+)\s+(\d+)\b", row)
            if match:
                rows.append((row_number, (match[1], match[2], match[3], match[4], match[5])))
            elif short:
                rows.append((row_number, (short[1], "", "", short[2], short[3])))
            elif row.strip():
                break
        above = found.text_above(lines[0][0] - 1)  # the fence is the line before
        found.tables.append(
            Table(number, above, ("class", "precision", "recall", "f1-score", "support"), tuple(rows), found.heading)
        )


# --- HTML ---------------------------------------------------------------------------------------

_SKIPPED = {"style", "script", "svg", "head", "nav"}
_BLOCKS = {
    "p",
    "li",
    "figcaption",
    "dt",
    "dd",
    "summary",
    "blockquote",
    "div",
    "section",
    "figure",
    "details",
    "ul",
    "ol",
}


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    rows: int
    columns: int


def _span(given: str | None, most: int) -> int:
    """A span as browsers take it, with their own limits."""
    return min(max(int(given), 1), most) if given and re.fullmatch(r"[0-9]{1,9}", given) else 1


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


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = _Builder()
        self.text: list[str] = []
        self.start = 1
        self.skipping = 0
        self.level = 0
        self.table: list[tuple[int, list[_Cell]]] | None = None
        self.table_line = 0
        self.caption = ""
        self.in_cell = False
        self.cells_left = MOST_CELLS
        self.span = (1, 1)
        self.is_blank = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self.skipping += 1
        if self.skipping:
            return
        given = dict(attrs)
        line = self.getpos()[0]
        if tag == "img":
            source = given.get("src") or ""
            if source and not source.startswith("data:"):
                self.found.images.append(Image(line, source))
        elif tag == "br":
            self.text.append(" ")
        elif tag in ("sup", "sub"):
            self.text.append("^")  # 0.97 with the footnote 1 is not 0.971
        elif tag == "table":
            self._flush()
            self.table, self.table_line, self.caption = [], line, ""
        elif tag == "tr" and self.table is not None:
            self.table.append((line, []))
        elif tag in ("td", "th") and self.table:
            self._taken()
            self.in_cell = True
            self.span = _span(given.get("rowspan"), 65_534), _span(given.get("colspan"), 1_000)
        elif tag == "caption":
            self._taken()
        elif tag == "pre":
            self._flush()
        elif len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self._flush()
            self.level = int(tag[1])
        elif tag in _BLOCKS and not self.in_cell:
            self._flush()
        elif self.in_cell and tag in ("span", "div", "p"):
            self.text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED and self.skipping:
            self.skipping -= 1
            return
        if self.skipping:
            return
        if tag in ("td", "th") and self.table:
            self.table[-1][1].append(_Cell(self._taken(), *self.span))
            self.in_cell = False
        elif tag == "caption":
            self.caption = self._taken()
        elif tag == "table" and self.table is not None:
            rows = _spread(self.table, most_cells=self.cells_left)
            self.cells_left -= sum(len(cells) for _, cells in rows or ())
            if rows is None:
                self.found.unread.append(f"line {self.table_line} begins a table of too many cells")
            elif len(rows) > 1:
                self.found.tables.append(
                    Table(self.table_line, self.caption, rows[0][1], tuple(rows[1:]), self.found.heading)
                )
            self.table = None
        elif tag == "pre":
            lines = [(self.start + i, text) for i, text in enumerate(_lines("".join(self.text)))]
            _add_code(self.found, lines)
            self._taken()
        elif len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.found.add_heading(self.start, self.level, self._taken())
        elif tag in _BLOCKS and not self.in_cell:
            self._flush()

    def handle_data(self, data: str) -> None:
        if self.skipping:
            return
        if self.is_blank and not data.isspace():
            self.start, self.is_blank = self.getpos()[0], False
        self.text.append(data)

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        # As in a browser, "<![" begins a comment up to the next ">"; the library fails at any word but SGML's.
        return self.parse_bogus_comment(i, report)

    def _taken(self) -> str:
        text, self.text, self.is_blank = " ".join("".join(self.text).split()), [], True
        return text

    def _flush(self) -> None:
        if self.table is None or not self.in_cell:
            self.found.add_line(self.start, self._taken())
            self.found.block += 1


def read_html(text: str) -> Document:
    """The same of an HTML page: style, script, drawings and the table of contents are not read."""
    parser = _Html()
    parser.feed(text)
    for end in ("-->", ">", '">', "'>"):
        if parser.rawdata.startswith("<"):
            # A page that breaks off inside a tag or comment: html.parser would try again from each of its characters.
            parser.feed(end)
    if parser.rawdata.startswith("<"):
        parser.rawdata = ""
    parser.close()
    parser._flush()
    return parser.found.done()
