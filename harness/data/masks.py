"""Where in its picture a cell lies, as a mask says: read for the maps of the page, and for no verdict.

A mask is an image of its picture's size that is 0 beside the cell and anything else in it, in a file of the same
relative path as the picture's, whatever the suffix.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
from PIL import ImageOps

from harness.core.errors import DataError
from harness.data.decoding import open_picture, read_regular

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
FORMATS = ("PNG", "TIFF", "BMP")  # of a JPEG the background is not quite 0


def masks_of(folder: Path, path: str) -> tuple[Path, ...]:
    """Every file in this folder that could be the mask of the picture with this path in its own folder."""
    own = PurePosixPath(path)
    return tuple(each for suffix in SUFFIXES if (each := folder / own.with_suffix(suffix)).is_file())


def mask_of(folder: Path, path: str) -> Path | None:
    """The mask of the picture with this path in its own folder; None where there is none.

    Raises:
        DataError: there are several.
    """
    found = masks_of(folder, path)
    if len(found) > 1:
        raise DataError(f"{path} has several masks in {folder}: {', '.join(each.name for each in found)}. Leave one.")
    return found[0] if found else None


def read_mask(file: Path, *, size: tuple[int, int]) -> np.ndarray:
    """(height, width) bool: True within the cell.

    Args:
        size: (height, width) of its picture.

    Raises:
        DataError: it cannot be read, or read in two ways; is of another size; or marks nothing, or everything.
    """
    try:
        picture = ImageOps.exif_transpose(open_picture(read_regular(file), formats=FORMATS))
        picture.load()
    except Exception as error:  # whatever Pillow makes of a broken file
        raise DataError(
            f"the mask {file} cannot be read: {error}. A mask is a PNG, TIFF or BMP that is 0 beside the cell."
        ) from error
    if picture.has_transparency_data and np.ptp(np.asarray(picture.convert("RGBA"))[..., 3]):
        raise DataError(
            f"the mask {file} has transparent pixels, and nothing says whether these or the colours mark the cell. "
            "Save it without transparency, 0 beside the cell."
        )
    values = np.asarray(picture)
    inside = values != 0 if values.ndim == 2 else _colours(values).any(axis=2)
    if picture.mode == "P" and (inside != np.asarray(picture.convert("RGB")).any(axis=2)).any():
        raise DataError(
            f"the mask {file} has a palette in which entry 0 and black are not the same, so that what is beside the "
            "cell can be read in two ways. Save it in grey, 0 beside the cell."
        )
    if inside.shape != size:
        (height, width), (rows, columns) = size, inside.shape
        raise DataError(
            f"the mask {file} is {columns} x {rows} px and its picture {width} x {height} px. Make them of one size."
        )
    if not inside.any():
        raise DataError(f"the mask {file} is 0 everywhere, so that it marks no cell. Take it out, or draw the cell.")
    if inside.all():
        raise DataError(
            f"the mask {file} is 0 nowhere, so that all of its picture would be cell. Write exactly 0 beside the cell."
        )
    return np.asarray(inside)


def _colours(values: np.ndarray) -> np.ndarray:
    """Without the opacity, which is the last of two or four channels."""
    return values[..., :-1] if values.shape[2] in (2, 4) else values
