"""Did the run pass, and what did each criterion come to?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from markupsafe import Markup

from harness.judge.looks_left import LooksLeft, looks_left
from harness.judge.prospects import by_reason
from harness.judge.verdicts import Outcome, Verdict
from harness.protocol.names import PARTS
from harness.protocol.questions import GATES
from harness.report.amended import idle_amendments, unfixed_of
from harness.report.margins import margin
from harness.report.printing import listed, sentence
from harness.report.results import interval_method, joint_bound
from harness.report.scores import MOST_CLASSES
from harness.report.section import Limit, Material, Section
from harness.report.sentences import classes_lost, requires_accuracy
from harness.report.verdicts import MARKS, VerdictRow, criterion_place, rows_of
from harness.run.results import RunResults

LOOKS_RULES = {
    "first-look": "The first look at a set may spend half of 1 - level, and each further one of the protocol's budget "
    "an equal part of the other half; after the last nothing passes.",
    "series": "The m-th look at a set may spend 1 / (m (m + 1)) of 1 - level, so that all together spend no more than "
    "the whole.",
    "look-number": "At the m-th look at a set its criteria are judged at 1 - (1 - level) / m, which over many looks "
    "adds up to more than 1 - level.",
    "budget": "Each look of the protocol's budget has an equal share of 1 - level; after the last nothing passes.",
    "none": "The protocol corrects nothing for repeated looks:",
}


LOOKS_LEFT = ("page", "verdict", "looks_left")


@dataclass(frozen=True, slots=True)
class View:
    """What the box says.

    unmet: for information, not required, and not passed. not_asked: (why, those that were not for this reason).
    outcomes: (mark, word) of each outcome that occurred.
    looks_left: (set, what is left of the looks at it, the criteria that end it).
    moved: places of the run's changes that a verdict may rest on, undeclared ones first.
    added: places of criteria more, which are not required.
    idle_amendments: keys whose amendments are of no look that the ledger knows.
    unfixed: sets with looks of an older harness, which fix nothing of the protocol.
    hopeless: (criteria, why they could not pass whatever the classifier did).
    sampled, exact: required criteria by whether their bound is one of a sample; those that did not pass come first.
    unmeasured: the required ones that have no value.
    open: what did not pass, for whatever reason of its own; quiet: (what, the rows) of everything else.
    worst_class: of the test part, and worst_external: set, by what was observed.
    methods: set -> what its interval for display is called.
    blocked: what must not be said because of the limits.
    worse: set that was compared with a baseline -> the classes that lost more cells than they gained, worst first.
    """

    sampled: tuple[VerdictRow, ...]
    exact: tuple[VerdictRow, ...]
    unmeasured: tuple[VerdictRow, ...]
    open: tuple[VerdictRow, ...]
    quiet: tuple[tuple[str, tuple[VerdictRow, ...]], ...]
    worst_class: str | None
    worst_external: str | None
    joint: Markup
    methods: Mapping[str, str]
    blocked: tuple[Markup | str, ...]
    worse: Mapping[str, tuple[str, ...]]
    every: tuple[VerdictRow, ...]
    blocking: tuple[VerdictRow, ...]
    unmet: tuple[VerdictRow, ...]
    not_asked: tuple[tuple[Markup, tuple[VerdictRow, ...]], ...]
    waived: tuple[VerdictRow, ...]
    outcomes: tuple[tuple[str, str], ...]
    looks_rule: str
    looks_left: tuple[tuple[str, LooksLeft, tuple[Markup, ...]], ...]
    hopeless: tuple[tuple[tuple[Markup, ...], Markup], ...]
    moved: tuple[int, ...]
    added: tuple[int, ...]
    idle_amendments: tuple[Markup, ...]
    unfixed: tuple[str, ...]
    requires_accuracy: bool


def view(page: Material) -> View:
    rows = rows_of(page.run, page.evidence)
    required = sorted((row for row in rows if _required(row)), key=_urgency)
    quiet = [row for row in rows if row.verdict.passed or row.verdict.not_asked or _unjudged(row)]
    worst_class, worst_external = worst_class_of(page.run), worst_external_of(page.run)
    return View(
        sampled=tuple(row for row in required if row.is_measured and not row.is_exact),
        exact=tuple(row for row in required if row.is_measured and row.is_exact),
        unmeasured=tuple(row for row in required if not row.is_measured),
        open=tuple(sorted((row for row in rows if row not in quiet), key=lambda row: not row.verdict.blocks)),
        quiet=tuple(_by_gate(quiet)),
        worst_class=worst_class,
        worst_external=worst_external,
        joint=Markup() if worst_class is None else joint_bound(page.evidence, "test", worst_class),
        methods={name: interval_method(found) for name, found in page.run.evaluations.items()},
        blocked=_blocked(page),
        worse={name: tuple(classes_lost(found))[:MOST_CLASSES] for name, found in page.run.comparisons.items()},
        every=rows,
        blocking=tuple(row for row in rows if row.verdict.blocks),
        unmet=tuple(row for row in rows if not (_required(row) or row.verdict.passed or row.verdict.not_asked)),
        not_asked=_by_reason([row for row in rows if row.verdict.not_asked]),
        waived=tuple(row for row in rows if row.verdict.waiver is not None),
        outcomes=tuple((MARKS[Outcome(word)], word) for word in _tally(page.run)),
        looks_rule=LOOKS_RULES[page.run.protocol.looks.correction],
        looks_left=tuple(
            (name, each, tuple(page.evidence.text(*LOOKS_LEFT, name, "ended_by", n) for n in range(len(each.ended_by))))
            for name, each in _left(page.run).items()
        ),
        hopeless=_hopeless(page),
        moved=_moved(page.run),
        added=tuple(n for n, change in enumerate(page.run.changes) if change.told),
        idle_amendments=tuple(
            page.evidence.text("page", "verdict", "idle_amendments", n) for n in range(len(idle_amendments(page.run)))
        ),
        unfixed=tuple(unfixed_of(page.run)),
        requires_accuracy=requires_accuracy(page.run.protocol),
    )


def _moved(run: RunResults) -> tuple[int, ...]:
    moved = (n for n, change in enumerate(run.changes) if not change.told)
    return tuple(sorted(moved, key=lambda n: run.changes[n].amendment is not None))


def _hopeless(page: Material) -> tuple[tuple[tuple[Markup, ...], Markup], ...]:
    e = page.evidence
    return tuple(
        (tuple(e.text("verdicts", name, "criterion") for name in names), e.text("cannot_pass", names[0]))
        for names in by_reason(page.run.cannot_pass).values()
    )


def _urgency(row: VerdictRow) -> int:
    """What keeps the run from passing comes first, and last what was not measured and does not."""
    return 0 if row.verdict.blocks else 1 if row.verdict.passed else 2


def _by_gate(rows: Sequence[VerdictRow]) -> Iterator[tuple[str, tuple[VerdictRow, ...]]]:
    """(what they are, the rows) of what needs no second look."""
    for gate in GATES:
        passed = tuple(row for row in rows if row.verdict.passed and row.verdict.criterion.gate == gate)
        if passed:
            yield f"Gate {gate}: met", passed
    if unasked := tuple(row for row in rows if row.verdict.not_asked):
        yield "Nobody asked", unasked
    if unjudged := tuple(row for row in rows if _unjudged(row)):
        yield "Behind a closed gate, or never reached", unjudged


def _unjudged(row: VerdictRow) -> bool:
    return row.verdict.outcome is Outcome.NOT_JUDGED and not row.verdict.not_asked


def _blocked(page: Material) -> tuple[Markup | str, ...]:
    """What the limits forbid to say, each once."""
    from harness.report.sections import SECTIONS  # which lists this section, too

    said = [limit.blocks for section in SECTIONS for limit in section.limits(page)]
    return tuple({Markup.escape(each).striptags(): each for each in said}.values())


def _by_reason(rows: Sequence[VerdictRow]) -> tuple[tuple[Markup, tuple[VerdictRow, ...]], ...]:
    """The rows under each reason, in the order in which reasons come first."""
    reasons = {row.verdict.reason: row.reason for row in reversed(rows)}
    found = {row.verdict.reason: tuple(r for r in rows if r.verdict.reason == row.verdict.reason) for row in rows}
    return tuple((reasons[reason], each) for reason, each in found.items())


def _required(row: VerdictRow) -> bool:
    return row.verdict.criterion.required


def _left(run: RunResults) -> dict[str, LooksLeft]:
    return looks_left(run.protocol, run.counted_predictions, run.looks, rules=run.rules)


def worst_class_of(run: RunResults) -> str | None:
    """The class of the test part that was recognised least, of those that have cells there."""
    test = run.evaluations.get("test")
    if test is None:
        return None
    recalls = {name: test.confusion[i, i] / n for i, (name, n) in enumerate(test.support.items()) if n}
    return min(recalls, key=lambda name: recalls[name], default=None)


def worst_external_of(run: RunResults) -> str | None:
    """The external set with the fewest right answers for its size."""
    external = {name: each for name, each in run.evaluations.items() if name not in PARTS and each.n}
    return min(external, key=lambda name: external[name].n_correct / external[name].n, default=None)


def facts(run: RunResults) -> dict[str, object]:
    """How many criteria ended how; and 2TP/(2TP+FP+FN) of each F1, whose own k/n is TP/(TP+FP+FN).

    margins: criterion -> how far the bound that decides is on the right side of its threshold.
    """
    scores = {v.criterion.id: v.estimate for v in run.verdicts if v.estimate is not None and v.estimate.metric == "f1"}
    return {
        "blocking": sum(verdict.blocks for verdict in run.verdicts),
        "required": sum(verdict.criterion.required for verdict in run.verdicts),
        "tally": _tally(run),
        "f1": {
            name: {"k": 2 * found.k, "n": found.k + found.n}
            for name, found in scores.items()
            if found.k is not None and found.n is not None
        },
        "margins": {v.criterion.id: room for v in run.verdicts if (room := margin(v)) is not None},
        "cells_needed": {v.criterion.id: n for v in run.verdicts if (n := _cells_needed(v)) is not None},
        "other_protocols": _other_protocols(run),
        "idle_amendments": [each.key for each in idle_amendments(run)],
        "unfixed": unfixed_of(run),
        "contradictions": list(run.contradictions),
        "looks_left": {name: asdict(each) for name, each in _left(run).items()},
    }


def _tally(run: RunResults) -> dict[str, dict[str, int]]:
    counts = Counter((v.outcome, v.criterion.required) for v in run.verdicts)
    every = {o.value: {"required": counts[o, True], "other": counts[o, False]} for o in Outcome}
    return {word: row for word, row in every.items() if any(row.values())}


def limits(page: Material) -> Iterator[Limit]:
    e = page.evidence
    if page.run.stopped_because is not None:
        yield Limit(
            sentence("The run stopped early: {why}", why=e.text("run", "stopped_because")),
            "Everything that a later stage would have measured.",
        )
    yield from _limits_of_looks(page)
    yield from _unanswered(page)
    for verdict in page.run.verdicts:
        yield from _limits_of(verdict, page)


def _unanswered(page: Material) -> Iterator[Limit]:
    """Criteria that say nothing, those with one reason together."""
    e, grouped = page.evidence, dict[tuple[Outcome, str], list[Verdict]]()
    for verdict in page.run.verdicts:
        if verdict.outcome in (Outcome.NOT_ASSESSED, Outcome.NOT_JUDGED):
            grouped.setdefault((verdict.outcome, verdict.reason), []).append(verdict)
    for verdicts in grouped.values():
        first = ("verdicts", verdicts[0].criterion.id)
        asked = {(v.criterion.metric, v.criterion.set): criterion_place(v.criterion) for v in verdicts}
        yield Limit(
            sentence(
                "{ids}: {what}. {why}.",
                ids=listed(e.text("verdicts", v.criterion.id, "criterion") for v in verdicts),
                what=e.text(*first, "outcome"),
                why=e.text(*first, "reason"),
            ),
            sentence(
                "Any statement on {asked} from this run.",
                asked=listed(
                    sentence("{metric} ({set})", metric=e.text(*each, "metric"), set=e.text(*each, "set"))
                    for each in asked.values()
                ),
            ),
        )


def _limits_of_looks(page: Material) -> Iterator[Limit]:
    """Predictions that were seen under other criteria: these may have been chosen in their light."""
    for name, others in _other_protocols(page.run).items():
        here = ("page", "verdict", "other_protocols", name)
        seen = listed(page.evidence.digest(*here, place) for place in range(len(others)))
        yield Limit(
            sentence(
                "These predictions of {name} were scored before under {n} other protocol(s), {seen}.",
                name=name,
                n=page.evidence.size(*here),
                seen=seen,
            ),
            f"That the criteria on {name} were fixed before anybody knew its numbers.",
        )


def _other_protocols(run: RunResults) -> dict[str, list[str]]:
    """Set -> digests of other protocols that its predictions were judged by before."""
    found = {}
    for name in run.looks:
        seen = run.predictions[name].digest if name in run.predictions else None
        others = {e.protocol for e in run.ledger if e.predictions == seen and e.protocol != run.protocol.digest}
        if others:
            found[name] = sorted(others)
    return found


def _limits_of(verdict: Verdict, page: Material) -> Iterator[Limit]:
    criterion, found, e = verdict.criterion, verdict.estimate, page.evidence
    here, asked = ("verdicts", criterion.id), criterion_place(criterion)
    name, metric, place = e.text(*here, "criterion"), e.text(*asked, "metric"), e.text(*asked, "set")
    needed = _cells_needed(verdict)
    if needed is None or found is None:
        return
    floor, n = e.share(*asked, "floor"), e.plain_count(*here, "estimate", "n")
    yield Limit(
        sentence(
            "{id} cannot pass with n = {n}: even {n} of {n} correct leaves its lower bound under {floor}. At least "
            "{needed} cells are needed{whose}.",
            id=name,
            n=n,
            floor=floor,
            needed=e.plain_count("page", "verdict", "cells_needed", criterion.id),
            whose=", of independent patients" if found.effective_n else "",
        ),
        sentence(
            "That {metric} on {set} reaches {floor}, whatever was observed.", metric=metric, set=place, floor=floor
        ),
    )


def _cells_needed(verdict: Verdict) -> int | None:
    """How many cells a criterion needs that these could not have met without an error; None where they could."""
    criterion, found = verdict.criterion, verdict.estimate
    if criterion.floor is None or not 0 < criterion.floor < 1 or criterion.metric not in ("accuracy", "recall"):
        return None
    if found is None or not found.n:
        return None
    # Clopper-Pearson's lower bound of n correct out of n is (1 - level) ** (1 / n).
    if (1 - found.level) ** (1 / (found.effective_n or found.n)) >= criterion.floor:
        return None
    return math.ceil(math.log(1 - found.level) / math.log(criterion.floor))


SECTION = Section("verdict", "Verdict", view, limits, facts)
