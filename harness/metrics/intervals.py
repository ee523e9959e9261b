"""How far can a proportion of so many cells be trusted, and how many cells would settle it?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from harness.core.errors import UndefinedStatistic
from harness.metrics.distributions import beta_quantile, binomial_cdf, binomial_quantile, normal_quantile
from harness.metrics.estimates import Interval

# Searching further than this would ask for more cells than any such study has.
MOST_TRIALS = 1_000_000
# How far a probability that rises with the number of errors allowed can fall back: the number of cells is whole.
JITTER = 8
STRICTLY = 1e-12  # of a share of errors: far less than one more cell changes a bound by


@dataclass(frozen=True, slots=True)
class TrialsForPower:
    """first: the smallest number of cells that is enough. steady: from here on every number is."""

    first: int
    steady: int


def clopper_pearson_bounds(successes: int, trials: int, *, level: float) -> tuple[float, float]:
    """Exact one-sided bounds of a proportion of independent trials, each at `level`.

    What gates act on: never anti-conservative. A two-sided interval at level 1 - a has these bounds at 1 - a/2.

    Args:
        successes, trials: counts, 0 <= successes <= trials.
        level: one-sided confidence of each bound, a fraction in (0, 1).
    Returns:
        (lower, upper) as fractions in [0, 1].
    Raises:
        UndefinedStatistic: trials is 0. A class with no cells has no recall; it does not have recall 0.
    Source: Clopper and Pearson (1934), Biometrika 26:404-413.
    >>> [round(bound, 6) for bound in clopper_pearson_bounds(373, 375, level=0.975)]
    [0.980868, 0.999353]
    """
    check_counts(successes, trials)
    check_level(level)
    alpha = 1.0 - level
    lower = 0.0 if successes == 0 else beta_quantile(alpha, successes, trials - successes + 1)
    upper = 1.0 if successes == trials else beta_quantile(level, successes + 1, trials - successes)
    return lower, upper


def wilson_interval(successes: int, trials: int, *, level: float) -> Interval:
    """Two-sided Wilson score interval for a proportion of independent trials.

    For display; gates use `clopper_pearson_bounds`.

    Args:
        successes, trials: counts, 0 <= successes <= trials.
        level: two-sided confidence level, a fraction in (0, 1).
    Raises:
        UndefinedStatistic: trials is 0.
    Source: Wilson (1927), J. Am. Stat. Assoc. 22:209-212.
    >>> interval = wilson_interval(8, 10, level=0.95)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.49, 0.943)
    """
    check_counts(successes, trials)
    check_level(level)
    z = normal_quantile(0.5 + level / 2)
    p, n = successes / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # Algebraically 0 at k = 0 and 1 at k = n; rounding may land an ulp outside.
    lower = 0.0 if successes == 0 else max(0.0, centre - half)
    upper = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(lower, upper, level, "Wilson")


def effective_bounds(successes: int, trials: int, effective_trials: float, *, level: float) -> tuple[float, float]:
    """Clopper-Pearson bounds of a proportion whose trials are worth fewer independent ones, each at `level`.

    The observed rate is kept and the counts shrink to `effective_trials`, a number that need not be whole. Equal to
    `clopper_pearson_bounds` where the two counts of trials are equal. Approximate otherwise: as good as the effective
    count (`harness.metrics.clusters`).

    Args:
        successes, trials: counts as observed, 0 <= successes <= trials.
        effective_trials: in (0, trials].
        level: one-sided confidence of each bound, a fraction in (0, 1).
    Returns:
        (lower, upper) as fractions in [0, 1].
    Raises:
        UndefinedStatistic: trials is 0.
    Source: Korn and Graubard (1998), Surv. Methodol. 24:193-201.
    >>> [round(bound, 4) for bound in effective_bounds(373, 375, 375 / 1.9, level=0.975)]
    [0.9716, 0.9998]
    """
    check_counts(successes, trials)
    check_level(level)
    _check_effective(effective_trials, trials)
    k, n = successes * effective_trials / trials, effective_trials
    lower = 0.0 if successes == 0 else beta_quantile(1.0 - level, k, n - k + 1)
    upper = 1.0 if successes == trials else beta_quantile(level, k + 1, n - k)
    return lower, upper


def errors_allowed(trials: int, *, floor: float, level: float) -> int | None:
    """The most errors among `trials` cells with which the lower bound still reaches the floor.

    Returns:
        A count, or None where even a flawless result proves nothing: too few cells.
    Raises:
        UndefinedStatistic: trials is 0.
    >>> errors_allowed(375, floor=0.98, level=0.95)
    2
    """
    check_counts(0, trials)
    _check_rate(floor, "floor")

    def passes(errors: int) -> bool:
        return clopper_pearson_bounds(trials - errors, trials, level=level)[0] >= floor

    if not passes(0):
        return None
    low, high = 0, trials  # passes(low), not passes(high): no success has the lower bound 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


def trials_needed(errors: int, *, floor: float, level: float) -> int:
    """The fewest cells with which so many errors still prove the floor.

    Args:
        errors: at least 0.
        floor: a fraction in (0, 1).
    >>> [trials_needed(errors, floor=0.98, level=0.95) for errors in range(4)]
    [149, 236, 313, 386]
    """
    if errors < 0:
        raise ValueError(f"{errors} errors is impossible; pass at least 0")
    _check_rate(floor, "floor")

    def proves(n: int) -> bool:
        return clopper_pearson_bounds(n - errors, n, level=level)[0] >= floor

    low, high = errors, errors + 1
    while not proves(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if proves(middle) else (middle, high)
    return high


def probability_of_passing(true_rate: float, trials: int, *, floor: float, level: float) -> float:
    """How often a classifier of this true rate would pass the gate "lower bound >= floor" on so many new cells.

    Exact: the binomial probability of no more errors than `errors_allowed`. At a true rate below the floor it is the
    rate of false passes, at most 1 - level.

    Args:
        true_rate: a fraction in [0, 1].
    Raises:
        UndefinedStatistic: trials is 0.
    >>> round(probability_of_passing(0.995, 375, floor=0.98, level=0.95), 4)
    0.7105
    """
    if not 0.0 <= true_rate <= 1.0:
        raise ValueError(f"true_rate {true_rate} is not a fraction in [0, 1]; write 0.995 for 99.5 %")
    allowed = errors_allowed(trials, floor=floor, level=level)
    return 0.0 if allowed is None else binomial_cdf(allowed, trials, 1.0 - true_rate)


@cache
def trials_for_power(true_rate: float, *, floor: float, level: float, power: float) -> TrialsForPower | None:
    """How many cells decide "lower bound >= floor" with this probability, where the true rate is `true_rate`.

    A classifier above the floor passes, one below it fails (its upper bound is below the floor). The chance is
    saw-toothed: one more cell at the same number of errors allowed makes a pass less likely.

    Args:
        true_rate: a fraction in [0, 1].
        floor:     a fraction in [0, 1].
        power:     a fraction in (0, 1).
    Returns:
        None where no number up to `MOST_TRIALS` does: the true rate is the floor, or too close to it; a floor of 0 or
        1, which no number of cells proves.
    >>> trials_for_power(0.995, floor=0.98, level=0.95, power=0.8)
    TrialsForPower(first=386, steady=386)
    >>> trials_for_power(0.99, floor=0.97, level=0.95, power=0.8)
    TrialsForPower(first=303, steady=392)
    """
    check_level(level)
    _check_rate(power, "power")
    if not 0.0 <= true_rate <= 1.0:
        raise ValueError(f"true_rate {true_rate} is not a fraction in [0, 1]; write 0.995 for 99.5 %")
    if floor in (0.0, 1.0) or true_rate == floor:
        return None
    if true_rate < floor:  # what passes is then the claim that more than 1 - floor are errors: at 1 - floor none does
        return trials_for_power(1.0 - true_rate, floor=(1.0 - floor) * (1.0 + STRICTLY), level=level, power=power)

    @cache
    def start(errors: int) -> int:
        """The fewest cells with which so many errors pass; up to the next start no more errors do."""
        return trials_needed(errors, floor=floor, level=level)

    def passes(errors: int, n: int) -> bool:
        return binomial_cdf(errors, n, 1.0 - true_rate) >= power

    def at_start(errors: int) -> bool:
        return passes(errors, start(errors))

    def throughout(errors: int) -> bool:
        return passes(errors, start(errors + 1) - 1)

    steady = _first_lasting(throughout, within=lambda errors: start(errors) <= MOST_TRIALS)
    if steady is None:
        return None
    # The tooth before may be long enough at its start, though not at its end.
    first = next(errors for errors in range(_first(at_start, steady), steady + 1) if at_start(errors))
    return TrialsForPower(start(first), start(steady))


def _first_lasting(holds: Callable[[int], bool], *, within: Callable[[int], bool]) -> int | None:
    """The number from which on `holds` is true: it rises but for jitter, for which those that follow are tried."""
    high = 1
    while not holds(high):
        if not within(high):
            return None
        high *= 2
    found = _first(holds, high)
    while (late := [each for each in range(found, found + JITTER) if not holds(each)]) != []:
        found = late[-1] + 1
    return found


def _first(holds: Callable[[int], bool], high: int) -> int:
    """The smallest number up to `high` for which it holds, or a neighbour of it where `holds` has jitter."""
    low = -1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return next((each for each in range(max(0, high - JITTER), high) if all(map(holds, range(each, high)))), high)


def percentile_bounds(
    samples: Sequence[float], *, quantile: float, level: float, independent: int | None = None
) -> tuple[float, float, float]:
    """A percentile of independent samples with distribution-free one-sided bounds from order statistics.

    Args:
        samples: at least one number, any order.
        quantile: which percentile, a fraction in (0, 1).
        level: one-sided confidence of each bound.
        independent: where samples come in independent blocks of about equal size, how many blocks. The ranks are then
            those of so many samples, each taken as often as a block has some: right where a block says one thing many
            times, and wider than need be where its samples differ.
    Returns:
        (value, lower, upper) in the samples' unit. value is the sample at zero-based rank floor(n * quantile)
        of the sorted list (LoadGen's rule). A bound that n samples cannot give is -inf or inf.
    Source: David and Nagaraja (2003), Order Statistics, 7.1; MLPerf LoadGen for the point value.
    """
    if not samples:
        raise UndefinedStatistic("a percentile of no samples does not exist; take at least one sample")
    if not 0.0 < quantile < 1.0:
        raise ValueError(f"quantile {quantile} is not a fraction in (0, 1); write 0.9 for the 90th percentile")
    for position, sample in enumerate(samples):
        if math.isnan(sample):  # nothing sorts around it: a bound could come from any sample
            raise ValueError(f"sample {position} is not a number ({sample}); measure it again or leave it out openly")
    check_level(level)
    ordered, n = sorted(samples), len(samples)
    # How many samples fall below the true percentile is Binomial(n, quantile); both ranks follow from its quantiles.
    trials = n if independent is None else independent
    below, above = binomial_quantile(1 - level, trials, quantile), binomial_quantile(level, trials, quantile)
    lower = ordered[(below - 1) * n // trials] if below >= 1 else -math.inf
    upper = ordered[-(-(above + 1) * n // trials) - 1] if above < trials else math.inf
    return ordered[min(n - 1, math.floor(n * quantile))], lower, upper


def check_counts(successes: int, trials: int) -> None:
    if trials == 0:
        raise UndefinedStatistic("a proportion of 0 trials does not exist; it is not 0. Report it as undefined.")
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials is impossible; pass 0 <= successes <= trials")


def check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level {level} is not a fraction in (0, 1); write 0.95 for 95 %")


def _check_rate(rate: float, name: str) -> None:
    if not 0.0 < rate < 1.0:
        raise ValueError(f"{name} {rate} is not a fraction in (0, 1); write 0.95 for 95 %")


def _check_effective(effective_trials: float, trials: int) -> None:
    if not 0.0 < effective_trials <= trials:
        raise ValueError(
            f"effective_trials {effective_trials} is not in (0, {trials}]; cells that depend on each other are worth "
            "fewer independent ones, never more"
        )
