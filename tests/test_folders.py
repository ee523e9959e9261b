"""Folders as they are brought: parts above classes, other names, litter; and what comes of them in the split."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import DataError, InvalidSplit
from harness.data.manifest import read_manifest
from harness.data.records import Manifest
from harness.data.split import check_split, draw_split, split_by_folders
from harness.protocol.datasets import SplitPlan
from harness.protocol.sets import SetNames, check_counts, counts_of

CLASSES = ("basophil", "monocyte")
PART_FOLDERS = ("TRAIN", "test", "simple")
PLAN = SplitPlan(train=0.6, validation=0.2, test=0.2, seed=1)


def make(root: Path, names: Iterable[str]) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return root


def cells(*folders: str, n: int = 4, names: Iterable[str] = CLASSES) -> list[str]:
    return [f"{folder}/{name}/{i}.png".removeprefix("/") for folder in folders for name in names for i in range(n)]


def read(
    root: Path, *, parts: dict[str, str] | None = None, labels: dict[str, str] | None = None, name: str = "dataset"
) -> Manifest:
    return read_manifest(root, name=name, classes=CLASSES, workers=1, names=SetNames(labels=labels), parts=parts)


# --- classes under other names -------------------------------------------------------------------


def test_a_folder_is_the_class_that_the_protocol_says_it_is(tmp_path):
    make(tmp_path, cells("", names=("BNE", "SNE", "basophil")))
    found = read(tmp_path, labels={"BNE": "monocyte", "SNE": "monocyte"})
    assert found.counts == {"basophil": 4, "monocyte": 8}
    assert found.reading.labels == {"BNE": "monocyte", "SNE": "monocyte"}


def test_a_label_that_is_not_met_is_not_told(tmp_path):
    assert read(make(tmp_path, cells("")), labels={"BNE": "monocyte"}).reading.labels == {}


def test_nothing_is_guessed_and_the_table_to_paste_is_printed(tmp_path):
    make(tmp_path, cells("", names=("Basophils", "Band cells", "monocyte")))
    with pytest.raises(DataError) as refused:
        read(tmp_path)
    assert '[dataset.labels]\n"Band cells" = ""  # which class?\nBasophils = "basophil"' in str(refused.value)


def test_a_hundred_folders_are_all_in_the_table(tmp_path):
    make(tmp_path, [f"K{i:02}/x.png" for i in range(100)])
    with pytest.raises(DataError) as refused:
        read(tmp_path)
    assert sum(f'K{i:02} = ""' in str(refused.value) for i in range(100)) == 100


# --- parts above the classes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "folders", [("train", "val", "test"), ("TRAIN", "Validation", "TEST"), ("training", "valid", "testing")]
)
def test_part_folders_are_the_split(tmp_path, folders):
    found = read(make(tmp_path, cells(*folders)), parts={})
    split = draw_split(found, PLAN)
    for part, folder in zip(("train", "validation", "test"), folders, strict=True):
        assert {image.path.split("/")[0] for image in split.part(part)} == {folder}
    assert all(problems == () for problems in check_split(split, found, PLAN).values())


def test_without_a_validation_folder_that_part_is_drawn_from_train_and_the_split_says_so(tmp_path):
    found = read(make(tmp_path, [*cells("train", n=8), *cells("test", n=3)]), parts={})
    split = draw_split(found, PLAN)
    # 0.2 of 0.8 of eight of each class: two; six stay.
    assert [len(split.part(part)) for part in ("train", "validation", "test")] == [12, 4, 6]
    assert {image.path.split("/")[0] for image in split.validation} == {"train"}
    assert "validation is drawn from train" in split.origin
    checks = check_split(split, found, PLAN)
    assert all(problems == () for problems in checks.values())
    wrong = replace(split, train=split.train[1:], validation=(*split.validation, split.train[0]))
    assert len(check_split(wrong, found, PLAN)["split_size_mismatches"]) == 2


def test_a_part_folder_of_another_name_is_an_error_that_names_the_option(tmp_path):
    make(tmp_path, cells("TRAIN", "TEST", "TEST_SIMPLE"))
    with pytest.raises(DataError) as refused:
        read(tmp_path, parts={})
    assert '[dataset.parts]\nTEST_SIMPLE = ""  # train, validation, test or unused' in str(refused.value)
    assert "lie two levels down" in str(refused.value)


def test_a_part_folder_can_be_any_part_or_none(tmp_path):
    make(tmp_path, cells("a", "b", "c"))
    found = read(tmp_path, parts={"a": "train", "b": "test", "c": "unused"})
    assert (len(found.images), found.ignored) == (16, ("c/",))
    assert found.reading.parts == {"a": "train", "b": "test", "c": "unused"}


def test_unknown_folders_that_hold_classes_are_asked_for_their_part(tmp_path):
    with pytest.raises(DataError, match=r"lie two levels down.*'fold1', 'fold2'"):
        read(make(tmp_path, cells("fold1", "fold2")), parts={})


def test_a_class_may_be_called_as_a_part(tmp_path):
    make(tmp_path, ["test/a.png", "basophil/b.png"])
    found = read_manifest(tmp_path, name="dataset", classes=("basophil", "test"), workers=1, parts={})
    assert (found.counts, found.reading.parts) == ({"basophil": 1, "test": 1}, {})


def test_part_folders_in_the_class_folders_are_the_split_too(tmp_path):
    make(
        tmp_path,
        [f"{name}/{part}/{i}.png" for name in (*CLASSES[:1], "MON") for part in PART_FOLDERS for i in range(2)],
    )
    found = read(tmp_path, parts={"simple": "unused"}, labels={"MON": "monocyte"})
    assert found.counts == {"basophil": 4, "monocyte": 4}
    assert found.reading.parts == {"TRAIN": "train", "simple": "unused", "test": "test"}
    assert found.reading.labels == {"MON": "monocyte"}
    assert found.ignored == ("MON/simple/", "basophil/simple/")
    split = draw_split(found, SplitPlan(train=0.5, validation=0.25, test=0.25, seed=1))
    assert {image.path.split("/")[1] for image in split.test} == {"test"}
    assert all(found.reading.part_of(image.path) == image.part for image in found.images)
    # A set that is scored whole has no use for parts, and takes every image.
    assert read(tmp_path, labels={"MON": "monocyte"}).counts == {"basophil": 6, "monocyte": 6}


@pytest.mark.parametrize("beside", ["basophil/9.png", "basophil/other/9.png"])
def test_images_beside_part_folders_in_a_class_folder_are_asked_for_their_part(tmp_path, beside):
    make(tmp_path, [f"{name}/{part}/{i}.png" for name in CLASSES for part in ("train", "test") for i in range(2)])
    make(tmp_path, [beside])
    with pytest.raises(
        DataError, match=rf"\(test, train\), and 1 images lie in none of them, first '{beside}'"
    ) as said:
        read(tmp_path, parts={})
    assert ('other = ""  # train, validation' in str(said.value)) == ("other" in beside)


def test_a_class_called_as_a_part_and_parts_below_it_are_not_told_apart(tmp_path):
    make(tmp_path, ["test/train/a.png", "test/test/b.png", "basophil/train/c.png", "basophil/test/d.png"])
    with pytest.raises(DataError, match="hold part folders"):
        read_manifest(tmp_path, name="dataset", classes=("basophil", "test"), workers=1, parts={})


def test_images_without_a_folder_are_told_that_a_table_can_name_their_classes(tmp_path):
    with pytest.raises(DataError, match=r"2 lie loose in it, first 'basophil_1\.png'.*Name a CSV beside them"):
        read(make(tmp_path, ["basophil_1.png", "monocyte_1.png"]))


def test_wrappers_of_wrappers_are_named_too(tmp_path):
    with pytest.raises(DataError, match=r"further down, in 'release/v2/cells'. Name that folder: .*release/v2/cells"):
        read(make(tmp_path, cells("release/v2/cells")), parts={})


def test_a_set_that_is_scored_whole_names_the_folder_to_give(tmp_path):
    with pytest.raises(DataError, match=r"'jtsc' is scored whole, not divided\. Name one of these folders"):
        read(make(tmp_path, cells("train", "test")), name="jtsc")


def test_the_same_bytes_in_two_parts_are_named(tmp_path):
    make(tmp_path, cells("train", "test"))
    (tmp_path / "test" / "monocyte" / "9.png").write_bytes(b"train/basophil/2.png")
    with pytest.raises(
        InvalidSplit, match=r"'test/monocyte/9.png' \(test\) and 'train/basophil/2.png' \(train\) share"
    ):
        draw_split(read(tmp_path, parts={}), PLAN)


@pytest.mark.parametrize(("folders", "lacks"), [(("train", "val"), "test"), (("val", "test"), "train")])
def test_a_part_that_cannot_be_drawn_must_be_there(tmp_path, folders, lacks):
    with pytest.raises(InvalidSplit, match=f"1 empty parts, such as {lacks}"):
        draw_split(read(make(tmp_path, cells(*folders)), parts={}), PLAN)


@pytest.mark.parametrize("inside", [cells("dataset"), cells("dataset", names=("BASOPHIL",)), cells("dataset/train")])
def test_a_wrapper_folder_is_named(tmp_path, inside):
    with pytest.raises(DataError, match=r"lie further down, in 'dataset'. Name that folder: .*dataset"):
        read(make(tmp_path, [*inside, "readme/notes.txt"]), parts={})


# --- litter --------------------------------------------------------------------------------------

LITTER = (".DS_Store", "Thumbs.db", "desktop.ini", "basophil/.DS_Store", "basophil/thumbs.db", "basophil/._0.png")
FOLDERS = ("__MACOSX/basophil/._0.png", "basophil/.ipynb_checkpoints/0-checkpoint.png", "monocyte/@eaDir/x.jpg")


def test_litter_is_named_once_and_changes_nothing(tmp_path):
    clean = read(make(tmp_path, cells("")))
    make(tmp_path, [*LITTER, *FOLDERS])
    found = read(tmp_path)
    assert (found.images, found.digest, found.ignored) == (clean.images, clean.digest, ())
    folders = ("__MACOSX/", "basophil/.ipynb_checkpoints/", "monocyte/@eaDir/")
    assert found.reading.litter == tuple(sorted((*LITTER, *folders)))


def test_litter_beside_a_table_is_no_unlisted_file(tmp_path):
    make(tmp_path, [*cells("", n=1), *LITTER, *FOLDERS])
    rows = "\n".join(f"{name}/0.png,{name}" for name in CLASSES)
    (tmp_path / "t.csv").write_text(f"path,label\n{rows}\n")
    found = read(tmp_path / "t.csv")
    assert (found.unlisted, found.ignored) == ((), ())
    assert {"basophil/._0.png", "__MACOSX/"} <= set(found.reading.litter)


def test_an_image_is_an_image_whatever_it_is_called(tmp_path):
    make(tmp_path, cells(""))
    (tmp_path / "basophil" / "._cell.png").write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    (tmp_path / "basophil" / ".DS_169665.jpg").write_bytes(b"no image")
    found = read(tmp_path)
    assert {"basophil/._cell.png", "basophil/.DS_169665.jpg"} <= {image.path for image in found.images}
    assert found.reading.litter == ()


# --- links ---------------------------------------------------------------------------------------


def test_the_command_that_a_link_is_refused_with_makes_a_set_that_is_read(tmp_path):
    make(tmp_path / "cache", cells(""))
    root = tmp_path / "my set"
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for file in (tmp_path / "cache" / name).iterdir():
            (root / name / file.name).symlink_to(file)
    with pytest.raises(DataError) as refused:
        read(root)
    command = shlex.split(str(refused.value).split("name the copy: ")[1])
    assert command[:2] == ["cp", "-RL"]
    subprocess.run(command, check=True)
    assert read(Path(command[-1])).digest == read(tmp_path / "cache").digest


# --- how many of each class ----------------------------------------------------------------------


def test_counts_by_number_table_minimum_and_not_at_all():
    def said(stated: object) -> list[str]:
        return [str(each) for each in counts_of(stated, CLASSES).values()]  # type: ignore[arg-type]

    assert said(5) == ["5", "5"]
    assert said({"basophil": 3, "monocyte": 207}) == ["3", "207"]
    assert said({"minimum": 20}) == ["at least 20", "at least 20"]
    assert said(None) == ["at least 1", "at least 1"]


@pytest.mark.parametrize("stated", [0, -1, 2.5, True, "many", {}, {"basophil": 0}, {"minimum": None}, [3]])
def test_what_is_no_count_is_refused(stated):
    with pytest.raises(ValueError, match="a whole number of at least 1, a table with one for each class"):
        check_counts(stated)


@pytest.mark.parametrize("stated", [{"basophil": 3}, {"minimum": 3, "basophil": 3}, {"basophil": 3, "monocytes": 3}])
def test_a_table_of_counts_names_every_class_and_no_other(stated):
    with pytest.raises(ValueError, match="give every class its number"):
        counts_of(stated, CLASSES)


def test_of_predictions_that_exist_no_part_is_drawn_and_test_alone_will_do(tmp_path):
    found = read(make(tmp_path, [*cells("train", n=8), *cells("test", n=3)]), parts={})
    split = split_by_folders(found, PLAN, draws=False)
    assert [len(split.part(part)) for part in ("train", "validation", "test")] == [16, 0, 6]
    assert check_split(split, found, PLAN)["split_size_mismatches"] == ()
    alone = read(make(tmp_path / "alone", cells("test")), parts={})
    assert len(split_by_folders(alone, PLAN, draws=False).test) == 8
    checks = check_split(split_by_folders(alone, PLAN, draws=False), alone, PLAN)
    assert all(problems == () for problems in checks.values())


def test_of_predictions_one_train_image_of_a_class_is_enough(tmp_path):
    # No validation part was drawn of train, so none needs to be drawn to ask whether it would be the same again.
    one = [*cells("train", n=1), *cells("test", n=3)]
    found = read(make(tmp_path, one), parts={})
    with pytest.raises(DataError, match="1 images from 1 distinct images"):
        draw_split(found, PLAN)
    split = split_by_folders(found, PLAN, draws=False)
    assert all(problems == () for problems in check_split(split, found, PLAN).values())


@pytest.mark.parametrize(("name", "other"), [("train", "training"), ("test", "testing"), ("Validation", "val")])
def test_a_class_that_is_called_as_the_part_above_it_is_refused_with_a_name_that_would_do(tmp_path, name, other):
    root = make(tmp_path / "vehicles", cells("train", "test", name, names=(name, "car")))
    with pytest.raises(
        DataError, match=rf"'{name}' holds class folders .* Rename the folder of the part, to '{other}'"
    ):
        read_manifest(root, name="dataset", classes=(name, "car"), workers=1, names=SetNames(), parts={})
    (root / name).rename(root / other)
    parts = read_manifest(root, name="dataset", classes=(name, "car"), workers=1, names=SetNames(), parts={})
    assert {image.label for image in parts.images} == {name, "car"}
    assert {image.part for image in parts.images} >= {"train", "test"}


def test_a_class_that_is_called_as_a_part_may_be_divided_below(tmp_path):
    root = make(tmp_path / "vehicles", cells("car", "bus", names=("train", "test")))
    read_ = read_manifest(root, name="dataset", classes=("car", "bus"), workers=1, names=SetNames(), parts={})
    assert {image.part for image in read_.images} == {"train", "test"}
    flat = make(tmp_path / "flat", [f"{name}/{i}.png" for name in ("train", "car") for i in range(4)])
    assert len(read_manifest(flat, name="dataset", classes=("train", "car"), workers=1, parts={}).images) == 8
