"""Per-image stages on the workers of a real scheduler: the same bytes, whatever dies; and who may not take part."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from dask_cluster import Cluster, cluster

from fixtures.laboratories import HOME
from fixtures.smears import CELL_CLASSES, write_smears
from harness.core.errors import WorkersError
from harness.core.mapping import Sample, readable_sample
from harness.core.places import PROJECT
from harness.data.inspection import Inspected, Inspection, inspect_files
from harness.data.manifest import read_manifest
from harness.data.records import Manifest
from harness.protocol.datasets import ImageRules
from harness.run import workers
from harness.run.workers import ADDRESS, Call, Dask, alike, engine_named, unlike, work
from tests.worker_tasks import Deadly, Floats

if importlib.util.find_spec("distributed") is None:
    pytest.skip("the extra [dask] is not installed", allow_module_level=True)

RULES = ImageRules(formats=("PNG",), modes=("RGB",), min_side_px=48, max_side_px=48)
BROKEN, NO_IMAGE, GONE = 1, 5, 9  # places in the manifest


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Fifteen cells, of which one is cut off, one is text, and one goes missing after it is listed."""
    root = tmp_path_factory.mktemp("cells") / "data"
    write_smears(root, images_per_class=dict.fromkeys(CELL_CLASSES, 3), laboratory=HOME, size_px=48, seed=5)
    files = sorted(root.rglob("*.png"))
    files[BROKEN].write_bytes(files[BROKEN].read_bytes()[:-200])
    files[NO_IMAGE].write_text("no image")
    found = read_manifest(root, name="dataset", classes=CELL_CLASSES, workers=1)
    files[GONE].unlink()
    return found


@pytest.fixture(scope="module")
def local(cells: Manifest) -> list[bytes]:
    """What each file shows, without any worker."""
    return packed(inspect_files(cells.images, cells.root, rules=RULES, workers=2))


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("dask"), allowed_failures=1) as found:
        yield found


def packed(found: tuple[Inspected, ...]) -> list[bytes]:
    """Every bit of each record; pickles also say which of its texts are one object."""

    def plain(value: object) -> object:
        if is_dataclass(value):
            return [type(value).__name__, *(plain(getattr(value, each.name)) for each in fields(value))]
        return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value

    return [repr(plain(each)).encode() for each in found]


def inspection(cells: Manifest) -> Inspection:
    return Inspection(cells.root, RULES)


def engine(dask: Cluster, **changed: object) -> Dask:
    return replace(Dask(dask.address, at_once=2), **changed)


def spread(by: Dask, task: object, cells: Manifest, done: Callable[[int], None] = lambda n: None) -> list[bytes]:
    sample = readable_sample((cells.root / image.path, image.sha256) for image in cells.images)
    found = by.map(task, cells.images, label="inspecting", multiple=1, sample=sample, done=done)
    return [each for part in found for each in packed(part)]


# In the order in which they stand: workers are started as they are needed, and the last test ends some.


def test_without_a_worker_the_run_says_so_and_waits_no_longer_than_it_says(dask: Cluster, cells: Manifest):
    with pytest.raises(WorkersError, match=r"has no worker, and got none in 0\.1 s. Start some: `dask worker"):
        spread(engine(dask, without_workers_s=0.1), inspection(cells), cells)


def test_one_two_and_four_workers_give_the_bytes_of_none(dask: Cluster, cells: Manifest, local: list[bytes]):
    by = engine(dask)
    for n, more in ((1, 1), (2, 1), (4, 2)):
        for _ in range(more):
            dask.start(threads=n)
        told: list[int] = []
        assert spread(by, inspection(cells), cells, told.append) == local
        assert sorted(told) == told
        assert told[-1] == len(cells.images)
        assert by.told == f"dask {workers.version('distributed')}: inspecting 8 slices on {n} worker{'s' * (n > 1)}"


def test_a_failed_image_is_the_finding_that_it_is_without_workers(dask: Cluster, cells: Manifest):
    by = engine(dask)
    sample = readable_sample((cells.root / image.path, image.sha256) for image in cells.images)
    parts = by.map(inspection(cells), cells.images, label="x", multiple=1, sample=sample, done=print)
    found = [each for part in parts for each in part]
    assert "does not decode" in found[BROKEN].facts.error
    assert found[NO_IMAGE].facts.error.startswith("no image")
    assert found[GONE].gone
    assert sum(each.trouble is not None for each in found) == 3


def test_a_worker_killed_in_mid_run_loses_nothing(dask: Cluster, cells: Manifest, local: list[bytes], tmp_path: Path):
    before, marker = dask.names(), tmp_path / "killed"
    deadly = Deadly(inspection(cells), cells.images[7].path, marker)
    assert spread(engine(dask), deadly, cells) == local
    assert marker.exists()
    assert len(before - dask.names()) == 1


def test_workers_of_other_code_are_refused_before_any_work(dask: Cluster, cells: Manifest, tmp_path: Path):
    shutil.copytree(PROJECT / "harness", tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    quality = tmp_path / "harness" / "data" / "quality.py"
    quality.write_text(quality.read_text().replace("LIGHT_FROM, DARK_TO = 230", "LIGHT_FROM, DARK_TO = 229"))
    other = dask.start(home=tmp_path)
    empty = tmp_path / "empty" / "harness"
    empty.mkdir(parents=True)
    (empty / "__init__.py").touch()
    without = dask.start(home=empty.parent)
    told: list[int] = []
    try:
        with pytest.raises(WorkersError, match=r"2 of 5 workers are not what this run is") as refused:
            spread(engine(dask), inspection(cells), cells, told.append)
    finally:
        dask.end(other)
        dask.end(without)
    words = str(refused.value)
    assert "code is " in words
    assert "it cannot load the harness's code (ModuleNotFoundError: No module named 'harness.run')" in words
    assert "Start every worker from the same checkout and environment" in words
    assert not told


def test_a_file_that_ends_every_worker_is_named_by_its_slice(dask: Cluster, cells: Manifest):
    before = dask.names()
    with pytest.raises(WorkersError, match=r"inspecting, slice \d of 8: 2 workers that had it died, one after"):
        spread(engine(dask), Deadly(inspection(cells), cells.images[7].path, None), cells)
    assert len(before - dask.names()) == 2


@pytest.mark.slow
def test_a_run_whose_last_worker_is_gone_ends(dask: Cluster, cells: Manifest, tmp_path: Path):
    for process in dask.workers:
        if process.poll() is None:
            dask.end(process)
    dask.start()
    deadly = Deadly(inspection(cells), cells.images[7].path, tmp_path / "killed")
    with pytest.raises(WorkersError, match=r"has had no worker for 0\.5 s, and \d of 8 slices are not done"):
        spread(engine(dask, without_workers_s=0.5), deadly, cells)


# --- without a scheduler ----------------------------------------------------------------------------


def test_local_spreads_nothing_and_needs_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(ADDRESS, raising=False)
    assert engine_named("local") is None


def test_without_an_address_no_cluster_is_started(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(ADDRESS, raising=False)
    with pytest.raises(WorkersError, match="DASK_SCHEDULER_ADDRESS is not set, and no cluster is started unasked"):
        engine_named("dask")


def test_without_the_extra_the_run_says_which(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(ADDRESS, "tcp://127.0.0.1:8786")
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    with pytest.raises(WorkersError, match=r"needs the extra \[dask\].*pip install 'leukocyte-harness\[dask\]'"):
        engine_named("dask")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere://x"])
def test_where_no_scheduler_answers_the_run_says_so(address: str, cells: Manifest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "CONNECT_S", 0.3)
    monkeypatch.setenv(ADDRESS, address)
    by = engine_named("dask")
    assert isinstance(by, Dask)
    with pytest.raises(
        WorkersError, match=f"no scheduler answers at {ADDRESS}.*Start one with `dask scheduler`"
    ) as said:
        spread(by, inspection(cells), cells)
    assert address not in str(said.value)  # which is told in the pack of a run that stopped


def test_a_worker_that_joins_late_is_asked_before_its_first_slice(cells: Manifest):
    asked = alike(inspection(cells))
    stated = tuple((name, "1.0" if name == "pillow" else value) for name, value in asked.stated)
    with pytest.raises(WorkersError, match=r"joined later is not what this run is: pillow is \S+ there and 1\.0 here"):
        work(Call(inspection(cells), replace(asked, stated=stated), None), cells.images)


def test_who_does_not_see_the_files_is_told_where_to_mount_them(cells: Manifest, tmp_path: Path):
    asked, image = alike(inspection(cells)), cells.images[0]
    assert unlike(asked, Sample(cells.root / image.path, image.sha256)) == ""
    away = tmp_path / "cell.png"
    assert "cannot read" in unlike(asked, Sample(away, image.sha256))
    away.write_bytes(b"another")
    assert "holds other bytes there: mount the same folder at that path" in unlike(asked, Sample(away, image.sha256))
    shutil.copy(cells.root / image.path, away)
    assert unlike(asked, Sample(away, image.sha256)) == ""  # as soon as it is put right


def test_what_depends_on_how_a_processor_computes_asks_for_the_same(cells: Manifest):
    names = dict(alike(inspection(cells)).stated)
    assert {*names} == {"Python", "system", "distributed", "pillow", "numpy", "code"}
    assert {*dict(alike(Floats()).stated)} - {*names} == {"torch", "device"}


def test_the_first_readable_file_is_the_sample(cells: Manifest):
    files = [(cells.root / image.path, image.sha256) for image in cells.images]
    assert readable_sample([files[GONE], (files[0][0], "0" * 64), files[2], files[3]]) == Sample(*files[2])
    assert readable_sample([files[GONE]]) is None
