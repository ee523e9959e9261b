"""The engine that the protocol names computes the answers, and says of every cell what eager torch says."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch
from drawn import classifier_of, decoded, shown
from torch import nn

from harness.core.errors import EngineUnavailable, InvalidPredictions
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.model import engines
from harness.model.classifier import Machine, predict
from harness.model.engines import BY_DEVICE, answered_by, engine_for
from harness.model.preprocessing import CellPixels
from harness.model.torch_network import TorchNetwork
from harness.protocol.prediction import Engine, PredictionPlan


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(body, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))).eval()


def by(engine: Engine, network: nn.Module | None = None, *, device: str = "cpu") -> TorchNetwork:
    machine = Machine(device, 16, workers=2, progress=silent, engine=engine)
    card = replace(classifier_of(small_network()).card, architecture="small")
    return TorchNetwork(card, network or small_network(), machine)


@pytest.fixture
def cells(manifest: Manifest) -> CellPixels:
    return decoded(manifest, manifest.images)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["compile", "onnxruntime", "openvino"])
def test_an_engine_gives_every_cell_what_eager_torch_gives_it(engine: Engine, cells: CellPixels):
    door, images = by(engine), shown(cells)
    eager = by("eager")
    found = predict(door, images)  # checks eight of them against eager torch, too
    assert np.abs(found - predict(eager, images)).max() < 1e-5
    assert np.array_equal(door.forward(door.prepare(images)), found)
    assert np.array_equal(door.embed(images), eager.embed(images))
    assert (eager.card.engine, engine.removeprefix("torch.") in str(door.card.engine)) == (None, True)
    assert door.card.answers_by != eager.card.answers_by  # so nothing that one engine answered is kept for another
    assert door.card == answered_by(eager.card, Machine("cpu", 16, workers=2, progress=silent, engine=engine))


def test_an_engine_that_computes_otherwise_is_refused_by_name(cells: CellPixels, monkeypatch: pytest.MonkeyPatch):
    def rounded(network: nn.Module, *_: object, **__: object) -> engines.Logits:
        return lambda given: network(given.bfloat16().float())

    torch.manual_seed(1)
    loud = small_network()
    loud[1][2].weight.data.mul_(30)
    monkeypatch.setattr(engines, "_by_onnxruntime", rounded)
    door = by("onnxruntime", loud)
    with pytest.raises(InvalidPredictions, match=r'by onnxruntime on cpu .*engine = "eager" in \[prediction\]'):
        predict(door, shown(cells))


def test_auto_goes_by_the_device_alone_and_the_default_is_eager():
    assert PredictionPlan().engine == "eager"
    assert {device: engine_for("auto", device) for device in BY_DEVICE} == {
        "cpu": "onnxruntime",
        "cuda": "eager",
        "mps": "eager",
    }
    assert engine_for("compile", "cuda") == "compile"


def test_what_is_no_torch_network_keeps_its_own_engine():
    machine = Machine("cpu", 16, workers=2, progress=silent, engine="compile")
    graph = replace(classifier_of(small_network()).card, engine="onnxruntime 1", architecture=None)
    assert answered_by(graph, machine) == graph


def test_an_engine_that_is_missing_or_cannot_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    class Odd(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.sum().item() > 1e9:  # depends on the pixels: no graph says that
                return images.flatten(1)[:, :5]
            return images.flatten(1)[:, :5] * 2

    with pytest.raises(EngineUnavailable, match=r'"onnxruntime" does not compute this network: .*Say engine = "eager"'):
        by("onnxruntime", nn.Sequential(Odd(), nn.Identity()))
    monkeypatch.setattr(engines, "version", absent)
    with pytest.raises(EngineUnavailable, match=r"openvino is not installed. Install it \(pip install openvino\)"):
        by("openvino")
