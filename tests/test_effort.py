"""Which tests wait for `--runslow`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from effort import quick

import conftest

slow = pytest.mark.slow


def cases_of(name: str, n: int, *, mark: pytest.MarkDecorator | None = None) -> list[Any]:
    return [
        SimpleNamespace(
            path=Path("test_room.py"),
            name=f"{name}[{case}]",
            originalname=name,
            get_closest_marker={"slow": mark and mark.mark}.get,
        )
        for case in range(n)
    ]


def names(items: list[Any]) -> list[str]:
    return [item.name for item in items]


def test_what_is_marked_waits_and_the_rest_does_not():
    plain, marked, why = (
        cases_of("plain", 2),
        cases_of("marked", 2, mark=slow),
        cases_of("why", 1, mark=slow(reason="x")),
    )
    kept, left_out = quick([*marked, *plain, *why])
    assert (names(kept), names(left_out)) == (names(plain), names([*marked, *why]))


def test_what_makes_runs_is_marked():
    assert hasattr(conftest, "tiny")
    given: list[str] = []
    for asked in ("tiny", "tmp_path"):
        conftest.pytest_itemcollected(SimpleNamespace(fixturenames=(asked,), add_marker=given.append))  # type: ignore[arg-type]
    assert given == ["slow"]


@pytest.mark.parametrize(
    ("args", "options", "everything"),
    [
        (["tests"], {}, False),
        (["tests"], {"--runslow": True}, True),
        (["tests"], {"--all": True}, True),
        (["tests/test_wheel.py"], {}, False),
        (["tests/test_wheel.py::test_a_run"], {}, True),
        (["tests"], {"markexpr": "slow"}, True),
        (["tests"], {"markexpr": "not slow"}, True),  # pytest leaves them out
    ],
)
def test_who_asks_for_slow_tests_gets_them(args: list[str], options: dict[str, object], everything: bool):
    said: dict[str, object] = {"--runslow": False, "--all": False, "markexpr": "", **options}
    config: Any = SimpleNamespace(args=args, getoption=said.__getitem__)
    assert (conftest.pytest_report_header(config) is None) is everything


@pytest.mark.parametrize(("n_cases", "kept"), [(1, [0]), (3, [0]), (4, [0, 3]), (8, [0, 3, 6])])
def test_of_many_cases_one_in_so_many_stays_and_the_first_always(n_cases: int, kept: list[int]):
    other = cases_of("other", 2, mark=slow(but_one_in=3))
    many = cases_of("many", n_cases, mark=slow(but_one_in=3))
    assert names(quick([*many, *other])[0]) == [f"many[{case}]" for case in kept] + ["other[0]"]


def test_no_case_is_lost():
    items = [*cases_of("one", 5, mark=slow(but_one_in=2)), *cases_of("two", 3, mark=slow), *cases_of("three", 2)]
    kept, left_out = quick(items)
    assert sorted(names([*kept, *left_out])) == sorted(names(items))
