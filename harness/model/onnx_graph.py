"""What is in an ONNX file, and is it whole and harmless? Bytes in, a graph out; nothing of it is computed here.

An ONNX file is a protobuf message: operators, their weights and some text. It could still name other files to read its
weights from, operators that only a library of its maker's has, or sizes that nobody has memory for: such are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from harness.core.errors import WeightsError
from harness.core.kinds import kind_of
from harness.core.text import first_few

Layout = Literal["NCHW", "NHWC", "flat"]
STANDARD = (
    "",
    "ai.onnx",
    "ai.onnx.ml",
)  # the domains whose operators the standard describes; none of them reads a file
TYPES = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64"}
INPUT_TYPES = {**TYPES, TensorProto.UINT8: "uint8"}
CHANNELS = 3
# onnxruntime reads settings of its own from this field of a model, where the environment tells it to.
SETTINGS_KEY = "ort_config"
LABELS = "classlabels_strings"  # of the standard's classifiers
ZIPMAP = "options={id(model): {'zipmap': False}}"

Shape = tuple[int | None, ...]  # None: any size


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of a graph. dtype: as NumPy calls it; shape: None where the file gives it no rank."""

    name: str
    dtype: str
    shape: Shape | None


@dataclass(frozen=True, slots=True)
class Ports:
    """How a graph is asked, and what it gives.

    input, output: of its values, those with the images and with a number for each class.
    layout:        of the input, where its shape tells; else None.
    batch:         the only number of images that it takes; None where it takes any.
    """

    input: Value
    output: Value
    layout: Layout | None
    batch: int | None


def read_graph(content: bytes, *, where: str) -> ModelProto:
    """The graph in the bytes of a file.

    Raises:
        WeightsError: they are not a whole ONNX model, or it needs more than itself and the standard's operators.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # whatever a parser says of bytes that somebody else chose
        said = f"it is {kind[0]}" if (kind := kind_of(content)) is not None else _first_line(error)
        raise WeightsError(f"{where} is not an ONNX file: {said}. Export the classifier again.") from None
    if not model.ir_version or not model.graph.node:
        raise WeightsError(f"{where} is not an ONNX file: it holds no graph. Export the classifier again.")
    if any(field.key == SETTINGS_KEY for field in model.metadata_props):
        raise WeightsError(f"{where} carries settings of onnxruntime ({SETTINGS_KEY}). Remove that field of metadata.")
    if model.training_info:
        raise WeightsError(f"{where} carries a graph for training. Export the classifier for inference alone.")
    nodes = list(_nodes(model))
    _refuse_foreign_operators(model, nodes, where)
    for tensor in _tensors(model, nodes):
        _refuse_odd_tensor(tensor, where)
    return model


def ports_of(model: ModelProto, *, n_classes: int, size_px: int, where: str) -> Ports:
    """Which input takes the images, and which output gives the classes.

    Raises:
        WeightsError: there is no such input or output, or several, or they are not of this size and number of classes.
    """
    given = _image_input(model.graph, size_px, where)
    assert given.shape is not None  # an input without a rank is refused
    return Ports(
        given,
        _class_output(model.graph, n_classes, where),
        _layout(given.shape),
        given.shape[0],
    )


def labels_in(model: ModelProto) -> list[tuple[str, ...]]:
    """Every list of labels in the graph, in the order of its outputs: scikit-learn's converters write such.

    They sort them, whatever order a protocol has.
    """
    listed = [each.strings for node in _nodes(model) for each in node.attribute if each.name == LABELS]
    listed += [each.string_data for each in model.graph.initializer if each.data_type == TensorProto.STRING]
    return [tuple(each.decode("utf-8", "replace") for each in names) for names in listed]


# --- harmless ---------------------------------------------------------------------------------------


def _nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Every operator, in subgraphs and functions too."""
    waiting: list[Iterable[NodeProto]] = [model.graph.node, *(function.node for function in model.functions)]
    while waiting:
        for node in waiting.pop():
            yield node
            for attribute in node.attribute:
                waiting += [graph.node for graph in _graphs(attribute)]


def _graphs(attribute: AttributeProto) -> list[GraphProto]:
    return [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _tensors(model: ModelProto, nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    """Every tensor that is written down: weights and constants, in subgraphs and functions too."""
    attributes = [each for node in nodes for each in node.attribute]
    attributes += [each for function in model.functions for each in function.attribute_proto]
    graphs = [model.graph, *(graph for each in attributes for graph in _graphs(each))]
    sparse = [each for graph in graphs for each in graph.sparse_initializer]
    for attribute in attributes:
        yield from [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]
        sparse += [
            *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
            *attribute.sparse_tensors,
        ]
    for graph in graphs:
        yield from graph.initializer
    for each in sparse:
        yield from (each.values, each.indices)


def _refuse_foreign_operators(model: ModelProto, nodes: Iterable[NodeProto], where: str) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    foreign = {
        f"{node.domain}.{node.op_type}"
        for node in nodes
        if node.domain not in STANDARD and (node.domain, node.op_type) not in own
    }
    if foreign:
        raise WeightsError(
            f"{where} needs operators that are not of the ONNX standard: {', '.join(first_few(sorted(foreign), 5))}. "
            "A library that computes them would run in the judge, so none is loaded: export it with standard "
            "operators (before a runtime optimised it)."
        )


def _refuse_odd_tensor(tensor: TensorProto, where: str) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise WeightsError(
            f"{where}: the weights {tensor.name!r} lie in another file, and no other file is read. Save all in one: "
            "onnx.save_model(onnx.load(FILE), NEW, save_as_external_data=False), or export it so: "
            "torch.onnx.export(..., external_data=False)."
        )
    try:
        numpy_helper.to_array(tensor)  # which takes what is there for what is claimed, and gives memory to no more
    except Exception as error:
        claimed = math.prod(tensor.dims)
        raise WeightsError(
            f"{where}: the weights {tensor.name!r} claim {claimed:,} numbers, and are not so many: "
            f"{_first_line(error)}. The file is damaged: export it again."
        ) from None


# --- asked and answered -----------------------------------------------------------------------------


def _image_input(graph: GraphProto, size_px: int, where: str) -> Value:
    weights = {each.name for each in graph.initializer}  # which old files list among their inputs
    inputs = [_value(each, where) for each in graph.input if each.name not in weights]
    listed = ", ".join(map(_called, inputs)) or "none"
    if len(inputs) != 1:
        raise WeightsError(f"{where} has these inputs: {listed}. One that takes images alone is needed.")
    (given,) = inputs
    if given.dtype not in INPUT_TYPES.values():
        raise WeightsError(
            f"{where}: its input {listed} takes no images: they are {', '.join(INPUT_TYPES.values())}. Export the part "
            "of the program that sees pixels."
        )
    shape = given.shape
    if shape is None or len(shape) not in (2, 4):
        raise WeightsError(
            f"{where}: its input {listed} takes no images. Four dimensions are needed: images, channels, height and "
            "width, or channels last; or two, images and their pixels one after another."
        )
    fits = [wanted for wanted in _shapes(size_px).values() if _agree(shape[1:], wanted)]
    if not fits:
        flat = len(shape) == 2
        raise WeightsError(
            f"{where}: its input {listed} is not for images of {size_px} x {size_px} px in {CHANNELS} channels, which "
            + (
                f"are {CHANNELS * size_px**2:,} numbers in a row. What takes features that its own program computes is "
                "judged by what that program says: have it write a table of predictions."
                if flat
                else "the protocol shows it. Where it is for squares of another size, set image_size_px in [training]."
            )
        )
    return given


def _shapes(size_px: int) -> dict[Layout, tuple[int, ...]]:
    """Layout -> the dimensions of one image."""
    return {
        "NCHW": (CHANNELS, size_px, size_px),
        "NHWC": (size_px, size_px, CHANNELS),
        "flat": (CHANNELS * size_px**2,),
    }


def possible_layouts(shape: Shape, *, size_px: int) -> tuple[Layout, ...]:
    """The layouts that an input of this shape can have."""
    return tuple(layout for layout, wanted in _shapes(size_px).items() if _agree(shape[1:], wanted))


def _layout(shape: Shape) -> Layout | None:
    """The layout that a shape tells: exactly one side of the image has as many numbers as it has channels."""
    if len(shape) == 4 and shape[1] == CHANNELS != shape[3]:
        return "NCHW"
    if len(shape) == 4 and shape[3] == CHANNELS != shape[1]:
        return "NHWC"
    return None


def _agree(shape: Shape, wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(one in (None, other) for one, other in zip(shape, wanted, strict=True))


def _class_output(graph: GraphProto, n_classes: int, where: str) -> Value:
    outputs = [_value(each, where) for each in graph.output]
    listed = ", ".join(map(_called, outputs)) or "none"
    if any(each.dtype == "sequence" for each in outputs):
        raise WeightsError(
            f"{where}: its outputs are {listed}, of which a sequence of dictionaries is scikit-learn's ZipMap. Convert "
            f"it again without: to_onnx(model, ..., {ZIPMAP})."
        )
    # scikit-learn's converters put the label, whole numbers, beside the probabilities.
    numbers = [each for each in outputs if each.dtype in TYPES.values()]
    if len(numbers) > 1 and all(each.shape is not None and len(each.shape) == 1 for each in numbers):
        raise WeightsError(
            f"{where}: its outputs are {listed}, which is a column for each class, as scikit-learn's ZipMap can write "
            f"them. Convert it again without: to_onnx(model, ..., {ZIPMAP})."
        )
    if len(numbers) != 1:
        raise WeightsError(
            f"{where}: its outputs are {listed}. One with a floating-point number for each class is needed, and no "
            "other beside it but labels: export without heads that only help the training."
        )
    (answer,) = numbers
    shape = answer.shape
    if shape is not None and len(shape) == 2 and shape[1] not in (None, n_classes):
        one = " A single output of a task with two classes has to become one for each." if shape[1] == 1 else ""
        raise WeightsError(
            f"{where}: its output {listed} has {shape[1]} columns, the protocol has {n_classes} classes. Name in the "
            f"protocol the classes that it was trained for, or export the whole last layer.{one}"
        )
    if shape is not None and len(shape) != 2:
        raise WeightsError(
            f"{where}: its output {listed} has {len(shape)} dimensions. Two are needed, images and classes: flatten "
            "what is left of height and width before the export."
        )
    return answer


def _value(value: onnx.ValueInfoProto, where: str) -> Value:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return Value(value.name, "sequence" if kind == "sequence_type" else str(kind), None)
    tensor = value.type.tensor_type
    try:
        dtype = str(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, TypeError, ValueError):
        raise WeightsError(
            f"{where}: {value.name!r} has no known type ({tensor.elem_type}). Export it again."
        ) from None
    if not tensor.HasField("shape"):
        return Value(value.name, dtype, None)
    sizes = (each.dim_value if each.HasField("dim_value") else 0 for each in tensor.shape.dim)
    return Value(value.name, dtype, tuple(size if size > 0 else None for size in sizes))


def _called(value: Value) -> str:
    shape = "" if value.shape is None else str([size or "any" for size in value.shape]).replace("'", "")
    return f"{value.name!r} ({value.dtype}{shape})"


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
