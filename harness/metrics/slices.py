"""Is the classifier as good in every hospital, on every stain? The least accuracy over the values of a column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from harness.core.text import brief
from harness.metrics.classification import estimate, evaluate
from harness.metrics.copies import only
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Kinds, Metric, Subject
from harness.metrics.predictions import Predictions
from harness.protocol.needs import COLUMNS, PROBABILITIES

MOST_SLICES_LISTED = 100


def evaluate_slices(
    predictions: Predictions, column: str, *, intracluster_correlation: float
) -> dict[str, Evaluation] | Unavailable:
    """The confusion matrix of the cells of each value of a column; "" is that of the cells which have none.

    Cells that do not say where they are from are a slice, too: left out, they would be the place to hide errors in.
    """
    if column not in predictions.columns:
        return Unavailable(
            f"no cell of {predictions.set} names its {column}: its label table has no such column, or the protocol "
            "does not say which it is"
        )
    values = np.array(predictions.columns[column], dtype=object)
    return {
        value: evaluate(
            _rows(predictions, values == value, column, value), intracluster_correlation=intracluster_correlation
        )
        for value in sorted(set(predictions.columns[column]))
    }


def judged_slices(slices: Mapping[str, Evaluation], *, minimum_support: int) -> dict[str, Evaluation]:
    """Those with enough cells: known before any prediction is."""
    return {value: evaluation for value, evaluation in slices.items() if evaluation.n >= minimum_support}


def worst_of(
    slices: Mapping[str, Evaluation], *, metric: str, set_name: str, column: str, minimum_support: int, level: float
) -> Estimate:
    """The least accuracy over slices with at least `minimum_support` cells, with one-sided bounds at `level`.

    The bounds of m slices hold together: each is at 1 - (1 - level) / m (Bonferroni), so that every slice may be read,
    the named one above all, though it was chosen after all were seen. The least of the true accuracies is at least the
    smallest of the lower bounds and at most the smallest of the upper ones.

    Returns:
        value and bounds None where no slice has enough cells.
    """
    judged = judged_slices(slices, minimum_support=minimum_support)
    small = [
        f"{_named(column, v)}: {e.n} cells, fewer than {minimum_support}" for v, e in slices.items() if v not in judged
    ]
    if not judged:
        note = f"no {column} has {minimum_support} cells"
        return Estimate(metric, set_name, None, None, None, None, level, "none", note=note, details=tuple(small))
    each = 1.0 - (1.0 - level) / len(judged)
    found = {v: estimate(evaluation, "accuracy", cell_class=None, level=each) for v, evaluation in judged.items()}
    ranked = sorted(found, key=lambda v: (found[v].value, found[v].lower, v))
    worst = found[ranked[0]]
    lower, upper = (min(getattr(one, side) for one in found.values()) for side in ("lower", "upper"))
    left_out = f" ({len(small)} with fewer are not judged)" if small else ""
    return Estimate(
        metric,
        set_name,
        None,
        worst.value,
        lower,
        upper,
        level,
        f"{worst.method} of each {column}, Bonferroni",
        k=worst.k,
        n=worst.n,
        note=f"{_named(column, ranked[0])}, the worst of {len(judged)} with at least {minimum_support} "
        f"cells{left_out}; bounds of all {len(judged)} hold together; {worst.note}",
        details=tuple([*(_line(column, v, found[v]) for v in ranked), *small][:MOST_SLICES_LISTED]),
        support=sum(evaluation.n for evaluation in judged.values()),
        effective_n=worst.effective_n,
    )


def _line(column: str, value: str, found: Estimate) -> str:
    return f"{_named(column, value)}: {found.value:.4f} ({found.k}/{found.n}) [{found.lower:.4f}, {found.upper:.4f}]"


def _named(column: str, value: str) -> str:
    return f"{column} {brief(value)}" if value else f"cells without a {column}"


def _rows(predictions: Predictions, chosen: np.ndarray, column: str, value: str) -> Predictions:
    groups = predictions.groups
    # Of the cells of one site, that they are of that site says nothing more: they are grouped by what is finer, or not.
    if groups is not None and all(group.startswith(f"{column}:") for group in groups):
        groups = None
    name = f"{predictions.set}, {_named(column, value)},"
    # Of the cells that are left out it is not known which slice they would be of.
    return only(replace(predictions, set=name, groups=groups, columns={}, n_left_out=0), chosen)


def _measured(
    measurements: Measurements, subject: Subject, level: float, *, metric: str, column: str
) -> Estimate | Unavailable:
    plan, found = measurements.protocol.slices, measurements.slices(subject.set, column)
    if isinstance(found, Unavailable):
        return found
    assert plan is not None  # the protocol has the table where a criterion asks for one of these
    return worst_of(
        found, metric=metric, set_name=subject.set, column=column, minimum_support=plan.minimum_support, level=level
    )


def _worst_site(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    return _measured(measurements, subject, level, metric="worst_site", column="site")


def _worst_slice(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    assert subject.kind is not None  # the protocol names one for each metric per column
    return _measured(measurements, subject, level, metric="worst_slice", column=subject.kind)


METRICS = (
    Metric(
        name="worst_site",
        family="sensitivity",
        questions=("accuracy", "external"),
        meaning="The least accuracy over the sites of a set that have enough cells; names the site.",
        needs=frozenset({PROBABILITIES, COLUMNS}),
        measure=_worst_site,
        protocol_table="slices",
        column="site",
    ),
    Metric(
        name="worst_slice",
        family="sensitivity",
        questions=("accuracy", "external"),
        meaning="The least accuracy over the values of a column that have enough cells; names the value.",
        per="column",
        needs=frozenset({PROBABILITIES, COLUMNS}),
        measure=_worst_slice,
        kinds=Kinds("slices", "columns"),
    ),
)
