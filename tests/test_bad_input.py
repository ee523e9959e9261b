"""Bad input ends in one clear error or a named failed criterion; nothing is lost and nothing is touched."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import pytest
from drawn import CLASSES
from tiny_run import Pytest

from fixtures.laboratories import HOME
from fixtures.smears import write_smears
from harness.plugin import DEFAULT_PROTOCOL
from harness.session import Exit


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    root = tmp_path / "cells"
    write_smears(root, images_per_class=dict.fromkeys(CLASSES, 12), laboratory=HOME, size_px=48, seed=3)
    return root


def fails_clearly(done: subprocess.CompletedProcess[str], *words: str) -> None:
    said = done.stdout + done.stderr
    assert done.returncode in (Exit.FAILED, Exit.ERROR, pytest.ExitCode.USAGE_ERROR), said
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
    fails_clearly(
        tiny(f"--data={cells}"), "D2 count_mismatches on dataset: FAILED", "gate 'split' stayed closed", "basophil"
    )


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


def test_a_manifest_with_bytes_that_are_no_text(tiny: Pytest, cells: Path):
    (cells / "manifest.csv").write_bytes(b"path,label,split\n\xff\xfe\x00cell.png,monocyte,train\n")
    fails_clearly(tiny(f"--data={cells / 'manifest.csv'}"), "manifest.csv, line 2", "NUL")


@pytest.mark.parametrize("argument", ["test=cells", "../x=cells", "cells", "=cells", "name="])
def test_an_external_set_that_is_not_named_properly(tiny: Pytest, argument: str):
    fails_clearly(tiny(f"--external={argument}"), "write NAME=DIR")


def test_an_external_folder_that_is_not_there(tiny: Pytest, tmp_path: Path):
    fails_clearly(tiny(f"--external=jtsc={tmp_path / 'nowhere'}"), "there is nothing at", "Correct the path")


@pytest.mark.parametrize("argument", ["--workers=0", "--workers=-1", "--workers=many"])
def test_workers_that_are_no_number(tiny: Pytest, argument: str):
    fails_clearly(tiny(argument), "is not a whole number of at least 1")


def test_a_protocol_of_real_images_without_data(tiny: Pytest):
    leukocyte = DEFAULT_PROTOCOL.with_name("leukocyte.toml")
    fails_clearly(tiny(f"--protocol={leukocyte}"), "--data DIR")


def test_the_broken_file_that_ships_with_the_real_data_is_named(tiny: Pytest, cells: Path, shared_data: Path):
    shutil.copy(shared_data / "odd_files" / "neutrophil" / ".DS_169665.jpg", cells / "neutrophil")
    fails_clearly(tiny(f"--data={cells}"), "D3 unreadable_images on dataset: FAILED", ".DS_169665.jpg")
