"""Inputs without a cell: blank fields, red cells, noise, text and grey."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataError
from harness.data.backgrounds import Background, coordinates_of
from harness.data.image_arrays import MIN_SIZE_PX, Floats, Pixels, as_levels, check_name

NO_CELLS = ("blank", "red_cells", "noise", "text", "grey")
RED_CELL_SHARE = 0.27  # diameter of a red cell, 7.5 um, in a field of 27 um as around white cells in the PBC set


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
    check_name(kind, NO_CELLS, "input without a cell")
    if size_px < MIN_SIZE_PX:
        raise DataError(f"an image of {size_px} px shows nothing. Give size_px of {MIN_SIZE_PX} or more.")
    if kind == "noise":
        return as_levels(rng.normal(like.mean, like.sd, (size_px, size_px, 3)))
    if kind == "grey":
        return np.full((size_px, size_px, 3), round(rng.uniform(40, 215)), dtype=np.uint8)
    slide = np.ones((size_px, size_px, 3)) * rng.choice(like.colours)
    if kind == "red_cells":
        slide *= _red_cells(size_px, like.red_cell, rng)
    if kind == "text":
        slide *= _print(size_px, rng)[:, :, None]
    y, x = coordinates_of(size_px, size_px)
    turn = rng.uniform(0, 2 * np.pi)
    lamp = 1.0 + rng.uniform(0, 0.12) * (np.cos(turn) * x + np.sin(turn) * y)
    return as_levels(slide * lamp[:, :, None] + rng.normal(0, max(like.noise, 0.5), slide.shape))


def _red_cells(size_px: int, light: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    """(size, size, 3) light that passes some red cells, paler in the middle."""
    y, x = coordinates_of(size_px, size_px)
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
