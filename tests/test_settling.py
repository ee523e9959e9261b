"""Untimed queries go on until their times show no trend, timed ones until they took as long as the protocol wants."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from example_run import example_run, page_of
from pydantic import ValidationError
from scipy.stats import kendalltau

from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.measurements import NothingRecorded
from harness.metrics.table import TABLE
from harness.metrics.timing_rules import not_as_asked, tier_of, too_short, trend
from harness.model.records import COLD, Settling, Timing
from harness.model.scenarios import SERVER, Scenario
from harness.protocol.throughput import ThroughputPlan
from harness.run.settling import QUIET, STEP, WINDOW, settled

PLAN = ThroughputPlan(warmup_queries=3, queries=30, offline_rounds=5, offline_images=70, batch_size=16)


class Queries:
    """A classifier whose queries take the given seconds, by a clock that nothing else moves."""

    def __init__(self, seconds: Iterator[float]) -> None:
        self.now, self._seconds = 50.0, seconds

    def __call__(self) -> float:
        return self.now

    def query(self) -> None:
        self.now += next(self._seconds)

    def scenario(self, name: str = "SingleStream") -> Scenario:
        return Scenario(name, "decode-to-label", "cpu", 1, 1, PLAN.queries, PLAN.warmup_queries, self.query)


def plan(**changes: float) -> ThroughputPlan:
    return ThroughputPlan(**{**PLAN.model_dump(), **changes})


def noise(seed: int, *, slow: float = 0.0, for_queries: int = 1) -> Iterator[float]:
    """Log-normal seconds about 0.1; the first are slower by a share that falls to nothing within so many queries."""
    rng = np.random.default_rng(seed)
    for place in itertools.count():
        yield 0.1 * (1 + slow * max(0.0, 1 - place / for_queries)) * float(np.exp(rng.normal(0, 0.03)))


def test_nothing_is_asked_where_the_protocol_asks_nothing_and_before_a_cold_start():
    asked = Queries(noise(0))
    scenario = asked.scenario()
    assert settled(scenario, PLAN, clock=asked) is scenario
    cold = asked.scenario(COLD)
    assert settled(cold, plan(steady_within_s=60, min_duration_s=60), clock=asked) is cold
    assert asked.now == 50.0


def test_a_slow_start_is_waited_for_and_a_steady_one_is_not():
    n = {
        slow: [
            settled(asked.scenario(), plan(steady_within_s=600), clock=asked).settling
            for asked in (Queries(noise(seed, slow=slow, for_queries=80)) for seed in range(40))
        ]
        for slow in (0.0, 1.0)
    }
    assert all(each is not None and each.steady for found in n.values() for each in found)
    steady, slow = ([each.queries for each in found if each is not None] for found in n.values())
    # A test at 10 % lets nine in ten steady starts go on at its first look.
    assert sum(each == WINDOW for each in steady) >= 30
    assert all(each % STEP == 0 for each in steady + slow)
    assert min(slow) >= 80


def test_one_that_never_comes_to_rest_is_given_up_after_the_time_it_has():
    asked = Queries(0.1 * 1.01**place for place in itertools.count())
    found = settled(asked.scenario(), plan(steady_within_s=30), clock=asked).settling
    assert found is not None
    assert found.steady is False
    assert 30 <= found.seconds < 31
    assert found.seconds == pytest.approx(asked.now - 50)


def test_of_too_few_nobody_tells_whether_they_are_steady():
    asked = Queries(itertools.repeat(5.0))
    found = settled(asked.scenario(), plan(steady_within_s=60), clock=asked).settling
    assert found is not None
    assert (found.queries, found.steady) == (12, None)


def test_queries_that_arrive_at_random_are_steady_by_their_own_seconds_and_not_by_the_wait_for_them():
    asked, own = Queries(itertools.repeat(0.2)), list[float]()

    def query() -> None:
        asked.query()
        own.append(0.01 * 1.06 ** len(own))  # each slower than the last, while the next arrives at an even pace

    served = replace(asked.scenario(SERVER), query=query, taken=lambda: own)
    found = settled(served, plan(steady_within_s=20), clock=asked).settling
    assert found is not None
    assert found.steady is False


@pytest.mark.parametrize(("queries", "seconds"), [(0, 1.0), (-5, -1.0), (30, float("nan")), (30, float("inf"))])
def test_what_cannot_have_been_asked_is_no_record(queries: int, seconds: float):
    with pytest.raises(ValueError, match="untimed queries"):
        Settling(queries, seconds, True)


@pytest.mark.parametrize("steady_within_s", [0.0, 20.0])
def test_as_many_are_timed_as_the_duration_takes(steady_within_s: float):
    asked = Queries(itertools.repeat(0.05))
    given = plan(min_duration_s=60, steady_within_s=steady_within_s)
    found = settled(asked.scenario(), given, clock=asked)
    assert found.rounds * 0.05 == pytest.approx(66, abs=0.05)
    assert found.warmup == 0  # nothing is warmed twice
    assert found.settling is not None
    assert found.settling.steady is (True if steady_within_s else None)
    assert found.settling.queries == (WINDOW if steady_within_s else PLAN.warmup_queries)
    slow_first = Queries(itertools.chain([1.0], itertools.repeat(0.05)))
    assert settled(slow_first.scenario(), given, clock=slow_first).rounds * 0.05 == pytest.approx(66, abs=0.05)
    # A duration that the queries take anyway adds none; what arrives by a clock is as many as the protocol says.
    assert settled(asked.scenario(), plan(min_duration_s=1), clock=asked).rounds == PLAN.queries
    assert settled(asked.scenario(SERVER), given, clock=asked).rounds == PLAN.queries
    timing = found.timing([0.05] * found.rounds, digests=(), others_share=None)
    assert timing.settling == found.settling
    assert tier_of(timing) == "gate"


def test_the_trend_of_queries_is_kendalls():
    rng = np.random.default_rng(1)
    for _ in range(50):
        values = rng.random(12) + np.linspace(0, rng.random(), 12)
        tau, p = trend(values.tolist())
        assert tau == pytest.approx(kendalltau(np.arange(12), values).statistic)
        exact = float(kendalltau(np.arange(12), values, method="exact").pvalue)
        assert p == pytest.approx(exact, abs=0.02)
    assert trend([1.0] * 12) == (0.0, 1.0)
    rejected = sum(trend(rng.random(WINDOW).tolist())[1] < QUIET for _ in range(2_000))
    assert 0.07 < rejected / 2_000 < 0.12


class Timed(NothingRecorded):
    def __init__(self, timing: Timing, least_s: float) -> None:
        protocol = example_run().protocol
        given = protocol.throughput.model_copy(update={"min_duration_s": least_s})
        super().__init__(protocol.model_copy(update={"throughput": given}), what="a timing")
        self._timing = timing

    def timing(self, scenario: str, span: str, *, device: str) -> Timing | Unavailable:
        return self._timing


@pytest.mark.parametrize(("least_s", "enough"), [(0.0, True), (3.0, True), (60.0, False)])
def test_a_timing_that_was_too_short_is_not_assessed_and_says_so(least_s: float, enough: bool):
    short = Timing("SingleStream", "decode-to-label", "cpu", 1, 1, (0.1,) * 30)
    run = example_run()
    criterion = next(each for each in run.protocol.criteria if each.metric == "latency_s")
    for metric in ("latency_s", "repeated_image_gain"):
        found = TABLE[metric].measure(Timed(short, least_s), criterion, 0.95)
        assert isinstance(found, Estimate) is enough
        if isinstance(found, Unavailable):
            assert "its 30 timed queries took 3 s, and the protocol wants 60 s" in found.reason
            assert not found.waivable
    assert too_short(replace(short, scenario="ColdStart"), least_s=60) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"min_duration_s": 60.0, "server_rate": 10.0, "queries": 100}, "ask for 600 or more"),
        ({"min_duration_s": -1.0}, "min_duration_s"),
        ({"steady_within_s": 1e9}, "steady_within_s"),
    ],
)
def test_a_duration_that_cannot_be_is_refused(changes: dict[str, float], words: str):
    with pytest.raises(ValidationError, match=words):
        plan(**changes)


def test_a_plan_without_them_keeps_its_content():
    assert not {"steady_within_s", "min_duration_s"} & set(PLAN.model_dump())


@pytest.mark.parametrize(
    ("settling", "words"),
    [
        (Settling(40, 2.5, True), "40 untimed queries took 2.5 s, until their times showed no trend"),
        (Settling(40, 2.5, False), "40 untimed queries took 2.5 s: no steady state within 2 s"),
        (Settling(5, 0.25, None), "5 untimed queries took 0.25 s, too few to tell whether they were steady."),
    ],
)
def test_the_page_says_what_was_asked_before(settling: Settling, words: str):
    run = example_run()
    asked = run.protocol.throughput.model_copy(update={"steady_within_s": 2.0})
    protocol = run.protocol.model_copy(update={"throughput": asked})
    timings = tuple(replace(each, settling=settling) for each in run.timings)
    text = re.sub("<[^>]*>", "", page_of(replace(run, protocol=protocol, timings=timings)))
    assert words in " ".join(text.split())


def timed(settling: Settling | None, scenario: str = "SingleStream") -> Timing:
    return Timing(scenario, "decode-to-label", "cpu", 1, 1, (0.1,) * 30, settling=settling)


@pytest.mark.parametrize("changes", [{}, {"steady_within_s": 20}, {"min_duration_s": 5}, {"steady_within_s": 0.5}])
def test_what_a_run_leaves_is_as_its_plan_asks(changes: dict[str, float]):
    asked = Queries(noise(4, slow=2.0, for_queries=60))
    found = settled(asked.scenario(), plan(**changes), clock=asked).settling
    assert not_as_asked(timed(found), plan(**changes)) is None


@pytest.mark.parametrize(
    ("settling", "changes", "words"),
    [
        (None, {"steady_within_s": 20}, "none is recorded"),
        (None, {"min_duration_s": 20}, "none is recorded"),
        (Settling(40, 4.0, True), {}, "the protocol asks for none"),
        (Settling(40, 4.0, True), {"min_duration_s": 20}, "does not ask for a steady state"),
        (Settling(40, 4.0, False), {"steady_within_s": 20}, "no steady state in 4 s"),
    ],
)
def test_an_invented_settling_is_named(settling: Settling | None, changes: dict[str, float], words: str):
    assert words in (not_as_asked(timed(settling), plan(**changes)) or "")


def test_a_cold_start_is_not_to_be_warm():
    assert not_as_asked(timed(None, COLD), plan(steady_within_s=20)) is None
    assert not_as_asked(timed(Settling(40, 4.0, True), COLD), plan(steady_within_s=20)) is not None
