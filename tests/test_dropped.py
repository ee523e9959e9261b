"""Cells that are left away after a look: seen where a set is scored whole, declared or not, and the count goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from test_ledger import looked, sha
from test_looks import pictures

from harness.core.places import PROTOCOLS
from harness.judge.amended import Change, changes_in
from harness.judge.dropped import Dropped, dropped_of_dataset, dropped_pictures, not_in_ledger
from harness.judge.ledger import read_ledger
from harness.judge.pictures import unpack_pictures
from harness.judge.rules import RULES, Rules
from harness.judge.same_pictures import Shown
from harness.protocol.amendments import Amendment
from harness.protocol.file import read_protocol
from harness.report.amended import change_told, to_write

PROTOCOL = read_protocol(PROTOCOLS / "leukocyte.toml")
SET = PROTOCOL.external[0].name
TEN = "abcdefghij"


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


def dropped(path: Path, *, protocol=PROTOCOL, rules: Rules = RULES) -> list[Change]:
    found = changes_in(protocol, read_ledger(path), run="later", rules=rules)
    return [change for change in found if change.of_cells]


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
    (found,) = dropped_pictures(PROTOCOL, read_ledger(path), run="later", division=None, rules=RULES)
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
    found = dropped_pictures(PROTOCOL, read_ledger(path), run="later", division=None, rules=RULES)
    assert [(each.run, each.n, each.n_gone) for each in found] == [("first", 8, 1), ("second", 10, 1)]


PARTS_NAMED = PROTOCOL.dataset.model_copy(update={"parts": {"train": "train", "test": "test"}})


@pytest.mark.parametrize("division", ["file", "folders", "undivided"])
def test_of_a_part_that_nobody_draws_a_picture_that_is_gone_is_dropped(division, tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN, of="test")
    look_at(path, "later", "abcdefgh", of="test")
    found = changes_in(PROTOCOL, read_ledger(path), run="later", division=division)
    assert [(each.key, each.undeclared) for each in found if each.of_cells] == [("cells.test", True)]
    before = replace(RULES, parts_kept=None)
    assert not any(
        each.of_cells for each in changes_in(PROTOCOL, read_ledger(path), run="later", division=division, rules=before)
    )
    named = PROTOCOL.model_copy(update={"dataset": PARTS_NAMED})
    assert [each.key for each in changes_in(named, read_ledger(path), run="later", rules=before) if each.of_cells] == [
        "cells.test"
    ]


def dataset_of(names: str) -> Shown:
    return Shown(unpack_pictures(pictures(*names)), None)


def test_of_a_part_that_is_drawn_a_picture_must_be_in_the_dataset_still(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN, of="test")
    look_at(path, "later", "abcdefxy", of="test")  # "g" to "j" are gone from test
    ledger = read_ledger(path)

    def gone(names: str, division: str = "drawn") -> list[tuple[str, int, int]]:
        found = dropped_of_dataset(ledger, run="later", division=division, dataset=lambda: dataset_of(names))
        return [(each.set, each.n, each.n_gone) for each in found]

    assert gone("abcdefghijklmnopqrstuvwxyz") == []  # they are in train now
    assert gone("abcdefghklmnopqrstuvwxyz") == [("test", 10, 2)]
    assert gone("klmnopqrstuvwxyz") == []  # another dataset
    assert gone("abcdefghklmnopqrstuvwxyz", division="file") == []  # which the ledger tells


def test_a_dataset_is_not_looked_through_where_every_picture_is_in_its_part(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN, of="test")
    look_at(path, "later", f"{TEN}kl", of="test")

    def nobody_asks() -> Shown:
        raise AssertionError

    assert dropped_of_dataset(read_ledger(path), run="later", division="drawn", dataset=nobody_asks) == ()


def test_a_drawn_part_is_declared_like_any_other_set(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN, of="test")
    look_at(path, "later", "abcdefxy", of="test")
    ledger = read_ledger(path)
    gone = dropped_of_dataset(ledger, run="later", division="drawn", dataset=lambda: dataset_of("abcdefghxyz"))
    (change,) = [e for e in changes_in(PROTOCOL, ledger, run="later", division="drawn", dropped=gone) if e.of_cells]
    assert (change.key, change.undeclared, change.run) == ("cells.test", True, "first")
    declared = Amendment(
        key="cells.test",
        old={"pictures": 10},
        new={"gone": 2, "which": gone[0].digest},
        reason="two frames are out of focus",
        owner="A. Person",
        day=date(2026, 1, 15),
    )
    amended = PROTOCOL.model_copy(update={"amendments": (declared,)})
    found = changes_in(amended, ledger, run="later", division="drawn", dropped=gone)
    assert [each.undeclared for each in found if each.of_cells] == [False]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({}, ""),
        ({"n_gone": 3}, ""),  # of four that are not in the part: the ledger cannot tell where the fourth is
        ({"n_gone": 5}, "4 pictures at most are gone, not 5"),
        ({"n_gone": 0}, "4 pictures at most are gone, not 0"),
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
    recorded = Dropped("test", 10, 2, "0" * 16, "first", ledger[0].time)
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
