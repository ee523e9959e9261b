"""Can the confidences be believed? A calibration report's numbers as estimates that a criterion can be judged on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.metrics.calibration import calibration_error_bounds, ppv_at_prevalence
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.estimates import (
    CELLS_COUNTED,
    DISPLAY_LEVEL,
    INDEPENDENCE_UNKNOWN,
    Estimate,
    Evaluation,
    Unavailable,
)
from harness.metrics.intervals import clopper_pearson_bounds, wilson_interval
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.protocol.needs import ANSWERS_ON_VALIDATION, PROBABILITIES

# Where chance explains more than this, a calibration error that anybody would mind could not be found.
MOST_EXPLAINED_BY_CHANCE = 0.1


def calibration_estimate(
    report: CalibrationReport | Unavailable,
    evaluation: Evaluation | Unavailable,
    metric: str,
    *,
    cell_class: str | None,
    prevalence: Mapping[str, float] | None,
    level: float,
) -> Estimate | Unavailable:
    """One calibration metric of one set with one-sided bounds at `level`; of a set that is not there, why.

    calibration_error: expected calibration error of the probabilities as the classifier gives them.
    excess_calibration_error: how far it lies above what a calibrated classifier of these confidences would show by
        chance; 0 where it does not. A number that was computed, not sampled: it has no interval.
    conformal_coverage: the share of cells whose split-conformal set, calibrated on validation, holds their class.
    ppv: positive predictive value of a class at the protocol's prevalence.
    """
    if isinstance(report, Unavailable):
        return report
    assert isinstance(evaluation, Evaluation)  # a set with a report was evaluated
    found: Estimate | Unavailable
    if metric == "calibration_error":
        found = _calibration_error(report, level)
    elif metric == "excess_calibration_error":
        found = _excess(report)
    elif metric == "conformal_coverage":
        found = _coverage(report, level)
    else:
        assert prevalence is not None and cell_class is not None  # the protocol has both where a criterion asks
        found = _ppv(evaluation, cell_class, prevalence, level)
    if isinstance(found, Unavailable):
        return found
    # None of these bounds knows of patients.
    return replace(found, note=f"{found.note}; {CELLS_COUNTED if evaluation.grouped else INDEPENDENCE_UNKNOWN}")


def _calibration_error(report: CalibrationReport, level: float) -> Estimate:
    found = report.before
    lower, upper = calibration_error_bounds(found.bins, level=level)
    return Estimate(
        "calibration_error",
        report.set,
        None,
        found.ece,
        lower,
        upper,
        level,
        "Clopper-Pearson in every filled bin, Bonferroni",
        n=report.n,
        support=report.n,
        note=f"{report.n_bins} {report.binning} bins, half-open (lo, hi]; a calibrated classifier of these "
        f"confidences shows {found.null.mean:.4f} on average, {found.null.limit:.4f} at most in 95 of 100 sets",
    )


def _excess(report: CalibrationReport) -> Estimate:
    found = report.before
    if found.null.limit > MOST_EXPLAINED_BY_CHANCE:
        missing = f"with {report.n} cells chance alone explains a calibration error of {found.null.limit:.3f}"
        return Estimate(
            "excess_calibration_error",
            report.set,
            None,
            None,
            None,
            None,
            1.0,
            "computed against a simulated null",
            n=report.n,
            note=f"{missing}: too few to find any",
            support=report.n,
        )
    excess = found.ece - found.null.limit if found.exceeds_null else 0.0
    return Estimate(
        "excess_calibration_error",
        report.set,
        None,
        excess,
        excess,
        excess,
        1.0,
        "computed against a simulated null",
        n=report.n,
        support=report.n,
        note=f"calibration error {found.ece:.4f}; of {found.null.n_simulations:,} simulated sets of a calibrated "
        f"classifier 95 % stay below {found.null.limit:.4f}",
    )


def _coverage(report: CalibrationReport, level: float) -> Estimate | Unavailable:
    found = report.conformal
    if found is None:
        return Unavailable("no set to calibrate conformal sets on")
    expected = found.expected
    if found.threshold is None:  # sets that hold every class cover everything and say nothing
        missing = f"{found.n_calibration} cells of {found.calibrated_on} are too few to miss only {found.alpha:g}"
        return Estimate(
            "conformal_coverage", report.set, None, None, None, None, level, "Clopper-Pearson", n=found.n, note=missing
        )
    lower, upper = clopper_pearson_bounds(found.covered, found.n, level=level)
    return Estimate(
        "conformal_coverage",
        report.set,
        None,
        found.covered / found.n,
        lower,
        upper,
        level,
        "Clopper-Pearson",
        k=found.covered,
        n=found.n,
        display=wilson_interval(found.covered, found.n, level=DISPLAY_LEVEL),
        support=found.n,
        note=f"sets that may miss {found.alpha:g}, calibrated on {found.n_calibration} cells of "
        f"{found.calibrated_on}; of exchangeable cells {expected.hits_low} to {expected.hits_high} would be "
        f"covered; mean size {found.mean_set_size:.3g}",
    )


def _ppv(evaluation: Evaluation, cell_class: str, prevalence: Mapping[str, float], level: float) -> Estimate:
    found = next(
        each
        for each in ppv_at_prevalence(evaluation.confusion, evaluation.classes, prevalence, level=level)
        if each.cell_class == cell_class
    )
    return Estimate(
        "ppv",
        evaluation.set,
        cell_class,
        found.value,
        found.lower,
        found.upper,
        level,
        "Clopper-Pearson of every class's rate, Bonferroni",
        n=evaluation.n,
        support=evaluation.support[cell_class],
        note=found.note or f"at a share of {found.prevalence:g} of the cells met",
    )


def _measure(name: str) -> Callable[[Measurements, Subject, float], Estimate | Unavailable]:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        prevalence = measurements.protocol.prevalence
        return calibration_estimate(
            measurements.calibration(subject.set),
            measurements.evaluation(subject.set),
            name,
            cell_class=subject.cell_class,
            prevalence=prevalence.shares if prevalence is not None else None,
            level=level,
        )

    return measure


METRICS = (
    Metric(
        name="calibration_error",
        questions=("calibration",),
        meaning="Expected calibration error (ECE) of the probabilities as the classifier gives them.",
        higher_is_better=False,
        measure=_measure("calibration_error"),
    ),
    Metric(
        name="excess_calibration_error",
        questions=("calibration",),
        meaning="Calibration error beyond what a calibrated classifier of these confidences would show by chance.",
        higher_is_better=False,
        measure=_measure("excess_calibration_error"),
    ),
    Metric(
        name="conformal_coverage",
        questions=("calibration",),
        meaning="The share of cells whose split-conformal set, calibrated on validation, holds their class.",
        needs=frozenset({PROBABILITIES, ANSWERS_ON_VALIDATION}),
        measure=_measure("conformal_coverage"),
        trials="cells",
    ),
    Metric(
        name="ppv",
        questions=("calibration",),
        meaning="Positive predictive value of a class at the protocol's prevalence.",
        per="class",
        measure=_measure("ppv"),
        protocol_table="prevalence",
    ),
)
