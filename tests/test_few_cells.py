"""Bounds made of several classes' rates, counted out over every table that two or three small classes can give."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from harness.judge.rules import RULES
from harness.metrics.balanced_accuracy import balanced_accuracy
from harness.metrics.estimates import Evaluation
from harness.metrics.multiplicity import add_up
from harness.metrics.predictive_values import made_by, ppv_at_prevalence

FIRST_LOOK, LATER_LOOK = 0.975, 1 - 0.05 / 58  # of "first-look of 30" at 95 %
RATES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 0.97, 0.999)
SUPPORTS = [(1, 1), (2, 2), (3, 3), (2, 20), (5, 5), (10, 10), (10, 4), (13, 13), (25, 25), (1, 1, 1), (3, 3, 3)]


def table_of(right: tuple[int, ...], supports: tuple[int, ...]) -> np.ndarray:
    """So many of each class are right, the others are called the next class."""
    found = np.diag(right)
    for row, (k, n) in enumerate(zip(right, supports, strict=True)):
        found[row, (row + 1) % len(supports)] += n - k
    return found


@cache
def bounds_of_mean(supports: tuple[int, ...], level: float, few_apart: bool) -> tuple[list[float], list[float]]:
    found = [
        balanced_accuracy(
            Evaluation("test", ("a", "b", "c")[: len(supports)], table_of(right, supports), few_apart=few_apart),
            level=level,
        )
        for right in product(*(range(n + 1) for n in supports))
    ]
    return [each.lower for each in found], [each.upper for each in found]


def misses_of_mean(supports: tuple[int, ...], level: float, *, few_apart: bool = True) -> float:
    """The largest share of samples in which either bound misses the true mean recall, over a grid of recalls."""
    lower, upper = map(np.array, bounds_of_mean(supports, level, few_apart))
    worst, rates = 0.0, RATES if len(supports) == 2 else RATES[::3]
    for recalls in product(rates, repeat=len(supports)):
        chance = np.ones(1)
        for n, recall in zip(supports, recalls, strict=True):
            chance = np.outer(chance, binom.pmf(np.arange(n + 1), n, recall)).ravel()
        truth = np.mean(recalls)
        worst = max(worst, chance[lower > truth + 1e-12].sum(), chance[upper < truth - 1e-12].sum())
    return float(worst)


@pytest.mark.parametrize("supports", SUPPORTS, ids=str)
@pytest.mark.parametrize("level", [0.95, FIRST_LOOK, LATER_LOOK])
def test_balanced_accuracy_misses_no_more_often_than_it_says_at_any_look(supports, level):
    assert misses_of_mean(supports, level) <= (1 - level) * 1.02


def test_added_up_distances_of_few_cells_did():
    assert misses_of_mean((1, 1), 0.95, few_apart=False) > 0.08
    assert misses_of_mean((3, 3), LATER_LOOK, few_apart=False) > 10 * (1 - LATER_LOOK)


def misses_of_value(supports: tuple[int, int], level: float, together: str) -> float:
    """The same of the lower bound of a predictive value of two classes that are as frequent as each other."""
    lower = np.full([n + 1 for n in supports], -1.0)
    for own, other in product(*(range(n + 1) for n in supports)):
        table = np.array([[own, supports[0] - own], [other, supports[1] - other]])
        found = ppv_at_prevalence(table, ("a", "b"), {"a": 0.5, "b": 0.5}, level=level, together=together)[0]
        lower[own, other] = -1.0 if found.lower is None else found.lower
    worst = 0.0
    for recall, false in product(RATES, repeat=2):
        chance = np.outer(*(binom.pmf(np.arange(n + 1), n, p) for n, p in zip(supports, (recall, false), strict=True)))
        worst = max(worst, chance[lower > recall / (recall + false) + 1e-12].sum())
    return float(worst)


@pytest.mark.parametrize("supports", [(3, 3), (10, 4), (4, 10), (5, 12), (13, 13)], ids=str)
@pytest.mark.parametrize("level", [0.95, FIRST_LOOK, LATER_LOOK])
def test_a_predictive_value_misses_no_more_often_than_it_says_at_any_look(supports, level):
    assert misses_of_value(supports, level, "MOVER of many") <= (1 - level) * 1.02


def test_a_predictive_value_of_few_cells_did():
    assert misses_of_value((10, 4), LATER_LOOK, "MOVER") > 2 * (1 - LATER_LOOK)


def test_many_cells_have_the_bounds_that_they_had():
    assert made_by("MOVER of many", [30, 30], level=LATER_LOOK) == "MOVER"
    assert made_by("MOVER of many", [30, 24], level=LATER_LOOK) == "Bonferroni"
    assert made_by("MOVER of many", [30, 0], level=LATER_LOOK) == "Bonferroni"
    assert made_by("MOVER", [3, 3], level=LATER_LOOK) == "MOVER"  # of an older judge
    now, before = (
        balanced_accuracy(Evaluation("test", ("a", "b"), table_of((28, 25), (30, 30)), few_apart=each), level=0.975)
        for each in (True, False)
    )
    assert now == before
    assert RULES.few_apart and not replace(RULES, few_apart=None).few_apart


def test_the_number_of_cells_that_is_enough_grows_with_the_level():
    fewest = [
        next(n for n in range(1, 100) if add_up([n], level=each)) for each in (0.95, FIRST_LOOK, LATER_LOOK, 0.9999)
    ]
    assert fewest == [11, 13, 25, 33]
