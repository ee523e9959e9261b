"""Images as a classifier is given them: in order, each an RGB frame that is decoded when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from harness.core.errors import DataError
from harness.data.decoding import is_plain, open_picture, read_regular, rgb_of
from harness.data.records import CellImage


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file with an image: all that another thread or process needs to decode it.

    formats: Pillow's names of the decoders that may see the bytes.
    sha256:  what the bytes must be; None where nothing is concluded from the pixels (timing).
    """

    path: Path
    formats: tuple[str, ...]
    sha256: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images in order, without their reference labels.

    names: (n,) what each is called in messages.
    frame: index -> (height, width, 3) uint8 RGB; read-only.
    label: what progress calls the set; empty where its progress is not worth a line.
    files: (n,) what `frame` decodes, where it does nothing else; None where there is no file, or it was changed.
    """

    names: tuple[str, ...]
    frame: Callable[[int], np.ndarray]
    label: str = ""
    files: tuple[ImageFile, ...] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Sequence[int] | np.ndarray) -> Images:
        """The images at these indices, in this order; their progress is not shown."""
        chosen = [int(index) for index in indices]
        files = None if self.files is None else tuple(self.files[i] for i in chosen)
        return Images(tuple(self.names[i] for i in chosen), lambda index: self.frame(chosen[index]), files=files)

    def changed(self, change: Callable[[Callable[[int], np.ndarray], int], np.ndarray]) -> Images:
        """The same images, each as `change(frame, index)` makes it; their progress is not shown."""
        return replace(self, frame=lambda index: change(self.frame, index), label="", files=None)


def images_of(cells: Sequence[CellImage], root: Path, *, formats: Sequence[str], label: str = "") -> Images:
    """The images of these cells; a file whose bytes are no longer those that were listed raises when it is decoded.

    Args:
        formats: Pillow's names of the decoders that may see the bytes.
    """
    files = tuple(ImageFile(root / cell.path, tuple(formats), cell.sha256) for cell in cells)
    return _of(files, tuple(cell.path for cell in cells), label)


def images_in(files: Sequence[ImageFile], names: Sequence[str]) -> Images:
    """The images in these files, under these names; their progress is not shown."""
    return _of(tuple(files), tuple(names), "")


def files_of(paths: Sequence[Path], *, formats: Sequence[str]) -> Images:
    """The images in these files, whose bytes are not checked: for timing."""
    return _of(tuple(ImageFile(path, tuple(formats)) for path in paths), tuple(map(str, paths)), "")


def _of(files: tuple[ImageFile, ...], names: tuple[str, ...], label: str) -> Images:
    return Images(names, lambda index: np.array(read_picture(files[index])), label, files)


def frames_of(frames: np.ndarray | Sequence[np.ndarray], *, names: Sequence[str] | None = None) -> Images:
    """Images that are in memory already."""
    called = tuple(names) if names is not None else tuple(f"frame {index}" for index in range(len(frames)))
    return Images(called, lambda index: frames[index])


def readable_by_anybody(file: Path, copy: Path, *, formats: Sequence[str]) -> Path:
    """A file that every program decodes to the pixels that are scored here: itself, or a PNG that is written to `copy`.

    Not every program turns a picture as EXIF says, or takes 16-bit grey as it is meant: where another program's answers
    are compared, what is compared is the classifier.
    """
    with open_picture(read_regular(file), formats=formats) as image:
        if is_plain(image):
            return file
    Image.fromarray(read_frame(file, formats=formats)).save(copy, format="PNG")
    return copy


def read_frame(path: Path, *, formats: Sequence[str], sha256: str | None = None) -> np.ndarray:
    """One file as (height, width, 3) uint8 RGB, in the size that it has; arguments and errors as `read_picture`."""
    return np.array(read_picture(ImageFile(path, tuple(formats), sha256)))


def read_picture(file: ImageFile) -> Image.Image:
    """One file as 8-bit RGB, in the size that it has.

    Raises:
        DataError: the file changed since it was listed, or does not decode (integrity names such files first).
    """
    try:
        content = read_regular(file.path)
        if file.sha256 is not None and hashlib.sha256(content).hexdigest() != file.sha256:
            raise DataError(
                f"{str(file.path)!r} changed while the run was going on. Leave the images alone and run again."
            )
        with open_picture(content, formats=file.formats) as opened:
            return rgb_of(opened)
    except DataError:
        raise
    except Exception as error:  # a hostile file can make a parser raise anything; all of it means "unreadable"
        raise DataError(
            f"{str(file.path)!r} does not decode: {error}. The integrity suite lists every such file."
        ) from None
