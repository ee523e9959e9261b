"""How many independent cells are the cells of a few patients worth?

Cells of one patient share a blood, a stain and a microscope: they are right or wrong together more often than chance.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from harness.core.errors import UndefinedStatistic
from harness.metrics.intervals import check_level, clopper_pearson_bounds


@dataclass(frozen=True, slots=True)
class ClusterSummary:
    """What a set's cells amount to once their patients are taken into account.

    n, n_groups:  cells and patients (or slides).
    mean_size:    Kish's size-weighted mean, sum of squares over sum: the size of the patient that a random cell is of.
    assumed_correlation, estimated_correlation: what the protocol says, and what the sample shows (None: nothing).
    correlation:  the one used: the larger of the two, in [0, 1].
    is_estimated: whether that was the sample's.
    effective_n:  independent cells that would say as much; between n / mean_size and n, not always whole.
    """

    n: int
    n_groups: int
    mean_size: float
    assumed_correlation: float
    estimated_correlation: float | None
    correlation: float
    is_estimated: bool
    design_effect: float
    effective_n: float


def intracluster_correlation(correct: Sequence[bool], groups: Sequence[Hashable]) -> float | None:
    """How alike the cells of one group are, by analysis of variance. Can be negative; is at most 1.

    Args:
        correct: one per cell: was it classified correctly?
        groups: one per cell: its patient or slide.
    Returns:
        The correlation, or None where the sample cannot tell: all cells right, all wrong, a single group, or no group
        with two cells. None is not 0.
    Raises:
        UndefinedStatistic: no cells.
    Source: Donner (1986), Int. Stat. Rev. 54:67-82; Fleiss (1981), Statistical Methods for Rates and Proportions, 13.
    >>> round(intracluster_correlation([True, True, False, False], ["a", "a", "b", "b"]), 6)
    1.0
    """
    return _correlation(*_by_group(correct, groups))


def _correlation(sizes: np.ndarray, right: np.ndarray) -> float | None:
    counts, squares = np.array([right.sum()]), np.array([np.sum(right.astype(np.float64) ** 2 / sizes)])
    estimate = group_correlations(sizes, counts, squares, counts)[0]
    return None if np.isnan(estimate) else float(estimate)


def summary_of_values(values: np.ndarray, groups: Sequence[Hashable], *, assumed_correlation: float) -> ClusterSummary:
    """What cells are worth of which any number is at hand, such as the share of other inputs that each one beats.

    Args:
        values: (n_cells,) finite numbers.
        groups: one per cell.
    """
    if len(values) != len(groups):
        raise ValueError(f"{len(values)} values have {len(groups)} groups; name one group for each")
    _, index = np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)
    sizes, sums = np.bincount(index), np.bincount(index, weights=values)
    every = (np.array([each]) for each in (sums.sum(), np.sum(sums**2 / sizes), np.sum(values**2)))
    estimate = float(group_correlations(sizes, *every)[0])
    return _summary(sizes, None if np.isnan(estimate) else estimate, assumed_correlation)


def design_effect(sizes: Sequence[int], correlation: float) -> float:
    """By how much grouping inflates the variance of a proportion: 1 + (m' - 1) * correlation.

    m' is Kish's size-weighted mean group size, which is above the plain mean where sizes differ: a few large patients
    hurt more than many small ones help.

    Args:
        sizes: cells per group, each at least 1.
        correlation: intracluster correlation in [0, 1].
    Raises:
        UndefinedStatistic: no groups.
    Source: Kish (1965), Survey Sampling, 5.4 and 11.7.
    >>> round(design_effect([10] * 30, 0.1), 6)
    1.9
    """
    if len(sizes) == 0:
        raise UndefinedStatistic("no groups have no design effect; give at least one")
    if min(sizes) < 1:
        raise ValueError(f"a group of {min(sizes)} cells is none; leave it out")
    _check_correlation(correlation, "correlation")
    return 1.0 + (_kish_mean(np.asarray(sizes)) - 1.0) * correlation


def equal_groups(sizes: Sequence[int]) -> float:
    """How many groups of equal size say as much about how groups differ: the cells over Kish's mean group size.

    At most the number of groups, and equal to it where all have the same size. Five patients with most of the cells
    and fifteen with one each are little more than five.

    Raises:
        UndefinedStatistic: no groups.
    Source: Kish (1965), Survey Sampling, 11.7.
    >>> equal_groups([10] * 7), round(equal_groups([75] * 5 + [1] * 15), 1)
    (7.0, 5.4)
    """
    if len(sizes) == 0:
        raise UndefinedStatistic("no groups have no size; give at least one")
    return float(sum(sizes) / _kish_mean(np.asarray(sizes)))


def effective_trials(
    groups: Sequence[Hashable], correct: Sequence[bool], *, assumed_correlation: float
) -> ClusterSummary:
    """How many independent cells these are worth, for the report. Gates use `clustered_bounds`.

    The correlation used is the larger of the protocol's assumption and the sample's own estimate: a sample that is all
    correct says nothing about correlation, and must not look independent for that.

    The effective number never exceeds n, because a negative estimate is not used. It is not raised to the number of
    groups either: at correlation 1 it is n / m' = n^2 / sum of squares, which equals the number of groups only where
    all have the same size. Fifty patients, one of whom gave 300 of 349 cells, say less than fifty independent cells.

    Args:
        groups, correct: as `intracluster_correlation`.
        assumed_correlation: from the protocol, a fraction in [0, 1].
    Raises:
        UndefinedStatistic: no cells.
    >>> cells = [True] * 368 + [False] * 2
    >>> summary = effective_trials([n // 10 for n in range(370)], cells, assumed_correlation=0.0)
    >>> round(summary.estimated_correlation, 3), round(summary.effective_n, 1)
    (0.111, 185.0)
    """
    return summary_of(*_by_group(correct, groups), assumed_correlation=assumed_correlation)


def summary_of(sizes: np.ndarray, right: np.ndarray, *, assumed_correlation: float) -> ClusterSummary:
    """`effective_trials` of (n_groups,) cells and correct cells of each group; each group has cells."""
    return _summary(sizes, _correlation(sizes, right), assumed_correlation)


def _summary(sizes: np.ndarray, estimate: float | None, assumed_correlation: float) -> ClusterSummary:
    _check_correlation(assumed_correlation, "assumed_correlation")
    is_estimated = estimate is not None and estimate > assumed_correlation
    correlation = min(1.0, max(assumed_correlation, estimate if estimate is not None else 0.0))
    mean_size, n = _kish_mean(sizes), int(sizes.sum())
    effect = 1.0 + (mean_size - 1.0) * correlation
    return ClusterSummary(
        n=n,
        n_groups=sizes.size,
        mean_size=mean_size,
        assumed_correlation=assumed_correlation,
        estimated_correlation=estimate,
        correlation=correlation,
        is_estimated=is_estimated,
        design_effect=effect,
        effective_n=n / effect,
    )


def clustered_bounds(
    correct: Sequence[bool], groups: Sequence[Hashable], *, assumed_correlation: float, level: float
) -> tuple[float, float]:
    """One-sided bounds of the share of correct cells, each at `level`, that another error can never raise.

    The bounds of `effective_bounds` with the effective number of `effective_trials`, made monotone. Left alone they are
    not: one more error in a patient without any makes the errors look less clustered, the estimated correlation falls,
    the effective number grows, and the lower bound can rise. So the lower bound is the smallest that this sample gives,
    or would give with any of its errors put right; an extra error only adds to those. The upper bound is the largest
    that it gives, or would give with any of its correct cells made wrong.

    Of all ways to put right a given number of errors, the one that leaves the highest correlation counts. It leaves the
    errors in the patients with the largest share of errors; the last patient, cut in the middle, is counted by
    proportion, a little too clustered, never too little.

    The method is an approximation. Where the assumed correlation is the true one, the exact rate of false passes stayed
    below 1 - level in every design that was counted out (tests/test_clusters.py). Where the truth is three times the
    assumption it did not, because a few errors estimate a correlation badly: assume too much rather than too little.

    Args:
        correct, groups: as `intracluster_correlation`.
        assumed_correlation: from the protocol, a fraction in [0, 1].
        level: one-sided confidence of each bound.
    Returns:
        (lower, upper) as fractions in [0, 1].
    Raises:
        UndefinedStatistic: no cells.
    >>> patients = [n // 10 for n in range(370)]
    >>> lower, upper = clustered_bounds([True] * 368 + [False] * 2, patients, assumed_correlation=0.1, level=0.95)
    >>> round(lower, 4)
    0.9746
    """
    return bounds_of(*_by_group(correct, groups), assumed_correlation=assumed_correlation, level=level)


def bounds_of(sizes: np.ndarray, right: np.ndarray, *, assumed_correlation: float, level: float) -> tuple[float, float]:
    """`clustered_bounds` of (n_groups,) cells and correct cells of each group; each group has cells."""
    _check_correlation(assumed_correlation, "assumed_correlation")
    check_level(level)
    lower = _smallest_lower_bound(sizes, sizes - right, assumed_correlation, level)
    return lower, 1.0 - _smallest_lower_bound(sizes, right, assumed_correlation, level)


Counted = tuple[tuple[int, int], ...]  # of each group with trials: how many of them succeeded, and how many it has


def counted_by_group(success: np.ndarray, groups: Sequence[Hashable]) -> Counted:
    """What the trials come to, group by group. success: (n_trials,) bool."""
    sizes, right = _by_group(success.tolist(), groups)
    return tuple(zip(right.tolist(), sizes.tolist(), strict=True))


def share_bounds(
    k: int, n: int, by_group: Counted | None, *, assumed_correlation: float, level: float
) -> tuple[float, float]:
    """One-sided bounds of a proportion: Clopper-Pearson's, or `clustered_bounds` where groups are known."""
    if by_group is None:
        return clopper_pearson_bounds(k, n, level=level)
    right, sizes = np.array(by_group, dtype=np.int64).T
    return bounds_of(sizes, right, assumed_correlation=assumed_correlation, level=level)


def summary_of_groups(by_group: Counted, *, assumed_correlation: float) -> ClusterSummary:
    """What such trials are worth."""
    right, sizes = np.array(by_group, dtype=np.int64).T
    return summary_of(sizes, right, assumed_correlation=assumed_correlation)


def _smallest_lower_bound(sizes: np.ndarray, wrong: np.ndarray, assumed: float, level: float) -> float:
    """The smallest lower bound over every number of errors kept, from none to all of them."""
    n, n_wrong = int(sizes.sum()), int(wrong.sum())
    # An error in group g adds at most its group's share of errors to the sum of squares: fill by that share.
    shares = np.repeat(wrong / sizes, wrong)
    shares[::-1].sort()
    kept = np.arange(n_wrong + 1)
    squares = np.concatenate([[0.0], np.cumsum(shares)])
    estimates = np.nan_to_num(group_correlations(sizes, kept, squares, kept), nan=0.0)
    correlations = np.clip(np.maximum(estimates, assumed), 0.0, 1.0)
    effective = n / (1.0 + (_kish_mean(sizes) - 1.0) * correlations)
    # `effective_bounds` of each, all at once.
    right = (n - kept) * effective / n
    bounds = betaincinv(np.maximum(right, np.finfo(float).tiny), effective - right + 1.0, 1.0 - level)
    return float(np.where(kept == n, 0.0, bounds).min())


def group_correlations(sizes: np.ndarray, counts: np.ndarray, squares: np.ndarray, every: np.ndarray) -> np.ndarray:
    """(m,) analysis-of-variance estimates of how alike the values of one group's cells are.

    Right and wrong cells give the same estimate.

    Args:
        sizes: (n_groups,) cells of each group.
        counts: (m,) sum of the values of all cells; squares: (m,) sum over groups of their sum^2 / size.
        every: (m,) sum of the squared values of all cells; of zeros and ones that is `counts`.
    Returns:
        NaN where it does not exist.
    """
    n, n_groups = int(sizes.sum()), sizes.size
    estimates = np.full(counts.shape, np.nan)
    if n_groups < 2 or n == n_groups:
        return estimates
    total = every - counts.astype(np.float64) ** 2 / n
    between = squares - counts.astype(np.float64) ** 2 / n
    within = np.maximum(0.0, total - between)
    mean_between, mean_within = between / (n_groups - 1), within / (n - n_groups)
    size = (n - float(np.sum(sizes.astype(np.float64) ** 2)) / n) / (n_groups - 1)
    varied = total > 1e-9
    scale = mean_between + (size - 1.0) * mean_within
    np.divide(mean_between - mean_within, scale, out=estimates, where=varied & (scale > 0))
    return estimates


def _by_group(correct: Sequence[bool], groups: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """(cells, correct cells) of each group, in the order in which the groups first appear."""
    if len(correct) != len(groups):
        raise ValueError(f"{len(correct)} cells have {len(groups)} groups; name one group for each cell")
    if len(correct) == 0:
        raise UndefinedStatistic("no cells have no groups to compare; score at least one cell")
    place: dict[Hashable, int] = {}
    index = np.array([place.setdefault(group, len(place)) for group in groups])
    sizes = np.bincount(index)
    right = np.bincount(index, weights=np.asarray(correct, dtype=np.float64)).astype(np.int64)
    return sizes, right


def _kish_mean(sizes: np.ndarray) -> float:
    squares = sizes.astype(np.float64) ** 2
    return float(squares.sum() / sizes.sum())


def _check_correlation(correlation: float, name: str) -> None:
    if not 0.0 <= correlation <= 1.0:
        raise ValueError(f"{name} {correlation} is not a fraction in [0, 1]; an intracluster correlation is meant")
