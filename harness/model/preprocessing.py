"""Image files to the pixels that the network sees: decoded once, in parallel, for every later stage.

The resize is fastai's own `Resize` in its validation form, so that a classifier exported with a stock fastai pipeline
sees the same pixels to the last bit.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import numpy as np
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.core import PILImage

from harness.core.errors import DataError
from harness.core.progress import Report
from harness.data.decoding import open_picture, read_regular
from harness.data.records import CellImage, labels_of

RESIZE_METHODS = {"squish": ResizeMethod.Squish, "crop": ResizeMethod.Crop}


@dataclass(frozen=True, slots=True, eq=False)
class CellPixels:
    """The cells of one set, ready for the network.

    images: (n,) the manifest's entries, in this order.
    pixels: (n, size, size, 3) uint8 RGB.
    labels: (n,) int64 column index.
    """

    images: tuple[CellImage, ...]
    pixels: np.ndarray
    labels: np.ndarray


def decode(path: Path, *, size_px: int, resize: str, formats: Sequence[str], sha256: str | None = None) -> np.ndarray:
    """One file as (size_px, size_px, 3) uint8 RGB.

    Args:
        resize: "squish" changes the aspect ratio; "crop" keeps it and cuts the longer side around the centre.
        formats: Pillow's names of the decoders that may see the bytes.
        sha256: what the bytes must be; None where nothing is concluded from the pixels (timing).
    Raises:
        DataError: the file changed since it was listed, or does not decode (integrity names such files first).
    """
    try:
        content = read_regular(path)
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise DataError(f"{str(path)!r} changed while the run was going on. Leave the images alone and run again.")
        with open_picture(content, formats=formats) as opened:
            image = PILImage(opened.convert("RGB"))
    except DataError:
        raise
    except Exception as error:  # a hostile file can make a parser raise anything; all of it means "unreadable"
        raise DataError(f"{str(path)!r} does not decode: {error}. The integrity suite lists every such file.") from None
    return np.array(Resize(size_px, method=RESIZE_METHODS[resize])(image, split_idx=1))


def decode_all(
    images: Sequence[CellImage],
    root: Path,
    *,
    classes: Sequence[str],
    size_px: int,
    resize: str,
    formats: Sequence[str],
    workers: int,
    progress: Report,
    label: str,
) -> CellPixels:
    """Decode the images of one set. Pillow releases the GIL while it decodes, so threads are enough.

    The result does not depend on `workers`.
    """
    pixels = np.empty((len(images), size_px, size_px, 3), dtype=np.uint8)

    def one(index: int) -> None:
        image = images[index]
        pixels[index] = decode(root / image.path, size_px=size_px, resize=resize, formats=formats, sha256=image.sha256)

    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")  # what is odd about a file is integrity's to say, not Pillow's
        for done, _ in enumerate(pool.map(one, range(len(images))), start=1):
            progress(label, done, len(images), "")
    return CellPixels(tuple(images), pixels, labels_of(images, classes))


def reduced(cells: CellPixels, *, size_px: int) -> CellPixels:
    """Cells of a multiple of `size_px` with their pixels averaged down to it; cells of `size_px` as they are."""
    factor = cells.pixels.shape[1] // size_px
    if factor == 1:
        return cells
    pixels = np.empty((len(cells.pixels), size_px, size_px, 3), dtype=np.uint8)
    for into, image in zip(pixels, cells.pixels, strict=True):  # one at a time: means are floats, eight times as large
        into[:] = np.rint(image.reshape(size_px, factor, size_px, factor, 3).mean(axis=(1, 3)))
    return CellPixels(cells.images, pixels, cells.labels)
