"""Does the classifier hold when the film gets worse, and does it see that there is no cell?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.stability import stability
from harness.protocol.records import KIND_METRICS


@pytest.mark.criteria("robustness", *KIND_METRICS)
def test_the_classifier_is_stable(criterion, measurements, protocol, level, decide):
    """B1 accuracy at the agreed severity, B2 flips of turned cells, B3, B4 inputs without a cell: the bound holds."""
    found = measurements.robustness(level=level)
    verdict = decide(
        criterion,
        stability(found, criterion.metric, kind=criterion.kind, plan=protocol.robustness, set_name=criterion.set),
    )
    assert verdict.passed, explain(verdict)
