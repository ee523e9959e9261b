"""Which cells share a patient, slide or site otherwise than at the first look? Moved groups are a change of the data.

A bound on the cells of few patients is wide. Whoever takes the patients away, or gives each cell one of its own, after
the numbers are seen makes it narrow: so each such change is declared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.judge.look import Look
from harness.judge.looks import in_order, shared_before, shown_by
from harness.judge.partitions import unpack_groups
from harness.judge.pictures import unpack_pictures
from harness.judge.rules import RULES, Rules
from harness.judge.same_pictures import Pictured, pictured
from harness.metrics.comparison import Comparison
from harness.metrics.partitions import UNGROUPED, Partition, numbered

CELLS = "cells"  # beside a baseline: the groups that bounds are over, whichever columns name them


@dataclass(frozen=True, slots=True)
class Regrouped:
    """One way to divide a set that is another one than before.

    set:       as it is called now.
    kind:      the column: patient, slide, site or another; "cells" beside a baseline.
    old, new:  how many groups the cells that both looks show were in, and are in, with a digest of which of them share
               one; empty where none is known.
    run, time: of the first look; of a baseline its run, and no time.
    """

    set: str
    kind: str
    old: str
    new: str
    run: str
    time: str


def regrouped_sets(ledger: Sequence[Look], *, run: str, rules: Rules = RULES) -> tuple[Regrouped, ...]:
    """Every column by which cells that this run looked at are divided otherwise than at the first look at them.

    ledger: with the looks of this run. Entries of an older harness keep no groups, and fix none.
    """
    kept = pictured(ledger)
    groups = {look.cells: look.groups for look in reversed(ledger) if look.groups}
    found: dict[tuple[str, str, str, str], Regrouped] = {}
    for place, look in enumerate(ledger):
        # An entry without groups has those that the first entry of its cells has: see `record_look`.
        packed = look.groups or groups.get(look.cells)
        if look.run != run or packed is None or look.cells not in kept.pictures:
            continue
        before = [each for each in ledger[:place] if each.run != run]
        for earlier in in_order(shared_before(before, shown_by(look, ledger)), rules):
            for each in _moved(look, packed, earlier, kept):
                found.setdefault((each.set, each.kind, each.old, each.new), each)
    return tuple(found.values())


def _moved(look: Look, packed: str, before: Iterable[Look], kept: Pictured) -> Iterator[Regrouped]:
    own, now = unpack_pictures(kept.pictures[look.cells]), unpack_groups(packed)
    fixed: list[np.ndarray] = []  # the pictures of which an earlier look fixes who shares a group with whom
    for first in before:
        if not first.groups or first.cells not in kept.pictures:
            continue
        mine, theirs = kept.rows(look, first)
        shared = own[mine]
        if not shared.size or any(np.isin(shared, each, assume_unique=True).all() for each in fixed):
            continue
        fixed.append(shared)
        held = unpack_groups(first.groups)
        for kind in sorted({*held, *now}):
            old, new = (_of(each, kind, rows, shared) for each, rows in ((held, theirs), (now, mine)))
            if old.told != new.told:
                yield Regrouped(look.set, kind, old.told, new.told, first.run, first.time)


def _of(groups: dict[str, np.ndarray], kind: str, rows: np.ndarray, shared: np.ndarray) -> Partition[int]:
    of = numbered(groups[kind][rows]) if kind in groups else np.full(len(rows), UNGROUPED)
    return Partition(tuple(shared.tolist()), of)


def groups_beside_baseline(compared: Iterable[tuple[str, Comparison]]) -> tuple[Regrouped, ...]:
    """The sets whose cells are in other groups than in the baseline's pack, where that knows any."""
    return tuple(
        Regrouped(name, CELLS, *comparison.regrouped, comparison.baseline, "")
        for name, comparison in compared
        if comparison.regrouped is not None
    )


def by_look(regrouped: Iterable[Regrouped]) -> dict[tuple[str, str, str], list[Regrouped]]:
    """What moved of each set, by whose word it was otherwise: (set, run, time) -> one entry for each column."""
    found: dict[tuple[str, str, str], list[Regrouped]] = {}
    for each in regrouped:
        found.setdefault((each.set, each.run, each.time), []).append(each)
    return found


def unlike_columns(packed: str, columns: Mapping[str, Sequence[str]], *, n: int) -> Iterator[str]:
    """The columns whose groups, as an entry of a ledger keeps them, are not as large as those of the cells.

    Which cell shows which picture nobody knows without the images: sizes can be told where no two cells show the same.

    Args:
        columns: such as "patient" -> (n_cells,) its group, "" where it names none.
        n: how many cells the set has.
    """
    held = unpack_groups(packed)
    for kind in sorted({*held, *columns}):
        if kind not in held or kind not in columns:
            yield kind
            continue
        here = held[kind].tolist()
        if len(here) == n and _sizes(here, UNGROUPED) != _sizes(columns[kind], ""):
            yield kind


def _sizes(groups: Sequence[object], none: object) -> tuple[int, list[int]]:
    """How many cells name no group, and how many are in each."""
    counted = Counter(groups)
    return counted.pop(none, 0), sorted(counted.values())
