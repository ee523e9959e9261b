"""Out-of-distribution detection: scores of inputs without a cell, and how well they tell cells from them.

A score is higher the stranger the input. Which score is used is fixed in the protocol, before any was seen: the best of
several, picked by its result, is not an estimate. An abstention is the score +inf (the input was refused before it was
scored); it counts among the n like any other, never as missing. Inputs are counted as independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from harness.core.errors import InvalidPredictions, UndefinedStatistic
from harness.core.numbers import SUMS_TO_ONE
from harness.metrics.distributions import beta_quantile, normal_quantile
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Interval
from harness.metrics.intervals import check_level, clopper_pearson_bounds, wilson_interval

SCORES = ("confidence", "entropy", "mahalanobis")
AreaBounds = Literal["proportion", "DeLong"]

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Auroc:
    """The chance that a positive scores above a negative, ties counted half.

    n_positive, n_negative: inputs, abstentions included; n_abstained: those of both that were refused.
    variance:  DeLong's; 0 where it has nothing to go by (flawless separation), None with fewer than two on a side.
    lower, upper: one-sided bounds, each at `level`.
    display:   two-sided interval by the same method.
    method:    how the bounds were made.
    """

    value: float
    n_positive: int
    n_negative: int
    n_abstained: int
    variance: float | None
    lower: float
    upper: float
    level: float
    method: str
    display: Interval


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
    kept_lower: one-sided Clopper-Pearson bound of n_kept / n_cells at `level`.
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


# --- scores -----------------------------------------------------------------------------------


def confidence_scores(probabilities: ArrayLike) -> Scores:
    """1 minus the largest probability of each input.

    Source: Hendrycks and Gimpel (2017), A baseline for detecting misclassified and out-of-distribution examples, ICLR.
    >>> confidence_scores([[0.9, 0.1], [0.5, 0.5]]).round(3).tolist()
    [0.1, 0.5]
    """
    return np.asarray(1.0 - _probabilities(probabilities).max(axis=1), dtype=np.float64)


def entropy_scores(probabilities: ArrayLike) -> Scores:
    """Entropy of each input's probabilities as a share of the largest possible one: 0 is certain, 1 is uniform.

    >>> entropy_scores([[1.0, 0.0], [0.5, 0.5]]).tolist()
    [0.0, 1.0]
    """
    p = _probabilities(probabilities)
    return np.asarray(entr(p).sum(axis=1) / math.log(p.shape[1]), dtype=np.float64)


def mahalanobis_scores(train_features: ArrayLike, train_labels: ArrayLike, features: ArrayLike) -> Scores:
    """Distance of each input to the nearest class mean of the training cells, in the scatter within their classes.

    One covariance is shared by all classes and shrunk towards a multiple of the identity (Ledoit and Wolf), because a
    network has hundreds of features and a class of a small set has few cells.

    Args:
        train_features: (n_train, n_features), of the train part.
        train_labels: (n_train,) integers; every class that occurs needs a cell.
        features: (n, n_features) of the inputs to score.
    Returns:
        (n,) distances, each at least 0.
    Raises:
        InvalidPredictions: shapes that do not fit, or a feature that is not finite.
        UndefinedStatistic: fewer than two training cells, or classes whose cells are all alike.
    Source: Lee et al. (2018), A simple unified framework for detecting out-of-distribution samples and adversarial
        attacks, NeurIPS; Ledoit and Wolf (2004), J. Multivar. Anal. 88:365-411.
    """
    from sklearn.covariance import ledoit_wolf  # takes a second to import, and nothing else here needs it

    train, new = np.asarray(train_features, dtype=np.float64), np.asarray(features, dtype=np.float64)
    labels = np.asarray(train_labels)
    if train.ndim != 2 or new.ndim != 2 or train.shape[1] != new.shape[1] or labels.shape != train.shape[:1]:
        raise InvalidPredictions(
            f"training features of shape {train.shape} with labels of {labels.shape} beside features of {new.shape}; "
            "give one row per input, one label per training cell and the same columns"
        )
    for name, values in (("training feature", train), ("feature", new)):
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(axis=1)))
            raise InvalidPredictions(
                f"{name} of row {row} is not finite. Its network diverged, or its input was empty."
            )
    if len(train) < 2:
        raise UndefinedStatistic(f"{len(train)} training cell has no scatter; give the features of the train part")
    classes, place = np.unique(labels, return_inverse=True)
    means = np.stack([train[place == index].mean(axis=0) for index in range(len(classes))])
    centred = train - means[place]
    covariance = np.asarray(ledoit_wolf(centred, assume_centered=True)[0])
    if not np.trace(covariance) > 0:
        raise UndefinedStatistic("all training cells of each class have the same features: there is no scatter")
    # Distances are plain ones after whitening; the shrunk covariance is positive definite, so this exists.
    factor = np.linalg.cholesky(covariance + 1e-12 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
    white, white_means = (np.linalg.solve(factor, values.T).T for values in (new, means))
    squared = ((white[:, None, :] - white_means[None, :, :]) ** 2).sum(axis=2)
    return np.asarray(np.sqrt(squared.min(axis=1)), dtype=np.float64)


# --- areas ------------------------------------------------------------------------------------


def ood_score(score: str, outlook: Mapping[str, ArrayLike], *, train_labels: ArrayLike) -> dict[str, Scores]:
    """How unlike a cell each input is; the higher the stranger.

    Args:
        score: one of `SCORES`.
        outlook: name -> features ("mahalanobis") or probabilities of each input; "train" is what the features are
            compared with, and gets no score.
    """
    others = {name: values for name, values in outlook.items() if name != "train"}
    if score == "mahalanobis":
        return {name: mahalanobis_scores(outlook["train"], train_labels, values) for name, values in others.items()}
    measure = confidence_scores if score == "confidence" else entropy_scores
    return {name: measure(values) for name, values in others.items()}


def auroc(
    positive_scores: ArrayLike, negative_scores: ArrayLike, *, level: float, by: AreaBounds = "proportion"
) -> Auroc:
    """Area under the ROC curve with the bounds of a proportion of as many trials as its variance says.

    A proportion of n trials has the variance A (1 - A) / n: an area A of variance V is worth A (1 - A) / V trials, and
    has Clopper-Pearson's bounds of these. V is the larger of DeLong's, which is too small where few inputs overlap, and
    the one that Newcombe's method takes from A alone. In simulations of ten kinds of scores from 0.8 to 0.995, 20 to
    400 inputs a side, the lower bound at 95 % missed in at most 5.0 % of sets, where DeLong's on the logit scale missed
    in up to 7 % (benchmarks/gate_error_rates.py).

    DeLong's variance is 0 where the two samples do not overlap, and [1, 1] would be claimed of ten inputs as of ten
    thousand. Flawless separation therefore has the bound of disjoint pairs: with m = min(n_positive, n_negative), m
    pairs that share no input are m independent trials, each won with a chance no larger than the area. All m are won,
    so the lower bound is Clopper-Pearson's of m / m, (1 - level) ** (1 / m), and never too high.

    No other result may claim more than a flawless one: every lower bound is cut off there, and every upper bound at the
    mirror image. Where the variance
    vanishes in between (every score the same), or a side has a single input, Hoeffding's inequality for the same m
    pairs gives the bounds.

    Args:
        positive_scores: of what should score high (here inputs without a cell). +inf is an abstention.
        negative_scores: of what should score low.
        level: one-sided confidence of each bound, a fraction in (0.5, 1).
        by: "DeLong" for bounds on the logit scale, by which older runs were judged.
    Raises:
        UndefinedStatistic: a side without inputs.
        InvalidPredictions: a score that is not a number.
    Source: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845; Newcombe (2006), Stat. Med. 25:559-573,
        method 5; Hoeffding (1963), J. Am. Stat. Assoc. 58:13-30, section 5.
    >>> found = auroc([0.9, 0.8, 0.7, 0.6, 0.55], [0.85, 0.5, 0.4, 0.3, 0.2, 0.55], level=0.975, by="DeLong")
    >>> round(found.value, 6), round(found.variance, 8), round(found.lower, 4), round(found.upper, 4)
    (0.85, 0.01883333, 0.4073, 0.979)
    >>> round(auroc([2, 3, 4], [0, 1], level=0.95).lower, 4)
    0.2236
    """
    _check_bound_level(level)
    positive, negative = _scores(positive_scores, "positive"), _scores(negative_scores, "negative")
    value, wins, losses = _placements(positive, negative)
    variance = _variance(wins, losses)

    def bounds(level: float) -> tuple[float, float, str]:
        return _auroc_bounds(value, variance, positive.size, negative.size, level=level, by=by)

    lower, upper, method = bounds(level)
    shown_lower, shown_upper, _ = bounds(0.5 + DISPLAY_LEVEL / 2)
    return Auroc(
        value=value,
        n_positive=positive.size,
        n_negative=negative.size,
        n_abstained=int(np.isposinf(positive).sum() + np.isposinf(negative).sum()),
        variance=variance,
        lower=lower,
        upper=upper,
        level=level,
        method=method,
        display=Interval(shown_lower, shown_upper, DISPLAY_LEVEL, method),
    )


def _placements(positive: Scores, negative: Scores) -> tuple[float, Scores, Scores]:
    """(area, share of negatives below each positive, share of positives above each negative), ties counted half."""
    below = _halved_ranks(np.sort(negative), positive) / negative.size
    above = 1.0 - _halved_ranks(np.sort(positive), negative) / positive.size
    # From whole and half counts, so that flawless is exactly 1.
    total = float(_halved_ranks(np.sort(negative), positive).sum())
    return total / (positive.size * negative.size), below, above


def _halved_ranks(ordered: Scores, values: Scores) -> Scores:
    """How many of `ordered` lie below each value, plus half of those that equal it."""
    left, right = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray(0.5 * (left + right), dtype=np.float64)


def _variance(wins: Scores, losses: Scores) -> float | None:
    """DeLong's variance of an area; None with fewer than two inputs on a side."""
    if wins.size < 2 or losses.size < 2:
        return None
    return float(sum(np.sum((each - each.mean()) ** 2) / (each.size - 1) / each.size for each in (wins, losses)))


def _auroc_bounds(
    value: float, variance: float | None, n_positive: int, n_negative: int, *, level: float, by: AreaBounds
) -> tuple[float, float, str]:
    pairs, alpha = min(n_positive, n_negative), 1.0 - level
    most = alpha ** (1.0 / pairs)  # the highest lower bound that so many disjoint pairs can prove
    if value in (0.0, 1.0):
        method = f"Clopper-Pearson of {pairs} disjoint pairs (flawless: DeLong's variance is 0)"
        return (most, 1.0, method) if value == 1.0 else (0.0, 1.0 - most, method)
    if variance is None or variance <= 1e-15:
        half = math.sqrt(math.log(1.0 / alpha) / (2.0 * pairs))
        lower, upper = max(0.0, value - half), min(1.0, value + half)
        return min(lower, most), max(upper, 1.0 - most), f"Hoeffding for {pairs} disjoint pairs"
    if by == "DeLong":
        logit = math.log(value / (1.0 - value))
        half = normal_quantile(level) * math.sqrt(variance) / (value * (1.0 - value))
        lower, upper = (1.0 / (1.0 + math.exp(min(700.0, -x))) for x in (logit - half, logit + half))
        method = "DeLong, logit scale"
    else:
        trials = value * (1.0 - value) / max(variance, _variance_of_area(value, n_positive, n_negative))
        won = value * trials
        lower = beta_quantile(alpha, won, trials - won + 1.0)
        upper = beta_quantile(level, won + 1.0, trials - won)
        method = f"Clopper-Pearson of the {trials:.1f} trials that its variance is worth"
    if lower > most or upper < 1.0 - most:
        lower, upper, method = min(lower, most), max(upper, 1.0 - most), f"{method}, cut at what a flawless one proves"
    return lower, upper, method


def _variance_of_area(value: float, n_positive: int, n_negative: int) -> float:
    """The variance that an area of this size has where scores are exponential, sides balanced (Newcombe's method 5)."""
    half = (n_positive + n_negative) / 2.0 - 1.0
    spread = (1.0 - value) / (2.0 - value) + value / (1.0 + value)
    return value * (1.0 - value) * (1.0 + half * spread) / (n_positive * n_negative)


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
    positive, negative = _scores(positive_scores, "positive"), _scores(negative_scores, "negative")
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
) -> Detection:
    """How well one score of strangeness tells the cells of a set from inputs without a cell.

    Args:
        score: one of `SCORES`, the protocol's choice.
        set_name, cells: the judged set and the strangeness of its cells.
        reference, reference_cells: another set, such as validation, whose cells fix the threshold. The threshold is the
            lowest strangeness that keeps at least the share `tpr` of them.
        others: kind -> strangeness of inputs without a cell; at least one kind.
        areas_by: how areas have their bounds, as `auroc` takes it.
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
    known, judged = _scores(reference_cells, reference), _scores(cells, set_name)
    strange = {kind: _scores(values, kind) for kind, values in others.items()}

    def passing(values: Scores) -> FalsePositives:
        return false_positive_rate_at(-known, -values, tpr=tpr, level=level)  # the higher, the more like a cell

    def area(values: Scores) -> Auroc:
        return auroc(values, judged, level=level, by=areas_by)

    everything = np.concatenate(list(strange.values()))
    pooled = passing(everything)
    threshold = -pooled.threshold
    n_kept = int(np.sum(judged <= threshold))
    return Detection(
        score=score,
        set=set_name,
        threshold=threshold,
        tpr=tpr,
        reference=reference,
        n_kept=n_kept,
        n_cells=judged.size,
        kept_lower=clopper_pearson_bounds(n_kept, judged.size, level=level)[0],
        level=level,
        auroc=area(everything),
        taken_for_cells=pooled,
        kinds=tuple(KindDetection(kind, area(values), passing(values)) for kind, values in strange.items()),
    )


def detection_estimate(detection: Detection, metric: str, *, kind: str | None) -> Estimate:
    """One number of a detection, as a criterion is judged on.

    ood_auroc: the area (a floor). ood_false_positive_rate: the share of inputs without a cell that is taken for cells
    at the threshold (a ceiling).

    Args:
        kind: of the inputs without a cell; None for all of them together.
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


# --- checks -----------------------------------------------------------------------------------


def _scores(values: ArrayLike, name: str) -> Scores:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1:
        raise InvalidPredictions(f"{name} scores have shape {scores.shape}; give one number per input")
    if scores.size == 0:
        raise UndefinedStatistic(f"there are no {name} scores: an area or rate of 0 inputs does not exist; it is not 0")
    if np.isnan(scores).any():
        row = int(np.argmax(np.isnan(scores)))
        raise InvalidPredictions(
            f"{name} score {row} is not a number. An input that was refused has the score inf; it is not left out."
        )
    return scores


def _probabilities(values: ArrayLike) -> Scores:
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise InvalidPredictions(f"probabilities of shape {p.shape}; give one row per input and two classes or more")
    valid = (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1.0) <= SUMS_TO_ONE)  # False for NaN too
    if not valid.all():
        row = int(np.argmin(valid))
        raise InvalidPredictions(f"row {row} is not a distribution: {p[row]}. If these are logits, apply softmax.")
    return p


def _check_bound_level(level: float) -> None:
    check_level(level)
    if level <= 0.5:
        raise ValueError(f"level {level} is not above one half; a bound that is mostly wrong bounds nothing")
