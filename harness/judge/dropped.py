"""Which pictures of a first look does a set no longer show as they were? Such a change after a look is one of the data.

Whoever drops the cells that a classifier gets wrong, or retouches them until it is right, flatters that classifier: so
each such change is declared. Of a set that is scored whole the ledger tells. Of a part that this harness draws from the
dataset a picture may have come to another part since: the run asks whether it is in the dataset still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.digests import digest_of
from harness.data.records import SplitSource, labelled_digest
from harness.judge.look import Look
from harness.judge.looks import shared_before, shown_by
from harness.judge.pictures import MOST_PICTURES
from harness.judge.rules import RULES, Rules
from harness.judge.same_pictures import Pictured, Shown, pictured, rows_of_both
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
    n_moved:   how many are in another part of the dataset now, where not every one that the look showed is the file
               and has the label that it was; None for none.
    """

    set: str
    n: int
    n_gone: int
    n_anew: int
    digest: str
    run: str
    time: str
    n_moved: int | None = None


class Dataset(NamedTuple):
    """Every picture of a dataset, whichever part it is in.

    shown: as a look shows them.
    cells: the beginning of the digest of a picture's pixels -> SHA-256 of the file and label of each image of it.
    """

    shown: Shown
    cells: Mapping[int, Sequence[tuple[str, str]]]


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
    kept = pictured(ledger)
    now = [look for look in ledger if look.run == run and look.cells in kept.pictures]
    return tuple(
        gone
        for look, before in _judged_by(run, ledger, kept)
        if _is_whole(look.set, protocol, split, rules)
        for gone in _dropped(look, before, kept.shown(look), now, kept, rules)
    )


def dropped_of_dataset(
    ledger: Sequence[Look], *, run: str, split: SplitSource | None, dataset: Callable[[], Dataset]
) -> tuple[Dropped, ...]:
    """What was dropped of the dataset that this harness drew the parts from, of what looks at a part showed.

    The draw goes by the content of the files. More of them draw some pictures into another part, and those of the look
    stay what they were; whoever writes a file with other metadata, or in another class, draws this one picture again.

    Args:
        ledger, split: as above.
        dataset: every picture that is in it now, whichever part it is in; asked where one of a look is not in its part.
    """
    if split != "drawn":
        return ()
    kept = pictured(ledger)
    found: list[Dropped] = []
    for look, before in _judged_by(run, ledger, kept):
        if look.set in PARTS and any(_missing(look, before, kept)):
            whole, own = dataset(), kept.shown(look).pictures
            moved = {first.cells: _moved(kept.shown(first).pictures, own, first, whole) for first in before}
            found += _dropped(look, before, whole.shown, (), kept, RULES, moved)
    return tuple(found)


def not_in_ledger(recorded: Dropped, ledger: Sequence[Look], *, run: str) -> str:
    """What a ledger contradicts of pictures that were dropped from a dataset; "" for nothing."""
    kept = pictured(ledger)
    most = [
        n_missing
        for look, before in _judged_by(run, ledger, kept)
        if look.set == recorded.set and look.set in PARTS
        for first, n_missing in zip(before, _missing(look, before, kept), strict=True)
        if (first.run, first.time, kept.shown(first).pictures.size) == (recorded.run, recorded.time, recorded.n)
    ]
    if not any(most):
        return f"no look of run {recorded.run} showed {recorded.n} pictures of {recorded.set} that are not all there"
    n = recorded.n_gone + recorded.n_anew + (recorded.n_moved or 0)
    most_told = f"{max(most)} pictures at most are dropped or have other pixels"
    return "" if 0 < n <= max(most) else f"{most_told}{', or moved' if recorded.n_moved else ''}, not {n}"


def _moved(theirs: NDArray[np.uint64], own: NDArray[np.uint64], first: Look, dataset: Dataset) -> NDArray[np.bool_]:
    """Which pictures of a look another part has now, where the images that show them are not those of the look."""
    shown = [cell for picture in theirs.tolist() for cell in dataset.cells.get(picture, ())]
    if theirs.size == MOST_PICTURES or labelled_digest(shown) == first.cells:
        return np.zeros(theirs.size, dtype=bool)
    return np.isin(theirs, dataset.shown.pictures) & ~np.isin(theirs, own)


def _judged_by(run: str, ledger: Sequence[Look], kept: Pictured) -> Iterator[tuple[Look, list[Look]]]:
    """The first look of a run at each set that it judged, and what others had judged of its pictures before."""
    named: set[str] = set()
    for place, look in enumerate(ledger):
        if look.run != run or look.role != "judged" or look.set in named:
            continue
        named.add(look.set)
        if look.cells in kept.pictures:
            before = shared_before([each for each in ledger[:place] if each.run != run], shown_by(look, ledger))
            yield look, [each for each in before if each.role == "judged" and each.cells in kept.pictures]


def _missing(look: Look, before: Sequence[Look], kept: Pictured) -> Iterator[int]:
    """Of each look before, how many of its pictures this one does not show as they were."""
    own = kept.shown(look).pictures
    for first in before:
        yield int(np.count_nonzero(~np.isin(kept.shown(first).pictures, own)))


def _is_whole(set_name: str, protocol: Protocol, split: SplitSource | None, rules: Rules) -> bool:
    """Whether no cell leaves a set unless somebody takes it out.

    Of the dataset that is so where its parts are not drawn: a table of them, too, is changed by hand. Of a set that a
    classifier is adapted with, the cells that are drawn for that are on the ledger.
    """
    if set_name not in PARTS:
        return bool(rules.parts_kept) or protocol.adaptation_of(set_name) is None
    return bool(protocol.dataset.parts) or (bool(rules.parts_kept) and split not in ("drawn", None))


def _dropped(
    look: Look,
    before: Sequence[Look],
    own: Shown,
    now: Sequence[Look],
    kept: Pictured,
    rules: Rules,
    moved: Mapping[str, NDArray[np.bool_]] = MappingProxyType({}),
) -> Iterator[Dropped]:
    """What looks before showed first and is not there as it was.

    own: the pictures that may be those of the looks before.
    now: the looks of the same run, of which others may show what this one does not.
    moved: digest of the cells of a look before -> which of its pictures were moved to another part; absent for none.
    """
    fixed = np.array([], dtype=np.uint64)  # by looks before, each picture by the first one
    for first in before:
        if first.cells == look.cells:
            continue
        theirs = kept.shown(first)
        mine, there = rows_of_both(own, theirs)
        gone, anew = np.ones(theirs.pictures.size, dtype=bool), np.zeros(theirs.pictures.size, dtype=bool)
        gone[there] = False
        is_same = _is_same(there.size, own, theirs, rules)
        if rules.parts_kept:
            anew[there] = own.pictures[mine] != theirs.pictures[there]
            for other in now:
                # Cells to adapt with are of the set, and a set that keeps its name is asked for its own.
                if (other.role, other.set) in (("fit", look.set), ("judged", first.set)) and other.cells != look.cells:
                    rows = kept.rows(other, first)[1]
                    # One that took a few over under that name is another set, and asked for nothing.
                    held = other.role == "fit" or _is_same(rows.size, kept.shown(other), theirs, rules)
                    if held or not rules.firsts_kept:
                        gone[rows] = False
            if own.pictures.size == MOST_PICTURES:  # of larger sets a look keeps those with the smallest digests
                gone &= theirs.pictures <= own.pictures[-1]
        away = moved.get(first.cells, np.zeros(theirs.pictures.size, dtype=bool))
        changed = (gone | anew | away) & ~np.isin(theirs.pictures, fixed)
        if is_same or not rules.firsts_kept:  # what was looked at as another set fixes nothing of this one
            fixed = np.union1d(fixed, theirs.pictures)
        if changed.any() and is_same:
            digest = digest_of([f"{picture:016x}" for picture in theirs.pictures[changed].tolist()])[:16]
            n_gone, n_anew, n_moved = (int((each & changed).sum()) for each in (gone, anew, away))
            yield Dropped(
                look.set, theirs.pictures.size, n_gone, n_anew, digest, first.run, first.time, n_moved or None
            )


def _is_same(n_there: int, own: Shown, theirs: Shown, rules: Rules) -> bool:
    """Whether a set that shows so many of a look's pictures is the set of that look, or was chosen from it."""
    if n_there >= SAME_FROM * theirs.pictures.size:
        return True
    return bool(rules.parts_kept) and n_there >= CHOSEN_FROM * own.pictures.size
