"""What are the lines, tables and headings of a Markdown or plain text report? Read with markdown-it-py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.claims.document import IMAGE, MOST_CHARACTERS, Builder, Cells, Document, Image, Table, lines_of, plain
from harness.claims.latex import take_latex
from harness.claims.printed import take_printed
from harness.claims.structured import Structured, of_json, of_yaml

_BOLD_LINE = re.compile(r"\s*(?:\*\*|__)([^*_|]+?)(?::?(?:\*\*|__)|(?:\*\*|__):?)\s*")
_STRUCK = re.compile(r"~~[^~\n]+~~")
_PRINTED = ("", "text", "txt", "plain", "plaintext", "console", "output", "none")
_RESULT = re.compile(
    r"(?:(?:overall|final|total|test(?:ing)?|train(?:ing)?|val(?:idation)?|external|hold-?out|held-out|set|macro|micro|"
    r"weighted)[\s_-]+)*(?:(?:balanced[\s_]+)?acc(?:uracy)?(?:[\s_]+score)?|(?:cohen(?:'s)?[\s_]+)?kappa(?:[\s_]+score)?|"
    r"mcc|matthews(?:[\s_]+corr\w*[\s_]+coef\w*)|(?:roc[\s_-]?)?auc(?:[\s_]+score)?|sensitivity|specificity|precision|recall|"
    r"f1(?:[\s_-]+score)?|npv|ppv)\s*[:=]\s*\d{1,3}(?:\.\d{1,18})?\s*%?",
    re.IGNORECASE,
)
_LOG = re.compile(r"\b(?:epochs?|steps?|iter\w*|loss|lr|seed|fold|batch|threshold|config\w*|baseline)\b", re.IGNORECASE)
_LONE_ROW = re.compile(r"\s*\|")


def read_markdown(text: str) -> Document:
    """Headings, lines, pipe and HTML tables, code blocks; text reports are tables wherever they stand."""
    found = Builder()
    lines = lines_of(_STRUCK.sub("", _without_comments(text)))
    latex = take_latex(lines)
    printed = take_printed(lines)
    tables = [*printed.tables, *latex, *_front_matter(found, lines)]
    for index, line in enumerate(lines):
        if index in printed.taken:
            lines[index] = ""
        elif len(line) > MOST_CHARACTERS:
            found.add_line(index + 1, line)
            lines[index] = ""
    walk = _Walk(found, lines, frozenset(printed.taken))
    walk.read(_parser().parse("\n".join(lines)))
    return found.done(apart=[*tables, *walk.tables], said=printed.said)


def read_data(structured: Structured) -> Document:
    """A file of JSON or YAML."""
    found = Builder()
    for number, text in structured.said:
        found.add_line(number, text)
    return found.done(apart=list(structured.tables))


def read_notebook(lines: Sequence[tuple[int, str]]) -> Document:
    """A notebook's cells; every place is a line of the file."""
    document = read_markdown("\n".join(text for _, text in lines))

    def at(number: int) -> int:
        return lines[min(max(number, 1), len(lines)) - 1][0]

    return Document(
        tuple(replace(heading, line=at(heading.line)) for heading in document.headings),
        tuple(replace(line, number=at(line.number)) for line in document.lines),
        tuple(
            replace(table, line=at(table.line), rows=tuple((at(number), cells) for number, cells in table.rows))
            for table in document.tables
        ),
        tuple((at(number), text) for number, text in document.code),
        tuple(replace(image, line=at(image.line)) for image in document.images),
        document.unread,
    )


def _front_matter(found: Builder, lines: list[str]) -> list[Table]:
    """The YAML head of a model card; its lines are taken."""
    if not lines or lines[0].strip() != "---":
        return []
    end = next((k for k in range(1, min(len(lines), 2_000)) if lines[k].strip() == "---"), None)
    if end is None:
        return []
    structured = of_yaml("\n".join(lines[1:end]), first_line=2)
    for number, text in structured.said:
        found.add_line(number, text)
    lines[: end + 1] = [""] * (end + 1)
    return list(structured.tables)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": 60}).enable("table")
    # Only where blocks begin and end is asked: emphasis and links are taken off by `plain`, line by line.
    return parser.disable(["inline", "text_join", "linkify", "replacements", "smartquotes"], ignoreInvalid=True)


class _Walk:
    """One pass over the block tokens."""

    def __init__(self, found: Builder, lines: Sequence[str], taken: frozenset[int]) -> None:
        self.found, self.lines, self.taken = found, lines, taken
        self.tables: list[Table] = []
        self.items: list[str] = []  # what begins each list item that is open
        self.at_start = False  # of an item
        self.in_table = False

    def read(self, tokens: Sequence[Token]) -> None:
        for index, token in enumerate(tokens):
            if token.type == "heading_open":
                self._heading(token, tokens[index + 1])
            elif token.type == "list_item_open":
                self.items.append("")
                self.at_start = True
            elif token.type == "list_item_close":
                self.items.pop()
            elif token.type in ("bullet_list_open", "ordered_list_open", "paragraph_close") and not self.items:
                self.found.block += 1
            elif token.type in ("fence", "code_block"):
                self._code(token)
            elif token.type == "html_block":
                self._html(token)
            elif token.type == "table_open":
                self.in_table = True
                self._table(tokens[index:])
            elif token.type == "table_close":
                self.in_table = False
            elif token.type == "inline" and not self.in_table and tokens[index - 1].type != "heading_open":
                self._prose(token)

    def _heading(self, token: Token, inline: Token) -> None:
        number = _line(token)
        self._images(number, inline.content)
        if token.markup in ("=", "-") and _LONE_ROW.match(inline.content):
            return
        self.found.add_heading(number, int(token.tag[1]), plain(inline.content))

    def _images(self, number: int, raw: str) -> None:
        self.found.images.extend(Image(number, match[2]) for match in IMAGE.finditer(raw))

    def _prose(self, token: Token) -> None:
        for offset, raw in enumerate(token.content.split("\n")):
            number = _line(token) + offset
            self._images(number, raw)
            bold, text = _BOLD_LINE.fullmatch(raw), plain(raw)
            if self.items:
                if self.at_start:
                    self.items[-1] = text
                    self.at_start = False
                above = [item for item in self.items[:-1] if item]
                self.found.add_line(number, text, topic=above[-1] if above else None)
            else:
                if bold:
                    self.found.topic = plain(bold[1])
                self.found.add_line(number, text)

    def _code(self, token: Token) -> None:
        first = _line(token) + (1 if token.type == "fence" else 0)
        self.found.block += 1
        for offset, line in enumerate(token.content.split("\n")):
            self.found.code.append((first + offset, line))
        language = token.info.strip().lower()
        if language == "json" or (not language and token.content.lstrip().startswith("{")):
            structured = of_json(token.content, first_line=first)
        elif language in ("yaml", "yml"):
            structured = of_yaml(token.content, first_line=first)
        else:
            self._printed(token, first, language)
            return
        self.tables += structured.tables
        for number, text in structured.said:
            self.found.add_line(number, text)

    def _printed(self, token: Token, first: int, language: str) -> None:
        """Results on lines of their own: what a program prints beside a report, or alone. Not a program's text, nor a
        log, which has a result for each of its steps."""
        said = [(first + k, line.strip()) for k, line in enumerate(token.content.split("\n")) if line.strip()]
        results = [(number, text) for number, text in said if _RESULT.fullmatch(text)]
        labels = [re.split(r"[:=]", text)[0].strip().lower() for _, text in results]
        last = first + token.content.count("\n")
        is_report = not self.taken.isdisjoint(range(first - 1, last))
        if language not in _PRINTED or len(set(labels)) < len(labels) or any(_LOG.search(text) for _, text in said):
            return
        if is_report or len(results) == len(said):
            for number, text in results:
                self.found.add_line(number, text.replace("_", " "))

    def _html(self, token: Token) -> None:
        from harness.claims.pages import add_page  # a tenth of a second to import, for reports with HTML in them

        add_page(self.found, token.content, first_line=_line(token))

    def _table(self, tokens: Sequence[Token]) -> None:
        number = _line(tokens[0])
        rows: list[tuple[int, Cells]] = []
        for token in tokens:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                raw = self.lines[_line(token) - 1]
                rows.append((_line(token), cells_of(raw)))
        above = self.found.text_above(number)
        self.found.tables.append(Table(number, above, rows[0][1], tuple(rows[1:]), self.found.heading))
        self.found.block += 1


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 1


def cells_of(raw: str) -> Cells:
    """The cells of a row as they were written: a cell too few or too many is seen."""
    body = re.sub(r"^[\s>]*", "", raw).strip().removeprefix("|")
    if body.endswith("|") and not body.endswith("\\|"):
        body = body[:-1]
    return tuple(plain(cell.replace("\\|", "|")).strip(" `") for cell in re.split(r"(?<!\\)\|", body))


def _without_comments(text: str) -> str:
    """The text with only the line ends left of each comment; one that nobody closed is text."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept += [text[at:start], "\n" * text.count("\n", start, end)]
        at = end + 3
    return "".join([*kept, text[at:]])
