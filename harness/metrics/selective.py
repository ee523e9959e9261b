"""Selective prediction: the risk among the cells that are answered."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from harness.metrics.calibration_records import RiskCoverage, SelectiveGuarantee
from harness.metrics.clusters import Counted, share_bounds
from harness.metrics.intervals import check_level
from harness.metrics.outcomes import checked_outcomes


def risk_coverage_curve(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """How many errors remain if the least confident cells are referred to a person.

    Cells of equal confidence are accepted together: no threshold can part them. The area is the mean, over cells, of
    the risk at the cell's own confidence, so tied cells all count the risk of their whole group.

    Source: Geifman, Uziel and El-Yaniv (2019), ICLR (AURC and its excess).
    >>> curve = risk_coverage_curve([0.95, 0.85, 0.75, 0.65, 0.55], [1, 1, 0, 1, 0])
    >>> round(curve.aurc, 6), round(curve.best_aurc, 6), round(curve.excess, 6)
    (0.196667, 0.13, 0.066667)
    """
    confidence, correct = checked_outcomes(confidence, correct)
    n = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    falling, wrong = confidence[order], np.cumsum(~correct[order])
    ends = np.flatnonzero(np.diff(falling, append=-1.0))  # the last cell of each run of equal confidences
    accepted, errors = ends + 1, wrong[ends]
    risks = errors / accepted
    n_correct = n - int(wrong[-1])
    best = math.fsum(max(0, i - n_correct) / i for i in range(1, n + 1)) / n
    aurc = math.fsum(np.diff(accepted, prepend=0) * risks) / n
    return RiskCoverage(
        n=n,
        thresholds=tuple(falling[ends].tolist()),
        n_accepted=tuple(accepted.tolist()),
        n_errors=tuple(errors.tolist()),
        coverages=tuple((accepted / n).tolist()),
        risks=tuple(risks.tolist()),
        aurc=aurc,
        best_aurc=best,
        excess=max(0.0, aurc - best),  # rounding may land an ulp below
    )


def selective_guarantee(
    errors: int,
    accepted: int,
    *,
    level: float,
    thresholds_tried: int,
    by_group: Counted | None = None,
    assumed_correlation: float = 0.0,
) -> SelectiveGuarantee:
    """How high the risk among accepted cells may be: Clopper-Pearson upper bound, Bonferroni over thresholds tried.

    Args:
        by_group: (errors, accepted cells) of each patient, whose bound is then that of `clusters.clustered_bounds`.
        thresholds_tried: how many acceptance rules were tried on these very cells; 1 only if the rule was fixed before.
    Raises:
        UndefinedStatistic: no cell was accepted.
    >>> round(selective_guarantee(0, 300, level=0.95, thresholds_tried=1).upper, 6)
    0.009936
    """
    if thresholds_tried < 1:
        raise ValueError(f"{thresholds_tried} thresholds tried: at least the one that was used counts; pass 1 or more")
    check_level(level)
    each = 1.0 - (1.0 - level) / thresholds_tried
    _, upper = share_bounds(errors, accepted, by_group, assumed_correlation=assumed_correlation, level=each)
    return SelectiveGuarantee(errors, accepted, errors / accepted, upper, level, thresholds_tried)
