"""The seam: what every classifier must stand, a network or not, and what one that offers little still gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from drawn import CLASSES, MeanColour, classifier_of, decoded, scored, shown
from torch import nn

from harness.core.errors import InvalidCard, InvalidPredictions, NotApplicable
from harness.data.records import Manifest
from harness.metrics.predictions import predictions_of
from harness.model.classifier import CHECKED_IMAGES, Classifier, embed, predict, predict_prepared, refuse_wrong_card
from harness.model.images import Images, images_of
from harness.model.networks import tensors_digest, untrained, weights_digest
from harness.model.preprocessing import CellPixels
from harness.protocol.training import TrainingPlan


@pytest.fixture(scope="module")
def cells(manifest: Manifest) -> CellPixels:
    return decoded(manifest, manifest.images)


@pytest.fixture(scope="module")
def model(small_plan: TrainingPlan, cells: CellPixels) -> nn.Sequential:
    torch.manual_seed(3)
    return untrained(small_plan, n_classes=5, weights_file=None, train=cells)[0]


@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_the_batch_size_changes_no_class_and_hardly_a_probability(
    model: nn.Sequential, cells: CellPixels, batch_size: int
):
    whole, parts = scored(model, cells, batch_size=len(cells.images)), scored(model, cells, batch_size=batch_size)
    assert np.array_equal(whole.argmax(axis=1), parts.argmax(axis=1))
    assert np.abs(whole - parts).max() < 1e-4


def test_a_model_left_in_training_mode_predicts_as_in_evaluation(model: nn.Sequential, cells: CellPixels):
    expected = scored(model.eval(), cells)
    assert np.array_equal(scored(model.train(), cells), expected)


def test_every_cell_is_scored_and_every_row_is_a_probability(model: nn.Sequential, cells: CellPixels):
    probabilities = scored(model, cells, batch_size=7)
    assert probabilities.shape == (60, 5)
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_an_output_that_is_not_finite_is_refused_by_name(small_plan: TrainingPlan, cells: CellPixels):
    broken, _ = untrained(small_plan, n_classes=5, weights_file=None, train=cells)
    nn.init.constant_(list(broken.parameters())[-1], float("nan"))
    few = replace(cells, images=cells.images[:2], pixels=cells.pixels[:2], labels=cells.labels[:2])
    with pytest.raises(InvalidPredictions, match=rf"{cells.images[0].path} is not finite"):
        scored(broken, few, batch_size=2)


class DropsAlways(nn.Module):
    """A network whose author left dropout on whatever model.eval() says."""

    def __init__(self, model: nn.Module, p: float) -> None:
        super().__init__()
        self.model, self.p = model, p

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(nn.functional.dropout(pixels, self.p, training=True))
        return logits


@pytest.mark.parametrize("p", [0.5, 0.01])
def test_a_network_that_says_something_else_the_second_time_is_refused(
    model: nn.Sequential, cells: CellPixels, p: float
):
    with pytest.raises(InvalidPredictions, match=r"answers differently when it is shown the same 8 cells again"):
        scored(DropsAlways(model, p), cells)
    assert np.array_equal(scored(DropsAlways(model, 0.0), cells), scored(model, cells))


class WrongInBatches(nn.Module):
    """A device that is wrong about the last cell of every larger batch: quietly, and every time."""

    def __init__(self, model: nn.Module, factor: float, *, largest: int = CHECKED_IMAGES) -> None:
        super().__init__()
        self.model, self.factor, self.largest = model, factor, largest

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(pixels)
        return torch.cat([logits[:-1], logits[-1:] * self.factor]) if len(pixels) > self.largest else logits


def test_a_device_that_answers_otherwise_than_the_cpu_is_refused_and_its_cells_are_named(
    model: nn.Sequential, cells: CellPixels
):
    last = re.escape(cells.images[-1].path)
    with pytest.raises(InvalidPredictions, match=rf"1 of 8 cells .* on cpu .*{last} .*another class") as told:
        scored(WrongInBatches(model, -5.0), cells, batch_size=12)
    assert "--device cpu" not in str(told.value)  # where it is the CPU that is wrong
    with pytest.raises(InvalidPredictions, match=r"differ by 0\.\d+\)"):  # the same class, and yet not the same answer
        scored(WrongInBatches(model, 1.3), cells, batch_size=12)
    assert np.array_equal(scored(WrongInBatches(model, 1.0), cells, batch_size=12), scored(model, cells, batch_size=12))


def test_fewer_cells_than_are_checked_are_each_checked_once(model: nn.Sequential, cells: CellPixels):
    three = replace(cells, images=cells.images[:3], pixels=cells.pixels[:3], labels=cells.labels[:3])
    assert scored(model, three, batch_size=2).shape == (3, 5)
    with pytest.raises(InvalidPredictions, match="1 of 3 cells are predicted differently"):
        scored(WrongInBatches(model, -5.0, largest=1), three, batch_size=2)


class Precision(nn.Module):
    """Notes whether convolutions may round their inputs (TF32) while it answers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.rounding = model, list[bool]()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.rounding.append(torch.backends.cudnn.allow_tf32)
        logits: torch.Tensor = self.model(pixels)
        return logits


def test_cells_are_scored_in_float32_on_every_device(model: nn.Sequential, cells: CellPixels):
    noted = Precision(model)
    before = torch.backends.cudnn.allow_tf32
    scored(noted, cells)
    assert noted.rounding
    assert not any(noted.rounding)
    assert torch.backends.cudnn.allow_tf32 is before is True


def test_the_weights_digest_ignores_memory_layout_and_sees_one_bit(model: nn.Sequential):
    before = weights_digest(model)
    assert weights_digest(model.to(memory_format=torch.channels_last)) == before  # type: ignore[call-overload]
    altered = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = next(name for name in altered if name.endswith("weight"))
    altered[first][0, 0, 0, 0] = torch.nextafter(altered[first][0, 0, 0, 0], torch.tensor(9.0))
    assert tensors_digest(altered.items()) != before


def test_an_infinite_logit_is_no_probability_of_zero(model: nn.Sequential, cells: CellPixels):
    class Diverged(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(pixels), 5).index_fill_(1, torch.tensor([2]), -torch.inf)

    with pytest.raises(InvalidPredictions, match="is not finite"):
        scored(Diverged(), cells)


# --- what a door offers ---


def test_to_answer_is_to_prepare_and_then_to_answer_for_arrays(model: nn.Sequential, manifest: Manifest):
    door, images = classifier_of(model, batch_size=7), images_of(manifest.images, manifest.root, formats=("PNG",))
    arrays = door.prepare(images)
    assert (arrays.dtype, arrays.shape) == (np.uint8, (60, 32, 32, 3))
    assert np.array_equal(door.forward(arrays), door.predict_proba(images))
    assert np.array_equal(predict(door, images), predict_prepared(door, arrays, images))
    assert np.array_equal(door.features(arrays), embed(door, images))


def test_features_are_the_body_s_activations_averaged_over_the_image(model: nn.Sequential, cells: CellPixels):
    found = embed(classifier_of(model), shown(cells))
    assert found.shape == (60, 512)
    assert found.dtype == np.float64
    assert len(np.unique(found.round(6), axis=0)) > 50


def test_no_image_has_no_row(model: nn.Sequential, cells: CellPixels):
    nothing = shown(cells).take([])
    assert predict(classifier_of(model), nothing).shape == (0, 5)


def test_a_classifier_that_offers_nothing_but_probabilities_is_checked_and_scored(manifest: Manifest):
    door = MeanColour()
    found = predict(door, images_of(manifest.images, manifest.root, formats=("PNG",)))
    assert found.shape == (60, 5)
    assert set(door.shapes) == {(48, 48, 3)}  # the files as they are: nobody resized them for it


def test_features_of_a_classifier_without_any_are_not_applicable(manifest: Manifest):
    images = images_of(manifest.images, manifest.root, formats=("PNG",))
    with pytest.raises(NotApplicable, match=r"not applicable: mean colour .* cannot give the features"):
        embed(MeanColour(), images)


class Odd(MeanColour):
    """Answers otherwise than it should, in one way or another."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.asked = way, 0

    def predict_proba(self, images: Images) -> np.ndarray:
        found, self.asked = super().predict_proba(images), self.asked + 1
        if self.way == "drops":
            return found[: len(found) // 32 * 32]
        if self.way == "not finite":
            found[-1] = np.nan
        if self.way == "another class":
            return found[:, :4]
        if self.way == "unsteady":
            return np.roll(found, self.asked, axis=1)
        if self.way == "by the batch":
            return np.roll(found, 1, axis=1) if len(found) > CHECKED_IMAGES else found
        return found


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("drops", r"test: 32 rows of probabilities for 60 cells: without a score are lymphocyte/.* \.\.\."),
        ("not finite", r"test: the output for .* is not finite"),
        ("another class", r"shape \(60, 4\) from mean colour, which has 5 classes"),
        ("unsteady", r"answers differently when it is shown the same 8 cells again"),
        (
            "by the batch",
            r"8 of 8 cells are predicted differently by mean colour together than one by one: .* must not depend",
        ),
    ],
)
def test_every_door_stands_the_same_checks(manifest: Manifest, way: str, words: str):
    images = images_of(manifest.images, manifest.root, formats=("PNG",), label="test")
    with pytest.raises(InvalidPredictions, match=words):
        predict(Odd(way), images)
    assert len(predict(Odd("as it should"), images)) == 60


class Answers(MeanColour):
    """Gives what `shape` makes of its probabilities, from the `since`-th time on that it is asked."""

    def __init__(self, shape: Callable[[np.ndarray], object], since: int = 1) -> None:
        super().__init__()
        self.shape, self.since, self.asked = shape, since, 0

    def predict_proba(self, images: Images) -> np.ndarray:
        self.asked += 1
        found = super().predict_proba(images)
        return cast(np.ndarray, self.shape(found) if self.asked >= self.since else found)


def test_the_bits_of_a_float64_answer_are_kept_and_any_other_type_becomes_float64(manifest: Manifest):
    images = images_of(manifest.images, manifest.root, formats=("PNG",))
    expected = MeanColour().predict_proba(images)
    assert predict(MeanColour(), images).tobytes() == expected.tobytes()
    for shape in (np.asfortranarray, np.ndarray.tolist, lambda found: found.astype(">f8")):
        found = predict(Answers(shape), images)
        assert (found.dtype, found.tobytes()) == (np.float64, expected.tobytes())
        assert found.flags.c_contiguous
    single = predict(Answers(lambda found: found.astype(np.float32)), images)
    assert single.dtype == np.float64
    assert np.array_equal(single, expected.astype(np.float32))


def test_predictions_that_were_answered_in_float32_have_the_digest_of_the_float64_that_a_pack_holds(manifest: Manifest):
    images = images_of(manifest.images, manifest.root, formats=("PNG",))
    single = MeanColour().predict_proba(images).astype(np.float32)

    def digest(probabilities: np.ndarray) -> str:
        return predictions_of(manifest.images, probabilities, set_name="test", classes=CLASSES).digest

    assert digest(single) == digest(single.astype(np.float64))
    with pytest.raises(InvalidPredictions, match=r"set 'test': `probabilities` is no array .*ndarray of complex128"):
        digest(single.astype(np.complex128))


NO_NUMBERS: dict[str, tuple[Callable[[np.ndarray], object], str]] = {
    "complex": (lambda found: found.astype(np.complex128), "ndarray of complex128"),
    "bool": (lambda found: found > 0.5, "ndarray of bool"),
    "object": (lambda found: found.astype(object), "ndarray of object"),
    "text": (lambda found: found.astype(str), "ndarray of <U"),
    "str": (lambda found: "0.2", "str of <U3"),
    "none": (lambda found: None, "NoneType of object"),
    "uneven": (lambda found: [[1.0], [0.5, 0.5]], "no array of real numbers .list: "),
    "names": (lambda found: [["a"] * 5] * len(found), "list of <U1"),
    "gradients": (lambda found: torch.tensor(found, requires_grad=True), "no array of real numbers .Tensor: "),
    "number": (lambda found: 0.2, r"shape \(\) from mean colour"),
    "row": (lambda found: found[0], r"shape \(5,\) from mean colour"),
    "two images in one": (lambda found: found[None], r"shape \(1, \d+, 5\) from mean colour"),
}


@pytest.mark.parametrize("since", [1, 2, 3, 4, 11], ids=["whole", "first again", "again", "one alone", "last alone"])
@pytest.mark.parametrize(("shape", "words"), NO_NUMBERS.values(), ids=NO_NUMBERS.keys())
def test_what_is_no_table_of_numbers_is_refused_whenever_it_is_answered(
    manifest: Manifest, shape: Callable[[np.ndarray], object], words: str, since: int
):
    images = images_of(manifest.images[:12], manifest.root, formats=("PNG",), label="test")
    with pytest.raises(InvalidPredictions, match=f"^test: .*{words}"):
        predict(Answers(shape, since), images)


@pytest.mark.parametrize(
    "shape",
    [
        lambda found: found * 2,
        lambda found: found - 1 / len(CLASSES),
        lambda found: found + np.eye(5)[0] - np.eye(5)[1],
    ],
    ids=["twice", "sums to 0", "below 0"],
)
@pytest.mark.parametrize("known_steady", [True, False])
def test_rows_that_are_no_distributions_are_refused_in_every_pass(
    manifest: Manifest, shape: Callable[[np.ndarray], object], known_steady: bool
):
    images = images_of(manifest.images[:12], manifest.root, formats=("PNG",), label="test")
    with pytest.raises(InvalidPredictions, match=r"^test: \d+ of 12 rows are not probabilities; the first is"):
        predict(Answers(shape), images, known_steady=known_steady)


def test_rows_may_miss_a_sum_of_1_by_what_rounding_costs(manifest: Manifest):
    images = images_of(manifest.images[:12], manifest.root, formats=("PNG",), label="test")
    assert len(predict(Answers(lambda found: found * (1 + 9e-7)), images)) == 12
    with pytest.raises(InvalidPredictions, match="12 of 12 rows are not probabilities"):
        predict(Answers(lambda found: found * (1 + 2e-6)), images)


def test_answers_that_lack_a_row_the_second_time_are_refused(manifest: Manifest):
    images = images_of(manifest.images[:12], manifest.root, formats=("PNG",), label="test")
    with pytest.raises(InvalidPredictions, match="test: 7 rows of probabilities for 8 cells"):
        predict(Answers(lambda found: found[:-1], since=2), images)


def test_a_card_that_promises_what_its_classifier_does_not_offer_is_refused(model: nn.Sequential):
    class Boaster(MeanColour):
        card = replace(MeanColour.card, abilities=("probabilities", "new images", "features"))

    refuse_wrong_card(MeanColour())
    refuse_wrong_card(classifier_of(model))
    with pytest.raises(InvalidCard, match="promises 'features', and Boaster does not offer it"):
        refuse_wrong_card(Boaster())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"abilities": ("probabilities", "clairvoyance")}, "unknown ability 'clairvoyance'"),
        ({"classes": ("a", "a")}, "Name each of them once"),
        ({"classes": ()}, "Name each of them once"),
        ({"corruptions_act_on": "prepared arrays"}, "exactly where it prepares them"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(change: dict[str, object], words: str):
    with pytest.raises(InvalidCard, match=words):
        replace(MeanColour.card, **change)  # type: ignore[arg-type]


def test_what_a_classifier_is_called_changes_none_of_its_answers():
    card = MeanColour.card
    assert replace(card, name="copy", file_sha256="2" * 64).answers_by == card.answers_by
    assert replace(card, digest="2" * 64).answers_by != card.answers_by


def test_a_plain_class_is_a_classifier_by_its_shape():
    door: Classifier = MeanColour()
    assert door.card.classes == CLASSES
