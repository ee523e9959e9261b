"""What lies around a cell: colour, light and noise of the background, told from the border of the frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataError
from harness.data.image_arrays import Floats, Pixels, check_image

RING = 1 / 16  # width of the border that tells the background, of the shorter side
RED_CELL: tuple[float, float, float] = (0.86, 0.77, 0.80)  # light that one lets through, where a set shows none


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """What the empty slide looks like in a set of images: what `no_cell` draws from.

    colours:    (n, 3) the background's colour in each image, in levels of 255. Whole colours are drawn from these:
                channels that vary independently would give tints that no slide of the set has.
    red_cell:   light that a red cell lets through, a fraction of the background's per channel.
    mean, sd:   of all pixels of the set per channel, cells included, in levels.
    noise:      standard deviation of the grain from pixel to pixel, in levels.
    """

    colours: Floats
    red_cell: tuple[float, float, float]
    mean: tuple[float, float, float]
    sd: tuple[float, float, float]
    noise: float


def background_of(pixels: Pixels) -> Background:
    """What the empty slide looks like in these images, from their borders.

    Args:
        pixels: (n, height, width, 3) uint8 RGB with n at least 1; the train part, so that nothing of a test set is
            looked at.
    """
    if pixels.ndim != 4 or not len(pixels):
        raise DataError(f"pixels of shape {pixels.shape} are not a set of images. Give (n, height, width, 3), n >= 1.")
    check_image(pixels[0])
    colours = np.stack([background_colour(image) for image in pixels])
    rings = pixels[:, ring_of(*pixels.shape[1:3])].astype(np.float64)
    light = rings / colours[:, None, :]
    seen = light[light.mean(axis=2) < 0.93]  # a red cell takes a sixth of the light; grain and vignette take less
    flat = pixels.reshape(-1, 3)
    # Half of neighbours' differences come from structures; the median passes them by. 1.4826 * MAD, over sqrt(2).
    steps = np.abs(np.diff(rings, axis=1))
    return Background(
        colours=colours,
        red_cell=_triple(np.median(seen, axis=0)) if len(seen) > 100 else RED_CELL,
        mean=_triple(flat.mean(axis=0)),
        sd=_triple(flat.std(axis=0)),
        noise=float(np.median(steps) * 1.4826 / np.sqrt(2.0)),
    )


def background_colour(pixels: Pixels) -> NDArray[np.float64]:
    """(3,) the colour of the empty slide: the median of the brighter half of the image's border, never black."""
    ring = pixels.reshape(-1, 3).take(ring_places(*pixels.shape[:2]), axis=0)
    light = ring[:, 0].astype(np.int64) + ring[:, 1] + ring[:, 2]
    colour: NDArray[np.float64] = np.median(ring[light >= np.median(light)], axis=0)
    return np.maximum(colour, 1.0)


def background_plane(pixels: Pixels, margin: int) -> Callable[[slice, slice], Floats]:
    """The empty slide around the image, as unevenly lit as its border shows.

    Returns:
        (rows, columns) -> what of the (h + 2 margin, w + 2 margin, 3) colours lies there.
    """
    height, width = pixels.shape[:2]
    ring = ring_of(height, width)
    colours, (y, x) = pixels[ring].astype(np.float64), coordinates_of(height, width)
    light = colours.sum(axis=1)
    y, x = (np.broadcast_to(each, (height, width))[ring] for each in (y, x))
    empty = light >= np.median(light)
    basis = np.stack([np.ones(int(empty.sum())), y[empty], x[empty]], axis=1)
    # Normal equations with a little of the identity: the empty part of a border may lie all on one side.
    level, down, across = np.linalg.solve(
        basis.T @ basis + 0.02 * len(basis) * np.diag([0, 1, 1]), basis.T @ colours[empty]
    )
    wide_y, wide_x = coordinates_of(height + 2 * margin, width + 2 * margin)
    grown = min(height + 2 * margin, width + 2 * margin) / min(height, width)
    # A slope is believed as far as the border showed it, and no further.
    low, high = np.quantile(colours[empty], (0.1, 0.9), axis=0)

    def seen(rows: slice, columns: slice) -> Floats:
        vertically, horizontally = (wide_y * grown)[rows, :, None] * down, (wide_x * grown)[:, columns, None] * across
        return np.asarray(np.clip(level + vertically + horizontally, low, high), dtype=np.float32)

    return seen


@cache
def ring_of(height: int, width: int) -> NDArray[np.bool_]:
    """(h, w) whether a pixel lies on the border that tells the background."""
    thick = max(1, round(RING * min(height, width)))
    ring = np.ones((height, width), dtype=bool)
    ring[thick:-thick, thick:-thick] = False
    return ring


@cache
def ring_places(height: int, width: int) -> NDArray[np.int64]:
    """The same as places in the flattened image."""
    return np.flatnonzero(ring_of(height, width))


@cache
def coordinates_of(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(h, 1) y and (1, w) x of pixel centres from the middle, in shares of the shorter side."""
    side = min(height, width)
    y, x = ((np.arange(n) + 0.5 - n / 2) / side for n in (height, width))
    return y[:, None], x[None, :]


def _triple(values: Floats) -> tuple[float, float, float]:
    r, g, b = (float(v) for v in values)
    return r, g, b
