"""Out-of-distribution scores of inputs: the higher, the less an input is like what the classifier was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from harness.core.errors import InvalidPredictions, UndefinedStatistic
from harness.core.numbers import SUMS_TO_ONE

SCORES = ("confidence", "entropy", "mahalanobis")
Scores = NDArray[np.float64]


def confidence_scores(probabilities: ArrayLike) -> Scores:
    """1 minus the largest probability of each input.

    Source: Hendrycks and Gimpel (2017), A baseline for detecting misclassified and out-of-distribution examples, ICLR.
    >>> confidence_scores([[0.9, 0.1], [0.5, 0.5]]).round(3).tolist()
    [0.1, 0.5]
    """
    return np.asarray(1.0 - _probabilities(probabilities).max(axis=1), dtype=np.float64)


def entropy_scores(probabilities: ArrayLike) -> Scores:
    """Entropy of each input's probabilities as a share of the largest possible one: 0 is certain, 1 is uniform.

    >>> entropy_scores([[1.0, 0.0], [0.5, 0.5]]).tolist()
    [0.0, 1.0]
    """
    p = _probabilities(probabilities)
    return np.asarray(entr(p).sum(axis=1) / math.log(p.shape[1]), dtype=np.float64)


def mahalanobis_scores(train_features: ArrayLike, train_labels: ArrayLike, features: ArrayLike) -> Scores:
    """Distance of each input to the nearest class mean of the training cells, in the scatter within their classes.

    One covariance is shared by all classes and shrunk towards a multiple of the identity (Ledoit and Wolf), because a
    network has hundreds of features and a class of a small set has few cells.

    Args:
        train_features: (n_train, n_features), of the train part.
        train_labels: (n_train,) integers; every class that occurs needs a cell.
        features: (n, n_features) of the inputs to score.
    Returns:
        (n,) distances, each at least 0.
    Raises:
        InvalidPredictions: shapes that do not fit, or a feature that is not finite.
        UndefinedStatistic: fewer than two training cells, or classes whose cells are all alike.
    Source: Lee et al. (2018), A simple unified framework for detecting out-of-distribution samples and adversarial
        attacks, NeurIPS; Ledoit and Wolf (2004), J. Multivar. Anal. 88:365-411.
    """
    from sklearn.covariance import ledoit_wolf  # takes a second to import, and nothing else here needs it

    train, new = np.asarray(train_features, dtype=np.float64), np.asarray(features, dtype=np.float64)
    labels = np.asarray(train_labels)
    if train.ndim != 2 or new.ndim != 2 or train.shape[1] != new.shape[1] or labels.shape != train.shape[:1]:
        raise InvalidPredictions(
            f"training features of shape {train.shape} with labels of {labels.shape} beside features of {new.shape}; "
            "give one row per input, one label per training cell and the same columns"
        )
    for name, values in (("training feature", train), ("feature", new)):
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(axis=1)))
            raise InvalidPredictions(
                f"{name} of row {row} is not finite. Its network diverged, or its input was empty."
            )
    if len(train) < 2:
        raise UndefinedStatistic(f"{len(train)} training cell has no scatter; give the features of the train part")
    classes, place = np.unique(labels, return_inverse=True)
    means = np.stack([train[place == index].mean(axis=0) for index in range(len(classes))])
    centred = train - means[place]
    covariance = np.asarray(ledoit_wolf(centred, assume_centered=True)[0])
    if not np.trace(covariance) > 0:
        raise UndefinedStatistic("all training cells of each class have the same features: there is no scatter")
    # Distances are plain ones after whitening; the shrunk covariance is positive definite, so this exists.
    factor = np.linalg.cholesky(covariance + 1e-12 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
    white, white_means = (np.linalg.solve(factor, values.T).T for values in (new, means))
    squared = ((white[:, None, :] - white_means[None, :, :]) ** 2).sum(axis=2)
    return np.asarray(np.sqrt(squared.min(axis=1)), dtype=np.float64)


def ood_score(score: str, outlook: Mapping[str, ArrayLike], *, train_labels: ArrayLike) -> dict[str, Scores]:
    """How unlike a cell each input is; the higher the stranger.

    Args:
        score: one of `SCORES`.
        outlook: name -> features ("mahalanobis") or probabilities of each input; "train" is what the features are
            compared with, and gets no score.
    """
    others = {name: values for name, values in outlook.items() if name != "train"}
    if score == "mahalanobis":
        return {name: mahalanobis_scores(outlook["train"], train_labels, values) for name, values in others.items()}
    measure = confidence_scores if score == "confidence" else entropy_scores
    return {name: measure(values) for name, values in others.items()}


def checked_scores(values: ArrayLike, name: str) -> Scores:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1:
        raise InvalidPredictions(f"{name} scores have shape {scores.shape}; give one number per input")
    if scores.size == 0:
        raise UndefinedStatistic(f"there are no {name} scores: an area or rate of 0 inputs does not exist; it is not 0")
    if np.isnan(scores).any():
        row = int(np.argmax(np.isnan(scores)))
        raise InvalidPredictions(
            f"{name} score {row} is not a number. An input that was refused has the score inf; it is not left out."
        )
    return scores


def _probabilities(values: ArrayLike) -> Scores:
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise InvalidPredictions(f"probabilities of shape {p.shape}; give one row per input and two classes or more")
    valid = (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1.0) <= SUMS_TO_ONE)  # False for NaN too
    if not valid.all():
        row = int(np.argmin(valid))
        raise InvalidPredictions(f"row {row} is not a distribution: {p[row]}. If these are logits, apply softmax.")
    return p
