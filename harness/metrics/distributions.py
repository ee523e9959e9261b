"""Quantiles and tails of the usual distributions, equal to those of scipy.stats to the last bit.

They call the functions that scipy.stats calls itself. Importing scipy.stats takes longer than all that a verification
computes, and each of its calls spends a hundred times as long on checking arguments as on the answer.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaincinv, betaln, chdtrc, nctdtrit, ndtri

# Boost's binomial distribution. scipy.special has no public name for it: bdtr and betaincc round otherwise.
from scipy.special._ufuncs import _binom_cdf, _binom_pmf, _binom_ppf


def beta_quantile(share: float, a: float, b: float) -> float:
    """The value that a Beta(a, b) variable stays below with this probability; a and b are above 0.

    >>> round(beta_quantile(0.05, 9, 1), 6)
    0.716871
    """
    return float(betaincinv(a, b, share))


def normal_quantile(share: float) -> float:
    """The value that a standard normal variable stays below with this probability.

    >>> round(normal_quantile(0.975), 6)
    1.959964
    """
    return float(ndtri(share))


def noncentral_t_quantile(share: float, degrees: int, noncentrality: float) -> float:
    """The value that a noncentral t variable stays below with this probability.

    >>> round(noncentral_t_quantile(0.95, 4, 0.0), 4)
    2.1318
    """
    return float(nctdtrit(degrees, noncentrality, share))


def binomial_cdf(k: int, n: int, p: float) -> float:
    """The probability of at most k successes in n trials of chance p.

    >>> binomial_cdf(1, 2, 0.5)
    0.75
    """
    if k < 0:
        return 0.0
    return 1.0 if k >= n else float(_binom_cdf(k, n, p))


def binomial_sf(k: int, n: int, p: float) -> float:
    """The probability of more than k successes in n trials of chance p.

    >>> binomial_sf(1, 2, 0.5)
    0.25
    """
    if k < 0:
        return 1.0
    return 0.0 if k >= n else float(betainc(k + 1, n - k, p))


def binomial_pmf(k: int, n: int, p: float) -> float:
    """The probability of exactly k successes in n trials of chance p, 0 <= k <= n.

    >>> round(binomial_pmf(1, 2, 0.5), 9)
    0.5
    """
    return float(_binom_pmf(k, n, p))


def binomial_quantile(share: float, n: int, p: float) -> int:
    """The smallest number of successes that is not exceeded with at least this probability, 0 < share < 1.

    >>> binomial_quantile(0.5, 10, 0.5)
    5
    """
    return int(_binom_ppf(share, n, p))


def betabinomial_quantile(share: float, n: int, a: float, b: float) -> int:
    """The same of n trials whose common chance is drawn from Beta(a, b).

    >>> betabinomial_quantile(0.5, 10, 1.0, 1.0)
    5
    """
    k = np.arange(n + 1)
    log_pmf = -np.log(n + 1) - betaln(n - k + 1, k + 1) + betaln(k + a, n - k + b) - betaln(a, b)
    return min(int(np.searchsorted(np.cumsum(np.exp(log_pmf)), share)), n)


def chi_squared_sf(statistic: float, degrees: int) -> float:
    """The probability that a chi-squared variable exceeds the statistic.

    >>> round(chi_squared_sf(3.841459, 1), 6)
    0.05
    """
    return float(chdtrc(degrees, statistic))
