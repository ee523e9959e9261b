"""The line protocol between a run and a command, version 1, without the pipes: docs/judging-a-command.md describes it.

Whatever a command writes is bounded by what was asked of it: an answer is one line, whose length the question decides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from harness.core.numbers import SUMS_TO_ONE
from harness.core.text import brief
from harness.protocol.training import Filter

PROTOCOL = "classifier-command"
VERSION = 1
MOST_WORDS_BYTES = 2**16  # of a line, beside its numbers
MOST_NUMBER_BYTES = 32  # a float64 in full, its separators and a line's indentation

Name = Annotated[str, Field(min_length=1, max_length=200)]


class BrokenProtocol(Exception):
    """A line that is no answer to what was asked."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The square that a command wants to be shown; fields as in `Preprocessing`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    size_px: Annotated[int, Field(ge=1, le=4096)]
    resize: Literal["squish", "crop"] = "squish"
    filter: Filter = "bilinear"
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a command says of itself before it is shown anything.

    classes: what each number of an answer stands for, in order.
    name, model_version: what it calls itself.
    shown:   None for frames as they were decoded, each in the size that it has.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: int
    protocol: str
    version: int
    classes: tuple[Name, ...]
    name: Name
    model_version: Annotated[str, Field(max_length=200)] = ""
    shown: Shown | None = None


def hello(number: int) -> bytes:
    return _line(ask="hello", id=number, protocol=PROTOCOL, version=VERSION, bytes=0)


def classify(number: int, frames: np.ndarray) -> tuple[bytes, memoryview]:
    """The header and the content of a request. frames: (n, height, width, 3) uint8 RGB."""
    n, height, width, _ = frames.shape
    header = _line(ask="classify", id=number, n=n, height=height, width=width, channels="RGB", bytes=frames.nbytes)
    return header, np.ascontiguousarray(frames).data.cast("B")


def ping(number: int, n_bytes: int) -> tuple[bytes, bytes]:
    """A request to read as many bytes and to say no more than that they came."""
    return _line(ask="ping", id=number, bytes=n_bytes), bytes(n_bytes)


def most_bytes(n_images: int, n_classes: int) -> int:
    """How long the line may be that answers for so many images."""
    return MOST_WORDS_BYTES + n_images * n_classes * MOST_NUMBER_BYTES


def greeting_of(line: bytes, number: int) -> Greeting:
    """
    Raises:
        BrokenProtocol: it is none, or of another protocol or version.
    """
    said = _answer(line, number)
    if (said.get("protocol"), said.get("version")) != (PROTOCOL, VERSION):
        raise BrokenProtocol(
            f"greets as {brief(said.get('protocol'))}, version {brief(said.get('version'))}; this harness speaks "
            f"{PROTOCOL!r}, version {VERSION}"
        )
    try:
        return TypeAdapter(Greeting).validate_json(json.dumps(said), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BrokenProtocol(f"greets with {place} = {brief(first['input'])}: {first['msg']}") from None


def refuse_other_pong(line: bytes, number: int, n_bytes: int) -> None:
    said = _answer(line, number)
    if said.get("pong") != n_bytes:
        raise BrokenProtocol(f"answers a ping of {n_bytes} bytes with {brief(said)} instead of a pong of as many")


def rows_of(line: bytes, number: int, names: Sequence[str], n_classes: int) -> np.ndarray:
    """(n, n_classes) float64, one distribution for each of the named images.

    Raises:
        BrokenProtocol: it is something else; the phrase names the first image whose row is none.
    """
    rows = _answer(line, number).get("probabilities")
    if not isinstance(rows, list) or len(rows) != len(names):
        found = f"{len(rows)} rows" if isinstance(rows, list) else f"{brief(rows)} as probabilities"
        raise BrokenProtocol(f"answers with {found} for {len(names)} images, the first of them {names[0]}")
    for name, row in zip(names, rows, strict=True):
        if (wrong := _why_no_row(row, n_classes)) is not None:
            raise BrokenProtocol(f"answers for {name} with {wrong}")
    return np.array(rows, dtype=np.float64)


def _why_no_row(row: object, n_classes: int) -> str | None:
    if not isinstance(row, list) or len(row) != n_classes:
        found = f"{len(row)} numbers" if isinstance(row, list) else brief(row)
        return f"{found}; it named {n_classes} classes"
    if odd := [value for value in row if not isinstance(value, float | int) or isinstance(value, bool)]:
        return f"{brief(odd[0])} where a probability stands"
    try:
        total = sum(map(float, row))
    except OverflowError:  # JSON's whole numbers have no end
        total = np.inf
    if not abs(total) < np.inf:  # NaN too
        return f"{brief(row)}, which is not finite"
    if min(row) < 0 or abs(total - 1) > SUMS_TO_ONE:
        return f"{brief([round(value, 3) for value in row])}: no value may be below 0, and they sum to 1. Apply softmax"
    return None


def _answer(line: bytes, number: int) -> dict[str, object]:
    """What the line says to the question of this number; the error that it tells is raised."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise BrokenProtocol(
            f"says {line[:60]!r}, which is not a line of JSON. Whatever prints beside the answers must print to "
            "standard error"
        ) from None
    if not isinstance(said, dict) or said.get("id") != number:
        raise BrokenProtocol(f"says {brief(said)}, which answers no question {number}")
    if "error" in said:
        raise BrokenProtocol(f"says that it cannot: {brief(said['error'], 500)}")
    return said


def _line(**message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"
