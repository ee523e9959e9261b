"""A whole run whose images are looked at by workers: what it keeps and judges is that of a run without any."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dask_cluster import Cluster, cluster
from tiny_run import Pytest, evidence_of, verdicts_of

from harness.core.digests import digest_of, file_digest
from harness.core.errors import WorkersError
from harness.core.progress import silent
from harness.data.corruptions import second_cells_of
from harness.data.records import Manifest
from harness.model.classifier import Machine
from harness.model.corrupted import corrupted_predictions
from harness.model.elsewhere import Answering, Corrupting, Reopened, Shown
from harness.model.engines import answered_by
from harness.model.images import Images, images_of
from harness.model.model_file import read_model
from harness.model.trained import card_of
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.stress import RobustnessPlan
from harness.run.graph import Graph
from harness.run.setting import RunOptions, Setting
from harness.run.stages import model, spread
from harness.run.store import Store
from harness.run.workers import ADDRESS, Dask

pytestmark = pytest.mark.slow

if importlib.util.find_spec("distributed") is None:
    pytest.skip("the extra [dask] is not installed", allow_module_level=True)

Cold = tuple[subprocess.CompletedProcess[str], Path]
BY_WORKERS = ("predictions-*", "robustness")  # the stages that keep what a classifier said of images
PLAN = RobustnessPlan(
    kinds=("rotation", "second_cell"),
    severities=(2,),
    agreed={"rotation": 2, "second_cell": 2},
    invariances=("flip_horizontal",),
    seed=7,
)
BATCH = 8


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("dask"), allowed_failures=1) as found:
        found.start()
        found.start(threads=2)
        yield found


@pytest.fixture(scope="module")
def trained(cold: Cold, place: Path) -> Path:
    """The folder of the training of the whole run."""
    (seal,) = (place / "reports" / ".stages" / "training").glob("*/stage.json")
    return seal.parent


def reopened(trained: Path) -> Reopened:
    machine = Machine("cpu", BATCH, 1, silent, "onnxruntime")
    card = answered_by(card_of(trained), machine)
    return Reopened(trained, None, (), digest_of(card.answers_by), "cpu", BATCH, "onnxruntime", threads=1)


def some(manifest: Manifest) -> tuple[Images, list[Shown]]:
    """29 images: three batches, and one that is not full."""
    images = images_of(manifest.images[:29], manifest.root, formats=("PNG",))
    assert images.files is not None
    second = second_cells_of([str(file.sha256) for file in images.files], seed=PLAN.seed)
    shown = [Shown(n, file, images.files[i]) for n, file, i in zip(images.names, images.files, second, strict=True)]
    return images, shown


def test_slices_of_whole_batches_are_scored_to_the_bit(dask: Cluster, trained: Path, manifest: Manifest):
    images, shown = some(manifest)
    classifier, _ = reopened(trained).open(1)
    by = Dask(dask.address, at_once=3)  # rounded up to a batch
    parts = by.map(Answering(reopened(trained), ("torch",)), shown, label="s", multiple=BATCH, sample=None, done=print)
    assert [len(part) for part in parts] == [8, 8, 8, 5]
    assert np.concatenate(parts).tobytes() == classifier.predict_proba(images).tobytes()


def test_corrupted_slices_show_the_second_cells_of_the_whole_set(dask: Cluster, trained: Path, manifest: Manifest):
    images, shown = some(manifest)
    classifier, machine = reopened(trained).open(1)
    digests = [str(each.file.sha256) for each in shown]
    here = corrupted_predictions(classifier, images, PLAN, digests=digests, machine=machine)
    task = Corrupting(reopened(trained), ("torch",), PLAN)
    by = Dask(dask.address, at_once=BATCH)
    parts = by.map(task, shown, label="s", multiple=BATCH, sample=None, done=print)
    assert len(parts) == 4
    assert {*here} == {"rotation 2", "second_cell 2", "flip_horizontal"}
    for name, expected in here.items():
        assert np.concatenate([part[name] for part in parts]).tobytes() == expected.tobytes()


def test_another_classifier_at_the_same_place_is_refused(dask: Cluster, trained: Path, manifest: Manifest):
    _, shown = some(manifest)
    for other, words in (
        (replace(reopened(trained), answers_by="0" * 64), "holds another classifier on a worker than here"),
        (replace(reopened(trained), place=trained / "away"), "Mount the --reports folder at the same path"),
    ):
        with pytest.raises(WorkersError, match=words):
            Dask(dask.address).map(
                Answering(other, ("torch",)), shown, label="s", multiple=BATCH, sample=None, done=print
            )


def kept(reports: Path) -> dict[str, str]:
    """Path -> digest of what the stages of classifiers' answers keep; the path holds the key."""
    stages = reports / ".stages"
    files = [file for pattern in BY_WORKERS for file in stages.glob(f"{pattern}/*/*.npz")]
    return {file.relative_to(stages).as_posix(): file_digest(file) for file in files}


def test_a_run_on_workers_keeps_and_judges_what_one_without_does(dask: Cluster, cold: Cold, tiny: Pytest, place: Path):
    (done, pack), reports = cold, place / "reports"
    before = kept(reports)
    assert len(before) >= 5
    for pattern in BY_WORKERS:
        for folder in (reports / ".stages").glob(pattern):
            shutil.rmtree(folder)
    again = tiny("--engine=dask", **{ADDRESS: dask.address})
    assert again.returncode == done.returncode, again.stdout[-3000:]
    assert kept(reports) == before
    beside = (reports / "latest").resolve()
    assert beside != pack
    said = evidence_of(beside)["environment"]["spread by"]
    for what in (
        "inspecting dataset",
        "scoring test",
        "scoring train",
        "scoring second_laboratory",
        "corrupting cells",
    ):
        assert f"{what} 1 slice on 2 workers" in said
    assert f"spread by {said}" in again.stdout
    assert dask.address not in (beside / "evidence.json").read_text()
    assert "spread by" not in evidence_of(pack)["environment"]
    timed = {name for name in verdicts_of(pack) if name.startswith("T")}
    for name, verdict in verdicts_of(pack).items():
        if name not in timed:
            assert verdicts_of(beside)[name]["estimate"] == verdict["estimate"], name


def test_a_model_file_is_opened_again_from_what_its_stage_keeps(
    trained: Path, cold: Cold, place: Path, tmp_path: Path, manifest: Manifest
):
    protocol = read_protocol(place / "tiny.toml")
    given = read_model(cold[1] / "models" / "classifier.safetensors", protocol, trusted=())
    by = Dask("tcp://nobody")
    options = RunOptions("test", tmp_path, {}, frozenset(), None, "cpu", 1, tmp_path / "ledger.jsonl", spread=by)
    run = Graph(
        Setting.of(protocol, replace(options, model=given)), store=Store(tmp_path, fresh=False), progress=silent
    )
    found = run(spread.reopened, 42)
    assert isinstance(found, Reopened)
    assert found.place.read_bytes() == given.content
    assert found.trusted == ()
    images, _ = some(manifest)
    elsewhere, _ = pickle.loads(pickle.dumps(found)).open(1)
    here = run(model.source, 42).open()
    assert elsewhere.predict_proba(images).tobytes() == here.predict_proba(images).tobytes()


def test_a_command_is_asked_on_this_machine_and_the_run_says_so(tmp_path: Path):
    class Command:
        kept_as = ()

    by = Dask("tcp://nobody")
    options = RunOptions("test", tmp_path, {}, frozenset(), None, "cpu", 1, tmp_path / "ledger.jsonl", spread=by)
    setting = Setting.of(read_protocol(DEFAULT_PROTOCOL), replace(options, model=Command()))  # type: ignore[arg-type]
    run = Graph(setting, store=Store(tmp_path, fresh=False), progress=silent)
    assert run(spread.answering, 42) is None
    assert run(spread.corrupting) is None
    why = "on this machine, as the command that answers is a process of this machine"
    assert by.told.endswith(f": scoring {why}; corrupting cells {why}")
