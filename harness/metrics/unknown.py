"""Of cells whose class a classifier does not know, how many does it confidently call one that it knows?

A blast, a smudge cell or a platelet clump must go to a person. A classifier has to name one of its classes all the
same; what it can do is to be unsure.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from harness.metrics.clusters import counted_by_group
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.metrics.predictions import Predictions, grouping_of
from harness.metrics.shares import share_of_cells

NAME = "unknown_confident"


@dataclass(frozen=True, slots=True)
class Confusion:
    """What cells of one unknown kind are taken for.

    n:           cells of the kind.
    n_confident: those that are confidently called a class.
    called:      class -> cells of which it is the likeliest.
    """

    kind: str
    n: int
    n_confident: int
    called: dict[str, int]


def is_confident(found: Predictions, *, at: float) -> np.ndarray:
    """(n_cells,) bool: whether the likeliest class has at least this probability."""
    return np.asarray(found.confidence >= at)


def confused_with(found: Predictions, known: tuple[str, ...], *, at: float) -> tuple[Confusion, ...]:
    """Each unknown kind that has a cell, in the order of the columns. known: the classifier's own classes."""
    confident, rows = is_confident(found, at=at), []
    for label, kind in enumerate(found.classes):
        own = found.labels == label
        if own.any():
            called = Counter(found.predicted[own].tolist())
            rows.append(
                Confusion(
                    kind,
                    int(own.sum()),
                    int((own & confident).sum()),
                    {name: called[place] for place, name in enumerate(known)},
                )
            )
    return tuple(rows)


def confidently_known(
    found: Predictions, *, at: float, intracluster_correlation: float, level: float
) -> Estimate | Unavailable:
    """The share of these cells that is confidently called a class, with exact one-sided bounds.

    Args:
        found: of one cell for each picture, all of classes that the classifier does not know.
        at: the least probability of a confident answer.
        intracluster_correlation: as in `metrics.clusters`, where cells name their patient, slide or site.
    """
    confident = is_confident(found, at=at)
    k, n = int(confident.sum()), len(confident)
    if n == 0:
        return Unavailable(f"set {found.set} has no cells")
    return share_of_cells(
        NAME,
        found.set,
        k,
        n,
        None if found.groups is None else counted_by_group(confident, found.groups),
        grouped_by=grouping_of(found.groups or ()),
        intracluster_correlation=intracluster_correlation,
        level=level,
        note=f"at a probability of {at:g} or more",
    )


def _measured(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    found, evaluation = measurements.unknown(subject.set), measurements.evaluation(subject.set)
    if isinstance(found, Unavailable):
        return found
    assert isinstance(evaluation, Evaluation)  # both are of the same answers
    return confidently_known(
        found,
        at=measurements.protocol.confident_at(subject.set),
        intracluster_correlation=evaluation.intracluster_correlation,
        level=level,
    )


METRICS = (
    Metric(
        name=NAME,
        questions=("unknown",),
        meaning="Share of cells of classes that the classifier does not know which it confidently calls one that it "
        "knows: with a probability of at least the set's `confident_at`.",
        higher_is_better=False,
        measure=_measured,
        trials="cells",
    ),
)
