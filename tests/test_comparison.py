"""Candidate against baseline: paired by image, refused where the cells differ, judged against the margin."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from harness.core.errors import IncomparableSets
from harness.judge.criteria import judge
from harness.judge.verdicts import Outcome
from harness.metrics.comparison import compare, difference, difference_bounds
from harness.metrics.estimates import Unavailable
from harness.metrics.predictions import Predictions
from harness.protocol.file import read_protocol

CLASSES = ("a", "b", "c")
PROTOCOL = read_protocol(Path(__file__).parents[1] / "suites" / "protocols" / "embedded.toml")
TODAY = date(2026, 1, 15)


def predictions(labels: list[int], called: list[int], *, classes: tuple[str, ...] = CLASSES) -> Predictions:
    n = len(labels)
    return Predictions(
        set="test",
        classes=classes,
        paths=tuple(f"{label}/{i}.png" for i, label in enumerate(labels)),
        digests=tuple(f"{i:064x}" for i in range(n)),
        labels=np.array(labels),
        probabilities=np.eye(len(classes))[called],
    )


def shuffled(given: Predictions, seed: int) -> Predictions:
    order = np.random.default_rng(seed).permutation(len(given.labels))
    return replace(
        given,
        paths=tuple(given.paths[i] for i in order),
        digests=tuple(given.digests[i] for i in order),
        labels=given.labels[order],
        probabilities=given.probabilities[order],
    )


def test_cells_are_paired_by_image_and_counted_by_hand():
    labels = [0, 0, 0, 1, 1, 2]
    baseline = predictions(labels, [0, 0, 1, 1, 2, 2])  # right: 0 1 . 3 . 5
    candidate = predictions(labels, [0, 1, 0, 1, 1, 0])  # right: 0 . 2 3 4 .
    found = compare(candidate, baseline, baseline_run="champion")
    assert found.counts() == (2, 2, 6)
    assert [found.counts(name) for name in CLASSES] == [(1, 1, 3), (0, 1, 2), (1, 0, 1)]
    assert [cell.path for cell in found.discordant] == ["0/1.png", "2/5.png", "0/2.png", "1/4.png"]
    assert [cell.candidate_right for cell in found.discordant] == [False, False, True, True]
    assert (found.discordant[0].baseline, found.discordant[0].candidate) == ("a", "b")
    assert found.n_changed == 4


@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_rows_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    labels, one, other = (rng.integers(0, 3, 30).tolist() for _ in range(3))
    pair = predictions(labels, one), predictions(labels, other)
    straight = compare(*pair, baseline_run="x")
    mixed = compare(shuffled(pair[0], seed), shuffled(pair[1], seed + 1), baseline_run="x")
    assert np.array_equal(straight.table, mixed.table)
    assert straight.discordant == mixed.discordant
    correct = [np.array(called) == labels for called in (one, other)]
    b, c = int(np.sum(~correct[0] & correct[1])), int(np.sum(correct[0] & ~correct[1]))
    assert straight.counts() == (b, c, 30)


def test_the_difference_carries_exact_bounds_and_mcnemar():
    labels = [0] * 100
    candidate, baseline = predictions(labels, [0] * 92 + [1] * 8), predictions(labels, [1] * 2 + [0] * 98)
    found = difference(
        compare(candidate, baseline, baseline_run="x"), "accuracy_difference", cell_class=None, level=0.95
    )
    assert found.value == pytest.approx(-0.06)
    assert found.paired == (8, 2)
    assert (found.lower, found.upper) == difference_bounds(8, 2, 100, level=0.95)
    assert f"p = {binomtest(2, 10, 0.5).pvalue:.4g}" in found.note


@settings(deadline=None)  # an exact bound is a search, and a loaded machine takes its time
@given(b=st.integers(0, 12), c=st.integers(0, 12), more=st.integers(0, 40))
def test_exchanging_the_two_turns_the_bounds_round(b, c, more):
    n = b + c + more + 1
    lower, upper = difference_bounds(b, c, n, level=0.95)
    assert lower <= (c - b) / n <= upper
    assert difference_bounds(c, b, n, level=0.95) == (-upper, -lower)


def verdict_on(b: int, c: int, n: int) -> Outcome:
    labels = [0] * n
    candidate = predictions(labels, [0] * (n - b) + [1] * b)
    baseline = predictions(labels, [1] * c + [0] * (n - c))
    found = difference(
        compare(candidate, baseline, baseline_run="x"), "accuracy_difference", cell_class=None, level=0.95
    )
    criterion = next(c for c in PROTOCOL.criteria if c.id == "G1").model_copy(update={"floor": -0.02})
    return judge(criterion, found, protocol=PROTOCOL, today=TODAY).outcome


@pytest.mark.parametrize(
    ("b", "c", "n", "expected"),
    [
        (0, 0, 375, Outcome.PASSED),
        (3, 1, 375, Outcome.PASSED),
        (10, 0, 375, Outcome.INCONCLUSIVE),
        (25, 2, 375, Outcome.FAILED),
        (0, 0, 100, Outcome.INCONCLUSIVE),
    ],
)
def test_a_candidate_is_judged_against_the_margin(b, c, n, expected):
    assert verdict_on(b, c, n) is expected


def test_a_margin_that_no_result_could_prove_is_named():
    labels = [0] * 100
    same = predictions(labels, labels)
    found = difference(compare(same, same, baseline_run="x"), "accuracy_difference", cell_class=None, level=0.95)
    criterion = next(c for c in PROTOCOL.criteria if c.id == "G1").model_copy(update={"floor": -0.02})
    verdict = judge(criterion, found, protocol=PROTOCOL, today=TODAY)
    assert "with 100 pairs even equal predictions prove no margin below 0.0" in verdict.reason
    assert "a margin of 0.02 cannot be shown here" in verdict.reason
    # Named are as many as would really do, and about as few: the search goes in steps of 2 %.
    named = int(re.search(r"about (\d+) equal pairs would show it", verdict.reason)[1])
    assert -difference_bounds(0, 0, named, level=0.95)[0] <= 0.02
    assert -difference_bounds(0, 0, int(named * 0.97), level=0.95)[0] > 0.02


# --- refused ---


def test_other_classes_are_refused_by_name():
    ours, theirs = predictions([0], [0]), predictions([0], [0], classes=("b", "a", "c"))
    with pytest.raises(
        IncomparableSets, match=r"champion knows the classes \['b', 'a', 'c'\], this run \['a', 'b', 'c'\]"
    ):
        compare(ours, theirs, baseline_run="champion")


def test_other_cells_are_refused_with_how_many_and_which():
    ours, theirs = predictions([0, 1, 2], [0, 1, 2]), predictions([0, 1], [0, 1])
    with pytest.raises(IncomparableSets, match=r"1 of this run's 3 cells are not among its 2, 0 of .* first '2/2.png'"):
        compare(ours, theirs, baseline_run="champion")


def test_labels_of_which_none_stands_are_refused():
    ours, theirs = predictions([0, 1], [0, 1]), predictions([1, 2], [0, 1])
    with pytest.raises(IncomparableSets, match="2 images have another reference label"):
        compare(ours, theirs, baseline_run="champion")


def test_a_comparison_that_was_not_made_has_no_difference():
    missing = Unavailable("no baseline given")
    assert difference(missing, "accuracy_difference", cell_class=None, level=0.95) is missing


def test_a_class_without_cells_has_no_difference():
    found = compare(predictions([0], [0]), predictions([0], [0]), baseline_run="x")
    nothing = difference(found, "recall_difference", cell_class="b", level=0.95)
    assert isinstance(nothing, Unavailable)
    assert "no cells of b" in nothing.reason
