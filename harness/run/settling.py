"""Asks untimed queries until their times show no trend, and says how many timed ones the asked duration takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from harness.metrics.timing_rules import trend
from harness.model.records import COLD, Settling
from harness.model.scenarios import SERVER, Scenario
from harness.protocol.throughput import ThroughputPlan

WINDOW, STEP = 30, 10  # three blocks of ten queries; looked at again after each block
QUIET = 0.1  # a p-value below it is a trend: to go on costs ten queries more, to stop too early a wrong figure
FEWEST, MOST_ROUNDS = 3, 1_000_000  # untimed queries that a pace is read off; timed ones, however quick
MARGIN = 1.1  # of the queries that should take as long as asked, since they may turn out quicker than the untimed ones


def settled(scenario: Scenario, plan: ThroughputPlan, *, clock: Callable[[], float] = time.perf_counter) -> Scenario:
    """The scenario once its untimed queries are asked, with as many timed ones as `min_duration_s` takes.

    A start from cold is to be as it is, and queries that arrive by a clock take the time that they take to arrive.
    """
    if scenario.name == COLD or not plan.settles:
        return scenario
    began = clock()
    seconds, steady = _asked(scenario, plan, clock)
    asked = Settling(len(seconds), clock() - began, steady)
    rounds = scenario.rounds
    if plan.min_duration_s and scenario.name != SERVER:
        pace = max(median(seconds[-WINDOW:]), plan.min_duration_s / MOST_ROUNDS)
        rounds = max(rounds, math.ceil(MARGIN * plan.min_duration_s / pace))
    return replace(scenario, rounds=rounds, warmup=0, settling=asked)  # it is warm


def _asked(scenario: Scenario, plan: ThroughputPlan, clock: Callable[[], float]) -> tuple[list[float], bool | None]:
    """Seconds of each untimed query; whether they came to rest, or None where that was not asked or cannot be told.

    Of one that stood in line they count from its arrival, as those of the timed ones will.
    """
    seconds, began = list[float](), clock()
    while True:
        before = clock()
        scenario.query()
        seconds.append(clock() - before if scenario.taken is None else scenario.taken()[-1])
        if len(seconds) < max(scenario.warmup, FEWEST):
            continue
        if not plan.steady_within_s:
            return seconds, None
        if len(seconds) >= WINDOW and len(seconds) % STEP == 0 and trend(seconds[-WINDOW:])[1] >= QUIET:
            return seconds, True
        if clock() - began >= plan.steady_within_s:
            return seconds, False if len(seconds) >= WINDOW else None
