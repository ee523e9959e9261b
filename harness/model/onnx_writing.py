"""A torch network as the bytes of an ONNX graph: any number of images in, logits out; nothing of where it was made."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnx import ModelProto, checker, helper
from torch import nn

from harness.core.errors import TrainingError
from harness.model.exports import CLAIMS_KEY, Claims

ONNX = "classifier.onnx"
INPUT, OUTPUT = "images", "logits"
OPSET = 20


def onnx_bytes(network: nn.Module, claims: Claims) -> bytes:
    """The network, ready to predict and on the CPU, for any number of images at once.

    Raises:
        TrainingError: torch cannot express it in the standard's operators.
    """
    assert claims.image_size_px is not None
    sample = torch.zeros(2, 3, claims.image_size_px, claims.image_size_px)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch 2.13's exporter calls what torch has deprecated
            made = torch.onnx.export(
                network.eval(),
                (sample,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                custom_translation_table=_translations(),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # whatever the exporter says of an operator that it does not know
        said = " ".join(str(error).split())[:1000]
        raise TrainingError(f"torch does not export the classifier to {ONNX}: {type(error).__name__}: {said}") from None
    assert made is not None  # it was not asked to write a file
    model: ModelProto = made.model_proto
    _forget_where_it_was_made(model)
    helper.set_model_props(model, {CLAIMS_KEY: claims.as_json})
    checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Operators that torch does not translate.

    The k-th smallest value, of `normalisation.BackgroundWhite`: up to torch 2.13. The maximum over all positions, of
    fastai's head: up to torch 2.11.
    """
    from onnxscript import opset20

    op: Any = opset20

    def kthvalue(values: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
        smallest, places = op.TopK(values, op.Constant(value_ints=[k]), axis=dim, largest=0, sorted=1)
        last = op.Constant(value_ints=[k - 1])
        found = tuple(op.Gather(each, last, axis=dim) for each in (smallest, places))
        return found if keepdim else tuple(op.Squeeze(each, op.Constant(value_ints=[dim])) for each in found)

    def adaptive_max_pool2d(values: Any, output_size: Sequence[int]) -> Any:
        if list(output_size) != [1, 1]:
            raise NotImplementedError(f"adaptive maximum pooling to {list(output_size)}; only to 1 x 1 is translated")
        return op.GlobalMaxPool(values), op.Constant(value_ints=[0])  # where the maximum lies is asked in training only

    return {torch.ops.aten.kthvalue.default: kthvalue, torch.ops.aten.adaptive_max_pool2d.default: adaptive_max_pool2d}


def _forget_where_it_was_made(model: ModelProto) -> None:
    """Take out what the exporter wrote down to help find its mistakes: lines of code, paths of this machine."""
    graph = model.graph
    for each in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
