"""Does the classifier hold when the film gets worse, and does it see that there is no cell?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("robustness")
def test_the_classifier_is_stable(verdict):
    """B1 accuracy at the agreed severity, B2 flips of turned cells, B3, B4 inputs without a cell: the bound holds."""
    assert verdict.passed, explain(verdict)
