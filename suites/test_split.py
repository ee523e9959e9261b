"""Does the split follow the plan, divide nothing that belongs together, and depend on nothing but the images?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("split")
def test_the_split_keeps_this_rule(verdict):
    """S1 sizes, S2 leaks, S3 listing order, S4 path prefix: nothing is found against it."""
    assert verdict.passed, explain(verdict)
