"""Whoever installs the wheel has all that a checkout has: suites, protocols, drawn cells, and the same verdicts."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from installed import Installed, install
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tiny_run import TINY, evidence_of, verdicts_of

from harness import __version__
from harness.core.errors import ProtocolError
from harness.core.places import INSTALLED, PACKAGE, PROJECT, PROTOCOLS, SHIPPED, module_root
from harness.proof import proven_code
from harness.protocol.file import read_protocol, shipped_protocols
from harness.suite_run import OWN, as_called


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("wheel"))


def sources(folder: str) -> set[str]:
    """Every file of a folder of the checkout that git would list, as a path from its top."""
    files = (PROJECT / folder).rglob("*")
    return {f.relative_to(PROJECT).as_posix() for f in files if f.is_file() and "__pycache__" not in f.parts}


# --- what is in it ---


def test_the_wheel_holds_everything_and_puts_one_package_among_the_installed(installed):
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {"harness", f"leukocyte_harness-{__version__}.dist-info"}
    shipped = {"conftest.py", "pyproject.toml", "constraints.txt", "constraints-mlflow.txt"}
    shipped |= sources("suites") | sources("fixtures")
    assert {name for name in names if name.startswith("harness/")} == (
        sources("harness") | {f"harness/shipped/{name}" for name in shipped}
    )


def test_a_checkout_is_no_installation():
    assert not INSTALLED
    assert not SHIPPED.exists()
    assert PROJECT == PACKAGE.parent == module_root("harness") == module_root("fixtures")


def test_the_digests_of_code_are_those_of_the_checkout(installed, tmp_path):
    """So a proof, and every kept stage, is as good in one layout as in the other."""
    said = subprocess.run(
        [
            str(shutil.which("python", path=installed.environment["PATH"])),
            "-c",
            "import json, harness.proof as p, harness.run.code as c, harness.core.places as places\n"
            "print(json.dumps([places.INSTALLED, p.proven_code(), c.Code().digest('fixtures.drawing'),"
            " c.Code().digest('harness.model.trained')]))",
        ],
        cwd=tmp_path,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    from harness.run.code import Code

    drawing, trained = Code().digest("fixtures.drawing"), Code().digest("harness.model.trained")
    assert json.loads(said.stdout) == [True, proven_code(), drawing, trained]


# --- what it does ---


@pytest.mark.slow
def test_a_run_from_an_empty_folder_has_the_verdicts_of_the_checkout(installed, first_run, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY.replace(str(PROTOCOLS / "embedded.toml"), "embedded.toml"))
    assert 'extends = "embedded.toml"' in (tmp_path / "tiny.toml").read_text()
    kept = first_run / "reports" / ".stages"
    shutil.copytree(kept, tmp_path / "reports" / ".stages")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")  # of whoever works in this folder
    done = installed.run("run", "--protocol", "tiny.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    pack, cloned = tmp_path / "reports" / "latest", first_run / "reports" / "latest"
    # Every stage is found under the key that the checkout gave it.
    assert [stage["name"] for stage in evidence_of(pack)["stages"] if not stage["reused"]] == []
    timed = {"T1", "T2", "T3", "T4", "T5"}
    assert {k: v["outcome"] for k, v in verdicts_of(pack).items()} == {
        k: v["outcome"] for k, v in verdicts_of(cloned).items()
    }
    assert {k: v["estimate"] for k, v in verdicts_of(pack).items() if k not in timed} == {
        k: v["estimate"] for k, v in verdicts_of(cloned).items() if k not in timed
    }
    evidence = evidence_of(pack)
    assert evidence["run"]["command"] == "leukocyte-harness run --protocol tiny.toml"
    assert evidence["packages"]["declared_in"] == "pyproject.toml"
    assert str(installed.site) not in (pack / "evidence.json").read_text()
    verified = installed.run("verify", str(pack), cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout


def test_every_job_is_there_under_both_names(installed, tmp_path):
    told = installed.run("--help", cwd=tmp_path)
    assert told.returncode == 0
    assert told.stdout.startswith("usage: leukocyte-harness ")
    assert installed.run("--version", cwd=tmp_path).stdout.strip() == f"leukocyte-harness {__version__}"
    wrong = installed.run("claims", "nothing-here.md", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
    unknown = installed.run("run", "--protocol", "no-such", cwd=tmp_path)
    assert unknown.returncode == pytest.ExitCode.USAGE_ERROR
    assert "or a shipped protocol: base, embedded" in unknown.stderr


def test_the_command_of_the_evidence_is_the_one_that_was_given():
    assert as_called([*OWN, "-k", "A1"]) == ["leukocyte-harness", "run", "-k", "A1"]
    assert as_called(["suites/", "-k", "A1"]) == ["pytest", "suites/", "-k", "A1"]


# --- protocols by name ---


def test_a_shipped_protocol_is_found_by_its_bare_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("leukocyte-quick", "leukocyte-quick.toml"):
        assert read_protocol(Path(name)).digest == read_protocol(PROTOCOLS / "leukocyte-quick.toml").digest
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.toml").write_text('extends = "embedded.toml"\n[identity]\nid = "mine"\n')
    assert read_protocol(tmp_path / "own" / "mine.toml").identity.id == "mine"


def test_a_folder_of_that_name_hides_no_shipped_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "embedded").mkdir()
    assert read_protocol(Path("embedded")).identity.id == "embedded"


def test_what_lies_beside_goes_before_what_is_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "embedded.toml").write_text(f'extends = "{PROTOCOLS}/embedded.toml"\n[identity]\nid = "beside"\n')
    (tmp_path / "mine.toml").write_text('extends = "embedded.toml"\n')
    assert read_protocol(Path("mine.toml")).identity.id == "beside"
    assert read_protocol(Path("embedded.toml")).identity.id == "beside"


def test_a_path_is_never_taken_for_a_name(tmp_path):
    with pytest.raises(ProtocolError, match="no such file"):
        read_protocol(tmp_path / "embedded.toml")
    (tmp_path / "mine.toml").write_text('extends = "../embedded.toml"\n')
    with pytest.raises(ProtocolError, match=r"not in .*or take a shipped protocol: base, embedded"):
        read_protocol(tmp_path / "mine.toml")


def test_every_shipped_protocol_is_named():
    assert set(shipped_protocols()) == {file.stem for file in PROTOCOLS.iterdir() if file.suffix == ".toml"}


# --- what it asks for ---


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-mlflow.txt"])
def test_the_versions_that_were_tried_together_are_in_the_declared_ranges(file):
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lines = [line for line in (PROJECT / file).read_text().splitlines() if line and not line.startswith("#")]
    pins = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in lines}
    extras = [wanted for name, wanted in project["optional-dependencies"].items() if name in file or name == "dev"]
    asked = [Requirement(text) for text in chain(project["dependencies"], *extras)]
    assert asked
    for each in asked:
        assert each.specifier.contains(pins[canonicalize_name(each.name)]), each


def test_nothing_that_is_always_installed_is_held_to_one_version():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for each in map(Requirement, project["dependencies"]):
        operators = {part.operator for part in each.specifier}
        assert operators == {">=", "<"}, each
