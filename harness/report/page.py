"""What does an auditor read? One run's records and figures in, one self-contained HTML page out.

The page has no script and loads nothing. It computes no statistic: `judge` does; here numbers are only written.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as files_of
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.core.errors import EvidenceError
from harness.core.text import visible
from harness.data.corruptions import AMOUNTS
from harness.judge.criteria import power, trials
from harness.judge.proofs import LEVEL as PROOF_LEVEL
from harness.judge.proofs import Proof, alarms, detection
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.calibration_records import CalibrationMetrics, CalibrationReport
from harness.metrics.classification import estimate, evaluate, joint_recall_bounds
from harness.metrics.comparison import Comparison, DiscordantCell, difference, remarks
from harness.metrics.estimates import DISPLAY_LEVEL, INDEPENDENCE_UNKNOWN, Estimate, Evaluation, Interval
from harness.metrics.gaps import generalisation_gap
from harness.metrics.paired import mcnemar_exact
from harness.metrics.predictions import Predictions
from harness.metrics.summary import measured_again
from harness.metrics.timing import images_per_second, latency
from harness.model.records import Timing
from harness.protocol.records import PARTS, Criterion
from harness.report import wording
from harness.report.counts import dataset_counts, part_counts
from harness.report.limits import absent_classes, limits_of, unit_kinds
from harness.run.results import RunResults

TEMPLATE, STYLE = "report.html.j2", "report.css"
# The page has no script and one style sheet: were a text from outside ever printed unescaped, it still could neither
# run, nor load or send anything, nor restyle the page.
POLICY = "default-src 'none'; img-src data:; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
LOOKS_RULES = {
    "look-number": "At the m-th look at a set its criteria are judged at 1 - (1 - level) / m.",
    "budget": "Each look of the protocol's budget has an equal share of 1 - level; after the last nothing passes.",
    "none": "The protocol corrects nothing for repeated looks:",
}
MOST_FINDINGS_SHOWN = 200

# A mark beside each word, so that no outcome is told by colour alone.
MARKS = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.INCONCLUSIVE: "?",
    Outcome.NOT_ASSESSED: "○",
    Outcome.NOT_JUDGED: "…",
}

# File stem -> (caption, what a reader who cannot see it is told).
CAPTIONS = {
    "class_distribution": (
        "Images per class",
        "Bar chart of the dataset's images per class; the table of sets has them.",
    ),
    "split_distribution": (
        "Images per class and part",
        "Bar chart of images per class and part, as in the table above.",
    ),
    "sample_images": (
        "Sample images of the train part",
        "A grid of images: one row per class, up to five images each.",
    ),
    "training_loss_phase1": ("Training, phase 1", "Losses and validation accuracy by epoch; the kept epoch is marked."),
    "training_loss_phase2": ("Training, phase 2", "Losses and validation accuracy by epoch; the kept epoch is marked."),
    "learning_rate_finder": ("Learning-rate finder", "Loss by learning rate, or a sentence that no finder was run."),
    "confusion_matrix_validation": ("Confusion matrix, validation", "The counts of the table on validation, shaded."),
    "confusion_matrix_test": ("Confusion matrix, test", "The counts of the table on test, shaded."),
    "confusion_matrix_external": ("Confusion matrices, external sets", "The counts of each external set, shaded."),
    "per_class_metrics": ("Recall, precision and F1 per class", "Points with whiskers; the per-class table has them."),
    "test_vs_external": ("Accuracy by set", "Points with whiskers; the table of accuracies has the same numbers."),
    "correct_predictions_test": ("Correctly classified test cells", "Images with reference label and confidence."),
    "incorrect_predictions_test": ("Misclassified test cells", "Images with reference, predicted class, confidence."),
}


CAPTIONS |= {
    "severity_curves": ("Accuracy over severity", "One panel a disturbance; the table has the counts."),
    "disturbances": ("What the severities look like", "Rows: disturbances; columns: severities, on one train cell."),
    "inputs_without_a_cell": ("Strangeness of cells and of inputs without one", "Histograms, with the threshold."),
}

# Stem before the set's name -> the same, for figures that each judged set has one of.
CAPTIONS_BY_SET = {
    "reliability_diagram": ("Accuracy against confidence", "The calibration table has the numbers."),
    "risk_coverage": (
        "Errors left if unsure cells are referred",
        "The share of errors by the share of cells answered.",
    ),
}


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One verdict in the words of the page."""

    verdict: Verdict
    mark: str
    subject: str
    value: str
    counts: str
    acting_bound: str
    other_bound: str
    requirement: str
    note: str

    @property
    def css_class(self) -> str:
        return self.verdict.outcome.value.replace(" ", "-")


@dataclass(frozen=True, slots=True)
class ClassRow:
    """What one class reached on one set; each a text such as "5/6 (83.33 %)", or "undefined"."""

    name: str
    support: int
    recall: str
    recall_interval: str
    joint_recall: str
    precision: str
    precision_interval: str
    f1: str


@dataclass(frozen=True, slots=True)
class SetResult:
    """One evaluated set. matrix: reference class -> counts, or None where it has no cells."""

    name: str
    classes: tuple[str, ...]
    n: int
    accuracy: str
    interval: str
    class_rows: tuple[ClassRow, ...]
    matrix: dict[str, list[int] | None]
    gates: tuple[VerdictRow, ...]
    absent: tuple[str, ...]
    predictions_digest: str
    macro_f1: str
    interval_method: str
    joint_method: str


@dataclass(frozen=True, slots=True)
class MisclassifiedCell:
    path: str
    digest: str
    reference: str
    predicted: str
    probabilities: tuple[str, ...]
    thumbnail: str | None


@dataclass(frozen=True, slots=True)
class SeedRow:
    seed: int
    accuracy: str
    interval: str


@dataclass(frozen=True, slots=True)
class PairedRow:
    """Candidate and baseline on all cells of a set, or on those of one class."""

    name: str
    n: int
    both_right: int
    gained: int
    lost: int
    both_wrong: int
    difference: str
    bounds: str
    interval: str
    p: str


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    name: str
    n: int
    n_changed: int
    rows: tuple[PairedRow, ...]
    remarks: tuple[str, ...]
    discordant: tuple[DiscordantCell, ...]


@dataclass(frozen=True, slots=True)
class PpvRow:
    name: str
    prevalence: str
    value: str
    bounds: str


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """measures: (what, as predicted, after temperature). coverage: (class, cells whose set holds it)."""

    name: str
    report: CalibrationReport
    measures: tuple[tuple[str, str, str], ...]
    temperature: str
    alpha: str
    covered: str
    coverage: tuple[tuple[str, str], ...]
    selective: str
    ppv: tuple[PpvRow, ...]
    shift: str


@dataclass(frozen=True, slots=True)
class ProbeRow:
    name: str
    sees: str
    right: str
    lower: str
    chance: str


@dataclass(frozen=True, slots=True)
class GapRow:
    name: str
    accuracy: str
    gap: str
    bounds: str
    is_worst: bool


@dataclass(frozen=True, slots=True)
class CurveRow:
    """cells: correct/all per severity, the agreed one in brackets."""

    kind: str
    meaning: str
    cells: tuple[str, ...]
    worst: str


@dataclass(frozen=True, slots=True)
class FlipRow:
    kind: str
    flips: str
    bounds: str
    became_wrong: int
    became_right: int


@dataclass(frozen=True, slots=True)
class DetectionRow:
    kind: str
    auroc: str
    bounds: str
    taken: str
    taken_bounds: str


@dataclass(frozen=True, slots=True)
class TimingRow:
    timing: Timing
    measure: str
    value: str
    bounds: str


def render_report(
    run: RunResults,
    *,
    figures: Mapping[str, bytes],
    thumbnails: Mapping[str, bytes] | None = None,
    files: Mapping[str, str] | None = None,
    ignored: Sequence[str] | None = None,
) -> str:
    """The report of a run, finished or stopped early.

    Args:
        figures: file stem -> PNG, as `draw_figures` made them from this very run.
        thumbnails: digest of a misclassified cell -> PNG, as `draw_thumbnails` made them.
        files: path in the pack -> SHA-256, of what was written before the report; listed in the evidence index.
        ignored: the manifest's ignored files; None where no manifest was read.
    Raises:
        EvidenceError: the run's records contradict one another; no page is better than a page with two truths.
    """
    _refuse_contradictions(run)
    results = {name: _set_result(run, evaluation) for name, evaluation in run.evaluations.items()}
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            run=run,
            verdicts=[_verdict_row(verdict) for verdict in run.verdicts],
            blocking=[_verdict_row(verdict) for verdict in run.verdicts if verdict.blocks],
            unmet=[_verdict_row(v) for v in run.verdicts if not (v.criterion.required or v.passed or v.not_asked)],
            not_asked=[verdict for verdict in run.verdicts if verdict.not_asked],
            waived=[verdict for verdict in run.verdicts if verdict.waiver is not None],
            tally=_tally(run),
            figures=dict(figures),
            files=dict(files or {}),
            results=results,
            internal=[results[name] for name in ("test", "validation") if name in results],
            external=[result for name, result in results.items() if name not in PARTS],
            external_plans={plan.name: plan for plan in run.protocol.external},
            absent_sets=[each for each in run.sets if each.absent_because is not None],
            looks_rule=f"{LOOKS_RULES[run.protocol.looks.correction]} {run.protocol.looks.reason or ''}".strip(),
            seeds=_seed_rows(run),
            comparisons=[_comparison_result(each) for each in run.comparisons.values()],
            calibrations=[_calibration_result(each) for each in run.calibrations.values()],
            probes=_probe_rows(run),
            gaps=_gap_rows(run),
            severities=_severities(run),
            curves=_curve_rows(run),
            flips=_flip_rows(run),
            detections=_detection_rows(run),
            thumbnails=dict(thumbnails or {}),
            misclassified=_misclassified_by_set(run, thumbnails or {}),
            dataset_counts=dataset_counts(run),
            part_counts=part_counts(run),
            unit_kinds=dict(unit_kinds(run.split)) if run.split is not None else {},
            facts=_image_facts(run),
            ignored=ignored,
            findings=run.integrity.findings[:MOST_FINDINGS_SHOWN] if run.integrity is not None else (),
            reproducibility=_agreement(run),
            timings=[_timing_row(timing) for timing in run.timings],
            proven=_proven(run.proof) if run.proof is not None else "",
            limits=limits_of(run),
        )
    )


def _proven(proof: Proof) -> str:
    """How many planted faults were caught, and how many clean controls raised an alarm, with their bounds."""
    caught, planted, least = detection(proof)
    raised, controls, most = alarms(proof)
    told = (
        f"{caught} of {planted} planted faults were caught by what must catch them: at least {wording.share(least)} of "
        f"faults like these would be (one-sided {wording.percent_of(PROOF_LEVEL)} bound)."
    )
    if controls:
        told += f" Of {controls} clean controls {raised} raised an alarm: at most {wording.share(most)} would."
    return told


def _environment() -> Environment:
    """Autoescaping is on for every template, whatever its name; a missing value is an error, not a blank."""
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= {
        "short": wording.short,
        "duration": wording.duration,
        "requirement": wording.requirement,
        "power": power,
        "trials": trials,
        "subject": _subject,
        "png": _data_uri,
        "date": _date,
    }
    css = (files_of("harness.report") / "templates" / STYLE).read_text(encoding="utf-8")
    environment.globals |= {
        "css": Markup(css),  # our own, the one text that is not escaped
        "policy": Markup(POLICY.format(base64.b64encode(hashlib.sha256(css.encode()).digest()).decode())),
        "caption_of": _caption_of,
        "INDEPENDENCE_UNKNOWN": INDEPENDENCE_UNKNOWN,
        "NOTHING": wording.NOTHING,
        "UNDEFINED": wording.UNDEFINED,
    }
    return environment


def _caption_of(name: str) -> tuple[str, str] | None:
    """(caption, alternative text) of a figure that has its place on the page."""
    if name in CAPTIONS:
        return CAPTIONS[name]
    for stem, (caption, alternative) in CAPTIONS_BY_SET.items():
        if name.startswith(f"{stem}_"):
            return f"{caption}, {name.removeprefix(f'{stem}_')}", alternative
    if name.startswith("training_loss_phase"):
        return f"Training, phase {name.removeprefix('training_loss_phase')}", CAPTIONS["training_loss_phase1"][1]
    return None


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _refuse_contradictions(run: RunResults) -> None:
    """Two records of one number must agree before either is printed."""
    asked, judged = [c.id for c in run.protocol.criteria], [v.criterion.id for v in run.verdicts]
    if sorted(asked) != sorted(judged):
        raise EvidenceError(
            f"run {run.run_id}: the protocol has the criteria {sorted(asked)}, the verdicts are on {sorted(judged)}. "
            "Give every criterion one verdict (harness.judge.criteria.complete) before writing evidence."
        )
    for name, evaluation in run.evaluations.items():
        if name in run.predictions and not np.array_equal(
            evaluate(run.predictions[name]).confusion, evaluation.confusion
        ):
            raise EvidenceError(
                f"run {run.run_id}: the confusion matrix of {name!r} is not that of its predictions. "
                "Evaluate the predictions that the pack holds."
            )
    for verdict in run.verdicts:
        criterion, found = verdict.criterion, verdict.estimate
        measured = run.evaluations.get(criterion.set)
        if found is None or measured is None or criterion.question not in ("accuracy", "external"):
            continue
        again = measured_again(run.protocol, measured, criterion.entry, found)
        if again is not None and (found.k, found.n) != (again.k, again.n):
            raise EvidenceError(
                f"run {run.run_id}: criterion {criterion.id} was judged on {found.k}/{found.n}, but the confusion "
                f"matrix of {criterion.set!r} gives {again.k}/{again.n}. Judge the evaluation that the pack holds."
            )


def _tally(run: RunResults) -> list[tuple[str, str, int, int]]:
    """(mark, word, how many required criteria, how many others) of each outcome that occurred."""
    counts = Counter((v.outcome, v.criterion.required) for v in run.verdicts)
    rows = [(MARKS[o], o.value, counts[o, True], counts[o, False]) for o in Outcome]
    return [row for row in rows if row[2] or row[3]]


def _verdict_row(verdict: Verdict) -> VerdictRow:
    criterion, found = verdict.criterion, verdict.estimate
    acting, other = wording.observed_bounds(criterion, found)
    return VerdictRow(
        verdict=verdict,
        mark=MARKS[verdict.outcome],
        subject=_subject(criterion),
        value=wording.observed_value(criterion, found),
        counts=wording.observed_counts(found),
        acting_bound=acting,
        other_bound=other,
        requirement=wording.requirement(
            criterion, found.level if found is not None and not found.is_exact else criterion.level
        ),
        note=found.note if found is not None else "",
    )


def _subject(criterion: Criterion) -> str:
    of_class = f" of {criterion.cell_class or criterion.kind}" if criterion.cell_class or criterion.kind else ""
    place = "any device" if criterion.set == "any" else criterion.set
    return f"{criterion.metric}{of_class} on {place}"


def _set_result(run: RunResults, evaluation: Evaluation) -> SetResult:
    accuracy = estimate(evaluation, "accuracy", cell_class=None, level=DISPLAY_LEVEL)
    predictions = run.predictions.get(evaluation.set)
    counts = zip(evaluation.classes, evaluation.confusion.tolist(), strict=True)
    floors = _recall_floors(run, evaluation)
    joint = joint_recall_bounds(evaluation, floors=floors, level=DISPLAY_LEVEL)
    return SetResult(
        name=evaluation.set,
        classes=evaluation.classes,
        n=evaluation.n,
        accuracy=wording.proportion(evaluation.n_correct, evaluation.n),
        interval=_interval(accuracy.display),
        class_rows=tuple(_class_row(evaluation, name, joint[name]) for name in evaluation.classes),
        matrix={name: row if sum(row) else None for name, row in counts},
        gates=tuple(
            _verdict_row(v)
            for v in run.verdicts
            if v.criterion.set == evaluation.set and v.criterion.question in ("accuracy", "external")
        ),
        absent=tuple(absent_classes(evaluation)),
        predictions_digest=predictions.digest if predictions is not None else "none kept",
        macro_f1=_with_interval(estimate(evaluation, "macro_f1", cell_class=None, level=DISPLAY_LEVEL)),
        interval_method="clustered" if evaluation.grouped else "Wilson",
        joint_method="Bonferroni" if floors is None or evaluation.grouped else "Holm, against the criteria's floors",
    )


def _recall_floors(run: RunResults, evaluation: Evaluation) -> dict[str, float] | None:
    """The floors that the protocol sets for the recall of each class on this set, if it does so for every class."""
    floors = {
        str(c.cell_class): c.bound
        for c in run.protocol.criteria
        if c.metric == "recall" and c.set == evaluation.set and c.question in ("accuracy", "external")
    }
    return floors if set(floors) == set(evaluation.classes) else None


def _with_interval(found: Estimate) -> str:
    if found.value is None:
        return f"{wording.UNDEFINED} ({found.note})"
    return f"{wording.share(found.value)}, 95 % interval {_interval(found.display)}"


def _class_row(evaluation: Evaluation, name: str, joint: float | None) -> ClassRow:
    recall, precision, f1 = (
        estimate(evaluation, metric, cell_class=name, level=DISPLAY_LEVEL) for metric in ("recall", "precision", "f1")
    )
    return ClassRow(
        name=name,
        support=evaluation.support[name],
        recall=_proportion(recall),
        recall_interval=_interval(recall.display),
        joint_recall=wording.NOTHING if joint is None else f"≥ {wording.share(joint)}",
        precision=_proportion(precision),
        precision_interval=_interval(precision.display),
        f1=_proportion(f1),
    )


def _proportion(found: Estimate) -> str:
    if found.value is None or found.k is None or found.n is None:
        return wording.UNDEFINED
    return (
        wording.proportion(2 * found.k, found.k + found.n)
        if found.metric == "f1"
        else wording.proportion(found.k, found.n)
    )


def _interval(interval: Interval | None) -> str:
    return (
        wording.NOTHING if interval is None else f"{wording.share(interval.lower)} to {wording.share(interval.upper)}"
    )


def _seed_rows(run: RunResults) -> list[SeedRow]:
    rows = []
    for seed, predictions in run.seed_predictions.items():
        found = estimate(evaluate(predictions), "accuracy", cell_class=None, level=DISPLAY_LEVEL)
        counts = wording.proportion(int(predictions.correct.sum()), len(predictions.digests))
        rows.append(SeedRow(seed, counts, _interval(found.display)))
    return rows


def _comparison_result(comparison: Comparison) -> ComparisonResult:
    every = [None, *(name for name in comparison.classes if comparison.counts(name)[2])]
    return ComparisonResult(
        name=comparison.set,
        n=comparison.counts()[2],
        n_changed=comparison.n_changed,
        rows=tuple(_paired_row(comparison, name) for name in every),
        remarks=remarks(comparison, level=DISPLAY_LEVEL),
        discordant=comparison.discordant,
    )


def _paired_row(comparison: Comparison, cell_class: str | None) -> PairedRow:
    b, c, n = comparison.counts(cell_class)
    table = comparison.table if cell_class is None else comparison.table[[comparison.classes.index(cell_class)]]
    metric = "accuracy_difference" if cell_class is None else "recall_difference"
    found = difference(comparison, metric, cell_class=cell_class, level=DISPLAY_LEVEL)
    assert isinstance(found, Estimate) and found.value is not None  # only classes with cells get a row
    assert found.lower is not None and found.upper is not None
    return PairedRow(
        name=cell_class or "all",
        n=n,
        both_right=int(table[:, 1, 1].sum()),
        gained=c,
        lost=b,
        both_wrong=int(table[:, 0, 0].sum()),
        difference=wording.points(found.value),
        bounds=wording.points(found.lower, found.upper),
        interval=wording.points(found.display.lower, found.display.upper) if found.display else wording.NOTHING,
        p=wording.number(mcnemar_exact(b, c)[0], significant=3),
    )


def _calibration_result(report: CalibrationReport) -> CalibrationResult:
    conformal, chosen = report.conformal, report.selective
    return CalibrationResult(
        name=report.set,
        report=report,
        measures=tuple(
            (what, before, after)
            for (what, before), (_, after) in zip(_measures(report.before), _measures(report.after), strict=True)
        ),
        temperature=wording.number(report.temperature.value),
        alpha=wording.share(conformal.alpha),
        covered=wording.proportion(conformal.covered, conformal.n),
        coverage=tuple((each.cell_class, wording.proportion(each.k, each.n)) for each in conformal.per_class),
        selective=""
        if chosen is None
        else f"{wording.proportion(chosen.errors, chosen.accepted)} of the answers are wrong, at most "
        f"{wording.share(chosen.upper)} at {wording.percent_of(chosen.level)} one-sided",
        ppv=tuple(
            PpvRow(
                each.cell_class,
                wording.share(each.prevalence),
                f"{wording.UNDEFINED}: {each.note}" if each.value is None else wording.share(each.value),
                wording.NOTHING
                if each.lower is None or each.upper is None
                else f"{wording.share(each.lower)} to {wording.share(each.upper)}",
            )
            for each in report.ppv or ()
        ),
        shift="" if report.shift is None else wording.shift(report.shift),
    )


def _measures(found: CalibrationMetrics) -> list[tuple[str, str]]:
    impossible = f"infinite: {found.n_impossible} cells were given probability 0 of their class"
    return [
        ("Expected calibration error", wording.number(found.ece)),
        (
            "One-sided 95 % bounds of it",
            f"{wording.number(found.ece_lower)} to {wording.number(found.ece_upper)}",
        ),
        ("A calibrated classifier of these confidences, on average", wording.number(found.null.mean)),
        ("and in 95 of 100 sets at most", wording.number(found.null.limit)),
        ("More than chance explains?", "yes" if found.exceeds_null else "no"),
        ("Largest gap of a bin", wording.number(found.mce)),
        ("Brier score, top label (0 to 1)", wording.number(found.top_label_brier)),
        ("Brier score, all classes (0 to 2)", wording.number(found.multiclass_brier)),
        ("Negative log-likelihood, nats", impossible if found.nll is None else wording.number(found.nll)),
    ]


def _probe_rows(run: RunResults) -> list[ProbeRow]:
    probes = run.shortcuts.probes if run.shortcuts is not None else ()
    return [
        ProbeRow(p.name, p.sees, wording.proportion(p.k, p.n), wording.share(p.lower), wording.share(p.chance))
        for p in probes
    ]


def _gap_rows(run: RunResults) -> list[GapRow]:
    """The external sets, each beside the test part; the worst is the one of lowest accuracy."""
    test = run.evaluations.get("test")
    external = [each for name, each in run.evaluations.items() if name not in PARTS and each.n]
    if test is None or not external or not test.n:
        return []
    worst = min(external, key=lambda each: each.n_correct / each.n)
    rows = []
    for each in external:
        found = generalisation_gap(test, each, level=DISPLAY_LEVEL)
        assert isinstance(found, Estimate) and found.value is not None  # both sets have cells
        assert found.lower is not None and found.upper is not None
        rows.append(
            GapRow(
                each.set,
                wording.proportion(each.n_correct, each.n),
                wording.points(found.value),
                wording.points(found.lower, found.upper),
                each is worst and len(external) > 1,
            )
        )
    return rows


def _severities(run: RunResults) -> list[str]:
    points = run.robustness.curves[0].points if run.robustness is not None and run.robustness.curves else ()
    return [f"severity {point.severity}" for point in points]


def _curve_rows(run: RunResults) -> list[CurveRow]:
    if run.robustness is None or run.protocol.robustness is None:
        return []
    agreed, rows = run.protocol.robustness.agreed, []
    for curve in run.robustness.curves:
        judged, amount = curve.at(agreed[curve.kind]), AMOUNTS[curve.kind]
        assert judged is not None  # the protocol draws every agreed severity
        rows.append(
            CurveRow(
                curve.kind,
                f"{amount.meaning} ({amount.unit})" if amount.unit else amount.meaning,
                tuple(
                    f"[{point.k}/{point.n}]" if point is judged else f"{point.k}/{point.n}" for point in curve.points
                ),
                f"{judged.worst.cell_class} {wording.proportion(judged.worst.k, judged.worst.n)}",
            )
        )
    return rows


def _flip_rows(run: RunResults) -> list[FlipRow]:
    return [
        FlipRow(
            found.kind,
            wording.proportion(found.k, found.n),
            f"{wording.share(found.lower)} to {wording.share(found.upper)}",
            found.became_wrong,
            found.became_right,
        )
        for found in (run.robustness.flips if run.robustness is not None else ())
    ]


def _detection_rows(run: RunResults) -> list[DetectionRow]:
    found = run.robustness.detection if run.robustness is not None else None
    if found is None:
        return []
    every = [*((each.kind, each.auroc, each.taken_for_cells) for each in found.kinds)]
    every.append(("all together", found.auroc, found.taken_for_cells))
    return [
        DetectionRow(
            kind,
            wording.number(area.value, beside=(1.0,)),
            f"{wording.number(area.lower, beside=(1.0,))} to {wording.number(area.upper, beside=(1.0,))}",
            wording.proportion(taken.k, taken.n),
            f"{wording.share(taken.lower)} to {wording.share(taken.upper)}",
        )
        for kind, area, taken in every
    ]


def _misclassified_by_set(run: RunResults, thumbnails: Mapping[str, bytes]) -> dict[str, list[MisclassifiedCell]]:
    """Every wrong cell of the test part and of each external set, by path."""
    judged = {name: each for name, each in run.predictions.items() if name not in ("train", "validation")}
    return {name: _misclassified(each, thumbnails) for name, each in judged.items()}


def _misclassified(predictions: Predictions, thumbnails: Mapping[str, bytes]) -> list[MisclassifiedCell]:
    def cell(row: int) -> MisclassifiedCell:
        digest = predictions.digests[row]
        return MisclassifiedCell(
            path=predictions.paths[row],
            digest=digest,
            reference=predictions.classes[predictions.labels[row]],
            predicted=predictions.classes[predictions.predicted[row]],
            probabilities=tuple(wording.probability(p) for p in predictions.probabilities[row].tolist()),
            thumbnail=_data_uri(thumbnails[digest]) if digest in thumbnails else None,
        )

    rows: Iterable[int] = np.flatnonzero(~predictions.correct).tolist()
    return [cell(row) for row in sorted(rows, key=lambda row: predictions.paths[row])]


def _image_facts(run: RunResults) -> list[tuple[str, int]]:
    """What the files are, such as ("JPEG, RGB, 360 x 363 px", 2442), the most frequent first; at most eight kinds."""
    if run.integrity is None:
        return []
    kinds = Counter(
        f"{f.format}, {f.mode}, {f.width_px} x {f.height_px} px" if f.error is None else "not decodable"
        for f in run.integrity.facts
    )
    first = kinds.most_common(8)
    rest = len(kinds) - len(first)
    return first + ([(f"{rest} more kinds", kinds.total() - sum(n for _, n in first))] if rest else [])


def _agreement(run: RunResults) -> list[tuple[str, tuple[str, ...], str]]:
    """(what, its digest in each process, whether all agree). The conditions are meant to differ."""
    names = ("conditions", "split", "losses", "weights", "predictions") if run.reproducibility else ()
    rows = []
    for name in names:
        values = tuple(getattr(process, name) for process in run.reproducibility)
        differ = "differ on purpose" if name == "conditions" else "DIFFER"
        rows.append((name, values, "agree" if len(set(values)) == 1 else differ))
    return rows


def _timing_row(timing: Timing) -> TimingRow:
    if timing.scenario == "SingleStream":
        measure, found = "90th percentile, per image", latency(timing, metric="latency_s", level=DISPLAY_LEVEL)
    else:
        found = images_per_second(timing, metric="images_per_s", level=DISPLAY_LEVEL)
        measure = "median rate over rounds"
    lower, upper = (
        wording.NOTHING if bound is None else wording.quantity(bound, found.unit)
        for bound in (found.lower, found.upper)
    )
    return TimingRow(timing, measure, wording.quantity(found.value, found.unit), f"{lower} to {upper}")


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _date(iso: str) -> str:
    return iso.replace("T", " ", 1).replace("+00:00", " UTC")
