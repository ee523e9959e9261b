"""Is the classifier fast enough on the device that it runs on?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("throughput")
def test_the_classifier_is_quick_enough(verdict):
    """T1 to T3: seconds per image, one at a time; T4, T5: images per second, many at once."""
    assert verdict.passed, explain(verdict)
