"""Confidences, probabilities and labels as arrays that can be counted, or refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from harness.core.errors import InvalidPredictions, UndefinedStatistic
from harness.core.numbers import SUMS_TO_ONE
from harness.metrics.calibration_records import FittedOnTarget
from harness.metrics.predictions import Predictions


def checked_outcomes(confidence: ArrayLike, correct: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """(confidence as float64 in [0, 1], correct as bool), both (n,) with n at least 1."""
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct)
    if confidence.ndim != 1 or confidence.shape != correct.shape:
        raise InvalidPredictions(
            f"confidence of shape {confidence.shape} beside correct of shape {correct.shape}; give one of each per cell"
        )
    if confidence.size == 0:
        raise UndefinedStatistic("the calibration of 0 cells does not exist; it is not 0. Report it as undefined.")
    valid = (confidence >= 0) & (confidence <= 1 + SUMS_TO_ONE)  # False for NaN too
    if not valid.all():
        cell = int(np.argmin(valid))
        raise InvalidPredictions(f"confidence of cell {cell} is {confidence[cell]}, no probability; apply softmax")
    if not np.isin(correct, (0, 1)).all():
        raise InvalidPredictions("correct holds values other than 0 and 1; pass predicted == label")
    return np.minimum(confidence, 1.0), correct.astype(bool)


def checked_probabilities(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """((n, n_classes) float64 distributions, (n,) columns of the reference labels), with n at least 1."""
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if labels.size == 0:
        raise UndefinedStatistic("the likelihood of 0 cells does not exist; it is not 0. Report it as undefined.")
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or labels.dtype.kind not in "iu":
        raise InvalidPredictions(
            f"probabilities of shape {probabilities.shape} beside {labels.dtype} labels of shape {labels.shape}; give "
            "one row and one integer label per cell"
        )
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise InvalidPredictions(f"labels {labels.min()} to {labels.max()} for {probabilities.shape[1]} columns")
    sums = probabilities.sum(axis=1)
    valid = (probabilities >= 0).all(axis=1) & (np.abs(sums - 1) <= SUMS_TO_ONE)  # False for NaN too
    if not valid.all():
        row = int(np.argmin(valid))
        raise InvalidPredictions(
            f"row {row} is not a distribution: {probabilities[row]}. If these are logits, apply softmax."
        )
    return probabilities, labels


def refuse_shared(fit: Predictions, target: Predictions, *, what: str) -> None:
    """
    Raises:
        FittedOnTarget: what is fitted on the one set would be applied to cells of the same set.
        InvalidPredictions: the two sets have other classes.
    """
    if fit.classes != target.classes:
        raise InvalidPredictions(
            f"set {fit.set!r} has classes {fit.classes} and set {target.set!r} has {target.classes}; a {what} fitted "
            "on the one means nothing on the other. Score both with the same classifier."
        )
    known = set(fit.digests)
    shared = [path for path, digest in zip(target.paths, target.digests, strict=True) if digest in known]
    if shared:
        raise FittedOnTarget(
            f"{what} fitted on the set that it is applied to: {len(shared)} of {len(target.paths)} images of "
            f"{target.set!r} are also in {fit.set!r}, first {shared[0]!r}. Fit it on a set that shares no image with "
            "the target, such as validation."
        )
