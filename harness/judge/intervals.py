"""How far can a proportion of so many cells be trusted?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import beta, binom, norm

from harness.errors import UndefinedStatistic
from harness.records import Interval


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
    _check_counts(successes, trials)
    _check_level(level)
    alpha = 1.0 - level
    lower = 0.0 if successes == 0 else float(beta.ppf(alpha, successes, trials - successes + 1))
    upper = 1.0 if successes == trials else float(beta.ppf(level, successes + 1, trials - successes))
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
    _check_counts(successes, trials)
    _check_level(level)
    z = float(norm.ppf(0.5 + level / 2))
    p, n = successes / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # Algebraically 0 at k = 0 and 1 at k = n; rounding may land an ulp outside.
    lower = 0.0 if successes == 0 else max(0.0, centre - half)
    upper = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(lower, upper, level, "Wilson")


def percentile_bounds(samples: Sequence[float], *, quantile: float, level: float) -> tuple[float, float, float]:
    """A percentile of independent samples with distribution-free one-sided bounds from order statistics.

    Args:
        samples: at least one number, any order.
        quantile: which percentile, a fraction in (0, 1).
        level: one-sided confidence of each bound.
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
    _check_level(level)
    ordered, n = sorted(samples), len(samples)
    # How many samples fall below the true percentile is Binomial(n, quantile); both ranks follow from its quantiles.
    below, above = int(binom.ppf(1 - level, n, quantile)), int(binom.ppf(level, n, quantile))
    lower = ordered[below - 1] if below >= 1 else -math.inf
    upper = ordered[above] if above < n else math.inf
    return ordered[min(n - 1, math.floor(n * quantile))], lower, upper


def _check_counts(successes: int, trials: int) -> None:
    if trials == 0:
        raise UndefinedStatistic("a proportion of 0 trials does not exist; it is not 0. Report it as undefined.")
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials is impossible; pass 0 <= successes <= trials")


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level {level} is not a fraction in (0, 1); write 0.95 for 95 %")
