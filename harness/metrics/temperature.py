"""Temperature scaling: fitted on one set, applied to others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

from harness.metrics.calibration_records import Temperature
from harness.metrics.outcomes import checked_probabilities, refuse_shared
from harness.metrics.predictions import Predictions
from harness.metrics.scoring_rules import SMALLEST_PROBABILITY

COLDEST, HOTTEST = 0.05, 20.0  # a fitted temperature outside says that the set cannot tell, not what T is


@dataclass(frozen=True, slots=True, eq=False)
class TemperatureScaled:
    """Predictions after temperature scaling, beside the temperature and where it came from."""

    predictions: Predictions
    temperature: Temperature


def fit_temperature(probabilities: ArrayLike, labels: ArrayLike, *, fitted_on: str, digest: str) -> Temperature:
    """The temperature that makes these labels most likely.

    Logits are taken as log p, which differs from the real logits by a constant per cell that softmax forgets. A
    probability below the smallest normal float (an underflow, mostly exact 0) is lifted to it and counted.

    The likelihood is concave in 1/T, so its slope has at most one zero; Brent's method finds it within
    [0.05, 20]. Where the slope has no zero there (every cell right drives T to 0, worse than chance drives it to
    infinity) the nearer end is returned with at_bound. Where every row is uniform, any T is as good: 1 is returned.

    Args:
        fitted_on, digest: the set's name and digest, for the record. With `Predictions`, use `temperature_scaled`.
    Raises:
        UndefinedStatistic: there are no cells.
    Source: Guo et al. (2017), ICML, PMLR 70:1321-1330.
    """
    probabilities, labels = checked_probabilities(probabilities, labels)
    logits = logits_of(probabilities)
    reference = logits[np.arange(len(labels)), labels]

    def nll(temperature: float) -> float:
        return float(np.mean(logsumexp(logits / temperature, axis=1) - reference / temperature))

    def slope(log_temperature: float) -> float:
        """Derivative of the NLL by 1/T."""
        weights = softmax(logits / math.exp(log_temperature), axis=1)
        return math.fsum((weights * logits).sum(axis=1) - reference) / len(labels)

    cold, hot = math.log(COLDEST), math.log(HOTTEST)
    at_bound = False
    if not logits.any():
        value = 1.0
    elif slope(cold) <= 0:
        value, at_bound = COLDEST, True
    elif slope(hot) >= 0:
        value, at_bound = HOTTEST, True
    else:
        value = math.exp(brentq(slope, cold, hot, xtol=1e-12))
    n_clipped = int(np.sum(probabilities < SMALLEST_PROBABILITY))
    return Temperature(value, nll(1.0), nll(value), len(labels), fitted_on, digest, n_clipped, at_bound)


def apply_temperature(probabilities: ArrayLike, temperature: float) -> np.ndarray:
    """The same classes, more or less certain: softmax(log p / T).

    The predicted class of no cell changes, ties included. The order of cells by confidence may.

    >>> apply_temperature([[0.9, 0.1]], 2.0).round(3).tolist()
    [[0.75, 0.25]]
    """
    if not 0.0 < temperature < math.inf:
        raise ValueError(f"temperature {temperature} is not a positive number; fit one with fit_temperature")
    probabilities = np.asarray(probabilities, dtype=np.float64)
    scaled = np.asarray(softmax(logits_of(probabilities) / temperature, axis=1))
    # Two probabilities one rounding apart may become one number; then the first of them would win, whichever had.
    winner = probabilities.argmax(axis=1)
    for row in np.flatnonzero(scaled.argmax(axis=1) != winner):
        scaled[row, winner[row]] = np.nextafter(scaled[row].max(), np.inf)
    return scaled


def temperature_scaled(target: Predictions, *, fit: Predictions) -> TemperatureScaled:
    """The target's predictions at the temperature that was fitted on another set.

    Raises:
        FittedOnTarget: the two sets share an image.
        InvalidPredictions: their classes differ.
    """
    refuse_shared(fit, target, what="temperature")
    temperature = fit_temperature(fit.probabilities, fit.labels, fitted_on=fit.set, digest=fit.digest)
    scaled = replace(target, probabilities=apply_temperature(target.probabilities, temperature.value))
    return TemperatureScaled(scaled, temperature)


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """log p, less each row's largest: that one is exactly 0."""
    logits = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    return np.asarray(logits - logits.max(axis=1, keepdims=True))
