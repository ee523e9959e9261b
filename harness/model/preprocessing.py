"""The cells of one set as a training takes them: decoded, resized, and in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from harness.core.progress import Report
from harness.data.records import CellImage, labels_of
from harness.model.images import images_of
from harness.model.prefetch import fit_all
from harness.model.records import Preprocessing


@dataclass(frozen=True, slots=True, eq=False)
class CellPixels:
    """The cells of one set, ready for a training.

    images: (n,) the manifest's entries, in this order.
    pixels: (n, size, size, 3) uint8 RGB.
    labels: (n,) int64 column index.
    """

    images: tuple[CellImage, ...]
    pixels: np.ndarray
    labels: np.ndarray


def decode_all(
    cells: Sequence[CellImage],
    root: Path,
    *,
    classes: Sequence[str],
    size_px: int,
    resize: Literal["squish", "crop"],
    formats: Sequence[str],
    workers: int,
    progress: Report,
    label: str,
) -> CellPixels:
    """Decode the cells of one set for a training."""
    how = Preprocessing(size_px=size_px, resize=resize)
    pixels = fit_all(images_of(cells, root, formats=formats), how, workers=workers, progress=progress, label=label)
    return CellPixels(tuple(cells), pixels, labels_of(cells, classes))


def reduced(cells: CellPixels, *, size_px: int) -> CellPixels:
    """Cells of a multiple of `size_px` with their pixels averaged down to it; cells of `size_px` as they are."""
    factor = cells.pixels.shape[1] // size_px
    if factor == 1:
        return cells
    pixels = np.empty((len(cells.pixels), size_px, size_px, 3), dtype=np.uint8)
    for into, image in zip(pixels, cells.pixels, strict=True):  # one at a time: means are floats, eight times as large
        into[:] = np.rint(image.reshape(size_px, factor, size_px, factor, 3).mean(axis=(1, 3)))
    return CellPixels(cells.images, pixels, cells.labels)
