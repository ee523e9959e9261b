"""A classifier that moves cells from one class to another is biased on both, whoever counts how many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from harness.metrics.calibration_records import ClassCountBias
from harness.metrics.differential import count_biases

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
BLOOD = dict(zip(CLASSES, (0.005, 0.025, 0.31, 0.06, 0.6), strict=True))


def biases(
    confusion: np.ndarray, prevalence=BLOOD, *, level: float = 0.975, **told: object
) -> dict[str, ClassCountBias]:
    found = count_biases(confusion, tuple(prevalence), prevalence, level=level, **told)  # type: ignore[arg-type]
    return {each.cell_class: each for each in found}


def test_lymphocytes_called_monocytes_are_named_on_both():
    confusion = np.diag([1000] * 5)
    confusion[2, 2:4] = 950, 50
    found = biases(confusion)
    # 5 % of the lymphocytes, which are 31 % of the blood.
    assert found["monocyte"].value == pytest.approx(0.05 * 0.31)
    assert found["lymphocyte"].value == pytest.approx(-0.05 * 0.31)
    assert {name: each.direction for name, each in found.items() if each.direction} == {
        "monocyte": "over-counted",
        "lymphocyte": "under-counted",
    }
    # 0.0755 of the cells are counted as monocytes, where 24 of 400 have limits up to 0.088: hidden in one film.
    assert [limits.holds for limits in found["monocyte"].limits] == [True, True, True]


@pytest.mark.parametrize(
    ("count", "n", "lower", "upper"),
    [(5, 100, 0.0164, 0.1128), (10, 200, 0.0242, 0.0900), (20, 400, 0.0308, 0.0762), (1, 100, 0.0003, 0.0545)],
)
def test_rumkes_limits_are_those_that_are_published(count: int, n: int, lower: float, upper: float):
    shares = {"rare": count / n, "other": 1 - count / n}
    limits = next(each for each in biases(np.eye(2, dtype=int) * 50, shares)["rare"].limits if each.n == n)
    assert (limits.lower, limits.upper) == (pytest.approx(lower, abs=6e-5), pytest.approx(upper, abs=6e-5))


def test_an_error_that_a_count_of_400_shows_and_one_of_100_hides():
    confusion = np.diag([1000] * 5)
    confusion[4, 3:] = 60, 940  # 6 % of the neutrophils: monocytes are counted as 0.096
    found = biases(confusion)["monocyte"]
    assert found.called == pytest.approx(0.06 + 0.6 * 0.06)
    assert [(limits.n, limits.holds) for limits in found.limits] == [(100, True), (200, True), (400, False)]


@given(st.lists(st.lists(st.integers(0, 60), min_size=4, max_size=4), min_size=4, max_size=4))
def test_what_one_class_gains_others_lose_and_bounds_hold_the_value(rows: list[list[int]]):
    confusion = np.array(rows) + np.eye(4, dtype=int)
    shares = dict(zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True))
    found = biases(confusion, shares)
    assert sum(each.value for each in found.values()) == pytest.approx(0, abs=1e-12)  # type: ignore[misc]
    for name, each in found.items():
        assert each.lower <= each.value <= each.upper  # type: ignore[operator]
        assert -shares[name] <= each.lower  # type: ignore[operator]
        assert each.upper <= 1 - shares[name]  # type: ignore[operator]


def test_a_class_that_occurs_and_has_no_cells_makes_all_undefined():
    found = biases(np.diag([10, 10, 10, 0, 10]))
    assert {each.value for each in found.values()} == {None}
    assert "no cells of monocyte" in found["basophil"].note
    absent = {**BLOOD, "monocyte": 0.0, "neutrophil": 0.66}
    assert biases(np.diag([10, 10, 10, 0, 10]), absent)["neutrophil"].value == 0


@pytest.mark.parametrize("rates", [(0.0, 0.02, 0.05), (0.01, 0.0, 0.3), (0.1, 0.1, 0.1), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("n", [15, 75])
def test_each_bound_misses_no_more_often_than_it_may(rates: tuple[float, float, float], n: int):
    rng = np.random.default_rng(n)
    shares = {"a": 0.1, "b": 0.3, "c": 0.6}
    away = np.array(rates)
    truth = {"a": -0.1 * away[0] + 0.5 * (0.3 * away[1] + 0.6 * away[2])}
    missed = [0, 0]
    trials = 1500
    for _ in range(trials):
        confusion = np.zeros((3, 3), dtype=int)
        for j in range(3):
            others = [k for k in range(3) if k != j]
            counts = rng.multinomial(n, [1 - away[j], away[j] / 2, away[j] / 2])
            confusion[j, [j, *others]] = counts
        found = biases(confusion, shares, level=0.95)["a"]
        missed[0] += found.lower > truth["a"] + 1e-12  # type: ignore[operator]
        missed[1] += found.upper < truth["a"] - 1e-12  # type: ignore[operator]
    # Of 1,500, 5 % are 75; 4 standard deviations of chance above that are 109.
    assert max(missed) <= 109


def test_of_four_and_ten_cells_no_bound_misses_too_often_either():
    # Every sample of two rows: bounds whose distances add up as variances do miss here in 8.3 %.
    shares, called, n = {"a": 0.384, "b": 0.616}, (0.061, 0.041), (4, 10)
    truth = 0.384 * called[0] + 0.616 * called[1] - 0.384
    missed = 0.0
    for k in range(n[0] + 1):
        for m in range(n[1] + 1):
            found = biases(np.array([[k, n[0] - k], [m, n[1] - m]]), shares, level=0.95)["a"]
            if found.lower > truth:  # type: ignore[operator]
                missed += float(binom.pmf(k, n[0], called[0]) * binom.pmf(m, n[1], called[1]))
    assert missed <= 0.05


def test_patients_who_share_errors_make_the_bounds_wider():
    by_group = np.zeros((30, 2, 2), dtype=int)
    by_group[:, 0] = [10, 0]
    by_group[:, 1] = [0, 10]
    by_group[:2, 1] = [5, 5]
    shares = {"a": 0.5, "b": 0.5}
    alone = biases(by_group.sum(axis=0), shares)["a"]
    grouped = biases(by_group.sum(axis=0), shares, by_group=by_group, assumed_correlation=0.1)["a"]
    assert grouped.value == alone.value
    assert grouped.upper - grouped.lower > alone.upper - alone.lower  # type: ignore[operator]
