"""What of a picture does no change of colour move: how fine its detail is, and where in the frame it is dark?

Of the grey thumbnail, brought to mean 0 and standard deviation 1, so that no gain and offset has a say. Rings only, so
that a turn has none; 32 px only, so that rescaling and re-encoding have little. What is left is the focus and what
noise outlives a thumbnail (the power of each band of spatial frequencies), and the geometry of the cell in its frame:
how large it is, and how much lies around it (mean and spread of each ring around the centre). A crop moves both.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from harness.data.metadata import THUMBNAIL_PX

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"
BANDS = (1, 2, 4, 7, 11, 16)  # cycles a frame
RINGS = (0, 4, 8, 12, 16, 23)  # pixels from the centre; the last ring has the corners
MOVED = 0.02  # in these numbers
LEAST_SHARE = 1e-9  # of a flat picture, whose logarithm is asked, too


def structures(thumbnails: np.ndarray) -> np.ndarray:
    """The numbers of each picture: logarithm of each band's share of the power, then mean and spread of each ring.

    Args:
        thumbnails: (n, 32, 32, 3) uint8 RGB, as in `SetFacts`.
    Returns:
        (n, 15) float64.
    """
    grey = thumbnails.astype(np.float64) @ np.array(GREY)
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    grey /= np.maximum(grey.std(axis=(1, 2), keepdims=True), 1.0)  # of a flat picture a grey level is nothing
    return np.column_stack([*_bands(grey), *_rings(grey)])


def _bands(grey: np.ndarray) -> list[np.ndarray]:
    window = np.hanning(THUMBNAIL_PX)
    power = np.abs(np.fft.fft2(grey * np.outer(window, window))) ** 2
    cycles = np.fft.fftfreq(THUMBNAIL_PX) * THUMBNAIL_PX
    radius = np.hypot(cycles[:, None], cycles[None, :])
    means = [power[:, (radius >= low) & (radius < high)].mean(axis=1) for low, high in pairwise(BANDS)]
    whole = np.maximum(np.sum(means, axis=0), LEAST_SHARE)
    return [np.log(mean / whole + LEAST_SHARE) for mean in means]


def _rings(grey: np.ndarray) -> list[np.ndarray]:
    across = np.arange(THUMBNAIL_PX) - (THUMBNAIL_PX - 1) / 2
    radius = np.hypot(across[:, None], across[None, :])
    rings = [grey[:, (radius >= low) & (radius < high)] for low, high in pairwise(RINGS)]
    return [each for ring in rings for each in (ring.mean(axis=1), ring.std(axis=1))]
