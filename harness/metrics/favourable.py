"""How probable are the results of a comparison that favour the candidate at least as much as the one that was seen?

Of n cells m are discordant, a binomial count, and of these m the candidate alone has c right, another one. From one
share of discordant cells to the next, at one true difference, the second hardly changes: it is computed for a few
shares and interpolated between them, and the sums over m are products of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrc, gammaln

# A binomial count further from its mean than this has less than 1e-15 of the probability.
TAIL_SD, TAIL_COUNT = 8.5, 40
# How many shares are computed in one go, and over how many standard deviations of c, given m, one interpolation may go.
TOGETHER, SPAN_SD = 24, 0.5
INTERPOLATION_ERROR = 1e-15
# The logarithm of no way at all, finite so that it can be multiplied.
IMPOSSIBLE = -1e300
_SMALLEST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Results (b, c) of n cells: with each of them also those of more cells won, or of fewer lost.

    needed:    (n + 1,) of m discordant cells, how many the candidate has to win; m + 1 where all are too few.
    ways:      (n + 1,) the logarithm of the number of ways to choose m of n cells.
    steps:     (n,) P(c >= needed | m + 1) - P(c >= needed | m) is sign * exp(step) * t^won * (1 - t)^lost, where t is
               the chance that a discordant cell is won, won is needed[m] and lost m + 1 - needed[m].
    signs:     (n,) -1 where one cell more is needed, 1 where not.
    """

    needed: np.ndarray
    ways: np.ndarray
    steps: np.ndarray
    signs: np.ndarray

    @property
    def n(self) -> int:
        return self.needed.size - 1


def region_of(thresholds: np.ndarray) -> Region:
    """The results with c >= thresholds[b], where thresholds never fall with b until n - b + 1 says that none is in."""
    n = thresholds.size - 1
    m = np.arange(n + 1)
    most_lost = np.searchsorted(m + thresholds, m, side="right") - 1  # the largest b with m discordant cells
    needed = m - most_lost
    rises = np.diff(needed)
    if not np.isin(rises, (0, 1)).all():
        raise ValueError(
            "a result is in the region, and one that favours the candidate more is not; thresholds must not fall"
        )
    counts = gammaln(np.arange(1, n + 2))  # log m!
    chosen = needed[:-1] - 1 + rises
    possible = (chosen >= 0) & (chosen <= m[:-1])
    k = np.where(possible, chosen, 0)
    steps = np.where(possible, counts[m[:-1]] - counts[k] - counts[m[:-1] - k], IMPOSSIBLE)
    return Region(needed, counts[n] - counts - counts[::-1], steps, np.where(rises == 1, -1.0, 1.0))


def chances(region: Region, *, p_b: np.ndarray, p_c: np.ndarray) -> np.ndarray:
    """P(the result is in the region) for each of some models, in the order of their shares of discordant cells.

    p_b, p_c: chances that a cell is right for the baseline alone and for the candidate alone.
    """
    n = region.n
    share = np.minimum(1.0, p_b + p_c)
    won = np.arctan2(np.sqrt(p_c), np.sqrt(p_b))  # the chance that a discordant cell is won, on the arcsine scale
    spread = TAIL_SD * np.sqrt(n * share * (1.0 - share)) + TAIL_COUNT
    first = np.maximum(0, np.floor(n * share - spread)).astype(np.int64)
    last = np.minimum(n, np.ceil(n * share + spread)).astype(np.int64)
    logs = _logs(share, 1.0 - share)
    found = np.empty(share.shape)
    for some in _together(won, last):
        m = np.arange(first[some].min(), last[some].max() + 1)
        mass = np.exp(logs[some] @ np.array([m, n - m, region.ways[m]]))
        nodes, weights = _interpolation(won[some], 2.0 * math.sqrt(float(m[-1])))
        found[some] = ((mass @ _conditional(region, m, nodes).T) * weights).sum(axis=1)
    return np.asarray(found)


def _together(won: np.ndarray, last: np.ndarray) -> Iterator[slice]:
    """Runs of neighbouring models: few, and of much the same chance that a discordant cell is won."""
    start, values, roots = 0, won.tolist(), (2.0 * np.sqrt(last)).tolist()
    while start < len(values):
        stop, end = start + 1, min(len(values), start + TOGETHER)
        while stop < end and roots[stop] * abs(values[stop] - values[start]) <= SPAN_SD:
            stop += 1
        yield slice(start, stop)
        start = stop


def _interpolation(won: np.ndarray, sd_per_unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Where to compute a function of the chance that a discordant cell is won, and how much each place counts at each.

    Chebyshev's nodes, as many as it takes: the k-th derivative of a probability by a normal mean, in standard
    deviations, is at most the square root of k!. Returns (nodes,) and (won, nodes).
    """
    low, high = float(won.min()), float(won.max())
    reach = (high - low) / 2.0
    count, error = 1, sd_per_unit * reach
    while error > INTERPOLATION_ERROR and count < won.size:
        count += 1
        error *= sd_per_unit * reach / 2.0 / math.sqrt(count)
    if count == won.size:
        return won, np.eye(count)
    angles = (2 * np.arange(count) + 1) * (math.pi / (2 * count))
    nodes = (low + high) / 2.0 + reach * np.cos(angles)
    apart = won[:, None] - nodes
    parts = np.sin(angles) * (-1.0) ** np.arange(count) / np.where(apart == 0, 1.0, apart)  # barycentric
    hit = (apart == 0).any(axis=1, keepdims=True)
    return nodes, np.where(hit, apart == 0, parts / np.where(hit, 1.0, parts.sum(axis=1, keepdims=True)))


def _conditional(region: Region, m: np.ndarray, won: np.ndarray) -> np.ndarray:
    """(won, m) P(c >= needed | m) for neighbouring m: the binomial tail for the first, and step by step from there."""
    chance, fewest, needed = np.sin(won) ** 2, int(m[0]), int(region.needed[m[0]])
    start = bdtrc(float(needed - 1), fewest, chance) if 0 < needed <= fewest else np.full_like(chance, needed <= 0)
    at, cells_won = m[:-1], region.needed[m[:-1]]
    parts = np.array([cells_won, m[1:] - cells_won, region.steps[at]])
    steps = region.signs[at] * np.exp(_logs(chance, np.cos(won) ** 2) @ parts)
    return np.cumsum(np.concatenate([start[:, None], steps], axis=1), axis=1)


def _logs(chance: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(chance, 3) what the numbers of successes, of failures and of ways are multiplied by; 0 ** 0 is 1 here too."""
    return np.column_stack(
        [np.log(np.maximum(chance, _SMALLEST)), np.log(np.maximum(rest, _SMALLEST)), np.ones_like(chance)]
    )
