"""What does each image look like, small enough to compare? One reading per file: digests and a grey thumbnail."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.core.errors import DataError, MissingData
from harness.core.progress import Report
from harness.data.decoding import open_picture, read_regular, rgb_of, strict_pillow
from harness.data.records import CellImage
from harness.protocol.records import ImageRules

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


def hash_images(
    images: Sequence[CellImage], root: Path, *, set_name: str, rules: ImageRules, workers: int, progress: Report
) -> ImageHashes:
    """Read, check and decode each file once. The result does not depend on `workers`.

    Pixels are those that everything else in the harness sees (`harness.data.decoding.rgb_of`).

    Args:
        rules: the formats that may be decoded and the size cap, as for `integrity.inspect`.
        workers: threads; Pillow and hashlib release the interpreter lock.
    Raises:
        MissingData: a file is gone.
        DataError: a file changed since it was listed, or does not decode (integrity names such files first).
    """
    thumbnails = np.empty((len(images), THUMBNAIL_PX, THUMBNAIL_PX), dtype=np.uint8)
    sizes = np.empty((len(images), 2), dtype=np.int64)
    pixel_digests = [""] * len(images)

    def one(index: int) -> None:
        picture = _decoded(root / images[index].path, sha256=images[index].sha256, rules=rules)
        pixel_digests[index] = _pixel_digest(picture)
        sizes[index] = picture.size
        thumbnails[index] = thumbnail(picture)

    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        strict_pillow()
        for done, _ in enumerate(pool.map(one, range(len(images))), start=1):
            progress(f"hashing {set_name}", done, len(images), "")
    return ImageHashes(
        set=set_name,
        paths=tuple(image.path for image in images),
        labels=tuple(image.label for image in images),
        file_digests=tuple(image.sha256 for image in images),
        pixel_digests=tuple(pixel_digests),
        sizes_px=sizes,
        thumbnails=thumbnails,
    )


def picture_digests(images: Sequence[CellImage], root: Path, *, rules: ImageRules, workers: int) -> tuple[str, ...]:
    """The pixel digest of each image; of one that does not decode as it is listed, that of its bytes."""

    def one(image: CellImage) -> str:
        try:
            return _pixel_digest(_decoded(root / image.path, sha256=image.sha256, rules=rules))
        except DataError:  # integrity names it; whoever scores it without asking looks at it nevertheless
            return image.sha256

    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        strict_pillow()
        return tuple(pool.map(one, images))


def hash_pictures(pictures: Sequence[Image.Image], *, set_name: str, label: str) -> ImageHashes:
    """The same for pictures in memory, all of one label; their paths are their numbers, "0000000" and on."""
    plain = [picture.convert("RGB") for picture in pictures]
    digests = tuple(_pixel_digest(picture) for picture in plain)
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


def _pixel_digest(picture: Image.Image) -> str:
    digest = hashlib.sha256(f"{picture.width}x{picture.height}:".encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()


def _decoded(path: Path, *, sha256: str, rules: ImageRules) -> Image.Image:
    try:
        content = read_regular(path, n_bytes=rules.max_bytes)
    except FileNotFoundError:
        raise MissingData(f"{str(path)!r} is gone. Let nothing write to the data folder during a run.") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{str(path)!r} changed while the run was going on. Leave the images alone and run again.")
    try:
        with open_picture(content, formats=rules.formats, max_pixels=rules.max_side_px**2) as opened:
            return rgb_of(opened)
    except Exception as error:  # a hostile file can make a parser raise anything; all of it means "unreadable"
        raise DataError(
            f"{str(path)!r} does not decode: {str(error) or type(error).__name__}. The integrity suite lists every "
            "such file."
        ) from None
