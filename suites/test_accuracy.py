"""Is the classifier right often enough, in every class, on cells that it never saw?"""

import pytest

from harness.judge.criteria import explain
from harness.judge.metrics import estimate
from harness.protocol import CLASSIFICATION_METRICS


@pytest.mark.criteria("accuracy", *CLASSIFICATION_METRICS)
def test_this_metric_reaches_its_floor(criterion, evaluation, decide):
    """A1 accuracy, R1 recall and N1 F1 of every class: the one-sided exact lower bound is at or above the floor."""
    verdict = decide(
        criterion, estimate(evaluation, criterion.metric, cell_class=criterion.cell_class, level=criterion.level)
    )
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("accuracy")
@pytest.mark.parametrize("part", ["validation", "test"])
def test_every_cell_of_the_part_is_scored_once(run, part):
    """No batch is dropped: the cells scored are the cells of the part."""
    run.predictions(part)
    assert sorted(run.scored[part]) == sorted(image.sha256 for image in run.split.part(part))
