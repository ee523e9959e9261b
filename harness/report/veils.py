"""Draws a saliency map over a picture: dark where it is small, so that what counted is seen in its own colours.

Light and dark tell the places apart, whatever colours a reader sees. `verify` makes each drawing again from the
evidence (harness/pack/page_maps.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup

from harness.metrics.explanations import FULL, Explained, Method, places_of, told
from harness.report.places import written

DARKNESS = 10  # levels; the least is not drawn


def veils(cell: Explained, method: Method, path: tuple[object, ...]) -> tuple[tuple[str, Markup], ...]:
    """(name, drawing) of the cell's map and of its control."""
    both = (("map", cell.map), ("control", cell.control))
    return tuple((name, _veil(name, packed, method, path)) for name, packed in both if packed is not None)


def _veil(name: str, packed: str, method: Method, path: tuple[object, ...]) -> Markup:
    """A square drawing in places of the map: one is 1 wide and 1 high, and the first begins at 0, 0."""
    left, top = (_edge(places, method.crop) for places in (method.columns, method.rows))
    box = " ".join(map(_short, (0 - left, 0 - top, method.columns + 2 * left, method.rows + 2 * top)))
    opening = '<svg class="veil {}" data-plot="{}" viewbox="{}" preserveaspectratio="none" role="img" aria-label="{}">'
    label = told(packed, rows=method.rows, columns=method.columns)
    shapes = Markup().join(_shapes(packed, method))
    return Markup(opening).format(name, written(path), box, label) + shapes + Markup("</svg>")


def _edge(places: int, crop: float) -> float:
    """How wide, in places, is what the classifier was not shown, on either side?"""
    return places * (1 / crop - 1) / 2


def _shapes(packed: str, method: Method) -> Iterator[Markup]:
    columns, rows = method.columns, method.rows
    left, top = _edge(columns, method.crop), _edge(rows, method.crop)
    if left > 0:  # what the classifier was not shown
        yield _rect("unseen", -left, -top, columns + 2 * left, top)
        yield _rect("unseen", -left, rows, columns + 2 * left, top)
        yield _rect("unseen", -left, 0, left, rows)
        yield _rect("unseen", columns, 0, left, rows)
    runs = defaultdict[int, list[str]](list)
    levels = (FULL - places_of(packed).astype(int)) * DARKNESS // (FULL + 1)
    for row, line in enumerate(levels.reshape(rows, columns).tolist()):
        column = 0
        for level, alike in groupby(line):
            n = len(list(alike))
            runs[level].append(f"M{column} {row}h{n}v1h-{n}")
            column += n
    for level in sorted(runs.keys() - {0}):
        yield Markup('<path class="v{}" d="{}"></path>').format(level, "".join(runs[level]))


def _rect(kind: str, *box: float) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"></rect>').format(kind, *map(_short, box))


def _short(number: float) -> str:
    return f"{round(number, 3):g}"
