"""Predicts corrupted and turned cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from harness.data.corruptions import Change, corruption, turned
from harness.model.classifier import Classifier, Machine, Preparing, predict, predict_batches
from harness.model.images import Images
from harness.model.prefetch import batches_ahead
from harness.protocol.stress import RobustnessPlan


def corrupted_predictions(
    classifier: Classifier,
    images: Images,
    plan: RobustnessPlan,
    *,
    digests: Sequence[str],
    machine: Machine,
    second_cells: Sequence[int] | None = None,
) -> dict[str, np.ndarray]:
    """Probabilities of the same cells, corrupted and turned.

    Corruptions act on the arrays that the classifier prepares, at the size that its network sees; on the decoded images
    where it prepares none. Its card says which. The next cells are corrupted while a batch is answered.

    Args:
        digests: (n_cells,) hex SHA-256 of the file of each image that is corrupted: of the first ones of `images`.
        machine: that the classifier was opened for.
        second_cells: as of `corruption`: their places in `images`, which may hold some behind those that are corrupted.
    Returns:
        "<kind> <severity>" or the name of a transform -> (n_cells, n_classes) float64 in the order of `images`.
    """
    changes: dict[str, Change] = {
        f"{kind} {severity}": corruption(digests, kind, severity, seed=plan.seed, second_cells=second_cells)
        for kind in plan.kinds
        for severity in plan.severities
    }
    changes |= {name: _turning(name) for name in plan.invariances}
    score = _scoring(classifier, images, len(digests), machine)
    found: dict[str, np.ndarray] = {}
    for done, (name, change) in enumerate(changes.items()):
        machine.progress("corrupting cells", done, len(changes), name)
        found[name] = score(change, known_steady=bool(found))  # the first pass asks whether it is
    machine.progress("corrupting cells", len(changes), len(changes), "")
    return found


def _turning(name: str) -> Change:
    return lambda frame, index: turned(frame(index), name)


class _Scoring(Protocol):
    def __call__(self, change: Change, *, known_steady: bool) -> np.ndarray: ...


def _scoring(classifier: Classifier, images: Images, n: int, machine: Machine) -> _Scoring:
    """Scores the first `n` of the images."""
    scored = images if n == len(images) else images.take(range(n))

    def score_frames(change: Change, *, known_steady: bool) -> np.ndarray:
        changed = images.changed(change)
        return predict(classifier, changed if scored is images else changed.take(range(n)), known_steady=known_steady)

    if not isinstance(classifier, Preparing):
        return score_frames
    arrays = classifier.prepare(images)

    def score(change: Change, *, known_steady: bool) -> np.ndarray:
        def fill(first: int, into: np.ndarray) -> None:
            for place in range(len(into)):
                into[place] = change(arrays.__getitem__, first + place)

        def some_of(places: np.ndarray) -> np.ndarray:
            return np.stack([change(arrays.__getitem__, int(place)) for place in places])

        batches = batches_ahead(fill, n, arrays.shape[1:], workers=machine.workers, batch_size=machine.batch_size)
        return predict_batches(classifier, batches, some_of, scored, known_steady=known_steady)

    return score
