"""Each second of a run stands with one step, and what is told adds up to the whole."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.spent import MOST_TOLD, Spent, spent_told


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_step_s_seconds_are_without_those_of_the_steps_that_it_asked_for():
    clock = Clock()
    spent = Spent(clock)
    with spent.on("verdict"):
        clock.now += 1
        with spent.on("training"):
            clock.now += 5
            with spent.on("split"):
                clock.now += 2
        clock.now += 3
        with spent.on("split"):
            clock.now += 0.5
    assert spent.seconds == {"split": 2.5, "training": 5, "verdict": 4}


def test_a_step_that_fails_has_its_seconds_too():
    clock = Clock()
    spent = Spent(clock)

    def fail() -> None:
        clock.now += 7
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), spent.on("whole"), spent.on("part"):
        fail()
    assert spent.seconds == {"part": 7, "whole": 0}


def test_a_step_is_kept_only_where_all_of_it_was():
    spent = Spent()
    for step, kept in (("training", True), ("training", False), ("copies", True), ("export", False)):
        spent.found(step, kept=kept)
    spent.seconds = {"training": 5.0, "copies": 4.0, "export": 3.0, "split": 2.0}
    assert spent_told(spent, total_s=20.0) == [
        "where 20 s went:",
        "       5.0 s   25%  training, made now",
        "       4.0 s   20%  copies, kept from before",
        "       3.0 s   15%  export, made now",
        "       2.0 s   10%  split",
        "       6.0 s   30%  all else, imports among it",
    ]


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(0, 1e4), max_size=20), st.floats(0, 1e4))
def test_what_is_told_adds_up(seconds: dict[str, float], rest: float):
    total = sum(seconds.values()) + rest
    told = spent_told(Spent(seconds=seconds), total_s=total)
    if total == 0:
        assert told == []
        return
    shown = [float(re.match(r"\s+([\d.]+) s", line)[1]) for line in told[1:]]  # type: ignore[index]
    assert sum(shown) == pytest.approx(total, abs=0.05 * len(shown) + 1e-6 * total)
    assert len(shown) <= MOST_TOLD + 1
