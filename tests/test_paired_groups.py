"""Paired differences on the cells of patients: exact where each is alone, wider where a patient is lost as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_comparison import predictions

from harness.metrics.clusters import intracluster_correlation
from harness.metrics.comparison import compare, difference, difference_bounds
from harness.metrics.paired import tango_bounds
from harness.metrics.paired_groups import PairedGroups, effective_pairs, grouped_difference_bounds


def groups(sizes: list[int], lost: list[int], gained: list[int]) -> PairedGroups:
    return PairedGroups(*(np.array(each) for each in (sizes, lost, gained)))


def test_patients_of_one_cell_are_independent_pairs_with_the_exact_bounds():
    alone = groups([1] * 60, [1, 1, 1] + [0] * 57, [0] * 59 + [1])
    assert grouped_difference_bounds(alone, assumed_correlation=0.3, level=0.95) == pytest.approx(
        difference_bounds(3, 1, 60, level=0.95), abs=1e-12
    )
    assert effective_pairs(alone, assumed_correlation=0.3) == pytest.approx(60)


def test_equal_answers_are_worth_what_the_assumed_correlation_leaves():
    # Six patients of ten cells at 0.5: 60 / (1 + 9 * 0.5) = 10.9 pairs, whose score bound is -z^2 / (n + z^2).
    alike = groups([10] * 6, [0] * 6, [0] * 6)
    assert effective_pairs(alike, assumed_correlation=0.5) == pytest.approx(60 / 5.5)
    lower, upper = grouped_difference_bounds(alike, assumed_correlation=0.5, level=0.95)
    assert -lower == upper
    assert (
        lower
        <= tango_bounds(0, 0, 60 / 5.5, level=0.95)[0]
        == pytest.approx(-(1.6449**2) / (60 / 5.5 + 1.6449**2), abs=1e-4)
    )


def test_a_patient_who_is_lost_as_a_whole_is_one_loss_and_not_ten():
    together, apart = groups([10] * 6, [6, 0, 0, 0, 0, 0], [0] * 6), groups([10] * 6, [1] * 6, [0] * 6)
    bounds = [grouped_difference_bounds(each, assumed_correlation=0.0, level=0.95)[0] for each in (together, apart)]
    assert bounds[0] < bounds[1] - 0.05
    assert bounds[1] == pytest.approx(difference_bounds(6, 0, 60, level=0.95)[0], abs=1e-12)  # no correlation: exact


def test_the_correlation_of_what_is_lost_is_that_of_the_analysis_of_variance():
    cells = [True] * 6 + [False] * 54
    expected = intracluster_correlation(cells, [n // 10 for n in range(60)])
    worth = effective_pairs(groups([10] * 6, [6, 0, 0, 0, 0, 0], [0] * 6), assumed_correlation=0.0)
    assert worth == pytest.approx(60 / (1 + 9 * expected))


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_the_two_bounds_mirror_each_other_hold_the_estimate_and_a_larger_assumption_only_widens_them(data):
    sizes = data.draw(st.lists(st.integers(1, 8), min_size=2, max_size=5))
    lost = [data.draw(st.integers(0, size)) for size in sizes]
    gained = [data.draw(st.integers(0, size - n)) for size, n in zip(sizes, lost, strict=True)]
    found, swapped = groups(sizes, lost, gained), groups(sizes, gained, lost)
    lower, upper = grouped_difference_bounds(found, assumed_correlation=0.1, level=0.95)
    assert (-upper, -lower) == grouped_difference_bounds(swapped, assumed_correlation=0.1, level=0.95)
    assert lower - 1e-9 <= (sum(gained) - sum(lost)) / sum(sizes) <= upper + 1e-9
    wider = grouped_difference_bounds(found, assumed_correlation=0.6, level=0.95)
    assert wider[0] <= lower + 1e-9
    assert wider[1] >= upper - 1e-9


def test_a_comparison_counts_patients_in_all_and_class_by_class():
    from dataclasses import replace

    labels = [0] * 20 + [1] * 20
    baseline = predictions(labels, labels)
    candidate = predictions(labels, [1] * 4 + labels[4:])  # all four cells of the first patient are lost
    patients = tuple(f"patient:{n // 4}" for n in range(40))
    before = difference(
        compare(candidate, baseline, baseline_run="x"), "accuracy_difference", cell_class=None, level=0.95
    )
    compared = compare(replace(candidate, groups=patients), baseline, baseline_run="x", intracluster_correlation=0.1)
    found = difference(compared, "accuracy_difference", cell_class=None, level=0.95)
    assert found.value == before.value == -0.1
    assert found.lower < before.lower
    assert found.note.endswith("40 pairs of 10 patients or slides, worth 10.0 independent ones")
    own = compared.groups(compared.classes[1])
    assert (own.sizes.tolist(), own.lost.sum()) == ([4] * 5, 0)
