"""Robustness figures: stable bytes, every point and floor drawn, nothing outside the picture."""

from __future__ import annotations

import io
import math

import matplotlib
import numpy as np
import pytest
from example_run import example_run
from PIL import Image

from fixtures.laboratories import HOME
from fixtures.smears import CELL_CLASSES, draw_cell
from harness.data.corruptions import AMOUNTS, KINDS
from harness.data.no_cells import NO_CELLS
from harness.metrics.classification import estimate
from harness.metrics.detection import detect
from harness.metrics.predictions import Predictions
from harness.metrics.robustness import severity_curves
from harness.report import plots
from harness.report.robustness_plots import AXIS_NAMES, detection_figure, disturbance_sheet, severity_figure

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
AGREED = {"stain": (3, 0.70), "bubble": (2, 0.95)}


def cells(n: int, accuracy: float, *, name: str) -> Predictions:
    """Certain answers, of which about this share is right; the same cells err first."""
    labels = np.arange(n) % 5
    right = np.random.default_rng(1).random(n) < accuracy
    names = tuple(f"{i:05d}" for i in range(n))
    return Predictions(name, CLASSES, names, names, labels, np.eye(5)[np.where(right, labels, (labels + 1) % 5)])


def curves_of(kinds, *, n: int = 150, name: str = "test", slope: float = 0.03):
    disturbed = {(kind, s): cells(n, 0.97 - slope * s * (i % 4), name=name) for i, kind in enumerate(kinds)
                 for s in range(1, 6)}  # fmt: skip
    return severity_curves(cells(n, 0.97, name=name), disturbed, intracluster_correlation=0.1, level=0.95)


def detection_of(*, score: str = "entropy", name: str = "test", kinds=NO_CELLS, n: int = 60):
    rng = np.random.default_rng(3)
    scale = 1.0 if score == "entropy" else 40.0
    judged, reference = scale * rng.beta(1, 12, 150), scale * rng.beta(1, 12, 150)
    others = {kind: scale * rng.beta(2 + 3 * i, 4, n) for i, kind in enumerate(kinds)}
    others[kinds[0]][0] = math.inf
    made = detect(
        score=score, set_name=name, cells=judged, reference="validation", reference_cells=reference, others=others,
        tpr=0.95, level=0.95,
    )  # fmt: skip
    return made, judged, others


def draw_detection(parts) -> bytes:
    made, judged, others = parts
    return detection_figure(made, cells=judged, others=others)


@pytest.fixture(scope="module")
def curves():
    return curves_of(["stain", "defocus", "bubble", "jpeg", "scale"])


@pytest.fixture
def figure_of(monkeypatch):
    """Draw, and hand back the matplotlib figure itself, laid out."""

    def draw(function, *arguments, **options):
        kept = []
        original = plots.blank
        monkeypatch.setattr(plots, "blank", lambda *size: kept.append(original(*size)) or kept[-1])
        function(*arguments, **options)
        return kept[0]

    return draw


def test_figures_are_pngs_that_fit_a_page(curves):
    for png in (severity_figure(curves, agreed=AGREED), draw_detection(detection_of())):
        with Image.open(io.BytesIO(png)) as image:
            assert image.format == "PNG"
            assert 700 <= image.width <= 2000
            assert 200 <= image.height <= 2000


def test_drawing_twice_gives_the_same_bytes_and_leaves_matplotlib_as_it_was(curves):
    few = curves[:2]
    before = dict(matplotlib.rcParams)
    first = severity_figure(few, agreed=AGREED), draw_detection(detection_of())
    with matplotlib.rc_context({"font.size": 30, "text.parse_math": True}):
        assert (severity_figure(few, agreed=AGREED), draw_detection(detection_of())) == first
    assert dict(matplotlib.rcParams) == before


def test_every_point_is_drawn_with_its_interval(curves, figure_of):
    figure = figure_of(severity_figure, curves, agreed={})
    for axes, curve in zip(figure.axes, curves, strict=False):
        drawn = [np.transpose(line.get_data()).tolist() for line in axes.lines]
        assert [[point.severity, point.accuracy] for point in curve.points] in drawn
        assert [[point.severity, point.worst.value] for point in curve.points] in drawn
        for point in curve.points:
            assert [[point.severity, point.display.lower], [point.severity, point.display.upper]] in drawn


def test_one_panel_per_kind_under_its_name_and_unit(figure_of):
    figure = figure_of(severity_figure, curves_of(KINDS), agreed={})
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == [kind.replace("_", " ") for kind in KINDS]
    assert set(AXIS_NAMES) == set(KINDS)
    assert [text.get_text() for text in shown[3].get_xticklabels()] == ["clean", "0.4", "0.8", "1.4", "2.2", "3.2"]
    assert len({tuple(axes.get_ylim()) for axes in shown}) == 1


def test_the_agreed_severity_shows_its_floor_and_whether_the_bound_reaches_it(curves, figure_of):
    figure = figure_of(severity_figure, curves, agreed=AGREED)
    panel = {curve.kind: axes for curve, axes in zip(curves, figure.axes, strict=False)}
    by_kind = {curve.kind: curve for curve in curves}
    for kind, (severity, floor) in AGREED.items():
        lower = by_kind[kind].at(severity).lower
        mark = "^" if lower >= floor else "X"  # the mark alone tells, whatever the eye makes of colours
        (bound,) = [line for line in panel[kind].lines if line.get_marker() == mark and len(line.get_xdata())]
        assert (bound.get_xdata()[0], bound.get_ydata()[0]) == (severity, lower)
        assert bound.get_color() == (plots.GREEN if lower >= floor else plots.VERMILION)
        assert any(line.get_ydata()[0] == floor for line in panel[kind].lines if len(line.get_ydata()) == 2)
    assert {by_kind[kind].at(s).lower >= floor for kind, (s, floor) in AGREED.items()} == {True, False}


def test_thresholds_are_drawn_where_a_bound_is_held_to_them(figure_of):
    run = example_run()
    found = [estimate(each, "accuracy", cell_class=None, level=0.95) for each in run.evaluations.values()]
    figure = figure_of(plots.accuracies, "t", found, floors={"test": 0.875})
    assert [0.875, 0.875] in [list(line.get_xdata()) for line in figure.axes[0].lines]
    test = run.evaluations["test"]
    recalls = {
        name: {m: estimate(test, m, cell_class=name, level=0.95) for m in ("recall", "precision", "f1")}
        for name in test.classes
    }
    figure = figure_of(plots.class_metrics, "t", recalls, floors={("monocyte", "recall"): 0.625})
    assert [0.625, 0.625] in [list(line.get_xdata()) for line in figure.axes[0].lines]


def test_a_kind_that_nobody_named_is_drawn_over_its_severity(figure_of):
    figure = figure_of(severity_figure, curves_of(["slide label"]), agreed={})
    assert figure.axes[0].get_xlabel() == "severity"
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0", "1", "2", "3", "4", "5"]


def test_the_detection_shows_every_input_its_threshold_and_bounds(figure_of):
    parts = detection_of()
    made, judged, others = parts
    figure = figure_of(detection_figure, made, cells=judged, others=others)
    panels = dict(zip(["cells", *others], figure.axes, strict=True))
    for name, values in {"cells": judged, **others}.items():
        heights = sum(patch.get_height() for patch in panels[name].patches)
        assert heights == np.isfinite(values).sum()
        assert any(set(np.asarray(line.get_xdata()).tolist()) == {made.threshold} for line in panels[name].lines)
    assert "1 refused" in panels["blank"].texts[0].get_text()
    assert f"{made.n_kept}/150" in panels["cells"].texts[0].get_text()
    for kind in made.kinds:
        text = panels[kind.kind].texts[0].get_text()
        assert f"{kind.taken_for_cells.k}/60" in text
        assert "at most" in text
        assert "at least" in text


def test_a_flawless_area_is_never_shown_without_its_bound(figure_of):
    made = detect(
        score="confidence", set_name="test", cells=[0.1] * 10, reference="validation", reference_cells=[0.1] * 10,
        others={"grey": [0.9] * 10}, tpr=0.95, level=0.95,
    )  # fmt: skip
    figure = figure_of(detection_figure, made, cells=[0.1] * 10, others={"grey": [0.9] * 10})
    assert "AUROC 1, at least 0.7411" in figure.get_suptitle()  # 0.05 ** (1 / 10)


EXTREMES = {
    "one kind": lambda figure_of: figure_of(severity_figure, curves_of(["stain"]), agreed={"stain": (3, 0.9)}),
    "two kinds": lambda figure_of: figure_of(severity_figure, curves_of(KINDS[:2]), agreed={}),
    "two rows": lambda figure_of: figure_of(severity_figure, curves_of(KINDS[:5]), agreed=AGREED),
    "hostile name, one cell": lambda figure_of: figure_of(
        severity_figure, curves_of(["$\\frac{細\u202e\n", "stain"], n=1, name="$\\frac{細\u202e\n" * 4), agreed={}
    ),
    "hopeless": lambda figure_of: figure_of(
        severity_figure, curves_of(KINDS[:4], slope=0.2), agreed={"stain": (5, 0.0)}
    ),
    "detection": lambda figure_of: _drawn(figure_of, detection_of()),
    "detection by distance": lambda figure_of: _drawn(figure_of, detection_of(score="mahalanobis", kinds=("blank",))),
    "detection, long names": lambda figure_of: _drawn(
        figure_of,
        detection_of(name="second-laboratory-of-a-long-name", kinds=("page of a very long name indeed", "b"), n=4000),
    ),
}  # fmt: skip


def _drawn(figure_of, parts):
    made, judged, others = parts
    return figure_of(detection_figure, made, cells=judged, others=others)


@pytest.mark.parametrize("extreme", EXTREMES)
def test_nothing_is_written_outside_the_picture_or_over_its_neighbour(extreme, figure_of):
    figure = EXTREMES[extreme](figure_of)
    renderer = figure.canvas.get_renderer()
    visible = [axes for axes in figure.axes if axes.get_visible()]
    written = [text for axes in visible for text in (axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts)]
    boxes = [text.get_window_extent(renderer) for text in [*written, *figure.texts] if text.get_text()]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_the_contact_sheet_shows_every_kind_at_every_severity(monkeypatch):
    seen = {}
    monkeypatch.setattr(plots, "gallery", lambda title, rows, n_columns: seen.update(rows=rows, n=n_columns) or b"png")
    one, other = (
        draw_cell(name, laboratory=HOME, size_px=48, rng=np.random.default_rng(1)) for name in ("monocyte", "basophil")
    )
    assert disturbance_sheet(one, other, title="a cell", seed=1) == b"png"
    assert [label for label, _ in seen["rows"]] == [kind.replace("_", " ") for kind in KINDS]
    for kind, (_, tiles) in zip(KINDS, seen["rows"], strict=True):
        assert [tile.caption for tile in tiles] == [AMOUNTS[kind].written(s) for s in range(6)]
        assert np.array_equal(tiles[0].pixels, one)
        assert not np.array_equal(tiles[5].pixels, one)


def test_the_sheet_shows_photographs():
    drawn = np.stack([draw_cell(n, laboratory=HOME, size_px=48, rng=np.random.default_rng(1)) for n in CELL_CLASSES])
    with Image.open(io.BytesIO(disturbance_sheet(drawn[0], drawn[1], title="a cell", seed=1))) as image:
        image.load()
        assert image.format == "WEBP"
