"""Writes the evidence pack: one folder, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from harness.data.split import inert, write_split
from harness.errors import EvidenceError
from harness.evidence.figures import draw_figures, draw_thumbnails, images_to_show
from harness.evidence.report import render_report
from harness.judge.criteria import explain
from harness.judge.metrics import INDEPENDENCE_UNKNOWN, estimate
from harness.records import Estimate, Evaluation, Manifest, Outcome, Predictions, RunResults, Verdict
from harness.store import file_digest

SCHEMA = "leukocyte-harness/evidence/1"
SUMS = "SHA256SUMS"
REPORT = "index.html"
LATEST = "latest"


def write_pack(
    results: RunResults, *, reports: Path, manifest: Manifest | None, models: Mapping[str, Path], formats: Sequence[str]
) -> Path:
    """Write `reports/<run id>/`, point `reports/latest` at it, and return its path.

    Everything goes into a neighbouring temporary folder first, is synced, and is renamed in one step: a reader sees a
    whole pack or none.

    Args:
        manifest: the dataset, whose images the figures show; None where it was never read.
        models: file name -> file to copy into models/.
    Raises:
        EvidenceError: the folder cannot be written, or holds this run already.
    """
    target = reports / results.run_id
    if target.exists():
        raise EvidenceError(f"{target} exists already. Two runs never share a folder; remove it or run again.")
    unfinished = reports / f".{results.run_id}.writing"
    try:
        unfinished.mkdir(parents=True)
        _write_files(unfinished, results, manifest, models, formats)
        _write_sums(unfinished)
        _sync(unfinished)
        unfinished.rename(target)
        _point_latest(reports, target)
    except OSError as error:
        raise EvidenceError(
            f"the evidence pack could not be written: {error}. Nothing was left under {target.name}; "
            "free space or name another --reports folder."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def evidence(results: RunResults) -> dict[str, Any]:
    """What evidence.json holds: every verdict with what it rests on, and the identity of all that was used."""
    training = results.training
    return {
        "schema": SCHEMA,
        "run": {
            "id": results.run_id,
            "started_at": results.started_at,
            "seconds": round(results.seconds, 3),
            "command": results.command,
            "passed": results.passed,
            "stopped_because": results.stopped_because,
        },
        "protocol": {
            "digest": results.protocol.digest,
            "content": results.protocol.model_dump(mode="json"),
        },
        "environment": results.environment,
        "sets": [asdict(summary) for summary in results.sets],
        "split": None
        if results.split is None
        else {
            "digest": results.split.digest,
            "origin": results.split.origin,
            "sizes": {name: len(results.split.part(name)) for name in ("train", "validation", "test")},
        },
        "integrity": None
        if results.integrity is None
        else {
            "checked": results.integrity.checked,
            "findings": [asdict(finding) for finding in results.integrity.findings],
        },
        "training": None if training is None else asdict(training),
        "reproducibility": [asdict(process) for process in results.reproducibility],
        "predictions": {name: {"digest": p.digest, "n": len(p.digests)} for name, p in results.predictions.items()},
        "evaluations": {name: metrics(evaluation) for name, evaluation in results.evaluations.items()},
        "timings": [asdict(timing) for timing in results.timings],
        "stages": [asdict(stage) for stage in results.stages],
        "verdicts": [_verdict(verdict) for verdict in results.verdicts],
    }


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """Every metric of one set with k, n and bounds; undefined ones are null, never 0."""
    level = 0.95

    def entry(metric: str, cell_class: str | None) -> dict[str, Any]:
        return _estimate(estimate(evaluation, metric, cell_class=cell_class, level=level))

    return {
        "n": evaluation.n,
        "independence": "cells grouped by patient or slide" if evaluation.grouped else INDEPENDENCE_UNKNOWN,
        "classes": list(evaluation.classes),
        "confusion": evaluation.confusion.tolist(),
        "accuracy": entry("accuracy", None),
        "per_class": {
            name: {
                "support": evaluation.support[name],
                **{metric: entry(metric, name) for metric in ("precision", "recall", "f1")},
            }
            for name in evaluation.classes
        },
    }


def classification_report(evaluation: Evaluation) -> str:
    """The table that scikit-learn's users know; undefined is a dash, and averages are over classes that have cells."""
    lines = [f"{'':>14} {'precision':>10} {'recall':>10} {'f1-score':>10} {'support':>8}"]

    def cell(metric: str, name: str) -> str:
        value = estimate(evaluation, metric, cell_class=name, level=0.95).value
        return "-" if value is None else f"{value:.4f}"

    for name in evaluation.classes:
        values = " ".join(f"{cell(metric, name):>10}" for metric in ("precision", "recall", "f1"))
        lines.append(f"{name:>14} {values} {evaluation.support[name]:>8}")
    share = f"{evaluation.n_correct / evaluation.n:.4f}" if evaluation.n else "-"
    lines += ["", f"{'accuracy':>14} {share:>32} {evaluation.n:>8}   ({evaluation.n_correct}/{evaluation.n})"]
    return "\n".join(lines) + "\n"


def junit(verdicts: Sequence[Verdict], *, name: str, seconds: float) -> bytes:
    """One test case per criterion; each outcome under its own word."""
    count = {outcome: sum(v.outcome is outcome for v in verdicts) for outcome in Outcome}
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(verdicts)),
        failures=str(count[Outcome.FAILED] + count[Outcome.INCONCLUSIVE]),
        errors=str(count[Outcome.NOT_JUDGED]),
        skipped=str(count[Outcome.NOT_ASSESSED]),
        time=f"{seconds:.3f}",
    )
    for verdict in verdicts:
        case = ElementTree.SubElement(
            suite, "testcase", classname=verdict.criterion.question, name=verdict.criterion.id
        )
        properties = ElementTree.SubElement(case, "properties")
        for key, value in (("outcome", verdict.outcome), ("required", str(verdict.criterion.required).lower())):
            ElementTree.SubElement(properties, "property", name=key, value=value)
        kind = {
            Outcome.FAILED: "failure",
            Outcome.INCONCLUSIVE: "failure",
            Outcome.NOT_ASSESSED: "skipped",
            Outcome.NOT_JUDGED: "error",
        }.get(verdict.outcome)
        if kind is not None:
            detail = ElementTree.SubElement(case, kind, type=verdict.outcome, message=_xml_text(verdict.reason))
            detail.text = _xml_text(explain(verdict))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _write_files(
    folder: Path, results: RunResults, manifest: Manifest | None, models: Mapping[str, Path], formats: Sequence[str]
) -> None:
    shown = _load_shown(images_to_show(results), manifest, formats)
    figures = draw_figures(results, shown)
    _write(folder / "evidence.json", _json(evidence(results)))
    _write(folder / "junit.xml", junit(results.verdicts, name=results.protocol.identity.id, seconds=results.seconds))
    for name, png in figures.items():
        _write(folder / "figures" / f"{name}.png", png)
    if manifest is not None:
        _write(folder / "manifest.csv", _manifest_csv(manifest, results))
    if results.split is not None:
        write_split(results.split, folder / "data_split.csv")
    for name, found in results.predictions.items():
        _write(folder / "predictions" / f"{name}.csv", _predictions_csv(found))
        evaluation = results.evaluations[name]
        _write(folder / "metrics" / f"classification_report_{name}.txt", classification_report(evaluation).encode())
        _write(folder / "metrics" / f"metrics_{name}.json", _json(metrics(evaluation)))
        _write(folder / "metrics" / f"confusion_matrix_{name}.csv", _confusion_csv(evaluation))
    for name, source in models.items():
        (folder / "models").mkdir(exist_ok=True)
        shutil.copyfile(source, folder / "models" / name)
    page = render_report(
        results,
        figures=figures,
        thumbnails=draw_thumbnails(results, shown),
        files=_digests(folder),
        ignored=manifest.ignored if manifest else None,
    )
    _write(folder / REPORT, page.encode())


def _load_shown(digests: Iterable[str], manifest: Manifest | None, formats: Sequence[str]) -> dict[str, np.ndarray]:
    if manifest is None:
        return {}
    paths = {image.sha256: manifest.root / image.path for image in manifest.images}
    shown = {}
    for digest in digests:
        with Image.open(paths[digest], formats=tuple(formats)) as image:
            shown[digest] = np.asarray(image.convert("RGB"))
    return shown


def _manifest_csv(manifest: Manifest, results: RunResults) -> bytes:
    facts = {f.path: f for f in results.integrity.facts} if results.integrity else {}
    rows = []
    for image in manifest.images:
        seen = facts.get(image.path)
        measured = (seen.width_px, seen.height_px, seen.format, seen.mode) if seen else ("", "", "", "")
        groups = (image.patient or "", image.slide or "", image.site or "")
        rows.append((inert(image.path), image.label, image.sha256, image.n_bytes, *measured, *map(inert, groups)))
    header = ("path", "label", "sha256", "bytes", "width", "height", "format", "mode", "patient", "slide", "site")
    return _csv(header, rows)


def _predictions_csv(predictions: Predictions) -> bytes:
    """repr of a float64 is the shortest text that reads back to the same bits."""
    header = ("sha256", "path", "label", "predicted", *(f"p_{name}" for name in predictions.classes))
    rows = [
        (
            digest,
            inert(path),
            predictions.classes[label],
            predictions.classes[predicted],
            *(repr(float(p)) for p in probabilities),
        )
        for digest, path, label, predicted, probabilities in zip(
            predictions.digests,
            predictions.paths,
            predictions.labels,
            predictions.predicted,
            predictions.probabilities,
            strict=True,
        )
    ]
    return _csv(header, rows)


def _confusion_csv(evaluation: Evaluation) -> bytes:
    rows = [(name, *row) for name, row in zip(evaluation.classes, evaluation.confusion.tolist(), strict=True)]
    return _csv(("reference \\ predicted", *evaluation.classes), rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "criterion": verdict.criterion.id,
        "outcome": verdict.outcome.value,
        "required": verdict.criterion.required,
        "reason": verdict.reason,
        "n_to_decide": verdict.n_to_decide,
        "waiver": verdict.waiver.reason if verdict.waiver else None,
        "estimate": _estimate(verdict.estimate) if verdict.estimate else None,
    }


def _estimate(found: Estimate) -> dict[str, Any]:
    return {**asdict(found), "details": list(found.details)}


def _json(value: object) -> bytes:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "surrogateescape")


def _xml_text(text: str) -> str:
    """XML 1.0 cannot hold control characters or lone surrogates, whatever a file is called."""
    return "".join(c if c in "\n\t" or (c >= " " and not "\ud800" <= c <= "\udfff") else "�" for c in text)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def _digests(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file that is in the folder by now."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file_digest(file) for file in files}


def _write_sums(folder: Path) -> None:
    lines = [f"{digest}  {name}\n" for name, digest in _digests(folder).items()]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _sync(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _point_latest(reports: Path, target: Path) -> None:
    """`reports/latest`, moved in one step."""
    neighbour = reports / f".{LATEST}.{os.getpid()}"
    neighbour.unlink(missing_ok=True)
    neighbour.symlink_to(target.name, target_is_directory=True)
    neighbour.replace(reports / LATEST)
