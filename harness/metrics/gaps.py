"""How much more accurate is the classifier on one set than on another, whose cells are others?"""

from __future__ import annotations

from harness.metrics.classification import estimate
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.protocol.needs import ANSWERS_ON_TRAIN, ANSWERS_ON_VALIDATION, PROBABILITIES, TRAINING_CELLS


def accuracy_gap(train: Evaluation, validation: Evaluation, *, level: float) -> Estimate:
    """Train accuracy minus validation accuracy, a fraction in [-1, 1]; see `_gap`."""
    return _gap("accuracy_gap", "training", train, validation, level=level)


def generalisation_gap(test: Evaluation, external: Evaluation | Unavailable, *, level: float) -> Estimate | Unavailable:
    """Test accuracy minus the accuracy on a set from elsewhere, a fraction in [-1, 1]; see `_gap`."""
    if isinstance(external, Unavailable):
        return external
    return _gap("generalisation_gap", external.set, test, external, level=level)


def _gap(metric: str, set_name: str, more: Evaluation, less: Evaluation, *, level: float) -> Estimate:
    """How much more accurate the classifier is on one set than on another, whose cells are others.

    Each side gives away half of 1 - level (Bonferroni), so the bounds are conservative: wider than need be.
    """
    each = 1.0 - (1.0 - level) / 2
    sides = [estimate(evaluation, "accuracy", cell_class=None, level=each) for evaluation in (more, less)]
    counts = ", ".join(f"{side.set} {side.k}/{side.n}" for side in sides)
    first, second = sides
    if first.value is None or second.value is None:
        return Estimate(metric, set_name, None, None, None, None, level, "none", note=f"no cells: {counts}")
    assert first.lower is not None and first.upper is not None  # a defined proportion has both bounds
    assert second.lower is not None and second.upper is not None
    return Estimate(
        metric,
        set_name,
        None,
        first.value - second.value,
        first.lower - second.upper,
        first.upper - second.lower,
        level,
        f"{first.method} on both sides, Bonferroni",
        note=counts,
        support=less.n,
    )


def _measured_accuracy_gap(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    train, validation = measurements.evaluation("train"), measurements.evaluation("validation")
    assert isinstance(train, Evaluation) and isinstance(validation, Evaluation)  # the metric needs both
    return accuracy_gap(train, validation, level=level)


def _measured_generalisation_gap(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    test, external = measurements.evaluation("test"), measurements.evaluation(subject.set)
    assert isinstance(test, Evaluation)
    return generalisation_gap(test, external, level=level)


METRICS = (
    Metric(
        name="accuracy_gap",
        questions=("training",),
        meaning="Train accuracy minus validation accuracy: a classifier that has overfitted its cells has a large one.",
        higher_is_better=False,
        needs=frozenset({PROBABILITIES, TRAINING_CELLS, ANSWERS_ON_TRAIN, ANSWERS_ON_VALIDATION}),
        measure=_measured_accuracy_gap,
        cells_of=("train", "validation"),
    ),
    Metric(
        name="generalisation_gap",
        questions=("external",),
        meaning="Test accuracy minus the accuracy on the external set.",
        higher_is_better=False,
        measure=_measured_generalisation_gap,
        cells_of=("test",),
    ),
)
