"""What does one cell of a table say? Shares, counts, fractions, and the names of columns and classes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from harness.claims.document import Table
from harness.claims.phrases import without_intervals
from harness.claims.records import Content, Place, Printed, Problem, Unread, printed, whole

METRICS = {
    "precision": re.compile(r"precision|prec\.?|ppv|positive predictive value", re.IGNORECASE),
    "recall": re.compile(r"recall|sensitivity|tpr|true positive rate|rec\.?", re.IGNORECASE),
    "f1": re.compile(r"f[-_ ]?1(?:[-_ ]?(?:score|measure))?|f[-_ ]?(?:score|measure)", re.IGNORECASE),
    "specificity": re.compile(r"specificity|tnr|true negative rate|selectivity", re.IGNORECASE),
    "npv": re.compile(r"npv|negative predictive value", re.IGNORECASE),
}
SUPPORT = re.compile(
    r"(?:test )?support|n|count|counts|# ?(?:images|cells|samples)|"
    r"(?:n(?:o\.?|umber) of )?(?:images|cells|samples|examples|instances)",
    re.IGNORECASE,
)
_WHOLE = r"\d{1,3}(?:[,'\u2019 ]\d{3})+|\d{1,12}"
_FLOATED = re.compile(r"(\d{1,12})\.0+")  # pandas prints counts beside shares as floats
_COUNTED = re.compile(rf"({_WHOLE})\s*/\s*({_WHOLE})(?:\s*\(\s*([\d.,]+\s*%)\s*\))?")
_COUNTED_AFTER = re.compile(rf"(\d[\d.]*\s*%?)\s*[(\[]\s*({_WHOLE})\s*(?:/|of)\s*({_WHOLE})\s*[)\]]")


@dataclass(frozen=True, slots=True)
class Read:
    """One content from a table. set: only where the table itself names it (a table of sets)."""

    content: Content
    places: tuple[Place, ...]
    set: str | None = None


@dataclass(frozen=True, slots=True)
class TableReading:
    """
    kind: "classes", "matrix", "sets", "values" or "" (left alone).
    is_open: the classes may not be all there are, so predicted counts need not add up.
    has_some: it says that they are not.
    said:  (line, text) of rows that read like a line of prose.
    unread: what in it was recognised and not understood.
    """

    kind: str
    classes: tuple[str, ...] = ()
    found: tuple[Read, ...] = ()
    problems: tuple[Problem, ...] = ()
    unread: tuple[Unread, ...] = ()
    is_open: bool = False
    has_some: bool = False
    said: tuple[tuple[int, str], ...] = ()


def alone(table: Table, why: str) -> TableReading:
    return TableReading("", unread=(Unread(f"the table in line {table.line} {why}", table.line),))


@lru_cache(maxsize=4096)
def class_key(name: str) -> str:
    """What two spellings of one class have in common: case, hyphens and the plural do not tell classes apart."""
    key = re.sub(r"[\s_-]+", " ", name.lower()).strip()
    return key[:-1] if len(key) > 3 and key.endswith("s") and not key.endswith("ss") else key


def spelling(classes: tuple[str, ...]) -> dict[str, str]:
    return {class_key(name): name for name in classes}


def is_head(pattern: re.Pattern[str], head: str) -> bool:
    return bool(pattern.fullmatch(_bare(head)))


@lru_cache(maxsize=4096)  # a table is asked for two dozen kinds of columns
def _bare(head: str) -> str:
    return re.sub(r"\s*[\[(]\s*%?\s*[\])]|%|[:*`]", "", head).strip()


@lru_cache(maxsize=4096)
def metric_of(head: str) -> str | None:
    return next((name for name, pattern in METRICS.items() if is_head(pattern, head)), None)


def place(file: str, line: int, cells: tuple[str, ...]) -> Place:
    return Place(file, line, " | ".join(cells))


def count(cell: str) -> int | None:
    text = cell.strip()
    match = re.fullmatch(_WHOLE, text)
    if match:
        return whole(match[0])
    floated = _FLOATED.fullmatch(text)
    return int(floated[1]) if floated else None


def in_percent(head: str, cells: list[str]) -> bool | None:
    """None: each cell's own % sign decides. Bare numbers from 2 to 100 can only be percent."""
    if "%" in head:
        return True
    bare = [share.value for cell in cells if "%" not in cell and (share := share_of(cell, None)[0]) is not None]
    if bare and max(bare) >= 2 and max(bare) <= 100:
        return True
    return None


def share_of(cell: str, percent: bool | None) -> tuple[Printed | None, tuple[int, int] | None]:
    match = _COUNTED.fullmatch(cell.strip())
    if match:
        k, n = whole(match[1]), whole(match[2])
        if match[3]:
            return printed(match[3]), (k, n)
        return (Printed(cell.strip(), Fraction(k, n), Fraction(0)) if 0 <= k <= n and n else None), (k, n)
    if (match := _COUNTED_AFTER.fullmatch(cell.strip())) is not None:
        return printed(match[1], percent=percent), (whole(match[2]), whole(match[3]))
    return printed(without_intervals(cell.strip()), percent=percent), None


def prints(pair: tuple[int, int], share: Printed) -> bool:
    if pair[1] == 0:
        return False
    exact = Fraction(*pair)
    return any(low <= exact <= high for low, high in (share.band("nearest"), share.band("truncated")))
