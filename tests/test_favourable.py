"""The chance of a favourable result, for many models at once, beside the sum over the lost cells, model by model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from harness.metrics.favourable import chances, region_of
from harness.metrics.paired import favourable_region


def summed(thresholds: np.ndarray, p_b: float, p_c: float) -> float:
    """P(c >= thresholds[b]): over every number of lost cells, the tail of those won among the rest."""
    n = thresholds.size - 1
    b = np.arange(n + 1)
    rest = min(1.0, p_c / (1.0 - p_b)) if p_b < 1 else 0.0
    return float(np.sum(binom.pmf(b, n, p_b) * binom.sf(thresholds - 1, n - b, rest)))


def models(difference: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Models at one true difference, from the fewest discordant cells to all of them."""
    smaller = (1.0 - abs(difference)) / 2.0 * np.sin(np.linspace(0.0, math.pi / 2, count)) ** 2
    return smaller + max(0.0, -difference), smaller + max(0.0, difference)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 300),
    region_at=st.floats(-0.999, 0.999),
    difference=st.floats(-1.0, 1.0),
    level=st.floats(0.5, 0.9999),
    count=st.integers(1, 40),
)
def test_the_chances_of_many_models_are_those_of_each(n, region_at, difference, level, count):
    thresholds = favourable_region(region_at, n, z=norm.ppf(level))
    p_b, p_c = models(difference, count)
    witness = [summed(thresholds, *model) for model in zip(p_b, p_c, strict=True)]
    assert chances(region_of(thresholds), p_b=p_b, p_c=p_c) == pytest.approx(witness, abs=1e-11)


@pytest.mark.parametrize("difference", [-0.3, -0.0018, 0.0, 0.01])
def test_they_are_so_for_25_000_cells(difference):
    thresholds = favourable_region(difference, 25_000, z=norm.ppf(0.975))
    p_b, p_c = models(difference, 400)
    found = chances(region_of(thresholds), p_b=p_b, p_c=p_c)
    some = [0, 1, 2, 7, 50, 200, 201, 350, 398, 399]
    assert found[some] == pytest.approx([summed(thresholds, p_b[i], p_c[i]) for i in some], abs=1e-10)


def test_the_order_and_the_company_of_models_do_not_matter():
    thresholds = favourable_region(-0.02, 150, z=norm.ppf(0.95))
    p_b, p_c = models(-0.02, 60)
    together, alone = (
        chances(region_of(thresholds), p_b=p_b, p_c=p_c),
        [chances(region_of(thresholds), p_b=p_b[[i]], p_c=p_c[[i]])[0] for i in range(60)],
    )
    assert together == pytest.approx(alone, abs=1e-13)
    mixed = np.random.default_rng(3).permutation(60)
    assert chances(region_of(thresholds), p_b=p_b[mixed], p_c=p_c[mixed]) == pytest.approx(together[mixed], abs=1e-13)


def test_a_region_that_lacks_a_more_favourable_result_is_refused():
    # One cell lost and one won is in; none lost and one won is not.
    with pytest.raises(ValueError, match="thresholds must not fall"):
        region_of(np.array([3, 1, 1, 1]))
