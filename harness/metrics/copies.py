"""Which cells of one part or set show the same picture? Together they count as one, whatever their ids say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from harness.metrics.predictions import Predictions
from harness.protocol.names import PARTS

if TYPE_CHECKING:
    from harness.data.leakage import DuplicatePair, ListedImage

DATASET = "dataset"
Cell = TypeVar("Cell", bound=Hashable)


def pictures_shown_twice(pairs: Iterable[tuple[Cell, Cell]]) -> list[list[Cell]]:
    """The cells of each picture that several show: all that pairs connect, in the order in which they first appear.

    A copy of a copy is a copy, also where the search did not find the two alike.

    >>> pictures_shown_twice([("a", "b"), ("c", "d"), ("b", "e")])
    [['a', 'b', 'e'], ['c', 'd']]
    """
    picture: dict[Cell, list[Cell]] = {}
    for one, other in pairs:
        first, second = picture.setdefault(one, [one]), picture.setdefault(other, [other])
        if first is not second:
            larger, smaller = (first, second) if len(first) >= len(second) else (second, first)
            larger += smaller
            picture |= dict.fromkeys(smaller, larger)
    return list({id(each): each for each in picture.values()}.values())


def counted_once(found: Predictions, pairs: Iterable[DuplicatePair]) -> Predictions:
    """The same predictions with one cell for each picture: of those that show it, the one of the smallest digest.

    Which one that is follows from the files alone: no prediction has a say. A picture that carries two labels is wrong
    by one of them whatever is said of it, and counts as wrong: its cell gets another one of its labels as `other`.

    Args:
        pairs: of cells that show the same picture; those of other parts and sets are left out.
    """
    row_of = {path: row for row, path in enumerate(found.paths)}
    home = DATASET if found.set in PARTS else found.set
    own = ((each.first, each.second) for each in pairs if each.first.set == each.second.set == home)
    inside = [(row_of[a.path], row_of[b.path]) for a, b in own if a.path in row_of and b.path in row_of]
    if not inside:
        return found
    counted, other = np.ones(len(found.paths), dtype=bool), np.full(len(found.paths), -1)
    for rows in pictures_shown_twice(inside):
        kept = min(rows, key=lambda row: (found.digests[row], found.paths[row]))
        counted[rows], counted[kept] = False, True
        different = sorted(set(found.labels[rows].tolist()) - {int(found.labels[kept])})
        other[kept] = different[0] if different else -1
    return only(found, counted, other=other, n_left_out=int((~counted).sum()))


def only(
    found: Predictions, chosen: np.ndarray, *, other: np.ndarray | None = None, n_left_out: int | None = None
) -> Predictions:
    """The predictions of some of the cells. chosen: (n_cells,) bool. The rest is as it was where it is not given."""
    rows = np.flatnonzero(chosen).tolist()
    groups, kept = found.groups, found.other if other is None else other
    return replace(
        found,
        paths=tuple(found.paths[row] for row in rows),
        digests=tuple(found.digests[row] for row in rows),
        labels=found.labels[rows],
        probabilities=found.probabilities[rows],
        groups=None if groups is None else tuple(groups[row] for row in rows),
        columns={name: tuple(values[row] for row in rows) for name, values in found.columns.items()},
        other=None if kept is None else kept[rows],
        n_left_out=found.n_left_out if n_left_out is None else n_left_out,
    )


def copies_within(pairs: Iterable[DuplicatePair], part_of: Mapping[str, str]) -> tuple[str, ...]:
    """One line for each picture that several cells of one part, or of one external set, show.

    part_of: path -> part, of every image of the dataset that is in one.
    """
    found: dict[str, list[tuple[ListedImage, ListedImage]]] = defaultdict(list)
    for pair in pairs:
        cells = pair.first, pair.second
        places = [part_of.get(each.path, each.set) if each.set == DATASET else each.set for each in cells]
        if places[0] == places[1]:
            found[places[0]].append(cells)
    return tuple(
        sorted(_line(place, cells) for place, inside in found.items() for cells in pictures_shown_twice(inside))
    )


def _line(place: str, cells: list[ListedImage]) -> str:
    names = ", ".join(repr(each.path) for each in sorted(cells))
    labels = sorted({each.label for each in cells})
    conflict = f"; its labels are {' and '.join(labels)}: it counts as wrong" if len(labels) > 1 else ""
    return f"{place}: {len(cells)} cells show one picture and count as one: {names}{conflict}"
