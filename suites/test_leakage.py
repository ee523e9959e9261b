"""Is any picture in two places, and does anything but the cell tell its class?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("leakage")
def test_nothing_leaks(verdict):
    """L1 duplicates across parts, L2 across sets, L3 of two labels, L5 within; L4 headers that tell the class: none."""
    assert verdict.passed, explain(verdict)
