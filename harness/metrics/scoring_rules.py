"""Proper scoring rules of probabilities."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from harness.metrics.outcomes import checked_outcomes, checked_probabilities

SMALLEST_PROBABILITY = float(np.finfo(np.float64).tiny)


def top_label_brier(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Mean squared difference between confidence and being right (1 or 0), a number in [0, 1].

    Source: Brier (1950), Mon. Weather Rev. 78:1-3, for the event "the predicted class is right".
    >>> round(top_label_brier([0.95, 0.85, 0.75, 0.65, 0.55], [1, 1, 0, 1, 0]), 6)
    0.2025
    """
    confidence, correct = checked_outcomes(confidence, correct)
    return math.fsum((confidence - correct) ** 2) / len(confidence)


def multiclass_brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean over cells of the squared distance to the reference class, summed over classes: in [0, 2], not halved.

    Source: Brier (1950), Mon. Weather Rev. 78:1-3.
    >>> round(multiclass_brier([[0.8, 0.2], [0.6, 0.4]], [0, 1]), 6)
    0.4
    """
    probabilities, labels = checked_probabilities(probabilities, labels)
    reference = np.eye(probabilities.shape[1])[labels]
    return math.fsum(((probabilities - reference) ** 2).sum(axis=1)) / len(labels)


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of -log(probability of the reference class), in nats.

    Returns:
        math.inf where one reference class was given probability exactly 0. Nothing is clipped: that cell was called
        impossible, and an average that hides it depends on the clipping alone.
    >>> negative_log_likelihood([[1.0, 0.0]], [1])
    inf
    """
    probabilities, labels = checked_probabilities(probabilities, labels)
    reference = probabilities[np.arange(len(labels)), labels]
    if not reference.all():
        return math.inf
    return -math.fsum(np.log(reference)) / len(labels)
