"""A run that is cut short, by a full disk, a kill or a lack of anything, leaves no half of anything, and can go on."""

from __future__ import annotations

import dataclasses
import errno
import gc
import hashlib
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from drawn import CLASSES, decoded
from effort import spread
from example_run import A_FIGURE, example_picture, example_run, write_example_dataset
from failing_disk import REMOVING, FailingDisk, in_force
from tiny_run import Pytest

from harness.core.errors import HarnessError, StoreError
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.judge.ledger import read_ledger, record_look, require_writable
from harness.judge.look import Look
from harness.judge.looks import look_number
from harness.model.preprocessing import CellPixels
from harness.model.training import train
from harness.pack import write as pack_module
from harness.pack.write import remove_unfinished, write_pack
from harness.protocol.training import LearningRateFinderPlan, TrainingPlan
from harness.run.graph import Graph
from harness.run.lock import HOLDER, LOCK, lock_reports
from harness.run.setting import Setting
from harness.run.stages import predictions
from harness.run.store import Store
from harness.session import Exit

FIRST, SECOND = "20260115T093000Z-example-1", "20260115T103000Z-example-2"
SHA = hashlib.sha256(b"").hexdigest()
REMEDIES = ("free space", "Free space")


# --- every write of what surrounds the training ---------------------------------------------------

Session = Callable[[Path, str], Path]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Everything that a run writes but the training itself: hold, stages, looks, pack; without seconds of drawing."""
    place = tmp_path_factory.mktemp("session")
    manifest, results = write_example_dataset(place / "data"), example_run(content=example_picture)
    model = place / "best_model_phase1.pth"
    model.write_bytes(b"weights")
    documents = pack_module.documents(results, manifest)

    def make(folder: Path) -> None:
        (folder / "parts").mkdir(exist_ok=True)
        (folder / "parts" / "result.txt").write_text("made")

    def run(reports: Path, run_id: str) -> Path:
        hold = lock_reports(reports, run_id=run_id)
        try:
            remove_unfinished(reports)
            require_writable(reports / "ledger.jsonl")
            store = Store(reports / ".stages", fresh=False)
            for stage in ("training", "export"):
                store.fetch(stage, {"seed": 42}, make)
            for name in ("test", "external"):
                looked(reports, run_id, name)
            return write_pack(
                dataclasses.replace(results, run_id=run_id),
                reports=reports,
                manifest=manifest,
                models={model.name: model},
                formats=("PNG",),
            )
        finally:
            hold.release()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_module, "documents", lambda results, manifest: documents)
        patch.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
        patch.setattr(pack_module, "_load_shown", lambda *args: {})
        patch.setattr(pack_module, "render_report", lambda *args, **kwargs: "<html><body>page</body></html>")
        yield run


def looked(reports: Path, run_id: str, name: str) -> Look:
    return record_look(
        reports / "ledger.jsonl",
        run=run_id,
        set=name,
        source=hashlib.sha256(name.encode()).hexdigest(),
        cells=SHA,
        n=10,
        model=SHA,
        predictions=SHA,
        protocol=SHA,
        role="judged",
    )


def sums_of(pack: Path) -> str:
    """SHA256SUMS of a pack in which every listed file, and no other, is there with its digest."""
    sums = (pack / "SHA256SUMS").read_text()
    files = {file for file in pack.rglob("*") if file.is_file() and file.name != "SHA256SUMS"}
    found = {file.relative_to(pack).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert dict(reversed(line.split("  ", 1)) for line in sums.splitlines()) == found
    return sums


def failure_of(attempt: Callable[[], object]) -> HarnessError | None:
    try:
        attempt()
    except HarnessError as failure:
        return failure
    return None


def assert_told(failure: HarnessError, place: Path, words: str) -> None:
    """What was wrong, where, and what to do."""
    assert words in str(failure)
    assert str(place) in str(failure)
    assert any(remedy in str(failure) for remedy in REMEDIES), str(failure)


def assert_nothing_is_half(reports: Path) -> None:
    for path in reports.iterdir() if reports.exists() else ():
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            sums_of(path)
    if (reports / "latest").is_symlink():
        sums_of((reports / "latest").resolve(strict=True))
    read_ledger(reports / "ledger.jsonl")


def assert_whole_and_tidy(reports: Path, pack: Path, sums: str) -> None:
    assert sums_of(pack) == sums
    assert (reports / "latest").resolve() == pack
    hidden = {path.name for path in reports.iterdir() if path.name.startswith(".")}
    assert hidden <= {LOCK, HOLDER, ".stages"}
    assert not list(reports.rglob("*.writing"))
    looks = read_ledger(reports / "ledger.jsonl")
    for look in looks:  # however often it took: the same predictions of the same cells are the same look
        number = look_number(looks, run=look.run, source=look.source, cells=look.cells, predictions=look.predictions)
        assert number == 1


@pytest.mark.parametrize(("error", "lasting"), [(errno.ENOSPC, False), (errno.EROFS, True)], ids=["full", "read-only"])
def test_whichever_write_fails_nothing_is_half_and_the_same_command_completes(
    session: Session, tmp_path: Path, error: int, lasting: bool
):
    with in_force(FailingDisk(tmp_path / "whole")) as disk:
        sums = sums_of(session(tmp_path / "whole", FIRST))
    n_writes = len(disk.done)
    assert n_writes > 100
    assert {event.split()[0] for event in disk.done} >= {"open", "os.mkdir", "os.rename", "os.symlink", "fsync"}
    # A disk that stays read-only: a third of the places will do, as each of them is met by what comes before it, too.
    for n in spread(range(1, n_writes + 1, 3 if lasting else 1)):
        reports = tmp_path / f"reports-{n}"
        with in_force(FailingDisk(reports, error, fails_at=n, lasting=lasting)) as disk:
            failure = failure_of(lambda reports=reports: session(reports, FIRST))
        if failure is not None:
            assert_told(failure, reports, os.strerror(error))
        else:  # the next run clears away what could not be
            assert disk.done[n - 1].startswith(REMOVING), disk.done[n - 1]
        assert_nothing_is_half(reports)
        with in_force(FailingDisk(reports)):
            pack = session(reports, SECOND)
        assert_whole_and_tidy(reports, pack, sums)
        shutil.rmtree(reports)


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of its own, and how to change its options."""
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.decode().strip()}")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True) and None
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command on this system")
def test_a_disk_that_is_really_full_or_read_only_is_met_in_the_same_way(session: Session, tmp_path: Path):
    sums = sums_of(session(tmp_path / "whole", FIRST))
    with small_disk(tmp_path / "disk", "4k") as remount:
        reports = tmp_path / "disk" / "reports"
        sizes = iter(range(4, 1000, 12))
        refused = 0
        while failure := failure_of(lambda: session(reports, FIRST)):
            assert_told(failure, reports, "No space left")
            assert_nothing_is_half(reports)
            remount(f"size={next(sizes)}k")
            refused += 1
        assert refused > 5
        pack = reports / FIRST
        assert_whole_and_tidy(reports, pack, sums)
        remount("ro")
        with pytest.raises(StoreError, match=r"Read-only file system.*Before you run again, free space"):
            session(reports, SECOND)
        assert_whole_and_tidy(reports, pack, sums)


# --- every write of the training ------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells(manifest: Manifest) -> dict[str, CellPixels]:
    few = manifest.images[::2]
    return {"train": decoded(manifest, few[::2] + few[1::4]), "validation": decoded(manifest, few[3::4])}


@pytest.fixture(scope="module")
def plan(small_plan: TrainingPlan) -> TrainingPlan:
    return small_plan.model_copy(update={"lr_finder": LearningRateFinderPlan(iterations=10)})


@pytest.fixture(scope="module")
def trained(cells: dict[str, CellPixels], plan: TrainingPlan) -> Callable[[Path], str]:
    """The training as a stage of a run; returns the digest of the weights."""

    def run(root: Path) -> str:
        digests = []

        def make(folder: Path) -> None:
            record = train(
                plan,
                **cells,
                classes=CLASSES,
                weights_file=None,
                device=torch.device("cpu"),
                folder=folder,
                progress=silent,
            )
            digests.append(record.weights_digest)

        try:
            Store(root, fresh=False).fetch("training", {"seed": plan.seed}, make)
        finally:
            gc.collect()  # here, where its warning is expected: fastai's finder leaves its folder to the collector
        return digests[0]

    return run


@pytest.fixture(scope="module")
def weights(trained: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
def test_a_training_whose_writes_fail_again_and_again_goes_on_to_the_same_bits(
    trained: Callable[[Path], str], weights: str, tmp_path: Path
):
    found, met = [], set()
    for fails_at in range(1, 200):
        with in_force(FailingDisk(tmp_path, errno.ENOSPC, fails_at=fails_at)) as disk:
            failure = failure_of(lambda: found.append(trained(tmp_path)))
        if failure is None:
            break
        assert_told(failure, tmp_path, "No space left on device")
        met.add(Path(disk.done[fails_at - 1]).name)
    assert found == [weights]
    assert {"best_model_phase1.pth.writing", "checkpoint.pt", "learning_rates.json"} <= met
    assert not list(tmp_path.rglob("*.writing"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
@pytest.mark.parametrize("most_mib", [10, 60], ids=["learning-rate finder", "checkpoint"])
def test_a_training_that_may_write_no_more_says_so_and_goes_on_later(
    trained: Callable[[Path], str], weights: str, tmp_path: Path, most_mib: int
):
    # Here the write itself fails, inside torch, not the call that opens the file.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_mib * 2**20, hard))
    try:
        with pytest.raises(StoreError, match=rf"'training' was not made: (?s:.*){tmp_path}.*free space"):
            trained(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert trained(tmp_path) == weights


# --- looks ----------------------------------------------------------------------------------------


def test_the_judged_seed_is_looked_at_before_the_others_so_that_a_kill_between_them_costs_no_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    order: list[int] = []
    training = SimpleNamespace(seed=42, every_seed=(7, 42, 8))
    setting = cast(Setting, SimpleNamespace(protocol=SimpleNamespace(training=training)))
    run = Graph(setting, store=Store(tmp_path, fresh=False), progress=silent)
    seen = dataclasses.replace(
        predictions.seen, make=lambda run, name, seed: order.append(seed) or SimpleNamespace(predictions=seed)
    )
    judged = dataclasses.replace(predictions.predictions, inputs=(seen,))
    pairs = dataclasses.replace(predictions.duplicates, make=lambda run: ())
    monkeypatch.setattr(predictions, "duplicates", pairs)
    monkeypatch.setattr(predictions, "counted_once", lambda found, pairs: found)
    monkeypatch.setattr(predictions, "seen", seen)
    monkeypatch.setattr(predictions, "predictions", judged)
    every_seed = dataclasses.replace(predictions.seed_predictions, inputs=(judged, seen, pairs))
    assert list(run(every_seed, "test")) == [7, 42, 8]
    assert order == [42, 7, 8]


# --- leftovers ------------------------------------------------------------------------------------


def test_what_a_run_left_that_was_killed_while_it_wrote_its_pack_is_removed_by_the_next(tmp_path: Path):
    unfinished = tmp_path / f".{FIRST}.writing"
    unfinished.mkdir()
    (unfinished / "index.html").write_text("half")
    (tmp_path / f".{FIRST}.latest").symlink_to(FIRST)
    others = [tmp_path / ".mine.writing", tmp_path / ".stages", tmp_path / FIRST, tmp_path / "x.latest"]
    for other in others:
        other.mkdir()
    remove_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)


# --- one run at a time, and none without its means ------------------------------------------------


def test_a_second_run_in_the_same_reports_folder_is_refused_at_once(tiny: Pytest, place: Path):
    hold = lock_reports(place / "reports", run_id="the-first")
    try:
        before = sorted(place.rglob("*"))
        done = tiny("-k", "D1")
        assert done.returncode == Exit.ERROR
        assert f"in use by run the-first (process {os.getpid()}" in done.stdout
        assert "RUN NOT PASSED" in done.stdout
        assert "Traceback" not in done.stdout
        assert sorted(place.rglob("*")) == before
        assert tiny("--collect-only", "-q").returncode == 0
    finally:
        hold.release()


LIMITS = """
import os, resource
name, value = os.environ["LIMIT"].split("=")

def limit(most):
    resource.setrlimit(getattr(resource, name), (most, most))

if not value.startswith("+"):
    limit(int(value))

def pytest_collection_finish():  # beyond what pytest itself has open: the run is to meet the limit, not its start
    if value.startswith("+"):
        limit(max(map(int, os.listdir("/proc/self/fd"))) + int(value))
"""


@pytest.mark.parametrize(
    "limit", ["RLIMIT_NOFILE=+2", f"RLIMIT_AS={900 * 2**20}", "RLIMIT_FSIZE=8192"], ids=lambda limit: limit[7:13]
)
def test_a_run_without_files_memory_or_space_ends_without_a_pack_and_not_with_0(
    tiny: Pytest, place: Path, tmp_path: Path, limit: str
):
    (tmp_path / "limits.py").write_text(LIMITS)
    path = os.pathsep.join([str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep), str(Path.cwd())])
    call = ["-p", "limits", "--workers=1", "-k", "D1", f"--reports={tmp_path / 'r'}"]
    done = tiny(*call, interpreter=True, PYTHONPATH=path, LIMIT=limit)
    assert done.returncode != 0
    if "NOFILE" in limit:
        assert done.returncode == Exit.ERROR, done.stdout
        assert "Too many open files" in done.stdout
    assert "RUN PASSED" not in done.stdout
    assert f"report: {tmp_path}" not in done.stdout
    assert_nothing_is_half(tmp_path / "r")
    assert not [path for path in (tmp_path / "r").glob("[0-9]*") if path.is_dir()]
