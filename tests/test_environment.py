"""Environment: which source ran, on what, and nothing about where on the machine."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import harness
from harness.evidence.environment import DISTRIBUTIONS, VARIABLES, environment, source_state


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
    assert state == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": "no"}
    assert len(state["commit"]) == 40


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
    change(checkout)
    assert source_state(checkout)["dirty"] == "yes"


def test_a_file_that_git_does_not_know_makes_the_checkout_dirty(checkout):
    # An untracked conftest.py can change every verdict.
    (checkout / "conftest.py").write_text("")
    assert source_state(checkout)["dirty"] == "yes"


def test_a_folder_that_is_no_checkout_is_unknown(tmp_path):
    assert source_state(tmp_path) == {"commit": "unknown", "dirty": "unknown"}


def test_a_checkout_without_a_commit_has_none(tmp_path):
    git(tmp_path, "init", "-q")
    assert source_state(tmp_path)["commit"] == "unknown"


def test_code_installed_inside_somebody_elses_checkout_is_not_that_commit(checkout):
    installed = checkout / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    assert source_state(installed) == {"commit": "unknown", "dirty": "unknown"}


def test_a_machine_without_git_is_unknown(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_state(checkout) == {"commit": "unknown", "dirty": "unknown"}


def test_the_environment_names_versions_and_settings(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    facts = environment(device="cpu, by this test")
    assert facts["harness"] == harness.__version__
    assert facts["device"] == "cpu, by this test"
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {name: facts[name] for name in DISTRIBUTIONS} == {name: version(name) for name in DISTRIBUTIONS}
    assert (facts["OMP_NUM_THREADS"], facts["MKL_NUM_THREADS"]) == ("3", "not set")
    assert {"commit", "dirty", "platform", "cores", *VARIABLES} <= set(facts)


def test_the_environment_says_nothing_of_where_on_the_machine():
    places = {str(Path(place).resolve()) for place in (sys.prefix, sys.executable, Path.cwd(), Path.home(), __file__)}
    said = " ".join(environment(device="cpu").values())
    assert not [place for place in places if place in said]
    assert "/" not in said
    assert "\\" not in said
