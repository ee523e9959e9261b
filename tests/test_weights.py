"""Initial weights: what fills which layer, and what is refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from harness.core.digests import file_digest
from harness.core.errors import WeightsError
from harness.model import tensorfiles
from harness.model.weights import find_weights_file, network, read_tensors, unfold_batchnorm
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.training import WeightsPlan


def plan_for(file: Path, **changes: object) -> WeightsPlan:
    return WeightsPlan(**{"source": "file", "file": str(file), "sha256": file_digest(file), **changes})  # type: ignore[arg-type]


def trained_looking(seed: int) -> nn.Module:
    """A ResNet-18 whose BatchNorm layers hold statistics and weights of their own, in evaluation mode."""
    torch.manual_seed(seed)
    net = torchvision.models.resnet18(weights=None)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
            ):
                nn.init.uniform_(tensor, low, high)  # type: ignore[arg-type]
    return net.eval()


def folded(net: nn.Module) -> dict[str, np.ndarray]:
    """The arrays of layers up to layer3, batch-norm folded into weight and bias: the textbook formula, by hand."""
    arrays = {}
    modules = dict(net.named_modules())
    for name, conv in modules.items():
        if not isinstance(conv, nn.Conv2d) or name.startswith("layer4"):
            continue
        norm = modules[name[:-1] + "1" if "downsample" in name else name.replace("conv", "bn")]
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        arrays[f"{name}.weight"] = (conv.weight * scale[:, None, None, None]).detach().numpy()
        arrays[f"{name}.bias"] = (norm.bias - norm.running_mean * scale).detach().numpy()
    return arrays


def through_layer3(net: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
        pixels = getattr(net, name)(pixels)
    return pixels


def test_unfolding_reproduces_the_network_that_was_folded(tmp_path: Path):
    original = trained_looking(1)
    file = tmp_path / "folded.npz"
    np.savez(file, **folded(original))
    net, record, biases = network("resnet18", plan_for(file, layout="torchvision-folded", partial=True), file)
    calibration, unseen = torch.randn(8, 3, 64, 64), torch.randn(4, 3, 64, 64) * 2 + 1
    unfold_batchnorm(net, biases, calibration)
    with torch.no_grad():
        assert torch.allclose(
            through_layer3(net.eval(), unseen), through_layer3(original, unseen), atol=1e-4, rtol=1e-4
        )
    assert {name.split(".")[0] for name in record.unfilled} == {"layer4"}
    assert "layer3.1.bn2.running_var" in record.filled


def test_unfolded_batchnorm_starts_training_from_the_statistics_of_its_cells(tmp_path: Path):
    # In training mode a layer normalises by the batch: on the calibration batch itself both modes must then agree.
    original = trained_looking(2)
    file = tmp_path / "folded.npz"
    np.savez(file, **folded(original))
    net, _, biases = network("resnet18", plan_for(file, layout="torchvision-folded", partial=True), file)
    cells = torch.randn(8, 3, 64, 64)
    unfold_batchnorm(net, biases, cells)
    with torch.no_grad():
        evaluated = through_layer3(net.eval(), cells)
        assert torch.allclose(through_layer3(net.train(), cells), evaluated, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".npz"])
def test_whole_weights_fill_every_backbone_tensor(tmp_path: Path, suffix: str):
    original = trained_looking(3)
    state = original.state_dict()
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, file)
    elif suffix == ".pth":
        torch.save(state, file)
    else:
        np.savez(file, **{name: tensor.numpy() for name, tensor in state.items()})
    net, record, biases = network("resnet18", plan_for(file), file)
    assert not record.unfilled
    assert not biases
    assert torch.equal(net.state_dict()["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])


def test_the_file_of_the_offline_protocol_covers_all_but_layer4(shared_data: Path):
    plan = read_protocol(DEFAULT_PROTOCOL.with_name("leukocyte-offline.toml")).training.weights
    file = find_weights_file(plan, near=(DEFAULT_PROTOCOL.parent, shared_data))
    _, record, biases = network("resnet18", plan, file)
    assert {name.split(".")[0] for name in record.unfilled} == {"layer4"}
    assert len(biases) == 15  # conv1, six convolutions with two per block in layers 1 to 3, two downsamplings


def test_an_altered_file_is_refused(tmp_path: Path):
    file = tmp_path / "weights.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, file)
    with pytest.raises(WeightsError, match=r"SHA-256 is .*, the protocol says 0000.*Restore the file"):
        network("resnet18", plan_for(file, sha256="0" * 64), file)


@pytest.mark.parametrize(
    ("tensors", "partial", "words"),
    [
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, False, "backbone tensors are not in it .*partial = true"),
        ({"conv9.weight": torch.zeros(1)}, True, "1 tensors fit no layer .*conv9.weight"),
        ({"conv1.weight": torch.zeros(64, 3, 3, 3)}, True, "1 have another shape .*conv1.weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor], partial: bool, words: str
):
    file = tmp_path / "weights.safetensors"
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=words):
        network("resnet18", plan_for(file, partial=partial), file)


class Writes:
    """A pickle of this creates a file when it is opened."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.canary), "w")


@pytest.mark.parametrize("suffix", [".pth", ".npz", ".safetensors"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path, suffix: str):
    canary, file = tmp_path / "canary", tmp_path / f"weights{suffix}"
    if suffix == ".npz":
        np.savez(file, conv1=np.array([Writes(canary)], dtype=object), allow_pickle=True)
    else:
        file.write_bytes(pickle.dumps(Writes(canary), protocol=2))
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_tensors(file, sha256=None)
    assert not canary.exists()


def test_a_pth_of_old_is_read_where_its_digest_is_stated(tmp_path: Path):
    # torchvision still publishes its weights in the layout that torch wrote before 1.6.
    file = tmp_path / "weights.pth"
    torch.save({"conv1.weight": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    assert torch.equal(read_tensors(file, sha256=file_digest(file))["conv1.weight"], torch.ones(2))
    with pytest.raises(WeightsError, match=r"as torch wrote it before 1\.6"):
        read_tensors(file, sha256=None)


def test_a_pickle_of_old_runs_no_code_even_where_its_digest_is_stated(tmp_path: Path):
    canary, file = tmp_path / "canary", tmp_path / "weights.pth"
    torch.save(Writes(canary), file, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_tensors(file, sha256=file_digest(file))
    assert not canary.exists()


def test_weights_that_are_not_finite_start_no_training(tmp_path: Path):
    file = tmp_path / "weights.npz"
    np.savez(file, conv1=np.array([1.0, np.nan], dtype=np.float32))
    with pytest.raises(WeightsError, match="'conv1' holds NaN or infinity"):
        read_tensors(file, sha256=None)


def test_an_npz_that_unpacks_to_more_than_any_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tensorfiles, "MOST_BYTES", 2**20)
    file = tmp_path / "weights.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv1.npy", bytes(2**21))
    with pytest.raises(WeightsError, match="it unpacks to 2,097,152 bytes"):
        read_tensors(file, sha256=None)


def test_a_link_to_weights_is_followed_where_their_digest_is_stated(tmp_path: Path):
    file, link = tmp_path / "weights.safetensors", tmp_path / "link.safetensors"
    save_file({"conv1.weight": torch.zeros(1)}, file)
    link.symlink_to(file)
    assert read_tensors(link, sha256=file_digest(file)).keys() == {"conv1.weight"}
    with pytest.raises(WeightsError, match="it is a link"):
        read_tensors(link, sha256=None)


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path):
    file = tmp_path / "weights.h5"
    file.write_bytes(b"anything")
    with pytest.raises(WeightsError, match=r"Use \.safetensors, \.pth or \.npz"):
        read_tensors(file, sha256=None)


def test_imagenet_weights_that_cannot_be_fetched_name_the_choices(monkeypatch: pytest.MonkeyPatch):
    def unreachable(weights: object = None) -> nn.Module:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.models, "resnet18", unreachable)
    with pytest.raises(WeightsError, match=r'could not be downloaded.*source = "file".*source = "none"'):
        network("resnet18", WeightsPlan(source="imagenet"), None)


@pytest.mark.parametrize("name", ["bn1.bias", "layer1.0.bn2.bias"])
def test_an_unfolded_file_that_is_declared_folded_is_refused_in_words(tmp_path: Path, name: str):
    file = tmp_path / "weights.safetensors"
    save_file({name: torch.zeros(64)}, file)
    with pytest.raises(WeightsError, match=rf"'{name}' is the bias of no convolution.*layout = .torchvision"):
        network("resnet18", plan_for(file, layout="torchvision-folded", partial=True), file)


@pytest.mark.parametrize("wrapped", [{"state_dict": {"a": torch.ones(1)}}, {"module.a": torch.ones(1)}])
def test_weights_for_a_training_are_bare(tmp_path: Path, wrapped: dict[str, object]):
    file = tmp_path / "weights.pth"
    torch.save(wrapped, file)
    with pytest.raises(WeightsError, match=r"lie below (key 'state_dict'|prefix 'module\.')\. Save them bare"):
        read_tensors(file, sha256=None)


def test_a_state_dict_with_something_else_in_it_is_refused_in_words(tmp_path: Path):
    file = tmp_path / "weights.pth"
    torch.save({"conv1.weight": [1, 2]}, file)
    with pytest.raises(WeightsError, match=r"'conv1\.weight' is not a tensor"):
        read_tensors(file, sha256=None)


def test_a_cached_file_that_is_not_torchvision_s_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    url = torchvision.models.get_model_weights("resnet18").DEFAULT.url
    cached = tmp_path / "checkpoints" / url.rpartition("/")[2]
    cached.parent.mkdir()
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), cached)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match=r"these are not torchvision's weights\. Remove the file"):
        network("resnet18", WeightsPlan(source="imagenet"), None)


def test_a_weights_file_is_looked_for_in_each_place(tmp_path: Path):
    plan = WeightsPlan(source="file", file="sub/w.npz", sha256="0" * 64)
    there = tmp_path / "b" / "sub" / "w.npz"
    with pytest.raises(WeightsError, match=r"sub/w.npz is not there \(looked at .*source = .none."):
        find_weights_file(plan, near=(tmp_path / "a", tmp_path / "b"))
    there.parent.mkdir(parents=True)
    there.touch()
    assert find_weights_file(plan, near=(tmp_path / "a", tmp_path / "b")) == there
    assert find_weights_file(WeightsPlan(source="none"), near=()) is None


def test_no_weights_is_declared_as_such():
    _, record, _ = network("resnet18", WeightsPlan(source="none"), None)
    assert record.source == "none (random)"
    assert not record.filled
    assert len(record.unfilled) == 100  # 20 convolutions, and weight, bias, mean and variance of 20 BatchNorm layers
