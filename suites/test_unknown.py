"""Is the classifier unsure of cells whose class it does not know?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.estimates import Unavailable


@pytest.mark.criteria("unknown")
def test_cells_of_unknown_classes_are_not_confidently_called_known(verdict):
    """The upper bound of the share holds on a set that is there."""
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("unknown")
def test_every_set_of_unknown_cells_is_scored_once(scored, unknown):
    """With or without a criterion: a set that was named is reported, and no cell of it is dropped."""
    there = {name: found for name, found in unknown.items() if not isinstance(found, Unavailable)}
    for name, found in there.items():
        assert sorted(scored(name)) == sorted(image.sha256 for image in found.images)
