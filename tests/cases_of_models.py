"""Model files in the shapes that people bring, made here, and what --model says to each: a part of docs/cases.md.

The network is small and untrained: what a file is wrapped in, and what it holds, counts.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from drawn import CLASSES
from onnx_graphs import linear
from safetensors.torch import save
from test_architectures import protocol_for
from test_checkpoints import scripted
from torch import nn

import harness.model.torchvision_compat  # noqa: F401
from harness.core.errors import HarnessError
from harness.model.architectures import untrained_network
from harness.model.model_file import read_model

NETWORK = "squeezenet1_1"
State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class ModelCase:
    """One shape. save: writes it into a folder, and returns what --model names; stated: whether the protocol says the
    classes, as it must where the file does not.
    """

    name: str
    save: Callable[[Path], Path]
    stated: bool = True


def outcome(case: ModelCase, folder: Path) -> list[str]:
    """What is said of this file, with the folder it lies in left out."""
    protocol = protocol_for(NETWORK, size_px=32, resize="squish")
    if not case.stated:
        protocol = protocol.model_copy(update={"model": None})
    try:
        record = read_model(case.save(folder), protocol, trusted=()).record
        told = f"; taken off: {', '.join(record.unwrapped)}" if record.unwrapped else ""
        said = f"read as a {record.format} of {record.architecture}{told}"
    except HarnessError as error:
        said = f"{type(error).__name__}: {error}"
    return said.replace(f"{folder}/", "").splitlines()


def _network(name: str = NETWORK, n_classes: int = len(CLASSES)) -> nn.Module:
    torch.manual_seed(6)
    return untrained_network(name, n_classes).eval()


def _state(name: str = NETWORK, n_classes: int = len(CLASSES)) -> State:
    return dict(_network(name, n_classes).state_dict())


def _torch(make: Callable[[], Any], name: str = "weights.pth", **how: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        made, file = io.BytesIO(), folder / name
        torch.save(make(), made, **how)
        file.write_bytes(made.getvalue())
        return file

    return write


def _bytes(name: str, make: Callable[[], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(make())
        return folder / name

    return write


def _below(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def _loop(state: State) -> dict[str, Any]:
    optimiser = torch.optim.AdamW([nn.Parameter(torch.ones(2))]).state_dict()
    return {"epoch": 7, "state_dict": state, "optimizer": optimiser, "best": 0.97}


def _own_head() -> State:
    network = _network()
    network.classifier = nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, len(CLASSES)))
    return dict(network.state_dict())


def _places(order: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(order)}


HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(64)

MODEL_CASES = (
    ModelCase("fastai's learn.save, a dictionary", _torch(lambda: {"model": _state(), "opt": {"lr": 0.001}})),
    ModelCase("a training checkpoint with epoch and optimizer", _torch(lambda: _loop(_state()), "last.ckpt")),
    ModelCase("names below `module.` (DataParallel)", _torch(lambda: _below("module.", _state()))),
    ModelCase("names below `model.` (Lightning)", _torch(lambda: {"state_dict": _below("model.", _state())})),
    ModelCase("a whole pickled module", _torch(_network)),
    ModelCase("TorchScript", scripted),
    ModelCase("half precision", _torch(lambda: {name: tensor.half() for name, tensor in _state().items()})),
    ModelCase("four outputs for five classes", _torch(lambda: _state(n_classes=4))),
    ModelCase("another size of the network", _torch(lambda: _state("squeezenet1_0"))),
    ModelCase("another network: MobileNet", _torch(lambda: _state("mobilenet_v3_small"))),
    ModelCase("an own head of two layers", _torch(_own_head)),
    ModelCase("a file before torch 1.6", _torch(_state, _use_new_zipfile_serialization=False)),
    ModelCase("ONNX of which nothing is said", _bytes("graph.onnx", lambda: linear().SerializeToString())),
    ModelCase("HDF5", _bytes("model.h5", lambda: HDF5)),
    ModelCase("Keras", _bytes("model.keras", lambda: b"PK\x03\x04" + bytes(64))),
    ModelCase("safetensors without words", _bytes("weights.safetensors", lambda: save(_state())), stated=False),
    ModelCase(
        "another order of classes, as the file says",
        _torch(lambda: {"state_dict": _state(), "class_to_idx": _places(CLASSES[::-1])}),
    ),
    ModelCase("an empty file", _bytes("weights.pth", lambda: b"")),
)
