"""Does the classifier hold on sets from elsewhere?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.estimates import Unavailable


@pytest.mark.criteria("external")
def test_this_metric_holds_elsewhere(verdict):
    """E*: the bound holds on a set that is there and shown to be independent."""
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("external")
def test_every_set_that_is_there_is_scored_once(scored, external):
    """With or without a criterion: a set that was named is reported, and no cell of it is dropped."""
    there = {name: found for name, found in external.items() if not isinstance(found, Unavailable)}
    for name, found in there.items():
        assert sorted(scored(name)) == sorted(image.sha256 for image in found.images)
