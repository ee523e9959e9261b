"""Are the images what the protocol says they are?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("integrity")
def test_the_images_keep_this_rule(verdict):
    """D1 to D10, D12, Q1 to Q6: no file breaks the rule; each that does is named."""
    assert verdict.passed, explain(verdict)
