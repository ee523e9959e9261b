"""A trained network that answers with probabilities."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import numpy as np
import torch
import torchvision
from fastai.callback.hook import num_features_model
from fastai.vision.learner import add_head, create_body
from torch import nn

from harness.core.errors import InvalidPredictions, WeightsError
from harness.core.progress import Report
from harness.model.normalisation import first_layer, normalising
from harness.model.preprocessing import CellPixels
from harness.model.records import WeightsRecord
from harness.model.weights import IMAGENET_MEAN, IMAGENET_STD, network, read_tensors, unfold_batchnorm
from harness.protocol.records import Normalisation, TrainingPlan, WeightsPlan

Layout = Literal["fastai", "torchvision"]  # body and head as `vision_learner` makes them; plain, with one last layer
CUT = -2  # fastai's own cut for torchvision's ResNets: all but the average pool and the 1,000-class layer
CALIBRATION_IMAGES = 256
CHECKED_IMAGES = 8
STEADY_LOGITS = 1e-4  # a device may sum in another order the second time; dropout moves a logit by tenths
# Between batches and memory layouts float32 differs by the order of summation: on the CPU, under 1e-5 was observed. No
# other device was measured; those that are known to have been silently wrong gave other answers altogether.
PLAIN_PROBABILITY = 1e-3


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """(n, size, size, 3) uint8 to (n, 3, size, size) float32 as ImageNet networks expect, channels last in memory.

    The same operations in the same order as fastai's IntToFloatTensor and Normalize, so the bits agree.
    """
    mean, std = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels.permute(0, 3, 1, 2).float().div_(255.0) - mean) / std


def untrained(
    plan: TrainingPlan, *, n_classes: int, weights_file: Path | None, train: CellPixels
) -> tuple[nn.Sequential, WeightsRecord]:
    """fastai's vision model (body, head) with the protocol's initial weights. Draws from torch's generator.

    train: the train part; only read where folded batch-norm needs statistics.
    """
    net, record, folded = network(plan.architecture, plan.weights, weights_file)
    if folded:
        step = max(1, len(train.pixels) // CALIBRATION_IMAGES)  # spread over the part, whatever its order
        seen = normalise(torch.from_numpy(train.pixels[::step][:CALIBRATION_IMAGES]))
        unfold_batchnorm(net, folded, seen if plan.normalisation == "imagenet" else first_layer()(seen))
    return normalising(_with_head(net, n_classes), plan.normalisation), record


def load_classifier(
    file: Path, *, architecture: str, normalisation: Normalisation, n_classes: int, device: torch.device
) -> nn.Sequential:
    """The classifier whose weights are in `file` (.pth or .safetensors), ready to predict."""
    state = read_tensors(file, sha256=None)
    model = assembled(state, architecture=architecture, n_classes=n_classes, where=str(file))[0]
    model = normalising(model, normalisation)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval()


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


def predict(
    model: nn.Module,
    cells: CellPixels,
    *,
    device: torch.device,
    batch_size: int,
    progress: Report,
    label: str,
    trusted: bool = False,
) -> np.ndarray:
    """Probabilities of every cell, each scored exactly once, in float32 whatever the training's precision.

    Args:
        trusted: the same network on the same device has just answered steadily and correctly: ask that once, not of
            each of dozens of passes over the same cells.

    Returns:
        (n_cells, n_classes) float64 in the order of `cells`; the softmax is taken in float64.
    Raises:
        InvalidPredictions: a logit is not finite, or not the same when the same cells are shown again, or another
            where the same network scores the same cells on the CPU.
    """
    logits = []
    model.eval()
    with inference():
        if not trusted:
            _refuse_unsteady(model, cells, device=device, label=label)
        for start in range(0, len(cells.images), batch_size):
            batch = torch.from_numpy(cells.pixels[start : start + batch_size]).to(device)
            logits.append(model(normalise(batch)).cpu())
            progress(label, min(start + batch_size, len(cells.images)), len(cells.images), "")
    scores = torch.cat(logits).double()
    if not bool(torch.isfinite(scores).all()):
        bad = int((~torch.isfinite(scores)).any(dim=1).nonzero()[0, 0])
        raise InvalidPredictions(
            f"{label}: the network's output for {cells.images[bad].path} is not finite. "
            "Its weights or its training diverged; lower the learning rate."
        )
    probabilities: np.ndarray = scores.softmax(dim=1).numpy()
    if not trusted:
        _refuse_other_answers(model, cells, probabilities, device=device, label=label)
    return probabilities


@contextmanager
def inference() -> Iterator[None]:
    """Where networks answer: without gradients, and in float32 on every device.

    Some NVIDIA GPUs would round the inputs of every convolution to ten bits (TF32) unless told not to. What is timed
    must be what is judged, so whatever shows cells to a network does it in here.
    """
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield


def _refuse_unsteady(model: nn.Module, cells: CellPixels, *, device: torch.device, label: str) -> None:
    """Two forward passes over the same cells must agree: with dropout or augmentation left on they do not."""
    few = normalise(torch.from_numpy(cells.pixels[:CHECKED_IMAGES]).to(device))
    first, again = model(few).cpu(), model(few).cpu()
    apart = float((first - again).abs().nan_to_num().max()) if len(first) else 0.0
    if apart > STEADY_LOGITS:
        raise InvalidPredictions(
            f"{label}: the network says something else when it is shown the same {len(first)} cells again (logits "
            f"differ by {apart:.2g}). Something random is left on, such as dropout: make it follow model.eval()."
        )


def _refuse_other_answers(
    model: nn.Module, cells: CellPixels, probabilities: np.ndarray, *, device: torch.device, label: str
) -> None:
    """Some cells, scored once more as plainly as can be: on the CPU, without channels-last memory, one at a time.

    A device that computes wrongly says so to nobody; its answers are finite, and the same every time.
    """
    some = np.unique(np.linspace(0, len(cells.images) - 1, CHECKED_IMAGES, dtype=np.int64))
    plain = copy.deepcopy(model).to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with inference():
        one_by_one = [plain(normalise(each[None]).contiguous()) for each in torch.from_numpy(cells.pixels[some])]
    wanted = torch.cat(one_by_one).double().softmax(dim=1).numpy()
    apart = np.abs(probabilities[some] - wanted).max(axis=1)
    wrong = np.flatnonzero(~(apart <= PLAIN_PROBABILITY))  # True for NaN too
    if len(wrong):
        other = probabilities[some].argmax(axis=1) != wanted.argmax(axis=1)
        told = "; ".join(
            f"{cells.images[some[i]].path} (probabilities differ by {apart[i]:.2g}{', another class' * bool(other[i])})"
            for i in wrong
        )
        remedy = "another version of torch" if device.type == "cpu" else "--device cpu, or another version of torch"
        raise InvalidPredictions(
            f"{label}: of {len(some)} cells {len(wrong)} are told otherwise in batches on {device} than by the same "
            f"network one by one, scored plainly on the CPU: {told}. The device, its driver or its memory layout "
            f"computes wrongly: use {remedy}."
        )


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
