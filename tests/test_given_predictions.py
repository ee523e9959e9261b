"""--predictions: answers that exist are judged as they stand; what they cannot show is said, and blocks nothing."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tiny_run import Pytest, evidence_of, verdicts_of

from harness.cli import main
from harness.core.digests import file_digest
from harness.core.errors import EvidenceError
from harness.data.prediction_files import parse_predictions
from harness.data.prediction_records import GivenPredictions, PredictionsFile
from harness.data.records import Manifest, SplitSource
from harness.data.split import undivided
from harness.judge.pretrained import lacking, nobody_asked, unanswered
from harness.metrics.table import TABLE
from harness.model.records import JudgedModel, ModelCard
from harness.pack.given_check import check_given
from harness.pack.outcome import read_judged, read_passed
from harness.pack.read import open_pack
from harness.protocol.needs import (
    ANSWERS_ON_VALIDATION,
    NEW_IMAGES,
    PREPARED_ARRAYS,
    PROBABILITIES,
    SPLIT,
    TRAINING,
    TRAINING_CELLS,
)
from harness.protocol.records import Protocol
from harness.report.sections.training import _limits_of_predictions
from harness.report.sentences import given_told
from harness.run.setting import RunOptions, Setting
from harness.run.stages.given import whose_word
from harness.session import Exit

FILE = PredictionsFile(
    "dataset", "p.csv", "1" * 64, 9, "CSV", "predictions/given/dataset.csv", "path", 4, "3 decimals", 0.0015, 2, 0.001,
    1, ("label", "note"), "label", 3,
)  # fmt: skip
UNSPLIT = GivenPredictions((FILE,), parts=("test",))
SPLIT_GIVEN = GivenPredictions((FILE,), cells="stated by the split", parts=("validation", "test"))
CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
MODEL = JudgedModel("m.pth", "1" * 64, 9, "state dict", "torchvision", "resnet18", "2" * 64, ())

# --- what can be asked of them ---


def unasked(given: GivenPredictions) -> set[str]:
    """The metrics that these predictions leave nobody to ask for."""
    return {name for name, metric in TABLE.items() if any(lacking(need, given) for need in metric.needs)}


def test_without_a_split_everything_is_judged_but_what_needs_images_training_or_parts():
    judged = set(TABLE) - unasked(UNSPLIT)
    assert {"accuracy", "recall", "f1", "macro_f1", "calibration_error", "ppv", "accuracy_difference"} <= judged
    assert {"generalisation_gap", "duplicates_across_sets", "label_conflicts", "unreadable_images"} <= judged
    assert unasked(UNSPLIT) - unasked(SPLIT_GIVEN) == {
        *("leaked_units", "split_size_mismatches", "listing_order_changes", "path_prefix_changes"),
        *("duplicates_across_parts", "judged_cells_in_fits", "conformal_coverage"),
        *("selective_risk", "referral_rate"),
    }


@pytest.mark.parametrize(
    ("source", "split_file", "word"),
    [
        ("undivided", None, "unknown"),
        ("folders", None, "not stated"),
        ("file", "cells.csv", "not stated"),  # a column of the CSV given as --data
        ("file", "split.csv", "stated by the split"),
    ],
)
def test_only_a_split_that_was_named_says_which_cells_were_trained_on(
    protocol: Protocol, manifest: Manifest, source: SplitSource, split_file: str | None, word: str
):
    """As of a classifier's file: parts that the data came with are nobody's word on a training."""
    split = None if split_file is None else Path(split_file)
    options = RunOptions("test", Path("cells.csv"), {}, frozenset(), split, "cpu", 1, Path("ledger.jsonl"))
    told = whose_word(Setting.of(protocol, options), replace(undivided(manifest), source=source))
    assert told == word
    given = GivenPredictions((FILE,), cells=told, parts=("test",))
    assert (lacking(SPLIT, given) is None) == (source != "undivided")
    assert (lacking(TRAINING_CELLS, given) is None) == options.split_is_stated == (split_file == "split.csv")
    limits = [limit.what for limit in _limits_of_predictions(given)]
    assert ("The parts came with the data" in limits[-1]) == (word == "not stated")


def test_validation_lets_a_threshold_be_fitted_and_train_lets_overfitting_be_seen():
    assert lacking(ANSWERS_ON_VALIDATION, SPLIT_GIVEN) is None
    assert "accuracy_gap" in unasked(SPLIT_GIVEN)
    assert "accuracy_gap" not in unasked(replace(SPLIT_GIVEN, parts=("train", "validation", "test")))


@pytest.mark.parametrize("need", [NEW_IMAGES, PREPARED_ARRAYS, TRAINING])
def test_the_reason_says_what_is_missing_and_that_nobody_asked(need: str):
    found = lacking(need, UNSPLIT)
    assert found is not None
    assert found.not_asked
    assert found.reason.startswith("not applicable: --predictions judges answers that exist: ")


def test_a_trained_classifier_and_a_file_of_one_lack_none_of_this():
    for need in (NEW_IMAGES, PROBABILITIES, SPLIT, ANSWERS_ON_VALIDATION):
        assert lacking(need, None) is None
        assert lacking(need, MODEL) is None
    assert unanswered("validation", MODEL) is None


def test_a_door_that_cannot_do_something_is_asked_by_its_card():
    card = ModelCard("command", "cmd", "2" * 64, ("a",), None, ("probabilities", "new images"), "RGB frames")
    found = lacking(PREPARED_ARRAYS, replace(MODEL, card=card))
    assert found is not None
    assert found.not_asked
    assert "cmd (command) cannot answer for arrays" in found.reason
    assert lacking(NEW_IMAGES, replace(MODEL, card=card)) is None


def test_an_external_set_without_predictions_is_missing_and_asked_for():
    found = unanswered("clinic", UNSPLIT)
    assert found is not None
    assert (found.not_asked, found.reason) == (
        False,
        "there are no predictions of set clinic: no --predictions clinic=FILE",
    )
    assert unanswered("train", UNSPLIT).not_asked  # type: ignore[union-attr]
    assert unanswered("test", UNSPLIT) is None


@pytest.mark.parametrize("parts", [(), ("validation",), ("train", "validation")])
def test_predictions_that_leave_the_test_part_out_excuse_nothing_on_it(parts: tuple[str, ...]):
    given = replace(SPLIT_GIVEN, parts=parts)
    found = unanswered("test", given)
    assert found is not None
    assert (found.not_asked, "do not cover test" in found.reason) == (False, True)
    assert not nobody_asked("accuracy", "accuracy", "test", given, without_baseline=True, unpinned=False)


def test_labels_of_a_set_that_was_matched_and_not_scored_are_the_run_s_word(manifest: Manifest):
    """An external set behind a closed gate: the pack lists none of its images."""
    content = f"path,label,{','.join(CLASSES)}\na.png,0,1,0,0,0,0\n".encode()
    read = parse_predictions(content, name="e.csv", set_name="clinic", classes=CLASSES).record
    pack = cast(Any, SimpleNamespace(sums={read.kept_as: read.sha256}, read=lambda name: content))
    stated = GivenPredictions((replace(read, n_other_labels=1),), parts=("test",))
    nothing = {"predictions": {}, "images": {"dataset": manifest.images}, "split": None, "classes": CLASSES}
    assert check_given(pack, stated, **nothing)[0] == []
    lied = GivenPredictions((replace(read, n_other_labels=1, n_rows=2),), parts=("test",))
    assert [field for _, field, _ in check_given(pack, lied, **nothing)[0]] == ["given > files > e.csv"]


def test_a_pack_that_judged_a_part_and_names_none_is_found():
    pack = cast(Any, SimpleNamespace(sums={}, read=lambda name: b""))
    found, _ = check_given(
        pack,
        GivenPredictions(()),
        predictions={"test": cast(Any, None)},
        images={},
        split=None,
        classes=CLASSES,
    )
    assert [field for _, field, _ in found] == ["given > parts"]


@pytest.mark.parametrize(
    ("metric", "question", "set_name", "excused"),
    [
        ("latency_s", "throughput", "any", True),
        ("disturbed_accuracy", "robustness", "test", True),
        ("accuracy", "accuracy", "validation", True),
        ("accuracy", "accuracy", "test", False),
        ("accuracy", "accuracy", "train", True),
        ("accuracy", "external", "clinic", False),
        ("unreadable_images", "integrity", "dataset", False),
        ("accuracy_difference", "regression", "test", True),
        ("a metric of a later harness", "accuracy", "test", False),
    ],
)
def test_what_nobody_asked_follows_from_what_was_judged(metric: str, question: str, set_name: str, excused: bool):
    assert nobody_asked(metric, question, set_name, UNSPLIT, without_baseline=True, unpinned=False) is excused
    if excused and question != "regression":
        assert not nobody_asked(metric, question, set_name, None, without_baseline=True, unpinned=False)


def test_all_cells_are_test_where_nobody_divided_them(manifest: Manifest):
    parts = undivided(manifest)
    assert (parts.train, parts.validation, parts.test, parts.source) == ((), (), manifest.images, "undivided")


def test_the_terminal_tells_of_rounding_ties_labels_and_the_missing_split():
    from example_run import example_run

    index = replace(UNSPLIT.files[0], unread=("", "label", "note"))  # pandas writes its index under no name
    told = "\n".join(given_told(replace(example_run(), training=None, given=replace(UNSPLIT, files=(index,)))))
    assert "judged: predictions 'p.csv' of dataset, 4 rows" in told
    assert "2 rows miss a sum of 1 by at most 0.001 and were divided by it; printed to 3 decimals" in told
    assert "1 rows have two largest probabilities" in told
    assert "columns not used: (without a name), label, note" in told
    assert "its 'label' differs from the data's label in 3 rows\n" in told
    none = replace(UNSPLIT.files[0], n_other_labels=UNSPLIT.files[0].n_rows)
    said = given_told(replace(example_run(), training=None, given=replace(UNSPLIT, files=(none,))))
    assert any(line.endswith("in 4 rows; are its labels in other words?") for line in said)
    assert "separation from training is not shown" in told
    assert given_told(example_run()) == []


def test_the_limits_say_that_no_classifier_was_asked():
    from example_run import example_run, limits_in

    run = example_run()
    told = set(limits_in(replace(run, training=None, given=UNSPLIT))) - set(limits_in(run))
    assert any("Predictions were judged, and no classifier" in what for what in told)
    assert any("Separation from training is not shown" in what for what in told)


# --- the whole path ---


def table(pack: Path, *parts: str, digits: int | None = None, classes: Sequence[str] | None = None) -> list[list[str]]:
    """Header and rows of a CSV with paths, made of what a pack holds of these parts."""
    texts = [(pack / f"predictions/{part}.csv").read_text() for part in parts]
    rows = [row for text in texts for row in csv.DictReader(text.splitlines())]
    names = list(classes or [name.removeprefix("p_") for name in rows[0] if name.startswith("p_")])
    shown: Callable[[str], str] = (lambda text: text) if digits is None else (lambda text: f"{float(text):.{digits}f}")
    return [["path", *names], *([row["path"], *(shown(row[f"p_{name}"]) for name in names)] for row in rows)]


def written(file: Path, rows: list[list[str]]) -> Path:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return file


@pytest.fixture(scope="module")
def unsplit(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
) -> tuple[subprocess.CompletedProcess[str], Path, Path]:
    """The three parts' predictions, printed to three decimals and with a label column, judged without a split."""
    header, *rows = table(cold[1], "train", "validation", "test", digits=3)
    file = written(place / "rounded.csv", [[*header[::-1], "label"], *([*row[::-1], "monocyte"] for row in rows)])
    done = tiny(f"--predictions={file}")
    return done, (place / "reports" / "latest").resolve(), file


def test_without_a_split_every_cell_is_judged_as_test(unsplit):
    done, pack, file = unsplit
    assert done.returncode == 0, done.stdout[-3000:]
    evidence = evidence_of(pack)
    assert evidence["split"]["sizes"] == {"train": 0, "validation": 0, "test": 60}
    assert evidence["predictions"].keys() == {"test"}
    (kept,) = evidence["given"]["files"]
    assert kept["sha256"] == file_digest(file) == file_digest(pack / kept["kept_as"])
    assert (kept["file"], kept["format"], kept["n_rows"]) == ("rounded.csv", "CSV", 60)
    assert kept["n_renormalised"] > 0
    assert kept["n_other_labels"] == 48
    assert evidence["model"] is evidence["training"] is None
    assert "separation from training is not shown" in done.stdout
    assert "safetensors" not in json.dumps(evidence["given"])


def test_without_a_split_the_page_says_what_is_not_shown(unsplit):
    page = (unsplit[1] / "index.html").read_text()
    assert page.count("Separation from training is not shown") >= 2
    assert "No classifier was asked: predictions that already existed were judged" in page
    assert "not known whether the classifier was trained on these cells" in page
    assert "No temperature was fitted" in page
    assert "rows of <code>" in page


def test_what_cannot_be_judged_is_not_asked_and_blocks_nothing(unsplit):
    found = verdicts_of(unsplit[1])
    unasked = {name for name, verdict in found.items() if verdict["not_asked"]}
    assert {"L1", "S1", "P1", "F1", "F7", "C3", "B2", "T2"} <= unasked
    assert not unasked & {"D1", "L2", "A1", "C1", "E1"}
    assert found["C1"]["estimate"] is not None
    assert "no --predictions second_laboratory=FILE" in found["E1"]["reason"]


def test_the_pack_of_judged_predictions_verifies(unsplit, capsys):
    assert main(["verify", str(unsplit[1])]) == 0, capsys.readouterr().out


def resealed(pack: Path, change: Callable[[dict[str, Any]], object] = lambda evidence: None) -> None:
    """Change evidence.json, and let the sums agree again with whatever is there."""
    evidence = evidence_of(pack)
    change(evidence)
    (pack / "evidence.json").write_text(json.dumps(evidence, indent=1, ensure_ascii=False) + "\n")
    sums = [line.split("  ") for line in (pack / "SHA256SUMS").read_text().splitlines()]
    (pack / "SHA256SUMS").write_text("".join(f"{file_digest(pack / name)}  {name}\n" for _, name in sums))


def lied(evidence: Mapping[str, Any], **said: object) -> None:
    evidence["given"]["files"][0].update(said)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: lied(e, sha256="0" * 64), "given > sha256"),
        (lambda e: lied(e, n_renormalised=0), "given > files > rounded.csv"),
        (lambda e: lied(e, n_other_labels=0), "given > files > rounded.csv"),
        (lambda e: e["given"].update(parts=["train", "validation", "test"]), "given > parts"),
        (lambda e: e["given"].update(cells="stated by the split"), "given > cells"),
        (lambda e: e["given"].update(cells="not stated"), "given > cells"),
        (lambda e: e.update(given=None), "split > source: 'undivided' is written, 'drawn' follows"),
    ],
)
def test_what_the_evidence_says_of_the_file_is_found_to_be_another(tmp_path: Path, unsplit, change, words, capsys):
    pack = tmp_path / unsplit[1].name
    shutil.copytree(unsplit[1], pack)
    resealed(pack, change)
    assert main(["verify", str(pack)]) == 1
    said = capsys.readouterr().out
    assert words in said


def test_a_judged_file_that_was_exchanged_does_not_verify(tmp_path: Path, unsplit, capsys):
    pack = tmp_path / unsplit[1].name
    shutil.copytree(unsplit[1], pack)
    kept = pack / "predictions/given/dataset.csv"
    lines = kept.read_text().splitlines()
    cells = lines[1].split(",")
    cells[0], cells[1] = cells[1], cells[0]
    kept.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    resealed(pack, lambda e: lied(e, sha256=file_digest(kept)))
    assert main(["verify", str(pack)]) == 1
    assert "predictions/test.csv: probabilities: they are not those of predictions/given/dataset.csv" in (
        capsys.readouterr().out
    )


def test_a_passed_run_cannot_excuse_a_criterion_by_its_own_word(tmp_path: Path, unsplit):
    pack = tmp_path / unsplit[1].name
    shutil.copytree(unsplit[1], pack)
    assert read_passed(open_pack(pack))

    def excuse(evidence: dict[str, Any]) -> None:
        verdict = next(each for each in evidence["verdicts"] if each["criterion"] == "D1")
        verdict.update(outcome="not assessed", not_asked=True)

    resealed(pack, excuse)
    with pytest.raises(EvidenceError, match="the required criterion 'D1' has the outcome 'not assessed'"):
        read_passed(open_pack(pack))
    resealed(pack, lambda e: e.update(given=None))
    assert read_judged(open_pack(pack)) is None


def test_the_same_classes_within_a_ten_thousandth_are_the_same_look(tiny: Pytest, place: Path, cold, capsys):
    split = f"--split={cold[1] / 'data_split.csv'}"
    near = written(place / "near.csv", table(cold[1], "test", "validation", digits=6))
    assert tiny(split, f"--predictions={near}", "-k", "D1 or A1 or C1").returncode in (Exit.PASSED, Exit.INCOMPLETE)
    pack = (place / "reports" / "latest").resolve()
    assert evidence_of(pack)["looks"] == {"test": 1}
    assert evidence_of(pack)["predictions"]["test"]["digest"] != evidence_of(cold[1])["predictions"]["test"]["digest"]
    assert main(["verify", str(pack)]) == 0, capsys.readouterr().out
    header, *rows = table(cold[1], "test")
    other = written(place / "other.csv", [header, *([row[0], *row[2:], row[1]] for row in rows)])
    tiny(split, f"--predictions={other}", "-k", "A1")
    assert evidence_of(place / "reports" / "latest")["looks"]["test"] > 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--predictions=clinic={pack}/predictions/test.csv"],
            "there is no set 'clinic' beside the data; there are nine",
        ),
        (["--predictions=none.csv"], "file not found"),
        (["--predictions={pack}/index.html"], "is HTML or XML"),
        (["--predictions={pack}/data_split.csv"], "5 of 5 classes have no column, first 'basophil'"),
        (["--predictions={pack}/predictions/second_laboratory.csv"], "200 foreign rows, such as line 2"),
        (["--predictions={pack}/predictions/test.csv"], "50 of the 60 images of test have no row, first"),
        (["--predictions={pack}/predictions/test.csv"], "if only some are, say which with --split FILE"),
        (["--predictions=nine_monocytes={pack}/predictions/nine_monocytes.csv"], "Name one of the dataset"),
        (
            ["--predictions={pack}/predictions/train.csv", "--predictions={pack}/predictions/train.csv"],
            "doubled rows, such as train.csv, line 2",
        ),
    ],
)
def test_what_cannot_be_judged_ends_in_one_clear_error(tiny: Pytest, place: Path, cold, arguments, words: str):
    reports = place / "reports"
    before = set(reports.glob("20*"))
    done = tiny(*(each.format(pack=cold[1]) for each in arguments), "-k", "A1")
    assert done.returncode == Exit.ERROR
    assert words in done.stdout
    assert "Traceback" not in done.stdout
    new = set(reports.glob("20*")) - before  # where the data were read, a whole pack tells of the stop
    assert all(evidence_of(pack)["run"]["passed"] is False for pack in new)
    assert all(main(["verify", str(pack)]) == 0 for pack in new)


def test_a_baseline_of_a_test_part_asks_for_its_split(tiny: Pytest, unsplit, cold):
    done = tiny(f"--predictions={unsplit[2]}", f"--baseline={cold[1]}", "-k", "A1 or G1")
    assert done.returncode == Exit.ERROR
    assert "Name the baseline's split: --split with the data_split.csv of its pack" in done.stdout
