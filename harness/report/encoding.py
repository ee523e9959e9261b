"""The bytes of a picture that a report holds: of a drawing a PNG, of photographs a WebP.

A report holds every figure and is kept for years. No pixel of it is evidence: the images have their digests.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

MOST_COLOURS, MOST_COLOURS_OF_A_DRAWING = 64, 4096
# A WebP of a cell is 33 dB from it, and of a quality of 85 34 dB in half as many bytes again.
QUALITY = 75


def compact(image: Image.Image) -> bytes:
    """The picture, hardly told from the original, in about a quarter of the bytes that its plain PNG takes.

    Args:
        image: RGB. What has more than `MOST_COLOURS_OF_A_DRAWING` colours shows photographs.
    Returns:
        A PNG of at most `MOST_COLOURS` colours, or a WebP; the same bytes for the same pixels.
    """
    if image.getcolors(MOST_COLOURS_OF_A_DRAWING) is None:
        return _webp(image)
    method, plain = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    buffer = io.BytesIO()
    image.quantize(MOST_COLOURS, method=method, kmeans=1, dither=plain).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def thumbnail(pixels: np.ndarray, side_px: int) -> bytes:
    """The picture of a cell, (h, w, 3) uint8, as a WebP of at most `side_px` a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((side_px, side_px))
    return _webp(image)


def _webp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()
