"""Does a drawing over a picture show the map that is recorded? Made again from the evidence, place by place."""

from __future__ import annotations

import re
from typing import Any

from harness.metrics.explanations import told
from harness.pack.page_reading import Plot
from harness.report.places import Places

MAPS = ("explanations", "sets")
KINDS = ("map", "control")
LEVELS = 10  # of darkness; the brightest is not drawn
WRITTEN = re.compile(r"-?[0-9]{1,4}(\.[0-9]+)?")  # what Python and a browser read as the same number
RUN = re.compile(r"M([0-9]{1,4}) ([0-9]{1,4})h([0-9]{1,4})v1h-\3(?=M|$)")  # column, row and number of places in a line
SHADE = re.compile("v([1-9])")  # others have no colour of their own: a browser draws them black
OLDER = "0 0 100 100"  # of reports that drew each line of places as a rectangle
CLOSE = 0.11  # places are written with one decimal there


def mismapped(plot: Plot, steps: tuple[str, ...], places: Places) -> str | None:
    """What is wrong with the drawing of a map, or None."""
    classes = plot.frame.get("class", "").split()
    if len(steps) != 4 or len(classes) != 2 or classes[0] != "veil" or classes[1] not in KINDS:
        return f"a drawing is of {plot.path!r}, and of no map"
    try:
        cell, method = places.at(*steps), places.at("explanations", "method")
        rows, columns, crop = method["rows"], method["columns"], float(method["crop"])
        values = bytes.fromhex(cell[classes[1]])
        wanted = {"role": "img", "class": " ".join(classes), "data-plot": plot.path}
        wanted["aria-label"] = told(cell[classes[1]], rows=rows, columns=columns)
        older = plot.frame.get("viewbox") == OLDER and "preserveaspectratio" not in plot.frame
        wanted |= (
            {"viewbox": OLDER} if older else {"viewbox": _box_of(rows, columns, crop), "preserveaspectratio": "none"}
        )
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return f"a drawing is of {plot.path!r}, which has no {classes[1]}"
    if plot.frame != wanted or not 0 < crop <= 1:
        return f"the {classes[1]} of {cell['path']} is framed or told in another way than a report's"
    seen = (_seen_in_rectangles if older else _seen)(plot, rows, columns, crop)
    if seen is None or any(level != (255 - v) * LEVELS // 256 for level, v in zip(seen, values, strict=True)):
        return f"the {classes[1]} of {cell['path']} is drawn otherwise than it is recorded"
    return None


def _aside(places: int, crop: float) -> float:
    """How many places wide is what the classifier was not shown, on either side?"""
    return places * (1 / crop - 1) / 2


def _box_of(rows: int, columns: int, crop: float) -> str:
    aside, over = _aside(columns, crop), _aside(rows, crop)
    return " ".join(map(_short, (0 - aside, 0 - over, columns + 2 * aside, rows + 2 * over)))


def _frame_of(rows: int, columns: int, crop: float) -> list[tuple[str, dict[str, str]]]:
    """What the classifier was not shown: above, below, left and right of the places."""
    aside, over = _aside(columns, crop), _aside(rows, crop)
    boxes = (
        *((-aside, -over, columns + 2 * aside, over), (-aside, rows, columns + 2 * aside, over)),
        *((-aside, 0, aside, rows), (columns, 0, aside, rows)),
    )
    names = ("x", "y", "width", "height")
    return [
        ("rect", {"class": "unseen", **dict(zip(names, map(_short, box), strict=True))}) for box in boxes if aside > 0
    ]


def _short(number: float) -> str:
    return f"{round(number, 3):g}"


def _seen(plot: Plot, rows: int, columns: int, crop: float) -> list[int] | None:
    """How dark each place is drawn, row after row; None where a shape is no part of such a drawing."""
    frame = _frame_of(rows, columns, crop)
    if plot.shapes[: len(frame)] != frame:
        return None
    dark, left = [0] * (rows * columns), set(range(rows * columns))
    for tag, given in plot.shapes[len(frame) :]:
        kind, runs = given.get("class", ""), given.get("d", "")
        if tag != "path" or set(given) != {"class", "d"} or RUN.sub("", runs) or not SHADE.fullmatch(kind):
            return None
        for column, row, n in (map(int, run) for run in RUN.findall(runs)):
            own = set(range(row * columns + column, row * columns + column + n))
            if column + n > columns or n < 1 or not own <= left:
                return None
            left -= own
            for place in own:
                dark[place] = int(kind[1])
    return dark


def _seen_in_rectangles(plot: Plot, rows: int, columns: int, crop: float) -> list[int] | None:
    """The same of an older report."""
    edge = 50 * (1 - crop)
    height, width = 100 * crop / rows, 100 * crop / columns
    dark = [0] * (rows * columns)
    covered: set[int] = set()
    sides = ((0, 0, 100, edge), (0, 100 - edge, 100, edge), (0, edge, edge, 100 * crop))
    frame = [*sides, (100 - edge, edge, edge, 100 * crop)] if edge > 0 else []
    for n_before, (tag, given) in enumerate(plot.shapes):
        box = _box(given)
        if tag != "rect" or box is None:
            return None
        x, y, across, _ = box
        kind = given["class"]
        if n_before < len(frame):  # what the classifier was not shown stands first
            if kind != "unseen" or not _close(box, frame[n_before]):
                return None
            continue
        shade = SHADE.fullmatch(kind)
        row, first, n = round((y - edge) / height), round((x - edge) / width), round(across / width)
        exact = (edge + first * width, edge + row * height, n * width, height)
        if shade is None or not _close(box, exact) or not (0 <= row < rows and first >= 0 and 0 < n <= columns - first):
            return None
        own = {row * columns + column for column in range(first, first + n)}
        if own & covered:
            return None
        covered |= own
        for place in own:
            dark[place] = int(shade[1])
    return dark if len(plot.shapes) >= len(frame) else None


def _close(box: tuple[float, ...], exact: tuple[float, ...]) -> bool:
    return all(abs(one - other) <= CLOSE for one, other in zip(box, exact, strict=True))


def _box(given: dict[str, Any]) -> tuple[float, float, float, float] | None:
    if set(given) != {"class", "x", "y", "width", "height"}:
        return None
    texts = [given[name] for name in ("x", "y", "width", "height")]
    if not all(map(WRITTEN.fullmatch, texts)):
        return None
    x, y, across, down = map(float, texts)
    return x, y, across, down
