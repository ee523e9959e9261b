"""The split of a pack is the one that its source makes; what cannot be compared is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness import __version__
from harness.data.records import CellImage, Manifest, Reading, Split, sorted_by_path
from harness.data.split import split_by_folders, split_stratified, undivided
from harness.pack.split_check import TAKEN, Found, check_source, source_of
from harness.protocol.datasets import SplitPlan

CLASSES = ("basophil", "monocyte")
ORIGINS = {
    "drawn": "stratified, seed 1",
    "file": "read from split.csv",
    "folders": "part folders train (train), test (test)",
    "undivided": "not divided: every cell is judged as test",
}
PLAN = SplitPlan(train=0.6, validation=0.2, test=0.2, seed=1)


def listed(*folders: str, n: int = 8) -> Manifest:
    """n cells of each class in each part folder; without a folder, n of each class."""
    reading = Reading(parts={folder: folder for folder in folders})
    paths = [f"{folder}/{name}/{i}.png" for folder in folders for name in CLASSES for i in range(n)]
    paths = paths or [f"{name}/{i}.png" for name in CLASSES for i in range(n)]
    images = [CellImage(p, p.split("/")[-2], f"{i:064x}", 9, part=reading.part_of(p)) for i, p in enumerate(paths)]
    return Manifest("dataset", Path(), CLASSES, sorted_by_path(images), reading=reading)


def moved(split: Split, *, out_of: str, into: str, n: int = 1) -> Split:
    """The first n images of a part in another one."""
    images = split.part(out_of)
    parts = {out_of: images[n:], into: sorted_by_path((*split.part(into), *images[:n]))}
    return replace(split, **parts)


def found_in(split: Split, manifest: Manifest, *, draws: bool = True, drawn_by: str = __version__) -> list[Found]:
    return check_source(split, manifest, PLAN, draws=draws, drawn_by=drawn_by)[0]


@pytest.mark.parametrize("folders", [("train", "validation", "test"), ("train", "test")])
def test_an_image_outside_its_part_folder_is_found_whatever_version_wrote_it(folders: tuple[str, ...]):
    manifest = listed(*folders)
    split = split_by_folders(manifest, PLAN)
    assert check_source(split, manifest, PLAN, draws=True, drawn_by=__version__) == ([], [])
    told = f"'test/basophil/0.png' is in train, {split.origin!r} puts it into test; 1 more are elsewhere, too"
    for version in (__version__, "0.0.7"):
        forged = moved(split, out_of="test", into="train", n=2)
        assert found_in(forged, manifest, drawn_by=version) == [("data_split.csv", "split", told)]
    assert found_in(moved(split, out_of="test", into="validation"), manifest)


def test_an_image_that_a_pack_lists_outside_of_all_part_folders_is_found():
    manifest = listed("train", "test")
    split = split_by_folders(manifest, PLAN)
    outside = CellImage("elsewhere/monocyte/0.png", "monocyte", "f" * 64, 9)
    ((file, field, told),) = found_in(split, replace(manifest, images=sorted_by_path((*manifest.images, outside))))
    assert (file, field) == ("data_split.csv", "split")
    assert "1 images in no part folder, such as 'elsewhere/monocyte/0.png'" in told


def test_a_train_image_in_validation_may_be_drawn_by_another_version_but_only_where_one_was_drawn():
    halves, stated = listed("train", "test"), listed("train", "validation", "test")
    for manifest in (halves, stated):
        forged = moved(split_by_folders(manifest, PLAN), out_of="train", into="validation")
        assert [field for _, field, _ in found_in(forged, manifest)] == ["split"]
        assert bool(found_in(forged, manifest, drawn_by="0.0.7")) == (manifest is stated)


def test_of_predictions_that_existed_no_part_was_drawn():
    manifest = listed("train", "test")
    asis = split_by_folders(manifest, PLAN, draws=False)
    assert found_in(asis, manifest, draws=False) == []
    assert found_in(asis, manifest)  # a training needs a validation part
    assert found_in(split_by_folders(manifest, PLAN), manifest, draws=False)
    alone = listed("test")
    assert found_in(split_by_folders(alone, PLAN, draws=False), alone, draws=False) == []


def test_where_nobody_divided_the_cells_all_are_test():
    manifest = listed()
    assert found_in(undivided(manifest), manifest, draws=False) == []
    ((file, _, told),) = found_in(moved(undivided(manifest), out_of="test", into="train"), manifest, draws=False)
    assert file == "data_split.csv"
    assert told == "'basophil/0.png' is in train, 'not divided: every cell is judged as test' puts it into test"


def test_a_drawn_split_is_drawn_again_and_its_origin_with_it():
    manifest = listed()
    split = split_stratified(manifest, PLAN)
    assert found_in(split, manifest) == []
    assert found_in(moved(split, out_of="test", into="train"), manifest)
    ((file, field, told),) = found_in(replace(split, origin="stratified, seed 2"), manifest)
    assert (file, field) == ("evidence.json", "split > origin")
    assert told.startswith("'stratified, seed 2' is written, 'stratified, seed 1' follows from")


def test_a_split_that_nothing_could_have_drawn_is_found():
    manifest = listed(n=2)  # too few for three parts
    split = Split(manifest.images[:2], (), manifest.images[2:], "stratified, seed 1")
    ((_, field, told),) = found_in(split, manifest)
    assert field == "split"
    assert "such a split cannot be made: set 'dataset': class 'basophil' has 2 images" in told


def test_a_draw_of_another_version_is_not_compared_and_a_file_is_not_there():
    manifest = listed()
    split = split_stratified(manifest, PLAN)
    assert check_source(split, manifest, PLAN, draws=True, drawn_by="0.0.7") == ([], [])
    found, (said,) = check_source(
        moved(split, out_of="test", into="train"), manifest, PLAN, draws=True, drawn_by="0.0.7"
    )
    assert found == []
    assert "that harness 0.0.7 drew" in said
    assert f"is in train, harness {__version__} puts it into test" in said
    by_file = replace(split, origin="read from split.csv", source="file")
    assert check_source(by_file, manifest, PLAN, draws=True, drawn_by=__version__) == ([], [TAKEN])


@pytest.mark.parametrize(
    ("source", "folders", "draws", "follows"),
    [
        ("folders", (), True, "drawn"),
        ("undivided", (), True, "drawn"),
        ("drawn", (), False, "undivided"),
        ("drawn", ("train", "test"), True, "folders"),
        ("file", ("train", "test"), True, "folders"),
    ],
)
def test_a_source_that_the_images_or_what_was_judged_rule_out_is_found(source, folders, draws, follows):
    manifest = listed(*folders)
    split = replace(split_stratified(manifest, PLAN), source=source, origin=ORIGINS[source])
    told = f"{source!r} is written, {follows!r} follows from manifest.csv, the protocol and what was judged"
    assert found_in(split, manifest, draws=draws) == [("evidence.json", "split > source", told)]


@pytest.mark.parametrize("source", ["file", "folders", "undivided"])
def test_no_other_source_stands_beside_the_origin_of_a_draw(source):
    # Of a file nothing is compared: a page that shows a draw must not get by under its name.
    manifest = listed()
    split = replace(split_stratified(manifest, PLAN), source=source)
    told = f"{source!r} is written, and 'stratified, seed 1' as its origin"
    assert found_in(split, manifest) == [("evidence.json", "split > source", told)]


def test_the_source_of_an_older_pack_is_known_by_its_origin():
    assert {source: source_of(origin) for source, origin in ORIGINS.items()} == {source: source for source in ORIGINS}
    divided, whole = listed("train", "test"), listed()
    for split in (split_by_folders(divided, PLAN), split_stratified(whole, PLAN), undivided(whole)):
        assert source_of(split.origin) == split.source
