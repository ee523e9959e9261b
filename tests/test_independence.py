"""Leakage lines and dependent sets: what each finding is said of, and of what it is not."""

from __future__ import annotations

from dataclasses import dataclass

from drawn import CLASSES

from harness.data.leakage import DuplicatePair, ListedImage
from harness.data.records import CellImage, Split
from harness.metrics.leakage import dependent_sets, leakage, made_of_the_dataset
from harness.metrics.shortcuts import ShortcutFinding, ShortcutReport

NOTHING = ShortcutReport((), 0, (), None, (), 0.01, ())


def pair(first: tuple[str, str, str], second: tuple[str, str, str]) -> DuplicatePair:
    return DuplicatePair(ListedImage(*first), ListedImage(*second), "near", "rotated 90", 0.99, 0.98)


def split_of(**parts: list[str]) -> Split:
    def cells(names: list[str]) -> tuple[CellImage, ...]:
        return tuple(CellImage(name, CLASSES[0], f"{hash(name) % 16**8:064x}", 1) for name in names)

    return Split(cells(parts["train"]), cells(parts["validation"]), cells(parts["test"]), "by hand")


SPLIT = split_of(train=["a.png", "b.png"], validation=["c.png"], test=["d.png"])


def test_a_pair_within_one_part_leaks_nothing_and_is_counted_there():
    found = dict(leakage([pair(("dataset", "a.png", "x"), ("dataset", "b.png", "x"))], NOTHING, SPLIT))
    assert len(found.pop("repeated_pictures")) == 1
    assert set(found.values()) == {()}


def test_a_pair_in_two_parts_is_named_with_both():
    found = leakage([pair(("dataset", "a.png", "x"), ("dataset", "d.png", "x"))], NOTHING, SPLIT)
    (line,) = found["duplicates_across_parts"]
    assert line.startswith("train and test share a picture: 'a.png' (dataset, x) and 'd.png' (dataset, x): rotated 90")
    assert found["duplicates_across_sets"] == found["label_conflicts"] == ()


def test_a_label_conflict_counts_where_the_dataset_has_a_part_in_it():
    inside = pair(("dataset", "a.png", "x"), ("dataset", "b.png", "y"))
    across = pair(("dataset", "a.png", "x"), ("elsewhere", "z.png", "y"))
    outside = pair(("elsewhere", "y.png", "x"), ("elsewhere", "z.png", "y"))
    found = leakage([inside, across, outside], NOTHING, SPLIT)
    assert len(found["label_conflicts"]) == 2
    assert all("LABEL CONFLICT" in line for line in found["label_conflicts"])
    assert len(found["duplicates_across_sets"]) == 1


def test_a_class_linked_header_is_named_with_its_images():
    finding = ShortcutFinding(
        facts=(("size", "366x369"),),
        counts=(("basophil", 2), ("neutrophil", 0)),
        expected=(("basophil", 1.0), ("neutrophil", 1.0)),
        linked="neutrophil",
        p_value=1e-5,
        p_adjusted=2e-5,
        paths=("a.png", "b.png"),
    )
    report = ShortcutReport((), 3, (finding,), None, (), 0.01, ())
    (line,) = leakage([], report, SPLIT)["class_linked_headers"]
    assert "2 images share size 366x369" in line
    assert line.endswith("Images: a.png, b.png")


@dataclass
class Origin:
    may_count_as_external: bool
    reason: str


def test_a_set_is_dependent_by_its_chain_or_by_its_pictures():
    provenance = {"twin": Origin(False, "all share the source's encoder"), "far": Origin(True, "nothing is shared")}
    assert dependent_sets([], provenance, {}) == {"twin": "all share the source's encoder"}
    shared = [pair(("dataset", "a.png", "x"), ("far", "z.png", "x"))]
    found = dependent_sets(shared, provenance, {})
    assert sorted(found) == ["far", "twin"]
    assert found["far"].startswith("it shares pictures with the dataset, first 'a.png' (dataset, x)")


def test_a_set_is_made_of_the_dataset_where_more_than_a_stray_image_shows_its_pictures():
    shared = [pair(("dataset", f"{n}.png", "x"), ("far", f"{n}.png", "x")) for n in range(3)]
    again = pair(("dataset", "again.png", "x"), ("far", "0.png", "x"))  # the same image of the set, found twice
    between = pair(("far", "1.png", "x"), ("third", "1.png", "x"))
    assert made_of_the_dataset([shared[0], again, between], "far", 20) is None
    told = made_of_the_dataset([*shared[:2], again], "far", 20)
    assert told is not None and told.startswith("2 of its 20 images show pictures of the dataset, first '0.png'")
    assert made_of_the_dataset(shared, "third", 20) is None


def test_two_external_sets_that_share_a_picture_say_nothing_of_the_dataset():
    assert dependent_sets([pair(("one", "a.png", "x"), ("other", "z.png", "x"))], {}, {}) == {}


def test_a_set_that_names_the_dataset_s_patients_is_not_shown_to_be_independent():
    units = {
        "dataset": {"patient:7", "patient:8", "content:aa"},
        "near": {"patient:8", "patient:9"},
        "far": {"patient:far-8", "slide:7"},
        "unnamed": {"content:aa"},
    }
    found = dependent_sets([], {}, units)
    assert list(found) == ["near"]
    assert "1 of the dataset's patients or slides, first 'patient:8'" in found["near"]
