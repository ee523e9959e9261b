"""--model FILE.onnx: a graph is computed as its maker computes it, or refused by name; torch is the witness."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from drawn import CLASSES, classifier_of, decoded, scored, shown
from onnx import ModelProto, TensorProto, helper
from onnx_graphs import SAID, SHOWN, SIDE, Small, exported, graph_of, linear, saying

from harness.core.digests import file_digest
from harness.core.errors import DeviceUnavailable, HarnessError, InvalidPredictions, ProtocolError, WeightsError
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.model import onnx_runtime
from harness.model.classifier import Machine, predict, refuse_wrong_card
from harness.model.exports import Claims
from harness.model.formats import SHOWN as SHOWN_KEYS
from harness.model.images import Images, frames_of
from harness.model.model_file import ModelFile, read_model
from harness.model.networks import normalise
from harness.model.onnx_classifier import Asking, OnnxOnDevice, rounding
from harness.model.onnx_graph import Ports, Value, ports_of, read_graph
from harness.model.preprocessing import CellPixels
from harness.model.records import Preprocessing
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.protocol.training import ModelPlan, PreprocessingPlan

CPU = Machine("cpu", 7, workers=1, progress=silent)
OWN = {
    "classes": CLASSES,
    "outputs": "logits",
    "layout": "NCHW",
    "image_size_px": SIDE,
    "resize": "squish",
    "filter": "bilinear",
    "crop": 1.0,
    "channels": "RGB",
    "value_range": [0.0, 1.0],
    "mean": [0.485, 0.456, 0.406],
    "deviation": [0.229, 0.224, 0.225],
    "normalisation": "imagenet",
}


@pytest.fixture(scope="module")
def silent_protocol(place: Path) -> Protocol:
    """A protocol that says nothing of a file."""
    return read_protocol(place / "tiny.toml")


@pytest.fixture(scope="module")
def protocol(silent_protocol: Protocol) -> Protocol:
    """A protocol that says everything of most files below."""
    return silent_protocol.model_copy(update={"model": SAID})


@pytest.fixture(scope="module")
def cells(manifest: Manifest) -> CellPixels:
    return decoded(manifest, manifest.images[:33])


def reading(tmp_path: Path, model: bytes | ModelProto, protocol: Protocol, **changes: Any) -> ModelFile:
    """--model of these bytes. changes: to what the protocol says of it."""
    file = tmp_path / "m.onnx"
    file.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    if changes:
        assert protocol.model is not None
        protocol = protocol.model_copy(update={"model": protocol.model.model_copy(update=changes)})
    return read_model(file, protocol, trusted=())


# --- it says what torch says ------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 32])
@pytest.mark.parametrize("batch", [None, 1, 8])
def test_a_graph_says_what_its_network_says_whatever_the_batch(
    tmp_path: Path, protocol: Protocol, cells: CellPixels, batch: int | None, batch_size: int
):
    """A graph that takes one image is given one at a time; one that takes eight, the last eight filled up."""
    net = Small().eval()
    found = reading(tmp_path, exported(net, batch=batch), protocol)
    assert ("at a time" in found.record.layout) == (batch is not None)
    classifier = found.open(Machine("cpu", batch_size, workers=1, progress=silent))
    said = predict(classifier, shown(cells))
    assert np.ptp(said, axis=0).max() > 0.1  # cells differ
    np.testing.assert_allclose(said, scored(net_of(net), cells), rtol=0, atol=1e-6)
    assert predict(classifier, frames_of(cells.pixels[:0])).shape == (0, 5)


def net_of(net: Small) -> torch.nn.Sequential:
    """(body, head), as `TorchNetwork` takes one."""
    return torch.nn.Sequential(net.body, net.head)


def test_the_exporter_of_today_is_read_as_the_older_one(tmp_path: Path, protocol: Protocol, cells: CellPixels):
    net = Small().eval()
    with pytest.warns():  # torch's own, of its own
        made = torch.onnx.export(
            net,
            (torch.zeros(2, 3, SIDE, SIDE),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert made is not None
    classifier = reading(tmp_path, made.model_proto, protocol).open(CPU)
    np.testing.assert_allclose(predict(classifier, shown(cells)), scored(net_of(net), cells), rtol=0, atol=1e-6)


def test_channels_last_with_softmax_and_its_own_range_as_keras_writes_it(
    tmp_path: Path, protocol: Protocol, cells: CellPixels
):
    net = Small(softmax=True, last=True).eval()
    range_ = PreprocessingPlan(
        filter="bilinear", channels="BGR", value_range=(-1.0, 1.0), mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0)
    )
    found = reading(tmp_path, exported(net, last=True), protocol, outputs="probabilities", preprocessing=range_)
    assert found.record.layout == "NHWC float32 in, probabilities out"
    with torch.no_grad():
        wanted = net(torch.from_numpy(cells.pixels[..., ::-1] / 127.5 - 1).float()).numpy()
    np.testing.assert_allclose(predict(found.open(CPU), shown(cells)), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_numbers_than_float32_are_given_as_the_file_takes_them(
    tmp_path: Path, protocol: Protocol, cells: CellPixels, dtype: int
):
    plain = PreprocessingPlan(
        filter="bilinear", channels="RGB", value_range=(0.0, 255.0), mean=(0.0,) * 3, deviation=(1.0,) * 3
    )
    cast = helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT)
    scaled = helper.make_node("Div", ["c", "255"], ["d"])
    inner = linear(dtype=dtype)
    inner.graph.node[0].input[0] = "d"
    inner.graph.node.insert(0, scaled)
    inner.graph.node.insert(0, cast)
    inner.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(255.0), "255"))
    found = reading(tmp_path, inner, protocol, preprocessing=plain)
    matrix = onnx.numpy_helper.to_array(inner.graph.initializer[0])
    logits = torch.from_numpy((cells.pixels.transpose(0, 3, 1, 2).reshape(33, -1) / 255).astype(np.float32) @ matrix)
    wanted = logits.double().softmax(1).numpy()
    np.testing.assert_allclose(predict(found.open(CPU), shown(cells)), wanted, rtol=0, atol=1e-5)
    if dtype == TensorProto.UINT8:
        with pytest.raises(WeightsError, match=r"levels 0 to 255 as they are \(uint8\).*value_range = \[0.0, 255.0\]"):
            reading(tmp_path, inner, protocol)


@pytest.mark.parametrize(
    "how",
    [
        Preprocessing(SIDE, "squish"),
        Preprocessing(
            SIDE, "squish", channels="BGR", value_range=(-1.0, 1.0), mean=(0.1, 0.2, 0.3), deviation=(2, 3, 4)
        ),
        Preprocessing(SIDE, "squish", value_range=(0.0, 255.0), mean=(123.0, 117.0, 104.0), deviation=(1, 1, 1)),
    ],
)
def test_the_numbers_are_those_that_torch_networks_see_to_the_last_bit(cells: CellPixels, how: Preprocessing):
    ports = Ports(Value("x", "float32", (None, 3, SIDE, SIDE)), Value("y", "float32", (None, 5)), "NCHW", None)
    wanted = normalise(torch.from_numpy(cells.pixels), how).numpy()
    assert (Asking(ports, "NCHW", "logits", how).given(cells.pixels) == wanted).all()
    last = Asking(ports, "NHWC", "logits", how).given(cells.pixels)
    assert (last == wanted.transpose(0, 2, 3, 1)).all()
    assert (Asking(ports, "flat", "logits", how).given(cells.pixels) == last.reshape(33, -1)).all()


# --- scikit-learn -----------------------------------------------------------------------------------


def from_sklearn(*, zipmap: bool, n_features: int = 3 * SIDE * SIDE) -> ModelProto:
    """What skl2onnx makes of a logistic regression: labels beside probabilities, or dictionaries in their place."""
    rng = np.random.default_rng(2)
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "raw"],
            domain="ai.onnx.ml",
            coefficients=rng.normal(0, 0.02, 5 * n_features).tolist(),
            intercepts=[0.0] * 5,
            classlabels_ints=[0, 1, 2, 3, 4],
            multi_class=1,
            post_transform="SOFTMAX",
        ),
        helper.make_node("Normalizer", ["raw"], ["y" if not zipmap else "p"], domain="ai.onnx.ml", norm="L1"),
    ]
    labels = helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])
    model = graph_of(nodes, given=("n", n_features), outputs=[labels])
    if zipmap:
        nodes.append(helper.make_node("ZipMap", ["p"], ["z"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2, 3, 4]))
        maps = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        named = helper.make_value_info("z", helper.make_sequence_type_proto(maps))
        model = graph_of(nodes, given=("n", n_features))
        model.graph.output[0].CopyFrom(named)
        model.graph.output.append(labels)
    return model


def test_a_linear_model_of_pixels_is_judged_when_its_layout_is_stated(
    tmp_path: Path, protocol: Protocol, cells: CellPixels
):
    model = from_sklearn(zipmap=False)
    with pytest.raises(WeightsError, match=r'does not say layout.*\n\[model\]\nlayout = "NCHW"  # .*"flat"'):
        reading(tmp_path, model, protocol, outputs="probabilities")
    found = reading(tmp_path, model, protocol, outputs="probabilities", layout="flat")
    attributes = {each.name: each for each in model.graph.node[0].attribute}
    weights = np.array(attributes["coefficients"].floats).reshape(5, -1)
    mean, deviation = (np.array(each) for each in (SHOWN.mean, SHOWN.deviation))
    rows = ((cells.pixels / 255 - mean) / deviation).reshape(33, -1)
    wanted = torch.from_numpy(rows @ weights.T).softmax(1).numpy()
    np.testing.assert_allclose(predict(found.open(CPU), shown(cells)), wanted, rtol=0, atol=1e-4)


def test_dictionaries_and_features_are_refused_with_what_to_do(tmp_path: Path, protocol: Protocol):
    with pytest.raises(WeightsError, match=r"ZipMap. Convert it again without: .*'zipmap': False"):
        reading(tmp_path, from_sklearn(zipmap=True), protocol)
    with pytest.raises(WeightsError, match=r"'x' \(float32\[any, 64\]\) is not for images of 32 x.*table of pred"):
        reading(tmp_path, from_sklearn(zipmap=False, n_features=64), protocol)


# --- what it says, and what nobody guesses ----------------------------------------------------------


def test_a_file_that_says_everything_needs_no_further_word(tmp_path: Path, silent_protocol: Protocol):
    model = saying(exported(Small()), protocol="theirs", architecture="resnet18", **OWN)
    found = reading(tmp_path, model, silent_protocol)
    record, card = found.record, found.card
    assert (record.format, record.architecture, record.trained_by) == ("ONNX", "resnet18", "theirs")
    assert record.layout == "NCHW float32 in, logits out"
    assert set(record.stated) == {*OWN, "architecture"}
    assert record.sha256 == record.weights_digest == card.digest == file_digest(tmp_path / "m.onnx")
    assert card.preprocessing == Preprocessing(SIDE, "squish")
    assert card.engine == f"onnxruntime {onnxruntime.__version__}"
    assert card.answers_by["engine"] == card.engine
    assert card.abilities == ("probabilities", "new images", "prepared arrays")
    assert "cannot give the features" in str(card.why_not({"features"}))
    refuse_wrong_card(found.open(CPU))
    assert found.kept_as == ("judged.onnx",)


NEEDED = [name for name in OWN if name not in ("layout", "image_size_px", "resize", "crop", "normalisation", "classes")]


@pytest.mark.parametrize("left_out", NEEDED)
def test_what_nobody_says_is_asked_for_and_the_error_prints_what_to_write(
    tmp_path: Path, silent_protocol: Protocol, place: Path, left_out: str
):
    said = {name: value for name, value in OWN.items() if name != left_out}
    with pytest.raises(WeightsError, match=f"m.onnx does not say {left_out}, and nothing of that is guessed") as error:
        reading(tmp_path, saying(exported(Small()), **said), silent_protocol)
    _, _, remedy = str(error.value).partition("examples:\n")
    own = tmp_path / "own.toml"
    own.write_text(f'extends = "{(place / "tiny.toml").as_posix()}"\n{remedy}\n')
    assert reading(tmp_path, saying(exported(Small()), **said), read_protocol(own)).card.preprocessing is not None


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path, silent_protocol: Protocol, place: Path):
    with pytest.raises(WeightsError, match="does not say which class each of its 5 outputs stands for"):
        reading(tmp_path, exported(Small()), silent_protocol)
    classes = silent_protocol.model_copy(update={"model": ModelPlan(classes=CLASSES)})
    with pytest.raises(WeightsError) as error:
        reading(tmp_path, exported(Small()), classes)
    assert "does not say outputs, filter, channels, value_range, mean, deviation" in str(error.value)
    assert str(error.value).count("[model.preprocessing]\n") == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"classes": (*CLASSES[1:], CLASSES[0])}, "One class would be read as another"),
        ({"image_size_px": 64}, "was made for image_size_px = 64, the protocol says 32"),
        ({"resize": "crop"}, "was made for resize = 'crop'"),
        ({"filter": "bicubic"}, "was made for filter = 'bicubic', the protocol says 'bilinear'"),
        ({"channels": "BGR"}, "was made for channels = 'BGR'"),
        ({"value_range": [0.0, 255.0]}, r"was made for value_range = \(0.0, 255.0\), the protocol says \(0.0, 1.0\)"),
        ({"mean": [0.0, 0.0, 0.0]}, r"was made for mean = \(0.0, 0.0, 0.0\)"),
        ({"deviation": [1.0, 1.0, 1.0]}, "was made for deviation"),
        ({"outputs": "probabilities"}, "was made for outputs = 'probabilities', the protocol says 'logits'"),
        ({"layout": "NHWC"}, "layout = 'NHWC' is stated, and its input 'images' of shape .* is NCHW"),
        ({"range": [0, 1]}, "metadata 'classifier' is not what it should be"),
    ],
)
def test_a_file_and_a_protocol_that_disagree_are_not_reconciled(
    tmp_path: Path, protocol: Protocol, said: dict[str, Any], words: str
):
    with pytest.raises(WeightsError, match=words):
        reading(tmp_path, saying(exported(Small()), **{**OWN, **said}), protocol)


def test_a_normalisation_that_only_a_graph_of_ours_holds_is_not_said_of_another(tmp_path: Path, protocol: Protocol):
    """Nothing is put before a graph: its card would say that backgrounds were made white, and none was."""
    training = protocol.training.model_copy(update={"normalisation": "background-white"})
    white = protocol.model_copy(update={"training": training})
    with pytest.raises(WeightsError, match=r"'background-white' is the first layer.*Say normalisation = \"imagenet\""):
        reading(tmp_path, exported(Small()), white)
    own = saying(exported(Small()), **{**OWN, "normalisation": "background-white"})
    shown = reading(tmp_path, own, white).card.preprocessing
    assert shown is not None
    assert shown.normalisation == "background-white"


@pytest.mark.parametrize(("softmax", "outputs"), [(True, "logits"), (False, "probabilities")])
def test_softmax_is_not_taken_twice_and_not_left_out(tmp_path: Path, protocol: Protocol, softmax: bool, outputs: str):
    other = {"logits": "probabilities", "probabilities": "logits"}[outputs]
    with pytest.raises(WeightsError, match=f"outputs = '{outputs}' is stated, and what it answers .*\"{other}\""):
        reading(tmp_path, exported(Small(softmax=softmax)), protocol, outputs=outputs)


def test_another_range_or_order_of_channels_is_seen_in_the_answers(
    tmp_path: Path, protocol: Protocol, cells: CellPixels
):
    """What no file states and the protocol states wrongly changes what it says: accuracy would show it."""
    model = exported(Small())
    right = predict(reading(tmp_path, model, protocol).open(CPU), shown(cells))
    for change in ({"value_range": (0.0, 255.0)}, {"channels": "BGR"}, {"mean": (0.0, 0.0, 0.0)}):
        other = SHOWN.model_copy(update=change)
        wrong = predict(reading(tmp_path, model, protocol, preprocessing=other).open(CPU), shown(cells))
        assert abs(wrong - right).max() > 0.01


@pytest.mark.parametrize("dims", [("n", "c", "h", "w"), ("n", 3, "h", "w"), ("n", "h", "w", 3)])
def test_a_layout_that_the_shape_leaves_open_is_stated(tmp_path: Path, protocol: Protocol, dims: tuple[Any, ...]):
    model = linear(given=dims)
    if dims[1:] == ("c", "h", "w"):
        with pytest.raises(WeightsError, match="does not say layout"):
            reading(tmp_path, model, protocol)
        assert reading(tmp_path, model, protocol, layout="NHWC").record.layout.startswith("NHWC")
        with pytest.raises(WeightsError, match="layout = 'flat' is stated"):
            reading(tmp_path, model, protocol, layout="flat")
    else:
        assert reading(tmp_path, model, protocol).record.layout.startswith("NCHW" if dims[1] == 3 else "NHWC")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('outputs = "softmax"', r"model\.outputs"),
        ("preprocessing = { range = [0.0, 1.0] }", r"model\.preprocessing\.range: unknown key"),
        ("preprocessing = { value_range = [1.0, 1.0] }", "makes every image one colour"),
        ("preprocessing = { deviation = [1.0, 0.0, 1.0] }", r"model\.preprocessing\.deviation"),
        ("preprocessing = { crop = 1.5 }", r"model\.preprocessing\.crop"),
    ],
)
def test_the_protocol_s_word_on_a_graph_is_checked(place: Path, tmp_path: Path, section: str, words: str):
    own = tmp_path / "own.toml"
    own.write_text(f'extends = "{(place / "tiny.toml").as_posix()}"\n[model]\n{section}\n')
    with pytest.raises(ProtocolError, match=words):
        read_protocol(own)


def test_a_protocol_that_says_nothing_of_a_graph_keeps_its_digest(silent_protocol: Protocol):
    said = silent_protocol.model_copy(update={"model": ModelPlan(classes=CLASSES)})
    assert set(said.model_dump(mode="json")["model"]) == {"classes", "trusted_models"}
    assert set(SHOWN_KEYS) == set(PreprocessingPlan.model_fields)
    assert {*SHOWN_KEYS, "outputs", "layout"} <= set(Claims.__dataclass_fields__)


# --- files that are refused -------------------------------------------------------------------------


def with_node(*nodes: onnx.NodeProto, **how: Any) -> ModelProto:
    return graph_of(nodes, **how)


def external() -> ModelProto:
    model = linear()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return model


def in_a_subgraph(node: onnx.NodeProto, weights: list[TensorProto] | None = None) -> ModelProto:
    """An If whose branches hold the node."""
    out = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
    branch = helper.make_graph([node], "branch", [], [out], weights or [])
    yes = helper.make_node("Constant", [], ["yes"], value=onnx.numpy_helper.from_array(np.array(True)))
    return with_node(yes, helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch))


def in_a_function(node: onnx.NodeProto) -> ModelProto:
    inner = helper.make_function(
        "own", "Inner", ["x"], ["y"], [node], [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    )
    model = with_node(helper.make_node("Inner", ["x"], ["y"], domain="own"))
    model.functions.append(inner)
    return model


def changed(change: Callable[[ModelProto], object]) -> ModelProto:
    model = linear()
    change(model)
    return model


def claims_more(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [50_000, 50_000]


FOREIGN = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="/etc/passwd")
OUTSIDE = external().graph.initializer[0]

REFUSED: dict[str, tuple[bytes | ModelProto, str]] = {
    "empty": (b"", r"is empty \(0 bytes\)"),
    "zip": (b"PK\x03\x04" + bytes(64), "is not an ONNX file"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "is not an ONNX file"),
    "pickle": (b"\x80\x04\x95" + bytes(64), "is not an ONNX file"),
    "text": (b"hello", "is not an ONNX file"),
    "cut in half": (linear().SerializeToString()[:20_000], "is not an ONNX file"),
    "external data": (external(), "'w' lie in another file, and no other file is read. Save all in one"),
    "external data in a subgraph": (
        in_a_subgraph(helper.make_node("Identity", ["w"], ["o"]), [OUTSIDE]),
        "'w' lie in another file",
    ),
    "external data in a constant": (
        with_node(helper.make_node("Constant", [], ["y"], value=OUTSIDE)),
        "'w' lie in another file",
    ),
    "custom operators": (
        with_node(helper.make_node("Magic", ["x"], ["y"], domain="acme")),
        "operators that are not of the ONNX standard: acme.Magic.*export it with standard operators",
    ),
    "a runtime's own operators": (with_node(FOREIGN), "com.microsoft.EPContext"),
    "a runtime's own operators in a subgraph": (in_a_subgraph(FOREIGN), "com.microsoft.EPContext"),
    "a runtime's own operators in a function": (in_a_function(FOREIGN), "com.microsoft.EPContext"),
    "an opset of tomorrow": (
        changed(lambda m: setattr(m.opset_import[0], "version", 99)),
        r"Opset 99 is under development.*Export it for an older opset, such as torch.onnx.export.*opset_version=18",
    ),
    "a format of tomorrow": (
        changed(lambda m: setattr(m, "ir_version", 99)),
        r": FAIL : Unsupported model IR version: 99.*Export it for an older opset",  # without the library's own files
    ),
    "settings": (
        changed(lambda m: helper.set_model_props(m, {"ort_config": "{}"})),
        "carries settings of onnxruntime",
    ),
    "a graph for training": (changed(lambda m: m.training_info.add()), "carries a graph for training"),
    "10 GB claimed": (changed(claims_more), "'w' claim 2,500,000,000 numbers, and are not so many"),
    "a class too few": (linear(n_classes=4), "has 4 columns, the protocol has 5 classes"),
    "a class too many": (linear(n_classes=6), "has 6 columns, the protocol has 5 classes"),
    "one output for two classes": (linear(n_classes=1), "has 1 columns.*two classes has to become one for each"),
    "a class too few that the file does not admit": (
        linear(n_classes=4, answer=("n", "k")),
        r"to 1 images it answers with float32 of shape \(1, 4\)",
    ),
    "no image": (with_node(helper.make_node("Relu", ["x"], ["y"]), given=("n", 128, 10)), "takes no images"),
    "words": (
        with_node(helper.make_node("Identity", ["x"], ["y"]), dtype=TensorProto.STRING),
        "takes no images",
    ),
    "one channel": (linear(given=("n", 1, SIDE, SIDE)), "not for images of 32 x 32 px in 3 channels"),
    "another size": (linear(given=("n", 3, 64, 64)), "set image_size_px in"),
    "not square": (linear(given=("n", 3, SIDE, 64)), "not for images of 32 x 32 px"),
    "two inputs": (
        changed(lambda m: m.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, [1]))),
        r"has these inputs: 'x' \(float32\[any, 3, 32, 32\]\), 'age'",
    ),
    "two heads": (
        changed(lambda m: m.graph.output.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, ["n", 3072]))),
        "One with a floating-point number for each class is needed",
    ),
    "a map for each class": (
        with_node(helper.make_node("Relu", ["x"], ["y"]), answer=("n", 5, 7, 7)),
        "has 4 dimensions. Two are needed",
    ),
    "a map that the file does not admit": (
        with_node(helper.make_node("Relu", ["x"], ["y"]), answer=("n", 5)),
        "onnxruntime does not compute it|answers with float32",
    ),
    "labels alone": (
        with_node(helper.make_node("ArgMax", ["x"], ["y"], axis=1)),
        "onnxruntime does not compute it",
    ),
    "a batch of thousands": (linear(given=(4096, 3, SIDE, SIDE), answer=(4096, 5)), "takes 4,096 images at once"),
    "not finite": (
        with_node(
            helper.make_node("Flatten", ["x"], ["f"]),
            helper.make_node("MatMul", ["f", "w"], ["m"]),
            helper.make_node("Div", ["m", "zero"], ["y"]),
            weights={"w": np.zeros((3 * SIDE * SIDE, 5), np.float32), "zero": np.float32([0.0])},
        ),
        "answer to noise is not finite",
    ),
    "softmax over the images": (
        with_node(
            helper.make_node("Flatten", ["x"], ["f"]),
            helper.make_node("MatMul", ["f", "w"], ["m"]),
            helper.make_node("Softmax", ["m"], ["y"], axis=0),
            weights={"w": np.ones((3 * SIDE * SIDE, 5), np.float32)},
        ),
        "does not add up to 1",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_says_why_and_leaves_nothing(tmp_path: Path, protocol: Protocol, kind: str):
    model, words = REFUSED[kind]
    outputs = "probabilities" if kind == "softmax over the images" else "logits"
    with pytest.raises(WeightsError, match=words) as error:
        reading(tmp_path, model, protocol, outputs=outputs)
    assert len(str(error.value).splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, protocol: Protocol):
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(WeightsError, match="more than 805,306,368 bytes"):
        read_model(tmp_path / "m.onnx", protocol, trusted=())


def wants(n_bytes: int) -> ModelProto:
    """A graph of few bytes whose answer is made of as many bytes as this."""
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Add", ["m", "sum"], ["y"]),
    ]
    weights = {"n": np.array([n_bytes // 4], np.int64), "w": np.ones((3 * SIDE * SIDE, 5), np.float32)}
    return graph_of(nodes, weights=weights)


def test_a_graph_that_wants_all_memory_gets_none(tmp_path: Path, protocol: Protocol):
    with pytest.raises(WeightsError, match="tried in a process of its own, and nothing was judged"):
        reading(tmp_path, wants(10**11), protocol)


def test_a_graph_that_never_answers_is_given_up(tmp_path: Path, protocol: Protocol, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnx_runtime, "TRIAL_TIMEOUT_S", 0.01)
    with pytest.raises(WeightsError, match=r"gave no answer to it in 0.01 s"):
        reading(tmp_path, linear(), protocol)


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "onnxruntime crashed over it .signal 11"),
        ("import os; os.abort()", "onnxruntime crashed over it .signal 6"),
        ("raise SystemExit(3)", "onnxruntime does not compute it: no word"),
    ],
)
def test_a_crash_of_the_library_is_one_clear_error(
    tmp_path: Path, protocol: Protocol, monkeypatch: pytest.MonkeyPatch, does: str, words: str
):
    crashing = tmp_path / "crashing.py"
    crashing.write_text(does)
    monkeypatch.setattr(onnx_runtime, "_TRIAL", crashing)
    with pytest.raises(WeightsError, match=words):
        reading(tmp_path, linear(), protocol)


def test_the_trial_has_none_of_the_tokens_of_the_job(
    tmp_path: Path, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REGISTRY_TOKEN", "secret")
    spying = tmp_path / "spying.py"
    spying.write_text("import os, sys; sys.exit(str(sorted(os.environ)))")
    monkeypatch.setattr(onnx_runtime, "_TRIAL", spying)
    with pytest.raises(WeightsError, match=r"does not compute it: .*'PATH'") as error:
        reading(tmp_path, linear(), protocol)
    assert "REGISTRY_TOKEN" not in str(error.value)
    assert "REGISTRY_TOKEN" in os.environ


# --- answers that are seen to be wrong when it is judged --------------------------------------------


def open_as(tmp_path: Path, protocol: Protocol, model: ModelProto, **changes: Any) -> Any:
    return reading(tmp_path, model, protocol, **changes).open(CPU)


def looking_at_neighbours() -> ModelProto:
    """Subtracts the mean of the images beside it."""
    model = linear()
    model.graph.node[1].output[0] = "m"
    model.graph.node.append(helper.make_node("ReduceMean", ["m", "first"], ["mean"], keepdims=1))
    model.graph.node.append(helper.make_node("Sub", ["m", "mean"], ["y"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0], np.int64), "first"))
    return model


def unsteady() -> ModelProto:
    model = linear()
    model.graph.node[1].output[0] = "m"
    model.graph.node.append(helper.make_node("RandomNormalLike", ["m"], ["noise"], seed=1.0))
    model.graph.node.append(helper.make_node("Add", ["m", "noise"], ["y"]))
    return model


def diverging() -> ModelProto:
    """Finite for noise; NaN where an image is all of one colour: it divides by the range of each channel."""
    model = linear()
    model.graph.node[1].output[0] = "m"
    for name, kind in (("top", "ReduceMax"), ("low", "ReduceMin")):
        model.graph.node.append(helper.make_node(kind, ["x", "sides"], [name], keepdims=0))
    model.graph.node.append(helper.make_node("Sub", ["top", "low"], ["range"]))
    model.graph.node.append(helper.make_node("Div", ["range", "range"], ["ones"]))
    model.graph.node.append(helper.make_node("ReduceMean", ["ones", "second"], ["one"], keepdims=1))
    model.graph.node.append(helper.make_node("Mul", ["m", "one"], ["y"]))
    for name, axes in (("sides", [2, 3]), ("second", [1])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(axes, np.int64), name))
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (looking_at_neighbours(), "together than one by one.*must not depend on the cells beside it"),
        (unsteady(), "answers differently when it is shown the same"),
        (diverging(), "is not finite"),
    ],
    ids=["neighbours", "unsteady", "NaN"],
)
def test_what_only_cells_show_is_seen_when_they_are_scored(
    tmp_path: Path, protocol: Protocol, cells: CellPixels, model: ModelProto, words: str
):
    pixels = cells.pixels.copy()
    pixels[5] = 77
    with pytest.raises(InvalidPredictions, match=words):
        predict(open_as(tmp_path, protocol, model), frames_of(pixels))


def endless_where_it_is_bright() -> ModelProto:
    """A loop that ends at once for noise, and never for a white image."""
    model = linear()
    model.graph.node[1].output[0] = "m"
    values = [("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("v", TensorProto.FLOAT, None)]
    given = [helper.make_tensor_value_info(*value) for value in values]
    out = [helper.make_tensor_value_info(f"{name}_", kind, shape) for name, kind, shape in values[1:]]
    body = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_"]) for name, *_ in values[1:]], "body", given, out
    )
    model.graph.node.append(helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0))
    model.graph.node.append(helper.make_node("ReduceMin", ["x"], ["low"], keepdims=0))
    model.graph.node.append(helper.make_node("Sub", ["top", "low"], ["range"]))
    model.graph.node.append(helper.make_node("Less", ["range", "little"], ["even"]))
    model.graph.node.append(helper.make_node("Loop", ["", "even", "m"], ["y"], body=body))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1), "little"))
    return model


def test_a_graph_that_never_ends_for_some_images_is_given_up_in_mid_run(
    tmp_path: Path, protocol: Protocol, cells: CellPixels, monkeypatch: pytest.MonkeyPatch
):
    classifier = open_as(tmp_path, protocol, endless_where_it_is_bright())
    monkeypatch.setattr(onnx_runtime, "TRIAL_TIMEOUT_S", 0.5)
    monkeypatch.setattr(onnx_runtime, "IMAGE_S", 0)
    white = np.full_like(cells.pixels[:1], 255)
    with pytest.raises(
        WeightsError, match=r"m\.onnx: onnxruntime gave no answer to 1 images in 0\.5 s, as where a loop"
    ):
        predict(classifier, frames_of(white))
    assert len(predict(classifier, frames_of(cells.pixels))) == len(cells.pixels)  # and it answers on


def test_a_graph_that_cannot_take_the_last_batch_is_an_error_and_no_row_is_dropped(
    tmp_path: Path, protocol: Protocol, cells: CellPixels
):
    """Exported for any batch by its word, and with a batch of two written into a reshape."""
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    weights = {
        "shape": np.array([-1, 2 * 3 * SIDE * SIDE], np.int64),
        "w": np.ones((2 * 3 * SIDE * SIDE, 5), np.float32),
    }
    with pytest.raises(WeightsError, match="onnxruntime does not compute it"):
        reading(tmp_path, graph_of(nodes, weights=weights), protocol)


def test_another_device_is_used_or_refused_and_never_replaced_by_the_cpu(tmp_path: Path, protocol: Protocol):
    found = reading(tmp_path, linear(), protocol)
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(DeviceUnavailable, match=r"does not compute on cuda\..*or install onnxruntime-gpu"):
            found.open(Machine("cuda", 7, workers=1, progress=silent))
    with pytest.raises(DeviceUnavailable, match=r"does not compute on mps. Use --device cpu\."):
        found.open(Machine("mps", 7, workers=1, progress=silent))


def test_a_device_that_computes_wrongly_is_caught_by_the_cpu(cells: CellPixels):
    ports = Ports(Value("x", "float32", (None, 3, SIDE, SIDE)), Value("y", "float32", (None, 5)), "NCHW", None)
    asking = Asking(ports, "NCHW", "logits", Preprocessing(SIDE, "squish"))
    matrix = np.random.default_rng(0).normal(0, 0.01, (3 * SIDE * SIDE, 5)).astype(np.float32)

    def on(device: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda given: given.reshape(len(given), -1) @ matrix * (1.0 if device == "cpu" else wrong)

    for wrong in (1.0, 1.1):
        card = classifier_of(torch.nn.Identity()).card
        classifier = OnnxOnDevice(card, on, asking, Machine("cuda", 7, workers=1, progress=silent))
        if wrong == 1.0:
            assert predict(classifier, shown(cells)).shape == (33, 5)
        else:
            with pytest.raises(InvalidPredictions, match="in batches on cuda than one by one, scored plainly"):
                predict(classifier, shown(cells))


# --- arithmetic -------------------------------------------------------------------------------------


def asking(outputs: Any) -> Asking:
    ports = Ports(Value("x", "float32", (None, 3, 2, 2)), Value("y", "float32", (None, 2)), "NCHW", None)
    return Asking(ports, "NCHW", outputs, Preprocessing(2, "squish"))


def test_softmax_of_logits_by_hand():
    # e^0 : e^(ln 3) = 1 : 3, whatever is added to both; an infinite logit is no certainty.
    logits = np.array([[0.0, np.log(3.0)], [1000.0, 1000.0 + np.log(3.0)], [0.0, np.inf]], np.float64)
    found = asking("logits").probabilities(logits)
    np.testing.assert_allclose(found[:2], [[0.25, 0.75]] * 2, rtol=1e-12)
    assert np.isnan(found[2]).all()


def test_what_rounding_left_over_is_taken_off_and_nothing_else_is():
    off = rounding(np.zeros((1, 2), np.float32))
    near, far = np.float32([[0.25, 0.75 + off / 2]]), np.float32([[0.25, 0.76]])
    assert asking("probabilities").probabilities(near).sum() == 1.0
    assert asking("probabilities").probabilities(far).sum() == pytest.approx(1.01)
    half = np.array([[0.1, 0.899]], np.float16)  # as far off as float16 is
    assert asking("probabilities").probabilities(half).sum() == 1.0


@pytest.mark.parametrize(("shape", "dtype"), [((3,), np.float32), ((3, 2), np.int64), ((1, 2, 3), np.float32)])
def test_an_answer_of_another_kind_is_named(shape: tuple[int, ...], dtype: Any):
    with pytest.raises(InvalidPredictions, match="the ONNX graph answered with"):
        asking("logits").probabilities(np.zeros(shape, dtype))


def test_initializers_that_old_files_list_as_inputs_are_no_inputs():
    model = linear()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3 * SIDE * SIDE, 5]))
    found = ports_of(read_graph(model.SerializeToString(), where="it"), n_classes=5, size_px=SIDE, where="it")
    assert (found.input.name, found.layout, found.batch) == ("x", "NCHW", None)


def test_every_error_is_one_of_ours_whatever_is_flipped(tmp_path: Path, protocol: Protocol, monkeypatch: Any):
    """A damaged file is refused or read; it never ends in a traceback of protobuf's."""
    monkeypatch.setattr("harness.model.onnx_file._refuse_other_answers", lambda *_: None)
    whole = linear(side=SIDE).SerializeToString()
    rng = np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, 400, 3):  # where names, operators and shapes stand
            damaged[place if rng.random() < 0.5 else -int(place) - 1] = int(rng.integers(0, 256))
        with contextlib.suppress(HarnessError):
            reading(tmp_path, bytes(damaged), protocol)


def test_names_of_images_are_in_the_errors(tmp_path: Path, protocol: Protocol, cells: CellPixels):
    pixels = cells.pixels[:3].copy()
    pixels[1] = 9
    images = Images(("a", "b", "c"), lambda index: pixels[index], "test")
    with pytest.raises(InvalidPredictions, match="test: the output for b is not finite"):
        predict(open_as(tmp_path, protocol, diverging()), images)
