"""Which pictures of a first look are no longer among the cells? Cells that are left away after a look change the data.

Whoever drops the cells that a classifier gets wrong flatters that classifier: so each such change is declared. Told of
sets that are scored whole: of a part that is drawn from the dataset a picture may have moved to another part, and a
ledger does not know of those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.digests import digest_of
from harness.judge.look import Look
from harness.judge.looks import shared_before, shown_by
from harness.judge.pictures import unpack_pictures
from harness.judge.same_pictures import pictured
from harness.protocol.names import PARTS
from harness.protocol.records import Protocol

# Of a look's pictures that must still be there for the set to be the same one: less is another set that took some over.
SAME_FROM = 1 / 3


@dataclass(frozen=True, slots=True)
class Dropped:
    """Pictures of one look that the set shows no longer.

    set:       as it is called now. n: how many pictures that look showed. n_gone: how many of them are gone.
    digest:    of which they are.
    run, time: of that look.
    """

    set: str
    n: int
    n_gone: int
    digest: str
    run: str
    time: str


def dropped_pictures(protocol: Protocol, ledger: Sequence[Look], *, run: str) -> tuple[Dropped, ...]:
    """What was dropped of every set of this run that is scored whole; ledger: with the looks of this run."""
    found: list[Dropped] = []
    named: set[str] = set()
    for place, look in enumerate(ledger):
        if look.run == run and look.role == "judged" and look.set not in named and _is_whole(look.set, protocol):
            named.add(look.set)
            found += _dropped(look, [each for each in ledger[:place] if each.run != run], ledger)
    return tuple(found)


def _is_whole(set_name: str, protocol: Protocol) -> bool:
    """Whether every cell of a set is scored: of the dataset that is so where it comes in parts that the protocol names.

    A set that a classifier is adapted with leaves the cells away that are drawn for that.
    """
    if set_name in PARTS:
        return bool(protocol.dataset.parts)
    return protocol.adaptation_of(set_name) is None


def _dropped(look: Look, before: Sequence[Look], ledger: Sequence[Look]) -> Iterator[Dropped]:
    kept = pictured(ledger)
    if look.cells not in kept.pictures:
        return
    fixed = np.array([], dtype=np.uint64)  # by looks before, each picture by the first one
    for first in shared_before(before, shown_by(look, ledger)):
        if first.role != "judged" or first.cells not in kept.pictures or first.cells == look.cells:
            continue
        theirs = unpack_pictures(kept.pictures[first.cells])
        _, there = kept.rows(look, first)
        gone = np.ones(theirs.size, dtype=bool)
        gone[there] = False
        gone &= ~np.isin(theirs, fixed)
        fixed = np.union1d(fixed, theirs)
        if gone.any() and there.size >= SAME_FROM * theirs.size:
            digest = digest_of([f"{picture:016x}" for picture in theirs[gone].tolist()])[:16]
            yield Dropped(look.set, theirs.size, int(gone.sum()), digest, first.run, first.time)
