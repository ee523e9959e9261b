"""Which reference labels should a person look at again? Suspicions from probabilities of cells not trained on.

Confident learning: Northcutt, Jiang and Chuang (2021), Confident Learning: Estimating Uncertainty in Dataset Labels,
J. Artif. Intell. Res. 70:1373-1411. A cell counts confidently for another class where the classifier gives that class
at least the probability that it gives, on average, to cells which carry its label. Such an average is missed by many
cells of its own class, so that those for which another class is only likelier are listed too, and told apart. The worst
come first, by the normalised margin: the probability of the label minus the largest one of another class.

A suspicion is not an error. Nothing is removed or relabelled because of it, and no criterion can be on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.metrics.predictions import Predictions

TRAINED_ON = "train"  # what a classifier learnt by heart it agrees with, right or wrong
# A probability that is its class's average but for the last bits of the sum is as large as the average.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class LabelSuspect:
    """One cell whose label somebody should look at.

    rank:      from 1, the least likely label first.
    row:       of the cell in its predictions.
    suggested: the class that it confidently counts for, else the most probable one.
    confident: whether it confidently counts for that class.
    margin:    p_label minus the largest probability of another class.
    """

    rank: int
    row: int
    path: str
    sha256: str
    label: str
    suggested: str
    confident: bool
    p_label: float
    p_suggested: float
    margin: float


def suspects_by_set(predictions: Mapping[str, Predictions]) -> dict[str, tuple[LabelSuspect, ...]]:
    """Set -> its suspects, of every set but the one that training learnt from."""
    return {name: label_suspects(found) for name, found in predictions.items() if name != TRAINED_ON}


def label_suspects(found: Predictions) -> tuple[LabelSuspect, ...]:
    """The suspected labels of one set, ranked. The order of the rows has no influence: ties go by content and path."""
    p, labels = found.probabilities, found.labels
    counted, margins = confident_classes(p, labels), normalised_margins(p, labels)
    confident = (counted >= 0) & (counted != labels)
    suggested = np.where(confident, counted, found.predicted)
    suspected = np.flatnonzero(suggested != labels).tolist()
    suspected.sort(key=lambda row: (margins[row], found.digests[row], found.paths[row]))
    return tuple(
        LabelSuspect(
            rank=rank,
            row=row,
            path=found.paths[row],
            sha256=found.digests[row],
            label=found.classes[labels[row]],
            suggested=found.classes[suggested[row]],
            confident=bool(confident[row]),
            p_label=float(p[row, labels[row]]),
            p_suggested=float(p[row, suggested[row]]),
            margin=float(margins[row]),
        )
        for rank, row in enumerate(suspected, start=1)
    )


def self_confidence(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n_classes,) the mean probability of a class over the cells that carry its label; NaN of a class without any.

    >>> self_confidence(np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6]]), np.array([0, 0, 1])).round(3).tolist()
    [0.8, 0.6]
    """
    own = [probabilities[labels == column, column].tolist() for column in range(probabilities.shape[1])]
    # fsum is exact whatever the order of the cells.
    return np.array([math.fsum(values) / len(values) if values else math.nan for values in own])


def confident_classes(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n_cells,) the class that each cell is confidently counted for, -1 where it is for none.

    Among the classes whose self-confidence it reaches, the most probable; a tie goes to the first. A class without a
    cell in the set has no self-confidence, and no cell counts for it.
    """
    reached = probabilities >= self_confidence(probabilities, labels) - ROUNDING  # False where that is NaN
    likely = np.where(reached, probabilities, -1.0)
    return np.where(reached.any(axis=1), np.argmax(likely, axis=1), -1)


def normalised_margins(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n_cells,) the probability of the label minus the largest one of another class, in [-1, 1]."""
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    return np.asarray(probabilities[rows, labels] - others.max(axis=1, initial=-np.inf))
