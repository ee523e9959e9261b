"""Which look at a set is this, and which looks at it were the first? Read off the chain of a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from harness.judge.answers import unpack_answers
from harness.judge.likenesses import look_alike
from harness.judge.look import Look, Role
from harness.judge.pictures import unpack_pictures
from harness.judge.rules import Rules
from harness.metrics.adaptation import adapted_to
from harness.protocol.criteria import Criterion

PICTURED = ("pictures", "likenesses")  # of an entry, in the order of `Shown`


class Shown(NamedTuple):
    """What a look shows: enough to tell whether another one showed some of it before.

    source, cells, pictures, likenesses: see `Look`; the last two may be empty where the chain has those of the same
        cells.
    """

    source: str
    cells: str
    pictures: str = ""
    likenesses: str = ""


class _Known(NamedTuple):
    """What a chain knows of the pictures of each digest of cells: their digests, and how they look, packed."""

    pictures: Mapping[str, np.ndarray]
    likenesses: Mapping[str, str]

    def alike(self, cells: str, other: str) -> bool:
        """Whether two sets of cells show pictures that look alike, such as those of one that were saved anew."""
        one, two = self.likenesses.get(cells, ""), self.likenesses.get(other, "")
        return bool(one and two) and look_alike(*sorted((one, two)))


class _Judged(NamedTuple):
    """What tells one choice of predictions from another."""

    cells: str
    predictions: str
    answers: str


def look_number(
    looks: Sequence[Look],
    *,
    run: str,
    source: str,
    cells: str,
    predictions: str,
    answers: str = "",
    pictures: str = "",
    role: Role = "judged",
) -> int:
    """Which look at these cells, their source or any picture of them these predictions are: 1 for the first ever.

    The rule: the number is one more than the distinct predictions that somebody could have chosen among before these
    were first judged: those of the same source or cells, or those of the picture that most of them had seen, if these
    are more.
    - The same predictions again, such as a run from kept results, are the same look and keep their number.
    - So do those of another engine or door: every cell called the same class, every probability within 1e-4 of the
      first look that gave them. Always of the first: many small steps from one to the next lead to another look.
    - Another training, seed or preprocessing gives other predictions: the next number.
    - The set's name, file names and the drawing of its part do not matter, only which cells they are and where they
      come from: whoever draws the test part again from the same dataset, saves its images in another format, adds some
      or leaves some out, counts on. So does who saves them anew with loss, rescales or relights them a little: where
      more than 1 in 20 of either set's pictures look like one of the other's, all looks at the one count for the other.
      Where the ledger does not know the pictures of an older entry, that entry counts by its source and cells alone.
    - A "seed" look of the same run takes no number: its protocol named every seed beforehand. In a later run it counts
      like any other, so that the best of twenty seeds is look 20 when it is judged.
    - Nor do a classifier and itself after it was adapted count for each other in one run, whose protocol named both.

    Args:
        looks: the chain, with or without the look that is asked for.
        run: the run that asks, for predictions that were never judged before.
        source, cells, predictions, answers, pictures, role: see `Look`.
    """
    shown = Shown(source, cells, pictures)
    known = _known_by_cells(looks, shown)
    related = _sharing(looks, shown, known)
    *choices, own = _choices(
        [
            *(_Judged(each.cells, each.predictions, each.answers) for each in related),
            _Judged(cells, predictions, answers),
        ]
    )
    judged = next((n for n, look in enumerate(related) if choices[n] == own and look.role == role), None)
    in_run = run if judged is None else related[judged].run
    counted = [
        n
        for n in range(len(related) if judged is None else judged)
        if choices[n] != own and (related[n].role == role or related[n].run != in_run)
    ]
    by_source = {
        choices[n]
        for n in counted
        if related[n].source == source or related[n].cells == cells or known.alike(cells, related[n].cells)
    }
    seen = [(choices[n], related[n]) for n in counted]
    return 1 + max(len(by_source), _of_most_seen(known.pictures.get(cells), seen, known.pictures))


def shared_before(looks: Sequence[Look], shown: Shown) -> list[Look]:
    """The looks at the same source, the same cells or the same pictures, be they saved anew, in their order."""
    return _sharing(looks, shown, _known_by_cells(looks, shown))


def shown_by(look: Look, ledger: Sequence[Look]) -> Shown:
    """What a look of this chain shows; its pictures may stand in another entry of the same cells."""
    same = [each for each in ledger if each.cells == look.cells]
    pictures, likenesses = (next(filter(None, (getattr(e, name) for e in same)), "") for name in PICTURED)
    return Shown(look.source, look.cells, pictures, likenesses)


def in_order(looks: Sequence[Look], rules: Rules) -> list[Sequence[Look]]:
    """The looks in each order in which one of them may be called the first.

    Whoever merges ledgers chooses which chain comes first, and whoever sets a clock chooses dates: so that both orders
    count where they differ.
    """
    dated = sorted(looks, key=lambda look: datetime.fromisoformat(look.time))
    return [looks, dated] if rules.firsts_kept and dated != list(looks) else [looks]


def first_looks(looks: Sequence[Look], shown: Shown, *, rules: Rules) -> list[Look]:
    """The looks that fixed the protocol for any of this: each at what no look before it that keeps terms had shown.

    Sets that were joined were looked at first apart, so there may be several. Of entries that keep the looks' rule
    alone, as one version wrote them, the first is among them.
    """
    known = _known_by_cells(looks, shown)
    found: list[Look] = []
    for related in in_order(_sharing(looks, shown, known), rules):
        firsts: list[Look] = []
        for look in related:
            if look.terms and not _sharing(firsts, Shown(look.source, look.cells), known):
                firsts.append(look)
        found += [*firsts, *[look for look in related if look.rule and not look.terms][:1]]
    return list(dict.fromkeys(found))


def _known_by_cells(looks: Sequence[Look], shown: Shown) -> _Known:
    pictures = {look.cells: unpack_pictures(look.pictures) for look in looks if look.pictures}
    if shown.pictures:
        pictures.setdefault(shown.cells, unpack_pictures(shown.pictures))
    likenesses = {look.cells: look.likenesses for look in looks if look.likenesses}
    if shown.likenesses:
        likenesses.setdefault(shown.cells, shown.likenesses)
    return _Known(pictures, likenesses)


def _sharing(looks: Sequence[Look], shown: Shown, known: _Known) -> list[Look]:
    """The looks at the same source, the same cells, any of the same pictures or pictures that look alike, in order."""
    own = known.pictures.get(shown.cells)
    overlaps = {
        cells: (own is not None and cells in known.pictures and _share_one(own, known.pictures[cells]))
        or known.alike(shown.cells, cells)
        for cells in {look.cells for look in looks}
    }
    return [look for look in looks if look.source == shown.source or look.cells == shown.cells or overlaps[look.cells]]


def _share_one(own: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.isin(own, other, assume_unique=True).any())


def _of_most_seen(own: np.ndarray | None, before: Sequence[tuple[int, Look]], known: Mapping[str, np.ndarray]) -> int:
    """How many of these choices were made in sight of the one picture that most of them had seen."""
    if own is None:
        return 0
    cells_of: dict[int, set[str]] = {}
    for choice, look in before:
        if look.cells in known:
            cells_of.setdefault(choice, set()).add(look.cells)
    masks = {cells: np.isin(own, known[cells], assume_unique=True) for cells in set().union(*cells_of.values())}
    counts = np.zeros(len(own), dtype=np.int64)
    for cells in cells_of.values():
        counts += np.logical_or.reduce([masks[each] for each in cells])
    return int(counts.max(initial=0))


def _choices(looks: Sequence[_Judged]) -> list[int]:
    """For each look the place of the first that gave the same answers: its own, where none did."""
    places: list[int] = []
    by_predictions: dict[str, int] = {}
    firsts: dict[str, list[int]] = {}  # cells -> the places of looks at them that gave answers of their own
    for place, look in enumerate(looks):
        first = by_predictions.get(look.predictions)
        if first is None:
            alike = (n for n in firsts.get(look.cells, ()) if _same_answers(looks[n], look))
            first = next(alike, place)
            by_predictions[look.predictions] = first
            if first == place:
                firsts.setdefault(look.cells, []).append(place)
        places.append(first)
    return places


def _same_answers(one: _Judged, other: _Judged) -> bool:
    if not one.answers or not other.answers:
        return False  # an older entry, or too large a set: told apart by digest, which never gives a look away
    return unpack_answers(one.answers).is_same_look_as(unpack_answers(other.answers))


def looked_at(criterion: Criterion) -> str:
    """Under which name a run counts the looks at the cells of a criterion."""
    return adapted_to(criterion.set) if criterion.entry.adapted else criterion.set


def fitted_among(looks: Iterable[Look], pictures: str) -> list[tuple[Look, int]]:
    """The entries whose cells a classifier was adapted with, and how many of these pictures each of them holds."""
    own = unpack_pictures(pictures)
    held = [(look, int(np.isin(own, unpack_pictures(look.pictures)).sum())) for look in fits_on(looks)]
    return [(look, n) for look, n in held if n]


def fits_on(looks: Iterable[Look]) -> list[Look]:
    """The entries of cells that a classifier was adapted with, each set of cells once, with its pictures."""
    looks = list(looks)
    cells = {look.cells for look in looks if look.role == "fit"}
    pictured = {look.cells: look for look in reversed(looks) if look.cells in cells and look.pictures}
    return list(pictured.values())
