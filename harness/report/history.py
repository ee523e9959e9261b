"""What did the runs of a folder come to, one after another, and what changed between them? One page for all of them.

The records of this module say what is told of a run; `harness.pack.history` reads them from packs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from harness.report import templating, wording
from harness.report.trends import Point, Trend, trend

TEMPLATE, STYLE = "history.html.j2", "history.css"
GENERATOR = "leukocyte-harness index"  # by which a page is known that may be replaced
KINDS = ("protocol", "data", "code", "environment", "model")
MOST_CHANGES = 60  # of one kind that the page lists; the packs have the others
MOST_OPEN = 20  # runs that stand in the open; older ones are folded
MOST_POINTS = 30  # of a trend; its table has every run


@dataclass(frozen=True, slots=True)
class Reading:
    """One estimate of one run.

    unit:   "fraction", "s" or "images/s", as in the table of metrics.
    counts: k/n, or what else the value rests on; empty where nothing is recorded.
    bounds: what the two bounds are, such as "two-sided 95 % Wilson"; empty where there are none.
    """

    value: float
    lower: float | None
    upper: float | None
    unit: str
    counts: str = ""
    bounds: str = ""

    @property
    def told(self) -> str:
        return wording.quantity(self.value, self.unit)

    @property
    def interval(self) -> str:
        if self.lower is None or self.upper is None:
            return ""
        return f"[{wording.quantity(self.lower, self.unit)}, {wording.quantity(self.upper, self.unit)}]"


@dataclass(frozen=True, slots=True)
class PastRun:
    """What the page tells of one run.

    folder:     the name of its folder or zip. page: whether its report can be opened from there.
    started_at: ISO 8601 in UTC.
    outcomes:   outcome -> how many required criteria came to it.
    looks:      set -> the number of this run's look at it.
    baseline:   the run that it was compared with.
    readings:   name of an estimate -> what it came to.
    facts:      kind of KINDS -> name -> value: all that can change from run to run.
    """

    folder: str
    page: bool
    run_id: str
    started_at: str
    protocol: str
    title: str
    passed: bool
    stopped: bool
    outcomes: Mapping[str, int]
    looks: Mapping[str, int]
    baseline: str | None
    readings: Mapping[str, Reading]
    facts: Mapping[str, Mapping[str, str]]

    @property
    def link(self) -> str | None:
        """Relative address of its report, in which nothing of the folder's name is an address of its own."""
        return f"./{quote(self.folder.encode('utf-8', 'surrogateescape'))}/index.html" if self.page else None

    @property
    def from_a_dirty_checkout(self) -> bool:
        return self.facts.get("code", {}).get("dirty") not in ("no", None)


@dataclass(frozen=True, slots=True)
class NoRun:
    """An entry of the folder of which no run can be told, and why."""

    folder: str
    why: str


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that is otherwise than in the run before; None where one of the two does not record it."""

    kind: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """From a run to the next one of the same protocol's name.

    changes: kind -> what changed, in the order of names; every kind has its place, also where nothing changed.
    same_code_unknown: whether a checkout had changes of its own, so that equal commits do not mean equal code.
    """

    before: PastRun
    after: PastRun
    changes: Mapping[str, tuple[Changed, ...]] = field(default_factory=dict)
    same_code_unknown: bool = False

    @property
    def summary(self) -> str:
        """Such as "protocol (2), environment (1)"."""
        told = [f"{kind} ({len(found)})" for kind, found in self.changes.items() if found]
        return ", ".join(told) or "nothing that a pack records"


def changes_between(before: PastRun, after: PastRun) -> Step:
    """What is recorded otherwise of two runs, kind by kind."""
    found = {kind: tuple(_changed(kind, before.facts.get(kind, {}), after.facts.get(kind, {}))) for kind in KINDS}
    dirty = before.from_a_dirty_checkout or after.from_a_dirty_checkout
    return Step(before, after, found, same_code_unknown=dirty)


def _changed(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Changed]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Changed(kind, name, before.get(name), after.get(name))


def steps_of(runs: Sequence[PastRun]) -> dict[str, Step]:
    """Run -> the step from the run before it of a protocol of the same name; the first of each has none.

    Args:
        runs: newest first.
    """
    last: dict[str, PastRun] = {}
    found = {}
    for run in reversed(runs):
        if (before := last.get(run.protocol)) is not None:
            found[run.run_id] = changes_between(before, run)
        last[run.protocol] = run
    return found


def trends_of(runs: Iterable[PastRun]) -> dict[str, tuple[Trend, ...]]:
    """Protocol -> the trend of each estimate that two of its runs have; in the order in which runs name them."""
    by_protocol: dict[str, list[PastRun]] = {}
    for run in runs:
        by_protocol.setdefault(run.protocol, []).insert(0, run)
    found = {name: tuple(_trends(each)) for name, each in by_protocol.items()}
    return {name: each for name, each in found.items() if each}


def _trends(runs: Sequence[PastRun]) -> Iterator[Trend]:
    baselines = {run.baseline for run in runs}
    for name in dict.fromkeys(name for run in reversed(runs) for name in run.readings):
        having = [run for run in runs if name in run.readings]
        points = [
            Point(run.run_id, run.readings[name], passed=run.passed, baseline=run.run_id in baselines) for run in having
        ]
        if len(points) > 1:
            yield trend(name, points, most=MOST_POINTS)


def render_history(name: str, runs: Sequence[PastRun], others: Sequence[NoRun], *, checked: str) -> str:
    """The page of a folder.

    Args:
        name: of the folder.
        runs: newest first.
        others: entries of which no run can be told.
        checked: how far the packs were checked before they were read, as a sentence.
    """
    compared: dict[str, int] = {}
    for run in runs:
        if run.baseline is not None:
            compared[run.baseline] = compared.get(run.baseline, 0) + 1
    return (
        templating.environment(STYLE)
        .get_template(TEMPLATE)
        .render(
            name=name,
            runs=runs,
            others=others,
            steps=steps_of(runs),
            trends=trends_of(runs),
            compared=compared,
            checked=checked,
            generator=GENERATOR,
            most_changes=MOST_CHANGES,
            most_open=MOST_OPEN,
            brief=brief,
        )
    )


def brief(value: str | None) -> str:
    """A value as the page shows it: cut where it is long, a digest to its beginning."""
    if value is None:
        return "not recorded"
    if len(value) == 64 and not set(value) - set("0123456789abcdef"):
        return wording.short(value)
    return value if len(value) <= 160 else f"{value[:157]}..."
