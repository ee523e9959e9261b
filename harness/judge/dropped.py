"""Which pictures of a first look are no longer among the cells? Cells that are left away after a look change the data.

Whoever drops the cells that a classifier gets wrong flatters that classifier: so each such change is declared. Of a set
that is scored whole each picture must still be there. Of a part that is drawn from the dataset a picture may have come
to another part since: it must be in the dataset still, which no ledger knows and the run looks up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.digests import digest_of
from harness.data.records import SplitSource
from harness.judge.look import Look
from harness.judge.looks import shared_before, shown_by
from harness.judge.rules import Rules
from harness.judge.same_pictures import Pictured, Shown, pictured, rows_of_both
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


def dropped_pictures(
    protocol: Protocol, ledger: Sequence[Look], *, run: str, division: SplitSource | None, rules: Rules
) -> tuple[Dropped, ...]:
    """What was dropped of every set of this run that is scored whole.

    Args:
        ledger: with the looks of this run.
        division: what divided the dataset into parts; None where nothing did.
    """
    if not rules.cells_kept:
        return ()
    kept = pictured(ledger)
    return tuple(
        gone
        for look, before in _judged_by(run, ledger)
        if look.cells in kept.pictures and _is_whole(look.set, protocol, division if rules.parts_kept else None)
        for gone in _dropped(look, before, kept.shown(look), kept)
    )


def dropped_of_dataset(
    ledger: Sequence[Look], *, run: str, division: SplitSource | None, dataset: Callable[[], Shown]
) -> tuple[Dropped, ...]:
    """What was dropped of the dataset that the parts are drawn from, of the pictures that looks at parts showed.

    Args:
        dataset: every picture that is in it now, whichever part it is in; asked where one of a look is not in its part.
    """
    if division != "drawn":
        return ()
    kept = pictured(ledger)
    found: list[Dropped] = []
    for look, before in _judged_by(run, ledger):
        if look.set not in PARTS or look.cells not in kept.pictures:
            continue
        if any(_dropped(look, before, kept.shown(look), kept, at_least=0)):
            found += _dropped(look, before, dataset(), kept)
    return tuple(found)


def not_in_ledger(recorded: Dropped, ledger: Sequence[Look], *, run: str) -> str:
    """What of pictures that were dropped from a dataset the ledger contradicts; "" for nothing."""
    kept = pictured(ledger)
    for look, before in _judged_by(run, ledger):
        if look.set != recorded.set or look.set not in PARTS or look.cells not in kept.pictures:
            continue
        for gone in _dropped(look, before, kept.shown(look), kept, at_least=0):
            if (gone.run, gone.time, gone.n) == (recorded.run, recorded.time, recorded.n):
                most = gone.n_gone
                return "" if 0 < recorded.n_gone <= most else f"{most} pictures at most are gone, not {recorded.n_gone}"
    return f"no look of run {recorded.run} showed {recorded.n} pictures of {recorded.set}, some of which are gone"


def _judged_by(run: str, ledger: Sequence[Look]) -> Iterator[tuple[Look, list[Look]]]:
    """The first look of this run at each set that it judged, and the looks of other runs before it at these cells."""
    named: set[str] = set()
    for place, look in enumerate(ledger):
        if look.run == run and look.role == "judged" and look.set not in named:
            named.add(look.set)
            before = [each for each in ledger[:place] if each.run != run]
            yield look, [each for each in shared_before(before, shown_by(look, ledger)) if each.role == "judged"]


def _is_whole(set_name: str, protocol: Protocol, division: SplitSource | None) -> bool:
    """Whether every cell of a set is scored: of the dataset that is so where somebody else divided it.

    A set that a classifier is adapted with leaves the cells away that are drawn for that.
    """
    if set_name in PARTS:
        return bool(protocol.dataset.parts) or division not in (None, "drawn")
    return protocol.adaptation_of(set_name) is None


def _dropped(
    look: Look, before: Sequence[Look], now: Shown, kept: Pictured, *, at_least: float = SAME_FROM
) -> Iterator[Dropped]:
    """What each look before showed first and is not there now.

    at_least: the share of a look's pictures that must be there still.
    """
    fixed = np.array([], dtype=np.uint64)  # by looks before, each picture by the first one
    for first in before:
        if first.cells not in kept.pictures or first.cells == look.cells:
            continue
        shown = kept.shown(first)
        _, there = rows_of_both(now, shown)
        gone = np.ones(shown.pictures.size, dtype=bool)
        gone[there] = False
        gone &= ~np.isin(shown.pictures, fixed)
        fixed = np.union1d(fixed, shown.pictures)
        if gone.any() and there.size >= at_least * shown.pictures.size:
            digest = digest_of([f"{picture:016x}" for picture in shown.pictures[gone].tolist()])[:16]
            yield Dropped(look.set, shown.pictures.size, int(gone.sum()), digest, first.run, first.time)
