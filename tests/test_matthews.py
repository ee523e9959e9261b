"""Matthews correlation: by hand, against scikit-learn, where it is undefined, and not as a criterion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import matthews_corrcoef

from harness.metrics.estimates import Evaluation
from harness.metrics.matthews import matthews_correlation
from harness.protocol.criteria import Criterion


def evaluation_of(confusion: np.ndarray) -> Evaluation:
    return Evaluation(
        "test", tuple(f"c{index}" for index in range(len(confusion))), np.asarray(confusion, dtype=np.int64)
    )


def test_a_table_of_two_by_hand():
    # (4 * 3 - 1 * 2) / sqrt(5 * 5 * 6 * 4), the binary form
    found = matthews_correlation(evaluation_of(np.array([[4, 1], [2, 3]])), level=0.95)
    assert found.value == pytest.approx(10 / np.sqrt(600))
    assert (found.lower, found.upper, found.n) == (None, None, 10)
    assert "no bound" in found.note


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_scikit_learn_says_the_same(seed, n_classes):
    confusion = np.random.default_rng(seed).integers(0, 20, (n_classes, n_classes)) + np.eye(n_classes, dtype=int)
    reference = np.repeat(np.arange(n_classes), confusion.sum(axis=1))
    predicted = np.concatenate([np.repeat(np.arange(n_classes), row) for row in confusion])
    found = matthews_correlation(evaluation_of(confusion), level=0.95)
    assert found.value == pytest.approx(matthews_corrcoef(reference, predicted), abs=1e-12)


@pytest.mark.parametrize("confusion", [[[5, 0], [0, 0]], [[5, 0], [3, 0]], [[0, 0], [0, 0]]])
def test_without_anything_to_agree_on_it_is_undefined_and_never_0(confusion):
    found = matthews_correlation(evaluation_of(np.array(confusion)), level=0.95)
    assert found.value is None
    assert found.note == "all cells are of one class, or predicted as one"


def test_no_criterion_can_be_on_it():
    with pytest.raises(ValueError, match="has no bound, so nothing could pass or fail on it"):
        Criterion(
            id="X",
            question="accuracy",
            set="test",
            metric="matthews_correlation",
            floor=0.5,
            level=0.95,
            rationale="none",
            required=False,
        )
