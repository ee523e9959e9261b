"""Can a confidence be read as a chance, and a set of classes as a promise?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.confidence import confidence
from harness.protocol.records import CALIBRATION_METRICS


@pytest.mark.criteria("calibration", *CALIBRATION_METRICS)
def test_the_confidences_can_be_believed(criterion, calibration, evaluation, prevalence, level, decide):
    """C1 calibration error, C2 its excess over chance, C3 coverage of conformal sets, C4 predictive values in blood."""
    measured = confidence(
        calibration,
        evaluation,
        criterion.metric,
        cell_class=criterion.cell_class,
        prevalence=prevalence,
        level=level,
    )
    verdict = decide(criterion, measured)
    assert verdict.passed, explain(verdict)
