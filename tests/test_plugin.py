"""`pytest suites/` as its users meet it: in a process of its own, over a protocol that takes seconds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from example_run import example_run
from tiny_run import Pytest, evidence_of, run_pytest

from harness.cli import main
from harness.core.digests import digest_of
from harness.core.places import PROJECT
from harness.judge.verdicts import Outcome, Verdict
from harness.model.model_file import FORMATS
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.report.sentences import doubts_told, sets_told
from harness.session import Exit, RunState

# --- the whole path ---


def test_a_run_whose_required_criteria_pass_exits_with_0(cold: tuple[subprocess.CompletedProcess[str], Path]):
    done, pack = cold
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RUN PASSED" in done.stdout
    assert f"report: {pack.parent / pack.name}/index.html" in done.stdout
    assert evidence_of(pack)["run"]["passed"] is True


def test_every_output_that_the_published_project_names_is_there(cold: tuple[subprocess.CompletedProcess[str], Path]):
    pack = cold[1]
    wanted = [f"models/{name}" for name in ("best_model_phase1.pth", "best_model_phase2.pth", "export.pkl")]
    for name in ("validation", "test", "second_laboratory", "nine_monocytes"):
        wanted += [f"metrics/classification_report_{name}.txt", f"metrics/confusion_matrix_{name}.csv"]
        wanted += [f"predictions/{name}.csv"]
    wanted += ["data_split.csv", "manifest.csv", "index.html", "evidence.json", "junit.xml", "SHA256SUMS"]
    assert [name for name in wanted if not (pack / name).is_file()] == []


def test_terminal_junit_and_json_use_the_same_words(cold: tuple[subprocess.CompletedProcess[str], Path]):
    done, pack = cold
    in_json = {v["criterion"]: v["outcome"] for v in evidence_of(pack)["verdicts"]}
    cases = ElementTree.parse(pack / "junit.xml").iter("testcase")
    in_junit = {
        c.get("name"): next(p.get("value") for p in c.iter("property") if p.get("name") == "outcome") for c in cases
    }
    assert in_json == in_junit
    table = [line for line in done.stdout.splitlines() if line.split() and line.split()[0] in in_json]
    assert all(in_json[line.split()[0]].upper() in line for line in table)
    assert len(table) == len(in_json)


def test_nine_cells_of_the_training_laboratory_never_pass_as_external(
    cold: tuple[subprocess.CompletedProcess[str], Path],
):
    verdicts = {v["criterion"]: v for v in evidence_of(cold[1])["verdicts"]}
    assert verdicts["E2"]["outcome"] != "passed"


def test_mps_is_not_assessed_where_there_is_none(cold: tuple[subprocess.CompletedProcess[str], Path]):
    verdicts = {v["criterion"]: v for v in evidence_of(cold[1])["verdicts"]}
    device = evidence_of(cold[1])["environment"]["device"]
    if not device.startswith("mps"):
        assert verdicts["T1"]["outcome"] == "not assessed"
        assert "not mps" in verdicts["T1"]["reason"]


def test_the_pack_of_a_run_verifies(cold: tuple[subprocess.CompletedProcess[str], Path], capsys):
    assert main(["verify", str(cold[1])]) == 0, capsys.readouterr().out


def test_nine_cells_of_the_training_laboratory_are_seen_to_be_that(cold: tuple[subprocess.CompletedProcess[str], Path]):
    evidence = evidence_of(cold[1])
    assert evidence["provenance"]["nine_monocytes"]["verdict"] == "explained by the training source"
    page = (cold[1] / "index.html").read_text()
    assert "independence not shown" in page
    assert "Small classifiers that do not see the cell" in page
    assert evidence["duplicates"] == []


def test_disturbed_cells_and_inputs_without_one_are_told(cold: tuple[subprocess.CompletedProcess[str], Path]):
    found = evidence_of(cold[1])["robustness"]
    assert [curve["kind"] for curve in found["curves"]] == ["stain", "rotation"]
    assert [[point["severity"] for point in curve["points"]] for curve in found["curves"]] == [[0, 2, 3]] * 2
    assert found["flips"][-1]["kind"] == "any"
    assert [kind["kind"] for kind in found["detection"]["kinds"]] == ["blank", "noise"]
    assert "Disturbed cells, and inputs without one" in (cold[1] / "index.html").read_text()


# --- warm, shuffled, from elsewhere ---


def identity(pack: Path) -> str:
    """Everything of a pack that must not depend on when, where and in which order it was made."""
    found = evidence_of(pack)
    same = {key: found[key] for key in ("split", "predictions", "reproducibility", "evaluations")}
    return digest_of({**same, "weights": found["training"]["weights_digest"]})


SHUFFLE = """
import os, random
_scandir = os.scandir

class Listing:
    def __init__(self, entries): self._entries = iter(entries)
    def __iter__(self): return self
    def __next__(self): return next(self._entries)
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def close(self): pass

def scandir(path="."):
    with _scandir(path) as entries:
        listed = list(entries)
    random.Random(99).shuffle(listed)
    return Listing(listed)

os.scandir = scandir
"""


def test_a_second_run_reuses_every_stage_and_says_the_same(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    done = tiny()
    pack = (place / "reports" / "latest").resolve()
    assert done.returncode == 0, done.stdout
    assert pack != cold[1]
    stages = evidence_of(pack)["stages"]
    assert stages
    assert all(stage["reused"] for stage in stages)
    assert identity(pack) == identity(cold[1])


def test_where_the_time_went_is_told(cold: tuple[subprocess.CompletedProcess[str], Path]):
    told = cold[0].stdout.partition(" s went:\n")[2].splitlines()
    assert any("trained, made now" in line for line in told[:9])
    assert any("all else" in line for line in told[:9])


def test_a_shuffled_listing_another_folder_and_a_fresh_training_give_the_same_digests(
    tiny: Pytest, place: Path, tmp_path: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    (tmp_path / "shuffled_listing.py").write_text(SHUFFLE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = os.pathsep.join([str(tmp_path), str(PROJECT)])
    done = tiny("--fresh", "-p", "shuffled_listing", cwd=elsewhere, PYTHONPATH=path, PYTHONHASHSEED="77")
    assert done.returncode == 0, done.stdout + done.stderr
    pack = (place / "reports" / "latest").resolve()
    assert not any(stage["reused"] for stage in evidence_of(pack)["stages"] if stage["name"] == "training")
    assert identity(pack) == identity(cold[1])
    assert (pack / "data_split.csv").read_bytes() == (cold[1] / "data_split.csv").read_bytes()


def test_the_split_that_a_run_wrote_is_read_back(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    done = tiny(f"--split={cold[1] / 'data_split.csv'}", "-k", "split")
    assert re.search(r"^S1 +split_size_mismatches on dataset", done.stdout, re.MULTILINE)
    pack = (place / "reports" / "latest").resolve()
    assert evidence_of(pack)["split"]["digest"] == evidence_of(cold[1])["split"]["digest"]
    assert "data_split.csv" in evidence_of(pack)["split"]["origin"]


def test_a_split_csv_given_as_the_data_is_also_the_split(
    tiny: Pytest, place: Path, tmp_path: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    # The published project's file lies beside its class folders and calls the validation part "val".
    drawn = next((place / "reports" / ".stages" / "smears").glob("*/dataset"))
    shutil.copytree(drawn, tmp_path / "cells")
    wrote = (cold[1] / "data_split.csv").read_text()
    (tmp_path / "cells" / "split.csv").write_text(wrote.replace(",validation\n", ",val\n"))
    done = tiny(f"--data={tmp_path / 'cells' / 'split.csv'}", "-k", "integrity or split")
    pack = (place / "reports" / "latest").resolve()
    assert " failed" not in done.stdout, done.stdout + done.stderr
    judged = {v["criterion"]: v["outcome"] for v in evidence_of(pack)["verdicts"]}
    assert {judged[name] for name in ("D1", "D9", "S1", "S2")} == {"passed"}
    assert evidence_of(pack)["split"]["digest"] == evidence_of(cold[1])["split"]["digest"]


# --- what can never pass ---


def test_a_deselected_required_criterion_never_passes(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    done = tiny("-k", "(D1 or D2) and not D10")
    assert done.returncode == Exit.INCOMPLETE
    assert "2 passed" in done.stdout
    assert "RUN NOT PASSED" in done.stdout
    verdicts = {v["criterion"]: v for v in evidence_of((place / "reports" / "latest").resolve())["verdicts"]}
    assert verdicts["A1"]["outcome"] == "not judged"


@pytest.mark.parametrize("argument", ["--benchmark-only", "--setup-plan", "--deselect=suites"])
def test_a_session_that_judges_nothing_never_passes(tiny: Pytest, argument: str):
    done = tiny(argument, *(["-k", "no_such_test"] if "deselect" in argument else []))
    assert done.returncode != 0
    assert "RUN NOT PASSED: no criterion was judged" in done.stdout


def test_collecting_is_no_run(tiny: Pytest):
    done = tiny("--collect-only", "-q")
    assert done.returncode == 0
    assert "RUN" not in done.stdout


@pytest.fixture(scope="module")
def strict(place: Path) -> Path:
    """The tiny protocol with an accuracy that no finite test part can prove."""
    path = place / "strict.toml"
    path.write_text('extends = "tiny.toml"\n[[criteria]]\nid = "A1"\nfloor = 1.0\nrequired = true\nrationale = "all"\n')
    return path


@pytest.mark.parametrize("optimised", [False, True])
def test_a_required_floor_out_of_reach_fails_the_run(
    tiny: Pytest, strict: Path, cold: tuple[subprocess.CompletedProcess[str], Path], optimised: bool
):
    # `python -O` strips the assertions that the suites end in; the verdicts must decide all the same.
    warning = ["-W", "ignore:assertions not in test modules"] if optimised else []
    done = tiny(f"--protocol={strict}", *warning, PYTHONOPTIMIZE="1" if optimised else "")
    assert done.returncode == (Exit.FAILED if "A1 accuracy on test: FAILED" in done.stdout else Exit.INCONCLUSIVE)
    # One error disproves 1.0, none leaves it open; neither is a pass.
    assert "A1 accuracy on test: FAILED" in done.stdout or "A1 accuracy on test: INCONCLUSIVE" in done.stdout
    assert "RUN NOT PASSED" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("test", "words", "code"),
    [
        ("def test_of_somebody_s_own(): assert False", "yet the session did not", Exit.FAILED),
        (
            "import pytest\n@pytest.mark.criteria('accuracy')\ndef test_of_a_suite(run): assert False",
            "RUN NOT PASSED",
            Exit.ERROR,
        ),
    ],
)
def test_a_failure_that_is_no_verdict_is_never_overruled_by_the_verdicts(
    tiny: Pytest, cold: tuple[subprocess.CompletedProcess[str], Path], tmp_path: Path, test: str, words: str, code: Exit
):
    (tmp_path / "test_beside.py").write_text(test)
    done = tiny(str(tmp_path / "test_beside.py"))
    assert done.returncode == code
    assert words in done.stdout


def test_a_rerun_cannot_turn_a_verdict_that_blocks_into_one_that_passes():
    protocol = read_protocol(DEFAULT_PROTOCOL)
    state = RunState(protocol)
    failed, passed = (Verdict(protocol.criteria[0], None, outcome, "") for outcome in (Outcome.FAILED, Outcome.PASSED))
    state.record(passed)
    state.record(failed)
    state.record(passed)
    assert state.verdicts == {protocol.criteria[0].id: failed}


def test_external_sets_without_a_criterion_are_told_and_those_with_one_are_not():
    run = example_run()
    judged = [verdict for verdict in run.verdicts if verdict.criterion.set != "third-clinic"]
    told = sets_told(replace(run, verdicts=tuple(judged)))
    assert told == ["third-clinic: not evaluated: no such folder"]
    assert sets_told(run) == []
    set_name = next(each.name for each in run.sets if each.role == "external" and each.absent_because is None)
    unjudged = replace(run, verdicts=tuple(each for each in run.verdicts if each.criterion.set != set_name))
    seen = run.evaluations[set_name]
    assert sets_told(unjudged) == [f"{set_name}: {seen.n_correct} of {seen.n} right; no criterion acts on this set"]


def test_why_an_external_set_that_is_not_required_decides_nothing_is_told():
    protocol = read_protocol(DEFAULT_PROTOCOL)
    optional = next(c for c in protocol.criteria if c.question == "external").model_copy(update={"required": False})
    reason = "too little evidence to decide, and the independence of set x is not shown: so and so"
    doubted = Verdict(optional, None, Outcome.INCONCLUSIVE, reason)

    def told(verdict: Verdict) -> list[str]:
        return doubts_told(replace(example_run(), verdicts=(verdict,)))

    assert told(doubted) == [f"{optional.id} (not required): inconclusive: {reason}"]
    # What blocks is explained at length, and what decided has nothing to excuse.
    assert told(replace(doubted, criterion=optional.model_copy(update={"required": True}))) == []
    assert told(replace(doubted, outcome=Outcome.FAILED)) == []


def test_pytests_own_junit_has_no_failure_for_what_is_optional_and_what_each_verdict_rests_on(
    tiny: Pytest, tmp_path: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    verdicts = {v["criterion"]: v for v in evidence_of(cold[1])["verdicts"]}
    assert verdicts["A1"]["outcome"] in ("failed", "inconclusive")  # ten seconds of training, and not required
    done = tiny("-x", "-k", "(D1 or A1 or F1) and not D10 and not D12", f"--junitxml={tmp_path / 'own.xml'}")
    assert done.returncode == Exit.INCOMPLETE, done.stdout  # others were deselected; -x did not stop at A1
    suite = ElementTree.parse(tmp_path / "own.xml").getroot().find("testsuite")
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    said = {
        properties["criterion"]: properties
        for case in suite.iter("testcase")
        if "criterion" in (properties := {each.get("name"): each.get("value") for each in case.iter("property")})
    }
    assert set(said) == {"D1", "A1", "F1"}
    assert said["A1"]["outcome"] == verdicts["A1"]["outcome"]
    assert float(said["A1"]["value"]) == verdicts["A1"]["estimate"]["value"]
    assert int(said["A1"]["n"]) == verdicts["A1"]["estimate"]["n"]
    assert said["A1"]["look"] == str(verdicts["A1"]["look"])
    assert "(not required)" in done.stdout


def test_parallel_workers_are_refused(tiny: Pytest):
    done = tiny("-n", "2")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "run them without -n" in done.stderr


def test_the_plugin_sleeps_when_no_suite_is_run(tmp_path: Path):
    (tmp_path / "test_plain.py").write_text("def test_nothing(): pass")
    done = run_pytest("-p", "harness.plugin", str(tmp_path / "test_plain.py"), cwd=tmp_path)
    assert done.returncode == 0
    assert "verdicts" not in done.stdout


def test_the_help_of_model_names_every_kind_of_file_that_is_read(pytestconfig: pytest.Config):
    options = [each for group in pytestconfig._parser._groups for each in group.options]
    (said,) = (each.attrs()["help"] for each in options if each.names() == ["--model"])
    assert [suffix for suffix in FORMATS if suffix not in said] == []
