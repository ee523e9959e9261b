"""Which thumbnails show the same picture, turned by any angle, shifted, cropped, covered or relit? Never all pairs.

Each picture's landmarks are looked up among all others' (`landmarks`, `banding`); pictures that resemble each other so
are laid over each other (`registration`). A copy may be smaller than its original: each picture is also asked with its
landmarks read finer, so that of the two the smaller one finds the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data.banding import BandedIndex, Banding, banded_index, met
from harness.data.landmarks import N_COMPONENTS, Landmarks, described, landmarks
from harness.data.registration import MIN_RING_CORRELATION, Agreement, Pairing, paired, registered

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Steps of 12 %: between two of them rings still meet. Down to this a copy may be smaller than its original.
SCALES = (1.0, 0.89, 0.79, 0.7)
N_BANDS, BAND_BITS, MOST_BAND_BITS = 48, 17, 20
MAX_DISTANCE = 12
MIN_LIKENESS = 0.82
# Of one picture: the pictures most like it that are laid over it, and the ways in which each is.
MOST_CANDIDATES, WAYS_EACH = 6, 2
IMAGES_PER_CHUNK = 256
# Of pictures that are all alike (digits, drawings) nearly every landmark resembles hundreds of others: 900 of them have
# two million such pairs a chunk, and the rings of a pair with their spectra take some 8 KiB.
ASKED_AT_ONCE, PAIRS_AT_ONCE = 2**12, 2**14
STEPS_PER_UNIT = 31  # of a kept ring map: -4 to 4 standard deviations in a byte


@dataclass(frozen=True, slots=True, eq=False)
class Recognised:
    """Pairs of thumbnails that show the same picture, sorted by (first, second), each pair once, first < second.

    motions: (m, 2, 3) from a place (down, right, 1) in thumbnail pixels of the second to one of the first.
    """

    first: Ints
    second: Ints
    motions: Floats
    correlation: Floats
    detail: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Spots:
    """The landmarks of pictures at scale 1, small enough to keep; see `Landmarks`.

    maps:    (m, rings, angles), a 31st of a standard deviation a step.
    vectors: (m, 48), what they are looked up by.
    """

    image: NDArray[np.int32]
    place: Floats
    share: Floats
    maps: NDArray[np.int8]
    vectors: NDArray[np.float16]

    def landmarks(self, rows: Ints) -> Landmarks:
        maps, scales = (
            self.maps[rows].astype(np.float32) / np.float32(STEPS_PER_UNIT),
            np.ones(len(rows), dtype=np.float32),
        )
        return Landmarks(self.image[rows].astype(np.int64), self.place[rows], scales, self.share[rows], maps)


def recognised(thumbnails: NDArray[np.uint8], *, workers: int, rows: Ints | None = None) -> Recognised:
    """Every pair that is found. Leave out blank ones (`resemblance.featureless`): all resemble each other.

    Args:
        thumbnails: (n, 64, 64) uint8; they may lie on disk (`numpy.memmap`): only some hundreds are copied at a time.
        workers: threads. The result does not depend on it.
        rows: which are compared, rising; all if not given.
    """
    rows = np.arange(len(thumbnails)) if rows is None else rows
    chunks = [rows[at : at + IMAGES_PER_CHUNK] for at in range(0, max(1, len(rows)), IMAGES_PER_CHUNK)]
    with ThreadPoolExecutor(workers) as pool:
        spots = _joined(list(pool.map(lambda chunk: _spots(thumbnails, chunk), chunks)))
        index = banded_index(spots.vectors > 0, banding_for(len(spots.image)))
        found = list(pool.map(lambda chunk: _found_from(thumbnails, chunk, spots, index), chunks))
    return _each_pair_once(found)


def banding_for(n_spots: int) -> Banding:
    """Twice as many buckets as there are spots: narrower bands would meet by chance, and more so the more there are."""
    bits = min(max(BAND_BITS, n_spots.bit_length() + 1), MOST_BAND_BITS)
    return Banding(N_COMPONENTS, n_bands=N_BANDS, band_bits=bits)


def _spots(thumbnails: NDArray[np.uint8], chunk: Ints) -> _Spots:
    found = landmarks(thumbnails[chunk], scales=(1.0,))
    maps = (found.maps * STEPS_PER_UNIT).round().clip(-127, 127).astype(np.int8)
    image = chunk[found.image].astype(np.int32)
    return _Spots(image, found.place, found.share, maps, described(found.maps).astype(np.float16))


def _joined(parts: list[_Spots]) -> _Spots:
    return _Spots(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Spots.__slots__))


def _found_from(
    thumbnails: NDArray[np.uint8], chunk: Ints, spots: _Spots, index: BandedIndex
) -> tuple[Pairing, Agreement]:
    """The pairs that landmarks of the pictures in rows `chunk` find; their `one` is among these."""
    asked = landmarks(thumbnails[chunk], scales=SCALES)
    pairing, worth = _ways(asked, chunk, spots, index)
    chosen = _most_alike(pairing, worth)
    return registered(thumbnails, thumbnails, pairing[chosen])


def _ways(asked: Landmarks, chunk: Ints, spots: _Spots, index: BandedIndex) -> tuple[Pairing, Floats]:
    """Every way in which a picture of `chunk` may show another, and what it is worth, in the order of `asked`.

    Worth: how alike the rings are, times what of it may rest on the pictures themselves. Borders of one colour are
    alike whatever they frame.
    """
    vectors = described(asked.maps)
    ways = [(_no_pairing(), np.empty(0, np.float32))]
    for spot, target in _resembling(vectors, chunk[asked.image], spots, index):
        one, other = asked[spot], spots.landmarks(target)
        pairing, likeness = paired(one, other)
        kept = likeness >= MIN_RING_CORRELATION
        pairing = Pairing(chunk[pairing.one], pairing.other, pairing.motion)
        ways.append((pairing[kept], (likeness * np.minimum(one.share, other.share))[kept]))
    joined = (np.concatenate([getattr(each, name) for each, _ in ways]) for name in ("one", "other", "motion"))
    return Pairing(*joined), np.concatenate([worth for _, worth in ways])


def _resembling(vectors: Floats, images: Ints, spots: _Spots, index: BandedIndex) -> Iterator[tuple[Ints, Ints]]:
    """(asked, target) of landmarks of two pictures that resemble each other, at most `PAIRS_AT_ONCE` at a time."""
    for start in range(0, len(vectors), ASKED_AT_ONCE):
        spot, target = met(index, vectors[start : start + ASKED_AT_ONCE] > 0, max_distance=MAX_DISTANCE)
        spot = spot + start
        others = images[spot] != spots.image[target]
        spot, target = spot[others], target[others]
        alike = _row_products(vectors, spot, spots.vectors, target) >= MIN_LIKENESS
        spot, target = spot[alike], target[alike]
        for at in range(0, len(spot), PAIRS_AT_ONCE):
            yield spot[at : at + PAIRS_AT_ONCE], target[at : at + PAIRS_AT_ONCE]


def _most_alike(pairing: Pairing, worth: Floats) -> Ints:
    """Rows of the worthiest ways of each pair, and of the worthiest pairs of each `one`."""
    rows = np.lexsort((-worth, pairing.other, pairing.one))
    way = _place_in_run(pairing.one[rows] << 32 | pairing.other[rows])
    pairs = rows[way == 0]
    pairs = pairs[np.lexsort((pairing.other[pairs], -worth[pairs], pairing.one[pairs]))]
    pairs = pairs[_place_in_run(pairing.one[pairs]) < MOST_CANDIDATES]
    chosen = np.isin(pairing.one[rows] << 32 | pairing.other[rows], pairing.one[pairs] << 32 | pairing.other[pairs])
    return np.asarray(rows[chosen & (way < WAYS_EACH)])


def _place_in_run(keys: Ints) -> Ints:
    """0, 1, 2, ... within each run of equal keys."""
    at = np.arange(len(keys))
    new = np.append(True, np.diff(keys) != 0)[: len(keys)]
    return at - np.maximum.accumulate(np.where(new, at, 0))


def _row_products(left: Floats, i: Ints, right: NDArray[np.float16], j: Ints) -> Floats:
    products = np.empty(len(i), dtype=np.float32)
    for at in range(0, len(i), 2**15):
        rows = slice(at, at + 2**15)
        products[rows] = np.einsum("ij,ij->i", left[i[rows]], right[j[rows]].astype(np.float32))
    return products


def _each_pair_once(found: list[tuple[Pairing, Agreement]]) -> Recognised:
    one, other, motion = (
        np.concatenate([getattr(pairing, name) for pairing in (_no_pairing(), *(each for each, _ in found))])
        for name in ("one", "other", "motion")
    )
    correlation, detail = (
        np.concatenate([np.empty(0, np.float32), *(getattr(each, name) for _, each in found)])
        for name in ("correlation", "detail")
    )
    swapped = one > other
    motion = np.where(swapped[:, None, None], _inverse(motion), motion)
    first, second = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((swapped, -detail.round(4), second, first))
    order = order[_place_in_run((first << 32 | second)[order]) == 0]
    return Recognised(first[order], second[order], motion[order].astype(np.float32), correlation[order], detail[order])


def _no_pairing() -> Pairing:
    return Pairing(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2, 3), np.float32))


def _inverse(motion: Floats) -> Floats:
    square = np.concatenate([motion, np.tile([[[0.0, 0.0, 1.0]]], (len(motion), 1, 1))], axis=1)
    return np.asarray(np.linalg.inv(square)[:, :2])
