"""Parses JSON that somebody else wrote, accepting only what every program reads in the same way."""

from __future__ import annotations

import json
from collections import Counter


def parse_json(content: bytes | str) -> object:
    """Parse a JSON text that has one meaning: no repeated key, no NaN or Infinity.

    Raises:
        ValueError: it is not such a text; `UnicodeDecodeError`, where it is not UTF-8, is one.
    """
    text = content if isinstance(content, str) else content.decode("utf-8")
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {name!r} is there twice, and programs differ in which they take")
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
