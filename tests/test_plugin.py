"""`pytest suites/` as its users meet it: in a process of its own, over a protocol that takes seconds."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conftest import CLASSES
from fixtures.smears import HOME, write_smears
from harness.plugin import DEFAULT_PROTOCOL, PROJECT, SUITES
from harness.records import digest_of

Pytest = Callable[..., subprocess.CompletedProcess[str]]

# The embedded protocol, cut down to seconds. It shows wiring: what ten seconds of training reach is not required.
TINY = f"""
extends = "{DEFAULT_PROTOCOL.as_posix()}"

[identity]
id = "tiny"

[dataset]
images_per_class = 12
images = {{ formats = ["PNG"], min_side_px = 48, max_side_px = 48 }}
synthetic = {{ images_per_class = 12, size_px = 48 }}

[training]
image_size_px = 32
batch_size = 8
lr_finder = {{ iterations = 10 }}

[[training.phases]]
name = "phase1"
max_epochs = 1

[[training.phases]]
name = "phase2"
max_epochs = 1

[reproducibility]
images_per_class = 6

[throughput]
queries = 30
offline_rounds = 5
offline_images = 20

[[external]]
name = "second_laboratory"
images = {{ min_side_px = 48, max_side_px = 48 }}

[[external]]
name = "nine_monocytes"
images = {{ min_side_px = 48, max_side_px = 48 }}

[[criteria]]
id = "A1"
required = false

[[criteria]]
id = "R1"
required = false

[[criteria]]
id = "N1"
required = false

[[criteria]]
id = "F6"
required = false

[[criteria]]
id = "T2"
ceiling = 60.0

[[criteria]]
id = "T4"
floor = 0.01
"""


FIGURES = (
    "class_distribution",
    "split_distribution",
    "sample_images",
    "training_loss_phase1",
    "training_loss_phase2",
    "learning_rate_finder",
    "confusion_matrix_validation",
    "confusion_matrix_test",
    "confusion_matrix_external",
    "per_class_metrics",
    "test_vs_external",
    "correct_predictions_test",
    "incorrect_predictions_test",
)


def run_pytest(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=cwd or PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "tiny.toml").write_text(TINY)
    return folder


@pytest.fixture(scope="module")
def tiny(place: Path) -> Pytest:
    def run(*arguments: str, suites: str = str(SUITES), **options: object) -> subprocess.CompletedProcess[str]:
        reports = place / "reports"
        protocol = f"--protocol={place / 'tiny.toml'}"
        return run_pytest(suites, protocol, f"--reports={reports}", *arguments, **options)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="module")
def cold(tiny: Pytest, place: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The whole path, from nothing: terminal and pack."""
    done = tiny()
    return done, (place / "reports" / "latest").resolve()


def evidence_of(pack: Path) -> dict[str, object]:
    return json.loads((pack / "evidence.json").read_text())  # type: ignore[no-any-return]


# --- the whole path ---


def test_a_run_whose_required_criteria_pass_exits_with_0(cold: tuple[subprocess.CompletedProcess[str], Path]):
    done, pack = cold
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RUN PASSED" in done.stdout
    assert f"report: {pack.parent / pack.name}/index.html" in done.stdout
    assert evidence_of(pack)["run"]["passed"] is True  # type: ignore[index]


def test_every_output_that_the_published_project_names_is_there(cold: tuple[subprocess.CompletedProcess[str], Path]):
    pack = cold[1]
    wanted = [f"figures/{name}.png" for name in FIGURES]
    wanted += [f"models/{name}" for name in ("best_model_phase1.pth", "best_model_phase2.pth", "export.pkl")]
    for name in ("validation", "test", "second_laboratory", "nine_monocytes"):
        wanted += [f"metrics/classification_report_{name}.txt", f"metrics/confusion_matrix_{name}.csv"]
        wanted += [f"predictions/{name}.csv"]
    wanted += ["data_split.csv", "manifest.csv", "index.html", "evidence.json", "junit.xml", "SHA256SUMS"]
    assert [name for name in wanted if not (pack / name).is_file()] == []


def test_terminal_junit_and_json_use_the_same_words(cold: tuple[subprocess.CompletedProcess[str], Path]):
    done, pack = cold
    in_json = {v["criterion"]: v["outcome"] for v in evidence_of(pack)["verdicts"]}  # type: ignore[attr-defined]
    cases = ElementTree.parse(pack / "junit.xml").iter("testcase")
    in_junit = {
        c.get("name"): next(p.get("value") for p in c.iter("property") if p.get("name") == "outcome") for c in cases
    }
    assert in_json == in_junit
    table = [line for line in done.stdout.splitlines() if line.split() and line.split()[0] in in_json]
    assert all(in_json[line.split()[0]].upper() in line for line in table)
    assert len(table) == len(in_json)


def test_nine_cells_of_the_training_laboratory_never_pass_as_external(
    cold: tuple[subprocess.CompletedProcess[str], Path],
):
    verdicts = {v["criterion"]: v for v in evidence_of(cold[1])["verdicts"]}  # type: ignore[attr-defined]
    assert verdicts["E2"]["outcome"] != "passed"


def test_mps_is_not_assessed_where_there_is_none(cold: tuple[subprocess.CompletedProcess[str], Path]):
    verdicts = {v["criterion"]: v for v in evidence_of(cold[1])["verdicts"]}  # type: ignore[attr-defined]
    device = evidence_of(cold[1])["environment"]["device"]  # type: ignore[index]
    if not device.startswith("mps"):
        assert verdicts["T1"]["outcome"] == "not assessed"
        assert "not mps" in verdicts["T1"]["reason"]


# --- warm, shuffled, from elsewhere ---


def identity(pack: Path) -> str:
    """Everything of a pack that must not depend on when, where and in which order it was made."""
    found = evidence_of(pack)
    same = {key: found[key] for key in ("split", "predictions", "reproducibility", "evaluations")}
    return digest_of({**same, "weights": found["training"]["weights_digest"]})  # type: ignore[index]


SHUFFLE = """
import os, random
_scandir = os.scandir

class Listing:
    def __init__(self, entries): self._entries = iter(entries)
    def __iter__(self): return self
    def __next__(self): return next(self._entries)
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def close(self): pass

def scandir(path="."):
    with _scandir(path) as entries:
        listed = list(entries)
    random.Random(99).shuffle(listed)
    return Listing(listed)

os.scandir = scandir
"""


def test_a_second_run_reuses_every_stage_and_says_the_same(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    done = tiny()
    pack = (place / "reports" / "latest").resolve()
    assert done.returncode == 0, done.stdout
    assert pack != cold[1]
    stages = evidence_of(pack)["stages"]
    assert stages
    assert all(stage["reused"] for stage in stages)  # type: ignore[attr-defined]
    assert identity(pack) == identity(cold[1])


def test_a_shuffled_listing_another_folder_and_a_fresh_training_give_the_same_digests(
    tiny: Pytest, place: Path, tmp_path: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    (tmp_path / "shuffled_listing.py").write_text(SHUFFLE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = os.pathsep.join([str(tmp_path), str(PROJECT)])
    done = tiny("--fresh", "-p", "shuffled_listing", cwd=elsewhere, PYTHONPATH=path, PYTHONHASHSEED="77")
    assert done.returncode == 0, done.stdout + done.stderr
    pack = (place / "reports" / "latest").resolve()
    assert not any(stage["reused"] for stage in evidence_of(pack)["stages"] if stage["name"] == "training")  # type: ignore[attr-defined]
    assert identity(pack) == identity(cold[1])
    assert (pack / "data_split.csv").read_bytes() == (cold[1] / "data_split.csv").read_bytes()


def test_the_split_that_a_run_wrote_is_read_back(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    done = tiny(f"--split={cold[1] / 'data_split.csv'}", "-k", "split")
    assert "S1             split_size_mismatches on dataset" in done.stdout
    pack = (place / "reports" / "latest").resolve()
    assert evidence_of(pack)["split"]["digest"] == evidence_of(cold[1])["split"]["digest"]  # type: ignore[index]
    assert "data_split.csv" in evidence_of(pack)["split"]["origin"]  # type: ignore[index]


# --- what can never pass ---


def test_a_deselected_required_criterion_never_passes(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    done = tiny("-k", "D1 or D2")
    assert done.returncode == 1
    assert "2 passed" in done.stdout
    assert "RUN NOT PASSED" in done.stdout
    verdicts = {v["criterion"]: v for v in evidence_of((place / "reports" / "latest").resolve())["verdicts"]}  # type: ignore[attr-defined]
    assert verdicts["A1"]["outcome"] == "not judged"


@pytest.fixture(scope="module")
def strict(place: Path) -> Path:
    """The tiny protocol with an accuracy that no finite test part can prove."""
    path = place / "strict.toml"
    path.write_text('extends = "tiny.toml"\n[[criteria]]\nid = "A1"\nfloor = 1.0\nrequired = true\n')
    return path


@pytest.mark.parametrize("optimised", [False, True])
def test_a_required_floor_out_of_reach_fails_the_run(
    place: Path, strict: Path, cold: tuple[subprocess.CompletedProcess[str], Path], optimised: bool
):
    # `python -O` strips the assertions that the suites end in; the verdicts must decide all the same.
    command = [sys.executable, *(["-O"] if optimised else []), "-m", "pytest", str(SUITES)]
    command += [f"--protocol={strict}", f"--reports={place / 'reports'}"]
    command += ["-W", "ignore:assertions not in test modules"] if optimised else []
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    # One error disproves 1.0, none leaves it open; neither is a pass.
    assert "A1 accuracy on test: FAILED" in done.stdout or "A1 accuracy on test: INCONCLUSIVE" in done.stdout
    assert "RUN NOT PASSED" in done.stdout
    assert "Traceback" not in done.stdout


def test_parallel_workers_are_refused(tiny: Pytest):
    done = tiny("-n", "2")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "run them without -n" in done.stderr


# --- bad input: one clear error or a named failed criterion, nothing lost ---


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    root = tmp_path / "cells"
    write_smears(root, images_per_class=dict.fromkeys(CLASSES, 12), laboratory=HOME, size_px=48, seed=3)
    return root


def fails_clearly(done: subprocess.CompletedProcess[str], *words: str) -> None:
    said = done.stdout + done.stderr
    assert done.returncode not in (0, pytest.ExitCode.INTERNAL_ERROR), said
    assert "Traceback" not in said
    for word in words:
        assert word in said, said


def test_a_missing_folder(tiny: Pytest, tmp_path: Path):
    fails_clearly(tiny(f"--data={tmp_path / 'nowhere'}"), "there is nothing at", "nowhere", "Name a folder")


def test_an_empty_class(tiny: Pytest, cells: Path):
    for file in (cells / "monocyte").iterdir():
        file.unlink()
    fails_clearly(tiny(f"--data={cells}"), "D2 count_mismatches on dataset: FAILED", "monocyte")


def test_one_image_per_class(tiny: Pytest, cells: Path):
    for name in CLASSES:
        for file in sorted((cells / name).iterdir())[1:]:
            file.unlink()
    fails_clearly(tiny(f"--data={cells}"), "D2 count_mismatches on dataset: FAILED", "stopped: DataError", "basophil")


def test_a_class_too_many(tiny: Pytest, cells: Path):
    shutil.copytree(cells / "monocyte", cells / "Monocytes")
    fails_clearly(tiny(f"--data={cells}"), "Monocytes", "DataError")


@pytest.mark.parametrize(("content", "words"), [(b"", "the file is empty"), (b"<!DOCTYPE html><p>404", "not")])
def test_a_file_that_is_no_image(tiny: Pytest, cells: Path, content: bytes, words: str):
    victim = sorted((cells / "neutrophil").iterdir())[0]
    victim.write_bytes(content)
    done = tiny(f"--data={cells}")
    fails_clearly(done, "D3 unreadable_images on dataset: FAILED", victim.name, words)
    assert victim.read_bytes() == content  # nothing was touched


def test_a_protocol_whose_ratios_add_to_nine_tenths(tiny: Pytest, place: Path, tmp_path: Path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(f'extends = "{(place / "tiny.toml").as_posix()}"\n[split]\ntest = 0.05\n')
    done = tiny(f"--protocol={wrong}")
    fails_clearly(done, "wrong.toml", "split", "= 0.9, not 1")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR


def test_a_manifest_with_an_unknown_label(tiny: Pytest, cells: Path):
    rows = [(f"{f.parent.name}/{f.name}", f.parent.name) for f in sorted(cells.rglob("*.png"))]
    rows[7] = (rows[7][0], "blast")
    with (cells / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label"), *rows])
    fails_clearly(tiny(f"--data={cells / 'manifest.csv'}"), "blast", "line 9")


def test_a_protocol_of_real_images_without_data(tiny: Pytest):
    leukocyte = DEFAULT_PROTOCOL.with_name("leukocyte.toml")
    fails_clearly(tiny(f"--protocol={leukocyte}"), "--data DIR")


def test_the_broken_file_that_ships_with_the_real_data_is_named(tiny: Pytest, cells: Path, shared_data: Path):
    shutil.copy(shared_data / "odd_files" / "neutrophil" / ".DS_169665.jpg", cells / "neutrophil")
    fails_clearly(tiny(f"--data={cells}"), "D3 unreadable_images on dataset: FAILED", ".DS_169665.jpg")


def test_the_plugin_sleeps_when_no_suite_is_run(tmp_path: Path):
    (tmp_path / "test_plain.py").write_text("def test_nothing(): pass")
    done = run_pytest("-p", "harness.plugin", str(tmp_path / "test_plain.py"), cwd=tmp_path)
    assert done.returncode == 0
    assert "verdicts" not in done.stdout
