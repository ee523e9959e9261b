"""--model judges networks of any architecture that torchvision or timm builds, shown what they were trained on."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import CLASSES
from PIL import Image
from torch import nn

import harness.model.torchvision_compat  # noqa: F401
from harness.core.errors import ProtocolError, TrainingError, WeightsError
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.model.architectures import (
    COMMON,
    fits_elsewhere,
    in_two,
    own_preprocessing,
    refuse_untrainable,
    untrained_network,
)
from harness.model.classifier import Machine, embed, predict, refuse_wrong_card
from harness.model.images import frames_of, images_of
from harness.model.model_file import ModelFile, read_model
from harness.model.networks import untrained
from harness.model.tensorfiles import MOST_BYTES, MOST_HEADER_BYTES
from harness.model.torch_network import TorchNetwork, WholeTorchNetwork
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.protocol.training import ModelPlan, PreprocessingPlan, TrainingPlan

CPU = Machine("cpu", 4, workers=1, progress=silent)
# Small ones of every way in which torchvision and timm end a network.
SMALL = ("mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "squeezenet1_1", "timm:test_vit", "timm:test_resnet")


def protocol_for(architecture: str, *, size_px: int = 64, resize: str = "crop") -> Protocol:
    protocol = read_protocol(DEFAULT_PROTOCOL)
    told = {"architecture": architecture, "image_size_px": size_px, "resize": resize}
    training = TrainingPlan.model_validate({**protocol.training.model_dump(mode="python"), **told})
    return protocol.model_copy(update={"training": training, "model": ModelPlan(classes=CLASSES)})


def size_of(architecture: str) -> int:
    return 160 if architecture.startswith("timm:test") else 64


def saved(folder: Path, network: nn.Module) -> Path:
    file, made = folder / "network.pth", io.BytesIO()
    torch.save(network.state_dict(), made)
    file.write_bytes(made.getvalue())
    return file


def opened(folder: Path, architecture: str) -> tuple[nn.Module, ModelFile]:
    if architecture.startswith("timm:"):
        pytest.importorskip("timm", reason="the extra [timm] is not installed")
    torch.manual_seed(3)
    network = untrained_network(architecture, 5).eval()
    protocol = protocol_for(architecture, size_px=size_of(architecture))
    return network, read_model(saved(folder, network), protocol, trusted=())


@pytest.mark.parametrize("architecture", SMALL)
def test_a_file_of_any_architecture_answers_as_its_own_library_does(
    tmp_path: Path, manifest: Manifest, architecture: str
):
    network, found = opened(tmp_path, architecture)
    assert found.record.architecture == architecture
    assert found.record.layout == ("timm" if architecture.startswith("timm:") else "torchvision")
    classifier = found.open(CPU)
    refuse_wrong_card(classifier)
    assert isinstance(classifier, WholeTorchNetwork)
    images = images_of(manifest.images[:5], manifest.root, formats=("PNG",))
    arrays, how = classifier.prepare(images), found.card.preprocessing
    assert how is not None
    with torch.inference_mode():  # by hand: what the card says, and the library's own network
        light = torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255
        mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (how.mean, how.deviation))
        own = network((light - mean) / deviation).double().softmax(dim=1).numpy()
    assert np.abs(predict(classifier, images) - own).max() < 1e-5


@pytest.mark.parametrize("architecture", SMALL)
def test_features_are_what_the_last_layer_is_given(tmp_path: Path, manifest: Manifest, architecture: str):
    _, found = opened(tmp_path, architecture)
    classifier = found.open(CPU)
    images = images_of(manifest.images[:3], manifest.root, formats=("PNG",))
    if architecture == "squeezenet1_1":  # which ends in a convolution and a pool
        assert not isinstance(classifier, TorchNetwork)
        assert "cannot give the features" in str(classifier.card.why_not({"features"}))
        return
    last = classifier._network[1]  # type: ignore[attr-defined,index]
    features = embed(classifier, images)
    assert features.shape == (3, last.in_features)
    with torch.inference_mode():
        logits = last(torch.from_numpy(features).float()).double()
    assert np.abs(logits.softmax(dim=1).numpy() - predict(classifier, images)).max() < 1e-5


def test_answers_of_networks_that_share_their_tensors_are_not_each_other_s(tmp_path: Path):
    """timm's two EfficientNets differ in padding and in an epsilon, which no tensor tells."""
    timm = pytest.importorskip("timm", reason="the extra [timm] is not installed")
    torch.manual_seed(3)
    file = saved(tmp_path, untrained_network("timm:efficientnet_b0", 5))
    stated = PreprocessingPlan(filter="bicubic", crop=0.875, mean=(0.5,) * 3, deviation=(0.5,) * 3)
    found = []
    for architecture in ("timm:efficientnet_b0", "timm:tf_efficientnet_b0"):
        protocol = protocol_for(architecture)
        said = ModelPlan(classes=CLASSES, preprocessing=stated)
        found.append(read_model(file, protocol.model_copy(update={"model": said}), trusted=()))
    one, other = (each.card for each in found)
    assert (one.digest, one.preprocessing) == (other.digest, other.preprocessing)
    noise = frames_of(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))
    assert not np.array_equal(*(predict(each.open(CPU), noise) for each in found))
    assert one.answers_by != other.answers_by
    assert one.engine == other.engine == f"timm {timm.__version__}"


def test_only_what_timm_builds_rests_on_timm(tmp_path: Path):
    _, found = opened(tmp_path, "squeezenet1_1")
    assert found.card.engine is None
    assert found.card.answers_by["architecture"] == "squeezenet1_1"


@pytest.mark.parametrize("architecture", [*COMMON, "vgg19_bn", "convnext_large"])
def test_a_file_of_a_usual_network_is_not_too_large(architecture: str):
    with torch.device("meta"):
        state = untrained_network(architecture, 1000).state_dict()
    assert sum(each.nbytes for each in state.values()) + MOST_HEADER_BYTES < MOST_BYTES


@pytest.mark.parametrize("architecture", ["timm:deit_tiny_distilled_patch16_224", "timm:levit_128s"])
def test_a_network_with_two_heads_is_judged_whole(architecture: str):
    """Its last linear layer is one of two whose outputs are averaged, and without it nothing can be added up."""
    pytest.importorskip("timm", reason="the extra [timm] is not installed")
    network, noise = untrained_network(architecture, 5).eval(), torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        before = network(noise)
        assert in_two(network, size_px=224) is None
        assert torch.equal(network(noise), before)


def test_the_preprocessing_of_timm_is_that_of_its_own_transforms(tmp_path: Path):
    """The independent witness is timm's transform of the same image."""
    timm = pytest.importorskip("timm", reason="the extra [timm] is not installed")
    architecture = "timm:test_vit"
    network, found = opened(tmp_path, architecture)
    how = found.card.preprocessing
    assert how is not None
    assert (how.filter, how.crop, how.mean, how.deviation) == ("bicubic", 0.95, (0.5,) * 3, (0.5,) * 3)
    few = np.random.default_rng(4).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    classifier = found.open(CPU)
    assert isinstance(classifier, WholeTorchNetwork)
    apart = {}
    for width, height in ((400, 400), (340, 400)):
        frame = Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC)  # smooth, as photographs are
        ours = classifier.prepare(frames_of([np.asarray(frame)]))[0].astype(float)
        theirs = (transform(frame) * 0.5 + 0.5).permute(1, 2, 0).numpy() * 255
        apart[width, height] = np.abs(ours - theirs)
    assert apart[400, 400].max() < 1e-3
    # Of another shape one crops and resizes, the other resizes and crops: a grid that is half a pixel away.
    assert apart[340, 400].mean() < 4


def test_torchvision_s_networks_are_shown_what_the_protocol_says():
    assert own_preprocessing("efficientnet_b0") == {}


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("resnet19", r"'resnet19' is not a classifier of torchvision \(near: resnet18"),
        ("fcn_resnet50", r"is not a classifier of torchvision"),
        ("timm:efficientnet_bo", r"is not a model of timm .*near: timm:efficientnet_b\d"),
        ("timm:efficientnet_b0.nope", r"knows no such tag of efficientnet_b0; it has efficientnet_b0\.ra_in1k"),
    ],
)
def test_a_name_that_nobody_knows_is_refused_with_its_neighbours(architecture: str, words: str):
    if architecture.startswith("timm:"):
        pytest.importorskip("timm", reason="the extra [timm] is not installed")
    with pytest.raises(WeightsError, match=words):
        untrained_network(architecture, 5)


def test_timm_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(WeightsError, match=r"needs timm, which is not installed\. .*leukocyte-harness\[timm\]"):
        untrained_network("timm:resnet18", 5)


@pytest.mark.parametrize("architecture", ["timm:hf-hub:somebody/model", "../weights", "", "resnet18; import os"])
def test_a_name_is_a_name(architecture: str):
    """timm takes addresses of models to download where a name stands; a protocol can hold none."""
    with pytest.raises((ProtocolError, ValueError), match="architecture"):
        protocol_for(architecture)


def test_a_size_that_a_network_does_not_take_is_told(tmp_path: Path):
    pytest.importorskip("timm", reason="the extra [timm] is not installed")
    architecture = "timm:vit_tiny_patch16_224"
    file = saved(tmp_path, untrained_network(architecture, 5))
    with pytest.raises(WeightsError, match=r"a VisionTransformer takes no images of 64 px .*image_size_px"):
        read_model(file, protocol_for(architecture), trusted=())


def test_a_normalisation_of_other_pixels_is_refused(tmp_path: Path):
    pytest.importorskip("timm", reason="the extra [timm] is not installed")
    protocol = protocol_for("timm:test_vit", size_px=160)
    training = protocol.training.model_copy(update={"normalisation": "background-white"})
    file = saved(tmp_path, untrained_network("timm:test_vit", 5))
    with pytest.raises(WeightsError, match=r"'background-white' is made of pixels as ImageNet's mean"):
        read_model(file, protocol.model_copy(update={"training": training}), trusted=())


def test_background_white_comes_before_any_network(tmp_path: Path, manifest: Manifest):
    torch.manual_seed(3)
    file = saved(tmp_path, untrained_network("mobilenet_v3_small", 5))
    protocol = protocol_for("mobilenet_v3_small")
    white = protocol.training.model_copy(update={"normalisation": "background-white"})
    plain = read_model(file, protocol, trusted=()).open(CPU)
    whitened = read_model(file, protocol.model_copy(update={"training": white}), trusted=()).open(CPU)
    assert isinstance(plain, TorchNetwork)
    assert isinstance(whitened, TorchNetwork)
    images = images_of(manifest.images[:2], manifest.root, formats=("PNG",))
    arrays = plain.prepare(images)
    arrays[...] = np.minimum(arrays, 200)
    dimmer = (arrays * 0.5).astype(np.uint8)  # half the light: only white backgrounds do not see it
    assert np.abs(whitened.forward(arrays) - whitened.forward(dimmer)).max() < 0.01
    assert whitened.features(arrays).shape == plain.features(arrays).shape


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v3_small", "efficientnet_b0"])
def test_a_file_of_another_architecture_is_recognised_whatever_its_classes(name: str):
    assert fits_elsewhere(untrained_network(name, 7).state_dict(), tried="resnet18") == name


def test_what_is_of_no_common_architecture_is_not_guessed_at():
    assert fits_elsewhere({"weight": torch.zeros(1)}, tried="resnet18") is None


def test_a_network_is_only_taken_apart_where_the_parts_compute_the_same():
    class Scaled(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.last, self.factor = nn.Linear(3, 2), factor

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.last(pixels.mean(dim=(2, 3))) * self.factor  # type: ignore[no-any-return]

    assert in_two(Scaled(1.0), size_px=8) is not None
    scaled = Scaled(2.0)
    assert in_two(scaled, size_px=8) is None
    assert isinstance(scaled.last, nn.Linear)  # and is left whole


def test_what_is_not_trained_here_is_refused_before_a_training(small_plan: TrainingPlan):
    with pytest.raises(TrainingError, match=r"'vit_b_16' is judged with --model, and not trained here"):
        refuse_untrainable("vit_b_16")
    refuse_untrainable("resnet34")
    plan = small_plan.model_copy(update={"architecture": "mobilenet_v2"})
    with pytest.raises(TrainingError, match="not trained here"):
        untrained(plan, n_classes=5, weights_file=None, train=None)  # type: ignore[arg-type]  # it is not read
