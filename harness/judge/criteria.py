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
    if estimate.value is None:
        reason = f"undefined: {estimate.set} has no cells to measure {estimate.metric} on"
        return Verdict(criterion, estimate, Outcome.INCONCLUSIVE, reason, _cells_if_flawless(criterion))
    if not estimate.is_exact and estimate.level != criterion.level:
        raise ValueError(f"{criterion.id} asks for level {criterion.level}, its estimate has {estimate.level}")
    proved, disproved = _sides(criterion, estimate)
    if proved and _not_independent(criterion, protocol):
        reason = f"the bound holds, but set {criterion.set} is not shown to be independent of the training source"
        return Verdict(criterion, estimate, Outcome.INCONCLUSIVE, reason)
    if proved:
        return Verdict(criterion, estimate, Outcome.PASSED, "the bound proves it")
    if disproved:
        return Verdict(criterion, estimate, Outcome.FAILED, "the bound disproves it")
    needed = None
    if estimate.method.startswith("Clopper-Pearson") and estimate.n:
        needed = cells_to_decide(criterion, estimate)
    return Verdict(criterion, estimate, Outcome.INCONCLUSIVE, "too little evidence to prove or disprove it", needed)


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
    subject = " ".join(
        filter(None, [criterion.id, criterion.metric, criterion.cell_class and f"of {criterion.cell_class},", "on"])
    )
    lines = [f"{subject} {criterion.set}: {verdict.outcome.upper()}"]
    if estimate is not None:
        lines.append(f"  observed  {observed(estimate)}")
    lines.append(f"  required  {criterion.requirement}; {verdict.reason}")
    if verdict.n_to_decide is not None:
        lines.append(f"  decidable about {verdict.n_to_decide:,} cells at the observed rate would decide")
    if verdict.waiver is not None:
        lines.append(f"  waived    {verdict.waiver.reason}")
    if estimate is not None and estimate.details:
        lines += [f"  - {detail}" for detail in _first(estimate.details, 10)]
    lines.append(f"  because   {criterion.rationale}")
    return "\n".join(lines)


def observed(estimate: Estimate, *, note: bool = True) -> str:
    """Value, counts and bounds in one line, such as `0.9947 (373/375) [0.9833, 0.9991] at 95 %`.

    note: whether the estimate's note follows; a table says a shared note once, below.
    """
    if estimate.value is None:
        return f"undefined ({estimate.note or 'no cells'})"
    if estimate.is_exact:
        return f"{estimate.value:g}" + (f" of {estimate.n:,} checked" if estimate.n is not None else "")
    counts = f" ({estimate.k}/{estimate.n})" if estimate.k is not None else ""
    lower, upper = (_shown(bound) if bound is not None else "unbounded" for bound in (estimate.lower, estimate.upper))
    unit = "" if estimate.unit == "fraction" else f" {estimate.unit}"
    remark = f", {estimate.note}" if note and estimate.note else ""
    return f"{_shown(estimate.value)}{unit}{counts} [{lower}, {upper}] at {estimate.level * 100:g} % one-sided{remark}"


def cells_to_decide(criterion: Criterion, estimate: Estimate) -> int | None:
    """About how many cells would pass or fail this criterion, if the observed rate held.

    Returns:
        The smallest n found by doubling and bisection, or None if the rate sits so close to the bound that no
        number up to a million decides.
    """
    rate = _rate(estimate)
    return _smallest_deciding(criterion, rate, metric_is_f1=estimate.metric == "f1")


def _cells_if_flawless(criterion: Criterion) -> int | None:
    return _smallest_deciding(criterion, 1.0, metric_is_f1=criterion.metric == "f1")


def _smallest_deciding(criterion: Criterion, rate: float, *, metric_is_f1: bool) -> int | None:
    def decides(n: int) -> bool:
        k = round(rate * n)
        lower, upper = clopper_pearson_bounds(k, n, level=criterion.level)
        if metric_is_f1:
            lower, upper = 2 * lower / (1 + lower), 2 * upper / (1 + upper)
        if criterion.floor is not None:
            return lower >= criterion.floor or upper < criterion.floor
        return criterion.ceiling is not None and (upper <= criterion.ceiling or lower > criterion.ceiling)

    high = 1
    while not decides(high):
        high *= 2
        if high > MOST_CELLS_WORTH_NAMING:
            return None
    low = high // 2
    while high - low > 1:  # rounding of k makes `decides` slightly saw-toothed: the answer is "about" this many
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _shown(value: float) -> str:
    """Four significant digits, or as many as it takes not to read as the 0 or 1 that it is not."""
    for digits in (4, 6, 9, 17):
        text = f"{value:.{digits}g}"
        if float(text) not in (0.0, 1.0) or float(text) == value:
            break
    return text


def _not_independent(criterion: Criterion, protocol: Protocol) -> bool:
    return criterion.question == "external" and any(
        plan.name == criterion.set and plan.independence == "not shown" for plan in protocol.external
    )


def _rate(estimate: Estimate) -> float:
    if estimate.k is None or not estimate.n:
        raise ValueError(f"{estimate.metric} is no proportion; only proportions have a deciding number of cells")
    return estimate.k / estimate.n


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
