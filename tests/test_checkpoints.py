"""Weights in what people save: unwrapped where there is one way to do it, else refused with the sentence that helps."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn import CLASSES
from effort import paired
from safetensors.torch import save
from test_architectures import protocol_for
from torch import nn

import harness.model.torchvision_compat  # noqa: F401
from harness.core.errors import WeightsError
from harness.model.architectures import untrained_network
from harness.model.checkpoints import LEGACY, weights_in
from harness.model.model_file import FORMATS, LEFT_OUT, read_model
from harness.model.networks import assembled, tensors_digest

State = dict[str, torch.Tensor]
PROTOCOL = protocol_for("resnet18", size_px=32, resize="squish")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(6)
    return untrained_network("resnet18", len(CLASSES)).eval()


@pytest.fixture
def state(network: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def written(folder: Path, value: object, name: str = "weights.pth", **how: Any) -> Path:
    made, file = io.BytesIO(), folder / name
    torch.save(value, made, **how)
    file.write_bytes(made.getvalue())
    return file


def below(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def beside(state: State) -> dict[str, Any]:
    """What a training loop keeps beside the weights."""
    one = next(iter(state.values()))
    optimiser = torch.optim.AdamW([nn.Parameter(one.clone())]).state_dict()
    return {"epoch": 7, "optimizer": optimiser, "best": 0.97, "history": [0.1, 0.2]}


# (what a training program saves, what is taken off it)
WRAPPED: list[tuple[Callable[[State], Any], tuple[str, ...]]] = [
    (lambda s: s, ()),
    (lambda s: below("module.", s), ("prefix 'module.'",)),
    (lambda s: below("model.", s), ("prefix 'model.'",)),
    (lambda s: below("_orig_mod.", s), ("prefix '_orig_mod.'",)),
    (lambda s: below("module._orig_mod.", s), ("prefix 'module.'", "prefix '_orig_mod.'")),
    (lambda s: {"model": s, "opt": beside(s)["optimizer"]}, ("key 'model'",)),  # fastai's learn.save
    (
        lambda s: {"state_dict": below("model.", s), **beside(s)},
        ("key 'state_dict'", "prefix 'model.'"),
    ),  # Lightning
    (lambda s: {"state_dict": below("net.", s), "hyper_parameters": {}}, ("key 'state_dict'", "prefix 'net.'")),
    (lambda s: {"model_state_dict": s, **beside(s)}, ("key 'model_state_dict'",)),
    (lambda s: {"state_dict": below("module.", s), "arch": "resnet18"}, ("key 'state_dict'", "prefix 'module.'")),
    (lambda s: below("resnet.", s), ("prefix 'resnet.'",)),  # a module of one's own
    (
        lambda s: {"state_dict": below("model.clf.", s), "loops": {"fit_loop": {"state_dict": {}}}},
        ("key 'state_dict'", "prefix 'model.'", "prefix 'clf.'"),
    ),
    (lambda s: {"n_averaged": torch.tensor(9), **below("module.", s)}, ("counter 'n_averaged'", "prefix 'module.'")),
    (lambda s: {"checkpoint": {"model": s, "epoch": 3}}, ("key 'checkpoint'", "key 'model'")),
    (lambda s: {"generator": s, "epoch": 3}, ("key 'generator'",)),
    (lambda s: {"model": s, "ema": {"decay": 0.99, "n_averaged": torch.tensor(3)}}, ("key 'model'",)),
    (lambda s: {"net": s, "critic": {"head.weight": torch.ones(1, 2)}}, ("key 'net'",)),  # of another network
]


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize(("wrapped", "suffix"), paired(WRAPPED, (".pth", ".pt", ".ckpt", ".bin", ".pth.tar")))
def test_what_wraps_the_weights_is_taken_off_and_told(
    tmp_path: Path, state: State, wrapped: tuple[Callable[[State], Any], tuple[str, ...]], suffix: str
):
    wrap, taken_off = wrapped
    found = read_model(written(tmp_path, wrap(state), f"weights{suffix}"), PROTOCOL, trusted=())
    assert found.record.unwrapped == (taken_off or None)
    # It is the same classifier as the bare one: the same digest stands on the ledger.
    assert found.card.digest == tensors_digest(state.items())
    assert found.kept_as == (f"judged{Path('weights' + suffix).suffix}",)


def test_a_prefix_of_safetensors_is_taken_off_too(tmp_path: Path, state: State):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(save(below("module.", state)))
    assert read_model(file, PROTOCOL, trusted=()).record.unwrapped == ("prefix 'module.'",)


def test_weights_from_before_batchnorm_counted_are_the_same_classifier(
    tmp_path: Path, state: State, network: nn.Module
):
    older = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(older) < len(state)
    found = read_model(written(tmp_path, older), PROTOCOL, trusted=())
    pixels = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    again, _ = assembled(older, architecture="resnet18", n_classes=len(CLASSES), size_px=32, where="it")
    assert torch.equal(again.eval()(pixels), network(pixels))
    assert found.record.unwrapped is None


def test_a_checkpoint_of_timm_is_named_where_the_protocol_says_another_network(tmp_path: Path):
    pytest.importorskip("timm")
    other = untrained_network("timm:mobilenetv3_small_100", len(CLASSES)).state_dict()
    with pytest.raises(WeightsError, match=r'those of a timm:mobilenetv3_small_100: say architecture = "timm:mobile'):
        read_model(written(tmp_path, {"state_dict": other, "arch": "x"}, "model_best.pth.tar"), PROTOCOL, trusted=())


def test_a_folder_and_a_file_of_no_known_kind_are_told_what_is_read(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"is a folder\. Name the file in it.*\.safetensors, \.pth.*SavedModel"):
        read_model(tmp_path, PROTOCOL, trusted=())
    with pytest.raises(WeightsError, match=r"known are \.safetensors, \.pth.*--model-command"):
        read_model(tmp_path / "net.engine", PROTOCOL, trusted=())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pth.tar", ".onnx", ".pkl"])
def test_an_empty_file_is_called_empty_whatever_it_was_to_be(tmp_path: Path, suffix: str):
    (tmp_path / f"m{suffix}").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"is empty \(0 bytes\)\. Copy it again"):
        read_model(tmp_path / f"m{suffix}", PROTOCOL, trusted=())


@pytest.mark.parametrize(
    ("suffix", "content", "words"),
    [
        (".pth", b"\x89PNG\r\n\x1a\n....", "it is a PNG image, and it does not begin as a file of torch.save"),
        (".bin", b"<!DOCTYPE html>404", "it is HTML or XML, and it does not begin"),  # a download that failed
        (".ckpt", b"\x80\x04]\x94.", "it is a pickle, and it does not begin"),
        (".onnx", b"\x89HDF\r\n\x1a\n....", "is not an ONNX file: it is an HDF5 file"),
        (".onnx", b"version https://git-lfs", "is not an ONNX file"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, suffix: str, content: bytes, words: str):
    (tmp_path / f"m{suffix}").write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        read_model(tmp_path / f"m{suffix}", PROTOCOL, trusted=())


def test_a_network_of_fastai_keeps_its_names(tmp_path: Path, small_plan, manifest):
    from drawn import decoded

    from harness.model.networks import untrained

    model, _ = untrained(small_plan, n_classes=5, weights_file=None, train=decoded(manifest, manifest.images[:8]))
    found = read_model(written(tmp_path, {"model": model.state_dict()}), PROTOCOL, trusted=())
    assert (found.record.layout, found.record.unwrapped) == ("fastai", ("key 'model'",))


class Bare(nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels


def scripted(folder: Path) -> Path:
    """The layout of a TorchScript archive, whose writer torch has deprecated."""
    file = folder / "weights.pt"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl", "version"):
            archive.writestr(f"weights/{name}", b"x")
    return file


def halved(s: State, kind: torch.dtype) -> State:
    return {name: tensor.to(kind) if tensor.is_floating_point() else tensor for name, tensor in s.items()}


def copied(s: State) -> State:
    return {name: tensor.clone() for name, tensor in s.items()}


def other_head(s: State, n: int) -> State:
    return s | {"fc.weight": torch.zeros(n, 512), "fc.bias": torch.zeros(n)}


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (lambda s: {"state_dict": s, "state_dict_ema": s}, r"2 sets of weights, under 'state_dict', 'state_dict_ema'"),
        (lambda s: {"model": s, "model_ema": s}, r"under 'model', 'model_ema', and nothing says which is meant"),
        (lambda s: {"model": s, "ema": {"shadow": s}}, r"2 sets of weights, under 'model', 'ema' > 'shadow', and"),
        (lambda s: {"model": s, "ema": {"shadow_params": [*s.values()]}}, r"under 'model', 'ema' > 'shadow_params'"),
        (lambda s: {"model": s, "teacher": below("module.", s)}, r"2 sets of weights, under 'model', 'teacher'"),
        (lambda s: {"state_dict": s, "current_model_state": s}, r"under 'state_dict', 'current_model_state'"),
        (lambda s: {"run": {"best": s, "last": s}}, r"under 'run' > 'best', 'run' > 'last'.*\['run'\]\['best'\], 'w"),
        (
            lambda s: {**below("online_model.", s), **below("ema_model.", copied(s)), "step": torch.tensor(1)},
            r"It holds 2 networks, below 'ema_model\.' and 'online_model\.', and nothing says which is meant",
        ),
        (
            lambda s: {**below("encoder.net.", s), "metric.count": torch.ones(5)},
            r"122 names begin with 'encoder\.net\.' and 1 do not, first 'metric\.count': save the network alone",
        ),
        (lambda s: {"epoch": 3, "model": {}}, r"'epoch' is not a tensor.*no weights are under any of them"),
        (
            lambda s: {"state_dict": {**below("model.", s), "loss.weight": torch.ones(5)}},
            r"122 names begin with 'model\.' and 1 do not, first 'loss\.weight': save the network alone",
        ),
        (lambda s: halved(s, torch.float16), r"They are half precision \(float16\).*model\.float\(\)\.state_dict\(\)"),
        (lambda s: halved(s, torch.bfloat16), r"They are half precision \(bfloat16\)"),
        (lambda s: halved(s, torch.float64), r"They are double precision \(float64\).*model\.float\(\)"),
        (lambda s: other_head(s, 1), r"it has a single output, for one of two classes.*answers with 1 - p and p"),
        (lambda s: other_head(s, 4), r"Only its last layer differs: it has 4 outputs, and the protocol has 5 classes"),
        (lambda s: other_head(s, 1000), r"it has 1000 outputs, and the protocol has 5 classes"),
        (
            lambda s: untrained_network("resnet50", 5).state_dict(),
            r'those of a resnet50: say architecture = "resnet50"',
        ),
        (
            lambda s: untrained_network("mobilenet_v3_small", 5).state_dict(),
            r'those of a mobilenet_v3_small: say architecture = "mobilenet_v3_small"',
        ),
        (
            lambda s: (
                {n: t for n, t in s.items() if not n.startswith("fc.")}
                | {"fc.0.weight": torch.zeros(9, 512), "fc.2.weight": torch.zeros(5, 9)}
            ),
            r"A network with a head or body of its own is judged as a command",
        ),
        (lambda s: [1, 2], r"holds a list, not named tensors"),
        (lambda s: {}, r"holds no tensor"),
    ],
)
def test_what_cannot_be_unwrapped_is_refused_with_the_sentence_that_helps(
    tmp_path: Path, state: State, wrap: Callable[[State], Any], words: str
):
    with pytest.raises(WeightsError, match=words):
        read_model(written(tmp_path, wrap(state)), PROTOCOL, trusted=())


def test_a_whole_pickled_module_is_named_and_not_opened(tmp_path: Path, network: nn.Module):
    for value, name in ((network, "torchvision.models.resnet.ResNet"), ({"model": network}, "torchvision.models")):
        with pytest.raises(WeightsError, match=rf"whole pickled module \({name}.*torch\.save\(model\.state_dict\(\)"):
            read_model(written(tmp_path, value), PROTOCOL, trusted=())


def test_an_object_beside_the_tensors_is_named(tmp_path: Path, state: State):
    value = {"state_dict": state, "accuracy": np.float64(0.97)}
    with pytest.raises(WeightsError, match=r"holds an object of numpy.*save the weights alone"):
        read_model(written(tmp_path, value), PROTOCOL, trusted=())


def test_a_file_before_torch_1_6_is_told_how_to_be_saved_anew(tmp_path: Path, state: State):
    file = written(tmp_path, state, _use_new_zipfile_serialization=False)
    assert file.read_bytes().startswith(LEGACY)
    with pytest.raises(WeightsError, match=r"as torch wrote it before 1\.6.*torch\.load\(file, weights_only=True\)"):
        read_model(file, PROTOCOL, trusted=())
    # The advice works.
    anew = written(tmp_path, torch.load(file, weights_only=True), "anew.pth")
    assert read_model(anew, PROTOCOL, trusted=()).card.digest == tensors_digest(state.items())


def test_torchscript_is_told_how_to_be_saved(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"it is TorchScript.*torch\.jit\.load\(file\)\.state_dict\(\)"):
        read_model(scripted(tmp_path), PROTOCOL, trusted=())


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".keras", ".joblib", ".tflite"])
def test_what_is_of_another_library_is_pointed_to_the_command(tmp_path: Path, suffix: str):
    assert suffix not in FORMATS
    assert suffix in LEFT_OUT
    with pytest.raises(WeightsError, match=r"--model-command \(docs/judging-a-command\.md\)"):
        read_model(tmp_path / f"model{suffix}", PROTOCOL, trusted=())


def test_a_key_that_holds_no_tensors_is_no_wrapping():
    one = torch.ones(1)
    assert weights_in({"model": one}) == ({"model": one}, ())  # a tensor of that name is a tensor
    assert weights_in({"state_dict": {"a": one}, "model": {"name": "resnet"}})[1] == ("key 'state_dict'",)


def test_prefixes_are_taken_off_no_further_than_they_are_common():
    one = torch.ones(1)
    assert weights_in({"module.a": one, "b": one}) == ({"module.a": one, "b": one}, ())
    found, taken_off = weights_in({"module." * 9 + "a": one})
    assert len(taken_off) == 4
    assert list(found) == ["module." * 5 + "a"]
