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
    """

    number: int
    text: str
    heading: int | None
    block: int


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
    """code: lines inside code blocks; images: what the report shows."""

    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    tables: tuple[Table, ...]
    code: tuple[tuple[int, str], ...]
    images: tuple[Image, ...]


_FENCE = re.compile(r"\s*(```+|~~~+)")
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_IMAGE = re.compile(r"!\[([^\]]*)\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
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
        self.block = 0

    @property
    def heading(self) -> int | None:
        return len(self.headings) - 1 if self.headings else None

    def add_heading(self, line: int, level: int, title: str) -> None:
        parent = self.heading
        while parent is not None and self.headings[parent].level >= level:
            parent = self.headings[parent].parent
        self.headings.append(Heading(line, level, title, parent))
        self.block += 1

    def add_line(self, number: int, text: str) -> None:
        if text:
            self.lines.append(Line(number, text, self.heading, self.block))

    def done(self) -> Document:
        return Document(
            tuple(self.headings), tuple(self.lines), tuple(self.tables), tuple(self.code), tuple(self.images)
        )


def read_markdown(text: str) -> Document:
    """Headings, lines, pipe tables and code blocks; a classification report in a code block is a table too."""
    found = _Builder()
    lines = text.splitlines()
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
        found.images.extend(Image(number, match[2]) for match in _IMAGE.finditer(raw))
        heading = _HEADING.match(raw)
        if heading:
            found.add_heading(number, len(heading[1]), plain(heading[2]))
        elif "|" in raw and at < len(lines) and "|" in lines[at] and _RULE.fullmatch(lines[at]):
            header = _cells(raw)
            above = found.lines[-1].text if found.lines and found.lines[-1].number >= number - 2 else ""
            at += 1
            rows = []
            while at < len(lines) and "|" in lines[at] and lines[at].strip():
                rows.append((at + 1, _cells(lines[at])))
                at += 1
            found.tables.append(Table(number, above, header, tuple(rows), found.heading))
            found.block += 1
        elif not raw.strip():
            found.block += 1
        else:
            found.add_line(number, plain(raw))
    _add_code(found, code)  # a fence that nobody closed
    if not found.code and not found.tables:
        _add_plain_report(found, [(number, line) for number, line in enumerate(lines, start=1)])
    return found.done()


def _cells(raw: str) -> Cells:
    body = raw.strip().removeprefix("|")
    if body.endswith("|") and not body.endswith("\\|"):
        body = body[:-1]
    return tuple(plain(cell.replace("\\|", "|")).strip(" `") for cell in re.split(r"(?<!\\)\|", body))


def _add_code(found: _Builder, code: list[tuple[int, str]]) -> None:
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
        found.tables.append(
            Table(number, "", ("class", "precision", "recall", "f1-score", "support"), tuple(rows), found.heading)
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


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = _Builder()
        self.text: list[str] = []
        self.start = 1
        self.skipping = 0
        self.level = 0
        self.table: list[tuple[int, list[str]]] | None = None
        self.table_line = 0
        self.caption = ""
        self.in_cell = False
        self.span = 1
        self.preformatted = False

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
        elif tag == "table":
            self._flush()
            self.table, self.table_line, self.caption = [], line, ""
        elif tag == "tr" and self.table is not None:
            self.table.append((line, []))
        elif tag in ("td", "th") and self.table:
            self.text, self.in_cell = [], True
            self.span = int(given.get("colspan") or 1) if (given.get("colspan") or "1").isdigit() else 1
        elif tag == "caption":
            self.text = []
        elif tag == "pre":
            self._flush()
            self.preformatted = True
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
            self.table[-1][1].extend([self._taken()] + [""] * (self.span - 1))
            self.in_cell = False
        elif tag == "caption":
            self.caption = self._taken()
        elif tag == "table" and self.table is not None:
            rows = [(line, tuple(cells)) for line, cells in self.table if cells]
            if len(rows) > 1:
                self.found.tables.append(
                    Table(self.table_line, self.caption, rows[0][1], tuple(rows[1:]), self.found.heading)
                )
            self.table = None
        elif tag == "pre":
            lines = [(self.start + i, text) for i, text in enumerate("".join(self.text).splitlines())]
            _add_code(self.found, lines)
            self.text, self.preformatted = [], False
        elif len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.found.add_heading(self.start, self.level, self._taken())
        elif tag in _BLOCKS and not self.in_cell:
            self._flush()

    def handle_data(self, data: str) -> None:
        if self.skipping:
            return
        if not "".join(self.text).strip():
            self.start = self.getpos()[0]
        self.text.append(data)

    def _taken(self) -> str:
        text, self.text = " ".join("".join(self.text).split()), []
        return text

    def _flush(self) -> None:
        if self.table is None or not self.in_cell:
            self.found.add_line(self.start, self._taken())
            self.found.block += 1


def read_html(text: str) -> Document:
    """The same of an HTML page: style, script, drawings and the table of contents are not read."""
    parser = _Html()
    parser.feed(text)
    parser.close()
    parser._flush()
    return parser.found.done()
