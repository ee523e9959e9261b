"""What was read as what reaches terminal, page and evidence, and cannot be changed there unseen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import CLASSES, classes
from tiny_run import Pytest, evidence_of, verdicts_of

from fixtures.tampering import _mend
from harness.core.places import SUITES
from harness.pack.read import open_pack
from harness.pack.rebuild import rebuild

LABELS = {name.upper(): name for name in CLASSES}


@pytest.fixture(scope="module")
def written(tiny: Pytest, place: Path) -> tuple[str, Path]:
    """The words and the pack of a run of integrity and split on part folders of capitals, with litter."""
    data = place / "data"
    for part, first, count in (("TRAIN", 0, 8), ("TEST", 8, 3)):
        classes(data / part, (count,) * 5, names=list(LABELS), first=first, side=48)
    (data / "TRAIN" / "BASOPHIL" / ".DS_Store").write_bytes(b"x")
    (data / "TRAIN" / "notes.txt").write_text("none")
    inside = data / "TRAIN" / "MONOCYTE" / "P1"
    inside.mkdir()
    moved = min(inside.parent.glob("*.png"))
    moved.rename(inside / moved.name)
    (place / "parts.toml").write_text(
        'extends = "tiny.toml"\n[dataset]\nimages_per_class = { minimum = 5 }\n[dataset.labels]\n'
        + "\n".join(f'{written} = "{name}"' for written, name in LABELS.items())
    )
    suites = [str(SUITES / f"test_{name}.py") for name in ("data_integrity", "split")]
    done = tiny(*suites[1:], f"--protocol={place / 'parts.toml'}", f"--data={data}", suites=suites[0])
    return done.stdout, (place / "reports" / "latest").resolve()


def test_the_terminal_says_it(written):
    said, _ = written
    assert "dataset: part folders: 'TEST' is test, 'TRAIN' is train" in said
    assert "dataset: labels: 'BASOPHIL' is basophil" in said
    assert "dataset: passed by as litter: .DS_Store (1)" in said
    assert "dataset: not read: what sub-folders of the class folders stand for, 'P1'. Where they are patients" in said


def test_evidence_and_page_have_it(written):
    _, pack = written
    (dataset,) = [each for each in evidence_of(pack)["sets"] if each["name"] == "dataset"]
    assert dataset["reading"]["labels"] == LABELS
    assert dataset["reading"]["parts"] == {"TEST": "test", "TRAIN": "train"}
    assert dataset["reading"]["litter"] == ["TRAIN/BASOPHIL/.DS_Store"]
    assert dataset["reading"]["within"] == ["P1"]
    assert evidence_of(pack)["ignored"] == ["TRAIN/notes.txt"]
    page = (pack / "index.html").read_text()
    assert "passed by as litter: .DS_Store (1)" in page
    assert "part folders: &#39;TEST&#39; is test" in page
    assert "validation is drawn from train" in page
    outcomes = {name: verdict["outcome"] for name, verdict in verdicts_of(pack).items()}
    assert {outcomes[f"D{n}"] for n in range(1, 11)} | {outcomes[f"S{n}"] for n in range(1, 5)} == {"passed"}
    labels = {row.split(",")[1] for row in (pack / "manifest.csv").read_text().splitlines()[1:]}
    assert labels == set(CLASSES)


def test_nothing_is_found_in_the_pack_as_it_was_written(written):
    rebuilt = rebuild(open_pack(written[1]))
    assert rebuilt.discrepancies == ()
    assert rebuilt.manifest is not None
    assert {image.part for image in rebuilt.manifest.images} == {"train", "test"}


def _other_part(reading: dict[str, Any]) -> None:
    reading["parts"]["TEST"] = "train"


def _other_class(reading: dict[str, Any]) -> None:
    reading["labels"]["BASOPHIL"] = "monocyte"


def _no_parts(reading: dict[str, Any]) -> None:
    reading["parts"] = {}


def _other_folder(reading: dict[str, Any]) -> None:
    reading["within"] = ["young"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_other_folder, "sets > dataset > reading > within"),
        (_other_part, "sets > dataset > reading > parts"),
        (_other_class, "sets > dataset > reading > labels"),
        (_no_parts, "label"),
    ],
)
def test_a_reading_that_was_changed_is_found(written, tmp_path, change: Callable[[dict[str, Any]], None], field):
    pack = tmp_path / "pack"
    shutil.copytree(written[1], pack)
    evidence = json.loads((pack / "evidence.json").read_text())
    change(next(each for each in evidence["sets"] if each["name"] == "dataset")["reading"])
    (pack / "evidence.json").write_text(json.dumps(evidence))
    _mend(pack)
    assert field in {each.field for each in rebuild(open_pack(pack)).discrepancies}
