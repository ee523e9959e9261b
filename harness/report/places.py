"""Resolves paths into the evidence, such as `verdicts > A1 > estimate > value`, for the page and for its check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from harness.core.text import visible
from harness.metrics.predictions import Predictions
from harness.run.results import RunResults

SEPARATOR = " > "
SIZE = "#"  # as the last step: the number of entries
SUMS = "SHA256SUMS"
NAMES = ("criterion", "id", "name")  # fields that name an entry of a list, which its place (from 0) does as well


class Places:
    """Everything that a page may print: evidence.json, the rows of predictions/*.csv, and SHA256SUMS, by path.

    document: the content of evidence.json.
    sums: file in the pack -> SHA-256, of the files that were written before the page.
    """

    def __init__(self, document: Mapping[str, Any], run: RunResults, sums: Mapping[str, str]) -> None:
        tables = {
            f"predictions/{name}.csv": _rows(found, run.wrong_rows(found)) for name, found in run.predictions.items()
        }
        self._roots: dict[str, Any] = {**document, **tables, SUMS: dict(sums)}
        self._keys: dict[int, dict[str, Any]] = {}

    def at(self, *steps: object) -> Any:
        """The value at a path.

        Raises:
            LookupError: nothing is there.
        """
        value: Any = self._roots
        for step in map(str, flat(steps)):
            if step == SIZE:
                value = len(value)
            elif isinstance(value, Mapping | list):
                value = value[self._key(value, step)]
            else:
                raise LookupError(step)
        return value

    def place_of(self, value: Any, step: str) -> int:
        """Which entry of a list or mapping a step leads to, counted from 0.

        Raises:
            LookupError: none.
        """
        key = self._key(value, step)
        return key if isinstance(value, list) else list(value).index(key)

    def steps_of(self, value: Any) -> list[str]:
        """Every step that leads to an entry of a list or mapping, names and places alike."""
        self._keys.setdefault(id(value), _keys(value))
        return list(self._keys[id(value)])

    def _key(self, value: Any, step: str) -> Any:
        if id(value) not in self._keys:
            self._keys[id(value)] = _keys(value)
        return self._keys[id(value)][step]


def written(steps: Sequence[object]) -> str:
    """A path as one text; `parsed` reads it."""
    return SEPARATOR.join(visible(str(step)).replace("~", "~0").replace(">", "~1") for step in flat(steps))


def flat(steps: Iterable[object]) -> Iterator[object]:
    """The steps of a path that is given in parts, as templates do."""
    for step in steps:
        if isinstance(step, tuple | list):
            yield from flat(step)
        else:
            yield step


@lru_cache(maxsize=8192)  # each check of a page asks for the paths on it again
def parsed(path: str) -> tuple[str, ...]:
    return tuple(step.replace("~1", ">").replace("~0", "~") for step in path.split(SEPARATOR))


def _keys(value: Any) -> dict[str, Any]:
    """Step -> key or index, of every step that leads to an entry; a name as it is, and as it can be shown."""
    if isinstance(value, Mapping):
        return {visible(str(key)): key for key in value} | {str(key): key for key in value}
    places = {str(place): place for place in range(len(value))}
    for field in NAMES:
        names = [each.get(field) if isinstance(each, Mapping) else None for each in value]
        if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            return places | {visible(str(name)): place for place, name in enumerate(names)}
    return places


def _rows(found: Predictions, wrong: Sequence[int]) -> dict[str, dict[str, object]]:
    """The wrong cells of a table of predictions by their line in it, as a text editor counts."""
    classes = found.classes
    return {
        str(row + 2): {
            "sha256": found.digests[row],
            "path": found.paths[row],
            "label": classes[found.labels[row]],
            "predicted": classes[found.predicted[row]],
            **{f"p_{name}": float(p) for name, p in zip(classes, found.probabilities[row], strict=True)},
        }
        for row in wrong
    }
