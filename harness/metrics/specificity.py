"""Specificity of a class: how many of the other classes' cells are left alone."""

from __future__ import annotations

import numpy as np

from harness.metrics.classification import estimate
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject

NAME = "specificity"
OTHERS = "(others)"  # which no class can be called


def specificity(evaluation: Evaluation, *, cell_class: str, level: float) -> Estimate:
    """TN / (TN + FP) of one class against all others, with Clopper-Pearson bounds, each one-sided at `level`.

    Cells of the other classes are the trials; those that are not predicted as the class are the successes. It is the
    recall of "any other class", so patients and slides count as they do there.

    Returns:
        value and bounds None where all cells are of the class.
    """
    index = evaluation.classes.index(cell_class)
    merged = estimate(_against_the_rest(evaluation, index), "recall", cell_class=OTHERS, level=level)
    note = f"no cells of other classes than {cell_class}" if merged.value is None else merged.note
    return Estimate(
        NAME,
        evaluation.set,
        cell_class,
        merged.value,
        merged.lower,
        merged.upper,
        level,
        merged.method,
        k=merged.k,
        n=merged.n,
        display=merged.display,
        note=note,
        support=evaluation.support[cell_class],
        effective_n=merged.effective_n,
    )


def _against_the_rest(evaluation: Evaluation, index: int) -> Evaluation:
    """The same counts as a task of two classes: this one, and all others."""

    def merged(confusion: np.ndarray) -> np.ndarray:
        own, row, column = confusion[..., index, index], confusion[..., index, :], confusion[..., :, index]
        missed, taken = row.sum(axis=-1) - own, column.sum(axis=-1) - own
        rest = confusion.sum(axis=(-2, -1)) - own - missed - taken
        return np.stack([np.stack([own, missed], -1), np.stack([taken, rest], -1)], -2)

    by_group = None if evaluation.by_group is None else merged(evaluation.by_group)
    return Evaluation(
        evaluation.set,
        (evaluation.classes[index], OTHERS),
        merged(evaluation.confusion),
        by_group,
        evaluation.intracluster_correlation,
        evaluation.grouped_by,
    )


def _measured(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    found = measurements.evaluation(subject.set)
    if isinstance(found, Unavailable):
        return found
    assert subject.cell_class is not None  # the protocol names one for each metric per class
    return specificity(found, cell_class=subject.cell_class, level=level)


METRICS = (
    Metric(
        name=NAME,
        family="specificity",
        questions=("accuracy", "external"),
        meaning="The share of the cells of all other classes that are not predicted as the class.",
        per="class",
        measure=_measured,
        trials="cells of other classes",
        cells="others",
        holm=True,
    ),
)
