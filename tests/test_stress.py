"""Disturbed cells and inputs without a cell, through a network: every answer in its place, the same twice."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from harness.core.errors import InvalidPredictions
from harness.core.progress import silent
from harness.data.corruptions import turned
from harness.data.records import Manifest
from harness.metrics.detection import strangeness
from harness.metrics.estimates import Unavailable
from harness.metrics.stability import Robustness, stability
from harness.model.classifier import CHECKED_IMAGES, load_classifier, predict, untrained
from harness.model.preprocessing import CellPixels, decode_all
from harness.model.stress import outlook, stressed
from harness.protocol.records import DetectionPlan, RobustnessPlan, TrainingPlan

CPU = torch.device("cpu")
PLAN = RobustnessPlan(
    kinds=("stain", "second_cell"),
    severities=(1, 3),
    agreed={"stain": 3, "second_cell": 1, "jpeg": 5},
    invariances=("rotation_90",),
    seed=7,
)


@pytest.fixture(scope="module")
def cells(manifest: Manifest) -> CellPixels:
    return decode_all(
        manifest.images[::5],
        manifest.root,
        classes=manifest.classes,
        size_px=32,
        resize="squish",
        formats=("PNG",),
        workers=2,
        progress=silent,
        label="",
    )


@pytest.fixture(scope="module")
def model(cells: CellPixels, small_plan: TrainingPlan) -> torch.nn.Sequential:
    torch.manual_seed(3)
    return untrained(small_plan, n_classes=5, weights_file=None, train=cells)[0].eval()


def scored(model: torch.nn.Sequential, cells: CellPixels) -> dict[str, np.ndarray]:
    return stressed(model, cells, PLAN, device=CPU, batch_size=5, progress=silent)


class Counting(torch.nn.Module):
    """Notes the size of every batch that it is shown, and may answer at random."""

    def __init__(self, model: torch.nn.Module, sizes: list[int], *, noise: float = 0.0) -> None:
        super().__init__()
        self.model, self.sizes, self.noise = model, sizes, noise

    def __deepcopy__(self, memo: object) -> Counting:
        return Counting(copy.deepcopy(self.model), self.sizes, noise=self.noise)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(pixels))
        logits: torch.Tensor = self.model(pixels)
        return logits + self.noise * torch.randn_like(logits)


def test_network_and_device_are_checked_once_and_not_for_every_corruption(model, cells):
    sizes: list[int] = []
    found = scored(Counting(model, sizes), cells)
    n = len(cells.images)
    # Each cell once in each pass; besides, some cells twice in one batch and again one by one.
    assert sum(sizes) == len(found) * n + 2 * min(n, CHECKED_IMAGES) + min(n, CHECKED_IMAGES)
    with pytest.raises(InvalidPredictions, match="shown the same"):
        scored(Counting(model, [], noise=0.1), cells)


def test_every_kind_severity_and_transform_is_scored_for_every_cell(model, cells):
    found = scored(model, cells)
    assert sorted(found) == ["rotation_90", "second_cell 1", "second_cell 3", "stain 1", "stain 3"]
    for probabilities in found.values():
        assert probabilities.shape == (len(cells.images), 5)
        assert np.allclose(probabilities.sum(axis=1), 1)


def test_the_same_cells_are_disturbed_the_same_way_twice(model, cells):
    once, again = scored(model, cells), scored(model, cells)
    assert all(np.array_equal(once[name], again[name]) for name in once)


def test_the_order_of_the_cells_changes_no_cell_s_answer(model, cells):
    order = np.arange(len(cells.images))[::-1]
    back = CellPixels(tuple(cells.images[i] for i in order), cells.pixels[order], cells.labels[order])
    straight, reversed_ = scored(model, cells), scored(model, back)
    for name, probabilities in straight.items():
        assert np.allclose(reversed_[name][order], probabilities, atol=1e-5), name


def test_a_turned_cell_is_what_the_network_would_say_of_the_turned_image(model, cells):
    pixels = np.stack([turned(image, "rotation_90") for image in cells.pixels])
    alone = predict(
        model, CellPixels(cells.images, pixels, cells.labels), device=CPU, batch_size=5, progress=silent, label=""
    )
    assert np.array_equal(scored(model, cells)["rotation_90"], alone)


@pytest.mark.parametrize("score", ["confidence", "entropy", "mahalanobis"])
def test_every_cell_and_every_input_without_one_has_a_strangeness(model, cells, score):
    plan = DetectionPlan(score=score, true_positive_rate=0.9, kinds=("blank", "noise"), inputs_per_kind=10, seed=1)

    def strange() -> dict[str, np.ndarray]:
        sets = {"test": cells, "validation": cells}
        seen = outlook(model, plan, train=cells, sets=sets, device=CPU, batch_size=4, progress=silent)
        return strangeness(score, seen, train_labels=cells.labels)

    found = strange()
    assert {name: len(values) for name, values in found.items()} == {
        "test": len(cells.images),
        "validation": len(cells.images),
        "blank": 10,
        "noise": 10,
    }
    assert all(np.isfinite(values).all() for values in found.values())
    assert np.array_equal(found["test"], found["validation"])
    assert all(np.array_equal(values, strange()[name]) for name, values in found.items())


def test_a_kind_that_was_not_drawn_has_no_number():
    nothing = Robustness((), (), None, {})
    for metric, kind in (("disturbed_accuracy", "stain"), ("flip_rate", "any")):
        assert isinstance(stability(nothing, metric, kind=kind, plan=PLAN, set_name="test"), Unavailable)


def test_a_loaded_network_is_a_body_and_a_head(model, tmp_path):
    # What the features are taken from: the body alone, before the head pools it.
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    loaded = load_classifier(
        tmp_path / "weights.pth", architecture="resnet18", normalisation="imagenet", n_classes=5, device=CPU
    )
    assert loaded[0](torch.zeros(1, 3, 32, 32)).shape == (1, 512, 1, 1)
