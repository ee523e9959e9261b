"""Is any picture in two places, and does anything but the cell tell its class?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.classification import exact_count
from harness.protocol.records import LEAKAGE_METRICS


@pytest.mark.criteria("leakage", *LEAKAGE_METRICS)
def test_nothing_leaks(criterion, leakage_checks, manifest, decide):
    """L1 duplicates across parts, L2 across sets, L3 with two labels, L4 headers that tell the class: none is found."""
    found = leakage_checks[criterion.metric]
    verdict = decide(criterion, exact_count(criterion.metric, criterion.set, found, of=len(manifest.images)))
    assert verdict.passed, explain(verdict)
