"""Which pictures did a look show? What a ledger keeps of them: the beginning of each one's pixel digest.

A set's own digest changes when one image is saved again, added or dropped; its other pictures are the same ones. So an
entry names every picture by eight bytes of the digest of its decoded pixels, which no other file format, compression
without loss, or metadata changes. Some 4 KB for 375 cells, once for each set of cells. A picture that was saved anew
with loss, turned or brightened is another one here: the search for copies speaks of those, the ledger cannot.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from harness.core.errors import HarnessError

BYTES = 8  # two of a million pictures share them by chance once in 37 million such ledgers
# 350 KB in an entry, once for each set of cells. Of larger sets those with the smallest digests stand for all: two sets
# that share most pictures share most of these, and a choice of others alone begins anew.
MOST_PICTURES = 32_768


class InvalidPictures(HarnessError, ValueError):
    """What an entry says of its pictures was not written by `pack_pictures`."""


def pack_pictures(digests: Iterable[str]) -> str:
    """As text for an entry of the ledger, whatever the order of the digests and however often each is there."""
    distinct = sorted({bytes.fromhex(digest)[:BYTES] for digest in digests})[:MOST_PICTURES]
    return base64.b64encode(b"".join(distinct)).decode("ascii")


@lru_cache(maxsize=1024)
def unpack_pictures(packed: str) -> np.ndarray:
    """(n,) uint64, ascending and distinct.

    Raises:
        InvalidPictures: this is not what `pack_pictures` writes.
    """
    try:
        content = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidPictures(f"pictures are not what the harness writes ({error})") from None
    if len(content) % BYTES or len(content) > BYTES * MOST_PICTURES:
        raise InvalidPictures(f"{len(content)} bytes are not at most {MOST_PICTURES} pictures of {BYTES} bytes")
    pictures = np.frombuffer(content, ">u8").astype(np.uint64)
    if np.any(pictures[1:] <= pictures[:-1]):
        raise InvalidPictures("pictures are not distinct and in order, as the harness writes them")
    return pictures
