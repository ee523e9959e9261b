"""Which lists state precision, recall and F1 line by line? "- Basophil: precision 0.95, recall 0.93, F1 0.94 (n = 40)".

Such a list is a table whose first column is the names, and so are sections "### Basophil", each with three such lines.
Whether the names are classes is asked of it like of any table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from harness.claims.cells import metric_of
from harness.claims.document import Document, Line, Table
from harness.claims.subjects import subject_of

_LINE = re.compile(r"\W*(?P<name>[^\W_][^:=|]{0,40}?)\s*(?::|\s[-\u2013\u2014])\s+(?P<rest>\S.*)")
_PART = re.compile(
    r"(?:and\s+)?(?P<metric>[A-Za-z][A-Za-z0-9 -]{0,30}?)\s*(?:[:=]|\bof\b|\bis\b)?\s*"
    r"(?P<value>\d{1,3}(?:\.\d{1,12})?\s?%|0?\.\d{1,12}|1\.0{1,12}|[01])"
)
_SUPPORT = re.compile(
    r"[\s,;]*[(\[]?\s*(?:n\s*=\s*|support:?\s*)?(?P<n>\d{1,7})\s*(?:images?|cells?|samples?)?\s*[)\]]?\W*",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"\bn\s*=|support|images?|cells?|samples?", re.IGNORECASE)
# "By class balance" is of something else.
_CLASSES = re.compile(
    r"\b(?:(?:per|each|every|by|for)[\s-]+(?:class|label|category|cell type|species)(?!\s+[a-z]|-)|class[\s-]?wise|"
    r"per[\s-]class|(?:the|all|of|for|our) (?:\w+ )?(?:classes|labels|categories|cell types|species))\b",
    re.IGNORECASE,
)
_LETTERS = {"P": "precision", "R": "recall"}


def with_listed_tables(document: Document) -> Document:
    """The same document, each such list a table in place of its lines."""
    tables: list[Table] = []
    taken: set[int] = set()
    for _, group in groupby(document.lines, key=lambda line: (line.heading, line.block)):
        lines = list(group)
        table = _table(document, lines)
        if table is not None:
            tables.append(table)
            taken.update(number for number, _ in table.rows)
    for table, own in _of_sections(document):
        tables.append(table)
        taken |= own
    if not tables:
        return document
    kept = tuple(line for line in document.lines if line.number not in taken)
    return replace(document, lines=kept, tables=tuple(sorted((*document.tables, *tables), key=lambda each: each.line)))


def _of_sections(document: Document) -> Iterator[tuple[Table, set[int]]]:
    """Sections beside each other, each with nothing but a precision, a recall and an F1 on lines of their own."""
    sections: dict[tuple[int | None, int], list[tuple[int, dict[str, str], list[int]]]] = {}
    with_tables = {table.heading for table in document.tables}
    for index, heading in enumerate(document.headings):
        lines = [line for line in document.lines if line.heading == index]
        read = [_PART.fullmatch(re.sub(r"^\W+", "", line.text).strip(" .")) for line in lines]
        own = {metric_of(match["metric"].strip()) or "": match["value"] for match in read if match is not None}
        if index not in with_tables and len(own) == len(lines) >= 2 and "" not in own:
            sections.setdefault((heading.parent, heading.level), []).append((index, own, [a.number for a in lines]))
    for (parent, level), group in sections.items():
        beside = [k for k, each in enumerate(document.headings) if (each.parent, each.level) == (parent, level)]
        names = [document.headings[index].title for index, *_ in group]
        metrics = tuple(group[0][1])
        if len(group) < 2 or len(beside) > len(group) or len(set(names)) < len(names) or any(map(subject_of, names)):
            continue
        if any(tuple(shares) != metrics for _, shares, _ in group):
            continue
        title = document.headings[parent].title if parent is not None else ""
        above = [line.text for line in document.lines if line.heading == parent]
        head = "class" if _CLASSES.search(" | ".join((title, *above[-1:]))) else ""
        rows = tuple((lines[0], (name, *own.values())) for name, (_, own, lines) in zip(names, group, strict=True))
        table = Table(group[0][2][0], title, (head, *metrics), rows, parent)
        yield table, {number for *_, lines in group for number in lines}


def _table(document: Document, lines: Sequence[Line]) -> Table | None:
    read = [(line, row) for line in lines if (row := _row(line.text)) is not None]
    if len(read) < 2 or len(read) < len(lines):
        return None
    metrics = read[0][1][1]
    names = [row[0] for _, row in read]
    same = all(row[1] == metrics and (row[3] is None) == (read[0][1][3] is None) for _, row in read)
    if not same or len(set(names)) < len(names) or any(map(subject_of, names)):
        return None
    first = read[0][0]
    title = document.headings[first.heading].title if first.heading is not None else ""
    above = next((line.text for line in reversed(document.lines) if first.number - 3 <= line.number < first.number), "")
    counted = read[0][1][3] is not None
    head = "class" if counted or _CLASSES.search(f"{title} | {above} | {first.topic}") else ""
    header = (head, *metrics, *(("support",) if counted else ()))
    rows = tuple(
        (line.number, (name, *values, *((support,) if support is not None else ())))
        for line, (name, _, values, support) in read
    )
    return Table(first.number, above, header, rows, first.heading)


def _row(text: str) -> tuple[str, tuple[str, ...], tuple[str, ...], str | None] | None:
    """Name, metrics, values and support of a line that says nothing else; at least two metrics."""
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    rest, support = match["rest"].strip(), None
    counted = re.search(r"[(\[,;]\s*(?:n\s*=|support)[^()\[\]]*[)\]]?\W*$|[(\[]\s*\d+ [a-z]+\s*[)\]]\W*$", rest, re.I)
    if counted is not None and (n := _SUPPORT.fullmatch(counted[0])) and _COUNTED.search(counted[0]):
        rest, support = rest[: counted.start()], n["n"]
    metrics, values = [], []
    for part in re.split(r"\s*[,;|/]\s*|\s+and\s+", rest.strip(" .;,")):
        said = _PART.fullmatch(part)
        if said is None:
            return None
        name = _LETTERS.get(said["metric"].strip()) or metric_of(said["metric"].strip())
        if name is None:
            return None
        metrics.append(name)
        values.append(said["value"])
    if len(metrics) < 2 or len(set(metrics)) < len(metrics):
        return None
    return match["name"].strip(), tuple(metrics), tuple(values), support
