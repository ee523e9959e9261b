"""What does each file show? Each is read once and decoded once, for everybody who asks something of its picture.

Integrity, the search for copies, headers, colours and the digests of pictures are functions of one small record per
file: `hashes_of`, `set_facts_of` and `picture_digests_of` say the same as another look at the file would.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from harness.core.errors import DataError, MissingData
from harness.core.progress import Report
from harness.data.content import emptiness_of
from harness.data.decoding import decode, read_regular, strict_pillow
from harness.data.hashing import THUMBNAIL_PX, ImageHashes, pixel_digest, thumbnail
from harness.data.metadata import THUMBNAIL_PX as COARSE_PX
from harness.data.metadata import FileFacts, SetFacts, coarse, file_facts
from harness.data.quality import Quality, quality_of
from harness.data.records import CellImage, ImageFacts
from harness.data.tables import relative_path
from harness.protocol.datasets import LARGEST_SIDE_PX, ImageRules
from harness.protocol.modes import why_not


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What the pixels of one picture come to; see `ImageHashes` and `SetFacts`.

    size_px: width and height, upright. digest: of the pixels.
    grey:    (64, 64) uint8. colour: (32, 32, 3) uint8. border: (6,) float64.
    quality: of its grey levels and sides.
    """

    size_px: tuple[int, int]
    digest: str
    grey: NDArray[np.uint8]
    colour: NDArray[np.uint8]
    border: NDArray[np.float64]
    quality: Quality


@dataclass(frozen=True, slots=True, eq=False)
class Inspected:
    """One file as it is now.

    facts: what decoding it showed.
    file:  what its header says; None where it could not be opened or the header cannot be read.
    shown: the picture; None if it cannot be decoded. A file that integrity refuses for what surrounds it (a lost end,
           further pictures) still has one.
    empty: why it shows no cell; None where nothing says so, and where integrity does not look at the pixels.
    gone, altered: compared with what the manifest saw.
    """

    facts: ImageFacts
    file: FileFacts | None = None
    shown: Shown | None = None
    empty: str | None = None
    gone: bool = False
    altered: bool = False

    @property
    def trouble(self) -> str | None:
        """Why the picture is missing; None if it is there."""
        if self.shown is not None:
            return None
        if self.facts.error is not None:
            return self.facts.error.removeprefix("does not decode: ")
        mode = str(self.facts.mode)
        return f"colour mode {mode}: {why_not(mode)}"


def inspect_files(
    images: Sequence[CellImage],
    root: Path,
    *,
    rules: ImageRules,
    workers: int,
    progress: Callable[[int], None] | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> tuple[Inspected, ...]:
    """Read, check and decode each file once. The result does not depend on `workers`; nothing about a file is raised.

    Args:
        rules: what each file may be. A format that it does not accept is never handed to a parser.
        workers: threads (Pillow and hashlib work outside the interpreter lock, so threads use every core).
        progress: called with the number of files done so far, one call at a time, from the decoding threads.
        meanwhile: done in this thread while the others decode, such as an import that takes seconds.
    Raises:
        DataError: a file turned into a link, pipe or device after it was listed.
    """
    # Truncated files would load without complaint if any library in this process had set this switch.
    tolerant, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
            strict_pillow()
            futures = [pool.submit(_inspected, root, image, rules) for image in images]
            _count(futures, progress)
            if meanwhile is not None:
                meanwhile()
            return tuple(future.result() for future in futures)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerant


@dataclass(frozen=True, slots=True)
class Inspection:
    """The task of `inspect_files` for a slice of the images. root: absolute, and the same wherever it is done."""

    root: Path
    rules: ImageRules

    @property
    def packages(self) -> tuple[str, ...]:
        return ("pillow", "numpy")

    @property
    def device(self) -> None:
        return None

    def __call__(self, images: Sequence[CellImage], threads: int, /) -> tuple[Inspected, ...]:
        return inspect_files(images, self.root, rules=self.rules, workers=threads)


def _count(futures: Iterable[Future[Inspected]], progress: Callable[[int], None] | None) -> None:
    if progress is None:
        return
    done, one_at_a_time = itertools.count(1), threading.Lock()

    def report(_: object) -> None:
        with one_at_a_time:
            progress(next(done))

    for future in futures:
        future.add_done_callback(report)


def _inspected(root: Path, image: CellImage, rules: ImageRules) -> Inspected:
    if not _stays_below(image.path):
        # Only a manifest made by hand can say this; the contract's findings name the path itself.
        return Inspected(ImageFacts(image.path, None, None, None, None, error="not opened: no path below the root"))
    try:
        content = read_regular(root / image.path, n_bytes=rules.max_bytes)
    except FileNotFoundError:
        return Inspected(ImageFacts(image.path, None, None, None, None, error="the file is gone"), gone=True)
    whole = len(content) <= rules.max_bytes
    # The bytes that are decoded must be the bytes that were listed, not a file swapped in between.
    altered = whole and hashlib.sha256(content).hexdigest() != image.sha256
    found = decode(
        content, path=image.path, rules=rules, header=lambda opened, info: file_facts(opened, info, image, content)
    )
    if found.picture is None:
        return Inspected(found.facts, found.header, altered=altered)
    shown, pixels = _shown(found.picture)
    empty = emptiness_of(pixels) if found.shown else None
    return Inspected(found.facts, found.header, shown, empty, altered=altered)


def _stays_below(path: str) -> bool:
    try:
        return relative_path(path) == path
    except ValueError:
        return False


def _shown(picture: Image.Image) -> tuple[Shown, NDArray[np.uint8]]:
    """And the (h, w, 3) pixels, which the digest is made of."""
    width, height = picture.size
    packed = picture.tobytes()
    colour, border = coarse(picture)
    grey = picture.convert("L")
    shown = Shown(
        size_px=picture.size,
        digest=pixel_digest(width, height, packed),
        grey=thumbnail(grey),
        colour=colour,
        border=border,
        quality=quality_of(grey),
    )
    return shown, np.frombuffer(packed, dtype=np.uint8).reshape(height, width, 3)


# --- what is asked of the records -------------------------------------------------------------------


def hashes_of(images: Sequence[CellImage], inspected: Sequence[Inspected], *, root: Path, set_name: str) -> ImageHashes:
    """What duplicates of one set are searched by.

    Args:
        root: for messages.
    Raises:
        MissingData: a file is gone.
        DataError: a file changed since it was listed, or holds no picture (integrity names such files first).
    """
    shown = [_usable(image, each, root) for image, each in zip(images, inspected, strict=True)]
    shape = (len(images), THUMBNAIL_PX, THUMBNAIL_PX)
    return ImageHashes(
        set=set_name,
        paths=tuple(image.path for image in images),
        labels=tuple(image.label for image in images),
        file_digests=tuple(image.sha256 for image in images),
        pixel_digests=tuple(each.digest for each in shown),
        sizes_px=np.array([each.size_px for each in shown], dtype=np.int64).reshape(-1, 2),
        thumbnails=np.array([each.grey for each in shown], dtype=np.uint8).reshape(shape),
    )


def set_facts_of(images: Sequence[CellImage], inspected: Sequence[Inspected], *, root: Path) -> SetFacts:
    """Header and coarse pixels of the files of one set, in the order of the images.

    Raises:
        MissingData, DataError: as `hashes_of`; or the header of a file cannot be read.
    """
    shown = [_usable(image, each, root) for image, each in zip(images, inspected, strict=True)]
    files = [_file_of(image, each, root) for image, each in zip(images, inspected, strict=True)]
    return SetFacts(
        files=tuple(files),
        thumbnails=np.array([each.colour for each in shown], np.uint8).reshape(-1, COARSE_PX, COARSE_PX, 3),
        borders=np.array([each.border for each in shown], np.float64).reshape(-1, 6),
    )


def picture_digests_of(images: Sequence[CellImage], inspected: Sequence[Inspected]) -> tuple[str, ...]:
    """The pixel digest of each image; of one that does not decode as it is listed, that of its bytes."""
    # Integrity names such a file; whoever scores it without asking looks at it nevertheless.
    return tuple(
        image.sha256 if each.altered or each.shown is None else each.shown.digest
        for image, each in zip(images, inspected, strict=True)
    )


def _usable(image: CellImage, found: Inspected, root: Path) -> Shown:
    path = str(root / image.path)
    if found.gone:
        raise MissingData(f"{path!r} is gone. Let nothing write to the data folder during a run.")
    if found.altered:
        raise DataError(f"{path!r} changed while the run was going on. Leave the images alone and run again.")
    if found.shown is None:
        raise DataError(f"{path!r} does not decode: {found.trouble}. The integrity suite lists every such file.")
    return found.shown


def _file_of(image: CellImage, found: Inspected, root: Path) -> FileFacts:
    if found.file is None:
        raise DataError(f"{str(root / image.path)!r}: its header cannot be read. Export it again from the original.")
    return found.file


def hash_images(
    images: Sequence[CellImage], root: Path, *, set_name: str, rules: ImageRules, workers: int, progress: Report
) -> ImageHashes:
    """Look at the files of one set for the search for copies alone; arguments and errors as above."""

    def told(done: int) -> None:
        progress(f"hashing {set_name}", done, len(images), "")

    found = inspect_files(images, root, rules=rules, workers=workers, progress=told)
    return hashes_of(images, found, root=root, set_name=set_name)


def read_facts(
    images: Sequence[CellImage], root: Path, *, formats: Sequence[str], workers: int, progress: Report, label: str
) -> SetFacts:
    """Look at the files of one set for their headers and coarse pixels alone; arguments and errors as above."""
    rules = ImageRules.model_validate(
        {"formats": tuple(formats), "modes": (), "min_side_px": 1, "max_side_px": LARGEST_SIDE_PX}
    )

    def told(done: int) -> None:
        progress(label, done, len(images), "")

    found = inspect_files(images, root, rules=rules, workers=workers, progress=told)
    return set_facts_of(images, found, root=root)
