"""How is a run written for machines? Records in; the bytes of evidence.json, CSV and text tables out.

No disk here. A file name may hold anything: each format keeps it readable to its own parser.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import harness
from harness.core.spreadsheet import inert
from harness.data.records import ImageFacts, Manifest, Reading
from harness.judge.amended import Change
from harness.judge.ledger import head_of, ledger_bytes
from harness.judge.verdicts import Verdict
from harness.metrics.adaptation import Adapted
from harness.metrics.classification import estimate, not_counted
from harness.metrics.comparison import Comparison, difference
from harness.metrics.estimates import DISPLAY_LEVEL, INDEPENDENCE_UNKNOWN, Estimate, Evaluation
from harness.metrics.label_errors import TRAINED_ON, LabelSuspect, suspects_by_set
from harness.metrics.macro import multiclass_summary
from harness.metrics.paired import mcnemar_exact
from harness.metrics.paired_scores import brier_difference
from harness.metrics.partitions import without_names
from harness.metrics.predictions import Predictions
from harness.metrics.stability import Robustness
from harness.metrics.summary import summarise
from harness.pack.components import COMPONENTS, components, model_component
from harness.pack.further import further_predictions, stated_of
from harness.pack.junit import JUNIT, junit
from harness.pack.junit import VERSION as JUNIT_VERSION
from harness.protocol.names import PARTS
from harness.protocol.sets import SLICES
from harness.report.amended import change_told
from harness.report.card import judged_card
from harness.report.page import page_facts, renderer
from harness.report.summary import SUMMARY, VERSION, summary
from harness.run.packages import Packages
from harness.run.results import Baseline, RunResults

SCHEMA = "leukocyte-harness/evidence/4"
MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = (
    *("path", "label", "sha256", "bytes", "width", "height", "format", "mode"),
    *("patient", "slide", "site"),
)
METRICS = ("precision", "recall", "f1")
UNSEEN = re.compile(r"[^ -~\n]")  # what is not ASCII, and of that what is not printable
# Files whose form is told, and how each is written: older packs have another JUnit XML, no summary, no suspects, and no
# model among their components.
SUSPECTS = "label_suspects.csv"
DOCUMENTS = {JUNIT: JUNIT_VERSION, SUMMARY: VERSION, SUSPECTS: 1, COMPONENTS: 2}


def documents(results: RunResults, manifest: Manifest | None) -> dict[str, bytes]:
    """Path in the pack -> content, of every file that is made of records alone."""
    told = evidence(results, manifest)
    return {"evidence.json": as_json(told), **beside_evidence(results, manifest, told)}


def beside_evidence(results: RunResults, manifest: Manifest | None, told: Mapping[str, Any]) -> dict[str, bytes]:
    """The same without evidence.json, whose content is given."""
    files = for_a_job_page(results)
    if manifest is not None:
        facts = results.integrity.facts if results.integrity is not None else ()
        files["manifest.csv"] = manifest_csv(manifest, facts)
    if results.packages is not None:
        files[COMPONENTS] = components_of(results)
    if results.ledger:
        files["ledger.jsonl"] = ledger_bytes(results.ledger)
    for name, predictions in results.predictions.items():
        files[f"predictions/{name}.csv"] = predictions_csv(predictions)
    if any(name != TRAINED_ON for name in results.predictions):
        files[SUSPECTS] = suspects_csv(results)
    for name, predictions in further_predictions(results):
        files[f"predictions/{name}.csv"] = predictions_csv(predictions)
    for name, evaluation in results.evaluations.items():
        files[f"metrics/metrics_{name}.json"] = as_json(told["evaluations"][name])
        files[f"metrics/confusion_matrix_{name}.csv"] = confusion_csv(evaluation)
        files[f"metrics/classification_report_{name}.txt"] = classification_report(evaluation).encode()
    return files


def components_of(results: RunResults, *, formerly: bool = False) -> bytes:
    """sbom.cdx.json of a run that knows its packages; formerly: as packs have it that do not name the model."""
    assert results.packages is not None
    version, card = results.environment.get("harness", harness.__version__), judged_card(results)
    judged = [each for name, each in results.evaluations.items() if name == "test" or name not in PARTS]
    model = None if card is None or formerly else model_component(card, judged)
    return as_json(components(results.packages.installed, harness=version, model=model))


def for_a_job_page(results: RunResults) -> dict[str, bytes]:
    """What a CI system shows; their numbers are those of the verdicts."""
    return {
        JUNIT: junit_of(results),
        SUMMARY: summary(results).encode(),
    }


def junit_of(results: RunResults, *, version: int = JUNIT_VERSION) -> bytes:
    """junit.xml; version: of its form, of which packs have the one of their time."""
    return junit(
        results.verdicts,
        name=results.protocol.identity.id,
        seconds=results.seconds,
        moved=[(change_told(each), each.undeclared) for each in results.changes],
        contradictions=results.contradictions,
        comparisons=results.comparisons,
        version=version,
    )


def evidence(results: RunResults, manifest: Manifest | None) -> dict[str, Any]:
    """What evidence.json holds: every verdict with what it rests on, and the identity of all that was used.

    With the CSV files it holds all that `harness.pack.rebuild` makes the run's records of again.
    """
    integrity, split, training = results.integrity, results.split, results.training
    return {
        "schema": SCHEMA,
        "run": {
            "id": results.run_id,
            "started_at": results.started_at,
            "seconds": results.seconds,
            "command": results.command,
            "passed": results.passed,
            "stopped_because": results.stopped_because,
        },
        "protocol": {"digest": results.protocol.digest, "content": results.protocol.model_dump(mode="json")},
        "environment": results.environment,
        "packages": results.packages and _packages(results.packages),
        "proof": results.proof and asdict(results.proof),
        "signed_with": results.signed_with,
        "sets": [asdict(summary) for summary in results.sets],
        "integrity": integrity
        and {
            "checked": integrity.checked,
            "findings": [asdict(finding) for finding in integrity.findings],
            "undecodable": {facts.path: facts.error for facts in integrity.facts if facts.error is not None},
            "expectations": integrity.expectations and [asdict(result) for result in integrity.expectations],
        },
        "ignored": manifest and list(manifest.ignored),
        "split": split
        and {
            "digest": split.digest,
            "origin": split.origin,
            "source": split.source,
            "sizes": {name: len(split.part(name)) for name in PARTS},
        },
        "training": training and asdict(training),
        "model": results.model and asdict(results.model),
        "given": results.given and asdict(results.given),
        "parity": results.parity and asdict(results.parity),
        "reproducibility": [asdict(process) for process in results.reproducibility],
        "predictions": {name: _predicted(name, found) for name, found in results.predictions.items()},
        "metrics": list(results.metrics) or None,
        "evaluations": {name: metrics(results, evaluation) for name, evaluation in results.evaluations.items()},
        "timings": [asdict(timing) for timing in results.timings],
        "stages": [asdict(stage) for stage in results.stages],
        "verdicts": [verdict_record(verdict) for verdict in results.verdicts],
        "cannot_pass": dict(results.cannot_pass),
        "chances": results.chances and asdict(results.chances),
        "rules": asdict(results.rules),
        "uncompared": [asdict(image) for image in results.uncompared],
        "duplicates": None if results.duplicates is None else [asdict(pair) for pair in results.duplicates],
        "shortcuts": results.shortcuts and asdict(results.shortcuts),
        "provenance": {name: asdict(found) for name, found in results.provenance.items()},
        "explanations": results.explanations and asdict(results.explanations),
        "robustness": results.robustness and _robustness(results.robustness),
        "fits": [asdict(fit) for fit in results.fits],
        "looks": results.looks,
        "ledger": {"entries": len(results.ledger), "head": head_of(results.ledger)},
        "custody": results.custody and asdict(results.custody),
        "rescored": results.rescored and asdict(results.rescored),
        "contradictions": list(results.contradictions),
        "known_chains": [asdict(chain) for chain in results.known_chains],
        "dropped": [asdict(gone) for gone in results.dropped] or None,
        "changes": [change_record(change) for change in results.changes],
        "relabelled": [asdict(cell) for cell in results.relabelled] or None,
        "seeds": {
            str(seed): {"predictions": found.digest, "correct": int(found.correct.sum()), "n": len(found.digests)}
            for seed, found in results.seed_predictions.items()
        },
        "baseline": results.baseline and baseline_record(results.baseline),
        "comparisons": {name: _compared(results, name, found) for name, found in results.comparisons.items()},
        "adaptations": {name: _adapted(found) for name, found in results.adaptations.items()} or None,
        "unknown": {name: _of_unknown(found, results) for name, found in results.unknown.items()} or None,
        "corrupted": {kind: stated_of(found) for kind, found in results.corrupted.items()} or None,
        "corrupted_comparisons": {
            kind: comparison_record(found) | {"predictions": stated_of(_of_baseline(results, kind))}
            for kind, found in results.corrupted_comparisons.items()
        }
        or None,
        "calibrations": {name: asdict(found) for name, found in results.calibrations.items()},
        "documents": DOCUMENTS,
        "page": page_facts(results),
        "renderer": renderer(),
    }


def _of_unknown(found: Predictions, results: RunResults) -> dict[str, object]:
    kinds = found.classes[len(results.protocol.dataset.classes) :]
    return {**(stated_of(found) or {}), "kinds": list(kinds), "groups": found.groups, "columns": dict(found.columns)}


def metrics(results: RunResults, evaluation: Evaluation) -> dict[str, object]:
    """Every metric of one set with k, n and bounds; undefined ones are None, never 0."""
    reported = summarise(results.protocol, evaluation, names=results.metrics, level=DISPLAY_LEVEL)

    def entry(metric: str, cell_class: str | None) -> dict[str, object]:
        return asdict(estimate(evaluation, metric, cell_class=cell_class, level=DISPLAY_LEVEL))

    return {
        "n": evaluation.n,
        "independence": _independence(evaluation),
        "classes": list(evaluation.classes),
        "confusion": evaluation.confusion.tolist(),
        "accuracy": entry("accuracy", None),
        "macro_f1": entry("macro_f1", None),
        "summary": asdict(multiclass_summary(evaluation.confusion)) if evaluation.n else None,
        "per_class": {
            name: {"support": evaluation.support[name], **{metric: entry(metric, name) for metric in METRICS}}
            for name in evaluation.classes
        },
        **({"reported": {name: asdict(found) for name, found in reported.items()}} if reported else {}),
    }


def _independence(evaluation: Evaluation) -> str:
    one = {"patients or slides": "patient or slide", "sites": "site"}.get(evaluation.grouped_by)
    known = f"cells grouped by {one or 'patient, slide or site'}" if evaluation.grouped else INDEPENDENCE_UNKNOWN
    return f"{known}; {not_counted(evaluation)}" if evaluation.n_left_out else known


def classification_report(evaluation: Evaluation) -> str:
    """The table that scikit-learn's users know, with a dash for what is undefined.

    A macro average is over all classes: where one has no cells, or was never predicted, it does not exist. Leaving that
    class out would flatter the classifier, and 0 was not measured. Weighted averages leave out what has no weight.
    """
    values = {
        metric: {
            name: estimate(evaluation, metric, cell_class=name, level=DISPLAY_LEVEL).value
            for name in evaluation.classes
        }
        for metric in METRICS
    }
    support = evaluation.support
    equal = dict.fromkeys(evaluation.classes, 1)
    width = max(12, *map(len, evaluation.classes))

    def line(title: str, cells: Iterable[float | None], n: int) -> str:
        return f"{title:>{width}} " + " ".join(f"{_four(cell):>10}" for cell in cells) + f" {n:>8}"

    share = _four(evaluation.n_correct / evaluation.n if evaluation.n else None)
    lines = [
        " " * width + "".join(f" {name:>10}" for name in ("precision", "recall", "f1-score")) + f" {'support':>8}",
        "",
        *(line(name, [values[metric][name] for metric in METRICS], support[name]) for name in evaluation.classes),
        "",
        f"{'accuracy':>{width}} {share:>32} {evaluation.n:>8}   ({evaluation.n_correct}/{evaluation.n})",
        line("macro avg", [_average(values[metric], equal) for metric in METRICS], evaluation.n),
        line("weighted avg", [_average(values[metric], support) for metric in METRICS], evaluation.n),
    ]
    undefined = any(value is None for column in values.values() for value in column.values())
    lines += ["", "-: undefined, because a class has no cells or none was predicted as it"] if undefined else []
    return "\n".join(lines) + "\n"


def manifest_csv(manifest: Manifest, facts: Iterable[ImageFacts]) -> bytes:
    seen, further = {each.path: each for each in facts}, slice_columns(manifest.reading)
    rows = []
    for image in manifest.images:
        found = seen.get(image.path)
        measured = (found.width_px, found.height_px, found.format, found.mode) if found else ("", "", "", "")
        groups = (inert(each or "") for each in (image.patient, image.slide, image.site))
        slices = (inert(image.columns.get(name.removeprefix(SLICES), "")) for name in further)
        rows.append((inert(image.path), image.label, image.sha256, image.n_bytes, *measured, *groups, *slices))
    return as_csv((*MANIFEST_COLUMNS, *further), rows)


def slice_columns(reading: Reading | None) -> tuple[str, ...]:
    """The last columns of manifest.csv: those that the label table had for slices."""
    return tuple(sorted(role for role in (reading.columns if reading else ()) if role.startswith(SLICES)))


def predictions_csv(predictions: Predictions) -> bytes:
    """repr of a float64 is the shortest text that reads back to the same bits."""
    classes = predictions.classes
    columns = zip(
        predictions.digests,
        predictions.paths,
        predictions.labels.tolist(),
        predictions.predicted.tolist(),
        predictions.probabilities.tolist(),
        strict=True,
    )
    rows = [
        (digest, inert(path), classes[label], classes[predicted], *map(repr, probabilities))
        for digest, path, label, predicted, probabilities in columns
    ]
    return as_csv(("sha256", "path", "label", "predicted", *(f"p_{name}" for name in classes)), rows)


def suspects_csv(results: RunResults) -> bytes:
    """Every suspected label, set by set in the order of its ranks."""
    header = ("set", "rank", "path", "sha256", "label", "suggested", "confident", "p_label", "p_suggested")
    listed = suspects_by_set(results.predictions)
    return as_csv(header, (_suspect(name, each) for name, found in listed.items() for each in found))


def _suspect(set_name: str, each: LabelSuspect) -> tuple[object, ...]:
    sure, numbers = "yes" if each.confident else "no", map(repr, (each.p_label, each.p_suggested))
    return (set_name, each.rank, inert(each.path), each.sha256, each.label, each.suggested, sure, *numbers)


def confusion_csv(evaluation: Evaluation) -> bytes:
    rows = [(name, *row) for name, row in zip(evaluation.classes, evaluation.confusion.tolist(), strict=True)]
    return as_csv(("reference \\ predicted", *evaluation.classes), rows)


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """UTF-8, one "\\n" after each row; undecodable bytes of a file name are written as they are."""
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(header)
    for row in rows:
        # Python 3.11 leaves a carriage return unquoted, and then reads a row's end there.
        has_return = any("\r" in cell for cell in row if isinstance(cell, str))
        (quoting if has_return else plain).writerow(row)
    return text.getvalue().encode("utf-8", "surrogateescape")


def as_json(value: object) -> bytes:
    """JSON by the letter: what is not a finite number is null, and what cannot be seen is its escape.

    So nothing in it can drive the terminal that prints it, or make one name look like another; it reads back the same.
    """
    text = json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    return (UNSEEN.sub(_json_escape, text) + "\n").encode("utf-8")


def _json_escape(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def finite(value: object) -> object:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: finite(each) for key, each in value.items()}
        case list() | tuple():
            return [finite(each) for each in value]
        case _:
            return value


def verdict_record(verdict: Verdict) -> dict[str, object]:
    """A verdict as evidence.json has it."""
    return {
        "criterion": verdict.criterion.id,
        "outcome": verdict.outcome.value,
        "required": verdict.criterion.required,
        "reason": verdict.reason,
        "n_to_decide": verdict.n_to_decide,
        "power": verdict.power,
        "assumed": verdict.assumed,
        "gate": verdict.criterion.gate,
        "look": verdict.look,
        "not_asked": verdict.not_asked,
        "unavailable": verdict.unavailable and asdict(verdict.unavailable),
        "waiver": verdict.waiver and verdict.waiver.model_dump(mode="json"),
        "estimate": verdict.estimate and asdict(verdict.estimate),
    }


def change_record(change: Change) -> dict[str, object]:
    """What has changed in a protocol, as evidence.json has it."""
    return {
        "set": change.set,
        "key": change.key,
        "old": change.old,
        "new": change.new,
        "run": change.run,
        "time": change.time,
        "amendment": change.amendment and change.amendment.model_dump(mode="json"),
        "told": change.told,
        "baseline": change.baseline,
    }


def _packages(packages: Packages) -> dict[str, object]:
    """Declarations with what is installed of them; sbom.cdx.json has the whole list."""
    return {
        "declared_in": packages.declared_in,
        "requirements": [asdict(each) for each in packages.requirements],
        "tried_in": packages.tried_in,
        "untried": [asdict(each) for each in packages.untried],
        "unlisted": list(packages.unlisted),
        "conflicts": [asdict(each) for each in packages.conflicts],
        "unsatisfied": [str(each) for each in packages.unsatisfied],
    }


def _predicted(name: str, predictions: Predictions) -> dict[str, object]:
    # Who the cells of the dataset's parts come from, manifest.csv says.
    groups, columns = (predictions.groups, predictions.columns or None) if name not in PARTS else (None, None)
    return {"digest": predictions.digest, "n": len(predictions.digests), "groups": groups, "columns": columns}


def _adapted(found: Adapted) -> dict[str, object]:
    groups = None if found.drawn.groups is None else list(found.drawn.groups)
    return {
        "method": found.method,
        "scores": dict(found.scores),
        "notes": dict(found.notes),
        "adapted": stated_of(found.predictions),
        "drawn": {**(stated_of(found.drawn) or {}), "groups": groups},
    }


def _robustness(found: Robustness) -> dict[str, object]:
    return {
        "curves": [asdict(curve) for curve in found.curves],
        "flips": [asdict(flips) for flips in found.flips],
        "detection": found.detection and asdict(found.detection),
        "strangeness": {name: values.tolist() for name, values in found.strangeness.items()},
    }


def baseline_record(baseline: Baseline) -> dict[str, object]:
    """The run that was compared with, as evidence.json has it."""
    return {
        "run": baseline.run_id,
        "passed": baseline.passed,
        "commit": baseline.commit,
        "protocol": baseline.protocol_digest,
        "sums": baseline.sums_digest,
        "check": baseline.check and asdict(baseline.check),
        "rest": baseline.rest and asdict(baseline.rest),
        "margins": None if baseline.margins is None else [asdict(each) for each in baseline.margins],
    }


def comparison_record(comparison: Comparison) -> dict[str, object]:
    """A comparison as evidence.json has it, with its estimates at the level of displays."""

    def entry(metric: str, cell_class: str | None) -> dict[str, object] | None:
        found = difference(comparison, metric, cell_class=cell_class, level=DISPLAY_LEVEL)
        return asdict(found) if isinstance(found, Estimate) else None

    b, c, _ = comparison.counts()
    p, mid_p = mcnemar_exact(b, c)
    return {
        "baseline": comparison.baseline,
        "table": dict(zip(comparison.classes, comparison.table.tolist(), strict=True)),
        "n_changed": comparison.n_changed,
        "relabelled": [asdict(cell) for cell in comparison.relabelled] or None,
        "mcnemar_p": p,
        "mcnemar_mid_p": mid_p,
        "accuracy_difference": entry("accuracy_difference", None),
        "recall_difference": {name: entry("recall_difference", name) for name in comparison.classes},
        "brier_difference": None
        if comparison.scores is None
        else asdict(brier_difference(comparison.scores, set_name=comparison.set, level=DISPLAY_LEVEL)),
        "discordant": [asdict(cell) for cell in comparison.discordant],
    }


def _compared(results: RunResults, name: str, found: Comparison) -> dict[str, object]:
    theirs = None if results.baseline is None else results.baseline.predictions.get(name)
    groups = None if theirs is None or theirs.groups is None else without_names(theirs.groups)
    return comparison_record(found) | {"predictions": stated_of(theirs), "groups": groups}


def _of_baseline(results: RunResults, kind: str) -> Predictions | None:
    return None if results.baseline is None else results.baseline.corrupted.get(kind)


def _average(values: dict[str, float | None], weights: dict[str, int]) -> float | None:
    """The mean over the classes with a weight; undefined where one of these is, or where there is none."""
    total = sum(weights.values())
    terms = [(values[name], weight) for name, weight in weights.items() if weight]
    defined = [value * weight for value, weight in terms if value is not None]
    return math.fsum(defined) / total if total and len(defined) == len(terms) else None


def _four(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
