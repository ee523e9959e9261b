"""What does the network say of disturbed cells, of turned ones, and of inputs without a cell?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from harness.core.progress import Report
from harness.data.corruptions import background_of, disturb_set, no_cell, turned
from harness.model.classifier import inference, normalise, predict
from harness.model.preprocessing import CellPixels
from harness.protocol.records import DetectionPlan, RobustnessPlan


def stressed(
    model: nn.Module,
    cells: CellPixels,
    plan: RobustnessPlan,
    *,
    device: torch.device,
    batch_size: int,
    progress: Report,
) -> dict[str, np.ndarray]:
    """Probabilities of the same cells, disturbed and turned, at the size that the network sees.

    Returns:
        "<kind> <severity>" or the name of a transform -> (n_cells, n_classes) float64 in the order of `cells`.
    """
    digests = [image.sha256 for image in cells.images]
    wanted = [(f"{kind} {severity}", kind, severity) for kind in plan.kinds for severity in plan.severities]
    total = len(wanted) + len(plan.invariances)
    found: dict[str, np.ndarray] = {}

    def score(pixels: np.ndarray) -> np.ndarray:
        changed = CellPixels(cells.images, pixels, cells.labels)
        return predict(
            model,
            changed,
            device=device,
            batch_size=batch_size,
            progress=_quiet,
            label="disturbed cells",
            trusted=bool(found),  # the first pass asks whether the network and the device can be
        )

    for done, (name, kind, severity) in enumerate(wanted):
        progress("disturbing cells", done, total, name)
        found[name] = score(disturb_set(cells.pixels, digests, kind, severity, seed=plan.seed))
    for done, name in enumerate(plan.invariances, start=len(wanted)):
        progress("disturbing cells", done, total, name)
        found[name] = score(np.stack([turned(pixels, name) for pixels in cells.pixels]))
    progress("disturbing cells", total, total, "")
    return found


def outlook(
    model: nn.Sequential,
    plan: DetectionPlan,
    *,
    train: CellPixels,
    sets: Mapping[str, CellPixels],
    device: torch.device,
    batch_size: int,
    progress: Report,
) -> dict[str, np.ndarray]:
    """What the protocol's score of strangeness is made of: the network's features, or its probabilities.

    Returns:
        Name of the set -> one row a cell, in the order of its cells; kind -> one row an input without a cell; "train"
        -> the train part's rows.
    """
    size, like = train.pixels.shape[1], background_of(train.pixels)
    inputs = {"train": train.pixels} | {name: cells.pixels for name, cells in sets.items()}
    for place, kind in enumerate(plan.kinds):
        rng = np.random.default_rng([plan.seed, place])
        inputs[kind] = np.stack([no_cell(kind, size_px=size, like=like, rng=rng) for _ in range(plan.inputs_per_kind)])
    look = _features if plan.score == "mahalanobis" else _softmax
    found = {}
    for done, (name, pixels) in enumerate(inputs.items()):
        progress("inputs without a cell", done, len(inputs), name)
        found[name] = look(model, pixels, device=device, batch_size=batch_size)
    progress("inputs without a cell", len(inputs), len(inputs), "")
    return found


def _features(model: nn.Sequential, pixels: np.ndarray, *, device: torch.device, batch_size: int) -> np.ndarray:
    """(n, n_features) float64: the body's activations, averaged over the image."""
    return _forward(model[0], pixels, device, batch_size).mean(dim=(2, 3)).double().numpy()


def _softmax(model: nn.Sequential, pixels: np.ndarray, *, device: torch.device, batch_size: int) -> np.ndarray:
    """(n, n_classes) float64 probabilities."""
    return _forward(model, pixels, device, batch_size).double().softmax(dim=1).numpy()


def _forward(model: nn.Module, pixels: np.ndarray, device: torch.device, batch_size: int) -> torch.Tensor:
    model.eval()
    with inference():
        parts = [
            model(normalise(torch.from_numpy(pixels[start : start + batch_size]).to(device))).cpu()
            for start in range(0, len(pixels), batch_size)
        ]
    return torch.cat(parts)


def _quiet(label: str, done: int, total: int, detail: str) -> None:
    """Each of dozens of passes over one set is not worth a line."""
