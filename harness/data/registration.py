"""Do two thumbnails show the same picture, under some turn, mirroring, stretch and shift? Laid over each other.

Where a landmark of one resembles a landmark of the other, the rings around the two say the turn and whether one is
mirrored. From there the six numbers of an affine map are refined on local contrast (Gauss-Newton, inverse
compositional; Baker and Matthews, IJCV 2004) with weights that leave out what does not fit: a bar, a hole, a border.
Then the two are compared tile by tile in what blurring takes away. A copy agrees in most of its tiles, whatever covers
the others; two cells of one kind agree in hardly any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.hashing import THUMBNAIL_PX
from harness.data.landmarks import N_ANGLES, N_RINGS, Landmarks, blurred, local_contrast, pictured, sampled

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

COARSE_PX = 32
FIRST_STEPS, COARSE_STEPS, FINE_STEPS = 1, 5, 3
RIDGE = 1e-3
LONGEST_STEP_PX = 2.0
LOOSEST_FIT = 2.5  # residuals, in their standard deviation, beyond which a pixel loses most of its weight
BLUR_SIGMA_PX = 1.5
TILE_PX = 8
LEAST_TILE_DETAIL = 0.7  # grey levels: a tile that has less in both pictures says nothing
PAIRS_PER_CHUNK = 64
# Set on 150 real cells and other copies than those that docs/duplicates.md reports.
MIN_RING_CORRELATION = 0.88
MIN_FIRST_AGREEMENT, MIN_COARSE_AGREEMENT = 0.38, 0.5
MIN_AGREEMENT = 0.7
# Few tiles agree by chance more easily: below this many each one asks for more.
ENOUGH_TILES, MORE_FOR_EACH_TILE = 40, 0.01
MIN_FIRST_OVERLAP, MIN_OVERLAP = 0.3, 0.35
MIN_TILES = 16
# Frames of one colour agree whatever they frame: the middle half must agree by itself.
MIDDLE_PX, MIN_MIDDLE_AGREEMENT, MIN_MIDDLE_TILES = (16, 48), 0.65, 6
# Two cells side by side in one field share much of their frames: a copy's middle is not further off than this. Of an
# affine map, the narrower of the two scales, relative to the wider.
FURTHEST_MIDDLE, MIN_ASPECT = 0.3, 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """Picture `other` may be picture `one`: one row for each pair.

    motion: (m, 2, 3) from a place (down, right, 1) in thumbnail pixels of `other` to one of `one`.
    """

    one: Ints
    other: Ints
    motion: Floats

    def __getitem__(self, chosen: Any) -> Pairing:
        return Pairing(self.one[chosen], self.other[chosen], self.motion[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How far the pairs of a `Pairing` agree.

    overlap:     (m,) share of `other` that lies within `one`.
    correlation: (m,) of the local contrast where they fit; detail: (m,) median over tiles of what blurring takes away.
    middle:      (m,) the same median over the tiles of the middle half; n_tiles: (m,) that have anything to compare.
    """

    overlap: Floats
    correlation: Floats
    detail: Floats
    middle: Floats
    n_tiles: Ints

    def __getitem__(self, chosen: Any) -> Agreement:
        return Agreement(*(getattr(self, name)[chosen] for name in self.__slots__))


def paired(one: Landmarks, other: Landmarks) -> tuple[Pairing, Floats]:
    """What each pair of landmarks, row by row, says of its two pictures; and the correlation of their rings."""
    correlation, turn, mirrored = _turned_onto(np.fft.rfft(one.maps, axis=2), np.fft.rfft(other.maps, axis=2))
    across = np.where(mirrored, -1.0, 1.0)
    sine, cosine = np.sin(turn), np.cos(turn)
    linear = np.stack([np.stack([cosine * across, sine], -1), np.stack([-sine * across, cosine], -1)], -2)
    linear *= (one.scale / other.scale)[:, None, None]
    moved = one.place - np.einsum("nij,nj->ni", linear, other.place)
    motion = np.concatenate([linear, moved[:, :, None]], axis=2).astype(np.float32)
    return Pairing(one.image, other.image, motion), correlation


def registered(ones: NDArray[np.uint8], others: NDArray[np.uint8], pairing: Pairing) -> tuple[Pairing, Agreement]:
    """Those pairs that show the same picture, with the motion refined.

    Args:
        ones, others: the thumbnails that `pairing.one` and `pairing.other` count in.
    """
    parts = [
        _registered(ones, others, pairing[at : at + PAIRS_PER_CHUNK])
        for at in range(0, max(1, len(pairing.one)), PAIRS_PER_CHUNK)
    ]
    return _joined(Pairing, [part for part, _ in parts]), _joined(Agreement, [part for _, part in parts])


def _joined(kind: Any, parts: list[Any]) -> Any:
    return kind(*(np.concatenate([getattr(part, name) for part in parts]) for name in kind.__slots__))


def _registered(ones: NDArray[np.uint8], others: NDArray[np.uint8], pairing: Pairing) -> tuple[Pairing, Agreement]:
    one, other = ones[pairing.one].astype(np.float32), others[pairing.other].astype(np.float32)
    known = [pictured(ones[pairing.one]), pictured(others[pairing.other])]
    motion = _rescaled(pairing.motion, COARSE_PX / THUMBNAIL_PX)
    halves = [_halved(each) for each in (one, other, *known)]
    motion, agreement = _agreeing(halves, motion, steps=FIRST_STEPS)
    likely = np.flatnonzero((agreement.detail >= MIN_FIRST_AGREEMENT) & (agreement.overlap >= MIN_FIRST_OVERLAP))
    motion, agreement = _agreeing([each[likely] for each in halves], motion[likely], steps=COARSE_STEPS)
    kept = (agreement.detail >= MIN_COARSE_AGREEMENT) & (agreement.overlap >= MIN_FIRST_OVERLAP)
    kept_of = likely[kept]
    motion = _rescaled(motion[kept], THUMBNAIL_PX / COARSE_PX)
    wholes = [each[kept_of] for each in (one, other, *known)]
    motion, agreement = _agreeing(wholes, motion, steps=FINE_STEPS)
    asked = MIN_AGREEMENT + MORE_FOR_EACH_TILE * np.maximum(0, ENOUGH_TILES - agreement.n_tiles)
    same = (agreement.detail >= asked) & (agreement.overlap >= MIN_OVERLAP) & (agreement.n_tiles >= MIN_TILES)
    same &= agreement.middle >= MIN_MIDDLE_AGREEMENT
    same &= (_off_middle(motion) <= FURTHEST_MIDDLE) & (_aspect(motion) >= MIN_ASPECT)
    found = pairing[kept_of][same]
    return Pairing(found.one, found.other, motion[same]), agreement[same]


# --- rings --------------------------------------------------------------------------------------


def _turned_onto(one: NDArray[Any], other: NDArray[Any]) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """(correlation, turn, mirrored) that bring the rings of `other` best onto those of `one`, from their spectra.

    An inverted picture correlates negatively, and as well.
    """
    upright, mirrored = (
        np.fft.irfft((one * each).sum(axis=1), N_ANGLES) / (N_RINGS * N_ANGLES) for each in (other.conj(), other)
    )
    flipped = np.abs(mirrored).max(axis=1) > np.abs(upright).max(axis=1)
    correlation = np.abs(np.where(flipped[:, None], mirrored, upright))
    row, best = np.arange(len(one)), correlation.argmax(axis=1)
    before, here, after = (correlation[row, (best + step) % N_ANGLES] for step in (-1, 0, 1))
    bend = 2 * (2 * here - before - after)
    turn = best + ((after - before) / np.where(bend == 0, 1, bend)).clip(-0.5, 0.5)
    return np.asarray(here, dtype=np.float32), np.asarray(turn * 2 * np.pi / N_ANGLES), flipped


# --- motion -------------------------------------------------------------------------------------


def _agreeing(pictures: Sequence[Floats], motion: Floats, *, steps: int) -> tuple[Floats, Agreement]:
    """The motion after some steps, and how far two pictures agree under it.

    pictures: one, other, and of each what belongs to it (`pictured`).
    """
    one, other, one_known, other_known = pictures
    motion, correlation = _aligned(local_contrast(one), local_contrast(other), motion, steps=steps)
    shown, inside = _moved(one, motion)
    known = inside & (_moved(one_known, motion)[0] > 0.99) & (other_known > 0.99)
    overlap = known.mean(axis=(1, 2), dtype=np.float32)
    return motion, Agreement(overlap, correlation, *_tile_agreement(shown, other, known))


def _aligned(one: Floats, other: Floats, motion: Floats, *, steps: int) -> tuple[Floats, Floats]:
    """The motion that shows `one` most like `other`, and the weighted correlation that it reaches."""
    n, side = other.shape[:2]
    slopes = _slopes(other)
    wanted = other.reshape(n, side * side)
    for step in range(steps + 1):
        shown, inside = _moved(one, motion)
        weights, residual, correlation = _fitted(shown.reshape(wanted.shape), wanted, inside.reshape(wanted.shape))
        if step < steps:
            motion = _stepped(motion, slopes, weights, residual, side)
    return motion, correlation


def _slopes(pictures: Floats) -> Floats:
    """(n, 6, pixels): how a picture changes with each number of an affine displacement of its places."""
    n, side = pictures.shape[:2]
    along = ((np.arange(side, dtype=np.float32) - (side - 1) / 2) / ((side - 1) / 2)).astype(np.float32)
    down, right = np.zeros_like(pictures), np.zeros_like(pictures)
    down[:, 1:-1] = (pictures[:, 2:] - pictures[:, :-2]) / 2
    right[:, :, 1:-1] = (pictures[:, :, 2:] - pictures[:, :, :-2]) / 2
    parts = (down * along[:, None], down * along, down, right * along[:, None], right * along, right)
    return np.stack(parts, axis=1).reshape(n, 6, side * side)


def _fitted(shown: Floats, wanted: Floats, inside: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """(weights, residual, correlation) with gain and offset fitted: first to all, then without what did not fit."""
    weights = inside.astype(np.float32)
    for _ in range(2):
        total = weights.sum(axis=1, keepdims=True) + 1e-6
        one = shown - (weights * shown).sum(axis=1, keepdims=True) / total
        other = wanted - (weights * wanted).sum(axis=1, keepdims=True) / total
        products = (one * one, one * other, other * other)
        of_one, of_both, of_other = ((weights * each).sum(axis=1) for each in products)
        residual = other - (of_both / np.maximum(of_one, 1e-6))[:, None] * one
        spread = np.sqrt((weights * residual**2).sum(axis=1, keepdims=True) / total)
        correlation = of_both / np.sqrt(np.maximum(of_one * of_other, 1e-12))
        fit = 1 / (1 + (residual / np.maximum(LOOSEST_FIT * spread, 1e-3)) ** 2) ** 2
        weights = (inside * fit).astype(np.float32)
    return weights, residual, np.asarray(correlation, dtype=np.float32)


def _stepped(motion: Floats, slopes: Floats, weights: Floats, residual: Floats, side: int) -> Floats:
    """The motion after one weighted Gauss-Newton step."""
    weighted = slopes * weights[:, None]
    system = (weighted @ slopes.transpose(0, 2, 1)).astype(np.float64)
    damping = RIDGE * np.trace(system, axis1=1, axis2=2)[:, None, None] / 6 + 1e-9
    # What is shown lacks the residual: places of `other` must move against its slopes.
    wanted = (weighted @ residual[:, :, None]).astype(np.float64)
    change = -np.linalg.solve(system + damping * np.eye(6), wanted)[..., 0]
    change /= np.maximum(np.abs(change).max(axis=1, keepdims=True) / LONGEST_STEP_PX, 1)
    half = (side - 1) / 2
    warp = np.tile(np.eye(3), (len(motion), 1, 1))
    warp[:, :2, :2] += change.reshape(-1, 2, 3)[:, :, :2] / half
    warp[:, :2, 2] += change[:, [2, 5]] - change[:, [0, 3]] - change[:, [1, 4]]
    return np.asarray(motion @ np.linalg.inv(warp), dtype=np.float32)


def _moved(pictures: Floats, motion: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """What a motion shows of each picture, and where that lies inside of it."""
    n, side = pictures.shape[:2]
    down, right = np.mgrid[:side, :side].reshape(2, -1).astype(np.float32)
    places = motion @ np.stack([down, right, np.ones_like(down)])
    inside = ((places >= 0) & (places <= side - 1)).all(axis=1)
    shown = sampled(pictures, np.arange(n), places[:, 0], places[:, 1])
    return shown.reshape(n, side, side), inside.reshape(n, side, side)


def _rescaled(motion: Floats, factor: float) -> Floats:
    """The same motion between pictures of another resolution: pixel x has its middle at x + 1/2."""
    middle = 0.5 + motion[:, :, 2] - 0.5 * motion[:, :, :2].sum(axis=2)  # where the corner (-1/2, -1/2) goes, plus 1/2
    shift = factor * middle - 0.5 + 0.5 * motion[:, :, :2].sum(axis=2)
    return np.concatenate([motion[:, :, :2], shift[:, :, None]], axis=2).astype(np.float32)


def _halved(pictures: Floats) -> Floats:
    factor = THUMBNAIL_PX // COARSE_PX
    return np.asarray(pictures.reshape(-1, COARSE_PX, factor, COARSE_PX, factor).mean(axis=(2, 4)))


def _off_middle(motion: Floats) -> Floats:
    """How far one's middle lies from where the other's comes to lie, in sides of the one that shows more."""
    middle = np.full(2, (THUMBNAIL_PX - 1) / 2, dtype=np.float32)
    moved = np.einsum("nij,j->ni", motion[:, :, :2], middle) + motion[:, :, 2] - middle
    growth = np.sqrt(np.abs(np.linalg.det(motion[:, :, :2])))
    return np.asarray(np.abs(moved).max(axis=1) / THUMBNAIL_PX / np.maximum(growth, 1))


def _aspect(motion: Floats) -> Floats:
    scales = np.linalg.svd(motion[:, :, :2], compute_uv=False)
    return np.asarray(scales[:, 1] / np.maximum(scales[:, 0], 1e-6))


# --- comparison ---------------------------------------------------------------------------------


def _tile_agreement(one: Floats, other: Floats, inside: NDArray[np.bool_]) -> tuple[Floats, Floats, Ints]:
    """(median over tiles of the correlation in detail, the same of the middle, how many tiles there are to compare)."""
    known = inside.astype(np.float32)
    share = np.maximum(blurred(known, BLUR_SIGMA_PX), 1e-3)
    first, second = ((each - blurred(each * known, BLUR_SIGMA_PX) / share) * known for each in (one, other))
    of_both, of_first, of_second = (_tiled(a * b) for a, b in ((first, second), (first, first), (second, second)))
    area = _tiled(known)
    faint = np.float32(LEAST_TILE_DETAIL**2) * area
    told = (area >= TILE_PX**2 / 2) & ((of_first > faint) | (of_second > faint))
    agreement = np.where(told, of_both / np.sqrt(np.maximum(of_first * of_second, 1e-6)), np.float32(np.nan))
    middle = _in_the_middle(one.shape[-1])
    return _median(agreement, at_least=1), _median(agreement[:, middle], at_least=MIN_MIDDLE_TILES), told.sum(axis=1)


def _median(agreement: Floats, *, at_least: int) -> Floats:
    """Its size, as an inverted picture agrees negatively; 0 where too few tiles are known."""
    few = np.isfinite(agreement).sum(axis=1) < at_least
    return np.asarray(np.abs(np.nanmedian(np.where(few[:, None], np.float32(0), agreement), axis=1)), dtype=np.float32)


def _in_the_middle(side: int) -> NDArray[np.bool_]:
    """(tiles,) those that lie within the middle half."""
    begin = np.arange(0, side, TILE_PX) * (THUMBNAIL_PX / side)
    inner = (begin >= MIDDLE_PX[0]) & (begin < MIDDLE_PX[1])
    return np.asarray((inner[:, None] & inner[None]).ravel())


def _tiled(pictures: NDArray[Any]) -> Floats:
    side = pictures.shape[-1] // TILE_PX
    return np.asarray(pictures.reshape(-1, side, TILE_PX, side, TILE_PX).sum(axis=(2, 4)).reshape(-1, side * side))
