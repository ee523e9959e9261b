"""Below which confidence is a cell referred to a person, so that few of the answers are wrong? Learn-then-test.

The threshold is chosen on one set, with a bound that holds for the chosen one whatever was tried; what comes of it is
measured on another. Angelopoulos, Bates, Candes, Jordan and Lei (2021), Learn then Test, arXiv:2110.01052.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from harness.metrics.calibration_records import Referral
from harness.metrics.clusters import Counted, counted_by_group, share_bounds
from harness.metrics.estimates import INDEPENDENCE_UNKNOWN, Estimate, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Measure, Metric, Subject
from harness.metrics.predictions import Predictions
from harness.protocol.needs import ANSWERS_ON_VALIDATION, PROBABILITIES

# From the most confident cells down, fixed before any was seen; the last one answers every cell.
THRESHOLDS = tuple(step / 1000 for step in (*range(999, 900, -1), *range(900, -1, -10)))


def fewest_to_show(max_risk: float, *, level: float) -> int:
    """How many answers without an error show a risk of at most `max_risk`.

    >>> fewest_to_show(0.05, level=0.95)
    59
    """
    return math.ceil(math.log(1 - level) / math.log(1 - max_risk))


def proven_threshold(found: Predictions, *, max_risk: float, level: float, assumed_correlation: float) -> float | None:
    """The lowest confidence from which on at most `max_risk` of the answers are shown to be wrong; None if none is.

    Fixed-sequence testing: from the highest threshold down each is tested at the whole 1 - level, and the first that is
    not shown ends it. So a threshold that does not keep the risk is taken with a chance of at most 1 - level, however
    many are tried. The test is exact and binomial: that the upper bound of the risk is at most `max_risk`. Thresholds
    which answer too few cells to be shown even without an error are passed over: how many cells a threshold answers
    follows from the confidences alone, and of the errors among them nothing is known yet.
    """
    fewest = fewest_to_show(max_risk, level=level)
    proven = None
    for threshold in THRESHOLDS:
        answered = found.confidence >= threshold
        n = int(answered.sum())
        if n < fewest:
            continue
        wrong, by_group = _errors(found, answered)
        _, upper = share_bounds(wrong, n, by_group, assumed_correlation=assumed_correlation, level=level)
        if upper > max_risk:
            break
        proven = threshold
    return proven


def referral_of(
    fit: Predictions, target: Predictions, *, max_risk: float, level: float, assumed_correlation: float
) -> Referral:
    """What becomes of the target's cells at the threshold that is chosen on `fit`."""
    threshold = proven_threshold(fit, max_risk=max_risk, level=level, assumed_correlation=assumed_correlation)
    answered = np.zeros(len(target.labels), dtype=bool) if threshold is None else target.confidence >= threshold
    wrong, by_group = _errors(target, answered)
    groups = None
    if target.groups is not None:
        groups = counted_by_group(~answered, list(target.groups))
    return Referral(
        max_risk=max_risk,
        level=level,
        threshold=threshold,
        chosen_on=fit.set,
        n_chosen_on=len(fit.labels),
        errors=wrong,
        answered=int(answered.sum()),
        n=len(answered),
        errors_by_group=by_group,
        referred_by_group=groups,
    )


def _errors(found: Predictions, answered: np.ndarray) -> tuple[int, Counted | None]:
    """(wrong answers, these and the answers group by group where groups are known)."""
    rows = np.flatnonzero(answered)
    wrong = ~found.correct[rows]
    if found.groups is None:
        return int(wrong.sum()), None
    return int(wrong.sum()), counted_by_group(wrong, [found.groups[row] for row in rows.tolist()]) if rows.size else ()


def _estimate(
    found: Referral,
    metric: str,
    set_name: str,
    counts: tuple[int, int, Counted | None],
    *,
    assumed: float,
    level: float,
) -> Estimate:
    k, n, by_group = counts
    chosen = f"{found.n_chosen_on} cells of {found.chosen_on}"
    note = (
        f"no threshold is shown on {chosen} to keep the risk at {found.max_risk:g}: every cell is referred"
        if found.threshold is None
        else f"answered from a confidence of {found.threshold:g} on, which {chosen} show to keep the risk at "
        f"{found.max_risk:g} ({100 * found.level:g} %, learn-then-test); {found.n - found.answered} of {found.n} "
        "referred"
    )
    if by_group is None:
        note = f"{note}; {INDEPENDENCE_UNKNOWN}"
    method = "Clopper-Pearson" if by_group is None else "Clopper-Pearson, clustered"
    whole = Estimate(metric, set_name, None, None, None, None, level, method, n=n, note=note, support=n)
    if not n:
        return whole
    lower, upper = share_bounds(k, n, by_group, assumed_correlation=assumed, level=level)
    return replace(whole, value=k / n, lower=lower, upper=upper, k=k)


def _measured(metric: str) -> Measure:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        report = measurements.calibration(subject.set)
        if isinstance(report, Unavailable):
            return report
        if (found := report.referral) is None:
            return Unavailable("no set to choose a threshold on")
        correlation = measurements.protocol.clusters.intracluster_correlation
        if metric == "selective_risk":
            k, n, groups = found.errors, found.answered, found.errors_by_group
        else:
            k, n, groups = found.n - found.answered, found.n, found.referred_by_group
        return _estimate(found, metric, report.set, (k, n, groups), assumed=correlation, level=level)

    return measure


_NEEDS = frozenset({PROBABILITIES, ANSWERS_ON_VALIDATION})
METRICS = (
    Metric(
        name="selective_risk",
        questions=("calibration",),
        meaning="The share of wrong answers among the cells that are answered, where the others are referred: from the "
        "confidence on that learn-then-test proves on validation to keep the protocol's risk.",
        higher_is_better=False,
        needs=_NEEDS,
        measure=_measured("selective_risk"),
        counts="answered cells",
        protocol_table="calibration.referral",
    ),
    Metric(
        name="referral_rate",
        questions=("calibration",),
        meaning="The share of cells that are referred to a person by the same rule.",
        higher_is_better=False,
        needs=_NEEDS,
        measure=_measured("referral_rate"),
        protocol_table="calibration.referral",
    ),
)
