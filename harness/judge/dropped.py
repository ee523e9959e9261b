"""Which pictures of a first look does a set no longer show as they were? Such a change after a look is one of the data.

Whoever drops the cells that a classifier gets wrong, or retouches them until it is right, flatters that classifier: so
each such change is declared. Told of sets that are scored whole: of a part that this harness draws from the dataset a
picture may have moved to another part, and a ledger does not know of those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.digests import digest_of
from harness.data.records import SplitSource
from harness.judge.look import Look
from harness.judge.looks import shared_before, shown_by
from harness.judge.pictures import MOST_PICTURES, unpack_pictures
from harness.judge.rules import Rules
from harness.judge.same_pictures import Pictured, pictured
from harness.protocol.names import PARTS
from harness.protocol.records import Protocol

# Of a look's pictures that must still be there for the set to be the same one: less is another set that took some over,
SAME_FROM = 1 / 3
# unless so many of the pictures that are shown now are that look's: these were chosen from it.
CHOSEN_FROM = 1 / 2


@dataclass(frozen=True, slots=True)
class Dropped:
    """Pictures of one look that the set does not show as they were.

    set:       as it is called now. n: how many pictures that look showed.
    n_gone:    how many of them are gone.
    n_anew:    how many are there with other pixels, such as those that were saved anew with loss, or retouched.
    digest:    of which they are.
    run, time: of that look.
    """

    set: str
    n: int
    n_gone: int
    n_anew: int
    digest: str
    run: str
    time: str


def dropped_pictures(
    protocol: Protocol, ledger: Sequence[Look], *, run: str, split: SplitSource | None, rules: Rules
) -> tuple[Dropped, ...]:
    """What was dropped of every set of this run that is scored whole.

    Args:
        ledger: with the looks of this run.
        split: what divided the dataset; None where it is not known.
    """
    if not rules.cells_kept:
        return ()
    found: list[Dropped] = []
    named: set[str] = set()
    kept = pictured(ledger)
    now = [look for look in ledger if look.run == run and look.cells in kept.pictures]
    for place, look in enumerate(ledger):
        if look.run != run or look.role != "judged" or look.set in named:
            continue
        named.add(look.set)
        if look.cells in kept.pictures and _is_whole(look.set, protocol, split, rules):
            before = shared_before([each for each in ledger[:place] if each.run != run], shown_by(look, ledger))
            found += _dropped(look, before, now, kept, rules)
    return tuple(found)


def _is_whole(set_name: str, protocol: Protocol, split: SplitSource | None, rules: Rules) -> bool:
    """Whether no cell leaves a set unless somebody takes it out.

    Of the dataset that is so where its parts are not drawn: a table of them, too, is changed by hand. Of a set that a
    classifier is adapted with, the cells that are drawn for that are on the ledger.
    """
    if set_name not in PARTS:
        return bool(rules.parts_kept) or protocol.adaptation_of(set_name) is None
    return bool(protocol.dataset.parts) or (bool(rules.parts_kept) and split not in ("drawn", None))


def _dropped(
    look: Look, before: Sequence[Look], now: Sequence[Look], kept: Pictured, rules: Rules
) -> Iterator[Dropped]:
    """now: the looks of the same run, of which others may show what this one does not."""
    own = unpack_pictures(kept.pictures[look.cells])
    fixed = np.array([], dtype=np.uint64)  # by looks before, each picture by the first one
    for first in before:
        if first.role != "judged" or first.cells not in kept.pictures or first.cells == look.cells:
            continue
        theirs = unpack_pictures(kept.pictures[first.cells])
        mine, there = kept.rows(look, first)
        gone, anew = np.ones(theirs.size, dtype=bool), np.zeros(theirs.size, dtype=bool)
        gone[there] = False
        is_same = there.size >= SAME_FROM * theirs.size
        if rules.parts_kept:
            is_same |= there.size >= CHOSEN_FROM * own.size
            anew[there] = own[mine] != theirs[there]
            for other in now:
                # Cells to adapt with are of the set, and a set that keeps its name is asked for its own.
                if (other.role, other.set) in (("fit", look.set), ("judged", first.set)) and other.cells != look.cells:
                    gone[kept.rows(other, first)[1]] = False
            if own.size == MOST_PICTURES:  # of larger sets a look keeps those with the smallest digests
                gone &= theirs <= own[-1]
        changed = (gone | anew) & ~np.isin(theirs, fixed)
        fixed = np.union1d(fixed, theirs)
        if changed.any() and is_same:
            digest = digest_of([f"{picture:016x}" for picture in theirs[changed].tolist()])[:16]
            n_gone, n_anew = (int((each & changed).sum()) for each in (gone, anew))
            yield Dropped(look.set, theirs.size, n_gone, n_anew, digest, first.run, first.time)
