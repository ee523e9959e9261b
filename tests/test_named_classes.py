"""A file that names its classes itself is held to it: swapped classes are refused, whoever wrote the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn import CLASSES
from onnx import TensorProto, helper
from onnx_graphs import SAID, SIDE, graph_of
from safetensors.torch import save
from test_architectures import protocol_for
from test_onnx_file import from_sklearn

import harness.model.torchvision_compat  # noqa: F401
from harness.core.errors import WeightsError
from harness.model.architectures import untrained_network
from harness.model.model_file import read_model
from harness.model.named_classes import classes_told, lists_in
from harness.model.onnx_graph import LABELS, labels_in
from harness.protocol.records import Protocol

SWAPPED = (CLASSES[1], CLASSES[0], *CLASSES[2:])


@pytest.mark.parametrize(
    "said",
    [
        {"classes": list(SWAPPED)},
        {"class_names": SWAPPED, "epoch": 3},
        {"class_to_idx": {name: n for n, name in enumerate(SWAPPED)}},
        {"idx_to_class": dict(enumerate(SWAPPED))},
        {"hyper_parameters": {"id2label": {str(n): name for n, name in enumerate(SWAPPED)}}},
        {"names": str(dict(enumerate(SWAPPED)))},  # as text, in the metadata of an ONNX file
        {"labels": ", ".join(SWAPPED)},
        {"label_map": {name: str(n) for n, name in enumerate(SWAPPED)}},  # JSON has no other keys, some no other values
        {"meta": {"dataset_meta": {"CLASSES": SWAPPED}}},  # as mmpretrain nests it
        {"datamodule_hyper_parameters": {"class-names": list(SWAPPED)}},  # as Lightning does
        {"labels": "\n".join(name.title() for name in SWAPPED)},
    ],
)
def test_the_order_is_read_from_whatever_it_is_written_as(said: dict[str, Any]):
    assert classes_told(lists_in(said), CLASSES) == SWAPPED


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"classes": 5},
        {"classes": ["BNE", "EO", "LY", "MO", "SNE"]},  # in words of its own, which somebody has to translate
        {"classes": list(SWAPPED[:3])},  # of another task
        {"class_to_idx": dict.fromkeys(SWAPPED, 0)},
        {"idx_to_class": {n + 1: name for n, name in enumerate(SWAPPED)}},
        {"names": "(" * 5000},
        {"names": "x" * 100_000},
        {"label2id": {"1": "0", "2": "1", "3": "2", "4": "3", "5": "4"}},
        {"a": {"b": {"c": {"classes": list(SWAPPED)}}}},
        {"optimizer": {"classes": list(SWAPPED)}},
    ],
)
def test_what_names_none_of_the_classes_says_nothing(said: dict[str, Any]):
    assert classes_told(lists_in(said), CLASSES) is None


def test_one_list_that_differs_is_enough():
    assert classes_told([CLASSES, SWAPPED, CLASSES], CLASSES) == SWAPPED
    assert classes_told([CLASSES, [name.upper() for name in CLASSES]], CLASSES) == CLASSES


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return untrained_network("squeezenet1_1", len(CLASSES)).state_dict()


def saved(folder: Path, suffix: str, state: dict[str, torch.Tensor], order: tuple[str, ...]) -> Path:
    file, made = folder / f"weights{suffix}", io.BytesIO()
    if suffix == ".safetensors":
        file.write_bytes(save(state, metadata={"format": "pt", "label_names": str(list(order))}))
    else:
        torch.save({"state_dict": state, "class_to_idx": {name: n for n, name in enumerate(order)}}, made)
        file.write_bytes(made.getvalue())
    return file


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_checkpoint_whose_classes_are_in_another_order_is_refused(tmp_path: Path, state, suffix: str):
    protocol = protocol_for("squeezenet1_1", size_px=32, resize="squish")
    with pytest.raises(WeightsError, match=r"the classes of the file are \['eosinophil', 'basophil', .*same words and"):
        read_model(saved(tmp_path, suffix, state, SWAPPED), protocol, trusted=())
    found = read_model(saved(tmp_path, suffix, state, CLASSES), protocol, trusted=())
    assert found.record.stated == ("classes",)


def sorted_by_sklearn(order: tuple[str, ...]):
    """A linear model whose labels are words, in this order of its outputs."""
    model = from_sklearn(zipmap=False)
    (attribute,) = [each for each in model.graph.node[0].attribute if each.name == "classlabels_ints"]
    model.graph.node[0].attribute.remove(attribute)
    model.graph.node[0].attribute.append(helper.make_attribute(LABELS, order))
    model.graph.output[-1].type.tensor_type.elem_type = TensorProto.STRING
    return model


def test_labels_that_scikit_learn_sorted_are_held_to_the_order_of_the_protocol(tmp_path: Path):
    file = tmp_path / "linear.onnx"
    stated = SAID.model_copy(update={"outputs": "probabilities", "layout": "flat"})
    protocol: Protocol = protocol_for("resnet18", size_px=SIDE, resize="squish").model_copy(update={"model": stated})
    file.write_bytes(sorted_by_sklearn(SWAPPED).SerializeToString())
    with pytest.raises(WeightsError, match=r"the classes of the file are \['eosinophil', 'basophil', "):
        read_model(file, protocol, trusted=())
    file.write_bytes(sorted_by_sklearn(CLASSES).SerializeToString())
    assert "classes" in read_model(file, protocol, trusted=()).record.stated


def test_labels_lie_in_tensors_of_text_too():
    model = graph_of([helper.make_node("Identity", ["x"], ["y"])])
    model.graph.initializer.append(helper.make_tensor("classes", TensorProto.STRING, [2], [b"a", b"\xff"]))
    assert labels_in(model) == [("a", "\ufffd")]


def test_a_column_for_each_class_is_told_to_be_converted_again(tmp_path: Path):
    columns = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in CLASSES]
    model = graph_of([helper.make_node("Identity", ["x"], ["y"])], outputs=columns)
    model.graph.output.pop(0)
    file = tmp_path / "columns.onnx"
    file.write_bytes(model.SerializeToString())
    protocol = protocol_for("resnet18", size_px=SIDE, resize="squish").model_copy(update={"model": SAID})
    with pytest.raises(WeightsError, match=r"a column for each class, as scikit-learn's ZipMap.*'zipmap': False"):
        read_model(file, protocol, trusted=())
