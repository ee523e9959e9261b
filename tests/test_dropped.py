"""Cells that are left away after a look: seen where a set is scored whole, declared or not, and the count goes on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from test_ledger import looked, sha
from test_looks import pictures

from harness.core.places import PROTOCOLS
from harness.judge.amended import Change, changes_in
from harness.judge.dropped import dropped_pictures
from harness.judge.ledger import read_ledger
from harness.judge.rules import RULES, Rules
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
    (found,) = dropped_pictures(PROTOCOL, read_ledger(path), run="later")
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
    found = dropped_pictures(PROTOCOL, read_ledger(path), run="later")
    assert [(each.run, each.n, each.n_gone) for each in found] == [("first", 8, 1), ("second", 10, 1)]


def test_a_drawn_part_says_nothing_and_one_that_comes_as_a_folder_does(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", TEN, of="test")
    look_at(path, "later", "abcdefgh", of="test")
    assert dropped(path) == []  # they may be in train now
    parts = PROTOCOL.dataset.model_copy(update={"parts": {"train": "train", "test": "test"}})
    assert [each.key for each in dropped(path, protocol=PROTOCOL.model_copy(update={"dataset": parts}))] == [
        "cells.test"
    ]


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
