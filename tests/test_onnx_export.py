"""classifier.onnx as a stranger finds it: torch writes it, and whoever opens it needs none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from drawn import CLASSES, classifier_of, decoded, shown
from fastai.layers import AdaptiveConcatPool2d
from PIL import Image
from torch import nn

from harness.core.errors import TrainingError
from harness.data.records import Manifest
from harness.model import onnx_runtime
from harness.model.classifier import Machine, predict
from harness.model.exports import Claims
from harness.model.images import files_of
from harness.model.model_file import read_model
from harness.model.normalisation import normalising
from harness.model.onnx_runtime import Files, answers_elsewhere
from harness.model.onnx_writing import ONNX, onnx_bytes
from harness.model.records import Preprocessing
from harness.model.torch_network import TorchNetwork
from harness.protocol.file import read_protocol

CLAIMS = Claims(
    CLASSES,
    image_size_px=32,
    resize="squish",
    normalisation="imagenet",
    protocol="tiny",
    outputs="logits",
    layout="NCHW",
    filter="bilinear",
    crop=1.0,
    channels="RGB",
    value_range=(0.0, 1.0),
    mean=(0.485, 0.456, 0.406),
    deviation=(0.229, 0.224, 0.225),
)


def network(*, white: bool = False) -> nn.Sequential:
    """(body, head) of what a trained network is made of: convolution, batch-norm, pools, dropout, a linear layer."""
    torch.manual_seed(9)
    body = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
    body[1].running_mean.uniform_(-1, 1)  # type: ignore[operator, union-attr]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 5))
    with torch.no_grad():
        head[3].weight *= 4  # type: ignore[operator]  # so that cells get different answers
    return normalising(nn.Sequential(body, head), "background-white" if white else "imagenet").eval()


@pytest.fixture(scope="module")
def plain() -> bytes:
    return onnx_bytes(network(), CLAIMS)


@pytest.fixture(scope="module")
def white() -> bytes:
    return onnx_bytes(network(white=True), replace(CLAIMS, normalisation="background-white"))


@pytest.mark.parametrize("kind", ["imagenet", "background-white"])
def test_it_is_judged_without_a_further_word_and_says_what_torch_says(
    tmp_path: Path, place: Path, manifest: Manifest, plain: bytes, white: bytes, kind: str
):
    protocol = read_protocol(place / "tiny.toml")
    training = protocol.training.model_copy(update={"normalisation": kind})
    (tmp_path / ONNX).write_bytes(white if kind == "background-white" else plain)
    found = read_model(tmp_path / ONNX, protocol.model_copy(update={"training": training}), trusted=())
    assert found.card.preprocessing == Preprocessing(32, "squish", normalisation=kind)  # type: ignore[arg-type]
    assert found.record.trained_by == "tiny"
    cells = decoded(manifest, manifest.images)
    wanted = predict(classifier_of(network(white=kind == "background-white")), shown(cells))
    assert np.ptp(wanted, axis=0).max() > 0.1
    for batch_size in (1, 7, 32):
        classifier = found.open(Machine("cpu", batch_size, workers=1, progress=lambda *_: None))
        assert abs(predict(classifier, shown(cells)) - wanted).max() < 1e-5


def test_it_takes_any_number_of_images_and_holds_the_standard_s_operators_alone(plain: bytes, white: bytes):
    for content in (plain, white):
        model = onnx.load_model_from_string(content)
        assert {each.domain for each in model.opset_import} == {""}
        assert not model.functions
        (given,), (answer,) = model.graph.input, model.graph.output
        sizes = [[each.dim_param or each.dim_value for each in v.type.tensor_type.shape.dim] for v in (given, answer)]
        assert sizes == [["batch", 3, 32, 32], ["batch", 5]]
        assert (given.name, answer.name) == ("images", "logits")


def test_the_same_network_is_the_same_bytes_which_do_not_say_where_they_were_made(plain: bytes):
    assert onnx_bytes(network(), CLAIMS) == plain
    for place in (sys.prefix, str(Path(torch.__file__).parent), str(Path(__file__).parent), "stack_trace"):
        assert place.encode() not in plain


def test_the_maximum_of_fastai_s_head_is_exported_by_every_torch_in_range():
    torch.manual_seed(9)
    concatenated = nn.Sequential(nn.Conv2d(3, 8, 5), AdaptiveConcatPool2d(1), nn.Flatten(), nn.Linear(16, 5)).eval()
    images = torch.rand(7, 3, 32, 32)
    session = onnxruntime.InferenceSession(onnx_bytes(concatenated, CLAIMS))
    (logits,) = session.run(None, {"images": images.numpy()})
    assert logits == pytest.approx(concatenated(images).detach().numpy(), abs=1e-5)


def test_a_maximum_over_parts_of_the_picture_is_not_taken_for_one_over_all():
    with pytest.raises(TrainingError, match=r"adaptive maximum pooling to \[2, 2\]"):
        onnx_bytes(nn.Sequential(nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(12, 5)).eval(), CLAIMS)


class Unheard(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(images).mean(dim=(2, 3))


def test_what_torch_cannot_express_is_said():
    with pytest.raises(TrainingError, match=r"does not export the classifier to classifier\.onnx: .*bessel_j0"):
        onnx_bytes(Unheard(), CLAIMS)


# --- asked again where there is no torch ------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Frames of many sizes, upright and lying; the first ones are where fastai's crop takes a pixel less."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(4)
    paths = []
    for number, (width, height) in enumerate([(117, 186), (359, 236), (48, 48), (90, 60), (33, 71), (200, 34)]):
        coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(coarse).resize((width, height)).save(paths[-1])
    return paths


@pytest.mark.parametrize(
    "how",
    [
        Preprocessing(32, "squish"),
        Preprocessing(32, "crop", filter="bicubic"),
        Preprocessing(32, "crop", crop=0.875, value_range=(-1.0, 1.0), mean=(0.0,) * 3, deviation=(1.0,) * 3),
    ],
)
def test_a_program_without_torch_prepares_and_answers_as_torch_does(
    pictures: list[Path], plain: bytes, how: Preprocessing
):
    claims = replace(
        CLAIMS,
        resize=how.resize,
        filter=how.filter,
        crop=how.crop,
        value_range=how.value_range,
        mean=how.mean,
        deviation=how.deviation,
    )
    model = onnx.load_model_from_string(plain)
    onnx.helper.set_model_props(model, {"classifier": claims.as_json})
    some, others = Files("some", tuple(pictures), ("PNG",)), Files("others", (), ("PNG",))
    classes, found = answers_elsewhere(model.SerializeToString(), (some, others), batch_size=4)
    card = replace(classifier_of(network()).card, preprocessing=how)
    torch_one = TorchNetwork(card, network(), Machine("cpu", 4, workers=1, progress=lambda *_: None))
    wanted = torch_one.predict_proba(files_of(pictures, formats=("PNG",)))
    assert classes == CLASSES
    assert found["others"].shape == (0, 5)
    assert abs(found["some"] - wanted).max() < 1e-5


def test_the_program_that_asks_again_has_neither_torch_nor_this_project():
    script = onnx_runtime._READER.read_text(encoding="utf-8")
    assert 'for absent in ("torch", "harness"):\n    sys.modules[absent] = None' in script


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: b"", "onnxruntime does not compute it"),
        (lambda content: content[: len(content) // 2], "onnxruntime does not compute it"),
        (lambda content: said(content, replace(CLAIMS, channels="BGR")), "this reader is for logits of RGB images"),
    ],
)
def test_a_file_that_does_not_answer_is_an_error(
    pictures: list[Path], plain: bytes, change: Callable[[bytes], bytes], words: str
):
    with pytest.raises(TrainingError, match=f"opened in a fresh process, and .*{words}"):
        answers_elsewhere(change(plain), (Files("some", tuple(pictures), ("PNG",)),), batch_size=4)


def said(content: bytes, claims: Claims) -> bytes:
    model: Any = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(model, {"classifier": claims.as_json})
    return model.SerializeToString()  # type: ignore[no-any-return]


def test_an_image_of_a_format_that_is_not_allowed_is_not_decoded(pictures: list[Path], plain: bytes):
    with pytest.raises(TrainingError, match="UnidentifiedImageError"):
        answers_elsewhere(plain, (Files("some", tuple(pictures), ("BMP",)),), batch_size=4)
