"""Collects what is wrong with a table, so that one error names every kind of it, how often, and what to do."""

from __future__ import annotations

from collections import defaultdict


class Problems:
    """What is wrong with a table of images, by kind: all are counted, the first few shown."""

    N_SHOWN = 3

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = defaultdict(list)
        self._remedies: dict[str, str] = {}

    def add(self, kind: str, detail: str, remedy: str) -> None:
        self._found[kind].append(detail)
        self._remedies.setdefault(kind, remedy)

    def shows_more(self, kind: str) -> bool:
        """Whether another problem of this kind will be shown, and not only counted."""
        return len(self._found.get(kind, ())) < self.N_SHOWN

    def __bool__(self) -> bool:
        return bool(self._found)

    def __str__(self) -> str:
        return "\n".join(
            f"  {len(found)} {kind}, such as {'; '.join(found[: self.N_SHOWN])}. {self._remedies[kind]}"
            for kind, found in self._found.items()
        )
