"""What do the predictions of one set amount to? Measures only; `criteria` decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.metrics.clusters import ClusterSummary, clustered_bounds, effective_trials
from harness.metrics.estimates import DISPLAY_LEVEL, INDEPENDENCE_UNKNOWN, Estimate, Evaluation, Interval, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds, wilson_interval
from harness.metrics.macro import MOST_CLASSES_BOUNDED, highest_macro_f1, lowest_macro_f1, macro_f1
from harness.metrics.measurements import Measurements
from harness.metrics.metric import CellsOf, Metric, Subject, unchanged
from harness.metrics.multiplicity import simultaneous_lower_bounds
from harness.metrics.predictions import Predictions, grouping_of
from harness.metrics.unbounded import NO_BOUND, without_bound
from harness.protocol.prose import Family

# Metric of a class -> what its hits are divided by, of (hits, reference cells, predicted cells).
TRIALS: Mapping[str, Callable[[int, int, int], int]] = {
    "recall": lambda hits, reference, predicted: reference,
    "precision": lambda hits, reference, predicted: predicted,
    "f1": lambda hits, reference, predicted: reference + predicted - hits,
}


def evaluate(predictions: Predictions, *, intracluster_correlation: float = 0.0) -> Evaluation:
    """Count reference against predicted class; a tie in probability goes to the first class.

    Args:
        intracluster_correlation: the least that is assumed of cells of one group, a fraction; without groups it
            changes nothing.
    """
    n_classes = len(predictions.classes)
    confusion = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(confusion, (predictions.labels, predictions.counted_as), 1)
    by_group = None
    if predictions.groups is not None:
        names, group = np.unique(np.array(predictions.groups, dtype=str), return_inverse=True)
        by_group = np.zeros((len(names), n_classes, n_classes), dtype=np.int64)
        np.add.at(by_group, (group, predictions.labels, predictions.counted_as), 1)
    return Evaluation(
        predictions.set,
        predictions.classes,
        confusion,
        by_group,
        intracluster_correlation,
        grouping_of(predictions.groups or ()),
        predictions.n_left_out,
    )


def estimate(evaluation: Evaluation, metric: str, *, cell_class: str | None, level: float) -> Estimate:
    """One metric of one set with one-sided bounds at `level` that hold at least so often.

    accuracy, recall and precision are proportions with Clopper-Pearson bounds. F1 is 2J / (1 + J) of the Jaccard
    index J = TP / (TP + FP + FN), itself the proportion of true positives among the cells that are of the class or
    predicted as it; its bounds are those of J, carried through that increasing map. (Conditional on TP + FP + FN, the
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
        note=_independence(evaluation, trials),
        support=support,
        effective_n=None if trials is None else trials.summary.effective_n,
    )


def cluster_note(clusters: ClusterSummary, *, grouped_by: str) -> str:
    """What a reader must know beside a number whose cells share patients or slides."""
    origin = "estimated" if clusters.is_estimated else "assumed"
    return (
        f"{clusters.n} cells of {clusters.n_groups} {grouped_by}: intracluster correlation "
        f"{clusters.correlation:.3g} ({origin}), design effect {clusters.design_effect:.3g}, worth "
        f"{clusters.effective_n:.1f} independent cells"
    )


def not_counted(evaluation: Evaluation) -> str:
    """How many cells of the set a bound leaves out, and why."""
    n = evaluation.n_left_out
    return f"not counted {'is' if n == 1 else 'are'} {n} of {n + evaluation.n} cells, whose pictures are there already"


def _independence(evaluation: Evaluation, trials: _Trials | None) -> str:
    """What a reader must know of how independent the cells of a number are."""
    known = INDEPENDENCE_UNKNOWN
    if trials is not None:
        known = cluster_note(trials.summary, grouped_by=evaluation.grouped_by)
    return f"{known}; {not_counted(evaluation)}" if evaluation.n_left_out else known


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
        value = macro_f1(evaluation.confusion)
        note = f"{NO_BOUND} for more than {MOST_CLASSES_BOUNDED} classes"
        return without_bound("macro_f1", evaluation, value, level=level, note=note)

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
        note=_independence(evaluation, trials),
        support=evaluation.n,
        effective_n=None if trials is None else trials.summary.effective_n,
    )


def _column(evaluation: Evaluation, metric: str, cell_class: str | None) -> int | None:
    if metric == "accuracy":
        return None
    if metric not in TRIALS:
        raise ValueError(f"unknown metric {metric!r}; known are accuracy, macro_f1, {', '.join(TRIALS)}")
    if cell_class not in evaluation.classes:
        raise ValueError(f"metric {metric!r} needs one of the classes {evaluation.classes}, not {cell_class!r}")
    return evaluation.classes.index(cell_class)


def _counts(confusion: np.ndarray, metric: str, column: int | None) -> tuple[int, int]:
    """(successes, trials) of a metric; column: the class's place, None for all classes together."""
    if column is None:
        return int(np.trace(confusion)), int(confusion.sum())
    hits, reference = int(confusion[column, column]), int(confusion[column].sum())
    if reference == 0:
        return 0, 0  # the class is absent from this set: nothing about it can be measured here
    return hits, TRIALS[metric](hits, reference, int(confusion[:, column].sum()))


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


def _entry(
    name: str,
    meaning: str,
    *,
    trials: str,
    per: Literal["set", "class"],
    family: Family,
    right_or_wrong: bool = False,
    cells: CellsOf = "class",
    proportion_floor: Callable[[float], float] = unchanged,
) -> Metric:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        found = measurements.evaluation(subject.set)
        if isinstance(found, Unavailable):
            return found
        return estimate(found, name, cell_class=subject.cell_class, level=level)

    return Metric(
        name=name,
        questions=("accuracy", "external"),
        meaning=meaning,
        per=per,
        measure=measure,
        trials=trials,
        right_or_wrong=right_or_wrong,
        cells=cells,
        proportion_floor=proportion_floor,
        holm=per == "class",
        family=family,
    )


def _jaccard_of_f1(f1: float) -> float:
    return f1 / (2 - f1)


METRICS = (
    _entry(
        "accuracy",
        "The share of cells that are predicted as their reference class.",
        per="set",
        family="correctness",
        trials="cells",
        right_or_wrong=True,
    ),
    _entry(
        "macro_f1",
        f"The mean of the F1 of all classes; {NO_BOUND} for more than {MOST_CLASSES_BOUNDED}.",
        per="set",
        family="F1",
        trials="",
    ),
    _entry(
        "recall",
        "The share of the cells of a class that are predicted as it (sensitivity).",
        per="class",
        family="sensitivity",
        trials="cells of the class",
        right_or_wrong=True,
    ),
    _entry(
        "precision",
        "The share of the cells predicted as a class that are of it; it moves with the prevalence of the class.",
        per="class",
        family="predictive value",
        trials="cells predicted as the class",
        cells="called",
    ),
    _entry(
        "f1",
        "The harmonic mean of recall and precision of a class.",
        per="class",
        family="F1",
        trials="cells of the class or predicted as it",
        cells="class or called",
        proportion_floor=_jaccard_of_f1,
    ),
)
