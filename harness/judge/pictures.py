"""Which pictures did a look show? What a ledger keeps of them: the beginning of each one's pixel digest.

A set's own digest changes when one image is saved again, added or dropped; its other pictures are the same ones. So an
entry names every picture by eight bytes of the digest of its decoded pixels, which no other file format, compression
without loss, or metadata changes; two of a million pictures share them by chance once in 37 million such ledgers. Some
4 KB for 375 cells, once for each set of cells. A picture that was saved anew with loss or brightened is another one
here, which `judge.likenesses` knows again, and one that was turned is for the search for copies.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from harness.core.errors import HarnessError
from harness.judge.packed_numbers import BYTES, pack_numbers, unpack_numbers

# 350 KB in an entry, once for each set of cells. Of larger sets those with the smallest digests stand for all: two sets
# that share most pictures share most of these, and a choice of others alone begins anew.
MOST_PICTURES = 32_768


class InvalidPictures(HarnessError, ValueError):
    """What an entry says of its pictures was not written by `pack_pictures`."""


def pack_pictures(digests: Iterable[str]) -> str:
    """As text for an entry of the ledger, whatever the order of the digests and however often each is there."""
    starts = b"".join(bytes.fromhex(digest)[:BYTES] for digest in digests)
    return pack_numbers(np.frombuffer(starts, ">u8").astype(np.uint64), most=MOST_PICTURES)


@lru_cache(maxsize=1024)
def unpack_pictures(packed: str) -> np.ndarray:
    """(n,) uint64, ascending and distinct.

    Raises:
        InvalidPictures: this is not what `pack_pictures` writes.
    """
    return unpack_numbers(packed, most=MOST_PICTURES, what="pictures", error=InvalidPictures)
