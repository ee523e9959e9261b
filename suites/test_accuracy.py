"""Is the classifier right often enough, in every class, on cells that it never saw?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.classification import class_family, estimate, seed_accuracy
from harness.protocol.records import CLASS_METRICS, SEED_METRICS, WHOLE_SET_METRICS


@pytest.mark.criteria("accuracy", *WHOLE_SET_METRICS)
def test_this_metric_of_all_cells_reaches_its_floor(criterion, evaluation, level, decide):
    """A1 accuracy, A2 macro F1: the one-sided lower bound is at or above the floor."""
    verdict = decide(criterion, estimate(evaluation, criterion.metric, cell_class=None, level=level))
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("accuracy", *SEED_METRICS)
def test_other_seeds_would_reach_the_floor_too(criterion, measurements, unasked, level, decide):
    """A3: the tolerance bound over all trained seeds is at or above the floor; the best seed decides nothing."""
    verdict = decide(
        criterion,
        unasked or seed_accuracy(measurements.seed_evaluations(criterion.set), set_name=criterion.set, level=level),
    )
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("accuracy")
@pytest.mark.parametrize("part", ["validation", "test"])
def test_every_cell_of_the_part_is_scored_once(scored, split, part):
    """No batch is dropped: the cells scored are the cells of the part."""
    assert sorted(scored(part)) == sorted(image.sha256 for image in split.part(part))


@pytest.mark.criteria("accuracy", *CLASS_METRICS)
def test_this_metric_of_the_class_reaches_its_floor(criterion, evaluation, level, family, decide):
    """R1 recall and N1 F1 of every class: the one-sided exact lower bound is at or above the floor."""
    verdict = decide(
        criterion,
        estimate(evaluation, criterion.metric, cell_class=criterion.cell_class, level=level),
        family=class_family(evaluation, family, level=level),
    )
    assert verdict.passed, explain(verdict)
