"""Do the probabilities mean what they say, and what may be built on them?

Measures only, like `metrics`. Whatever is fitted here (a temperature, a conformal threshold) is fitted on one set and
applied to another that shares no image with it. Where patients, slides or sites are known, bounds are over them; what
chance alone shows (the simulated null, the cells that conformal sets promise to cover) counts cells as independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from harness.core.numbers import SUMS_TO_ONE
from harness.metrics.calibration_records import (
    Binning,
    CalibrationMetrics,
    ConformalResult,
    RatesTogether,
    SelectiveGuarantee,
)
from harness.metrics.calibration_records import CalibrationReport as CalibrationReport
from harness.metrics.classification import evaluate
from harness.metrics.conformal import conformal_result, conformal_sets, tallied, threshold_of
from harness.metrics.differential import count_biases
from harness.metrics.predictions import Predictions
from harness.metrics.predictive_values import ppv_at_prevalence, prevalence_shift
from harness.metrics.referral import referral_of
from harness.metrics.reliability import (
    N_SIMULATIONS,
    NULL_QUANTILE,
    calibration_error_bounds,
    expected_calibration_error,
    maximum_calibration_error,
    null_calibration_error,
    reliability_bins,
)
from harness.metrics.scoring_rules import multiclass_brier, negative_log_likelihood, top_label_brier
from harness.metrics.selective import risk_coverage_curve, selective_guarantee
from harness.metrics.temperature import temperature_scaled
from harness.protocol.statistics import ReferralPlan

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
    rates_together: RatesTogether | None = "MOVER of many",
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
    single = conformal_sets(target.probabilities, threshold_of(conformal)).sum(axis=1) == 1
    errors, accepted = int(np.sum(~target.correct[single])), int(single.sum())
    if not accepted:
        return None
    by_group = tallied(~target.correct, target.groups, single)
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
