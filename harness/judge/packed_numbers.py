"""Many 64-bit numbers as one text in an entry of the ledger: ascending and distinct, so that a set has one spelling."""

from __future__ import annotations

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import HarnessError

BYTES = 8


def pack_numbers(numbers: NDArray[np.uint64], *, most: int) -> str:
    """The `most` smallest of them, each once."""
    return base64.b64encode(np.unique(numbers)[:most].astype(">u8").tobytes()).decode("ascii")


def unpack_numbers(packed: str, *, most: int, what: str, error: type[HarnessError]) -> NDArray[np.uint64]:
    """(n,) ascending and distinct.

    Args:
        what: what the numbers stand for, in messages.

    Raises:
        error: this is not what `pack_numbers` writes.
    """
    try:
        content = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise error(f"{what} are not what the harness writes ({problem})") from None
    if len(content) % BYTES or len(content) > BYTES * most:
        raise error(f"{len(content)} bytes are not at most {most} {what} of {BYTES} bytes")
    found = np.frombuffer(content, ">u8").astype(np.uint64)
    if np.any(found[1:] <= found[:-1]):
        raise error(f"{what} are not distinct and in order, as the harness writes them")
    return found
