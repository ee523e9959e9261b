"""Which pictures of a look did another one show? By their pixels, and where these are others by how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.judge.likenesses import known_again, likenesses_by_picture
from harness.judge.look import Look
from harness.judge.pictures import unpack_pictures


class Shown(NamedTuple):
    """Pictures that are distinct.

    pictures: (n,) uint64, the beginning of the digest of each one's pixels, ascending.
    signs:    (n,) uint64, how each one looks; None where that is not known.
    """

    pictures: NDArray[np.uint64]
    signs: NDArray[np.uint64] | None


class Pictured(NamedTuple):
    """Digest of cells -> what the first entry of these cells that has it keeps, packed."""

    pictures: Mapping[str, str]
    likenesses: Mapping[str, str]

    def shown(self, look: Look) -> Shown:
        """By a look whose entry, or another one of the same cells, keeps its pictures."""
        signs = likenesses_by_picture(self.likenesses.get(look.cells, ""))
        return Shown(unpack_pictures(self.pictures[look.cells]), signs)

    def rows(self, own: Look, other: Look) -> tuple[np.ndarray, np.ndarray]:
        """Of each picture that both looks show its row in either, distinct in both; of entries that keep them."""
        return rows_of_both(self.shown(own), self.shown(other))


def rows_of_both(own: Shown, other: Shown) -> tuple[np.ndarray, np.ndarray]:
    """Of each picture that both show its row in either, distinct in both.

    A picture of the same pixels is the same one. Of those that only one of them shows, what was saved anew is known
    again by its likeness.
    """
    _, mine, theirs = np.intersect1d(own.pictures, other.pictures, assume_unique=True, return_indices=True)
    if own.signs is None or other.signs is None:
        return mine, theirs
    left, missing = (
        np.setdiff1d(np.arange(every.pictures.size), found, assume_unique=True)
        for every, found in ((own, mine), (other, theirs))
    )
    again, before = known_again(own.signs[left], other.signs[missing])
    rows, places = np.concatenate([mine, left[again]]), np.concatenate([theirs, missing[before]])
    order = np.argsort(rows)
    return rows[order], places[order]


def pictured(ledger: Sequence[Look]) -> Pictured:
    backwards = tuple(reversed(ledger))
    return Pictured(
        {look.cells: look.pictures for look in backwards if look.pictures},
        {look.cells: look.likenesses for look in backwards if look.likenesses},
    )
