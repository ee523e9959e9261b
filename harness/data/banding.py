"""Which of many bit strings are nearly equal? By locality-sensitive hashing; never all pairs against all.

Two strings meet where all bits of one of the bands agree (banding for Hamming distance; Indyk and Motwani, STOC 1998).
Whether two meet depends on the two alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

MEETINGS_AT_ONCE = 2**19  # less keeps threads waiting for each other, more leaves the cache


@dataclass(frozen=True, slots=True)
class Banding:
    """How strings of `n_bits` (up to 64) are looked up: in `n_bands` bands of `band_bits` (up to 24) bits each."""

    n_bits: int
    n_bands: int
    band_bits: int


@dataclass(frozen=True, slots=True, eq=False)
class BandedIndex:
    """All strings that can be met, by band. starts: (bands, 2**band_bits + 1); order: (bands, n); hashes: (n,)."""

    banding: Banding
    hashes: NDArray[np.uint64]
    starts: NDArray[np.int32]
    order: NDArray[np.int32]


def banded_index(bits: Bits, banding: Banding) -> BandedIndex:
    """An index of (n, n_bits) strings."""
    keys = _keys(bits, banding)
    starts = np.zeros((banding.n_bands, 2**banding.band_bits + 1), dtype=np.int32)
    order = np.empty((banding.n_bands, len(bits)), dtype=np.int32)
    for band in range(banding.n_bands):
        order[band] = np.argsort(keys[band], kind="stable")
        starts[band, 1:] = np.cumsum(np.bincount(keys[band], minlength=2**banding.band_bits))
    return BandedIndex(banding, packed(bits), starts, order)


def met(index: BandedIndex, bits: Bits, *, max_distance: int) -> tuple[Ints, Ints]:
    """(asked, target): rows of `bits` and of the index that meet at a Hamming distance of at most `max_distance`.

    Sorted by `asked`, then `target`; each pair once, in however many bands it meets.
    """
    hashes = packed(bits)
    found: list[Ints] = [np.empty(0, dtype=np.int64)]
    for band, keys in enumerate(_keys(bits, index.banding)):
        for asked, target in _bucket_mates(index.starts[band], index.order[band], keys):
            apart = np.bitwise_count(hashes.take(asked) ^ index.hashes.take(target))
            near = np.flatnonzero(apart <= max_distance)
            found.append(asked.take(near).astype(np.int64) * len(index.hashes) + target.take(near))
    # Most pairs that meet do so in several bands. Sorting is some ten times faster than np.unique's hash table.
    pairs, n = np.concatenate(found), max(1, len(index.hashes))
    pairs.sort()
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])[: len(pairs)]]
    return pairs // n, pairs % n


def packed(bits: Bits) -> NDArray[np.uint64]:
    """(n, up to 64) bits as one number each."""
    padded = np.concatenate([bits, np.zeros((*bits.shape[:-1], 64 - bits.shape[-1]), dtype=np.bool_)], axis=-1)
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8")[..., 0]


@cache
def _band_weights(banding: Banding) -> Floats:
    """(n_bits, bands): the product with a row of bits is its key in every band; exact in float32 up to 24 bits."""
    weights = np.zeros((banding.n_bits, banding.n_bands), dtype=np.float32)
    for band in range(banding.n_bands):
        # Which bits make a band is drawn by a digest: the same on every machine and with every version of NumPy.
        order = sorted(range(banding.n_bits), key=lambda bit: hashlib.sha256(f"{band}:{bit}".encode()).digest())
        weights[order[: banding.band_bits], band] = 2.0 ** np.arange(banding.band_bits)
    return weights


def _keys(bits: Bits, banding: Banding) -> NDArray[np.int32]:
    """(bands, n) of (n, n_bits) bits."""
    return np.ascontiguousarray((bits.astype(np.float32) @ _band_weights(banding)).T.astype(np.int32))


def _bucket_mates(
    starts: NDArray[np.int32], order: NDArray[np.int32], keys: NDArray[np.int32]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """(asked, target) for every target in the bucket of a key, some hundred thousands at a time."""
    begin = starts.take(keys)
    size = starts.take(keys + 1) - begin
    asked = np.flatnonzero(size).astype(np.int32)
    begin, size = begin.take(asked), size.take(asked)
    ends = np.cumsum(size, dtype=np.int64)
    at = 0
    while at < len(asked):
        # A bucket of pictures that are all alike may be larger than MEETINGS_AT_ONCE; it is taken whole.
        done = ends[at - 1] if at else 0
        to = max(at + 1, int(np.searchsorted(ends, done + MEETINGS_AT_ONCE, side="right")))
        sizes = size[at:to]
        # Where each bucket lies in `order`, less where it comes to lie in what is yielded.
        gap = (begin[at:to] - (ends[at:to] - sizes - done)).astype(np.int32)
        places = np.repeat(gap, sizes)
        places += np.arange(len(places), dtype=np.int32)
        yield np.repeat(asked[at:to], sizes), order.take(places)
        at = to
