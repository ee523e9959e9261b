"""Which cells had another label when somebody first looked at them? A label that is corrected is a change of the data.

Whoever corrects the labels that a classifier disputes flatters that classifier: so each correction is declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.judge.labels import unpack_labels
from harness.judge.look import Look
from harness.judge.looks import in_order, shared_before, shown_by
from harness.judge.pictures import unpack_pictures
from harness.judge.rules import RULES, Rules
from harness.judge.same_pictures import Pictured, pictured
from harness.metrics.comparison import Comparison


@dataclass(frozen=True, slots=True)
class Relabelled:
    """One cell whose label is another one than before.

    set, path: where it is now. picture: the beginning of the digest of its pixels, in hex; empty beside a baseline.
    old, new:  its label at the first look at the picture, or in the baseline's pack, and now.
    run, time: of that look; of a baseline its run, and no time.
    """

    set: str
    path: str
    picture: str
    old: str
    new: str
    run: str
    time: str


class Corrected(NamedTuple):
    """One picture of a set whose label is another one than at the first look at it; fields as `Relabelled` has them."""

    set: str
    picture: str
    old: str
    new: str
    run: str
    time: str


def corrected_pictures(ledger: Sequence[Look], *, run: str, rules: Rules = RULES) -> tuple[Corrected, ...]:
    """Every picture that this run looked at and that had another label at the first look that the ledger knows it from.

    ledger: with the looks of this run. Entries of an older harness keep no labels.
    """
    found: list[Corrected] = []
    labels = {look.cells: look.labels for look in ledger if look.labels}
    kept = pictured(ledger)
    named: set[str] = set()
    for place, look in enumerate(ledger):
        if look.run != run or look.set in named or look.cells not in labels or look.cells not in kept.pictures:
            continue
        named.add(look.set)
        before = [each for each in ledger[:place] if each.run != run]
        for earlier in in_order(shared_before(before, shown_by(look, ledger)), rules):
            found += _corrected(look, earlier, labels, kept)
    return tuple(dict.fromkeys(found))


def _corrected(look: Look, before: Iterable[Look], labels: Mapping[str, str], kept: Pictured) -> Iterator[Corrected]:
    own, now = unpack_pictures(kept.pictures[look.cells]), unpack_labels(labels[look.cells])
    unseen = np.ones(len(own), dtype=bool)
    for first in before:
        if first.cells not in labels or first.cells not in kept.pictures or not unseen.any():
            continue
        mine, other = kept.rows(look, first)
        for row, place in zip(mine.tolist(), other.tolist(), strict=True):
            before_it = unpack_labels(labels[first.cells]).named(place)
            # A picture that was shown under two labels was fixed by neither: the first look that gave it one fixes it.
            if unseen[row] and before_it is not None:
                unseen[row] = False
                yield from _if_other(look, first, int(own[row]), before_it, now.named(row))


def _if_other(look: Look, first: Look, picture: int, old: str, new: str | None) -> Iterator[Corrected]:
    if new is not None and old != new:
        yield Corrected(look.set, f"{picture:016x}", old, new, first.run, first.time)


def beside_baseline(compared: Iterable[tuple[str, Comparison]]) -> tuple[Relabelled, ...]:
    """The cells of each set that have another label in the baseline's pack."""
    return tuple(
        Relabelled(name, cell.path, "", cell.old, cell.new, comparison.baseline, "")
        for name, comparison in compared
        for cell in comparison.relabelled
    )


def unlike_ledger(
    cells: Sequence[Relabelled], pictures: Sequence[Corrected], labels: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Where recorded cells are not those of the pictures that a ledger has under another label.

    labels: set -> path of a cell -> its label, as a ledger calls it.
    """
    named = {Corrected(each.set, each.picture, each.old, each.new, each.run, each.time) for each in cells}
    for picture in sorted(set(pictures) - named):
        yield f"picture {picture.picture} of {picture.set} was {picture.old}, is {picture.new}, and no cell is named"
    for picture in sorted(named - set(pictures)):
        yield f"picture {picture.picture} of {picture.set} is named, and the ledger has no other label of it"
    for cell in cells:
        if labels.get(cell.set, {}).get(cell.path) != cell.new:
            yield f"{cell.path!r} is not a {cell.new} of predictions/{cell.set}.csv"


def by_set(cells: Iterable[Relabelled]) -> dict[tuple[str, str, str], list[Relabelled]]:
    """The cells of each set, by whose word they had another label: (set, run, time) -> cells, in the order of paths."""
    found: dict[tuple[str, str, str], list[Relabelled]] = {}
    for cell in sorted(cells, key=lambda each: (each.set, each.path)):
        found.setdefault((cell.set, cell.run, cell.time), []).append(cell)
    return found
