"""What does each image look like, small enough to compare? Digests and a grey thumbnail."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.core.errors import DataError

THUMBNAIL_PX = 64


@dataclass(frozen=True, slots=True, eq=False)
class ImageHashes:
    """What duplicates are searched by, for every image of one set.

    set:           name of the set ("dataset" or an external set).
    paths, labels: (n,) as in the manifest.
    file_digests:  (n,) SHA-256 of each file.
    pixel_digests: (n,) SHA-256 of width, height and decoded RGB pixels: equal for files that look the same to a
                   classifier, whatever their format, quality settings, metadata or alpha channel.
    sizes_px:      (n, 2) int64 width and height.
    thumbnails:    (n, 64, 64) uint8 grey, the whole frame squeezed into a square.
    """

    set: str
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    file_digests: tuple[str, ...]
    pixel_digests: tuple[str, ...]
    sizes_px: NDArray[np.int64]
    thumbnails: NDArray[np.uint8]

    def __post_init__(self) -> None:
        n = len(self.paths)
        lengths = {len(self.labels), len(self.file_digests), len(self.pixel_digests), len(self.sizes_px)}
        if lengths != {n} or self.thumbnails.shape != (n, THUMBNAIL_PX, THUMBNAIL_PX):
            raise DataError(
                f"set {self.set!r}: {n} paths with {sorted(lengths)} labels, digests or sizes and thumbnails of shape "
                f"{self.thumbnails.shape}. Hash every image of the set exactly once."
            )
        if self.thumbnails.dtype != np.uint8:
            raise DataError(f"set {self.set!r}: thumbnails of type {self.thumbnails.dtype}. Give grey levels as uint8.")


def hash_pictures(pictures: Sequence[Image.Image], *, set_name: str, label: str) -> ImageHashes:
    """The same for pictures in memory, all of one label; their paths are their numbers, "0000000" and on."""
    plain = [picture.convert("RGB") for picture in pictures]
    digests = tuple(pixel_digest(picture.width, picture.height, picture.tobytes()) for picture in plain)
    shape = (len(plain), THUMBNAIL_PX, THUMBNAIL_PX)
    return ImageHashes(
        set=set_name,
        paths=tuple(f"{number:07}" for number in range(len(plain))),
        labels=(label,) * len(plain),
        file_digests=digests,
        pixel_digests=digests,
        sizes_px=np.array([picture.size for picture in plain], dtype=np.int64).reshape(-1, 2),
        thumbnails=np.array([thumbnail(picture) for picture in plain], dtype=np.uint8).reshape(shape),
    )


def thumbnail(picture: Image.Image) -> NDArray[np.uint8]:
    """(64, 64) uint8 grey. Grey, so that a shift of colour alone, or its loss, hides nothing."""
    # Pillow's BILINEAR widens its kernel when it shrinks, so that every pixel counts and no pattern is aliased.
    small = picture.convert("L").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.uint8)


def pixel_digest(width: int, height: int, pixels: bytes) -> str:
    """SHA-256 of the sides and of the pixels, three bytes each, row by row."""
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(pixels)
    return digest.hexdigest()
