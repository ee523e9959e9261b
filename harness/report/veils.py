"""Draws a saliency map over a picture: dark where it is small, so that what counted is seen in its own colours.

Light and dark tell the places apart, whatever colours a reader sees. `verify` makes each drawing again from the
evidence (harness/pack/page_maps.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup

from harness.metrics.explanations import FULL, Explained, Method, places_of, told
from harness.report.places import written

DARKNESS = 10  # levels; the least is not drawn
SIDE = 100.0  # of the drawing, whatever the picture's


def veils(cell: Explained, method: Method, path: tuple[object, ...]) -> tuple[tuple[str, Markup], ...]:
    """(name, drawing) of the cell's map and of its control."""
    both = (("map", cell.map), ("control", cell.control))
    return tuple((name, _veil(name, packed, method, path)) for name, packed in both if packed is not None)


def _veil(name: str, packed: str, method: Method, path: tuple[object, ...]) -> Markup:
    label = told(packed, rows=method.rows, columns=method.columns)
    opening = '<svg class="veil {}" data-plot="{}" viewbox="0 0 100 100" role="img" aria-label="{}">{}</svg>'
    return Markup(opening).format(name, written(path), label, Markup().join(_shapes(packed, method)))


def _shapes(packed: str, method: Method) -> Iterator[Markup]:
    edge = SIDE * (1 - method.crop) / 2
    inside = SIDE - 2 * edge
    if edge > 0:  # what the classifier was not shown
        yield _rect("unseen", 0, 0, SIDE, edge)
        yield _rect("unseen", 0, SIDE - edge, SIDE, edge)
        yield _rect("unseen", 0, edge, edge, inside)
        yield _rect("unseen", SIDE - edge, edge, edge, inside)
    height, width = inside / method.rows, inside / method.columns
    levels = (FULL - places_of(packed).astype(int)) * DARKNESS // (FULL + 1)
    for row, line in enumerate(levels.reshape(method.rows, method.columns).tolist()):
        column = 0
        for level, alike in groupby(line):
            n = len(list(alike))
            if level:
                yield _rect(f"v{level}", edge + column * width, edge + row * height, n * width, height)
            column += n


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"></rect>').format(
        kind, *(f"{each:.1f}".removesuffix(".0") for each in (x, y, width, height))
    )
