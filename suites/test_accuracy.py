"""Is the classifier right often enough, in every class, on cells that it never saw?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("accuracy", per="set")
def test_this_metric_of_all_cells_reaches_its_floor(verdict):
    """A1 accuracy, A2 macro F1, A3 accuracy over training seeds: the one-sided lower bound is at or above the floor."""
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("accuracy", per="column")
def test_this_metric_of_the_worst_slice_reaches_its_floor(verdict):
    """The least accuracy over the values of a column: the lower bounds of all of them are at or above the floor."""
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("accuracy")
@pytest.mark.parametrize("part", ["validation", "test"])
def test_every_cell_of_the_part_is_scored_once(scored, split, part):
    """No batch is dropped: the cells scored are the cells of the part."""
    assert sorted(scored(part)) == sorted(image.sha256 for image in split.part(part))


@pytest.mark.criteria("accuracy", per="class")
def test_this_metric_of_the_class_reaches_its_floor(verdict):
    """R1 recall and N1 F1 of every class: the one-sided exact lower bound is at or above the floor."""
    assert verdict.passed, explain(verdict)
