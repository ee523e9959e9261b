"""Is a picture out of focus, too dark, too light, nearly without greys, or cut unlike the others of its set?

Nothing here says that a picture cannot be used: it names those that somebody should look at. docs/images.md has the
figures of real images that the limits were held against, and what was seen in those that are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from harness.data.records import Finding

LEVELS = 256
# Level that a twentieth of the pixels do not exceed, and all but a hundredth. Real frames: 21 to 183, and 193 to 255.
SHADE, LIGHT = 0.05, 0.99
LIGHT_FROM, DARK_TO = 230, 96
# Bits of the histogram of grey levels: two are what four levels of equal share have. Real frames: 2.5 to 7.2.
LEAST_BITS = 2.0
# Of the logarithm of the sharpness, in spreads of the set (1.4826 median absolute deviations) below its median. Of a
# normal distribution, 1 in 30,000 lies there. And less than two fifths of the usual sharpness: in a set whose pictures
# are all equally sharp, a spread is nothing.
BLUR_SPREADS, BLUR_SHARE = 4.0, 0.4
# The network sees every picture in one size: one of half or double the usual side shows its cell half or twice as
# large, and one of another shape shows it squeezed.
ODD_RATIO = 2.0
FEWEST = 20  # pictures that say what is usual


@dataclass(frozen=True, slots=True)
class Quality:
    """What the grey levels of one picture come to, and its sides.

    shade, light: the level that 5 % and 99 % of the pixels do not exceed.
    bits:         Shannon entropy of the levels.
    sharpness:    variance of the Laplacian over the variance of the levels, which light and stain have little say in; 0
                  of a picture of one level, or of fewer than three pixels a side. Source: the focus measure of
                  Pech-Pacheco et al. (ICPR 2000), divided by the contrast.
    """

    width_px: int
    height_px: int
    shade: int
    light: int
    bits: float
    sharpness: float


def quality_of(grey: Image.Image) -> Quality:
    """Of a picture in Pillow's mode "L"."""
    counts = np.array(grey.histogram(), dtype=np.float64)
    shares = counts / counts.sum()
    below = np.cumsum(shares)
    held = shares[shares > 0]
    return Quality(
        width_px=grey.width,
        height_px=grey.height,
        shade=int(np.searchsorted(below, SHADE)),
        light=int(np.searchsorted(below, LIGHT)),
        bits=max(0.0, float(-(held * np.log2(held)).sum())),
        sharpness=_sharpness(grey, _variance(shares)),
    )


def _variance(shares: np.ndarray) -> float:
    levels = np.arange(LEVELS)
    return float(shares @ (levels - shares @ levels) ** 2)


def _sharpness(grey: Image.Image, variance: float) -> float:
    if variance == 0.0 or min(grey.size) < 3:
        return 0.0
    levels = np.asarray(grey).astype(np.int16)
    inner = levels[1:-1, 1:-1]
    laplacian = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * inner
    # Integers, so that the result is the same whatever the order of summation.
    first, second = int(laplacian.sum(dtype=np.int64)), int(np.square(laplacian, dtype=np.int32).sum(dtype=np.int64))
    return (second / laplacian.size - (first / laplacian.size) ** 2) / variance


# --- rules ------------------------------------------------------------------------------------------


def quality_checked(pictures: Mapping[str, Quality]) -> dict[str, int]:
    """Rule -> pictures that it looks at. What is odd among a few is not known, and those rules are absent."""
    n = len(pictures)
    compared = ("blurred_images", "odd_sizes", "odd_aspect_ratios") if n >= FEWEST else ()
    return dict.fromkeys(("dark_images", "light_images", "low_information_images", *compared), n)


def quality_findings(pictures: Mapping[str, Quality]) -> Iterator[Finding]:
    """One finding for each picture and rule, in no order; pictures: by their paths."""
    for path, seen in pictures.items():
        yield from _by_itself(path, seen)
    if len(pictures) >= FEWEST:
        yield from _unlike_the_others(tuple(pictures), tuple(pictures.values()))


def _by_itself(path: str, seen: Quality) -> Iterator[Finding]:
    if seen.light < DARK_TO:
        detail = f"too dark: {LIGHT:.0%} of its pixels are at grey level {seen.light} of 255 or darker"
        yield Finding("dark_images", path, detail, "Look at it; take it again with more light, or leave it out.")
    if seen.shade > LIGHT_FROM:
        detail = f"too light: {1 - SHADE:.0%} of its pixels are at grey level {seen.shade} of 255 or lighter"
        yield Finding("light_images", path, detail, "Look at it; take it again with less light, or leave it out.")
    if seen.bits < LEAST_BITS:
        detail = f"its grey levels hold {seen.bits:.2f} bits, fewer than {LEAST_BITS:g}"
        remedy = "Look at it; export it again from the original without reducing its levels, or leave it out."
        yield Finding("low_information_images", path, detail, remedy)


def _unlike_the_others(paths: Sequence[str], pictures: Sequence[Quality]) -> Iterator[Finding]:
    sides = np.array([[seen.width_px, seen.height_px] for seen in pictures], dtype=np.float64)
    size, shape = np.sqrt(sides.prod(axis=1)), sides[:, 0] / sides[:, 1]
    for row in np.flatnonzero(_ratio_to_usual(size) >= ODD_RATIO).tolist():
        detail = f"{_sides(pictures[row])}, where {np.median(size):.0f} px a side are usual in this set"
        remedy = "Find out how it was cut, and export it like the others, or leave it out."
        yield Finding("odd_sizes", paths[row], detail, remedy)
    for row in np.flatnonzero(_ratio_to_usual(shape) >= ODD_RATIO).tolist():
        detail = f"{_sides(pictures[row])}, where a width of {np.median(shape):.2f} times the height is usual"
        remedy = "Cut it in the shape of the others, or leave it out: a network would see its cell squeezed."
        yield Finding("odd_aspect_ratios", paths[row], detail, remedy)
    sharpness = np.array([seen.sharpness for seen in pictures])
    for row in np.flatnonzero(_blurred(sharpness)).tolist():
        detail = f"{sharpness[row] / np.median(sharpness):.0%} as sharp as is usual in this set"
        yield Finding("blurred_images", paths[row], detail, "Look at it; take it again in focus, or leave it out.")


def _ratio_to_usual(values: np.ndarray) -> np.ndarray:
    """(n,) how many times the median, or how many times less; 1 and more."""
    ratio = values / np.median(values)
    return np.asarray(np.maximum(ratio, 1 / ratio))


def _blurred(sharpness: np.ndarray) -> np.ndarray:
    """(n,) bool. Half of the set at 0, such as drawings of one level, says nothing of focus."""
    usual = np.median(sharpness)
    if usual == 0.0:
        return np.zeros(len(sharpness), dtype=bool)
    logarithm = np.log(np.maximum(sharpness / usual, 1e-12))
    spread = 1.4826 * np.median(np.abs(logarithm))
    return np.asarray((logarithm < -BLUR_SPREADS * spread) & (sharpness < BLUR_SHARE * usual))


def _sides(seen: Quality) -> str:
    return f"{seen.width_px} x {seen.height_px} px"
