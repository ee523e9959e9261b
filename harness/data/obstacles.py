"""Things in the way of a cell: an air bubble, a second cell."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from harness.data.backgrounds import background_colour, coordinates_of
from harness.data.image_arrays import Pixels, as_levels, blurred

CELL_RADIUS, CELL_EDGE = 0.36, 0.10  # what is pasted of a second cell, of the side: most cells, and a soft edge


def with_bubble(pixels: Pixels, percent: float, rng: np.random.Generator) -> Pixels:
    """A round lens of air: what lies below is blurred and washed out, its rim is dark, a highlight sits on it."""
    y, x = coordinates_of(*pixels.shape[:2])
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
    below = blurred(pixels.astype(np.float32), 0.15 * radius * min(pixels.shape[:2]))[rows, columns]
    below += 0.35 * (background_colour(pixels).astype(np.float32) - below)
    rim = np.exp(-0.5 * ((inside - 0.88) / max(0.07, 0.7 * edge)) ** 2)[:, :, None]
    below *= 1.0 - 0.65 * rim
    gleam = np.hypot(u - 0.42 * radius * np.cos(highlight_turn), v - 0.42 * radius * np.sin(highlight_turn))
    below += np.exp(-0.5 * (gleam / (0.14 * radius)) ** 2)[:, :, None] * (250.0 - below) * 0.9
    changed, image = pixels.copy(), pixels[rows, columns].astype(np.float32)
    changed[rows, columns] = as_levels(image + cover * (below - image))
    return changed


def with_second_cell(pixels: Pixels, other: Pixels, percent: float, rng: np.random.Generator) -> Pixels:
    """`other`'s cell, cut out softly and brought to this slide's colour, with its centre so far from the middle."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    turn = rng.uniform(0, 2 * np.pi)
    right, down = round(percent / 100 * side * np.cos(turn)), round(percent / 100 * side * np.sin(turn))
    mine, theirs = background_colour(pixels), background_colour(other)
    light = other / theirs
    darkest = np.minimum(np.minimum(light[:, :, 0], light[:, :, 1]), light[:, :, 2])
    # Empty slide inside the disc stays this image's own: only what takes light is pasted, with a soft outline.
    stained = blurred(np.clip((0.96 - darkest) / 0.10, 0.0, 1.0)[:, :, None], 0.008 * side)[:, :, 0]
    cover = _middle(height, width) * np.clip(stained, 0.0, 1.0)
    to_y, to_x = slice(max(0, down), min(height, height + down)), slice(max(0, right), min(width, width + right))
    from_y, from_x = slice(max(0, -down), min(height, height - down)), slice(max(0, -right), min(width, width - right))
    changed, part = pixels.copy(), pixels[to_y, to_x].astype(np.float64)
    part += cover[from_y, from_x, None] * (light[from_y, from_x] * mine - part)
    changed[to_y, to_x] = as_levels(part)
    return changed


@cache
def _middle(height: int, width: int) -> NDArray[np.float64]:
    """(h, w) what is pasted of a second cell: 1 in the middle, 0 beyond a soft edge."""
    y, x = coordinates_of(height, width)
    return np.clip((CELL_RADIUS - np.hypot(x, y)) / CELL_EDGE + 0.5, 0.0, 1.0)
