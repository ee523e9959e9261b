"""Are a candidate's probabilities worse than a baseline's, on the same cells? The paired difference of Brier scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.errors import UndefinedStatistic
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Interval, Unavailable
from harness.metrics.intervals import check_level
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.metrics.predictions import Predictions, grouping_of

NAME = "brier_difference"
WORST_BRIER = 2.0  # of a cell of which a classifier is sure that it is another class; summed over classes, not halved
# Shares of the largest bet that can be lost in one step. Which one gains most depends on the spread of the differences:
# large bets where almost none differ, small ones where many do.
BETS = tuple(1.5**-step for step in range(12))
METHOD = "betting bound of a bounded mean (Waudby-Smith and Ramdas)"
HALVINGS = 60


@dataclass(frozen=True, slots=True, eq=False)
class PairedScores:
    """The Brier score of each cell by two classifiers, the lower the better.

    paths, reference: (n_cells,) each cell's path and its reference label.
    baseline, candidate: (n_cells,) float64 in [0, 2].
    groups: (n_cells,) the patient, slide or site of each cell; None where they are not known.
    """

    paths: tuple[str, ...]
    reference: tuple[str, ...]
    baseline: np.ndarray
    candidate: np.ndarray
    groups: tuple[str, ...] | None

    @property
    def differences(self) -> np.ndarray:
        """(n_cells,) candidate minus baseline: above 0 the candidate is worse."""
        return np.asarray(self.candidate - self.baseline)

    def means_of(self, cell_class: str) -> tuple[float, float]:
        """Mean score of the cells of one class, of baseline and candidate."""
        own = np.array(self.reference, dtype=object) == cell_class
        return float(self.baseline[own].mean()), float(self.candidate[own].mean())


def paired_scores(candidate: Predictions, baseline: Predictions) -> PairedScores:
    """The Brier scores of two classifiers' predictions of the same cells in the same order."""
    reference = tuple(candidate.classes[label] for label in candidate.labels.tolist())
    return PairedScores(candidate.paths, reference, brier_of(baseline), brier_of(candidate), candidate.groups)


def brier_of(found: Predictions) -> np.ndarray:
    """(n_cells,) squared distance of each cell's probabilities to its reference class, summed over classes."""
    reference = np.eye(len(found.classes))[found.labels]
    return np.asarray(((found.probabilities - reference) ** 2).sum(axis=1))


def mean_upper_bound(sums: np.ndarray, sizes: np.ndarray, *, most: float, level: float) -> float:
    """One-sided upper bound of the mean of values that are at most `most`, from sums over independent groups.

    A value is a cell's, the mean is that of cells, and groups are a sample: with groups of one cell the cells are. For
    a mean m somebody bets against "the mean is m or more" on every group, a share of what is left; under it, the sum
    over groups of m times size minus sum is not positive in expectation, so that the wealth grows in expectation by
    nothing, whatever the distribution, and reaches 1 / (1 - level) with a probability of at most 1 - level (Ville). The
    wealth is the mean over a fixed series of bets, hence no order of the cells has a say. It rises with m: the bound is
    where it reaches that.

    Nothing is assumed but the bound of a value and that groups are independent, given their sizes: in groups no
    correlation. Where large groups are rare and other than the rest, their share of the sample says little of theirs of
    the world, and the bound misses more often (15 % in a worst case at 95 %: one group in 50 or 200 is thirty times the
    others and has all of the difference).

    Args:
        sums, sizes: (n_groups,) the sum of the values of each group, and how many it has, at least one.
        level: one-sided confidence.
    Raises:
        UndefinedStatistic: no group.
    Source: Waudby-Smith and Ramdas (2024), J. R. Stat. Soc. B 86:1-27.
    >>> round(mean_upper_bound(np.zeros(375), np.ones(375), most=2.0, level=0.95), 4)
    0.0275
    """
    check_level(level)
    if not sizes.size:
        raise UndefinedStatistic("the mean of no values does not exist; it is not 0. Report it as undefined.")
    low, high = float(sums.sum() / sizes.sum()), most
    enough = -math.log(1.0 - level)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _log_wealth(sums, sizes, middle, most) >= enough else (middle, high)
    return high


def _log_wealth(sums: np.ndarray, sizes: np.ndarray, mean: float, most: float) -> float:
    """Logarithm of what is left of 1 after betting against "the mean is this, or more"."""
    gains = (mean * sizes - sums) / (sizes.max() * (most - mean)) if mean < most else np.full(sizes.shape, np.inf)
    with np.errstate(divide="ignore"):  # a bet that is lost whole
        each = np.array([np.log(np.maximum(1.0 + bet * gains, 0.0)).sum() for bet in BETS])
    largest = each.max()
    return float(largest + math.log(np.exp(each - largest).mean())) if np.isfinite(largest) else float(largest)


def mean_bounds(values: np.ndarray, groups: Sequence[str] | None, *, most: float, level: float) -> tuple[float, float]:
    """One-sided bounds of the mean of values between -most and most, each at `level`; see `mean_upper_bound`."""
    group = np.arange(len(values))
    if groups is not None:
        _, group = np.unique(np.array(groups, dtype=str), return_inverse=True)
    sums, sizes = np.bincount(group, weights=values), np.bincount(group)
    return (
        -mean_upper_bound(-sums, sizes, most=most, level=level),
        mean_upper_bound(sums, sizes, most=most, level=level),
    )


def brier_difference(found: PairedScores, *, set_name: str, level: float) -> Estimate:
    """Brier score of the candidate minus that of the baseline, with one-sided bounds at `level`."""
    values = found.differences
    lower, upper = mean_bounds(values, found.groups, most=WORST_BRIER, level=level)
    shown = mean_bounds(values, found.groups, most=WORST_BRIER, level=0.5 + DISPLAY_LEVEL / 2)
    pairs = "pairs taken as independent"
    if found.groups is not None:
        pairs = f"{len(values)} pairs of {len(set(found.groups))} {grouping_of(found.groups)}, bounds over these"
    return Estimate(
        NAME,
        set_name,
        None,
        float(values.mean()),
        lower,
        upper,
        level,
        METHOD,
        n=len(values),
        display=Interval(*shown, DISPLAY_LEVEL, "betting"),
        support=len(values),
        note=f"baseline {found.baseline.mean():.4f}, candidate {found.candidate.mean():.4f}; {pairs}",
    )


def _measured(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    found = measurements.comparison(subject.set)
    if isinstance(found, Unavailable):
        return found
    if found.scores is None:
        return Unavailable("an older harness kept no probabilities of the baseline's beside the candidate's")
    return brier_difference(found.scores, set_name=subject.set, level=level)


METRICS = (
    Metric(
        name=NAME,
        questions=("regression",),
        meaning="Brier score (0 to 2), candidate minus baseline, paired by cell: above 0 the probabilities are worse.",
        higher_is_better=False,
        measure=_measured,
        range=(-2.0, 2.0),
        counts="pairs",
    ),
)
