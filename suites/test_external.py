"""Does the classifier hold on sets from elsewhere?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.classification import class_family, estimate, generalisation_gap
from harness.metrics.estimates import Unavailable
from harness.protocol.records import CLASSIFICATION_METRICS, GAP_METRICS


@pytest.mark.criteria("external", *CLASSIFICATION_METRICS)
def test_this_metric_reaches_its_floor_elsewhere(criterion, evaluation, level, family, decide):
    """E*: the bound holds on a set that is there and shown to be independent."""
    if isinstance(evaluation, Unavailable):
        verdict = decide(criterion, evaluation)
    else:
        verdict = decide(
            criterion,
            estimate(evaluation, criterion.metric, cell_class=criterion.cell_class, level=level),
            family=class_family(evaluation, family, level=level),
        )
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("external", *GAP_METRICS)
def test_little_is_lost_elsewhere(criterion, measurements, evaluation, level, decide):
    """The upper bound of test accuracy minus the accuracy elsewhere is at or below the ceiling."""
    verdict = decide(criterion, generalisation_gap(measurements.evaluation("test"), evaluation, level=level))
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("external")
def test_every_set_that_is_there_is_scored_once(scored, external):
    """With or without a criterion: a set that was named is reported, and no cell of it is dropped."""
    there = {name: found for name, found in external.items() if not isinstance(found, Unavailable)}
    for name, found in there.items():
        assert sorted(scored(name)) == sorted(image.sha256 for image in found.images)
