"""Suggests which image a path that matches none was probably meant to name: for error messages, never for reading."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from itertools import takewhile
from pathlib import PurePosixPath
from urllib.parse import unquote

MOST_ALIKE = 1_000  # of one name; among more, none is looked for


class LikelyPaths:
    """The paths of a set, found where they are spelt in another way.

    Other spellings: leading folders, backslashes, URL escapes, decomposed letters, another case, surrounding blanks,
    another suffix or none.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            self._by_stem[PurePosixPath(_plain(path)).stem].append(path)

    def close_to(self, written: str) -> str | None:
        """The path with the most last steps in common, as Python writes a text; None where there is none, or several.

        In escapes where the two look alike, and differ in how their letters are composed.
        """
        plain = PurePosixPath(_plain(written))
        found = self._by_stem.get(plain.stem) or self._by_stem.get(plain.name, [])
        if len(found) > MOST_ALIKE:
            return None
        shared = [_n_shared(_folders(path), _folders(written)) for path in found]
        closest = [path for path, n in zip(found, shared, strict=True) if n == max(shared)]
        if len(closest) != 1:
            return None
        alike = unicodedata.normalize("NFC", closest[0]) == unicodedata.normalize("NFC", written)
        return ascii(closest[0]) if alike else repr(closest[0])


def _folders(path: str) -> tuple[str, ...]:
    """From the innermost outwards."""
    return PurePosixPath(_plain(path)).parts[-2::-1]


def _n_shared(some: tuple[str, ...], others: tuple[str, ...]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(some, others, strict=False)))


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", unquote(path)).strip().replace("\\", "/").casefold()
