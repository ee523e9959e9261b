"""What a classifier rests an answer on, as far as it shows: saliency maps beside a control, nearest training pictures.

Nothing of it is judged. A map is only worth a look where it changes with the weights: beside each stands that of the
same network with random ones (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

N_NEAREST = 3
FULL = 255  # the largest value of a map
SEED = 0  # of the control's weights
# Shares of a map's largest value from which on a place is called bright in words.
BRIGHT = 0.9


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A training picture. distance: 1 minus the cosine of the angle between its features and the cell's, 0 to 2."""

    sha256: str
    path: str
    label: str
    distance: float


@dataclass(frozen=True, slots=True)
class Explained:
    """One cell.

    map, control: a byte for each place in hexadecimal, row after row, 255 where it is largest; all 0 where no place
               speaks for the class. None where there are none.
    agreement: Spearman's rank correlation of the two, over places; None where one of them is the same everywhere.
    nearest:   the training pictures with the nearest features, the nearest first.
    mask:      how much of each place lies within the cell, packed like a map, 255 where all of it; None where no mask
               is given.
    inside:    the share of the map within the cell; area: that of the places, which a map without any aim would have.
    """

    sha256: str
    path: str
    label: str
    predicted: str
    map: str | None = None
    control: str | None = None
    agreement: float | None = None
    nearest: tuple[Lookalike, ...] = ()
    mask: str | None = None
    inside: float | None = None
    area: float | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """How maps were made. layer: the module whose outputs they are of; rows, columns: of its outputs.

    resize, crop: what part of a picture lies under a map, as in `Preprocessing`. seed: of the control's weights.
    """

    by: str
    layer: str
    rows: int
    columns: int
    resize: Literal["squish", "crop"]
    crop: float
    seed: int


@dataclass(frozen=True, slots=True)
class Explanations:
    """Of the cells that the page pictures.

    sets:       set name -> its cells, in the order of the page.
    method:     None where there are no maps, and `no_maps` says why.
    n_compared: training pictures among which the nearest were searched; `no_nearest` says why there are none.
    no_masks:   why no cell has a mask although a folder of masks was given; None where none was given, or some have.
    """

    sets: dict[str, tuple[Explained, ...]]
    method: Method | None = None
    no_maps: str | None = None
    n_compared: int = 0
    no_nearest: str | None = None
    no_masks: str | None = None


def packed(values: np.ndarray) -> str:
    """A map as `Explained` has it.

    Args:
        values: (rows, columns), none below 0.
    """
    peak = float(values.max())
    scaled = values * (FULL / peak) if peak > 0 else np.zeros_like(values)
    return np.rint(scaled).astype(np.uint8).tobytes().hex()


def places_of(packed_map: str) -> np.ndarray:
    """(rows x columns,) uint8 of a packed map.

    Raises:
        ValueError: it is no hexadecimal number as `packed` writes it.
    """
    if not re.fullmatch("[0-9a-f]*", packed_map):
        raise ValueError("a map is written in lower-case hexadecimal digits")
    return np.frombuffer(bytes.fromhex(packed_map), dtype=np.uint8)


def agreement(first: str, second: str) -> float | None:
    """Spearman's rank correlation of two packed maps; None where one is the same everywhere."""
    one, other = places_of(first), places_of(second)
    if len(np.unique(one)) < 2 or len(np.unique(other)) < 2:
        return None
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """(n,) mid-ranks. Not scipy's: `scipy.stats` takes a second to import, and whoever verifies a pack would wait."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])


def covered(view: np.ndarray, *, rows: int, columns: int) -> str:
    """How much of each place of a map lies within the cell, packed.

    Args:
        view: (height, width) of what the classifier is shown, 1 within the cell and 0 beside it.
    """
    down, across = (_overlaps(side, n) for side, n in zip(view.shape, (rows, columns), strict=True))
    shares = np.clip(down @ view @ across.T, 0, 1)
    places: np.ndarray = np.rint(FULL * shares).astype(np.uint8)
    return places.tobytes().hex()


def _overlaps(side: int, n: int) -> np.ndarray:
    """(n, side) of how much each pixel counts in the mean of each of n equal stretches of a side."""
    edges, at = np.linspace(0, side, n + 1), np.arange(side)
    shares = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    return np.asarray(np.maximum(shares, 0) * n / side)


def within(packed_map: str, packed_mask: str) -> float | None:
    """The share of a map that lies within the cell; None where no place speaks for the class."""
    values, mask = places_of(packed_map).astype(float), places_of(packed_mask).astype(float)
    return float(values @ mask / (FULL * values.sum())) if values.any() else None


def area_of(packed_mask: str) -> float:
    """The share of the places that lies within the cell."""
    return float(places_of(packed_mask).mean() / FULL)


def with_mask(cell: Explained, mask: str) -> Explained:
    """The cell with its mask and what follows from it; its map is known."""
    return replace(cell, mask=mask, inside=within(cell.map or "", mask), area=area_of(mask))


def nearest(features: np.ndarray, others: np.ndarray, names: Sequence[str]) -> list[list[tuple[int, float]]]:
    """(row of `others`, cosine distance) of the nearest few to each row of `features`; of equals the first by name.

    Args:
        features: (n, n_features). others: (n_others, n_features); names: (n_others,).
    """
    similar = _unit(features) @ _unit(others).T
    order = np.argsort(np.asarray(names), kind="stable")
    found = []
    for row in similar:
        # Rounded, so that pictures alike do not change places with the order of summation.
        first = order[np.argsort(-np.round(row[order], 9), kind="stable")][:N_NEAREST]
        found.append([(int(each), float(1.0 - min(1.0, row[each]))) for each in first])
    return found


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))


def told(packed_map: str, *, rows: int, columns: int) -> str:
    """Where a map is bright, in words: what it says to whoever cannot see it."""
    values = places_of(packed_map).reshape(rows, columns)
    if not values.any():
        return "no place speaks for the class"
    bright = np.argwhere(values >= BRIGHT * FULL)
    down, across = (bright + 0.5).mean(axis=0) / (rows, columns)
    vertical = "" if 1 / 3 <= down <= 2 / 3 else "top" if down < 1 / 3 else "bottom"
    horizontal = "" if 1 / 3 <= across <= 2 / 3 else "left" if across < 1 / 3 else "right"
    where = " ".join(each for each in (vertical, horizontal) if each) or "centre"
    return f"brightest at the {where}"
