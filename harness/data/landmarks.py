"""By which spots is a picture known again, however it is turned? Landmarks, and what lies in rings around them.

A landmark is a blob: an extremum of the difference of two Gaussians (Lowe, IJCV 2004). What lies around it is read in
rings, and described by what no turn, mirroring, gain or inversion changes: products of the angular spectra of two rings
(the invariants of Fourier-Mellin descriptors). A landmark that a bar or an edge has spoilt leaves the others.

All of it is read off local contrast: what is covered, padded or lit otherwise counts no more than any other spot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.hashing import THUMBNAIL_PX

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Lengths are pixels of a thumbnail at scale 1. They, and the numbers below, were chosen on 60 real cells and other
# copies than those that docs/duplicates.md reports.
CONTRAST_SIGMA_PX = 5.0
CONTRAST_FLOOR = 3.0  # grey levels: fainter than this is noise, and not made louder
BLOB_SIGMAS_PX = (2.5, 4.5)
MARGIN_PX, LEAST_MARGIN_PX = 9, 6
MOST_LANDMARKS, MOST_UNDISTURBED = 16, 10
# A border, a bar, a hole: flat to the last grey level, or black, of which JPEG leaves a few. Its edge, as far as this,
# says nothing of the picture either. White may be the empty slide in a bright light.
FILLED_PX, FILL_EDGE_PX = (3, 7), 1
BLACKEST = 6
FAINTEST_BLOB = 0.3
N_RINGS, N_ANGLES, N_ORDERS, RING_STEPS = 8, 32, 7, 4
RADIUS_PX, INNERMOST = 16.0, 0.16
N_COMPONENTS, DAMPING = 48, 0.003


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Spots of some pictures.

    image:  (m,) row of the picture.
    place:  (m, 2) down and right, in thumbnail pixels.
    scale:  (m,) of the rings.
    share:  (m,) how much around it belongs to the picture: see `pictured`.
    maps:   (m, rings, angles), zero mean and unit variance each; angles from right to down.
    """

    image: Ints
    place: Floats
    scale: Floats
    share: Floats
    maps: Floats

    def __getitem__(self, chosen: Any) -> Landmarks:
        return Landmarks(*(getattr(self, name)[chosen] for name in self.__slots__))


def landmarks(thumbnails: NDArray[np.uint8], *, scales: tuple[float, ...]) -> Landmarks:
    """The clearest spots of each picture at each scale, up to `MOST_LANDMARKS`."""
    pictures, known = thumbnails.astype(np.float32), pictured(thumbnails)
    found = [_at_scale(pictures, known, scale) for scale in scales]
    return Landmarks(*(np.concatenate([getattr(each, name) for each in found]) for name in Landmarks.__slots__))


def described(maps: Floats) -> Floats:
    """(m, 48) unit vectors, nearly the same for the same spot in a turned, mirrored or relit picture."""
    centre, axes = _components()
    rows = np.asarray((_invariants(maps) - centre) @ axes)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def local_contrast(pictures: Floats, *, scale: float = 1.0) -> Floats:
    """What stands out of its surroundings, in standard deviations of the surroundings."""
    sigma_px = CONTRAST_SIGMA_PX * scale * pictures.shape[-1] / THUMBNAIL_PX
    high = pictures - blurred(pictures, sigma_px)
    return np.asarray(high / np.sqrt(blurred(high * high, sigma_px) + np.float32(CONTRAST_FLOOR**2)))


def blurred(pictures: Floats, sigma_px: float) -> Floats:
    """Through a Gaussian, renormalised at the edges."""
    kernel = _gaussian(pictures.shape[-1], sigma_px)
    return np.asarray(kernel @ pictures @ kernel.T)


def sampled(pictures: Floats, image: Ints, down: Floats, right: Floats) -> Floats:
    """(m, k) values of picture `image[m]` at (m, k) places, between pixels linearly; what lies outside is the edge."""
    side = pictures.shape[-1]
    down, right = down.clip(0, side - 1.001), right.clip(0, side - 1.001)
    top, left = down.astype(np.int32), right.astype(np.int32)
    lower, further = down - top, right - left
    flat, at = pictures.reshape(-1), image[:, None] * (side * side) + top * side + left
    above = flat[at] * (1 - further) + flat[at + 1] * further
    below = flat[at + side] * (1 - further) + flat[at + side + 1] * further
    return np.asarray(above * (1 - lower) + below * lower, dtype=np.float32)


def pictured(thumbnails: NDArray[np.uint8]) -> Floats:
    """1 where a pixel belongs to the picture, 0 where something flat was laid over or around it, and at its edge."""
    covered = np.zeros(thumbnails.shape, dtype=np.bool_)
    for height, width in (FILLED_PX, FILLED_PX[::-1]):
        high, low = (_of_window(which, thumbnails, height, width) for which in (np.maximum, np.minimum))
        flat = (high == low) | (high <= BLACKEST)
        covered |= _of_window(np.logical_or, flat, height + 2 * FILL_EDGE_PX, width + 2 * FILL_EDGE_PX)
    return np.asarray(~covered, dtype=np.float32)


def _of_window(combined: np.ufunc, pictures: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """A maximum, minimum or "any" over the window around each pixel."""
    side = pictures.shape[1]
    padded = np.pad(pictures, ((0, 0), (height // 2, height // 2), (width // 2, width // 2)), mode="edge")
    rows = reduce(combined, (padded[:, at : at + side] for at in range(height)))
    return np.asarray(reduce(combined, (rows[:, :, at : at + side] for at in range(width))))


@cache
def _gaussian(side: int, sigma_px: float) -> Floats:
    at = np.arange(side)
    weights = np.exp(-((at[:, None] - at[None]) ** 2) / (2 * sigma_px**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


# --- spots --------------------------------------------------------------------------------------


def _at_scale(pictures: Floats, known: Floats, scale: float) -> Landmarks:
    contrast = local_contrast(pictures, scale=scale)
    around = blurred(known, RADIUS_PX / 2 * scale)
    image, place = _blobs(contrast, around, scale)
    down, right = place.round().astype(np.int64).T
    scales = np.full(len(image), scale, dtype=np.float32)
    return Landmarks(image, place, scales, around[image, down, right], _maps(contrast, image, place, scale))


def _blobs(contrast: Floats, share: Floats, scale: float) -> tuple[Ints, Floats]:
    """(image, place) of the clearest extrema, dark and bright, that are not too near to the edge."""
    fine, coarse = (blurred(contrast, sigma * scale) for sigma in BLOB_SIGMAS_PX)
    response = fine - coarse
    margin = max(LEAST_MARGIN_PX, round(MARGIN_PX * scale))
    inner = response[:, margin:-margin, margin:-margin]
    side = inner.shape[1]
    around = np.stack([
        response[:, margin + down : margin + down + side, margin + right : margin + right + side]
        for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right
    ])  # fmt: skip
    extreme = (inner > around.max(axis=0)) | (inner < around.min(axis=0))
    strength = np.where(extreme, np.abs(inner), 0)
    # What is laid over or around many pictures makes them alike: some spots are taken where it is far.
    undisturbed = strength * share[:, margin:-margin, margin:-margin] ** 2
    best = np.concatenate([_strongest(strength, MOST_LANDMARKS), _strongest(undisturbed, MOST_UNDISTURBED)], axis=1)
    best.sort(axis=1)
    faint = np.take_along_axis(_rows(strength), best, axis=1) <= FAINTEST_BLOB
    faint[:, 1:] |= best[:, 1:] == best[:, :-1]
    image, rank = np.nonzero(~faint)
    down, right = np.divmod(best[image, rank], side)
    return image, _refined(response, image, down + margin, right + margin)


def _rows(arrays: NDArray[Any]) -> NDArray[Any]:
    """Each one in a row of its own; unlike reshape's -1, also where there are none."""
    return arrays.reshape(len(arrays), math.prod(arrays.shape[1:]))


def _strongest(strength: Floats, n: int) -> Ints:
    return np.argsort(-_rows(strength), axis=1, kind="stable")[:, :n]


def _refined(response: Floats, image: Ints, down: Ints, right: Ints) -> Floats:
    """The summit of a parabola through the extremum and its neighbours, along each axis."""

    def summit(before: Floats, here: Floats, after: Floats) -> Floats:
        bend = before - 2 * here + after
        return np.asarray(((before - after) / 2 / np.where(bend == 0, 1, bend)).clip(-0.5, 0.5))

    here = response[image, down, right]
    lower = summit(response[image, down - 1, right], here, response[image, down + 1, right])
    further = summit(response[image, down, right - 1], here, response[image, down, right + 1])
    return np.stack([down + lower, right + further], axis=1).astype(np.float32)


# --- rings --------------------------------------------------------------------------------------


@cache
def _ring_offsets() -> Floats:
    """(2, rings, angles): down and right of the middle, at scale 1."""
    turns = np.arange(N_ANGLES) * 2 * np.pi / N_ANGLES
    radii = np.geomspace(RADIUS_PX * INNERMOST, RADIUS_PX, N_RINGS)[:, None]
    return np.stack([radii * np.sin(turns), radii * np.cos(turns)]).astype(np.float32)


def _maps(contrast: Floats, image: Ints, place: Floats, scale: float) -> Floats:
    """The rings around each place: the inner half finer than the outer, where angles are further apart."""
    offsets = _ring_offsets() * np.float32(scale)
    half = N_RINGS // 2
    rings = []
    for blur, which in ((scale, slice(0, half)), (2 * scale, slice(half, N_RINGS))):
        down, right = (place[:, axis, None] + offsets[axis, which].reshape(1, -1) for axis in (0, 1))
        rings.append(sampled(blurred(contrast, blur), image, down, right))
    flat = np.concatenate(rings, axis=1)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(flat.std(axis=1, keepdims=True), 1e-3)
    return np.asarray(flat.reshape(-1, N_RINGS, N_ANGLES))


def _invariants(maps: Floats) -> Floats:
    """Real parts of products of the angular spectra of rings up to three apart; roots, so that none outshouts the rest.

    A turn multiplies both spectra by one phase, mirroring takes the complex conjugate, inversion changes both signs.
    """
    spectra = np.fft.rfft(maps, axis=2)[:, :, :N_ORDERS] / N_ANGLES
    products = [_rows((spectra[:, step:] * spectra[:, : N_RINGS - step].conj()).real) for step in range(RING_STEPS)]
    flat = np.concatenate(products, axis=1)
    return np.asarray(np.sign(flat) * np.sqrt(np.abs(flat)), dtype=np.float32)


@cache
def _components() -> tuple[Floats, Floats]:
    """(centre, axes): which of the invariants vary, and together, among drawn pictures of discs on clouds.

    Drawn ones, so that what is found in a set depends on no other images; real cells' own axes found as many copies.
    The components are mixed, so that all of the signs weigh the same.
    """
    rows = _invariants(landmarks(_discs_on_clouds(), scales=(1.0,)).maps).astype(np.float64)
    centre = rows.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False))
    values, vectors = values[::-1][:N_COMPONENTS], vectors[:, ::-1][:, :N_COMPONENTS]
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), range(N_COMPONENTS)])  # a sign is LAPACK's choice
    mixed, _ = np.linalg.qr(np.random.RandomState(0).standard_normal((N_COMPONENTS, N_COMPONENTS)))
    axes = vectors / np.sqrt(values + DAMPING * values[0]) @ mixed
    return centre.astype(np.float32), axes.astype(np.float32)


def _discs_on_clouds(n: int = 250, *, discs: int = 14) -> NDArray[np.uint8]:
    """(n, 64, 64) pictures of pale-centred discs around a larger dark one."""
    dice = np.random.RandomState(1)  # unlike a Generator's, its numbers are promised never to change
    frequency = np.hypot(np.fft.fftfreq(THUMBNAIL_PX)[:, None], np.fft.rfftfreq(THUMBNAIL_PX)[None])
    frequency[0, 0] = np.inf
    shape = (THUMBNAIL_PX, THUMBNAIL_PX)
    clouds = np.fft.irfft2(np.fft.rfft2(dice.standard_normal((n, *shape))) * frequency**-1.5, s=shape)
    clouds /= clouds.std(axis=(1, 2), keepdims=True)
    drawn = 200 + 8 * clouds
    for _ in range(discs):
        away, edge = _disc(dice.uniform(0, THUMBNAIL_PX, (n, 2)), dice.uniform(4, 9, n))
        drawn -= dice.uniform(20, 60, (n, 1, 1)) * edge * (1 - 0.4 * np.exp(-((away / 0.5) ** 2)))
    _, edge = _disc(dice.normal(THUMBNAIL_PX / 2, 3, (n, 2)), dice.uniform(8, 14, n))
    drawn -= 90 * edge * (1 + 0.3 * clouds)
    return drawn.clip(0, 255).astype(np.uint8)


def _disc(middles: NDArray[np.float64], radii: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(distance from the middle in radii, how much of the disc covers a pixel)."""
    at = np.arange(THUMBNAIL_PX)
    away = np.hypot(at[None, :, None] - middles[:, :1, None], at[None, None] - middles[:, 1:, None])
    radius = radii[:, None, None]
    return away / radius, 1 / (1 + np.exp((away - radius).clip(-50, 50) / 0.7))
