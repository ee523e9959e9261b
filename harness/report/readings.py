"""How is it said what of a set was read as what?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from harness.core.text import brief, first_few
from harness.data.records import Reading

MOST_NAMED = 8
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def reading_told(reading: Reading) -> Iterator[str]:
    """One sentence for each thing that whoever brought the set may not expect; none for a set as it is asked for.

    >>> list(reading_told(Reading(unread=("age",), litter=("a/.DS_Store", "b/.DS_Store"))))
    ["the table's column 'age' was not read", 'passed by as litter: .DS_Store (2)']
    """
    if reading.parts:
        yield f"part folders: {_pairs(reading.parts)}"
    if reading.labels:
        yield f"labels: {_pairs(reading.labels)}"
    if mapped := {column: role for role, column in reading.columns.items() if column != role}:
        yield f"columns: {_pairs(mapped)}"
    if reading.delimiter not in (None, ","):
        yield f"the table is read with {DELIMITERS.get(str(reading.delimiter), 'another delimiter')} between its cells"
    if reading.unread:
        yield f"the table's {_columns(reading.unread)} not read"
    if reading.unused:
        yield f"the table's {_columns(reading.unused)} not read: the protocol declares it unused"
    if reading.within:
        yield (
            f"not read: what sub-folders of the class folders stand for, {_first(reading.within)}. Where they are "
            "patients, slides or sites, name a table with a column of these, or cells of one can come into two parts"
        )
    if reading.litter:
        kinds = Counter(_name(path) for path in reading.litter)
        yield f"passed by as litter: {', '.join(first_few([f'{name} ({n})' for name, n in kinds.items()], MOST_NAMED))}"


def _pairs(read_as: Mapping[str, str]) -> str:
    return ", ".join(first_few([f"{brief(written)} is {meant}" for written, meant in read_as.items()], MOST_NAMED))


def _columns(names: Iterable[str]) -> str:
    names = list(names)
    return f"column {_first(names)} was" if len(names) == 1 else f"columns {_first(names)} were"


def _first(names: Iterable[str]) -> str:
    return ", ".join(first_few([brief(name) for name in names], MOST_NAMED))


def _name(path: str) -> str:
    name = PurePosixPath(path).name
    return "._*" if name.startswith("._") else f"{name}/" if path.endswith("/") else name
