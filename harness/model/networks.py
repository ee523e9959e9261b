"""Networks of a body and a head as fastai builds them: untrained, or filled with the tensors of a file; and digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import numpy as np
import torch
from fastai.callback.hook import num_features_model
from fastai.vision.learner import add_head, create_body
from torch import nn
from torchvision.models import ResNet

from harness.core.errors import WeightsError
from harness.model.architectures import TIMM, TRAINABLE, fits_elsewhere, in_two, refuse_untrainable, untrained_network
from harness.model.checkpoints import UNUSED_IN_ANSWERS, prefix_told
from harness.model.normalisation import first_layer, normalising
from harness.model.preprocessing import CellPixels
from harness.model.records import Preprocessing, WeightsRecord, preprocessing_of
from harness.model.weights import network, unfold_batchnorm
from harness.protocol.training import TrainingPlan, WeightsPlan

# Body and head as `vision_learner` makes them; or as the library has it that the architecture is of.
Layout = Literal["fastai", "torchvision", "timm"]
OTHER_PRECISIONS = {
    torch.float16: "half precision",
    torch.bfloat16: "half precision",
    torch.float64: "double precision",
}
CUT = -2  # fastai's own cut for torchvision's networks: all but the average pool and what makes 1,000 classes of it
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
    refuse_untrainable(plan.architecture)
    net, record, folded = network(plan.architecture, plan.weights, weights_file)
    if folded:
        step = max(1, len(train.pixels) // CALIBRATION_IMAGES)  # spread over the part, whatever its order
        seen = normalise(torch.from_numpy(train.pixels[::step][:CALIBRATION_IMAGES]), preprocessing_of(plan))
        unfold_batchnorm(net, folded, seen if plan.normalisation == "imagenet" else first_layer()(seen))
    made = normalising(with_head(net, n_classes), plan.normalisation)
    assert isinstance(made, nn.Sequential)  # as (body, head) stays one
    return made, record


def assembled(
    state: Mapping[str, torch.Tensor], *, architecture: str, n_classes: int, size_px: int, where: str
) -> tuple[nn.Module, Layout]:
    """The network that these tensors are all of, and whose layout they have.

    It is (body, head) as a Sequential where a part of it gives features; see `gives_features`.

    Args:
        size_px: of the images that it will be shown.
        where: the file, for the error.
    Raises:
        WeightsError: a tensor is missing, too many, or of another shape or type than the architecture's.
    """
    nets, misfits = dict[Layout, nn.Module](), dict[Layout, list[str]]()
    for each, net in _layouts(architecture, n_classes):
        nets[each], misfits[each] = net, _misfits(state, net.state_dict())
        if not misfits[each]:
            break
    layout = min(misfits, key=lambda each: (len(misfits[each]), each == "fastai"))
    if misfits[layout]:
        raise WeightsError(
            f"{where}: these are not the weights of a {architecture} for {n_classes} classes (nearest layout: "
            f"{layout}): {len(misfits[layout])} tensors differ, first {'; '.join(misfits[layout][:3])}. "
            + _remedy(state, {name: each.state_dict() for name, each in nets.items()}, layout, architecture, n_classes)
        )
    net = nets[layout]
    # With the versions of its own layers beside the names: some refuse a state without them, and a file loses them.
    whole = net.state_dict()
    whole.update(state)
    net.load_state_dict(whole, strict=True)
    if layout == "fastai":
        return net, layout
    if isinstance(net, ResNet):
        return nn.Sequential(
            nn.Sequential(*list(net.children())[:CUT]),
            nn.Sequential(net.avgpool, nn.Flatten(), net.fc),
        ), layout
    return in_two(net, size_px=size_px) or net, layout


def layers_of(architecture: str, n_classes: int) -> set[str]:
    """The first steps of the names of an architecture's tensors, in every layout."""
    return {name.partition(".")[0] for _, net in _layouts(architecture, n_classes) for name in net.state_dict()}


def _layouts(architecture: str, n_classes: int) -> Iterator[tuple[Layout, nn.Module]]:
    """An untrained network of each layout: to draw its weights takes a third of a second, so each when it is asked."""
    if architecture in TRAINABLE:
        yield "fastai", with_head(network(architecture, WeightsPlan(source="none"), None)[0], n_classes)
    yield "timm" if architecture.startswith(TIMM) else "torchvision", untrained_network(architecture, n_classes)


def gives_features(net: nn.Module) -> bool:
    """Whether an assembled network is (body, head), so that its body's outputs are its features."""
    return isinstance(net, nn.Sequential) and len(net) == 2


def _remedy(
    state: Mapping[str, torch.Tensor],
    layouts: Mapping[Layout, Mapping[str, torch.Tensor]],
    nearest: Layout,
    architecture: str,
    n_classes: int,
) -> str:
    """What to do about tensors that do not fit, by the way in which they do not."""
    wanted = layouts[nearest]
    same = wanted.keys() == state.keys()
    others_than_float32 = {state[name].dtype for name in wanted if name in state} & OTHER_PRECISIONS.keys()
    if same and others_than_float32 and all(wanted[name].shape == state[name].shape for name in wanted):
        kind = next(iter(others_than_float32))
        precision = OTHER_PRECISIONS[kind]
        return (
            f"They are {precision} ({str(kind).removeprefix('torch.')}): what is judged computes in float32, and "
            f"{precision} answers otherwise. Save what is delivered in float32, "
            "torch.save(model.float().state_dict(), ...), or judge it in its own precision as a command "
            "(docs/judging-a-command.md)."
        )
    others = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    if same and others and len(others) <= 2 and all(state[name].ndim == wanted[name].ndim for name in others):
        n = state[others[-1]].shape[0]
        if n == 1 and wanted[others[-1]].shape[0] == n_classes:
            return (
                "Only its last layer differs: it has a single output, for one of two classes. Judge it as a command "
                "that answers with 1 - p and p (docs/judging-a-command.md), or write both into --predictions."
            )
        if wanted[others[-1]].shape[0] == n_classes:
            return (
                f"Only its last layer differs: it has {n} outputs, and the protocol has {n_classes} classes. Name in "
                "the protocol the classes that it was trained for, in the order of its outputs."
            )
    if told := prefix_told(state, [*layouts.values()]):
        return told[0].upper() + told[1:]
    if (other := fits_elsewhere(state, tried=architecture)) is not None:
        return f'They are those of a {other}: say architecture = "{other}" in [training] of the protocol.'
    return (
        "Check `architecture` and `classes` of the protocol, and save the whole state dict in float32. A network with "
        "a head or body of its own is judged as a command (docs/judging-a-command.md)."
    )


def _misfits(state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> list[str]:
    """One phrase for each tensor that is missing, unknown, or of another shape or type. No value is looked at."""
    said = [f"{name!r} is missing" for name in wanted if name not in state and not name.endswith(UNUSED_IN_ANSWERS)]
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


def with_head(net: nn.Module, n_classes: int) -> nn.Sequential:
    """A network of torchvision as body and head, as fastai's `vision_learner` makes them; the head is drawn."""
    body = create_body(net, pretrained=False, cut=CUT)
    n_features = num_features_model(nn.Sequential(*body.children()))
    return add_head(body, n_features, n_classes)  # type: ignore[no-any-return]
