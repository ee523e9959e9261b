"""Several claims at once: oracles, statsmodels, and joint coverage counted out exactly."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.multitest import multipletests

from harness.core.errors import UndefinedStatistic
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.multiplicity import holm, level_of_part, simultaneous_lower_bounds

P_VALUES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


@st.composite
def classes(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[float]]:
    counts, floors = [], []
    for _ in range(draw(st.integers(1, 6))):
        n = draw(st.integers(1, 90))
        counts.append((draw(st.integers(n // 2, n)), n))
        floors.append(draw(st.sampled_from([0.5, 0.7, 0.8, 0.9, 0.95])))
    return counts, floors


# --- Holm -----------------------------------------------------------------------------------------


def test_holm_meets_the_oracle():
    assert holm([0.001, 0.008, 0.039, 0.041, 0.27]) == pytest.approx([0.005, 0.032, 0.117, 0.117, 0.27], abs=1e-12)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)  # statsmodels takes 0.2 s a call
@given(p_values=P_VALUES)
def test_statsmodels_adjusts_alike(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), abs=1e-12)


@given(p_values=P_VALUES, shuffle=st.randoms())
def test_the_order_of_the_tests_is_of_no_account(p_values, shuffle):
    order = list(range(len(p_values)))
    shuffle.shuffle(order)
    adjusted = holm(p_values)
    assert holm([p_values[i] for i in order]) == tuple(adjusted[i] for i in order)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))


def test_no_tests_need_no_adjustment():
    assert holm([]) == ()


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_a_p_value_that_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match=f"p-value 1 is {p}"):
        holm([0.5, p])


# --- bounds that hold together --------------------------------------------------------------------


def test_five_flawless_classes_of_75_cannot_display_95_percent_jointly_and_of_90_can():
    bounds = simultaneous_lower_bounds([(75, 75)] * 5, floors=None, level=0.95)
    assert [round(bound, 6) for bound in bounds] == [0.940445] * 5
    assert min(simultaneous_lower_bounds([(90, 90)] * 5, floors=None, level=0.95)) >= 0.95
    assert max(simultaneous_lower_bounds([(89, 89)] * 5, floors=None, level=0.95)) < 0.95
    assert min(simultaneous_lower_bounds([(459, 459)] * 5, floors=None, level=0.95)) >= 0.99
    # Sidak's bound, which needs independent classes, gains next to nothing.
    assert round(clopper_pearson_bounds(75, 75, level=0.95**0.2)[0], 6) == 0.940701


def test_holms_bounds_by_hand():
    # Two classes, floor 0.9. At 1 - 0.05 / 2 the flawless one reaches 0.9520 and is proved; the other is then alone,
    # at 0.95: 70/75 has 0.8649 there. The proved one says its floor and no more.
    bounds = simultaneous_lower_bounds([(75, 75), (70, 75)], floors=[0.9, 0.9], level=0.95)
    assert bounds == (0.9, clopper_pearson_bounds(70, 75, level=0.95)[0])
    # 72/75 misses at 1 - 0.05 / 2 (0.8875) and reaches 0.9 at neither level: 0.8991 at 0.95.
    assert simultaneous_lower_bounds([(75, 75), (72, 75)], floors=[0.9, 0.9], level=0.95)[1] < 0.9
    # 73/75 reaches it at once (0.9070): all are proved, and more than the floors is said.
    both = simultaneous_lower_bounds([(75, 75), (73, 75)], floors=[0.9, 0.9], level=0.95)
    assert both == tuple(clopper_pearson_bounds(k, 75, level=0.975)[0] for k in (75, 73))


def test_a_class_that_is_proved_only_at_the_last_step_keeps_its_floor():
    # 74/75 against 0.93: 0.9279 at 0.975 is short, 0.9383 at 0.95 is not. All proved, and 0.9279 at 1 - 0.05 / 2.
    assert simultaneous_lower_bounds([(75, 75), (74, 75)], floors=[0.93, 0.93], level=0.95)[1] == 0.93


@given(classes=classes(), level=st.sampled_from([0.9, 0.95, 0.99]))
def test_a_bound_reaches_its_floor_exactly_where_holm_proves_it(classes, level):
    counts, floors = classes
    p_values = [float(binom.sf(k - 1, n, floor)) for (k, n), floor in zip(counts, floors, strict=True)]
    bounds = simultaneous_lower_bounds(counts, floors=floors, level=level)
    for adjusted, bound, floor in zip(holm(p_values), bounds, floors, strict=True):
        if abs(adjusted - (1 - level)) > 1e-9:
            assert (bound >= floor) == (adjusted <= 1 - level)


@given(classes=classes(), shuffle=st.randoms())
def test_the_order_of_the_classes_is_of_no_account(classes, shuffle):
    counts, floors = classes
    order = list(range(len(counts)))
    shuffle.shuffle(order)
    bounds = simultaneous_lower_bounds(counts, floors=floors, level=0.95)
    shuffled = simultaneous_lower_bounds([counts[i] for i in order], floors=[floors[i] for i in order], level=0.95)
    assert shuffled == tuple(bounds[i] for i in order)
    for (k, n), bound in zip(counts, bounds, strict=True):
        assert bound <= clopper_pearson_bounds(k, n, level=0.95)[0]


@pytest.mark.parametrize("floors", [None, (0.8, 0.8), (0.7, 0.9)])
@pytest.mark.parametrize("rates", [(0.8, 0.8), (0.9, 0.9), (0.7, 0.9), (0.79, 0.95), (0.99, 0.8), (0.6, 0.6)])
def test_the_bounds_are_all_true_together_as_often_as_the_level_says(floors, rates):
    # Every pair of counts, weighted by its probability.
    n, covered = 30, 0.0
    mass = [binom.pmf(np.arange(n + 1), n, rate) for rate in rates]
    for first, second in product(range(n + 1), repeat=2):
        bounds = simultaneous_lower_bounds([(first, n), (second, n)], floors=floors, level=0.9)
        if all(bound <= rate for bound, rate in zip(bounds, rates, strict=True)):
            covered += mass[0][first] * mass[1][second]
    assert covered >= 0.9


def test_a_class_without_cells_has_no_bound():
    with pytest.raises(UndefinedStatistic, match="0 trials"):
        simultaneous_lower_bounds([(75, 75), (0, 0)], floors=None, level=0.95)


def test_a_floor_is_asked_of_every_class():
    with pytest.raises(ValueError, match="1 floors for 2 classes"):
        simultaneous_lower_bounds([(75, 75), (74, 75)], floors=[0.9], level=0.95)


def test_no_classes_have_no_bounds():
    assert simultaneous_lower_bounds([], floors=None, level=0.95) == ()


# --- looks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("looks", "bound"), [(1, 0.983307), (5, 0.977775), (20, 0.973292), (100, 0.968290)])
def test_the_oracle_bound_falls_with_every_look(looks, bound):
    level = level_of_part(level=0.95, parts=looks)
    assert round(clopper_pearson_bounds(373, 375, level=level)[0], 6) == bound


@pytest.mark.parametrize("parts", [0, -1])
def test_a_look_spends_a_part(parts):
    with pytest.raises(ValueError, match=f"parts is {parts}"):
        level_of_part(level=0.95, parts=parts)


@pytest.mark.parametrize("level", [95, 1.0, 0.0])
def test_a_level_that_is_no_fraction_is_refused(level):
    with pytest.raises(ValueError, match=f"level {level} is not a fraction"):
        level_of_part(level=level, parts=2)
    with pytest.raises(ValueError, match=f"level {level} is not a fraction"):
        simultaneous_lower_bounds([(75, 75)], floors=None, level=level)
