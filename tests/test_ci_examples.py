"""The examples of docs/ci are run as a CI system would run them: their own shell steps, in a clone, with a remote."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from effort import with_all
from installed import Installed, install
from test_ledger import looked, sha
from tiny_run import TINY, evidence_of, verdicts_of

from harness.core.places import PROJECT, PROTOCOLS
from harness.judge.ledger import contains, parse_ledger, read_ledger

EXAMPLES = PROJECT / "docs" / "ci"
BRANCH = "validation-ledger"
ASKED = ("D1", "G1")  # by the runs of these tests, so that each takes seconds; the rest is optional and deselected


def protocol() -> str:
    files = [tomllib.loads((PROTOCOLS / name).read_text()) for name in ("base.toml", "embedded.toml")]
    ids = dict.fromkeys(criterion["id"] for file in files for criterion in file.get("criteria", ()))
    asked = (f'[[criteria]]\nid = "{each}"\nrequired = {str(each in ASKED).lower()}\n' for each in ids)
    return 'extends = "tiny.toml"\n' + "\n".join(asked)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("wheel"))


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Forge:
    """A repository with a protocol on main and a branch for the ledger, and the folders of the jobs that clone it."""

    def __init__(self, folder: Path, installed: Installed, data: Path) -> None:
        self.folder, self.installed, self.data = folder, installed, data
        self.cache = folder / "cache"  # of stages; what a CI system restores and saves
        self.remote = folder / "remote.git"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        work = folder / "work"
        git(folder, "clone", "--quiet", str(self.remote), str(work))
        (work / "protocol.toml").write_text(protocol())
        (work / "tiny.toml").write_text(TINY.replace(str(PROTOCOLS / "embedded.toml"), "embedded.toml"))
        git(work, "checkout", "--quiet", "-b", "main")
        git(work, "add", ".")
        git(work, "commit", "--quiet", "-m", "A protocol")
        git(work, "push", "--quiet", "origin", "main")
        self.work = work

    def begin_ledger(self) -> None:
        """As docs/ci/README.md tells to."""
        git(self.work, "switch", "--quiet", "--orphan", BRANCH)
        git(self.work, "commit", "--quiet", "--allow-empty", "-m", "Looks")
        git(self.work, "push", "--quiet", "origin", BRANCH)

    @property
    def ledger(self) -> bytes:
        return git(self.remote, "show", f"{BRANCH}:ledger.jsonl").encode()

    def look_beside(self) -> None:
        """What another job records and pushes meanwhile."""
        other = self.folder / "other"
        git(self.folder, "clone", "--quiet", "--branch", BRANCH, str(self.remote), str(other))
        looked(other / "ledger.jsonl", run="beside", predictions=sha("beside"))
        git(other, "add", ".")
        git(other, "commit", "--quiet", "-m", "Beside")
        git(other, "push", "--quiet", "origin", BRANCH)

    def job(self, name: str, **environment: str) -> Job:
        return Job(self, self.folder / name, environment)


class Job:
    """A fresh machine of the CI system: a clone, what its cache restores, and shell after shell."""

    def __init__(self, forge: Forge, place: Path, environment: dict[str, str]) -> None:
        self.forge, self.place, self.said = forge, place, ""
        git(forge.folder, "clone", "--quiet", "--branch", "main", str(forge.remote), str(place))
        if forge.cache.exists():
            shutil.copytree(forge.cache, place / "reports" / ".stages")
        self.temp = place.with_name(f"{place.name}-temp")
        self.temp.mkdir()
        site = self.temp / "site"
        path = os.pathsep.join([str(site / "bin"), forge.installed.environment["PATH"]])
        self.environment = {
            **forge.installed.environment,
            # pip is really called; its network, and what is installed already, are left out.
            **{"PIP_TARGET": str(site), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_QUIET": "1"},
            **{"PYTHONPATH": str(site), "PATH": path, "HARNESS": str(forge.installed.wheel)},
            **{"PROTOCOL": "protocol.toml", "DATA": str(forge.data), "PYTEST_ADDOPTS": f"-k '{' or '.join(ASKED)}'"},
            "OPTIONS": "--workers=1 --device=cpu",
            **environment,
        }

    def shell(self, script: str) -> int:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.place,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.said += done.stdout
        if (self.place / "reports" / ".stages").exists():
            shutil.copytree(self.place / "reports" / ".stages", self.forge.cache, dirs_exist_ok=True)
        return done.returncode


@pytest.fixture
def forge(tmp_path: Path, installed: Installed, smears: Path) -> Forge:
    return Forge(tmp_path, installed, smears)


# --- GitHub Actions ---

WORKFLOW: dict[Any, Any] = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
STEPS = {step["name"]: step for step in WORKFLOW["jobs"]["validate"]["steps"] if "run" in step}
JUDGE, KEEP = "Judge, and compare with the baseline", "Keep the ledger"


def github_job(forge: Forge, name: str, event: str) -> Job:
    job = forge.job(name, GITHUB_EVENT_NAME=event, GITHUB_RUN_ID=f"run-{name}")
    page = job.temp / "page.md"
    job.environment |= {"RUNNER_TEMP": str(job.temp), "GITHUB_STEP_SUMMARY": str(page)}
    return job


def play(job: Job, *, event: str, before_keeping: Any = None) -> dict[str, int]:
    """Run the steps as GitHub does: after one that failed, only those that always run."""
    codes: dict[str, int] = {}
    for name, step in STEPS.items():
        condition = step.get("if", "success()")
        assert condition in ("success()", "always()", "github.event_name == 'push'")
        if condition == "github.event_name == 'push'" and event != "push":
            continue
        if any(codes.values()) and condition != "always()":
            continue
        if name == KEEP and before_keeping is not None:
            before_keeping()
        codes[name] = job.shell(step["run"])
    return codes


@pytest.mark.slow
def test_the_workflow_gates_a_pull_request_against_main_and_keeps_every_look(forge):
    forge.begin_ledger()
    main = github_job(forge, "main", "push")
    assert set(play(main, event="push").values()) == {0}, main.said
    assert "## RUN PASSED: tiny" in (main.temp / "page.md").read_text()
    first = parse_ledger(forge.ledger, where="main")
    assert first

    pull = github_job(forge, "pull", "pull_request")
    shutil.copytree(main.place / "baseline", pull.place / "baseline")  # what the cache restores
    codes = play(pull, event="pull_request", before_keeping=forge.look_beside)
    assert set(codes.values()) == {0}, pull.said
    evidence = evidence_of(pull.place / "pack")
    assert evidence["baseline"]["run"] == evidence_of(main.place / "pack")["run"]["id"]
    assert verdicts_of(pull.place / "pack")["G1"]["outcome"] == "passed"
    assert evidence["run"]["command"].startswith("leukocyte-harness run --protocol=protocol.toml")
    assert " --workers=1 --device=cpu --ledger=" in evidence["run"]["command"]
    page = (pull.temp / "page.md").read_text()
    assert page.rstrip("\n") == (pull.place / "pack" / "summary.md").read_text().rstrip("\n")
    assert "### Against the baseline" in page

    merged = parse_ledger(forge.ledger, where="merged")
    assert [look.run for look in merged].count("beside") == 1
    assert contains(first, merged)
    assert contains(read_ledger(pull.place / "pack" / "ledger.jsonl"), merged)


@with_all("each trains in two or three jobs; the workflow for pull requests stands for them")
def test_without_ledger_or_baseline_a_pull_request_is_not_judged(forge):
    pull = github_job(forge, "pull", "pull_request")
    codes = play(pull, event="pull_request")
    assert codes["Fetch the ledger of looks"] != 0  # nobody begins one unseen
    assert JUDGE not in codes
    assert codes[KEEP] == 0
    forge.begin_ledger()
    again = github_job(forge, "again", "pull_request")
    codes = play(again, event="pull_request")
    assert codes[JUDGE] == 1
    assert "Run this workflow on main first" in again.said
    assert not (again.place / "pack").exists()


# --- GitLab ---

GITLAB: dict[str, Any] = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())
SCRIPT = "\n".join(GITLAB["validate"]["script"])  # GitLab runs them in one shell


@pytest.fixture
def artifacts(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(address of an API, folder of what it serves)."""
    folder = tmp_path / "api"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


@with_all("each trains in two or three jobs; the workflow for pull requests stands for them")
def test_the_pipeline_gates_a_merge_request_against_main_and_keeps_every_look(forge, artifacts):
    address, folder = artifacts
    forge.begin_ledger()
    common = {
        **{"CI_API_V4_URL": address, "CI_PROJECT_ID": "1", "CI_JOB_TOKEN": "t", "CI_JOB_ID": "1"},
        **{"CI_DEFAULT_BRANCH": "main", "LEDGER_REMOTE": str(forge.remote), "no_proxy": "127.0.0.1"},
    }
    refused = forge.job("refused", **common, CI_COMMIT_BRANCH="")
    assert refused.shell(SCRIPT) == 1
    assert "There is no baseline pack. Run this pipeline on main first." in refused.said

    main = forge.job("main", **common, CI_COMMIT_BRANCH="main")
    assert main.shell(SCRIPT) == 0, main.said
    assert "## RUN PASSED: tiny" in main.said
    download = folder / "projects" / "1" / "jobs" / "artifacts" / "main" / "download"
    download.parent.mkdir(parents=True)
    archive = shutil.make_archive(str(folder / "artifacts"), "zip", root_dir=main.place, base_dir="pack")
    Path(archive).rename(download)

    merge = forge.job("merge", **common, CI_COMMIT_BRANCH="")
    assert merge.shell(SCRIPT) == 0, merge.said
    assert verdicts_of(merge.place / "pack")["G1"]["outcome"] == "passed"
    assert "### Against the baseline" in merge.said
    kept = parse_ledger(forge.ledger, where="kept")
    assert contains(read_ledger(merge.place / "pack" / "ledger.jsonl"), kept)
    assert len({look.run for look in kept}) == 2
    assert GITLAB["validate"]["artifacts"]["reports"]["junit"] == "pack/junit.xml"
    assert (merge.place / "pack" / "junit.xml").is_file()


@with_all("each trains in two or three jobs; the workflow for pull requests stands for them")
def test_a_run_that_does_not_pass_fails_the_job_and_its_looks_are_kept(forge, artifacts):
    address, _ = artifacts
    forge.begin_ledger()
    git(forge.work, "switch", "--quiet", "main")
    strict = forge.work / "strict.toml"
    strict.write_text(
        'extends = "protocol.toml"\n[[criteria]]\nid = "A1"\nfloor = 1.0\nrequired = true\nrationale = "strict"\n'
    )
    job = forge.job(
        "main",
        **{"CI_API_V4_URL": address, "CI_PROJECT_ID": "1", "CI_JOB_TOKEN": "t", "CI_JOB_ID": "1"},
        **{"CI_DEFAULT_BRANCH": "main", "CI_COMMIT_BRANCH": "main", "LEDGER_REMOTE": str(forge.remote)},
        **{"PROTOCOL": str(strict), "no_proxy": "127.0.0.1", "PYTEST_ADDOPTS": "-k 'D1 or A1'"},
    )
    assert job.shell(SCRIPT) in (1, 6), job.said  # one error disproves 1.0, none leaves it open
    assert "## RUN NOT PASSED: tiny" in job.said
    assert "Traceback" not in job.said
    assert parse_ledger(forge.ledger, where="kept")
