"""Balanced accuracy: the mean recall over classes, whatever their supports."""

from __future__ import annotations

import math

import numpy as np

from harness.metrics.classification import estimate
from harness.metrics.estimates import INDEPENDENCE_UNKNOWN, Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.metrics.multiplicity import add_up

NAME = "balanced_accuracy"


def balanced_accuracy(evaluation: Evaluation, *, level: float) -> Estimate:
    """The unweighted mean of the recalls of all classes, with one-sided bounds at `level`.

    Classes have cells of their own, so their recalls are independent, and the distances from each recall to its exact
    (Clopper-Pearson) bounds add up as variances do (MOVER). Of the two distances of a class the larger counts on both
    sides: that of a recall of 1 to its upper bound is 0, and with it the upper bound held in only 88 of 100 sets where
    several classes were nearly perfect. Of few cells of a class distances do not add up so (`multiplicity.add_up`), and
    where patients or slides are known, one of them may have cells of several classes, and independence is gone: then
    the bound is the mean of the classes' bounds, each at 1 - (1 - level) / K (Bonferroni).

    Returns:
        value and bounds None where a class has no cells: the mean over the others would be another quantity.
    Source: Zou and Donner (2008), Stat. Med. 27:1693-1702; Brodersen et al. (2010), ICPR 20:3121-3124.
    """
    if absent := [name for name, support in evaluation.support.items() if support == 0]:
        note = f"no cells of {', '.join(absent)}"
        return Estimate(NAME, evaluation.set, None, None, None, None, level, "none", note=note, support=evaluation.n)
    n_classes = len(evaluation.classes)
    enough = not evaluation.few_apart or add_up(evaluation.support.values(), level=level)
    adds_up = enough and not evaluation.grouped
    each = level if adds_up else 1.0 - (1.0 - level) / n_classes
    recalls = [estimate(evaluation, "recall", cell_class=name, level=each) for name in evaluation.classes]
    values, lowers, uppers = (
        np.array([getattr(recall, name) for recall in recalls]) for name in ("value", "lower", "upper")
    )
    mean = float(values.mean())
    if not adds_up:
        lower, upper = float(lowers.mean()), float(uppers.mean())
        made_of = "clustered" if evaluation.grouped else "Clopper-Pearson"
        method = f"mean of the classes' {made_of} bounds, Bonferroni"
    else:
        distance = math.hypot(*np.maximum(values - lowers, uppers - values)) / n_classes
        lower, upper = max(0.0, mean - distance), min(1.0, mean + distance)
        method = "MOVER of the classes' Clopper-Pearson bounds"
    trials = estimate(evaluation, "accuracy", cell_class=None, level=level)
    return Estimate(
        NAME,
        evaluation.set,
        None,
        mean,
        lower,
        upper,
        level,
        method,
        n=evaluation.n,
        note=trials.note if evaluation.grouped else INDEPENDENCE_UNKNOWN,
        support=evaluation.n,
        effective_n=trials.effective_n,
    )


def _measured(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    found = measurements.evaluation(subject.set)
    return found if isinstance(found, Unavailable) else balanced_accuracy(found, level=level)


METRICS = (
    Metric(
        name=NAME,
        family="correctness",
        questions=("accuracy", "external"),
        meaning="The mean recall over all classes, whatever their supports.",
        measure=_measured,
    ),
)
