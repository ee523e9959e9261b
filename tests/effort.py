"""How hard the tests look: by default what takes minutes in all, with `--runslow` every test, with `--all` to the end.

A test is slow that makes a run of its own, or that takes some three seconds alone; CI runs these too. Of random
examples and planted failures a share is tried, unless `--all` asks for each; a few tests of minutes run only with it.
`tests/conftest.py` sets `EVERYTHING` before it collects any test module, so that a decorator may ask.
"""

from __future__ import annotations

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


def is_slow(item: pytest.Item) -> bool:
    """Whether it says so, or asks for `tiny`, which makes a run each time that it is called."""
    return item.get_closest_marker("slow") is not None or "tiny" in getattr(item, "fixturenames", ())


def with_all(why: str) -> pytest.MarkDecorator:
    """A test of minutes that another one stands for by default."""
    return pytest.mark.skipif(not EVERYTHING, reason=f"only with --all: {why}")
