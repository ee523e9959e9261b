"""What else was in the room: clocks, code from outside, and answers that the classifier does not give again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
from example_run import example_run
from test_ledger import looked, sha
from tiny_run import Pytest, evidence_of

from fixtures.forging import FORGERS, FORGING
from harness.cli import main
from harness.core.places import PROJECT
from harness.judge import ledger
from harness.judge.clock import backwards, dated_after
from harness.judge.ledger import read_ledger
from harness.judge.rescored import N_CELLS, Rescored, RescoredCell, chosen, contradictions
from harness.metrics.predictions import Predictions
from harness.pack.tables import junit_of
from harness.report.custody import custody_told, ledger_told
from harness.report.sentences import conclusion
from harness.run import custody
from harness.run.custody import (
    Custody,
    FutureFile,
    OutsideCode,
    from_the_future,
    named_by,
    outside_code,
    python_path_folders,
)
from harness.run.results import RunResults
from harness.session import Exit

# --- the clock ------------------------------------------------------------------------------------


class Clock:
    """Stands where the ledger asks for the time."""

    def __init__(self, *times: str) -> None:
        self._times = iter(times)

    def now(self, zone: object) -> datetime:
        return datetime.fromisoformat(next(self._times)).replace(tzinfo=UTC)

    fromisoformat = staticmethod(datetime.fromisoformat)


def test_time_that_goes_backwards_in_the_ledger_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "datetime", Clock("2026-01-02", "2026-01-03", "2026-01-01"))
    for run in ("a", "b", "c"):
        looked(tmp_path / "ledger.jsonl", run=run, predictions=sha(run))
    looks = read_ledger(tmp_path / "ledger.jsonl")
    assert [(before.run, after.run) for before, after in backwards(looks)] == [("b", "c")]
    assert backwards(looks[:2]) == []
    assert [look.run for look in dated_after(looks, run="c", started_at="2026-01-02T12:00:00+00:00")] == ["b"]
    assert dated_after(looks, run="c", started_at="2026-01-03T00:00:00+00:00") == []
    run = replace(example_run(), ledger=looks, run_id="c", started_at="2026-01-01T00:00:00+00:00")
    told = " ".join(custody_told(run))
    assert "time goes backwards in the ledger: look 3" in told
    assert "the run began at 2026-01-01T00:00:00+00:00, before look 2" in told


def test_a_file_that_is_dated_after_the_clock_is_told(tmp_path):
    for name, later in (("now", 0.0), ("skewed", 200.0), ("tomorrow", 86_400.0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1_000_000 + later,) * 2)
    files = {name: tmp_path / name for name in ("now", "skewed", "tomorrow", "gone")}
    found = from_the_future(files, now=1_000_000.0)
    assert found == (FutureFile("tomorrow", 86_400.0),)
    run = replace(example_run(), custody=Custody(future=found))
    assert "tomorrow is dated 24 h 0 min after the clock" in " ".join(custody_told(run))


# --- code from outside ----------------------------------------------------------------------------


def module(name: str, file: Path | None) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = None if file is None else str(file)
    return made


def test_only_code_from_outside_checkout_and_environment_is_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "path"), str(PROJECT)]))
    for name in ("plug", "path/lib", "sitecustomize", "other"):
        (tmp_path / name).with_suffix(".py").parent.mkdir(exist_ok=True)
        (tmp_path / name).with_suffix(".py").write_text("x = 1")
    plug = module("plug", tmp_path / "plug.py")
    modules = {
        "harness.cli": sys.modules["harness.cli"],
        "json": json,
        "numpy": np,
        "built": module("built", None),
        "plug": plug,
        "lib": module("lib", tmp_path / "path" / "lib.py"),
        "sitecustomize": module("sitecustomize", tmp_path / "sitecustomize.py"),
        "other": module("other", tmp_path / "other.py"),
    }
    found = {each.module: each.by for each in outside_code(modules, plugins=[plug])}
    assert found == {
        "lib": "PYTHONPATH",
        "other": "an import",
        "plug": "pytest plugin",
        "sitecustomize": "Python's start",
    }
    (listed,) = outside_code({"plug": plug}, plugins=[plug])
    assert (listed.file, listed.sha256) == ("plug.py", sha("x = 1"))
    assert str(tmp_path) not in str(listed)


def test_what_runs_leave_in_the_checkout_is_no_code_of_it(monkeypatch):
    left = PROJECT / "reports" / ".proof" / "scratch" / "site"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(left), str(PROJECT)]))
    plug, start = module("plug", left.parent / "plug.py"), module("sitecustomize", left / "sitecustomize.py")
    found = outside_code({"plug": plug, "sitecustomize": start, "harness.cli": sys.modules["harness.cli"]})
    assert [each.module for each in found] == ["plug", "sitecustomize"]
    assert python_path_folders() == (left.resolve(),)


@pytest.mark.parametrize(
    ("value", "words", "added", "by"),
    [
        (None, (), "", "default"),
        ("x", ("suites", "--ledger=x"), "", "the command line"),
        ("x", ("suites", "--ledger", "x"), "", "the command line"),
        ("x", ("suites", "--ledger-head=x"), "--ledger=x", "PYTEST_ADDOPTS"),
        ("x", ("suites",), "", "a configuration file"),
    ],
)
def test_who_named_the_ledger_is_told(monkeypatch, value, words, added, by):
    monkeypatch.setenv("PYTEST_ADDOPTS", added)
    assert named_by("--ledger", value, words=words) == by
    told = custody_told(replace(example_run(), custody=Custody(ledger_named_by=by)))
    assert told == (
        [] if by in ("default", "the command line") else [f"the ledger was named by {by}, not on the command line"]
    )


def test_a_module_made_in_memory_lies_where_its_class_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what torch.ops calls its file is then a place outside

    class Made(ModuleType):
        pass

    def outside(class_in: Path) -> list[str]:
        maker, made = ModuleType("maker"), Made("maker.ops")
        maker.__file__, made.__file__, Made.__module__ = str(class_in), "_ops.py", "maker"
        return [each.module for each in outside_code({"maker": maker, "maker.ops": made})]

    assert outside(PROJECT / "harness" / "cli.py") == []
    assert outside(tmp_path / "maker.py") == ["maker", "maker.ops"]
    lost = ModuleType("lost")
    lost.__file__ = "lost.py"
    assert [each.module for each in outside_code({"lost": lost})] == ["lost"]


def test_a_link_is_code_of_where_it_leads(tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
        (folder / "code.py").write_text("x = 1")
    (home / "linked.py").symlink_to(elsewhere / "code.py")
    (home / "linked").symlink_to(elsewhere)
    (elsewhere / "back.py").symlink_to(home / "code.py")
    monkeypatch.setattr(custody, "_homes", lambda: (home.resolve(),))
    files = [
        *(home / "code.py", home / "linked.py", home / "linked" / "code.py", home / ".." / "elsewhere" / "code.py"),
        elsewhere / "back.py",
    ]
    found = outside_code({str(n): module(str(n), file) for n, file in enumerate(files)})
    assert [each.module for each in found] == ["1", "2", "3"]


def test_a_file_that_cannot_be_looked_at_is_listed_without_a_digest(tmp_path):
    (found,) = outside_code({"long": module("long", tmp_path / ("x" * 300 + ".py"))})
    assert (found.module, found.sha256) == ("long", "")


def test_a_home_itself_is_at_home_and_what_is_above_it_is_not():
    files = [PROJECT, PROJECT / "harness" / "..", PROJECT / ".."]
    found = outside_code({str(n): module(str(n), file) for n, file in enumerate(files)})
    assert [each.module for each in found] == ["2"]


def test_outside_code_is_named_and_blocks_nothing():
    run = example_run()
    outside = Custody((OutsideCode("plug", "plug.py", sha("x"), "pytest plugin"),), 3, ("elsewhere",))
    told = custody_told(replace(run, custody=outside))
    assert told[0].endswith("plug (plug.py, by pytest plugin), and 2 more")
    assert told[1].endswith("checkout and environment: elsewhere")
    assert replace(run, custody=outside).passed is run.passed


def test_what_to_keep_is_told_after_each_look():
    run = example_run()
    assert ledger_told(replace(run, ledger=())) == []
    if run.ledger:
        assert f"--ledger-head={run.ledger[-1].hash}" in ledger_told(run)[0]


# --- scored again ---------------------------------------------------------------------------------


def again(found: Predictions, run: str, change: float = 0.0) -> Rescored:
    def row(place: int) -> tuple[float, ...]:
        values = found.probabilities[place].copy()
        values[found.predicted[place]] -= change
        values[(found.predicted[place] + 1) % len(values)] += change
        return tuple(values.tolist())

    cells = (RescoredCell(found.set, found.paths[i], found.digests[i], row(i)) for i in chosen(found, run=run))
    return Rescored(tuple(cells))


def test_the_cells_that_are_scored_again_follow_from_the_run():
    found = example_run().predictions["test"]
    assert chosen(found, run="a") == chosen(found, run="a")
    assert chosen(found, run="a") != chosen(found, run="b")
    assert len(set(chosen(found, run="a"))) == min(N_CELLS, len(found.digests))


def test_another_answer_keeps_the_run_from_passing_and_is_named_everywhere():
    run = example_run()
    found = run.predictions["test"]
    same = replace(run, rescored=again(found, run.run_id, 5e-4))  # as another device rounds
    assert (same.contradictions, same.passed) == ((), run.passed)
    other = replace(run, rescored=again(found, run.run_id, 0.2))
    n = len(other.rescored.cells)  # type: ignore[union-attr]
    assert len(other.contradictions) == n
    assert not other.passed
    assert f"{n} of {n} cells got another answer" in conclusion(other)
    case = ElementTree.fromstring(junit_of(other)).find(".//testcase[@classname='answers']/error")
    assert case is not None
    assert found.paths[chosen(found, run=run.run_id)[0]] in str(case.text)


def test_a_cell_that_was_never_judged_contradicts():
    strange = Rescored((RescoredCell("test", "never.png", sha("never"), (1.0,)),))
    assert contradictions(strange, example_run().predictions) == (
        "'never.png' of test was scored again, and never judged",
    )
    assert contradictions(Rescored(not_done="no process"), {}) == contradictions(None, {}) == ()


def test_why_nothing_was_scored_again_is_told():
    told = custody_told(replace(example_run(), rescored=Rescored(not_done="no process answered")))
    assert told == ["no judged cell was scored again by another path: no process answered"]


# --- in a run -------------------------------------------------------------------------------------


def test_a_clean_run_scores_a_few_cells_again_and_gets_the_same(cold: tuple[subprocess.CompletedProcess[str], Path]):
    done, pack = cold
    held = evidence_of(pack)
    assert held["rescored"]["not_done"] == ""
    assert len([cell for cell in held["rescored"]["cells"] if cell["set"] == "test"]) == N_CELLS
    assert held["contradictions"] == []
    assert held["custody"]["outside"] == []
    assert f"--ledger-head={held['ledger']['head']}" in done.stdout
    assert "code from outside" not in done.stdout


def test_edited_answers_of_cells_that_were_scored_again_are_found(tmp_path, cold):
    copy = shutil.copytree(cold[1], tmp_path / "pack")
    content = json.loads((copy / "evidence.json").read_text())
    content["rescored"]["cells"].pop()
    (copy / "evidence.json").write_text(json.dumps(content, indent=1) + "\n")
    sums = subprocess.run(["sha256sum", "evidence.json"], cwd=copy, capture_output=True, text=True, check=True).stdout
    lines = (copy / "SHA256SUMS").read_text().splitlines(keepends=True)
    (copy / "SHA256SUMS").write_text("".join(sums if "evidence.json" in line else line for line in lines))
    assert main(["verify", str(copy)]) == 1


@pytest.mark.parametrize("door", ["PYTEST_PLUGINS", "sitecustomize"])
def test_forged_answers_are_found_and_the_forger_is_named(tiny: Pytest, place: Path, cold, capsys, door: str):
    folder = place / door
    folder.mkdir()
    name = "forger" if door == "PYTEST_PLUGINS" else door
    (folder / f"{name}.py").write_text(FORGING)
    environment = {"PYTHONPATH": os.pathsep.join([str(folder), str(PROJECT)])}
    environment |= {door: name} if door == "PYTEST_PLUGINS" else {}
    done = tiny("-k", "A1", **environment)
    assert done.returncode == Exit.INCOMPLETE, done.stdout + done.stderr
    assert "cells got another answer when a fresh process scored them again" in done.stdout
    assert f"{name} ({name}.py, by" in done.stdout
    pack = (place / "reports" / "latest").resolve()
    assert evidence_of(pack)["contradictions"]
    page = (pack / "index.html").read_text()
    assert "Cells that were scored again got other answers" in page
    assert "code from outside checkout and environment was loaded" in page
    assert "scored them again" in (pack / "summary.md").read_text()
    assert main(["verify", str(pack)]) == 0, capsys.readouterr().out


def test_every_door_has_a_planted_forger():
    assert {name for name, *_ in FORGERS} == {"plugins", "option", "addopts", "start"}
    assert isinstance(example_run(), RunResults)
