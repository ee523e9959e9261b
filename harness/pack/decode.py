"""What does a pack have written down? JSON and CSV cells back to the records and values that they were written from."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.core.errors import EvidenceError
from harness.core.text import brief
from harness.pack.read import Pack

Record = TypeVar("Record")


def recorded(kind: type[Record], value: object, *, where: str) -> Record:
    """A record from its JSON, field by field; nothing is converted but lists to tuples.

    Raises:
        EvidenceError: names the first place that holds something else.
    """
    made: Record = decoded(kind, value, where)
    return made


def decoded(kind: Any, value: Any, where: str) -> Any:
    """The same for any annotation that records use. A field with a default may be missing: the pack is older."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        return decoded(next(part for part in parts if part is not NoneType), value, where)
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
        hints = _hints(kind)
        needed = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}
        if needed <= set(value) <= set(hints):
            return kind(**{name: decoded(hints[name], each, f"{where} > {name}") for name, each in value.items()})
    elif origin is tuple and isinstance(value, list):
        if len(parts) == 2 and parts[1] is ...:
            return tuple(decoded(parts[0], each, f"{where} > {i}") for i, each in enumerate(value))
        if len(parts) == len(value):
            return tuple(decoded(part, each, where) for part, each in zip(parts, value, strict=True))
    elif origin is dict and isinstance(value, Mapping):
        return {name: decoded(parts[1], each, f"{where} > {name}") for name, each in value.items()}
    elif isinstance(kind, type) and issubclass(kind, Enum):
        if value in [member.value for member in kind]:
            return kind(value)
    elif origin is Literal:
        if value in parts:
            return value
    elif kind is float:
        if value is None:
            return math.nan  # JSON has no number that is not finite
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    elif isinstance(kind, type) and not is_dataclass(kind) and type(value) is kind:
        return value
    raise EvidenceError(f"{where} holds {brief(value)}, which is no {getattr(kind, '__name__', kind)}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def rows_of(pack: Pack, name: str, header: Iterable[str]) -> list[list[str]]:
    text = pack.read(name).decode("utf-8", "surrogateescape")
    try:
        found, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise EvidenceError(f"{name} cannot be read as a table ({error})") from None
    if tuple(found) != tuple(header):
        raise EvidenceError(f"{name} has the columns {found}, expected are {list(header)}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(found):
            raise EvidenceError(f"{name}, row {number}: {len(row)} fields under {len(found)} column names")
    return rows


def whole_number(where: str, cell: str) -> int:
    if not cell.isascii() or not cell.isdecimal():
        raise EvidenceError(f"{where}: {cell!r} is not a whole number")
    return int(cell)
