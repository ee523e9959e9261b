"""What are the lines, tables and headings of a report? One shape for Markdown, HTML and plain text alike.

Nothing here knows what a confusion matrix is. markdown.py, pages.py and plain_tables.py fill it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
MOST_NESTED = 200  # levels of lists and quotes; no report is nested deeper

_DUMP = re.compile(r"\d{60}")
# Possessive, and up to the next bracket at most: a line of brackets that never close costs its length, not its square.
IMAGE = re.compile(r"!\[([^\[\]]*+)\]\(\s*+<?+([^)\s>\[]++)>?+[^)\[]*+\)")
_LINK = re.compile(r"\[([^\[\]]*+)\]\([^)\[]*+\)")
_MARKS = re.compile(r"\*\*|__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])|(?<!\w)_(?=\S)|(?<=\S)_(?!\w)")


def plain(text: str) -> str:
    """Markdown's emphasis and links removed; code spans keep their backticks, they mark file names.

    >>> plain("- **Accuracy:** 99.47% (*test*), see [here](x.md)")
    '- Accuracy: 99.47% (test), see here'
    """
    return " ".join(_MARKS.sub("", _LINK.sub(r"\1", IMAGE.sub("", text))).split())


def lines_of(text: str) -> list[str]:
    """As an editor counts them: a form feed or a Unicode separator ends no line."""
    return re.split(r"\r\n|\r|\n", text)


class Builder:
    """Collects a document from its first line to its last."""

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

    def add_line(self, number: int, text: str, *, topic: str | None = None) -> None:
        if len(text) > MOST_CHARACTERS or _DUMP.search(text):
            self.unread.append(f"line {number} has {len(text):,} characters or a number without end: no prose")
        elif text:
            self.lines.append(Line(number, text, self.heading, self.block, self.topic if topic is None else topic))

    def done(self, *, apart: list[Table] | None = None, said: Sequence[tuple[int, str]] = ()) -> Document:
        """
        Args:
            apart: tables that were read before the rest; each belongs to the heading above it.
            said: (line, text) that were, too.
        """
        starts = [heading.line for heading in self.headings]
        for number, text in said:
            above = bisect_left(starts, number) - 1
            self.lines.append(Line(number, text, above if above >= 0 else None, self.block + 1))
        self.lines.sort(key=lambda line: line.number)
        numbers = [line.number for line in self.lines]
        for table in apart or ():
            above = bisect_left(starts, table.line) - 1
            at = bisect_left(numbers, table.line) - 1
            near = at >= 0 and table.line - 4 <= numbers[at] and (above < 0 or numbers[at] > starts[above])
            caption = table.caption or (self.lines[at].text if near else "")
            self.tables.append(replace(table, caption=caption, heading=above if above >= 0 else None))
        self.tables.sort(key=lambda table: table.line)
        return Document(
            tuple(self.headings),
            tuple(self.lines),
            tuple(self.tables),
            tuple(self.code),
            tuple(self.images),
            tuple(self.unread),
        )

    def text_above(self, number: int) -> str:
        """What stands right above a table, at most one empty line between."""
        return self.lines[-1].text if self.lines and number - 2 <= self.lines[-1].number < number else ""
