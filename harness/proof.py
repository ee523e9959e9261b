"""Is every check seen to close? Plants faults into scratch copies of a clean run, and asks who catches each.

The catalogue of faults is fixtures/faults.py; this module makes the scratch copies, runs what must catch a fault in a
process of its own, and counts. A fault that nothing catches survives, and is named; a clean control that something
catches is a false alarm, and is named.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from harness import __version__
from harness.core.digests import digest_of, file_digest
from harness.core.errors import HarnessError
from harness.core.files import write_atomically
from harness.core.places import PACKAGE, PROJECT, SHIPPED
from harness.core.progress import Report
from harness.core.threads import SETTINGS
from harness.forkserver import AVAILABLE, Idle, fork_servers
from harness.judge.proofs import LEVEL, Proof, Trial, alarms, detection
from harness.run.store import stage_folder

PROOF = "proof.json"
STAGES = ".stages"
WORK = ".proof"
SCHEMA = "leukocyte-harness/proof/1"
TIMEOUT_S = 300.0
SUITES = "suites"
SAID = 4000  # characters of a process's output that an error message holds
SURVIVORS = "survivors"
# What a proof speaks of: the same suites and the same harness, whatever the tests and texts beside them.
PROVEN_CODE = ("harness", "suites", "fixtures", "conftest.py", "constraints.txt")
PROVEN_SUFFIXES = (".py", ".j2", ".css", ".toml", ".txt")


class ProofError(HarnessError, RuntimeError):
    """Faults cannot be planted here, or the clean run that they are planted into did not pass."""


Command = Sequence[str]


@dataclass(frozen=True, slots=True)
class Sign:
    """What must be seen where a fault is caught.

    exit:      the process's exit code; None for any but 0.
    criterion: whose verdict tells; None where the run stops, or a job finds it.
    outcomes:  the words that the verdict may have.
    says:      words that the output must hold, such as the planted file's name.
    look:      further proof in the scratch folder: returns what is wrong, "" for nothing.
    """

    exit: int | None = None
    criterion: str | None = None
    outcomes: tuple[str, ...] = ("failed",)
    says: tuple[str, ...] = ()
    look: Callable[[Scratch], str] | None = None

    def __str__(self) -> str:
        words = []
        if self.criterion is not None:
            words.append(f"{self.criterion} {' or '.join(self.outcomes)}")
        if self.exit is not None:
            words.append(f"exit {self.exit}")
        words += [f"says {word!r}" for word in self.says]
        if self.look is not None and (told := (self.look.__doc__ or "").partition("\n")[0].rstrip(".")):
            words.append(told)
        return ", ".join(words) or "exit other than 0"


@dataclass(frozen=True, slots=True)
class Fault:
    """A planted fault, or a clean control.

    id:     the row of the list of faults that it belongs to, and its variant, such as "K2-rotated".
    title:  what is wrong, in a few words.
    plant:  plants it in a scratch copy and says what to run; of several commands the last one must catch it.
    caught: what must be seen; of a control, what is seen where all is well.
    quick:  whether the shortened proof plants it.
    before: exit codes that the commands before the last one must have, for a fault that rests on them.
    """

    id: str
    title: str
    plant: Callable[[Scratch], Command | Sequence[Command]]
    caught: Sign
    quick: bool = False
    before: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Clean:
    """The clean run that faults are planted into: its --reports, its pack, and the folder that holds its sets."""

    reports: Path
    pack: Path
    sets: Path
    protocol: Path


@dataclass(slots=True)
class Scratch:
    """One fault's own copy of whatever it touches; the clean run is only read.

    Files are hard links to those of the clean run: replace a file (`put`), never write into one.
    """

    clean: Clean
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def cells(self) -> Path:
        """The dataset's folder in a copy, with the external sets beside it."""
        if not (self.folder / "sets").exists():
            _link_tree(self.clean.sets, self.folder / "sets")
        return self.folder / "sets" / "dataset"

    def pack(self) -> Path:
        """A copy of the clean run's pack."""
        return _link_tree(self.clean.pack, self.folder / "pack")

    def protocol(self, text: str, *, extends: Path | None = None) -> str:
        """A protocol that extends the clean run's by `text`, as an argument."""
        path = self.folder / "protocol.toml"
        path.write_text(f"extends = {json.dumps(str(extends or self.clean.protocol))}\n{text}", encoding="utf-8")
        return f"--protocol={path}"

    def reports(self, *, without: Sequence[str] = ()) -> Path:
        """A --reports folder that reuses the clean run's stages, but those whose names begin with one of `without`."""
        reports = self.folder / "reports"
        if not reports.exists():
            reports.mkdir()
            for stage in sorted((self.clean.reports / STAGES).iterdir()):
                if not stage.name.startswith(tuple(without)) or not without:
                    _link_tree(stage, reports / STAGES / stage.name)
        return reports

    def suites(self, *names: str, arguments: Sequence[str] = (), without: Sequence[str] = ()) -> Command:
        """`pytest suites/...`: these suites, or all."""
        files = [f"{SUITES}/test_{name}.py" for name in names] or [f"{SUITES}/"]
        if not any(argument.startswith("--protocol") for argument in arguments):
            arguments = [f"--protocol={self.clean.protocol}", *arguments]
        reports = self.reports(without=without)
        return [sys.executable, "-m", "pytest", *files, f"--reports={reports}", "--every-gate", *arguments]

    def job(self, *arguments: str | Path) -> Command:
        """`python -m harness ...`."""
        return [sys.executable, "-m", "harness", *map(str, arguments)]

    def bug(self, name: str) -> None:
        """Every process that the commands start has this bug of fixtures/bugs.py."""
        site = self.folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(f"from fixtures.bugs import plant\nplant({name!r})\n", encoding="utf-8")
        self.environment["PYTHONPATH"] = os.pathsep.join([str(site), str(PROJECT)])

    def latest(self) -> Path:
        return self.folder / "reports" / "latest"


def put(path: Path, content: bytes) -> Path:
    """Give `path` this content, whatever other names its old content has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def catalogue(*, quick: bool, only: Sequence[str], seeds: int) -> tuple[tuple[Fault, ...], tuple[Fault, ...]]:
    """(faults, clean controls) of fixtures/faults.py.

    Args:
        only: beginnings of ids; none means all.
        seeds: how many more controls are drawn, each with a seed of its own.
    Raises:
        ProofError: there are no fixtures, or no fault has this name.
    """
    if str(PROJECT) not in sys.path:
        sys.path.append(str(PROJECT))
    try:
        from fixtures.catalogue.controls import CONTROLS, drawn_controls
        from fixtures.faults import FAULTS
    except ImportError as error:
        raise ProofError(
            f"the faults lie in fixtures/, which cannot be imported ({error}). Run this from the top of a checkout, or "
            "install the whole wheel again."
        ) from error

    def wanted(each: Fault) -> bool:
        return (each.quick or not quick) and (not only or each.id.startswith(tuple(only)))

    faults = tuple(filter(wanted, FAULTS))
    controls = tuple(filter(wanted, CONTROLS)) + drawn_controls(seeds)
    if not faults + controls:
        raise ProofError(
            f"no fault's id begins with {' or '.join(only)}. Leave --only away, or take an id of fixtures/faults.py."
        )
    return faults, controls


def prove(
    faults: Sequence[Fault],
    controls: Sequence[Fault],
    *,
    reports: Path,
    jobs: int,
    quick: bool,
    progress: Report,
) -> Proof:
    """Make the clean run, plant every fault and every control, and tell what became of each.

    Args:
        reports: where runs of this checkout write; their kept stages are reused, and nothing of theirs is changed.
        jobs: how many faults are tried at once.
    Raises:
        ProofError: the clean run does not pass, or there are no suites.
    """
    started, code = time.monotonic(), proven_code()
    work = reports.resolve() / WORK
    clean = clean_run(work, progress, kept=reports / STAGES)
    found = plant_all([*faults, *controls], clean, work=work, jobs=jobs, progress=progress)
    if proven_code() != code:
        raise ProofError("the code was changed while faults were planted into it. Leave it alone, and prove again.")
    return Proof(
        code=code,
        version=__version__,
        quick=quick,
        made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        seconds=time.monotonic() - started,
        faults=found[: len(faults)],
        controls=found[len(faults) :],
    )


def plant_all(faults: Sequence[Fault], clean: Clean, *, work: Path, jobs: int, progress: Report) -> tuple[Trial, ...]:
    """What became of each, in their order; the scratch copies, below `work`, are gone afterwards."""
    found = []
    with (
        tempfile.TemporaryDirectory(dir=work, prefix="scratch-") as scratch,
        fork_servers(jobs, cwd=PROJECT, environment=_environment({})) as idle,
        ThreadPoolExecutor(jobs) as pool,
    ):
        futures = [pool.submit(_tried, fault, clean, Path(scratch) / str(n), idle) for n, fault in enumerate(faults)]
        try:
            for done, (fault, future) in enumerate(zip(faults, futures, strict=True)):
                progress("planting faults", done, len(faults), fault.id)
                found.append(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress("planting faults", len(faults), len(faults), "")
    return tuple(found)


def clean_run(work: Path, progress: Report, *, kept: Path) -> Clean:
    """The embedded run in `work`, from the stages that it or other runs have kept."""
    if not (PROJECT / SUITES).is_dir():
        raise ProofError(
            f"there are no {SUITES}/ in {PROJECT}, and faults are planted into a run of the suites. Use a checkout, or "
            "install the whole wheel again."
        )
    work.mkdir(parents=True, exist_ok=True)
    reports, protocol = work / "clean", PROJECT / SUITES / "protocols" / "embedded.toml"
    if kept.is_dir() and not (reports / STAGES).exists():
        _link_tree(kept, reports / STAGES)
    progress("the clean run", 0, 1, "")
    command = [sys.executable, "-m", "pytest", f"{SUITES}/", f"--protocol={protocol}", f"--reports={reports}", "-q"]
    done = _run(command, {}, timeout_s=4 * TIMEOUT_S)
    if done.exit != 0:
        raise ProofError(
            f"the clean run ended with {done.exit}, so nothing can be planted into it:\n{done.output[-SAID:]}"
        )
    progress("the clean run", 1, 1, "")
    pack = (reports / "latest").resolve()
    stages = json.loads((pack / "evidence.json").read_bytes())["stages"]
    drawn = next(stage["key"] for stage in stages if stage["name"] == "smears")
    return Clean(reports, pack, stage_folder(reports / STAGES, "smears", drawn), protocol)


def proven_code() -> str:
    """Digest of the sources that a proof speaks of."""
    return sources_digest(*(place for name in PROVEN_CODE if (place := _place_of(name)).exists()))


def _place_of(name: str) -> Path:
    return PACKAGE if PROJECT == SHIPPED and name == PACKAGE.name else PROJECT / name


def _files_of(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    # What a wheel carries inside the package is counted at places of its own: the digest is that of the checkout.
    return sorted(file for file in place.rglob("*") if place != PACKAGE or SHIPPED not in file.parents)


def sources_digest(*places: Path) -> str:
    """Digest of the bytes of every source in these files and folders: a proof speaks of its words and pages, too."""
    files = [file for place in places for file in _files_of(place) if file.suffix in PROVEN_SUFFIXES]
    return digest_of([[file.name, file_digest(file)] for file in files])


# --- one fault --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Done:
    """exit: None for a process that had to be ended."""

    exit: int | None
    output: str


def _tried(fault: Fault, clean: Clean, folder: Path, idle: Idle) -> Trial:
    started = time.monotonic()
    folder.mkdir()
    try:
        happened, wrong, output = _planted(fault, Scratch(clean, folder), idle)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = round(time.monotonic() - started, 1)
    if wrong:  # what the last process said, for whoever looks into it
        said = clean.reports.parent / SURVIVORS / f"{fault.id}.txt"
        said.parent.mkdir(exist_ok=True)
        said.write_text(output, encoding="utf-8", errors="backslashreplace")
    return Trial(fault.id, fault.title, str(fault.caught), happened, not wrong, seconds)


def _planted(fault: Fault, scratch: Scratch, idle: Idle) -> tuple[str, bool, str]:
    """(what happened, whether the sign was not seen, what the last process said)."""
    try:
        planted = fault.plant(scratch)
    except Exception as error:  # whatever it is, a fault that was not planted was not caught
        return f"not planted: {type(error).__name__}: {error}", True, ""
    commands: Iterable[Command] = [planted] if isinstance(planted[0], str) else planted  # type: ignore[list-item]
    done, missing = _Done(0, ""), []
    for number, command in enumerate(commands):
        done = _run(command, scratch.environment, timeout_s=TIMEOUT_S, idle=idle)
        wanted = fault.before[number : number + 1]
        if wanted and done.exit != wanted[0]:
            missing.append(f"the command before ended with {done.exit} instead of {wanted[0]}")
    sign, verdicts = fault.caught, _verdicts(scratch.latest())
    if done.exit is None:
        return done.output, True, ""
    if sign.exit is None and done.exit == 0:
        missing.append("nothing complained")
    if sign.exit is not None and done.exit != sign.exit:
        missing.append(f"exit {done.exit}")
    outcome = verdicts.get(sign.criterion, "without a verdict") if sign.criterion is not None else ""
    if sign.criterion is not None and outcome not in sign.outcomes:
        missing.append(f"{sign.criterion} {outcome}")
    missing += [f"did not say {word!r}" for word in sign.says if word not in done.output]
    if "Traceback (most recent call last)" in done.output:
        missing.append("a traceback")
    if sign.look is not None and (wrong := _looked(sign.look, scratch)):
        missing.append(wrong)
    seen = f"{sign.criterion} {outcome}" if sign.criterion is not None else f"exit {done.exit}"
    return "; ".join(missing) or seen, bool(missing), done.output


def _looked(look: Callable[[Scratch], str], scratch: Scratch) -> str:
    try:
        return look(scratch)
    except Exception as error:  # such as that there is no page to look at
        return f"could not look: {type(error).__name__}: {error}"


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**SETTINGS, **inherited, "PYTHONPATH": str(PROJECT), "COLUMNS": "400", **own}


def _run(command: Command, own: Mapping[str, str], *, timeout_s: float, idle: Idle | None = None) -> _Done:
    """Run a command with this environment of its own: forked where that is the same, and a process can fork."""
    environment = _environment(own)
    try:
        # What Python reads when it starts, and all that is not `python -m`, needs a start of its own.
        bare = list(command[:2]) == [sys.executable, "-m"] and own.keys() <= {"PYTHONPATH"}
        if AVAILABLE and bare and idle is not None:
            return _forked(command[2:], environment, timeout_s=timeout_s, idle=idle)
        done = subprocess.run(
            list(command),
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _Done(None, f"still running after {timeout_s:g} s")
    return _Done(done.returncode, done.stdout)


def _forked(arguments: Command, environment: Mapping[str, str], *, timeout_s: float, idle: Idle) -> _Done:
    server = idle.get()
    try:
        with tempfile.NamedTemporaryFile() as said:
            code = server.run(arguments, environment, output=Path(said.name), timeout_s=timeout_s)
            return _Done(code, Path(said.name).read_text(encoding="utf-8", errors="backslashreplace"))
    except ChildProcessError as error:
        raise ProofError(f"{' '.join(arguments)}: {error}. Faults that were planted before are not told.") from error
    finally:
        idle.put(server)


def _verdicts(pack: Path) -> dict[str, str]:
    """Criterion -> its outcome in the pack; empty where no pack was written."""
    try:
        evidence = json.loads((pack / "evidence.json").read_text(encoding="utf-8"))
        return {verdict["criterion"]: verdict["outcome"] for verdict in evidence["verdicts"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _link_tree(source: Path, target: Path) -> Path:
    """A copy whose files are hard links, where the file system has them."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    # A lock is the system's on one file: linked, it would be shared with whoever uses the original.
    shutil.copytree(
        source, target, copy_function=link, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.lock")
    )
    return target


# --- what is kept and told --------------------------------------------------------------------


def as_json(proof: Proof) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(proof)}, indent=1, ensure_ascii=True) + "\n"


def proof_of_this_code(reports: Path) -> Proof | None:
    """The proof that lies in `reports`; None where there is none, or one of other code, or one that does not read."""
    try:
        record = json.loads((reports / PROOF).read_bytes())
        if record.pop("schema") != SCHEMA or record["code"] != proven_code():
            return None
        return TypeAdapter(Proof).validate_python(record)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def write_proof(proof: Proof, path: Path) -> None:
    write_atomically(path, as_json(proof).encode())


def lines(proof: Proof) -> list[str]:
    """The matrix and what follows from it, one line each."""
    said = [
        f"{trial.id:<24} {'caught' if trial.as_expected else 'SURVIVED':<9} {trial.seconds:6.1f} s  {trial.title}  "
        f"[{trial.expected}]" + ("" if trial.as_expected else f": {trial.happened}")
        for trial in proof.faults
    ]
    said += [
        f"{trial.id:<24} {'quiet' if trial.as_expected else 'ALARM':<9} {trial.seconds:6.1f} s  {trial.title}"
        + ("" if trial.as_expected else f": {trial.happened}")
        for trial in proof.controls
    ]
    caught, planted, lower = detection(proof)
    raised, controls, upper = alarms(proof)
    said.append(f"{caught} of {planted} planted faults caught ({LEVEL:.0%} bound: at least {lower:.1%})")
    said.append(f"{raised} of {controls} clean controls raised an alarm (at most {upper:.1%})")
    said.append(f"{proof.seconds / 60:.1f} min")
    if proof.survivors:
        said.append(
            f"survivors: {', '.join(trial.id for trial in proof.survivors)}; what each said: {WORK}/{SURVIVORS}/"
        )
    if proof.false_alarms:
        said.append(f"false alarms: {', '.join(trial.id for trial in proof.false_alarms)}")
    return said
