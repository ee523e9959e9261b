"""The bytes of a picture that a report holds: of a drawing a PNG, of photographs a WebP.

A report holds every figure and is kept for years. No pixel of it is evidence: the images have their digests.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

MOST_COLOURS, MOST_COLOURS_OF_A_DRAWING = 64, 4096
# As many of a drawing's colours are kept: those of its flat parts.
KEPT_COLOURS = 40
# A WebP of a cell is 32.8 dB from it; of a quality of 75 33.0 dB in 6 % more bytes, of 85 34 dB in 56 % more.
QUALITY = 70


def compact(image: Image.Image) -> bytes:
    """The picture, hardly told from the original, in about a quarter of the bytes that its plain PNG takes.

    Args:
        image: RGB. What has more than `MOST_COLOURS_OF_A_DRAWING` colours shows photographs.
    Returns:
        A PNG of at most `MOST_COLOURS` colours, or a WebP; the same bytes for the same pixels.
    """
    counted = image.getcolors(MOST_COLOURS_OF_A_DRAWING)
    if counted is None:
        return _webp(image)
    buffer = io.BytesIO()
    _with_fewer_colours(image, counted).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _with_fewer_colours(image: Image.Image, counted: list[tuple[int, tuple[int, int, int]]]) -> Image.Image:
    """The drawing in `MOST_COLOURS`. Its colours are grouped, not its pixels, of which there are a thousand times more.

    Those that most pixels have are kept, so that what is flat stays as it was: a faint blue is a rate, and grey is
    none. The others are spread over the rest, which are edges.

    Args:
        counted: how many pixels there are of each colour of the image.
    """
    colours = np.array([colour for _, colour in sorted(counted, reverse=True)], dtype=np.uint8)
    kept, edges = colours[:KEPT_COLOURS], colours[KEPT_COLOURS:]
    if len(edges):
        method, plain = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
        n_others = MOST_COLOURS - KEPT_COLOURS
        spread = Image.fromarray(edges[None]).quantize(n_others, method=method, kmeans=1, dither=plain)
        kept = np.concatenate([kept, np.unique(np.asarray(spread.convert("RGB"))[0], axis=0)])
    apart = colours[:, None].astype(np.int64) - kept
    table = np.zeros(1 << 24, dtype=np.uint8)
    table[_code(colours)] = (apart**2).sum(axis=2).argmin(axis=1)
    drawn = Image.frombytes("P", image.size, table[_code(np.asarray(image))].tobytes())
    drawn.putpalette(kept.tobytes())
    return drawn


def _code(colours: np.ndarray) -> np.ndarray:
    """One number for each colour, (..., 3) uint8."""
    red, green, blue = (colours[..., each].astype(np.int32) for each in range(3))
    return (red << 16) | (green << 8) | blue


def thumbnail(pixels: np.ndarray, side_px: int) -> bytes:
    """The picture of a cell, (h, w, 3) uint8, as a WebP of at most `side_px` a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((side_px, side_px))
    return _webp(image)


def _webp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()
