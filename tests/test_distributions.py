"""The same bits as scipy.stats, over a grid that holds every value that a bound or a power is computed from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from harness.core.places import PROJECT
from harness.metrics.distributions import (
    beta_quantile,
    betabinomial_quantile,
    binomial_cdf,
    binomial_pmf,
    binomial_quantile,
    binomial_sf,
    chi_squared_sf,
    noncentral_t_quantile,
    normal_quantile,
)

LEVELS = sorted({*(1 - 0.05 / m for m in (1, 2, 3, 5, 7, 10, 100)), *(0.005, 0.025, 0.05, 0.1, 0.5, 0.9, 0.99, 0.975)})
RATES = (0.0, 1e-9, 0.005, 0.02, 0.1, 1 / 3, 0.5, 0.8, 0.92, 1 - 0.98, 1 - 0.995, 1.0)
SIZES = (1, 2, 3, 9, 30, 150, 375, 1750, 60_000)


def counts(n: int) -> list[int]:
    """Both ends, and some between."""
    return sorted({*range(min(n, 4)), n // 3, n // 2, *(max(0, n - k) for k in range(4))})


COUNTED = [(k, n) for n in SIZES for k in counts(n)]


@pytest.mark.parametrize("level", LEVELS)
def test_quantiles_of_the_beta_distribution(level: float):
    places = [(k, n - k + 1) for k, n in COUNTED if k > 0] + [(k + 1, n - k) for k, n in COUNTED if k < n]
    places += [(a + 0.37, b + 1.91) for a, b in places]  # effective trials of clustered cells are no whole numbers
    a, b = np.array(places, dtype=float).T
    assert [beta_quantile(level, *place) for place in places] == stats.beta.ppf(level, a, b).tolist()


def test_quantiles_of_the_noncentral_t_distribution():
    places = [(share, degrees, at) for share in LEVELS for degrees in (1, 4, 9, 99) for at in (0.0, 0.5, 3.7, 16.4)]
    assert [noncentral_t_quantile(*place) for place in places] == [stats.nct.ppf(*place) for place in places]


def test_quantiles_of_the_normal_distribution():
    shares = [*LEVELS, *(0.5 + level / 2 for level in LEVELS)]
    assert [normal_quantile(share) for share in shares] == stats.norm.ppf(shares).tolist()


@pytest.mark.parametrize("rate", RATES)
def test_tails_and_chances_of_the_binomial_distribution(rate: float):
    k, n = np.array(COUNTED).T
    assert [binomial_cdf(*each, rate) for each in COUNTED] == stats.binom.cdf(k, n, rate).tolist()
    assert [binomial_sf(*each, rate) for each in COUNTED] == stats.binom.sf(k, n, rate).tolist()
    assert [binomial_sf(each[0] - 1, each[1], rate) for each in COUNTED] == stats.binom.sf(k - 1, n, rate).tolist()
    assert [binomial_pmf(*each, rate) for each in COUNTED] == stats.binom.pmf(k, n, rate).tolist()
    assert binomial_cdf(-1, 5, rate) == stats.binom.cdf(-1, 5, rate)


@pytest.mark.parametrize("rate", [rate for rate in RATES if 0.0 < rate < 1.0])
@pytest.mark.parametrize("n", SIZES)
def test_quantiles_of_the_binomial_distribution(n: int, rate: float):
    assert [binomial_quantile(level, n, rate) for level in LEVELS] == stats.binom.ppf(LEVELS, n, rate).tolist()


@pytest.mark.parametrize(("n", "alpha"), [(30, 0.05), (150, 0.05), (375, 0.05), (375, 0.1), (2000, 0.01), (59, 0.2)])
@pytest.mark.parametrize("n_fresh", [1, 9, 40, 150, 375, 3000])
def test_quantiles_of_the_beta_binomial_distribution(n: int, alpha: float, n_fresh: int):
    rank = int(np.ceil((n + 1) * (1 - alpha)))
    found = [betabinomial_quantile(share, n_fresh, rank, n + 1 - rank) for share in LEVELS]
    assert found == stats.betabinom.ppf(LEVELS, n_fresh, rank, n + 1 - rank).tolist()


def test_tails_of_the_chi_squared_distribution():
    places = [(statistic, degrees) for statistic in (0.0, 1e-9, 0.5, 3.84, 17.0, 400.0) for degrees in range(1, 21)]
    statistic, degrees = np.array(places).T
    assert [chi_squared_sf(*place) for place in places] == stats.chi2.sf(statistic, degrees).tolist()


# What a job that draws nothing and trains nothing must not wait for.
HEAVY = (
    "torch",
    "fastai",
    "torchvision",
    "matplotlib",
    "scipy.stats",
    "sklearn",
    "great_expectations",
)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["verify", "reports/reference"], ["compare", "reports/reference", "reports/reference"]]
)
def test_a_job_imports_only_what_it_needs(arguments: list[str]):
    code = (
        "import sys\nfrom harness.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
