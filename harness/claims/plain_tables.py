"""Which lines of plain text are a table of results? Classification reports and matrices, wherever they are printed.

Read from the raw lines, before anything else: an indented report is code to Markdown in some lines and prose in others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.claims.document import MOST_CHARACTERS, Table

_COLUMNS = re.compile(
    r"precision|prec|recall|sensitivity|specificity|f1(?:[-_ ]?score)?|f-score|fscore|support|auc|accuracy|npv",
    re.IGNORECASE,
)
_VALUE = re.compile(r"(?:\d+(?:[.,]\d+)?%?|nan|n/a|-)", re.IGNORECASE)
_GUTTER = re.compile(r"^[\s#>|]*")
_HASHES = re.compile(r"^\s*(?:#|//|>)\s?")
_MATRIX_OPEN = re.compile(r"^\W*(?:(?P<label>[A-Za-z][\w\s()-]{0,80}?)[:=]?\s*)?(?:array\()?\[\s*\[")
_FEWEST = 2  # rows below a head
_MOST_BLANK = 2  # lines between the rows of one report


def report_at(lines: Sequence[str], at: int) -> tuple[Table | None, int]:
    """The report or matrix that begins at a line, and the index of the first line after it; (None, at) for neither."""
    heads = _heads(lines[at])
    table, after = _report(lines, at, heads) if heads else (None, at)
    return (table, after) if table is not None else _matrix(lines, at)


def _heads(line: str) -> list[str]:
    """The column heads, where the line holds nothing else: at least two, one of them precision, recall or F1."""
    if len(line) > 400 or "|" in line:
        return []
    words = re.split(r"\s+", re.sub(r"(?i)\bf1 score\b", "f1-score", _HASHES.sub("", line)).strip())
    if len(words) < 2 or not all(_COLUMNS.fullmatch(word) for word in words):
        return []
    return words if any(re.match(r"prec|recall|f1|f-?score", word, re.IGNORECASE) for word in words) else []


def _report(lines: Sequence[str], start: int, heads: list[str]) -> tuple[Table | None, int]:
    rows: list[tuple[int, tuple[str, ...]]] = []
    at, end, blank = start + 1, start + 1, 0
    while at < len(lines) and blank <= _MOST_BLANK and len(lines[at]) <= MOST_CHARACTERS:
        row = _HASHES.sub("", lines[at]) if lines[start].lstrip().startswith(("#", ">")) else lines[at]
        cells = _cells(row, len(heads))
        if cells is not None:
            rows.append((at + 1, cells))
            end, blank = at + 1, 0
        elif row.strip():
            break
        else:
            blank += 1
        at += 1
    if len(rows) < _FEWEST:
        return None, start
    return Table(start + 1, "", ("class", *heads), tuple(rows), None), end


def _cells(row: str, n: int) -> tuple[str, ...] | None:
    """A name (which may hold spaces and digits) and n values; "accuracy" has its value before the last."""
    words = row.split()
    values: list[str] = []
    while words and len(values) < n and _VALUE.fullmatch(words[-1]):
        values.insert(0, words.pop())
    name = " ".join(words)
    if len(values) == n and name:
        return name, *values
    if re.fullmatch(r"(?:micro |overall )?accuracy", name, re.IGNORECASE) and 1 <= len(values) <= 2:
        blanks = [""] * (n - len(values))
        return (name, *blanks, *values) if len(values) == 2 else (name, *blanks[:-1], *values, "")
    return None


def _matrix(lines: Sequence[str], start: int) -> tuple[Table | None, int]:
    """`[[58 11]` and the lines up to `]]`: counts without names."""
    if len(lines[start]) > MOST_CHARACTERS or not _MATRIX_OPEN.match(lines[start]):
        return None, start
    text = lines[start][lines[start].index("[") :]
    at = start + 1
    while not re.search(r"\]\s*\]", text):
        if at >= len(lines) or at - start > 100 or not re.match(r"^[\s#>]*\[[\d\s,]*\]", lines[at]):
            return None, start
        text += " " + _HASHES.sub("", lines[at])
        at += 1
    counts = list(_rows(text[: re.search(r"\]\s*\]", text).end()]))  # type: ignore[union-attr]
    n = len(counts)
    if n < 2 or any(len(row) != n for row in counts):
        return None, start
    rows = tuple((start + 1 + min(i, at - start - 1), ("", *row)) for i, row in enumerate(counts))
    label = lines[start][: lines[start].index("[")].strip(" :=*_#`")
    return Table(start + 1, label, ("[[]]", *[""] * n), rows, None), at


def _rows(text: str) -> Iterator[tuple[str, ...]]:
    for inner in re.findall(r"\[([\d\s,]+)\]", text):
        yield tuple(re.split(r"[\s,]+", inner.strip(" ,")))
