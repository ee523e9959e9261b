"""The area under the ROC curve, with bounds."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from harness.metrics.clusters import ClusterSummary, summary_of_values
from harness.metrics.distributions import beta_quantile, normal_quantile
from harness.metrics.estimates import DISPLAY_LEVEL, Interval
from harness.metrics.intervals import check_level
from harness.metrics.ood_scores import Scores, checked_scores

AreaBounds = Literal["proportion", "DeLong"]


@dataclass(frozen=True, slots=True)
class Auroc:
    """The chance that a positive scores above a negative, ties counted half.

    n_positive, n_negative: inputs, abstentions included; n_abstained: those of both that were refused.
    variance:  DeLong's; 0 where it has nothing to go by (flawless separation), None with fewer than two on a side.
    lower, upper: one-sided bounds, each at `level`.
    display:   two-sided interval by the same method.
    method:    how the bounds were made.
    clusters:  what the negatives are worth by their groups; None where they are counted as independent.
    """

    value: float
    n_positive: int
    n_negative: int
    n_abstained: int
    variance: float | None
    lower: float
    upper: float
    level: float
    method: str
    display: Interval
    clusters: ClusterSummary | None = None


def auroc(
    positive_scores: ArrayLike,
    negative_scores: ArrayLike,
    *,
    level: float,
    by: AreaBounds = "proportion",
    groups: Sequence[Hashable] | None = None,
    assumed_correlation: float = 0.0,
) -> Auroc:
    """Area under the ROC curve with the bounds of a proportion of as many trials as its variance says.

    A proportion of n trials has the variance A (1 - A) / n: an area A of variance V is worth A (1 - A) / V trials, and
    has Clopper-Pearson's bounds of these. V is the larger of DeLong's, which is too small where few inputs overlap, and
    the one that Newcombe's method takes from A alone. In simulations of ten kinds of scores from 0.8 to 0.995, 20 to
    400 inputs a side, the lower bound at 95 % missed in at most 5.0 % of sets, where DeLong's on the logit scale missed
    in up to 7 % (benchmarks/gate_error_rates.py).

    DeLong's variance is 0 where the two samples do not overlap, and [1, 1] would be claimed of ten inputs as of ten
    thousand. Flawless separation therefore has the bound of disjoint pairs: with m = min(n_positive, n_negative), m
    pairs that share no input are m independent trials, each won with a chance no larger than the area. All m are won,
    so the lower bound is Clopper-Pearson's of m / m, (1 - level) ** (1 / m), and never too high.

    No other result may claim more than a flawless one: every lower bound is cut off there, and every upper bound at the
    mirror image. Where the variance
    vanishes in between (every score the same), or a side has a single input, Hoeffding's inequality for the same m
    pairs gives the bounds.

    Negatives of one patient are alike. What counts of a negative is the share of positives above it, so that the part
    of the variance that the negatives make is multiplied by the design effect of these shares, at the larger of the
    assumed correlation and the sample's own, and they count as so many fewer wherever their number enters a bound.

    Args:
        positive_scores: of what should score high (here inputs without a cell). +inf is an abstention.
        negative_scores: of what should score low.
        level: one-sided confidence of each bound, a fraction in (0.5, 1).
        by: "DeLong" for bounds on the logit scale, by which older runs were judged.
        groups: the patient or slide of each negative; None where they are counted as independent.
        assumed_correlation: how alike the negatives of one group are at least, a fraction in [0, 1].
    Raises:
        UndefinedStatistic: a side without inputs.
        InvalidPredictions: a score that is not a number.
    Source: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845; Newcombe (2006), Stat. Med. 25:559-573,
        method 5; Hoeffding (1963), J. Am. Stat. Assoc. 58:13-30, section 5.
    >>> found = auroc([0.9, 0.8, 0.7, 0.6, 0.55], [0.85, 0.5, 0.4, 0.3, 0.2, 0.55], level=0.975, by="DeLong")
    >>> round(found.value, 6), round(found.variance, 8), round(found.lower, 4), round(found.upper, 4)
    (0.85, 0.01883333, 0.4073, 0.979)
    >>> round(auroc([2, 3, 4], [0, 1], level=0.95).lower, 4)
    0.2236
    """
    check_bound_level(level)
    positive, negative = checked_scores(positive_scores, "positive"), checked_scores(negative_scores, "negative")
    value, wins, losses = _placements(positive, negative)
    clusters = None
    if groups is not None:
        clusters = summary_of_values(losses, groups, assumed_correlation=assumed_correlation)
    effect = 1.0 if clusters is None else clusters.design_effect
    variance = _variance(wins, losses, effect)

    def bounds(level: float) -> tuple[float, float, str]:
        return _auroc_bounds(value, variance, positive.size, negative.size / effect, level=level, by=by)

    lower, upper, method = bounds(level)
    shown_lower, shown_upper, _ = bounds(0.5 + DISPLAY_LEVEL / 2)
    return Auroc(
        value=value,
        n_positive=positive.size,
        n_negative=negative.size,
        n_abstained=int(np.isposinf(positive).sum() + np.isposinf(negative).sum()),
        variance=variance,
        lower=lower,
        upper=upper,
        level=level,
        method=method,
        display=Interval(shown_lower, shown_upper, DISPLAY_LEVEL, method),
        clusters=clusters,
    )


def _placements(positive: Scores, negative: Scores) -> tuple[float, Scores, Scores]:
    """(area, share of negatives below each positive, share of positives above each negative), ties counted half."""
    below = _halved_ranks(np.sort(negative), positive) / negative.size
    above = 1.0 - _halved_ranks(np.sort(positive), negative) / positive.size
    # From whole and half counts, so that flawless is exactly 1.
    total = float(_halved_ranks(np.sort(negative), positive).sum())
    return total / (positive.size * negative.size), below, above


def _halved_ranks(ordered: Scores, values: Scores) -> Scores:
    """How many of `ordered` lie below each value, plus half of those that equal it."""
    left, right = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray(0.5 * (left + right), dtype=np.float64)


def _variance(wins: Scores, losses: Scores, effect: float) -> float | None:
    """DeLong's variance of an area, its negatives' part times their design effect; None with one input on a side."""
    if wins.size < 2 or losses.size < 2:
        return None
    ours, theirs = (np.sum((each - each.mean()) ** 2) / (each.size - 1) / each.size for each in (wins, losses))
    return float(ours + effect * theirs)


def _auroc_bounds(
    value: float, variance: float | None, n_positive: int, n_negative: float, *, level: float, by: AreaBounds
) -> tuple[float, float, str]:
    """n_negative: independent ones that the negatives are worth."""
    pairs, alpha = min(n_positive, n_negative), 1.0 - level
    told = f"{pairs:.1f}" if pairs % 1 else f"{pairs:.0f}"
    most = alpha ** (1.0 / pairs)  # the highest lower bound that so many disjoint pairs can prove
    if value in (0.0, 1.0):
        method = f"Clopper-Pearson of {told} disjoint pairs (flawless: DeLong's variance is 0)"
        return (most, 1.0, method) if value == 1.0 else (0.0, 1.0 - most, method)
    if variance is None or variance <= 1e-15:
        half = math.sqrt(math.log(1.0 / alpha) / (2.0 * pairs))
        lower, upper = max(0.0, value - half), min(1.0, value + half)
        return min(lower, most), max(upper, 1.0 - most), f"Hoeffding for {told} disjoint pairs"
    if by == "DeLong":
        logit = math.log(value / (1.0 - value))
        half = normal_quantile(level) * math.sqrt(variance) / (value * (1.0 - value))
        lower, upper = (1.0 / (1.0 + math.exp(min(700.0, -x))) for x in (logit - half, logit + half))
        method = "DeLong, logit scale"
    else:
        trials = value * (1.0 - value) / max(variance, _variance_of_area(value, n_positive, n_negative))
        won = value * trials
        lower = beta_quantile(alpha, won, trials - won + 1.0)
        upper = beta_quantile(level, won + 1.0, trials - won)
        method = f"Clopper-Pearson of the {trials:.1f} trials that its variance is worth"
    if lower > most or upper < 1.0 - most:
        lower, upper, method = min(lower, most), max(upper, 1.0 - most), f"{method}, cut at what a flawless one proves"
    return lower, upper, method


def _variance_of_area(value: float, n_positive: int, n_negative: float) -> float:
    """The variance that an area of this size has where scores are exponential, sides balanced (Newcombe's method 5)."""
    half = (n_positive + n_negative) / 2.0 - 1.0
    spread = (1.0 - value) / (2.0 - value) + value / (1.0 + value)
    return value * (1.0 - value) * (1.0 + half * spread) / (n_positive * n_negative)


def check_bound_level(level: float) -> None:
    check_level(level)
    if level <= 0.5:
        raise ValueError(f"level {level} is not above one half; a bound that is mostly wrong bounds nothing")
