"""How often do the bounds of the 90th percentile of latency miss it, in a row and in blocks?

    python benchmarks/latency_blocks.py

Draws seconds whose logarithm is autocorrelated from one query to the next, and asks `metrics.timing.latency` for
bounds: of 100 queries in a row, and of the same number in 50 blocks that a pause parts, during which the machine goes
on as it does. Prints the share of runs in which each bound is on the wrong side of the true percentile; 5 % may be.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.signal import lfilter
from scipy.stats import norm

from harness.metrics.timing import latency
from harness.model.records import TimedBlocks, Timing, block_ends

N_RUNS, SEED, LEVEL, QUERIES, BLOCKS = 2_000, 20_260, 0.95, 100, 50
TRUE = float(np.exp(norm.ppf(0.9)))


def drawn(rng: np.random.Generator, *, correlation: float, pause: int, spread: float) -> tuple[float, ...]:
    """The seconds of one run. pause: queries that would fit into it; spread: standard deviation between runs."""
    blocks = BLOCKS if pause else 1
    ends = block_ends(QUERIES, blocks)
    timed = [query + pause * int(np.searchsorted(ends, query, side="right")) for query in range(QUERIES)]
    shocks = rng.normal(0, np.sqrt(1 - correlation**2), timed[-1] + 1)
    shocks[0] /= np.sqrt(1 - correlation**2)  # stationary from the first on
    within = lfilter([1.0], [1.0, -correlation], shocks)[timed]
    return tuple(np.exp(np.sqrt(1 - spread**2) * within + spread * rng.normal()).tolist())


def missed(rng: np.random.Generator, *, correlation: float, pause: int, spread: float = 0.0) -> tuple[float, float]:
    """Shares of runs whose lower bound is above the true percentile, and whose upper bound is below it."""
    wrong = np.zeros(2)
    for _ in range(N_RUNS):
        samples = drawn(rng, correlation=correlation, pause=pause, spread=spread)
        blocks = TimedBlocks(BLOCKS, float(pause), ()) if pause else None
        timing = Timing("SingleStream", "drawn", "cpu", 1, 1, samples, blocks=blocks)
        found = latency(timing, metric="latency_s", level=LEVEL)
        wrong += (found.lower is not None and found.lower > TRUE, found.upper is not None and found.upper < TRUE)
    return wrong[0] / N_RUNS, wrong[1] / N_RUNS


def main() -> int:
    rng = np.random.default_rng(SEED)
    print(f"{QUERIES} queries, {N_RUNS:,} runs a row, seed {SEED}, bounds at {LEVEL}")
    print(f"{'correlation':>11} {'pause, in queries':>18} {'between runs':>13} {'lower above':>12} {'upper below':>12}")
    for correlation in (0.0, 0.5, 0.9, 0.98):
        for pause in (0, 5, 20, 100):
            low, high = missed(rng, correlation=correlation, pause=pause)
            print(f"{correlation:>11} {pause or 'in a row':>18} {0:>13} {low:>12.1%} {high:>12.1%}")
    low, high = missed(rng, correlation=0.0, pause=100, spread=0.5)
    print(f"{0.0:>11} {100:>18} {0.5:>13} {low:>12.1%} {high:>12.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
