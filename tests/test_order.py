"""Modules that take minutes are tested first, and each as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from order import LONG, longest_first


def of(module: str, names: str, fixtures: Sequence[str] = ()) -> list[Any]:
    return [SimpleNamespace(path=Path(f"{module}.py"), name=name, fixturenames=(*fixtures,)) for name in names]


def test_modules_of_minutes_come_first_and_small_ones_last():
    one_run = [*of("test_run", "a"), *of("test_run", "b", ["tmp_path", "place"])]
    small, large, long = of("test_a_small", "a"), of("test_large", "abc"), of(LONG[1], "a")
    found = longest_first([*small, *one_run, *large, *long])
    assert [(item.path.stem, item.name) for item in found] == [
        (LONG[1], "a"),
        *(("test_run", name) for name in "ab"),  # in the order in which the module has them
        *(("test_large", name) for name in "abc"),
        ("test_a_small", "a"),
    ]


def test_every_module_that_is_named_is_there():
    assert [name for name in LONG if not Path(__file__).with_name(f"{name}.py").is_file()] == []
