"""Did the training do what the protocol says, and is the exported model the one that it made?"""

import pytest

from harness.judge.criteria import explain
from harness.metrics.classification import accuracy_gap, exact_count


@pytest.mark.criteria(
    "training",
    "frozen_tensor_changes",
    "epoch_limit_excess",
    "patience_excess",
    "learning_rate_deviations",
    "exported_model_differences",
    "judged_cells_in_fits",
)
def test_the_training_kept_to_the_protocol(criterion, training_checks, unasked, decide):
    """F1 frozen phase, F2 epochs, F3 patience, F4 learning rate, F5 export, F7 fits: no deviation is found."""
    found = unasked or exact_count(criterion.metric, criterion.set, training_checks[criterion.metric])
    verdict = decide(criterion, found)
    assert verdict.passed, explain(verdict)


@pytest.mark.criteria("training", "accuracy_gap")
def test_the_classifier_has_not_learnt_its_cells_by_heart(criterion, measurements, unasked, decide):
    """F6: the upper bound of train minus validation accuracy is at or below the ceiling."""
    gap = unasked or accuracy_gap(
        measurements.evaluation("train"), measurements.evaluation("validation"), level=criterion.level
    )
    verdict = decide(criterion, gap)
    assert verdict.passed, explain(verdict)
