"""Does the exported ONNX file say what was judged, of every cell that was judged?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.metrics.counts import counted
from harness.metrics.measurements import Count
from harness.metrics.predictions import Predictions
from harness.protocol.needs import TRAINING

# Two correct implementations of one network in float32 differ by the order of summation; under 1e-5 was observed.
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class SetParity:
    """How far the exported file's answers for one set are from those that were judged.

    n:         cells of the set, all of which were asked again.
    largest:   the largest difference of a probability.
    differing: one line for each cell that is predicted differently.
    """

    set: str
    n: int
    largest: float
    differing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parity:
    """The exported file, as a process without torch opened it, and its answers for every set that was judged.

    file, sha256, n_bytes: its name in the pack's models/, and what was opened.
    engine: what computed it.
    """

    file: str
    sha256: str
    n_bytes: int
    engine: str
    sets: tuple[SetParity, ...]

    @property
    def count(self) -> Count:
        """What the criterion counts."""
        lines = tuple(f"{each.set}, {line}" for each in self.sets for line in each.differing)
        return Count(lines, sum(each.n for each in self.sets))


def set_parity(judged: Predictions, classes: Sequence[str], again: np.ndarray) -> SetParity:
    """Compare what was judged with what another program said of the same cells.

    A cell is predicted differently where a probability differs by more than `TOLERANCE`, or where the two largest are
    further apart than that and the largest is another.

    Args:
        classes: of the columns of `again`.
        again: (n_cells, n_classes), in the order of `judged`.
    """
    if tuple(classes) != judged.classes or again.shape != judged.probabilities.shape:
        line = f"every cell: it answers with {again.shape} for {list(classes)}, judged was {list(judged.classes)}"
        return SetParity(judged.set, len(judged.digests), 1.0, (line,))
    off = np.abs(again - judged.probabilities).max(axis=1, initial=0.0)
    ordered = np.sort(judged.probabilities, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > TOLERANCE
    other = again.argmax(axis=1) != judged.predicted
    differs = ~(off <= TOLERANCE) | (clear & other)  # True for NaN too
    lines = (
        f"{judged.paths[place]}: probabilities differ by {off[place]:.2g}" + ", another class" * bool(other[place])
        for place in np.flatnonzero(differs)
    )
    return SetParity(judged.set, len(judged.digests), float(np.nan_to_num(off, nan=1.0).max(initial=0.0)), tuple(lines))


METRICS = (
    counted(
        "onnx_model_differences",
        "export",
        "Cells of the test part and of every scored external set that classifier.onnx, computed by onnxruntime in a "
        "fresh process without torch, predicts differently.",
        needs=frozenset({TRAINING}),
    ),
)
