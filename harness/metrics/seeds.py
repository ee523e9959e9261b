"""How low may the next training land, judged from trainings that differ only in their seed?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from harness.core.errors import UndefinedStatistic
from harness.metrics.classification import estimate
from harness.metrics.distributions import noncentral_t_quantile, normal_quantile
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.intervals import check_level, effective_bounds
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.protocol.needs import OTHER_SEEDS, PROBABILITIES

SEED_CONTENT = 0.95  # the share of further seeds that a tolerance bound speaks of


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """One measure over trainings that differ only in their seed. Never report the best of them alone.

    sd:      with n - 1 in the denominator; from five seeds it is known only to within a factor of two or three.
    lower:   tolerance bound: at confidence `level`, at least the share `content` of all seeds lie above it.
    """

    n: int
    mean: float
    sd: float
    smallest: float
    largest: float
    lower: float
    content: float
    level: float


def tolerance_factor(n: int, *, content: float, level: float) -> float:
    """How many sample standard deviations below the mean a one-sided normal tolerance bound lies.

    Args:
        n: runs, at least 2.
        content: share of all runs that shall lie above the bound, a fraction in (0, 1).
        level: confidence, a fraction in (0, 1).
    Raises:
        UndefinedStatistic: fewer than two runs have no standard deviation.
    Source: Owen (1968), Technometrics 10:445-478; Krishnamoorthy and Mathew (2009), Statistical Tolerance Regions, 2.2.
    >>> round(tolerance_factor(5, content=0.95, level=0.95), 3)
    4.203
    """
    if n < 2:
        raise UndefinedStatistic(f"{n} run(s) show no spread; train with at least 2 seeds, better 10")
    check_level(level)
    if not 0.0 < content < 1.0:
        raise ValueError(f"content {content} is not a fraction in (0, 1); write 0.95 for 95 % of all runs")
    root = math.sqrt(n)
    return noncentral_t_quantile(level, n - 1, normal_quantile(content) * root) / root


def tolerance_bound(values: Sequence[float], *, content: float, level: float) -> SeedSpread:
    """The spread over seeds, with the bound above which most further seeds will land.

    What breaks it: the values are taken as normal. Near the ceiling (accuracies of 374/375 and 375/375) they are not:
    they pile up at a few counts, skewed to the left, and the bound promises too much or lies far too low. Runs that
    tie have a standard deviation of 0, and the bound is then the value itself: a sign that the measure is too coarse
    to tell the seeds apart, not that they cannot differ. Without the normal assumption 59 runs are needed for 95/95,
    and their minimum is the bound (`harness.metrics.intervals.trials_needed(0, floor=0.95, level=0.95)`).

    Args:
        values: one per seed, every seed that was run.
        content, level: as `tolerance_factor`.
    Raises:
        UndefinedStatistic: fewer than two values.
    >>> spread = tolerance_bound([0.990, 0.992, 0.994], content=0.95, level=0.95)
    >>> round(spread.mean, 4), round(spread.sd, 4), round(spread.lower, 4)
    (0.992, 0.002, 0.9767)
    """
    for position, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"run {position} has the value {value}; a failed run is reported as failed, not averaged")
    factor = tolerance_factor(len(values), content=content, level=level)
    # Equal values: exactly no spread, whatever the rounding of the mean.
    mean = fmean(values) if min(values) < max(values) else float(values[0])
    sd = stdev(values)
    return SeedSpread(
        n=len(values),
        mean=mean,
        sd=sd,
        smallest=min(values),
        largest=max(values),
        lower=mean - factor * sd,
        content=content,
        level=level,
    )


def seed_accuracy(evaluations: Mapping[int, Evaluation], *, set_name: str, level: float) -> Estimate | Unavailable:
    """Accuracy over training seeds: the mean, gated by a tolerance bound, never by the best seed.

    lower: with confidence `level`, at least 95 % of further seeds reach it, if accuracies over seeds are normal.
    """
    accuracies = {seed: each.n_correct / each.n for seed, each in evaluations.items()}
    if len(accuracies) < 2:
        return Unavailable(f"{len(accuracies)} seed was trained: its spread is not known (training.seeds)")
    spread = tolerance_bound(list(accuracies.values()), content=SEED_CONTENT, level=level)
    counts = ", ".join(f"seed {seed} {each.n_correct}/{each.n}" for seed, each in evaluations.items())
    # Seeds that tie show that the set is too small to tell them apart, not that no seed differs.
    spread_words = f"sd {spread.sd:.4f}" if spread.sd else "all equal, so their spread is not known"
    return Estimate(
        "seed_accuracy",
        set_name,
        None,
        spread.mean,
        spread.lower if spread.sd else None,
        None,
        level,
        f"one-sided normal tolerance bound for {SEED_CONTENT * 100:g} % of seeds",
        n=spread.n,
        note=f"{counts}; {spread_words}; accuracies over seeds taken as normal",
    )


def recipe_accuracy(evaluations: Mapping[int, Evaluation], *, set_name: str, level: float) -> Estimate | Unavailable:
    """Accuracy of the recipe over further seeds and further cells: the mean, gated by a bound of both.

    lower: with confidence `level`, at least 95 % of further seeds give a classifier whose true accuracy reaches it, if
        accuracies over seeds are normal. Half of the error is for the seeds: the tolerance bound of their accuracies on
        these cells. Half is for the cells, which all seeds share: Clopper-Pearson's bound at that accuracy, over
        patients and slides where these are known. Of recipes at their floor at most 1 - level pass
        (tests/test_seeds.py); the tolerance bound alone passed 5, 17 and 24 % of them with 3, 5 and 10 seeds.
    """
    halved = (1.0 + level) / 2
    found = seed_accuracy(evaluations, set_name=set_name, level=halved)
    if isinstance(found, Unavailable):
        return found
    each = [estimate(evaluation, "accuracy", cell_class=None, level=halved) for evaluation in evaluations.values()]
    lower, cells = None, min(evaluation.n for evaluation in evaluations.values())
    if found.lower is not None:
        worth = min(accuracy.effective_n or cells for accuracy in each)
        kept = min(cells, max(0, math.floor(found.lower * cells)))
        lower = effective_bounds(kept, cells, worth, level=halved)[0]
    return replace(
        found,
        metric="recipe_accuracy",
        lower=lower,
        level=level,
        method=f"Clopper-Pearson of the cells at the {found.method}, Bonferroni",
        support=cells,
    )


def _measured(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    return seed_accuracy(measurements.seed_evaluations(subject.set), set_name=subject.set, level=level)


def _measured_of_recipe(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    return recipe_accuracy(measurements.seed_evaluations(subject.set), set_name=subject.set, level=level)


METRICS = (
    Metric(
        name="recipe_accuracy",
        questions=("accuracy",),
        meaning="Accuracy over training seeds, bounded by what 95 % of further seeds would reach on further cells.",
        needs=frozenset({PROBABILITIES, OTHER_SEEDS}),
        measure=_measured_of_recipe,
        sets=("test",),
        counts="seeds",
    ),
    Metric(
        name="seed_accuracy",
        questions=("accuracy",),
        meaning="Accuracy over training seeds, bounded by what 95 % of further seeds would reach on these very cells.",
        needs=frozenset({PROBABILITIES, OTHER_SEEDS}),
        measure=_measured,
        sets=("test",),
        counts="seeds",
    ),
)
