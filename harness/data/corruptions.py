"""What happens to blood films between patient and pixel? Draws it onto images: pixels in, pixels out.

A disturbance has a kind and a severity: 0 changes no bit, 1 is a good laboratory's ordinary spread, 5 is a film that a
morphologist would send back. `AMOUNTS` says what each severity means, in units that do not depend on the image's size
wherever the thing itself does not. What chance decides (which way a stain shifts, where a bubble lies) is drawn alike
at every severity, so that a generator in the same state gives the same mishap, only worse: the points of a curve are
paired by cell.

Noise and JPEG work on pixels as they are given: whether before or after the resize to the network's size belongs beside
the result.

The same generator gives the same pixels on one machine. Other builds of NumPy or libjpeg may round a level differently:
digests of disturbed pixels prove nothing across machines.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.core.errors import DataError
from harness.data.backgrounds import background_plane
from harness.data.image_arrays import Floats, Pixels, as_levels, blurred, check_image, check_name, resized
from harness.data.obstacles import with_bubble, with_second_cell

# (the image at a place, a place) -> that image, changed; given all images, so that one may take something of another.
Change: TypeAlias = Callable[[Callable[[int], Pixels], int], Pixels]
WORST = 5
SEVERITIES = range(WORST + 1)


@dataclass(frozen=True, slots=True)
class Amount:
    """What the severities of one kind of disturbance mean.

    meaning:  what the number is, for a person.
    unit:     "x" (times or divided by, either with probability one half; for the two stains a direction is drawn in the
              plane of their log factors, at this distance), "% of side" (of the image's shorter side),
              "levels" (of 255), "quality" (libjpeg's), "degrees".
    by_severity: the number at severity 1 to 5; at severity 0 nothing is done.
    """

    meaning: str
    unit: str
    by_severity: tuple[float, float, float, float, float]

    def at(self, severity: int) -> float:
        return self.by_severity[severity - 1]

    def written(self, severity: int) -> str:
        """The amount of one severity, short enough for an axis, such as "1.2 %"; "none" at severity 0."""
        if severity == 0:
            return "none"
        before, after = {"% of side": ("", " %"), "degrees": ("", "°"), "x": ("x ", "")}.get(self.unit, ("", ""))
        return f"{before}{self.at(severity):g}{after}"


AMOUNTS: Mapping[str, Amount] = MappingProxyType(
    {
        "stain": Amount("uptake of azure and eosin: factor of optical density", "x", (1.1, 1.2, 1.4, 1.7, 2.2)),
        "brightness": Amount("lamp: factor of every pixel value", "x", (1.04, 1.08, 1.14, 1.22, 1.35)),
        "contrast": Amount("factor of the distance from the image's mean grey", "x", (1.08, 1.16, 1.28, 1.45, 1.7)),
        "defocus": Amount("standard deviation of a Gaussian blur", "% of side", (0.4, 0.8, 1.4, 2.2, 3.2)),
        "noise": Amount("standard deviation of the camera's noise per pixel", "levels", (4, 8, 14, 22, 32)),
        "jpeg": Amount("saved once more as JPEG, colour at half resolution", "quality", (90, 70, 45, 25, 10)),
        "resolution": Amount("sampled at so much of the side, and enlarged again", "% of side", (80, 60, 45, 33, 25)),
        "rotation": Amount("turned either way", "degrees", (5, 10, 20, 40, 80)),
        "scale": Amount("magnification", "x", (1.05, 1.1, 1.17, 1.27, 1.4)),
        "bubble": Amount("an air bubble over part of the cell: its diameter", "% of side", (10, 17, 25, 34, 44)),
        "second_cell": Amount("a neighbour: distance of its centre from the middle", "% of side", (78, 69, 61, 53, 45)),
    }
)  # fmt: skip
KINDS = tuple(AMOUNTS)
# Exact permutations of pixels: a cell on a slide has neither top nor handedness.
INVARIANCES = ("rotation_90", "rotation_180", "rotation_270", "flip_horizontal", "flip_vertical")
# Azure B (as methylene blue) and eosin in optical density: the "Giemsa" vectors of G. Landini's Colour Deconvolution
# for ImageJ, after Ruifrok and Johnston (2001), Anal. Quant. Cytol. Histol. 23:291-299. The third holds the rest.
AZURE, EOSIN = (0.834750233, 0.513556283, 0.196330403), (0.092789, 0.954111, 0.283111)
# A picture continues beyond its edge as its mirror image, which turns into plain background from the first to the
# second of these (of the shorter side): mirrored further, the cell itself would appear a second time.
MIRRORED, FADED = 0.06, 0.22


# --- disturbing -------------------------------------------------------------------------------


def disturb(
    pixels: Pixels, kind: str, severity: int, rng: np.random.Generator, *, other: Pixels | None = None
) -> Pixels:
    """One image of a cell after a mishap.

    Args:
        pixels: (height, width, 3) uint8 RGB, at least 16 px each way; not changed.
        kind: one of `KINDS`.
        severity: 0 to 5; `AMOUNTS` says what they mean. 0 gives back the same pixels to the bit.
        rng: the only source of randomness. The same state gives the same mishap at every severity.
        other: the image of another cell, of the same size: what "second_cell" pastes. Other kinds ignore it.
    Returns:
        A new array of the same shape and type.
    Raises:
        UnknownDisturbance: no such kind.
        DataError: no such severity, no RGB image, or no other cell for "second_cell".
    """
    check_name(kind, KINDS, "disturbance")
    if severity not in SEVERITIES:
        raise DataError(f"severity {severity} of {kind!r} is not defined. Give a whole number from 0 to {WORST}.")
    check_image(pixels)
    if kind == "second_cell" and (other is None or other.shape != pixels.shape):
        shape = None if other is None else other.shape
        raise DataError(f"a second cell of shape {shape} does not fit an image of {pixels.shape}. Give `other` alike.")
    if severity == 0:
        return pixels.copy()
    if kind == "second_cell":
        assert other is not None  # checked above
        return with_second_cell(pixels, other, AMOUNTS[kind].at(severity), rng)
    return _DRAWERS[kind](pixels, AMOUNTS[kind].at(severity), rng)


def corruption(
    digests: Sequence[str], kind: str, severity: int, *, seed: int, second_cells: Sequence[int] | None = None
) -> Change:
    """One kind of mishap for every image of a set, each its own: as a function of the set's images and of one's place.

    What happens to an image depends on (seed, kind, its content) alone, for "second_cell" also on which other contents
    the set holds; never on order or batch. The second cell may be of any class: the reference label stays that of the
    cell in the middle. Images may differ in size: a second cell is brought to the size of the image that it lands in.

    Args:
        digests: (n,) hex SHA-256 of each image's file.
        seed: 0 or above.
        second_cells: (n,) the place of each image's second cell, where these images are a slice of the set;
            `second_cells_of` the set says which image it is. None: these are the set.
    Raises:
        UnknownDisturbance, DataError: as `disturb`; or no second content in the set. The change raises them, too.
    """
    others = None
    if kind == "second_cell":
        others = second_cells_of(digests, seed=seed) if second_cells is None else second_cells

    def change(image: Callable[[int], Pixels], index: int) -> Pixels:
        pixels = image(index)
        other = None if others is None else resized(image(int(others[index])), pixels.shape[0], pixels.shape[1])
        return disturb(pixels, kind, severity, _generator(seed, kind, digests[index]), other=other)

    return change


def second_cells_of(digests: Sequence[str], *, seed: int) -> NDArray[np.int64]:
    """For each image the place of another with other content, whatever the order of the set."""
    contents = sorted(set(digests))
    if len(contents) < 2:
        raise DataError(f"{len(digests)} images show {len(contents)} contents. A second cell needs a second content.")
    rank = {digest: place for place, digest in enumerate(contents)}
    place = {digest: index for index, digest in reversed(list(enumerate(digests)))}
    chosen = []
    for digest in digests:
        step = int(_generator(seed, "partner", digest).integers(1, len(contents)))
        chosen.append(place[contents[(rank[digest] + step) % len(contents)]])
    return np.array(chosen, dtype=np.int64)


def corrupt_set(pixels: Pixels, digests: Sequence[str], kind: str, severity: int, *, seed: int) -> Pixels:
    """Every image of a set after the same `corruption`.

    Args:
        pixels: (n, height, width, 3) uint8 RGB.
        digests: (n,) hex SHA-256 of each image's file.
        seed: 0 or above.
    Returns:
        A new array like `pixels`.
    Raises:
        UnknownDisturbance, DataError: as `disturb`; or digests that do not fit; or no second content in the set.
    """
    if len(digests) != len(pixels):
        raise DataError(f"{len(pixels)} images have {len(digests)} digests. Name one for each, in the same order.")
    change = corruption(digests, kind, severity, seed=seed)
    disturbed = np.empty_like(pixels)
    for i in range(len(pixels)):
        disturbed[i] = change(pixels.__getitem__, i)
    return disturbed


def turned(pixels: Pixels, invariance: str) -> Pixels:
    """Images turned or mirrored: the same pixels in other places, none of them computed.

    Args:
        pixels: (..., height, width, 3) uint8; a stack must be of square images for the quarter turns.
        invariance: one of `INVARIANCES`.
    Raises:
        UnknownDisturbance: no such invariance.
        DataError: a quarter turn of a stack of images that are not square.
    """
    check_name(invariance, INVARIANCES, "invariance")
    height, width = pixels.shape[-3:-1]
    if invariance in ("rotation_90", "rotation_270") and height != width and pixels.ndim > 3:
        raise DataError(f"images of {height} x {width} px do not keep their shape in a quarter turn. Give square ones.")
    match invariance:
        case "flip_horizontal":
            found = pixels[..., :, ::-1, :]
        case "flip_vertical":
            found = pixels[..., ::-1, :, :]
        case _:
            found = np.rot90(pixels, k=int(invariance.removeprefix("rotation_")) // 90, axes=(-3, -2))
    return np.ascontiguousarray(found)


# --- light ------------------------------------------------------------------------------------


def _stain(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    # One direction in the plane of the two stains' log factors, so that every image is shifted by the same amount.
    turn = rng.uniform(0, 2 * np.pi)
    azure, eosin = factor ** np.cos(turn), factor ** np.sin(turn)
    vectors = _stain_vectors()
    change = np.linalg.inv(vectors) @ np.diag([azure, eosin, 1.0]) @ vectors
    # Of 256, so that black has a finite density; the exponential undoes it exactly where nothing changes.
    density = -np.log((np.arange(256) + 1.0) / 256.0)[pixels]
    return as_levels(256.0 * np.exp(-(density @ change)) - 1.0)


def _brightness(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    return as_levels(pixels * _either_way(factor, rng))


def _contrast(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    grey = float(pixels.mean())
    return as_levels(grey + (np.arange(256) - grey) * _either_way(factor, rng)).take(pixels)


def _noise(pixels: Pixels, sd: float, rng: np.random.Generator) -> Pixels:
    return as_levels(pixels + sd * rng.standard_normal(pixels.shape, dtype=np.float32))


# --- optics and files -------------------------------------------------------------------------


def _defocus(pixels: Pixels, percent: float, rng: np.random.Generator) -> Pixels:
    return as_levels(blurred(pixels.astype(np.float32), percent / 100 * min(pixels.shape[:2])))


def _jpeg(pixels: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(quality), subsampling="4:2:0")
    return np.array(Image.open(buffer), dtype=np.uint8)


def _resolution(pixels: Pixels, percent: float, rng: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    small = (max(1, round(width * percent / 100)), max(1, round(height * percent / 100)))
    image = Image.fromarray(pixels).resize(small, Image.Resampling.BILINEAR)  # Pillow averages where it reduces
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.uint8)


# --- geometry ---------------------------------------------------------------------------------


def _rotation(pixels: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    turn = np.deg2rad(degrees if rng.random() < 0.5 else -degrees)
    return _resampled(pixels, np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]))


def _scale(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    return _resampled(pixels, np.eye(2) / _either_way(factor, rng))


def _resampled(pixels: Pixels, matrix: Floats) -> Pixels:
    """Each pixel from where `matrix` sends it, seen from the middle; beyond the edge lies `_continued`."""
    height, width = pixels.shape[:2]
    corner = np.abs(matrix) @ [width / 2, height / 2]  # the furthest that is looked at, from the middle
    margin = max(0, int(np.ceil(max(corner[0] - width / 2, corner[1] - height / 2)))) + 2
    canvas = _continued(pixels, margin)
    middle = np.array([width / 2, height / 2])
    offset = middle + margin - matrix @ middle
    data = (*matrix[0].tolist(), float(offset[0]), *matrix[1].tolist(), float(offset[1]))
    image = Image.fromarray(canvas).transform(
        (width, height), Image.Transform.AFFINE, data, resample=Image.Resampling.BICUBIC
    )
    return np.array(image, dtype=np.uint8)


def _continued(pixels: Pixels, margin: int) -> Pixels:
    """The image with `margin` pixels more on each side: mirrored, then fading to its own background.

    Black or grey corners would tell a network that the image was turned.
    """
    height, width = pixels.shape[:2]
    mirrored = [np.pad(np.arange(n), margin, mode="symmetric") for n in (height, width)]
    canvas = pixels.take(mirrored[0], axis=0).take(mirrored[1], axis=1)
    fading = max(0, math.ceil(margin - MIRRORED * min(height, width)))  # so many pixels from the canvas's edge inwards
    if fading == 0:
        return canvas
    plane = background_plane(pixels, margin)
    at = [np.arange(-margin, n + margin) for n in (height, width)]
    away = [np.maximum(-each, each - (n - 1)).clip(min=0) for each, n in zip(at, (height, width), strict=True)]
    first, last, between = slice(0, fading), slice(-fading, None), slice(fading, -fading)
    for rows, columns in ((first, slice(None)), (last, slice(None)), (between, first), (between, last)):
        outside = np.maximum(away[0][rows, None], away[1][None, columns])
        share = np.clip((outside / min(height, width) - MIRRORED) / (FADED - MIRRORED), 0.0, 1.0).astype(np.float32)
        part = canvas[rows, columns].astype(np.float32)
        part += share[:, :, None] * (plane(rows, columns) - part)
        canvas[rows, columns] = as_levels(part)
    return canvas


_DRAWERS: Mapping[str, Callable[[Pixels, float, np.random.Generator], Pixels]] = {
    "stain": _stain,
    "brightness": _brightness,
    "contrast": _contrast,
    "defocus": _defocus,
    "noise": _noise,
    "jpeg": _jpeg,
    "resolution": _resolution,
    "rotation": _rotation,
    "scale": _scale,
    "bubble": with_bubble,
}


# --- helpers ----------------------------------------------------------------------------------


def _either_way(factor: float, rng: np.random.Generator) -> float:
    return factor if rng.random() < 0.5 else 1.0 / factor


@cache
def _stain_vectors() -> NDArray[np.float64]:
    """(3, 3) unit optical densities: azure, eosin, and what is at right angles to both."""
    azure, eosin = (np.array(v) / np.linalg.norm(v) for v in (AZURE, EOSIN))
    rest = np.cross(azure, eosin)
    return np.stack([azure, eosin, rest / np.linalg.norm(rest)])


def _generator(seed: int, kind: str, digest: str) -> np.random.Generator:
    try:
        content = int(digest, 16)
    except ValueError:
        raise DataError(f"{digest!r} is not a digest. Give the hex SHA-256 of the image's file.") from None
    return np.random.default_rng([seed, int.from_bytes(kind.encode(), "big"), content])
