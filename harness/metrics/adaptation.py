"""What does a classifier gain by a few labelled cells of another laboratory, on that laboratory's other cells?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from harness.metrics.comparison import Comparison, compare, difference
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.fits import DRAWN
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Measure, Metric, Subject
from harness.metrics.predictions import Predictions
from harness.metrics.shares import share_of_cells
from harness.protocol.needs import NEW_IMAGES, PROBABILITIES

if TYPE_CHECKING:
    from harness.data.leakage import DuplicatePair

UNADAPTED = "the classifier as it was"


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """A classifier adapted to a set by a few of its cells, and what it says of the others.

    method:      how it was adapted.
    predictions: of the cells that were not drawn, by the adapted classifier.
    drawn:       of the cells that were drawn, by the classifier as it was.
    scores:      method -> right answers among the drawn cells by cross-validation, where methods were chosen among.
    notes:       method -> why it could not be tried.
    """

    method: str
    predictions: Predictions
    drawn: Predictions
    scores: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def drawn_from(set_name: str) -> str:
    """What the drawn cells of a set are called; no set can be called so."""
    return f"{set_name}{DRAWN}"


def adapted_to(set_name: str) -> str:
    """What the looks at a set by the classifier that is adapted to it are called; no set can be called so."""
    return f"{set_name}, adapted"


def beside_unadapted(
    found: Adapted, unadapted: Predictions, *, copies: Sequence[DuplicatePair], intracluster_correlation: float
) -> Comparison:
    """The adapted classifier as the candidate, the one that it was made of as the baseline, on the same cells."""
    return compare(
        found.predictions,
        unadapted,
        baseline_run=UNADAPTED,
        copies=copies,
        intracluster_correlation=intracluster_correlation,
    )


def right_after(
    comparison: Comparison, metric: str, *, cell_class: str | None, level: float, before: bool = False
) -> Estimate | Unavailable:
    """The share of cells that the adapted classifier has right, of one class or of all, with exact bounds.

    before: of the classifier as it was instead, on the same cells.
    """
    own = slice(None) if cell_class is None else [comparison.classes.index(cell_class)]
    asked, other = (comparison.table.transpose(0, 2, 1) if before else comparison.table)[own], comparison.table[own]
    n, right, beside = int(other.sum()), int(asked[:, :, 1].sum()), int((other[:, 1, :]).sum())
    if n == 0:
        return Unavailable(f"set {comparison.set} has no cells of {cell_class} beside those that were drawn")
    groups = None
    if comparison.by_group is not None:
        tables = comparison.by_group[:, own].sum(axis=1)
        sizes, hits = tables.sum(axis=(1, 2)), (tables[:, 1, :] if before else tables[:, :, 1]).sum(axis=1)
        groups = tuple((int(k), int(size)) for k, size in zip(hits, sizes, strict=True) if size)

    return share_of_cells(
        metric,
        comparison.set,
        right,
        n,
        groups,
        grouped_by=comparison.grouped_by,
        intracluster_correlation=comparison.intracluster_correlation,
        level=level,
        note=f"on the cells that were not drawn; {comparison.baseline}: {beside}/{n}",
        cell_class=cell_class,
    )


def _after(metric: str) -> Measure:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        found = measurements.adaptation(subject.set)
        if isinstance(found, Unavailable):
            return found
        return right_after(found, metric, cell_class=subject.cell_class, level=level)

    return measure


def _gain(metric: str) -> Measure:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        found = measurements.adaptation(subject.set)
        gained = difference(found, metric, cell_class=subject.cell_class, level=level)
        if isinstance(gained, Estimate):
            gained = replace(gained, note=gained.note.replace("candidate", "adapted").replace("baseline", "unadapted"))
        return gained

    return measure


def _entry(name: str, meaning: str, measure: Callable[[str], Measure], per: Literal["set", "class"]) -> Metric:
    gains = measure is _gain
    return Metric(
        name=name,
        questions=("external",),
        meaning=meaning,
        per=per,
        measure=measure(name),
        needs=frozenset({PROBABILITIES, NEW_IMAGES}),
        range=(-1.0, 1.0) if gains else (0.0, 1.0),
        trials="" if gains else "cells",
        counts="pairs" if gains else "cells",
        holm=per == "class",
        adapted=True,
    )


METRICS = (
    _entry(
        "adapted_accuracy",
        "Accuracy of the classifier that was adapted by a few drawn cells of the set, on its other cells.",
        _after,
        "set",
    ),
    _entry(
        "adaptation_gain",
        "The same less the accuracy of the classifier as it was, on the same cells, paired.",
        _gain,
        "set",
    ),
    _entry("adapted_recall", "Recall of a class by the adapted classifier, on the cells not drawn.", _after, "class"),
    _entry("adapted_recall_gain", "The same less that of the classifier as it was, paired by cell.", _gain, "class"),
)
