"""What may be said of how long queries took: which percentiles they carry, were they steady, what are they fit for?

Source: MLPerf's LoadGen for the percentiles and the 600 s and 24,576 samples of a report; the 60 s and 662 queries of a
gate are what a 99th percentile with its 99 % early-stopping bound takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.metrics.intervals import percentile_bounds
from harness.model.records import COLD, Timing, block_ends
from harness.protocol.throughput import ThroughputPlan

PERCENTILES = (50, 90, 95, 99)
GATE_S, GATE_QUERIES = 60.0, 662
REPORT_S, REPORT_SAMPLES = 600.0, 24_576
DRIFT_BLOCKS, FEWEST_DRIFT_BLOCKS = 20, 6  # five in order are a chance of 1 in 60, which is no 1 %
DRIFT_ALPHA = 0.01

Tier = Literal["smoke", "gate", "report"]


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile of seconds a query, with one-sided bounds from order statistics."""

    percentile: int
    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A percentile that is not told.

    needs: from how many samples taken as independent on it has an upper bound. independent: how many there are.
    """

    percentile: int
    needs: int
    independent: int


def independent_in(timing: Timing, *, quantile: float) -> int:
    """As how many independent samples a percentile's bounds take them.

    Blocks that are apart in time count once each. Of queries that stood in one line, what slows the first slows all
    behind it: a busy period, from a query that waited for nobody to the next such. So the samples count for as many
    times fewer as there are slow queries in the busy period that has most of them; slow are those in a tail twice as
    thick as the percentile's, because in its own there are too few to see. Decision 0072 has the simulations.
    """
    n = len(timing.samples_s)
    if timing.blocks is not None:
        return timing.blocks.n
    if timing.waited_s is None:
        return n
    seconds, first = np.asarray(timing.samples_s), np.asarray(timing.waited_s) == 0
    slow = seconds >= np.sort(seconds)[max(0, math.floor(n * (1 - 2 * (1 - quantile))))]
    return n // int(np.bincount(np.cumsum(first), weights=slow).max())


def percentiles_of(timing: Timing, *, level: float) -> tuple[tuple[Percentile, ...], tuple[Refused, ...]]:
    """Those that the samples carry with both bounds at this one-sided level, and those that they do not."""
    told, refused = [], []
    for percentile in PERCENTILES:
        needs, quantile = least_independent(percentile, level=level), percentile / 100
        n = independent_in(timing, quantile=quantile)
        if n < needs:
            refused.append(Refused(percentile, needs, n))
            continue
        found = percentile_bounds(timing.samples_s, quantile=quantile, level=level, independent=n)
        told.append(Percentile(percentile, *found))
    return tuple(told), tuple(refused)


def least_independent(percentile: int, *, level: float) -> int:
    """The fewest independent samples of which the largest is an upper bound of a percentile of 50 or more.

    >>> [least_independent(percentile, level=0.95) for percentile in PERCENTILES]
    [5, 29, 59, 299]
    """
    return math.ceil(math.log(1 - level) / math.log(percentile / 100))


def tier_of(timing: Timing) -> Tier:
    """What the timing is fit for: wiring only, a gate, or a figure that is published."""
    seconds, queries = sum(timing.samples_s), len(timing.samples_s)
    offline = timing.scenario == "Offline"
    if seconds >= REPORT_S and (not offline or queries * timing.images_per_query >= REPORT_SAMPLES):
        return "report"
    return "gate" if seconds >= GATE_S and (offline or queries >= GATE_QUERIES) else "smoke"


def too_short(timing: Timing, *, least_s: float) -> str | None:
    """Why its figure does not count, where its queries took less than the protocol wants; None where they did not.

    A cold start has as many rounds as a bound takes, and queries that arrive at random take as long as they arrive.
    """
    seconds = sum(timing.samples_s)
    if timing.scenario in ("ColdStart", "Server") or seconds >= least_s:
        return None
    return (
        f"its {len(timing.samples_s)} timed queries took {seconds:.3g} s, and the protocol wants {least_s:g} s of them "
        "(min_duration_s)"
    )


def drift_blocks(timing: Timing) -> int:
    """In how many blocks a trend is looked for; 0 where there are too few to see one."""
    blocks = timing.blocks.n if timing.blocks is not None else min(DRIFT_BLOCKS, len(timing.samples_s))
    return blocks if blocks >= FEWEST_DRIFT_BLOCKS else 0


def drift_of(timing: Timing) -> float | None:
    """Kendall's tau (a) between when a block of queries was timed and its median; None where they are steady.

    Steady: the two-sided test does not reject at 1 %, or there are too few blocks to see anything. Queries in a row
    are cut into twenty blocks.
    """
    blocks = drift_blocks(timing)
    if not blocks:
        return None
    cut = np.split(np.asarray(timing.samples_s), block_ends(len(timing.samples_s), blocks)[:-1])
    tau, p = trend([float(np.median(block)) for block in cut])
    return tau if p < DRIFT_ALPHA else None


def trend(values: Sequence[float]) -> tuple[float, float]:
    """Kendall's tau (a) between values and their order, and the two-sided p-value of Mann's test for a trend.

    Mann's test: Kendall's variance, corrected for continuity. Whoever reads a pack would wait for scipy.stats.

    >>> [round(found, 6) for found in trend([1.0, 2.0, 3.0, 4.0, 6.0, 5.0])]
    [0.866667, 0.024171]
    """
    given, n = np.asarray(values), len(values)
    later = np.triu_indices(n, k=1)
    score = float(np.sign(given[later[1]] - given[later[0]]).sum())
    spread = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    z = max(0.0, abs(score) - 1) / spread
    return score / len(later[0]), math.erfc(z / math.sqrt(2))


def not_as_asked(timing: Timing, plan: ThroughputPlan) -> str | None:
    """In what its untimed queries are other than a run of this plan asks; None: in nothing."""
    found, asked = timing.settling, plan.settles and timing.scenario != COLD
    if found is None:
        return "the protocol asks untimed queries before the timed ones, and none is recorded" if asked else None
    if not asked:
        return "untimed queries are recorded, and the protocol asks for none"
    if found.steady is not None and not plan.steady_within_s:
        return "the protocol does not ask for a steady state, and one is told"
    if found.steady is False and found.seconds < plan.steady_within_s:
        return f"no steady state in {found.seconds:g} s, where the protocol waits {plan.steady_within_s:g} s for one"
    return None
