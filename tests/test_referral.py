"""Cells below a confidence are referred: the threshold is proven on one set, its errors are counted on another."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy import stats
from test_ledger import sha

from harness.core.errors import ProtocolError
from harness.judge.criteria import judge
from harness.judge.verdicts import Outcome
from harness.metrics.calibration import calibration_report
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.measurements import NothingRecorded
from harness.metrics.predictions import Predictions
from harness.metrics.referral import METRICS, THRESHOLDS, fewest_to_show, proven_threshold, referral_of
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.statistics import ReferralPlan

PLAN = ReferralPlan(max_risk=0.05, level=0.95)


def said(blocks: list[tuple[float, int, int]], *, set_name: str = "validation") -> Predictions:
    """Blocks of (confidence, cells, how many of them are wrong)."""
    confidence = np.repeat([each[0] for each in blocks], [each[1] for each in blocks])
    right = np.concatenate([[False] * wrong + [True] * (n - wrong) for _, n, wrong in blocks])
    names = [f"{set_name} {row}" for row in range(len(right))]
    return Predictions(
        set=set_name,
        classes=("a", "b"),
        paths=tuple(names),
        digests=tuple(map(sha, names)),
        labels=np.where(right, 0, 1),
        probabilities=np.stack([confidence, 1 - confidence], axis=1),
    )


def proven(found: Predictions, *, max_risk: float = 0.05, level: float = 0.95) -> float | None:
    return proven_threshold(found, max_risk=max_risk, level=level, assumed_correlation=0.1)


def test_thresholds_fall_from_certainty_to_every_cell():
    assert (THRESHOLDS[0], THRESHOLDS[-1]) == (0.999, 0.0)
    assert list(THRESHOLDS) == sorted(set(THRESHOLDS), reverse=True)


def test_the_lowest_threshold_that_is_shown_is_taken_and_the_first_that_is_not_ends_it():
    # 100 sure cells without an error show a risk of at most 3 %; with 20 wrong ones at 0.7 they do not.
    assert proven(said([(0.95, 100, 0), (0.7, 50, 20)])) == 0.71
    assert proven(said([(0.95, 100, 0), (0.7, 50, 0)])) == 0.0
    # What comes after the first failure is not looked at, though 2,000 more cells without an error would show it.
    assert proven(said([(0.95, 100, 0), (0.8, 50, 20), (0.6, 2000, 0)])) == 0.81


def test_too_few_cells_show_nothing_and_thresholds_that_answer_so_few_are_passed_over():
    assert fewest_to_show(0.05, level=0.95) == 59
    assert proven(said([(0.9, 58, 0)])) is None
    assert proven(said([(0.9, 59, 0)])) == 0.0
    assert proven(said([(0.99, 10, 1), (0.9, 190, 1)])) == 0.0  # ten cells with an error decide nothing by themselves


def test_the_test_is_the_exact_binomial_one():
    for n in range(60, 140, 7):
        for wrong in range(6):
            shown = stats.binom.cdf(wrong, n, 0.05) <= 0.05
            assert (proven(said([(0.9, n, wrong)])) is not None) == shown


def test_a_threshold_that_does_not_keep_the_risk_is_taken_in_at_most_one_of_twenty_sets():
    # At every threshold 5.1 % of the answers are wrong: whatever is taken is a mistake.
    rng, n_sets, taken = np.random.default_rng(1), 600, 0
    template = said([(0.5, 300, 0)])
    for _ in range(n_sets):
        confidence = rng.uniform(0.5, 1.0, 300)
        wrong = rng.random(300) < 0.051
        drawn = replace(
            template,
            labels=wrong.astype(np.int64),
            probabilities=np.stack([confidence, 1 - confidence], axis=1),
        )
        taken += proven(drawn) is not None
    assert taken <= stats.binom.ppf(0.999, n_sets, 0.05)


def test_over_patients_less_is_shown():
    found = said([(0.95, 100, 0)])
    grouped = replace(found, groups=tuple(f"patient:{row % 3}" for row in range(100)))
    assert proven(found) == 0.0
    assert proven(grouped) is None


def estimates(
    target: Predictions, fit: Predictions, *, plan: ReferralPlan | None = PLAN
) -> list[Estimate | Unavailable]:
    report = calibration_report(
        fit,
        target,
        n_bins=5,
        binning="equal-width",
        alpha=0.05,
        level=0.95,
        prevalence=None,
        seed=1,
        referral=plan,
    )

    class Recorded(NothingRecorded):
        def calibration(self, set_name: str):
            return report

    class Subject:
        set, cell_class, kind = "test", None, None

    recorded = Recorded(read_protocol(DEFAULT_PROTOCOL), what="one report")
    return [metric.estimate(recorded, Subject(), 0.975) for metric in METRICS]


def test_errors_and_referrals_are_counted_on_the_other_set_with_exact_bounds():
    fit = said([(0.95, 100, 0), (0.7, 50, 20)])
    risk, rate = estimates(said([(0.9, 80, 3), (0.6, 20, 10)], set_name="test"), fit)
    assert isinstance(risk, Estimate)
    assert isinstance(rate, Estimate)
    assert (risk.k, risk.n, risk.upper) == (3, 80, clopper_pearson_bounds(3, 80, level=0.975)[1])
    assert (rate.k, rate.n, rate.value) == (20, 100, 0.2)
    assert "from a confidence of 0.71 on, which 150 cells of validation show" in risk.note
    assert "20 of 100 referred" in risk.note


def test_where_nothing_is_shown_every_cell_is_referred_and_the_risk_is_undefined():
    target = said([(0.9, 20, 0)], set_name="test")
    risk, rate = estimates(target, said([(0.9, 30, 5)]))
    assert isinstance(risk, Estimate)
    assert isinstance(rate, Estimate)
    assert (risk.value, rate.value) == (None, 1.0)
    assert "every cell is referred" in risk.note
    assert isinstance(estimates(target, said([(0.9, 30, 5)]), plan=None)[0], Unavailable)


def test_the_groups_of_the_other_set_are_counted():
    target = replace(said([(0.9, 4, 1), (0.6, 2, 1)], set_name="test"), groups=("p", "p", "q", "q", "p", "q"))
    found = referral_of(
        said([(0.95, 100, 0), (0.7, 50, 20)]), target, max_risk=0.05, level=0.95, assumed_correlation=0.1
    )
    assert found.errors_by_group == ((1, 2), (0, 2))
    assert found.referred_by_group == ((1, 3), (1, 3))


def test_a_criterion_on_it_needs_the_rule(tmp_path):
    file = tmp_path / "referring.toml"
    text = """
[[criteria]]
id = "LT1"
question = "calibration"
set = "test"
metric = "selective_risk"
ceiling = 0.1
level = 0.95
rationale = "One answer of ten may be wrong."
required = false
"""
    file.write_text(f'extends = "{DEFAULT_PROTOCOL.as_posix()}"\n{text}')
    with pytest.raises(ProtocolError, match=r"calibration\.referral"):
        read_protocol(file)
    file.write_text(
        f'extends = "{DEFAULT_PROTOCOL.as_posix()}"\n[calibration]\nreferral = {{ max_risk = 0.05 }}\n{text}'
    )
    read = read_protocol(file)
    assert read.calibration.referral == PLAN
    # Too few answers decide nothing; how many would is not told of a ceiling.
    criterion = next(each for each in read.criteria if each.id == "LT1")
    risk, _ = estimates(said([(0.9, 20, 1)], set_name="test"), said([(0.95, 100, 0)]))
    verdict = judge(criterion, risk, protocol=read, today=date(2026, 1, 1), look=1)
    assert (verdict.outcome, verdict.n_to_decide) == (Outcome.INCONCLUSIVE, None)
