"""Spread over seeds: the oracle factors, and what they promise, simulated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import binom, binomtest, chi2, norm

from harness.core.errors import UndefinedStatistic
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.intervals import trials_needed
from harness.metrics.seeds import recipe_accuracy, seed_accuracy, tolerance_bound, tolerance_factor

ACCURACIES = st.lists(st.integers(300, 375).map(lambda k: k / 375), min_size=2, max_size=30)


@pytest.mark.parametrize(("n", "factor"), [(3, 7.656), (5, 4.203), (10, 2.911), (20, 2.396), (30, 2.220)])
def test_the_factors_meet_the_oracles(n, factor):
    # scipy has 7.6559, 4.2027, 2.9110, 2.3960, 2.2198.
    assert tolerance_factor(n, content=0.95, level=0.95) == pytest.approx(factor, abs=5.1e-4)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_the_factor_keeps_its_promise_when_integrated_over_the_standard_deviation(n):
    # P(mean - k sd <= the 5 % point), given sd: normal; then averaged over chi-squared. No noncentral t.
    factor, z = tolerance_factor(n, content=0.9, level=0.95), norm.ppf(0.9)

    def given_variance(share: float) -> float:
        sd = math.sqrt(chi2.ppf(share, n - 1) / (n - 1))
        return float(norm.cdf(math.sqrt(n) * (factor * sd - z)))

    assert quad(given_variance, 0, 1, limit=200)[0] == pytest.approx(0.95, abs=1e-5)


def test_most_further_seeds_land_above_the_bound_with_the_confidence_stated():
    rng, n = np.random.default_rng(5), 5
    runs = rng.normal(0.9, 0.01, size=(4000, n))
    kept = [norm.sf(tolerance_bound(row, content=0.95, level=0.95).lower, 0.9, 0.01) >= 0.95 for row in runs.tolist()]
    assert np.mean(kept) == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 4000))


def test_a_spread_by_hand():
    # mean 0.992, deviations -2, 0, 2 thousandths: sd 0.002; lower 0.992 - 7.656 * 0.002.
    spread = tolerance_bound([0.990, 0.994, 0.992], content=0.95, level=0.95)
    assert (spread.n, spread.smallest, spread.largest) == (3, 0.990, 0.994)
    assert (spread.mean, spread.sd) == pytest.approx((0.992, 0.002))
    assert spread.lower == pytest.approx(0.992 - 7.6559 * 0.002, abs=1e-6)
    assert (spread.content, spread.level) == (0.95, 0.95)


def test_59_runs_are_needed_without_the_normal_assumption():
    assert trials_needed(0, floor=0.95, level=0.95) == 59


@given(values=ACCURACIES, shuffle=st.randoms())
def test_the_order_of_the_seeds_is_of_no_account(values, shuffle):
    spread = tolerance_bound(values, content=0.95, level=0.95)
    shuffle.shuffle(values)
    again = tolerance_bound(values, content=0.95, level=0.95)
    assert (again.mean, again.sd, again.lower) == pytest.approx((spread.mean, spread.sd, spread.lower), abs=1e-12)
    assert spread.lower <= spread.mean <= spread.largest + 1e-12
    assert spread.smallest - 1e-12 <= spread.mean


@given(values=ACCURACIES)
def test_more_confidence_or_more_content_is_a_lower_bound(values):
    lower = tolerance_bound(values, content=0.9, level=0.9).lower
    assert tolerance_bound(values, content=0.9, level=0.99).lower <= lower
    assert tolerance_bound(values, content=0.99, level=0.9).lower <= lower


def test_runs_that_tie_have_no_spread_and_bound_nothing_but_themselves():
    spread = tolerance_bound([374 / 375] * 5, content=0.95, level=0.95)
    assert spread.sd == 0.0
    assert spread.lower == spread.mean == 374 / 375


@pytest.mark.parametrize("n", [0, 1])
def test_one_run_has_no_spread(n):
    with pytest.raises(UndefinedStatistic, match=rf"{n} run\(s\) show no spread"):
        tolerance_bound([0.99] * n, content=0.95, level=0.95)


@pytest.mark.parametrize("bad", [95, 1.0, 0.0, math.nan])
def test_shares_that_are_no_fractions_are_refused(bad):
    with pytest.raises(ValueError, match=f"content {bad} is not a fraction"):
        tolerance_factor(5, content=bad, level=0.95)
    with pytest.raises(ValueError, match=f"level {bad} is not a fraction"):
        tolerance_factor(5, content=0.95, level=bad)


def test_a_failed_run_is_not_averaged():
    with pytest.raises(ValueError, match="run 1 has the value nan"):
        tolerance_bound([0.99, math.nan, 0.98], content=0.95, level=0.95)


# --- seeds and cells together ---


def right(*counts: int, n: int = 375, groups: int | None = None) -> dict[int, Evaluation]:
    """Seed -> an evaluation with so many right cells of one class, the wrong ones in the first groups."""
    found = {}
    for seed, k in enumerate(counts):
        confusion = np.array([[k, n - k], [0, 0]])
        by_group = None
        if groups is not None:
            size = n // groups
            wrong = np.clip((n - k) - size * np.arange(groups), 0, size)
            by_group = np.array([[[size - w, w], [0, 0]] for w in wrong])
        found[seed] = Evaluation("test", ("a", "b"), confusion, by_group, 0.1)
    return found


def test_the_bound_of_a_recipe_by_hand():
    found = recipe_accuracy(right(370, 372, 374), set_name="test", level=0.95)
    # Seeds at 97.5 %: mean 372 less the factor times their deviation of 2, in whole cells; then the cells at 97.5 %.
    k = math.floor(372 - tolerance_factor(3, content=0.95, level=0.975) * 2)
    assert found.value == pytest.approx(372 / 375)
    assert found.lower == pytest.approx(binomtest(k, 375).proportion_ci(0.95, "exact").low)
    assert (found.metric, found.n, found.support, found.level) == ("recipe_accuracy", 3, 375, 0.95)
    assert found.lower < seed_accuracy(right(370, 372, 374), set_name="test", level=0.95).lower


def test_seeds_that_tie_say_nothing_of_the_next():
    found = recipe_accuracy(right(372, 372, 372), set_name="test", level=0.95)
    assert found.lower is None
    assert "their spread is not known" in found.note
    assert isinstance(recipe_accuracy(right(372), set_name="test", level=0.95), Unavailable)


def test_cells_of_few_patients_are_worth_fewer():
    alone = recipe_accuracy(right(355, 360, 365), set_name="test", level=0.95)
    grouped = recipe_accuracy(right(355, 360, 365, groups=25), set_name="test", level=0.95)
    assert grouped.lower < alone.lower


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("spread", [0.003, 0.01])
def test_a_recipe_at_its_floor_passes_at_most_as_often_as_the_level_allows(seeds, spread):
    """Trained again and again on another sample of cells; what is hard for one seed is hard for the others."""
    rng, floor, n, runs = np.random.default_rng(11), 0.95, 375, 300
    # The floor is what 95 % of all seeds reach.
    centre, before, passed = floor + 1.6449 * spread, 0, 0
    for _ in range(runs):
        truths = np.clip(rng.normal(centre, spread, seeds), 0.0, 1.0)
        hard = math.sqrt(0.99) * rng.standard_normal(n) + math.sqrt(0.01) * rng.standard_normal((seeds, n))
        counts = (hard < norm.ppf(truths)[:, None]).sum(axis=1)
        evaluations = right(*counts.tolist())
        bounds = [made(evaluations, set_name="test", level=0.95).lower for made in (seed_accuracy, recipe_accuracy)]
        before, passed = before + ((bounds[0] or 0) >= floor), passed + ((bounds[1] or 0) >= floor)
    assert passed <= binom.ppf(0.999, runs, 0.05)
    if (seeds, spread) == (10, 0.003):
        assert before / runs > 0.1  # what was promised at 5 %
