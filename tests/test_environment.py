"""Environment: which source ran, on what, and nothing about where on the machine."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import harness
from harness.core.places import PROJECT
from harness.run.environment import DISTRIBUTIONS, VARIABLES, Source, environment, source_state

UNKNOWN = Source("unknown", "unknown", None)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _no_repository_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # a git hook sets them
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("A = 1\n")
    git(folder, "add", "a.py")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def test_a_clean_checkout_is_its_commit(checkout):
    state = source_state(checkout)
    assert (state.commit, state.dirty) == (git(checkout, "rev-parse", "HEAD"), "no")
    assert len(state.commit) == 40


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.py").write_text("A = 2\n"),
        lambda folder: (folder / "a.py").unlink(),
        lambda folder: [(folder / "b.py").write_text(""), git(folder, "add", "b.py")],
    ],
    ids=["changed", "deleted", "staged"],
)
def test_a_checkout_that_differs_from_its_commit_is_dirty(checkout, change):
    before = source_state(checkout)
    change(checkout)
    assert source_state(checkout).dirty == "yes"
    assert source_state(checkout).tracked != before.tracked


def test_a_file_that_git_does_not_know_makes_the_checkout_dirty(checkout):
    # An untracked conftest.py can change every verdict.
    before = source_state(checkout)
    (checkout / "conftest.py").write_text("")
    assert source_state(checkout).dirty == "yes"
    assert source_state(checkout).tracked == before.tracked  # the run's own reports are no change of the source


def test_a_user_who_hides_untracked_files_does_not_hide_them_from_the_evidence(checkout):
    git(checkout, "config", "status.showUntrackedFiles", "no")
    (checkout / "conftest.py").write_text("")
    assert source_state(checkout).dirty == "yes"


def test_a_second_change_of_a_changed_file_is_another_state(checkout):
    (checkout / "a.py").write_text("A = 2\n")
    first = source_state(checkout)
    (checkout / "a.py").write_text("A = 3\n")
    assert (source_state(checkout).dirty, first.dirty) == ("yes", "yes")
    assert source_state(checkout).tracked != first.tracked


def test_the_hook_of_another_repository_does_not_lend_its_commit(checkout, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "another")
    commit = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert source_state(checkout).commit == commit


def test_a_folder_that_is_no_checkout_is_unknown(tmp_path):
    assert source_state(tmp_path) == UNKNOWN


def test_a_checkout_without_a_commit_has_none(tmp_path):
    git(tmp_path, "init", "-q")
    assert source_state(tmp_path).commit == "unknown"


def test_code_installed_inside_somebody_elses_checkout_is_not_that_commit(checkout):
    installed = checkout / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    assert source_state(installed) == UNKNOWN


def test_a_machine_without_git_is_unknown(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_state(checkout) == UNKNOWN


@pytest.mark.parametrize("change", ["a commit", "an edit"])
def test_a_source_that_changed_during_the_run_is_named_as_it_was_and_not_called_clean(checkout, monkeypatch, change):
    monkeypatch.setattr("harness.run.environment.PROJECT", checkout)
    began = source_state(checkout)
    assert environment(device="cpu", source=began)["dirty"] == "no"
    (checkout / "a.py").write_text("A = 2\n")
    if change == "a commit":
        git(checkout, "commit", "-q", "-a", "-m", "two")
        assert source_state(checkout).dirty == "no"
    facts = environment(device="cpu", source=began)
    assert (facts["commit"], facts["dirty"]) == (began.commit, "changed during the run")


def test_the_environment_names_versions_and_settings(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    facts = environment(device="cpu, by this test", source=source_state(PROJECT))
    assert facts["harness"] == harness.__version__
    assert facts["device"] == "cpu, by this test"
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {name: facts[name] for name in DISTRIBUTIONS} == {name: version(name) for name in DISTRIBUTIONS}
    assert (facts["OMP_NUM_THREADS"], facts["MKL_NUM_THREADS"]) == ("3", "not set")
    assert {"commit", "dirty", "platform", "cores", *VARIABLES} <= set(facts)


def test_the_environment_says_nothing_of_where_on_the_machine():
    places = {str(Path(place).resolve()) for place in (sys.prefix, sys.executable, Path.cwd(), Path.home(), __file__)}
    said = " ".join(environment(device="cpu", source=source_state(PROJECT)).values())
    assert not [place for place in places if place in said]
    assert "/" not in said
    assert "\\" not in said
