"""Robustness: curves and flips worked by hand, and classifiers with a planted weakness that each must show."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from harness.core.errors import IncomparableSets, UndefinedStatistic
from harness.data.corruptions import INVARIANCES, SEVERITIES, corrupt_set, turned
from harness.metrics.classification import estimate, evaluate
from harness.metrics.comparison import difference_bounds
from harness.metrics.estimates import INDEPENDENCE_UNKNOWN, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds, wilson_interval
from harness.metrics.predictions import Predictions
from harness.metrics.robustness import (
    ANY,
    SeverityCurve,
    disturbed_accuracy,
    disturbed_difference,
    flip_rate,
    flip_rate_estimate,
    flip_rates,
    severity_curves,
)

CLASSES = ("basophil", "eosinophil", "lymphocyte")
LEVEL = {"intracluster_correlation": 0.1, "level": 0.95}


def predictions_of(
    labels: list[int], predicted: list[int], *, groups: tuple[str, ...] | None = None, name: str = "test"
) -> Predictions:
    """Certain of each predicted class."""
    names = tuple(f"{i:03d}" for i in range(len(labels)))
    probabilities = np.eye(len(CLASSES))[np.array(predicted, dtype=np.int64)]
    return Predictions(name, CLASSES, names, names, np.array(labels, dtype=np.int64), probabilities, groups)


TEN = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
CLEAN = predictions_of(TEN, TEN)
TWO_LOST = predictions_of(TEN, [1, 2, 0, 0, 1, 1, 1, 1, 1, 1])


# --- curves ---------------------------------------------------------------------------------------


def test_a_point_carries_counts_bounds_and_its_worst_class():
    (curve,) = severity_curves(CLEAN, {("stain", 3): TWO_LOST}, **LEVEL)
    point = curve.at(3)
    assert (curve.kind, curve.set, point.kind, point.severity) == ("stain", "test", "stain", 3)
    assert (point.k, point.n, point.accuracy) == (8, 10, 0.8)
    assert (point.lower, point.upper) == clopper_pearson_bounds(8, 10, level=0.95)
    assert point.display == wilson_interval(8, 10, level=0.95)
    assert (point.worst.cell_class, point.worst.k, point.worst.n) == ("basophil", 2, 4)
    assert point.worst.lower == clopper_pearson_bounds(2, 4, level=0.95)[0]
    assert point.note == INDEPENDENCE_UNKNOWN


def test_a_class_without_cells_is_never_the_worst():
    (curve,) = severity_curves(CLEAN, {("stain", 1): TWO_LOST}, **LEVEL)
    assert [recall.cell_class for recall in curve.at(1).recalls] == ["basophil", "eosinophil"]


def test_every_curve_begins_with_the_clean_cells_and_rises_in_severity():
    disturbed = {("jpeg", 5): TWO_LOST, ("stain", 2): TWO_LOST, ("jpeg", 1): CLEAN}
    curves = severity_curves(CLEAN, disturbed, **LEVEL)
    assert [(curve.kind, [point.severity for point in curve.points]) for curve in curves] == [
        ("jpeg", [0, 1, 5]), ("stain", [0, 2]),
    ]  # fmt: skip
    assert all(curve.clean.k == 10 for curve in curves)
    assert curves[0].at(3) is None


def test_a_curve_without_its_clean_point_is_refused():
    (curve,) = severity_curves(CLEAN, {("stain", 1): TWO_LOST}, **LEVEL)
    for points in (curve.points[1:], curve.points[::-1], (), (*curve.points, curve.points[1])):
        with pytest.raises(ValueError, match="are not a curve"):
            SeverityCurve("stain", "test", points)


def test_cells_of_one_patient_count_as_fewer():
    groups = tuple("AABBCCDDEE")
    clean, lost = (dataclasses.replace(each, groups=groups) for each in (CLEAN, TWO_LOST))
    (curve,) = severity_curves(clean, {("stain", 1): lost}, **LEVEL)
    expected = estimate(evaluate(lost, intracluster_correlation=0.1), "accuracy", cell_class=None, level=0.95)
    assert (curve.at(1).lower, curve.at(1).effective_n) == (expected.lower, expected.effective_n)
    assert curve.at(1).lower < clopper_pearson_bounds(8, 10, level=0.95)[0]
    assert "5 patients or slides" in curve.at(1).note


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60))
def test_scipy_has_the_same_bounds(seed, n):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n).tolist()
    predicted = np.where(rng.random(n) < 0.8, labels, rng.integers(0, 3, n)).tolist()
    (curve,) = severity_curves(
        predictions_of(labels, labels), {("noise", 1): predictions_of(labels, predicted)}, **LEVEL
    )
    point = curve.at(1)
    assert point.lower == pytest.approx(binomtest(point.k, n, alternative="greater").proportion_ci(0.95).low)
    assert point.upper == pytest.approx(binomtest(point.k, n, alternative="less").proportion_ci(0.95).high)


# --- criteria -------------------------------------------------------------------------------------


def test_disturbed_accuracy_is_the_point_that_the_protocol_agreed_on():
    curves = severity_curves(CLEAN, {("stain", 3): TWO_LOST, ("stain", 5): CLEAN}, **LEVEL)
    found = disturbed_accuracy(curves, kind="stain", severity=3, set_name="test")
    assert (found.metric, found.set, found.k, found.n, found.value) == ("disturbed_accuracy", "test", 8, 10, 0.8)
    assert (found.lower, found.upper, found.level) == (*clopper_pearson_bounds(8, 10, level=0.95), 0.95)
    assert found.note.startswith("stain at severity 3; clean 10/10, 2 net lost; worst class basophil 2/4")


@pytest.mark.parametrize(
    ("kind", "severity", "set_name"), [("stain", 4, "test"), ("jpeg", 3, "test"), ("stain", 3, "jtsc")]
)
def test_what_was_not_disturbed_is_unavailable_never_passed(kind, severity, set_name):
    curves = severity_curves(CLEAN, {("stain", 3): TWO_LOST}, **LEVEL)
    found = disturbed_accuracy(curves, kind=kind, severity=severity, set_name=set_name)
    assert isinstance(found, Unavailable)
    assert f"{set_name} was not disturbed by {kind} at severity {severity}" in found.reason


# --- flips ----------------------------------------------------------------------------------------


def test_flips_are_counted_in_both_directions_by_hand():
    #                   right->wrong x2, wrong->right, wrong->other wrong, wrong stays, right stays x5
    clean = predictions_of(TEN, [0, 0, 1, 1, 0, 1, 1, 1, 1, 1])
    after = predictions_of(TEN, [1, 2, 0, 2, 0, 1, 1, 1, 1, 1])
    found = flip_rate(clean, after, kind="rotation_90", **LEVEL)
    assert (found.k, found.n, found.value) == (4, 10, 0.4)
    assert (found.became_wrong, found.became_right) == (2, 1)
    assert found.p == 1.0  # exact McNemar of 2 against 1
    assert (found.lower, found.upper) == clopper_pearson_bounds(4, 10, level=0.95)


def test_six_flips_one_way_are_significant():
    labels = [0] * 20
    after = predictions_of(labels, [1] * 6 + [0] * 14)
    assert flip_rate(predictions_of(labels, labels), after, kind="flip", **LEVEL).p == pytest.approx(0.03125)


def test_a_cell_that_flips_under_several_transforms_counts_once():
    one, other = predictions_of(TEN, [1, *TEN[1:]]), predictions_of(TEN, [2, 1, *TEN[2:]])
    rates = flip_rates(CLEAN, {"rotation_90": one, "flip_vertical": other}, **LEVEL)
    assert [(rate.kind, rate.k) for rate in rates] == [("rotation_90", 1), ("flip_vertical", 2), (ANY, 2)]
    assert rates[-1].p is None


def test_no_flip_still_has_an_upper_bound():
    found = flip_rate(CLEAN, CLEAN, kind="flip_vertical", **LEVEL)
    assert (found.k, found.lower, found.p) == (0, 0.0, 1.0)
    assert found.upper == pytest.approx(1 - 0.05**0.1)


def test_flips_of_one_patient_count_as_fewer_cells():
    groups = tuple("AABBCCDDEE")
    clean, after = (dataclasses.replace(each, groups=groups) for each in (CLEAN, TWO_LOST))
    clustered, plain = flip_rate(clean, after, kind="f", **LEVEL), flip_rate(CLEAN, TWO_LOST, kind="f", **LEVEL)
    assert clustered.k == plain.k == 2
    assert clustered.upper > plain.upper
    assert clustered.lower < plain.lower
    assert clustered.effective_n < 10
    assert clustered.display.lower <= 0.2 <= clustered.display.upper


def test_the_flip_rate_of_a_criterion_is_judged_from_above():
    rates = flip_rates(CLEAN, {"rotation_90": TWO_LOST}, **LEVEL)
    found = flip_rate_estimate(rates, kind=ANY, set_name="test")
    assert (found.metric, found.k, found.n, found.upper) == ("flip_rate", 2, 10, rates[-1].upper)
    assert "any: 2 became wrong, 0 became right" in found.note
    assert "McNemar p = 0.5" in flip_rate_estimate(rates, kind="rotation_90", set_name="test").note
    assert isinstance(flip_rate_estimate(rates, kind="rotation_180", set_name="test"), Unavailable)
    assert isinstance(flip_rate_estimate(rates, kind=ANY, set_name="jtsc"), Unavailable)


# --- planted weaknesses ---------------------------------------------------------------------------

N = 60
PLAIN = np.array([0, 1] * (N // 2))


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    """Red-violet and blue-violet discs; every disc of the second class lies on a slide with a mark in one corner."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:48, :48] - 23.5
    pixels = np.empty((N, 48, 48, 3), np.uint8)
    for n, label in enumerate(PLAIN):
        slide = np.full((48, 48, 3), (240.0, 225.0, 205.0))
        slide[np.hypot(y, x) < rng.uniform(10, 13)] = (160, 80, 150) if label == 0 else (120, 95, 165)
        if label == 1:
            slide[1:8, 1:8] = 60
        pixels[n] = np.clip(slide + rng.normal(0, 3, slide.shape), 0, 255)
    return pixels


@pytest.fixture(scope="module")
def digests(cells) -> tuple[str, ...]:
    return tuple(hashlib.sha256(bytes(cell)).hexdigest() for cell in cells)


def looks_at_one_corner(pixels: np.ndarray) -> np.ndarray:
    return (pixels[:, 2:7, 2:7].mean(axis=(1, 2, 3)) < 140).astype(int)


def looks_at_colour_alone(pixels: np.ndarray) -> np.ndarray:
    middle = pixels[:, 20:28, 20:28].astype(np.int64).sum(axis=(1, 2))
    return (100 * middle[:, 1] > 61 * middle[:, 0]).astype(int)  # greener, for its red, than halfway


def judged(classify: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, digests: tuple[str, ...]) -> Predictions:
    return Predictions("test", CLASSES, digests, digests, PLAIN.astype(np.int64), np.eye(3)[classify(pixels)])


def curve_of(classify, cells, digests, kind) -> SeverityCurve:
    disturbed = {
        (kind, severity): judged(classify, corrupt_set(cells, digests, kind, severity, seed=1), digests)
        for severity in SEVERITIES[1:]
    }
    return severity_curves(judged(classify, cells, digests), disturbed, **LEVEL)[0]


def test_a_classifier_that_looks_at_one_corner_falls_when_the_film_is_turned(cells, digests):
    curve = curve_of(looks_at_one_corner, cells, digests, "rotation")
    assert curve.clean.accuracy == 1.0  # nothing on the test part gives it away
    assert curve.at(4).accuracy < 0.6
    assert curve.at(4).worst.cell_class == "eosinophil"
    found = disturbed_accuracy((curve,), kind="rotation", severity=4, set_name="test")
    assert found.upper < 0.9  # a floor of 90 % is disproved
    clean = judged(looks_at_one_corner, cells, digests)
    turns = {kind: judged(looks_at_one_corner, turned(cells, kind), digests) for kind in INVARIANCES}
    rates = {rate.kind: rate for rate in flip_rates(clean, turns, **LEVEL)}
    assert rates["rotation_180"].k == rates[ANY].k == N // 2  # every cell of the marked class
    assert rates["rotation_180"].p < 1e-6


def test_a_classifier_of_colour_alone_falls_under_stain_shift_and_nothing_else(cells, digests):
    curve = curve_of(looks_at_colour_alone, cells, digests, "stain")
    assert curve.clean.accuracy == 1.0
    assert curve.at(5).accuracy < 0.8
    assert curve.at(1).accuracy > curve.at(5).accuracy
    for kind in ("rotation", "defocus", "jpeg", "scale"):
        assert curve_of(looks_at_colour_alone, cells, digests, kind).at(3).accuracy > 0.95


def test_a_classifier_that_no_turn_can_sway_has_flip_rate_zero(cells, digests):
    def counts_pixels(pixels):  # in whole numbers: the order of a sum must not matter
        return (pixels.astype(np.int64).sum(axis=(1, 2))[:, 1] % 2).astype(int)

    turns = {kind: judged(counts_pixels, turned(cells, kind), digests) for kind in INVARIANCES}
    rates = flip_rates(judged(counts_pixels, cells, digests), turns, **LEVEL)
    assert [rate.k for rate in rates] == [0] * 6
    assert all(rate.upper == pytest.approx(1 - 0.05 ** (1 / N)) for rate in rates)


# --- refusals -------------------------------------------------------------------------------------


def test_other_cells_are_never_compared():
    fewer = predictions_of(TEN[:9], TEN[:9])
    with pytest.raises(IncomparableSets, match="jpeg at severity 2: 9 cells of set 'test' beside 10 clean ones"):
        severity_curves(CLEAN, {("jpeg", 2): fewer}, **LEVEL)
    with pytest.raises(IncomparableSets, match="of set 'jtsc'"):
        flip_rate(CLEAN, predictions_of(TEN, TEN, name="jtsc"), kind="flip", **LEVEL)
    relabelled = predictions_of([1, *TEN[1:]], TEN)
    with pytest.raises(IncomparableSets, match="row 0 is '000' with label eosinophil"):
        flip_rate(CLEAN, relabelled, kind="flip", **LEVEL)
    other = dataclasses.replace(CLEAN, classes=("eosinophil", "basophil", "lymphocyte"))
    with pytest.raises(IncomparableSets, match="Let one classifier predict both"):
        flip_rate(CLEAN, other, kind="flip", **LEVEL)


def test_planted_fault_shuffled_rows_are_refused():
    # Two batches in another order: the accuracy would be right, and every flip an accident.
    order = [*range(4, 10), *range(4)]
    shuffled = Predictions(
        "test", CLASSES, tuple(CLEAN.paths[i] for i in order), tuple(CLEAN.digests[i] for i in order),
        CLEAN.labels[order], CLEAN.probabilities[order],
    )  # fmt: skip
    with pytest.raises(IncomparableSets, match="row 0 is '004'"):
        flip_rate(CLEAN, shuffled, kind="flip", **LEVEL)


def test_a_severity_of_0_is_no_disturbance():
    with pytest.raises(ValueError, match="begins at 1"):
        severity_curves(CLEAN, {("jpeg", 0): CLEAN}, **LEVEL)


def test_no_cells_have_no_curve_and_no_flips():
    empty = Predictions("test", CLASSES, (), (), np.zeros(0, np.int64), np.zeros((0, 3)))
    with pytest.raises(UndefinedStatistic, match="has no cells"):
        severity_curves(empty, {("jpeg", 1): empty}, **LEVEL)
    with pytest.raises(UndefinedStatistic, match="it is not 0"):
        flip_rate(empty, empty, kind="flip", **LEVEL)


@pytest.mark.parametrize("transformed", [{}, {ANY: CLEAN}])
def test_transforms_need_names_of_their_own(transformed):
    with pytest.raises(ValueError, match="are not transforms"):
        flip_rates(CLEAN, transformed, **LEVEL)


def test_a_disturbance_that_costs_little_is_shown_by_pairs_where_two_bounds_show_nothing():
    # 150 cells, 135 right before and 133 after, of which 2 were lost: the loss is known to a few points.
    labels = [0] * 75 + [1] * 75
    clean = predictions_of(labels, [1] * 15 + labels[15:])
    worse = predictions_of(labels, [1] * 17 + labels[17:])
    curve = severity_curves(clean, {("stain", 3): worse}, intracluster_correlation=0.1, level=0.95)
    asked = {"kind": "stain", "severity": 3, "set_name": "test", "assumed_correlation": 0.1, "grouped_by": "patients"}
    found = disturbed_difference(curve, **asked)
    assert (found.value, found.paired, found.n) == (pytest.approx(-2 / 150), (2, 0), 150)
    assert (found.lower, found.upper) == difference_bounds(2, 0, 150, level=0.95)
    point = curve[0].at(3)
    assert found.lower > -0.05 > point.lower - curve[0].clean.upper
    assert "stain at severity 3: 2 lost, 0 gained" in found.note
    patients = tuple(f"patient:{n // 15}" for n in range(150))
    grouped = severity_curves(
        dataclasses.replace(clean, groups=patients),
        {("stain", 3): dataclasses.replace(worse, groups=patients)},
        intracluster_correlation=0.1,
        level=0.95,
    )
    assert grouped[0].at(3).by_group[1] == (15, 2, 0)
    over_patients = disturbed_difference(grouped, **asked)
    assert over_patients.lower < found.lower
    assert "150 pairs of 10 patients, worth " in over_patients.note


def test_what_a_pack_of_before_did_not_count_has_no_difference():
    labels = [0] * 5 + [1] * 5
    clean = predictions_of(labels, labels)
    curve = severity_curves(clean, {("stain", 3): clean}, intracluster_correlation=0.1, level=0.95)[0]
    older = dataclasses.replace(
        curve, points=tuple(dataclasses.replace(each, lost=None, gained=None) for each in curve.points)
    )
    asked = {"kind": "stain", "severity": 3, "set_name": "test", "assumed_correlation": 0.1, "grouped_by": "patients"}
    assert isinstance(disturbed_difference([older], **asked), Unavailable)
