"""Do the probabilities mean what they say, and what may be built on them?

Measures only, like `metrics`. Whatever is fitted here (a temperature, a conformal threshold) is fitted on one set and
applied to another that shares no image with it. Where patients, slides or sites are known, bounds are over them; what
chance alone shows (the simulated null, the cells that conformal sets promise to cover) counts cells as independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

from harness.core.errors import InvalidPredictions, UndefinedStatistic
from harness.core.numbers import SUMS_TO_ONE
from harness.metrics.calibration_records import (
    Binning,
    CalibrationMetrics,
    ClassCoverage,
    ConformalExpectation,
    ConformalResult,
    FittedOnTarget,
    NullCalibrationError,
    RatesTogether,
    ReliabilityBin,
    RiskCoverage,
    SelectiveGuarantee,
    Temperature,
)

# Named again, so that a caller finds the report's type where it finds the report.
from harness.metrics.calibration_records import CalibrationReport as CalibrationReport
from harness.metrics.classification import evaluate
from harness.metrics.clusters import Counted, counted_by_group, share_bounds
from harness.metrics.differential import count_biases
from harness.metrics.distributions import beta_quantile, betabinomial_quantile
from harness.metrics.intervals import check_level
from harness.metrics.predictions import Predictions
from harness.metrics.predictive_values import ppv_at_prevalence, prevalence_shift
from harness.metrics.referral import referral_of
from harness.protocol.records import ReferralPlan

SMALLEST_PROBABILITY = float(np.finfo(np.float64).tiny)
COLDEST, HOTTEST = 0.05, 20.0  # a fitted temperature outside says that the set cannot tell, not what T is
NULL_QUANTILE = 0.95
N_SIMULATIONS = 2000  # the 95th percentile is then known to about 0.5 points of its rank
CHUNK = 2_000_000  # simulated cells held in memory at once


# --- reliability ----------------------------------------------------------------------------------


def reliability_bins(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    n_bins: int,
    binning: Binning,
    groups: Sequence[str] | None = None,
) -> tuple[ReliabilityBin, ...]:
    """Cells sorted into bins by confidence. Together the bins cover [0, 1].

    Args:
        confidence: (n_cells,) largest probability of each cell.
        correct: (n_cells,) bool, or 0 and 1.
        binning: "equal-width": n_bins bins (i/n_bins, (i+1)/n_bins], some perhaps empty. "equal-mass": bins of as equal
            a number of cells as ties allow. Cells of equal confidence share a bin, so that the order of the cells
            changes nothing; there may be fewer than n_bins bins, none empty.
        groups: (n_cells,) whose cell each is; None where nobody knows.
    Raises:
        UndefinedStatistic: there are no cells.
    >>> [(b.upper, b.n, b.n_correct) for b in reliability_bins([0.2, 0.5, 0.9], [0, 1, 1], n_bins=2,
    ...                                                        binning="equal-width")]
    [(0.5, 2, 1), (1.0, 1, 1)]
    """
    confidence, correct = _checked(confidence, correct)
    edges = _edges(confidence, n_bins=n_bins, binning=binning)
    index = np.searchsorted(edges, confidence, side="left")  # the first edge that is not below: (lower, upper]
    n = np.bincount(index, minlength=len(edges))
    n_correct = np.bincount(index, weights=correct, minlength=len(edges))
    # fsum, because a sum in another order may differ in its last digit.
    means = [math.fsum(confidence[index == i]) / int(n[i]) if n[i] else None for i in range(len(edges))]
    lowers = [0.0, *edges[:-1].tolist()]
    return tuple(
        ReliabilityBin(
            lowers[i],
            float(edges[i]),
            int(n[i]),
            int(n_correct[i]),
            means[i],
            _counted(correct, groups, index == i),
        )
        for i in range(len(edges))
    )


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean over cells of |accuracy - mean confidence| of their bin, a fraction in [0, 1].

    Biased up, and moved by the bin rule: print the rule beside it and compare with `null_calibration_error`.

    Source: Naeini, Cooper and Hauskrecht (2015), AAAI-15:2901-2907.
    >>> ten = ReliabilityBin(0.8, 0.9, n=10, n_correct=6, mean_confidence=0.9)
    >>> round(expected_calibration_error([ten]), 6)
    0.3
    """
    filled = _filled(bins)
    return math.fsum(n * abs(hits / n - mean) for n, hits, mean in filled) / sum(n for n, _, _ in filled)


def maximum_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """The largest |accuracy - mean confidence| of a filled bin; a bin of one cell counts in full."""
    return max(abs(hits / n - mean) for n, hits, mean in _filled(bins))


def calibration_error_bounds(
    bins: Sequence[ReliabilityBin], *, level: float, assumed_correlation: float = 0.0
) -> tuple[float, float]:
    """Conservative one-sided bounds of the binned calibration error, each at `level`.

    What is bounded: sum over bins of n_b / n times |true accuracy of the bin's cells - their mean confidence|, given
    these bins and these confidences. Binning hides what cancels within a bin, so a low upper bound does not prove
    every probability right. Each filled bin's accuracy has exact Clopper-Pearson bounds at a Bonferroni share. (The
    cells of a bin differ in their chance of being right; the binomial is then the widest case, by Hoeffding.) Where
    bins know whose cells they hold, the bounds are `clusters.clustered_bounds`; Bonferroni holds whatever patients do.

    Returns:
        (lower, upper) as fractions in [0, 1].
    Source: Hoeffding (1956), Ann. Math. Statist. 27:713-721; Kumar, Liang and Ma (2019), NeurIPS, on what bins hide.
    >>> ten = ReliabilityBin(0.8, 0.9, n=10, n_correct=6, mean_confidence=0.9)
    >>> [round(bound, 3) for bound in calibration_error_bounds([ten], level=0.95)]
    [0.022, 0.596]
    """
    check_level(level)
    filled = [(each, each.n, each.mean_confidence) for each in bins if each.mean_confidence is not None]
    share = (1.0 - level) / len(_filled(bins))
    lower = upper = 0.0

    def bounds(found: ReliabilityBin, at: float) -> tuple[float, float]:
        correlation = assumed_correlation
        return share_bounds(found.n_correct, found.n, found.by_group, assumed_correlation=correlation, level=at)

    for found, n, mean in filled:
        # The lower bound is above the truth if the accuracy is missed on either side, so each side has half a share.
        # The upper bound is below the truth only if it is missed on the side away from the confidence: a full share.
        low, high = bounds(found, 1.0 - share / 2)
        lower += n * max(low - mean, mean - high, 0.0)
        low, high = bounds(found, 1.0 - share)
        upper += n * max(high - mean, mean - low)
    total = sum(n for _, n, _ in filled)
    return lower / total, upper / total


def null_calibration_error(
    confidence: ArrayLike,
    *,
    n_bins: int,
    binning: Binning,
    quantile: float,
    rng: np.random.Generator,
    n_simulations: int,
) -> NullCalibrationError:
    """The expected calibration error of a classifier of these confidences that is perfectly calibrated.

    Each simulation draws every cell as correct with probability its confidence. An observed error above the 95th
    percentile is more than chance explains; one below proves nothing more than that.

    Args:
        quantile: which percentile is `limit`, a fraction in (0, 1).
    Source: Vaicenavicius et al. (2019), AISTATS, PMLR 89:3459-3467 (consistency resampling).
    """
    if not 0.0 < quantile < 1.0 or n_simulations < 1:
        raise ValueError(
            f"quantile {quantile} of {n_simulations} simulations: give a fraction in (0, 1) of at least one simulation"
        )
    cells = np.asarray(confidence, dtype=np.float64)
    confidence = np.sort(_checked(cells, np.zeros(cells.shape))[0])  # the order of the cells changes nothing
    index = np.searchsorted(_edges(confidence, n_bins=n_bins, binning=binning), confidence, side="left")
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    expected = np.add.reduceat(confidence, starts)
    errors = []
    for n in _chunks(n_simulations, size=max(1, CHUNK // len(confidence))):
        hits = np.add.reduceat(rng.random((n, len(confidence))) < confidence, starts, axis=1, dtype=np.int64)
        errors.append(np.abs(hits - expected).sum(axis=1) / len(confidence))
    simulated = np.concatenate(errors)
    limit = float(np.quantile(simulated, quantile))
    return NullCalibrationError(float(simulated.mean()), quantile, limit, len(confidence), n_simulations)


# --- proper scores --------------------------------------------------------------------------------


def top_label_brier(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Mean squared difference between confidence and being right (1 or 0), a number in [0, 1].

    Source: Brier (1950), Mon. Weather Rev. 78:1-3, for the event "the predicted class is right".
    >>> round(top_label_brier([0.95, 0.85, 0.75, 0.65, 0.55], [1, 1, 0, 1, 0]), 6)
    0.2025
    """
    confidence, correct = _checked(confidence, correct)
    return math.fsum((confidence - correct) ** 2) / len(confidence)


def multiclass_brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean over cells of the squared distance to the reference class, summed over classes: in [0, 2], not halved.

    Source: Brier (1950), Mon. Weather Rev. 78:1-3.
    >>> round(multiclass_brier([[0.8, 0.2], [0.6, 0.4]], [0, 1]), 6)
    0.4
    """
    probabilities, labels = _checked_probabilities(probabilities, labels)
    reference = np.eye(probabilities.shape[1])[labels]
    return math.fsum(((probabilities - reference) ** 2).sum(axis=1)) / len(labels)


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of -log(probability of the reference class), in nats.

    Returns:
        math.inf where one reference class was given probability exactly 0. Nothing is clipped: that cell was called
        impossible, and an average that hides it depends on the clipping alone.
    >>> negative_log_likelihood([[1.0, 0.0]], [1])
    inf
    """
    probabilities, labels = _checked_probabilities(probabilities, labels)
    reference = probabilities[np.arange(len(labels)), labels]
    if not reference.all():
        return math.inf
    return -math.fsum(np.log(reference)) / len(labels)


# --- temperature ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class TemperatureScaled:
    """Predictions after temperature scaling, beside the temperature and where it came from."""

    predictions: Predictions
    temperature: Temperature


def fit_temperature(probabilities: ArrayLike, labels: ArrayLike, *, fitted_on: str, digest: str) -> Temperature:
    """The temperature that makes these labels most likely.

    Logits are taken as log p, which differs from the real logits by a constant per cell that softmax forgets. A
    probability below the smallest normal float (an underflow, mostly exact 0) is lifted to it and counted.

    The likelihood is concave in 1/T, so its slope has at most one zero; Brent's method finds it within
    [0.05, 20]. Where the slope has no zero there (every cell right drives T to 0, worse than chance drives it to
    infinity) the nearer end is returned with at_bound. Where every row is uniform, any T is as good: 1 is returned.

    Args:
        fitted_on, digest: the set's name and digest, for the record. With `Predictions`, use `temperature_scaled`.
    Raises:
        UndefinedStatistic: there are no cells.
    Source: Guo et al. (2017), ICML, PMLR 70:1321-1330.
    """
    probabilities, labels = _checked_probabilities(probabilities, labels)
    logits = _logits(probabilities)
    reference = logits[np.arange(len(labels)), labels]

    def nll(temperature: float) -> float:
        return float(np.mean(logsumexp(logits / temperature, axis=1) - reference / temperature))

    def slope(log_temperature: float) -> float:
        """Derivative of the NLL by 1/T."""
        weights = softmax(logits / math.exp(log_temperature), axis=1)
        return math.fsum((weights * logits).sum(axis=1) - reference) / len(labels)

    cold, hot = math.log(COLDEST), math.log(HOTTEST)
    at_bound = False
    if not logits.any():
        value = 1.0
    elif slope(cold) <= 0:
        value, at_bound = COLDEST, True
    elif slope(hot) >= 0:
        value, at_bound = HOTTEST, True
    else:
        value = math.exp(brentq(slope, cold, hot, xtol=1e-12))
    n_clipped = int(np.sum(probabilities < SMALLEST_PROBABILITY))
    return Temperature(value, nll(1.0), nll(value), len(labels), fitted_on, digest, n_clipped, at_bound)


def apply_temperature(probabilities: ArrayLike, temperature: float) -> np.ndarray:
    """The same classes, more or less certain: softmax(log p / T).

    The predicted class of no cell changes, ties included. The order of cells by confidence may.

    >>> apply_temperature([[0.9, 0.1]], 2.0).round(3).tolist()
    [[0.75, 0.25]]
    """
    if not 0.0 < temperature < math.inf:
        raise ValueError(f"temperature {temperature} is not a positive number; fit one with fit_temperature")
    probabilities = np.asarray(probabilities, dtype=np.float64)
    scaled = np.asarray(softmax(_logits(probabilities) / temperature, axis=1))
    # Two probabilities one rounding apart may become one number; then the first of them would win, whichever had.
    winner = probabilities.argmax(axis=1)
    for row in np.flatnonzero(scaled.argmax(axis=1) != winner):
        scaled[row, winner[row]] = np.nextafter(scaled[row].max(), np.inf)
    return scaled


def temperature_scaled(target: Predictions, *, fit: Predictions) -> TemperatureScaled:
    """The target's predictions at the temperature that was fitted on another set.

    Raises:
        FittedOnTarget: the two sets share an image.
        InvalidPredictions: their classes differ.
    """
    _refuse_shared(fit, target, what="temperature")
    temperature = fit_temperature(fit.probabilities, fit.labels, fitted_on=fit.set, digest=fit.digest)
    scaled = replace(target, probabilities=apply_temperature(target.probabilities, temperature.value))
    return TemperatureScaled(scaled, temperature)


# --- split conformal ------------------------------------------------------------------------------


def conformal_threshold(probabilities: ArrayLike, labels: ArrayLike, *, alpha: float) -> float:
    """The largest score, 1 - probability, with which a class is let into a cell's set.

    It is the calibration score of rank ceil((n + 1)(1 - alpha)). With fewer than 1/alpha - 1 cells there is no such
    rank.

    Args:
        alpha: the share of cells whose set may miss the reference class, a fraction in (0, 1).
    Returns:
        math.inf where there are too few cells: then every set is full, which covers and says nothing.
    Source: Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World; Sadinle, Lei and Wasserman
        (2019), J. Am. Stat. Assoc. 114:223-234, for this score.
    """
    n = len(np.asarray(labels))
    rank = _rank(n, alpha=alpha)
    if rank > n:
        return math.inf
    probabilities, labels = _checked_probabilities(probabilities, labels)
    scores = np.sort(1.0 - probabilities[np.arange(n), labels])
    return float(scores[rank - 1])


def conformal_sets(probabilities: ArrayLike, threshold: float) -> np.ndarray:
    """(n_cells, n_classes) bool: which classes are in each cell's set. A set may be empty.

    >>> conformal_sets([[0.7, 0.3], [0.5, 0.5]], 0.4).tolist()
    [[True, False], [False, False]]
    """
    return np.asarray(1.0 - np.asarray(probabilities, dtype=np.float64) <= threshold)


def conformal_expectation(n_calibration: int, n_fresh: int, *, alpha: float) -> ConformalExpectation:
    """What sets calibrated on so many cells promise of n_fresh cells from the same population.

    The coverage that one calibration set gives is Beta(rank, n + 1 - rank) over calibration sets, and the covered
    fresh cells are Beta-Binomial, if scores do not tie; ties only cover more.

    Source: Vovk (2012), ACML, PMLR 25:475-490; the count of fresh cells is the binomial mixed over that Beta.
    >>> expected = conformal_expectation(375, 375, alpha=0.05)
    >>> expected.rank, round(expected.mean, 6), expected.hits_low, expected.hits_high
    (358, 0.952128, 344, 367)
    """
    rank = _rank(n_calibration, alpha=alpha)
    if rank > n_calibration:  # full sets cover everything
        return ConformalExpectation(alpha, n_calibration, n_fresh, rank, 1.0, 1.0, 1.0, n_fresh, n_fresh)
    a, b = rank, n_calibration + 1 - rank
    low, high = (beta_quantile(q, a, b) for q in (0.05, 0.95))
    hits_low, hits_high = (betabinomial_quantile(q, n_fresh, a, b) for q in (0.025, 0.975))
    mean = rank / (n_calibration + 1)
    return ConformalExpectation(alpha, n_calibration, n_fresh, rank, mean, low, high, hits_low, hits_high)


def conformal_result(calibration: Predictions, target: Predictions, *, alpha: float) -> ConformalResult:
    """Prediction sets for the target, with a threshold from the calibration set, and whether they cover.

    Coverage is promised on average over the classes, not for each: a rare class may be covered far less.

    Raises:
        FittedOnTarget: the two sets share an image.
        InvalidPredictions: their classes differ.
        UndefinedStatistic: the target has no cells.
    """
    _refuse_shared(calibration, target, what="conformal threshold")
    n = len(target.labels)
    if n == 0:
        raise UndefinedStatistic(f"set {target.set!r} has no cells, so no coverage; it is not 0. Report it undefined.")
    threshold = conformal_threshold(calibration.probabilities, calibration.labels, alpha=alpha)
    expected = conformal_expectation(len(calibration.labels), n, alpha=alpha)
    sets = conformal_sets(target.probabilities, threshold)
    covered, sizes = sets[np.arange(n), target.labels], sets.sum(axis=1)
    if target.other is not None:
        covered &= target.other < 0  # a set that holds one of two labels misses the other
    hits = int(covered.sum())
    return ConformalResult(
        alpha=alpha,
        calibrated_on=calibration.set,
        n_calibration=len(calibration.labels),
        rank=expected.rank,
        threshold=threshold if math.isfinite(threshold) else None,
        covered=hits,
        n=n,
        mean_set_size=float(sizes.mean()),
        n_empty=int(np.sum(sizes == 0)),
        n_single=int(np.sum(sizes == 1)),
        n_multiple=int(np.sum(sizes > 1)),
        per_class=tuple(
            ClassCoverage(name, int(covered[target.labels == i].sum()), int(np.sum(target.labels == i)))
            for i, name in enumerate(target.classes)
        ),
        expected=expected,
        in_range=expected.hits_low <= hits <= expected.hits_high,
        by_group=_counted(covered, target.groups),
    )


# --- selective prediction -------------------------------------------------------------------------


def risk_coverage_curve(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """How many errors remain if the least confident cells are referred to a person.

    Cells of equal confidence are accepted together: no threshold can part them. The area is the mean, over cells, of
    the risk at the cell's own confidence, so tied cells all count the risk of their whole group.

    Source: Geifman, Uziel and El-Yaniv (2019), ICLR (AURC and its excess).
    >>> curve = risk_coverage_curve([0.95, 0.85, 0.75, 0.65, 0.55], [1, 1, 0, 1, 0])
    >>> round(curve.aurc, 6), round(curve.best_aurc, 6), round(curve.excess, 6)
    (0.196667, 0.13, 0.066667)
    """
    confidence, correct = _checked(confidence, correct)
    n = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    falling, wrong = confidence[order], np.cumsum(~correct[order])
    ends = np.flatnonzero(np.diff(falling, append=-1.0))  # the last cell of each run of equal confidences
    accepted, errors = ends + 1, wrong[ends]
    risks = errors / accepted
    n_correct = n - int(wrong[-1])
    best = math.fsum(max(0, i - n_correct) / i for i in range(1, n + 1)) / n
    aurc = math.fsum(np.diff(accepted, prepend=0) * risks) / n
    return RiskCoverage(
        n=n,
        thresholds=tuple(falling[ends].tolist()),
        n_accepted=tuple(accepted.tolist()),
        n_errors=tuple(errors.tolist()),
        coverages=tuple((accepted / n).tolist()),
        risks=tuple(risks.tolist()),
        aurc=aurc,
        best_aurc=best,
        excess=max(0.0, aurc - best),  # rounding may land an ulp below
    )


def selective_guarantee(
    errors: int,
    accepted: int,
    *,
    level: float,
    thresholds_tried: int,
    by_group: Counted | None = None,
    assumed_correlation: float = 0.0,
) -> SelectiveGuarantee:
    """How high the risk among accepted cells may be: Clopper-Pearson upper bound, Bonferroni over thresholds tried.

    Args:
        by_group: (errors, accepted cells) of each patient, whose bound is then that of `clusters.clustered_bounds`.
        thresholds_tried: how many acceptance rules were tried on these very cells; 1 only if the rule was fixed before.
    Raises:
        UndefinedStatistic: no cell was accepted.
    >>> round(selective_guarantee(0, 300, level=0.95, thresholds_tried=1).upper, 6)
    0.009936
    """
    if thresholds_tried < 1:
        raise ValueError(f"{thresholds_tried} thresholds tried: at least the one that was used counts; pass 1 or more")
    check_level(level)
    each = 1.0 - (1.0 - level) / thresholds_tried
    _, upper = share_bounds(errors, accepted, by_group, assumed_correlation=assumed_correlation, level=each)
    return SelectiveGuarantee(errors, accepted, errors / accepted, upper, level, thresholds_tried)


# --- all of it ------------------------------------------------------------------------------------


def calibration_report(
    fit: Predictions | None,
    target: Predictions,
    *,
    n_bins: int,
    binning: Binning,
    alpha: float,
    level: float,
    prevalence: Mapping[str, float] | None,
    seed: int,
    intracluster_correlation: float = 0.0,
    rates_together: RatesTogether | None = "MOVER",
    counted: bool | None = True,
    referral: ReferralPlan | None = None,
) -> CalibrationReport:
    """Everything this module measures of one target set, with temperature and conformal threshold from `fit`.

    Args:
        fit: a set that shares no image with the target, such as validation. Without one nothing is fitted.
        alpha: the miss rate of the conformal sets.
        level: of every one-sided bound, each on its own.
        prevalence: class -> fraction where the classifier is to be used, or None.
        seed: of the simulated null; kept in the report, so that the same report can be made again.
        intracluster_correlation: the least that is assumed of cells of one group; without groups it changes nothing.
        rates_together: as `ppv_at_prevalence` takes it of independent cells; None as an older judge did.
        referral: the risk that a threshold of confidence, chosen on `fit`, has to keep; None asks for none.
        counted: whether differential counts are compared with the prevalence; None of an older judge, which did not.
    Raises:
        FittedOnTarget, InvalidPredictions, UndefinedStatistic: as the parts do.
    """
    scaled = None if fit is None else temperature_scaled(target, fit=fit)
    conformal = None if fit is None else conformal_result(fit, target, alpha=alpha)

    def measure(predictions: Predictions) -> CalibrationMetrics:
        # The same stream for both: what differs between before and after is then the confidences alone.
        rng = np.random.default_rng(seed)
        return _metrics(
            predictions, n_bins=n_bins, binning=binning, level=level, rng=rng, correlation=intracluster_correlation
        )

    evaluation = evaluate(target)
    return CalibrationReport(
        set=target.set,
        digest=target.digest,
        n=len(target.labels),
        n_bins=n_bins,
        binning=binning,
        level=level,
        seed=seed,
        temperature=None if scaled is None else scaled.temperature,
        before=measure(target),
        after=None if scaled is None else measure(scaled.predictions),
        conformal=conformal,
        risk_coverage=risk_coverage_curve(target.confidence, target.correct),
        selective=None
        if conformal is None
        else _answered_alone(target, conformal, level=level, correlation=intracluster_correlation),
        ppv=None
        if prevalence is None
        else ppv_at_prevalence(
            evaluation.confusion,
            target.classes,
            prevalence,
            level=level,
            by_group=evaluation.by_group,
            assumed_correlation=intracluster_correlation,
            together=rates_together or "Bonferroni",
        ),
        shift=None
        if prevalence is None
        else prevalence_shift(
            np.bincount(target.labels, minlength=len(target.classes)).tolist(), target.classes, prevalence
        ),
        counts=None
        if prevalence is None or not counted
        else count_biases(
            evaluation.confusion,
            target.classes,
            prevalence,
            level=level,
            by_group=evaluation.by_group,
            assumed_correlation=intracluster_correlation,
        ),
        referral=None
        if referral is None or fit is None
        else referral_of(
            fit,
            target,
            max_risk=referral.max_risk,
            level=referral.level,
            assumed_correlation=intracluster_correlation,
        ),
        grouped_by=evaluation.grouped_by if evaluation.grouped else None,
        rates_together="Bonferroni" if rates_together and evaluation.grouped else rates_together,
    )


def _answered_alone(
    target: Predictions, conformal: ConformalResult, *, level: float, correlation: float
) -> SelectiveGuarantee | None:
    """The errors among cells whose set holds one class; None where no set does."""
    single = conformal_sets(target.probabilities, _threshold(conformal)).sum(axis=1) == 1
    errors, accepted = int(np.sum(~target.correct[single])), int(single.sum())
    if not accepted:
        return None
    by_group = _counted(~target.correct, target.groups, single)
    return selective_guarantee(
        errors, accepted, level=level, thresholds_tried=1, by_group=by_group, assumed_correlation=correlation
    )


def _metrics(
    predictions: Predictions,
    *,
    n_bins: int,
    binning: Binning,
    level: float,
    rng: np.random.Generator,
    correlation: float,
) -> CalibrationMetrics:
    confidence, correct = predictions.confidence, predictions.correct
    bins = reliability_bins(confidence, correct, n_bins=n_bins, binning=binning, groups=predictions.groups)
    ece = expected_calibration_error(bins)
    lower, upper = calibration_error_bounds(bins, level=level, assumed_correlation=correlation)
    null = null_calibration_error(
        confidence, n_bins=n_bins, binning=binning, quantile=NULL_QUANTILE, rng=rng, n_simulations=N_SIMULATIONS
    )
    reference = predictions.probabilities[np.arange(len(correct)), predictions.labels]
    nll = negative_log_likelihood(predictions.probabilities, predictions.labels)
    return CalibrationMetrics(
        n=len(correct),
        n_correct=int(correct.sum()),
        bins=bins,
        ece=ece,
        ece_lower=lower,
        ece_upper=upper,
        mce=maximum_calibration_error(bins),
        top_label_brier=top_label_brier(confidence, correct),
        multiclass_brier=multiclass_brier(predictions.probabilities, predictions.labels),
        nll=nll if math.isfinite(nll) else None,
        n_impossible=int(np.sum(reference == 0)),
        null=null,
        # Near certainty the null is one value, and the observed error may be that value but for rounding.
        exceeds_null=ece > null.limit + SUMS_TO_ONE,
    )


def _counted(success: np.ndarray, groups: Sequence[str] | None, chosen: np.ndarray | None = None) -> Counted | None:
    """What the chosen cells come to, group by group; None where groups are not known."""
    if groups is None:
        return None
    rows = np.flatnonzero(np.ones(len(groups), dtype=bool) if chosen is None else chosen)
    return counted_by_group(success[rows], [groups[row] for row in rows.tolist()]) if rows.size else ()


def _threshold(conformal: ConformalResult) -> float:
    return math.inf if conformal.threshold is None else conformal.threshold


def _edges(confidence: np.ndarray, *, n_bins: int, binning: Binning) -> np.ndarray:
    """Upper edges of the bins, rising, the last at 1."""
    if n_bins < 1:
        raise ValueError(f"{n_bins} bins hold no cell; pass n_bins of 1 or more, such as 15")
    if binning == "equal-width":
        # Each edge is one division: 7 / 10 is the float 0.7, which a running sum of 0.1 is not.
        return np.arange(1, n_bins + 1) / n_bins
    if binning == "equal-mass":
        n = len(confidence)
        ranks = -(-n * np.arange(1, n_bins) // n_bins)  # ceil(n i / n_bins): sizes differ by at most one
        edges = np.sort(confidence)[ranks[ranks > 0] - 1]
        return np.unique(np.append(edges[edges < confidence.max()], 1.0))
    raise ValueError(f"unknown binning {binning!r}; known are 'equal-width' and 'equal-mass'")


def _filled(bins: Sequence[ReliabilityBin]) -> list[tuple[int, int, float]]:
    filled = [(b.n, b.n_correct, b.mean_confidence) for b in bins if b.mean_confidence is not None]
    if not filled:
        raise UndefinedStatistic("a calibration error of no cells does not exist; it is not 0. Report it as undefined.")
    return filled


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """log p, less each row's largest: that one is exactly 0."""
    logits = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    return np.asarray(logits - logits.max(axis=1, keepdims=True))


def _rank(n_calibration: int, *, alpha: float) -> int:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha {alpha} is not a fraction in (0, 1); write 0.05 for sets that miss 5 %")
    # In floats (n + 1)(1 - 0.05) may end a hair above a whole number; this is the decimal that the caller wrote.
    return math.ceil((n_calibration + 1) * (1 - Fraction(repr(float(alpha)))))


def _chunks(total: int, *, size: int) -> Iterator[int]:
    for start in range(0, total, size):
        yield min(size, total - start)


def _checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """(confidence as float64 in [0, 1], correct as bool), both (n,) with n at least 1."""
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct)
    if confidence.ndim != 1 or confidence.shape != correct.shape:
        raise InvalidPredictions(
            f"confidence of shape {confidence.shape} beside correct of shape {correct.shape}; give one of each per cell"
        )
    if confidence.size == 0:
        raise UndefinedStatistic("the calibration of 0 cells does not exist; it is not 0. Report it as undefined.")
    valid = (confidence >= 0) & (confidence <= 1 + SUMS_TO_ONE)  # False for NaN too
    if not valid.all():
        cell = int(np.argmin(valid))
        raise InvalidPredictions(f"confidence of cell {cell} is {confidence[cell]}, no probability; apply softmax")
    if not np.isin(correct, (0, 1)).all():
        raise InvalidPredictions("correct holds values other than 0 and 1; pass predicted == label")
    return np.minimum(confidence, 1.0), correct.astype(bool)


def _checked_probabilities(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if labels.size == 0:
        raise UndefinedStatistic("the likelihood of 0 cells does not exist; it is not 0. Report it as undefined.")
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or labels.dtype.kind not in "iu":
        raise InvalidPredictions(
            f"probabilities of shape {probabilities.shape} beside {labels.dtype} labels of shape {labels.shape}; give "
            "one row and one integer label per cell"
        )
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise InvalidPredictions(f"labels {labels.min()} to {labels.max()} for {probabilities.shape[1]} columns")
    sums = probabilities.sum(axis=1)
    valid = (probabilities >= 0).all(axis=1) & (np.abs(sums - 1) <= SUMS_TO_ONE)  # False for NaN too
    if not valid.all():
        row = int(np.argmin(valid))
        raise InvalidPredictions(
            f"row {row} is not a distribution: {probabilities[row]}. If these are logits, apply softmax."
        )
    return probabilities, labels


def _refuse_shared(fit: Predictions, target: Predictions, *, what: str) -> None:
    if fit.classes != target.classes:
        raise InvalidPredictions(
            f"set {fit.set!r} has classes {fit.classes} and set {target.set!r} has {target.classes}; a {what} fitted "
            "on the one means nothing on the other. Score both with the same classifier."
        )
    known = set(fit.digests)
    shared = [path for path, digest in zip(target.paths, target.digests, strict=True) if digest in known]
    if shared:
        raise FittedOnTarget(
            f"{what} fitted on the set that it is applied to: {len(shared)} of {len(target.paths)} images of "
            f"{target.set!r} are also in {fit.set!r}, first {shared[0]!r}. Fit it on a set that shares no image with "
            "the target, such as validation."
        )
