"""Suspected labels: by hand, whatever the order of the rows, and planted ones at the top of the list."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_run import example_picture, example_run, write_example_dataset
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.label_errors import (
    label_suspects,
    normalised_margins,
    self_confidence,
    suspects_by_set,
)
from harness.metrics.predictions import Predictions
from harness.pack.read import open_pack
from harness.pack.read_predictions import read_predictions
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.protocol.names import PARTS

CLASSES = ("basophil", "lymphocyte", "monocyte")
REFERENCE = Path(__file__).parents[1] / "reports" / "reference"


def predictions(rows: list[list[float]], labels: list[int]) -> Predictions:
    names = tuple(f"{row:04d}" for row in range(len(rows)))
    return Predictions("test", CLASSES, names, names, np.array(labels), np.array(rows))


# By hand. Self-confidence: basophil (0.8 + 0.6 + 0.1) / 3 = 0.5, lymphocyte (0.7 + 0.5) / 2 = 0.6, monocyte
# (0.9 + 0.2) / 2 = 0.55.
BY_HAND = predictions(
    [
        [0.8, 0.1, 0.1],  # basophil, and counted as one
        [0.6, 0.3, 0.1],  # the same
        [0.1, 0.6, 0.3],  # labelled basophil, reaches the 0.6 of lymphocytes: margin 0.1 - 0.6
        [0.2, 0.7, 0.1],  # lymphocyte
        [0.5, 0.5, 0.0],  # labelled lymphocyte, below its 0.6, and reaches the 0.5 of basophils: margin 0
        [0.05, 0.05, 0.9],  # monocyte
        [0.45, 0.35, 0.2],  # labelled monocyte, reaches none: margin 0.2 - 0.45
    ],
    [0, 0, 0, 1, 1, 2, 2],
)


def test_a_small_matrix_by_hand():
    assert self_confidence(BY_HAND.probabilities, BY_HAND.labels) == pytest.approx([0.5, 0.6, 0.55])
    margins = normalised_margins(BY_HAND.probabilities, BY_HAND.labels)
    assert margins == pytest.approx([0.7, 0.3, -0.5, 0.5, 0.0, 0.85, -0.25])
    found = label_suspects(BY_HAND)
    assert [(each.rank, each.row, each.label, each.suggested, each.confident) for each in found] == [
        (1, 2, "basophil", "lymphocyte", True),
        (2, 6, "monocyte", "basophil", False),
        (3, 4, "lymphocyte", "basophil", True),
    ]
    assert (found[0].p_label, found[0].p_suggested, found[0].margin) == pytest.approx((0.1, 0.6, -0.5))


def test_for_a_class_without_a_cell_nothing_counts_confidently():
    (found,) = label_suspects(predictions([[0.0, 0.1, 0.9], [0.9, 0.1, 0.0]], [0, 0]))
    assert (found.row, found.suggested, found.confident) == (0, "monocyte", False)


def test_a_probability_that_is_the_average_is_not_missed_by_rounding():
    # The mean of seven equal numbers is not always that number to the last bit.
    for tenths in range(6, 10):
        row = [1 - tenths / 10, tenths / 10, 0.0]
        for n in (3, 5, 6, 7):
            (found,) = label_suspects(predictions([row] * n, [0] + [1] * (n - 1)))
            assert (found.row, found.confident) == (0, True)


def test_a_set_without_cells_has_no_suspects():
    assert label_suspects(Predictions("test", CLASSES, (), (), np.array([], dtype=int), np.empty((0, 3)))) == ()


def test_what_was_trained_on_is_not_listed():
    assert list(suspects_by_set({"train": BY_HAND, "test": BY_HAND})) == ["test"]


rows_of_cells = st.lists(
    st.tuples(st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any), st.integers(0, 2)), max_size=12
)


@given(cells=rows_of_cells, order=st.randoms())
def test_the_order_of_the_rows_never_changes_the_ranks(cells, order):
    rows = np.array([row for row, _ in cells], dtype=float).reshape(-1, 3)
    rows /= rows.sum(axis=1, keepdims=True)
    names, labels = [f"{i:02d}" for i in range(len(cells))], np.array([label for _, label in cells], dtype=int)
    shuffled = order.sample(range(len(cells)), len(cells))

    def ranked(places: list[int]) -> list[tuple[str, str]]:
        cut = tuple(names[place] for place in places)
        found = Predictions("test", CLASSES, cut, cut, labels[places], rows[places])
        return [(each.sha256, each.suggested) for each in label_suspects(found)]

    assert ranked(shuffled) == ranked(list(range(len(cells))))


def flipped(found: Predictions, share: float, rng: np.random.Generator) -> tuple[Predictions, set[int]]:
    """The same answers with so many labels changed to another class, and the rows of those."""
    n = len(found.labels)
    rows = rng.choice(np.flatnonzero(found.correct), size=round(share * n), replace=False)
    labels = found.labels.copy()
    labels[rows] = (labels[rows] + rng.integers(1, len(found.classes), size=len(rows))) % len(found.classes)
    return replace(found, labels=labels), set(rows.tolist())


def found_at_the_top(found: Predictions, planted: set[int]) -> float:
    """The share of the planted labels among as many first suspects."""
    top = {each.row for each in label_suspects(found)[: len(planted)]}
    return len(top & planted) / len(planted)


def good_classifier(rng: np.random.Generator, *, n: int = 500, n_classes: int = 5) -> Predictions:
    """About 97 of 100 right, seldom sure where it is wrong."""
    labels = np.arange(n) % n_classes
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), labels] += 3.5
    p = np.exp(logits)
    names = tuple(f"{row:04d}" for row in range(n))
    classes = tuple(f"class_{column}" for column in range(n_classes))
    return Predictions("test", classes, names, names, labels, p / p.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("seed", range(5))
def test_of_five_in_a_hundred_flipped_labels_four_fifths_are_at_the_top(seed):
    rng = np.random.default_rng(seed)
    clean = good_classifier(rng)
    assert 0.95 < clean.correct.mean() < 1
    assert found_at_the_top(*flipped(clean, 0.05, rng)) >= 0.8


def test_the_same_of_a_trained_classifier():
    found = read_predictions(open_pack(REFERENCE), "test")
    planted = [flipped(found, 0.05, np.random.default_rng(seed)) for seed in range(20)]
    assert np.mean([found_at_the_top(*each) for each in planted]) >= 0.8


# --- the pack -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_pack_lists_them_with_pictures_and_verify_makes_them_again(tmp_path: Path):
    run = example_run(content=example_picture)
    manifest = write_example_dataset(tmp_path / "cells")
    pack = write_pack(run, reports=tmp_path, manifest=manifest, models={}, formats=("PNG", "JPEG"))
    rows = list(csv.DictReader(io.StringIO((pack / "label_suspects.csv").read_text())))
    wanted = [(name, each.sha256, each.suggested) for name, found in all_of(run).items() for each in found]
    assert [(row["set"], row["sha256"], row["suggested"]) for row in rows] == wanted
    assert wanted
    told = json.loads((pack / "evidence.json").read_text())["page"]["labels"]
    assert told["found"] == {name: len(found) for name, found in all_of(run).items()}
    page = (pack / "index.html").read_text()
    (section,) = page.split('id="labels"')[1:]
    assert 'class="thumb"' in section.partition("<section")[0]
    before = {str(each) for each in verify_pack(pack).discrepancies}
    assert not [each for each in before if "suspect" in each or "labels" in each]
    edited = (pack / "label_suspects.csv").read_text().replace(f",{rows[0]['suggested']},", ",other,", 1)
    (pack / "label_suspects.csv").write_text(edited)
    mend(pack)
    assert any("label_suspects.csv" in str(each) for each in verify_pack(pack).discrepancies)


def test_nothing_is_counted_otherwise_because_of_a_suspicion():
    run = example_run()
    assert any(all_of(run)[part] for part in PARTS if part in all_of(run))
    assert {name: found.n for name, found in run.evaluations.items()} == {
        name: len(found.labels) for name, found in run.predictions.items()
    }


def all_of(run):
    return suspects_by_set(run.predictions)


def mend(pack: Path) -> None:
    from test_verify import mend_sums

    mend_sums(pack)
