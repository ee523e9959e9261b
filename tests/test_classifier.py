"""Predicting: each cell once, in evaluation mode, whatever the batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import decoded
from torch import nn

from harness.errors import InvalidPredictions
from harness.model.classifier import predict, tensors_digest, untrained, weights_digest
from harness.model.preprocessing import CellPixels
from harness.progress import silent
from harness.protocol import TrainingPlan
from harness.records import Manifest

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


def test_the_weights_digest_ignores_memory_layout_and_sees_one_bit(model: nn.Sequential):
    before = weights_digest(model)
    assert weights_digest(model.to(memory_format=torch.channels_last)) == before  # type: ignore[call-overload]
    altered = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = next(name for name in altered if name.endswith("weight"))
    altered[first][0, 0, 0, 0] = torch.nextafter(altered[first][0, 0, 0, 0], torch.tensor(9.0))
    assert tensors_digest(altered.items()) != before
