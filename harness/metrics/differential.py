"""What does a classifier make of a differential count? The bias of each class's share, beside what counting hides.

A classifier that calls some cells of one class another moves the shares of both in every film, whoever counts how many
cells. Whether that matters is a question of how much a count of so many cells moves by chance (Rümke's limits).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from harness.metrics.calibration_records import ClassCountBias, CountLimits
from harness.metrics.estimates import CELLS_COUNTED, INDEPENDENCE_UNKNOWN, Estimate, Unavailable
from harness.metrics.intervals import check_level, clopper_pearson_bounds
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.metrics.predictive_values import bounds_of_rate, checked_counts

COUNTED_CELLS = (100, 200, 400)  # of a manual differential; CLSI H20-A2 has two examiners count 200 each
LIMITS_LEVEL = 0.975  # of each side: two-sided 95 %


def count_biases(
    confusion: ArrayLike,
    classes: Sequence[str],
    prevalence: Mapping[str, float],
    *,
    level: float,
    by_group: np.ndarray | None = None,
    assumed_correlation: float = 0.0,
) -> tuple[ClassCountBias, ...]:
    """How far each class's share of a differential count lies from its share in the blood.

    The bias of class c is sum over j other than c of f_j P(c|j), less f_c (1 - P(c|c)), with f the prevalence and
    P(c|j) the share of class j that is called c. Exact bounds of the rates bound it, each with an equal share of the
    error (Bonferroni): distances that add up as variances do (MOVER) missed in 8 % of samples at a level of 95 %, of
    four and ten cells.

    Args:
        confusion: (n_classes, n_classes) counts, rows reference, columns predicted.
        prevalence: class -> fraction; every class named, summing to 1.
        level: one-sided confidence of each bound of each class, a fraction in (0, 1).
        by_group: (n_groups, n_classes, n_classes) the counts of each patient, over whom the rates then have bounds.
    Raises:
        ValueError: the prevalence names other classes, or is not a distribution.
    Source: Rümke (1979), in Koepke, Differential Leukocyte Counting, for the limits.
    >>> table = np.array([[95, 5], [0, 100]])
    >>> lymphocyte, monocyte = count_biases(table, ("ly", "mo"), {"ly": 0.8, "mo": 0.2}, level=0.975)
    >>> round(monocyte.value, 3), monocyte.direction, [limits.holds for limits in monocyte.limits]
    (0.04, 'over-counted', [True, True, True])
    """
    confusion, frequency = checked_counts(confusion, classes, prevalence)
    check_level(level)
    support = confusion.sum(axis=1)
    occurring = [int(j) for j in np.flatnonzero(frequency > 0)]
    unknown = [classes[j] for j in occurring if support[j] == 0]
    each_level = 1.0 - (1.0 - level) / len(occurring)

    def bias(c: int) -> ClassCountBias:
        share = float(frequency[c])
        if unknown:
            note = f"no cells of {', '.join(unknown)}, which the prevalence says occur"
            return ClassCountBias(classes[c], share, None, None, None, None, level, (), note)
        moved, below, above = [], [], []
        for j in occurring:
            low, high = bounds_of_rate(
                confusion, j, c, by_group=by_group, assumed_correlation=assumed_correlation, level=each_level
            )
            rate = float(confusion[j, c] / support[j])
            moved.append(frequency[j] * (rate - (j == c)))
            below.append(frequency[j] * (rate - low))
            above.append(frequency[j] * (high - rate))
        value = math.fsum(moved)
        # A share is between 0 and 1, and so is what is made of it.
        lower, upper = max(value - math.fsum(below), -share), min(value + math.fsum(above), 1.0 - share)
        called = share + value
        return ClassCountBias(
            classes[c],
            share,
            called,
            value,
            lower,
            upper,
            level,
            tuple(_limits(n, share, called) for n in COUNTED_CELLS),
        )

    return tuple(bias(c) for c in range(len(classes)))


def _limits(n: int, share: float, called: float) -> CountLimits:
    lower, upper = clopper_pearson_bounds(round(n * share), n, level=LIMITS_LEVEL)
    return CountLimits(n, lower, upper, lower <= called <= upper)


def _measured(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    evaluation, plan = measurements.evaluation(subject.set), measurements.protocol.prevalence
    if isinstance(evaluation, Unavailable):
        return evaluation
    assert plan is not None  # the protocol has the table where a criterion asks
    every = count_biases(
        evaluation.confusion,
        evaluation.classes,
        plan.shares,
        level=level,
        by_group=evaluation.by_group,
        assumed_correlation=evaluation.intracluster_correlation,
    )
    found = next(each for each in every if each.cell_class == subject.cell_class)
    known = INDEPENDENCE_UNKNOWN if not evaluation.grouped else CELLS_COUNTED if evaluation.by_group is None else ""
    said = found.note or f"{found.direction or 'no direction shown'}; {_beside(found)}"
    return Estimate(
        "count_bias",
        evaluation.set,
        found.cell_class,
        None if found.value is None else abs(found.value),
        None if found.lower is None or found.upper is None else max(found.lower, -found.upper, 0.0),
        None if found.lower is None or found.upper is None else max(-found.lower, found.upper),
        level,
        "Clopper-Pearson of every class's rate, Bonferroni" + ("" if evaluation.by_group is None else ", clustered"),
        n=evaluation.n,
        support=evaluation.support[found.cell_class],
        note="; ".join(part for part in (said, known) if part),
    )


def _beside(found: ClassCountBias) -> str:
    """What counting hides of it, in words."""
    assert found.called is not None
    beyond = [limits.n for limits in found.limits if not limits.holds]
    hidden = f"beyond Rümke's limits of {beyond[0]} cells" if beyond else "within Rümke's limits of 400 cells"
    return f"{found.prevalence:g} of the cells met are counted as {found.called:.4f}, {hidden}"


METRICS = (
    Metric(
        name="count_bias",
        questions=("calibration",),
        meaning="How far a class's share of a differential count lies from its share at the protocol's prevalence.",
        higher_is_better=False,
        per="class",
        measure=_measured,
        cells="all",
        protocol_table="prevalence",
    ),
)
