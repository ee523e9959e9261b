"""Is the candidate worse than the baseline, on the same cells?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from harness.core.errors import IncomparableSets
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Interval, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.metrics.paired import (
    fewest_discordant_for_significance,
    mcnemar_exact,
    non_inferiority_lower_bound,
    tango_bounds,
)
from harness.metrics.predictions import Predictions


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


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Candidate and baseline on the cells of one set, paired by image digest.

    baseline:   the run that is compared with.
    table:      (n_classes, 2, 2) int64, cells by reference class, baseline right (0 no, 1 yes), candidate right.
    discordant: the cells that exactly one has right, those that the candidate lost first.
    n_changed:  cells that the two call differently, whether or not either is right.
    """

    set: str
    classes: tuple[str, ...]
    baseline: str
    table: np.ndarray
    discordant: tuple[DiscordantCell, ...]
    n_changed: int

    def counts(self, cell_class: str | None = None) -> tuple[int, int, int]:
        """(baseline alone right, candidate alone right, cells) of one class, or of all."""
        table = self.table.sum(axis=0) if cell_class is None else self.table[self.classes.index(cell_class)]
        return int(table[1, 0]), int(table[0, 1]), int(table.sum())


METHOD = "exact, by Tango's ordering (Buehler)"


def compare(candidate: Predictions, baseline: Predictions, *, baseline_run: str) -> Comparison:
    """Pair two classifiers' predictions of one set by image digest.

    Args:
        baseline_run: what the baseline is called.
    Raises:
        IncomparableSets: classes, cells or reference labels differ, and how.
    """
    refuse_other_cells(candidate, baseline, baseline_run=baseline_run)
    ours, theirs = _by_digest(candidate), _by_digest(baseline)
    right = np.stack([baseline.correct[theirs], candidate.correct[ours]])
    labels = candidate.labels[ours]
    table = np.zeros((len(candidate.classes), 2, 2), dtype=np.int64)
    np.add.at(table, (labels, right[0].astype(int), right[1].astype(int)), 1)
    discordant = [
        DiscordantCell(
            path=candidate.paths[ours[row]],
            digest=candidate.digests[ours[row]],
            reference=candidate.classes[labels[row]],
            baseline=candidate.classes[baseline.predicted[theirs[row]]],
            candidate=candidate.classes[candidate.predicted[ours[row]]],
        )
        for row in np.flatnonzero(right[0] != right[1]).tolist()
    ]
    changed = int(np.sum(candidate.predicted[ours] != baseline.predicted[theirs]))
    return Comparison(
        set=candidate.set,
        classes=candidate.classes,
        baseline=baseline_run,
        table=table,
        discordant=tuple(sorted(discordant, key=lambda cell: (cell.candidate_right, cell.path))),
        n_changed=changed,
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
    lower, upper = difference_bounds(b, c, n, level=level)
    p, _ = mcnemar_exact(b, c)
    return Estimate(
        metric,
        comparison.set,
        cell_class,
        (c - b) / n,
        lower,
        upper,
        level,
        METHOD,
        n=n,
        display=Interval(*tango_bounds(b, c, n, level=0.5 + DISPLAY_LEVEL / 2), DISPLAY_LEVEL, "Tango"),
        note=f"candidate alone right {c}, baseline alone right {b}, exact McNemar p = {p:.4g}; "
        "pairs taken as independent",
        support=n,
        paired=(b, c),
    )


def remarks(comparison: Comparison, *, level: float) -> tuple[str, ...]:
    """What these cells could have shown of a difference, whatever the two had said, and what not."""
    b, c, n = comparison.counts()
    fewest = fewest_discordant_for_significance(level=level)
    n_wrong = int(comparison.table[:, 0, :].sum())
    margin = -difference_bounds(0, 0, n, level=level)[0]
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


@lru_cache(maxsize=4096)  # of three whole numbers; the pack and its page both ask
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


def _entry(name: str, meaning: str, *, per: Literal["set", "class"]) -> Metric:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        return difference(measurements.comparison(subject.set), name, cell_class=subject.cell_class, level=level)

    return Metric(
        name=name,
        questions=("regression",),
        meaning=meaning,
        per=per,
        measure=measure,
        range=(-1.0, 1.0),
        holm=per == "class",
        counts="pairs",
    )


# A floor of minus the margin asks for non-inferiority.
METRICS = (
    _entry("accuracy_difference", "Accuracy of the candidate minus that of the baseline, paired by cell.", per="set"),
    _entry("recall_difference", "Recall of a class, candidate minus baseline, paired by cell.", per="class"),
)
