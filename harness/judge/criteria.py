"""Does the evidence prove the requirement, disprove it, or neither? The only module that decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.judge.intervals import clopper_pearson_bounds
from harness.protocol import Criterion, Protocol
from harness.records import Estimate, Outcome, Unavailable, Verdict

# Searching further than this would ask for more cells than any such study has.
MOST_CELLS_WORTH_NAMING = 1_000_000


def judge(criterion: Criterion, estimate: Estimate | Unavailable, *, protocol: Protocol) -> Verdict:
    """Decide from the bounds, never from the point value; too little evidence is neither a pass nor a fail."""
    if isinstance(estimate, Unavailable):
        waiver = protocol.waiver_for(criterion.id)
        return Verdict(criterion, None, Outcome.NOT_ASSESSED, estimate.reason, waiver=waiver)
    _check_same_question(criterion, estimate)
    # Where independence is not shown, no number of cells would ever pass: none is named.
    independent = not _not_independent(criterion, protocol)
    if estimate.value is None:
        reason = f"undefined on {estimate.set}: {estimate.note or 'no cells'}"
        needed = _cells_if_flawless(criterion) if independent else None
        return Verdict(criterion, estimate, Outcome.INCONCLUSIVE, reason, needed)
    if not estimate.is_exact and estimate.level != criterion.level:
        raise ValueError(f"{criterion.id} asks for level {criterion.level}, its estimate has {estimate.level}")
    proved, disproved = _sides(criterion, estimate)
    dependent = f"set {criterion.set} is not shown to be independent of the training source"
    if proved and not independent:
        return Verdict(criterion, estimate, Outcome.INCONCLUSIVE, f"the bound holds, but {dependent}")
    if proved:
        return Verdict(criterion, estimate, Outcome.PASSED, "the bound proves it")
    if disproved:
        return Verdict(criterion, estimate, Outcome.FAILED, "the bound disproves it")
    needed, reason = None, "too little evidence to prove or disprove it"
    if not independent:
        reason += f", and {dependent}"
    elif estimate.method.startswith("Clopper-Pearson") and estimate.n:
        needed = cells_to_decide(criterion, estimate)
    return Verdict(criterion, estimate, Outcome.INCONCLUSIVE, reason, needed)


def not_judged(criterion: Criterion, reason: str) -> Verdict:
    """The verdict on a criterion whose test did not come to a decision."""
    return Verdict(criterion, None, Outcome.NOT_JUDGED, reason)


def complete(protocol: Protocol, verdicts: Iterable[Verdict], *, otherwise: str) -> tuple[Verdict, ...]:
    """One verdict per criterion, in the protocol's order; a criterion without one is `not judged`."""
    known = {verdict.criterion.id: verdict for verdict in verdicts}
    return tuple(known.get(c.id) or not_judged(c, otherwise) for c in protocol.criteria)


def explain(verdict: Verdict) -> str:
    """The verdict in the words that terminal, JUnit and report share."""
    criterion, estimate = verdict.criterion, verdict.estimate
    subject = _subject(criterion.metric, criterion.set, criterion.cell_class)
    lines = [f"{criterion.id} {subject}: {verdict.outcome.upper()}"]
    if estimate is not None:
        lines.append(f"  observed  {observed(estimate, beside=criterion.bound)}")
    lines.append(f"  required  {criterion.requirement}; {verdict.reason}")
    if verdict.n_to_decide is not None:
        rate = "without an error" if estimate is None or estimate.value is None else "at the observed rate"
        lines.append(f"  decidable about {verdict.n_to_decide:,} cells {rate} would decide")
    if verdict.waiver is not None:
        lines.append(f"  waived    {verdict.waiver.reason}")
    if estimate is not None and estimate.details:
        lines += [f"  - {detail}" for detail in _first(estimate.details, 10)]
    lines.append(f"  because   {criterion.rationale}")
    return "\n".join(lines)


def observed(estimate: Estimate, *, note: bool = True, beside: float | None = None) -> str:
    """Value, counts and bounds in one line, such as `0.9947 (373/375) [0.9833, 0.9991] at 95 % one-sided`.

    note:   whether the estimate's note follows; a table says a shared note once, below.
    beside: the criterion's bound, which nothing but itself may read as.
    """
    references = (0.0, 1.0) if beside is None else (0.0, 1.0, beside)
    if estimate.value is None:
        return f"undefined ({estimate.note or 'no cells'})"
    if estimate.is_exact:
        return f"{estimate.value:g}" + (f" of {estimate.n:,} checked" if estimate.n is not None else "")
    counts = f" ({estimate.k}/{estimate.n})" if estimate.k is not None else ""
    lower, upper = (
        _shown(bound, references) if bound is not None else "unbounded" for bound in (estimate.lower, estimate.upper)
    )
    unit = "" if estimate.unit == "fraction" else f" {estimate.unit}"
    remark = f", {estimate.note}" if note and estimate.note else ""
    value = _shown(estimate.value, references)
    return f"{value}{unit}{counts} [{lower}, {upper}] at {estimate.level * 100:g} % one-sided{remark}"


def cells_to_decide(criterion: Criterion, estimate: Estimate) -> int | None:
    """About how many cells would pass or fail this criterion, if the observed rate held.

    Returns:
        The smallest n found by doubling and bisection, more than there are now, or None if the rate sits so close
        to the bound that no number up to a million decides.
    """
    rate, n = _rate(estimate)
    return _smallest_deciding(criterion, rate, more_than=n)


def _cells_if_flawless(criterion: Criterion) -> int | None:
    return _smallest_deciding(criterion, 1.0, more_than=0)


def _smallest_deciding(criterion: Criterion, rate: float, *, more_than: int) -> int | None:
    def decides(n: int) -> bool:
        k = round(rate * n)
        lower, upper = clopper_pearson_bounds(k, n, level=criterion.level)
        if criterion.metric == "f1":
            lower, upper = 2 * lower / (1 + lower), 2 * upper / (1 + upper)
        return lower >= criterion.bound or upper < criterion.bound  # a criterion on a proportion is a floor

    # From `more_than` up: with fewer cells the errors at this rate may round to one less, and seem to decide.
    low, high = more_than, more_than + 1
    while not decides(high):
        if high >= MOST_CELLS_WORTH_NAMING:
            return None
        low, high = high, min(2 * high, MOST_CELLS_WORTH_NAMING)
    while high - low > 1:  # rounding of k makes `decides` slightly saw-toothed: the answer is "about" this many
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _shown(value: float, references: tuple[float, ...]) -> str:
    """Four significant digits, or as many as it takes not to read as one of `references` that it is not."""
    for digits in (4, 6, 9, 17):
        text = f"{value:.{digits}g}"
        if float(text) not in references or float(text) == value:
            break
    return text


def _not_independent(criterion: Criterion, protocol: Protocol) -> bool:
    return criterion.question == "external" and any(
        plan.name == criterion.set and plan.independence == "not shown" for plan in protocol.external
    )


def _check_same_question(criterion: Criterion, estimate: Estimate) -> None:
    asked = (criterion.metric, criterion.set, criterion.cell_class)
    # A criterion on "any" device takes the one that was timed.
    given = (estimate.metric, criterion.set if criterion.set == "any" else estimate.set, estimate.cell_class)
    if asked != given:
        raise ValueError(f"{criterion.id} asks for {_subject(*asked)}, its estimate is {_subject(*given)}")


def _subject(metric: str, set_name: str, cell_class: str | None) -> str:
    return f"{metric} of {cell_class}, on {set_name}" if cell_class else f"{metric} on {set_name}"


def _rate(estimate: Estimate) -> tuple[float, int]:
    """(observed rate, number of cells)."""
    if estimate.k is None or not estimate.n:
        raise ValueError(f"{estimate.metric} is no proportion; only proportions have a deciding number of cells")
    return estimate.k / estimate.n, estimate.n


def _sides(criterion: Criterion, estimate: Estimate) -> tuple[bool, bool]:
    """(proved, disproved). A bound that could not be computed proves nothing."""
    lower, upper = estimate.lower, estimate.upper
    if criterion.floor is not None:
        return lower is not None and lower >= criterion.floor, upper is not None and upper < criterion.floor
    assert criterion.ceiling is not None  # for the type checker: a criterion has exactly one of the two
    return upper is not None and upper <= criterion.ceiling, lower is not None and lower > criterion.ceiling


def _first(items: Sequence[str], count: int) -> list[str]:
    shown = list(items[:count])
    return [*shown, f"... and {len(items) - count} more"] if len(items) > count else shown
