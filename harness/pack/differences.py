"""Where does a file of a pack differ from the one that follows from the rest of it?

Integers, digests and words must be equal; a fraction may differ by 1e-9 of its size, because another machine may round
the last bits otherwise.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from harness.pack.read import Pack
from harness.pack.rebuilding.frame import Discrepancy
from harness.pack.tables import as_json, finite

RELATIVE_TOLERANCE = 1e-9
SMALLEST = 1e-12  # differences of two fractions may be 0 on one machine and a rounding error on another
MOST_PER_FILE = 12


def first_of(found: Iterable[Discrepancy], name: str) -> list[Discrepancy]:
    listed = list(found)
    more = len(listed) - MOST_PER_FILE
    rest = [Discrepancy(name, "", f"and {more} more places that differ")] if more > 0 else []
    return listed[:MOST_PER_FILE] + rest


def compared(pack: Pack, name: str, expected: bytes) -> Iterator[Discrepancy]:
    """Where a file differs from the one that follows from the rest of the pack."""
    if name not in pack.files:
        yield Discrepancy(name, "", "the run has this file to write, and it is not there")
        return
    found = pack.read(name)
    if found == expected:
        return
    kind, n_found = PurePosixPath(name).suffix, 0
    places = {".json": _in_json, ".csv": _in_table}.get(kind, in_lines)
    for field, message in places(found, expected):
        n_found += 1
        yield Discrepancy(name, field, message)
    if not n_found and (kind != ".json" or found != as_json(_parsed(found))):
        yield Discrepancy(name, "", "it says the right thing in another spelling: it was written by something else")


def _in_json(found: bytes, expected: bytes) -> Iterator[tuple[str, str]]:
    try:
        return differences(_parsed(found), _parsed(expected), "")
    except (ValueError, RecursionError) as error:
        return iter([("", f"it is not JSON ({error})")])


def _parsed(content: bytes) -> object:
    return json.loads(content)


def plain(value: object) -> Any:
    """A value as it is read back from `as_json`, which writes it for people and takes longer."""
    return json.loads(json.dumps(finite(value), allow_nan=False))


def differences(found: object, expected: object, field: str) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) of every place at which two JSON values differ by more than rounding."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in dict.fromkeys([*expected, *found]):
            here = f"{field} > {key}" if field else str(key)
            if key not in found and expected[key] is None:
                continue  # a newer harness has a place for what the run's did not know of
            if key not in found:
                yield here, f"is missing; {_brief(expected[key])} follows from the rest of the pack"
            elif key not in expected:
                yield here, f"{_brief(found[key])} is written, and nothing belongs here"
            else:
                yield from differences(found[key], expected[key], here)
    elif isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            yield field, f"{len(found)} entries are written, {len(expected)} follow from the rest of the pack"
        for place, (one, other) in enumerate(zip(found, expected, strict=False)):
            label = other.get("criterion", place) if isinstance(other, dict) else place
            yield from differences(one, other, f"{field} > {label}")
    elif not _same(found, expected):
        yield field, f"{_brief(found)} is written, {_brief(expected)} follows from the rest of the pack"


def _same(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=RELATIVE_TOLERANCE, abs_tol=SMALLEST)
    return type(found) is type(expected) and found == expected


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."


def _in_table(found: bytes, expected: bytes) -> Iterator[tuple[str, str]]:
    try:
        ours, theirs = (
            list(csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline=""), strict=True))
            for content in (found, expected)
        )
    except csv.Error as error:
        yield "", f"it cannot be read as a table ({error})"
        return
    if len(ours) != len(theirs):
        yield "rows", f"{len(ours)} are written, {len(theirs)} follow from the rest of the pack"
    for number, (row, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        for column, (cell, wanted) in enumerate(zip(row, other, strict=False)):
            if cell != wanted:
                name = theirs[0][column] if column < len(theirs[0]) else column
                yield f"row {number}, {name}", f"{_brief(cell)} is written, {_brief(wanted)} follows"
        if len(row) != len(other):
            yield f"row {number}", f"{len(row)} cells are written, {len(other)} follow"


def in_lines(found: bytes, expected: bytes) -> Iterator[tuple[str, str]]:
    """The same for text, JUnit's XML and the page; a place is named by the test case or heading that stands before."""
    ours, theirs = (content.decode("utf-8", "backslashreplace").split("\n") for content in (found, expected))
    if len(ours) != len(theirs):
        yield "lines", f"{len(ours)} are written, {len(theirs)} follow from the rest of the pack"
    heading = ""
    for number, (line, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        if place := re.search(r'<testcase [^>]*name="([^"]*)"|<h[23][^>]*>(.*?)</h', other):
            heading = f" ({place[1] or place[2]})"
        if line != other:
            yield f"line {number}{heading}", "{} is written, {} follows".format(*_around(line, other))
            if len(ours) != len(theirs):
                return  # what comes after a line too many would only be shifted


def _around(line: str, other: str) -> tuple[str, str]:
    """Two texts, cut to where they first differ."""
    first = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), min(len(line), len(other)))
    start = max(0, first - 60)
    return repr(line[start : first + 30]), repr(other[start : first + 30])


def as_written(made: Any, held: Any) -> Any:
    """A JSON value, with its fractions as they are written where they are the same but for the last bits.

    A fraction that is 0.75 on one machine and a hair more on another would be printed as two.
    """
    match made:
        case dict() if isinstance(held, Mapping):
            return {key: as_written(each, held.get(key)) for key, each in made.items()}
        case list() if isinstance(held, list) and len(held) == len(made):
            return [as_written(one, other) for one, other in zip(made, held, strict=True)]
        case float() if _same(held, made):
            return held
        case _:
            return made
