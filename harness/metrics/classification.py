"""What do the predictions of one set amount to? Measures only; `criteria` decides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.metrics.clusters import ClusterSummary, clustered_bounds, effective_trials
from harness.metrics.estimates import Estimate, Evaluation, Interval, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds, percentile_bounds, wilson_interval
from harness.metrics.macro import highest_macro_f1, lowest_macro_f1, macro_f1
from harness.metrics.multiplicity import simultaneous_lower_bounds
from harness.metrics.predictions import Predictions
from harness.metrics.seeds import tolerance_bound
from harness.model.records import Timing
from harness.protocol.records import CLASS_METRICS, Criterion

DISPLAY_LEVEL = 0.95
CELLS_COUNTED = "cells of one patient or slide counted as independent: best-case interval"
MOST_CLASSES_BOUNDED = 8  # the search behind macro-F1's bound takes seconds beyond
SEED_CONTENT = 0.95  # the share of further seeds that a tolerance bound speaks of
INDEPENDENCE_UNKNOWN = "no patient ids: best-case interval, independence not demonstrated"


def evaluate(predictions: Predictions, *, intracluster_correlation: float = 0.0) -> Evaluation:
    """Count reference against predicted class; a tie in probability goes to the first class.

    Args:
        intracluster_correlation: the least that is assumed of cells of one group, a fraction; without groups it
            changes nothing.
    """
    n_classes = len(predictions.classes)
    confusion = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(confusion, (predictions.labels, predictions.predicted), 1)
    by_group = None
    if predictions.groups is not None:
        names, group = np.unique(np.array(predictions.groups, dtype=str), return_inverse=True)
        by_group = np.zeros((len(names), n_classes, n_classes), dtype=np.int64)
        np.add.at(by_group, (group, predictions.labels, predictions.predicted), 1)
    return Evaluation(predictions.set, predictions.classes, confusion, by_group, intracluster_correlation)


def estimate(evaluation: Evaluation, metric: str, *, cell_class: str | None, level: float) -> Estimate:
    """One metric of one set with one-sided bounds at `level` that hold at least so often.

    accuracy, recall and precision are proportions with Clopper-Pearson bounds. F1 is 2J / (1 + J) of the Jaccard
    index J = TP / (TP + FP + FN), itself the proportion of true positives among the cells that are of the class or
    called so; its bounds are those of J, carried through that increasing map. (Conditional on TP + FP + FN, the
    true positives of independent cells are binomial with probability J; with fixed supports the coverage was
    enumerated in tests/test_metrics.py.) macro_f1 has the projection bound of `macro.lowest_macro_f1`.

    Where the cells' patients or slides are known, the trials count as the fewer independent ones that they are worth
    (`clusters.effective_trials`).

    Returns:
        value and bounds None where there are no trials: an absent class is undefined, never 0.
    """
    if metric == "macro_f1":
        return _macro_f1(evaluation, level)
    k, n = _counts(evaluation.confusion, metric, _column(evaluation, metric, cell_class))
    support = evaluation.n if cell_class is None else evaluation.support[cell_class]
    is_f1 = metric == "f1"
    method = "Clopper-Pearson of TP/(TP+FP+FN), as F1" if is_f1 else "Clopper-Pearson"
    if n == 0:
        missing = f"no cell was called {cell_class}" if support and cell_class else "no cells"
        if not support and cell_class:
            missing = f"no cells of {cell_class}"
        return Estimate(
            metric, evaluation.set, cell_class, None, None, None, level, method, k=k, n=n, note=missing, support=support
        )
    trials = _by_patient(evaluation, metric, cell_class)
    transform = _f1_of_jaccard if is_f1 else _identity
    lower, upper = _bounds(k, n, trials, level=level)
    return Estimate(
        metric,
        evaluation.set,
        cell_class,
        transform(k / n),
        transform(lower),
        transform(upper),
        level,
        method if trials is None else f"{method}, clustered",
        k=k,
        n=n,
        display=None if is_f1 else _display(k, n, trials),
        note=INDEPENDENCE_UNKNOWN if trials is None else cluster_note(trials.summary),
        support=support,
        effective_n=None if trials is None else trials.summary.effective_n,
    )


def cluster_note(clusters: ClusterSummary) -> str:
    """What a reader must know beside a number whose cells share patients or slides."""
    origin = "estimated" if clusters.is_estimated else "assumed"
    return (
        f"{clusters.n} cells of {clusters.n_groups} patients or slides: intracluster correlation "
        f"{clusters.correlation:.3g} ({origin}), design effect {clusters.design_effect:.3g}, worth "
        f"{clusters.effective_n:.1f} independent cells"
    )


def class_family(
    evaluation: Evaluation, criteria: Sequence[Criterion], *, level: float
) -> list[tuple[Criterion, Estimate]]:
    """Criteria on one metric of several classes, each with its estimate on the set that they share."""
    return [(c, estimate(evaluation, c.metric, cell_class=c.cell_class, level=level)) for c in criteria]


def joint_recall_bounds(
    evaluation: Evaluation, *, floors: Mapping[str, float] | None, level: float
) -> dict[str, float | None]:
    """Class -> lower bound of its recall, such that all of them hold together at `level`; None without cells.

    With the criteria's floors the bounds are those of Holm's test against them (`multiplicity`); without floors, or
    where cells are clustered by patient, each class has an equal share of 1 - level (Bonferroni).
    """
    there = [name for name, support in evaluation.support.items() if support]
    bounds: dict[str, float | None] = dict.fromkeys(evaluation.classes)
    if evaluation.grouped:
        each = 1 - (1 - level) / max(1, len(there))
        return bounds | {n: estimate(evaluation, "recall", cell_class=n, level=each).lower for n in there}
    counts = [_counts(evaluation.confusion, "recall", evaluation.classes.index(name)) for name in there]
    asked = [floors[name] for name in there] if floors is not None and set(there) <= set(floors) else None
    return bounds | dict(zip(there, simultaneous_lower_bounds(counts, floors=asked, level=level), strict=True))


def _macro_f1(evaluation: Evaluation, level: float) -> Estimate:
    supports = tuple(int(support) for support in evaluation.confusion.sum(axis=1))
    method = "projection of the exact bounds of the error rate"
    if absent := [name for name, support in evaluation.support.items() if support == 0]:
        missing = f"no cells of {', '.join(absent)}"
        return Estimate(
            "macro_f1", evaluation.set, None, None, None, None, level, method, note=missing, support=evaluation.n
        )
    trials = _by_patient(evaluation, "accuracy", None)
    if len(supports) > MOST_CLASSES_BOUNDED:
        return Estimate(
            "macro_f1",
            evaluation.set,
            None,
            macro_f1(evaluation.confusion),
            None,
            None,
            level,
            "none",
            n=evaluation.n,
            note=f"no bound is computed for more than {MOST_CLASSES_BOUNDED} classes",
            support=evaluation.n,
        )

    def bounds(level: float) -> tuple[float, float]:
        fewest, most = _bounds(evaluation.n_correct, evaluation.n, trials, level=level)
        n = evaluation.n
        return lowest_macro_f1(supports, n * (1 - fewest)), highest_macro_f1(supports, n * (1 - most))

    return Estimate(
        "macro_f1",
        evaluation.set,
        None,
        macro_f1(evaluation.confusion),
        *bounds(level),
        level,
        method if trials is None else f"{method}, clustered",
        n=evaluation.n,
        display=Interval(*bounds(0.5 + DISPLAY_LEVEL / 2), DISPLAY_LEVEL, "projection"),
        note=INDEPENDENCE_UNKNOWN if trials is None else cluster_note(trials.summary),
        support=evaluation.n,
        effective_n=None if trials is None else trials.summary.effective_n,
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


def accuracy_gap(train: Evaluation, validation: Evaluation, *, level: float) -> Estimate:
    """Train accuracy minus validation accuracy, a fraction in [-1, 1]; see `_gap`."""
    return _gap("accuracy_gap", "training", train, validation, level=level)


def generalisation_gap(test: Evaluation, external: Evaluation | Unavailable, *, level: float) -> Estimate | Unavailable:
    """Test accuracy minus the accuracy on a set from elsewhere, a fraction in [-1, 1]; see `_gap`."""
    if isinstance(external, Unavailable):
        return external
    return _gap("generalisation_gap", external.set, test, external, level=level)


def _gap(metric: str, set_name: str, more: Evaluation, less: Evaluation, *, level: float) -> Estimate:
    """How much more accurate the classifier is on one set than on another, whose cells are others.

    Each side gives away half of 1 - level (Bonferroni), so the bounds are conservative: wider than need be.
    """
    each = 1.0 - (1.0 - level) / 2
    sides = [estimate(evaluation, "accuracy", cell_class=None, level=each) for evaluation in (more, less)]
    counts = ", ".join(f"{side.set} {side.k}/{side.n}" for side in sides)
    first, second = sides
    if first.value is None or second.value is None:
        return Estimate(metric, set_name, None, None, None, None, level, "none", note=f"no cells: {counts}")
    assert first.lower is not None and first.upper is not None  # a defined proportion has both bounds
    assert second.lower is not None and second.upper is not None
    return Estimate(
        metric,
        set_name,
        None,
        first.value - second.value,
        first.lower - second.upper,
        first.upper - second.lower,
        level,
        f"{first.method} on both sides, Bonferroni",
        note=counts,
        support=less.n,
    )


def exact_count(metric: str, set_name: str, details: Sequence[str], *, of: int | None = None) -> Estimate:
    """A count that was made, not sampled: its bounds are the count itself."""
    count = float(len(details))
    return Estimate(
        metric, set_name, None, count, count, count, 1.0, "exact count", unit="count", n=of, details=tuple(details)
    )


def latency(timing: Timing, *, metric: str, level: float) -> Estimate:
    """The 90th percentile of seconds per single-image query, LoadGen's SingleStream figure."""
    return _timed(timing, timing.samples_s, metric=metric, level=level, quantile=0.9, unit="s")


def images_per_second(timing: Timing, *, metric: str, level: float) -> Estimate:
    """The median over rounds of images per second."""
    rates = [timing.images_per_query / seconds for seconds in timing.samples_s]
    return _timed(timing, rates, metric=metric, level=level, quantile=0.5, unit="images/s")


def _timed(
    timing: Timing, values: Sequence[float], *, metric: str, level: float, quantile: float, unit: str
) -> Estimate:
    """A percentile with order-statistic bounds; a bound that so few values cannot give is None."""
    value, *bounds = percentile_bounds(values, quantile=quantile, level=level)
    lower, upper = (bound if math.isfinite(bound) else None for bound in bounds)
    return Estimate(
        metric,
        timing.device,
        None,
        value,
        lower,
        upper,
        level,
        f"order statistics of the {quantile * 100:g}th percentile",
        unit=unit,
        n=len(values),
        note=f"{timing.scenario}, {timing.span}, batch {timing.batch_size}, on {timing.device}; "
        "samples taken as independent",
    )


def _column(evaluation: Evaluation, metric: str, cell_class: str | None) -> int | None:
    if metric == "accuracy":
        return None
    if metric not in CLASS_METRICS:
        raise ValueError(f"unknown metric {metric!r}; known are accuracy, macro_f1, {', '.join(CLASS_METRICS)}")
    if cell_class not in evaluation.classes:
        raise ValueError(f"metric {metric!r} needs one of the classes {evaluation.classes}, not {cell_class!r}")
    return evaluation.classes.index(cell_class)


def _counts(confusion: np.ndarray, metric: str, column: int | None) -> tuple[int, int]:
    """(successes, trials) of a metric; column: the class's place, None for all classes together."""
    if column is None:
        return int(np.trace(confusion)), int(confusion.sum())
    hits, reference, predicted = confusion[column, column], confusion[column].sum(), confusion[:, column].sum()
    if reference == 0:
        return 0, 0  # the class is absent from this set: nothing about it can be measured here
    trials = {"recall": reference, "precision": predicted, "f1": reference + predicted - hits}
    return int(hits), int(trials[metric])


@dataclass(frozen=True, slots=True)
class _Trials:
    """The trials of one metric, patient by patient, and what they are worth."""

    correct: list[bool]
    groups: list[int]
    summary: ClusterSummary


def _by_patient(evaluation: Evaluation, metric: str, cell_class: str | None) -> _Trials | None:
    """None where patients are not known."""
    if evaluation.by_group is None:
        return None
    column = _column(evaluation, metric, cell_class)
    counts = [_group_counts(confusion, metric, column) for confusion in evaluation.by_group]
    groups = [group for group, (_, n) in enumerate(counts) for _ in range(n)]
    correct = [cell < k for k, n in counts for cell in range(n)]
    assumed = evaluation.intracluster_correlation
    return _Trials(correct, groups, effective_trials(groups, correct, assumed_correlation=assumed))


def _bounds(k: int, n: int, trials: _Trials | None, *, level: float) -> tuple[float, float]:
    if trials is None:
        return clopper_pearson_bounds(k, n, level=level)
    assumed = trials.summary.assumed_correlation
    return clustered_bounds(trials.correct, trials.groups, assumed_correlation=assumed, level=level)


def _display(k: int, n: int, trials: _Trials | None) -> Interval:
    if trials is None:
        return wilson_interval(k, n, level=DISPLAY_LEVEL)
    return Interval(*_bounds(k, n, trials, level=0.5 + DISPLAY_LEVEL / 2), DISPLAY_LEVEL, "clustered")


def _group_counts(confusion: np.ndarray, metric: str, column: int | None) -> tuple[int, int]:
    """`_counts` of one patient, who may have cells called this class and none that are of it."""
    if column is None or confusion[column].sum():
        return _counts(confusion, metric, column)
    return 0, 0 if metric == "recall" else int(confusion[:, column].sum())


def _identity(fraction: float) -> float:
    return fraction


def _f1_of_jaccard(jaccard: float) -> float:
    return 2 * jaccard / (1 + jaccard)
