"""Are the images what the protocol says they are?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.classification import exact_count
from harness.protocol.records import INTEGRITY_METRICS


@pytest.mark.criteria("integrity", *INTEGRITY_METRICS)
def test_the_images_keep_this_rule(criterion, integrity, decide):
    """D1 to D9: no file breaks the rule; each that does is named."""
    findings = [str(finding) for finding in integrity.of(criterion.metric)]
    verdict = decide(
        criterion, exact_count(criterion.metric, criterion.set, findings, of=integrity.checked.get(criterion.metric))
    )
    assert verdict.passed, explain(verdict)
