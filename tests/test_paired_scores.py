"""The paired difference of Brier scores: what it is worth, and that its bound is one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from harness.core.errors import UndefinedStatistic
from harness.metrics.comparison import compare
from harness.metrics.paired_scores import brier_difference, brier_of, mean_bounds, mean_upper_bound
from harness.metrics.predictions import Predictions
from harness.metrics.scoring_rules import multiclass_brier


def predictions(labels: np.ndarray, probabilities: np.ndarray) -> Predictions:
    names = tuple(f"{number:064x}" for number in range(len(labels)))
    return Predictions("test", ("a", "b"), names, names, labels, probabilities)


def pair(*, sure: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two classes and their labels: right each time, with this confidence."""
    labels = np.array([0, 1] * 20)
    return np.where(np.eye(2)[labels] == 1, sure, 1 - sure), labels


def test_the_score_of_each_cell_is_that_whose_mean_the_calibration_section_shows():
    probabilities, labels = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]), np.array([0, 0, 0])
    found = brier_of(predictions(labels, probabilities))
    assert found.tolist() == pytest.approx([0.08, 0.32, 1.62])  # by hand: 2 (1 - p)^2 of two classes
    assert found.mean() == pytest.approx(multiclass_brier(probabilities, labels))


def test_a_candidate_that_calls_every_cell_the_same_class_less_surely_is_worse():
    (surely, labels), (barely, _) = pair(sure=0.9), pair(sure=0.6)
    found = compare(
        predictions(labels, barely),
        predictions(labels, surely),
        baseline_run="before",
    )
    assert found.counts()[:2] == (0, 0)  # the classes say nothing of it
    assert found.scores is not None
    estimate = brier_difference(found.scores, set_name="test", level=0.95)
    assert estimate.value == pytest.approx(2 * (0.4**2 - 0.1**2))
    assert estimate.lower is not None and estimate.upper is not None
    assert 0 < estimate.lower < estimate.value < estimate.upper < 2


@pytest.mark.parametrize(("n", "share"), [(150, 0.1), (375, 0.04), (375, 0.1), (1000, 0.02)])
def test_the_upper_bound_misses_no_more_often_than_it_says_counted_out(n, share):
    # Each cell is 1.2 worse with this chance, else as good: every number of worse ones, and how likely it is.
    sizes, missed = np.ones(n), 0.0
    for k in range(n + 1):
        if mean_upper_bound(np.repeat([1.2, 0.0], [k, n - k]), sizes, most=2.0, level=0.95) >= 1.2 * share:
            break  # it rises with k
        missed += binom.pmf(k, n, share)
    assert 0 < missed <= 0.05


def test_groups_are_what_is_drawn_so_that_copies_of_a_patient_prove_nothing_more():
    values = np.tile([0.0, 0.01, -0.01, 0.02], 10)
    alone = mean_bounds(values[:4], None, most=2.0, level=0.95)
    repeated = mean_bounds(values, [str(n % 4) for n in range(40)], most=2.0, level=0.95)
    assert repeated == pytest.approx(alone, abs=1e-9)
    assert mean_bounds(values, None, most=2.0, level=0.95)[1] < alone[1]


def test_bounds_do_not_depend_on_the_order_and_mirror_each_other():
    values = np.random.default_rng(3).normal(0.1, 0.3, 60).clip(-2, 2)
    lower, upper = mean_bounds(values, None, most=2.0, level=0.95)
    assert mean_bounds(values[::-1], None, most=2.0, level=0.95) == pytest.approx((lower, upper))
    assert mean_bounds(-values, None, most=2.0, level=0.95) == pytest.approx((-upper, -lower))
    with pytest.raises(UndefinedStatistic):
        mean_upper_bound(np.array([]), np.array([]), most=2.0, level=0.95)
