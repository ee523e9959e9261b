"""Which percentiles so many queries carry, whether they were steady, and what their timing is fit for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from example_run import example_run, page_of
from scipy.stats import binom, kendalltau

from harness.metrics.timing_rules import (
    DRIFT_ALPHA,
    PERCENTILES,
    drift_of,
    least_independent,
    percentiles_of,
    tier_of,
)
from harness.model.records import TimedBlocks, Timing


def timed(
    seconds: list[float] | np.ndarray, *, blocks: int = 1, scenario: str = "SingleStream", images: int = 1
) -> Timing:
    apart = TimedBlocks(blocks, 0.1, ()) if blocks > 1 else None
    taken = tuple(float(each) for each in seconds)
    return Timing(scenario, "decode-to-label", "cpu", images, images, taken, blocks=apart)


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
