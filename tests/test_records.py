"""Records: predictions are probabilities or no record at all, and digests know content, not order."""

from __future__ import annotations

import json
import random
from dataclasses import FrozenInstanceError, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.digests import digest_of
from harness.core.errors import InvalidPredictions
from harness.data.records import CellImage, Manifest, Split, labels_of, sorted_by_path
from harness.metrics.predictions import Predictions, predictions_of
from harness.model.records import PhaseRecord, Timing

CLASSES = ("basophil", "monocyte", "neutrophil")


def predictions(probabilities: object, labels: object, **changes: object) -> Predictions:
    table = np.asarray(probabilities, dtype=np.float64)
    names = tuple(f"cell{i}.png" for i in range(len(table)))
    fields = {"set": "test", "classes": CLASSES, "paths": names, "digests": names, "groups": None, **changes}
    return Predictions(labels=np.asarray(labels, dtype=np.int64), probabilities=table, **fields)


def image(number: int, label: str = "basophil", **fields: str) -> CellImage:
    return replace(CellImage(f"{label}/{number}.png", label, sha256(f"{number}".encode()).hexdigest(), 1), **fields)


# --- predictions ----------------------------------------------------------------------------------


def test_what_was_predicted_is_the_column_of_the_largest_probability():
    p = predictions([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45], [0.2, 0.3, 0.5]], [0, 2, 2])
    assert p.predicted.tolist() == [0, 1, 2]  # a tie goes to the first class
    assert p.correct.tolist() == [True, False, True]
    assert p.confidence.tolist() == [0.7, 0.45, 0.5]


@pytest.mark.parametrize(
    "row",
    [
        [0.5, 0.5, 0.1],
        [0.5, 0.3, 0.1],
        [1.2, -0.1, -0.1],
        [np.nan, 0.5, 0.5],
        [np.nan, np.nan, np.nan],
        [np.inf, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [70.0, 20.0, 10.0],  # percent
        [4.2, -1.3, 0.7],  # logits
        [0.5, 0.5, 3e-6],
    ],
)
@pytest.mark.parametrize("position", [0, 2])
def test_a_row_that_is_no_probabilities_is_refused_with_its_place(row, position):
    table = [[0.8, 0.1, 0.1] for _ in range(3)]
    table[position] = row
    with pytest.raises(InvalidPredictions) as error:
        predictions(table, [0, 1, 2])
    text = str(error.value)
    assert f"set 'test': 1 of 3 rows are not probabilities; the first is row {position} (cell{position}.png)" in text
    assert "apply softmax" in text


def test_rounding_in_the_last_place_is_accepted():
    assert predictions([[0.1 + 0.2, 0.3, 0.4 - 1e-9]], [0]).predicted.tolist() == [2]


@pytest.mark.parametrize(
    ("table", "labels", "changes"),
    [
        ([[0.5, 0.5]], [0], {}),  # a column short
        ([[0.2, 0.3, 0.5]] * 2, [0], {}),  # a label short
        ([[0.2, 0.3, 0.5]], [0], {"paths": ("a", "b")}),
        ([[0.2, 0.3, 0.5]], [0], {"digests": ("a", "b")}),  # a batch dropped
        ([0.2, 0.3, 0.5], [0], {}),
        ([[0.2, 0.3, 0.5]], [[0]], {}),
    ],
)
def test_shapes_that_do_not_fit_are_refused(table, labels, changes):
    with pytest.raises(InvalidPredictions, match=r"set 'test': .* need probabilities of shape .*exactly once"):
        predictions(table, labels, **changes)


@pytest.mark.parametrize(("label", "said"), [(3, 3), (99, 99), (-1, -1)])
def test_a_label_without_a_column_is_refused_by_its_value(label, said):
    with pytest.raises(InvalidPredictions, match=rf"set 'test': label index {said} has no column among"):
        predictions([[0.2, 0.3, 0.5]] * 3, [0, label, 2])


def test_groups_must_name_every_cell():
    with pytest.raises(InvalidPredictions, match=r"set 'test': 2 groups for 3 cells"):
        predictions([[0.2, 0.3, 0.5]] * 3, [0, 1, 2], groups=("P1", "P2"))


def test_no_cells_are_a_record_too():
    empty = predictions(np.zeros((0, 3)), [])
    assert empty.predicted.tolist() == []


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_cells_never_changes_the_digest_of_predictions(seed):
    rng = np.random.default_rng(seed)
    table, labels = rng.dirichlet(np.ones(3), size=8), rng.integers(0, 3, 8)
    names = np.array([f"{i % 7}.png" for i in range(8)])  # two files with the same bytes
    order = rng.permutation(8)

    def digest(rows: np.ndarray) -> str:
        return predictions(table[rows], labels[rows], paths=tuple(names[rows]), digests=tuple(names[rows])).digest

    assert digest(order) == digest(np.arange(8))


def test_the_digest_of_predictions_sees_the_last_bit_the_label_and_the_cell():
    base = predictions([[0.5, 0.3, 0.2]], [0])
    others = [
        predictions([[0.5, np.nextafter(0.3, 1), 0.2]], [0]),
        predictions([[0.5, 0.3, 0.2]], [1]),
        predictions([[0.5, 0.3, 0.2]], [0], digests=("another",)),
    ]
    assert len({p.digest for p in (base, *others)}) == 4
    assert predictions([[0.5, 0.3, 0.2]], [0], paths=("renamed.png",)).digest == base.digest


def test_predictions_of_images_keep_their_order_labels_and_patients():
    images = (image(2, "neutrophil", patient="P1"), image(1, "basophil", slide="S1"))
    p = predictions_of(images, np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), set_name="test", classes=CLASSES)
    assert p.labels.tolist() == labels_of(images, CLASSES).tolist() == [2, 0]
    assert p.paths == ("neutrophil/2.png", "basophil/1.png")
    assert p.digests == tuple(each.sha256 for each in images)
    assert p.groups == ("patient:P1", "slide:S1")
    assert p.correct.all()


def test_one_image_without_a_patient_is_a_group_by_itself_and_frees_no_other():
    images = (image(1, patient="P1"), image(2), image(3, patient="P1"))
    found = predictions_of(images, np.array([[1.0, 0.0, 0.0]] * 3), set_name="test", classes=CLASSES)
    assert found.groups == ("patient:P1", images[1].unit, "patient:P1")
    assert predictions_of(images[1:2], np.array([[1.0, 0.0, 0.0]]), set_name="test", classes=CLASSES).groups is None


# --- images, manifest, split ----------------------------------------------------------------------


def test_the_unit_of_an_image_is_the_coarsest_group_that_is_known():
    assert image(1, patient="P", slide="S").unit == "patient:P"
    assert image(1, slide="S").unit == "slide:S"
    assert image(1).unit == f"content:{image(1).sha256}"
    assert image(1).filename == "1.png"


def manifest_of(*images: CellImage, **fields: object) -> Manifest:
    return replace(Manifest("dataset", Path("cells"), CLASSES, images), **fields)


@given(seed=st.randoms())
def test_the_digest_of_a_manifest_knows_neither_order_nor_place_nor_name(seed):
    images = [image(i, CLASSES[i % 3]) for i in range(9)]
    expected = manifest_of(*images).digest
    seed.shuffle(images)
    assert manifest_of(*images, root=Path("elsewhere"), name="jtsc").digest == expected


@pytest.mark.parametrize("change", [{"path": "x.png"}, {"label": "monocyte"}, {"sha256": "f" * 64}])
def test_the_digest_of_a_manifest_sees_every_path_label_and_content(change):
    images = [image(i) for i in range(3)]
    assert manifest_of(*images[:2], replace(images[2], **change)).digest != manifest_of(*images).digest
    assert manifest_of(*images[:2]).digest != manifest_of(*images).digest


def test_the_counts_of_a_manifest_hold_every_class():
    manifest = manifest_of(image(1), image(2), image(3, "neutrophil"))
    assert manifest.counts == {"basophil": 2, "monocyte": 0, "neutrophil": 1}
    assert list(manifest.counts) == list(CLASSES)


def test_a_manifest_is_grouped_only_when_every_image_is():
    assert manifest_of(image(1, patient="P"), image(2, slide="S")).grouped
    assert not manifest_of(image(1, patient="P"), image(2)).grouped
    assert not manifest_of().grouped


def test_the_digest_of_a_split_is_who_is_where_by_content():
    one, two, three = (image(i) for i in range(3))
    split = Split((one,), (two,), (three,), "by hand")
    assert replace(split, train=(replace(one, path="renamed.png"),), origin="other words").digest == split.digest
    assert replace(split, train=(two,), validation=(one,)).digest != split.digest
    assert replace(split, train=(replace(one, label="monocyte"),)).digest != split.digest
    assert Split((one, two), (), (three,), "x").digest == Split((two, one), (), (three,), "x").digest


def test_the_rows_of_a_split_are_sorted_by_path():
    split = Split((image(3),), (image(1),), (image(2, "monocyte"),), "by hand")
    assert split.rows() == [
        ("basophil/1.png", "1.png", "basophil", "validation"),
        ("basophil/3.png", "3.png", "basophil", "train"),
        ("monocyte/2.png", "2.png", "monocyte", "test"),
    ]
    assert [split.part(name) for name in ("train", "validation", "test")] == [split.train, split.validation, split.test]


def test_images_sort_by_path():
    images = [image(i) for i in (10, 2, 1)]
    random.Random(1).shuffle(images)
    assert [each.filename for each in sorted_by_path(images)] == ["1.png", "10.png", "2.png"]


# --- digests and the rest -------------------------------------------------------------------------


def test_a_digest_is_the_sha256_of_canonical_json():
    assert digest_of({"b": [1, None], "a": "µ"}) == sha256('{"a":"µ","b":[1,null]}'.encode()).hexdigest()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(one=JSON, other=JSON)
def test_digests_agree_exactly_when_the_values_do(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_of(one) == digest_of(other)) == same


def test_a_file_name_that_is_no_unicode_has_a_digest():
    assert digest_of("\udcff.png") != digest_of("\udcfe.png")


def test_what_is_no_number_has_no_digest():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of([float("nan")])


def test_images_per_second_is_all_images_over_all_time():
    # 3 queries of 100 images in 1 + 2 + 3 s.
    assert Timing("Offline", "model-only", "cpu", 100, 32, (1.0, 2.0, 3.0)).images_per_s == 50.0


def test_records_are_frozen():
    with pytest.raises(FrozenInstanceError):
        image(1).label = "monocyte"


def test_an_empty_phase_took_no_time():
    assert PhaseRecord("phase1", "head", 1, 1, 1e-3, (), "epoch limit", 0, "a", "a").seconds == 0
