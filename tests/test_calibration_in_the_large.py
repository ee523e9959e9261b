"""Mean confidence against accuracy: by hand, by patient, and how often a classifier at the tolerance passes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from harness.core.errors import ProtocolError
from harness.judge.criteria import judge
from harness.judge.verdicts import Outcome
from harness.metrics.calibration_in_the_large import NAME, calibration_in_the_large, mean_of
from harness.metrics.classification import evaluate
from harness.metrics.estimates import Estimate
from harness.metrics.predictions import Predictions
from harness.metrics.reliability import reliability_bins
from harness.protocol.file import read_protocol

PROTOCOLS = Path(__file__).parents[1] / "suites" / "protocols"
EMBEDDED = read_protocol(PROTOCOLS / "embedded.toml")
C2 = next(criterion for criterion in EMBEDDED.criteria if criterion.metric == NAME)


def answers(confidence: np.ndarray, right: np.ndarray, *, groups: tuple[str, ...] | None = None) -> Predictions:
    """Cells of two classes, each answered with its confidence."""
    labels = np.arange(len(right)) % 2
    called = np.where(right, labels, 1 - labels)
    probabilities = np.where(np.arange(2) == called[:, None], confidence[:, None], 1 - confidence[:, None])
    names = tuple(f"{i}.png" for i in range(len(right)))
    digests = tuple(f"{i:064x}" for i in range(len(right)))
    return Predictions("test", ("a", "b"), names, digests, labels, probabilities, groups=groups)


def measured(target: Predictions, *, level: float = 0.95) -> Estimate:
    evaluation = evaluate(target, intracluster_correlation=0.1)
    return calibration_in_the_large(float(target.confidence.mean()), evaluation, level=level)


def test_two_hundred_cells_by_hand():
    # Half are answered with 0.9 and half with 0.8, 160 of 200 are right: sure of 0.85, right about 0.8.
    found = measured(answers(np.tile([0.9, 0.8], 100), np.arange(200) >= 40))
    sided = binomtest(160, 200).proportion_ci(0.9, "exact")
    assert found.value == pytest.approx(0.05)
    assert found.upper == pytest.approx(0.85 - sided.low)
    assert found.lower == 0.0
    assert found.note.startswith("sure of 0.8500 on average, right about 0.8000: too sure; ")


def test_too_doubtful_counts_as_too_sure_does():
    found = measured(answers(np.full(200, 0.6), np.full(200, True)))
    assert found.value == pytest.approx(0.4)
    assert found.upper == pytest.approx(0.4)
    assert found.lower == pytest.approx(0.025 ** (1 / 200) - 0.6)
    assert "too doubtful" in found.note


def test_cells_of_one_patient_count_as_fewer():
    right = np.arange(200) >= 20
    alone = measured(answers(np.full(200, 0.9), right))
    grouped = measured(answers(np.full(200, 0.9), right, groups=tuple(f"p{i // 10}" for i in range(200))))
    assert grouped.value == alone.value
    assert grouped.upper > alone.upper
    assert "clustered" in grouped.method


@given(st.lists(st.floats(0.5, 1.0), min_size=1, max_size=60), st.integers(1, 20))
def test_the_bins_of_a_report_give_the_mean_confidence(confidence, n_bins):
    cells = np.array(confidence)
    bins = reliability_bins(cells, np.ones(len(cells)), n_bins=n_bins, binning="equal-mass")
    assert mean_of(bins) == pytest.approx(cells.mean(), abs=1e-12)


def test_one_cell_says_next_to_nothing():
    one = measured(answers(np.array([0.7]), np.array([True])))
    assert (one.value, one.upper) == (pytest.approx(0.3), pytest.approx(0.65))  # 0.05 of one cell: [0.05, 1]


@pytest.mark.parametrize("n", [60, 150, 375])
@pytest.mark.parametrize("gap", [0.05, -0.05])
def test_a_classifier_at_the_tolerance_passes_at_most_as_often_as_the_level_allows(n, gap):
    """Every number of right answers that there is, weighed: 22 to 63 % passed a test of "not significant" before."""
    confidence = 0.93
    truth, passed = confidence - gap, 0.0
    for k in range(n + 1):
        found = measured(answers(np.full(n, confidence), np.arange(n) < k), level=0.95)
        passed += binom.pmf(k, n, truth) * (found.upper <= 0.05)
    assert passed <= 0.05


def test_cells_of_unlike_confidence_are_no_worse():
    rng, n, runs = np.random.default_rng(5), 150, 600
    confidence = rng.beta(12, 1, n).clip(0.55, 0.999)
    chance = np.clip(confidence - 0.05, 0.0, 1.0)
    passed = sum(measured(answers(confidence, rng.random(n) < chance)).upper <= 0.05 for _ in range(runs))
    assert passed <= binom.ppf(0.999, runs, 0.05)


@pytest.mark.parametrize(
    ("n_wrong", "certainty", "outcome"),
    [(4, 0.985, Outcome.PASSED), (60, 0.985, Outcome.FAILED), (24, 0.985, Outcome.INCONCLUSIVE)],
)
def test_the_criterion_passes_fails_or_says_that_there_are_too_few_cells(n_wrong, certainty, outcome):
    found = measured(answers(np.full(400, certainty), np.arange(400) >= n_wrong), level=0.975)
    verdict = judge(C2, found, protocol=EMBEDDED, today=date(2026, 1, 15), look=None if C2.level == 0.975 else 1)
    assert verdict.outcome is outcome


def test_a_criterion_that_passes_where_nothing_was_found_is_refused_with_what_to_write(tmp_path):
    text = (PROTOCOLS / "base.toml").read_text()
    old = text.replace(f'metric = "{NAME}"\nceiling = 0.05', 'metric = "excess_calibration_error"\nceiling = 0.0')
    assert old != text
    (tmp_path / "base.toml").write_text(old)
    for name in ("embedded.toml", "leukocyte-base.toml"):
        (tmp_path / name).write_text((PROTOCOLS / name).read_text())
    with pytest.raises(ProtocolError, match=r'C2: to pass on "excess_calibration_error".*"calibration_in_the_large"'):
        read_protocol(tmp_path / "embedded.toml")


def test_a_pack_that_was_judged_on_the_old_metric_can_still_be_read():
    old = C2.model_copy(update={"metric": "excess_calibration_error", "ceiling": 0.0})
    criteria = tuple(old if each.id == "C2" else each for each in EMBEDDED.criteria)
    assert type(EMBEDDED).model_validate({**dict(EMBEDDED), "criteria": criteria})
