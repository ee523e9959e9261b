"""Which thumbnails show the same picture, turned, mirrored, cropped or re-encoded? Never all pairs against all.

Three steps, each on what the one before let through. Whether a pair is found depends on its two thumbnails alone:
neither on the order nor on the number of the others.

1. Hash. The signs of the 63 lowest DCT coefficients of the whole frame (the perceptual hash of Zauner, 2010, with zero
   for a threshold: coefficients of a turned or mirrored picture are then the same numbers in other places with other
   signs, so that its eight poses cost no decoding). A picture is looked up in eight poses through fourteen windows,
   because a crop is a window of the whole. Lookup is by `banding`.
2. Filter: Hamming distance, then correlation of the coefficients themselves, then the same once more with all that a
   small further scale or shift could explain taken away (one linear least-squares step).
3. Align (Gauss-Newton over scale and shift; Lucas and Kanade, IJCAI 1981), and compare the aligned thumbnails twice: as
   they are, and after taking away all that is blurred. Two cells of one kind agree in the blur, never in the detail.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.banding import BandedIndex, Banding, banded_index, met
from harness.data.hashing import THUMBNAIL_PX

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Meet = Callable[..., tuple[Ints, Ints]]  # as `banding.met`

N_MODES = 8  # coefficients per axis; the constant one is not part of the hash
N_BITS = N_MODES**2 - 1
N_POSES = 8
# Scale of a window and where it may begin, as fractions of the side. A window that is off by 2 % costs some 4 bits.
# The steps were set so that crops to 90 % anywhere in the frame lie between windows (docs/duplicates.md).
WINDOW_LADDER = ((1.0, (0.0,)), (0.93, (0.01, 0.06)), (0.89, (0.008, 0.055, 0.102)))
BANDING = Banding(N_BITS, n_bands=56, band_bits=19)
MAX_DISTANCE = 12
# What follows was set on real cells (docs/duplicates.md), between planted duplicates and pairs of different cells.
MIN_COEFFICIENT_CORRELATION = 0.95
MIN_NUDGED_CORRELATION = 0.975
MIN_COARSE_CORRELATION = 0.94
MIN_CORRELATION = 0.97
MIN_DETAIL_CORRELATION = 0.92
BLUR_SIGMA_PX = 1.5
# Below this there is nothing to compare but rounding: one grey level is the step of a thumbnail.
MIN_DETAIL_GREY_LEVELS = 1.0
COARSE_PX = 32
COARSE_STEPS, FINE_STEPS = 6, 3
SCALE_LIMITS, SHIFT_LIMIT = (0.8, 1.06), 0.12
# A window that differs less from the whole is not a crop: half a thumbnail's pixel a side.
WHOLE_FRAME_TOLERANCE = 0.015
INVERSE_POSES = np.array([0, 1, 2, 3, 4, 6, 5, 7])  # the two quarter turns undo each other, all others themselves
NUDGE = 0.02  # of the side; small against the shortest wave of the hash, which is a quarter of it
IMAGES_PER_CHUNK, PAIRS_PER_CHUNK = 512, 256


@dataclass(frozen=True, slots=True, eq=False)
class Resemblances:
    """Pairs of thumbnails that show the same picture, sorted by (first, second), each pair once, first < second.

    wide:        (m,) bool: False, the second is a window of the first; True, the first is one of the second.
    poses:       (m,) int64: 4 transposed + 2 upside down + 1 mirrored, done to the wider one in that order.
    scales:      (m, 2) sides of the window (height, width) as fractions of the wider picture, in its new pose.
    shifts:      (m, 2) centre of the window (down, right) relative to the middle, as fractions of the same.
    correlation: (m,) of the aligned thumbnails; detail: (m,) of what is left of them without the blur.
    """

    first: Ints
    second: Ints
    wide: NDArray[np.bool_]
    poses: Ints
    scales: Floats
    shifts: Floats
    correlation: Floats
    detail: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Thumbnail `target` may be a window of thumbnail `source` in a pose."""

    source: Ints
    target: Ints
    pose: Ints
    window: Ints

    def __getitem__(self, chosen: Any) -> _Candidates:
        return _Candidates(self.source[chosen], self.target[chosen], self.pose[chosen], self.window[chosen])


def resembling(
    thumbnails: NDArray[np.uint8], *, workers: int, rows: Ints | None = None, meet: Meet = met
) -> Resemblances:
    """Every pair that is found; `featureless` thumbnails are in none.

    Args:
        thumbnails: (n, 64, 64) uint8; they may lie on disk (`numpy.memmap`): only some hundreds are copied at a time.
        workers: threads. The result does not depend on it.
        rows: which are compared, rising; all that are not featureless if not given.
        meet: how hashes that are near are looked up. A measurement of recall gives a search that misses none.
    """
    kept = np.flatnonzero(~featureless(thumbnails)) if rows is None else rows
    candidates = _candidates(thumbnails, kept, workers=workers, meet=meet)
    candidates = _Candidates(kept[candidates.source], kept[candidates.target], candidates.pose, candidates.window)
    chunks = [candidates[at : at + PAIRS_PER_CHUNK] for at in range(0, len(candidates.source), PAIRS_PER_CHUNK)]
    with ThreadPoolExecutor(workers) as pool:
        verified = [found for found in pool.map(lambda chunk: _verified(thumbnails, chunk), chunks) if len(found)]
    return _best_of_each_pair(np.concatenate(verified) if verified else np.empty((0, 9)))


def featureless(thumbnails: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(n,) whether a thumbnail is so smooth (blank, a mere gradient) that it would resemble every other smooth one.

    Such images are duplicates only where their pixels are the same.
    """
    flat = np.empty(len(thumbnails), dtype=np.bool_)
    for at in range(0, len(thumbnails), IMAGES_PER_CHUNK):
        detail = _detail(thumbnails[at : at + IMAGES_PER_CHUNK].astype(np.float32))
        flat[at : at + IMAGES_PER_CHUNK] = detail.std(axis=(1, 2)) < MIN_DETAIL_GREY_LEVELS
    return flat


# --- hash ---------------------------------------------------------------------------------------


@cache
def _windows() -> tuple[tuple[float, float, float], ...]:
    """(side, top, left) of every window, as fractions of the frame."""
    return tuple((side, top, left) for side, starts in WINDOW_LADDER for top in starts for left in starts)


@cache
def _basis(side: float, start: float) -> Floats:
    """(modes, 64): one pass resamples a window of an axis to 64 points and takes its lowest DCT-II coefficients."""
    n = THUMBNAIL_PX
    points = (np.arange(n) + 0.5) / n
    sampled = _tents(((start + side * points) * n - 0.5)[None])[0]
    waves = np.cos(np.pi * np.arange(N_MODES)[:, None] * points[None])
    return np.asarray(waves @ sampled / n, dtype=np.float32)


@cache
def _pose_signs() -> Floats:
    """(4, modes, modes): what mirroring does to coefficients, for neither, left-right, upside down and both."""
    odd = (-1.0) ** np.arange(N_MODES)
    return np.array(
        [np.outer(odd if down else odd**0, odd if right else odd**0) for down in (0, 1) for right in (0, 1)],
        dtype=np.float32,
    )


def _coefficients(thumbnails: Floats, window: tuple[float, float, float]) -> Floats:
    """(n, modes, modes) of one window of every thumbnail."""
    side, top, left = window
    columns = thumbnails @ _basis(side, left).T
    return np.asarray(_basis(side, top) @ columns)


def _hashable(coefficients: Floats) -> Floats:
    """(n, 63): without the constant coefficient, unit length, so that a product of two is their correlation."""
    flat = coefficients.reshape(len(coefficients), -1)[:, 1:]
    return np.asarray(flat / _length(flat)[:, None])


def _length(rows: Floats) -> Floats:
    return np.asarray(np.maximum(np.sqrt(np.einsum("ni,ni->n", rows, rows)), 1e-9))


def all_views(thumbnails: Floats) -> Floats:
    """(n, windows, 8, 63): every window in every pose."""
    n = len(thumbnails)
    views = np.empty((n, len(_windows()), N_POSES, N_MODES, N_MODES), dtype=np.float32)
    for number, window in enumerate(_windows()):
        seen = _coefficients(thumbnails, window)
        # A pose changes signs and places, not the length.
        seen = (seen / _length(seen.reshape(n, -1)[:, 1:])[:, None, None])[:, None]
        views[:, number, :4] = seen * _pose_signs()
        views[:, number, 4:] = seen.swapaxes(-1, -2) * _pose_signs()
    return views.reshape(n, len(_windows()), N_POSES, -1)[..., 1:]


# --- search -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """The whole frames of all thumbnails: the signs of their `vectors` by band.

    slopes: (n, 4, 63) float16, how `vectors` change with a scale (down, right) and a shift (down, right).
    """

    vectors: Floats
    slopes: NDArray[np.float16]
    banded: BandedIndex


def _candidates(thumbnails: NDArray[np.uint8], rows: Ints, *, workers: int, meet: Meet) -> _Candidates:
    """Numbered as in `rows`."""
    n = len(rows)
    vectors, slopes = np.empty((n, N_BITS), dtype=np.float32), np.empty((n, 4, N_BITS), dtype=np.float16)

    def pictures(at: int) -> Floats:
        return thumbnails[rows[at : at + IMAGES_PER_CHUNK]].astype(np.float32)

    def read(at: int) -> None:
        chunk = pictures(at)
        vectors[at : at + IMAGES_PER_CHUNK] = _hashable(_coefficients(chunk, _windows()[0]))
        slopes[at : at + IMAGES_PER_CHUNK] = _slopes(chunk)

    with ThreadPoolExecutor(workers) as pool:
        chunks = range(0, n, IMAGES_PER_CHUNK)
        list(pool.map(read, chunks))
        index = _Index(vectors, slopes, banded_index(vectors > 0, BANDING))
        parts = list(pool.map(lambda at: _looked_up(index, all_views(pictures(at)), at, meet), chunks))
    if not parts:
        return _Candidates(*(np.empty(0, dtype=np.int64) for _ in range(4)))
    return _Candidates(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("source", "target", "pose", "window"))
    )


def _looked_up(index: _Index, views: Floats, first: int, meet: Meet) -> _Candidates:
    """Whole frames that some view of thumbnails first, first + 1, ... comes close to; of each pose the best window."""
    n_poses, per_image = views.shape[2], views.shape[1] * views.shape[2]
    flat = views.reshape(-1, N_BITS)
    view, target = meet(index.banded, flat > 0, max_distance=MAX_DISTANCE)
    others = target != view // per_image + first
    view, target = view[others], target[others]
    correlation = _row_products(flat, view, index.vectors, target)
    close = correlation >= MIN_COEFFICIENT_CORRELATION
    view, target = view[close], target[close]
    correlation = _nudged(flat, view, index, target)
    close = correlation >= MIN_NUDGED_CORRELATION
    view, target, correlation = view[close], target[close], correlation[close]
    image, within = np.divmod(view, per_image)
    window, pose = np.divmod(within, n_poses)
    best = np.lexsort((window, -correlation, pose, target, image))
    found = _Candidates(image[best] + first, target[best], pose[best], window[best])
    same = (np.diff(found.source) == 0) & (np.diff(found.target) == 0) & (np.diff(found.pose) == 0)
    return found[np.concatenate([np.ones(min(1, len(best)), dtype=np.bool_), ~same])]


def _row_products(left: Floats, i: Ints, right: Floats, j: Ints) -> Floats:
    products = np.empty(len(i), dtype=np.float32)
    for at in range(0, len(i), 2**15):
        rows = slice(at, at + 2**15)
        products[rows] = np.einsum("ij,ij->i", left[i[rows]], right[j[rows]])
    return products


def _slopes(thumbnails: Floats) -> Floats:
    """(n, 4, 63): finite differences between windows that lie within the frame."""
    side, room = 1 - NUDGE, NUDGE

    def seen(down: tuple[float, float], right: tuple[float, float]) -> Floats:
        return np.asarray(_basis(*down) @ (thumbnails @ _basis(*right).T)).reshape(len(thumbnails), -1)[:, 1:]

    whole, middle = (1.0, 0.0), (side, room / 2)
    differences = [
        seen(whole, whole) - seen(middle, whole),
        seen(whole, whole) - seen(whole, middle),
        seen((side, room), whole) - seen((side, 0.0), whole),
        seen(whole, (side, room)) - seen(whole, (side, 0.0)),
    ]
    stacked = np.stack(differences, axis=1)
    return np.asarray(stacked / np.maximum(np.linalg.norm(stacked, axis=-1, keepdims=True), 1e-9))


def _nudged(views: Floats, view: Ints, index: _Index, target: Ints) -> Floats:
    """Correlation of views and targets after the best small scale and shift, to first order."""
    reached = np.empty(len(view), dtype=np.float32)
    for at in range(0, len(view), 2**14):
        rows = slice(at, at + 2**14)
        wanted, slopes = index.vectors[target[rows]], index.slopes[target[rows]].astype(np.float32)
        missing = views[view[rows]] - wanted
        # The damping matters only where a picture does not change with one of the four.
        system = slopes @ slopes.transpose(0, 2, 1) + 1e-3 * np.eye(4, dtype=np.float32)
        explained = np.linalg.solve(system, slopes @ missing[:, :, None])
        left = missing - (slopes.transpose(0, 2, 1) @ explained)[:, :, 0]
        # Vectors of unit length at a distance d have the correlation 1 - d^2 / 2.
        reached[rows] = 1 - np.einsum("ij,ij->i", left, left) / 2
    return reached


# --- alignment ----------------------------------------------------------------------------------


def _verified(thumbnails: NDArray[np.uint8], candidates: _Candidates) -> NDArray[np.float64]:
    """Rows of (source, target, pose, scales, shifts, correlation, detail) of the candidates that are the same."""
    windows = np.array(_windows())[candidates.window]
    # A window as a map from the target's axis to the source's: (scale down, right; shift down, right).
    middles = windows[:, 1:] + windows[:, :1] / 2 - 0.5
    motion = np.concatenate([windows[:, :1], windows[:, :1], middles], axis=1).astype(np.float32)
    source = _posed(thumbnails[candidates.source], candidates.pose).astype(np.float32)
    target = thumbnails[candidates.target].astype(np.float32)
    motion, correlation = _aligned(_halved(source), _halved(target), motion, steps=COARSE_STEPS)
    kept = np.flatnonzero(correlation >= MIN_COARSE_CORRELATION)
    if not len(kept):
        return np.empty((0, 9))
    source, target = source[kept], target[kept]
    motion, correlation = _aligned(source, target, motion[kept], steps=FINE_STEPS)
    detail = _correlation(_detail(_moved(source, motion)), _detail(target))
    same = (correlation >= MIN_CORRELATION) & (detail >= MIN_DETAIL_CORRELATION)
    found = candidates[kept[same]]
    columns = (found.source, found.target, found.pose, motion[same], correlation[same], detail[same])
    return np.column_stack(columns).astype(np.float64)


def _turned_round(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same matches, told from the target: it is the wider one, and the source a window of it."""
    poses = INVERSE_POSES[rows[:, 2].astype(np.int64)]
    scales, shifts = 1 / rows[:, 3:5], -rows[:, 5:7] / rows[:, 3:5]
    transposed = (poses & 4 > 0)[:, None]
    scales, shifts = np.where(transposed, scales[:, ::-1], scales), np.where(transposed, shifts[:, ::-1], shifts)
    shifts = shifts * np.where(poses[:, None] & [2, 1] > 0, -1, 1)
    return np.column_stack([rows[:, 1], rows[:, 0], poses, scales, shifts, rows[:, 7:]])


def _best_of_each_pair(rows: NDArray[np.float64]) -> Resemblances:
    # One way to tell each match: from the wider picture, or from the first where neither is wider.
    equal = (np.abs(rows[:, 3:5] - 1) < WHOLE_FRAME_TOLERANCE).all(axis=1)
    backward = np.where(equal, rows[:, 0] > rows[:, 1], rows[:, 3] * rows[:, 4] > 1)
    rows = np.where(backward[:, None], _turned_round(rows), rows)
    first, second = rows[:, :2].min(axis=1), rows[:, :2].max(axis=1)
    wide = rows[:, 0] > rows[:, 1]
    # Of several poses and both directions the best in detail; a whole frame before a window where they are equal.
    order = np.lexsort((rows[:, 2], wide, -rows[:, 8].round(4), second, first))
    order = order[np.flatnonzero(np.diff(first[order] * 2.0**26 + second[order], prepend=-1.0))]
    rows = rows[order]
    return Resemblances(
        first=first[order].astype(np.int64),
        second=second[order].astype(np.int64),
        wide=wide[order],
        poses=rows[:, 2].astype(np.int64),
        scales=rows[:, 3:5].astype(np.float32),
        shifts=rows[:, 5:7].astype(np.float32),
        correlation=rows[:, 7].astype(np.float32),
        detail=rows[:, 8].astype(np.float32),
    )


def _posed(pictures: NDArray[np.uint8], poses: Ints) -> NDArray[np.uint8]:
    posed = np.empty_like(pictures)
    for pose in np.unique(poses):
        these = pictures[poses == pose]
        these = these.swapaxes(1, 2) if pose & 4 else these
        posed[poses == pose] = these[:, :: -1 if pose & 2 else 1, :: -1 if pose & 1 else 1]
    return posed


def _halved(pictures: Floats) -> Floats:
    factor = THUMBNAIL_PX // COARSE_PX
    return np.asarray(pictures.reshape(-1, COARSE_PX, factor, COARSE_PX, factor).mean(axis=(2, 4)))


def _aligned(source: Floats, target: Floats, motion: Floats, *, steps: int) -> tuple[Floats, Floats]:
    """The motion of `source` that shows `target` best, and the correlation that it reaches.

    Gauss-Newton on the difference of the two at zero mean and unit length. The slopes are those of the target, which
    stays: the system is set up once for all steps.
    """
    n, side = target.shape[:2]
    along = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5).astype(np.float32)
    wanted = _standard(target)
    down, right = np.zeros_like(target), np.zeros_like(target)
    down[:, 1:-1] = (wanted[:, 2:] - wanted[:, :-2]) * (side / 2)
    right[:, :, 1:-1] = (wanted[:, :, 2:] - wanted[:, :, :-2]) * (side / 2)
    slopes = np.stack([down * along[:, None], right * along, down, right, wanted], axis=1).reshape(n, 5, -1)
    slopes -= slopes.mean(axis=2, keepdims=True)
    # The damping matters only where a picture has no slope at all, and the system no solution.
    system = slopes @ slopes.transpose(0, 2, 1) + 1e-6 * np.eye(5, dtype=np.float32)
    inverse = np.linalg.inv(system)
    best, best_motion = np.full(n, -1.0, dtype=np.float32), motion
    for step in range(steps + 1):
        shown = _standard(_moved(source, motion)).reshape(n, -1)
        reached = np.einsum("ij,ij->i", shown, wanted.reshape(n, -1))
        better = reached > best
        best, best_motion = np.where(better, reached, best), np.where(better[:, None], motion, best_motion)
        if step < steps:
            change = (inverse @ (slopes @ (wanted.reshape(n, -1) - shown)[:, :, None]))[:, :4, 0]
            motion = _limited(motion + motion[:, [0, 1, 0, 1]] * np.clip(change, -0.05, 0.05))
    return best_motion, best


def _limited(motion: Floats) -> Floats:
    return np.concatenate([motion[:, :2].clip(*SCALE_LIMITS), motion[:, 2:].clip(-SHIFT_LIMIT, SHIFT_LIMIT)], axis=1)


def _moved(pictures: Floats, motion: Floats) -> Floats:
    """What a window shows: position x of the middle-based unit axis takes its value from scale * x + shift."""
    side = pictures.shape[1]
    along = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5).astype(np.float32)
    places = (motion[:, :2, None] * along + motion[:, 2:, None] + 0.5) * side - 0.5
    return np.asarray(_tents(places[:, 0]) @ pictures @ _tents(places[:, 1]).transpose(0, 2, 1))


def _tents(places: NDArray[Any]) -> Floats:
    """(n, m, 64 or 32): weights that interpolate linearly at `places`; what lies outside is the edge."""
    side = places.shape[1]
    distance = np.abs(places.clip(0, side - 1)[:, :, None] - np.arange(side, dtype=places.dtype))
    return np.asarray(np.maximum(0, 1 - distance), dtype=np.float32)


@cache
def _blur() -> Floats:
    """(64, 64): a Gaussian along one axis, renormalised at the edges."""
    at = np.arange(THUMBNAIL_PX)
    weights = np.exp(-((at[:, None] - at[None]) ** 2) / (2 * BLUR_SIGMA_PX**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _detail(pictures: Floats) -> Floats:
    """What blurring takes away. The outermost pixels are left out: a crop's edge interpolates differently."""
    return np.asarray((pictures - _blur() @ pictures @ _blur().T)[:, 2:-2, 2:-2])


def _standard(pictures: Floats) -> Floats:
    """Zero mean and unit length: brightness and contrast do not count."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt(np.einsum("nij,nij->n", centred, centred))
    return np.asarray(centred / np.maximum(length, 1e-6)[:, None, None])


def _correlation(one: Floats, other: Floats) -> Floats:
    return np.asarray(np.einsum("nij,nij->n", _standard(one), _standard(other)))
