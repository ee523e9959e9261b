"""Reliability: bins of confidence, and calibration errors with bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from harness.core.errors import UndefinedStatistic
from harness.metrics.calibration_records import Binning, NullCalibrationError, ReliabilityBin
from harness.metrics.clusters import share_bounds
from harness.metrics.conformal import tallied
from harness.metrics.intervals import check_level
from harness.metrics.outcomes import checked_outcomes

NULL_QUANTILE = 0.95
N_SIMULATIONS = 2000  # the 95th percentile is then known to about 0.5 points of its rank
CHUNK = 2_000_000  # simulated cells held in memory at once


def reliability_bins(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    n_bins: int,
    binning: Binning,
    groups: Sequence[str] | None = None,
) -> tuple[ReliabilityBin, ...]:
    """Cells sorted into bins by confidence. Together the bins cover [0, 1].

    Args:
        confidence: (n_cells,) largest probability of each cell.
        correct: (n_cells,) bool, or 0 and 1.
        binning: "equal-width": n_bins bins (i/n_bins, (i+1)/n_bins], some perhaps empty. "equal-mass": bins of as equal
            a number of cells as ties allow. Cells of equal confidence share a bin, so that the order of the cells
            changes nothing; there may be fewer than n_bins bins, none empty.
        groups: (n_cells,) whose cell each is; None where nobody knows.
    Raises:
        UndefinedStatistic: there are no cells.
    >>> [(b.upper, b.n, b.n_correct) for b in reliability_bins([0.2, 0.5, 0.9], [0, 1, 1], n_bins=2,
    ...                                                        binning="equal-width")]
    [(0.5, 2, 1), (1.0, 1, 1)]
    """
    confidence, correct = checked_outcomes(confidence, correct)
    edges = _edges(confidence, n_bins=n_bins, binning=binning)
    index = np.searchsorted(edges, confidence, side="left")  # the first edge that is not below: (lower, upper]
    n = np.bincount(index, minlength=len(edges))
    n_correct = np.bincount(index, weights=correct, minlength=len(edges))
    # fsum, because a sum in another order may differ in its last digit.
    means = [math.fsum(confidence[index == i]) / int(n[i]) if n[i] else None for i in range(len(edges))]
    lowers = [0.0, *edges[:-1].tolist()]
    return tuple(
        ReliabilityBin(
            lowers[i],
            float(edges[i]),
            int(n[i]),
            int(n_correct[i]),
            means[i],
            tallied(correct, groups, index == i),
        )
        for i in range(len(edges))
    )


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean over cells of |accuracy - mean confidence| of their bin, a fraction in [0, 1].

    Biased up, and moved by the bin rule: print the rule beside it and compare with `null_calibration_error`.

    Source: Naeini, Cooper and Hauskrecht (2015), AAAI-15:2901-2907.
    >>> ten = ReliabilityBin(0.8, 0.9, n=10, n_correct=6, mean_confidence=0.9)
    >>> round(expected_calibration_error([ten]), 6)
    0.3
    """
    filled = _filled(bins)
    return math.fsum(n * abs(hits / n - mean) for n, hits, mean in filled) / sum(n for n, _, _ in filled)


def maximum_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """The largest |accuracy - mean confidence| of a filled bin; a bin of one cell counts in full."""
    return max(abs(hits / n - mean) for n, hits, mean in _filled(bins))


def calibration_error_bounds(
    bins: Sequence[ReliabilityBin], *, level: float, assumed_correlation: float = 0.0
) -> tuple[float, float]:
    """Conservative one-sided bounds of the binned calibration error, each at `level`.

    What is bounded: sum over bins of n_b / n times |true accuracy of the bin's cells - their mean confidence|, given
    these bins and these confidences. Binning hides what cancels within a bin, so a low upper bound does not prove
    every probability right. Each filled bin's accuracy has exact Clopper-Pearson bounds at a Bonferroni share. (The
    cells of a bin differ in their chance of being right; the binomial is then the widest case, by Hoeffding.) Where
    bins know whose cells they hold, the bounds are `clusters.clustered_bounds`; Bonferroni holds whatever patients do.

    Returns:
        (lower, upper) as fractions in [0, 1].
    Source: Hoeffding (1956), Ann. Math. Statist. 27:713-721; Kumar, Liang and Ma (2019), NeurIPS, on what bins hide.
    >>> ten = ReliabilityBin(0.8, 0.9, n=10, n_correct=6, mean_confidence=0.9)
    >>> [round(bound, 3) for bound in calibration_error_bounds([ten], level=0.95)]
    [0.022, 0.596]
    """
    check_level(level)
    filled = [(each, each.n, each.mean_confidence) for each in bins if each.mean_confidence is not None]
    share = (1.0 - level) / len(_filled(bins))
    lower = upper = 0.0

    def bounds(found: ReliabilityBin, at: float) -> tuple[float, float]:
        correlation = assumed_correlation
        return share_bounds(found.n_correct, found.n, found.by_group, assumed_correlation=correlation, level=at)

    for found, n, mean in filled:
        # The lower bound is above the truth if the accuracy is missed on either side, so each side has half a share.
        # The upper bound is below the truth only if it is missed on the side away from the confidence: a full share.
        low, high = bounds(found, 1.0 - share / 2)
        lower += n * max(low - mean, mean - high, 0.0)
        low, high = bounds(found, 1.0 - share)
        upper += n * max(high - mean, mean - low)
    total = sum(n for _, n, _ in filled)
    return lower / total, upper / total


def null_calibration_error(
    confidence: ArrayLike,
    *,
    n_bins: int,
    binning: Binning,
    quantile: float,
    rng: np.random.Generator,
    n_simulations: int,
) -> NullCalibrationError:
    """The expected calibration error of a classifier of these confidences that is perfectly calibrated.

    Each simulation draws every cell as correct with probability its confidence. An observed error above the 95th
    percentile is more than chance explains; one below proves nothing more than that.

    Args:
        quantile: which percentile is `limit`, a fraction in (0, 1).
    Source: Vaicenavicius et al. (2019), AISTATS, PMLR 89:3459-3467 (consistency resampling).
    """
    if not 0.0 < quantile < 1.0 or n_simulations < 1:
        raise ValueError(
            f"quantile {quantile} of {n_simulations} simulations: give a fraction in (0, 1) of at least one simulation"
        )
    cells = np.asarray(confidence, dtype=np.float64)
    confidence = np.sort(checked_outcomes(cells, np.zeros(cells.shape))[0])  # the order of the cells changes nothing
    index = np.searchsorted(_edges(confidence, n_bins=n_bins, binning=binning), confidence, side="left")
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    expected = np.add.reduceat(confidence, starts)
    errors = []
    for n in _chunks(n_simulations, size=max(1, CHUNK // len(confidence))):
        hits = np.add.reduceat(rng.random((n, len(confidence))) < confidence, starts, axis=1, dtype=np.int64)
        errors.append(np.abs(hits - expected).sum(axis=1) / len(confidence))
    simulated = np.concatenate(errors)
    limit = float(np.quantile(simulated, quantile))
    return NullCalibrationError(float(simulated.mean()), quantile, limit, len(confidence), n_simulations)


def _edges(confidence: np.ndarray, *, n_bins: int, binning: Binning) -> np.ndarray:
    """Upper edges of the bins, rising, the last at 1."""
    if n_bins < 1:
        raise ValueError(f"{n_bins} bins hold no cell; pass n_bins of 1 or more, such as 15")
    if binning == "equal-width":
        # Each edge is one division: 7 / 10 is the float 0.7, which a running sum of 0.1 is not.
        return np.arange(1, n_bins + 1) / n_bins
    if binning == "equal-mass":
        n = len(confidence)
        ranks = -(-n * np.arange(1, n_bins) // n_bins)  # ceil(n i / n_bins): sizes differ by at most one
        edges = np.sort(confidence)[ranks[ranks > 0] - 1]
        return np.unique(np.append(edges[edges < confidence.max()], 1.0))
    raise ValueError(f"unknown binning {binning!r}; known are 'equal-width' and 'equal-mass'")


def _filled(bins: Sequence[ReliabilityBin]) -> list[tuple[int, int, float]]:
    filled = [(b.n, b.n_correct, b.mean_confidence) for b in bins if b.mean_confidence is not None]
    if not filled:
        raise UndefinedStatistic("a calibration error of no cells does not exist; it is not 0. Report it as undefined.")
    return filled


def _chunks(total: int, *, size: int) -> Iterator[int]:
    for start in range(0, total, size):
        yield min(size, total - start)
