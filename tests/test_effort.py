"""Which tests wait for `--runslow`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from effort import RUNS_AGAIN, quick

import conftest

slow = pytest.mark.slow


def cases_of(name: str, n: int, *, mark: pytest.MarkDecorator | None = None, asks: str = "tmp_path") -> list[Any]:
    return [
        SimpleNamespace(
            path=Path("test_room.py"),
            name=f"{name}[{case}]",
            originalname=name,
            fixturenames=(asks,),
            get_closest_marker={"slow": mark and mark.mark}.get,
        )
        for case in range(n)
    ]


def names(items: list[Any]) -> list[str]:
    return [item.name for item in items]


def test_what_is_marked_or_makes_runs_waits_and_the_rest_does_not():
    assert hasattr(conftest, RUNS_AGAIN)
    plain, marked, runs = cases_of("plain", 2), cases_of("marked", 2, mark=slow), cases_of("runs", 1, asks=RUNS_AGAIN)
    kept, left_out = quick([*marked, *plain, *runs])
    assert (names(kept), names(left_out)) == (names(plain), names([*marked, *runs]))


@pytest.mark.parametrize(("n_cases", "kept"), [(1, [0]), (3, [0]), (4, [0, 3]), (8, [0, 3, 6])])
def test_of_many_cases_one_in_so_many_stays_and_the_first_always(n_cases: int, kept: list[int]):
    other = cases_of("other", 2, mark=slow(but_one_in=3))
    many = cases_of("many", n_cases, mark=slow(but_one_in=3))
    assert names(quick([*many, *other])[0]) == [f"many[{case}]" for case in kept] + ["other[0]"]


def test_no_case_is_lost():
    items = [*cases_of("one", 5, mark=slow(but_one_in=2)), *cases_of("two", 3, mark=slow), *cases_of("three", 2)]
    kept, left_out = quick(items)
    assert sorted(names([*kept, *left_out])) == sorted(names(items))
