"""The registry: an index that fails closed, and lets no run that did not pass become a champion."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from example_run import A_FIGURE, example_run

from harness.core.errors import EvidenceError, HarnessError
from harness.judge.verdicts import Outcome
from harness.pack import registry as registry_module
from harness.pack.files import SIGNATURE
from harness.pack.keys import read_signing_key, write_key_pair
from harness.pack.read import open_pack, verify_digests
from harness.pack.registry import (
    ARCHIVE,
    ARTIFACTS,
    EXPERIMENT,
    SUMS_TAG,
    Registry,
    RegistryError,
    fetch,
    log_run,
    parse_reference,
    promote,
    registry_at,
)
from harness.pack.sign import sign_pack
from harness.pack.write import write_pack
from harness.run.results import RunResults

needs_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None,
    reason="the extra [mlflow] is not installed (see constraints-mlflow.txt)",
)


def written(run: RunResults, reports: Path) -> Path:
    """The run's pack, without the seconds that drawing takes."""
    reports.mkdir(parents=True, exist_ok=True)
    model = reports / "model.pth"
    model.write_bytes(b"weights" * 1000)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
        return write_pack(run, reports=reports, manifest=None, models={"export.pkl": model}, formats=("PNG",))


def passing(run_id: str) -> RunResults:
    run = example_run()
    verdicts = tuple(dataclasses.replace(verdict, outcome=Outcome.PASSED) for verdict in run.verdicts)
    return dataclasses.replace(run, run_id=run_id, verdicts=verdicts)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two runs that passed, and one that did not."""
    reports = tmp_path_factory.mktemp("packs")
    runs = {"first": passing("first"), "second": passing("second"), "failed": example_run()}
    return {name: written(run, reports) for name, run in runs.items()}


@pytest.fixture(autouse=True)
def _no_registry_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One database for all tests that share well: its first use takes seconds. The folder's name has a space."""
    return registry_at(tmp_path_factory.mktemp("with space"))


def client_of(registry: Registry):  # type: ignore[no-untyped-def]
    with registry_module._connected(registry) as (_mlflow, client):
        return client


# --- without MLflow -------------------------------------------------------------------------------


def test_without_mlflow_the_error_names_the_extra(packs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # its import fails
    registry = registry_at(tmp_path)
    for use in (
        lambda: log_run(packs["first"], registry=registry),
        lambda: promote(packs["first"], name="cells", alias="champion", registry=registry),
        lambda: fetch("cells", "champion", into=tmp_path, registry=registry),
    ):
        with pytest.raises(
            RegistryError, match=r"needs MLflow, which cannot be imported .*leukocyte-harness\[mlflow\]"
        ):
            use()
    assert list(tmp_path.iterdir()) == []


def test_importing_the_registry_imports_no_mlflow():
    code = "import sys, harness.pack.registry; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_pack_is_verified_and_refused_before_mlflow_is_asked(packs, tmp_path, monkeypatch):
    monkeypatch.setattr(registry_module, "_mlflow", lambda: pytest.fail("MLflow was asked"))
    registry = registry_at(tmp_path)
    with pytest.raises(RegistryError, match="did not pass, and only a run that passed may be a champion"):
        promote(packs["failed"], name="cells", alias="champion", registry=registry)
    altered = shutil.copytree(packs["first"], tmp_path / "altered")
    (altered / "index.html").write_text("x")
    for use in (
        lambda: log_run(altered, registry=registry),
        lambda: promote(altered, name="cells", alias="champion", registry=registry),
    ):
        with pytest.raises(EvidenceError, match="does not verify"):
            use()


@pytest.mark.parametrize("spoilt", ["another pack's", "no envelope"])
def test_a_pack_whose_signature_is_not_its_own_is_no_champion(packs, tmp_path, monkeypatch, spoilt):
    monkeypatch.setattr(registry_module, "_mlflow", lambda: pytest.fail("MLflow was asked"))
    write_key_pair(tmp_path / "key")
    signed = {name: Path(shutil.copytree(packs[name], tmp_path / name)) for name in ("first", "second")}
    for pack in signed.values():
        sign_pack(pack, read_signing_key(tmp_path / "key"))
    other = (signed["second"] / SIGNATURE).read_bytes()
    (signed["first"] / SIGNATURE).write_bytes(other if spoilt == "another pack's" else b"{}")
    with pytest.raises(EvidenceError, match="its signature does not hold"):
        promote(signed["first"], name="cells", alias="champion", registry=registry_at(tmp_path))


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("", "champion"),
        ("a/b", "champion"),
        ("a' or '1'='1", "champion"),
        ("..", "a/b"),
        ("cells", ""),
        ("cells", "latest"),
        ("cells", "Latest"),
        ("cells", "v3"),
        ("cells", "the champion"),
        ("cells\n", "champion"),
    ],
)
def test_names_that_mlflow_cannot_take_or_keeps_for_itself_are_refused(packs, tmp_path, name, alias):
    registry = registry_at(tmp_path)
    with pytest.raises(RegistryError, match="cannot be used"):
        promote(packs["first"], name=name, alias=alias, registry=registry)
    with pytest.raises(RegistryError, match="cannot be used"):
        fetch(name, alias, into=tmp_path, registry=registry)


@pytest.mark.parametrize("run", ["", "a' or '1'='1", "../x"])
def test_what_is_no_id_of_a_run_is_refused(tmp_path, run):
    with pytest.raises(RegistryError, match="is not an MLflow run id"):
        promote(run, name="cells", alias="champion", registry=registry_at(tmp_path))


def test_the_registry_lies_in_the_reports_folder_unless_the_environment_names_one(tmp_path, monkeypatch):
    registry = registry_at(tmp_path / "reports")
    assert registry.uri == f"sqlite:///{tmp_path}/reports/mlflow.db"
    assert registry.artifacts == tmp_path / "reports" / "mlflow-artifacts"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert registry_at(tmp_path).uri == "http://127.0.0.1:5000"
    assert registry_at(tmp_path).artifacts is None


def test_a_folder_whose_name_an_address_cannot_hold_is_refused(tmp_path):
    with pytest.raises(RegistryError, match="which an address of a database cannot hold"):
        registry_at(tmp_path / "why?")


def test_a_reference_is_a_name_and_an_alias():
    assert parse_reference("models:/leukocytes@champion") == ("leukocytes", "champion")
    assert parse_reference("models:/a.b-c_1@x-1") == ("a.b-c_1", "x-1")
    for path in ("reports/latest", "leukocytes@champion", "./models:/a@b", ""):
        assert parse_reference(path) is None
    for text in ("models:/", "models:/a", "models:/a/3", "models:/a@", "models:/@b", "models:/a@b@c", "models:/../a@b"):
        with pytest.raises(RegistryError, match="Write models:/NAME@ALIAS"):
            parse_reference(text)


def test_a_registry_error_is_an_error_of_the_harness():
    assert issubclass(RegistryError, HarnessError)


# --- runs -----------------------------------------------------------------------------------------


@needs_mlflow
def test_a_run_is_indexed_with_its_numbers_outcomes_and_digests(packs, shared):
    run = client_of(shared).get_run(log_run(packs["failed"], registry=shared))
    example, pack = example_run(), open_pack(packs["failed"])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == example.run_id
    assert run.data.metrics["test.accuracy"] == 27 / 30
    assert run.data.metrics["test.accuracy.n"] == 30
    assert "nine-monocytes.recall.basophil" not in run.data.metrics  # undefined, not 0
    assert run.data.metrics["nine-monocytes.recall.basophil.n"] == 0
    assert sum(n for name, n in run.data.metrics.items() if name.startswith("verdicts.")) == len(example.verdicts)
    tags = run.data.tags
    assert tags["harness.passed"] == "false"
    assert tags["harness.protocol"] == run.data.params["protocol.digest"] == example.protocol.digest
    assert tags["harness.predictions.test"] == example.predictions["test"].digest
    assert tags["harness.weights"] == example.training.weights_digest
    assert tags[SUMS_TAG] == pack.sums_digest
    for verdict in example.verdicts:
        assert tags[f"harness.outcome.{verdict.criterion.id}"] == verdict.outcome.value


@needs_mlflow
def test_a_pack_that_is_there_is_not_stored_twice(packs, shared):
    assert log_run(packs["second"], registry=shared) == log_run(packs["second"], registry=shared)


@needs_mlflow
def test_a_run_whose_upload_failed_is_marked_and_stored_anew(packs, tmp_path, monkeypatch):
    registry = registry_at(tmp_path / "reports")
    with monkeypatch.context() as patched:

        def full(pack: object, path: Path) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(registry_module, "_write_zip", full)
        with pytest.raises(RegistryError, match="No space left"):
            log_run(packs["first"], registry=registry)
    log_run(packs["first"], registry=registry)
    client = client_of(registry)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    assert sorted(run.info.status for run in client.search_runs([experiment])) == ["FAILED", "FINISHED"]


@needs_mlflow
def test_nothing_is_left_in_the_working_directory_or_the_home_of_the_user(packs, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "home").mkdir()
    code = (
        "import sys; from pathlib import Path; from harness.pack.registry import *;"
        "log_run(Path(sys.argv[1]), registry=registry_at(Path(sys.argv[2])))"
    )
    environment = os.environ | {
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(registry_module.__file__).parents[1]),
    }
    command = [sys.executable, "-c", code, str(packs["first"]), str(tmp_path / "reports")]
    subprocess.run(command, check=True, cwd=tmp_path / "work", env=environment, timeout=120)
    assert list((tmp_path / "work").iterdir()) == []
    assert list((tmp_path / "home").iterdir()) == []
    assert {file.name for file in (tmp_path / "reports").iterdir()} == {
        "mlflow.db",
        "mlflow.db.lock",
        "mlflow-artifacts",
    }


# --- champions ------------------------------------------------------------------------------------


@needs_mlflow
def test_a_promoted_pack_comes_back_byte_for_byte(packs, shared, tmp_path):
    version = promote(packs["first"], name="bytes", alias="champion", registry=shared)
    folder = fetch("bytes", "champion", into=tmp_path, registry=shared)
    assert folder == tmp_path / f"bytes-v{version}"
    assert files_of(folder) == files_of(packs["first"])
    assert verify_digests(open_pack(folder), absent_ok=()) == ()
    assert [each.name for each in tmp_path.iterdir()] == [folder.name]


@needs_mlflow
def test_the_alias_moves_and_what_it_names_moves_with_it(packs, shared, tmp_path):
    first = promote(packs["first"], name="moves", alias="champion", registry=shared)
    second = promote(packs["second"], name="moves", alias="champion", registry=shared)
    assert first != second
    assert open_pack(fetch("moves", "champion", into=tmp_path, registry=shared)).evidence["run"]["id"] == "second"
    assert promote(packs["first"], name="moves", alias="champion", registry=shared) == first  # no third version
    assert open_pack(fetch("moves", "champion", into=tmp_path, registry=shared)).evidence["run"]["id"] == "first"


@needs_mlflow
def test_a_run_may_be_promoted_by_its_id(packs, shared, tmp_path):
    run = log_run(packs["first"], registry=shared)
    promote(run, name="by-id", alias="champion", registry=shared)
    assert files_of(fetch("by-id", "champion", into=tmp_path, registry=shared)) == files_of(packs["first"])


@needs_mlflow
def test_a_run_that_did_not_pass_is_refused_whatever_its_tags_say(packs, shared):
    run = log_run(packs["failed"], registry=shared)
    client_of(shared).set_tag(run, "harness.passed", "true")
    with pytest.raises(RegistryError, match="did not pass"):
        promote(run, name="never", alias="champion", registry=shared)
    assert client_of(shared).search_registered_models("name = 'never'") == []


@needs_mlflow
def test_a_pack_that_was_altered_in_the_registry_is_refused(packs, tmp_path):
    registry = registry_at(tmp_path / "reports")
    promote(packs["first"], name="cells", alias="champion", registry=registry)
    stored = next((tmp_path / "reports" / "mlflow-artifacts").rglob(ARCHIVE))
    whole = stored.read_bytes()
    place = whole.index(b"</html>") + 2
    stored.write_bytes(whole[:place] + b"H" + whole[place + 1 :])
    for use in (
        lambda: fetch("cells", "champion", into=tmp_path / "into", registry=registry),
        lambda: promote(packs["first"], name="cells", alias="champion", registry=registry),
    ):
        with pytest.raises(EvidenceError, match=r"pack\.zip does not verify"):
            use()
    assert not (tmp_path / "into").exists()


@needs_mlflow
@pytest.mark.parametrize("other", ["second", "failed"])
def test_a_pack_that_was_replaced_by_another_whole_one_is_refused(packs, tmp_path, other):
    registry = registry_at(tmp_path / "reports")
    promote(packs["first"], name="cells", alias="champion", registry=registry)
    stored = next((tmp_path / "reports" / "mlflow-artifacts").rglob(ARCHIVE))
    with zipfile.ZipFile(stored, "w") as archive:
        for name, content in files_of(packs[other]).items():
            archive.writestr(name, content)
    with pytest.raises(RegistryError, match=r"Somebody replaced it|did not pass"):
        fetch("cells", "champion", into=tmp_path / "into", registry=registry)
    with pytest.raises(RegistryError, match=r"somebody replaced it|did not pass"):
        promote(packs["first"], name="cells", alias="champion", registry=registry)


@needs_mlflow
def test_a_folder_that_holds_something_else_is_not_overwritten(packs, shared, tmp_path):
    version = promote(packs["first"], name="folder", alias="champion", registry=shared)
    target = tmp_path / f"folder-v{version}"
    shutil.copytree(packs["second"], target)
    with pytest.raises(RegistryError, match="holds another pack than the registry"):
        fetch("folder", "champion", into=tmp_path, registry=shared)
    assert files_of(target) == files_of(packs["second"])
    shutil.rmtree(target)
    fetch("folder", "champion", into=tmp_path, registry=shared)
    (target / "index.html").write_text("x")
    with pytest.raises(EvidenceError, match="does not verify"):
        fetch("folder", "champion", into=tmp_path, registry=shared)


@needs_mlflow
def test_models_aliases_and_runs_that_do_not_exist_are_told_of(packs, shared, tmp_path):
    with pytest.raises(RegistryError, match=r"cannot do this: .*nobody"):
        fetch("nobody", "champion", into=tmp_path, registry=shared)
    promote(packs["first"], name="somebody", alias="champion", registry=shared)
    with pytest.raises(RegistryError, match=r"cannot do this: .*runner-up"):
        fetch("somebody", "runner-up", into=tmp_path, registry=shared)
    with pytest.raises(RegistryError, match="cannot do this"):
        promote("0" * 32, name="somebody", alias="champion", registry=shared)
    client = client_of(shared)
    bare = client.create_run(client.get_experiment_by_name(EXPERIMENT).experiment_id).info.run_id
    with pytest.raises(RegistryError, match="cannot do this"):
        promote(bare, name="somebody", alias="champion", registry=shared)
    client.create_registered_model("by-hand")
    client.create_model_version("by-hand", source=f"runs:/{bare}/{ARTIFACTS}", run_id=None)
    client.set_registered_model_alias("by-hand", "champion", "1")
    with pytest.raises(RegistryError):
        fetch("by-hand", "champion", into=tmp_path, registry=shared)


# --- several processes, servers, odd places -------------------------------------------------------


def index(pack: Path, reports: Path) -> None:
    log_run(pack, registry=registry_at(reports))


@needs_mlflow
def test_processes_that_meet_a_new_database_at_once_all_get_through(packs, tmp_path):
    reports = tmp_path / "reports"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=index, args=(pack, reports)) for pack in packs.values()]
    for process in processes:
        process.start()
    for process in processes:
        process.join(180)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    client = client_of(registry_at(reports))
    runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert {run.info.run_name for run in runs} == {"first", "second", example_run().run_id}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server on this machine's loopback, which stores artifacts itself."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "a")]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(240):
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.5)
        else:
            pytest.fail((folder / "log").read_text())
        yield f"http://127.0.0.1:{port}"
    finally:
        # Its session is its own: the server, its workers, and nobody else.
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@needs_mlflow
@pytest.mark.skipif(os.name != "posix", reason="stops the server's processes as POSIX does")
def test_a_tracking_server_does_the_same(packs, server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    registry = registry_at(tmp_path / "reports")
    run = log_run(packs["first"], registry=registry)
    assert log_run(packs["first"], registry=registry) == run
    promote(run, name="cells", alias="champion", registry=registry)
    assert files_of(fetch("cells", "champion", into=tmp_path, registry=registry)) == files_of(packs["first"])
    promote(packs["second"], name="cells", alias="champion", registry=registry)
    assert files_of(fetch("cells", "champion", into=tmp_path, registry=registry)) == files_of(packs["second"])
    with pytest.raises(RegistryError, match="did not pass"):
        promote(log_run(packs["failed"], registry=registry), name="cells", alias="champion", registry=registry)
    with pytest.raises(RegistryError, match="cannot do this"):
        fetch("cells", "runner-up", into=tmp_path, registry=registry)
    assert list((tmp_path / "reports").iterdir()) == []


@needs_mlflow
def test_a_dead_server_is_told_of_in_seconds_and_keeps_its_password_secret(packs, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://someone:secret@127.0.0.1:{free_port()}")
    started = time.monotonic()
    with pytest.raises(RegistryError, match=r"the registry http://\*\*\*@127\.0\.0\.1:\d+ cannot do this") as caught:
        log_run(packs["first"], registry=registry_at(tmp_path))
    assert time.monotonic() - started < 30
    assert "secret" not in str(caught.value)
    with pytest.raises(RegistryError, match="Check MLFLOW_TRACKING_URI"):
        fetch("cells", "champion", into=tmp_path, registry=registry_at(tmp_path))


@needs_mlflow
@pytest.mark.parametrize("uri", ["mlruns", "file:///nowhere/mlruns", "gibberish://x"])
def test_a_place_that_is_no_registry_is_told_of(packs, tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RegistryError, match="cannot do this"):
        log_run(packs["first"], registry=registry_at(tmp_path))


@needs_mlflow
def test_a_file_in_the_place_of_the_reports_folder_is_told_of(packs, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RegistryError, match="cannot do this"):
        log_run(packs["first"], registry=registry_at(tmp_path / "file"))


@needs_mlflow
def test_a_database_that_is_none_is_told_of(packs, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(RegistryError, match="cannot do this"):
        log_run(packs["first"], registry=registry_at(tmp_path))
