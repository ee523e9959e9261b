"""Specificity of a class: by hand, against scikit-learn, by patient, and its coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import recall_score

from harness.metrics.estimates import Evaluation
from harness.metrics.specificity import specificity
from harness.metrics.table import TABLE


def evaluation_of(confusion: np.ndarray, by_group: np.ndarray | None = None) -> Evaluation:
    classes = tuple(f"c{index}" for index in range(len(confusion)))
    return Evaluation("test", classes, np.asarray(confusion, dtype=np.int64), by_group, 0.1)


def test_the_cells_of_two_other_classes_by_hand():
    # Of 5 + 7 cells of c1 and c2, one and two are predicted as c0: 9 of 12 are left alone.
    found = specificity(evaluation_of(np.array([[4, 0, 0], [1, 4, 0], [2, 3, 2]])), cell_class="c0", level=0.95)
    assert (found.k, found.n, found.support) == (9, 12, 4)
    assert found.lower == pytest.approx(binomtest(9, 12).proportion_ci(0.9, "exact").low)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_scikit_learn_s_recall_of_everything_else_is_the_same(seed, n_classes):
    confusion = np.random.default_rng(seed).integers(0, 20, (n_classes, n_classes)) + np.eye(n_classes, dtype=int)
    reference = np.repeat(np.arange(n_classes), confusion.sum(axis=1))
    predicted = np.concatenate([np.repeat(np.arange(n_classes), row) for row in confusion])
    for index in range(n_classes):
        found = specificity(evaluation_of(confusion), cell_class=f"c{index}", level=0.95)
        assert found.value == pytest.approx(recall_score(reference != index, predicted != index))


def test_where_all_cells_are_of_the_class_it_is_undefined():
    found = specificity(evaluation_of(np.array([[5, 1], [0, 0]])), cell_class="c0", level=0.95)
    assert (found.value, found.lower) == (None, None)
    assert "no cells of other classes than c0" in found.note


def test_cells_of_one_patient_count_as_fewer():
    by_group = np.array([[[5, 0], [0, 20]]] * 3 + [[[5, 0], [12, 8]]])
    alone = specificity(evaluation_of(by_group.sum(axis=0)), cell_class="c0", level=0.95)
    clustered = specificity(evaluation_of(by_group.sum(axis=0), by_group), cell_class="c0", level=0.95)
    assert clustered.value == alone.value
    assert clustered.lower < alone.lower
    assert clustered.effective_n < 80


@pytest.mark.parametrize(("n", "p"), [(300, 0.98), (12, 0.9), (40, 0.5)])
def test_each_one_sided_bound_holds_at_least_so_often(n, p):
    rng, held = np.random.default_rng(3), np.zeros(2)
    for kept in rng.binomial(n, p, 500).tolist():
        found = specificity(evaluation_of(np.array([[9, 1], [n - kept, kept]])), cell_class="c0", level=0.95)
        held += (found.lower <= p, found.upper >= p)
    assert (held / 500 >= 0.918).all(), held / 500  # fewer once in a thousand times at exactly 95 %


def test_the_table_has_it_for_each_class():
    assert TABLE["specificity"].per == "class"
