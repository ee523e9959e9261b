"""The evidence pack: complete, exact, readable by plain parsers, and whole or not there."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from example_run import (
    A_FIGURE,
    CLASSES,
    example_picture,
    example_run,
    stopped_run,
    write_example_dataset,
)
from PIL import Image
from sklearn.metrics import classification_report as sklearn_report

from harness.core.errors import EvidenceError
from harness.judge.verdicts import Outcome
from harness.metrics.classification import evaluate
from harness.metrics.predictions import Predictions
from harness.pack import write as pack
from harness.pack.tables import as_csv, as_json, classification_report, predictions_csv
from harness.pack.write import write_pack
from harness.report.page import render_report
from harness.run.recipes.basis import Pictures

FORMATS = ("JPEG", "PNG")
# What a file can be called on Linux: formulas, a quote, line ends, a control character, an undecodable byte.
HOSTILE_NAMES = ("=cmd()", "+1", "@x", "-1", 'a",b', "line\nend", "return\rhere", "bell\x07", "byte\udcff", "\ufffe")


def hostile_name(cell_class: str, number: int) -> str:
    return f"{HOSTILE_NAMES[number % len(HOSTILE_NAMES)]}{number}.png"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    names = ("best_model_phase1.pth", "best_model_phase2.pth", "export.pkl")
    for name in names:
        (folder / name).write_bytes(name.encode() * 100)
    return {name: folder / name for name in names}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_example_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run():
    return example_run(content=example_picture)


@pytest.fixture(scope="module")
def written(run, manifest, models, tmp_path_factory):
    return write_pack(
        run, reports=tmp_path_factory.mktemp("reports"), manifest=manifest, models=models, formats=FORMATS
    )


@pytest.fixture
def quick(monkeypatch):
    """The pack without the seconds that drawing takes."""
    monkeypatch.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)


def rows_of(path: Path) -> list[dict[str, str]]:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# --- what is in it ------------------------------------------------------------------------------


def test_the_layout_is_complete_and_holds_nothing_else(written, run):
    sets = list(run.predictions)
    assert sets == ["train", "validation", "test", "second-laboratory", "nine-monocytes"]
    expected = {"index.html", "evidence.json", "junit.xml", "manifest.csv", "data_split.csv", "SHA256SUMS"}
    expected |= {"sbom.cdx.json", "summary.md", "label_suspects.csv"}
    expected |= {f"predictions/{name}.csv" for name in sets} | {"predictions/baseline/test.csv"}
    for name in sets:
        expected |= {f"metrics/classification_report_{name}.txt", f"metrics/metrics_{name}.json"}
        expected |= {f"metrics/confusion_matrix_{name}.csv"}
    expected |= {f"predictions/seeds/test_{seed}.csv" for seed in (7, 42)}
    expected |= {f"models/{name}" for name in ("best_model_phase1.pth", "best_model_phase2.pth", "export.pkl")}
    expected |= {"claims.json"}
    found = set(files_of(written))
    assert len({name for name in found if name.startswith("figures/")}) == 15 + 2 * len(run.calibrations)
    assert {name for name in found if not name.startswith("figures/")} == expected


def test_every_file_but_the_sums_has_its_digest_as_sha256sum_reads_it(written):
    lines = (written / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = {}
    for line in lines:
        digest, name = re.fullmatch(r"([0-9a-f]{64})  (.+)", line).groups()
        listed[name] = digest
    files = files_of(written)
    del files["SHA256SUMS"]
    assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert list(listed) == sorted(listed)


def test_the_models_are_copied_and_the_page_lists_their_digests(written, models):
    page = (written / "index.html").read_text(encoding="utf-8")
    for name, source in models.items():
        assert (written / "models" / name).read_bytes() == source.read_bytes()
        assert hashlib.sha256(source.read_bytes()).hexdigest() in page


def test_every_figure_is_in_the_page_as_it_is_in_the_pack(written):
    page = (written / "index.html").read_text(encoding="utf-8")
    for file in (written / "figures").iterdir():
        assert base64.b64encode(file.read_bytes()).decode() in page


def test_latest_points_to_the_newest_pack(quick, run, manifest, tmp_path):
    for run_id in ("first", "second"):
        target = write_pack(
            dataclasses.replace(run, run_id=run_id), reports=tmp_path, manifest=manifest, models={}, formats=FORMATS
        )
        assert (tmp_path / "latest").resolve() == target
        assert (tmp_path / "latest").readlink() == Path(run_id)  # relative: the folder may be moved
    assert {each.name for each in tmp_path.iterdir()} == {"first", "second", "latest"}


def test_equal_results_give_equal_bytes(quick, manifest, models, tmp_path):
    # That figures are drawn to the same bytes is tested with them.
    first, second = (
        write_pack(
            example_run(content=example_picture), reports=reports, manifest=manifest, models=models, formats=FORMATS
        )
        for reports in (tmp_path / "one", tmp_path / "two")
    )
    assert files_of(first) == files_of(second)


def test_the_report_is_read_by_the_claims_audit_and_holds(written):
    claims = json.loads((written / "claims.json").read_text(encoding="utf-8"))
    assert claims["findings"] == []
    said = {(statement["set"], statement["text"]) for statement in claims["statements"]}
    assert ("test", "30 images") in said
    assert ("test", "exactly 3 errors") in said


@pytest.mark.slow
def test_a_report_that_contradicts_itself_is_not_written(run, tmp_path, monkeypatch):
    def doctored(*args, **options):
        # One more correct cell in the results than the set's class table and matrix have.
        before, head, results = render_report(*args, **options).partition('id="results"')
        assert "27/30 (90 %)" in results
        return before + head + results.replace("27/30 (90 %)", "28/30 (93.33 %)", 1)

    monkeypatch.setattr(pack, "render_report", doctored)
    with pytest.raises(EvidenceError, match="the report contradicts itself, so none is written"):
        write_pack(run, reports=tmp_path, manifest=None, models={}, formats=FORMATS)
    assert not [path for path in tmp_path.iterdir() if path.name != ".stages"]


def test_a_run_that_stopped_early_still_gives_a_whole_pack(tmp_path):
    target = write_pack(stopped_run(), reports=tmp_path, manifest=None, models={}, formats=FORMATS)
    found = set(files_of(target))
    records = {"index.html", "evidence.json", "junit.xml", "claims.json", "sbom.cdx.json", "summary.md", "SHA256SUMS"}
    assert found == {*records, "figures/class_distribution.png"}
    content = json.loads((target / "evidence.json").read_text(encoding="utf-8"))
    assert content["run"]["passed"] is False
    assert content["run"]["stopped_because"].startswith("MissingData")
    assert content["split"] is None
    assert content["training"] is None


def test_an_image_that_is_gone_or_altered_since_it_was_listed_is_not_shown(manifest, run, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(manifest.root, root)
    gone, altered, kept = run.split.train[:3]
    (root / gone.path).unlink()
    (root / altered.path).write_bytes(example_picture("another"))
    moved = Pictures("dataset", manifest.images, FORMATS, root)
    shown = pack._load_shown([gone.sha256, altered.sha256, kept.sha256], [moved])
    assert set(shown) == {kept.sha256}
    with Image.open(root / kept.path) as image:
        assert np.array_equal(shown[kept.sha256], np.asarray(image))


# --- evidence.json ------------------------------------------------------------------------------


def test_evidence_is_strict_json_and_undefined_is_null(written):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads((written / "evidence.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert content["schema"] == "leukocyte-harness/evidence/4"
    absent = content["evaluations"]["nine-monocytes"]["per_class"]["basophil"]
    assert absent["support"] == 0
    assert (absent["recall"]["value"], absent["recall"]["lower"], absent["recall"]["n"]) == (None, None, 0)
    assert content["evaluations"]["nine-monocytes"]["per_class"]["monocyte"]["recall"]["value"] == 1.0


def test_evidence_has_every_verdict_with_its_counts_and_the_digests_of_what_was_used(written, run):
    content = json.loads((written / "evidence.json").read_text(encoding="utf-8"))
    assert [v["criterion"] for v in content["verdicts"]] == [c.id for c in run.protocol.criteria]
    assert {v["outcome"] for v in content["verdicts"]} == {str(outcome) for outcome in Outcome}
    e1 = next(v for v in content["verdicts"] if v["criterion"] == "E1")
    assert (e1["estimate"]["k"], e1["estimate"]["n"], e1["required"]) == (109, 140, True)
    assert content["protocol"]["digest"] == run.protocol.digest
    assert content["split"]["digest"] == run.split.digest
    assert content["predictions"]["test"]["digest"] == run.predictions["test"].digest
    assert content["predictions"]["test"]["n"] == 30
    assert content["training"]["weights_digest"] == run.training.weights_digest
    assert len(content["timings"][0]["samples_s"]) == 100


def test_a_number_that_is_none_becomes_null_and_a_lone_surrogate_its_escape():
    value = {"a": [float("nan"), (float("inf"), 1.5)], "name": "byte\udcff ä", "other": "\ud800"}
    assert json.loads(as_json(value).decode("utf-8")) == {
        "a": [None, [None, 1.5]],
        "name": "byte\udcff ä",
        "other": "\ud800",
    }


# --- CSV ----------------------------------------------------------------------------------------


def test_predictions_read_back_to_the_same_bits(written, run):
    for name, predictions in run.predictions.items():
        rows = rows_of(written / "predictions" / f"{name}.csv")
        read = Predictions(
            set=name,
            classes=CLASSES,
            paths=tuple(row["path"] for row in rows),
            digests=tuple(row["sha256"] for row in rows),
            labels=np.array([CLASSES.index(row["label"]) for row in rows]),
            probabilities=np.array([[float(row[f"p_{c}"]) for c in CLASSES] for row in rows]),
        )
        assert read.probabilities.tobytes() == predictions.probabilities.tobytes()
        assert read.paths == predictions.paths
        assert read.digest == predictions.digest
        assert [row["predicted"] for row in rows] == [CLASSES[p] for p in read.predicted]


def test_the_smallest_and_nearest_probabilities_read_back():
    probabilities = np.array([[5e-324, 1.0], [np.nextafter(0.1, 1), 1 - np.nextafter(0.1, 1)], [1 / 3, 2 / 3]])
    found = Predictions("s", ("a", "b"), ("1", "2", "3"), ("x", "y", "z"), np.zeros(3, dtype=np.int64), probabilities)
    rows = list(csv.DictReader(io.StringIO(predictions_csv(found).decode())))
    assert np.array([[float(r["p_a"]), float(r["p_b"])] for r in rows]).tobytes() == probabilities.tobytes()


def test_manifest_split_and_confusion_say_what_the_records_say(written, run, manifest):
    listed = rows_of(written / "manifest.csv")
    assert [(r["path"], r["label"], r["sha256"], int(r["bytes"])) for r in listed] == [
        (i.path, i.label, i.sha256, i.n_bytes) for i in manifest.images
    ]
    assert {(r["width"], r["format"], r["patient"]) for r in listed} == {("96", "PNG", "")}
    split = rows_of(written / "data_split.csv")
    assert Counter(row["split"] for row in split) == {"train": 140, "validation": 30, "test": 30}
    counts = rows_of(written / "metrics" / "confusion_matrix_test.csv")
    assert [[int(row[c]) for c in CLASSES] for row in counts] == run.evaluations["test"].confusion.tolist()


def test_file_names_of_any_kind_break_no_format_and_stay_inert_in_every_csv(quick, tmp_path):
    run = example_run(file_name=hostile_name, content=example_picture, n_wrong=30)
    finding = dataclasses.replace(run.integrity.findings[0], path="byte\udcff\x07\ufffe", detail="\ud800")
    verdicts = tuple(dataclasses.replace(v, reason=v.reason + " byte\udcff \x07\ufffe\ud800") for v in run.verdicts)
    integrity = dataclasses.replace(run.integrity, findings=(finding,))
    run = dataclasses.replace(run, integrity=integrity, verdicts=verdicts)
    # In folders of the class names no path begins with a formula; beside them, as a manifest CSV may list, it does.
    manifest = write_example_dataset(tmp_path / "data", file_name=hostile_name)
    images = tuple(dataclasses.replace(i, path=i.filename, patient="=1+1") for i in manifest.images)
    manifest = dataclasses.replace(manifest, images=images)
    target = write_pack(run, reports=tmp_path / "reports", manifest=manifest, models={}, formats=FORMATS)

    for name, content in files_of(target).items():
        if name.endswith(".csv"):
            table = rows_of(target / name)
            assert not any(cell[:1] in tuple("=+-@\t\r") for row in table for cell in row.values()), name
            assert content.count(b"\r") == sum(cell.count("\r") for row in table for cell in row.values())
    paths = [row["path"] for row in rows_of(target / "predictions" / "test.csv")]
    assert paths == list(run.predictions["test"].paths)
    assert [row["path"].removeprefix("./") for row in rows_of(target / "manifest.csv")] == [i.path for i in images]
    content = json.loads((target / "evidence.json").read_text(encoding="utf-8"))
    assert content["integrity"]["findings"][0]["path"] == "byte\udcff\x07\ufffe"
    assert "\\udcff" in ElementTree.parse(target / "junit.xml").find(".//failure").get("message")
    assert "byte\\udcff" in (target / "index.html").read_text(encoding="utf-8")


def test_a_carriage_return_in_a_cell_ends_no_row():
    text = as_csv(("a", "b"), [("x\ry", 1), ("z", 2)]).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], ["x\ry", "1"], ["z", "2"]]


# --- classification report ----------------------------------------------------------------------


def test_the_classification_report_agrees_with_scikit_learn(run):
    for name in ("test", "train", "second-laboratory"):
        predictions = run.predictions[name]
        theirs = sklearn_report(predictions.labels, predictions.predicted, target_names=CLASSES, digits=4)
        ours = classification_report(evaluate(predictions))
        assert _table(ours) == _table(theirs)
        assert f"({predictions.correct.sum()}/{len(predictions.digests)})" in ours


def test_an_absent_class_has_dashes_and_leaves_the_macro_average_undefined(run):
    lines = classification_report(run.evaluations["nine-monocytes"]).splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert cells["basophil"] == ["-", "-", "-", "0"]
    assert cells["monocyte"] == ["1.0000", "1.0000", "1.0000", "9"]
    assert cells["macro"] == ["avg", "-", "-", "-", "9"]
    assert cells["weighted"] == ["avg", "1.0000", "1.0000", "1.0000", "9"]
    assert lines[-1] == "-: undefined, because a class has no cells or none was predicted as it"


def test_a_class_that_was_never_predicted_leaves_the_average_precision_undefined():
    # Two cells of each class, all called "a": the precision of "b" does not exist, its recall is 0.
    labels, probabilities = np.array([0, 0, 1, 1]), np.tile([0.9, 0.1], (4, 1))
    found = Predictions("s", ("a", "b"), tuple("1234"), tuple("wxyz"), labels, probabilities)
    cells = {line.split()[0]: line.split()[1:] for line in classification_report(evaluate(found)).splitlines() if line}
    assert cells["b"] == ["-", "0.0000", "0.0000", "2"]
    assert cells["macro"] == ["avg", "-", "0.5000", "0.3333", "4"]


# --- whole or not there -------------------------------------------------------------------------


def test_a_run_that_is_there_already_is_refused_and_left_alone(quick, run, tmp_path):
    (tmp_path / run.run_id).mkdir()
    (tmp_path / run.run_id / "index.html").write_text("an earlier one", encoding="utf-8")
    with pytest.raises(EvidenceError, match="exists already"):
        write_pack(run, reports=tmp_path, manifest=None, models={}, formats=FORMATS)
    assert [each.name for each in tmp_path.rglob("*")] == [run.run_id, "index.html"]


def test_a_write_that_fails_at_any_point_leaves_nothing(quick, monkeypatch, run, manifest, models, tmp_path):
    """Every write, copy, sync, link and rename fails once; a pack that was there before stays, and stays the latest."""
    monkeypatch.setattr(pack, "render_report", lambda *args, **kwargs: "page")
    documents = pack.documents(run, manifest)
    monkeypatch.setattr(pack, "documents", lambda results, manifest: documents)
    monkeypatch.setattr(pack, "_load_shown", lambda *args: {})
    before = write_pack(
        dataclasses.replace(run, run_id="before"), reports=tmp_path, manifest=manifest, models=models, formats=FORMATS
    )
    calls = _FailingCalls(monkeypatch)

    def attempt() -> Path:
        return write_pack(run, reports=tmp_path, manifest=manifest, models=models, formats=FORMATS)

    target = attempt()
    needed = calls.made
    assert needed > 50  # more than two dozen files, each written and synced
    shutil.rmtree(target)
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").symlink_to("before")
    for number in range(1, needed + 1):
        calls.fail_at(number)
        with pytest.raises(EvidenceError, match="No space left"):
            attempt()
        assert {each.name for each in tmp_path.iterdir()} == {"before", "latest"}, f"call {number}"
        assert (tmp_path / "latest").resolve() == before
    calls.fail_at(needed + 1)
    assert attempt().is_dir()


def test_an_error_that_is_no_disk_error_leaves_nothing_either(quick, monkeypatch, run, tmp_path):
    swapped = dataclasses.replace(run.evaluations["test"], confusion=run.evaluations["test"].confusion.T.copy())
    contradictory = dataclasses.replace(run, evaluations={**run.evaluations, "test": swapped})
    with pytest.raises(EvidenceError, match="confusion matrix"):
        write_pack(contradictory, reports=tmp_path, manifest=None, models={}, formats=FORMATS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../../elsewhere", "/elsewhere", "a/b", "..", ".hidden"])
def test_a_set_whose_name_would_leave_the_pack_is_refused(quick, run, tmp_path, name):
    # A name from the command line is not restricted by the protocol.
    predictions = {name: dataclasses.replace(run.predictions["test"], set=name)}
    with pytest.raises(EvidenceError, match="is not a file name"):
        write_pack(
            dataclasses.replace(run, predictions=predictions, evaluations={}),
            reports=tmp_path / "reports",
            manifest=None,
            models={},
            formats=FORMATS,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_reports_folder_that_cannot_be_made_is_an_evidence_error(run, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(EvidenceError, match="could not be written"):
        write_pack(run, reports=tmp_path / "file", manifest=None, models={}, formats=FORMATS)


class _FailingCalls:
    """Counts the calls that touch the disk, and lets the n-th of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made, self._fails = 0, 0
        for owner, name in (
            (Path, "mkdir"),
            (Path, "write_bytes"),
            (shutil, "copyfile"),
            (os, "fsync"),
            (Path, "symlink_to"),
            (Path, "rename"),
            (Path, "replace"),
        ):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def fail_at(self, number: int) -> None:
        self.made, self._fails = 0, number

    def _counted(self, original):
        def call(*args, **kwargs):
            self.made += 1
            if self.made == self._fails:
                raise OSError(28, "No space left on device")
            return original(*args, **kwargs)

        return call


def _table(report: str) -> dict[str, list[str]]:
    """Row title -> its numbers."""
    rows = (re.fullmatch(r"\s*([a-z]+(?: avg)?)\s+([\d.\s]+?)(?:\s+\(.*\))?", line) for line in report.splitlines())
    return {row.group(1): row.group(2).split() for row in rows if row}


def test_a_class_that_reads_like_a_heading_costs_nobody_a_pack(run, tmp_path, monkeypatch):
    # "ALL" is a leukaemia, "N" a neutrophil to many: a stranger takes their rows for sums. The pack is written.
    protocol = run.protocol.model_copy(
        update={"dataset": run.protocol.dataset.model_copy(update={"classes": ("ALL", *CLASSES[1:])})}
    )
    doctored = dataclasses.replace(run, protocol=protocol)
    monkeypatch.setattr(
        pack, "render_report", lambda *a, **k: "<p>Test accuracy 27/30 (93.33 %).</p><p>Test accuracy 95 %.</p>"
    )
    monkeypatch.setattr("harness.report.figures.draw_figures", lambda *a: {})
    monkeypatch.setattr("harness.report.figures.draw_thumbnails", lambda *a: {})
    target = write_pack(doctored, reports=tmp_path, manifest=None, models={}, formats=FORMATS)
    assert json.loads((target / "claims.json").read_text())["findings"]
    with pytest.raises(EvidenceError, match="contradicts itself"):
        write_pack(run, reports=tmp_path / "other", manifest=None, models={}, formats=FORMATS)
