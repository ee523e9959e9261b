"""Where did the time go? Seconds of each step, without those of the steps that it asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

LEAST_TOLD, MOST_TOLD = 0.01, 8


@dataclass(slots=True)
class Spent:
    """seconds: by step, each second with one step alone. kept: step -> whether all of it was there from before."""

    clock: Callable[[], float] = time.monotonic
    seconds: dict[str, float] = field(default_factory=dict)
    kept: dict[str, bool] = field(default_factory=dict)
    _inner: list[float] = field(default_factory=lambda: [0.0])

    @contextmanager
    def on(self, step: str) -> Iterator[None]:
        started = self.clock()
        self._inner.append(0.0)
        try:
            yield
        finally:
            took = self.clock() - started
            self.seconds[step] = self.seconds.get(step, 0.0) + took - self._inner.pop()
            self._inner[-1] += took

    def found(self, step: str, *, kept: bool) -> None:
        """The step asked for something that lies on disk, where it was kept from before or made now."""
        self.kept[step] = kept and self.kept.get(step, True)


def spent_told(spent: Spent, *, total_s: float) -> list[str]:
    """The longest steps, and what is left: imports, the suites' own tests, short steps."""
    if total_s <= 0:
        return []
    longest = sorted(spent.seconds.items(), key=lambda step: -step[1])[:MOST_TOLD]
    told = [(step, seconds) for step, seconds in longest if seconds >= LEAST_TOLD * total_s]
    rest = total_s - sum(seconds for _, seconds in told)
    lines = [_line(seconds, total_s, f"{step}{_how(spent.kept, step)}") for step, seconds in told]
    return [f"where {total_s:.0f} s went:", *lines, _line(max(rest, 0.0), total_s, "all else, imports among it")]


def _line(seconds: float, total_s: float, what: str) -> str:
    return f"  {seconds:8.1f} s {seconds / total_s:5.0%}  {what}"


def _how(kept: Mapping[str, bool], step: str) -> str:
    return "" if step not in kept else ", kept from before" if kept[step] else ", made now"
