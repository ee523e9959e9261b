"""Does the evidence prove the requirement, disprove it, or neither? The only module that decides."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from harness.core.text import first_few
from harness.judge.sample_size import (
    ASSUMPTIONS,
    DECIDES,
    ONLY_NEW,
    cells_to_decide,
    counts_cells,
    is_proportion,
    power_at_observed,
    rate_of,
    trial_floor,
)
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.comparison import difference_bounds, effective_difference_bounds
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.intervals import effective_bounds
from harness.metrics.multiplicity import level_of_part, parts_of_first_look, parts_of_series
from harness.protocol.criteria import Criterion
from harness.protocol.questions import GATES
from harness.protocol.records import Protocol
from harness.protocol.statistics import LooksPlan


def judge(
    criterion: Criterion,
    estimate: Estimate | Unavailable,
    *,
    protocol: Protocol,
    today: date,
    look: int | None = None,
    family: Sequence[tuple[Criterion, Estimate]] = (),
    dependent: Mapping[str, str] | None = None,
    few_groups: str | None = None,
    too_alike: str | None = None,
    turns: str | None = None,
    doubted: str | None = None,
    disturbed: str | None = None,
) -> Verdict:
    """Decide from the bounds, never from the point value; too little evidence is neither a pass nor a fail.

    Args:
        estimate: with bounds at `level_at(protocol, criterion, look)`.
        today: the day of the run; a waiver counts until it expires.
        look: the number of the look at the criterion's set, from 1; None where looks are not counted.
        family: the criteria on the same metric of other classes, or kinds, with their estimates, this one among them.
            That all of them pass needs no correction (intersection-union); that one fails is said after Holm's.
        dependent: external set -> what in its images speaks against its independence of the training source.
        disturbed: why a failure is not believed, such as a machine that was busy while a classifier was timed.
        few_groups: why the cells are those of too few patients for its bound to be believed (`judge.groups`).
        too_alike: why a pass is not believed at the correlation that is assumed of cells of one patient.
        turns: up to which correlation a pass would be one, in words.
        doubted: why a pass is not believed, such as a search that could compare too few pictures.
    """
    if isinstance(estimate, Unavailable):
        return _not_assessed(criterion, estimate, protocol, today)
    _check_same_question(criterion, estimate)
    # Where independence is not shown, no number of cells would ever pass: none is named.
    speaks_against = dependence(criterion, protocol, dependent or {})
    independent = speaks_against is None
    level = level_at(protocol, criterion, look)
    if estimate.value is None:
        reason = f"undefined on {estimate.set}: {estimate.note or 'no cells'}"
        needed, assumed = None, None
        if independent and level is not None and counts_cells(criterion):
            needed, assumed = cells_to_decide(criterion, estimate, protocol, level=level)
        return Verdict(
            criterion, estimate, Outcome.INCONCLUSIVE, reason, needed, assumed=assumed if needed else None, look=look
        )
    if level is None:
        reason = f"this is look {look} at {criterion.set}, and the protocol's budget is {protocol.looks.budget} looks"
        return Verdict(criterion, estimate, Outcome.INCONCLUSIVE, reason, look=look)
    if not estimate.is_exact and estimate.level != level:
        raise ValueError(f"{criterion.id} is judged at level {level}, its estimate has {estimate.level}")
    proved, disproved = sides(criterion, estimate)
    doubts = "; and ".join(doubt for doubt in (speaks_against, few_groups or too_alike, doubted) if doubt is not None)
    if proved and doubts:
        held = "it is within the requirement" if estimate.unit == "count" else "the bound holds"
        return Verdict(criterion, estimate, Outcome.INCONCLUSIVE, f"{held}, but {doubts}", look=look)
    if proved:
        computed = estimate.is_exact and estimate.unit != "count"
        reason = "it is computed, and within the requirement" if computed else "the bound meets the requirement"
        reason += "" if turns is None else f"; {turns}"
        return Verdict(criterion, estimate, Outcome.PASSED, reason, look=look)
    corrected = _disproved_in_family(criterion, family, level) if disproved else False
    if disproved and corrected and disturbed is not None:
        shown = f"{observed(estimate, note=False, beside=criterion.bound)} would fail, but {disturbed}"
        return _not_assessed(criterion, Unavailable(shown), protocol, today)
    if disproved and corrected:
        of = f", after Holm's correction for {_count(criterion, family)}" if len(family) > 1 else ""
        reason = f"the bound excludes it{of}"
        return Verdict(criterion, estimate, Outcome.FAILED, reason, look=look)
    needed, assumed, power, reason = None, None, None, "too little evidence to decide"
    if disproved:
        reason = f"alone the bound would exclude it; as one of {_count(criterion, family)} (Holm) it does not"
    if not independent:
        reason += f", and {speaks_against}"
    elif criterion.entry.is_difference:
        reason += _unprovable(criterion, estimate, level) if estimate.paired is not None else ""
    elif is_proportion(estimate):
        needed, assumed = cells_to_decide(criterion, estimate, protocol, level=estimate.level)
        power = power_at_observed(criterion, estimate)
    if few_groups is not None:
        reason += f", and {few_groups}"
        power = 0.0 if power is not None else None
    return Verdict(
        criterion, estimate, Outcome.INCONCLUSIVE, reason, needed, power, assumed if needed else None, look=look
    )


def level_at(protocol: Protocol, criterion: Criterion, look: int | None) -> float | None:
    """The level at which this criterion is judged at this look, or None where the budget of looks is spent.

    look: the number of the look at the criterion's set, from 1; None where looks are not counted.
    """
    if look is None:
        return criterion.level
    parts = parts_at(look, protocol.looks)
    return None if parts is None else level_of_part(level=criterion.level, parts=parts)


def parts_at(look: int, plan: LooksPlan) -> int | None:
    """One of how many equal parts of 1 - level this look may spend; None where nothing is left of the budget."""
    match plan.correction:
        case "none":
            return 1
        case "look-number":  # of packs from before these parts had a sum
            return look
        case "series":
            return parts_of_series(look)
    assert plan.budget is not None  # for the type checker: LooksPlan refuses these corrections without one
    if plan.correction == "first-look":
        return parts_of_first_look(look, budget=plan.budget)
    return plan.budget if look <= plan.budget else None


def closed_gate(criterion: Criterion, verdicts: Iterable[Verdict]) -> str | None:
    """Why this criterion's gate is closed: an earlier gate at which a required criterion blocks. None if it is open."""
    if (why := what_closes(criterion, verdicts)) is None:
        return None
    return f"gate {criterion.gate!r} stayed closed: {why}"


def what_closes(criterion: Criterion, verdicts: Iterable[Verdict]) -> str | None:
    """The first earlier gate at which judged criteria block, and which: such as "at gate 'split', S1 failed"."""
    order = {gate: place for place, gate in enumerate(GATES)}
    earlier = [
        v
        for v in verdicts
        if v.blocks and v.outcome is not Outcome.NOT_JUDGED and order[v.criterion.gate] < order[criterion.gate]
    ]
    if not earlier:
        return None
    gate = min((v.criterion.gate for v in earlier), key=order.__getitem__)
    ids = ", ".join(f"{v.criterion.id} {v.outcome}" for v in earlier if v.criterion.gate == gate)
    return f"at gate {gate!r}, {ids}"


def behind_closed_gates(verdicts: Collection[Verdict]) -> tuple[Verdict, ...]:
    """Those whose reason is that their gate stayed closed: others were deselected, or never reached."""
    unjudged = (verdict for verdict in verdicts if verdict.outcome is Outcome.NOT_JUDGED)
    return tuple(verdict for verdict in unjudged if verdict.reason == closed_gate(verdict.criterion, verdicts))


def _not_assessed(criterion: Criterion, missing: Unavailable, protocol: Protocol, today: date) -> Verdict:
    waiver, reason = protocol.waiver_for(criterion.id), missing.reason
    if waiver is not None and not missing.waivable:
        reason, waiver = f"{reason}; a waiver excuses what is absent, not this", None
    if waiver is not None and waiver.expires < today:
        reason += f"; the waiver of {waiver.owner} expired on {waiver.expires.isoformat()}"
        waiver = None
    return Verdict(
        criterion,
        None,
        Outcome.NOT_ASSESSED,
        reason,
        waiver=waiver,
        not_asked=missing.not_asked and waiver is None,
        unavailable=missing,
    )


def not_judged(criterion: Criterion, reason: str) -> Verdict:
    """The verdict on a criterion whose test did not come to a decision."""
    return Verdict(criterion, None, Outcome.NOT_JUDGED, reason)


def complete(protocol: Protocol, verdicts: Iterable[Verdict], *, otherwise: str) -> tuple[Verdict, ...]:
    """One verdict per criterion, gate by gate in the protocol's order; a criterion without one is `not judged`."""
    known = {verdict.criterion.id: verdict for verdict in verdicts}
    ordered = sorted(protocol.criteria, key=lambda criterion: GATES.index(criterion.gate))
    return tuple(known.get(c.id) or not_judged(c, otherwise) for c in ordered)


def explain(verdict: Verdict) -> str:
    """The verdict in the words that terminal, JUnit and report share."""
    criterion, estimate = verdict.criterion, verdict.estimate
    subject = subject_of(criterion)
    lines = [f"{criterion.id} {subject}: {verdict.outcome.upper()}"]
    if estimate is not None:
        lines.append(f"  observed  {observed(estimate, beside=criterion.bound)}")
    lines.append(f"  required  {requirement(verdict)}; {verdict.reason}")
    if covers := criterion.entry.covers:
        lines.append(f"  covers    {covers}")
    if verdict.look is not None and verdict.look > 1:
        lines.append(f"  look      {verdict.look} at {criterion.set}")
    if verdict.n_to_decide is not None:
        lines += decidable(verdict)
    if verdict.power is not None and estimate is not None:
        lines.append(
            f"  power     at n = {estimate.n}, a classifier truly at the observed rate passes {power(verdict)}"
        )
    if verdict.waiver is not None:
        waiver = verdict.waiver
        lines.append(f"  waived    {waiver.reason} ({waiver.owner}, until {waiver.expires.isoformat()})")
    if estimate is not None and estimate.details:
        lines += [f"  - {detail}" for detail in first_few(estimate.details, 10)]
    lines.append(f"  because   {criterion.rationale}")
    return "\n".join(lines)


def subject_of(criterion: Criterion) -> str:
    """Such as "recall of monocyte, on test"."""
    return _subject(criterion.metric, criterion.set, criterion.cell_class, criterion.kind)


def requirement(verdict: Verdict) -> str:
    """What was required, such as "lower 95 % bound >= 0.98", at the level that is left after several looks."""
    criterion, estimate = verdict.criterion, verdict.estimate
    level = criterion.level if estimate is None or estimate.is_exact else estimate.level
    side, sign = ("lower", ">=") if criterion.floor is not None else ("upper", "<=")
    shared = f" ({100 * criterion.level:g} % shared among looks)" if level != criterion.level else ""
    return f"{side} {100 * level:.6g} % bound {sign} {criterion.bound:g}{shared}"


def power(verdict: Verdict) -> str:
    """The power of an inconclusive verdict in words, such as "in 71 of 100 runs"."""
    assert verdict.power is not None  # asked by the caller
    if verdict.power < 0.005:
        return "never" if verdict.power == 0 else "in fewer than 1 of 100 runs"
    return "always" if verdict.power == 1 else f"in {min(99, round(100 * verdict.power))} of 100 runs"


def observed(estimate: Estimate, *, note: bool = True, beside: float | None = None) -> str:
    """Value, counts and bounds in one line, such as `0.9947 (373/375) [0.9833, 0.9991] at 95 % one-sided`.

    note:   whether the estimate's note follows; a table says a shared note once, below.
    beside: the criterion's bound, which nothing but itself may read as.
    """
    if estimate.value is None or estimate.is_exact:
        return measured(estimate, beside=beside)
    remark = f", {estimate.note}" if note and estimate.note else ""
    return f"{measured(estimate, beside=beside)} {bounds(estimate, beside=beside)}{remark}"


def measured(estimate: Estimate, *, beside: float | None = None) -> str:
    """Value and counts, such as `0.9947 (373/375)`."""
    if estimate.value is None:
        return f"undefined ({estimate.note or 'no cells'})"
    if estimate.is_exact and estimate.unit == "count":
        checked = "" if estimate.n is None else f" of {estimate.n:,} checked"
        return f"{estimate.value:g}{checked}" + (f", {estimate.note}" if estimate.note else "")
    value = _shown(estimate.value, _references(beside))
    if estimate.is_exact:
        return f"{value} (n = {estimate.n:,})"
    counts = f" ({estimate.k}/{estimate.n})" if estimate.k is not None else ""
    unit = "" if estimate.unit == "fraction" else f" {estimate.unit}"
    return f"{value}{unit}{counts}"


def bounds(estimate: Estimate, *, beside: float | None = None) -> str:
    """Both one-sided bounds and their level, such as `[0.9833, 0.9991] at 95 % one-sided`; of an exact value none."""
    if estimate.value is None or estimate.is_exact:
        return "exact" if estimate.is_exact else ""
    lower, upper = (
        _shown(bound, _references(beside)) if bound is not None else "unbounded"
        for bound in (estimate.lower, estimate.upper)
    )
    return f"[{lower}, {upper}] at {estimate.level * 100:.6g} % one-sided"


def _references(beside: float | None) -> tuple[float, ...]:
    return (0.0, 1.0) if beside is None else (0.0, 1.0, beside)


def decidable(verdict: Verdict) -> list[str]:
    """How many cells would decide, and which cells may; in the words of before where a pack recorded it so."""
    n, counted = verdict.n_to_decide, trials(verdict)
    if verdict.assumed is None:
        found = verdict.estimate
        rate = "without an error" if found is None or found.value is None else "at the observed rate"
        return [f"  decidable about {n:,} {counted} {rate} would decide"]
    return [
        f"  decidable about {n:,} new {counted} {DECIDES} {ASSUMPTIONS[verdict.assumed]};",
        f"            {ONLY_NEW}",
    ]


def trials(verdict: Verdict) -> str:
    """What `n_to_decide` counts, such as "cells of the class", and whose they would have to be."""
    found = verdict.estimate
    whose = " of further patients" if found is not None and found.effective_n is not None else ""
    return verdict.criterion.entry.trials + whose


def _count(criterion: Criterion, family: Sequence[tuple[Criterion, Estimate]]) -> str:
    """How many criteria share one error, and of what."""
    return f"{len(family)} {'classes' if criterion.cell_class is not None else 'kinds'}"


def _disproved_in_family(criterion: Criterion, family: Sequence[tuple[Criterion, Estimate]], level: float) -> bool:
    """Whether Holm's step-down still rejects "the requirement holds" for this class, or kind, among its family.

    By its bounds: while the level that the open classes share disproves one more requirement, fewer share it.
    """
    still_open = [(c, e) for c, e in family if e.value is not None]
    while len(still_open) > 1:
        shared = 1 - (1 - level) / len(still_open)
        disproved = {c.id for c, e in still_open if _disproved_at(c, e, shared)}
        if criterion.id in disproved:
            return True
        if not disproved:
            return False
        still_open = [(c, e) for c, e in still_open if c.id not in disproved]
    return True


def _disproved_at(criterion: Criterion, estimate: Estimate, level: float) -> bool:
    """Whether the upper bound at another level than the estimate's is below the floor."""
    assert criterion.floor is not None  # a family asks for floors
    if estimate.paired is not None and estimate.n is not None:
        worth = estimate.effective_n
        return effective_difference_bounds(estimate.paired, estimate.n, worth, level=level)[1] < criterion.floor
    rate, n = rate_of(criterion, estimate)
    _, upper = effective_bounds(round(rate * n), n, estimate.effective_n or n, level=level)
    return upper < trial_floor(criterion)


def _unprovable(criterion: Criterion, estimate: Estimate, level: float) -> str:
    """What no difference at all could have shown with so many pairs."""
    assert estimate.n is not None  # a difference has pairs

    def margin_of(n: int) -> float:
        return -difference_bounds(0, 0, n, level=level)[0]

    worth = estimate.n if estimate.effective_n is None else max(1, math.floor(estimate.effective_n))
    margin = margin_of(worth)
    if criterion.bound >= 0 or -criterion.bound >= margin:
        return ""
    # No exact method proves the margin with fewer; this one needs a few more.
    needed = max(worth + 1, math.ceil(math.log(1 - level) / math.log(1 + criterion.bound)))
    while margin_of(needed) > -criterion.bound:
        needed += max(1, needed // 50)
    needed = math.ceil(needed * estimate.n / worth)
    pairs = f"{estimate.n} pairs" + ("" if estimate.effective_n is None else f", worth {worth} independent ones,")
    return (
        f"; with {pairs} even equal predictions prove no margin below {margin:.4f}, so a margin of "
        f"{-criterion.bound:g} cannot be shown here; about {needed:,} equal pairs would show it"
    )


def _shown(value: float, references: tuple[float, ...]) -> str:
    """Four significant digits, or as many as it takes not to read as one of `references` that it is not."""
    for digits in (4, 6, 9, 17):
        text = f"{value:.{digits}g}"
        if float(text) not in references or float(text) == value:
            break
    return text


def dependence(criterion: Criterion, protocol: Protocol, found: Mapping[str, str]) -> str | None:
    """Why a set does not count as external: by the protocol's word, or by what its images show against that word."""
    if criterion.question not in ("external", "calibration"):
        return None
    plan = next((plan for plan in protocol.external if plan.name == criterion.set), None)
    if plan is not None and criterion.set in found:
        return f"the independence of set {criterion.set} is not shown: {found[criterion.set]}"
    if plan is not None and plan.independence == "not shown":
        return f"set {criterion.set} is not shown to be independent of the training source"
    return None


def _check_same_question(criterion: Criterion, estimate: Estimate) -> None:
    asked = (criterion.metric, criterion.set, criterion.cell_class)
    # A criterion on "any" device takes the one that was timed.
    given = (estimate.metric, criterion.set if criterion.set == "any" else estimate.set, estimate.cell_class)
    if asked != given:
        raise ValueError(f"{criterion.id} asks for {_subject(*asked)}, its estimate is {_subject(*given)}")


def _subject(metric: str, set_name: str, cell_class: str | None, kind: str | None = None) -> str:
    of = cell_class or kind
    return f"{metric} of {of}, on {set_name}" if of else f"{metric} on {set_name}"


def sides(criterion: Criterion, estimate: Estimate) -> tuple[bool, bool]:
    """(proved, disproved). A bound that could not be computed proves nothing."""
    lower, upper = estimate.lower, estimate.upper
    if criterion.floor is not None:
        return lower is not None and lower >= criterion.floor, upper is not None and upper < criterion.floor
    assert criterion.ceiling is not None  # for the type checker: a criterion has exactly one of the two
    return upper is not None and upper <= criterion.ceiling, lower is not None and lower > criterion.ceiling
