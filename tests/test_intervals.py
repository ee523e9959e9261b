"""Intervals: the oracle table, scipy's own exact test, and the coverage that they promise, counted out."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, expon

from harness.core.errors import UndefinedStatistic
from harness.metrics.intervals import (
    clopper_pearson_bounds,
    effective_bounds,
    errors_allowed,
    percentile_bounds,
    probability_of_passing,
    trials_needed,
    wilson_interval,
)

# k, n, two-sided 95 % Clopper-Pearson, two-sided 95 % Wilson, one-sided lower Clopper-Pearson at 95 % and at 99 %.
ORACLES = [
    (373, 375, (0.980868, 0.999353), (0.980765, 0.998536), 0.983307, 0.977775),
    (371, 375, (0.972916, 0.997086), (0.972899, 0.995844), 0.975758, 0.969367),
    (375, 375, (0.990211, 1), (0.989860, 1), 0.992043, 0.987795),
    (371, 373, (0.980766, 0.999350), (0.980663, 0.998528), 0.983218, 0.977657),
    (9, 9, (0.663733, 1), (0.700855, 1), 0.716871, 0.599484),
    (7, 9, (0.399906, 0.971855), (0.452589, 0.936775), 0.450358, 0.343685),
    (75, 75, (0.952005, 1), (0.951276, 1), 0.960844, 0.940445),
    (74, 75, (0.927937, 0.999662), (0.928266, 0.997642), 0.938305, 0.914743),
    (73, 75, (0.906968, 0.996754), (0.907885, 0.992656), 0.918428, 0.892601),
]
LEVELS = st.floats(0.5, 0.9999)


@st.composite
def counts(draw: st.DrawFn, most: int = 3000) -> tuple[int, int]:
    n = draw(st.integers(1, most))
    return draw(st.integers(0, n)), n


def rounded(bounds: tuple[float, float]) -> tuple[float, ...]:
    return tuple(round(bound, 6) for bound in bounds)


# --- a proportion ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n", "exact", "wilson", "lower_95", "lower_99"), ORACLES)
def test_the_oracle_table_is_met_to_six_decimals(k, n, exact, wilson, lower_95, lower_99):
    assert rounded(clopper_pearson_bounds(k, n, level=0.975)) == exact
    displayed = wilson_interval(k, n, level=0.95)
    assert rounded((displayed.lower, displayed.upper)) == wilson
    assert (displayed.level, displayed.method) == (0.95, "Wilson")
    assert round(clopper_pearson_bounds(k, n, level=0.95)[0], 6) == lower_95
    assert round(clopper_pearson_bounds(k, n, level=0.99)[0], 6) == lower_99


@given(counts=counts(), level=LEVELS)
def test_scipy_has_the_same_one_sided_exact_bounds(counts, level):
    k, n = counts
    lower = binomtest(k, n, alternative="greater").proportion_ci(level, method="exact").low
    upper = binomtest(k, n, alternative="less").proportion_ci(level, method="exact").high
    assert clopper_pearson_bounds(k, n, level=level) == pytest.approx((lower, upper), abs=1e-9)


@given(counts=counts(), level=LEVELS)
def test_scipy_has_the_same_two_sided_intervals(counts, level):
    k, n = counts
    test = binomtest(k, n, alternative="greater")
    test.alternative = "two-sided"  # scipy's two-sided p-value is slow, its interval is not
    exact, wilson = (test.proportion_ci(level, method=method) for method in ("exact", "wilson"))
    assert clopper_pearson_bounds(k, n, level=0.5 + level / 2) == pytest.approx((exact.low, exact.high), abs=1e-9)
    ours = wilson_interval(k, n, level=level)
    assert (ours.lower, ours.upper) == pytest.approx((wilson.low, wilson.high), abs=1e-9)


@given(n=st.integers(1, 100_000), level=LEVELS)
def test_all_or_none_has_a_closed_form(n, level):
    # All right: p ** n = 1 - level. None right: (1 - p) ** n = 1 - level.
    root = (1 - level) ** (1 / n)
    assert clopper_pearson_bounds(n, n, level=level) == (pytest.approx(root, abs=1e-9), 1.0)
    assert clopper_pearson_bounds(0, n, level=level) == (0.0, pytest.approx(1 - root, abs=1e-9))
    z2 = binomial_z(level) ** 2
    all_right, none_right = wilson_interval(n, n, level=level), wilson_interval(0, n, level=level)
    assert (all_right.lower, all_right.upper) == (pytest.approx(n / (n + z2), abs=1e-9), 1.0)
    assert (none_right.lower, none_right.upper) == (0.0, pytest.approx(z2 / (n + z2), abs=1e-9))


def binomial_z(level: float) -> float:
    """The normal quantile of a two-sided level, by bisection of the error function."""
    low, high = 0.0, 10.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle / math.sqrt(2)) < level else (low, middle)
    return low


@given(counts=counts(), level=LEVELS)
def test_bounds_are_ordered_fractions_around_the_observed_rate(counts, level):
    k, n = counts
    lower, upper = clopper_pearson_bounds(k, n, level=level)
    assert 0 <= lower <= k / n <= upper <= 1
    wilson = wilson_interval(k, n, level=level)
    assert 0 <= wilson.lower <= k / n + 1e-12
    assert k / n - 1e-12 <= wilson.upper <= 1


@given(counts=counts(), level=LEVELS)
def test_successes_and_failures_mirror_each_other(counts, level):
    k, n = counts
    lower, upper = clopper_pearson_bounds(k, n, level=level)
    assert clopper_pearson_bounds(n - k, n, level=level) == pytest.approx((1 - upper, 1 - lower), abs=1e-12)


@pytest.mark.parametrize("n", [1, 9, 75])
def test_one_more_success_raises_both_bounds(n):
    for bounds_of in (
        lambda k: clopper_pearson_bounds(k, n, level=0.95),
        lambda k: (wilson_interval(k, n, level=0.95).lower, wilson_interval(k, n, level=0.95).upper),
    ):
        bounds = [bounds_of(k) for k in range(n + 1)]
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(bounds))


@given(counts=counts())
def test_more_confidence_is_a_wider_interval(counts):
    k, n = counts
    narrow, wide = (clopper_pearson_bounds(k, n, level=level) for level in (0.9, 0.99))
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@pytest.mark.parametrize(("n", "p"), [(9, 0.717), (75, 0.9), (75, 0.961), (375, 0.98), (375, 0.995), (30, 0.5)])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_each_exact_bound_covers_at_least_its_level_at_every_sample_size(n, p, level):
    # No simulation: every possible count, weighted by its probability.
    bounds = [clopper_pearson_bounds(k, n, level=level) for k in range(n + 1)]
    weights = binom.pmf(np.arange(n + 1), n, p)
    covered_below = sum(w for w, (lower, _) in zip(weights, bounds, strict=True) if lower <= p)
    covered_above = sum(w for w, (_, upper) in zip(weights, bounds, strict=True) if p <= upper)
    assert min(covered_below, covered_above) >= level


@pytest.mark.parametrize("interval", [clopper_pearson_bounds, wilson_interval])
class TestImpossibleCounts:
    def test_no_trials_have_no_proportion(self, interval):
        with pytest.raises(UndefinedStatistic, match="0 trials does not exist; it is not 0"):
            interval(0, 0, level=0.95)

    @pytest.mark.parametrize(("k", "n"), [(-1, 9), (10, 9), (0, -1)])
    def test_counts_that_cannot_be_are_refused(self, interval, k, n):
        with pytest.raises(ValueError, match=f"{k} successes of {n} trials is impossible"):
            interval(k, n, level=0.95)

    @pytest.mark.parametrize("level", [95, 1.0, 0.0, -0.5, math.nan])
    def test_a_level_that_is_no_fraction_is_refused(self, interval, level):
        with pytest.raises(ValueError, match=f"level {level} is not a fraction .* write 0.95 for 95 %"):
            interval(8, 9, level=level)


# --- trials that are worth fewer ------------------------------------------------------------------


def test_375_images_of_10_a_smear_are_worth_197_and_lower_the_bound():
    # Design effect 1 + 9 * 0.1 = 1.9.
    assert round(375 / 1.9, 1) == 197.4
    assert round(clopper_pearson_bounds(373, 375, level=0.975)[0], 4) == 0.9809
    assert round(effective_bounds(373, 375, 375 / 1.9, level=0.975)[0], 4) == 0.9716


@given(counts=counts(), level=LEVELS)
def test_trials_that_are_worth_themselves_have_the_exact_bounds(counts, level):
    k, n = counts
    assert effective_bounds(k, n, n, level=level) == clopper_pearson_bounds(k, n, level=level)


@given(counts=counts(most=500), level=LEVELS, share=st.floats(0.05, 1.0))
def test_fewer_effective_trials_are_a_wider_interval(counts, level, share):
    k, n = counts
    wide, narrow = (effective_bounds(k, n, n * part, level=level) for part in (share, (1 + share) / 2))
    assert 0 <= wide[0] <= narrow[0] + 1e-12 <= k / n + 2e-12
    assert k / n - 2e-12 <= narrow[1] - 1e-12 <= wide[1] <= 1


@given(k=st.integers(1, 400), n=st.integers(1, 400), factor=st.integers(2, 9), level=LEVELS)
def test_whole_effective_counts_are_exact_counts(k, n, factor, level):
    k, n = min(k, n), max(k, n)
    shrunk = effective_bounds(k * factor, n * factor, n, level=level)
    assert shrunk == pytest.approx(clopper_pearson_bounds(k, n, level=level), abs=1e-12)


@pytest.mark.parametrize("effective", [0.0, -1.0, 375.5, math.nan])
def test_trials_are_never_worth_more_than_there_are(effective):
    with pytest.raises(ValueError, match=r"effective_trials .* is not in \(0, 375\]"):
        effective_bounds(373, 375, effective, level=0.95)


# --- errors, trials and power ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "floor", "allowed"),
    [
        (375, 0.95, 11),
        (375, 0.97, 5),
        (375, 0.98, 2),
        (375, 0.99, 0),
        (375, 0.995, None),
        (75, 0.90, 2),
        (75, 0.95, 0),
        (75, 0.97, None),
        (9, 0.70, 0),
        (9, 0.75, None),
    ],
)
def test_so_many_errors_pass(n, floor, allowed):
    assert errors_allowed(n, floor=floor, level=0.95) == allowed


@given(n=st.integers(1, 300), floor=st.floats(0.02, 0.998), level=LEVELS)
def test_the_error_limit_is_that_of_the_binomial_tail(n, floor, level):
    errors = np.arange(n + 1)
    few = binom.cdf(errors, n, 1 - floor)
    # At an exact tie, such as 1 of 1 at a floor of one half, rounding decides.
    assume(np.abs(few - (1 - level)).min() > 1e-9)
    passing = errors[few <= 1 - level]
    assert errors_allowed(n, floor=floor, level=level) == (passing.max() if passing.size else None)


@pytest.mark.parametrize(
    ("floor", "at_95", "at_99"),
    [
        (0.95, [59, 93, 124, 153], [90, 130]),
        (0.97, [99, 157, 208, 257], [152, 219]),
        (0.98, [149, 236, 313, 386], [228, 330]),
        (0.99, [299, 473, 628, 773], [459, 662]),
        (0.995, [598, 947, 1258, 1549], [919, 1325]),
    ],
)
def test_so_many_cells_prove_a_floor(floor, at_95, at_99):
    assert [trials_needed(errors, floor=floor, level=0.95) for errors in range(4)] == at_95
    assert [trials_needed(errors, floor=floor, level=0.99) for errors in range(2)] == at_99
    assert at_95[0] == math.ceil(math.log(0.05) / math.log(floor))


def test_75_cells_a_class_cannot_display_95_percent_jointly_and_90_can():
    assert trials_needed(0, floor=0.95, level=0.99) == 90
    assert trials_needed(0, floor=0.99, level=0.99) == 459


def test_a_gate_at_98_percent_mostly_passes_a_good_model_and_rarely_one_at_the_floor():
    assert round(probability_of_passing(0.995, 375, floor=0.98, level=0.95), 4) == 0.7105
    assert round(probability_of_passing(0.98, 375, floor=0.98, level=0.95), 4) == 0.0194


def test_a_gate_that_nothing_can_pass_is_passed_with_probability_0():
    assert probability_of_passing(1.0, 9, floor=0.75, level=0.95) == 0.0
    assert probability_of_passing(1.0, 375, floor=0.98, level=0.95) == 1.0


@given(n=st.integers(1, 400), floor=st.floats(0.05, 0.995), level=LEVELS)
def test_a_classifier_at_the_floor_passes_no_more_often_than_the_level_allows(n, floor, level):
    assert probability_of_passing(floor, n, floor=floor, level=level) <= (1 - level) * (1 + 1e-9)


@given(counts=counts(most=400), floor=st.floats(0.02, 0.998))
def test_an_upper_bound_below_a_floor_is_scipys_exact_test(counts, floor):
    k, n = counts
    p = binomtest(k, n, floor, alternative="less").pvalue
    assume(abs(p - 0.05) > 1e-9)  # at a tie rounding decides
    assert (effective_bounds(k, n, float(n), level=0.95)[1] < floor) == (p < 0.05)


def test_no_trials_have_no_error_limits():
    for call in (
        lambda: errors_allowed(0, floor=0.9, level=0.95),
        lambda: probability_of_passing(0.9, 0, floor=0.9, level=0.95),
        lambda: effective_bounds(0, 0, 1.0, level=0.95),
    ):
        with pytest.raises(UndefinedStatistic, match="0 trials"):
            call()


@pytest.mark.parametrize("floor", [98, 1.0, 0.0, math.nan])
def test_a_floor_that_is_no_fraction_is_refused(floor):
    for call in (
        lambda: errors_allowed(75, floor=floor, level=0.95),
        lambda: trials_needed(0, floor=floor, level=0.95),
    ):
        with pytest.raises(ValueError, match=f"floor {floor} is not a fraction"):
            call()


def test_what_no_number_of_cells_can_do_is_refused():
    with pytest.raises(ValueError, match=r"true_rate 99\.5 is not a fraction"):
        probability_of_passing(99.5, 375, floor=0.98, level=0.95)
    with pytest.raises(ValueError, match="-1 errors is impossible"):
        trials_needed(-1, floor=0.98, level=0.95)


# --- a percentile ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "quantile", "ranks"),
    [
        (1000, 0.5, (469, 532)),
        (1000, 0.9, (881, 919)),
        (1000, 0.99, (983, 997)),
        (375, 0.95, (348, 365)),
        (10_000, 0.99, (9880, 9920)),
    ],
)
def test_a_percentile_lies_between_the_oracle_ranks(n, quantile, ranks):
    # The samples are their own ranks, counted from 1.
    value, lower, upper = percentile_bounds(range(n, 0, -1), quantile=quantile, level=0.975)
    assert (lower, upper) == ranks
    assert value == math.floor(n * quantile) + 1  # LoadGen counts its rank from 0


def exact_ranks(n: int, quantile: Fraction, alpha: Fraction) -> tuple[float, float]:
    """The tightest ranks by the definition, in exact fractions: how many samples lie below is binomial."""
    mass = [math.comb(n, i) * quantile**i * (1 - quantile) ** (n - i) for i in range(n + 1)]
    below = [sum(mass[:r]) for r in range(n + 1)]  # P(fewer than r samples below the true percentile)
    lower = max((r for r in range(1, n + 1) if below[r] <= alpha), default=-math.inf)
    upper = min((r for r in range(1, n + 1) if below[r] >= 1 - alpha), default=math.inf)
    return lower, upper


@pytest.mark.parametrize("n", [1, 4, 5, 12, 28, 29, 30, 44, 60, 100])
@pytest.mark.parametrize("quantile", [Fraction(1, 2), Fraction(9, 10), Fraction(97, 100)])
@pytest.mark.parametrize("alpha", [Fraction(1, 20), Fraction(1, 100)])
def test_the_ranks_are_the_tightest_that_exact_fractions_allow(n, quantile, alpha):
    _, *bounds = percentile_bounds(range(1, n + 1), quantile=float(quantile), level=float(1 - alpha))
    assert tuple(bounds) == exact_ranks(n, quantile, alpha)


def test_29_samples_are_the_fewest_with_an_upper_bound_of_the_90th_percentile():
    # 0.9 ** 28 = 0.0523 and 0.9 ** 29 = 0.0471.
    assert percentile_bounds(range(28), quantile=0.9, level=0.95)[2] == math.inf
    assert percentile_bounds(range(29), quantile=0.9, level=0.95)[2] == 28


def test_five_rounds_are_the_fewest_with_a_lower_bound_of_the_median():
    # 0.5 ** 4 = 0.0625 and 0.5 ** 5 = 0.03125.
    assert percentile_bounds([4, 3, 2, 1], quantile=0.5, level=0.95) == (3, -math.inf, math.inf)
    assert percentile_bounds([5, 4, 3, 2, 1], quantile=0.5, level=0.95) == (3, 1, 5)


@pytest.mark.parametrize(("n", "quantile"), [(100, 0.9), (60, 0.5)])
def test_percentile_bounds_cover_in_simulation_of_a_skewed_distribution(n, quantile):
    truth, rng = expon.ppf(quantile), np.random.default_rng(1)
    bounds = [percentile_bounds(rng.exponential(size=n).tolist(), quantile=quantile, level=0.95) for _ in range(2000)]
    slack = 3 * math.sqrt(0.95 * 0.05 / len(bounds))  # of the simulation
    assert np.mean([lower <= truth for _, lower, _ in bounds]) >= 0.95 - slack
    assert np.mean([truth <= upper for _, _, upper in bounds]) >= 0.95 - slack


@given(samples=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=80), seed=st.randoms())
def test_the_order_of_the_samples_is_of_no_account(samples, seed):
    expected = percentile_bounds(samples, quantile=0.9, level=0.95)
    seed.shuffle(samples)
    assert percentile_bounds(samples, quantile=0.9, level=0.95) == expected
    value, lower, upper = expected
    assert lower <= value <= upper
    assert value in samples


def test_no_samples_have_no_percentile():
    with pytest.raises(UndefinedStatistic, match="a percentile of no samples does not exist"):
        percentile_bounds([], quantile=0.9, level=0.95)


@pytest.mark.parametrize("quantile", [90, 0.0, 1.0, math.nan])
def test_a_quantile_that_is_no_fraction_is_refused(quantile):
    with pytest.raises(ValueError, match=f"quantile {quantile} is not a fraction"):
        percentile_bounds([1.0, 2.0], quantile=quantile, level=0.95)


@pytest.mark.parametrize("level", [95, 1.0, 0.0])
def test_a_percentile_at_a_level_that_is_no_fraction_is_refused(level):
    with pytest.raises(ValueError, match=f"level {level} is not a fraction"):
        percentile_bounds([1.0, 2.0], quantile=0.9, level=level)


@pytest.mark.parametrize("position", [0, 50, 99])
def test_a_sample_that_is_no_number_is_refused_wherever_it_stands(position):
    # Sorting leaves everything around a NaN unsorted: a bound would come from any sample.
    samples = [2.0] * 50 + [0.01] * 50
    samples[position] = math.nan
    with pytest.raises(ValueError, match=rf"sample {position} is not a number"):
        percentile_bounds(samples, quantile=0.9, level=0.95)
