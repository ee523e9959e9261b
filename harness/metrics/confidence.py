"""Can the confidences be believed? A calibration report's numbers as estimates that a criterion can be judged on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.classification import not_counted
from harness.metrics.clusters import share_bounds, summary_of_groups
from harness.metrics.estimates import (
    CELLS_COUNTED,
    DISPLAY_LEVEL,
    INDEPENDENCE_UNKNOWN,
    Estimate,
    Evaluation,
    Interval,
    Unavailable,
)
from harness.metrics.intervals import wilson_interval
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.metrics.predictive_values import made_by, ppv_at_prevalence
from harness.metrics.reliability import calibration_error_bounds
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
    correlation = evaluation.intracluster_correlation
    if metric == "calibration_error":
        found = _calibration_error(report, correlation, level)
    elif metric == "excess_calibration_error":
        found = _excess(report)
    elif metric == "conformal_coverage":
        found = _coverage(report, correlation, level)
    else:
        assert prevalence is not None and cell_class is not None  # the protocol has both where a criterion asks
        found = _ppv(evaluation, cell_class, prevalence, level, report=report)
    if isinstance(found, Unavailable):
        return found
    return replace(found, note=f"{found.note}; {_independence(found, report, evaluation)}")


def _independence(found: Estimate, report: CalibrationReport, evaluation: Evaluation) -> str:
    """What a reader must know of how independent the cells of a number are."""
    if not evaluation.grouped:
        known = INDEPENDENCE_UNKNOWN
    elif report.grouped_by is None or found.is_exact:  # of an older judge, or by what chance alone explains
        known = CELLS_COUNTED
    else:
        n = int((evaluation.by_group.sum(axis=(1, 2)) > 0).sum()) if evaluation.by_group is not None else 0
        known = f"bounds over {n} {report.grouped_by}, intracluster correlation at least "
        known += f"{evaluation.intracluster_correlation:g}"
    return f"{known}; {not_counted(evaluation)}" if evaluation.n_left_out else known


def _calibration_error(report: CalibrationReport, correlation: float, level: float) -> Estimate:
    found = report.before
    lower, upper = calibration_error_bounds(found.bins, level=level, assumed_correlation=correlation)
    return Estimate(
        "calibration_error",
        report.set,
        None,
        found.ece,
        lower,
        upper,
        level,
        _clustered("Clopper-Pearson in every filled bin, Bonferroni", grouped=report.grouped_by is not None),
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


def _clustered(method: str, *, grouped: bool) -> str:
    return f"{method}, clustered" if grouped else method


def _coverage(report: CalibrationReport, correlation: float, level: float) -> Estimate | Unavailable:
    found = report.conformal
    if found is None:
        return Unavailable("no set to calibrate conformal sets on")
    expected = found.expected
    if found.threshold is None:  # sets that hold every class cover everything and say nothing
        missing = f"{found.n_calibration} cells of {found.calibrated_on} are too few to miss only {found.alpha:g}"
        return Estimate(
            "conformal_coverage", report.set, None, None, None, None, level, "Clopper-Pearson", n=found.n, note=missing
        )

    def bounds(level: float) -> tuple[float, float]:
        return share_bounds(found.covered, found.n, found.by_group, assumed_correlation=correlation, level=level)

    lower, upper = bounds(level)
    display, worth = wilson_interval(found.covered, found.n, level=DISPLAY_LEVEL), None
    if found.by_group is not None:
        display = Interval(*bounds(0.5 + DISPLAY_LEVEL / 2), DISPLAY_LEVEL, "clustered")
        worth = summary_of_groups(found.by_group, assumed_correlation=correlation).effective_n
    return Estimate(
        "conformal_coverage",
        report.set,
        None,
        found.covered / found.n,
        lower,
        upper,
        level,
        _clustered("Clopper-Pearson", grouped=found.by_group is not None),
        k=found.covered,
        n=found.n,
        display=display,
        support=found.n,
        effective_n=worth,
        note=f"sets that may miss {found.alpha:g}, calibrated on {found.n_calibration} cells of "
        f"{found.calibrated_on}; of exchangeable cells {expected.hits_low} to {expected.hits_high} would be "
        f"covered; mean size {found.mean_set_size:.3g}",
    )


def _ppv(
    evaluation: Evaluation, cell_class: str, prevalence: Mapping[str, float], level: float, *, report: CalibrationReport
) -> Estimate:
    grouped = report.grouped_by is not None
    supports = [n for name, n in evaluation.support.items() if prevalence[name] > 0]
    together = made_by(report.rates_together or "Bonferroni", supports, level=level)
    every = ppv_at_prevalence(
        evaluation.confusion,
        evaluation.classes,
        prevalence,
        level=level,
        by_group=evaluation.by_group if grouped else None,
        assumed_correlation=evaluation.intracluster_correlation,
        together=together,
    )
    found = next(each for each in every if each.cell_class == cell_class)
    return Estimate(
        "ppv",
        evaluation.set,
        cell_class,
        found.value,
        found.lower,
        found.upper,
        level,
        _clustered(f"Clopper-Pearson of every class's rate, {together}", grouped=grouped),
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
        family="predictive value",
        questions=("calibration",),
        meaning="Positive predictive value of a class at the protocol's prevalence.",
        per="class",
        measure=_measure("ppv"),
        cells="all",
        protocol_table="prevalence",
    ),
)
