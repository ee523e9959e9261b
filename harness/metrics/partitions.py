"""Which cells share a patient, slide or site? A partition of cells, whatever its groups are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from harness.core.digests import digest_of

UNGROUPED = -1  # of a cell that names no group
SEVERAL = -2  # of a picture whose cells are of different groups
SHOWN = 16  # digits of a digest, in a protocol and on a page

Cell = TypeVar("Cell", int, str)


@dataclass(frozen=True, slots=True, eq=False)
class Partition(Generic[Cell]):
    """cells: ascending and distinct. of: (n_cells,) int64, the group of each, numbered as they first appear."""

    cells: tuple[Cell, ...]
    of: np.ndarray

    @property
    def known(self) -> bool:
        """Whether any cell names a group."""
        return bool(np.any(self.of != UNGROUPED))

    @property
    def told(self) -> str:
        """How many groups, and a digest of which cells share one: "20 groups, 0123456789abcdef"; empty of none."""
        if not self.known:
            return ""
        n = int(self.of.max()) + 1
        rows = [list(row) for row in zip(self.cells, self.of.tolist(), strict=True)]
        return f"{n} {'group' if n == 1 else 'groups'}, {digest_of(rows)[:SHOWN]}"


class Regrouping(NamedTuple):
    """What became of a partition, as `Partition.told` says both; empty where no group is known."""

    old: str
    new: str


def partition(grouped: Iterable[tuple[Cell, str]]) -> Partition[Cell]:
    """Of the group of each cell, empty where it names none; a cell may be there more than once."""
    groups: dict[Cell, set[str]] = {}
    for cell, group in grouped:
        groups.setdefault(cell, set()).add(group)
    number: dict[str, int] = {"": UNGROUPED}
    cells = tuple(sorted(groups))
    of = []
    for cell in cells:
        group, *others = groups[cell]
        of.append(SEVERAL if others else number.setdefault(group, len(number) - 1))
    return Partition(cells, np.array(of, dtype=np.int64))


def numbered(of: np.ndarray) -> np.ndarray:
    """The same groups, numbered as they first appear.

    >>> numbered(np.array([7, -1, 3, 7, -2])).tolist()
    [0, -1, 1, 0, -2]
    """
    number: dict[int, int] = {}
    return np.array(
        [each if each < 0 else number.setdefault(each, len(number)) for each in of.tolist()], dtype=np.int64
    )


def of_groups(digests: Sequence[str], groups: Sequence[str] | None) -> Partition[str]:
    """The partition by the groups of `Predictions`: what every bound on cells of a few patients rests on."""
    named = ("",) * len(digests) if groups is None else [anonymous(each) for each in groups]
    return partition(zip(digests, named, strict=True))


def anonymous(group: str) -> str:
    """A group of `Predictions`; empty for a cell that is one by itself, because it names none."""
    return "" if group.startswith("content:") else group


def without_names(groups: Sequence[str]) -> tuple[str, ...]:
    """The same groups, of the same kinds, with a number for each name.

    >>> without_names(["patient:Ada", "content:0f", "patient:Ada", "site:B"])
    ('patient:0', 'content:', 'patient:0', 'site:1')
    """
    number: dict[str, int] = {}
    return tuple(
        f"{each.partition(':')[0]}:{number.setdefault(each, len(number)) if anonymous(each) else ''}" for each in groups
    )
