"""What does a table with a model a row state? The accuracy of each, which the table of that model has to bear out."""

from __future__ import annotations

import re

from harness.claims.cells import TableReading, alone, in_percent
from harness.claims.document import Table
from harness.claims.subjects import SEVERAL, label_of, subject_of
from harness.claims.vocabulary import SET

_MODEL_HEADS = re.compile(
    r"(?:\w+ )?(?:models?|methods?|approach(?:es)?|algorithms?|classifiers?|architectures?|backbones?|networks?|works?|"
    r"nets?|variants?|config\w*|systems?|baselines?|techniques?|encoders?|experiments?|runs?|seeds?|readers?|sites?)"
    r"(?: ?(?:name|id|#|no\.?))?",
    re.IGNORECASE,
)
_OF_SET = rf"{SET}(?:[\s_-]+set)?"
_ACCURACY_HEAD = re.compile(
    rf"(?:(?P<before>{_OF_SET})[\s_-]+)?(?:overall |top[\s-]?1 )?acc(?:uracy|\.)?"
    rf"(?:,? *[(\[]? *(?:on (?:the )?)?(?P<after>{_OF_SET})[)\]]?)?",
    re.IGNORECASE,
)
_CITED = re.compile(r"\s*(?:\[\d+(?:\s*[,\u2013-]\s*\d+)*\]|\[\^\w+\]|\(\d{4}\))")


def read_compared(table: Table) -> TableReading | None:
    """Read each accuracy as a line "model: set accuracy value"; None if rows are not models or none has an accuracy.

    A table in which two rows have the same name is left alone: whose accuracy it states is unclear.
    """
    head = _plain(table.header[0])
    columns = [(k, match) for k, each in enumerate(table.header) if k and (match := _accuracy_head(each))]
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header) and cells[0].strip()]
    if not columns or not rows or not (_MODEL_HEADS.fullmatch(head) or all(subject_of(cells[0]) for _, cells in rows)):
        return None
    names = [_named(head, _CITED.sub("", _plain(cells[0]))) for _, cells in rows]
    if None in names or len(set(names)) < len(names):
        return alone(table, "compares rows whose names do not say which of the report's models each is")
    said: list[tuple[int, str]] = []
    for k, match in columns:
        of = _plain(match["before"] or match["after"] or "").replace("_", " ")
        percent = in_percent(table.header[k], [cells[k] for _, cells in rows])
        for (line, cells), name in zip(rows, names, strict=True):
            value = _plain(cells[k])
            if re.search(r"\d", value):
                sign = " %" if percent and re.fullmatch(r"[\d.]+", value) else ""
                said.append((line, f"{name}: {of} accuracy {value}{sign}".replace(":  ", ": ")))
    return TableReading("compared", said=tuple(said))


def _accuracy_head(text: str) -> re.Match[str] | None:
    return _ACCURACY_HEAD.fullmatch(re.sub(r"\s*[\[(]\s*%\s*[\])]|%", "", _plain(text)).strip())


def _named(head: str, name: str) -> str | None:
    """The row's name as a line of prose would give it; None where no line could mean it by that name."""
    for text in (name, f"{head.split()[0] if head else ''} {name}".strip()):
        found = subject_of(text)
        if found == SEVERAL:
            return None
        if found is not None:
            return text
    return name if label_of(f"{name}: ") is not None else None


def _plain(text: str) -> str:
    return text.strip(" *`_:")
