"""Can a confidence be read as a chance, and a set of classes as a promise?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("calibration")
def test_the_confidences_can_be_believed(verdict):
    """C1 calibration error, C2 mean confidence against accuracy, C3 conformal coverage, C4 predictive values."""
    assert verdict.passed, explain(verdict)
