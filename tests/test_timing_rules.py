"""Which percentiles so many queries carry, whether they were steady, and what their timing is fit for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from example_run import example_run, page_of
from scipy.stats import binom, kendalltau

from harness.metrics.intervals import percentile_bounds
from harness.metrics.timing import latency
from harness.metrics.timing_rules import (
    DRIFT_ALPHA,
    PERCENTILES,
    drift_blocks,
    drift_of,
    independent_in,
    least_independent,
    percentiles_of,
    tier_of,
)
from harness.model.records import TimedBlocks, Timing


def timed(
    seconds: list[float] | np.ndarray,
    *,
    blocks: int = 1,
    scenario: str = "SingleStream",
    images: int = 1,
    waited: list[float] | np.ndarray | None = None,
) -> Timing:
    apart = TimedBlocks(blocks, 0.1, ()) if blocks > 1 else None
    taken = tuple(float(each) for each in seconds)
    stood = None if waited is None else tuple(float(each) for each in waited)
    return Timing(scenario, "decode-to-label", "cpu", images, images, taken, blocks=apart, waited_s=stood)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("percentile", PERCENTILES)
def test_so_many_samples_carry_a_percentile_and_one_fewer_does_not(percentile: int, level: float):
    needs = least_independent(percentile, level=level)
    # The largest of n is an upper bound where all n lie below the percentile in at most 1 - level of draws.
    assert binom.pmf(needs, needs, percentile / 100) <= 1 - level < binom.pmf(needs - 1, needs - 1, percentile / 100)
    for n, carried in ((needs, True), (needs - 1, False)):
        told, refused = percentiles_of(timed(np.linspace(1, 2, n)), level=level)
        assert (percentile in {each.percentile for each in told}) is carried
        assert (percentile in {each.percentile for each in refused}) is not carried
        assert all(math.isfinite(each.upper) and math.isfinite(each.lower) for each in told)


def test_blocks_count_once_each():
    few = timed(np.linspace(1, 2, 1000), blocks=50)
    assert [each.percentile for each in percentiles_of(few, level=0.95)[0]] == [50, 90]
    assert [(each.percentile, each.needs) for each in percentiles_of(few, level=0.95)[1]] == [(95, 59), (99, 299)]


def test_what_is_told_is_loadgen_s_rank():
    told, _ = percentiles_of(timed(range(1, 1001)), level=0.95)
    assert [each.value for each in told] == [501, 901, 951, 991]  # zero-based rank floor(n p)
    assert all(each.lower <= each.value <= each.upper for each in told)


def queues(n: int, *, load: float, runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(runs, n) seconds from arrival to answer, and of these in line: Lindley's recursion, a service of a second."""
    rng = np.random.default_rng(seed)
    waited = np.zeros((runs, n))
    for place in range(1, n):
        waited[:, place] = np.maximum(0, waited[:, place - 1] + 1 - rng.exponential(1 / load, size=runs))
    return waited + rng.lognormal(sigma=0.01, size=(runs, n)), waited


@pytest.mark.parametrize("load", [0.3, 0.6])
def test_the_bound_of_a_percentile_holds_for_queries_that_stood_in_line(load: float):
    level, n = 0.95, 1000
    settled, _ = queues(6000, load=load, runs=100, seed=1)
    truth = np.quantile(settled[:, 500:], 0.99)
    runs = [
        timed(seconds, scenario="Server", waited=waited)
        for seconds, waited in zip(*queues(n, load=load, runs=200, seed=2), strict=True)
    ]
    bounds = [latency(each, metric="server_latency_s", level=level).upper for each in runs]
    held = sum(bound is None or bound >= truth for bound in bounds)
    as_if = sum(percentile_bounds(each.samples_s, quantile=0.99, level=level)[2] >= truth for each in runs)
    assert held >= binom.ppf(0.001, len(runs), level)
    assert as_if < binom.ppf(0.001, len(runs), level)  # were each query one for itself
    assert load > 0.3 or any(bound is not None for bound in bounds)


def test_slow_queries_of_one_busy_period_count_as_one():
    seconds = [1.0] * 1000
    alone = timed(seconds, scenario="Server", waited=[0.0] * 1000)
    assert independent_in(alone, quantile=0.99) == 1000
    # Twenty are in the tail that is twice as thick: a busy period of four, one of two, and fourteen for themselves.
    waited = [0.0] * 1000
    for place in (101, 102, 103, 201):
        waited[place] = 1.0
    for place in (100, 101, 102, 103, 200, 201, *range(300, 1000, 50)):
        seconds[place] = 2.0
    stood = timed(seconds, scenario="Server", waited=waited)
    assert independent_in(stood, quantile=0.99) == 1000 // 4
    assert latency(stood, metric="server_latency_s", level=0.95).upper is None  # it takes 299


def test_a_rate_that_nobody_keeps_up_with_bounds_no_percentile_of_the_tail():
    seconds, waited = queues(2000, load=1.2, runs=1, seed=5)
    overrun = timed(seconds[0], scenario="Server", waited=waited[0])
    assert latency(overrun, metric="server_latency_s", level=0.95).upper is None
    assert 99 in {each.percentile for each in percentiles_of(overrun, level=0.95)[1]}
    assert drift_of(overrun) is not None


@pytest.mark.parametrize(
    ("seconds", "waited"), [([-1.0], None), ([math.nan], None), ([1.0], [2.0]), ([1.0, 1.0], [0.0])]
)
def test_no_query_takes_less_than_no_time(seconds: list[float], waited: list[float] | None):
    with pytest.raises(ValueError, match="less than no time"):
        timed(seconds, waited=waited)


def test_where_no_trend_could_be_seen_none_is_denied():
    rising = [float(place) for place in range(1, 7)]
    assert drift_of(timed(rising)) == 1.0
    assert (drift_of(timed(rising[:5])), drift_blocks(timed(rising[:5]))) == (None, 0)
    page = page_of(replace(example_run(), timings=(timed(rising[:5], scenario="ColdStart"),)))
    assert "Too few queries to see whether they rise or fall" in page
    assert "show no trend" not in page
    page = page_of(replace(example_run(), timings=(timed([1.0, 2.0, 1.0, 2.0, 1.0, 2.0]),)))
    assert "show no trend; among few, a slight one is not seen" in page


@pytest.mark.parametrize(
    ("timing", "tier"),
    [
        (timed([0.01] * 60), "smoke"),
        (timed([0.1] * 661), "smoke"),
        (timed([1.0] * 59), "smoke"),
        (timed([0.1] * 662), "gate"),
        (timed([0.9] * 662), "gate"),
        (timed([1.0] * 662), "report"),
        (timed([30.0] * 5, scenario="Offline", images=100), "gate"),
        (timed([130.0] * 5, scenario="Offline", images=100), "gate"),
        (timed([130.0] * 5, scenario="Offline", images=5000), "report"),
    ],
)
def test_a_timing_is_fit_for_what_it_took(timing: Timing, tier: str):
    assert tier_of(timing) == tier


def test_a_timing_that_slows_down_has_no_steady_state_and_noise_has():
    rng = np.random.default_rng(3)
    noise = rng.lognormal(sigma=0.1, size=400)
    assert drift_of(timed(noise)) is None
    assert drift_of(timed(noise[:4])) is None  # of four nobody knows
    rising = drift_of(timed(noise * np.linspace(1, 1.5, 400)))
    falling = drift_of(timed(noise * np.linspace(1.5, 1, 400), blocks=10))
    assert rising is not None
    assert falling is not None
    assert rising > 0.5 > -0.5 > falling


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.2, 0.3, 0.5, 1.0])
def test_the_trend_is_scipy_s(slope: float):
    rng = np.random.default_rng(11)
    for _ in range(50):
        seconds = rng.lognormal(sigma=0.3, size=200) * np.linspace(1, 1 + slope, 200)
        medians = np.median(seconds.reshape(20, 10), axis=1)
        tau, p_value = kendalltau(range(20), medians, method="exact")
        found = drift_of(timed(seconds))
        if found is not None:
            assert found == pytest.approx(tau)
        if not 0.005 < p_value < 0.02:  # near the level a normal approximation may differ
            assert (found is not None) == (p_value < DRIFT_ALPHA)


def test_steady_queries_are_called_unsteady_no_oftener_than_the_test_allows():
    rng = np.random.default_rng(4)
    alarms = sum(drift_of(timed(rng.lognormal(sigma=0.2, size=60))) is not None for _ in range(1000))
    assert alarms <= binom.ppf(0.999, 1000, DRIFT_ALPHA)


def test_the_page_refuses_what_its_samples_do_not_carry():
    page = page_of(example_run())
    speed = page.partition('id="speed"')[2].partition("</section>")[0]
    assert "No percentile" in speed
    assert "samples taken as independent, and there are" in speed
    assert "only to show that timing works" in speed


def test_a_cold_start_of_a_command_has_no_pipe_of_its_own_on_the_page():
    run = example_run()
    asked = replace(timed([0.02] * 60), pipe_samples_s=(0.001,) * 5)
    page = page_of(replace(run, timings=(asked, timed([0.5] * 5, scenario="ColdStart"))))
    told = page.partition("asked through a pipe.")[2].partition("</p>")[0]
    assert "SingleStream" in told
    assert "ColdStart" not in told
