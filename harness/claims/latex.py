r"""Which lines of LaTeX are a table, a title or a caption? `tabular` becomes a table; \section becomes a heading.

Read from the raw lines, before anything else, so that a fenced piece of LaTeX in Markdown is read, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.claims.document import MOST_CHARACTERS, Table

_KINDS = r"\{(?:tabular[xy*]?|longtable|array|tabulary)\*?\}"
_BEGIN, _END = re.compile(rf"\\begin\s*{_KINDS}"), re.compile(rf"\\end\s*{_KINDS}")
_FLOAT = re.compile(r"\\(?P<which>begin|end)\s*\{(?:table|sidewaystable|longtable|wraptable)\*?\}")
_ARGUMENTS = re.compile(r"^(?:\s*\[[^\]]*\]|\s*\{(?:[^{}]|\{[^{}]*\})*\})+")  # the columns' alignment
_SECTION = re.compile(
    r"^\s*\\(?P<kind>title|chapter|section|subsection|subsubsection|paragraph)\*?\s*\{(?P<title>[^{}]*)\}"
)
_LEVELS = {"title": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5}
_CAPTION = re.compile(r"\\caption(?:\[[^\]]*\])?\s*\{(?P<text>(?:[^{}]|\{[^{}]*\})*)\}")
_RULE = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|addlinespace|endhead|endfirsthead|endfoot|endlastfoot|"
    r"(?:cline|cmidrule)(?:\([^)]*\))?\s*\{[^{}]*\})(?:\[[^\]]*\])?"
)
_SPAN = re.compile(r"\\multi(?:column|row)\s*\{[^{}]*\}\s*\{[^{}]*\}\s*\{(?P<text>[^{}]*)\}")
_AROUND = re.compile(
    r"\\(?:textbf|textit|emph|texttt|textrm|textsc|mathbf|mathrm|underline|num|text)\s*\{(?P<text>[^{}]*)\}"
)
_SILENT = re.compile(r"\\(?:label|cite\w*|ref|centering|small|footnotesize|noindent|bfseries)\b(?:\s*\{[^{}]*\})?")
_MARKS = ((r"\%", "%"), (r"\&", "&"), (r"\_", "_"), (r"\#", "#"), (r"\pm", "±"), (r"\,", " "), ("~", " "), ("$", ""))
_COMMENT = re.compile(r"(?<!\\)%.*")
_MOST_ROWS = 2_000


def take_latex(lines: list[str]) -> list[Table]:
    """Take the tables out: their lines become empty, and titles become Markdown's. Without a table nothing changes."""
    if not any(_BEGIN.search(line) for line in lines):
        return []
    captions = _captions(lines)
    tables: list[Table] = []
    at = 0
    while at < len(lines):
        begin = _BEGIN.search(lines[at]) if len(lines[at]) <= MOST_CHARACTERS else None
        if begin is None:
            lines[at] = _prose(lines[at])
            at += 1
            continue
        table, end = _table(lines, at, begin.end(), captions.get(at, ""))
        if table is not None:
            tables.append(table)
        lines[at:end] = [""] * (end - at)
        at = end
    return tables


def _table(lines: Sequence[str], start: int, column: int, caption: str) -> tuple[Table | None, int]:
    rows: list[tuple[int, tuple[str, ...]]] = []
    row, at = "", start
    while at < len(lines) and len(rows) < _MOST_ROWS:
        line = lines[at][column:] if at == start else lines[at]
        line = _COMMENT.sub("", line) if len(line) <= MOST_CHARACTERS else ""
        end = _END.search(line)
        text = line[: end.start()] if end else line
        row += " " + (_ARGUMENTS.sub("", text) if at == start else text)
        *whole, row = re.split(r"\\\\(?:\[[^\]]*\])?", row)
        at += 1
        if end:
            whole.append(row)
        rows += [(at, cells) for part in whole if (cells := _cells(part))]
        if end:
            break
    if len(rows) < 2:
        return None, at
    return Table(start + 1, caption, rows[0][1], tuple(rows[1:]), None), at


def _cells(part: str) -> tuple[str, ...]:
    text = _SPAN.sub(lambda match: match["text"], _RULE.sub(" ", part))
    cells = tuple(_plain(cell) for cell in re.split(r"(?<!\\)&", text))
    return cells if any(cells) else ()


def _captions(lines: Sequence[str]) -> dict[int, str]:
    """The caption of each table's first line, by the float that both stand in."""
    found: dict[int, str] = {}
    tables: list[int] = []
    caption = ""
    for at, line in enumerate(lines):
        if len(line) > MOST_CHARACTERS:
            continue
        edge, said = _FLOAT.search(line), _CAPTION.search(line)
        if edge is not None and edge["which"] == "begin":
            tables, caption = [], ""
        caption = _plain(said["text"]) if said else caption
        if _BEGIN.search(line):
            tables.append(at)
        if edge is not None and edge["which"] == "end":
            found.update((table, caption) for table in tables)
    return found


def _prose(line: str) -> str:
    if len(line) > MOST_CHARACTERS or "\\" not in line:
        return line
    section = _SECTION.match(line)
    if section is not None:
        return "#" * _LEVELS[section["kind"]] + " " + _plain(section["title"])
    if _CAPTION.search(line) or _FLOAT.search(line):
        return ""
    return _plain(_COMMENT.sub("", line))


def _plain(text: str) -> str:
    for _ in range(3):  # emphasis within emphasis
        text = _AROUND.sub(lambda match: match["text"], text)
    text = _SILENT.sub(" ", text)
    for mark, plain in _MARKS:
        text = text.replace(mark, plain)
    return " ".join(text.split())
