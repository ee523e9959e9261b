"""Confidence: calibration records as estimates that the judge can decide on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from harness.judge.criteria import judge
from harness.judge.verdicts import Outcome
from harness.metrics.calibration import calibration_report
from harness.metrics.classification import evaluate
from harness.metrics.confidence import METRICS, calibration_estimate
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.predictions import Predictions
from harness.metrics.predictive_values import ppv_at_prevalence
from harness.metrics.reliability import calibration_error_bounds
from harness.protocol.file import read_protocol

CLASSES = ("rare", "common")
PREVALENCE = {"rare": 0.1, "common": 0.9}
PROTOCOL = read_protocol(Path(__file__).parents[1] / "suites" / "protocols" / "embedded.toml")
ID = {criterion.id: criterion for criterion in PROTOCOL.criteria}
TODAY = date(2026, 1, 15)


def predictions(name: str, *, n: int, n_wrong: int, certainty: float, seed: int) -> Predictions:
    """Half the cells of each class; the first `n_wrong` are called the other class, all with one confidence."""
    labels = np.arange(n) % 2
    called = np.where(np.arange(n) < n_wrong, 1 - labels, labels)
    probabilities = np.where(np.arange(2) == called[:, None], certainty, 1 - certainty)
    return Predictions(
        name,
        CLASSES,
        tuple(f"{name}/{i}.png" for i in range(n)),
        tuple(f"{seed * 10_000 + i:064x}" for i in range(n)),
        labels,
        probabilities,
    )


def measured(metric: str, *, n_wrong: int = 20, certainty: float = 0.9, n_fit: int = 200) -> Estimate:
    fit = predictions("validation", n=n_fit, n_wrong=n_fit // 10, certainty=certainty, seed=1)
    target = predictions("test", n=200, n_wrong=n_wrong, certainty=certainty, seed=2)
    report = calibration_report(
        fit, target, n_bins=15, binning="equal-width", alpha=0.05, level=0.95, prevalence=PREVALENCE, seed=42
    )
    cell_class = "rare" if metric == "ppv" else None
    found = calibration_estimate(
        report, evaluate(target), metric, cell_class=cell_class, prevalence=PREVALENCE, level=0.975
    )
    assert isinstance(found, Estimate)
    return found


def test_a_calibration_error_has_bounds_at_the_level_that_is_asked():
    # 180 of 200 right at confidence 0.9: no gap at all, and one filled bin with all of alpha.
    found = measured("calibration_error")
    assert found.value == pytest.approx(0.0, abs=1e-12)
    low, high = clopper_pearson_bounds(180, 200, level=0.975)
    assert found.upper == pytest.approx(max(0.9 - low, high - 0.9))
    assert (found.lower, found.level) == (0.0, 0.975)
    assert "15 equal-width bins" in found.note


def test_bounds_come_from_the_bins_of_the_report():
    target = predictions("test", n=200, n_wrong=60, certainty=0.9, seed=2)
    fit = predictions("validation", n=200, n_wrong=20, certainty=0.9, seed=1)
    report = calibration_report(
        fit, target, n_bins=15, binning="equal-width", alpha=0.05, level=0.95, prevalence=None, seed=42
    )
    found = calibration_estimate(
        report, evaluate(target), "calibration_error", cell_class=None, prevalence=None, level=0.99
    )
    assert (found.lower, found.upper) == calibration_error_bounds(report.before.bins, level=0.99)
    assert found.value == pytest.approx(0.2)  # 0.9 claimed, 0.7 delivered


@pytest.mark.parametrize(("n_wrong", "expected"), [(20, Outcome.PASSED), (60, Outcome.FAILED)])
def test_only_a_calibration_error_beyond_chance_is_an_excess(n_wrong, expected):
    found = measured("excess_calibration_error", n_wrong=n_wrong)
    asked = ID["C2"].model_copy(update={"metric": "excess_calibration_error", "ceiling": 0.0})
    assert judge(asked, found, protocol=PROTOCOL, today=TODAY).outcome is expected
    assert found.is_exact


def test_a_sure_classifier_that_is_always_right_has_no_excess():
    # The error equals the null's limit but for rounding; a hair must not fail a criterion of 0.
    found = measured("excess_calibration_error", n_wrong=0, certainty=1 - 1e-9, n_fit=400)
    assert found.value == 0.0


def test_coverage_of_conformal_sets_is_a_proportion_of_cells():
    found = measured("conformal_coverage")
    assert (found.k, found.n) == (200, 200)  # one wrong in ten is more than alpha, so both classes are let in
    assert found.lower == pytest.approx(0.025 ** (1 / 200))
    assert "sets that may miss 0.05, calibrated on 200 cells of validation" in found.note


def test_sets_that_hold_every_class_for_want_of_cells_prove_nothing():
    found = measured("conformal_coverage", n_fit=10)
    assert found.value is None
    verdict = judge(ID["C3"], found, protocol=PROTOCOL, today=TODAY)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "10 cells of validation are too few to miss only 0.05" in verdict.reason


def test_a_predictive_value_is_that_of_the_stated_prevalence():
    found = measured("ppv")
    target = predictions("test", n=200, n_wrong=20, certainty=0.9, seed=2)
    wanted = ppv_at_prevalence(evaluate(target).confusion, CLASSES, PREVALENCE, level=0.975)[0]
    assert (found.value, found.lower, found.upper) == (wanted.value, wanted.lower, wanted.upper)
    assert found.value == pytest.approx(0.1 * 0.9 / (0.1 * 0.9 + 0.9 * 0.1))
    assert "at a share of 0.1 of the cells met" in found.note


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_a_set_that_is_not_there_has_no_confidence(metric):
    missing = Unavailable("no such set")
    assert calibration_estimate(missing, missing, metric, cell_class=None, prevalence=None, level=0.95) is missing


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_every_metric_is_measured_under_its_own_name_and_set(metric):
    found = measured(metric)
    assert (found.metric, found.set) == (metric, "test")
    assert replace(found, note="") != found
