"""One number of a run's robustness, as a criterion is judged on."""

from __future__ import annotations

from harness.judge.detection import detection_estimate
from harness.judge.robustness import disturbed_accuracy, flip_rate_estimate
from harness.protocol import ANY, ROBUSTNESS_METRICS, RobustnessPlan
from harness.records import Estimate, Robustness, Unavailable


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
