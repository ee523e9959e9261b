"""Cells of one patient: the oracle, an analysis of variance from scipy, monotone bounds, and coverage in simulation."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, f_oneway

from harness.core.errors import UndefinedStatistic
from harness.metrics.clusters import clustered_bounds, design_effect, effective_trials, intracluster_correlation
from harness.metrics.intervals import clopper_pearson_bounds, effective_bounds


def cells_of(*patients: tuple[int, int]) -> tuple[list[bool], list[int]]:
    """(correct, groups) of patients given as (right, wrong)."""
    correct = [value for right, wrong in patients for value in [True] * right + [False] * wrong]
    return correct, [p for p, counts in enumerate(patients) for _ in range(sum(counts))]


PATIENTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 4)).filter(any), min_size=1, max_size=12)
ASSUMED = st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0])


# --- correlation ----------------------------------------------------------------------------------


def test_a_correlation_by_hand():
    # Two patients of two cells, one all right, one half right: squares between (2-1.5)^2/2 * 2 = 0.25 on 1 degree of
    # freedom, within 0.5 on 2: (0.25 - 0.25) / (0.25 + (2 - 1) * 0.25) = 0.
    assert intracluster_correlation([True, True, True, False], ["a", "a", "b", "b"]) == pytest.approx(0.0)
    # One right and one wrong in each: between 0, within 1 on 2: (0 - 0.5) / (0 + 0.5) = -1.
    assert intracluster_correlation([True, False, True, False], ["a", "a", "b", "b"]) == pytest.approx(-1.0)


@given(patients=PATIENTS)
def test_the_correlation_is_that_of_scipys_analysis_of_variance(patients):
    correct, groups = cells_of(*patients)
    found = intracluster_correlation(correct, groups)
    n, n_groups = len(correct), len(patients)
    if n_groups < 2 or n == n_groups or len(set(correct)) < 2:
        assert found is None
        return
    samples = [[float(c) for c, g in zip(correct, groups, strict=True) if g == p] for p in range(n_groups)]
    sizes = np.array([len(sample) for sample in samples])
    m0 = (n - (sizes**2).sum() / n) / (n_groups - 1)
    if all(len(set(sample)) == 1 for sample in samples):
        assert found == pytest.approx(1.0)
    else:
        ratio = f_oneway(*samples).statistic
        assert found == pytest.approx((ratio - 1) / (ratio + m0 - 1), abs=1e-9)


@given(patients=PATIENTS, shuffle=st.randoms())
def test_the_order_of_the_cells_is_of_no_account(patients, shuffle):
    correct, groups = cells_of(*patients)
    cells = list(zip(correct, groups, strict=True))
    shuffle.shuffle(cells)
    shuffled = [c for c, _ in cells], [f"patient {g}" for _, g in cells]
    a, b = intracluster_correlation(correct, groups), intracluster_correlation(*shuffled)
    assert a == (None if b is None else pytest.approx(b, abs=1e-9))
    ours, theirs = (clustered_bounds(*x, assumed_correlation=0.1, level=0.95) for x in ((correct, groups), shuffled))
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("patients", [[(5, 0), (5, 0)], [(0, 5), (0, 5)], [(3, 2)], [(1, 0), (0, 1), (1, 0)]])
def test_a_sample_that_cannot_tell_has_no_correlation(patients):
    # All right; all wrong; one patient; one cell a patient. None of these is a correlation of 0.
    assert intracluster_correlation(*cells_of(*patients)) is None


# --- effective trials -----------------------------------------------------------------------------


def test_ten_cells_a_smear_at_correlation_a_tenth_are_the_oracle():
    assert design_effect([10] * 37, 0.1) == pytest.approx(1.9)
    assert round(375 / design_effect([10] * 37, 0.1), 1) == 197.4


def test_unequal_patients_cost_more_than_equal_ones():
    # 2 and 18 cells: (4 + 324) / 20 = 16.4, not 10.
    assert design_effect([2, 18], 0.5) == pytest.approx(1 + 15.4 * 0.5)
    assert design_effect([10, 10], 0.5) == pytest.approx(1 + 9 * 0.5)


def test_a_flawless_sample_is_not_taken_for_an_independent_one():
    correct, groups = cells_of(*[(10, 0)] * 37)
    summary = effective_trials(groups, correct, assumed_correlation=0.1)
    assert summary.estimated_correlation is None
    assert (summary.correlation, summary.is_estimated) == (0.1, False)
    assert summary.effective_n == pytest.approx(370 / 1.9)
    assert (summary.n, summary.n_groups, summary.mean_size) == (370, 37, 10.0)


def test_errors_in_one_patient_speak_louder_than_the_assumption():
    correct, groups = cells_of((0, 10), *[(10, 0)] * 36)
    summary = effective_trials(groups, correct, assumed_correlation=0.1)
    assert (summary.correlation, summary.is_estimated) == (1.0, True)
    assert summary.effective_n == pytest.approx(37.0)  # one for each patient


def test_one_large_patient_leaves_less_than_one_cell_for_each_patient():
    # 300 cells of one, 49 single ones: n / m' = 349^2 / (300^2 + 49).
    correct, groups = cells_of((300, 0), *[(1, 0)] * 49)
    summary = effective_trials(groups, correct, assumed_correlation=1.0)
    assert summary.effective_n == pytest.approx(349**2 / (300**2 + 49))
    assert summary.effective_n < summary.n_groups == 50


@given(patients=PATIENTS, assumed=ASSUMED)
def test_cells_are_never_worth_more_than_they_are_nor_less_than_kishs_groups(patients, assumed):
    correct, groups = cells_of(*patients)
    summary = effective_trials(groups, correct, assumed_correlation=assumed)
    assert summary.n / summary.mean_size - 1e-9 <= summary.effective_n <= summary.n
    assert assumed <= summary.correlation <= 1
    assert summary.design_effect >= 1


def test_single_cells_are_independent_ones():
    correct, groups = cells_of(*[(1, 0)] * 74, (0, 1))
    assert clustered_bounds(correct, groups, assumed_correlation=0.5, level=0.95) == pytest.approx(
        clopper_pearson_bounds(74, 75, level=0.95), abs=1e-12
    )


# --- bounds ---------------------------------------------------------------------------------------


def plain_lower(patients: list[tuple[int, int]], assumed: float) -> float:
    correct, groups = cells_of(*patients)
    summary = effective_trials(groups, correct, assumed_correlation=assumed)
    return effective_bounds(sum(correct), summary.n, summary.effective_n, level=0.95)[0]


def test_the_plain_rule_can_be_raised_by_an_error_and_the_bounds_cannot():
    # Why `clustered_bounds` is not `effective_bounds` at `effective_trials`: five errors in one patient look clustered,
    # a sixth elsewhere makes them look less so.
    before, after = [(5, 5), *[(10, 0)] * 36], [(5, 5), (9, 1), *[(10, 0)] * 35]
    assert plain_lower(after, 0.1) > plain_lower(before, 0.1)
    bounds = [clustered_bounds(*cells_of(*p), assumed_correlation=0.1, level=0.95) for p in (before, after)]
    assert bounds[1][0] <= bounds[0][0] == pytest.approx(plain_lower(before, 0.1))


@settings(max_examples=examples(150), deadline=None)
@given(patients=PATIENTS, assumed=ASSUMED, pick=st.integers(0, 10_000))
@example(patients=[(5, 5), *[(10, 0)] * 36], assumed=0.1, pick=200)
def test_another_error_never_raises_a_bound(patients, assumed, pick):
    correct, groups = cells_of(*patients)
    right = [i for i, value in enumerate(correct) if value]
    if not right:
        return
    worse = list(correct)
    worse[right[pick % len(right)]] = False
    before, after = (clustered_bounds(x, groups, assumed_correlation=assumed, level=0.95) for x in (correct, worse))
    assert after[0] <= before[0] + 1e-12
    assert after[1] <= before[1] + 1e-12


@given(patients=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(any), min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
def test_the_bound_is_no_higher_than_with_any_errors_put_right(patients):
    correct, groups = cells_of(*patients)
    wrong = [i for i, value in enumerate(correct) if not value]
    lower = clustered_bounds(correct, groups, assumed_correlation=0.05, level=0.95)[0]
    for size in range(len(wrong) + 1):
        for mended in combinations(wrong, size):
            kept = [value or i in mended for i, value in enumerate(correct)]
            summary = effective_trials(groups, kept, assumed_correlation=0.05)
            assert lower <= effective_bounds(sum(kept), summary.n, summary.effective_n, level=0.95)[0] + 1e-12


@given(patients=PATIENTS, assumed=ASSUMED)
def test_bounds_lie_around_the_rate_and_outside_those_of_independent_cells(patients, assumed):
    correct, groups = cells_of(*patients)
    lower, upper = clustered_bounds(correct, groups, assumed_correlation=assumed, level=0.95)
    best = clopper_pearson_bounds(sum(correct), len(correct), level=0.95)
    assert 0 <= lower <= best[0] + 1e-12 <= best[1] + 2e-12 <= upper + 3e-12
    assert upper <= 1


@given(patients=PATIENTS)
def test_a_larger_assumption_or_level_is_a_wider_interval(patients):
    cells = cells_of(*patients)
    narrow = clustered_bounds(*cells, assumed_correlation=0.1, level=0.95)
    for wide in (
        clustered_bounds(*cells, assumed_correlation=0.3, level=0.95),
        clustered_bounds(*cells, assumed_correlation=0.1, level=0.99),
    ):
        assert wide[0] <= narrow[0] + 1e-12
        assert narrow[1] <= wide[1] + 1e-12


@pytest.mark.parametrize("accuracy", [0.9, 0.95])
def test_the_bounds_cover_when_patients_differ(accuracy):
    # Each patient has an accuracy of its own, with correlation 0.1 between its cells; the assumption is right.
    rng, n_sets, n_patients, size, rho = np.random.default_rng(3), 1500, 37, 10, 0.1
    scale = 1 / rho - 1
    rates = rng.beta(accuracy * scale, (1 - accuracy) * scale, size=(n_sets, n_patients))
    wrong = size - rng.binomial(size, rates)
    groups = np.repeat(np.arange(n_patients), size).tolist()
    clustered = naive = above = 0
    for counts in wrong:
        correct = (np.arange(size) >= counts[:, None]).ravel().tolist()
        lower, upper = clustered_bounds(correct, groups, assumed_correlation=rho, level=0.95)
        clustered += lower <= accuracy
        above += accuracy <= upper
        naive += clopper_pearson_bounds(sum(correct), len(correct), level=0.95)[0] <= accuracy
    slack = 3 * math.sqrt(0.95 * 0.05 / n_sets)
    assert min(clustered, above) / n_sets >= 0.95 - slack
    assert naive / n_sets < 0.93  # counting cells as independent is what must not be done


def rate_of_false_passes(*, floor: float, sizes: list[int], rho: float) -> float:
    """Exactly: patients' errors are beta-binomial, their sum is a convolution; the sample's own estimate is left out.

    Using that estimate as well only lowers the bound, so the gate's own rate is at most this.
    """
    n, scale, mass = sum(sizes), 1 / rho - 1, np.array([1.0])
    for size in sizes:
        errors = betabinom.pmf(np.arange(size + 1), size, (1 - floor) * scale, floor * scale)
        mass = np.convolve(mass, errors)
    effective = n / design_effect(sizes, rho)
    low, high = -1, n  # the last number of errors that passes, the first that does not
    while high - low > 1:
        middle = (low + high) // 2
        passes = effective_bounds(n - middle, n, effective, level=0.95)[0] >= floor
        low, high = (middle, high) if passes else (low, middle)
    return float(mass[:high].sum())


@pytest.mark.parametrize("sizes", [[10] * 37, [5] * 75, [37] * 10, [60, 40, 20, *[10] * 12, *[3] * 15]])
@pytest.mark.parametrize("rho", [0.05, 0.1, 0.3])
def test_with_the_right_correlation_a_classifier_at_the_floor_passes_in_at_most_5_percent(sizes, rho):
    rates = [rate_of_false_passes(floor=floor, sizes=sizes, rho=rho) for floor in np.linspace(0.8, 0.995, 40)]
    assert max(rates) <= 0.05


# --- what cannot be -------------------------------------------------------------------------------


def test_no_cells_are_worth_nothing_that_could_be_said():
    for call in (
        lambda: intracluster_correlation([], []),
        lambda: effective_trials([], [], assumed_correlation=0.1),
        lambda: clustered_bounds([], [], assumed_correlation=0.1, level=0.95),
        lambda: design_effect([], 0.1),
    ):
        with pytest.raises(UndefinedStatistic, match=r"no cells have no groups|no groups have no design effect"):
            call()


def test_every_cell_has_a_group():
    with pytest.raises(ValueError, match="2 cells have 1 groups"):
        intracluster_correlation([True, False], ["a"])


@pytest.mark.parametrize("correlation", [-0.1, 1.1, math.nan])
def test_a_correlation_that_is_no_fraction_is_refused(correlation):
    with pytest.raises(ValueError, match=f"correlation {correlation} is not a fraction"):
        design_effect([10, 10], correlation)
    with pytest.raises(ValueError, match=f"assumed_correlation {correlation} is not a fraction"):
        clustered_bounds([True], ["a"], assumed_correlation=correlation, level=0.95)
    with pytest.raises(ValueError, match=f"assumed_correlation {correlation} is not a fraction"):
        effective_trials(["a"], [True], assumed_correlation=correlation)


@pytest.mark.parametrize("level", [95, 1.0, 0.0, math.nan])
def test_a_level_that_is_no_fraction_is_refused(level):
    with pytest.raises(ValueError, match=f"level {level} is not a fraction"):
        clustered_bounds([True], ["a"], assumed_correlation=0.1, level=level)


def test_a_group_of_no_cells_is_refused():
    with pytest.raises(ValueError, match="a group of 0 cells is none"):
        design_effect([10, 0], 0.1)
