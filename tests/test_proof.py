"""A planted fault counts as caught only where its sign was seen; a clean control that something catches is named."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_run import example_run, limits_in, page_of
from markupsafe import escape

from fixtures.bugs import BUGS
from fixtures.catalogue.controls import CONTROLS, drawn_controls
from fixtures.catalogue.evidence import PAGE_EDITS
from fixtures.faults import FAULTS
from fixtures.planting.pages import HOSTILE, page_is_inert, tables_are_inert
from fixtures.signs import WRONG_CALL
from fixtures.tampering import (
    Canary,
    as_first_protocol,
    as_of_old,
    as_pickle,
    as_zip,
    as_zip_of_a_wrong_sum,
    as_zip_of_two_names,
)
from harness.cli import main
from harness.core.progress import silent
from harness.judge.proofs import Proof, Trial, alarms, detection
from harness.plugin import DEFAULT_PROTOCOL
from harness.proof import (
    PROJECT,
    Clean,
    Fault,
    Scratch,
    Sign,
    catalogue,
    lines,
    plant_all,
    proof_of_this_code,
    proven_code,
    put,
    sources_digest,
    write_proof,
)
from harness.protocol.file import read_protocol
from harness.report.rooted import with_whole_paths


@pytest.fixture
def clean(tmp_path: Path) -> Clean:
    """What stands for a clean run: a kept stage, a pack, a set of one file."""
    reports = tmp_path / "clean"
    put(reports / ".stages" / "training" / "aa" / "weights", b"weights")
    put(reports / ".stages" / "predictions-test" / "bb" / "kept", b"kept")
    put(reports / "pack" / "evidence.json", b"{}")
    put(tmp_path / "sets" / "dataset" / "monocyte" / "one.png", b"one")
    return Clean(reports, reports / "pack", tmp_path / "sets", DEFAULT_PROTOCOL)


def says(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def verdict(outcome: str) -> list[str]:
    """A process that leaves a pack with one verdict where a run would, and ends with 1."""
    record = {"verdicts": [{"criterion": "A1", "outcome": outcome}]}
    return says(
        "import os, sys; from pathlib import Path; pack = Path(os.environ['REPORTS']) / 'latest'; pack.mkdir(); "
        f"(pack / 'evidence.json').write_text({json.dumps(record)!r}); print('A1 of planted.png'); sys.exit(1)"
    )


def tried(clean: Clean, tmp_path: Path, sign: Sign, command: list[str]) -> Trial:
    def plant(s: Scratch) -> list[str]:
        s.environment["REPORTS"] = str(s.reports())
        return command

    return plant_all((Fault("X", "planted", plant, sign),), clean, work=tmp_path, jobs=1, progress=silent)[0]


@pytest.mark.parametrize(
    ("sign", "command", "caught", "happened"),
    [
        (Sign(criterion="A1", says=("planted.png",)), verdict("failed"), True, "A1 failed"),
        (Sign(criterion="A1"), verdict("passed"), False, "A1 passed"),
        (Sign(criterion="A1", outcomes=("inconclusive",)), verdict("inconclusive"), True, "A1 inconclusive"),
        (Sign(criterion="A1", says=("another.png",)), verdict("failed"), False, "did not say 'another.png'"),
        (Sign(criterion="L1"), verdict("failed"), False, "L1 without a verdict"),
        (Sign(), says(""), False, "nothing complained"),
        (Sign(exit=8, says=("DataError",)), says("import sys; print('DataError'); sys.exit(8)"), True, "exit 8"),
        (Sign(exit=8), says("import sys; sys.exit(1)"), False, "exit 1"),
        (Sign(exit=1), says("raise ValueError"), False, "a traceback"),
        (Sign(exit=0), says(""), True, "exit 0"),
    ],
)
def test_only_the_sign_that_was_named_counts(clean, tmp_path, sign, command, caught, happened):
    trial = tried(clean, tmp_path, sign, command)
    assert trial.as_expected is caught, trial
    assert happened in trial.happened


def test_a_fault_that_cannot_be_planted_survives_and_says_why(clean, tmp_path):
    def plant(s: Scratch) -> list[str]:
        raise ValueError("the page does not hold '142/150'")

    trial = plant_all((Fault("X", "planted", plant, Sign()),), clean, work=tmp_path, jobs=1, progress=silent)[0]
    assert not trial.as_expected
    assert "not planted" in trial.happened
    assert "142/150" in trial.happened


def test_a_process_that_does_not_end_is_no_catch(clean, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.proof.TIMEOUT_S", 0.5)
    trial = tried(clean, tmp_path, Sign(), says("import time; time.sleep(60)"))
    assert not trial.as_expected
    assert "still running" in trial.happened


def test_a_further_look_into_the_scratch_copy_can_overrule(clean, tmp_path):
    def no_file(s: Scratch) -> str:
        """no file is left."""
        return "a file is left"

    trial = tried(clean, tmp_path, Sign(exit=0, look=no_file), says(""))
    assert not trial.as_expected
    assert trial.happened == "a file is left"
    assert "no file is left" in trial.expected


def test_what_a_fault_changes_stays_in_its_own_copy(clean, tmp_path):
    seen = []

    def plant(s: Scratch) -> list[str]:
        put(s.cells() / "monocyte" / "one.png", b"planted")
        put(s.pack() / "evidence.json", b"planted")
        reports = s.reports(without=("predictions",))
        put(reports / ".stages" / "training" / "aa" / "weights", b"planted")
        seen.append(sorted(path.name for path in (reports / ".stages").iterdir()))
        return says("")

    plant_all((Fault("X", "planted", plant, Sign()),), clean, work=tmp_path, jobs=1, progress=silent)
    assert seen == [["training"]]
    assert (clean.sets / "dataset" / "monocyte" / "one.png").read_bytes() == b"one"
    assert (clean.pack / "evidence.json").read_bytes() == b"{}"
    assert (clean.reports / ".stages" / "training" / "aa" / "weights").read_bytes() == b"weights"
    assert not list(tmp_path.glob("scratch-*"))


# --- bounds and survivors -----------------------------------------------------------------------


def trial(name: str, as_expected: bool) -> Trial:
    return Trial(name, "planted", "exit 1", "exit 1", as_expected, 1.0)


def proof(n_faults: int, survivors: int, n_controls: int, raised: int) -> Proof:
    return Proof(
        code=proven_code(),
        version="0",
        quick=False,
        made="2026-11-23T20:00:00Z",
        seconds=60.0,
        faults=tuple(trial(f"F{n}", n >= survivors) for n in range(n_faults)),
        controls=tuple(trial(f"C{n}", n >= raised) for n in range(n_controls)),
    )


def test_the_bounds_are_those_of_the_binomial():
    # 0.05 ** (1 / 60) and 1 - 0.05 ** (1 / 100): the closed forms of Clopper and Pearson at k = n and k = 0.
    whole = proof(60, 0, 100, 0)
    assert detection(whole) == (60, 60, pytest.approx(0.951297, abs=1e-6))
    assert alarms(whole) == (0, 100, pytest.approx(0.029513, abs=1e-6))
    assert whole.holds


@pytest.mark.parametrize(("survivors", "raised"), [(1, 0), (0, 1)])
def test_one_survivor_or_one_alarm_is_named_and_the_proof_does_not_hold(survivors, raised):
    found = proof(3, survivors, 3, raised)
    assert not found.holds
    told = "\n".join(lines(found))
    assert ("survivors: F0" in told) == bool(survivors)
    assert ("false alarms: C0" in told) == bool(raised)


def test_a_proof_without_faults_does_not_hold():
    assert not proof(0, 0, 3, 0).holds


def test_a_proof_is_read_as_it_was_written(tmp_path):
    write_proof(proof(2, 1, 2, 0), tmp_path / "proof.json")
    record = json.loads((tmp_path / "proof.json").read_text())
    assert record["code"] == proven_code()
    assert [each["as_expected"] for each in record["faults"]] == [False, True]


# --- the catalogue --------------------------------------------------------------------------------


def test_the_catalogue_is_whole():
    ids = [fault.id for fault in (*FAULTS, *CONTROLS)]
    assert len(set(ids)) == len(ids)
    assert len(FAULTS) >= 60
    rows = {fault.id.partition("-")[0] for fault in FAULTS}
    listed = {
        *(f"D{n}" for n in (1, 2, 3, 5, 6, 7, 8)),
        *(f"L{n}" for n in (1, 2, 3, 4)),
        *(f"K{n}" for n in range(1, 8)),
        *(f"I{n}" for n in range(1, 6)),
        *("R1", "R2", "R3", "R5", "T1", "T2", "T3", "T4", "M1", "M2", "M3", "M4", "M5"),
        *(f"H{n}" for n in range(1, 7)),
        *(f"E{n}" for n in range(1, 7)),
        *("P1", "P4", "X1", "X2", "X3", "X4", "X5", "S1"),
    }
    assert listed <= rows


def test_every_criterion_that_must_catch_is_one_of_the_embedded_protocol():
    planted = {"E9", "Y9"}
    known = {criterion.id for criterion in read_protocol(DEFAULT_PROTOCOL).criteria} | planted
    assert {fault.caught.criterion for fault in FAULTS} - {None} <= known


def test_the_quick_proof_has_a_fault_of_every_kind():
    quick, _ = catalogue(quick=True, only=(), seeds=0)
    assert {fault.id[0] for fault in quick} == {fault.id[0] for fault in FAULTS}
    assert len(quick) < len(FAULTS) / 2


def test_drawn_controls_have_seeds_of_their_own():
    assert len({fault.id for fault in drawn_controls(100)}) == 100


def test_an_unknown_fault_is_a_wrong_call(capsys):
    assert main(["prove", "--only", "Z9"]) == 2
    assert "Z9" in capsys.readouterr().err


# --- bugs and what looks for them -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["autoescape_off", "perfect_is_certain", "rounded_up", "split_by_listing"])
def test_a_bug_is_planted_before_anybody_imports_what_it_changes(name, tmp_path):
    module = BUGS[name][0]
    seen = says(
        f"import importlib, sys; from fixtures import bugs; changed = []\n"
        f"module, change = bugs.BUGS[{name!r}]\n"
        f"bugs.BUGS[{name!r}] = (module, lambda found: (change(found), changed.append(found.__name__)))\n"
        f"bugs.plant({name!r}); assert module not in sys.modules or not module.startswith('harness')\n"
        f"importlib.import_module(module); assert changed == [{module!r}], changed"
    )
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        seen, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": root}, cwd=root
    )
    assert done.returncode == 0, done.stderr


# --- a fault that CI does not plant must not rot: what it changes is there ----------------------------


@pytest.mark.slow
def test_every_bug_finds_what_it_changes():
    wrong = says(
        "import importlib, os, sys, traceback\n"
        "from fixtures.bugs import BUGS\n"
        "modules = {module: importlib.import_module(module) for module, _ in BUGS.values()}\n"
        "rotten = []\n"
        "for name, (module, change) in BUGS.items():\n"
        "    if not (child := os.fork()):\n"
        "        try:\n"
        "            change(modules[module])\n"
        "        except BaseException:\n"
        "            traceback.print_exc()\n"
        "            os._exit(1)\n"
        "        os._exit(0)\n"
        "    if os.waitpid(child, 0)[1]:\n"
        "        rotten.append(name)\n"
        "sys.exit(', '.join(rotten) or 0)"
    )
    done = subprocess.run(wrong, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "edit"), [(name, edit) for name, _, edit in PAGE_EDITS])
def test_every_edit_of_a_page_finds_what_it_edits(name, edit):
    page = with_whole_paths(page_of(example_run()))
    assert edit(page) != page


def test_every_protocol_that_a_fault_writes_is_one_that_can_be_asked(clean, tmp_path):
    asked = 0
    for fault in (*FAULTS, *CONTROLS):
        folder = tmp_path / "planted" / fault.id
        folder.mkdir(parents=True)
        with contextlib.suppress(Exception):  # of a clean run that is none, most find no cells to change
            fault.plant(Scratch(clean, folder))
        written = folder / "protocol.toml"
        for written in folder.glob("*.toml"):
            if fault.caught.exit != WRONG_CALL and written.read_text().startswith("extends"):
                read_protocol(written)
                asked += 1
    assert asked > 10


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        (f"<meta content=\"default-src 'none'\"><p>{HOSTILE}", "1 scripts"),
        ("<p>nothing</p>", "no policy"),
        ("<meta content=\"default-src 'none'\"><p>&lt;script&gt;", "does not show the name"),
        (f"<meta content=\"default-src 'none'\"><p>{escape(HOSTILE)}", ""),
    ],
)
def test_a_page_with_a_script_is_not_inert(clean, tmp_path, page, wrong):
    put(tmp_path / "reports" / "latest" / "index.html", page.encode())
    assert wrong in page_is_inert(Scratch(clean, tmp_path))
    assert bool(wrong) == bool(page_is_inert(Scratch(clean, tmp_path)))


@pytest.mark.parametrize(
    ("cell", "inert"), [("=cmd()", False), ("@a", False), ("+a", False), ("-0.5", True), ("./=a", True)]
)
def test_a_formula_in_a_table_is_seen(clean, tmp_path, cell, inert):
    put(tmp_path / "reports" / "latest" / "metrics" / "table.csv", f"name,value\n{cell},1\n".encode())
    assert (tables_are_inert(Scratch(clean, tmp_path)) == "") is inert


# --- in the pack ------------------------------------------------------------------------------------


def test_a_proof_of_this_code_is_found_and_one_of_other_code_is_not(tmp_path):
    assert proof_of_this_code(tmp_path) is None
    mine = proof(2, 1, 2, 0)
    write_proof(mine, tmp_path / "proof.json")
    assert proof_of_this_code(tmp_path) == mine
    write_proof(replace(mine, code="0" * 64), tmp_path / "proof.json")
    assert proof_of_this_code(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"schema": "leukocyte-harness/proof/1"}', b"\xff"])
def test_a_proof_that_does_not_read_is_none(tmp_path, content):
    (tmp_path / "proof.json").write_bytes(content)
    assert proof_of_this_code(tmp_path) is None


def test_the_page_tells_what_survived_and_a_run_without_a_proof_says_so():
    page = re.sub(r"</?data[^>]*>", "", page_of(example_run()))
    assert "2 of 3 planted faults were caught" in page
    assert "SURVIVED: nothing complained" in page
    assert "a figure is &lt;gone&gt;" in page
    assert any("H5" in limit for limit in limits_in(example_run()))
    without = replace(example_run(), proof=None)
    assert "planted faults were caught" not in re.sub(r"</?data[^>]*>", "", page_of(without))
    assert any("harness prove" in limit for limit in limits_in(without))


@pytest.mark.parametrize(
    ("disguise", "scanned"),
    [
        (as_pickle, False),
        (as_first_protocol, False),
        (as_of_old, False),
        (as_zip, True),
        (as_zip_of_two_names, False),
        (as_zip_of_a_wrong_sum, False),
    ],
)
def test_every_planted_model_file_runs_code_where_it_is_opened_carelessly(disguise, scanned, tmp_path):
    content = disguise(Canary(tmp_path / "canary"))
    with contextlib.suppress(RuntimeError, EOFError):  # after the code was run, torch finds no model in it
        torch.load(io.BytesIO(content), weights_only=False)
    assert (tmp_path / "canary").exists()
    try:  # what a scanner that trusts zipfile gets to see
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.read("model/data.pkl")
    except zipfile.BadZipFile:
        assert not scanned
    else:
        assert scanned


def test_a_look_that_finds_nothing_to_look_at_is_no_catch(clean, tmp_path):
    found = tried(clean, tmp_path, Sign(exit=0, look=page_is_inert), says(""))
    assert not found.as_expected
    assert "could not look: FileNotFoundError" in found.happened


def test_a_command_that_ends_otherwise_before_the_last_one_is_no_catch(clean, tmp_path):
    def plant(s: Scratch) -> list[list[str]]:
        return [says("import sys; sys.exit(2)"), says("import sys; sys.exit(1)")]

    fault = Fault("X", "planted", plant, Sign(exit=1), before=(0,))
    (found,) = plant_all((fault,), clean, work=tmp_path, jobs=1, progress=silent)
    assert not found.as_expected
    assert "ended with 2 instead of 0" in found.happened
    (found,) = plant_all((replace(fault, before=(2,)),), clean, work=tmp_path, jobs=1, progress=silent)
    assert found.as_expected


@pytest.mark.parametrize("name", ["harness/report/templates/report.html.j2", "suites/protocols/embedded.toml"])
def test_a_template_and_a_protocol_are_code_that_is_proven(name, tmp_path, monkeypatch):
    for each in ("harness", "suites", "fixtures"):
        shutil.copytree(PROJECT / each, tmp_path / each, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("harness.proof.PROJECT", tmp_path)
    before = proven_code()
    with (tmp_path / name).open("a") as stream:
        stream.write("\n# changed\n")
    assert proven_code() != before


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.py").write_text("A = 1\n")
    (folder / "inner" / "b.py").write_text("B = 1\n")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.py").write_text("A = 2\n"),
        lambda folder: (folder / "inner" / "b.py").write_text("B = 1 \n"),
        lambda folder: (folder / "c.py").write_text(""),
        lambda folder: (folder / "a.py").unlink(),
        lambda folder: (folder / "a.py").rename(folder / "d.py"),
    ],
)
def test_changed_sources_have_another_digest(package, change):
    before = sources_digest(package)
    change(package)
    assert sources_digest(package) != before


def test_the_digest_of_sources_knows_neither_its_place_nor_what_python_leaves_beside_it(package, tmp_path):
    elsewhere = shutil.copytree(package, tmp_path / "elsewhere")
    (elsewhere / "__pycache__").mkdir()
    (elsewhere / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"\0")
    assert sources_digest(elsewhere) == sources_digest(package)
