"""Did a few judged cells get the same answers by another path? Answers that were forged inside a run do not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.metrics.predictions import Predictions

N_CELLS = 8  # of each set: forged answers on one cell in four are missed by one run in ten
# Between devices, batches and engines probabilities differ by the order of summation; see harness/model/classifier.py.
MOST_APART = 1e-3


@dataclass(frozen=True, slots=True)
class RescoredCell:
    """What the classifier said of one cell when it was asked again; the classes are the protocol's, in their order."""

    set: str
    path: str
    sha256: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Rescored:
    """Cells that were scored again when the run ended. not_done: why there are none; empty where there are."""

    cells: tuple[RescoredCell, ...] = ()
    not_done: str = ""


def chosen(predictions: Predictions, *, run: str) -> list[int]:
    """The rows that a run scores again: drawn by its id, so that nobody knows them before it begins."""

    def drawn(row: int) -> str:
        return hashlib.sha256(f"{run} {predictions.digests[row]} {predictions.paths[row]}".encode()).hexdigest()

    return sorted(range(len(predictions.digests)), key=drawn)[:N_CELLS]


def contradictions(rescored: Rescored | None, predictions: Mapping[str, Predictions]) -> tuple[str, ...]:
    """Each cell whose judged answer is another, such as "'a.png' of test was judged as monocyte, and is basophil"."""
    found = []
    for cell in () if rescored is None else rescored.cells:
        judged = predictions.get(cell.set)
        row = _row(judged, cell)
        if judged is None or row is None:
            found.append(f"{cell.path!r} of {cell.set} was scored again, and never judged")
            continue
        again, before = np.array(cell.probabilities), judged.probabilities[row]
        if again.shape == before.shape and np.abs(again - before).max() <= MOST_APART:
            continue
        found.append(
            f"{cell.path!r} of {cell.set} was judged as {_called(judged, before)}, and is {_called(judged, again)}"
        )
    return tuple(found)


def _row(judged: Predictions | None, cell: RescoredCell) -> int | None:
    rows = () if judged is None else zip(judged.paths, judged.digests, strict=True)
    return next((row for row, named in enumerate(rows) if named == (cell.path, cell.sha256)), None)


def _called(judged: Predictions, probabilities: np.ndarray) -> str:
    if probabilities.shape != (len(judged.classes),):
        return "no distribution over the classes"
    best = int(probabilities.argmax())
    return f"{judged.classes[best]} with {probabilities[best]:.4f}"
