"""What do the predictions of one set amount to? Measures only; `criteria` decides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.judge.intervals import clopper_pearson_bounds, percentile_bounds, wilson_interval
from harness.records import Estimate, Evaluation, Predictions, Timing

DISPLAY_LEVEL = 0.95
INDEPENDENCE_UNKNOWN = "no patient ids: best-case interval, independence not demonstrated"
CELLS_COUNTED = "cells of one patient or slide counted as independent: best-case interval"


def evaluate(predictions: Predictions) -> Evaluation:
    """Count reference against predicted class; a tie in probability goes to the first class."""
    n_classes = len(predictions.classes)
    confusion = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(confusion, (predictions.labels, predictions.predicted), 1)
    return Evaluation(predictions.set, predictions.classes, confusion, grouped=predictions.groups is not None)


def estimate(evaluation: Evaluation, metric: str, *, cell_class: str | None, level: float) -> Estimate:
    """One metric of one set with exact one-sided bounds at `level`.

    accuracy, recall and precision are proportions with Clopper-Pearson bounds. F1 is 2J / (1 + J) of the Jaccard
    index J = TP / (TP + FP + FN), itself the proportion of true positives among the cells that are of the class or
    called so; its bounds are those of J, carried through that increasing map. (Conditional on TP + FP + FN, the
    true positives of independent cells are binomial with probability J; with fixed supports the coverage was
    enumerated in tests/test_metrics.py.)

    Returns:
        value and bounds None where there are no trials: an absent class is undefined, never 0.
    """
    k, n = _counts(evaluation, metric, cell_class)
    note = CELLS_COUNTED if evaluation.grouped else INDEPENDENCE_UNKNOWN
    is_f1 = metric == "f1"
    method = "Clopper-Pearson of TP/(TP+FP+FN), as F1" if is_f1 else "Clopper-Pearson"
    if n == 0:
        present = cell_class is None or evaluation.support[cell_class] > 0
        missing = f"no cell was called {cell_class}" if present and cell_class else "no cells"
        if not present:
            missing = f"no cells of {cell_class}"
        return Estimate(metric, evaluation.set, cell_class, None, None, None, level, method, k=k, n=n, note=missing)
    transform = _f1_of_jaccard if is_f1 else _identity
    lower, upper = clopper_pearson_bounds(k, n, level=level)
    return Estimate(
        metric,
        evaluation.set,
        cell_class,
        transform(k / n),
        transform(lower),
        transform(upper),
        level,
        method,
        k=k,
        n=n,
        display=None if is_f1 else wilson_interval(k, n, level=DISPLAY_LEVEL),
        note=note,
    )


def accuracy_gap(train: Evaluation, validation: Evaluation, *, level: float) -> Estimate:
    """Train accuracy minus validation accuracy, a fraction in [-1, 1].

    Each side gives away half of 1 - level (Bonferroni), so the bounds are exact but wide.
    """
    each = 1.0 - (1.0 - level) / 2
    train_low, train_high = clopper_pearson_bounds(train.n_correct, train.n, level=each)
    val_low, val_high = clopper_pearson_bounds(validation.n_correct, validation.n, level=each)
    return Estimate(
        "accuracy_gap",
        "training",
        None,
        train.n_correct / train.n - validation.n_correct / validation.n,
        train_low - val_high,
        train_high - val_low,
        level,
        "Clopper-Pearson on both sides, Bonferroni",
        note=f"train {train.n_correct}/{train.n}, validation {validation.n_correct}/{validation.n}",
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


def _counts(evaluation: Evaluation, metric: str, cell_class: str | None) -> tuple[int, int]:
    confusion = evaluation.confusion
    if metric == "accuracy":
        return evaluation.n_correct, evaluation.n
    if cell_class not in evaluation.classes:
        raise ValueError(f"metric {metric!r} needs one of the classes {evaluation.classes}, not {cell_class!r}")
    index = evaluation.classes.index(cell_class)
    hits, reference, predicted = confusion[index, index], confusion[index].sum(), confusion[:, index].sum()
    trials = {"recall": reference, "precision": predicted, "f1": reference + predicted - hits}
    if metric not in trials:
        raise ValueError(f"unknown metric {metric!r}; known are accuracy, {', '.join(trials)}")
    if reference == 0:
        return 0, 0  # the class is absent from this set: nothing about it can be measured here
    return int(hits), int(trials[metric])


def _identity(fraction: float) -> float:
    return fraction


def _f1_of_jaccard(jaccard: float) -> float:
    return 2 * jaccard / (1 + jaccard)
