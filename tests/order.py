"""In which order modules are tested: those that take minutes first, or the last of them keeps one worker alone at work.

pytest-xdist would begin with the modules of most tests; those of whole runs have few tests, and each takes long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

# Who asks for one of these makes whole runs.
RUNS = frozenset({"first_run", "place"})
# They take as long. The first makes `first_run`, for which the next, that take longer, do not ask.
LONG = (
    *("test_parity", "test_other_tasks", "test_verify", "test_wheel", "test_ci_examples", "test_texts"),
    *("test_tutorials", "test_leakage", "test_reproduction", "test_trained_architectures", "test_training"),
)


def longest_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests module by module: those of LONG, those that make runs, then the others from most tests to fewest."""
    running = {item.path for item in items if RUNS.intersection(item.fixturenames)}  # type: ignore[attr-defined]
    tests = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, int, str]:
        rank = LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG) + (item.path not in running)
        return rank, -tests[item.path], str(item.path)

    return sorted(items, key=place)
