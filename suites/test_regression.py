"""Is the candidate no worse than the baseline, on the same cells?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("regression")
def test_the_candidate_is_not_inferior_to_the_baseline(verdict):
    """G1 accuracy, G2 recall, G3 Brier score, G4 corrupted cells, G5 elsewhere: the bound is within the margin."""
    assert verdict.passed, explain(verdict)
