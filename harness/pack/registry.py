"""Which pack is the champion? An optional index of runs in MLflow: the extra `[mlflow]`.

MLflow's runs, tags and aliases can be edited by whoever reaches them. So it is an index and no evidence: a run holds
the whole pack, and what is decided here (may it be promoted, is this what was promoted) is read from the pack's own
bytes after they verified, never from a tag. It fails closed: a registry that cannot be reached is an error.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from harness.core.errors import EvidenceError, HarnessError
from harness.pack.files import EVIDENCE
from harness.pack.outcome import read_passed
from harness.pack.read import Pack, open_pack, read_protocol_digest, require_field, require_verified
from harness.pack.sign import Standing, check_signature

EXPERIMENT = "leukocyte-harness"
ARTIFACTS, ARCHIVE = "pack", "pack.zip"  # the folder of a run's artifacts, and the file in it
SUMS_TAG = "harness.sha256sums"
LOCK_TIMEOUT_S = 120.0  # the first use of a database migrates its schema, which takes seconds
# MLflow takes 1000 metrics, 100 parameters and 100 tags in one call.
PER_CALL = 100
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
ALIAS = r"[A-Za-z0-9_-]{1,99}"
SQLITE = "sqlite:///"

Item = TypeVar("Item")


class RegistryError(HarnessError, RuntimeError):
    """The registry cannot be used, or what is asked of it must not be done."""


class NotPassed(RegistryError):
    """A run that did not pass was to be made a champion."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Where runs are indexed.

    uri:       of the tracking server or database.
    artifacts: the folder of the packs beside a database of our own; None where a server decides.
    scratch:   a folder for files that exist only during a call.
    """

    uri: str
    artifacts: Path | None
    scratch: Path


def registry_at(reports: Path) -> Registry:
    """The registry that belongs to a reports folder: MLFLOW_TRACKING_URI, else `<reports>/mlflow.db` (SQLite).

    MLflow's own default, a database in the working directory, is never used. The database keeps absolute paths: a
    reports folder with a registry in it cannot be moved.

    Raises:
        RegistryError: the folder's path cannot be written as a database address.
    """
    reports = reports.resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri:
        return Registry(uri, None, reports)
    if set("?#%") & set(str(reports)):
        raise RegistryError(
            f"{str(reports)!r} has '?', '#' or '%' in it, which an address of a database cannot hold. Use another "
            "--reports folder, or set MLFLOW_TRACKING_URI."
        )
    return Registry(f"{SQLITE}{(reports / 'mlflow.db').as_posix()}", reports / "mlflow-artifacts", reports)


def parse_reference(text: str) -> tuple[str, str] | None:
    """Name and alias of `models:/NAME@ALIAS`; None of a text that does not begin with `models:/`, such as a path.

    Raises:
        RegistryError: it begins so and goes on differently, such as with a version number, which would not follow the
            champion.
    >>> parse_reference("models:/leukocytes@champion")
    ('leukocytes', 'champion')
    """
    if not text.startswith("models:/"):
        return None
    found = re.fullmatch(f"models:/({NAME})@({ALIAS})", text)
    if found is None:
        raise RegistryError(f"{text!r} names no alias in the registry. Write models:/NAME@ALIAS.")
    return found[1], found[2]


# --- the three jobs ---------------------------------------------------------------------------


def log_run(pack: Path, *, registry: Registry) -> str:
    """Index a pack, store a copy of it, and return the MLflow run's id; a pack that is there is not stored again.

    Every verified pack may be indexed, passed or not.

    Raises:
        EvidenceError: the pack does not verify.
        RegistryError: MLflow is not installed, or the registry cannot be reached or written.
    """
    opened = open_pack(pack)
    require_verified(opened)
    with _connected(registry) as (mlflow, client):
        return _log(mlflow, client, opened, registry)


def promote(source: Path | str, *, name: str, alias: str, registry: Registry) -> str:
    """Let an alias name a run that passed, and return the number of the model's version.

    The pack is read back from the registry, and its bytes decide: whoever set a tag to "passed" changes nothing.

    Args:
        source: a pack (Path), which is indexed first if need be, or the id of an MLflow run (str).
        name, alias: as in `models:/NAME@ALIAS`.
    Raises:
        EvidenceError: the pack does not verify, or a signature in it is broken or another pack's.
        RegistryError: the run did not pass, or holds no pack; a name MLflow cannot take; or see `log_run`.
    """
    _check_names(name, alias)
    local, run = (open_pack(source), "") if isinstance(source, Path) else (None, source)
    if local is not None:
        require_verified(local)
        _refuse_failed(local)  # before anything is written
        _refuse_broken(local)
    elif not re.fullmatch("[A-Za-z0-9_-]{1,255}", run):
        raise RegistryError(f"{run!r} is not an MLflow run id. Name one as MLflow shows it, or the path of a pack.")
    with _connected(registry) as (mlflow, client):
        if local is not None:
            run = _log(mlflow, client, local, registry)
        with _downloaded(client, run, registry.scratch) as stored:
            _refuse_failed(stored)
            _refuse_broken(stored)
            if local is not None and stored.sums_digest != local.sums_digest:
                raise RegistryError(
                    f"run {run} holds another pack than {local.location}: somebody replaced it. Remove that run, and "
                    "promote again."
                )
            digest = stored.sums_digest
        with _unless_there(mlflow):
            client.create_registered_model(name)
        versions = client.search_model_versions(f"name = '{name}' and run_id = '{run}'")
        version = next((each for each in versions if each.tags.get(SUMS_TAG) == digest), None)
        if version is None:
            version = client.create_model_version(
                name, source=f"runs:/{run}/{ARTIFACTS}", run_id=run, tags={SUMS_TAG: digest}
            )
        client.set_registered_model_alias(name, alias, str(version.version))
        return str(version.version)


def fetch(name: str, alias: str, *, into: Path, registry: Registry) -> Path:
    """Fetch the pack that an alias names, and return its folder, `<into>/<name>-v<version>`.

    Raises:
        EvidenceError: the stored pack does not verify.
        RegistryError: no such model or alias; the pack was replaced since it was promoted, or did not pass; the folder
            holds something else; or see `log_run`.
    """
    _check_names(name, alias)
    with _connected(registry) as (_mlflow, client):
        version = client.get_model_version_by_alias(name, alias)
        with _downloaded(client, version.run_id, registry.scratch) as stored:
            _refuse_failed(stored)
            if version.tags.get(SUMS_TAG) != stored.sums_digest:
                raise RegistryError(
                    f"models:/{name}@{alias} was promoted with another pack than run {version.run_id} holds now. "
                    "Somebody replaced it: find out who, and promote a pack that you trust."
                )
            return _unpacked(stored, into, f"{name}-v{version.version}")


# --- MLflow -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _connected(registry: Registry) -> Iterator[tuple[ModuleType, Any]]:
    """MLflow and a client of this registry. What MLflow raises becomes a RegistryError."""
    # MLflow and what it stands on warn of their own deprecations, which nobody here can act on.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow = _mlflow()
        database_error = importlib.import_module("sqlalchemy.exc").SQLAlchemyError
        try:
            registry.scratch.mkdir(parents=True, exist_ok=True)
            with _first_use(registry):
                # Both addresses are given: left out, the environment could send the models elsewhere than the runs.
                client = mlflow.MlflowClient(tracking_uri=registry.uri, registry_uri=registry.uri)
                _experiment(mlflow, client, registry)
            yield mlflow, client
        except HarnessError:
            raise  # which may be a built-in that is caught below
        except Timeout:
            raise RegistryError(
                f"the registry {_shown(registry.uri)} has been prepared by another run for {LOCK_TIMEOUT_S:g} s. "
                "Wait for it, or look for one that hangs."
            ) from None
        except (mlflow.MlflowException, database_error, OSError) as error:
            raise RegistryError(
                f"the registry {_shown(registry.uri)} cannot do this: {_first_line(error)}. Check MLFLOW_TRACKING_URI, "
                "and that the server runs or the folder can be written."
            ) from error


def _mlflow() -> ModuleType:
    # Read by MLflow when it is imported. Validation data must not be reported to anybody.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
    # A dead server is to be told of in seconds: MLflow's own seven tries take minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        return importlib.import_module("mlflow")
    except ImportError as error:
        raise RegistryError(
            f"the registry needs MLflow, which cannot be imported ({error}). Install the extra: "
            "pip install 'leukocyte-harness[mlflow]', or name the baseline's folder instead."
        ) from None


@contextlib.contextmanager
def _first_use(registry: Registry) -> Iterator[None]:
    """Of several processes that meet a database without a schema, MLflow lets all but one die: one at a time."""
    if not registry.uri.startswith(SQLITE):
        yield
        return
    database = Path(registry.uri.removeprefix(SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(database.name + ".lock"), timeout=LOCK_TIMEOUT_S):
        yield


def _experiment(mlflow: ModuleType, client: Any, registry: Registry) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        place = None if registry.artifacts is None else registry.artifacts.as_uri()
        with _unless_there(mlflow):
            return str(client.create_experiment(EXPERIMENT, artifact_location=place))
        found = client.get_experiment_by_name(EXPERIMENT)
    if found.lifecycle_stage != "active":
        raise RegistryError(
            f"the experiment {EXPERIMENT!r} in {_shown(registry.uri)} was deleted. Restore it, or use another registry."
        )
    return str(found.experiment_id)


@contextlib.contextmanager
def _unless_there(mlflow: ModuleType) -> Iterator[None]:
    """Making something that another process has made in the meantime is not an error."""
    try:
        yield
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log(mlflow: ModuleType, client: Any, pack: Pack, registry: Registry) -> str:
    experiment = _experiment(mlflow, client, registry)
    wanted = f"tags.`{SUMS_TAG}` = '{pack.sums_digest}' and attributes.status = 'FINISHED'"
    known = client.search_runs([experiment], filter_string=wanted, max_results=1)
    if known:
        return str(known[0].info.run_id)
    try:
        metrics, params, tags = _metrics(pack), _params(pack), _tags(pack)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EvidenceError(
            f"{pack.name}/{EVIDENCE} is not as the harness writes it ({type(error).__name__}: {error}). Fetch the pack "
            "anew from where it was made."
        ) from error
    run = str(client.create_run(experiment, run_name=require_field(pack, "run", "id", kind=str)).info.run_id)
    try:
        with tempfile.TemporaryDirectory(dir=registry.scratch, prefix=".mlflow-") as folder:
            archive = Path(folder) / ARCHIVE
            _write_zip(pack, archive)
            client.log_artifact(run, str(archive), ARTIFACTS)
        entities, now_ms = mlflow.entities, int(time.time() * 1000)
        for some in _chunks([entities.Metric(name, value, now_ms, 0) for name, value in metrics.items()]):
            client.log_batch(run, metrics=some)
        for some in _chunks([entities.RunTag(name, value) for name, value in tags.items()]):
            client.log_batch(run, tags=some)
        client.log_batch(run, params=[entities.Param(name, value) for name, value in params.items()])
        client.set_terminated(run, "FINISHED")
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to tell of
            client.set_terminated(run, "FAILED")
        raise
    return run


@contextlib.contextmanager
def _downloaded(client: Any, run: str, scratch: Path) -> Iterator[Pack]:
    """The pack that a run holds, verified, for as long as it is needed."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".mlflow-") as folder:
        # Where in the folder the file comes to lie depends on the kind of store.
        stored = open_pack(Path(client.download_artifacts(run, f"{ARTIFACTS}/{ARCHIVE}", folder)))
        require_verified(stored)
        yield stored


def _first_line(error: BaseException) -> str:
    text = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"(\w+://)[^\s/@]*@", r"\1***@", text)[:500].rstrip(".")


def _shown(uri: str) -> str:
    """The address without a name and password."""
    return re.sub(r"^(\w+://)[^/@]*@", r"\1***@", uri)


# --- packs ------------------------------------------------------------------------------------


def _refuse_broken(pack: Pack) -> None:
    """No key is asked for: a pack may be unsigned. A signature that is there must be one, and of this pack."""
    found = check_signature(pack, trust=None)
    if found.standing is Standing.BROKEN:
        raise EvidenceError(
            f"{pack.name}: its signature does not hold: {'; '.join(found.problems[:3])}. "
            "Fetch the pack anew from where it was made, or sign it again."
        )


def _refuse_failed(pack: Pack) -> None:
    if not read_passed(pack):
        run_id = require_field(pack, "run", "id", kind=str)
        raise NotPassed(
            f"run {run_id!r} did not pass, and only a run that passed may be a champion. "
            "Its report says what is missing."
        )


def _check_names(name: str, alias: str) -> None:
    # MLflow keeps "latest" and "v3" for itself.
    if not re.fullmatch(NAME, name) or not re.fullmatch(ALIAS, alias) or re.fullmatch(r"(?i)latest|v\d+", alias):
        raise RegistryError(
            f"the name {name!r} or the alias {alias!r} cannot be used. Write letters, digits, '_' and '-' (in the name "
            "'.' too), such as leukocytes and champion; 'latest' and 'v1' are reserved."
        )


def _write_zip(pack: Pack, path: Path) -> None:
    """Every file of the pack that is there. Uncompressed: most of it is compressed already."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, file in sorted(pack.files.items()):
            entry = zipfile.ZipInfo(name)  # the time is 1980-01-01
            entry.external_attr = 0o100644 << 16
            with file.open() as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)
    require_verified(open_pack(path))  # what was written is what was verified


def _unpacked(pack: Pack, into: Path, name: str) -> Path:
    """The pack as a folder, whole or not there; one that is there already must be the same pack."""
    target = into / name
    into.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(target):
        with tempfile.TemporaryDirectory(dir=into, prefix=f".{name}-") as folder:
            for file in pack.files.values():
                place = Path(folder) / name / file.name
                place.parent.mkdir(parents=True, exist_ok=True)
                with file.open() as source, place.open("xb") as written:
                    shutil.copyfileobj(source, written)
            with contextlib.suppress(FileExistsError):  # another process was faster; what it left is checked below
                _rename_new(Path(folder) / name, target)
    found = open_pack(target)
    if found.sums_digest != pack.sums_digest:
        raise RegistryError(f"{target} holds another pack than the registry. Remove it, and fetch again.")
    require_verified(found)
    return target


def _rename_new(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if target.is_dir():  # POSIX says "not empty", Windows "exists"
            raise FileExistsError(target) from error
        raise


def _metrics(pack: Pack) -> dict[str, float]:
    """Accuracy of each set and recall of each class, with their support, and how many criteria had which outcome."""
    metrics: dict[str, float] = {}
    for set_name, evaluation in require_field(pack, "evaluations", kind=dict).items():
        entries = {f"{set_name}.accuracy": evaluation["accuracy"]}
        entries |= {f"{set_name}.recall.{name}": found["recall"] for name, found in evaluation["per_class"].items()}
        for name, entry in entries.items():
            if entry["value"] is not None:  # undefined is left out, never 0
                metrics[_plain(name)] = float(entry["value"])
            metrics[_plain(f"{name}.n")] = float(entry["n"])
    outcomes = Counter(verdict["outcome"] for verdict in require_field(pack, "verdicts", kind=list))
    return metrics | {_plain(f"verdicts.{outcome}"): float(n) for outcome, n in outcomes.items()}


def _params(pack: Pack) -> dict[str, str]:
    return {
        "protocol.id": require_field(pack, "protocol", "content", "identity", "id", kind=str),
        "protocol.digest": read_protocol_digest(pack),
        "run.started_at": require_field(pack, "run", "started_at", kind=str),
        "run.command": require_field(pack, "run", "command", kind=str)[:500],
    }


def _tags(pack: Pack) -> dict[str, str]:
    # Of a classifier that was judged and not trained, its own record has the digest.
    subject: Mapping[str, object] = pack.evidence.get("training") or pack.evidence.get("model") or {}  # type: ignore[assignment]
    return {
        SUMS_TAG: pack.sums_digest,
        "harness.run": require_field(pack, "run", "id", kind=str),
        "harness.passed": str(read_passed(pack)).lower(),
        "harness.protocol": read_protocol_digest(pack),
        "harness.commit": require_field(pack, "environment", "commit", kind=str),
        "harness.weights": str(subject.get("weights_digest", "none")),
        **{
            _plain(f"harness.predictions.{name}"): str(found["digest"])
            for name, found in require_field(pack, "predictions", kind=dict).items()
        },
        **{
            _plain(f"harness.outcome.{verdict['criterion']}"): str(verdict["outcome"])
            for verdict in require_field(pack, "verdicts", kind=list)
        },
    }


def _plain(name: str) -> str:
    """A name that MLflow takes."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:250]


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + PER_CALL] for start in range(0, len(items), PER_CALL))
