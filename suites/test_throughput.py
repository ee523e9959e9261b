"""Is the classifier fast enough on the device that it runs on?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.classification import images_per_second, latency
from harness.metrics.estimates import Unavailable


@pytest.mark.criteria("throughput", "latency_s", "model_latency_s")
def test_one_image_at_a_time_is_quick_enough(criterion, timing, decide):
    """T1 to T3: the upper bound of the 90th percentile of seconds per image is at or below the ceiling."""
    measured = (
        timing if isinstance(timing, Unavailable) else latency(timing, metric=criterion.metric, level=criterion.level)
    )
    verdict = decide(criterion, measured)
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("throughput", "images_per_s", "model_images_per_s")
def test_many_images_are_quick_enough(criterion, timing, decide):
    """T4, T5: the lower bound of the median images per second is at or above the floor."""
    measured = (
        timing
        if isinstance(timing, Unavailable)
        else images_per_second(timing, metric=criterion.metric, level=criterion.level)
    )
    verdict = decide(criterion, measured)
    assert verdict.passed, explain(verdict)
