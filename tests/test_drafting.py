"""`harness init`: the draft says what is there, reads as a protocol, and names what nobody can see in the images."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.cli import main
from harness.core.errors import DataError, MissingData
from harness.data.manifest import read_manifest
from harness.data.split import read_split
from harness.data.survey import LITTER, survey
from harness.drafting import _floor, draft, write_draft
from harness.metrics.intervals import clopper_pearson_bounds
from harness.protocol.file import read_protocol


def picture(file: Path, number: int, *, size: int = 40, mode: str = "RGB") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(file)


def filled(root: Path, counts: Mapping[str, int], **options: object) -> Path:
    number = 0
    for place, n in counts.items():
        for i in range(n):
            number += 1
            picture(root / place / f"{i}.png", number, **options)  # type: ignore[arg-type]
    return root


def drafted(root: Path, out: Path):
    return draft(survey(root, workers=2), out=out)


def said(root: Path, out: Path) -> str:
    return "\n".join(drafted(root, out).unknown)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


# --- what is there --------------------------------------------------------------------------------


def test_class_folders_become_a_protocol_that_reads(tmp_path: Path, out: Path):
    root = filled(tmp_path / "animals", {"cat": 20, "dog": 20}, size=48)
    made = drafted(root, out)
    protocol, replaced = write_draft(made, out=out, force=False)
    plan = protocol.dataset
    assert (plan.classes, plan.images_per_class) == (("cat", "dog"), 20)
    assert (plan.images.formats, plan.images.modes) == (("PNG",), ("RGB",))
    assert (plan.images.min_side_px, plan.images.max_side_px) == (48, 48)
    assert (protocol.identity.id, made.manifest, made.data, replaced) == ("mine", None, root, ())
    assert protocol.training.image_size_px == 32


def test_every_commented_example_is_valid_where_it_is_taken_in(tmp_path: Path, out: Path):
    root = filled(tmp_path / "animals", {"cat": 20, "dog": 20})
    text = drafted(root, out).protocol
    start = text.index("# What else can be asked")
    wanted = [line[2:] for line in text[start:].splitlines() if re.match(r"# (\[|\w+ = )", line)]
    shares = "shares = { cat = 0.9, dog = 0.1 }"
    out.write_text(text[:start] + "\n".join(shares if line.startswith("shares") else line for line in wanted))
    protocol = read_protocol(out)
    assert protocol.prevalence is not None
    assert protocol.robustness is not None
    assert [plan.name for plan in protocol.external] == ["elsewhere"]


def test_unequal_classes_are_stated_one_by_one_and_asked_about(tmp_path: Path, out: Path):
    root = filled(tmp_path / "cells", {"a": 3, "b.c": 9, "d": 6})
    made = drafted(root, out)
    assert tomllib.loads(made.protocol)["dataset"]["images_per_class"] == {"a": 3, "b.c": 9, "d": 6}
    assert "Why the classes have unequal numbers, from 3 (a) to 9 (b.c)." in made.unknown


def test_a_class_that_cannot_be_divided_is_named(tmp_path: Path, out: Path):
    assert "How a could be in train, validation and test" in said(filled(tmp_path / "x", {"a": 2, "b": 9}), out)


def test_names_that_no_class_can_have_are_mapped_in_a_manifest(tmp_path: Path, out: Path):
    root = filled(tmp_path / "names", {"erythro blast": 7, "früh": 7, "ok": 7})
    made = drafted(root, out)
    protocol, _ = write_draft(made, out=out, force=False)
    assert protocol.dataset.classes == ("erythro_blast", "fr_h", "ok")
    assert made.data == tmp_path / "names.csv"
    found = read_manifest(made.data, name="dataset", classes=protocol.dataset.classes, workers=2)
    assert found.counts == {"erythro_blast": 7, "fr_h": 7, "ok": 7}
    assert (found.missing, found.unlisted) == ((), ())
    assert "'erythro blast' is erythro_blast" in "\n".join(made.unknown)


def test_part_folders_become_a_split(tmp_path: Path, out: Path):
    places = {f"{part}/{name}": n for part, n in (("Train", 6), ("val", 2), ("TEST", 3)) for name in ("CAT", "DOG")}
    made = drafted(filled(tmp_path / "pets", places), out)
    protocol, _ = write_draft(made, out=out, force=False)
    found = read_manifest(made.data, name="dataset", classes=protocol.dataset.classes, workers=2)
    split = read_split(made.data, found)
    assert [len(split.part(part)) for part in ("train", "validation", "test")] == [12, 4, 6]
    assert (
        "of 3 may be wrong" in made.protocol or "none wrong does not show" in made.protocol
    )  # 3 a class, not 15 % of 11


def test_parts_without_a_validation_are_not_guessed(tmp_path: Path, out: Path):
    made = drafted(filled(tmp_path / "pets", {"train/a": 6, "train/b": 6, "test/a": 3, "test/b": 3}), out)
    assert made.manifest is not None
    assert made.manifest.splitlines()[0] == "path,label"
    assert "Which images are the validation part" in "\n".join(made.unknown)


def test_a_folder_that_only_wraps_is_looked_through_and_named(tmp_path: Path, out: Path):
    filled(tmp_path / "outer" / "inner", {"a": 5, "b": 5})
    made = drafted(tmp_path / "outer", out)
    assert made.data == tmp_path / "outer" / "inner"
    assert "inner folder 'inner'" in "\n".join(made.unknown)


def test_what_is_no_image_is_named_and_never_counted_where_it_is_litter(tmp_path: Path, out: Path):
    root = filled(tmp_path / "cells", {"a": 5, "b": 5})
    for name in (".DS_Store", "a/Thumbs.db", "README.md", "__MACOSX/a/._0.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "b" / "broken.png").write_bytes(b"no image")
    (root / "overview.png").write_bytes(b"x")
    found = survey(root, workers=2)
    assert found.counts == {"a": 5, "b": 6}
    text = said(root, out)
    assert "Nothing is made of 4 file(s)" in text
    assert "a/Thumbs.db" in text
    assert "b/broken.png (no image: the file begins with b'no image')" in text
    assert "the files beside the class folders are: overview.png" in text
    assert LITTER.match("0.png") is None


def test_several_formats_and_modes_are_told(tmp_path: Path, out: Path):
    root = filled(tmp_path / "cells", {"a": 5, "b": 4}, mode="L")
    picture(root / "b" / "4.jpg", 99)
    made = drafted(root, out)
    assert tomllib.loads(made.protocol)["dataset"]["images"]["formats"] == ["PNG", "JPEG"]
    assert "Why there are several formats (PNG, JPEG)" in "\n".join(made.unknown)
    assert "Whether the colour modes L, RGB are meant" in "\n".join(made.unknown)


@pytest.mark.parametrize("n", [1, 2, 5, 9, 30, 75, 1000])
def test_a_proposed_floor_is_one_that_a_flawless_result_shows_where_any_can(n: int):
    floor = _floor("recall", n)
    reached = clopper_pearson_bounds(n, n, level=0.95)[0]
    assert floor <= reached or floor == 0.2


# --- what is refused ------------------------------------------------------------------------------


def test_nothing_is_overwritten_without_a_word(tmp_path: Path, out: Path):
    root = filled(tmp_path / "part ed", {"a b": 5, "b": 5})
    made = drafted(root, out)
    made.data.write_text("mine")
    with pytest.raises(DataError, match=r"part ed.csv is there already, and nothing was written. .* add --force"):
        write_draft(made, out=out, force=False)
    assert not out.exists()
    assert made.data.read_text() == "mine"
    assert write_draft(made, out=out, force=True)[1] == (made.data,)


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"only": 3}, r"has 1 class folder\(s\) with files: only. Expected are at least two"),
        ({"Cat": 3, "cat": 3}, r"the classes Cat and cat differ in case alone"),
        ({"a b": 3, "a_B": 3}, r"the classes a_B and a_b differ in case alone"),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path: Path, places: dict[str, int], said: str):
    with pytest.raises(DataError, match=said):
        survey(filled(tmp_path / "x", places), workers=1)


def test_an_empty_class_and_a_folder_that_is_not_there_are_refused(tmp_path: Path):
    root = filled(tmp_path / "x", {"a": 2, "b": 2})
    (root / "c").mkdir()
    with pytest.raises(DataError, match=r"the folder of class 'c' holds no file"):
        survey(root, workers=1)
    with pytest.raises(MissingData, match=r"there is no folder .*nowhere. Name one"):
        survey(tmp_path / "nowhere", workers=1)


# --- the job --------------------------------------------------------------------------------------


def test_the_job_says_what_it_wrote_and_what_comes_next(tmp_path: Path, capsys, monkeypatch):
    root = filled(tmp_path / "animals", {"cat": 20, "dog": 20})
    monkeypatch.chdir(tmp_path)
    assert main(["init", str(root)]) == 0
    text = capsys.readouterr().out
    assert f"{root}: 40 images of 2 classes" in text
    assert "- The floors: which accuracy" in text
    assert f"next: pytest suites/ --protocol=animals.toml --data={root}" in text
    assert main(["init", str(root)]) == 2
    assert "animals.toml is there already" in capsys.readouterr().err
    assert main(["init", str(root), "--force", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["counts"], result["replaced"]) == ({"cat": 20, "dog": 20}, ["animals.toml"])
