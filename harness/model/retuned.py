"""Adapts the weights of a torch network to a few cells: its batch-norm statistics, or all that it has learnt."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.core.errors import TrainingError
from harness.model.networks import normalise
from harness.model.records import Preprocessing

EPOCHS = 20
BATCH = 16
BODY_RATE, HEAD_RATE = 1e-4, 1e-3  # peaks; 1e-4 is the published protocol's for all layers
WEIGHT_DECAY = 1e-2  # AdamW's own


def with_statistics_of(network: nn.Module, arrays: np.ndarray, how: Preprocessing, device: torch.device) -> nn.Module:
    """A copy whose batch-norm layers have the statistics of these images, fixed; no label is read, no weight changes.

    All images at once, so that each layer sees what the layers before it make with the new statistics.

    Args:
        arrays: (n, side, side, 3) uint8, as the classifier prepares them; any number.
    """
    adapted = copy.deepcopy(network)
    if len(arrays) < 2:
        return adapted.eval()  # one cell has no deviation
    adapted.eval()
    for layer in _statistical(adapted):
        layer.reset_running_stats()
        layer.momentum = 1.0  # what the one batch shows, whole
        layer.train()
    with torch.no_grad(), _exactly():
        adapted(normalise(torch.from_numpy(arrays).to(device), how))
    return adapted.eval()


def has_statistics(network: nn.Module) -> bool:
    """Whether any of its layers normalises by statistics that it keeps."""
    return bool(_statistical(network))


def fine_tuned(
    network: nn.Module, arrays: np.ndarray, labels: np.ndarray, how: Preprocessing, device: torch.device, *, seed: int
) -> nn.Module:
    """A copy that was trained on for some epochs on these images, turned and mirrored at random.

    Its batch-norm layers keep the statistics that they have: those of so few cells are noise.

    Args:
        labels: (n,) int64, columns of the network's outputs.
    Raises:
        TrainingError: the loss is not a number.
    """
    adapted = copy.deepcopy(network)
    pixels, wanted = normalise(torch.from_numpy(arrays).to(device), how), torch.from_numpy(labels).to(device)
    rng, n = np.random.default_rng(seed), len(arrays)
    optimiser = torch.optim.AdamW(_rates(adapted), weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * -(-n // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=[group["lr"] for group in optimiser.param_groups], total_steps=steps
    )
    adapted.eval()  # neither dropout nor new statistics: a hundred cells say too little for either
    for parameter in adapted.parameters():
        parameter.requires_grad_(True)
    with _exactly():
        for _ in range(EPOCHS):
            order = rng.permutation(n)
            for start in range(0, n, BATCH):
                rows = torch.from_numpy(order[start : start + BATCH]).to(device)
                shown = _turned(pixels[rows], rng)
                loss = nn.functional.cross_entropy(adapted(shown), wanted[rows])
                if not torch.isfinite(loss):
                    raise TrainingError("fine-tuning on the drawn cells ended in a loss that is not a number")
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
    return adapted.eval()


def _statistical(network: nn.Module) -> list[_BatchNorm]:
    every = [each for each in network.modules() if isinstance(each, _BatchNorm)]
    return [each for each in every if each.track_running_stats]


def _rates(network: nn.Module) -> list[dict[str, object]]:
    """Body and head with their own learning rates, where the network is these two; else one for all."""
    if not isinstance(network, nn.Sequential) or len(network) != 2:
        return [{"params": list(network.parameters()), "lr": BODY_RATE}]
    body, head = (list(each.parameters()) for each in network)
    return [{"params": body, "lr": BODY_RATE}, {"params": head, "lr": HEAD_RATE}]


def _turned(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Each by a quarter turn or none, mirrored or not: a cell has no upper side."""
    quarters, mirrored = rng.integers(0, 4, len(images)), rng.integers(0, 2, len(images))
    turned = [torch.rot90(each, int(k), (1, 2)) for each, k in zip(images, quarters, strict=True)]
    return torch.stack([each.flip(2) if flip else each for each, flip in zip(turned, mirrored, strict=True)])


@contextmanager
def _exactly() -> Iterator[None]:
    """As answers are computed: in float32 on every device, and the same each time where the device can."""
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
