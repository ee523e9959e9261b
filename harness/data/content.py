"""Is there a picture in the frame at all? A mask, a blank frame and one that was cut off decode without complaint.

Each rule asks for something that no photograph of a cell shows, with a wide margin (docs/images.md has the figures of
3,690 real images); none of them tells a good photograph from a poor one.
"""

from __future__ import annotations

import numpy as np

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


def emptiness_of(pixels: np.ndarray) -> str | None:
    """What keeps (h, w, 3) uint8 pixels from being the photograph of a cell; None where nothing does."""
    if (spread := float(pixels.reshape(-1, 3).std(axis=0).max())) < BLANK_SD:
        mean = ", ".join(f"{value:.0f}" for value in pixels.reshape(-1, 3).mean(axis=0))
        return f"a blank frame: all of it is about ({mean}), with a standard deviation of {spread:.1f} grey levels"
    if (masked := _as_a_mask(pixels)) is not None:
        return masked
    return _cut_short(pixels)


def _as_a_mask(pixels: np.ndarray) -> str | None:
    if pixels.shape[0] * pixels.shape[1] < FEWEST_PIXELS:
        return None  # of a few pixels, a picture may well have four colours
    flat = pixels.reshape(-1, 3)
    codes = (flat.astype(np.uint32) << np.array([16, 8, 0], dtype=np.uint32)).sum(axis=1)
    if (n := _n_distinct(codes)) <= MASK_COLOURS:
        return f"a mask or a map of labels: the frame has {n} colours"
    low, high = flat.min(axis=0).astype(float), flat.max(axis=0).astype(float)
    if (high - low).max() < LEAST_RANGE:
        return None
    near = NEAR * (high - low)
    share = float(np.mean((flat <= low + near) | (flat >= high - near), axis=0).min())
    return f"a mask: {share:.1%} of the pixels have one of two values in every channel" if share >= MASK_SHARE else None


def _n_distinct(codes: np.ndarray) -> int:
    # A photograph shows more colours than a mask may have within its first pixels; sorting them all takes longer.
    few = len(np.unique(codes[:: max(1, len(codes) // 512)]))
    return few if few > MASK_COLOURS else len(np.unique(codes))


def _cut_short(pixels: np.ndarray) -> str | None:
    height, width = pixels.shape[:2]
    below = pixels[::-1]
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
        low = np.minimum.accumulate(lines.min(axis=1), axis=0).astype(np.int16)
        high = np.maximum.accumulate(lines.max(axis=1), axis=0).astype(np.int16)
        n_flat = _leading((high - low).max(axis=1) <= FLAT_RANGE)
        if n_flat >= FLAT_SHARE * n:
            return f"half empty: the {where.format(n_flat, n)} are of one colour"
    return None


def _leading(holds: np.ndarray) -> int:
    """How many entries hold before the first that does not."""
    return len(holds) if holds.all() else int(np.argmin(holds))
