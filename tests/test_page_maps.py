"""A map over a picture is the one that is recorded: as it is drawn today, as older reports drew it, and wrong ones."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from bs4 import BeautifulSoup
from example_run import example_run
from test_explanations import with_explanations
from test_page_check import Printed

from harness.metrics.explanations import Explained, Method, packed, places_of
from harness.pack.page_maps import mismapped
from harness.pack.page_reading import Plot
from harness.report.places import Places
from harness.report.veils import veils

STEPS = ("explanations", "sets", "test", "0")
PATH = " > ".join(STEPS)
SHAPES = [(6, 6), (3, 5), (12, 12), (1, 1), (100, 100)]
CROPS = [1.0, 0.875, 0.8]


def method_of(rows: int, columns: int, crop: float = 1.0) -> Method:
    return Method("Grad-CAM", "1.0", rows, columns, "squish", crop, 7)


def cell_of(rows: int, columns: int) -> Explained:
    map_, control = np.random.default_rng(rows).random((2, rows, columns)) ** 2
    map_[0, 0] = 2  # the brightest place, which is not drawn
    return Explained("a" * 64, "a.png", "x", "y", map=packed(map_), control=packed(control))


def places(cell: Explained, method: Method) -> Places:
    fields = ("path", "map", "control")
    content = {name: getattr(cell, name) for name in fields}
    told = {"rows": method.rows, "columns": method.columns, "crop": method.crop}
    return Places({"explanations": {"method": told, "sets": {"test": [content]}}}, example_run(), {})


def drawn(cell: Explained, method: Method) -> Plot:
    """The map, as the page has it."""
    svg = BeautifulSoup(veils(cell, method, STEPS)[0][1], "html.parser").svg
    assert svg is not None
    return Plot(str(svg["data-plot"]), _given(svg), [(each.name, _given(each)) for each in svg.find_all(True)])


def _given(tag) -> dict[str, str]:
    return {name: " ".join(value) if isinstance(value, list) else value for name, value in tag.attrs.items()}


def drawn_before(cell: Explained, method: Method) -> Plot:
    """As reports drew it in rectangles: a hundredth of the picture is 1, with one decimal."""
    assert cell.map is not None
    today = drawn(cell, method)
    frame = {name: value for name, value in today.frame.items() if name != "preserveaspectratio"}
    edge, inside = 50 * (1 - method.crop), 100 * method.crop
    down, across = inside / method.rows, inside / method.columns
    boxes = [("unseen", *box) for box in ((0, 0, 100, edge), (0, 100 - edge, 100, edge)) if edge]
    boxes += [("unseen", *box) for box in ((0, edge, edge, inside), (100 - edge, edge, edge, inside)) if edge]
    for row, line in enumerate(places_of(cell.map).reshape(method.rows, method.columns)):
        first = 0
        for level, alike in groupby((255 - int(value)) * 10 // 256 for value in line):
            n = len(list(alike))
            boxes += [(f"v{level}", edge + first * across, edge + row * down, n * across, down)] * bool(level)
            first += n
    shapes = [
        ("rect", {"class": kind} | {n: f"{v:.1f}" for n, v in zip(("x", "y", "width", "height"), box, strict=True)})
        for kind, *box in boxes
    ]
    return Plot(PATH, frame | {"viewbox": "0 0 100 100"}, shapes)


@pytest.mark.parametrize("draw", [drawn, drawn_before])
@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_a_map_holds_as_it_is_drawn_and_is_refused_for_any_other(rows, columns, crop, draw):
    cell, method = cell_of(rows, columns), method_of(rows, columns, crop)
    plot = draw(cell, method)
    assert mismapped(plot, STEPS, places(cell, method)) is None
    assert cell.map is not None
    values = places_of(cell.map).copy()
    values[-1] = 255 if values[-1] < 128 else 0
    if rows * columns > 1:
        other = replace(cell, map=values.tobytes().hex())
        assert mismapped(plot, STEPS, places(other, method)) is not None
    if draw is drawn:
        assert mismapped(plot, STEPS, places(cell, replace(method, crop=0.5))) is not None


def test_a_map_of_a_thousand_places_in_a_line_holds():
    cell, method = cell_of(1, 1000), method_of(1, 1000, 0.875)
    assert mismapped(drawn(cell, method), STEPS, places(cell, method)) is None


def put(plot: Plot, n: int, **given: str) -> Plot:
    shapes = [*plot.shapes]
    shapes[n] = (shapes[n][0], shapes[n][1] | given)
    return replace(plot, shapes=shapes)


EDITS = {
    "a shade": lambda plot: put(plot, -1, **{"class": "v1"}),
    "a shade that there is not": lambda plot: put(plot, -1, **{"class": "v10"}),
    "a shade twice": lambda plot: replace(plot, shapes=[*plot.shapes, plot.shapes[-1]]),
    "a shade left out": lambda plot: replace(plot, shapes=plot.shapes[:-1]),
    "no frame": lambda plot: replace(plot, shapes=plot.shapes[4:]),
    "a wider frame": lambda plot: put(plot, 0, height="3"),
    "a frame after the map": lambda plot: replace(plot, shapes=[*plot.shapes[4:], *plot.shapes[:4]]),
    "a rectangle over the map": lambda plot: replace(
        plot, shapes=[*plot.shapes, ("rect", {"class": "unseen", "x": "0", "y": "0", "width": "6", "height": "6"})]
    ),
    "another colour": lambda plot: put(plot, -1, fill="#fff"),
    "a line of another kind": lambda plot: put(plot, -1, d=plot.shapes[-1][1]["d"] + "M0 0l9 9"),
    "a run out of the map": lambda plot: put(plot, -1, d="M5 0h9v1h-9"),
    "a run that does not close": lambda plot: put(plot, -1, d="M0 0h2v1h-1"),
    "a digit more": lambda plot: put(plot, -1, d=plot.shapes[-1][1]["d"] + "0"),
    "nothing": lambda plot: put(plot, -1, d="M0 0h0v1h-0"),
    "another view": lambda plot: replace(plot, frame=plot.frame | {"viewbox": "0 0 6 6"}),
    "the view of an older report": lambda plot: replace(plot, frame=plot.frame | {"viewbox": "0 0 100 100"}),
    "cut": lambda plot: replace(plot, frame=plot.frame | {"preserveaspectratio": "xMidYMid slice"}),
    "other words": lambda plot: replace(plot, frame=plot.frame | {"aria-label": "brightest elsewhere"}),
}


BRIGHTEST = ("rect", {"class": "v0", "x": "6.2", "y": "6.2", "width": "14.6", "height": "14.6"})
OLDER_EDITS = {
    "an opaque shade over the brightest place": lambda plot: replace(plot, shapes=[*plot.shapes, BRIGHTEST]),
    **{
        f"its own shade from {first!r} on": lambda plot, first=first: put(plot, -1, **{"class": respelt(plot, first)})
        for first in ("00", "\u0660", "\uff10")
    },
    **{
        f"a shade written {shade!r}": lambda plot, shade=shade: put(plot, -1, **{"class": shade})
        for shade in ("v\u00b2", "v", "6", "v10")
    },
    "a frame over the map": lambda plot: put(plot, 0, height="100.0"),
    "a frame that is not seen": lambda plot: put(plot, 1, width="0.0"),
    "a frame elsewhere": lambda plot: put(plot, 1, x="500.0"),
    "no frame": lambda plot: replace(plot, shapes=plot.shapes[4:]),
    "nothing": lambda plot: replace(plot, shapes=[]),
    "a path": lambda plot: replace(plot, shapes=[*plot.shapes, ("path", {"class": "v1", "d": "M0 0h1v1h-1"})]),
}


def respelt(plot: Plot, first: str) -> str:
    """The class of the last shape with its digit in other digits, of which `first` is the zero."""
    return f"v{first[:-1]}{chr(ord(first[-1]) + int(plot.shapes[-1][1]['class'][1:]))}"


@pytest.mark.parametrize(
    ("draw", "edit"),
    [
        *(pytest.param(drawn, edit, id=name) for name, edit in EDITS.items()),
        *(pytest.param(drawn_before, edit, id=f"{name}, older report") for name, edit in OLDER_EDITS.items()),
    ],
)
def test_an_edited_drawing_is_found(draw, edit):
    cell, method = cell_of(6, 6), method_of(6, 6, 0.875)
    plot = draw(cell, method)
    assert mismapped(plot, STEPS, places(cell, method)) is None
    assert mismapped(edit(plot), STEPS, places(cell, method)) is not None


@pytest.mark.parametrize("draw", [drawn, drawn_before])
@pytest.mark.parametrize("crop", [float("nan"), float("inf"), 1e-320, -0.5, 1.5])
def test_a_part_of_a_picture_that_there_is_not_is_found(crop, draw):
    cell, method = cell_of(6, 6), method_of(6, 6)
    assert mismapped(draw(cell, method), STEPS, places(cell, replace(method, crop=crop))) is not None


@pytest.mark.parametrize("change", [{"rows": 0}, {"crop": 0.0}, {"crop": "x"}, {"rows": None}, {"columns": 7}])
def test_a_method_that_draws_nothing_is_no_error_of_the_check(change):
    cell, method = cell_of(6, 6), method_of(6, 6)
    assert mismapped(drawn(cell, method), STEPS, places(cell, replace(method, **change))) is not None


# --- the drawings of a whole page --------------------------------------------------------------------

VEIL = re.compile(r'<svg class="veil.*?</svg>', re.S)


@pytest.fixture(scope="module")
def printed() -> Printed:
    found = Printed(with_explanations(example_run(n_wrong=9), crop=0.875))
    assert not found.wrong()
    return found


PLACED = {
    "the control under the heading of the map": lambda a, b: (b, a),
    "no map": lambda a, b: ("", b),
    "a map twice": lambda a, b: (a + a, b),
    "both over the first picture": lambda a, b: (a + b, ""),
    "one in the other": lambda a, b: (a.replace("</svg>", b + "</svg>"), ""),
}


@pytest.mark.parametrize("edit", PLACED.values(), ids=PLACED)
def test_a_drawing_that_stands_elsewhere_is_found(printed, edit):
    first, second = VEIL.findall(printed.html)[:2]
    one, other = edit(first, second)
    page = printed.html.replace(first, "FIRST", 1).replace(second, "SECOND", 1)
    assert printed.wrong(page.replace("FIRST", one).replace("SECOND", other))


@pytest.mark.parametrize("hiding", ['class="veil"', 'class="v1"', 'class="unseen"', 'class="over"', 'class="soft v9"'])
def test_nothing_but_a_map_is_shaded_or_cut_as_one_is(printed, hiding):
    def around(given: str) -> str:
        return printed.html.replace("<main", f"<div {given}><main", 1).replace("</main>", "</main></div>", 1)

    assert not printed.wrong(around('class="soft"'))
    assert printed.wrong(around(hiding))
