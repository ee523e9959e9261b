"""Does the same seed give the same split, losses, weights and predictions in fresh processes?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.classification import exact_count
from harness.protocol.records import REPRODUCIBILITY_METRICS


@pytest.mark.criteria("reproducibility", *REPRODUCIBILITY_METRICS)
def test_fresh_processes_agree(criterion, reproducibility_checks, unasked, decide):
    """P1 split, P2 losses, P3 weights, P4 predictions: equal to the last bit under other conditions."""
    found = unasked or exact_count(criterion.metric, criterion.set, reproducibility_checks[criterion.metric])
    verdict = decide(criterion, found)
    assert verdict.passed, explain(verdict)
