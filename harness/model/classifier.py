"""A trained network that answers with probabilities."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from fastai.callback.hook import num_features_model
from fastai.vision.learner import add_head, create_body
from torch import nn

from harness.errors import InvalidPredictions
from harness.model.preprocessing import CellPixels
from harness.model.weights import IMAGENET_MEAN, IMAGENET_STD, network, read_tensors, unfold_batchnorm
from harness.progress import Report
from harness.protocol import TrainingPlan, WeightsPlan
from harness.records import WeightsRecord

CUT = -2  # fastai's own cut for torchvision's ResNets: all but the average pool and the 1,000-class layer
CALIBRATION_IMAGES = 256


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
        unfold_batchnorm(net, folded, normalise(torch.from_numpy(train.pixels[::step][:CALIBRATION_IMAGES])))
    return _with_head(net, n_classes), record


def load_classifier(file: Path, *, architecture: str, n_classes: int, device: torch.device) -> nn.Sequential:
    """The fastai vision model whose weights are in `file` (.pth or .safetensors), ready to predict."""
    model = _with_head(network(architecture, WeightsPlan(source="none"), None)[0], n_classes)
    model.load_state_dict(read_tensors(file, sha256=None), strict=True)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval()


def predict(
    model: nn.Module, cells: CellPixels, *, device: torch.device, batch_size: int, progress: Report, label: str
) -> np.ndarray:
    """Probabilities of every cell, each scored exactly once, in float32 whatever the training's precision.

    Returns:
        (n_cells, n_classes) float64 in the order of `cells`; the softmax is taken in float64.
    Raises:
        InvalidPredictions: a logit is not finite.
    """
    logits = []
    model.eval()
    with torch.inference_mode():
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
    return probabilities


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
