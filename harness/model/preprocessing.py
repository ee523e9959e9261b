"""RGB frames to the pixels that a network sees: resized and cropped as its card says, in parallel.

The resize is fastai's own `Resize` in its validation form, so that a classifier exported with a stock fastai pipeline
sees the same pixels to the last bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import numpy as np
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.core import PILImage
from PIL import Image

from harness.core.progress import Report
from harness.data.records import CellImage, labels_of
from harness.model.images import Images, images_of
from harness.model.records import Preprocessing

RESIZE_METHODS = {"squish": ResizeMethod.Squish, "crop": ResizeMethod.Crop}
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


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


def fitted(frame: np.ndarray, how: Preprocessing) -> np.ndarray:
    """One RGB frame of any size as (size_px, size_px, 3) uint8 RGB."""
    side = round(how.size_px / how.crop)
    resize = Resize(side, method=RESIZE_METHODS[how.resize], resamples=(FILTERS[how.filter], FILTERS["nearest"]))
    pixels = np.array(resize(PILImage(Image.fromarray(frame)), split_idx=1))
    start = (side - how.size_px) // 2
    return pixels[start : start + how.size_px, start : start + how.size_px]


def fitted_batches(
    images: Images, how: Preprocessing, *, workers: int, batch_size: int, progress: Report, label: str
) -> Iterator[np.ndarray]:
    """(n, size_px, size_px, 3) uint8 of every image in their order, batch by batch.

    Pillow releases the GIL while it decodes, so threads are enough; they go on while a batch is being used. The result
    does not depend on `workers`.
    """
    total = len(images)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")  # what is odd about a file is integrity's to say, not Pillow's
        spread = map if total == 1 else pool.map  # a thread for one image costs more than it saves
        waiting = spread(lambda index: fitted(images.frame(index), how), range(total))
        for start in range(0, total, batch_size):
            stop = min(start + batch_size, total)
            batch = np.empty((stop - start, how.size_px, how.size_px, 3), dtype=np.uint8)
            for into in batch:
                into[:] = next(waiting)
            progress(label, stop, total, "")
            yield batch


def fit_all(images: Images, how: Preprocessing, *, workers: int, progress: Report, label: str) -> np.ndarray:
    """(n, size_px, size_px, 3) uint8 of every image in their order."""
    pixels = np.empty((len(images), how.size_px, how.size_px, 3), dtype=np.uint8)
    batches = fitted_batches(images, how, workers=workers, batch_size=1, progress=progress, label=label)
    for into, batch in zip(pixels, batches, strict=True):
        into[:] = batch[0]
    return pixels


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
