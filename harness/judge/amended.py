"""What has changed in the protocol since the first look at a set, and is it declared?

Any key counts, whichever way it moved: whoever may choose the floor after the numbers are seen chooses the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.data.records import SplitSource
from harness.judge.dropped import Dropped, dropped_pictures
from harness.judge.look import Look
from harness.judge.looks import Shown, first_looks, shared_before, shown_by
from harness.judge.margins import Margin, Rest, loosened
from harness.judge.regrouped import Regrouped, by_look, regrouped_sets
from harness.judge.relabelled import Relabelled, by_set
from harness.judge.rules import RULES, Rules
from harness.judge.terms import unpack_terms
from harness.protocol.amendments import CELLS, GROUPS, LABELS, Amendment
from harness.protocol.records import Protocol
from harness.protocol.terms import Steps, Terms, Tree, canonical, plain, says, terms_of

# Tables whose entries are added and removed one by one.
BESIDE = ("external", "unknown")  # sets that lie beside the dataset
ENTRIES = ("criteria", *BESIDE, "waivers")
PARTS_LOOKED_AT = ("test",)


@dataclass(frozen=True, slots=True)
class Change:
    """One key of the protocol that has changed since the first look at a set.

    set:       that was looked at, as it is called now.
    key:       with dots, such as "criteria.A1.floor"; "labels.SET" of corrected labels, which are path -> label;
               "groups.SET" of moved groups, which are column -> how many groups, and a digest of them; "cells.SET" of
               pictures that were dropped: how many there were, how many are gone, how many have other pixels, and a
               digest of which.
    old, new:  both values as JSON; empty where there is no such key.
    run, time: of the first look; of a baseline its run, and no time.
    amendment: the protocol's own, which names both values; None where the change is not declared.
    told:      True of a criterion more that is not required: no verdict rests on it, so that nothing need be declared.
    baseline:  True where it is no first look, but the baseline's protocol, which asks for more.
    """

    set: str
    key: str
    old: str
    new: str
    run: str
    time: str
    amendment: Amendment | None
    told: bool | None = None
    baseline: bool | None = None

    @property
    def of_labels(self) -> bool:
        """Whether it is of the data: labels that were corrected."""
        return self.key.startswith(f"{LABELS}.")

    @property
    def of_groups(self) -> bool:
        """Whether it is of the data: patients, slides, sites or another column that have other cells."""
        return self.key.startswith(f"{GROUPS}.")

    @property
    def of_cells(self) -> bool:
        """Whether it is of the data: pictures that the set no longer shows as they were."""
        return self.key.startswith(f"{CELLS}.")

    @property
    def of_data(self) -> bool:
        return self.of_labels or self.of_groups or self.of_cells

    @property
    def undeclared(self) -> bool:
        """Whether it keeps the run from passing."""
        return self.amendment is None and not self.told


class Compared(NamedTuple):
    """The run that a candidate is compared with, and what its protocol required of that comparison.

    rest: what its margins rest on, as `margins.rest_of` has it; None where an older harness did not record it.
    """

    run: str
    margins: Sequence[Margin]
    rest: Rest | None = None


class Difference(NamedTuple):
    """steps: to a value, or to a table that only one of the two has; old, new: None on the side that lacks it."""

    steps: Steps
    old: Any
    new: Any


def changes_in(
    protocol: Protocol,
    ledger: Sequence[Look],
    *,
    run: str,
    baseline: Compared | None = None,
    relabelled: Sequence[Relabelled] = (),
    regrouped: Sequence[Regrouped] = (),
    split: SplitSource | None = None,
    dropped: Sequence[Dropped] = (),
    rules: Rules = RULES,
) -> tuple[Change, ...]:
    """What has changed in this run's protocol since each set that it looked at was first looked at.

    Args:
        ledger: with the looks of this run.
        baseline: that the run is compared with; where less is asked than by its protocol.
        relabelled: cells that have another label than before.
        regrouped: sets whose cells are in other groups than in the baseline's pack; those that the ledger knows in
            other groups are found in it.
        split: what divided the dataset; None where it is not known.
        dropped: of a dataset whose parts are drawn; what was dropped of other sets is found in the ledger.
        rules: by which the run was judged.
    """
    found: dict[tuple[str, str, str], Change] = {}
    terms = terms_of(protocol)
    now = {look.set for look in ledger if look.run == run}
    for set_name, before, shown in _looks_of(ledger, run):
        runs = {look.run for look in shared_before(before, shown)}
        # A set that those runs looked at and this one leaves away: what was asked of it stays asked.
        left = {look.set for look in before if look.run in runs} - now
        for first in first_looks(before, shown, rules=rules):
            for each in _moved(first, terms, sets={set_name, first.set, *left}):
                change = _change(each, set_name, first, protocol.amendments, told=bool(rules.more_told))
                # Told once, of the first of the sets that the key was fixed for.
                found.setdefault((change.key, change.old, change.new), change)
    looser = () if baseline is None else _looser(protocol, baseline)
    moved = _moved_groups(protocol, (*regrouped_sets(ledger, run=run, rules=rules), *regrouped))
    gone = (*dropped_pictures(protocol, ledger, run=run, split=split, rules=rules), *dropped)
    for change in (*looser, *_corrected_labels(protocol, relabelled), *moved, *_dropped_cells(protocol, gone)):
        found.setdefault((change.key, change.old, change.new), change)
    return tuple(found.values())


def _corrected_labels(protocol: Protocol, relabelled: Sequence[Relabelled]) -> Iterator[Change]:
    """One change for each set, of both labels of each cell, by the path that it has now."""
    for (name, run, time), cells in by_set(relabelled).items():
        old, new = {cell.path: cell.old for cell in cells}, {cell.path: cell.new for cell in cells}
        found = Difference((LABELS, name), old, new)
        amendment = _declared(found, protocol.amendments)
        yield Change(
            name, f"{LABELS}.{name}", _as_json(old), _as_json(new), run, time, amendment, baseline=not time or None
        )


def _moved_groups(protocol: Protocol, regrouped: Iterable[Regrouped]) -> Iterator[Change]:
    """One change for each set and look, of every column by which its cells are divided otherwise."""
    for (name, run, time), moved in by_look(regrouped).items():
        old, new = (
            {each.kind: said for each in moved if (said := getattr(each, side))} or None for side in ("old", "new")
        )
        amendment = _declared(Difference((GROUPS, name), old, new), protocol.amendments)
        yield Change(
            name, f"{GROUPS}.{name}", _as_json(old), _as_json(new), run, time, amendment, baseline=not time or None
        )


def _dropped_cells(protocol: Protocol, gone: Iterable[Dropped]) -> Iterator[Change]:
    """One change for each set and look whose pictures were dropped, or have other pixels."""
    for each in gone:
        anew = {"anew": each.n_anew} if each.n_anew else {}
        moved = {"moved": each.n_moved} if each.n_moved else {}
        old, new = {"pictures": each.n}, {"gone": each.n_gone, **anew, **moved, "which": each.digest}
        amendment = _declared(Difference((CELLS, each.set), old, new), protocol.amendments)
        yield Change(each.set, f"{CELLS}.{each.set}", _as_json(old), _as_json(new), each.run, each.time, amendment)


def _looser(protocol: Protocol, baseline: Compared) -> Iterator[Change]:
    for each in loosened(protocol, baseline.margins, baseline.rest):
        found = Difference(each.steps, each.old, each.new)
        old, new = _as_json(found.old), _as_json(found.new)
        amendment = _declared(found, protocol.amendments)
        yield Change(each.set, ".".join(each.steps), old, new, baseline.run, "", amendment, baseline=True)


def unfixed_looks(ledger: Sequence[Look], *, run: str) -> dict[str, int]:
    """Set -> how many looks at it before this run fixed nothing, because an older harness recorded them."""
    counted = {}
    for set_name, before, shown in _looks_of(ledger, run):
        earlier = shared_before(before, shown)
        if earlier and not any(look.terms for look in earlier):
            counted[set_name] = len(earlier)
    return counted


def _looks_of(ledger: Sequence[Look], run: str) -> Iterator[tuple[str, list[Look], Shown]]:
    """Of each set that the run looked at: its name, the looks of other runs before it, and what it showed."""
    named: set[str] = set()
    for place, look in enumerate(ledger):
        if look.run == run and look.set not in named:
            named.add(look.set)
            yield look.set, [e for e in ledger[:place] if e.run != run], shown_by(look, ledger)


def _moved(first: Look, terms: Terms, *, sets: set[str]) -> Iterator[Difference]:
    """What has changed since a first look, of all that concerns these sets."""
    held = unpack_terms(first.terms)
    if not held:  # of a version that kept the looks' rule alone
        correction, _, budget = first.rule.partition(" of ")
        held = {"looks": {"correction": correction} | ({"budget": int(budget)} if budget.isdigit() else {})}
        terms = Terms({"looks": terms.tree.get("looks", {})}, frozenset())
    yield from (each for each in differences(held, terms) if _concerns(each, held, terms.tree, sets))


def differences(held: Tree, terms: Terms) -> Iterator[Difference]:
    """Every key whose value has changed; a default that an older harness did not know is no change."""
    for name in ENTRIES:  # one entry more is one key more, also where it is the first
        yield from _differing((name,), held.get(name, {}), terms.tree.get(name, {}), terms.usual)
    rest = {name: value for name, value in held.items() if name not in ENTRIES}
    now = {name: value for name, value in terms.tree.items() if name not in ENTRIES}
    yield from _differing((), rest, now, terms.usual)


def _differing(steps: Steps, held: Tree, now: Tree, usual: frozenset[Steps]) -> Iterator[Difference]:
    for name in dict.fromkeys([*held, *now]):
        old, new, here = held.get(name), now.get(name), (*steps, name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differing(here, old, new, usual)
        elif not says(old, new) and not (old is None and _all_usual(here, new, usual)):
            yield Difference(here, old, new)


def _all_usual(steps: Steps, value: Any, usual: frozenset[Steps]) -> bool:
    if isinstance(value, dict):
        return all(_all_usual((*steps, name), inner, usual) for name, inner in value.items())
    return steps in usual


def _concerns(found: Difference, held: Tree, now: Tree, sets: set[str]) -> bool:
    """Whether a difference is one for cells of these sets: what is asked of another set, its own first look fixes."""
    match found.steps:
        case (table, name, *_) if table in BESIDE:
            return name in sets
        case ("criteria" | "waivers", name, *_):
            asked = {each.get("set") for each in (_criterion(held, name), _criterion(now, name)) if each}
            beside = (name for tree in (held, now) for table in BESIDE for name in tree.get(table, {}))
            looked_at = {*PARTS_LOOKED_AT, *beside}
            return not asked or not asked <= looked_at or bool(asked & sets)
    return True


def _criterion(tree: Tree, name: str) -> Mapping[str, Any]:
    found = tree.get("criteria", {}).get(name)
    return found if isinstance(found, Mapping) else {}


def _change(found: Difference, set_name: str, first: Look, amendments: Iterable[Amendment], *, told: bool) -> Change:
    old, new = _as_json(found.old), _as_json(found.new)
    amendment = _declared(found, amendments)
    told = told and amendment is None and _is_one_more(found)
    return Change(set_name, ".".join(found.steps), old, new, first.run, first.time, amendment, told=told or None)


def _is_one_more(found: Difference) -> bool:
    """Whether it is a criterion that was not there, and is not required: the run passes, or not, without it."""
    if len(found.steps) != 2 or found.steps[0] != "criteria" or found.old is not None:
        return False
    return isinstance(found.new, Mapping) and found.new.get("required") is False


def _declared(found: Difference, amendments: Iterable[Amendment]) -> Amendment | None:
    key = ".".join(found.steps)
    return next((a for a in amendments if a.key == key and says(a.old, found.old) and says(a.new, found.new)), None)


def _as_json(value: object) -> str:
    return "" if value is None else canonical(plain(value))
