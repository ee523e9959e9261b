"""Does the split follow the plan, divide nothing that belongs together, and depend on nothing but the images?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.classification import exact_count
from harness.protocol.records import SPLIT_METRICS


@pytest.mark.criteria("split", *SPLIT_METRICS)
def test_the_split_keeps_this_rule(criterion, split_checks, decide):
    """S1 sizes, S2 leaks, S3 listing order, S4 path prefix: nothing is found against it."""
    verdict = decide(criterion, exact_count(criterion.metric, criterion.set, split_checks[criterion.metric]))
    assert verdict.passed, explain(verdict)
