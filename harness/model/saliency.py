"""Which places of an image a network's answer rests on: Grad-CAM, and its control with random weights.

Grad-CAM: Selvaraju et al., ICCV 2017, as captum computes it. The control is the sanity check of Adebayo et al., NeurIPS
2018: a map that stays as it is when the weights are random does not speak of what the network has learnt.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from torch import nn

from harness.core.errors import NotApplicable
from harness.model.networks import normalise
from harness.model.records import Preprocessing

LEAST_SIDE = 4  # places: a stage that sees less of the image apart cannot tell its places apart
AT_ONCE = 16
CAPTUM = "captum"


def captum_version() -> str | None:
    """None where the extra [explain] is not installed."""
    try:
        return version(CAPTUM)
    except PackageNotFoundError:
        return None


def blank(how: Preprocessing) -> torch.Tensor:
    """(1, 3, side, side): an empty image as the network is shown it; what it computes of it is not looked at."""
    return normalise(torch.zeros((1, how.size_px, how.size_px, 3), dtype=torch.uint8), how)


def stage_of(network: nn.Module, shown: torch.Tensor) -> tuple[str, tuple[int, int]]:
    """The last convolutional stage that still sees an image in places: (name, (rows, columns)).

    Args:
        network: in evaluation mode. shown: (1, 3, side, side), what it is shown.
    Raises:
        NotApplicable: the network has none, such as a transformer.
    """
    if sum(isinstance(each, nn.Conv2d) for each in network.modules()) < 2:
        raise NotApplicable("the network has no convolutional stage")  # one alone cuts an image into patches
    finished: list[tuple[str, tuple[int, int]]] = []
    hooks = []
    for name, module in network.named_modules():
        if name and any(isinstance(each, nn.Conv2d) for each in module.modules()):
            hooks.append(module.register_forward_hook(_noting(finished, name)))
    try:
        with torch.no_grad():
            network(shown)
    finally:
        for hook in hooks:
            hook.remove()
    if not finished:
        raise NotApplicable(f"no convolutional stage of the network sees {LEAST_SIDE} by {LEAST_SIDE} places")
    return finished[-1]


def _noting(finished: list[tuple[str, tuple[int, int]]], name: str) -> Callable[..., None]:
    def note(_module: nn.Module, _shown: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[2:]) >= LEAST_SIDE:
            finished.append((name, (int(output.shape[2]), int(output.shape[3]))))

    return note


def randomised(network: nn.Module, *, seed: int) -> nn.Module:
    """A copy whose every parameter is drawn from a normal distribution with its own mean and standard deviation.

    So it computes in the same range, and knows nothing. The draw is the CPU's, whatever device the network is on.
    """
    other, generator = copy.deepcopy(network), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            own = parameter.detach().float().cpu()
            drawn = torch.randn(own.shape, generator=generator) * own.std(correction=0) + own.mean()
            parameter.copy_(drawn.to(parameter))
    return other


def grad_cam(
    network: nn.Module, layer: str, arrays: np.ndarray, targets: np.ndarray, how: Preprocessing, device: torch.device
) -> np.ndarray:
    """(n, rows, columns) float64, none below 0: how far each place speaks for the class that it is asked about.

    Args:
        network: in evaluation mode, on the device. layer: the name of the module whose outputs are weighed.
        arrays:  (n, side, side, 3) uint8 as the classifier prepared them. targets: (n,) columns of its outputs.
    Raises:
        NotApplicable: the gradients are not finite.
    """
    from captum.attr import LayerGradCam  # an extra; ask `captum_version` first

    explainer = LayerGradCam(network, network.get_submodule(layer))
    found = []
    for start in range(0, len(arrays), AT_ONCE):
        pixels = torch.from_numpy(arrays[start : start + AT_ONCE]).to(device)
        shown = normalise(pixels, how).requires_grad_(True)
        asked = torch.from_numpy(targets[start : start + AT_ONCE].astype(np.int64)).to(device)
        with torch.enable_grad():
            weighed = explainer.attribute(shown, target=asked, relu_attributions=True)
        found.append(weighed.detach().double().cpu().numpy()[:, 0])
    maps = np.concatenate(found)
    if not np.isfinite(maps).all():
        raise NotApplicable("its gradients are not finite")
    return maps
