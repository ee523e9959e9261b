"""What do JSON, YAML and notebooks state? Made into the tables and lines that they would be in a report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.claims.cells import metric_of
from harness.claims.document import Table

_SUPPORT = ("support", "n", "count")
_SCALAR = re.compile(
    r"(?:(?:test|val(?:idation)?|train(?:ing)?|eval|external)[_ ])?(?:balanced[_ ])?"
    r"(?:accuracy|acc|error[_ ]rate|sensitivity|specificity|precision|recall|f1(?:[_ -]?score)?|auc|roc[_ ]?auc|"
    r"kappa|mcc|(?:accuracy|precision|recall|f1|kappa|mcc)_score|(?:true|false)_(?:positive|negative)s?|"
    r"tp|fp|fn|tn|(?:macro|weighted|micro)[_ ](?:precision|recall|f1(?:[_ -]?score)?)|"
    r"(?:precision|recall|f1)[_ ](?:macro|weighted|micro))",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-+]?(?:\d[\d.]*(?:e[-+]?\d+)?|\.?inf(?:inity)?|\.?nan)%?", re.IGNORECASE)
_MOST_DEEP = 12
_MOST_CELLS = 10_000


@dataclass(frozen=True, slots=True)
class Structured:
    """tables: as they would stand in a report; said: (line, "name: value")."""

    tables: tuple[Table, ...]
    said: tuple[tuple[int, str], ...]


NOTHING = Structured((), ())


def of_json(text: str, *, first_line: int = 1) -> Structured:
    """Tables and values of a JSON text; nothing where it is none. Numbers keep the digits that are written."""
    try:
        content = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return NOTHING
    return _walk(content, text, first_line)


def of_yaml(text: str, *, first_line: int = 1) -> Structured:
    """The same of YAML, such as the head of a model card."""
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.load(text, Loader=yaml.BaseLoader)  # every scalar as the text it was written as
    except (yaml.YAMLError, RecursionError, ValueError):
        return NOTHING
    return _walk(content, text, first_line)


def _walk(content: Any, text: str, first_line: int) -> Structured:
    lines = _Lines(text.split("\n"), first_line)
    tables: list[Table] = []
    said: list[tuple[int, str]] = []
    for path, value in _mappings(content, (), set()):
        table = _class_table(value, path, lines)
        if table is not None:
            tables.append(table)
            continue
        said += _scalars(value, path, lines)
        for key, inner in value.items():
            if _is_matrix(inner) and "matrix" in str(key).lower():
                rows = tuple((lines.of(str(key)), ("", *map(str, row))) for row in inner)
                tables.append(Table(lines.of(str(key)), _words(path), ("[[]]", *[""] * len(inner)), rows, None))
    return Structured(tuple(tables), tuple(said))


@dataclass
class _Lines:
    """Finds the line of a key, in the order of the text."""

    lines: Sequence[str]
    first: int
    at: int = 0

    def of(self, key: str) -> int:
        number: int
        wanted = re.compile(rf"""(?<![\w.])["']?{re.escape(key)}["']?\s*:|:\s*["']?{re.escape(key)}["']?\s*$""")
        for number in [*range(self.at, len(self.lines)), *range(self.at)]:
            if wanted.search(self.lines[number]):
                self.at = number
                return self.first + number
        return self.first


def _mappings(
    content: Any, path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every mapping, outermost first; those inside a class table belong to it.

    seen: what was walked: an alias of YAML is the very same object again, and nine aliases of nine are 81 walks.
    """
    if len(path) > _MOST_DEEP or id(content) in seen:
        return
    seen.add(id(content))
    if isinstance(content, Mapping):
        yield path, content
        if _class_rows(content) < 2:
            for key, value in content.items():
                yield from _mappings(value, (*path, str(key)), seen)
    elif isinstance(content, list) and len(content) <= _MOST_CELLS:
        for value in content:
            if isinstance(value, Mapping | list):
                yield from _mappings(value, path, seen)


def _class_rows(value: Mapping[str, Any]) -> int:
    return sum(1 for row in value.values() if _is_row(row))


def _is_row(row: object) -> bool:
    return isinstance(row, Mapping) and len(_metrics(row)) >= 2


def _metrics(row: Mapping[str, Any]) -> dict[str, str]:
    found = {name: str(key) for key in row if (name := metric_of(str(key))) and isinstance(row[key], str)}
    support = next((str(key) for key in row if str(key).lower() in _SUPPORT and isinstance(row[key], str)), None)
    return {**found, "support": support} if support is not None else found


def _class_table(value: Mapping[str, Any], path: tuple[str, ...], lines: _Lines) -> Table | None:
    """classification_report(output_dict=True): a mapping of classes to mappings of metrics."""
    if _class_rows(value) < 2:
        return None
    columns = next(list(_metrics(row)) for row in value.values() if _is_row(row))
    rows: list[tuple[int, tuple[str, ...]]] = []
    for key, row in value.items():
        if isinstance(row, Mapping):
            own = _metrics(row)
            cells = [str(row[own[name]]) if name in own else "" for name in columns]
            rows.append((lines.of(str(key)), (str(key), *cells)))
        elif isinstance(row, str) and str(key).lower() == "accuracy":
            at = columns.index("f1") if "f1" in columns else 0
            cells = ["" for _ in columns]
            cells[at] = row
            rows.append((lines.of(str(key)), (str(key), *cells)))
    return Table(rows[0][0], _words(path), ("class", *columns), tuple(rows), None)


def _scalars(value: Mapping[str, Any], path: tuple[str, ...], lines: _Lines) -> Iterator[tuple[int, str]]:
    kind = value.get("type")
    if isinstance(kind, str) and isinstance(value.get("value"), str) and _SCALAR.fullmatch(kind):
        yield lines.of(kind), f"{_spoken(kind)}: {value['value']}"  # a metric of a model card
        return
    for key, inner in value.items():
        if isinstance(inner, str) and _SCALAR.fullmatch(str(key)) and _NUMBER.fullmatch(inner):
            yield lines.of(str(key)), f"{_spoken(str(key))}: {inner}"


def _spoken(key: str) -> str:
    words = key.replace("_", " ")
    words = re.sub(r"\bacc\b", "accuracy", words, flags=re.IGNORECASE)
    return re.sub(r"^(precision|recall|f1(?: score)?) (macro|weighted|micro)$", r"\2 \1", words, flags=re.IGNORECASE)


def _words(path: tuple[str, ...]) -> str:
    return " ".join(key.replace("_", " ") for key in path)


def _is_matrix(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 2 <= len(value) <= 100
        and all(isinstance(row, list) and len(row) == len(value) for row in value)
        and all(isinstance(cell, str) for row in value for cell in row)
    )


# --- notebooks --------------------------------------------------------------------------------------


def markdown_of_notebook(text: str) -> list[tuple[int, str]] | None:
    """The cells of a Jupyter notebook as lines of Markdown, each with its line in the file; None where it is none."""
    try:
        content = json.loads(text)
        cells = content["cells"] if isinstance(content, dict) else None
    except (ValueError, RecursionError, KeyError):
        return None
    if not isinstance(cells, list):
        return None
    raw, at = text.split("\n"), 0
    found: list[tuple[int, str]] = []

    def add(piece: str) -> None:
        nonlocal at
        for line in piece.split("\n"):
            written = json.dumps(line, ensure_ascii=False)[1:-1]
            where = next((n for n in range(at, min(len(raw), at + 2_000)) if written and written in raw[n]), at)
            at = where
            found.append((where + 1, line))

    for cell in cells:
        if not isinstance(cell, dict):
            continue
        if cell.get("cell_type") == "markdown":
            add(_joined(cell.get("source")))
            add("")
        for output in cell.get("outputs") or () if isinstance(cell.get("outputs"), list) else ():
            for piece, is_page in _output(output):
                add(piece if is_page else f"\n```\n{piece}\n```")
                add("")
    return found


def _output(output: Any) -> Iterator[tuple[str, bool]]:
    if not isinstance(output, dict):
        return
    data = output.get("data")
    if isinstance(data, dict):
        page = _joined(data.get("text/html"))
        if "<table" in page:
            yield re.sub(r"\n\s*\n", "\n", page), True
        else:
            yield _joined(data.get("text/plain")), False
    elif output.get("output_type") == "stream":
        yield _joined(output.get("text")), False


def _joined(source: Any) -> str:
    if isinstance(source, list):
        return "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""
