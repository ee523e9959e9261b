"""Networks of a body and a head as fastai builds them: untrained, or filled with the tensors of a file; and digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import numpy as np
import torch
import torchvision
from fastai.callback.hook import num_features_model
from fastai.vision.learner import add_head, create_body
from torch import nn

from harness.core.errors import WeightsError
from harness.model.normalisation import first_layer, normalising
from harness.model.preprocessing import CellPixels
from harness.model.records import Preprocessing, WeightsRecord, preprocessing_of
from harness.model.weights import network, unfold_batchnorm
from harness.protocol.records import TrainingPlan, WeightsPlan

Layout = Literal["fastai", "torchvision"]  # body and head as `vision_learner` makes them; plain, with one last layer
CUT = -2  # fastai's own cut for torchvision's ResNets: all but the average pool and the 1,000-class layer
CALIBRATION_IMAGES = 256


def normalise(pixels: torch.Tensor, how: Preprocessing) -> torch.Tensor:
    """(n, size, size, 3) uint8 to (n, 3, size, size) float32 as the network expects, channels last in memory.

    Where nothing unusual is asked these are the same operations in the same order as fastai's IntToFloatTensor and
    Normalize, so the bits agree.
    """
    mean, deviation = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) for v in (how.mean, how.deviation))
    levels = pixels.flip(3) if how.channels == "BGR" else pixels
    light = levels.permute(0, 3, 1, 2).float().div_(255.0)
    darkest, brightest = how.value_range
    if how.value_range != (0.0, 1.0):
        light = light * (brightest - darkest) + darkest
    return (light - mean) / deviation


def untrained(
    plan: TrainingPlan, *, n_classes: int, weights_file: Path | None, train: CellPixels
) -> tuple[nn.Sequential, WeightsRecord]:
    """fastai's vision model (body, head) with the protocol's initial weights. Draws from torch's generator.

    train: the train part; only read where folded batch-norm needs statistics.
    """
    net, record, folded = network(plan.architecture, plan.weights, weights_file)
    if folded:
        step = max(1, len(train.pixels) // CALIBRATION_IMAGES)  # spread over the part, whatever its order
        seen = normalise(torch.from_numpy(train.pixels[::step][:CALIBRATION_IMAGES]), preprocessing_of(plan))
        unfold_batchnorm(net, folded, seen if plan.normalisation == "imagenet" else first_layer()(seen))
    return normalising(_with_head(net, n_classes), plan.normalisation), record


def assembled(
    state: Mapping[str, torch.Tensor], *, architecture: str, n_classes: int, where: str
) -> tuple[nn.Sequential, Layout]:
    """(body, head) of the network that these tensors are all of, and whose layout they have.

    Args:
        where: the file, for the error.
    Raises:
        WeightsError: a tensor is missing, too many, or of another shape or type than the architecture's.
    """
    plain = getattr(torchvision.models, architecture)(weights=None, num_classes=n_classes)
    nets: dict[Layout, nn.Module] = {
        "fastai": _with_head(network(architecture, WeightsPlan(source="none"), None)[0], n_classes),
        "torchvision": plain,
    }
    misfits = {layout: _misfits(state, net.state_dict()) for layout, net in nets.items()}
    layout = min(misfits, key=lambda each: len(misfits[each]))
    if misfits[layout]:
        raise WeightsError(
            f"{where}: these are not the weights of a {architecture} for {n_classes} classes (nearest layout: "
            f"{layout}): {len(misfits[layout])} tensors differ, first {'; '.join(misfits[layout][:3])}. "
            "Check `architecture` and `classes` of the protocol, and save the whole state dict in float32."
        )
    nets[layout].load_state_dict(state, strict=True)
    if layout == "fastai":
        return nets[layout], layout  # type: ignore[return-value]  # which _with_head makes a Sequential
    return nn.Sequential(
        nn.Sequential(*list(plain.children())[:CUT]), nn.Sequential(plain.avgpool, nn.Flatten(), plain.fc)
    ), layout


def _misfits(state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> list[str]:
    """One phrase for each tensor that is missing, unknown, or of another shape or type. No value is looked at."""
    said = [f"{name!r} is missing" for name in wanted if name not in state]
    said += [f"{name!r} fits no layer" for name in state if name not in wanted]
    for name in wanted.keys() & state.keys():
        one, other = state[name], wanted[name]
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            said.append(f"{name!r} is {_kind(one)} instead of {_kind(other)}")
    return sorted(said)


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def tensors_digest(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 over names, types, shapes and bytes of tensors; independent of device and memory layout."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        array = np.ascontiguousarray(tensor.detach().cpu().numpy())
        total.update(f"{name} {array.dtype} {array.shape};".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def weights_digest(model: nn.Module) -> str:
    return tensors_digest(model.state_dict().items())


def _with_head(net: nn.Module, n_classes: int) -> nn.Sequential:
    body = create_body(net, pretrained=False, cut=CUT)
    n_features = num_features_model(nn.Sequential(*body.children()))
    return add_head(body, n_features, n_classes)  # type: ignore[no-any-return]
