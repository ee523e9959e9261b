"""One number of a run's robustness, as a criterion is judged on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.metrics.detection import Detection, detection_estimate
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Kinds, Metric, Subject
from harness.metrics.robustness import (
    FlipRate,
    SeverityCurve,
    disturbed_accuracy,
    disturbed_difference,
    flip_rate_estimate,
)
from harness.protocol.names import ANY
from harness.protocol.needs import NEW_IMAGES, PROBABILITIES
from harness.protocol.stress import RobustnessPlan


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """What disturbed cells, turned cells and inputs without a cell came to.

    curves, flips: by kind; bounds at the level of displays.
    detection:     None where the protocol names no score.
    strangeness:   name of a set, or kind of input without a cell -> the score of each; the higher the stranger.
    """

    curves: tuple[SeverityCurve, ...]
    flips: tuple[FlipRate, ...]
    detection: Detection | None
    strangeness: dict[str, np.ndarray]


def stability(
    found: Robustness, metric: str, *, kind: str, plan: RobustnessPlan | None, set_name: str
) -> Estimate | Unavailable:
    """The estimate of a robustness metric for one kind, with the bounds that `found` was made with.

    kind: of the disturbance (judged at the plan's agreed severity), the transform, or the input without a cell; "any"
        takes all transforms, or all inputs, together.
    """
    if metric == "disturbed_accuracy":
        assert plan is not None  # the protocol has disturbances where a criterion asks for one
        return disturbed_accuracy(found.curves, kind=kind, severity=plan.agreed[kind], set_name=set_name)
    if metric == "flip_rate":
        return flip_rate_estimate(found.flips, kind=kind, set_name=set_name)
    assert found.detection is not None  # the protocol has a score where a criterion asks for one
    return detection_estimate(found.detection, metric, kind=None if kind == ANY else kind)


def _measure(name: str) -> Callable[[Measurements, Subject, float], Estimate | Unavailable]:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        found = measurements.robustness(level=level)
        if isinstance(found, Unavailable):
            return found
        assert subject.kind is not None  # the protocol names one for each metric per corruption
        plan = measurements.protocol.robustness
        if name == "disturbed_difference":
            return _difference(measurements, found, subject)
        return stability(found, name, kind=subject.kind, plan=plan, set_name=subject.set)

    return measure


def _area(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    correlation = measurements.protocol.clusters.intracluster_correlation
    found = measurements.detection(level=level, correlation=correlation)
    if isinstance(found, Unavailable):
        return found
    evaluation = measurements.evaluation(subject.set)
    grouped_by = evaluation.grouped_by if isinstance(evaluation, Evaluation) else "groups"
    kind = None if subject.kind == ANY else subject.kind
    return detection_estimate(found, "ood_auroc", kind=kind, grouped_by=grouped_by)


def _difference(measurements: Measurements, found: Robustness, subject: Subject) -> Estimate | Unavailable:
    plan, evaluation = measurements.protocol.robustness, measurements.evaluation(subject.set)
    assert plan is not None and subject.kind is not None  # the protocol has disturbances where a criterion asks for one
    return disturbed_difference(
        found.curves,
        kind=subject.kind,
        severity=plan.agreed[subject.kind],
        set_name=subject.set,
        assumed_correlation=measurements.protocol.clusters.intracluster_correlation,
        grouped_by=evaluation.grouped_by if isinstance(evaluation, Evaluation) else "groups",
    )


_NEEDS = frozenset({PROBABILITIES, NEW_IMAGES})

METRICS = (
    Metric(
        name="disturbed_accuracy",
        questions=("robustness",),
        meaning="Accuracy on cells with one kind of corruption at its agreed severity.",
        per="corruption",
        needs=_NEEDS,
        measure=_measure("disturbed_accuracy"),
        kinds=Kinds("robustness", "kinds"),
        trials="cells",
        holm=True,
    ),
    Metric(
        name="disturbed_difference",
        questions=("robustness",),
        meaning="Accuracy with one kind of corruption at its agreed severity minus that on the clean cells, paired.",
        per="corruption",
        needs=_NEEDS,
        measure=_measure("disturbed_difference"),
        kinds=Kinds("robustness", "kinds"),
        range=(-1.0, 1.0),
        holm=True,
        counts="pairs",
    ),
    Metric(
        name="flip_rate",
        questions=("robustness",),
        meaning="The share of cells whose predicted class changes when the image is turned or mirrored.",
        higher_is_better=False,
        per="corruption",
        needs=_NEEDS,
        measure=_measure("flip_rate"),
        kinds=Kinds("robustness", "invariances", together=True),
    ),
    Metric(
        name="ood_auroc",
        family="area",
        questions=("robustness",),
        meaning="Area under the ROC curve of the out-of-distribution score: inputs without a cell against cells.",
        per="corruption",
        needs=_NEEDS,
        measure=_area,
        kinds=Kinds("detection", "kinds", together=True),
    ),
    Metric(
        name="ood_false_positive_rate",
        questions=("robustness",),
        meaning="The share of inputs without a cell that are taken for cells at the threshold of the score.",
        higher_is_better=False,
        per="corruption",
        needs=_NEEDS,
        measure=_measure("ood_false_positive_rate"),
        kinds=Kinds("detection", "kinds", together=True),
    ),
)
