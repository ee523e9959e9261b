"""Cells that are left away or retouched after a look: seen where a set is scored whole, declared or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from example_run import example_run
from test_ledger import looked, sha
from test_looks import pictures

from harness.core.places import PROTOCOLS
from harness.data.records import labelled_digest
from harness.judge.amended import Change, changes_in
from harness.judge.dropped import Dataset, Dropped, dropped_of_dataset, dropped_pictures, not_in_ledger
from harness.judge.labels import picture_of
from harness.judge.ledger import read_ledger
from harness.judge.likenesses import pack_likenesses
from harness.judge.pictures import MOST_PICTURES, pack_pictures, unpack_pictures
from harness.judge.rules import KNOWN, RULES, Rules
from harness.judge.same_pictures import Shown
from harness.protocol.adaptation import AdaptationPlan
from harness.protocol.amendments import Amendment
from harness.protocol.file import read_protocol
from harness.report.amended import change_told, to_write
from harness.report.sentences import conclusion

PROTOCOL = read_protocol(PROTOCOLS / "leukocyte.toml")
SET = PROTOCOL.external[0].name
TEN = "abcdefghij"
BEFORE = replace(RULES, parts_kept=None, detected_by_group=None, firsts_kept=None)  # the judge of decision 0080


def look_at(path: Path, run: str, names: str, *, of: str = SET, role: str = "judged") -> None:
    looked(
        path,
        run=run,
        set=of,
        source=sha(f"{of} with {names}"),
        cells=sha(f"{of} {names}"),
        pictures=pictures(*names),
        predictions=sha(run),
        n=len(names),
        role=role,
    )


def dropped(path: Path, *, protocol=PROTOCOL, split=None, rules: Rules = RULES) -> list[Change]:
    found = changes_in(protocol, read_ledger(path), run="later", split=split, rules=rules)
    return [change for change in found if change.of_cells]


def gone_from(path: Path, *, protocol=PROTOCOL, split=None) -> list[tuple[str, str, int, int, int]]:
    found = dropped_pictures(protocol, read_ledger(path), run="later", split=split, rules=RULES)
    return [(each.set, each.run, each.n, each.n_gone, each.n_anew) for each in found]


def test_cells_that_are_dropped_after_a_look_are_an_amendment_of_the_data(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN)
    look_at(path, "later", "abcdefgh")
    (change,) = dropped(path)
    assert (change.key, change.undeclared, change.of_data, change.run) == (f"cells.{SET}", True, True, "first")
    assert change_told(change).startswith(
        f'cells.{SET} was {{"pictures":10}} when {SET} was first looked at (run first'
    )
    assert '"gone":2' in change.new
    assert f'key = "cells.{SET}"' in "\n".join(to_write([change]))


def test_they_can_be_declared_and_then_count_for_this_choice_of_cells_alone(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN)
    look_at(path, "later", "abcdefgh")
    (found,) = dropped_pictures(PROTOCOL, read_ledger(path), run="later", split=None, rules=RULES)
    declared = Amendment(
        key=f"cells.{SET}",
        old={"pictures": 10},
        new={"gone": 2, "which": found.digest},
        reason="two frames are out of focus",
        owner="A. Person",
        day=date(2026, 1, 15),
    )
    amended = PROTOCOL.model_copy(update={"amendments": (declared,)})
    assert [change.undeclared for change in dropped(path, protocol=amended)] == [False]
    other = tmp_path / "other.jsonl"
    look_at(other, "first", TEN)
    look_at(other, "later", "cdefghij")
    assert [change.undeclared for change in dropped(other, protocol=amended)] == [True]


@pytest.mark.parametrize("now", [TEN, f"{TEN}kl", "abcuvwxyz", "klmnopqrst"])
def test_the_same_cells_more_of_them_and_another_set_are_no_change(now, tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN)
    look_at(path, "later", now)
    assert dropped(path) == []  # "abc" of ten is less than a third: a set that took some over


def test_cells_that_came_later_are_fixed_by_the_look_that_showed_them_first(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", "abcdefgh")
    look_at(path, "second", TEN)
    look_at(path, "later", "abcdefgi")
    assert gone_from(path) == [(SET, "first", 8, 1, 0), (SET, "second", 10, 1, 0)]


def test_a_drawn_part_says_nothing_and_one_that_comes_as_a_folder_does(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN, of="test")
    look_at(path, "later", "abcdefgh", of="test")
    assert dropped(path, split="drawn") == []  # they may be in train now
    parts = PROTOCOL.dataset.model_copy(update={"parts": {"train": "train", "test": "test"}})
    assert [each.key for each in dropped(path, protocol=PROTOCOL.model_copy(update={"dataset": parts}))] == [
        "cells.test"
    ]


@pytest.mark.parametrize("split", ["undivided", "file", "folders"])
def test_nobody_draws_a_part_that_a_table_or_folders_divide_or_nothing_does(split, tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN, of="test")
    look_at(path, "later", "abcdefgh", of="test")
    assert [each.key for each in dropped(path, split=split)] == ["cells.test"]
    assert dropped(path, split=split, rules=BEFORE) == []
    assert BEFORE in KNOWN


@pytest.mark.parametrize(("now", "n_gone"), [("abc", 7), ("abcuvw", 7), ("abcuvwx", 0)])
def test_a_few_that_are_chosen_from_a_look_are_no_other_set(now, n_gone, tmp_path: Path):
    """Of ten the three that were right: less than a third, and half or more of what is shown now."""
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN)
    look_at(path, "later", now)
    assert [each[3] for each in gone_from(path)] == ([n_gone] if n_gone else [])
    assert dropped(path, rules=BEFORE) == []


def test_steps_of_which_each_drops_little_are_told_of_the_first_look(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    for run, names in (("first", TEN), ("second", "abcdefgh"), ("third", "abcdef"), ("later", "abcd")):
        look_at(path, run, names)
    assert gone_from(path) == [(SET, "first", 10, 6, 0)]


@pytest.fixture
def to_adapt():
    """The protocol, with a classifier to adapt to its external set."""
    plan = AdaptationPlan.model_validate({"method": "head", "cells": 2, "seed": 1})
    first, *others = PROTOCOL.external
    return PROTOCOL.model_copy(update={"external": (first.model_copy(update={"adaptation": plan}), *others)})


def test_cells_that_a_classifier_is_adapted_with_are_not_dropped_and_others_are(to_adapt, tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN)  # by predictions: nobody can be adapted then
    look_at(path, "later", "abcdefgh")
    look_at(path, "later", "ij", role="fit")
    assert dropped(path, protocol=to_adapt) == []
    less = tmp_path / "less.jsonl"
    look_at(less, "first", TEN)
    look_at(less, "later", "abcdef")
    look_at(less, "later", "ij", role="fit")
    assert gone_from(less, protocol=to_adapt) == [(SET, "first", 10, 2, 0)]
    assert dropped(less, protocol=to_adapt, rules=BEFORE) == []


def test_a_set_that_is_divided_in_two_is_told_of_the_one_that_kept_its_name(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN)
    look_at(path, "later", "abcdefgh")
    look_at(path, "later", "ij", of="rest")
    assert gone_from(path) == [(SET, "first", 10, 2, 0)]
    beside = tmp_path / "beside.jsonl"
    look_at(beside, "first", TEN)
    look_at(beside, "later", TEN)
    look_at(beside, "later", "abcde", of="some of them")
    assert gone_from(beside) == []
    renamed = tmp_path / "renamed.jsonl"
    look_at(renamed, "first", TEN)
    look_at(renamed, "later", "klmnopqrst")
    look_at(renamed, "later", "abcdefgh", of="the right ones")
    assert gone_from(renamed) == [("the right ones", "first", 10, 2, 0)]


def test_two_sets_that_exchange_their_names_drop_what_neither_is_asked_for(tmp_path: Path):
    """The wrong ones of the smaller set are a few of the larger one, which is called as the smaller one was."""
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", "abcdef")
    look_at(path, "first", "klmnopqrst", of="clinic")
    look_at(path, "later", "klmnopqrstf")
    look_at(path, "later", "abcde", of="clinic")
    assert gone_from(path) == [("clinic", "first", 6, 1, 0)]
    whole = tmp_path / "whole.jsonl"
    look_at(whole, "first", "abcdef")
    look_at(whole, "first", "klmnopqrst", of="clinic")
    look_at(whole, "later", "klmnopqrst")
    look_at(whole, "later", "abcdef", of="clinic")
    assert gone_from(whole) == []


def test_what_a_look_at_another_set_showed_is_fixed_by_the_looks_at_this_one(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "before", "ijauvwxyz", of="clinic")
    look_at(path, "first", TEN)
    look_at(path, "later", "abcdefgh")
    assert gone_from(path) == [(SET, "first", 10, 2, 0)]
    assert dropped(path, rules=replace(RULES, firsts_kept=None)) == []


def test_two_sets_that_are_joined_drop_nothing(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", "abcdefgh")
    look_at(path, "first", "ijklmn", of="clinic")
    look_at(path, "later", "abcdefghijklmn")
    assert gone_from(path) == []


def test_pictures_that_are_retouched_until_they_are_right_are_a_change_of_the_data(tmp_path: Path):
    """Known again by how they look, they were the same cells, and nothing was said of their other pixels."""
    drawn = np.random.default_rng(5)
    coarse = drawn.normal(128, 60, (10, 8, 8)).clip(0, 255)
    shown = np.kron(coarse, np.ones((8, 8))).astype(np.uint8)
    retouched = shown.copy()
    retouched[-2:, 30:34, 30:34] ^= 3
    path = tmp_path / "ledger.jsonl"
    for run, pictures_ in (("first", shown), ("later", retouched)):
        digests = [sha(each.tobytes().hex()) for each in pictures_]
        looked(
            path,
            run=run,
            set=SET,
            source=sha(run),
            cells=sha(f"cells of {run}"),
            pictures=pack_pictures(digests),
            likenesses=pack_likenesses(zip(digests, pictures_, strict=True)),
            predictions=sha(f"answers of {run}"),
            n=10,
        )
    assert gone_from(path) == [(SET, "first", 10, 0, 2)]
    (change,) = dropped(path)
    assert '"anew":2' in change.new and '"gone":0' in change.new
    assert dropped(path, rules=BEFORE) == []


def test_a_set_larger_than_a_ledger_keeps_may_grow(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    for run, n in (("first", MOST_PICTURES), ("later", MOST_PICTURES + 9_000)):
        digests = [sha(str(number)) for number in range(n)]
        looked(
            path,
            run=run,
            set=SET,
            source=sha(run),
            cells=sha(f"cells of {run}"),
            pictures=pack_pictures(digests),
            predictions=sha(f"answers of {run}"),
            n=n,
        )
    assert gone_from(path) == []
    assert dropped(path, rules=BEFORE) != []


def dataset_of(names: str, *, written_anew: str = "", labelled: str = "") -> Dataset:
    """These pictures, some of them in files with other bytes, or under another label."""
    cells = {
        picture_of(sha(name)): [
            (
                sha(f"file of {name}, anew" if name in written_anew else f"file of {name}"),
                "b" if name in labelled else "a",
            )
        ]
        for name in names
    }
    return Dataset(Shown(unpack_pictures(pictures(*names)), None), cells)


def look_at_part(path: Path, run: str, names: str) -> None:
    """A look at the test part, whose cells are those of `dataset_of`."""
    looked(
        path,
        run=run,
        set="test",
        source=sha("dataset"),
        cells=labelled_digest((sha(f"file of {name}"), "a") for name in names),
        pictures=pictures(*names),
        predictions=sha(run),
        n=len(names),
    )


def test_a_picture_that_other_bytes_or_another_label_draw_into_train_is_a_change(tmp_path: Path):
    """The draw goes by content: a file of the same picture, with a comment that suits, is in train."""
    path = tmp_path / "ledger.jsonl"
    look_at_part(path, "first", TEN)
    look_at_part(path, "later", "abcdefghxy")

    def moved(names: str, **other: str) -> list[tuple[int, int, int | None]]:
        whole = dataset_of(names, **other)
        found = dropped_of_dataset(read_ledger(path), run="later", split="drawn", dataset=lambda: whole)
        return [(each.n_gone, each.n_anew, each.n_moved) for each in found]

    more = "klmnopqrstuvwxyz"
    assert moved(TEN + more) == []  # more cells draw the boundaries anew
    assert moved(TEN + more, written_anew="ij") == [(0, 0, 2)]
    assert moved(TEN + more, labelled="j") == [(0, 0, 2)]
    assert moved("abcdefghi" + more) == [(1, 0, 1)]
    assert moved(TEN + more, written_anew=more, labelled=more) == []  # of train and of new cells no look knows
    (found,) = dropped_of_dataset(
        read_ledger(path), run="later", split="drawn", dataset=lambda: dataset_of(TEN + more, written_anew="ij")
    )
    assert not_in_ledger(found, read_ledger(path), run="later") == ""
    assert "or moved, not 3" in not_in_ledger(replace(found, n_moved=3), read_ledger(path), run="later")
    (change,) = changes_in(PROTOCOL, read_ledger(path), run="later", split="drawn", dropped=[found])
    assert change.undeclared and change.key == "cells.test" and '"moved":2' in change.new
    run = example_run()
    shown = replace(run, dropped=(found,), changes=(*run.changes, change))
    assert "and no amendment declares it: cells.test" in conclusion(shown)
    assert "moved = 2" in "\n".join(to_write([change]))


def test_of_a_part_that_is_drawn_a_picture_must_be_in_the_dataset_still(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at_part(path, "first", TEN)
    look_at_part(path, "later", "abcdefxy")  # "g" to "j" are gone from test
    ledger = read_ledger(path)

    def gone(names: str, split: str = "drawn") -> list[tuple[str, int, int]]:
        found = dropped_of_dataset(ledger, run="later", split=split, dataset=lambda: dataset_of(names))
        return [(each.set, each.n, each.n_gone) for each in found]

    assert gone("abcdefghijklmnopqrstuvwxyz") == []  # they are in train now
    assert gone("abcdefghklmnopqrstuvwxyz") == [("test", 10, 2)]
    assert gone("klmnopqrstuvwxyz") == []  # another dataset
    assert gone("abcdefghklmnopqrstuvwxyz", split="file") == []  # which the ledger tells


def test_a_dataset_is_not_looked_through_where_every_picture_is_in_its_part(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN, of="test")
    look_at(path, "later", f"{TEN}kl", of="test")

    def nobody_asks() -> Shown:
        raise AssertionError

    assert dropped_of_dataset(read_ledger(path), run="later", split="drawn", dataset=nobody_asks) == ()


def test_a_drawn_part_is_declared_like_any_other_set(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at_part(path, "first", TEN)
    look_at_part(path, "later", "abcdefxy")
    ledger = read_ledger(path)
    gone = dropped_of_dataset(ledger, run="later", split="drawn", dataset=lambda: dataset_of("abcdefghxyz"))
    (change,) = [e for e in changes_in(PROTOCOL, ledger, run="later", split="drawn", dropped=gone) if e.of_cells]
    assert (change.key, change.undeclared, change.run) == ("cells.test", True, "first")
    declared = Amendment(
        key="cells.test",
        old={"pictures": 10},
        new={"gone": 2, "moved": 2, "which": gone[0].digest},
        reason="two frames are out of focus",
        owner="A. Person",
        day=date(2026, 1, 15),
    )
    amended = PROTOCOL.model_copy(update={"amendments": (declared,)})
    found = changes_in(amended, ledger, run="later", split="drawn", dropped=gone)
    assert [each.undeclared for each in found if each.of_cells] == [False]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({}, ""),
        ({"n_gone": 3}, ""),  # of four that are not in the part: the ledger cannot tell where the fourth is
        ({"n_anew": 3}, "4 pictures at most are dropped or have other pixels, not 5"),
        ({"n_gone": 0}, "4 pictures at most are dropped or have other pixels, not 0"),
        ({"n": 11}, "no look of run first showed 11 pictures of test"),
        ({"run": "another"}, "no look of run another showed 10 pictures of test"),
        ({"set": SET}, f"no look of run first showed 10 pictures of {SET}"),
    ],
)
def test_what_a_pack_says_of_a_dataset_is_held_against_its_ledger(edit, says, tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN, of="test")
    look_at(path, "later", "abcdefxy", of="test")
    ledger = read_ledger(path)
    recorded = Dropped("test", 10, 2, 0, "0" * 16, "first", ledger[0].time)
    problem = not_in_ledger(replace(recorded, **edit), ledger, run="later")
    assert problem.startswith(says) if says else problem == ""


def test_a_run_of_a_judge_that_did_not_ask_is_as_it_was(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN)
    look_at(path, "later", "abcdefgh")
    assert dropped(path, rules=Rules()) == []


def test_a_flawless_second_look_at_the_cells_that_were_right_is_what_this_is_about():
    """Of 375 cells at a floor of 0.98, eight errors: without these cells a second look passes, whoever judges it."""
    from harness.judge.criteria import parts_at
    from harness.metrics.intervals import clopper_pearson_bounds
    from harness.metrics.multiplicity import level_of_part

    parts = parts_at(2, PROTOCOL.looks)
    assert parts is not None
    level = level_of_part(level=0.95, parts=parts)
    assert clopper_pearson_bounds(367, 375, level=level)[0] < 0.98 <= clopper_pearson_bounds(367, 367, level=level)[0]
