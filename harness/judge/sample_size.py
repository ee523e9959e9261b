"""How many new cells would decide what these did not, and how likely were these to? For inconclusive proportions."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from harness.metrics.estimates import Estimate
from harness.metrics.intervals import MOST_TRIALS, effective_bounds, probability_of_passing, trials_for_power
from harness.protocol.criteria import Criterion, metric_table
from harness.protocol.records import Protocol

# What a number of cells is named for: with so many, four of five sets of new cells decide.
POWER = 0.8
DECIDES = "would decide in four of five runs"
# A set that grew because its verdict said so, and is judged as if for the first time, passes a classifier at its floor
# about twice as often as its level allows (simulated in tests/test_sample_size.py).
ONLY_NEW = (
    "only new cells by themselves may decide, or these and new ones as a later look; together as a first look they "
    "would pass wrongly too often"
)

# Which true rate the number is named for.
Assumed: TypeAlias = Literal["observed", "hoped for", "no error"]
ASSUMPTIONS: dict[Assumed, str] = {
    "observed": "if the observed rate is the true one",
    "hoped for": "if the hoped-for rate of [plan] is the true one",
    "no error": "without an error",
}


def is_proportion(estimate: Estimate) -> bool:
    return bool(metric_table()[estimate.metric].trials) and bool(estimate.n)


def counts_cells(criterion: Criterion) -> bool:
    """Whether cells of one set are the trials, so that a number of them can be named where there are none."""
    return bool(criterion.entry.trials) and set(criterion.entry.questions) <= {"accuracy", "external"}


def cells_to_decide(
    criterion: Criterion, estimate: Estimate, protocol: Protocol, *, level: float
) -> tuple[int | None, Assumed]:
    """About how many new cells would decide this criterion with probability `POWER`, and at which true rate.

    The true rate is the one that the protocol's [plan] hopes for, where it says one of this metric; else the observed
    one, which is 1 where nothing was observed.

    Returns:
        None of cells where the rate is the floor, or so close to it that no number up to a million decides.
    """
    hoped = hoped_rate(criterion, protocol)
    assumed: Assumed = "hoped for" if hoped is not None else "no error" if not estimate.n else "observed"
    rate = hoped if hoped is not None else 1.0 if not estimate.n else rate_of(criterion, estimate)[0]
    # Further cells of the same patients are worth as little as these.
    worth = (estimate.effective_n or estimate.n) / estimate.n if estimate.n else 1.0
    return cells_for_power(criterion, rate, level=level, worth=worth), assumed


def cells_for_power(criterion: Criterion, rate: float, *, level: float, worth: float) -> int | None:
    """From how many cells on a classifier of this true rate is decided about with probability `POWER`.

    worth: how many independent cells one cell is worth, in (0, 1].
    """
    found = trials_for_power(rate, floor=trial_floor(criterion), level=level, power=POWER)
    if found is None or (n := math.ceil(found.steady / worth)) > MOST_TRIALS:
        return None
    return n


def hoped_rate(criterion: Criterion, protocol: Protocol) -> float | None:
    """The true rate that the protocol's [plan] states of this very proportion; None where it follows from more."""
    plan = protocol.plan
    if plan is None or not criterion.entry.right_or_wrong:
        return None
    asked = protocol.dataset.classes if criterion.cell_class is None else (criterion.cell_class,)
    rates = {plan.recall_of(name, criterion.set) for name in asked}
    return rates.pop() if len(rates) == 1 else None


def power_at_observed(criterion: Criterion, estimate: Estimate) -> float:
    """The chance of passing with as many cells as here, if the observed rate were the true one."""
    rate, n = rate_of(criterion, estimate)
    if trial_floor(criterion) == 1.0:
        return 0.0  # no finite number of cells proves that nothing is ever wrong
    trials = max(1, int(estimate.effective_n or n))
    return probability_of_passing(rate, trials, floor=trial_floor(criterion), level=estimate.level)


def cells_at_that_rate(criterion: Criterion, estimate: Estimate) -> int | None:
    """What packs before decision 0039 recorded: how many cells decide if exactly the observed share of them is right.

    A chance of about one half, and no promise; kept so that such packs are verified by what they say.
    """
    rate, n = rate_of(criterion, estimate)
    worth, floor = (estimate.effective_n or n) / n, trial_floor(criterion)

    def decides(n: int) -> bool:
        lower, upper = effective_bounds(round(rate * n), n, worth * n, level=estimate.level)
        return lower >= floor or upper < floor

    # From `n` up: with fewer cells the errors at this rate may round to one less, and seem to decide.
    low, high = n, n + 1
    while not decides(high):
        if high >= MOST_TRIALS:
            return None
        low, high = high, min(2 * high, MOST_TRIALS)
    while high - low > 1:  # rounding of k makes `decides` slightly saw-toothed: the answer is "about" this many
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def trial_floor(criterion: Criterion) -> float:
    """The floor on the scale of the trials: an F1 of F is a Jaccard index of F / (2 - F).

    A ceiling on the share of what should not happen is a floor on the rest.
    """
    return 1.0 - criterion.bound if criterion.floor is None else criterion.entry.proportion_floor(criterion.floor)


def rate_of(criterion: Criterion, estimate: Estimate) -> tuple[float, int]:
    """(observed rate of the trials that went as the criterion wants them, number of trials)."""
    if estimate.k is None or not estimate.n:
        raise ValueError(f"{estimate.metric} is not a proportion; only proportions have a deciding number of cells")
    wanted = estimate.n - estimate.k if criterion.floor is None else estimate.k
    return wanted / estimate.n, estimate.n
