"""Out-of-distribution detection: scores of inputs without a cell, and how well they tell cells from them.

A score is higher the stranger the input. Which score is used is fixed in the protocol, before any was seen: the best of
several, picked by its result, is not an estimate. An abstention is the score +inf (the input was refused before it was
scored); it counts among the n like any other, never as missing. Inputs without a cell are counted as independent; cells
go by their patients, slides or sites where these are known.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from harness.core.errors import UndefinedStatistic
from harness.metrics.auroc import AreaBounds, Auroc, auroc
from harness.metrics.classification import cluster_note
from harness.metrics.clusters import counted_by_group, share_bounds
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Interval
from harness.metrics.intervals import check_level, clopper_pearson_bounds, wilson_interval
from harness.metrics.ood_scores import SCORES, Scores, checked_scores
from harness.protocol.stress import DetectionPlan


@dataclass(frozen=True, slots=True)
class FalsePositives:
    """Negatives that pass for positives at the threshold which keeps so many positives.

    threshold: an input scoring at or above it passes for a positive.
    tpr:       the share of positives that was asked for.
    n_kept, n_positive: positives at or above the threshold, n_kept / n_positive >= tpr.
    k, n:      negatives at or above it, of all.
    lower, upper: one-sided Clopper-Pearson bounds of k / n, each at `level`, for the threshold as it is.
    """

    threshold: float
    tpr: float
    n_kept: int
    n_positive: int
    k: int
    n: int
    lower: float
    upper: float
    level: float
    display: Interval

    @property
    def value(self) -> float:
        return self.k / self.n


@dataclass(frozen=True, slots=True)
class KindDetection:
    """One kind of input without a cell. taken_for_cells: its inputs that would be classified as if they were one."""

    kind: str
    auroc: Auroc
    taken_for_cells: FalsePositives


@dataclass(frozen=True, slots=True)
class Detection:
    """How one score tells cells from inputs without one.

    score:     one of `SCORES`.
    set:       of the cells that were judged.
    threshold: of strangeness: an input above it is refused. Fixed on the reference cells alone.
    reference: name of the reference set.
    n_kept, n_cells: judged cells at or below the threshold, of all: what refusing costs.
    kept_lower: one-sided Clopper-Pearson bound of n_kept / n_cells at `level`, by patient where they are known.
    auroc, taken_for_cells: of all kinds together. What a pool shows depends on how many of each kind it holds.
    kinds:     each kind by itself.
    """

    score: str
    set: str
    threshold: float
    tpr: float
    reference: str
    n_kept: int
    n_cells: int
    kept_lower: float
    level: float
    auroc: Auroc
    taken_for_cells: FalsePositives
    kinds: tuple[KindDetection, ...]

    @property
    def worst(self) -> KindDetection:
        """The kind most often taken for cells; of those that tie, the one of the smallest area."""
        return max(self.kinds, key=lambda kind: (kind.taken_for_cells.value, -kind.auroc.value))


# --- thresholds -------------------------------------------------------------------------------


def false_positive_rate_at(
    positive_scores: ArrayLike, negative_scores: ArrayLike, *, tpr: float, level: float
) -> FalsePositives:
    """Negatives that score at or above the highest threshold which keeps at least the share `tpr` of the positives.

    In the literature on inputs from elsewhere the positives are the known ones: "FPR at 95 % TPR" is the share of
    strangers that pass where 95 % of the cells do. For that, hand in scores that are high for cells.

    The bounds are exact for the threshold as it is. That threshold is known from `n_positive` positives only; take
    them from another set than the one that is judged, and look at how many of that set it keeps.

    Args:
        tpr: a fraction in (0, 1].
        level: one-sided confidence of each bound, a fraction in (0, 1).
    Raises:
        UndefinedStatistic: a side without inputs, or too many refused positives (-inf) for any threshold.
        InvalidPredictions: a score that is not a number.
    >>> found = false_positive_rate_at([1, 2, 3, 4], [0, 1, 2, 2, 5], tpr=0.75, level=0.95)
    >>> found.threshold, found.n_kept, found.k, found.n
    (2.0, 3, 3, 5)
    """
    positive, negative = checked_scores(positive_scores, "positive"), checked_scores(negative_scores, "negative")
    if not 0.0 < tpr <= 1.0:
        raise ValueError(f"tpr {tpr} is not a fraction in (0, 1]; write 0.95 for 95 %")
    check_level(level)
    ordered = np.sort(positive)[::-1]
    needed = math.ceil(tpr * positive.size - 1e-9)  # 0.95 * 20 is 19, whatever binary fractions say
    threshold = float(ordered[needed - 1])
    if threshold == -math.inf:
        raise UndefinedStatistic(
            f"{int(np.isneginf(positive).sum())} of {positive.size} positives were refused: no threshold keeps "
            f"{100 * tpr:g} % of them. Look at why they were refused."
        )
    k, n = int(np.sum(negative >= threshold)), negative.size
    lower, upper = clopper_pearson_bounds(k, n, level=level)
    return FalsePositives(
        threshold=threshold,
        tpr=tpr,
        n_kept=int(np.sum(positive >= threshold)),
        n_positive=positive.size,
        k=k,
        n=n,
        lower=lower,
        upper=upper,
        level=level,
        display=wilson_interval(k, n, level=DISPLAY_LEVEL),
    )


def detect(
    *,
    score: str,
    set_name: str,
    cells: ArrayLike,
    reference: str,
    reference_cells: ArrayLike,
    others: Mapping[str, ArrayLike],
    tpr: float,
    level: float,
    areas_by: AreaBounds = "proportion",
    groups: Sequence[Hashable] | None = None,
    assumed_correlation: float = 0.0,
) -> Detection:
    """How well one score of strangeness tells the cells of a set from inputs without a cell.

    Args:
        score: one of `SCORES`, the protocol's choice.
        set_name, cells: the judged set and the strangeness of its cells.
        reference, reference_cells: another set, such as validation, whose cells fix the threshold. The threshold is the
            lowest strangeness that keeps at least the share `tpr` of them.
        others: kind -> strangeness of inputs without a cell; at least one kind.
        areas_by: how areas have their bounds, as `auroc` takes it.
        groups: the patient, slide or site of each judged cell; None where they are counted as independent.
        assumed_correlation: as `auroc` takes it.
    Raises:
        UndefinedStatistic: no cells, no kind, a kind without inputs, or too many reference cells that were refused.
        ValueError: an unknown score, or a threshold fixed on the judged set itself.
    """
    if score not in SCORES:
        raise ValueError(f"unknown score {score!r}; known are {', '.join(SCORES)}")
    if reference == set_name:
        raise ValueError(
            f"the threshold would be fixed on set {set_name!r}, which it then judges. Name another, such as validation."
        )
    if not others:
        raise UndefinedStatistic("no kind of input without a cell was scored; there is nothing to tell cells from")
    known, judged = checked_scores(reference_cells, reference), checked_scores(cells, set_name)
    strange = {kind: checked_scores(values, kind) for kind, values in others.items()}

    def passing(values: Scores) -> FalsePositives:
        return false_positive_rate_at(-known, -values, tpr=tpr, level=level)  # the higher, the more like a cell

    def area(values: Scores) -> Auroc:
        return auroc(values, judged, level=level, by=areas_by, groups=groups, assumed_correlation=assumed_correlation)

    everything = np.concatenate(list(strange.values()))
    pooled = passing(everything)
    threshold = -pooled.threshold
    kept = judged <= threshold
    n_kept = int(kept.sum())
    by_group = None if groups is None else counted_by_group(kept, groups)
    return Detection(
        score=score,
        set=set_name,
        threshold=threshold,
        tpr=tpr,
        reference=reference,
        n_kept=n_kept,
        n_cells=judged.size,
        kept_lower=share_bounds(n_kept, judged.size, by_group, assumed_correlation=assumed_correlation, level=level)[0],
        level=level,
        auroc=area(everything),
        taken_for_cells=pooled,
        kinds=tuple(KindDetection(kind, area(values), passing(values)) for kind, values in strange.items()),
    )


def detect_as_planned(
    plan: DetectionPlan,
    scores: Mapping[str, np.ndarray],
    *,
    score: str,
    level: float,
    groups: Sequence[Hashable] | None,
    assumed_correlation: float,
    areas_by: AreaBounds = "proportion",
) -> Detection:
    """How well the cells of the test part are told from the inputs without a cell that a protocol names.

    Args:
        scores: set, or kind of input without a cell -> the score of each; those of the test part, the plan's reference
            and its kinds are among them.
        score, level, groups, assumed_correlation, areas_by: as `detect` takes them.
    """
    return detect(
        score=score,
        set_name="test",
        cells=scores["test"],
        reference=plan.reference,
        reference_cells=scores[plan.reference],
        others={kind: scores[kind] for kind in plan.kinds},
        tpr=plan.true_positive_rate,
        level=level,
        areas_by=areas_by,
        groups=groups,
        assumed_correlation=assumed_correlation,
    )


def detection_estimate(detection: Detection, metric: str, *, kind: str | None, grouped_by: str = "groups") -> Estimate:
    """One number of a detection, as a criterion is judged on.

    ood_auroc: the area (a floor). ood_false_positive_rate: the share of inputs without a cell that is taken for cells
    at the threshold (a ceiling).

    Args:
        kind: of the inputs without a cell; None for all of them together.
        grouped_by: what the groups of cells are, such as "patients".
    Raises:
        ValueError: no such metric or kind.
    """
    found = next((each for each in detection.kinds if each.kind == kind), None)
    if kind is not None and found is None:
        raise ValueError(f"no inputs of kind {kind!r} were scored; there are {[k.kind for k in detection.kinds]}")
    area, passed = (found or detection).auroc, (found or detection).taken_for_cells
    about = (
        f"score {detection.score}; {kind or 'all kinds'}, {area.n_positive} inputs without a cell; "
        f"{detection.n_kept}/{detection.n_cells} cells kept at the threshold of {detection.reference}; "
        f"{area.n_abstained} abstentions counted"
    )
    if metric == "ood_auroc":
        if area.clusters is not None:
            about += f"; {cluster_note(area.clusters, grouped_by=grouped_by)}"
        return Estimate(
            metric,
            detection.set,
            None,
            area.value,
            area.lower,
            area.upper,
            area.level,
            area.method,
            n=area.n_positive + area.n_negative,
            display=area.display,
            note=about,
            support=area.n_negative,
        )
    if metric != "ood_false_positive_rate":
        raise ValueError(f"unknown metric {metric!r}; known are ood_auroc and ood_false_positive_rate")
    return Estimate(
        metric,
        detection.set,
        None,
        passed.value,
        passed.lower,
        passed.upper,
        passed.level,
        "Clopper-Pearson",
        k=passed.k,
        n=passed.n,
        display=passed.display,
        note=about,
        support=passed.n,
    )
