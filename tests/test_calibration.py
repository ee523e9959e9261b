"""Calibration: the oracle vector, scikit-learn and brute force beside it, coverage by simulation, planted faults."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import beta, betabinom, chisquare
from sklearn.metrics import brier_score_loss, log_loss

from harness.core.errors import HarnessError, InvalidPredictions, UndefinedStatistic
from harness.metrics.calibration import calibration_report
from harness.metrics.calibration_records import FittedOnTarget, PrevalenceShift, ReliabilityBin
from harness.metrics.conformal import conformal_expectation, conformal_result, conformal_sets, conformal_threshold
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.predictions import Predictions
from harness.metrics.predictive_values import ppv_at_prevalence, prevalence_shift
from harness.metrics.reliability import (
    calibration_error_bounds,
    expected_calibration_error,
    maximum_calibration_error,
    null_calibration_error,
    reliability_bins,
)
from harness.metrics.scoring_rules import multiclass_brier, negative_log_likelihood, top_label_brier
from harness.metrics.selective import risk_coverage_curve, selective_guarantee
from harness.metrics.temperature import COLDEST, HOTTEST, apply_temperature, fit_temperature, temperature_scaled

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
CONFIDENCE, CORRECT = [0.95, 0.85, 0.75, 0.65, 0.55], [1, 1, 0, 1, 0]  # the oracle vector
BINNINGS = st.sampled_from(["equal-width", "equal-mass"])
seeds = st.integers(0, 2**32 - 1)


def spread(confidence: list[float], correct: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Five-class probabilities of these confidences in class 0, the rest spread evenly, and labels to match."""
    probabilities = np.repeat((1 - np.array(confidence))[:, None] / 4, 5, axis=1)
    probabilities[:, 0] = confidence
    return probabilities, np.where(np.array(correct, dtype=bool), 0, 1)


def cells(n: int, seed: int, *, name: str = "test", sharpness: float = 3.0, skill: float = 2.0) -> Predictions:
    """Seeded predictions: labels drawn from the probabilities at `skill`, stated at `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 5))
    truth = apply_temperature(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 1 / skill)
    labels = np.array([rng.choice(5, p=row) for row in truth], dtype=np.int64)
    names = tuple(f"{name}-{i}" for i in range(n))
    return Predictions(
        set=name,
        classes=CLASSES,
        paths=names,
        digests=tuple(f"sha256 of {cell}" for cell in names),
        labels=labels,
        probabilities=apply_temperature(truth, skill / sharpness),
    )


def bins_of(confidence, correct, n_bins, binning="equal-width"):
    return reliability_bins(confidence, correct, n_bins=n_bins, binning=binning)


# --- reliability ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_bins", "binning", "ece"),
    [(5, "equal-width", 0.23), (10, "equal-width", 0.37), (15, "equal-width", 0.37), (5, "equal-mass", 0.37)],
)
def test_the_calibration_error_of_the_oracle_vector_under_each_bin_rule(n_bins, binning, ece):
    assert expected_calibration_error(bins_of(CONFIDENCE, CORRECT, n_bins, binning)) == pytest.approx(ece, abs=1e-12)


def test_the_maximum_calibration_error_of_the_oracle_vector():
    # Five bins: (.4, .6] holds .55, wrong, so .55; (.6, .8] |.5 - .7| = .2; (.8, 1] |1 - .9| = .1.
    assert maximum_calibration_error(bins_of(CONFIDENCE, CORRECT, 5)) == pytest.approx(0.55, abs=1e-12)


def test_ece_of_a_bin_that_claims_90_and_delivers_60_is_30_points():
    # Ten cells at confidence 0.9, six right: |0.6 - 0.9| = 0.3, by hand.
    bins = bins_of([0.9] * 10, [1] * 6 + [0] * 4, 10)
    assert expected_calibration_error(bins) == pytest.approx(0.3)
    filled = next(b for b in bins if b.n)
    assert (filled.lower, filled.upper, filled.n, filled.n_correct) == (0.8, 0.9, 10, 6)
    assert (filled.accuracy, filled.gap) == (0.6, pytest.approx(-0.3))


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    # 3 * 0.1 is 0.30000000000000004 in floats; the edge is 3 / 10.
    edges = [i / 10 for i in range(11)]
    bins = bins_of(edges, [1] * 11, 10)
    assert [b.n for b in bins] == [2] + [1] * 9  # the first holds 0 as well
    assert [b.upper for b in bins] == edges[1:]
    just_above = bins_of(np.nextafter(edges[1:-1], 1), [1] * 9, 10)
    assert [b.n for b in just_above] == [0] + [1] * 9


def test_an_empty_bin_has_no_accuracy_and_no_confidence():
    empty = bins_of([0.9], [1], 2)[0]
    assert (empty.n, empty.mean_confidence, empty.accuracy, empty.gap) == (0, None, None, None)


def test_bins_of_equal_mass_keep_ties_together_and_differ_by_at_most_one_without():
    rng = np.random.default_rng(1)
    assert {b.n for b in bins_of(rng.random(100), np.ones(100), 15, "equal-mass")} == {6, 7}
    tied = bins_of([0.5] * 8 + [1.0] * 3, [1] * 11, 5, "equal-mass")
    assert [(b.lower, b.upper, b.n) for b in tied] == [(0.0, 0.5, 8), (0.5, 1.0, 3)]


def test_brute_force_sorts_every_cell_into_the_same_bin():
    rng = np.random.default_rng(2)
    confidence, correct = rng.integers(0, 101, 500) / 100, rng.integers(0, 2, 500)
    for n_bins in (1, 7, 10, 15, 20):
        for b in bins_of(confidence, correct, n_bins):
            held = [i for i, c in enumerate(confidence) if b.lower < c <= b.upper or (b.lower == 0 == c)]
            assert (b.n, b.n_correct) == (len(held), correct[held].sum())
            if held:
                assert b.mean_confidence == pytest.approx(confidence[held].mean(), abs=1e-15)


@given(seed=seeds, n=st.integers(1, 80), n_bins=st.integers(1, 30), binning=BINNINGS, coarse=st.booleans())
def test_bins_cover_every_cell_once_and_no_order_of_the_cells_changes_them(seed, n, n_bins, binning, coarse):
    rng = np.random.default_rng(seed)
    confidence, correct = rng.random(n), rng.integers(0, 2, n)
    if coarse:
        confidence = confidence.round(1)
    bins = bins_of(confidence, correct, n_bins, binning)
    assert (sum(b.n for b in bins), sum(b.n_correct for b in bins)) == (n, correct.sum())
    assert (bins[0].lower, bins[-1].upper) == (0.0, 1.0)
    assert all(left.upper == right.lower for left, right in itertools.pairwise(bins))
    assert all(b.lower <= b.mean_confidence <= b.upper + 1e-15 for b in bins if b.n)
    order = rng.permutation(n)
    assert bins_of(confidence[order], correct[order], n_bins, binning) == bins
    ece, mce = expected_calibration_error(bins), maximum_calibration_error(bins)
    lower, upper = calibration_error_bounds(bins, level=0.95)
    assert 0 <= lower <= ece + 1e-12 <= mce + 2e-12 <= 1 + 3e-12
    assert ece <= upper + 1e-12 <= 1 + 2e-12


def test_the_bounds_of_one_bin_by_hand():
    # 6/10 at confidence 0.9. Lower bound: both sides, 97.5 % each: [.262378, .878448], so .9 - .878448.
    # Upper bound: one side, 95 %: .9 - .303537.
    bins = bins_of([0.9] * 10, [1] * 6 + [0] * 4, 10)
    assert calibration_error_bounds(bins, level=0.95) == pytest.approx((0.9 - 0.878448, 0.9 - 0.303537), abs=1e-6)


@pytest.mark.parametrize("shift", [0.0, -0.1, 0.05], ids=["calibrated", "overconfident", "underconfident"])
def test_each_bound_of_the_calibration_error_covers_in_simulation(shift):
    # Within a bin the cells differ in their chance of being right: not binomial, and still covered.
    rng, runs = np.random.default_rng(3), 400
    confidence = 1 - 0.6 * rng.beta(0.5, 2, 300)
    chance = np.clip(confidence + shift + rng.uniform(-0.04, 0.04, 300), 0, 1)
    index = np.searchsorted(np.arange(1, 6) / 5, confidence)
    truth = sum(abs((chance - confidence)[index == b].sum()) for b in range(5)) / 300
    below = above = 0
    for _ in range(runs):
        bins = bins_of(confidence, rng.random(300) < chance, 5)
        lower, upper = calibration_error_bounds(bins, level=0.9)
        below += lower <= truth
        above += truth <= upper
    assert min(below, above) / runs >= 0.9


def test_a_perfectly_calibrated_model_shows_the_oracle_null():
    # Confidence ~ 1 - Beta(.3, 30) at n = 375: mean .0056, 95th percentile .0113, over draws of the confidences too.
    rng = np.random.default_rng(4)
    nulls = [
        null_calibration_error(
            1 - rng.beta(0.3, 30, 375), n_bins=15, binning="equal-width", quantile=0.95, rng=rng, n_simulations=400
        )
        for _ in range(60)
    ]
    assert np.mean([null.mean for null in nulls]) == pytest.approx(0.0056, abs=0.0003)
    assert np.mean([null.limit for null in nulls]) == pytest.approx(0.0113, abs=0.0006)
    assert (nulls[0].n, nulls[0].n_simulations, nulls[0].quantile) == (375, 400, 0.95)


@pytest.mark.parametrize("binning", ["equal-width", "equal-mass"])
def test_the_null_of_a_plain_loop_is_the_same(binning):
    confidence = np.random.default_rng(5).uniform(0.4, 1, 60)
    rng = np.random.default_rng(6)
    slow = [
        expected_calibration_error(bins_of(confidence, rng.random(60) < confidence, 10, binning)) for _ in range(3000)
    ]
    fast = null_calibration_error(
        confidence, n_bins=10, binning=binning, quantile=0.9, rng=np.random.default_rng(7), n_simulations=20_000
    )
    assert fast.mean == pytest.approx(np.mean(slow), abs=0.004)
    assert fast.limit == pytest.approx(np.quantile(slow, 0.9), abs=0.008)


def test_the_null_needs_no_order_of_the_cells_and_only_the_generator_given():
    confidence = np.random.default_rng(8).random(50)
    one, other = (
        null_calibration_error(
            c, n_bins=15, binning="equal-mass", quantile=0.95, rng=np.random.default_rng(9), n_simulations=50
        )
        for c in (confidence, confidence[::-1])
    )
    assert one == other


# --- proper scores --------------------------------------------------------------------------------


def test_the_proper_scores_of_the_oracle_vector():
    probabilities, labels = spread(CONFIDENCE, CORRECT)
    assert top_label_brier(CONFIDENCE, CORRECT) == pytest.approx(0.2025, abs=1e-12)
    assert multiclass_brier(probabilities, labels) == pytest.approx(0.553125, abs=1e-12)
    assert negative_log_likelihood(probabilities, labels) == pytest.approx(1.120397, abs=5e-7)


@given(seed=seeds, n=st.integers(2, 60))
def test_scikit_learn_scores_the_same(seed, n):
    predictions = cells(n, seed)
    p, labels = predictions.probabilities, predictions.labels
    known = list(range(5))
    assert multiclass_brier(p, labels) == pytest.approx(brier_score_loss(labels, p, labels=known), abs=1e-12)
    assert negative_log_likelihood(p, labels) == pytest.approx(log_loss(labels, p, labels=known), abs=1e-9)
    right = predictions.correct.astype(int)
    witness = brier_score_loss(right, predictions.confidence, pos_label=1, labels=[0, 1])
    assert top_label_brier(predictions.confidence, right) == pytest.approx(witness, abs=1e-12)


def test_a_reference_class_called_impossible_makes_the_likelihood_infinite():
    assert negative_log_likelihood([[1.0, 0.0], [0.5, 0.5]], [1, 0]) == math.inf
    assert negative_log_likelihood([[1.0, 0.0]], [0]) == 0.0


# --- temperature ----------------------------------------------------------------------------------


def peaked(z: float, accuracy: float, n: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """n cells of logits (z, 0, 0, 0, 0), the stated share of them of class 0."""
    row = np.exp([z, 0, 0, 0, 0]) / np.exp([z, 0, 0, 0, 0]).sum()
    n_right = round(accuracy * n)
    return np.tile(row, (n, 1)), np.array([0] * n_right + [1 + i % 4 for i in range(n - n_right)])


def fitted(probabilities, labels):
    return fit_temperature(probabilities, labels, fitted_on="validation", digest="d")


def test_the_temperature_of_the_oracle_logits():
    found = fitted(*peaked(8, 0.95))
    assert found.value == pytest.approx(1.847262, abs=5e-7)
    assert (found.nll_before, found.nll_after) == pytest.approx((0.401341, 0.267830), abs=5e-7)
    assert (found.n, found.fitted_on, found.digest, found.n_clipped, found.at_bound) == (
        100,
        "validation",
        "d",
        0,
        False,
    )


@pytest.mark.parametrize("z", [0.5, 3.0, 8.0, 15.0])
@pytest.mark.parametrize("accuracy", [0.4, 0.8, 0.99])
def test_the_temperature_has_its_closed_form_wherever_it_is_in_range(z, accuracy):
    closed_form = z / math.log(4 * accuracy / (1 - accuracy))
    assert COLDEST < closed_form < HOTTEST
    assert fitted(*peaked(z, accuracy)).value == pytest.approx(closed_form, rel=1e-9)


@settings(max_examples=25)
@given(seed=seeds, sharpness=st.floats(0.5, 6))
def test_a_grid_and_a_minimiser_find_no_better_temperature(seed, sharpness):
    predictions = cells(80, seed, sharpness=sharpness)
    p, labels = predictions.probabilities, predictions.labels
    found = fitted(p, labels)

    def nll(log_t):
        return negative_log_likelihood(apply_temperature(p, math.exp(log_t)), labels)

    best = minimize_scalar(nll, bounds=(math.log(COLDEST), math.log(HOTTEST)), method="bounded")
    grid = min(nll(log_t) for log_t in np.linspace(math.log(COLDEST), math.log(HOTTEST), 50))
    assert found.nll_after <= min(best.fun, grid) + 1e-9
    assert found.nll_after == pytest.approx(nll(math.log(found.value)), abs=1e-9)
    assert found.nll_after <= found.nll_before + 1e-12


def test_the_temperature_that_was_planted_is_found():
    found = fitted(*(lambda p: (p.probabilities, p.labels))(cells(4000, 10, sharpness=6.0, skill=2.0)))
    assert found.value == pytest.approx(3.0, rel=0.1)


def test_every_cell_right_drives_the_temperature_to_its_lower_end_and_says_so():
    found = fitted(*peaked(8, 1.0))
    assert (found.value, found.at_bound) == (COLDEST, True)
    assert found.nll_after < found.nll_before


def test_worse_than_chance_drives_the_temperature_to_its_upper_end_and_says_so():
    found = fitted(*peaked(8, 0.1))
    assert (found.value, found.at_bound) == (HOTTEST, True)


def test_uniform_probabilities_have_no_temperature_and_keep_theirs():
    found = fitted(np.full((4, 5), 0.2), [0, 1, 2, 3])
    assert (found.value, found.at_bound) == (1.0, False)


def test_a_probability_of_exactly_0_is_lifted_and_counted():
    found = fitted([[1.0, 0.0], [1.0, 0.0], [0.6, 0.4]], [0, 1, 0])
    assert found.n_clipped == 2
    assert math.isfinite(found.nll_before)
    assert found.value > 1


@given(
    rows=st.lists(st.lists(st.sampled_from([0.0, 1e-300, 1e-9, 0.1, 0.3, 1.0]), min_size=5, max_size=5), min_size=1),
    temperature=st.floats(0.01, 50),
    nudge=st.integers(0, 4),
)
def test_no_temperature_changes_a_predicted_class_ties_and_near_ties_included(rows, temperature, nudge):
    weights = np.array(rows) + np.eye(5)[0] * (np.sum(rows, axis=1) == 0)[:, None]
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    nearly_tied = probabilities.copy()
    nearly_tied[:, nudge] = np.nextafter(nearly_tied[:, nudge], 1)
    for p in (probabilities, nearly_tied):
        scaled = apply_temperature(p, temperature)
        assert (scaled.argmax(axis=1) == p.argmax(axis=1)).all()
        assert scaled.sum(axis=1) == pytest.approx(1.0, abs=1e-12)


def test_a_winner_by_one_rounding_still_wins_when_heated():
    p = np.array([[np.nextafter(0.3, 0), 0.3, 0.2, 0.1, 0.1]])
    assert apply_temperature(p, 20.0).argmax() == 1


def test_temperature_one_changes_nothing_and_a_temperature_must_be_positive():
    predictions = cells(30, 11)
    assert apply_temperature(predictions.probabilities, 1.0) == pytest.approx(predictions.probabilities, abs=1e-15)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="not a positive number"):
            apply_temperature([[0.5, 0.5]], wrong)


def test_a_temperature_fitted_on_the_test_set_is_refused():
    test = cells(40, 12)
    with pytest.raises(
        FittedOnTarget, match=r"fitted on the set that it is applied to: 40 of 40 .* first 'test-0'"
    ) as e:
        temperature_scaled(test, fit=test)
    assert isinstance(e.value, HarnessError)
    assert isinstance(e.value, ValueError)
    # One image under another name and in another set is the same image.
    other = cells(40, 13, name="validation")
    leaked = dataclasses.replace(other, digests=(test.digests[7], *other.digests[1:]))
    with pytest.raises(FittedOnTarget, match="1 of 40 images of 'test' are also in 'validation', first 'test-7'"):
        temperature_scaled(test, fit=leaked)


def test_scaled_predictions_keep_all_but_their_probabilities_and_record_the_fit():
    validation, test = cells(60, 14, name="validation"), cells(40, 15)
    scaled = temperature_scaled(test, fit=validation)
    assert (scaled.temperature.fitted_on, scaled.temperature.digest) == ("validation", validation.digest)
    assert (scaled.predictions.digests, scaled.predictions.set) == (test.digests, "test")
    assert scaled.predictions.predicted.tolist() == test.predicted.tolist()


def test_a_fit_on_other_classes_is_refused():
    validation = dataclasses.replace(cells(20, 16, name="validation"), classes=tuple(reversed(CLASSES)))
    with pytest.raises(InvalidPredictions, match="means nothing on the other"):
        temperature_scaled(cells(20, 17), fit=validation)


# --- split conformal ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "alpha", "rank", "mean", "low_high", "hits"),
    [
        (375, 0.05, 358, 0.952128, (0.9328, 0.9687), (344, 367)),
        (375, 0.01, 373, 0.992021, None, (366, 375)),
        (75, 0.05, 73, 0.960526, (0.9184, 0.9890), None),
    ],
)
def test_what_the_oracle_says_that_conformal_sets_promise(n, alpha, rank, mean, low_high, hits):
    expected = conformal_expectation(n, 375, alpha=alpha)
    assert (expected.rank, round(expected.mean, 6)) == (rank, mean)
    if low_high is not None:
        assert (round(expected.low, 4), round(expected.high, 4)) == low_high
    if hits is not None:
        assert (expected.hits_low, expected.hits_high) == hits


@pytest.mark.parametrize(("alpha", "needed"), [(0.1, 9), (0.05, 19), (0.01, 99), (0.001, 999)])
def test_a_threshold_of_needs_as_many_cells_as_the_oracle_says(alpha, needed):
    predictions = cells(needed, 18, name="validation")
    p, labels = predictions.probabilities, predictions.labels
    assert conformal_expectation(needed, 10, alpha=alpha).finite
    assert math.isfinite(conformal_threshold(p, labels, alpha=alpha))
    assert conformal_threshold(p[:-1], labels[:-1], alpha=alpha) == math.inf
    full = conformal_expectation(needed - 1, 10, alpha=alpha)
    assert (full.finite, full.mean, full.hits_low, full.hits_high) == (False, 1.0, 10, 10)


def test_too_few_calibration_cells_give_full_sets_and_say_so():
    found = conformal_result(cells(18, 19, name="validation"), cells(30, 20), alpha=0.05)
    assert (found.threshold, found.covered, found.n, found.mean_set_size) == (None, 30, 30, 5.0)
    assert (found.n_empty, found.n_single, found.n_multiple, found.in_range) == (0, 0, 30, True)


def test_the_threshold_by_hand():
    # Scores .1 .2 .3 .4 of four cells; rank ceil(5 * .7) = 4 at alpha .3, ceil(5 * .5) = 3 at alpha .5.
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    assert conformal_threshold(p, [0] * 4, alpha=0.3) == pytest.approx(0.4)
    assert conformal_threshold(p, [0] * 4, alpha=0.5) == pytest.approx(0.3)


@given(seed=seeds, n=st.integers(1, 60), alpha=st.sampled_from([0.3, 0.1, 0.05]))
def test_brute_force_finds_the_same_sets(seed, n, alpha):
    calibration, target = cells(n, seed, name="validation"), cells(25, seed + 1)
    found = conformal_result(calibration, target, alpha=alpha)
    scores = [1 - calibration.probabilities[i, label] for i, label in enumerate(calibration.labels)]
    # The smallest score at or below which at least (n + 1)(1 - alpha) of the scores lie; alpha in hundredths.
    enough = [s for s in scores if 100 * sum(t <= s for t in scores) >= (n + 1) * (100 - round(100 * alpha))]
    threshold = min(enough, default=math.inf)
    sets = [{c for c in range(5) if 1 - row[c] <= threshold} for row in target.probabilities]
    assert [set(np.flatnonzero(row)) for row in conformal_sets(target.probabilities, threshold)] == sets
    assert found.covered == sum(label in held for label, held in zip(target.labels, sets, strict=True))
    assert (found.n_empty, found.n_single) == (sets.count(set()), sum(len(held) == 1 for held in sets))
    assert found.n_empty + found.n_single + found.n_multiple == found.n == 25
    assert found.mean_set_size == pytest.approx(sum(map(len, sets)) / 25)
    assert sum(c.k for c in found.per_class) == found.covered
    assert {c.cell_class: c.n for c in found.per_class} == {
        name: int(np.sum(target.labels == i)) for i, name in enumerate(CLASSES)
    }


def test_conformal_sets_cover_in_simulation_as_the_beta_binomial_says():
    # The score of a continuous classifier is uniform up to a monotone map, so uniform scores are the general case.
    rng, runs, n, alpha = np.random.default_rng(21), 3000, 75, 0.05
    expected = conformal_expectation(n, n, alpha=alpha)
    hits = []
    for _ in range(runs):
        p, fresh = (np.column_stack([u, 1 - u]) for u in (rng.random(n), rng.random(n)))
        threshold = conformal_threshold(p, np.zeros(n, dtype=int), alpha=alpha)
        hits.append(int(conformal_sets(fresh, threshold)[:, 0].sum()))
    assert np.mean(hits) / n == pytest.approx(expected.mean, abs=0.002)
    inside = np.mean([expected.hits_low <= k <= expected.hits_high for k in hits])
    law = betabinom(n, expected.rank, n + 1 - expected.rank)
    assert inside == pytest.approx(law.cdf(expected.hits_high) - law.cdf(expected.hits_low - 1), abs=0.015)
    assert inside >= 0.95
    assert beta(expected.rank, n + 1 - expected.rank).cdf(expected.high) == pytest.approx(0.95)


def test_sets_calibrated_on_the_test_set_are_refused():
    test = cells(40, 22)
    with pytest.raises(FittedOnTarget, match="conformal threshold fitted on the set that it is applied to"):
        conformal_result(test, test, alpha=0.05)


def test_a_target_that_the_calibration_set_does_not_resemble_falls_out_of_range():
    found = conformal_result(cells(200, 23, name="validation", skill=4), cells(200, 24, skill=0.3), alpha=0.05)
    assert found.covered < found.expected.hits_low
    assert not found.in_range


# --- selective prediction -------------------------------------------------------------------------


def test_risk_and_coverage_of_the_oracle_vector():
    curve = risk_coverage_curve(CONFIDENCE, CORRECT)
    assert curve.risks == pytest.approx((0, 0, 1 / 3, 0.25, 0.4), abs=1e-12)
    assert curve.coverages == pytest.approx((0.2, 0.4, 0.6, 0.8, 1.0), abs=1e-12)
    assert (curve.n_accepted, curve.n_errors, curve.n) == ((1, 2, 3, 4, 5), (0, 0, 1, 1, 2), 5)
    assert curve.thresholds == tuple(CONFIDENCE)
    assert (curve.aurc, curve.best_aurc, curve.excess) == pytest.approx((0.196667, 0.13, 0.066667), abs=5e-7)


def test_tied_confidences_are_accepted_together():
    # Two of three at .9 and one of two at .5: risks 1/3 and 2/5, area (3/3 + 2 * 2/5) / 5.
    curve = risk_coverage_curve([0.9, 0.5, 0.9, 0.5, 0.9], [1, 0, 0, 1, 1])
    assert (curve.n_accepted, curve.n_errors) == ((3, 5), (1, 2))
    assert curve.risks == pytest.approx((1 / 3, 2 / 5))
    assert curve.aurc == pytest.approx((1 + 0.8) / 5)


@given(seed=seeds, n=st.integers(1, 60), coarse=st.booleans())
def test_every_point_of_the_curve_counts_the_cells_at_or_above_its_threshold(seed, n, coarse):
    rng = np.random.default_rng(seed)
    confidence, correct = rng.random(n), rng.integers(0, 2, n)
    if coarse:
        confidence = confidence.round(1)
    curve = risk_coverage_curve(confidence, correct)
    for threshold, accepted, errors in zip(curve.thresholds, curve.n_accepted, curve.n_errors, strict=True):
        assert (accepted, errors) == (np.sum(confidence >= threshold), np.sum(correct[confidence >= threshold] == 0))
    by_cell = np.mean([1 - correct[confidence >= c].mean() for c in confidence])
    assert curve.aurc == pytest.approx(by_cell, abs=1e-12)
    assert curve.n_accepted[-1] == n
    assert curve.excess >= 0
    assert curve.aurc >= curve.best_aurc - 1e-12
    perfect = risk_coverage_curve(correct + rng.random(n) / 2 - 0.5 * correct, correct)
    assert perfect.excess == pytest.approx(0, abs=1e-12)
    order = rng.permutation(n)
    assert risk_coverage_curve(confidence[order], correct[order]) == curve


@pytest.mark.parametrize(("errors", "accepted", "upper"), [(0, 300, 0.009936), (1, 300, 0.015715), (1, 360, 0.013109)])
def test_the_guarantee_of_the_oracle_counts(errors, accepted, upper):
    found = selective_guarantee(errors, accepted, level=0.95, thresholds_tried=1)
    assert round(found.upper, 6) == upper
    assert (found.errors, found.accepted, found.risk) == (errors, accepted, errors / accepted)


def test_every_threshold_tried_costs_a_share_of_the_error():
    five = selective_guarantee(0, 300, level=0.95, thresholds_tried=5)
    assert five.upper == pytest.approx(1 - 0.01 ** (1 / 300), abs=1e-12)  # 0 of n: 1 - alpha ** (1/n)
    with pytest.raises(ValueError, match="at least the one that was used"):
        selective_guarantee(0, 300, level=0.95, thresholds_tried=0)
    with pytest.raises(UndefinedStatistic):
        selective_guarantee(0, 0, level=0.95, thresholds_tried=1)


# --- at another prevalence ------------------------------------------------------------------------


def test_ppv_of_two_classes_by_hand():
    # 1 % rare: .01 * .9 / (.01 * .9 + .99 * .2) = .009 / .207. A balanced table would have said .9 / 1.1.
    rare, common = ppv_at_prevalence(
        [[90, 10], [20, 80]], ("rare", "common"), {"rare": 0.01, "common": 0.99}, level=0.9, together="Bonferroni"
    )
    assert rare.value == pytest.approx(0.009 / 0.207)
    assert common.value == pytest.approx(0.99 * 0.8 / (0.99 * 0.8 + 0.01 * 0.1))
    # Each of two rates at 95 %.
    own, other = clopper_pearson_bounds(90, 100, level=0.95), clopper_pearson_bounds(20, 100, level=0.95)
    assert rare.lower == pytest.approx(0.01 * own[0] / (0.01 * own[0] + 0.99 * other[1]))
    assert rare.upper == pytest.approx(0.01 * own[1] / (0.01 * own[1] + 0.99 * other[0]))
    assert (rare.k, rare.n, rare.prevalence, rare.level, rare.note) == (90, 100, 0.01, 0.9, "")


def test_the_bounds_of_a_predictive_value_add_distances_as_variances_add():
    # Flawless, 75 cells a class: 0.05 ** (1 / 75) = 0.9608 bounds the recall and 0.0392 each other rate. At odds t
    # 0.01 - t * 0 = hypot(0.01 * 0.0392, t * 0.0392 * hypot(0.03, 0.3, 0.06, 0.6)), so that t = 0.3785.
    classes, prevalence = "abcde", dict(zip("abcde", (0.01, 0.03, 0.3, 0.06, 0.6), strict=True))
    table = np.diag([75] * 5)
    rare = ppv_at_prevalence(table, classes, prevalence, level=0.95)[0]
    missed = 1 - 0.05 ** (1 / 75)
    odds = 0.01 * math.sqrt(1 - missed**2) / (missed * math.hypot(0.03, 0.3, 0.06, 0.6))
    assert (rare.value, rare.upper) == (1.0, 1.0)
    assert rare.lower == pytest.approx(odds / (1 + odds))
    before = ppv_at_prevalence(table, classes, prevalence, level=0.95, together="Bonferroni")[0]
    assert rare.lower > 1.9 * before.lower  # 0.275 and 0.138


def test_over_patients_every_rate_has_an_equal_share_of_the_error():
    table = np.array([[90, 10], [20, 80]])
    by_group = np.stack([table // 10] * 10)
    told = {"prevalence": {"a": 0.1, "b": 0.9}, "level": 0.95}
    alone = ppv_at_prevalence(table, "ab", **told, by_group=by_group, assumed_correlation=0.0)
    shared = ppv_at_prevalence(table, "ab", **told, together="Bonferroni")
    assert [each.lower for each in alone] == pytest.approx([each.lower for each in shared])
    wider = ppv_at_prevalence(table, "ab", **told, by_group=by_group, assumed_correlation=0.3)
    assert wider[0].lower < alone[0].lower
    assert wider[0].upper > alone[0].upper


def test_ppv_at_the_tables_own_prevalence_is_the_precision():
    table = np.array([[30, 5, 1], [2, 50, 3], [0, 4, 60]])
    own = dict(zip("abc", table.sum(axis=1) / table.sum(), strict=True))
    found = ppv_at_prevalence(table, "abc", own, level=0.95)
    assert [p.value for p in found] == pytest.approx((np.diag(table) / table.sum(axis=0)).tolist())


def test_the_counts_of_the_oracle_against_equal_frequencies():
    found = prevalence_shift([90, 70, 75, 80, 60], "abcde", dict.fromkeys("abcde", 0.2))
    assert (round(found.statistic, 6), found.degrees, round(found.p, 6), found.few) == (6.666667, 4, 0.154587, 0)


@given(
    counts=st.lists(st.integers(0, 200), min_size=2, max_size=6).filter(any),
    weights=st.lists(st.integers(1, 50), min_size=6, max_size=6),
)
def test_scipy_finds_the_same_shift(counts, weights):
    names, total = "abcdef"[: len(counts)], sum(weights[: len(counts)])
    shares = {name: weight / total for name, weight in zip(names, weights, strict=False)}
    found = prevalence_shift(counts, names, shares)
    expected = np.array([shares[name] for name in names]) * sum(counts)
    wanted = chisquare(counts, expected * (sum(counts) / expected.sum()))
    assert (found.statistic, found.p) == pytest.approx((wanted.statistic, wanted.pvalue), rel=1e-6, abs=1e-12)
    assert found.few == sum(expected < 5)


def test_a_class_that_is_said_not_to_occur():
    shares = {"a": 0.5, "b": 0.5, "c": 0.0}
    assert prevalence_shift([10, 10, 1], "abc", shares) == PrevalenceShift(statistic=None, degrees=1, p=0.0, few=0)
    assert prevalence_shift([10, 10, 0], "abc", shares) == PrevalenceShift(statistic=0.0, degrees=1, p=1.0, few=0)
    alone = {"a": 1.0, "b": 0.0, "c": 0.0}
    assert prevalence_shift([10, 0, 0], "abc", alone) == PrevalenceShift(statistic=0.0, degrees=0, p=None, few=0)
    with pytest.raises(UndefinedStatistic, match="0 cells"):
        prevalence_shift([0, 0, 0], "abc", shares)


RATES = np.array([[0.95, 0.03, 0.02], [0.01, 0.97, 0.02], [0.0, 0.02, 0.98]])


def test_each_bound_of_ppv_covers_in_simulation():
    rng, runs, frequency = np.random.default_rng(25), 400, np.array([0.02, 0.3, 0.68])
    truth = frequency * np.diag(RATES) / (frequency @ RATES)
    covered = np.zeros((2, 3))
    for _ in range(runs):
        table = np.array([rng.multinomial(75, row) for row in RATES])
        found = ppv_at_prevalence(table, "abc", dict(zip("abc", frequency, strict=True)), level=0.9)
        covered += [
            [p.lower <= t for p, t in zip(found, truth, strict=True)],
            [p.upper >= t for p, t in zip(found, truth, strict=True)],
        ]
    assert (covered / runs >= 0.9).all()


@given(seed=seeds)
def test_ppv_lies_between_its_bounds(seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 6, (4, 4))
    frequency = rng.dirichlet(np.ones(4)) if seed % 2 else np.array([0.5, 0.5, 0.0, 0.0])
    for p in ppv_at_prevalence(table, "abcd", dict(zip("abcd", frequency, strict=True)), level=0.95):
        if p.value is None:
            assert (p.lower, p.upper) == (None, None)
            assert p.note
        else:
            assert 0 <= p.lower <= p.value <= p.upper <= 1


def test_ppv_is_undefined_where_a_class_that_occurs_has_no_cells_or_none_was_called_so():
    table, half = [[8, 2, 0], [0, 0, 0], [5, 0, 5]], {"a": 0.5, "b": 0.0, "c": 0.5}
    a, b, c = ppv_at_prevalence(table, "abc", half, level=0.95)
    assert (a.value, c.value) == (pytest.approx(0.4 / 0.65), 1.0)
    assert (b.value, b.lower, b.upper) == (0.0, 0.0, 0.0)  # two cells called b where there is no b
    absent = ppv_at_prevalence(table, "abc", {"a": 0.5, "b": 0.1, "c": 0.4}, level=0.95)
    assert {p.note for p in absent} == {"no cells of b, which the prevalence says occur"}
    never = ppv_at_prevalence([[9, 0], [9, 0]], "ab", {"a": 0.5, "b": 0.5}, level=0.95)[1]
    assert (never.value, never.note) == (None, "no cell of a class that occurs was called b")


@pytest.mark.parametrize(
    ("prevalence", "message"),
    [
        ({"a": 1.0}, "every class exactly one prevalence"),
        ({"a": 0.5, "b": 0.4, "c": 0.1}, "every class exactly one prevalence"),
        ({"a": 0.5, "b": 0.5 + 1e-8}, "not a distribution"),
        ({"a": 50, "b": 50}, "not a distribution .* not percent"),
        ({"a": 1.5, "b": -0.5}, "not a distribution"),
        ({"a": math.nan, "b": 1.0}, "not a distribution"),
    ],
)
def test_a_prevalence_that_is_none_is_refused(prevalence, message):
    with pytest.raises(ValueError, match=message):
        ppv_at_prevalence([[1, 0], [0, 1]], "ab", prevalence, level=0.95)


# --- what is not an input -----------------------------------------------------------------------------


def test_no_cells_have_no_calibration():
    with pytest.raises(UndefinedStatistic):
        bins_of([], [], 5)
    with pytest.raises(UndefinedStatistic):
        expected_calibration_error([ReliabilityBin(0.0, 1.0, 0, 0, None)])
    with pytest.raises(UndefinedStatistic):
        risk_coverage_curve([], [])
    with pytest.raises(UndefinedStatistic):
        fitted(np.zeros((0, 5)), np.zeros(0, dtype=int))


@pytest.mark.parametrize("confidence", [1.01, -0.1, math.nan, math.inf])
def test_a_confidence_that_is_no_probability_is_refused_with_its_place(confidence):
    with pytest.raises(InvalidPredictions, match="confidence of cell 1"):
        bins_of([0.5, confidence], [1, 0], 5)


def test_unlike_shapes_logits_and_unknown_rules_are_refused():
    with pytest.raises(InvalidPredictions, match="one of each per cell"):
        bins_of([0.5, 0.6], [1], 5)
    with pytest.raises(InvalidPredictions, match="other than 0 and 1"):
        top_label_brier([0.5], [2])
    with pytest.raises(InvalidPredictions, match=r"row 0 is not a distribution.*softmax"):
        multiclass_brier([[8.0, 0.0]], [0])
    with pytest.raises(InvalidPredictions, match="labels 0 to 2 for 2 columns"):
        negative_log_likelihood([[0.5, 0.5], [0.5, 0.5]], [0, 2])
    with pytest.raises(ValueError, match="unknown binning 'quantile'"):
        bins_of([0.5], [1], 5, "quantile")
    with pytest.raises(ValueError, match="0 bins"):
        bins_of([0.5], [1], 0)
    for level in (0.0, 1.0, 95):
        with pytest.raises(ValueError, match=r"write 0\.95 for 95 %"):
            calibration_error_bounds(bins_of([0.5], [1], 5), level=level)
    for alpha in (0.0, 1.0, 5):
        with pytest.raises(ValueError, match="not a fraction"):
            conformal_threshold([[0.5, 0.5]], [0], alpha=alpha)


# --- the report -----------------------------------------------------------------------------------

PREVALENCE = dict(zip(CLASSES, (0.005, 0.025, 0.3, 0.07, 0.6), strict=True))


def report_of(fit, target, **changed):
    plan = {"n_bins": 15, "binning": "equal-width", "alpha": 0.05, "level": 0.95, "prevalence": PREVALENCE, "seed": 42}
    return calibration_report(fit, target, **(plan | changed))


def test_the_report_agrees_with_its_parts():
    fit, test = cells(200, 26, name="validation"), cells(150, 27)
    report = report_of(fit, test)
    assert (report.set, report.digest, report.n, report.n_bins) == ("test", test.digest, 150, 15)
    scaled = temperature_scaled(test, fit=fit)
    assert report.temperature == scaled.temperature
    for predictions, found in ((test, report.before), (scaled.predictions, report.after)):
        bins = bins_of(predictions.confidence, predictions.correct, 15)
        assert (found.bins, found.ece, found.mce) == (
            bins,
            expected_calibration_error(bins),
            maximum_calibration_error(bins),
        )
        assert (found.ece_lower, found.ece_upper) == calibration_error_bounds(bins, level=0.95)
        assert found.multiclass_brier == multiclass_brier(predictions.probabilities, predictions.labels)
        assert found.nll == negative_log_likelihood(predictions.probabilities, predictions.labels)
        assert (found.n, found.n_correct, found.n_impossible) == (150, int(test.correct.sum()), 0)
        assert found.exceeds_null == (found.ece > found.null.limit + 1e-6)
    assert report.conformal == conformal_result(fit, test, alpha=0.05)
    assert report.risk_coverage == risk_coverage_curve(test.confidence, test.correct)
    assert report.selective.accepted == report.conformal.n_single


def test_a_set_that_is_certain_and_right_is_within_what_chance_explains():
    # Nearly every simulation is all right too: its error is the observed one, which rounding may put above.
    p = np.full((9, 5), 0.0005)
    p[:, 2] = 0.998
    sure = dataclasses.replace(cells(9, 34), probabilities=p, labels=np.full(9, 2))
    report = report_of(cells(40, 35, name="validation"), sure)
    assert report.before.ece == pytest.approx(report.before.null.limit, abs=1e-12)
    assert not report.before.exceeds_null


def test_temperature_mends_an_overconfident_classifier_and_the_null_tells_the_two_apart():
    report = report_of(cells(600, 28, name="validation", sharpness=8), cells(600, 29, sharpness=8))
    assert report.before.exceeds_null
    assert report.before.ece_lower > 0
    assert not report.after.exceeds_null
    assert report.after.nll < report.before.nll


def test_the_report_is_json_without_help():
    impossible = cells(30, 30)
    p = impossible.probabilities.copy()
    p[0] = np.eye(5)[(impossible.labels[0] + 1) % 5]
    report = report_of(cells(10, 31, name="validation"), dataclasses.replace(impossible, probabilities=p))
    assert (report.before.nll, report.before.n_impossible) == (None, 1)
    assert report.conformal.threshold is None
    assert report.selective is None
    plain = dataclasses.asdict(report)
    assert json.loads(json.dumps(plain, allow_nan=False)) == _lists(plain)

    def types(value):
        if isinstance(value, dict):
            return set().union(*map(types, value.values()))
        if isinstance(value, tuple):
            return set().union(*map(types, value))
        return {type(value)}

    assert types(plain) <= {int, float, str, bool, type(None)}


@settings(max_examples=10)
@given(seed=seeds)
def test_the_order_of_the_cells_never_changes_the_report(seed):
    fit, test = cells(40, seed, name="validation"), cells(30, seed + 1)
    order = np.random.default_rng(seed).permutation(30)
    shuffled = dataclasses.replace(
        test,
        paths=tuple(test.paths[i] for i in order),
        digests=tuple(test.digests[i] for i in order),
        labels=test.labels[order],
        probabilities=test.probabilities[order],
    )
    assert report_of(fit, shuffled) == report_of(fit, test)


def test_a_report_without_prevalence_has_no_ppv_and_one_fitted_on_its_target_is_refused():
    fit, test = cells(40, 32, name="validation"), cells(40, 33)
    assert report_of(fit, test, prevalence=None).ppv is None
    assert report_of(fit, test, prevalence=None).shift is None
    assert [p.cell_class for p in report_of(fit, test).ppv] == list(CLASSES)
    assert report_of(fit, test).shift.degrees == len(CLASSES) - 1
    with pytest.raises(FittedOnTarget):
        report_of(test, test)


def _lists(value):
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def test_without_another_set_nothing_is_fitted_and_the_rest_is_the_same():
    whole, alone = (report_of(fit, cells(150, 27)) for fit in (cells(200, 26, name="validation"), None))
    assert (alone.temperature, alone.after, alone.conformal, alone.selective) == (None, None, None, None)
    assert (alone.before, alone.risk_coverage, alone.ppv) == (whole.before, whole.risk_coverage, whole.ppv)
