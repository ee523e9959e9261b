"""How often does the bound of a latency hold where queries stand in one line, and how often is it called unsteady?

Simulates a queue at a rate of arrivals that is a share of what it can serve (its load): Poisson arrivals, a service of
a second on the average. Beside the rule of `harness.metrics.timing_rules` stands the one that takes each query for
itself.
"""

from __future__ import annotations

import argparse

import numpy as np

from harness.metrics.intervals import percentile_bounds
from harness.metrics.timing import latency
from harness.metrics.timing_rules import drift_of
from harness.model.records import Timing

LEVEL, QUANTILE, SETTLED = 0.95, 0.99, 1000


def queues(n: int, *, load: float, spread: float, runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(runs, n) seconds from arrival to answer, and those of them in line (Lindley's recursion)."""
    rng = np.random.default_rng(seed)
    service = rng.lognormal(-(spread**2) / 2, spread, size=(runs, n))
    waited = np.zeros((runs, n))
    for place in range(1, n):
        gap = rng.exponential(1 / load, size=runs)
        waited[:, place] = np.maximum(0, waited[:, place - 1] + service[:, place - 1] - gap)
    return waited + service, waited


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks latency_queues", description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--spread", type=float, default=0.1, help="of the logarithm of a service")
    asked = parser.parse_args()
    print("load  queries  held as if for itself  held  had a bound  no steady state")
    for load in (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.1):
        settled, _ = queues(6000, load=load, spread=asked.spread, runs=300, seed=1)
        truth = np.quantile(settled[:, SETTLED:], QUANTILE)
        for n in (300, 1000, 5000):
            timings = [
                Timing("Server", "decode-to-label", "cpu", 1, 1, tuple(seconds), waited_s=tuple(waited))
                for seconds, waited in zip(
                    *queues(n, load=load, spread=asked.spread, runs=asked.runs, seed=2), strict=True
                )
            ]
            bounds = [latency(each, metric="server_latency_s", level=LEVEL).upper for each in timings]
            alone = [percentile_bounds(each.samples_s, quantile=QUANTILE, level=LEVEL)[2] for each in timings]
            shares = (
                np.mean([bound >= truth for bound in alone]),
                np.mean([bound is None or bound >= truth for bound in bounds]),
                np.mean([bound is not None for bound in bounds]),
                np.mean([drift_of(each) is not None for each in timings]),
            )
            print(f"{load:<4}  {n:<7}  {'  '.join(f'{100 * share:5.1f} %' for share in shares)}", flush=True)


if __name__ == "__main__":
    main()
