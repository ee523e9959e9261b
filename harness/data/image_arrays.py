"""Images as arrays: floats and levels, blurred, resized, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn, idctn

from harness.core.errors import DataError

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.floating[Any]]
MIN_SIZE_PX = 16  # below this a border has hardly a pixel to say what the background is


class UnknownDisturbance(DataError):
    """A kind of disturbance, of input without a cell or of invariance that nobody has drawn yet."""


def resized(pixels: Pixels, height_px: int, width_px: int | None = None) -> Pixels:
    """One image in another size, square where only one side is given; the same array where it has that size."""
    wanted = (height_px, height_px if width_px is None else width_px)
    if pixels.shape[:2] == wanted:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(wanted[::-1], Image.Resampling.BILINEAR))


def as_levels(values: Floats) -> Pixels:
    """Whole levels from 0 to 255; values beyond are clipped."""
    clipped = np.clip(values, 0.0, 255.0)
    levels: Pixels = np.rint(clipped, out=clipped).astype(np.uint8)
    return levels


def blurred(image: Floats, sigma_px: float) -> Floats:
    """Gaussian blur of (h, w, c) with mirrored borders, by cosine transform.

    Exact for any width: a sampled kernel narrower than a pixel does nothing, and at 32 px most blurs are.
    """
    height, width = image.shape[:2]
    spectrum = dctn(image, axes=(0, 1))
    down, across = (np.exp(-0.5 * (sigma_px * np.pi * np.arange(n) / n) ** 2) for n in (height, width))
    spectrum *= (down[:, None] * across[None, :])[:, :, None].astype(image.dtype)
    blurred: Floats = idctn(spectrum, axes=(0, 1))
    return blurred


def check_name(name: str, among: Sequence[str], what: str) -> None:
    """Raise UnknownDisturbance unless the name is among those known."""
    if name not in among:
        raise UnknownDisturbance(f"no {what} is called {name!r}. Use one of {', '.join(among)}.")


def check_image(pixels: Pixels) -> None:
    """Raise DataError unless it is an RGB image of (h, w, 3) uint8."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < MIN_SIZE_PX:
        raise DataError(
            f"{pixels.dtype} of shape {pixels.shape} is not an RGB image. Give (height, width, 3) uint8 of at least "
            f"{MIN_SIZE_PX} px each way."
        )
