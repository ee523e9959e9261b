"""Predicting: each cell once, in evaluation mode, whatever the batch."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import decoded
from torch import nn

from harness.core.errors import InvalidPredictions
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.model.classifier import CHECKED_IMAGES, predict, tensors_digest, untrained, weights_digest
from harness.model.preprocessing import CellPixels
from harness.protocol.records import TrainingPlan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cells(manifest: Manifest) -> CellPixels:
    return decoded(manifest, manifest.images)


@pytest.fixture(scope="module")
def model(small_plan: TrainingPlan, cells: CellPixels) -> nn.Sequential:
    torch.manual_seed(3)
    return untrained(small_plan, n_classes=5, weights_file=None, train=cells)[0]


def scored(model: nn.Module, cells: CellPixels, batch_size: int) -> np.ndarray:
    return predict(model, cells, device=CPU, batch_size=batch_size, progress=silent, label="cells")


@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_the_batch_size_changes_no_class_and_hardly_a_probability(
    model: nn.Sequential, cells: CellPixels, batch_size: int
):
    whole, parts = scored(model, cells, len(cells.images)), scored(model, cells, batch_size)
    assert np.array_equal(whole.argmax(axis=1), parts.argmax(axis=1))
    assert np.abs(whole - parts).max() < 1e-4


def test_a_model_left_in_training_mode_predicts_as_in_evaluation(model: nn.Sequential, cells: CellPixels):
    expected = scored(model.eval(), cells, 16)
    assert np.array_equal(scored(model.train(), cells, 16), expected)


def test_every_cell_is_scored_and_every_row_is_a_probability(model: nn.Sequential, cells: CellPixels):
    probabilities = scored(model, cells, 7)
    assert probabilities.shape == (60, 5)
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_an_output_that_is_not_finite_is_refused_by_name(small_plan: TrainingPlan, cells: CellPixels):
    broken, _ = untrained(small_plan, n_classes=5, weights_file=None, train=cells)
    nn.init.constant_(list(broken.parameters())[-1], float("nan"))
    few = replace(cells, images=cells.images[:2], pixels=cells.pixels[:2], labels=cells.labels[:2])
    with pytest.raises(InvalidPredictions, match=rf"{cells.images[0].path} is not finite"):
        scored(broken, few, 2)


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
    with pytest.raises(InvalidPredictions, match=r"says something else when it is shown the same 8 cells again"):
        scored(DropsAlways(model, p), cells, 16)
    assert np.array_equal(scored(DropsAlways(model, 0.0), cells, 16), scored(model, cells, 16))


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
    with pytest.raises(InvalidPredictions, match=rf"of 8 cells 1 are told .* on cpu .*{last} .*another class") as told:
        scored(WrongInBatches(model, -5.0), cells, 12)
    assert "--device cpu" not in str(told.value)  # where it is the CPU that is wrong
    with pytest.raises(InvalidPredictions, match=r"differ by 0\.\d+\)"):  # the same class, and yet not the same answer
        scored(WrongInBatches(model, 1.3), cells, 12)
    assert np.array_equal(scored(WrongInBatches(model, 1.0), cells, 12), scored(model, cells, 12))


def test_fewer_cells_than_are_checked_are_each_checked_once(model: nn.Sequential, cells: CellPixels):
    three = replace(cells, images=cells.images[:3], pixels=cells.pixels[:3], labels=cells.labels[:3])
    assert scored(model, three, 2).shape == (3, 5)
    with pytest.raises(InvalidPredictions, match="of 3 cells 1 are told"):
        scored(WrongInBatches(model, -5.0, largest=1), three, 2)


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
    scored(noted, cells, 16)
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
