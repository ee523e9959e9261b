"""Which label did each picture of a look have? What a ledger keeps, so that a label that is corrected later is seen.

Beside the pictures of an entry (`harness.judge.pictures`), in their order: two bytes for each, once for each set of
cells. Some 1 KB for 375 cells, and 87 KB at most. A picture that several cells show under different labels has none
here: nobody could say which of them was corrected.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from harness.core.errors import HarnessError
from harness.core.strict_json import parse_json
from harness.judge.packed_numbers import BYTES
from harness.judge.pictures import MOST_PICTURES

# What every cell of an unknown set is called here: that it is none of the classes is all that is counted of it.
NO_CLASS = "no class of the classifier"
SEVERAL = 0xFFFF  # instead of a class: the cells of one picture have different labels


class InvalidLabels(HarnessError, ValueError):
    """What an entry says of the labels of its pictures was not written by `pack_labels`."""


class PackedLabels(NamedTuple):
    """classes: names, in order. of: (n_pictures,) uint16, a place in `classes`, or SEVERAL; by picture, ascending."""

    classes: tuple[str, ...]
    of: np.ndarray

    def named(self, row: int) -> str | None:
        """The label of one picture; None where its cells have several."""
        place = int(self.of[row])
        return None if place == SEVERAL else self.classes[place]


def picture_of(digest: str) -> int:
    """What a ledger calls a picture: the beginning of the digest of its pixels, as a number."""
    return int.from_bytes(bytes.fromhex(digest)[:BYTES], "big")


def pack_labels(labelled: Iterable[tuple[str, str]]) -> str:
    """As text for an entry of the ledger, beside `pack_pictures` of the same digests.

    labelled: (digest of the pixels, label) of each cell.
    """
    labels: dict[int, set[str]] = {}
    for digest, label in labelled:
        labels.setdefault(picture_of(digest), set()).add(label)
    kept = sorted(labels)[:MOST_PICTURES]
    classes = sorted({name for picture in kept for name in labels[picture]})
    place = {name: number for number, name in enumerate(classes)}
    of = [place[next(iter(labels[picture]))] if len(labels[picture]) == 1 else SEVERAL for picture in kept]
    content = base64.b64encode(np.array(of, dtype=">u2").tobytes()).decode("ascii")
    return _written(classes, content)


@lru_cache(maxsize=1024)
def unpack_labels(packed: str) -> PackedLabels:
    """The labels of an entry; of an empty text none.

    Raises:
        InvalidLabels: this is not what `pack_labels` writes.
    """
    if not packed:
        return PackedLabels((), np.array([], dtype=np.uint16))
    try:
        found: Any = parse_json(packed.encode())
        classes, content = found["classes"], found["of"]
        of = np.frombuffer(base64.b64decode(content, validate=True), dtype=">u2").astype(np.uint16)
    except (ValueError, LookupError, TypeError, binascii.Error) as error:
        raise InvalidLabels(f"labels are not what the harness writes ({error})") from None
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not named or len(of) > MOST_PICTURES or packed != _written(classes, content):
        raise InvalidLabels("labels are not what the harness writes")
    if np.any((of >= len(classes)) & (of != SEVERAL)):
        raise InvalidLabels("a picture has a label that is none of the classes beside it")
    return PackedLabels(tuple(classes), of)


def _written(classes: object, content: object) -> str:
    return json.dumps({"classes": classes, "of": content}, sort_keys=True, separators=(",", ":"))
