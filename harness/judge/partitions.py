"""Which pictures of a look share a patient, slide or site? What a ledger keeps, so that a group that moves is seen.

Beside the pictures of an entry (`harness.judge.pictures`), in their order: two bytes for each and for each column that
divides the set, once for each set of cells and each way to divide it. No name of a group is kept: another spelling of
the same groups is the same text.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from harness.core.errors import HarnessError
from harness.core.strict_json import parse_json
from harness.judge.labels import picture_of
from harness.judge.pictures import MOST_PICTURES
from harness.metrics.partitions import SEVERAL, UNGROUPED, numbered, partition

AS_WRITTEN = {UNGROUPED: 0xFFFE, SEVERAL: 0xFFFF}
LAST = 0xFFFD


class InvalidGroups(HarnessError, ValueError):
    """What an entry says of the groups of its pictures was not written by `pack_groups`."""


def pack_groups(divided: Iterable[tuple[str, Mapping[str, str]]]) -> str:
    """As text for an entry of the ledger, beside `pack_pictures` of the same digests; never empty.

    divided: (digest of the pixels, column -> group) of each cell, such as `CellImage.columns`.
    """
    cells = [(picture_of(digest), columns) for digest, columns in divided]
    kinds = sorted({name for _, columns in cells for name in columns})
    return _written({kind: _content(cells, kind) for kind in kinds})


def _content(cells: list[tuple[int, Mapping[str, str]]], kind: str) -> str:
    of = partition((picture, columns.get(kind, "")) for picture, columns in cells).of[:MOST_PICTURES]
    for code, written in AS_WRITTEN.items():
        of[of == code] = written
    return base64.b64encode(of.astype(">u2").tobytes()).decode("ascii")


@lru_cache(maxsize=1024)
def unpack_groups(packed: str) -> dict[str, np.ndarray]:
    """Column -> the group of each picture, as `Partition.of` has them; empty for an empty text.

    Raises:
        InvalidGroups: this is not what `pack_groups` writes.
    """
    if not packed:
        return {}
    try:
        found: Any = parse_json(packed.encode())
        read = {kind: _codes(content) for kind, content in found.items()}
    except (ValueError, AttributeError, TypeError, binascii.Error, RecursionError) as error:
        raise InvalidGroups(f"groups are not what the harness writes ({error})") from None
    if packed != _written(found) or len({len(of) for of in read.values()}) > 1:
        raise InvalidGroups("groups are not what the harness writes")
    for kind, of in read.items():
        if len(of) > MOST_PICTURES or not np.array_equal(of, numbered(of)):
            raise InvalidGroups(f"groups of {kind!r} are not numbered as the harness writes them")
    return read


def n_grouped(packed: str) -> int | None:
    """Of how many pictures an entry keeps the groups; None where it has none."""
    return next((len(of) for of in unpack_groups(packed).values()), None)


def _codes(content: str) -> np.ndarray:
    of = np.frombuffer(base64.b64decode(content, validate=True), dtype=">u2").astype(np.int64)
    for code, written in AS_WRITTEN.items():
        of[of == written] = code
    return of


def _written(content: object) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
