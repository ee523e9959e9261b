"""Text from outside is inert wherever a run writes it, and reads back to the same text where the harness reads it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from drawn import CLASSES
from example_run import page_of
from hostile_run import NAMES, RAN, hostile_dataset, hostile_name, hostile_run
from hypothesis import example, given
from hypothesis import strategies as st
from tiny_run import Pytest

from fixtures.laboratories import HOME
from fixtures.smears import write_smears
from harness import cli
from harness.core.errors import EvidenceError
from harness.core.spreadsheet import active, inert
from harness.core.text import visible
from harness.data.manifest import read_manifest
from harness.data.records import Manifest
from harness.data.split import read_split, split_stratified, write_split
from harness.jobs.common import HOLDS
from harness.metrics.classification import evaluate
from harness.pack import read_predictions as reader
from harness.pack.junit import junit
from harness.pack.read_predictions import _path
from harness.pack.registry import _plain
from harness.pack.tables import as_json, confusion_csv, documents, manifest_csv, predictions_csv
from harness.protocol.datasets import DatasetPlan, ExternalPlan, ImageRules, SplitPlan
from harness.run.results import RunResults
from harness.session import Exit
from harness.terminal import _line

SERVER = "http://127.0.0.1:9"
FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
# A text of the characters that matter, in any order.
ODD_TEXT = st.text(st.sampled_from("=+-@\t\r\n ,;|\"'./ax\uff1d\u202e\x1b\udcff"), max_size=12)


@pytest.fixture(scope="module")
def run() -> RunResults:
    return hostile_run(SERVER)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return hostile_dataset(tmp_path_factory.mktemp("hostile") / "data")


# --- spreadsheets -----------------------------------------------------------------------------------


@given(ODD_TEXT)
@example("./=x")
@example("a;././-1")
def test_what_is_made_inert_reads_back_to_the_same_text(text):
    assert active(inert(text)) == text


@given(ODD_TEXT)
def test_no_spreadsheet_finds_a_formula_whatever_it_takes_for_the_end_of_a_cell(text):
    for piece in re.split("[,;|\t\r\n\"']", inert(text)):
        assert not piece.lstrip(" ").startswith(FORMULA)
    assert not inert(text).startswith(("\t", "\r", "\n"))


@given(ODD_TEXT)
def test_the_reader_of_packs_takes_off_exactly_what_the_writer_put_there(text):
    if text:
        assert _path("here", inert(text)) == text
    if text and inert(active(text)) != text:  # no writer wrote it
        with pytest.raises(EvidenceError):
            _path("here", text)


@pytest.mark.parametrize(
    "honest", ["monocyte/MO_1.jpg", "BA-1.jpg", "a - b.jpg", "x=1.jpg", "e+05", "P@1", "a, b.jpg", "it's 1.jpg"]
)
def test_an_honest_name_is_written_as_it_is(honest):
    assert inert(honest) == honest


def cells_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline=""), strict=True))


def test_no_csv_of_a_pack_holds_a_formula(run, dataset):
    tables = {name: content for name, content in documents(run, dataset).items() if name.endswith(".csv")}
    assert len(tables) >= 10
    for name, content in tables.items():
        for row in cells_of(content):
            for cell in row:
                assert not any(piece.startswith(FORMULA) for piece in re.split("[,;|\t\r\n\"']", cell)), (name, cell)


def test_a_class_with_the_name_of_a_formula_is_refused_before_it_reaches_a_table():
    rules = ImageRules(formats=("PNG",), min_side_px=1, max_side_px=9)
    for name in (*NAMES, "=1", "a\n", "a b", "", ".", "a/b", "x" * 65):
        with pytest.raises(ValueError, match=r"match pattern|unicode"):
            DatasetPlan(description="", classes=("monocyte", name), images_per_class=1, images=rules)
        with pytest.raises(ValueError, match=r"match pattern|unicode"):
            ExternalPlan(name=name, description="", independence="shown", images=rules)


def test_the_split_is_read_back_as_it_was_written(dataset, tmp_path):
    split = split_stratified(dataset, SplitPlan(train=0.7, validation=0.15, test=0.15, seed=1))
    write_split(split, tmp_path / "data_split.csv")
    again = read_split(tmp_path / "data_split.csv", dataset)
    assert again.rows() == split.rows()


def test_the_manifest_is_read_back_as_it_was_written_patients_too(dataset):
    patients = ("=1+1", "./=1+1", "a;=1", "P1", "-", "+49", "@home", "\uff1d1")
    images = tuple(
        dataclasses.replace(image, patient=patients[i % len(patients)], slide=f"={i}")
        for i, image in enumerate(dataset.images)
    )
    (dataset.root / "manifest.csv").write_bytes(manifest_csv(dataclasses.replace(dataset, images=images), ()))
    again = read_manifest(dataset.root / "manifest.csv", name="dataset", classes=dataset.classes, workers=1)
    assert again.images == images
    (dataset.root / "manifest.csv").unlink()


def test_predictions_are_read_back_as_they_were_written(run):
    for predictions in run.predictions.values():
        rows = reader._Rows("here", predictions.classes, predictions_csv(predictions))
        assert tuple(rows.paths) == predictions.paths


def test_counts_of_a_matrix_stay_numbers(run):
    table = cells_of(confusion_csv(evaluate(run.predictions["test"])))
    assert all(cell.isdecimal() for row in table[1:] for cell in row[1:])


# --- JSON, XML, HTML --------------------------------------------------------------------------------


@given(st.text())
def test_json_shows_nothing_that_cannot_be_seen_and_reads_back_the_same(text):
    written = as_json({text: [text]})
    assert visible(written.decode()) == written.decode()
    pair = re.search("[\ud800-\udbff][\udc00-\udfff]", text)  # two lone halves would be read as one character
    assert pair or json.loads(written) == {text: [text]}


def test_every_text_file_of_a_pack_shows_only_what_can_be_seen(run, dataset):
    # A CSV keeps the very bytes of a name, as it must: its reader finds the file by them.
    for name, content in documents(run, dataset).items():
        if not name.endswith(".csv"):
            text = content.decode("utf-8")
            assert visible(text) == text, name
            assert "\t" not in text


def test_junit_stays_one_well_formed_tree_of_the_expected_elements(run):
    tree = ElementTree.fromstring(junit(run.verdicts, name=NAMES[0], seconds=1.0))
    assert {element.tag for element in tree.iter()} <= {
        *("testsuites", "testsuite", "testcase", "properties", "property", "failure", "skipped", "error")
    }
    assert RAN in (tree.find(".//failure").text or "")


def test_every_attribute_of_the_page_is_its_own_and_none_is_an_address(run):
    html = page_of(run)
    tags = re.findall(r"<[a-z][^<>]*>", html)
    assert not [tag for tag in tags if re.search(r"\son\w+=|style=|srcdoc=|autofocus", re.sub('"[^"]*"', '""', tag))]
    assert all(value.startswith("#") for tag in tags for value in re.findall(r'\s(?:href|action)="([^"]*)"', tag))
    assert "{{7*7}}" in html
    assert "$49" not in html


# --- terminals --------------------------------------------------------------------------------------

DRIVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def told(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> str:
    assert cli.main(arguments) != HOLDS
    said = capsys.readouterr()
    return said.out + said.err


def test_the_jobs_print_no_escape_code_of_a_report_or_a_path(capsys, tmp_path):
    name = f"\x1b[2J{NAMES[8]}.md"
    (tmp_path / name).write_text("# \x1b]0;owned\x07 Test set\u202e\n\nAccuracy 98.0 % (40/50) \x9b2J\n")
    for arguments in (["claims", "--verbose"], ["claims", "--json"]):
        said = told(capsys, [*arguments, str(tmp_path / name)])
        assert "98.0 %" in said
        assert not DRIVES.search(said)
    for job in ("claims", "verify", "ledger"):
        said = told(capsys, [job, str(tmp_path / "absent\x1b[2J\u202e")])
        assert "absent\\x1b" in said
        assert not DRIVES.search(said)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    root = tmp_path / "cells"
    write_smears(root, images_per_class=dict.fromkeys(CLASSES, 12), laboratory=HOME, size_px=48, seed=3)
    return root


def test_a_run_prints_no_escape_code_of_a_file_name(tiny: Pytest, cells: Path):
    victim = sorted((cells / "neutrophil").iterdir())[0]
    hostile = victim.with_name("\x1b[2J\x9b31m\u202egnp\nRUN PASSED: all.png")
    victim.rename(hostile)
    hostile.write_bytes(b"<html>")
    done = tiny(f"--data={cells}", "--color=no")
    said = done.stdout + done.stderr
    assert done.returncode == Exit.FAILED, said
    assert "\\x1b[2J\\x9b31m\\u202egnp\\nRUN PASSED" in said
    assert not DRIVES.search(said)
    assert "\nRUN PASSED" not in said


def test_what_the_terminal_is_told_of_a_run_cannot_drive_it():
    told: list[str] = []
    terminal = SimpleNamespace(line=lambda text, **_: told.append(text))
    _line(terminal, f"stopped: DataError: {NAMES[8]}\u202e", red=True)
    assert told == ["stopped: DataError: \\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\u202e"]


# --- MLflow -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_the_registry_has_plain_characters_only(name):
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,250}", _plain(f"harness.outcome.{name}"))


def test_hostile_names_are_names_that_a_disk_takes(tmp_path):
    for number in range(len(NAMES)):
        (tmp_path / hostile_name("monocyte", number)).write_bytes(b"")
    assert len(list(tmp_path.iterdir())) == len(NAMES)
