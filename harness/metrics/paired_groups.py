"""How far apart are two answers to the cells of a few patients? The paired difference, over groups of cells.

Cells of one patient are lost, or gained, together: pairs that share a patient are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from harness.metrics.clusters import design_effect, group_correlations
from harness.metrics.paired import non_inferiority_lower_bound, tango_bounds


@dataclass(frozen=True, slots=True, eq=False)
class PairedGroups:
    """Of each group: its cells, and those of them that the first answer alone, and the second alone, has right.

    Each (n_groups,) int64; lost + gained <= sizes, and every group has cells.
    """

    sizes: np.ndarray
    lost: np.ndarray
    gained: np.ndarray

    @property
    def swapped(self) -> PairedGroups:
        return PairedGroups(self.sizes, self.gained, self.lost)


def effective_pairs(groups: PairedGroups, *, assumed_correlation: float) -> float:
    """How many independent pairs these are worth, for the report: n over the design effect of what was observed."""
    effect = design_effect(groups.sizes.tolist(), _correlations(groups, assumed_correlation)[-1])
    return float(groups.sizes.sum() / effect)


def grouped_difference_bounds(groups: PairedGroups, *, assumed_correlation: float, level: float) -> tuple[float, float]:
    """One-sided bounds of second minus first in the share of right answers, each at `level`, over groups of cells.

    Tango's score bound of the pairs that these are worth (n, lost and gained over the design effect), moved by what the
    exact bound of as many independent pairs differs from Tango's: with groups of one cell it is the exact one. The
    correlation is the largest of the assumed one and the sample's own, of the lost cells, of the gained ones and of
    their difference; and as in `clusters.clustered_bounds` the bound is the smallest over every number of lost cells
    that might be put right, so that one more lost cell does not raise it by looking less clustered.

    An approximation, whose share of false passes benchmarks/gate_error_rates.py simulates.

    Source: Tango (1998), Stat. Med. 17:891-908; Kish (1965), Survey Sampling, 5.4 and 11.7; Obuchowski (1998), Stat.
        Med. 17:1495-1507, for paired proportions of clustered cells.
    """
    lower = _lower_bound(groups, assumed_correlation, level)
    return lower, -_lower_bound(groups.swapped, assumed_correlation, level)


def _lower_bound(groups: PairedGroups, assumed: float, level: float) -> float:
    n, lost, gained = (int(each.sum()) for each in (groups.sizes, groups.lost, groups.gained))
    correlations = _correlations(groups, assumed)
    # Fewer lost cells at a smaller correlation bound nothing that more at a larger one do not.
    larger_later = np.maximum.accumulate(correlations[::-1])[::-1]
    kept = [k for k in range(lost + 1) if k == lost or correlations[k] > larger_later[k + 1]]
    sizes = groups.sizes.tolist()
    effects = {k: design_effect(sizes, float(correlations[k])) for k in kept}
    score = min(_score_bound(k / effect, gained / effect, n / effect, level) for k, effect in effects.items())
    exact = _beyond_score(lost, gained, n, level)
    return max(-1.0, score + (exact if exact > 0 else exact * effects[lost]))


@lru_cache(maxsize=4096)  # of three whole numbers, and half a second each
def _beyond_score(lost: int, gained: int, n: int, level: float) -> float:
    """By how much the exact bound of independent pairs is above the score bound."""
    return non_inferiority_lower_bound(lost, gained, n, level=level) - _score_bound(lost, gained, n, level)


def _score_bound(lost: float, gained: float, n: float, level: float) -> float:
    return tango_bounds(lost, gained, max(n, lost + gained), level=level)[0]  # the sum may be an ulp above


def _correlations(groups: PairedGroups, assumed: float) -> np.ndarray:
    """(lost + 1,) the correlation that is used with each number of lost cells kept, from none to all of them.

    Kept are those of the groups that lost the largest share of their cells: of all ways to put right as many, the one
    that leaves the highest correlation.
    """
    sizes, gained = groups.sizes, int(groups.gained.sum())
    order = np.argsort(-(groups.lost / sizes), kind="stable")
    taken = np.repeat(order, groups.lost[order])  # the group of each lost cell, and how many of it were taken before
    before = np.arange(taken.size) - np.repeat(np.cumsum(groups.lost[order]) - groups.lost[order], groups.lost[order])
    kept = np.arange(taken.size + 1)
    gained_squares = np.full(kept.size, np.sum(groups.gained**2 / sizes))
    lost_squares = _summed(0.0, (2 * before + 1) / sizes[taken])
    net_squares = _summed(gained_squares[0], (1 - 2 * (groups.gained[taken] - before)) / sizes[taken])
    estimates = [
        group_correlations(sizes, kept, lost_squares, kept),
        group_correlations(sizes, np.full(kept.size, gained), gained_squares, np.full(kept.size, gained)),
        group_correlations(sizes, gained - kept, net_squares, gained + kept),
    ]
    largest = np.fmax.reduce([*estimates, np.full(kept.size, assumed)])
    return np.asarray(np.clip(largest, 0.0, 1.0))


def _summed(first: float, steps: np.ndarray) -> np.ndarray:
    return np.concatenate([[first], first + np.cumsum(steps)])
