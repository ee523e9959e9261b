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
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn, idctn

from harness.core.errors import DataError

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.floating[Any]]
# (the image at a place, a place) -> that image, changed; given all images, so that one may take something of another.
Change: TypeAlias = Callable[[Callable[[int], Pixels], int], Pixels]

WORST = 5
SEVERITIES = range(WORST + 1)
MIN_SIZE_PX = 16  # below this a border has hardly a pixel to say what the background is


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
NO_CELLS = ("blank", "red_cells", "noise", "text", "grey")
# Exact permutations of pixels: a cell on a slide has neither top nor handedness.
INVARIANCES = ("rotation_90", "rotation_180", "rotation_270", "flip_horizontal", "flip_vertical")

# Azure B (as methylene blue) and eosin in optical density: the "Giemsa" vectors of G. Landini's Colour Deconvolution
# for ImageJ, after Ruifrok and Johnston (2001), Anal. Quant. Cytol. Histol. 23:291-299. The third holds the rest.
AZURE, EOSIN = (0.834750233, 0.513556283, 0.196330403), (0.092789, 0.954111, 0.283111)
RING = 1 / 16  # width of the border that tells the background, of the shorter side
# A picture continues beyond its edge as its mirror image, which turns into plain background from the first to the
# second of these (of the shorter side): mirrored further, the cell itself would appear a second time.
MIRRORED, FADED = 0.06, 0.22
CELL_RADIUS, CELL_EDGE = 0.36, 0.10  # what is pasted of a second cell, of the side: most cells, and a soft edge
RED_CELL_SHARE = 0.27  # diameter of a red cell, 7.5 um, in a field of 27 um as around white cells in the PBC set
RED_CELL: tuple[float, float, float] = (0.86, 0.77, 0.80)  # light that one lets through, where a set shows none


class UnknownDisturbance(DataError):
    """A kind of disturbance, of input without a cell or of invariance that nobody has drawn yet."""


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
    _check_name(kind, KINDS, "disturbance")
    if severity not in SEVERITIES:
        raise DataError(f"severity {severity} of {kind!r} is not defined. Give a whole number from 0 to {WORST}.")
    _check_image(pixels)
    if kind == "second_cell" and (other is None or other.shape != pixels.shape):
        shape = None if other is None else other.shape
        raise DataError(f"a second cell of shape {shape} does not fit an image of {pixels.shape}. Give `other` alike.")
    if severity == 0:
        return pixels.copy()
    if kind == "second_cell":
        assert other is not None  # checked above
        return _with_second_cell(pixels, other, AMOUNTS[kind].at(severity), rng)
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


def resized(pixels: Pixels, height_px: int, width_px: int | None = None) -> Pixels:
    """One image in another size, square where only one side is given; the same array where it has that size."""
    wanted = (height_px, height_px if width_px is None else width_px)
    if pixels.shape[:2] == wanted:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(wanted[::-1], Image.Resampling.BILINEAR))


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
    _check_name(invariance, INVARIANCES, "invariance")
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


# --- what is not a cell --------------------------------------------------------------------------


def background_of(pixels: Pixels) -> Background:
    """What the empty slide looks like in these images, from their borders.

    Args:
        pixels: (n, height, width, 3) uint8 RGB with n at least 1; the train part, so that nothing of a test set is
            looked at.
    """
    if pixels.ndim != 4 or not len(pixels):
        raise DataError(f"pixels of shape {pixels.shape} are not a set of images. Give (n, height, width, 3), n >= 1.")
    _check_image(pixels[0])
    colours = np.stack([_background_colour(image) for image in pixels])
    rings = pixels[:, _ring(*pixels.shape[1:3])].astype(np.float64)
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


def no_cell(kind: str, *, size_px: int, like: Background, rng: np.random.Generator) -> Pixels:
    """An input that holds no white cell, in the colours of a set of images.

    blank: the empty slide, unevenly lit. red_cells: red cells on it. noise: independent pixels with the set's mean and
    spread. text: dark lines of print on the slide's colour. grey: one grey everywhere.

    Args:
        kind: one of `NO_CELLS`.
        size_px: width and height, at least 16.
    Returns:
        (size_px, size_px, 3) uint8 RGB.
    Raises:
        UnknownDisturbance: no such kind.
        DataError: size_px is below 16.
    """
    _check_name(kind, NO_CELLS, "input without a cell")
    if size_px < MIN_SIZE_PX:
        raise DataError(f"an image of {size_px} px shows nothing. Give size_px of {MIN_SIZE_PX} or more.")
    if kind == "noise":
        return _levels(rng.normal(like.mean, like.sd, (size_px, size_px, 3)))
    if kind == "grey":
        return np.full((size_px, size_px, 3), round(rng.uniform(40, 215)), dtype=np.uint8)
    slide = np.ones((size_px, size_px, 3)) * rng.choice(like.colours)
    if kind == "red_cells":
        slide *= _red_cells(size_px, like.red_cell, rng)
    if kind == "text":
        slide *= _print(size_px, rng)[:, :, None]
    y, x = _coordinates(size_px, size_px)
    turn = rng.uniform(0, 2 * np.pi)
    lamp = 1.0 + rng.uniform(0, 0.12) * (np.cos(turn) * x + np.sin(turn) * y)
    return _levels(slide * lamp[:, :, None] + rng.normal(0, max(like.noise, 0.5), slide.shape))


def _red_cells(size_px: int, light: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    """(size, size, 3) light that passes some red cells, paler in the middle."""
    y, x = _coordinates(size_px, size_px)
    passed = np.ones((size_px, size_px, 3))
    radius = 0.5 * RED_CELL_SHARE * rng.uniform(0.85, 1.15)
    pallor = rng.uniform(0.3, 0.9)
    taken: list[NDArray[np.float64]] = []
    for centre in rng.uniform(-0.6, 0.6, (rng.integers(8, 31), 2)):
        if any(float(np.hypot(*(centre - each))) < 1.7 * radius for each in taken):
            continue
        taken.append(centre)
        stretch = rng.uniform(0.92, 1.09)
        inside = np.hypot((x - centre[0]) * stretch, (y - centre[1]) / stretch) / radius
        cover = np.clip((1.0 - inside) * radius * size_px + 0.5, 0.0, 1.0)
        thickness = 1.0 - pallor * (1.0 - np.clip(inside / 0.8, 0.0, 1.0) ** 2) ** 2
        passed *= 1.0 - (cover * thickness)[:, :, None] * (1.0 - np.array(light))
    return passed


def _print(size_px: int, rng: np.random.Generator) -> Floats:
    """(size, size) light reflected by lines of dark strokes, as a page under the camera."""
    page = np.ones((size_px, size_px))
    line = max(5, round(size_px * rng.uniform(0.07, 0.12)))
    for top in range(line // 2, size_px - line, round(1.6 * line)):
        column = rng.integers(0, line)
        while column < size_px - 2:
            stroke, ink = max(1, line // 6), rng.uniform(0.1, 0.3)
            upright, bar = rng.integers(0, line // 3 + 1), rng.integers(0, line)
            page[top + upright : top + line, column : column + stroke] = ink
            page[top + bar : top + bar + stroke, column : column + line // 2] = ink
            column += line // 2 + stroke + (line if rng.random() < 0.2 else 1)
    return page


# --- light ------------------------------------------------------------------------------------


def _stain(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    # One direction in the plane of the two stains' log factors, so that every image is shifted by the same amount.
    turn = rng.uniform(0, 2 * np.pi)
    azure, eosin = factor ** np.cos(turn), factor ** np.sin(turn)
    vectors = _stain_vectors()
    change = np.linalg.inv(vectors) @ np.diag([azure, eosin, 1.0]) @ vectors
    # Of 256, so that black has a finite density; the exponential undoes it exactly where nothing changes.
    density = -np.log((np.arange(256) + 1.0) / 256.0)[pixels]
    return _levels(256.0 * np.exp(-(density @ change)) - 1.0)


def _brightness(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    return _levels(pixels * _either_way(factor, rng))


def _contrast(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    grey = float(pixels.mean())
    return _levels(grey + (np.arange(256) - grey) * _either_way(factor, rng)).take(pixels)


def _noise(pixels: Pixels, sd: float, rng: np.random.Generator) -> Pixels:
    return _levels(pixels + sd * rng.standard_normal(pixels.shape, dtype=np.float32))


# --- optics and files -------------------------------------------------------------------------


def _defocus(pixels: Pixels, percent: float, rng: np.random.Generator) -> Pixels:
    return _levels(_blurred(pixels.astype(np.float32), percent / 100 * min(pixels.shape[:2])))


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
    plane = _background_plane(pixels, margin)
    at = [np.arange(-margin, n + margin) for n in (height, width)]
    away = [np.maximum(-each, each - (n - 1)).clip(min=0) for each, n in zip(at, (height, width), strict=True)]
    first, last, between = slice(0, fading), slice(-fading, None), slice(fading, -fading)
    for rows, columns in ((first, slice(None)), (last, slice(None)), (between, first), (between, last)):
        outside = np.maximum(away[0][rows, None], away[1][None, columns])
        share = np.clip((outside / min(height, width) - MIRRORED) / (FADED - MIRRORED), 0.0, 1.0).astype(np.float32)
        part = canvas[rows, columns].astype(np.float32)
        part += share[:, :, None] * (plane(rows, columns) - part)
        canvas[rows, columns] = _levels(part)
    return canvas


# --- things in the way ------------------------------------------------------------------------


def _bubble(pixels: Pixels, percent: float, rng: np.random.Generator) -> Pixels:
    """A round lens of air: what lies below is blurred and washed out, its rim is dark, a highlight sits on it."""
    y, x = _coordinates(*pixels.shape[:2])
    turn, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.10, 0.22)
    highlight_turn = rng.uniform(0, 2 * np.pi)
    radius, px = percent / 200, 1.0 / min(pixels.shape[:2])
    u, v = x - distance * np.cos(turn), y - distance * np.sin(turn)
    edge = max(px, 0.02 * radius) / radius
    reach = radius * (1.0 + edge / 2.0)  # beyond it nothing changes, and nothing is computed
    rows, columns = (slice(*np.searchsorted(each.ravel(), (-reach, reach))) for each in (v, u))
    u, v = u[:, columns], v[rows]
    inside = np.hypot(u, v) / radius
    cover = np.clip((1.0 - inside) / edge + 0.5, 0.0, 1.0)[:, :, None]
    below = _blurred(pixels.astype(np.float32), 0.15 * radius * min(pixels.shape[:2]))[rows, columns]
    below += 0.35 * (_background_colour(pixels).astype(np.float32) - below)
    rim = np.exp(-0.5 * ((inside - 0.88) / max(0.07, 0.7 * edge)) ** 2)[:, :, None]
    below *= 1.0 - 0.65 * rim
    gleam = np.hypot(u - 0.42 * radius * np.cos(highlight_turn), v - 0.42 * radius * np.sin(highlight_turn))
    below += np.exp(-0.5 * (gleam / (0.14 * radius)) ** 2)[:, :, None] * (250.0 - below) * 0.9
    changed, image = pixels.copy(), pixels[rows, columns].astype(np.float32)
    changed[rows, columns] = _levels(image + cover * (below - image))
    return changed


def _with_second_cell(pixels: Pixels, other: Pixels, percent: float, rng: np.random.Generator) -> Pixels:
    """`other`'s cell, cut out softly and brought to this slide's colour, with its centre so far from the middle."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    turn = rng.uniform(0, 2 * np.pi)
    right, down = round(percent / 100 * side * np.cos(turn)), round(percent / 100 * side * np.sin(turn))
    mine, theirs = _background_colour(pixels), _background_colour(other)
    light = other / theirs
    darkest = np.minimum(np.minimum(light[:, :, 0], light[:, :, 1]), light[:, :, 2])
    # Empty slide inside the disc stays this image's own: only what takes light is pasted, with a soft outline.
    stained = _blurred(np.clip((0.96 - darkest) / 0.10, 0.0, 1.0)[:, :, None], 0.008 * side)[:, :, 0]
    cover = _middle(height, width) * np.clip(stained, 0.0, 1.0)
    to_y, to_x = slice(max(0, down), min(height, height + down)), slice(max(0, right), min(width, width + right))
    from_y, from_x = slice(max(0, -down), min(height, height - down)), slice(max(0, -right), min(width, width - right))
    changed, part = pixels.copy(), pixels[to_y, to_x].astype(np.float64)
    part += cover[from_y, from_x, None] * (light[from_y, from_x] * mine - part)
    changed[to_y, to_x] = _levels(part)
    return changed


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
    "bubble": _bubble,
}


# --- helpers ----------------------------------------------------------------------------------


def _either_way(factor: float, rng: np.random.Generator) -> float:
    return factor if rng.random() < 0.5 else 1.0 / factor


def _levels(values: Floats) -> Pixels:
    clipped = np.clip(values, 0.0, 255.0)
    levels: Pixels = np.rint(clipped, out=clipped).astype(np.uint8)
    return levels


def _blurred(image: Floats, sigma_px: float) -> Floats:
    """Gaussian blur of (h, w, c) with mirrored borders, by cosine transform.

    Exact for any width: a sampled kernel narrower than a pixel does nothing, and at 32 px most blurs are.
    """
    height, width = image.shape[:2]
    spectrum = dctn(image, axes=(0, 1))
    down, across = (np.exp(-0.5 * (sigma_px * np.pi * np.arange(n) / n) ** 2) for n in (height, width))
    spectrum *= (down[:, None] * across[None, :])[:, :, None].astype(image.dtype)
    blurred: Floats = idctn(spectrum, axes=(0, 1))
    return blurred


def _background_colour(pixels: Pixels) -> NDArray[np.float64]:
    """(3,) the colour of the empty slide: the median of the brighter half of the image's border, never black."""
    ring = pixels.reshape(-1, 3).take(_ring_places(*pixels.shape[:2]), axis=0)
    light = ring[:, 0].astype(np.int64) + ring[:, 1] + ring[:, 2]
    colour: NDArray[np.float64] = np.median(ring[light >= np.median(light)], axis=0)
    return np.maximum(colour, 1.0)


def _background_plane(pixels: Pixels, margin: int) -> Callable[[slice, slice], Floats]:
    """The empty slide around the image, as unevenly lit as its border shows.

    Returns:
        (rows, columns) -> what of the (h + 2 margin, w + 2 margin, 3) colours lies there.
    """
    height, width = pixels.shape[:2]
    ring = _ring(height, width)
    colours, (y, x) = pixels[ring].astype(np.float64), _coordinates(height, width)
    light = colours.sum(axis=1)
    y, x = (np.broadcast_to(each, (height, width))[ring] for each in (y, x))
    empty = light >= np.median(light)
    basis = np.stack([np.ones(int(empty.sum())), y[empty], x[empty]], axis=1)
    # Normal equations with a little of the identity: the empty part of a border may lie all on one side.
    level, down, across = np.linalg.solve(
        basis.T @ basis + 0.02 * len(basis) * np.diag([0, 1, 1]), basis.T @ colours[empty]
    )
    wide_y, wide_x = _coordinates(height + 2 * margin, width + 2 * margin)
    grown = min(height + 2 * margin, width + 2 * margin) / min(height, width)
    # A slope is believed as far as the border showed it, and no further.
    low, high = np.quantile(colours[empty], (0.1, 0.9), axis=0)

    def seen(rows: slice, columns: slice) -> Floats:
        vertically, horizontally = (wide_y * grown)[rows, :, None] * down, (wide_x * grown)[:, columns, None] * across
        return np.asarray(np.clip(level + vertically + horizontally, low, high), dtype=np.float32)

    return seen


@cache
def _ring(height: int, width: int) -> NDArray[np.bool_]:
    thick = max(1, round(RING * min(height, width)))
    ring = np.ones((height, width), dtype=bool)
    ring[thick:-thick, thick:-thick] = False
    return ring


@cache
def _ring_places(height: int, width: int) -> NDArray[np.int64]:
    return np.flatnonzero(_ring(height, width))


@cache
def _middle(height: int, width: int) -> NDArray[np.float64]:
    """(h, w) what is pasted of a second cell: 1 in the middle, 0 beyond a soft edge."""
    y, x = _coordinates(height, width)
    return np.clip((CELL_RADIUS - np.hypot(x, y)) / CELL_EDGE + 0.5, 0.0, 1.0)


@cache
def _coordinates(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(h, 1) y and (1, w) x of pixel centres from the middle, in shares of the shorter side."""
    side = min(height, width)
    y, x = ((np.arange(n) + 0.5 - n / 2) / side for n in (height, width))
    return y[:, None], x[None, :]


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


def _triple(values: Floats) -> tuple[float, float, float]:
    r, g, b = (float(v) for v in values)
    return r, g, b


def _check_name(name: str, among: Sequence[str], what: str) -> None:
    if name not in among:
        raise UnknownDisturbance(f"no {what} is called {name!r}. Use one of {', '.join(among)}.")


def _check_image(pixels: Pixels) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < MIN_SIZE_PX:
        raise DataError(
            f"{pixels.dtype} of shape {pixels.shape} is not an RGB image. Give (height, width, 3) uint8 of at least "
            f"{MIN_SIZE_PX} px each way."
        )
