"""Small ONNX graphs, drawn node by node or exported from torch as strangers export them."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from drawn import CLASSES
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

from harness.protocol.training import ModelPlan, PreprocessingPlan

SIDE = 32
# What the maker of most graphs below would say of them.
SHOWN = PreprocessingPlan(
    filter="bilinear",
    channels="RGB",
    value_range=(0.0, 1.0),
    mean=(0.485, 0.456, 0.406),
    deviation=(0.229, 0.224, 0.225),
)
SAID = ModelPlan(classes=CLASSES, outputs="logits", preprocessing=SHOWN)


class Small(nn.Module):
    """Few layers and no batch-norm. softmax: whether it ends in one; last: whether it takes channels last."""

    def __init__(self, *, softmax: bool = False, last: bool = False, n_classes: int = 5) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 5, stride=3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(32, n_classes)
        self.softmax, self.last = softmax, last
        with torch.no_grad():
            self.head.weight *= 8  # so that cells get different answers

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(images.permute(0, 3, 1, 2) if self.last else images))
        return logits.softmax(1) if self.softmax else logits


def exported(net: nn.Module, *, batch: int | None = None, last: bool = False, side: int = SIDE) -> bytes:
    """As torch's older exporter writes it: in a second, where the newer one takes ten. batch: None for any."""
    shape = (side, side, 3) if last else (3, side, side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = io.BytesIO()
        torch.onnx.export(
            net.eval(),
            (torch.zeros(batch or 2, *shape),),
            made,
            dynamo=False,
            input_names=["images"],
            output_names=["scores"],
            dynamic_axes=None if batch else {"images": {0: "n"}, "scores": {0: "n"}},
        )
    return made.getvalue()


Shape = Sequence[int | str]


def graph_of(
    nodes: Sequence[onnx.NodeProto],
    *,
    given: Shape = ("n", 3, SIDE, SIDE),
    answer: Shape = ("n", 5),
    weights: dict[str, np.ndarray] | None = None,
    dtype: int = TensorProto.FLOAT,
    outputs: Sequence[onnx.ValueInfoProto] = (),
    **more: Any,
) -> ModelProto:
    """A graph from "x" to "y", with the opset of today's exporters."""
    made = helper.make_graph(
        list(nodes),
        "drawn",
        [helper.make_tensor_value_info("x", dtype, list(given))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(answer)), *outputs],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", 20), *(helper.make_opsetid(each, 1) for each in sorted(domains))]
    return helper.make_model(made, opset_imports=opsets, ir_version=10, **more)


def linear(*, softmax: bool = False, n_classes: int = 5, side: int = SIDE, seed: int = 1, **how: Any) -> ModelProto:
    """Flattens the image and multiplies it by a matrix."""
    matrix = np.random.default_rng(seed).normal(0, 0.05, (3 * side * side, n_classes)).astype(np.float32)
    last = [helper.make_node("Softmax", ["s"], ["y"], axis=1)] if softmax else []
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"], axis=1),
        helper.make_node("MatMul", ["f", "w"], ["s" if softmax else "y"]),
        *last,
    ]
    return graph_of(nodes, weights={"w": matrix}, **{"answer": ("n", n_classes), **how})


def saying(model: bytes, **said: Any) -> bytes:
    """The same graph with what it says of itself in its metadata."""
    read = onnx.load_model_from_string(model)
    helper.set_model_props(read, {"classifier": json.dumps(said)})
    return read.SerializeToString()
