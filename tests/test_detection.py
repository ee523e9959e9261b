"""Detection: DeLong's oracles, flawless separation that claims no certainty, abstentions that are counted."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import beta, entropy, mannwhitneyu, norm
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score, roc_curve

from harness.core.errors import InvalidPredictions, UndefinedStatistic
from harness.metrics.auroc import auroc
from harness.metrics.detection import detect, detection_estimate, false_positive_rate_at
from harness.metrics.intervals import clopper_pearson_bounds, wilson_interval
from harness.metrics.ood_scores import confidence_scores, entropy_scores, mahalanobis_scores

POS1, NEG1 = [0.9, 0.8, 0.7, 0.6, 0.55], [0.85, 0.5, 0.4, 0.3, 0.2, 0.55]
POS2, NEG2 = [0.95, 0.7, 0.75, 0.5, 0.45], [0.6, 0.65, 0.4, 0.35, 0.1, 0.2]

# Few distinct values, so that ties are common.
SAMPLES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=25)


def labelled(positive, negative):
    return [1] * len(positive) + [0] * len(negative), [*positive, *negative]


# --- areas ----------------------------------------------------------------------------------------


def test_both_areas_and_variances_of_the_oracle():
    one, other = auroc(POS1, NEG1, level=0.975), auroc(POS2, NEG2, level=0.975)
    assert (round(one.value, 6), round(other.value, 6)) == (0.85, 0.866667)
    assert (round(one.variance, 8), round(other.variance, 8)) == (0.01883333, 0.01377778)


def test_the_logit_interval_of_the_oracle():
    found = auroc(POS1, NEG1, level=0.975, by="DeLong")
    assert (round(found.lower, 4), round(found.upper, 4)) == (0.4073, 0.9790)
    # The figure's two-sided 95 % interval is the same whatever level the criterion has.
    shown = auroc(POS1, NEG1, level=0.8, by="DeLong").display
    assert (round(shown.lower, 4), round(shown.upper, 4), shown.level) == (0.4073, 0.9790, 0.95)


def test_the_bounds_are_those_of_as_many_trials_as_the_variance_is_worth():
    # DeLong's variance 0.01883 is above Newcombe's at 0.85 with 5 and 6 inputs,
    # .1275 (1 + 4.5 (.15 / 1.15 + .85 / 1.85)) / 30 = 0.0155: the larger counts, 0.1275 / 0.01883 = 6.8 trials.
    found = auroc(POS1, NEG1, level=0.95)
    trials = 0.1275 / found.variance
    assert found.upper == pytest.approx(float(beta.ppf(0.95, 0.85 * trials + 1, 0.15 * trials)), rel=1e-6)
    assert found.lower == pytest.approx(float(beta.ppf(0.05, 0.85 * trials, 0.15 * trials + 1)), rel=1e-6)
    assert found.method == "Clopper-Pearson of the 6.8 trials that its variance is worth"
    # Of scores that hardly overlap DeLong's is the smaller: 39 of 40 above all 50, one below one of them.
    nearly = auroc([48.5, *range(100, 139)], range(50), level=0.95)
    assert nearly.variance is not None
    worth = float(nearly.method.split(" trials")[0].split()[-1])
    assert worth < 0.9 * nearly.value * (1 - nearly.value) / nearly.variance


def test_near_the_end_the_lower_bound_is_rarely_too_high_where_delongs_is_too_often():
    rng = np.random.default_rng(5)
    shift = math.sqrt(1.09) * float(norm.ppf(0.99))
    pairs = [(rng.normal(shift, 0.3, 400), rng.normal(0, 1, 375)) for _ in range(800)]
    missed = {
        by: np.mean([auroc(*each, level=0.95, by=by).lower > 0.99 for each in pairs]) for by in ("proportion", "DeLong")
    }
    assert missed["proportion"] <= 0.05 < missed["DeLong"]


@given(positive=SAMPLES, negative=SAMPLES)
def test_scipy_and_scikit_learn_find_the_same_area_with_any_ties(positive, negative):
    found = auroc(positive, negative, level=0.95)
    u = mannwhitneyu(positive, negative, method="asymptotic").statistic if len({*positive, *negative}) > 1 else None
    if u is not None:
        assert found.value == pytest.approx(u / (len(positive) * len(negative)), abs=1e-12)
    assert found.value == pytest.approx(roc_auc_score(*labelled(positive, negative)), abs=1e-12)
    assert 0 <= found.lower <= found.value <= found.upper <= 1


@given(positive=SAMPLES, negative=SAMPLES)
def test_swapping_the_sides_mirrors_area_and_bounds(positive, negative):
    one, other = auroc(positive, negative, level=0.9), auroc(negative, positive, level=0.9)
    assert one.value == pytest.approx(1 - other.value, abs=1e-12)
    assert one.lower == pytest.approx(1 - other.upper, abs=1e-9)


@given(positive=SAMPLES, negative=SAMPLES)
def test_only_the_order_of_scores_counts(positive, negative):
    stretched = auroc([math.exp(x) for x in positive], [math.exp(x) for x in negative], level=0.95)
    assert stretched == auroc(positive, negative, level=0.95)


def test_delongs_variance_worked_by_hand():
    # Positives 3, 1 and negatives 2, 0: the shares of negatives below are 1 and 1/2, of positives above 1/2 and 1.
    # Each side's variance is 1/8, over 2 inputs 1/16; together 1/8.
    found = auroc([3, 1], [2, 0], level=0.95)
    assert (found.value, found.variance) == (0.75, 0.125)


def test_the_variance_agrees_with_a_jackknife():
    # The jackknife of each side is DeLong's variance up to the factor (n - 1) / n of its scaling.
    rng = np.random.default_rng(4)
    positive, negative = rng.normal(1, 1, 30), rng.normal(0, 1, 40)
    parts = 0.0
    for side, n in ((0, 30), (1, 40)):
        left_out = []
        for i in range(n):
            sides = [positive, negative]
            sides[side] = np.delete(sides[side], i)
            left_out.append(auroc(*sides, level=0.95).value)
        parts += (n - 1) / n * float(np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    assert auroc(positive, negative, level=0.95).variance == pytest.approx(parts, rel=1e-9)


# --- flawless, and nearly -------------------------------------------------------------------------


def test_flawless_separation_never_claims_certainty():
    found = auroc([2, 3, 4], [0, 1], level=0.95)
    assert (found.value, found.variance, found.upper) == (1.0, 0.0, 1.0)
    # Two disjoint pairs, both won: Clopper-Pearson of 2/2.
    assert found.lower == pytest.approx(clopper_pearson_bounds(2, 2, level=0.95)[0])
    assert found.display.lower < found.lower
    assert "2 disjoint pairs" in found.method


def test_an_area_of_zero_is_the_mirror_image():
    found = auroc([0, 1], [2, 3, 4], level=0.95)
    assert (found.value, found.lower) == (0.0, 0.0)
    assert found.upper == pytest.approx(1 - 0.05**0.5)


def test_one_lost_pair_never_proves_more_than_none():
    flawless = auroc(np.arange(40) + 100, np.arange(50), level=0.95)
    nearly = auroc([49.5, *(np.arange(39) + 100)], [*np.arange(49), 50], level=0.95)
    assert nearly.value < 1
    assert nearly.lower <= flawless.lower
    assert "cut at what a flawless one proves" in nearly.method
    # DeLong's own bound would have been above it: the planted fault.
    logit, spread = math.log(nearly.value / (1 - nearly.value)), math.sqrt(nearly.variance)
    half = 1.6449 * spread / (nearly.value * (1 - nearly.value))
    assert 1 / (1 + math.exp(half - logit)) > flawless.lower


@pytest.mark.parametrize(("positive", "negative"), [([1, 1, 1], [1, 1]), ([1], [0, 1, 2])])
def test_without_a_variance_the_bounds_are_wide_not_absent(positive, negative):
    found = auroc(positive, negative, level=0.95)
    assert found.value == 0.5
    assert found.lower < 0.1
    assert found.upper > 0.9
    assert "Hoeffding" in found.method


@pytest.mark.parametrize("true_area", [0.8, 0.95])
def test_the_lower_bound_is_rarely_above_the_true_area(true_area):
    # Normal scores whose area is known; small samples, where separation is often flawless.
    rng = np.random.default_rng(1)
    shift = math.sqrt(2) * float(norm.ppf(true_area))
    runs = [auroc(rng.normal(shift, 1, 12), rng.normal(0, 1, 12), level=0.95).lower for _ in range(1500)]
    assert np.mean(np.array(runs) > true_area) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)


def test_abstentions_are_the_strangest_of_all_and_are_counted():
    found = auroc([0.9, math.inf, math.inf], [0.1, 0.2, math.inf], level=0.95)
    # 0.9 beats two of three; each refused positive beats two and ties with the refused cell.
    assert found.value == pytest.approx((2 + 2.5 + 2.5) / 9)
    assert (found.n_positive, found.n_negative, found.n_abstained) == (3, 3, 3)


# --- thresholds -----------------------------------------------------------------------------------


def test_the_false_positives_at_95_percent_worked_by_hand():
    # Of 20 positives 1..20 the threshold 2 keeps 19; of the negatives 0, 1, 2, 3 two reach it.
    found = false_positive_rate_at(np.arange(1, 21), [0, 1, 2, 3], tpr=0.95, level=0.95)
    assert (found.threshold, found.n_kept, found.n_positive, found.k, found.n) == (2.0, 19, 20, 2, 4)
    assert (found.lower, found.upper) == clopper_pearson_bounds(2, 4, level=0.95)
    assert found.display == wilson_interval(2, 4, level=0.95)
    assert found.value == 0.5


@given(positive=SAMPLES, negative=SAMPLES, tpr=st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0]))
def test_scikit_learns_roc_curve_has_the_same_point(positive, negative, tpr):
    found = false_positive_rate_at(positive, negative, tpr=tpr, level=0.95)
    fpr, reached, _ = roc_curve(*labelled(positive, negative), drop_intermediate=False)
    assert found.value == pytest.approx(fpr[reached >= tpr - 1e-9].min())
    assert found.n_kept / found.n_positive >= tpr - 1e-9


def test_ties_at_the_threshold_all_pass():
    found = false_positive_rate_at([1, 1, 1, 2], [1, 1, 0], tpr=0.5, level=0.95)
    assert (found.threshold, found.n_kept, found.k) == (1.0, 4, 2)


# --- scores ---------------------------------------------------------------------------------------


def test_scores_of_certainty_and_of_none():
    p = [[1.0, 0, 0, 0, 0], [0.2] * 5, [0.9, 0.1, 0, 0, 0]]
    assert confidence_scores(p) == pytest.approx([0, 0.8, 0.1])
    assert entropy_scores(p) == pytest.approx([0, 1, entropy([0.9, 0.1]) / math.log(5)])


def test_mahalanobis_distances_agree_with_scikit_learn_and_scipy():
    rng = np.random.default_rng(0)
    train, labels = rng.normal(size=(90, 6)) * np.arange(1, 7), np.repeat([0, 3, 7], 30)
    train[labels == 3] += 8
    new = rng.normal(size=(20, 6)) * 4
    means = np.stack([train[labels == each].mean(axis=0) for each in (0, 3, 7)])
    centred = train - means[np.searchsorted([0, 3, 7], labels)]
    precision = LedoitWolf(assume_centered=True).fit(centred).get_precision()
    expected = cdist(new, means, "mahalanobis", VI=precision).min(axis=1)
    assert mahalanobis_scores(train, labels, new) == pytest.approx(expected, rel=1e-6)


def test_mahalanobis_sees_what_lies_between_the_classes_and_survives_more_features_than_cells():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(30, 200)) * 0.1
    train[15:, 0] += 10
    labels = np.repeat([0, 1], 15)
    middle = np.zeros((1, 200))
    middle[0, 0] = 5
    found = mahalanobis_scores(train, labels, np.concatenate([train, middle]))
    assert found[-1] > 2 * found[:-1].max()


def test_a_dead_feature_is_no_reason_to_fail():
    rng = np.random.default_rng(0)
    train = np.column_stack([rng.normal(size=40), np.zeros(40)])  # a rectifier that never fires
    found = mahalanobis_scores(train, np.repeat([0, 1], 20), [[0.0, 0.0], [0.0, 5.0]])
    assert np.isfinite(found).all()
    assert found[1] > found[0]


# --- cells of patients ----------------------------------------------------------------------------


def of_patients(seed: int, *, n: int = 20, size: int = 19, alike: float = 0.5):
    """(scores of inputs, scores of cells, the patient of each cell): the true area is 0.9."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(n), size)
    cells = math.sqrt(alike) * rng.normal(size=n)[patients] + math.sqrt(1 - alike) * rng.normal(size=n * size)
    return rng.normal(1.2815515655446004 * math.sqrt(2), 1, 200), cells, patients.tolist()


def test_cells_of_patients_that_are_alike_do_not_prove_as_much_as_independent_ones():
    """Exactly at 0.9; counted as independent the bound at 95 % was above it in more than a tenth of such sets."""
    drawn = [of_patients(seed) for seed in range(400)]
    alone = [auroc(inputs, cells, level=0.95).lower > 0.9 for inputs, cells, _ in drawn]
    grouped = [auroc(i, c, level=0.95, groups=g, assumed_correlation=0.1).lower > 0.9 for i, c, g in drawn]
    assert np.mean(alone) > 0.1
    assert np.mean(grouped) <= 0.05


def test_patients_of_one_cell_and_no_patients_are_the_same_area():
    inputs, cells, _ = of_patients(1)
    alone = auroc(inputs, cells, level=0.95)
    each = auroc(inputs, cells, level=0.95, groups=range(cells.size), assumed_correlation=1.0)
    assert (each.value, each.lower, each.upper, each.variance) == (
        alone.value,
        alone.lower,
        alone.upper,
        alone.variance,
    )
    assert each.clusters is not None and each.clusters.effective_n == cells.size


def test_cells_that_are_wholly_alike_are_worth_one_each_patient():
    """Ten copies of each cell prove what the cell alone does, by hand; also where nothing overlaps."""
    inputs, few, _ = of_patients(2, n=30, size=1)
    alone, copied = auroc(inputs, few, level=0.95), np.repeat(few, 10)
    groups = np.repeat(np.arange(30), 10).tolist()
    found = auroc(inputs, copied, level=0.95, groups=groups, assumed_correlation=0.1)
    assert found.value == alone.value
    assert found.clusters is not None and found.clusters.effective_n == pytest.approx(30)
    assert found.lower == pytest.approx(alone.lower, abs=2e-3)  # 300 / 299 of a variance for 30 / 29
    flawless = auroc(inputs + 100, copied, level=0.95, groups=groups, assumed_correlation=1.0)
    assert flawless.lower == pytest.approx(0.05 ** (1 / 30))


@pytest.mark.parametrize("seed", range(5))
def test_the_more_alike_cells_are_assumed_the_less_is_proved(seed):
    inputs, cells, groups = of_patients(seed, alike=0.0)
    lowers = [
        auroc(inputs, cells, level=0.95, groups=groups, assumed_correlation=rho).lower for rho in (0, 0.1, 0.3, 1)
    ]
    assert lowers == sorted(lowers, reverse=True) and lowers[0] > lowers[-1]


def test_a_detection_by_patient_bounds_its_kept_cells_by_patient_too_and_says_so():
    inputs, cells, groups = of_patients(3)
    made = {
        "score": "entropy", "set_name": "test", "cells": cells, "reference": "validation",
        "reference_cells": cells[::2], "others": {"blank": inputs}, "tpr": 0.95, "level": 0.95,
    }  # fmt: skip
    alone, found = detect(**made), detect(**made, groups=groups, assumed_correlation=0.1)
    assert found.kept_lower < alone.kept_lower
    assert found.auroc.lower < alone.auroc.lower
    said = detection_estimate(found, "ood_auroc", kind="blank", grouped_by="patients")
    assert "380 cells of 20 patients: intracluster correlation" in said.note
    assert "patients" not in detection_estimate(alone, "ood_auroc", kind="blank").note


# --- detection ------------------------------------------------------------------------------------


@pytest.fixture
def detection():
    rng = np.random.default_rng(2)
    return detect(
        score="entropy",
        set_name="test",
        cells=[*rng.beta(1, 12, 149), math.inf],
        reference="validation",
        reference_cells=rng.beta(1, 12, 100),
        others={"blank": rng.beta(2, 4, 60), "noise": np.full(40, 2.0), "grey": [math.inf] * 10},
        tpr=0.95,
        level=0.95,
    )


def test_a_detection_counts_every_input_abstentions_included(detection):
    assert (detection.n_cells, detection.auroc.n_negative, detection.auroc.n_positive) == (150, 150, 110)
    assert [kind.auroc.n_positive for kind in detection.kinds] == [60, 40, 10]
    assert detection.taken_for_cells.k == sum(kind.taken_for_cells.k for kind in detection.kinds)
    assert detection.taken_for_cells.n == 110
    assert detection.auroc.n_abstained == 11


def test_the_threshold_comes_from_the_reference_cells_alone(detection):
    kept = detection.taken_for_cells
    assert (kept.n_kept, kept.n_positive) == (95, 100)
    assert all(kind.taken_for_cells.threshold == kept.threshold == -detection.threshold for kind in detection.kinds)
    assert detection.n_kept < 150
    assert detection.kept_lower == clopper_pearson_bounds(detection.n_kept, 150, level=0.95)[0]


def test_an_abstention_on_no_cell_is_right_and_on_a_cell_is_a_cell_lost(detection):
    grey = detection.kinds[2]
    assert grey.taken_for_cells.k == 0
    assert grey.auroc.value == pytest.approx(1 - 0.5 / 150)  # a refused cell ties with a refused grey image
    assert detection.worst.kind == "blank"


def test_a_score_that_sees_nothing_is_not_flattered():
    # Planted fault: a classifier that is as certain of an empty field as of a cell.
    rng = np.random.default_rng(5)
    found = detect(
        score="confidence", set_name="test", cells=rng.random(200), reference="validation",
        reference_cells=rng.random(200), others={"blank": rng.random(200)}, tpr=0.95, level=0.95,
    )  # fmt: skip
    assert found.auroc.lower < 0.5 < found.auroc.upper
    assert found.taken_for_cells.upper > 0.9


def test_a_certain_classifier_of_noise_falls_below_one_half():
    found = detect(
        score="confidence", set_name="test", cells=[0.2, 0.3, 0.4], reference="validation",
        reference_cells=[0.2, 0.3], others={"noise": [0.0, 0.0]}, tpr=0.95, level=0.95,
    )  # fmt: skip
    assert found.auroc.value == 0.0
    assert found.taken_for_cells.value == 1.0


def test_estimates_carry_their_counts_and_what_was_looked_at(detection):
    area = detection_estimate(detection, "ood_auroc", kind=None)
    assert (area.metric, area.set, area.value, area.lower) == (
        "ood_auroc", "test", detection.auroc.value, detection.auroc.lower,
    )  # fmt: skip
    assert area.n == 260
    assert "11 abstentions counted" in area.note
    rate = detection_estimate(detection, "ood_false_positive_rate", kind="blank")
    blank = detection.kinds[0].taken_for_cells
    assert (rate.k, rate.n, rate.upper) == (blank.k, 60, blank.upper)
    assert "score entropy; blank, 60 inputs" in rate.note


# --- refusals -------------------------------------------------------------------------------------


def test_a_threshold_fixed_on_the_judged_set_is_refused():
    with pytest.raises(ValueError, match="which it then judges"):
        detect(
            score="entropy", set_name="test", cells=[0.1], reference="test", reference_cells=[0.1],
            others={"blank": [0.5]}, tpr=0.95, level=0.95,
        )  # fmt: skip


def test_reference_cells_that_were_mostly_refused_fix_no_threshold():
    # Else the threshold would be infinite, and every refused input would pass for a cell.
    with pytest.raises(UndefinedStatistic, match="6 of 100 positives were refused"):
        detect(
            score="entropy", set_name="test", cells=[0.1], reference="validation",
            reference_cells=[0.1] * 94 + [math.inf] * 6, others={"blank": [math.inf]}, tpr=0.95, level=0.95,
        )  # fmt: skip


@pytest.mark.parametrize(("positive", "negative"), [([], [1.0]), ([1.0], [])])
def test_an_area_of_nothing_is_undefined_not_zero(positive, negative):
    with pytest.raises(UndefinedStatistic, match="it is not 0"):
        auroc(positive, negative, level=0.95)
    with pytest.raises(UndefinedStatistic, match="it is not 0"):
        false_positive_rate_at(positive, negative, tpr=0.95, level=0.95)


def test_what_is_no_score_is_refused(detection):
    with pytest.raises(InvalidPredictions, match="positive score 1 is not a number"):
        auroc([1.0, math.nan], [0.0], level=0.95)
    with pytest.raises(InvalidPredictions, match="one number per input"):
        auroc([[1.0]], [0.0], level=0.95)
    with pytest.raises(InvalidPredictions, match="apply softmax"):
        entropy_scores([[3.0, -1.0]])
    with pytest.raises(ValueError, match="tpr 95 is not a fraction"):
        false_positive_rate_at(POS1, NEG1, tpr=95, level=0.95)
    with pytest.raises(ValueError, match="not above one half"):
        auroc(POS1, NEG1, level=0.4)
    with pytest.raises(ValueError, match="known are ood_auroc"):
        detection_estimate(detection, "auroc", kind=None)
    with pytest.raises(ValueError, match="no inputs of kind 'text'"):
        detection_estimate(detection, "ood_auroc", kind="text")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"score": "best"}, "unknown score 'best'"),
        ({"others": {}}, "no kind of input"),
        ({"cells": []}, "no test scores"),
    ],
)
def test_a_detection_without_its_parts_is_refused(change, match):
    parts = {
        "score": "entropy", "set_name": "test", "cells": [0.1], "reference": "validation", "reference_cells": [0.1],
        "others": {"blank": [0.5]}, "tpr": 0.95, "level": 0.95,
    }  # fmt: skip
    with pytest.raises((ValueError, UndefinedStatistic), match=match):
        detect(**(parts | change))


def test_features_that_do_not_fit_are_refused():
    good = np.eye(4)
    with pytest.raises(InvalidPredictions, match="the same columns"):
        mahalanobis_scores(good, [0, 0, 1, 1], np.eye(3))
    with pytest.raises(InvalidPredictions, match="one label per training cell"):
        mahalanobis_scores(good, [0, 1], good)
    with pytest.raises(InvalidPredictions, match="feature of row 0 is not finite"):
        mahalanobis_scores(good, [0, 0, 1, 1], [[math.nan] * 4])
    with pytest.raises(UndefinedStatistic, match="there is no scatter"):
        mahalanobis_scores(np.ones((4, 2)), [0, 0, 1, 1], np.ones((1, 2)))


def test_records_are_frozen(detection):
    with pytest.raises(dataclasses.FrozenInstanceError):
        detection.threshold = 0.0
