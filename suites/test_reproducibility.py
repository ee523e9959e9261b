"""Does the same seed give the same split, losses, weights and predictions in fresh processes?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("reproducibility")
def test_fresh_processes_agree(verdict):
    """P1 split, P2 losses, P3 weights, P4 predictions: equal to the last bit under other conditions."""
    assert verdict.passed, explain(verdict)
