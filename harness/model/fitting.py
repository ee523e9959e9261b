"""One RGB image to the square of pixels that a classifier sees, by Pillow alone: cheap to import where many decode.

The result is that of fastai's own `Resize` in its validation form, to the last bit, so that a classifier exported with
a stock fastai pipeline sees the same pixels. fastai's costs half as much time again, with the interpreter locked.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from harness.model.images import Images, read_picture
from harness.model.records import Preprocessing

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def fitted(frame: np.ndarray, how: Preprocessing) -> np.ndarray:
    """One RGB frame of any size as (size_px, size_px, 3) uint8 RGB."""
    return fitted_picture(Image.fromarray(frame), how)


def fitted_picture(picture: Image.Image, how: Preprocessing) -> np.ndarray:
    """One RGB picture of any size as (size_px, size_px, 3) uint8 RGB."""
    side = round(how.size_px / how.crop)
    kept = picture if how.resize == "squish" else picture.crop(_centre(picture.size, side))
    pixels = np.asarray(kept.resize((side, side), FILTERS[how.filter]))
    start = (side - how.size_px) // 2
    return pixels[start : start + how.size_px, start : start + how.size_px]


def fitted_one(images: Images, index: int, how: Preprocessing) -> np.ndarray:
    """One of these images, without the detour over an array of its whole size where it is a file."""
    if images.files is None:
        return fitted(images.frame(index), how)
    return fitted_picture(read_picture(images.files[index]), how)


def _centre(size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    """The largest square around the middle as (left, upper, right, lower), rounded as fastai does."""
    width, height = size
    square = int(min(width / side, height / side) * side)
    left, upper = int(0.5 * (width - square)), int(0.5 * (height - square))
    return left, upper, left + square, upper + square
