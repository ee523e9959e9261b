"""Which pictures did a look show, though every one of them was saved anew since? What a ledger keeps of how they look.

Saving with loss, another size and a little more light change every pixel, and with it the digests that
`harness.judge.pictures` keeps. The signs of the lowest frequencies of a thumbnail stay: 8 bytes a picture, beside the
pictures of the entry and in their order, once for each set of cells. On real cells JPEG of quality 50 keeps
all but two of its signs, and of 1,250 real cells none came nearer to another one than eight
(`python -m benchmarks likenesses`; decision 0037 has the figures). Mirroring, quarter turns and the negative change the
signs in a way that is known, and are undone; other turns and crops make other pictures here: the search for copies
speaks of those.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import HarnessError
from harness.data.resemblance import featureless
from harness.judge.labels import picture_of
from harness.judge.packed_numbers import BYTES, unpack_numbers
from harness.judge.pictures import MOST_PICTURES

IN_ORDER = "in order:"  # of the pictures; entries of before have the distinct numbers, smallest first
BLANK = 0
MODES = 8  # on each axis; the mean is left out
MOST_SIGNS_APART = 2
# Digits of 40 px, which are all alike, come so near to one of 900 others in 1 of 1,000, to one of 30,000 in 1 of 30.
SHARED_FROM = 1 / 20
# One picture is another's only where no third comes near either: of pictures that are all alike none is.
FEWEST_TO_OTHERS = 7
ROWS_AT_ONCE = 256
MOST_TURNED = 1024  # of a set whose turned pictures are compared
MOST_LEFT = 16_384  # pictures that are looked for one by one, however turned: some ten seconds


class InvalidLikenesses(HarnessError, ValueError):
    """What an entry says of how its pictures look was not written by `pack_likenesses`."""


def pack_likenesses(shown: Iterable[tuple[str, NDArray[np.uint8]]]) -> str:
    """As text for an entry of the ledger, beside `pack_pictures` of the same digests; blank pictures look like none.

    shown: (digest of the pixels, (64, 64) uint8 grey thumbnail as `harness.data.hashing.thumbnail` makes it) of each
        cell.
    """
    _, signs = likenesses_of(shown, most=MOST_PICTURES)
    return IN_ORDER + base64.b64encode(signs.astype(">u8").tobytes()).decode("ascii") if signs.size else ""


def likenesses_of(
    shown: Iterable[tuple[str, NDArray[np.uint8]]], *, most: int | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(n,) distinct pictures, ascending, and (n,) how each looks; arguments as `pack_likenesses` has them.

    most: of more pictures than these the first are taken.
    """
    thumbnails = {picture_of(digest): thumbnail for digest, thumbnail in shown}
    pictures = np.array(sorted(thumbnails)[:most], dtype=np.uint64)
    if not pictures.size:
        return pictures, pictures
    kept = np.array([thumbnails[picture] for picture in pictures.tolist()])
    return pictures, np.where(featureless(kept), np.uint64(BLANK), signs_of(kept))


def signs_of(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n,) 63 signs of each of (n, 64, 64) thumbnails, as one number."""
    from scipy.fft import dctn  # a twentieth of a second to import, and reading a pack computes none

    lowest = dctn(thumbnails.astype(np.float64), axes=(1, 2), norm="ortho")[:, :MODES, :MODES]
    signs = lowest.reshape(len(thumbnails), MODES**2) > 0
    signs[:, 0] = False  # of the mean, which every picture has
    return np.packbits(signs, axis=1).view(">u8").ravel().astype(np.uint64)


def turned(signs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(16, n) the signs of pictures that are mirrored, turned by quarters, both, and of the negatives of all these."""
    bits = np.unpackbits(signs.astype(">u8").view(np.uint8)).reshape(-1, MODES, MODES)
    odd = np.arange(MODES, dtype=np.uint8) % 2
    mean_left_out = np.ones((MODES, MODES), dtype=np.uint8)
    mean_left_out[0, 0] = 0
    ways = [
        (each ^ (down * odd[:, None]) ^ (across * odd[None]) ^ inverted) & mean_left_out
        for each in (bits, bits.transpose(0, 2, 1))
        for down in (0, 1)
        for across in (0, 1)
        for inverted in (0, 1)
    ]
    packed = np.packbits(np.array(ways, dtype=np.uint8).reshape(-1, MODES**2), axis=1)
    return np.asarray(packed.view(">u8").astype(np.uint64).reshape(len(ways), -1))


@lru_cache(maxsize=1024)
def unpack_likenesses(packed: str) -> NDArray[np.uint64]:
    """(n,) uint64, ascending and distinct, without those of blank pictures.

    Raises:
        InvalidLikenesses: this is not what `pack_likenesses` writes, or wrote.
    """
    in_order = likenesses_by_picture(packed)
    if in_order is not None:
        return np.unique(in_order[in_order != BLANK])
    return unpack_numbers(packed, most=MOST_PICTURES, what="likenesses", error=InvalidLikenesses)


@lru_cache(maxsize=1024)
def likenesses_by_picture(packed: str) -> NDArray[np.uint64] | None:
    """(n_pictures,) in the order of the entry's pictures, BLANK of blank ones; None of an entry that has no order."""
    if not packed.startswith(IN_ORDER):
        return None
    try:
        content = base64.b64decode(packed.removeprefix(IN_ORDER), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise InvalidLikenesses(f"likenesses are not what the harness writes ({problem})") from None
    if not content or len(content) % BYTES or len(content) > BYTES * MOST_PICTURES:
        raise InvalidLikenesses(f"{len(content)} bytes are not 1 to {MOST_PICTURES} likenesses of {BYTES} bytes")
    found = np.frombuffer(content, ">u8").astype(np.uint64)
    if np.any(found >> np.uint64(63)):
        raise InvalidLikenesses("the mean of a picture has no sign")
    return found


@lru_cache(maxsize=4096)
def look_alike(one: str, other: str) -> bool:
    """Whether more than 1 in 20 of the pictures of either packed text look like one of the other's, however turned."""
    a, b = unpack_likenesses(one), unpack_likenesses(other)
    if not a.size or not b.size:
        return False
    return _shares(a, b) or _shares(b, a) or _shares_turned(a, b) or _shares_turned(b, a)


def _shares(own: NDArray[np.uint64], others: NDArray[np.uint64]) -> bool:
    return float(np.mean(_nearest(_as_it_is(own), others).fewest <= MOST_SIGNS_APART)) > SHARED_FROM


def _shares_turned(own: NDArray[np.uint64], others: NDArray[np.uint64]) -> bool:
    some = own[:: -(-own.size // MOST_TURNED)]
    return float(np.mean(_nearest(turned(some), others).fewest <= MOST_SIGNS_APART)) > SHARED_FROM


class _Nearest(NamedTuple):
    """Of each picture (n,): the fewest signs that it differs in from one of others, which, and how many come near."""

    fewest: NDArray[np.int64]
    which: NDArray[np.int64]
    n_near: NDArray[np.int64]


def _nearest(ways: NDArray[np.uint64], others: NDArray[np.uint64]) -> _Nearest:
    """ways: (n_ways, n) in which each picture is seen; one that comes near in two of them counts twice."""
    n = ways.shape[1]
    found = _Nearest(np.full(n, 64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64))
    for way in ways if others.size else ():
        for at in range(0, n, ROWS_AT_ONCE):
            rows = slice(at, at + ROWS_AT_ONCE)
            apart = np.bitwise_count(way[rows, None] ^ others[None])
            near = apart.argmin(axis=1)
            fewest = apart[np.arange(near.size), near].astype(np.int64)
            better = fewest < found.fewest[rows]
            found.fewest[rows] = np.where(better, fewest, found.fewest[rows])
            found.which[rows] = np.where(better, near, found.which[rows])
            found.n_near[rows] += np.count_nonzero(apart < FEWEST_TO_OTHERS, axis=1)
    return found


def _as_it_is(signs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return signs[None]


def known_again(own: NDArray[np.uint64], others: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of these pictures are which of others, saved anew: rows of the one and of the other, both distinct.

    Two are one picture where they differ in at most two signs, and no third of either set comes near either of them:
    among pictures that are all alike nobody could say which is which, and nothing is said. Where few enough are left,
    they are compared however they are turned, too.
    """
    rows, places = _pairs(own, others, np.arange(own.size), _as_it_is)
    left, missing = (np.setdiff1d(np.arange(n), found) for n, found in ((own.size, rows), (others.size, places)))
    if left.size and missing.size and max(left.size, missing.size) <= MOST_LEFT:
        more, seen = _pairs(own, others, left, turned)
        new = np.isin(seen, missing)
        rows, places = np.concatenate([rows, more[new]]), np.concatenate([places, seen[new]])
    return rows, places


def _pairs(
    own: NDArray[np.uint64],
    others: NDArray[np.uint64],
    rows: NDArray[np.int64],
    ways: Callable[[NDArray[np.uint64]], NDArray[np.uint64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of these rows of own those that are one picture with one of others."""
    there = _nearest(ways(own[rows]), others)
    sure = (there.fewest <= MOST_SIGNS_APART) & (there.n_near == 1) & (own[rows] != BLANK)
    rows, places = rows[sure], there.which[sure]
    back = _nearest(ways(others[places]), own)
    alone = (back.n_near == 1) & (back.which == rows)
    for each, all_of_it in ((own[rows], own), (others[places], others)):
        alone &= _nearest(ways(each), all_of_it).n_near == 1  # itself
    return rows[alone], places[alone]
