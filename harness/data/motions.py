"""How does one picture come from the other, in words? From the affine map that lays two thumbnails over each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.data.hashing import THUMBNAIL_PX

# What is less than these is what a search of 64 px thumbnails cannot tell from nothing.
LEAST_TURN_DEGREES, LEAST_RESCALING, LEAST_STRETCH, LEAST_SHIFT = 1.5, 0.04, 0.06, 0.04


def motion_in_words(
    motion: NDArray[np.float32], first_size: NDArray[np.int64], second_size: NDArray[np.int64], *, reverse: bool
) -> str:
    """How the second comes from the first; `reverse`: how the first comes from the second. Degrees counter-clockwise.

    Args:
        motion: (2, 3) from a place (down, right, 1) in thumbnail pixels of the second to one of the first.
        first_size, second_size: width and height of the whole pictures.
    """
    to_first = _in_pixels(motion.astype(np.float64), first_size, second_size)
    if reverse:
        steps = _words(to_first, second_size, first_size)
    else:
        steps = _words(np.asarray(np.linalg.inv(to_first)), first_size, second_size)
    return ", ".join(steps) or "relit or partly covered"


def _in_pixels(motion: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """(3, 3) from a place (down, right, 1) in pixels of the second picture to one of the first."""
    middle = np.array([[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # thumbnail pixel 0 has its middle half a pixel in
    square = np.vstack([motion, [0, 0, 1]])
    grow, shrink = (np.diag([size[1] / THUMBNAIL_PX, size[0] / THUMBNAIL_PX, 1.0]) for size in (first, second))
    return np.asarray(grow @ middle @ square @ np.linalg.inv(middle) @ np.linalg.inv(shrink))


def _words(made: NDArray[np.float64], before: NDArray[np.int64], after: NDArray[np.int64]) -> Iterator[str]:
    """What a map from pixels of one picture to pixels of the other does, one step at a time."""
    linear = made[:2, :2]
    mirrored = np.linalg.det(linear) < 0
    if mirrored:
        yield "flipped left-right"
        linear = linear @ np.diag([1.0, -1.0])
    left, scales, right = np.linalg.svd(linear)
    turn = left @ right  # the nearest turn; rows are down and right, so that a positive angle is counter-clockwise
    degrees = round(float(np.degrees(np.arctan2(turn[0, 1], turn[0, 0]))) * -1) % 360
    if min(degrees, 360 - degrees) >= LEAST_TURN_DEGREES:
        yield f"rotated {degrees}"
    zoom = float(np.sqrt(scales[0] * scales[1]))
    if abs(np.log(zoom)) > LEAST_RESCALING:
        yield f"rescaled x{zoom:.2g}"
    if scales[1] / scales[0] < 1 - LEAST_STRETCH:
        yield f"stretched to {scales[1] / scales[0]:.2f}"
    middle = made @ np.append(before[::-1] / 2, 1.0)
    if np.abs(middle[:2] / after[::-1] - 0.5).max() > LEAST_SHIFT:
        yield "shifted"
