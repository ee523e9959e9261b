"""How hard the tests look: by default what takes minutes in all, with `--runslow` every test, with `--all` to the end.

A test is slow that makes a run of its own, or that takes some three seconds alone; CI runs these too. Of random
examples and planted failures a share is tried, unless `--all` asks for each; a few tests of minutes run only with it.
`tests/conftest.py` sets `EVERYTHING` before it collects any test module, so that a decorator may ask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import cycle, product
from typing import TypeVar

import pytest

Item, Other = TypeVar("Item"), TypeVar("Other")

EVERYTHING = False
SHARE = 8  # by default one of so many
FEWEST = 10
USUAL = 30  # random examples where a test does not say how many; Hypothesis's own 100 with `--all`


def examples(n: int) -> int:
    """How many random examples to try of the n that `--all` tries."""
    return n if EVERYTHING else min(n, max(FEWEST, n // SHARE))


def spread(places: Sequence[Item]) -> Sequence[Item]:
    """The places to break, of all that there are: by default some, from the first to near the last."""
    if EVERYTHING or len(places) <= FEWEST:
        return places
    return places[:: min(SHARE, len(places) // FEWEST)]


def paired(cases: Sequence[Item], others: Sequence[Other]) -> list[tuple[Item, Other]]:
    """Every case with one of the others, each of these in its turn; with each of them by `--all`."""
    if EVERYTHING:
        return [*product(cases, others)]
    return [*zip(cases, cycle(others), strict=False)]


def quick(items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The tests that are not slow, and those that are.

    Slow is what is marked so. Of the cases of one that is marked `slow(but_one_in=n)` the first, the one n after it,
    and so on are not.
    """
    found: tuple[list[pytest.Item], list[pytest.Item]] = ([], [])
    cases = Counter[tuple[object, ...]]()
    for item in items:
        test = (item.path, getattr(item, "originalname", item.name))
        found[_is_slow(item, case=cases[test])].append(item)
        cases[test] += 1
    return found


def _is_slow(item: pytest.Item, *, case: int) -> bool:
    mark = item.get_closest_marker("slow")
    if mark is None:
        return False
    n = mark.kwargs.get("but_one_in")
    return n is None or case % n > 0


def with_all(why: str) -> pytest.MarkDecorator:
    """A test of minutes that another one stands for by default."""
    return pytest.mark.skipif(not EVERYTHING, reason=f"only with --all: {why}")
