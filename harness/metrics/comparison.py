"""Is the candidate worse than the baseline, on the same cells?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.core.errors import IncomparableSets
from harness.metrics.copies import counted_once, only
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Interval, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Kinds, Metric, Subject
from harness.metrics.paired import (
    fewest_discordant_for_significance,
    mcnemar_exact,
    non_inferiority_lower_bound,
    tango_bounds,
)
from harness.metrics.paired_groups import PairedGroups, effective_pairs, grouped_difference_bounds
from harness.metrics.paired_scores import PairedScores, paired_scores
from harness.metrics.partitions import Regrouping, of_groups
from harness.metrics.predictions import Predictions, grouping_of
from harness.protocol.needs import NEW_IMAGES, PROBABILITIES

if TYPE_CHECKING:
    from harness.data.leakage import DuplicatePair


@dataclass(frozen=True, slots=True)
class DiscordantCell:
    """A cell that exactly one of candidate and baseline has right. baseline, candidate: the class each called it."""

    path: str
    digest: str
    reference: str
    baseline: str
    candidate: str

    @property
    def candidate_right(self) -> bool:
        return self.candidate == self.reference


@dataclass(frozen=True, slots=True)
class RelabelledCell:
    """A cell that has another label in the baseline's pack. old, new: there, and in the candidate's."""

    path: str
    digest: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Candidate and baseline on the cells of one set, paired by image digest.

    baseline:   the run that is compared with.
    table:      (n_classes, 2, 2) int64, cells by reference class, baseline right (0 no, 1 yes), candidate right.
    discordant: the cells that exactly one has right, those that the candidate lost first.
    n_changed:  cells that the two call differently, whether or not either is right.
    by_group:   (n_groups, n_classes, 2, 2) int64, the table patient by patient (slide, site); None where not known.
    intracluster_correlation, grouped_by: as an `Evaluation` has them.
    relabelled: cells whose label is another one than in the baseline's pack; they are left out of all else.
    regrouped:  the groups of the baseline's pack and the candidate's, where it knows any and these are others.
    scores:     how far the probabilities of both are from the labels; None where only the baseline's classes are known.
    """

    set: str
    classes: tuple[str, ...]
    baseline: str
    table: np.ndarray
    discordant: tuple[DiscordantCell, ...]
    n_changed: int
    by_group: np.ndarray | None = None
    intracluster_correlation: float = 0.0
    grouped_by: str = "patients or slides"
    scores: PairedScores | None = None
    relabelled: tuple[RelabelledCell, ...] = ()
    regrouped: Regrouping | None = None

    def counts(self, cell_class: str | None = None) -> tuple[int, int, int]:
        """(baseline alone right, candidate alone right, cells) of one class, or of all."""
        table = self.table.sum(axis=0) if cell_class is None else self.table[self.classes.index(cell_class)]
        return int(table[1, 0]), int(table[0, 1]), int(table.sum())

    def groups(self, cell_class: str | None = None) -> PairedGroups | None:
        """The pairs of one class, or of all, group by group; None where groups are not known."""
        if self.by_group is None:
            return None
        own = slice(None) if cell_class is None else [self.classes.index(cell_class)]
        tables = self.by_group[:, own].sum(axis=1)
        tables = tables[tables.sum(axis=(1, 2)) > 0]
        return PairedGroups(tables.sum(axis=(1, 2)), tables[:, 1, 0], tables[:, 0, 1])


METHOD = "exact, by Tango's ordering (Buehler)"
CLUSTERED = "Tango's score bound of the pairs that these are worth, clustered"


def compare(
    candidate: Predictions,
    baseline: Predictions,
    *,
    baseline_run: str,
    copies: Sequence[DuplicatePair] = (),
    intracluster_correlation: float = 0.0,
) -> Comparison:
    """Pair two classifiers' predictions of one set by image digest, one pair for each picture whose label stands.

    Args:
        baseline_run: what the baseline is called.
        copies: cells of the set that show the same picture.
        intracluster_correlation: the least that is assumed of cells of one group; without groups it changes nothing.
    Raises:
        IncomparableSets: classes or cells differ, and how; or not one label stands.
    """
    candidate, baseline, relabelled = _where_labels_stand(candidate, baseline)
    refuse_other_cells(candidate, baseline, baseline_run=baseline_run)
    answered = np.empty_like(baseline.probabilities)  # by the baseline, in the order of the candidate's cells
    answered[_by_digest(candidate)] = baseline.probabilities[_by_digest(baseline)]
    ours, theirs = (counted_once(each, copies) for each in (candidate, replace(candidate, probabilities=answered)))
    right = np.stack([theirs.correct, ours.correct])
    discordant = [
        DiscordantCell(
            path=ours.paths[row],
            digest=ours.digests[row],
            reference=ours.classes[ours.labels[row]],
            baseline=ours.classes[theirs.predicted[row]],
            candidate=ours.classes[ours.predicted[row]],
        )
        for row in np.flatnonzero(right[0] != right[1]).tolist()
    ]
    changed = int(np.sum(ours.predicted != theirs.predicted))
    found = comparison_of(
        ours,
        theirs.correct,
        discordant,
        baseline_run=baseline_run,
        n_changed=changed,
        intracluster_correlation=intracluster_correlation,
    )
    return replace(
        found,
        scores=paired_scores(ours, theirs),
        relabelled=relabelled,
        regrouped=_regrouped(candidate, baseline),
    )


def _regrouped(candidate: Predictions, baseline: Predictions) -> Regrouping | None:
    """What became of the baseline's groups, of the same cells; a baseline that knows none asks for none."""
    now, before = (of_groups(each.digests, each.groups) for each in (candidate, baseline))
    return Regrouping(before.told, now.told) if before.known and before.told != now.told else None


def _where_labels_stand(
    candidate: Predictions, baseline: Predictions
) -> tuple[Predictions, Predictions, tuple[RelabelledCell, ...]]:
    """Both without the cells that were labelled anew between them, and these.

    Only where they are the same images, each once: of others it cannot be said which label became which.
    """
    ours, theirs = (dict(zip(each.digests, each.labels.tolist(), strict=True)) for each in (candidate, baseline))
    same = candidate.classes == baseline.classes and ours.keys() == theirs.keys()
    if not same or len(ours) != len(candidate.digests) or len(theirs) != len(baseline.digests) or ours == theirs:
        return candidate, baseline, ()
    stand = {digest for digest, label in ours.items() if theirs[digest] == label}
    if not stand:
        return candidate, baseline, ()  # which is refused: nothing is left to compare
    names = candidate.classes
    relabelled = tuple(
        RelabelledCell(path, digest, names[theirs[digest]], names[ours[digest]])
        for path, digest in zip(candidate.paths, candidate.digests, strict=True)
        if digest not in stand
    )
    kept = (only(each, np.array([digest in stand for digest in each.digests])) for each in (candidate, baseline))
    return (*kept, relabelled)  # type: ignore[return-value]


def comparison_of(
    found: Predictions,
    baseline_right: np.ndarray,
    discordant: Sequence[DiscordantCell],
    *,
    baseline_run: str,
    n_changed: int,
    intracluster_correlation: float,
) -> Comparison:
    """The comparison of these predictions with a baseline of which it is known which cells it has right: (n_cells,)."""
    right = baseline_right.astype(int), found.correct.astype(int)
    by_group = None
    if found.groups is not None:
        names, group = np.unique(np.array(found.groups, dtype=str), return_inverse=True)
        by_group = np.zeros((len(names), len(found.classes), 2, 2), dtype=np.int64)
        np.add.at(by_group, (group, found.labels, *right), 1)
    table = np.zeros((len(found.classes), 2, 2), dtype=np.int64)
    np.add.at(table, (found.labels, *right), 1)
    return Comparison(
        set=found.set,
        classes=found.classes,
        baseline=baseline_run,
        table=table,
        discordant=tuple(sorted(discordant, key=lambda cell: (cell.candidate_right, cell.path))),
        n_changed=n_changed,
        by_group=by_group,
        intracluster_correlation=intracluster_correlation,
        grouped_by=grouping_of(found.groups or ()),
    )


def difference(
    comparison: Comparison | Unavailable, metric: str, *, cell_class: str | None, level: float
) -> Estimate | Unavailable:
    """Candidate minus baseline in accuracy, or in one class's recall, with one-sided bounds at `level`.

    value is (c - b) / n: b cells that the baseline alone has right, c that the candidate alone has right. What was
    not compared has no difference.
    """
    if isinstance(comparison, Unavailable):
        return comparison
    b, c, n = comparison.counts(cell_class)
    if n == 0:
        return Unavailable(f"set {comparison.set} has no cells of {cell_class}: there is nothing to compare")
    p, _ = mcnemar_exact(b, c)
    counted = f"candidate alone right {c}, baseline alone right {b}, exact McNemar p = {p:.4g}"
    paired = paired_estimate(
        comparison.groups(cell_class),
        (b, c, n),
        assumed_correlation=comparison.intracluster_correlation,
        grouped_by=comparison.grouped_by,
        level=level,
    )
    return replace(paired, metric=metric, set=comparison.set, cell_class=cell_class, note=f"{counted}; {paired.note}")


def paired_estimate(
    groups: PairedGroups | None,
    counts: tuple[int, int, int],
    *,
    assumed_correlation: float,
    grouped_by: str,
    level: float,
) -> Estimate:
    """Second minus first in the share of right answers, with bounds: exact, or over groups where these are known.

    counts: (the first alone right, the second alone right, cells), at least one cell.
    """
    b, c, n = counts
    shown = 0.5 + DISPLAY_LEVEL / 2
    if groups is None:
        lower, upper = difference_bounds(b, c, n, level=level)
        method, worth, note = METHOD, None, "pairs taken as independent"
        display = Interval(*tango_bounds(b, c, n, level=shown), DISPLAY_LEVEL, "Tango")
    else:
        lower, upper = grouped_difference_bounds(groups, assumed_correlation=assumed_correlation, level=level)
        worth = effective_pairs(groups, assumed_correlation=assumed_correlation)
        method, note = CLUSTERED, f"{n} pairs of {groups.sizes.size} {grouped_by}, worth {worth:.1f} independent ones"
        bounds = grouped_difference_bounds(groups, assumed_correlation=assumed_correlation, level=shown)
        display = Interval(*bounds, DISPLAY_LEVEL, "clustered")
    return Estimate(
        "",
        "",
        None,
        (c - b) / n,
        lower,
        upper,
        level,
        method,
        n=n,
        display=display,
        note=note,
        support=n,
        effective_n=worth,
        paired=(b, c),
    )


def remarks(comparison: Comparison, *, level: float) -> tuple[str, ...]:
    """What these cells could have shown of a difference, whatever the two had said, and what not."""
    b, c, n = comparison.counts()
    fewest = fewest_discordant_for_significance(level=level)
    n_wrong = int(comparison.table[:, 0, :].sum())
    margin = -margin_bound(comparison, level=level)
    said = [
        f"Not even the same prediction for each of {n} cells excludes a loss below {margin:.4f} (one-sided "
        f"{level * 100:g} %).",
        f"A difference in either direction needs at least {fewest} discordant cells, all on one side, before McNemar's "
        f"exact test can show it (two-sided {level * 100:g} %); here {b + c} are discordant.",
    ]
    if comparison.n_changed == 0:
        said.append("The two call every cell the same: they may be one classifier.")
    if n_wrong < fewest:
        said.append(
            f"The baseline has {n_wrong} of {n} cells wrong: no candidate whatever can be shown to be better here."
        )
    return tuple(said)


def margin_bound(comparison: Comparison, *, level: float) -> float:
    """The lower bound of the difference if the two had said the same of every cell."""
    _, _, n = comparison.counts()
    if (groups := comparison.groups()) is None:
        return difference_bounds(0, 0, n, level=level)[0]
    none = np.zeros_like(groups.lost)
    alike = PairedGroups(groups.sizes, none, none)
    return grouped_difference_bounds(alike, assumed_correlation=comparison.intracluster_correlation, level=level)[0]


def effective_difference_bounds(
    paired: tuple[int, int], n: int, effective_n: float | None, *, level: float
) -> tuple[float, float]:
    """The bounds of a paired difference at another level, from its counts and the pairs that they are worth."""
    b, c = paired
    if effective_n is None:
        return difference_bounds(b, c, n, level=level)
    share = effective_n / n
    return tango_bounds(b * share, c * share, max(effective_n, b * share + c * share), level=level)


def difference_bounds(b: int, c: int, n: int, *, level: float) -> tuple[float, float]:
    """Exact one-sided bounds of candidate minus baseline, each at `level`; see `paired.non_inferiority_lower_bound`."""
    upper = -non_inferiority_lower_bound(c, b, n, level=level)  # baseline minus candidate, from below
    return non_inferiority_lower_bound(b, c, n, level=level), upper


def _by_digest(predictions: Predictions) -> np.ndarray:
    """Rows in the order of their images; byte-identical images have the same prediction, so their order is free."""
    return np.array(sorted(range(len(predictions.digests)), key=predictions.digests.__getitem__), dtype=np.int64)


def refuse_other_cells(candidate: Predictions, baseline: Predictions, *, baseline_run: str) -> None:
    """Raise IncomparableSets, saying how they differ, unless both speak of the same cells, labels and classes."""
    if candidate.classes != baseline.classes:
        raise IncomparableSets(
            f"baseline {baseline_run} knows the classes {list(baseline.classes)}, this run {list(candidate.classes)}. "
            "Compare classifiers of the same classes in the same order."
        )
    ours, theirs = (Counter(zip(each.digests, each.labels.tolist(), strict=True)) for each in (candidate, baseline))
    if ours == theirs:
        return
    ours_only, theirs_only = ours - theirs, theirs - ours
    relabelled = {digest for digest, _ in ours_only} & {digest for digest, _ in theirs_only}
    raise IncomparableSets(
        f"baseline {baseline_run} was judged on other cells of set {candidate.set!r}: {ours_only.total()} of this "
        f"run's {len(candidate.digests)} cells are not among its {len(baseline.digests)}, {theirs_only.total()} of "
        f"its cells are not among this run's, and {len(relabelled)} images have another reference label"
        f"{_first(candidate, ours_only)}. Compare on the same data, split and labels: --split takes the baseline's "
        "data_split.csv."
    )


def _first(candidate: Predictions, ours_only: Counter[tuple[str, int]]) -> str:
    paths = [
        path
        for path, digest, label in zip(candidate.paths, candidate.digests, candidate.labels.tolist(), strict=True)
        if (digest, label) in ours_only
    ]
    return f", first {min(paths)!r}" if paths else ""


def _entry(name: str, meaning: str, *, per: Literal["set", "class", "corruption"]) -> Metric:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        compared = measurements.comparison(subject.set, kind=subject.kind)
        return difference(compared, name, cell_class=subject.cell_class, level=level)

    return Metric(
        name=name,
        questions=("regression",),
        meaning=meaning,
        per=per,
        measure=measure,
        range=(-1.0, 1.0),
        holm=per != "set",
        counts="pairs",
        needs=frozenset({PROBABILITIES, NEW_IMAGES}) if per == "corruption" else frozenset({PROBABILITIES}),
        kinds=Kinds("robustness", "kinds") if per == "corruption" else None,
    )


# A floor of minus the margin asks for non-inferiority.
METRICS = (
    _entry("accuracy_difference", "Accuracy of the candidate minus that of the baseline, paired by cell.", per="set"),
    _entry("recall_difference", "Recall of a class, candidate minus baseline, paired by cell.", per="class"),
    _entry(
        "disturbed_accuracy_difference",
        "Accuracy on cells with one kind of corruption at its agreed severity, candidate minus baseline, paired.",
        per="corruption",
    ),
)
