"""Is there a picture in the frame at all? A mask, a blank frame and one that was cut off decode without complaint.

Each rule asks for something that no photograph of a cell shows, with a wide margin (docs/images.md has the figures of
3,690 real images); none of them tells a good photograph from a poor one.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

# Standard deviation over the frame of the channel that varies most, in grey levels. Real frames: 21 and more.
BLANK_SD = 4.0
# Colours of a mask or a map of labels, and pixels from which on their number says something. Real frames: from 2,609.
MASK_COLOURS, FEWEST_PIXELS = 4, 1024
# After JPEG a mask has more: share of pixels that each channel has near its ends, a twentieth of its range. Real
# frames, within a tenth of it: 0.85 at most, overexposed ones of `jtsc`.
MASK_SHARE, NEAR, LEAST_RANGE = 0.97, 0.05, 64
# What decoders fill in for data that is not there, and the share of the frame's rows from which on it is told.
FILL_GREY, FILL_OFF, FILLED_SHARE = 128, 2, 0.05
# Rows or columns at one edge that are of any one colour. Real frames: 0.28 at most, overexposed ones of `jtsc`.
FLAT_RANGE, FLAT_SHARE = 4, 0.45
PROBED = 8  # an eighth of the lines is looked at before all are
LEVELS, SAMPLED, SKIPPED = 256, 64, 4


def emptiness_of(pixels: np.ndarray) -> str | None:
    """What keeps (h, w, 3) uint8 pixels from being the photograph of a cell; None where nothing does."""
    told = None if _surely_a_photograph(pixels) else _told_by_tones(pixels)
    return told or _cut_short(pixels)


def _surely_a_photograph(pixels: np.ndarray) -> bool:
    """Whether the green of every fourth row shows already that the frame is neither blank nor a mask.

    At least a quarter of all pixels lie there, so that the frame has at least half of their standard deviation. What a
    mask has between its two values might all lie there; what counts as between is taken as narrowly as the other rows
    could make it.
    """
    green = np.bincount(pixels[::SKIPPED, :, 1].ravel(), minlength=LEVELS)
    (_, spread), levels = _mean_and_sd(green[None]), np.flatnonzero(green)
    above, below = (1 - NEAR) * levels[0] + NEAR * (LEVELS - 1), (1 - NEAR) * levels[-1]
    n, n_between = pixels.shape[0] * pixels.shape[1], green[levels[(levels > above) & (levels < below)]].sum()
    varied = spread[0] >= BLANK_SD * np.sqrt(SKIPPED)
    return bool(varied and n_between > (1 - MASK_SHARE) * n and _n_colours(pixels) > MASK_COLOURS)


def _told_by_tones(pixels: np.ndarray) -> str | None:
    tones = tones_of(pixels)
    mean, spread = _mean_and_sd(tones)
    if spread.max() < BLANK_SD:
        about = ", ".join(f"{value:.0f}" for value in mean)
        sd = f"{spread.max():.1f}"
        return f"a blank frame: all of it is about ({about}), with a standard deviation of {sd} grey levels"
    return _as_a_mask(pixels, tones)


def tones_of(pixels: np.ndarray) -> np.ndarray:
    """(3, 256) int64: how many pixels have each level of red, green and blue."""
    return np.array(Image.fromarray(pixels).histogram(), dtype=np.int64).reshape(3, LEVELS)


def _mean_and_sd(tones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(channels,) each, from sums of integers that are exact."""
    levels, n = np.arange(LEVELS), tones.sum(axis=1)
    first, second = tones @ levels, tones @ levels**2
    return first / n, np.sqrt(np.maximum(n * second - first**2, 0)) / n


def _as_a_mask(pixels: np.ndarray, tones: np.ndarray) -> str | None:
    if pixels.shape[0] * pixels.shape[1] < FEWEST_PIXELS:
        return None  # of a few pixels, a picture may well have four colours
    if (n := _n_colours(pixels)) <= MASK_COLOURS:
        return f"a mask or a map of labels: the frame has {n} colours"
    ends = [(int(held[0]), int(held[-1])) for held in map(np.flatnonzero, tones)]
    if max(high - low for low, high in ends) < LEAST_RANGE:
        return None
    levels = np.arange(LEVELS)
    near = [(levels <= low + NEAR * (high - low)) | (levels >= high - NEAR * (high - low)) for low, high in ends]
    share = float((tones * near).sum(axis=1).min() / tones[0].sum())
    return f"a mask: {share:.1%} of the pixels have one of two values in every channel" if share >= MASK_SHARE else None


def _n_colours(pixels: np.ndarray) -> int:
    # A photograph shows more colours than a mask may have within a few of its pixels; sorting them all takes longer.
    flat = pixels.reshape(-1, 3)
    few = _n_distinct(flat[:: max(1, len(flat) // SAMPLED)])
    return few if few > MASK_COLOURS else _n_distinct(flat)


def _n_distinct(colours: np.ndarray) -> int:
    codes = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    return len(set(codes.tolist())) if len(codes) <= 2 * SAMPLED else len(np.unique(codes))


def _cut_short(pixels: np.ndarray) -> str | None:
    height, width = pixels.shape[:2]
    below = pixels[::-1]
    if _is_flat(below[:1]):  # what decoders fill in begins with a line of one colour
        n_grey = _leading(np.abs(below.astype(np.int16) - FILL_GREY).max(axis=(1, 2)) <= FILL_OFF)
        if n_grey >= FILLED_SHARE * height:
            return f"cut off: the last {n_grey} of {height} rows are the grey that decoders fill in for missing data"
    across = pixels.transpose(1, 0, 2)
    for lines, n, where in (
        (below, height, "last {} of {} rows"),
        (pixels, height, "first {} of {} rows"),
        (across[::-1], width, "last {} of {} columns"),
        (across, width, "first {} of {} columns"),
    ):
        if not (_is_flat(lines[:1]) and _is_flat(lines[: -(-n // PROBED)])):
            continue  # nearly every photograph: its edge, or a strip along it, has more than one colour
        low = np.minimum.accumulate(lines.min(axis=1), axis=0).astype(np.int16)
        high = np.maximum.accumulate(lines.max(axis=1), axis=0).astype(np.int16)
        n_flat = _leading((high - low).max(axis=1) <= FLAT_RANGE)
        if n_flat >= FLAT_SHARE * n:
            return f"half empty: the {where.format(n_flat, n)} are of one colour"
    return None


def _is_flat(lines: np.ndarray) -> bool:
    # One channel after the other: NumPy is slow at a last axis of three, and of a photograph the first tells.
    return all(int(np.ptp(lines[..., channel])) <= FLAT_RANGE for channel in range(3))


def _leading(holds: np.ndarray) -> int:
    """How many entries hold before the first that does not."""
    return len(holds) if holds.all() else int(np.argmin(holds))
