"""Which cells of a set is a classifier adapted with? Drawn whole: no patient, slide or picture is on both sides."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.data.leakage import DuplicatePair
from harness.data.records import CellImage


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cell that may be drawn. unit: what must not be divided, such as its patient; see `CellImage.unit`."""

    path: str
    label: str
    sha256: str
    unit: str


def candidates_of(images: Iterable[CellImage]) -> tuple[Candidate, ...]:
    return tuple(Candidate(image.path, image.label, image.sha256, image.unit) for image in images)


def copies_inside(pairs: Iterable[DuplicatePair], set_name: str) -> Iterator[tuple[str, str]]:
    """The paths of every two cells of the set that show one picture."""
    for pair in pairs:
        if pair.first.set == pair.second.set == set_name:
            yield pair.first.path, pair.second.path


def draw_cells(
    cells: Sequence[Candidate], copies: Iterable[tuple[str, str]], *, n: int, seed: int
) -> tuple[Candidate, ...]:
    """At most `n` of the cells, in the order of their paths; the rest is left to be judged.

    Class after class takes its next cell in turn, in an order that follows from the seed and the files' content alone,
    until `n` are drawn. So every class has as many as the others, as far as it has cells: of none are more than half
    drawn. A cell comes with its whole unit and all its copies, or, where these are too many, not at all.

    A draw of fewer cells with the same seed is part of a larger one where every unit is a single cell.

    Args:
        copies: (path, path) of cells that show the same picture.
    """
    whole = _whole_units(cells, copies)
    left = {label: size // 2 for label, size in Counter(cell.label for cell in cells).items()}
    queues = {label: _shuffled([cell for cell in cells if cell.label == label], seed) for label in sorted(left)}
    drawn: set[Candidate] = set()
    while any(queues.values()):
        for queue in queues.values():
            while queue:
                unit = whole[queue.pop()]
                needed = Counter(cell.label for cell in unit)
                if unit[0] in drawn or len(drawn) + len(unit) > n or any(left[c] < k for c, k in needed.items()):
                    continue
                drawn.update(unit)
                for label, taken in needed.items():
                    left[label] -= taken
                break
    return tuple(sorted(drawn, key=lambda cell: cell.path))


def _whole_units(
    cells: Sequence[Candidate], copies: Iterable[tuple[str, str]]
) -> dict[Candidate, tuple[Candidate, ...]]:
    """Cell -> every cell that units and copies, one after the other, connect it with, itself among them."""
    of: dict[Candidate, list[Candidate]] = {cell: [cell] for cell in cells}

    def join(one: Candidate, other: Candidate) -> None:
        first, second = of[one], of[other]
        if first is not second:
            first += second
            of.update(dict.fromkeys(second, first))

    first_of: dict[str, Candidate] = {}
    by_path = {cell.path: cell for cell in cells}
    for cell in cells:
        join(first_of.setdefault(cell.unit, cell), cell)
        join(first_of.setdefault(f"content:{cell.sha256}", cell), cell)
    for one, other in copies:
        if one in by_path and other in by_path:
            join(by_path[one], by_path[other])
    return {cell: tuple(together) for cell, together in of.items()}


def _shuffled(cells: Sequence[Candidate], seed: int) -> list[Candidate]:
    """In an order that no file name and no listing has a say in; the last one is taken first."""

    def place(cell: Candidate) -> tuple[str, str]:
        return hashlib.sha256(f"{seed} {cell.sha256}".encode()).hexdigest(), cell.path

    return sorted(cells, key=place, reverse=True)
