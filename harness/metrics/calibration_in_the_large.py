"""Calibration in the large: is the classifier as sure, on average, as it is right?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.metrics.calibration_records import ReliabilityBin
from harness.metrics.classification import estimate
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject

NAME = "calibration_in_the_large"


def calibration_in_the_large(mean_confidence: float, evaluation: Evaluation, *, level: float) -> Estimate:
    """|accuracy - mean confidence|, a fraction, with one-sided bounds at `level`.

    The confidences are known and the accuracy is sampled: its bounds, Clopper-Pearson's or over patients and slides
    where these are known, give those of the distance. (Cells differ in their chance of being right; the binomial is
    then the widest case, by Hoeffding.) A classifier whose true distance is the tolerance passes in at most 1 - level
    of test sets, however few cells these have (tests/test_calibration_in_the_large.py).

    Too sure of some cells and too doubtful of others cancel out here: that is what `calibration_error` sees.

    Source: Steyerberg (2019), Clinical Prediction Models, 15.3; Hoeffding (1956), Ann. Math. Statist. 27:713-721.
    """
    accuracy = estimate(evaluation, "accuracy", cell_class=None, level=level)
    # The lower bound is above the truth if the accuracy is missed on either side, so each side has half of the error.
    halved = estimate(evaluation, "accuracy", cell_class=None, level=(1.0 + level) / 2)
    # A set with confidences has cells.
    assert accuracy.value is not None and accuracy.lower is not None and accuracy.upper is not None
    assert halved.lower is not None and halved.upper is not None
    gap = mean_confidence - accuracy.value
    means = f"sure of {mean_confidence:.4f} on average, right about {accuracy.value:.4f}"
    return replace(
        accuracy,
        metric=NAME,
        value=abs(gap),
        lower=max(halved.lower - mean_confidence, mean_confidence - halved.upper, 0.0),
        # Below the truth only if the accuracy is missed on the side away from the confidence: the whole error.
        upper=max(mean_confidence - accuracy.lower, accuracy.upper - mean_confidence),
        method=f"{accuracy.method}, of the accuracy",
        k=None,
        display=None,
        note=f"{means}: {_in_words(gap)}; {accuracy.note}",
    )


def mean_of(bins: Sequence[ReliabilityBin]) -> float:
    """The mean confidence of all cells, from the means of the bins that hold them."""
    filled = [(each.n, each.mean_confidence) for each in bins if each.mean_confidence is not None]
    return math.fsum(n * mean for n, mean in filled) / sum(n for n, _ in filled)


def _in_words(gap: float) -> str:
    return "as sure as it is right" if gap == 0 else "too sure" if gap > 0 else "too doubtful"


def _measured(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    report, evaluation = measurements.calibration(subject.set), measurements.evaluation(subject.set)
    if isinstance(report, Unavailable):
        return report
    assert isinstance(evaluation, Evaluation)  # a set with a report was evaluated
    return calibration_in_the_large(mean_of(report.before.bins), evaluation, level=level)


METRICS = (
    Metric(
        name=NAME,
        questions=("calibration",),
        meaning="How far the mean confidence is from the share of right answers.",
        higher_is_better=False,
        measure=_measured,
    ),
)
