"""Is a set another one, or the same pictures saved anew with loss? What a ledger keeps of how its pictures look.

A digest of pixels changes wholly where a JPEG is saved again, rescaled or made a little darker, and the count of looks
would begin anew. So an entry keeps 63 signs of every picture as well: of the lowest coefficients of the cosine
transform of its 64 px grey thumbnail. Of 250 real cells saved as JPEG of quality 50, halved, made 10 % darker or noisy
every one kept all but two of its signs, and of 1,250 real cells none came nearer to another one than eight
(`python -m benchmarks likenesses`; decision 0037 has the figures). Turned, mirrored and cropped pictures are others
here: the search for copies speaks of those.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from harness.core.errors import HarnessError
from harness.data.resemblance import featureless
from harness.judge.packed_numbers import pack_numbers, unpack_numbers

MOST_LIKENESSES = 32_768
MODES = 8  # on each axis; the mean is left out
MOST_SIGNS_APART = 2
# Digits of 40 px, which are all alike, come so near to one of 900 others in 1 of 1,000, to one of 30,000 in 1 of 30.
SHARED_FROM = 1 / 20
ROWS_AT_ONCE = 256


class InvalidLikenesses(HarnessError, ValueError):
    """What an entry says of how its pictures look was not written by `pack_likenesses`."""


def pack_likenesses(thumbnails: Iterable[NDArray[np.uint8]]) -> str:
    """As text for an entry of the ledger, whatever their order; of blank pictures, which are all alike, nothing.

    thumbnails: (64, 64) uint8 grey, one for each picture, as `harness.data.hashing.thumbnail` makes them.
    """
    shown = list(thumbnails)
    if not shown:
        return ""
    signs = signs_of(np.array(shown)[~featureless(np.array(shown))])
    return pack_numbers(signs, most=MOST_LIKENESSES)


def signs_of(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n,) 63 signs of each of (n, 64, 64) thumbnails, as one number."""
    lowest = dctn(thumbnails.astype(np.float64), axes=(1, 2), norm="ortho")[:, :MODES, :MODES]
    signs = lowest.reshape(len(thumbnails), MODES**2) > 0
    signs[:, 0] = False  # of the mean, which every picture has
    return np.packbits(signs, axis=1).view(">u8").ravel().astype(np.uint64)


@lru_cache(maxsize=1024)
def unpack_likenesses(packed: str) -> NDArray[np.uint64]:
    """(n,) uint64, ascending and distinct.

    Raises:
        InvalidLikenesses: this is not what `pack_likenesses` writes.
    """
    return unpack_numbers(packed, most=MOST_LIKENESSES, what="likenesses", error=InvalidLikenesses)


@lru_cache(maxsize=4096)
def look_alike(one: str, other: str) -> bool:
    """Whether more than 1 in 20 of the pictures of either packed text look like one of the other's."""
    a, b = unpack_likenesses(one), unpack_likenesses(other)
    if not a.size or not b.size:
        return False
    of_b = np.zeros(b.size, dtype=bool)
    n_of_a = 0
    for at in range(0, a.size, ROWS_AT_ONCE):
        near = np.bitwise_count(a[at : at + ROWS_AT_ONCE, None] ^ b[None]) <= MOST_SIGNS_APART
        n_of_a += int(near.any(axis=1).sum())
        of_b |= near.any(axis=0)
    return bool(n_of_a > SHARED_FROM * a.size or of_b.sum() > SHARED_FROM * b.size)
