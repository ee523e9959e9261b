"""Averages over classes: the oracle matrices, scikit-learn, and a search for matrices outside the macro-F1 bounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from harness.core.errors import UndefinedStatistic
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.macro import MOST_CLASSES_BOUNDED, highest_macro_f1, lowest_macro_f1, macro_f1, multiclass_summary

BAS, EOS, LYM, MON, NEU = range(5)


def confusion_of(*moved: tuple[int, int, int], supports: tuple[int, ...] = (75,) * 5) -> np.ndarray:
    """All right, but for (count, reference, predicted)."""
    confusion = np.diag(supports)
    for count, reference, predicted in moved:
        confusion[reference, reference] -= count
        confusion[reference, predicted] += count
    return confusion


A = confusion_of((1, BAS, NEU), (1, LYM, NEU))
B = confusion_of((2, BAS, NEU))
C = confusion_of((2, NEU, BAS), supports=(73, 75, 75, 75, 75))  # of 373: two basophils are missing from the table


@st.composite
def confusions(draw: st.DrawFn) -> np.ndarray:
    """Every class present, errors anywhere."""
    n_classes = draw(st.integers(2, 5))
    cells = draw(st.lists(st.integers(0, 12), min_size=n_classes**2, max_size=n_classes**2))
    confusion = np.array(cells).reshape(n_classes, n_classes)
    diagonal = draw(st.lists(st.integers(0, 60), min_size=n_classes, max_size=n_classes))
    np.fill_diagonal(confusion, diagonal)
    confusion[np.arange(n_classes), np.arange(n_classes)] += confusion.sum(axis=1) == 0
    return confusion


def labels_of(confusion: np.ndarray) -> tuple[list[int], list[int]]:
    pairs = [(i, j) for (i, j), count in np.ndenumerate(confusion) for _ in range(count)]
    return [i for i, _ in pairs], [j for _, j in pairs]


# --- single numbers -------------------------------------------------------------------------------


def test_matrix_a_meets_the_oracles():
    summary = multiclass_summary(A)
    assert summary.accuracy == pytest.approx(0.994667, abs=5.1e-7)
    assert summary.macro_precision == pytest.approx(0.994805, abs=5.1e-7)
    assert summary.macro_recall == summary.balanced_accuracy == pytest.approx(0.994667, abs=5.1e-7)
    assert summary.macro_f1 == macro_f1(A) == pytest.approx(0.994684, abs=5.1e-7)
    assert summary.kappa == pytest.approx(0.993333, abs=5.1e-7)
    assert summary.mcc == pytest.approx(0.993360, abs=5.1e-7)


@pytest.mark.parametrize("n_classes", [2, 13, 40, 100])
def test_the_number_of_classes_is_of_no_account(n_classes):
    errors = np.random.default_rng(n_classes).integers(0, 4, (n_classes, n_classes))
    confusion = errors + 9 * np.eye(n_classes, dtype=int)
    reference, predicted = labels_of(confusion)
    assert macro_f1(confusion) == pytest.approx(metrics.f1_score(reference, predicted, average="macro"), abs=1e-12)
    assert multiclass_summary(confusion).macro_f1 == macro_f1(confusion)


def test_one_class_has_no_average():
    with pytest.raises(ValueError, match="1 classes; an average over classes needs at least 2"):
        macro_f1(np.array([[5]]))


def test_matrix_b_meets_the_oracles():
    summary = multiclass_summary(B)
    assert summary.macro_f1 == pytest.approx(0.994666, abs=5.1e-7)
    assert summary.mcc == pytest.approx(0.993369, abs=5.1e-7)


def test_matrix_c_meets_the_oracles():
    summary = multiclass_summary(C)
    assert C.sum() == 373
    assert summary.accuracy == pytest.approx(0.994638, abs=5.1e-7)
    assert summary.macro_f1 == pytest.approx(0.994595, abs=5.1e-7)
    assert summary.weighted_f1 == pytest.approx(0.994638, abs=5.1e-7)
    assert summary.kappa == pytest.approx(0.993298, abs=5.1e-7)
    assert summary.mcc == pytest.approx(0.993333, abs=5.1e-7)


@given(confusion=confusions())
def test_scikit_learn_has_the_same_numbers(confusion):
    reference, predicted = labels_of(confusion)
    labels = list(range(len(confusion)))
    summary = multiclass_summary(confusion)
    assert summary.accuracy == pytest.approx(metrics.accuracy_score(reference, predicted))
    recall = metrics.recall_score(reference, predicted, labels=labels, average="macro", zero_division=0)
    assert summary.balanced_accuracy == summary.macro_recall == pytest.approx(recall)
    for average, ours in (("macro", summary.macro_f1), ("weighted", summary.weighted_f1)):
        witness = metrics.f1_score(reference, predicted, labels=labels, average=average, zero_division=0)
        assert ours == pytest.approx(witness)
    assert macro_f1(confusion) == pytest.approx(summary.macro_f1)
    if (confusion.sum(axis=0) > 0).all():
        assert summary.macro_precision == pytest.approx(metrics.precision_score(reference, predicted, average="macro"))
        assert summary.mcc == pytest.approx(metrics.matthews_corrcoef(reference, predicted), abs=1e-9)
        assert summary.kappa == pytest.approx(metrics.cohen_kappa_score(reference, predicted), abs=1e-9)
    else:
        assert summary.macro_precision is None


@given(confusion=confusions(), shuffle=st.randoms())
def test_the_order_of_the_classes_is_of_no_account(confusion, shuffle):
    order = list(range(len(confusion)))
    shuffle.shuffle(order)
    ours, shuffled = multiclass_summary(confusion), multiclass_summary(confusion[np.ix_(order, order)])
    for name in ("accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_f1", "kappa", "mcc"):
        expected = getattr(ours, name)
        assert getattr(shuffled, name) == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_nine_cells_of_one_class_have_no_average_over_five():
    # A notebook printed macro 0.2000 here. Nothing is known of four classes: there is no such number.
    nine = np.diag([0, 0, 0, 0, 9])
    summary = multiclass_summary(nine)
    assert summary.accuracy == 1.0
    averages = (summary.balanced_accuracy, summary.macro_precision, summary.macro_recall, summary.macro_f1)
    assert averages == (None,) * 4
    assert (summary.weighted_f1, summary.kappa, summary.mcc) == (None, None, None)
    with pytest.raises(UndefinedStatistic, match=r"class 0 has no reference cells.*not 0"):
        macro_f1(nine)


def test_a_class_that_is_never_called_has_no_precision_and_an_f1_of_0():
    summary = multiclass_summary(np.array([[0, 5], [0, 5]]))
    assert (summary.macro_precision, summary.mcc) == (None, None)
    # F1: 0 and 10 / 15.
    assert summary.macro_f1 == pytest.approx(1 / 3)
    assert summary.kappa == pytest.approx(0.0)


def test_no_cells_have_no_summary():
    with pytest.raises(UndefinedStatistic, match="of no cells has no accuracy"):
        multiclass_summary(np.zeros((5, 5), dtype=int))


@pytest.mark.parametrize("matrix", [np.ones((2, 3)), np.ones(4), np.array([[1, -1], [0, 1]])])
def test_what_is_no_confusion_matrix_is_refused(matrix):
    with pytest.raises(ValueError, match="a confusion matrix is square"):
        multiclass_summary(matrix)


# --- bounds of macro-F1 ---------------------------------------------------------------------------


def macro_f1_range(supports: Sequence[int], errors: float) -> tuple[float, float]:
    return lowest_macro_f1(tuple(supports), errors), highest_macro_f1(tuple(supports), errors)


def macro_f1_bounds(supports: Sequence[int], errors: int, *, level: float) -> tuple[float, float]:
    """As `classification.estimate` makes them of an evaluation."""
    n = sum(supports)
    fewest, most = clopper_pearson_bounds(errors, n, level=level)
    return lowest_macro_f1(tuple(supports), n * most), highest_macro_f1(tuple(supports), n * fewest)


@pytest.mark.parametrize(
    ("errors", "two_sided", "one_sided"),
    [(2, (0.98050, 0.99935), 0.98303), (4, (0.97216, 0.99709), 0.97516), (0, (0.99012, 1), 0.99198)],
)
def test_the_projection_meets_the_oracles(errors, two_sided, one_sided):
    assert macro_f1_bounds([75] * 5, errors, level=0.975) == pytest.approx(two_sided, abs=5.1e-6)
    assert macro_f1_bounds([75] * 5, errors, level=0.95)[0] == pytest.approx(one_sided, abs=5.1e-6)


def closed_form(s: int, n_classes: int, errors: float) -> tuple[float, float]:
    """Equal supports, errors <= s: one class misses all and the rest get its cells, or the reverse."""
    each = errors / (n_classes - 1)
    worst = errors / (2 * s - errors) + errors / (2 * s + each)
    best = errors / (2 * s + errors) + errors / (2 * s - each)
    return 1 - worst / n_classes, 1 - best / n_classes


@given(s=st.integers(2, 200), n_classes=st.integers(2, 8), share=st.floats(0.001, 0.9))
@settings(max_examples=40, deadline=None)
def test_equal_supports_have_the_closed_form(s, n_classes, share):
    found = macro_f1_range([s] * n_classes, s * share)
    lowest, highest = closed_form(s, n_classes, s * share)
    assert found[0] == pytest.approx(lowest, abs=1e-9)
    assert found[1] >= highest - 1e-9
    if n_classes > 3:
        assert found[1] == pytest.approx(highest, abs=1e-9)
    if n_classes == 2:
        # One class's misses are the other's false calls: best is half and half, E / 2s lost in each.
        assert found[1] == pytest.approx(1 - share / 2, abs=1e-9)


def test_of_three_classes_the_best_arrangement_is_not_quite_the_reverse_of_the_worst():
    # Two cells a class, one error: a class that takes nearly all false calls gives up a little of its own.
    found, closed = macro_f1_range([2, 2, 2], 1)[1], closed_form(2, 3, 1)[1]
    assert 0 < found - closed < 2e-5


@pytest.mark.slow
@given(confusion=confusions())
@settings(max_examples=25, deadline=None)
def test_no_confusion_matrix_lies_outside_the_range_of_its_errors(confusion):
    errors = int(confusion.sum() - np.trace(confusion))
    lowest, highest = macro_f1_range(confusion.sum(axis=1).tolist(), errors)
    assert lowest - 1e-9 <= macro_f1(confusion) <= highest + 1e-9


@pytest.mark.parametrize("supports", [(3, 3, 3), (2, 3, 5), (1, 4, 4), (6, 1, 2)])
@pytest.mark.parametrize("errors", [1, 2, 3, 4])
def test_every_matrix_of_a_small_set_lies_inside_and_the_ends_are_nearly_reached(supports, errors):
    # Whole cells cannot be spread as evenly as shares can: the ends may be passed only by shares.
    cells = [(i, j) for i, j in product(range(3), repeat=2) if i != j]
    found = []
    for counts in product(range(errors + 1), repeat=len(cells)):
        if sum(counts) != errors:
            continue
        moved = [(count, i, j) for count, (i, j) in zip(counts, cells, strict=True)]
        confusion = confusion_of(*moved, supports=supports)
        if (np.diag(confusion) >= 0).all():
            found.append(macro_f1(confusion))
    lowest, highest = macro_f1_range(supports, errors)
    assert lowest - 1e-9 <= min(found) <= max(found) <= highest + 1e-9
    assert min(found) - lowest < 0.02
    assert highest - max(found) < 0.02


@pytest.mark.parametrize("supports", [(90, 70, 75, 80, 60), (75, 75, 75, 75, 3)])
def test_a_random_search_over_shares_finds_nothing_outside(supports):
    rng, s = np.random.default_rng(11), np.array(supports, dtype=float)
    for errors in (1.5, 6.0, 20.0):
        lowest, highest = macro_f1_range(supports, errors)
        for _ in range(2000):
            flow = rng.exponential(size=(5, 5)) ** rng.choice([1, 3, 8])
            np.fill_diagonal(flow, 0.0)
            flow *= errors / flow.sum()
            if (flow.sum(axis=1) > s).any():
                continue
            missed, called = flow.sum(axis=1), flow.sum(axis=0)
            value = float(np.mean(2 * (s - missed) / (2 * s - missed + called)))
            assert lowest - 1e-9 <= value <= highest + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("supports", [(75, 75, 75, 75, 75), (90, 70, 75, 80, 60), (5, 9, 3)])
def test_more_errors_lower_both_ends(supports):
    ranges = np.array([macro_f1_range(supports, errors) for errors in np.linspace(0, sum(supports), 12)])
    assert (np.diff(ranges[:, 0]) <= 1e-9).all()
    assert (np.diff(ranges[:, 1]) <= 1e-9).all()
    assert (ranges[:, 0] <= ranges[:, 1] + 1e-12).all()
    assert ranges[0].tolist() == [1.0, 1.0]
    assert ranges[-1].tolist() == pytest.approx([0.0, 0.0], abs=1e-9)


def test_a_higher_level_gives_wider_bounds_and_the_order_of_classes_none():
    lower, upper = macro_f1_bounds([90, 70, 75, 80, 60], 4, level=0.95)
    wider = macro_f1_bounds([90, 70, 75, 80, 60], 4, level=0.99)
    assert wider[0] < lower < upper < wider[1]
    assert macro_f1_bounds([60, 80, 75, 70, 90], 4, level=0.95) == pytest.approx((lower, upper), abs=1e-9)


def test_a_bound_of_more_classes_than_the_search_takes_is_refused():
    for bound in (lowest_macro_f1, highest_macro_f1):
        assert 0 < bound((10,) * MOST_CLASSES_BOUNDED, 1.0) < 1
        with pytest.raises(ValueError, match="9 classes; macro-F1 has a bound for up to 8"):
            bound((10,) * (MOST_CLASSES_BOUNDED + 1), 1.0)
