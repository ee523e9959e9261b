"""How did one estimate move from run to run? A small drawing, and the same in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report import wording

if TYPE_CHECKING:
    from harness.report.history import Reading

# In units of the drawing, which is as wide as a phone.
WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 62, 10, 12, 24


@dataclass(frozen=True, slots=True)
class Point:
    """One run's reading. passed: the run; baseline: whether another run was compared with it."""

    run_id: str
    reading: Reading
    passed: bool
    baseline: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """One drawn run: x, y of the value, and the ends of its whisker; y grows downwards."""

    point: Point
    x: float
    y: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Tick:
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Trend:
    """points: every run that has the estimate, oldest first; marks: the newest of them, as they are drawn."""

    name: str
    points: tuple[Point, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    alternative: str

    @property
    def path(self) -> str:
        """The line through the marks, as SVG's `points`."""
        return " ".join(f"{mark.x:g},{mark.y:g}" for mark in self.marks)


def trend(name: str, points: Sequence[Point], *, most: int) -> Trend:
    """The drawing of an estimate over its runs.

    Args:
        points: oldest first, at least one.
        most: how many are drawn, the newest.
    """
    drawn = points[-most:]
    ends = [each for point in drawn for each in _ends(point.reading)]
    low, high = min(ends), max(ends)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    if drawn[0].reading.unit == "fraction":  # no room below nothing and above all
        low, high = max(low - room, min(low, 0.0)), min(high + room, max(high, 1.0))
    else:
        low, high = low - room, high + room
    if not high > low:  # a number so large, or so small, that nothing can be added to it
        low, high = low - 1.0, high + 1.0

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    width = WIDTH - LEFT - RIGHT
    marks = []
    for place, point in enumerate(drawn):
        lower, value, upper = _ends(point.reading)
        x = round(LEFT + width * (place + 0.5) / len(drawn), 1)
        marks.append(Mark(point, x, y(value), y(upper), y(lower)))
    unit = drawn[0].reading.unit
    ticks = tuple(Tick(y(value), wording.quantity(value, unit)) for value in _round_values(low, high))
    return Trend(name, tuple(points), tuple(marks), ticks, _told(name, drawn, n=len(points)))


def _ends(reading: Reading) -> tuple[float, float, float]:
    lower = reading.value if reading.lower is None else reading.lower
    upper = reading.value if reading.upper is None else reading.upper
    return lower, reading.value, upper


def _round_values(low: float, high: float) -> list[float]:
    """Two to six round numbers between two others.

    >>> _round_values(0.903, 0.987), _round_values(180.0, 342.0)
    ([0.92, 0.94, 0.96, 0.98], [200.0, 250.0, 300.0])
    """
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _told(name: str, drawn: Sequence[Point], *, n: int) -> str:
    """What is seen, for whoever cannot see it."""
    first, last = drawn[0].reading, drawn[-1].reading
    lowest = min(drawn, key=lambda point: point.reading.value)
    highest = max(drawn, key=lambda point: point.reading.value)
    way = "falls" if last.value < first.value else "rises" if last.value > first.value else "is the same"
    apart = _apart(first, last)
    only = f"the newest {len(drawn)} of {n} runs" if n > len(drawn) else f"{n} runs"
    return (
        f"{name} over {only}: it {way}, from {first.told} {first.interval} in the oldest to {last.told} "
        f"{last.interval} in the newest; {apart}. Lowest {lowest.reading.told} in {lowest.run_id}, "
        f"highest {highest.reading.told} in {highest.run_id}. "
        f"{sum(point.passed for point in drawn)} of these runs passed."
    )


def _apart(first: Reading, last: Reading) -> str:
    if None in (first.lower, first.upper, last.lower, last.upper):
        return "not each has an interval"
    lower, _, upper = _ends(first)
    low, _, high = _ends(last)
    return "their intervals overlap" if low <= upper and lower <= high else "their intervals do not overlap"
