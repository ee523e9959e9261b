"""Is the candidate no worse than the baseline, on the same cells?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.comparison import difference, difference_family
from harness.protocol.records import DIFFERENCE_METRICS


@pytest.mark.criteria("regression", *DIFFERENCE_METRICS)
def test_the_candidate_is_not_inferior_to_the_baseline(criterion, comparison, level, family, decide):
    """G1 accuracy, G2 recall of every class: the lower bound of the difference is at or above minus the margin."""
    verdict = decide(
        criterion,
        difference(comparison, criterion.metric, cell_class=criterion.cell_class, level=level),
        family=difference_family(comparison, family, level=level),
    )
    assert verdict.passed, explain(verdict)
