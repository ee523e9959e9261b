"""Are the classifiers of all seeds, asked together, better than the best of them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from harness.core.errors import InvalidPredictions
from harness.metrics.comparison import Comparison, compare, difference
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.metrics.predictions import Predictions
from harness.metrics.shares import share_of_cells
from harness.protocol.needs import OTHER_SEEDS, PROBABILITIES


def averaged(seeds: Mapping[int, Predictions]) -> Predictions:
    """What the classifiers of these seeds say together: the mean of their probabilities.

    Raises:
        InvalidPredictions: they do not speak of the same cells in the same order.
    """
    first, *others = seeds.values()
    if any((each.digests, each.classes) != (first.digests, first.classes) for each in others):
        raise InvalidPredictions("the seeds were asked of different cells; score every seed on the same set")
    together = np.mean([seeds[seed].probabilities for seed in sorted(seeds)], axis=0)
    return replace(first, probabilities=together)


def ensemble_beside_best(
    seeds: Mapping[int, Predictions], *, intracluster_correlation: float
) -> Comparison | Unavailable:
    """The ensemble as the candidate, its best member on these very cells as the baseline.

    That member is chosen by what is judged, which favours it: what the ensemble is shown to gain is there, and that it
    loses is never shown. Of members that tie it is the one of the smallest seed.
    """
    if len(seeds) < 2:
        return Unavailable("one seed was trained: there is nothing to average (training.seeds)")
    best = max(seeds, key=lambda seed: (int(seeds[seed].correct.sum()), -seed))
    return compare(
        averaged(seeds),
        seeds[best],
        baseline_run=f"seed {best}, the best of {len(seeds)}",
        intracluster_correlation=intracluster_correlation,
    )


def _accuracy(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    found = measurements.ensemble(subject.set)
    if isinstance(found, Unavailable):
        return found
    n, right = int(found.table.sum()), int(found.table[:, :, 1].sum())
    groups = None
    if found.by_group is not None:
        sizes, of_group = found.by_group.sum(axis=(1, 2, 3)), found.by_group[:, :, :, 1].sum(axis=(1, 2))
        groups = tuple(zip(of_group.tolist(), sizes.tolist(), strict=True))
    alone = int(found.table[:, 1, :].sum())
    share = share_of_cells(
        "ensemble_accuracy",
        subject.set,
        right,
        n,
        groups,
        grouped_by=found.grouped_by,
        intracluster_correlation=found.intracluster_correlation,
        level=level,
        note=f"probabilities of all seeds averaged; {found.baseline}: {alone}/{n}",
    )
    return replace(share, display=None)  # packs exist that have none, and `verify` asks for the same record


def _difference(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    found = difference(measurements.ensemble(subject.set), "ensemble_difference", cell_class=None, level=level)
    if isinstance(found, Unavailable):
        return found
    # Of equally good members the best on these cells beats their mean: an upper bound would miss in a fifth of runs.
    return replace(found, upper=None, note=f"baseline: the best member, chosen on these cells; {found.note}")


_NEEDS = frozenset({PROBABILITIES, OTHER_SEEDS})

METRICS = (
    Metric(
        name="ensemble_accuracy",
        questions=("accuracy",),
        meaning="Accuracy of the classifiers of all seeds together, their probabilities averaged.",
        needs=_NEEDS,
        measure=_accuracy,
        sets=("test",),
        trials="cells",
    ),
    Metric(
        name="ensemble_difference",
        questions=("accuracy",),
        meaning="Accuracy of the classifiers of all seeds together minus that of the best of them, paired by cell.",
        needs=_NEEDS,
        measure=_difference,
        sets=("test",),
        range=(-1.0, 1.0),
        counts="pairs",
    ),
)
