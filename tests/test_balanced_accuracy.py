"""Balanced accuracy: by hand, against scikit-learn, as a property, and its coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from harness.metrics.balanced_accuracy import balanced_accuracy
from harness.metrics.estimates import Evaluation
from harness.metrics.table import TABLE

LEVEL = 0.95


def evaluation_of(confusion: np.ndarray, by_group: np.ndarray | None = None) -> Evaluation:
    classes = tuple(f"c{index}" for index in range(len(confusion)))
    return Evaluation("test", classes, np.asarray(confusion, dtype=np.int64), by_group, 0.1)


def test_the_mean_of_two_recalls_by_hand():
    # 8 of 10 and 3 of 5: (0.8 + 0.6) / 2, whatever the supports.
    found = balanced_accuracy(evaluation_of(np.array([[8, 2], [2, 3]])), level=LEVEL)
    assert found.value == pytest.approx(0.7)
    assert found.n == 15


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_scikit_learn_says_the_same_and_the_bounds_enclose_it(seed, n_classes):
    confusion = np.random.default_rng(seed).integers(0, 20, (n_classes, n_classes)) + np.eye(n_classes, dtype=int)
    reference = np.repeat(np.arange(n_classes), confusion.sum(axis=1))
    predicted = np.concatenate([np.repeat(np.arange(n_classes), row) for row in confusion])
    found = balanced_accuracy(evaluation_of(confusion), level=LEVEL)
    assert found.value == pytest.approx(balanced_accuracy_score(reference, predicted))
    assert 0.0 <= found.lower <= found.value <= found.upper <= 1.0


def test_a_class_without_cells_leaves_it_undefined():
    found = balanced_accuracy(evaluation_of(np.array([[5, 0], [0, 0]])), level=LEVEL)
    assert (found.value, found.lower, found.upper) == (None, None, None)
    assert "no cells of c1" in found.note


def test_cells_of_one_patient_widen_the_bounds():
    by_group = np.array([[[10, 0], [0, 10]]] * 3 + [[[2, 8], [8, 2]]])
    alone = balanced_accuracy(evaluation_of(by_group.sum(axis=0)), level=LEVEL)
    clustered = balanced_accuracy(evaluation_of(by_group.sum(axis=0), by_group), level=LEVEL)
    assert clustered.value == alone.value
    assert clustered.lower < alone.lower and clustered.upper > alone.upper
    assert clustered.effective_n < 80


@pytest.mark.parametrize(
    ("supports", "recalls"),
    [
        ((75,) * 5, (0.98,) * 5),
        ((75,) * 5, (0.9,) * 5),
        ((75,) * 5, (1.0, 1.0, 1.0, 1.0, 0.6)),
        ((3, 88, 33, 20, 207), (0.9, 0.95, 0.97, 0.9, 0.99)),
        ((3,) * 5, (0.7,) * 5),
        ((10, 500), (0.5, 0.999)),
        ((400, 400), (0.99, 0.9)),
        ((9,) * 20, (0.95,) * 20),
        ((75,) * 5, (0.02,) * 5),
        ((1, 200), (0.5, 0.95)),
    ],
    ids=str,
)
def test_each_one_sided_bound_holds_at_least_so_often(supports, recalls):
    rng, truth, n_sets = np.random.default_rng(7), float(np.mean(recalls)), 500
    held = np.zeros(2)
    for _ in range(n_sets):
        right = [rng.binomial(n, p) for n, p in zip(supports, recalls, strict=True)]
        confusion = np.diag(right)
        for row, (n, k) in enumerate(zip(supports, right, strict=True)):
            confusion[row, (row + 1) % len(supports)] += n - k
        found = balanced_accuracy(evaluation_of(confusion), level=LEVEL)
        held += (found.lower <= truth + 1e-12, found.upper >= truth - 1e-12)
    # 500 draws at exactly 95 % fall below 91.8 % once in a thousand times.
    assert (held / n_sets >= 0.918).all(), held / n_sets


def test_the_table_has_it_for_test_parts_and_external_sets():
    assert TABLE["balanced_accuracy"].questions == ("accuracy", "external")
