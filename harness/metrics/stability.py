"""One number of a run's robustness, as a criterion is judged on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.metrics.detection import Detection, detection_estimate
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.robustness import FlipRate, SeverityCurve, disturbed_accuracy, flip_rate_estimate
from harness.protocol.records import ANY, ROBUSTNESS_METRICS, RobustnessPlan


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
    if metric not in ROBUSTNESS_METRICS:
        assert found.detection is not None  # the protocol has a score where a criterion asks for one
        return detection_estimate(found.detection, metric, kind=None if kind == ANY else kind)
    if metric == "flip_rate":
        return flip_rate_estimate(found.flips, kind=kind, set_name=set_name)
    assert plan is not None  # the protocol has disturbances where a criterion asks for one
    return disturbed_accuracy(found.curves, kind=kind, severity=plan.agreed[kind], set_name=set_name)
