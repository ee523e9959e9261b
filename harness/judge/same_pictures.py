"""Which pictures of a look did another one show? By their pixels, and where these are others by how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.judge.likenesses import known_again, likenesses_by_picture
from harness.judge.look import Look
from harness.judge.pictures import unpack_pictures


class Pictured(NamedTuple):
    """Digest of cells -> what the first entry of these cells that has it keeps, packed."""

    pictures: Mapping[str, str]
    likenesses: Mapping[str, str]

    def rows(self, own: Look, other: Look) -> tuple[np.ndarray, np.ndarray]:
        """Of each picture that both looks show its row in either, distinct in both; of entries that keep them.

        A picture of the same pixels is the same one. Of those that only one of the looks shows, what was saved anew is
        known again by its likeness.
        """
        ours, theirs = (unpack_pictures(self.pictures[look.cells]) for look in (own, other))
        _, mine, other_rows = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
        our_signs, their_signs = (likenesses_by_picture(self.likenesses.get(each.cells, "")) for each in (own, other))
        if our_signs is None or their_signs is None:
            return mine, other_rows
        left, missing = (
            np.setdiff1d(np.arange(len(every)), found, assume_unique=True)
            for every, found in ((ours, mine), (theirs, other_rows))
        )
        again, before = known_again(our_signs[left], their_signs[missing])
        rows, places = np.concatenate([mine, left[again]]), np.concatenate([other_rows, missing[before]])
        order = np.argsort(rows)
        return rows[order], places[order]


def pictured(ledger: Sequence[Look]) -> Pictured:
    backwards = tuple(reversed(ledger))
    return Pictured(
        {look.cells: look.pictures for look in backwards if look.pictures},
        {look.cells: look.likenesses for look in backwards if look.likenesses},
    )
