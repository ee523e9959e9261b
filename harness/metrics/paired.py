"""Two classifiers on the same cells: is one better, and is the other at least not much worse?

Throughout, b cells are right for the baseline alone, c for the candidate alone, and the difference in accuracy,
candidate minus baseline, is (c - b) / n. Cells on which the two agree count in n only.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from harness.core.errors import UndefinedStatistic
from harness.metrics.distributions import binomial_cdf, binomial_pmf, normal_quantile
from harness.metrics.favourable import Region, chances, region_of
from harness.metrics.intervals import check_level

# Spacing of the searched discordance rates, in standard deviations of the arcsine scale.
GRID_SD = 0.25
# Added to every chance that a search found the largest, in case its grid stepped over a slightly higher peak.
SEARCH_SLACK = 1e-7


def mcnemar_exact(b: int, c: int) -> tuple[float, float]:
    """Two-sided p-values of "both are right equally often": McNemar's exact one, and the mid-p.

    The exact one never rejects too often. The mid-p is for display: it is less conservative, and not always exact.
    With no discordant cell both are 1 and nothing speaks against equality, or for it.

    Args:
        b, c: cells that the baseline alone and the candidate alone got right, each at least 0.
    Returns:
        (p, mid_p).
    Source: McNemar (1947), Psychometrika 12:153-157; Fagerland, Lydersen and Laake (2013), BMC Med. Res. Methodol.
        13:91, for the mid-p.
    >>> [round(p, 6) for p in mcnemar_exact(6, 0)]
    [0.03125, 0.015625]
    """
    _check_discordant(b, c, b + c)
    smaller, discordant = min(b, c), b + c
    if discordant == 0:
        return 1.0, 1.0
    tail = 2.0 * binomial_cdf(smaller, discordant, 0.5)
    return min(1.0, tail), min(1.0, tail - binomial_pmf(smaller, discordant, 0.5))


def fewest_discordant_for_significance(*, level: float) -> int:
    """How many cells, all in one candidate's favour, McNemar's exact two-sided test needs before it can reject.

    A baseline with fewer errors than this on a set can never be significantly beaten on that set.

    Args:
        level: two-sided, 0.95 for p < 0.05.
    >>> fewest_discordant_for_significance(level=0.95)
    6
    """
    check_level(level)
    alpha, n = 1.0 - level, 1
    while 2.0 * 0.5**n >= alpha:
        n += 1
    return n


def tango_bounds(b: float, c: float, n: float, *, level: float) -> tuple[float, float]:
    """One-sided score bounds of the difference in accuracy, each at `level`.

    For display. A score bound is approximate, and its true confidence can be below `level`: at 0.95 the lower one is
    above a true difference between -0.12 and 0 in up to 6.9 % (n = 75), 6.6 % (150) and 6.1 % (375) of sets. A
    non-inferiority gate, whose false passes must not exceed 1 - level, uses `non_inferiority_lower_bound`.

    Args:
        b, c: cells that the baseline alone and the candidate alone got right.
        n: cells that both were asked about, b + c <= n. Cells must be independent pairs, or be counted as those that
            they are worth: none of the three need be whole.
        level: one-sided confidence of each bound. A two-sided interval at 1 - a has these bounds at 1 - a/2.
    Returns:
        (lower, upper) of candidate minus baseline, fractions in [-1, 1].
    Raises:
        UndefinedStatistic: n is 0.
    Source: Tango (1998), Stat. Med. 17:891-908.
    >>> [round(bound, 6) for bound in tango_bounds(8, 2, 375, level=0.975)]
    [-0.03689, 0.000647]
    """
    _check_compared(b, c, n)
    check_level(level)
    z = normal_quantile(level)
    if z < 0:  # below one half the "lower" bound lies above the estimate
        return -_score_limit(c, b, n, -z), _score_limit(b, c, n, -z)
    return _score_limit(b, c, n, z), -_score_limit(c, b, n, z)


@lru_cache(maxsize=4096)  # of three whole numbers; a pack, its page and the other side of an interval ask again
def non_inferiority_lower_bound(b: int, c: int, n: int, *, level: float) -> float:
    """Exact one-sided lower bound of the difference in accuracy: what the non-inferiority gate acts on.

    The largest lower bound that ranks the possible results as Tango's does and is never too high with a probability
    above 1 - level, whatever the share of cells on which the two differ (Buehler's construction). For an observed
    (b, c) take the set R of results at least as favourable by Tango's bound; the bound is the difference at which the
    largest probability of R, over all discordance rates, reaches 1 - level. R grows with c and shrinks with b, hence
    that probability rises with the difference and the equation has one root. The search over discordance rates is
    numerical: a fine grid, its peaks refined, and `SEARCH_SLACK` added.

    Args, Raises: as `tango_bounds`; level is at least 0.5.
    Returns:
        The bound, a fraction in [-1, 1]. It may lie on either side of Tango's, and below 0 for equal classifiers.
    Source: Buehler (1957), J. Am. Stat. Assoc. 52:482-493; Lloyd and Moldovan (2007), Stat. Med. 26:3369-3384, for
        this use of it.
    >>> round(non_inferiority_lower_bound(0, 0, 375, level=0.95), 5)
    -0.00804
    """
    _check_compared(b, c, n)
    check_level(level)
    if level < 0.5:
        raise ValueError(f"level {level} is below one half; a lower bound that is mostly too high bounds nothing")
    alpha, z = 1.0 - level, normal_quantile(level)
    if b == n:
        return -1.0  # the least favourable result of all: every result is at least as favourable
    start = _score_limit(b, c, n, z)
    thresholds = favourable_region(start, n, z=z)
    # The observed result is in, and what favours the candidate more, whatever rounding says.
    thresholds[: b + 1] = np.minimum(thresholds[: b + 1], c)
    region = region_of(thresholds)

    @cache  # the search for a bracket and the one for the root ask about the same differences
    def excess(difference: float) -> float:
        return largest_chance(region, difference=difference) + SEARCH_SLACK - alpha

    step = 0.5 / n
    low = high = start
    while low > -1.0 and excess(low) > 0:
        low, step = max(-1.0, low - step), 2 * step
    step = 0.5 / n
    while high < 1.0 and excess(high) <= 0:
        high, step = min(1.0, high + step), 2 * step
    if low == -1.0 and excess(low) > 0:
        return -1.0
    root = float(brentq(excess, low, high, xtol=1e-8))
    return root - 2e-8  # on the safe side of the search's own tolerance


def favourable_region(difference: float, n: int, *, z: float) -> np.ndarray:
    """For each b in 0..n the smallest c whose Tango bound is at or above `difference`; n - b + 1 where none is.

    Tango's bound rises with c and falls with b, so these n + 1 numbers describe the whole region.
    """
    b = np.arange(n + 1)
    low, high = np.full(n + 1, -1), n - b + 1  # below `low` inclusive: outside; at `high`: inside, or no such c
    while True:
        open_ = high - low > 1
        if not open_.any():
            return high
        middle = (low + high) // 2
        inside = _excess(b, middle, n, difference, z) >= -1e-9
        low = np.where(open_ & ~inside, middle, low)
        high = np.where(open_ & inside, middle, high)


def largest_chance(region: Region, *, difference: float) -> float:
    """The largest probability of the region among all models with this true difference in accuracy.

    The free parameter is the share of cells on which the two classifiers differ. It is searched over its whole range
    on the arcsine scale, on which a binomial count has the same spread everywhere. Where all but a few cells are
    discordant, the concordant ones ask for a finer grid than this: decision 0083 says how much is missed.
    """
    # The smaller of the two discordant probabilities runs from 0 to (1 - |difference|) / 2.
    most = (1.0 - abs(difference)) / 2.0
    end = math.asin(math.sqrt(most))
    angles = np.linspace(0.0, end, max(16, math.ceil(end * 2 * math.sqrt(region.n) / GRID_SD)) + 1)

    def at(angles: np.ndarray) -> np.ndarray:
        smaller = np.minimum(most, np.sin(angles) ** 2)
        return chances(region, p_b=smaller + max(0.0, -difference), p_c=smaller + max(0.0, difference))

    found = at(angles)
    best = float(found.max())
    last = len(angles) - 1
    peaks = [i for i in range(last + 1) if found[i] >= max(found[max(0, i - 1)], found[min(last, i + 1)])]
    for peak in sorted(peaks, key=lambda i: -found[i])[:3]:
        bounds = angles[max(0, peak - 1)], angles[min(last, peak + 1)]
        refined = minimize_scalar(lambda angle: -float(at(np.array([angle]))[0]), bounds=bounds, method="bounded")
        best = max(best, float(-refined.fun))
    return best


def _score_limit(b: float, c: float, n: float, z: float) -> float:
    """Where Tango's statistic equals z >= 0, at or below the estimate."""
    estimate = (c - b) / n
    # Where the variance vanishes at the estimate, the root has a closed form.
    if z == 0.0 or b == n:
        return estimate
    if b == c == 0:
        return -z * z / (n + z * z)
    if c == n:
        return (n - z * z) / (n + z * z)
    if _excess(b, c, n, estimate, z) >= 0:  # z is so small that it is rounded away
        return estimate
    return float(brentq(lambda d: float(_excess(b, c, n, d, z)), -1.0, estimate, xtol=1e-13, rtol=1e-14))


def _excess(b: float | np.ndarray, c: float | np.ndarray, n: float, difference: float, z: float) -> np.ndarray:
    """c - b - n d - z sd, with the sd at the likeliest model whose difference is d: Tango's statistic, undivided."""
    linear = (2 * n - c + b) * difference - b - c
    constant = -b * difference * (1.0 - difference)
    root = np.sqrt(np.maximum(0.0, linear * linear - 8.0 * n * constant))
    # The larger root of 2n q^2 + linear q + constant, written so that nothing cancels.
    positive = np.maximum(linear, 0.0) + root
    q = np.where(
        linear > 0,
        np.divide(-2.0 * constant, positive, out=np.zeros_like(positive), where=positive > 0),
        (root - linear) / (4.0 * n),
    )
    variance = np.maximum(0.0, 2.0 * q + difference * (1.0 - difference))
    return np.asarray(c - b - n * difference - z * np.sqrt(n * variance))


def _check_discordant(b: float, c: float, n: float) -> None:
    if b < 0 or c < 0 or b + c > n:
        raise ValueError(f"b = {b} and c = {c} discordant of n = {n} cells is impossible; pass b, c >= 0, b + c <= n")


def _check_compared(b: float, c: float, n: float) -> None:
    _check_discordant(b, c, n)
    if n == 0:
        raise UndefinedStatistic(
            "the difference between two classifiers on 0 cells does not exist; it is not 0. Report it as undefined."
        )
