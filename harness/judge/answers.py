"""Are these the answers that were judged before? What a ledger keeps of a look's probabilities, and when two are one.

Another engine, another thread count or a printed file gives the same classifier's probabilities with other last bits.
By digest each would be a further look. So an entry keeps every probability in millionths: some 6 KB for 375 cells of
five classes.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from harness.core.errors import HarnessError
from harness.core.strict_json import parse_json
from harness.metrics.predictions import Predictions

PER_UNIT = 1_000_000  # probabilities are kept in millionths
TOLERANCE = 100  # of these: 1e-4, which tells engines of one classifier from two classifiers
MOST_CHARACTERS = 2**20  # of one entry; of larger sets nothing is kept, and looks are told apart by digest
MOST_BYTES = 2**26  # of one entry, unpacked


class InvalidAnswers(HarnessError, ValueError):
    """What an entry says of its probabilities was not written by `pack_answers`."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What was said of each cell of a set, in an order that follows from the cells and class names alone.

    classes:    sorted names.
    predicted:  (n_cells,) column of the class that was called.
    millionths: (n_cells, n_classes) probabilities in millionths, rounded.
    """

    classes: tuple[str, ...]
    predicted: np.ndarray
    millionths: np.ndarray

    def is_same_look_as(self, other: Answers) -> bool:
        """Whether every cell is called the same class, and no probability differs by more than 1e-4.

        The cells must be the same: compare `Look.cells` first.
        """
        return (
            self.classes == other.classes
            and self.millionths.shape == other.millionths.shape
            and bool(np.array_equal(self.predicted, other.predicted))
            and bool(np.all(np.abs(self.millionths - other.millionths) <= TOLERANCE))
        )

    def equals(self, other: Answers) -> bool:
        """Whether nothing at all differs in what is kept."""
        return self.is_same_look_as(other) and bool(np.array_equal(self.millionths, other.millionths))


def answers_of(predictions: Predictions) -> Answers:
    names = np.array(predictions.classes)
    columns = np.argsort(names)
    labels = names[predictions.labels].tolist()
    order = sorted(range(len(labels)), key=lambda row: (predictions.digests[row], labels[row], predictions.paths[row]))
    ranks = np.argsort(columns)  # column in `predictions` -> column here
    return Answers(
        tuple(names[columns].tolist()),
        ranks[predictions.predicted][order],
        np.rint(predictions.probabilities[order][:, columns] * PER_UNIT).astype(np.int64),
    )


def pack_answers(answers: Answers) -> str:
    """As text for an entry of the ledger; empty where it would be too long for one."""
    n = len(answers.predicted)
    head = json.dumps({"classes": answers.classes, "n": n}, separators=(",", ":")).encode("ascii")
    # Column by column: the zeros of a class that is never called lie together.
    body = answers.predicted.astype("<u2").tobytes() + answers.millionths.T.astype("<u4").tobytes()
    packed = base64.b64encode(zlib.compress(head + b"\n" + body, 9)).decode("ascii")
    return packed if len(packed) <= MOST_CHARACTERS and len(body) < MOST_BYTES else ""


@lru_cache(maxsize=1024)
def unpack_answers(packed: str) -> Answers:
    """
    Raises:
        InvalidAnswers: this is not what `pack_answers` writes.
    """
    try:
        content = _unzipped(base64.b64decode(packed, validate=True))
        head, _, body = content.partition(b"\n")
        stated = parse_json(head)
        classes, n = tuple(stated["classes"]), stated["n"]  # type: ignore[index]
        if type(n) is not int or not classes or not all(isinstance(name, str) for name in classes):
            raise InvalidAnswers("its classes or its number of cells cannot be meant")
        if len(body) != 2 * n + 4 * n * len(classes):
            raise InvalidAnswers(f"{len(body)} bytes are not {n} cells of {len(classes)} classes")
    except (ValueError, TypeError, LookupError, zlib.error) as error:
        raise InvalidAnswers(f"answers are not what the harness writes ({error})") from None
    predicted = np.frombuffer(body, "<u2", count=n).astype(np.int64)
    millionths = np.frombuffer(body, "<u4", offset=2 * n).reshape(len(classes), n).T.astype(np.int64)
    if millionths.max(initial=0) > PER_UNIT or predicted.max(initial=0) >= len(classes):
        raise InvalidAnswers("answers hold a probability above 1, or a class that is not there")
    return Answers(classes, predicted, millionths)


def _unzipped(content: bytes) -> bytes:
    stream = zlib.decompressobj()
    whole = stream.decompress(content, MOST_BYTES)
    if not stream.eof or stream.unused_data:
        raise InvalidAnswers(f"they have more than {MOST_BYTES:,} bytes, or something behind their end")
    return whole
