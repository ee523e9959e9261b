"""`harness init`: the draft says what is there, reads as a protocol, and names what nobody can see in the images."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.cli import main
from harness.core.errors import DataError, MissingData
from harness.data.manifest import read_manifest
from harness.data.records import Manifest, Split
from harness.data.split import draw_split
from harness.data.survey import survey
from harness.drafting import _floor, draft, out_of_reach, write_draft
from harness.judge.prospects import by_reason
from harness.metrics.intervals import clopper_pearson_bounds
from harness.planning import plan
from harness.protocol.datasets import FORMATS
from harness.protocol.file import read_protocol
from harness.protocol.names import PARTS
from harness.protocol.records import Protocol


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


def as_a_run_reads(root: Path, protocol: Protocol) -> tuple[Manifest, Split]:
    plan = protocol.dataset
    found = read_manifest(root, name="dataset", classes=plan.classes, workers=2, names=plan, parts=plan.parts)
    return found, draw_split(found, protocol.split)


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
    assert (protocol.identity.id, replaced) == ("mine", False)
    assert protocol.training.image_size_px == 32


def test_every_commented_example_is_valid_where_it_is_taken_in(tmp_path: Path, out: Path):
    root = filled(tmp_path / "animals", {"cat": 20, "dog.b": 20, "emu": 20})
    text = drafted(root, out).protocol
    start = text.index("# What else can be asked")
    wanted = [line[2:] for line in text[start:].splitlines() if re.match(r"# (\[|\w+ = )", line)]
    stated = text[:start].replace("# architecture = ", "architecture = ").replace("# resize = ", "resize = ")
    out.write_text(stated + "\n".join(wanted))
    protocol = read_protocol(out)
    assert {"architecture", "resize"} <= set(tomllib.loads(stated)["training"])
    assert protocol.training.resize == "squish"
    assert protocol.prevalence is not None
    assert protocol.prevalence.shares == {"cat": 0.333, "dog.b": 0.333, "emu": 0.334}
    assert protocol.robustness is not None
    assert [plan.name for plan in protocol.external] == ["elsewhere"]


def test_hopes_that_are_taken_in_give_chances(tmp_path: Path, out: Path, capsys):
    root = filled(tmp_path / "cells", {"b.c": 30, "d": 30}, size=8)
    write_draft(drafted(root, out), out=out, force=False)
    draft_text = out.read_text()
    start = draft_text.index("# [plan]")
    three = draft_text[start:].split("\n", 3)
    out.write_text(draft_text[:start] + "\n".join([*(line.removeprefix("# ") for line in three[:3]), three[3]]))
    assert read_protocol(out).plan is not None
    assert main(["plan", str(out), "--data", str(root)]) == 1
    told = capsys.readouterr().out
    assert "hoped for, as true accuracy: train 92.5 %" in told
    assert re.search(r"A1 accuracy on test, n = 8; 80 % from about \d+", told)
    # By hand: 10 of 10 validation cells show 0.025 ** 0.1 = 0.6915 at 97.5 %, so the gap may be 0.3085; required: 0.15.
    assert "a ceiling of 0.31 or more can pass" in " ".join(draft_text.replace("\n#", "").split())


def test_unequal_classes_are_stated_one_by_one_and_asked_about(tmp_path: Path, out: Path):
    root = filled(tmp_path / "cells", {"a": 3, "b.c": 9, "d": 6})
    made = drafted(root, out)
    assert tomllib.loads(made.protocol)["dataset"]["images_per_class"] == {"a": 3, "b.c": 9, "d": 6}
    assert "Why the classes have unequal numbers, from 3 (a) to 9 (b.c)." in made.unknown


def test_a_class_that_cannot_be_divided_is_named(tmp_path: Path, out: Path):
    assert "How a could be in train, validation and test" in said(filled(tmp_path / "x", {"a": 2, "b": 9}), out)


def test_names_that_no_class_can_have_are_mapped_in_the_protocol(tmp_path: Path, out: Path):
    root = filled(tmp_path / "names", {"erythro blast": 7, 'fr"üh': 7, "ok": 7})
    made = drafted(root, out)
    protocol, _ = write_draft(made, out=out, force=False)
    assert protocol.dataset.classes == ("erythro_blast", "fr_h", "ok")
    assert protocol.dataset.labels == {"erythro blast": "erythro_blast", 'fr"üh': "fr_h"}
    found, _ = as_a_run_reads(root, protocol)
    assert found.counts == {"erythro_blast": 7, "fr_h": 7, "ok": 7}
    assert "'erythro blast' is erythro_blast" in "\n".join(made.unknown)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine.toml", "names"]


def test_part_folders_become_a_split(tmp_path: Path, out: Path):
    places = {f"{part}/{name}": n for part, n in (("Train", 6), ("val", 2), ("TEST", 3)) for name in ("CAT", "DOG")}
    root = filled(tmp_path / "pets", places)
    made = drafted(root, out)
    protocol, _ = write_draft(made, out=out, force=False)
    found, split = as_a_run_reads(root, protocol)
    assert (found.counts, protocol.dataset.images_per_class) == ({"CAT": 11, "DOG": 11}, 11)
    assert [len(split.part(part)) for part in ("train", "validation", "test")] == [12, 4, 6]
    assert "0 of 3 may be wrong" in made.protocol  # 3 a class in its folder, not 15 % of 11


def test_part_folders_in_the_class_folders_become_a_split_too(tmp_path: Path, out: Path):
    root = filled(tmp_path / "cells", {f"{c}/{part}": 4 for c in ("a", "b") for part in ("train", "val", "test")})
    made = draft(survey(root, workers=2), out=out)
    assert {part: dict(made.sizes[part]) for part in PARTS} == {part: {"a": 4, "b": 4} for part in PARTS}
    write_draft(made, out=out, force=False)
    _, split = as_a_run_reads(root, read_protocol(out))
    assert [len(part) for part in (split.train, split.validation, split.test)] == [8, 8, 8]


def test_train_and_test_folders_stay_what_they_are(tmp_path: Path, out: Path):
    root = filled(tmp_path / "pets", {"train/a b": 6, "train/c": 6, "test/a b": 3, "test/c": 3})
    made = drafted(root, out)
    protocol, _ = write_draft(made, out=out, force=False)
    _, split = as_a_run_reads(root, protocol)
    assert {image.path.split("/")[0] for image in split.test} == {"test"}
    assert [len(split.part(part)) for part in PARTS] == [10, 2, 6]
    assert "6 test images, all right" in made.protocol
    assert "Which images are the validation part: no folder is, and a run draws it from train." in made.unknown


def test_a_folder_beside_the_part_folders_is_left_out_and_asked_about(tmp_path: Path, out: Path):
    places = {f"{part}/{name}": 4 for part in ("TRAIN", "TEST", "TEST_SIMPLE") for name in "ab"}
    root = filled(tmp_path / "cells", places)
    (root / "TEST" / "notes.txt").write_text("n")
    made = drafted(root, out)
    protocol, _ = write_draft(made, out=out, force=False)
    assert protocol.dataset.parts == {"TEST_SIMPLE": "unused"}
    found, split = as_a_run_reads(root, protocol)
    assert found.counts == {"a": 8, "b": 8}
    assert len(split.test) == 8
    text = "\n".join(made.unknown)
    assert "Which part of the split is in TEST_SIMPLE: [dataset.parts] leaves it out." in text
    assert "the files beside the class folders are: TEST/notes.txt" in text


def test_parts_without_a_test_are_named_with_the_line_that_mends_it(tmp_path: Path, out: Path):
    root = filled(tmp_path / "cells", {"train/a": 6, "train/b": 6, "Val/a": 3, "Val/b": 3})
    (root / "test").mkdir()
    picture(root / "test" / "unlabelled.png", 99)
    made = drafted(root, out)
    assert "There are no test images: nothing can be shown." in made.protocol
    text = "\n".join(made.unknown)
    assert "Which images are the test part: the folders hold train and validation alone" in text
    (line,) = re.findall(r"such as (.*?), or", text)
    at = made.protocol.index("# A network from random weights")
    out.write_text(f"{made.protocol[:at]}[dataset.parts]\n{line}\n\n{made.protocol[at:]}")
    _, split = as_a_run_reads(root, read_protocol(out))
    assert {image.path.split("/")[0] for image in split.test} == {"Val"}


def test_a_class_that_a_part_lacks_is_named(tmp_path: Path, out: Path):
    places = {"train/a": 6, "train/b": 1, "test/a": 3}
    text = said(filled(tmp_path / "cells", places), out)
    assert "of which a part has too few images: b in train, b in test." in text


def test_folders_that_may_be_parts_by_names_of_their_own_are_asked_about(tmp_path: Path, out: Path):
    text = said(filled(tmp_path / "cells", {f"{place}/{name}": 4 for place in ("home", "away") for name in "ab"}), out)
    assert "Whether the folders are the classes: a, b lie in more than one of them." in text
    text = said(filled(tmp_path / "by patient", {"a/p1": 4, "b/p2": 4}), out)
    assert "Whether the folders are the classes" not in text


def test_a_class_may_be_called_as_a_part(tmp_path: Path, out: Path):
    root = filled(tmp_path / "vehicles", {"train": 5, "plane": 5})
    protocol, _ = write_draft(drafted(root, out), out=out, force=False)
    found, split = as_a_run_reads(root, protocol)
    assert found.counts == {"plane": 5, "train": 5}
    assert split.source == "drawn"


def test_a_folder_that_only_wraps_is_looked_through_and_named(tmp_path: Path, out: Path):
    filled(tmp_path / "outer" / "inner", {"a": 5, "b": 5})
    made = drafted(tmp_path / "outer", out)
    assert survey(tmp_path / "outer", workers=2).root == tmp_path / "outer" / "inner"
    assert "inner folder 'inner'" in "\n".join(made.unknown)


def test_what_is_no_image_is_named_and_never_counted_where_it_is_litter(tmp_path: Path, out: Path):
    root = filled(tmp_path / "cells", {"a": 5, "b": 5})
    for name in (".DS_Store", "a/Thumbs.db", "README.md", "__MACOSX/a/._0.png", "b/labels.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "b" / "broken.png").write_bytes(b"no image")
    (root / "overview.png").write_bytes(b"x")
    found = survey(root, workers=2)
    made = drafted(root, out)
    protocol, _ = write_draft(made, out=out, force=False)
    read, _ = as_a_run_reads(root, protocol)
    assert found.counts == read.counts == {"a": 5, "b": 7}
    assert found.litter == read.reading.litter == (".DS_Store", "__MACOSX/", "a/Thumbs.db")
    text = "\n".join(made.unknown)
    assert "Nothing is made of 3 file(s) or folder(s) that programs left behind, here or in a run: .DS_Store" in text
    assert "b/broken.png (no image: the file begins with b'no image')" in text
    assert "b/labels.csv (no image: " in text
    assert "the files beside the class folders are: README.md, overview.png. A run names them" in text


def test_several_formats_and_modes_are_told(tmp_path: Path, out: Path):
    root = filled(tmp_path / "cells", {"a": 5, "b": 4}, mode="L")
    picture(root / "b" / "4.jpg", 99)
    made = drafted(root, out)
    assert tomllib.loads(made.protocol)["dataset"]["images"]["formats"] == ["PNG", "JPEG"]
    assert "Why there are several formats (PNG, JPEG)" in "\n".join(made.unknown)
    assert "Whether the colour modes L, RGB are meant" in "\n".join(made.unknown)


@pytest.mark.parametrize("format", FORMATS)
def test_images_of_every_format_that_a_protocol_accepts_become_a_draft(tmp_path: Path, out: Path, format: str):
    root = tmp_path / "cells"
    for number, name in enumerate(("a/0", "a/1", "b/0", "b/1")):
        picture(root / f"{name}.{format.lower()}", number)
    made = drafted(root, out)
    protocol, _ = write_draft(made, out=out, force=False)
    images = protocol.dataset.images
    assert (images.formats, images.modes, images.max_side_px) == ((format,), ("RGB",), 40)
    assert "do not decode" not in "\n".join(made.unknown)


def test_a_mode_that_no_protocol_accepts_is_named_and_left_out(tmp_path: Path, out: Path):
    root = filled(tmp_path / "cells", {"a": 5, "b": 5})
    Image.new("RGBA", (40, 40), (1, 2, 3, 100)).save(root / "b" / "clear.png")
    made = drafted(root, out)
    protocol, _ = write_draft(made, out=out, force=False)
    assert protocol.dataset.images.modes == ("RGB",)
    assert "What to make of mode RGBA with transparent pixels: no protocol can accept it." in "\n".join(made.unknown)


@pytest.mark.parametrize("n", [1, 2, 5, 9, 30, 75, 1000])
def test_a_proposed_floor_is_one_that_a_flawless_result_shows_where_any_can(n: int):
    floor = _floor("recall", n)
    reached = clopper_pearson_bounds(n, n, level=0.95)[0]
    assert floor <= reached or floor == 0.2


@pytest.mark.parametrize(
    "places",
    [{"a": 5, "b": 12}, {"train/a": 9, "train/b": 9, "test/a": 1, "test/b": 7}, {"a": 60, "b": 130}],
    ids=["drawn", "part folders", "another many"],
)
def test_what_cannot_pass_is_what_the_plan_for_the_same_images_says(tmp_path: Path, out: Path, places: dict[str, int]):
    root = filled(tmp_path / "animals", places)
    made = drafted(root, out)
    protocol, _ = write_draft(made, out=out, force=False)
    hopeless = plan(protocol, root, today=date(2026, 1, 1), workers=1).hopeless
    said = out_of_reach(made, protocol)
    assert said == tuple(f"{', '.join(names)}: {why}." for why, names in by_reason(hopeless).items())
    comment = " ".join(line.removeprefix("#").strip() for line in out.read_text().splitlines())
    assert all(f"- {each}" in comment for each in said)
    assert ("What cannot pass" in comment) == bool(said)
    assert read_protocol(out).digest == protocol.digest  # a comment is no rule


def test_the_number_that_would_do_is_told_where_the_floors_are_beyond_reach(tmp_path: Path, capsys, monkeypatch):
    """By hand: n without an error show a floor p at a first look of 97.5 % where p**n <= 0.025."""
    needed = {floor: next(n for n in range(1, 99) if floor**n <= 0.025) for floor in (0.5, 0.2)}
    assert needed == {0.5: 6, 0.2: 3}
    filled(tmp_path / "few", {"a": 5, "b": 12})
    filled(tmp_path / "enough", {"a": 200, "b": 200}, size=8)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "few"]) == 0
    text = capsys.readouterr().out
    for said in ("A1: without a single error it is 1 (3/3)", "R1-a: without a single error it is 1 (1/1)"):
        assert said in text
    assert "about 6 cells without an error would be needed" in text
    assert "about 3 cells of the class without an error would be needed" in text
    assert main(["init", "enough", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cannot_pass"] == []
    assert "cannot pass" not in Path("enough.toml").read_text()


def test_where_no_split_exists_nothing_more_is_told(tmp_path: Path, out: Path):
    made = drafted(filled(tmp_path / "x", {"a": 2, "b": 9}), out)
    protocol, _ = write_draft(made, out=out, force=False)
    assert out_of_reach(made, protocol) == ()


# --- what is refused ------------------------------------------------------------------------------


def test_nothing_is_overwritten_without_a_word(tmp_path: Path, out: Path):
    made = drafted(filled(tmp_path / "animals", {"a": 5, "b": 5}), out)
    out.write_text("mine")
    with pytest.raises(DataError, match=r"mine.toml is there already, and nothing was written. .* add --force"):
        write_draft(made, out=out, force=False)
    assert out.read_text() == "mine"
    assert write_draft(made, out=out, force=True)[1]


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"only": 3}, r"has 1 class folder\(s\) with files: only. Expected are at least two"),
        ({"Cat": 3, "cat": 3}, r"the folders 'Cat' and 'cat' would be one class, or classes that differ in case alone"),
        ({"a b": 3, "a_B": 3}, r"the folders 'a b' and 'a_B' would be one class"),
        ({"a b": 3, "a_b": 3, "c": 3}, r"the folders 'a b' and 'a_b' would be one class"),
        ({"a": 3, "b": 3, ".cache": 1}, r"the folder '.cache' is hidden and lies where the classes do. Move it out"),
        ({"a": 3, "b": 3, "c\udcff": 1}, r"the name 'c\\udcff' is not text, and no protocol can name it. Rename"),
        ({"a": 3, "test/a": 3, "test/b": 3}, r"the folder 'a' lies beside the part folders and is a class in 'test/a'"),
        (
            {"train/train": 3, "train/car": 3, "test/train": 3, "test/car": 3},
            r"'train' holds class folders \(car, train\).* is a class, too.* Rename .* to 'training'",
        ),
        ({"": 2}, r"has 0 class folder\(s\).* 2 file\(s\) lie in none: move each into"),
        ({"a_b/x": 3, "test/a b": 3, "test/c": 3}, r"'a_b' lies beside the part folders and is a class in 'test/a b'"),
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
    with pytest.raises(MissingData, match=r"the folder .*nowhere does not exist. Name one"):
        survey(tmp_path / "nowhere", workers=1)
    (tmp_path / "cells.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"cells.zip is a file, not a folder. If it is an archive, unpack it"):
        survey(tmp_path / "cells.zip", workers=1)


# --- the job --------------------------------------------------------------------------------------


def test_the_job_says_what_it_wrote_and_what_comes_next(tmp_path: Path, capsys, monkeypatch):
    root = filled(tmp_path / "animals", {"cat": 20, "dog": 20})
    monkeypatch.chdir(tmp_path)
    assert main(["init", str(root)]) == 0
    text = capsys.readouterr().out
    assert f"{root}: 40 images of 2 classes" in text
    assert "- The floors: which accuracy" in text
    assert f"next: python -m harness run --protocol=animals.toml --data={root}" in text
    assert main(["init", str(root)]) == 2
    assert "animals.toml is there already" in capsys.readouterr().err
    assert main(["init", str(root), "--force", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["counts"], result["replaced"]) == ({"cat": 20, "dog": 20}, True)


@pytest.mark.parametrize(
    ("argv0", "installed", "program"),
    [
        ("/venv/bin/leukocyte-harness", False, "leukocyte-harness"),
        ("/site-packages/harness/__main__.py", True, "leukocyte-harness"),
        ("/checkout/harness/__main__.py", False, "python -m harness"),
    ],
)
def test_what_comes_next_can_be_pasted_wherever_init_was_called(
    tmp_path: Path, capsys, monkeypatch, argv0: str, installed: bool, program: str
):
    filled(tmp_path / "my animals", {"cat": 20, "dog": 20})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [argv0])
    monkeypatch.setattr("harness.core.places.INSTALLED", installed)
    assert main(["init", "my animals"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f"next: {program} run --protocol='my animals.toml' --data='my animals'"


def test_a_whole_disk_is_refused(tmp_path: Path, monkeypatch):
    root = filled(tmp_path / "x", {"a": 2, "b": 2})
    monkeypatch.setattr("harness.data.survey.MOST_FILES", 5)
    with pytest.raises(DataError, match=r"x holds more than 5 files and folders. Name a folder with fewer"):
        survey(root, workers=1)


def test_a_link_is_refused_as_a_run_refuses_it(tmp_path: Path):
    root = filled(tmp_path / "x", {"a": 2, "b": 2})
    (root / "b" / "again.png").symlink_to(root / "a" / "0.png")
    with pytest.raises(DataError, match=r"is a symbolic link, and links are not followed: .* cp -RL"):
        survey(root, workers=1)
