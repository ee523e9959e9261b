"""How far does a classifier fall when the film gets worse, and does it change its mind when nothing changed?

Measures only, from predictions of the same cells, clean and disturbed; `harness.data.corruptions` says what was done
to them. A disturbed cell keeps the digest of its file: that is what pairs it with its clean self.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.core.errors import IncomparableSets, UndefinedStatistic
from harness.metrics.classification import cluster_note, estimate, evaluate
from harness.metrics.clusters import clustered_bounds, effective_trials
from harness.metrics.comparison import paired_estimate
from harness.metrics.estimates import DISPLAY_LEVEL, INDEPENDENCE_UNKNOWN, Estimate, Interval, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds, wilson_interval
from harness.metrics.paired import mcnemar_exact
from harness.metrics.paired_groups import PairedGroups
from harness.metrics.predictions import Predictions, grouping_of

ANY = "any"  # the flips under at least one of several transforms, cell by cell


@dataclass(frozen=True, slots=True)
class ClassRecall:
    """Of the n cells of one class, the k that kept their label. lower: one-sided bound at the point's level."""

    cell_class: str
    k: int
    n: int
    lower: float

    @property
    def value(self) -> float:
        return self.k / self.n


@dataclass(frozen=True, slots=True)
class SeverityPoint:
    """One set at one severity of one kind of disturbance.

    k, n:    cells classified correctly, of all cells.
    lower, upper: one-sided bounds of the accuracy, each at `level`: Clopper-Pearson, by patient where they are known.
    display: two-sided interval for figures: Wilson, by patient where they are known.
    recalls: of every class that has cells, in the order of the classes.
    effective_n: independent cells that these are worth; None where they are counted as independent.
    lost, gained: cells that only the clean image, and only the disturbed one, has right; None by an older harness.
    by_group: (cells, lost, gained) of each patient, slide or site; None where they are not known.
    """

    kind: str
    severity: int
    k: int
    n: int
    lower: float
    upper: float
    level: float
    display: Interval
    recalls: tuple[ClassRecall, ...]
    effective_n: float | None
    note: str
    lost: int | None = None
    gained: int | None = None
    by_group: tuple[tuple[int, int, int], ...] | None = None

    @property
    def accuracy(self) -> float:
        return self.k / self.n

    @property
    def worst(self) -> ClassRecall:
        """The class of lowest recall; the first of those that tie."""
        return min(self.recalls, key=lambda recall: recall.value)


@dataclass(frozen=True, slots=True)
class SeverityCurve:
    """Accuracy over severity of one kind of disturbance on one set. The first point is severity 0: the clean cells."""

    kind: str
    set: str
    points: tuple[SeverityPoint, ...]

    def __post_init__(self) -> None:
        severities = [point.severity for point in self.points]
        if severities != sorted(set(severities)) or not severities or severities[0] != 0:
            raise ValueError(f"{self.kind}: severities {severities} are not a curve; give 0 and then each once, rising")

    @property
    def clean(self) -> SeverityPoint:
        return self.points[0]

    def at(self, severity: int) -> SeverityPoint | None:
        return next((point for point in self.points if point.severity == severity), None)


@dataclass(frozen=True, slots=True)
class FlipRate:
    """How many cells are called another class after a transform that changes nothing about the cell.

    kind:  of the transform, such as "rotation_90"; "any" counts a cell that flips under at least one of several.
    k, n:  cells whose predicted class changed, right or wrong, of all cells.
    lower, upper: one-sided bounds, each at `level`: Clopper-Pearson, by patient where they are known.
    became_wrong, became_right: cells that were right before and wrong after, and the reverse. The other flips go from
           one wrong class to another.
    p:     exact McNemar test of "flips take as many cells as they give"; None for "any", where a cell had several
           chances to flip and the two directions are not comparable.
    """

    kind: str
    set: str
    k: int
    n: int
    lower: float
    upper: float
    level: float
    display: Interval
    became_wrong: int
    became_right: int
    p: float | None
    effective_n: float | None
    note: str

    @property
    def value(self) -> float:
        return self.k / self.n


# --- severity ---------------------------------------------------------------------------------


def severity_curves(
    clean: Predictions,
    disturbed: Mapping[tuple[str, int], Predictions],
    *,
    intracluster_correlation: float,
    level: float,
) -> tuple[SeverityCurve, ...]:
    """One curve per kind, in the order in which the kinds first appear; every curve begins with the clean cells.

    Args:
        disturbed: (kind, severity from 1) -> the same cells in the same order, disturbed.
        intracluster_correlation: the least that is assumed of cells of one patient; without groups it changes nothing.
        level: one-sided confidence of each bound, taken alone: neither the points of a curve nor the curves share it.
    Raises:
        IncomparableSets: disturbed predictions of other cells, labels or classes.
        UndefinedStatistic: no cells.
        ValueError: a severity below 1.
    """
    severities: dict[str, list[int]] = {}
    for (kind, severity), predictions in disturbed.items():
        if severity < 1:
            raise ValueError(f"{kind} at severity {severity}: a disturbance begins at 1, the clean cells are 0")
        _check_same_cells(clean, predictions, what=f"{kind} at severity {severity}")
        severities.setdefault(kind, []).append(severity)

    def point(kind: str, severity: int, predictions: Predictions) -> SeverityPoint:
        found = _point(kind, severity, predictions, intracluster_correlation=intracluster_correlation, level=level)
        return _beside_clean(found, clean, predictions)

    return tuple(
        SeverityCurve(
            kind,
            clean.set,
            (point(kind, 0, clean), *(point(kind, each, disturbed[kind, each]) for each in sorted(found))),
        )
        for kind, found in severities.items()
    )


def disturbed_accuracy(
    curves: Sequence[SeverityCurve], *, kind: str, severity: int, set_name: str
) -> Estimate | Unavailable:
    """Accuracy at an agreed kind and severity, as a criterion with a floor is judged on.

    A protocol that has a floor for each of several kinds needs no correction for "all of them hold": that is an
    intersection-union claim.
    """
    curve = next((each for each in curves if each.kind == kind and each.set == set_name), None)
    found = None if curve is None else curve.at(severity)
    if curve is None or found is None:
        return Unavailable(f"set {set_name} was not disturbed by {kind} at severity {severity}")
    lost = curve.clean.k - found.k
    return Estimate(
        "disturbed_accuracy",
        set_name,
        None,
        found.accuracy,
        found.lower,
        found.upper,
        found.level,
        "Clopper-Pearson" if found.effective_n is None else "Clopper-Pearson, clustered",
        k=found.k,
        n=found.n,
        display=found.display,
        note=f"{kind} at severity {severity}; clean {curve.clean.k}/{curve.clean.n}, {abs(lost)} net "
        f"{'lost' if lost >= 0 else 'gained'}; worst class {found.worst.cell_class} {found.worst.k}/{found.worst.n}; "
        f"{found.note}",
        support=found.n,
        effective_n=found.effective_n,
    )


def disturbed_difference(
    curves: Sequence[SeverityCurve],
    *,
    kind: str,
    severity: int,
    set_name: str,
    assumed_correlation: float,
    grouped_by: str,
) -> Estimate | Unavailable:
    """What a disturbance of an agreed severity costs: accuracy on disturbed minus that on clean cells, paired by cell.

    A floor of minus the loss that is accepted is judged on it. The two accuracies are of the same cells, so their
    difference is known better than either: bounds of each by itself would let a loss of several points go unseen.
    """
    curve = next((each for each in curves if each.kind == kind and each.set == set_name), None)
    found = None if curve is None else curve.at(severity)
    if found is None or found.lost is None or found.gained is None:
        return Unavailable(f"set {set_name} was not compared with its clean cells by {kind} at severity {severity}")
    groups = None if found.by_group is None else PairedGroups(*np.array(found.by_group, dtype=np.int64).T)
    paired = paired_estimate(
        groups,
        (found.lost, found.gained, found.n),
        assumed_correlation=assumed_correlation,
        grouped_by=grouped_by,
        level=found.level,
    )
    counted = f"{kind} at severity {severity}: {found.lost} lost, {found.gained} gained"
    return replace(paired, metric="disturbed_difference", set=set_name, note=f"{counted}; {paired.note}")


def _beside_clean(found: SeverityPoint, clean: Predictions, disturbed: Predictions) -> SeverityPoint:
    """The point with what became of each clean cell."""
    lost, gained = clean.correct & ~disturbed.correct, ~clean.correct & disturbed.correct
    by_group = None
    if clean.groups is not None:
        names, group = np.unique(np.array(clean.groups, dtype=str), return_inverse=True)
        counts = [np.bincount(group, weights=each, minlength=len(names)) for each in (np.ones(found.n), lost, gained)]
        by_group = tuple((int(n), int(b), int(c)) for n, b, c in zip(*counts, strict=True))
    return replace(found, lost=int(lost.sum()), gained=int(gained.sum()), by_group=by_group)


def _point(
    kind: str, severity: int, predictions: Predictions, *, intracluster_correlation: float, level: float
) -> SeverityPoint:
    evaluation = evaluate(predictions, intracluster_correlation=intracluster_correlation)
    accuracy = estimate(evaluation, "accuracy", cell_class=None, level=level)
    if accuracy.lower is None or accuracy.upper is None or accuracy.display is None:
        raise UndefinedStatistic(f"set {predictions.set!r} has no cells: it has no accuracy, clean or disturbed")
    recalls = []
    for name, support in evaluation.support.items():
        if support == 0:
            continue  # undefined, not 0
        recall = estimate(evaluation, "recall", cell_class=name, level=level)
        assert recall.k is not None and recall.lower is not None  # for the type checker: the class has cells
        recalls.append(ClassRecall(name, recall.k, support, recall.lower))
    return SeverityPoint(
        kind=kind,
        severity=severity,
        k=evaluation.n_correct,
        n=evaluation.n,
        lower=accuracy.lower,
        upper=accuracy.upper,
        level=level,
        display=accuracy.display,
        recalls=tuple(recalls),
        effective_n=accuracy.effective_n,
        note=accuracy.note,
    )


# --- invariance -------------------------------------------------------------------------------


def flip_rate(
    clean: Predictions, transformed: Predictions, *, kind: str, intracluster_correlation: float, level: float
) -> FlipRate:
    """Cells whose predicted class changes under one transform that should change nothing.

    Args:
        transformed: the same cells in the same order.
        intracluster_correlation, level: as `severity_curves`.
    Raises:
        IncomparableSets: predictions of other cells, labels or classes.
        UndefinedStatistic: no cells.
    """
    _check_same_cells(clean, transformed, what=kind)
    return _flips(clean, [transformed], kind=kind, correlation=intracluster_correlation, level=level)


def flip_rates(
    clean: Predictions, transformed: Mapping[str, Predictions], *, intracluster_correlation: float, level: float
) -> tuple[FlipRate, ...]:
    """`flip_rate` of every transform in the order given and, last, the cells that flip under at least one ("any").

    Raises:
        IncomparableSets, UndefinedStatistic: as `flip_rate`.
        ValueError: no transform, or one that is called "any".
    """
    if not transformed or ANY in transformed:
        raise ValueError(f"{list(transformed)} are not transforms to look for flips under; name one or more, not {ANY}")
    each = [
        flip_rate(clean, predictions, kind=kind, intracluster_correlation=intracluster_correlation, level=level)
        for kind, predictions in transformed.items()
    ]
    together = _flips(clean, list(transformed.values()), kind=ANY, correlation=intracluster_correlation, level=level)
    return (*each, together)


def flip_rate_estimate(rates: Sequence[FlipRate], *, kind: str, set_name: str) -> Estimate | Unavailable:
    """The share of cells that change their class under a transform, as a criterion with a ceiling is judged on."""
    found = next((rate for rate in rates if rate.kind == kind and rate.set == set_name), None)
    if found is None:
        return Unavailable(f"set {set_name} was not transformed by {kind}")
    test = "" if found.p is None else f", exact McNemar p = {found.p:.4g}"
    return Estimate(
        "flip_rate",
        set_name,
        None,
        found.value,
        found.lower,
        found.upper,
        found.level,
        "Clopper-Pearson" if found.effective_n is None else "Clopper-Pearson, clustered",
        k=found.k,
        n=found.n,
        display=found.display,
        note=f"{kind}: {found.became_wrong} became wrong, {found.became_right} became right{test}; {found.note}",
        support=found.n,
        effective_n=found.effective_n,
    )


def _flips(
    clean: Predictions, transformed: Sequence[Predictions], *, kind: str, correlation: float, level: float
) -> FlipRate:
    if not clean.digests:
        raise UndefinedStatistic(f"set {clean.set!r} has no cells: it has no flip rate; it is not 0")
    flipped = np.any([each.predicted != clean.predicted for each in transformed], axis=0)
    became_wrong = clean.correct & np.any([~each.correct for each in transformed], axis=0)
    became_right = ~clean.correct & np.any([each.correct for each in transformed], axis=0)
    k, n, b, c = (int(x) for x in (flipped.sum(), flipped.size, became_wrong.sum(), became_right.sum()))
    effective_n, note = None, INDEPENDENCE_UNKNOWN
    lower, upper = clopper_pearson_bounds(k, n, level=level)
    display = wilson_interval(k, n, level=DISPLAY_LEVEL)
    if clean.groups is not None:
        # Counted as cells that stayed, because the clustered bounds are of the share that is right.
        stayed, groups = (~flipped).tolist(), clean.groups
        summary = effective_trials(groups, stayed, assumed_correlation=correlation)
        effective_n, note = summary.effective_n, cluster_note(summary, grouped_by=grouping_of(groups))

        def bounds(level: float) -> tuple[float, float]:
            low, high = clustered_bounds(stayed, groups, assumed_correlation=correlation, level=level)
            return 1.0 - high, 1.0 - low

        lower, upper = bounds(level)
        display = Interval(*bounds(0.5 + DISPLAY_LEVEL / 2), DISPLAY_LEVEL, "clustered")
    return FlipRate(
        kind=kind,
        set=clean.set,
        k=k,
        n=n,
        lower=lower,
        upper=upper,
        level=level,
        display=display,
        became_wrong=b,
        became_right=c,
        p=mcnemar_exact(b, c)[0] if len(transformed) == 1 and kind != ANY else None,
        effective_n=effective_n,
        note=note,
    )


def _check_same_cells(clean: Predictions, other: Predictions, *, what: str) -> None:
    if clean.classes != other.classes:
        raise IncomparableSets(
            f"{what}: classes {list(other.classes)} beside {list(clean.classes)} of the clean cells. Let one "
            "classifier predict both."
        )
    if clean.set != other.set or len(clean.digests) != len(other.digests):
        raise IncomparableSets(
            f"{what}: {len(other.digests)} cells of set {other.set!r} beside {len(clean.digests)} clean ones of "
            f"{clean.set!r}. Disturb every cell of the set exactly once."
        )
    pairs = zip(clean.digests, other.digests, clean.labels.tolist(), other.labels.tolist(), strict=True)
    for row, (ours, theirs, label, other_label) in enumerate(pairs):
        if ours != theirs or label != other_label:
            raise IncomparableSets(
                f"{what}: row {row} is {other.paths[row]!r} with label {other.classes[other_label]}, the clean one "
                f"{clean.paths[row]!r} with {clean.classes[label]}. Keep the order, the labels and the files' digests."
            )
