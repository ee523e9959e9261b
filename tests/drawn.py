"""What several test modules do with the drawn cells of conftest.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from harness.core.progress import silent
from harness.data.records import CellImage, Manifest
from harness.model.classifier import Machine, predict
from harness.model.images import Images, frames_of
from harness.model.preprocessing import CellPixels, decode_all
from harness.model.records import ModelCard, Preprocessing
from harness.model.torch_network import ABILITIES, TorchNetwork

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")


def decoded(manifest: Manifest, images: Sequence[CellImage], *, workers: int = 2) -> CellPixels:
    """These images of the manifest as 32 px cells."""
    return decode_all(
        images,
        manifest.root,
        classes=manifest.classes,
        size_px=32,
        resize="squish",
        formats=("PNG",),
        workers=workers,
        progress=silent,
        label="cells",
    )


def shown(cells: CellPixels) -> Images:
    """What a classifier is given of these cells."""
    return frames_of(cells.pixels, names=[image.path for image in cells.images])


def classifier_of(network: nn.Module, *, batch_size: int = 16, size_px: int = 32) -> TorchNetwork:
    """A network as the classifier that a run asks, on the CPU."""
    card = ModelCard(
        door="test",
        name="network",
        digest="0" * 64,
        classes=CLASSES,
        preprocessing=Preprocessing(size_px=size_px, resize="squish"),
        abilities=ABILITIES,
        corruptions_act_on="prepared arrays",
    )
    return TorchNetwork(card, network, Machine("cpu", batch_size, workers=2, progress=silent))


def scored(network: nn.Module, cells: CellPixels, *, batch_size: int = 16) -> np.ndarray:
    """The probabilities of these cells, checked as a run checks them."""
    return predict(classifier_of(network, batch_size=batch_size), shown(cells))


class MeanColour:
    """A classifier that offers nothing but probabilities of RGB frames, as a command or a service would."""

    card = ModelCard(
        door="test",
        name="mean colour",
        digest="1" * 64,
        classes=CLASSES,
        preprocessing=None,
        abilities=("probabilities", "new images"),
        corruptions_act_on="RGB frames",
    )

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []  # of the frames that it was shown

    def predict_proba(self, images: Images) -> np.ndarray:
        frames = [images.frame(index) for index in range(len(images))]
        self.shapes += [frame.shape for frame in frames]
        colours = np.stack([frame.mean(axis=(0, 1)) / 255 for frame in frames])
        weights = np.random.default_rng(1).normal(0, 5, (3, len(CLASSES)))
        odds = np.exp(colours @ weights)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
