"""The same picture several times in a set: it counts once, by its smallest digest, and wrong with two labels."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from example_run import example_run, page_of
from hypothesis import given
from hypothesis import strategies as st

from harness.data.leakage import DuplicatePair, ListedImage
from harness.judge.criteria import not_judged
from harness.metrics.classification import estimate, evaluate
from harness.metrics.comparison import compare
from harness.metrics.conformal import conformal_result
from harness.metrics.copies import copies_within, counted_once, pictures_shown_twice
from harness.metrics.parity import Parity, SetParity
from harness.metrics.predictions import Predictions, widened
from harness.pack.write import audited
from harness.run.results import SetSummary

CLASSES = ("basophil", "eosinophil", "neutrophil")


def cells(
    labels: list[int], *, called: list[int] | None = None, set_name: str = "test", groups: tuple[str, ...] | None = None
) -> Predictions:
    """Cells 0, 1, 2 ... with a digest that falls with the number: the last one has the smallest."""
    numbers = range(len(labels))
    return Predictions(
        set=set_name,
        classes=CLASSES,
        paths=tuple(f"{n}.png" for n in numbers),
        digests=tuple(f"{999 - n:03}" for n in numbers),
        labels=np.array(labels),
        probabilities=np.eye(len(CLASSES))[labels if called is None else called],
        groups=groups,
    )


def alike(*pairs: tuple[int, int], set_name: str = "dataset", label: str = "basophil") -> tuple[DuplicatePair, ...]:
    listed = [[ListedImage(set_name, f"{n}.png", label) for n in pair] for pair in pairs]
    return tuple(DuplicatePair(a, b, "near", "re-encoded", 0.99, 0.99) for a, b in listed)


def test_of_the_cells_that_show_a_picture_the_one_of_the_smallest_digest_counts_whatever_was_said_of_it():
    found = counted_once(cells([0, 0, 0, 1], called=[0, 0, 2, 1]), alike((0, 1), (1, 2)))
    assert found.paths == ("2.png", "3.png")
    assert found.correct.tolist() == [False, True]
    assert (found.n_left_out, evaluate(found).n) == (2, 2)


def test_pairs_of_other_sets_and_of_other_parts_change_nothing():
    found = cells([0, 0, 1])
    assert counted_once(found, alike((0, 1), set_name="elsewhere")) is found
    assert counted_once(found, alike((0, 7))) is found  # 7.png is in another part
    external = cells([0, 0, 1], set_name="elsewhere")
    assert counted_once(external, alike((0, 1))) is external
    assert counted_once(external, alike((0, 1), set_name="elsewhere")).paths == ("1.png", "2.png")


@pytest.mark.parametrize("called", [0, 1, 2])
def test_a_picture_with_two_labels_is_wrong_whatever_is_said_of_it_and_its_class_is_known_before(called):
    found = counted_once(cells([0, 1, 2], called=[called, called, 2]), alike((0, 1)))
    evaluation = evaluate(found)
    assert found.correct.tolist() == [False, True]
    assert evaluation.confusion.sum(axis=1).tolist() == [0, 1, 1]  # it is of the label of its smallest digest
    assert (evaluation.n_correct, evaluation.n) == (1, 2)


def test_a_conformal_set_that_holds_one_of_two_labels_does_not_cover():
    validation = cells([0, 1, 2] * 10, set_name="validation")
    validation = Predictions(
        **{
            **{name: getattr(validation, name) for name in ("set", "classes", "paths", "labels", "probabilities")},
            "digests": tuple(f"v{n}" for n in range(30)),
        }
    )
    target = counted_once(cells([0, 1, 2], called=[1, 1, 2]), alike((0, 1)))
    found = conformal_result(validation, target, alpha=0.1)
    assert (found.covered, found.n) == (1, 2)


def test_invented_patients_do_not_make_copies_independent():
    # The attack: nine noisy copies of five cells, each with a patient of its own, passed as 45 patients.
    patients = tuple(f"patient:P{n}" for n in range(45))
    copies = alike(*(pair for cell in range(5) for pair in pairwise(range(9 * cell, 9 * cell + 9))))
    before = cells([0] * 45, groups=patients)
    assert estimate(evaluate(before), "recall", cell_class="basophil", level=0.95).lower == pytest.approx(
        0.05 ** (1 / 45)
    )
    after = estimate(evaluate(counted_once(before, copies)), "recall", cell_class="basophil", level=0.95)
    assert (after.k, after.n, after.lower) == (5, 5, pytest.approx(0.05 ** (1 / 5)))
    assert after.note.endswith("not counted are 40 of 45 cells, whose pictures are there already")


def test_a_difference_to_a_baseline_counts_each_picture_once_for_both():
    candidate, baseline = cells([0, 0, 0, 1, 2], called=[0, 0, 0, 1, 1]), cells([0, 0, 0, 1, 2], called=[1, 1, 1, 1, 2])
    assert compare(candidate, baseline, baseline_run="x").counts() == (1, 3, 5)
    assert compare(candidate, baseline, baseline_run="x", copies=alike((0, 1), (0, 2))).counts() == (1, 1, 3)
    contested = compare(candidate, baseline, baseline_run="x", copies=alike((0, 1), (2, 3)))
    assert contested.counts() == (1, 1, 3)  # 2 and 3 have two labels: both classifiers are wrong about them


def test_the_criterion_names_each_picture_its_part_and_its_labels():
    pairs = (
        *alike((0, 1), (1, 2)),
        DuplicatePair(
            ListedImage("dataset", "5.png", "basophil"),
            ListedImage("dataset", "6.png", "neutrophil"),
            "same pixels",
            "same pixels",
            1.0,
            1.0,
        ),
        *alike((0, 9)),
        *alike((1, 2), set_name="elsewhere"),
    )
    part_of = {"0.png": "test", "1.png": "test", "2.png": "test", "5.png": "train", "6.png": "train", "9.png": "train"}
    assert copies_within(pairs, part_of) == (
        "elsewhere: 2 cells show one picture and count as one: '1.png', '2.png'",
        "test: 3 cells show one picture and count as one: '0.png', '1.png', '2.png'",
        "train: 2 cells show one picture and count as one: '5.png', '6.png'; its labels are basophil and neutrophil: "
        "it counts as wrong",
    )


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(lambda p: p[0] != p[1])), st.randoms())
def test_what_pairs_connect_is_one_picture_in_whatever_order_they_come(pairs, random):
    found = {frozenset(each) for each in pictures_shown_twice(pairs)}
    mixed = [pair if random.random() < 0.5 else pair[::-1] for pair in random.sample(pairs, len(pairs))]
    assert {frozenset(each) for each in pictures_shown_twice(mixed)} == found
    assert sum(map(len, found)) == len({cell for pair in pairs for cell in pair})  # no cell is in two
    assert all(any({a, b} <= each for each in found) for a, b in pairs)


def test_a_page_that_lists_every_cell_beside_those_that_count_does_not_contradict_itself(tmp_path: Path):
    run = example_run()
    found = run.predictions["second-laboratory"]
    pairs = tuple(
        DuplicatePair(
            *(ListedImage(found.set, found.paths[row], found.classes[found.labels[row]]) for row in rows),
            *("near", "re-encoded", 0.99, 0.99),
        )
        for rows in pairwise(range(4))
    )
    counted = counted_once(found, pairs)
    sets = tuple(SetParity(name, len(each.digests), 1e-7, ()) for name, each in run.predictions.items())
    classes = (*found.classes, "blast")
    strange = replace(
        found,
        set="odd",
        classes=classes,
        labels=np.full(len(found.labels), len(found.classes)),
        probabilities=widened(found.probabilities, classes),
    )
    n = len(found.digests)
    run = replace(
        run,
        verdicts=tuple(
            not_judged(each.criterion, "not asked here") if each.criterion.set == found.set else each
            for each in run.verdicts
        ),
        duplicates=pairs,
        evaluations=run.evaluations | {found.set: evaluate(counted)},
        parity=Parity("classifier.onnx", "0" * 64, 9, "onnxruntime", sets),
        unknown={"odd": strange},
        sets=(
            *run.sets,
            SetSummary("odd", "unknown", n, {"blast": n}, "0" * 64, "odd"),
        ),
    )
    # Once with copies among the cells, whose table has another heading, and once without any.
    for number, each in enumerate((run, replace(run, duplicates=(), evaluations=example_run().evaluations))):
        page = tmp_path / f"{number}.html"
        page.write_text(page_of(each), encoding="utf-8")
        assert audited(page, classes=found.classes) is not None
