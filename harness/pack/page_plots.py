"""Does a line of the forest plot show what its criterion came to? Recomputed from the evidence, shape by shape.

The axis is the same for all: the threshold in the middle, 100, right is better, and 5 to the percentage point of a
share, to the count, and to the percent of the threshold of anything else. Beyond 20 of these stands an arrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.pack.page_maps import MAPS, WRITTEN, mismapped
from harness.pack.page_reading import Plot
from harness.report.places import Places, parsed

CLOSE = 0.06  # places are written with one decimal
FRAME = {"viewbox": "0 0 200 16", "aria-hidden": "true", "class": "forest"}
ARROWS = {-1: "0,8 6,4 6,12", 1: "200,8 194,4 194,12"}
Shape = tuple[str, Mapping[str, str | float]]


def misdrawn(plot: Plot, places: Places) -> str | None:
    """What is wrong with a drawing, or None."""
    steps = parsed(plot.path or "")
    if steps[:2] == MAPS:
        return mismapped(plot, steps, places)
    if len(steps) != 2 or steps[0] != "verdicts":
        return f"a drawing is of {plot.path!r}, and not of a verdict"
    if {name: value for name, value in plot.frame.items() if name != "data-plot"} != FRAME:
        return f"the drawing of {steps[1]} is framed in another way than a report's"
    try:
        verdict, criterion = places.at(*steps), places.at("protocol", "content", "criteria", steps[1])
    except (LookupError, TypeError):
        return f"a drawing is of {plot.path!r}, which is not in the evidence"
    wanted = list(_shapes(verdict["estimate"] or {}, criterion))
    if len(wanted) != len(plot.shapes) or not all(map(_is, plot.shapes, wanted)):
        return f"the drawing of {steps[1]} does not show its value, bounds and threshold"
    return None


def _shapes(estimate: Mapping[str, Any], criterion: Mapping[str, Any]) -> Iterator[Shape]:
    floor = criterion["floor"] is not None
    threshold = float(criterion["floor"] if floor else criterion["ceiling"])
    per = {"fraction": 100.0, "count": 1.0}.get(str(estimate.get("unit"))) or 100.0 / (threshold or float("nan"))

    def at(value: Any) -> float:
        return (1 if floor else -1) * per * (float(value) - threshold)

    value, bounds = at(estimate["value"]), [estimate["lower"], estimate["upper"]]
    ends = [value, value] if None in bounds else sorted(map(at, bounds))
    left, right = (100 + 5 * min(20.0, max(-20.0, end)) for end in ends)
    yield "rect", {"class": "threshold", "x": 99.5, "y": 0, "width": 1, "height": 16}
    if ends[0] < ends[1]:
        yield "rect", {"class": "interval", "x": left, "y": 7, "width": right - left, "height": 2}
    for side, points in ARROWS.items():
        if any(side * end > 20 for end in ends):
            yield "polygon", {"class": "beyond", "points": points}
    if abs(value) <= 20:
        yield "circle", {"class": "estimate", "cx": 100 + 5 * value, "cy": 8, "r": 4}


def _is(shape: tuple[str, Mapping[str, str]], wanted: Shape) -> bool:
    tag, attributes = wanted
    if shape[0] != tag or set(shape[1]) != set(attributes):
        return False
    return all(_same(shape[1][name], value) for name, value in attributes.items())


def _same(text: str, wanted: str | float) -> bool:
    if isinstance(wanted, str):
        return text == wanted
    return WRITTEN.fullmatch(text) is not None and abs(float(text) - wanted) <= 2 * CLOSE
