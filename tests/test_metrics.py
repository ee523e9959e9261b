"""Metrics: matrices worked by hand, scikit-learn beside them, and what must stay undefined."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from harness.metrics.classification import estimate, evaluate
from harness.metrics.counts import exact_count
from harness.metrics.estimates import INDEPENDENCE_UNKNOWN, Estimate, Evaluation, Unavailable
from harness.metrics.gaps import accuracy_gap, generalisation_gap
from harness.metrics.intervals import clopper_pearson_bounds, wilson_interval
from harness.metrics.predictions import Predictions
from harness.metrics.seeds import seed_accuracy
from harness.metrics.timing import images_per_second, latency
from harness.model.records import TimedBlocks, Timing

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
BAS, EOS, LYM, MON, NEU = range(5)
PER_CLASS = ("precision", "recall", "f1")


def matrix(*errors: tuple[int, int, int], support: tuple[int, ...] = (75,) * 5) -> np.ndarray:
    """All right, but for `errors`: (reference, predicted, how many)."""
    confusion = np.diag(support).astype(np.int64)
    for reference, predicted, count in errors:
        confusion[reference, reference] -= count
        confusion[reference, predicted] += count
    return confusion


MATRIX_A = matrix((BAS, NEU, 1), (LYM, NEU, 1))
MATRIX_B = matrix((BAS, NEU, 2))
MATRIX_C = matrix((NEU, BAS, 2), support=(73, 75, 75, 75, 75))


def evaluation_of(
    confusion: np.ndarray, *, by_group: np.ndarray | None = None, correlation: float = 0.0, name: str = "test"
) -> Evaluation:
    return Evaluation(name, CLASSES[: len(confusion)], confusion, by_group, correlation)


def predictions_from(labels: list[int], predicted: list[int], *, groups: tuple[str, ...] | None = None) -> Predictions:
    """Certain of each predicted class."""
    names = tuple(str(i) for i in range(len(labels)))
    probabilities = np.eye(len(CLASSES))[np.array(predicted, dtype=np.int64)]
    return Predictions("test", CLASSES, names, names, np.array(labels, dtype=np.int64), probabilities, groups)


def measured(confusion: np.ndarray, metric: str, cell_class: int | None = None) -> Estimate:
    name = None if cell_class is None else CLASSES[cell_class]
    return estimate(evaluation_of(confusion), metric, cell_class=name, level=0.95)


def macro(confusion: np.ndarray, metric: str) -> float:
    return float(np.mean([measured(confusion, metric, index).value for index in range(5)]))


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("confusion", "k", "n", "accuracy"), [(MATRIX_A, 373, 375, 0.994667), (MATRIX_C, 371, 373, 0.994638)]
)
def test_accuracy_of_the_oracle_matrices(confusion, k, n, accuracy):
    found = measured(confusion, "accuracy")
    assert (found.k, found.n, round(found.value, 6)) == (k, n, accuracy)
    assert (found.metric, found.set, found.cell_class, found.unit) == ("accuracy", "test", None, "fraction")


@pytest.mark.parametrize(
    ("confusion", "metric", "average"),
    [
        (MATRIX_A, "precision", 0.994805),
        (MATRIX_A, "recall", 0.994667),
        (MATRIX_A, "f1", 0.994684),
        (MATRIX_B, "f1", 0.994666),
        (MATRIX_C, "f1", 0.994595),
    ],
)
def test_macro_averages_of_the_oracle_matrices(confusion, metric, average):
    assert round(macro(confusion, metric), 6) == average


def test_f1_weighted_by_support_of_matrix_c():
    f1 = [measured(MATRIX_C, "f1", index).value for index in range(5)]
    assert round(float(np.average(f1, weights=MATRIX_C.sum(axis=1))), 6) == 0.994638


@pytest.mark.parametrize(
    ("confusion", "cell_class", "precision", "recall", "f1"),
    [
        # F1 = 2 TP / (2 TP + FP + FN), all by hand.
        (MATRIX_A, BAS, Fraction(74, 74), Fraction(74, 75), Fraction(148, 149)),
        (MATRIX_A, NEU, Fraction(75, 77), Fraction(75, 75), Fraction(150, 152)),
        (MATRIX_A, MON, Fraction(1), Fraction(1), Fraction(1)),
        (MATRIX_B, BAS, Fraction(73, 73), Fraction(73, 75), Fraction(146, 148)),
        (MATRIX_B, NEU, Fraction(75, 77), Fraction(75, 75), Fraction(150, 152)),
        (MATRIX_C, BAS, Fraction(73, 75), Fraction(73, 73), Fraction(146, 148)),
        (MATRIX_C, NEU, Fraction(73, 73), Fraction(73, 75), Fraction(146, 148)),
    ],
)
def test_precision_recall_and_f1_by_hand(confusion, cell_class, precision, recall, f1):
    values = [measured(confusion, metric, cell_class).value for metric in PER_CLASS]
    assert values == pytest.approx([float(precision), float(recall), float(f1)], abs=1e-12)


def test_swapped_reference_and_prediction_are_told_apart():
    # Bas: 3 of 75 are missed and nothing is called Bas wrongly. Transposed, recall would be 1 and precision 0.96.
    labels = [BAS] * 75 + [NEU] * 75
    predicted = [NEU] * 3 + [BAS] * 72 + [NEU] * 75
    evaluation = evaluate(predictions_from(labels, predicted))
    assert evaluation.confusion[BAS, NEU] == 3
    assert evaluation.confusion[NEU, BAS] == 0
    recall, precision = (
        estimate(evaluation, metric, cell_class="basophil", level=0.95) for metric in ("recall", "precision")
    )
    assert (recall.k, recall.n) == (72, 75)
    assert (precision.k, precision.n) == (72, 72)
    assert evaluation.support == {"basophil": 75, "eosinophil": 0, "lymphocyte": 0, "monocyte": 0, "neutrophil": 75}


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200), skill=st.floats(0, 1))
def test_scikit_learn_counts_and_measures_the_same(seed, n, skill):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, n)
    predicted = np.where(rng.random(n) < skill, labels, rng.integers(0, 5, n))
    evaluation = evaluate(predictions_from(labels.tolist(), predicted.tolist()))
    assert evaluation.confusion.tolist() == confusion_matrix(labels, predicted, labels=range(5)).tolist()
    assert estimate(evaluation, "accuracy", cell_class=None, level=0.95).value == accuracy_score(labels, predicted)
    *scores, support = precision_recall_fscore_support(labels, predicted, labels=range(5), zero_division=np.nan)
    assert list(evaluation.support.values()) == support.tolist()
    for metric, expected in zip(PER_CLASS, scores, strict=True):
        for index in np.flatnonzero(support):
            value = estimate(evaluation, metric, cell_class=CLASSES[index], level=0.95).value
            assert (math.nan if value is None else value) == pytest.approx(expected[index], abs=1e-12, nan_ok=True)


def test_a_tie_in_probability_goes_to_the_first_class():
    probabilities = np.array([[0.2, 0.4, 0.4, 0.0, 0.0], [0.2] * 5])
    predictions = Predictions("test", CLASSES, ("a", "b"), ("a", "b"), np.array([LYM, NEU]), probabilities)
    assert (
        evaluate(predictions).confusion.tolist()
        == matrix((LYM, EOS, 1), (NEU, BAS, 1), support=(0, 0, 1, 0, 1)).tolist()
    )


# --- the undefined --------------------------------------------------------------------------------


@pytest.mark.parametrize("n_right", [9, 7, 0])
@pytest.mark.parametrize("metric", ["recall", "f1"])
def test_a_class_without_cells_is_undefined_and_never_0(n_right, metric):
    # The published project's external set: nine monocytes, and a macro average of 0.2000 over five classes.
    nine = matrix((MON, NEU, 9 - n_right), support=(0, 0, 0, 9, 0))
    for absent in (BAS, EOS, LYM, NEU):
        found = measured(nine, metric, absent)
        assert (found.value, found.lower, found.upper, found.display) == (None, None, None, None)
        assert (found.k, found.n) == (0, 0)
        assert found.note == f"no cells of {CLASSES[absent]}"
    assert measured(nine, metric, MON).value is not None


def test_nine_of_nine_prove_no_more_than_71_7_percent():
    found = measured(matrix(support=(0, 0, 0, 9, 0)), "accuracy")
    assert (found.k, found.n, found.value, round(found.lower, 6)) == (9, 9, 1.0, 0.716871)


def test_the_precision_of_a_class_that_was_never_predicted_is_undefined():
    found = measured(matrix((BAS, NEU, 75)), "precision", BAS)
    assert (found.value, found.lower, found.upper) == (None, None, None)
    assert found.note == "no cell was called basophil"
    assert measured(matrix((BAS, NEU, 75)), "recall", BAS).value == 0.0


def test_the_precision_of_an_absent_class_is_undefined_even_where_cells_were_called_so():
    # 0/2 would read as a property of the class; it says only how often the other classes were mistaken for it.
    found = measured(matrix((MON, NEU, 2), support=(0, 0, 0, 9, 0)), "precision", NEU)
    assert (found.value, found.note) == (None, "no cells of neutrophil")


@pytest.mark.parametrize("metric", ["accuracy", *PER_CLASS])
def test_a_set_without_cells_has_no_metric(metric):
    found = measured(matrix(support=(0,) * 5), metric, None if metric == "accuracy" else BAS)
    assert (found.value, found.lower, found.upper, found.n) == (None, None, None, 0)
    assert found.note == ("no cells" if metric == "accuracy" else "no cells of basophil")


def test_an_unknown_class_or_metric_is_refused():
    with pytest.raises(ValueError, match=r"'recall' needs one of the classes .* not 'blast'"):
        estimate(evaluation_of(MATRIX_A), "recall", cell_class="blast", level=0.95)
    with pytest.raises(ValueError, match=r"'recall' needs one of the classes .* not None"):
        estimate(evaluation_of(MATRIX_A), "recall", cell_class=None, level=0.95)
    with pytest.raises(ValueError, match="unknown metric 'kappa'; known are accuracy, macro_f1, recall, precision, f1"):
        estimate(evaluation_of(MATRIX_A), "kappa", cell_class="basophil", level=0.95)


# --- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "cell_class", "k", "n"),
    [("accuracy", None, 373, 375), ("recall", BAS, 74, 75), ("precision", NEU, 75, 77)],
)
def test_a_proportion_carries_exact_one_sided_bounds_and_a_wilson_interval(metric, cell_class, k, n):
    found = measured(MATRIX_A, metric, cell_class)
    assert (found.lower, found.upper) == clopper_pearson_bounds(k, n, level=0.95)
    assert (found.level, found.method, found.display) == (0.95, "Clopper-Pearson", wilson_interval(k, n, level=0.95))


def test_the_bounds_of_f1_are_those_of_the_jaccard_index():
    # Neu in matrix A: TP 75, FP 2, FN 0, so J = 75/77 and F1 = 2J / (1 + J) = 150/152.
    found = measured(MATRIX_A, "f1", NEU)
    lower, upper = clopper_pearson_bounds(75, 77, level=0.95)
    assert (found.k, found.n) == (75, 77)
    assert (found.lower, found.upper) == pytest.approx((2 * lower / (1 + lower), 2 * upper / (1 + upper)), abs=1e-15)
    assert found.lower < found.value < found.upper
    assert found.display is None  # no Wilson interval is that of an F1


PLAUSIBLE = np.array(  # P(predicted | reference); lymphocytes and monocytes are each other's look-alikes
    [
        [0.97, 0.00, 0.01, 0.01, 0.01],
        [0.00, 0.98, 0.00, 0.00, 0.02],
        [0.01, 0.00, 0.93, 0.05, 0.01],
        [0.00, 0.01, 0.06, 0.92, 0.01],
        [0.01, 0.02, 0.00, 0.01, 0.96],
    ]
)


@pytest.mark.parametrize("fixed_support", [True, False], ids=["75 of each class", "classes drawn"])
def test_the_lower_bound_of_f1_covers_in_simulation(fixed_support):
    # With 75 of each class drawn, TP given TP + FP + FN is not binomial: the bound must hold there too.
    rng, runs = np.random.default_rng(7), 2000
    diagonal, wrongly_called = np.diag(PLAUSIBLE), PLAUSIBLE.sum(axis=0) - np.diag(PLAUSIBLE)
    truth = 2 * diagonal / (1 + diagonal + wrongly_called)  # every class equally frequent
    if fixed_support:
        drawn = np.stack([rng.multinomial(75, row, size=runs) for row in PLAUSIBLE], axis=1)
    else:
        drawn = rng.multinomial(375, PLAUSIBLE.ravel() / 5, size=runs).reshape(runs, 5, 5)
    known: dict[tuple[int, int], float] = {}
    covered = np.zeros(5)
    for confusion in drawn:
        for index in range(5):
            hits = int(confusion[index, index])
            counts = hits, int(confusion[index].sum() + confusion[:, index].sum()) - hits
            if counts not in known:
                known[counts] = measured(confusion, "f1", index).lower
            covered[index] += known[counts] <= truth[index]
    assert (covered / runs >= 0.95).all()


@pytest.mark.parametrize("hit_rate", [0.45, 0.6, 0.85, 0.98, 1.0])
@pytest.mark.parametrize("false_rate", [0.0, 0.0003, 0.01, 0.05, 0.2])
def test_both_bounds_of_f1_cover_at_fixed_supports_by_exact_enumeration(hit_rate, false_rate):
    # 9 cells of the class and 36 others: every count of hits and of false calls, weighted by its probability.
    own, others = 9, 36
    truth = 2 * own * hit_rate / (own + own * hit_rate + others * false_rate)
    below = above = 0.0
    for hits, calls in itertools.product(range(own + 1), range(others + 1)):
        weight = binom_pmf(hits, own, hit_rate) * binom_pmf(calls, others, false_rate)
        if weight > 0:
            lower, upper = f1_bounds(hits, own - hits, calls, others - calls)
            below += weight * (lower <= truth + 1e-12)
            above += weight * (truth - 1e-12 <= upper)
    assert min(below, above) >= 0.95


@cache
def f1_bounds(hits: int, missed: int, calls: int, rest: int) -> tuple[float, float]:
    found = measured(np.array([[hits, missed], [calls, rest]]), "f1", BAS)
    return found.lower, found.upper


def test_what_is_not_known_of_independence_is_said_beside_the_number():
    assert measured(MATRIX_A, "accuracy").note == INDEPENDENCE_UNKNOWN
    names = tuple(f"patient:{i}" for i in range(2))
    assert evaluate(predictions_from([0, 1], [0, 1], groups=names)).grouped
    assert not evaluate(predictions_from([0, 1], [0, 1])).grouped


def grouped(*patients: np.ndarray, correlation: float = 0.1) -> Evaluation:
    return evaluation_of(sum(patients), by_group=np.stack(patients), correlation=correlation)  # type: ignore[arg-type]


def test_known_patients_widen_the_bound_and_are_told():
    # 30 patients of 10 cells, all right: the sample says nothing of correlation, so the assumed 0.1 counts.
    patients = [matrix(support=(2,) * 5) for _ in range(30)]
    found = estimate(grouped(*patients), "accuracy", cell_class=None, level=0.95)
    # Design effect 1 + 9 * 0.1 = 1.9; 300 / 1.9 cells all right: 0.05 ** (1.9 / 300).
    assert found.effective_n == pytest.approx(300 / 1.9)
    assert found.lower == pytest.approx(0.05 ** (1.9 / 300))
    assert "intracluster correlation 0.1 (assumed), design effect 1.9" in found.note
    assert found.method == "Clopper-Pearson, clustered"
    assert (
        estimate(evaluation_of(matrix(support=(60,) * 5)), "accuracy", cell_class=None, level=0.95).lower > found.lower
    )


def test_patients_whose_cells_are_all_wrong_count_as_the_few_that_they_are():
    bad = np.zeros((5, 5), dtype=np.int64)
    bad[BAS, NEU] = 10
    patients = [matrix(support=(10, 0, 0, 0, 0)) for _ in range(9)] + [bad]
    found = estimate(grouped(*patients), "recall", cell_class="basophil", level=0.95)
    assert (found.k, found.n) == (90, 100)
    assert found.effective_n == pytest.approx(10)  # correlation 1: ten patients, nine of them right
    assert found.lower == pytest.approx(clopper_pearson_bounds(9, 10, level=0.95)[0])


@pytest.mark.parametrize("metric", ["precision", "f1"])
def test_a_patient_without_the_class_still_counts_for_what_was_called_so(metric):
    # One patient has two basophils, both right; another has none, and one neutrophil called basophil.
    called = matrix((NEU, BAS, 1), support=(0, 0, 0, 0, 2))
    found = estimate(grouped(matrix(support=(2, 0, 0, 0, 0)), called), metric, cell_class="basophil", level=0.95)
    assert (found.k, found.n) == (2, 3)
    assert "3 cells of 2 patients" in found.note


def test_macro_f1_is_bounded_by_projection_and_undefined_where_a_class_is_absent():
    found = estimate(evaluation_of(MATRIX_A), "macro_f1", cell_class=None, level=0.95)
    assert found.value == pytest.approx(0.994684, abs=5e-7)
    assert found.lower == pytest.approx(0.98303, abs=5e-6)
    assert (found.display.lower, found.display.upper) == (
        pytest.approx(0.98050, abs=5e-6),
        pytest.approx(0.99935, abs=5e-6),
    )
    nine = estimate(evaluation_of(matrix(support=(0, 0, 0, 9, 0))), "macro_f1", cell_class=None, level=0.95)
    assert (nine.value, nine.lower, nine.upper) == (None, None, None)
    assert "no cells of basophil, eosinophil, lymphocyte, neutrophil" in nine.note


def test_every_estimate_names_its_support():
    assert estimate(evaluation_of(MATRIX_A), "accuracy", cell_class=None, level=0.95).support == 375
    assert estimate(evaluation_of(MATRIX_A), "precision", cell_class="neutrophil", level=0.95).support == 75
    assert estimate(evaluation_of(MATRIX_A), "macro_f1", cell_class=None, level=0.95).support == 375


# --- seeds ----------------------------------------------------------------------------------------


def test_seeds_are_gated_by_the_tolerance_bound_and_never_by_the_best():
    runs = {seed: evaluation_of(matrix((BAS, NEU, errors))) for seed, errors in ((1, 0), (2, 2), (3, 7))}
    found = seed_accuracy(runs, set_name="test", level=0.95)
    accuracies = [1.0, 373 / 375, 368 / 375]
    mean, sd = np.mean(accuracies), np.std(accuracies, ddof=1)
    assert found.value == pytest.approx(mean)
    assert found.lower == pytest.approx(mean - 7.656 * sd, abs=1e-4)  # the 95/95 factor of three runs
    assert found.upper is None
    assert "seed 1 375/375, seed 2 373/375, seed 3 368/375" in found.note


def test_one_seed_says_nothing_of_others():
    assert isinstance(seed_accuracy({42: evaluation_of(MATRIX_A)}, set_name="test", level=0.95), Unavailable)


# --- the gap between training and validation ------------------------------------------------------


def test_the_accuracy_gap_by_hand():
    train = evaluation_of(matrix(support=(350,) * 5), name="train")
    validation = evaluation_of(MATRIX_A, name="validation")
    gap = accuracy_gap(train, validation, level=0.95)
    # 1750/1750 and 373/375, each side at 97.5 %: 0.025 ** (1 / 1750) = 0.997894, and the first oracle of table 1.1.
    assert gap.value == pytest.approx(2 / 375)
    assert (round(gap.lower, 6), round(gap.upper, 6)) == (round(0.997894 - 0.999353, 6), round(1 - 0.980868, 6))
    assert (gap.metric, gap.set, gap.level, gap.n) == ("accuracy_gap", "training", 0.95, None)
    assert gap.note == "train 1750/1750, validation 373/375"


@pytest.mark.parametrize(("p_train", "p_validation"), [(0.99, 0.9), (0.9, 0.9), (0.95, 0.99)])
def test_each_bound_of_the_accuracy_gap_covers_more_than_its_level(p_train, p_validation):
    # Every pair of counts of 40 train and 20 validation cells, weighted by its probability.
    n_train, n_validation, truth = 40, 20, p_train - p_validation
    below = above = 0.0
    for k, m in itertools.product(range(n_train + 1), range(n_validation + 1)):
        weight = binom_pmf(k, n_train, p_train) * binom_pmf(m, n_validation, p_validation)
        if weight < 1e-9:
            continue
        pair = [evaluation_of(np.array([[right, n - right], [0, 0]])) for right, n in ((k, n_train), (m, n_validation))]
        gap = accuracy_gap(*pair, level=0.95)
        below += weight * (gap.lower <= truth)
        above += weight * (truth <= gap.upper)
    assert min(below, above) >= 0.95


def binom_pmf(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def test_the_gap_of_an_empty_set_is_undefined():
    empty = evaluation_of(matrix(support=(0,) * 5), name="validation")
    gap = accuracy_gap(evaluation_of(MATRIX_A, name="train"), empty, level=0.95)
    assert (gap.value, gap.lower, gap.upper) == (None, None, None)
    assert gap.note == "no cells: train 373/375, validation 0/0"


def test_the_generalisation_gap_by_hand():
    # 373/375 at home, 150/300 elsewhere, each side at 97.5 %.
    test, elsewhere = evaluation_of(MATRIX_A), evaluation_of(np.array([[150, 150], [0, 0]]), name="elsewhere")
    gap = generalisation_gap(test, elsewhere, level=0.95)
    home, away = (clopper_pearson_bounds(k, n, level=0.975) for k, n in ((373, 375), (150, 300)))
    assert (gap.metric, gap.set) == ("generalisation_gap", "elsewhere")
    assert gap.value == pytest.approx(373 / 375 - 0.5)
    assert (gap.lower, gap.upper) == (home[0] - away[1], home[1] - away[0])
    missing = Unavailable("no such set")
    assert generalisation_gap(test, missing, level=0.95) is missing


# --- counts and times -----------------------------------------------------------------------------


def test_a_count_that_was_made_is_its_own_bound():
    count = exact_count("leaked_units", "dataset", ["a", "b"], of=2500)
    assert (count.value, count.lower, count.upper, count.level) == (2.0, 2.0, 2.0, 1.0)
    assert count.is_exact
    assert (count.unit, count.n, count.k, count.details) == ("count", 2500, None, ("a", "b"))
    assert exact_count("leaked_units", "dataset", []).value == 0.0


def timing(samples: list[float], *, images: int = 1) -> Timing:
    return Timing("SingleStream" if images == 1 else "Offline", "model-only", "cpu", images, 32, tuple(samples))


def test_latency_is_the_90th_percentile_with_the_bounds_of_its_ranks():
    # 100 samples of 0.01 to 1 s: LoadGen's rank 90 counted from 0. Binomial(100, 0.9) has its 5 % and 95 % quantiles
    # at 85 and 95, so the bounds are the 85th and the 96th sample.
    found = latency(timing([i / 100 for i in range(100, 0, -1)]), metric="latency_s", level=0.95)
    assert (binom.ppf(0.05, 100, 0.9), binom.ppf(0.95, 100, 0.9)) == (85, 95)
    assert (found.value, found.lower, found.upper) == (0.91, 0.85, 0.96)
    assert (found.metric, found.set, found.unit, found.n, found.k) == ("latency_s", "cpu", "s", 100, None)
    assert found.note == "SingleStream, model-only, batch 32, on cpu; samples taken as independent"


def test_latency_of_blocks_is_bounded_as_by_one_sample_a_block():
    # Fifty blocks that each say one thing twice: the bounds are theirs. Of Binomial(50, 0.9) the 5 % and 95 %
    # quantiles are 41 and 48, so the bounds are the 41st and the 49th.
    fifty = [i / 50 for i in range(1, 51)]
    blocks = replace(timing([second for second in fifty for _ in range(2)]), blocks=TimedBlocks(50, 0.1, ()))
    found = latency(blocks, metric="latency_s", level=0.95)
    assert (binom.ppf(0.05, 50, 0.9), binom.ppf(0.95, 50, 0.9)) == (41, 48)
    alone = latency(timing(fifty), metric="latency_s", level=0.95)
    assert (found.lower, found.upper) == (alone.lower, alone.upper) == (0.82, 0.98)
    assert (found.value, found.n) == (0.92, 100)  # LoadGen's rank 90 of all samples, counted from 0
    assert "50 blocks, 0.1 s apart, taken as independent" in found.note
    in_a_row = latency(replace(blocks, blocks=None), metric="latency_s", level=0.95)
    assert found.lower < in_a_row.lower < in_a_row.upper < found.upper


def test_too_few_queries_have_no_upper_bound_and_claim_none():
    found = latency(timing([0.01] * 28), metric="latency_s", level=0.95)
    assert found.upper is None
    assert found.value == 0.01


def test_images_per_second_is_the_median_of_rounds():
    # 150 images in 10, 30, 15, 25 and 20 s: 15, 5, 10, 6 and 7.5 a second.
    found = images_per_second(timing([10, 30, 15, 25, 20], images=150), metric="images_per_s", level=0.95)
    assert (found.value, found.lower, found.upper) == (7.5, 5.0, 15.0)
    assert (found.unit, found.n, found.set) == ("images/s", 5, "cpu")
    assert "batch 32" in found.note
    assert images_per_second(timing([1.0] * 4), metric="images_per_s", level=0.95).lower is None


def test_equal_samples_are_still_samples_and_no_exact_count():
    found = latency(timing([0.015] * 100), metric="latency_s", level=0.95)
    assert found.lower == found.value == found.upper
    assert not found.is_exact
