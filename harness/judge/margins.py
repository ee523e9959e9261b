"""Does a protocol ask less of a candidate beside its baseline than the baseline's own did?

Whoever names the baseline may choose the margin with its numbers in sight, whatever ledger the candidate has; and all
that a margin rests on: how sure it must be at a first look, how alike cells of one patient are taken to be, and whether
it may be left unassessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from harness.judge.criteria import parts_at
from harness.metrics.multiplicity import level_of_part
from harness.protocol.criteria import Criterion
from harness.protocol.records import Protocol
from harness.protocol.terms import plain, terms_of

UNSHARED = ("none", "look-number")  # rules of looks by which an error is spent anew, or more of it than there is


@dataclass(frozen=True, slots=True)
class Margin:
    """A required criterion of a protocol on the difference from a baseline; fields as a `Criterion` has them."""

    id: str
    set: str
    metric: str
    cell_class: str | None
    kind: str | None
    floor: float | None
    ceiling: float | None
    level: float

    @property
    def subject(self) -> tuple[str, ...]:
        """What it is a margin of, whatever it is called."""
        return (self.set, self.metric, self.cell_class or "", self.kind or "")


@dataclass(frozen=True, slots=True)
class Rest:
    """What the margins of a protocol rest on, beside their own keys.

    correction, budget:       how looks share the error; parts: of how many equal ones a first look spends one.
    intracluster_correlation: the least that is assumed of cells of one group; source: where it is from, if stated.
    waived:                   id of a margin that may be left unassessed -> the last day of that.
    """

    correction: str
    budget: int | None
    parts: int
    intracluster_correlation: float
    source: str | None
    waived: dict[str, str]

    @property
    def unshared(self) -> bool:
        """Whether further looks spend an error that was not set aside for them."""
        return self.correction in UNSHARED

    def sure(self, level: float) -> float:
        """What is left of a level for a first look."""
        return level_of_part(level=level, parts=max(1, self.parts))


@dataclass(frozen=True, slots=True)
class Loosened:
    """One key of a margin that asks for less than the baseline's. old, new: None where there is no such key."""

    set: str
    steps: tuple[str, ...]
    old: object
    new: object


def margins_of(protocol: Protocol) -> tuple[Margin, ...]:
    """What a protocol requires of a candidate beside its baseline."""
    return tuple(_margin(each) for each in protocol.criteria if each.question == "regression" and each.required)


def rest_of(protocol: Protocol) -> Rest:
    """What its margins rest on beside their own keys."""
    looks, clusters = protocol.looks, protocol.clusters
    gated = {each.id for each in margins_of(protocol)}
    return Rest(
        correction=looks.correction,
        budget=looks.budget,
        parts=parts_at(1, looks) or 1,
        intracluster_correlation=clusters.intracluster_correlation,
        source=None if clusters.source is None else plain(clusters.source),
        waived={each.criterion: each.expires.isoformat() for each in protocol.waivers if each.criterion in gated},
    )


def loosened(protocol: Protocol, baseline: Sequence[Margin], rest: Rest | None = None) -> Iterator[Loosened]:
    """Where this protocol requires less of a candidate than the baseline's did: wider, less sure, or nothing at all.

    rest: of the baseline's protocol; None where an older harness did not record it, and margins alone are compared.
    """
    now = rest_of(protocol)
    held = now if rest is None else rest
    ours = {_margin(each).subject: each for each in protocol.criteria if each.question == "regression"}
    for theirs in baseline:
        found = ours.get(theirs.subject)
        if found is None:
            stated = {name: value for name, value in asdict(theirs).items() if name != "id" and value is not None}
            yield Loosened(theirs.set, ("criteria", theirs.id), stated, None)
            continue
        less_sure = now.sure(found.level) < held.sure(theirs.level)
        for name, old, new in _weaker(theirs, found, less_sure=less_sure):
            yield Loosened(theirs.set, ("criteria", found.id, name), old, new)
        if less_sure or now.unshared > held.unshared:
            yield from _other_looks(theirs.set, held, now)
        if rest is not None and found.required:
            yield from _waived(theirs, found, held, protocol)
    for theirs in baseline[:1]:
        yield from _less_alike(theirs.set, held, now)


def _other_looks(set_name: str, held: Rest, now: Rest) -> Iterator[Loosened]:
    for name in ("correction", "budget"):
        old, new = getattr(held, name), getattr(now, name)
        if old != new:
            yield Loosened(set_name, ("looks", name), old, new)


def _waived(theirs: Margin, ours: Criterion, held: Rest, protocol: Protocol) -> Iterator[Loosened]:
    """Where the criterion may be left unassessed, and might not, or no longer, be."""
    waiver, until = protocol.waiver_for(ours.id), held.waived.get(theirs.id)
    if waiver is None:
        return
    if until is None:
        yield Loosened(theirs.set, ("waivers", ours.id), None, terms_of(protocol).tree["waivers"][ours.id])
    elif until < waiver.expires.isoformat():
        yield Loosened(theirs.set, ("waivers", ours.id, "expires"), until, waiver.expires.isoformat())


def _less_alike(set_name: str, held: Rest, now: Rest) -> Iterator[Loosened]:
    """Where cells of one patient are taken to be less alike than before, or few patients to be enough."""
    if now.intracluster_correlation < held.intracluster_correlation:
        correlations = held.intracluster_correlation, now.intracluster_correlation
        yield Loosened(set_name, ("clusters", "intracluster_correlation"), *correlations)
    if now.source is not None and held.source is None:
        yield Loosened(set_name, ("clusters", "source"), None, now.source)


def _weaker(theirs: Margin, ours: Criterion, *, less_sure: bool) -> Iterator[tuple[str, object, object]]:
    if not ours.required:
        yield "required", True, False
    if ours.level < theirs.level and less_sure:
        yield "level", theirs.level, ours.level
    if theirs.floor is not None and (ours.floor is None or ours.floor < theirs.floor):
        yield "floor", theirs.floor, ours.floor
    if theirs.ceiling is not None and (ours.ceiling is None or ours.ceiling > theirs.ceiling):
        yield "ceiling", theirs.ceiling, ours.ceiling


def _margin(each: Criterion) -> Margin:
    bounds = each.floor, each.ceiling, each.level
    return Margin(each.id, each.set, each.metric, each.cell_class, each.kind, *bounds)
