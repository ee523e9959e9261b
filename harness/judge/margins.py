"""Is a margin looser than the one that the baseline was judged by?

Whoever names the baseline may choose the margin with its numbers in sight, whatever ledger the candidate has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from harness.protocol.records import Criterion, Protocol


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
class Loosened:
    """One key of a margin that asks for less than the baseline's. old, new: None where there is no such key."""

    set: str
    steps: tuple[str, ...]
    old: object
    new: object


def margins_of(protocol: Protocol) -> tuple[Margin, ...]:
    """What a protocol requires of a candidate beside its baseline."""
    return tuple(_margin(each) for each in protocol.criteria if each.question == "regression" and each.required)


def loosened(protocol: Protocol, baseline: Sequence[Margin]) -> Iterator[Loosened]:
    """Where this protocol requires less of a candidate than the baseline's did: wider, less sure, or nothing at all."""
    ours = {_margin(each).subject: each for each in protocol.criteria if each.question == "regression"}
    for theirs in baseline:
        found = ours.get(theirs.subject)
        if found is None:
            held = {name: value for name, value in asdict(theirs).items() if name != "id" and value is not None}
            yield Loosened(theirs.set, ("criteria", theirs.id), held, None)
            continue
        for name, old, new in _weaker(theirs, found):
            yield Loosened(theirs.set, ("criteria", found.id, name), old, new)


def _weaker(theirs: Margin, ours: Criterion) -> Iterator[tuple[str, object, object]]:
    if not ours.required:
        yield "required", True, False
    if ours.level < theirs.level:
        yield "level", theirs.level, ours.level
    if theirs.floor is not None and (ours.floor is None or ours.floor < theirs.floor):
        yield "floor", theirs.floor, ours.floor
    if theirs.ceiling is not None and (ours.ceiling is None or ours.ceiling > theirs.ceiling):
        yield "ceiling", theirs.ceiling, ours.ceiling


def _margin(each: Criterion) -> Margin:
    bounds = each.floor, each.ceiling, each.level
    return Margin(each.id, each.set, each.metric, each.cell_class, each.kind, *bounds)
