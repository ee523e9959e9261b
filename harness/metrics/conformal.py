"""Split conformal prediction: sets of classes that hold the right one as often as promised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from harness.core.errors import UndefinedStatistic
from harness.metrics.calibration_records import ClassCoverage, ConformalExpectation, ConformalResult
from harness.metrics.clusters import Counted, counted_by_group
from harness.metrics.distributions import beta_quantile, betabinomial_quantile
from harness.metrics.outcomes import checked_probabilities, refuse_shared
from harness.metrics.predictions import Predictions


def conformal_threshold(probabilities: ArrayLike, labels: ArrayLike, *, alpha: float) -> float:
    """The largest score, 1 - probability, with which a class is let into a cell's set.

    It is the calibration score of rank ceil((n + 1)(1 - alpha)). With fewer than 1/alpha - 1 cells there is no such
    rank.

    Args:
        alpha: the share of cells whose set may miss the reference class, a fraction in (0, 1).
    Returns:
        math.inf where there are too few cells: then every set is full, which covers and says nothing.
    Source: Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World; Sadinle, Lei and Wasserman
        (2019), J. Am. Stat. Assoc. 114:223-234, for this score.
    """
    n = len(np.asarray(labels))
    rank = _rank(n, alpha=alpha)
    if rank > n:
        return math.inf
    probabilities, labels = checked_probabilities(probabilities, labels)
    scores = np.sort(1.0 - probabilities[np.arange(n), labels])
    return float(scores[rank - 1])


def conformal_sets(probabilities: ArrayLike, threshold: float) -> np.ndarray:
    """(n_cells, n_classes) bool: which classes are in each cell's set. A set may be empty.

    >>> conformal_sets([[0.7, 0.3], [0.5, 0.5]], 0.4).tolist()
    [[True, False], [False, False]]
    """
    return np.asarray(1.0 - np.asarray(probabilities, dtype=np.float64) <= threshold)


def conformal_expectation(n_calibration: int, n_fresh: int, *, alpha: float) -> ConformalExpectation:
    """What sets calibrated on so many cells promise of n_fresh cells from the same population.

    The coverage that one calibration set gives is Beta(rank, n + 1 - rank) over calibration sets, and the covered
    fresh cells are Beta-Binomial, if scores do not tie; ties only cover more.

    Source: Vovk (2012), ACML, PMLR 25:475-490; the count of fresh cells is the binomial mixed over that Beta.
    >>> expected = conformal_expectation(375, 375, alpha=0.05)
    >>> expected.rank, round(expected.mean, 6), expected.hits_low, expected.hits_high
    (358, 0.952128, 344, 367)
    """
    rank = _rank(n_calibration, alpha=alpha)
    if rank > n_calibration:  # full sets cover everything
        return ConformalExpectation(alpha, n_calibration, n_fresh, rank, 1.0, 1.0, 1.0, n_fresh, n_fresh)
    a, b = rank, n_calibration + 1 - rank
    low, high = (beta_quantile(q, a, b) for q in (0.05, 0.95))
    hits_low, hits_high = (betabinomial_quantile(q, n_fresh, a, b) for q in (0.025, 0.975))
    mean = rank / (n_calibration + 1)
    return ConformalExpectation(alpha, n_calibration, n_fresh, rank, mean, low, high, hits_low, hits_high)


def conformal_result(calibration: Predictions, target: Predictions, *, alpha: float) -> ConformalResult:
    """Prediction sets for the target, with a threshold from the calibration set, and whether they cover.

    Coverage is promised on average over the classes, not for each: a rare class may be covered far less.

    Raises:
        FittedOnTarget: the two sets share an image.
        InvalidPredictions: their classes differ.
        UndefinedStatistic: the target has no cells.
    """
    refuse_shared(calibration, target, what="conformal threshold")
    n = len(target.labels)
    if n == 0:
        raise UndefinedStatistic(f"set {target.set!r} has no cells, so no coverage; it is not 0. Report it undefined.")
    threshold = conformal_threshold(calibration.probabilities, calibration.labels, alpha=alpha)
    expected = conformal_expectation(len(calibration.labels), n, alpha=alpha)
    sets = conformal_sets(target.probabilities, threshold)
    covered, sizes = sets[np.arange(n), target.labels], sets.sum(axis=1)
    if target.other is not None:
        covered &= target.other < 0  # a set that holds one of two labels misses the other
    hits = int(covered.sum())
    return ConformalResult(
        alpha=alpha,
        calibrated_on=calibration.set,
        n_calibration=len(calibration.labels),
        rank=expected.rank,
        threshold=threshold if math.isfinite(threshold) else None,
        covered=hits,
        n=n,
        mean_set_size=float(sizes.mean()),
        n_empty=int(np.sum(sizes == 0)),
        n_single=int(np.sum(sizes == 1)),
        n_multiple=int(np.sum(sizes > 1)),
        per_class=tuple(
            ClassCoverage(name, int(covered[target.labels == i].sum()), int(np.sum(target.labels == i)))
            for i, name in enumerate(target.classes)
        ),
        expected=expected,
        in_range=expected.hits_low <= hits <= expected.hits_high,
        by_group=tallied(covered, target.groups),
    )


def tallied(success: np.ndarray, groups: Sequence[str] | None, chosen: np.ndarray | None = None) -> Counted | None:
    """What the chosen cells come to, group by group; None where groups are not known."""
    if groups is None:
        return None
    rows = np.flatnonzero(np.ones(len(groups), dtype=bool) if chosen is None else chosen)
    return counted_by_group(success[rows], [groups[row] for row in rows.tolist()]) if rows.size else ()


def threshold_of(conformal: ConformalResult) -> float:
    """The threshold that was used; infinite where there were too few cells, which a record cannot hold."""
    return math.inf if conformal.threshold is None else conformal.threshold


def _rank(n_calibration: int, *, alpha: float) -> int:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha {alpha} is not a fraction in (0, 1); write 0.05 for sets that miss 5 %")
    # In floats (n + 1)(1 - 0.05) may end a hair above a whole number; this is the decimal that the caller wrote.
    return math.ceil((n_calibration + 1) * (1 - Fraction(repr(float(alpha)))))
