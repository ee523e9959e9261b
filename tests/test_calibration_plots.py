"""Calibration figures: stable bytes, every filled bin drawn with its exact whisker, nothing outside the picture."""

from __future__ import annotations

import dataclasses
import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from harness.metrics.calibration import calibration_report
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.predictions import Predictions
from harness.report import calibration_plots, plots
from harness.report.calibration_plots import reliability_diagram, risk_coverage

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
BOTH = pytest.mark.parametrize("draw", [reliability_diagram, risk_coverage])


def cells(n: int, seed: int, *, name: str, lead: float) -> Predictions:
    """Softmax of noise plus `lead` logits for the reference class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, n)
    logits = rng.normal(0, 1.9, (n, 5))
    logits[np.arange(n), labels] += lead
    weights = np.exp(1.6 * logits - logits.max())
    names = tuple(f"{name}-{i}" for i in range(n))
    return Predictions(name, CLASSES, names, names, labels, weights / weights.sum(axis=1, keepdims=True))


def report_of(fit, target, *, binning="equal-width"):
    return calibration_report(fit, target, n_bins=15, binning=binning, alpha=0.05, level=0.95, prevalence=None, seed=42)


@pytest.fixture(scope="module")
def report():
    """What this project sees: 150 cells, most of them above 90 %."""
    return report_of(cells(150, 1, name="validation", lead=5.8), cells(150, 2, name="test", lead=5.8))


@pytest.fixture
def figure_of(monkeypatch):
    """Draw, and hand back the matplotlib figure itself, laid out."""

    def draw(function, report):
        kept = []
        original = plots.blank
        monkeypatch.setattr(plots, "blank", lambda *size: kept.append(original(*size)) or kept[-1])
        function(report)
        return kept[0]

    return draw


@BOTH
def test_a_figure_is_a_png_that_fits_a_page(draw, report):
    with Image.open(io.BytesIO(draw(report))) as image:
        assert image.format == "PNG"
        assert 700 <= image.width <= 2000
        assert 200 <= image.height <= 2000


@BOTH
def test_drawing_twice_gives_the_same_bytes_and_leaves_matplotlib_as_it_was(draw, report):
    before = dict(matplotlib.rcParams)
    first = draw(report)
    with matplotlib.rc_context({"font.size": 30, "text.parse_math": True}):
        assert draw(report) == first
    assert dict(matplotlib.rcParams) == before


def test_every_filled_bin_has_its_point_and_its_exact_whisker(report, figure_of):
    figure = figure_of(reliability_diagram, report)
    for axes, metrics in zip(figure.axes[:2], (report.before, report.after), strict=True):
        drawn = {tuple(np.ravel(np.transpose(line.get_data()))) for line in axes.lines}
        filled = [b for b in metrics.bins if b.n]
        assert len(filled) > 5
        for b in filled:
            low, high = clopper_pearson_bounds(b.n_correct, b.n, level=0.975)
            assert (b.mean_confidence, b.n_correct / b.n) in drawn
            assert (b.mean_confidence, low, b.mean_confidence, high) in drawn


def test_every_filled_bin_shows_its_count(report, figure_of):
    figure = figure_of(reliability_diagram, report)
    for axes, metrics in zip(figure.axes[2:], (report.before, report.after), strict=True):
        assert [text.get_text() for text in axes.texts] == [str(b.n) for b in metrics.bins if b.n]


def test_the_titles_say_the_bin_rule_the_error_and_what_chance_explains(report, figure_of):
    figure = figure_of(reliability_diagram, report)
    assert figure.get_suptitle() == "Does confidence match accuracy? test (n = 150), 15 equal-width bins"
    before, after = (axes.get_title(loc="left") for axes in figure.axes[:2])
    ece, limit = f"{100 * report.before.ece:.2f}", f"{100 * report.before.null.limit:.2f}"
    assert before == f"as predicted\nECE {ece} %, within the {limit} % that chance explains"
    assert after.startswith(f"temperature {report.temperature.value:.3g}"[:16])
    assert "fitted on validation (n = 150)" in after


def test_a_temperature_at_the_end_of_its_range_is_said_in_the_title(figure_of):
    report = report_of(cells(60, 3, name="validation", lead=40), cells(40, 4, name="test", lead=3))
    assert report.temperature.at_bound
    title = figure_of(reliability_diagram, report).axes[1].get_title(loc="left")
    assert "the end of the allowed range: that set cannot tell" in title
    assert "more than" in title


def test_the_curve_is_drawn_as_measured_with_the_guarantee_beside_it(report, figure_of):
    figure = figure_of(risk_coverage, report)
    lines = {line.get_label(): line.get_data() for line in figure.axes[0].lines}
    measured = next(data for label, data in lines.items() if label.startswith("by confidence"))
    assert measured[0].tolist() == list(report.risk_coverage.coverages)
    assert measured[1].tolist() == list(report.risk_coverage.risks)
    chosen = report.selective
    assert any(f"{chosen.errors} of {chosen.accepted} wrong, at most" in label for label in lines)


EXTREMES = {
    "equal mass": lambda: report_of(
        cells(150, 1, name="validation", lead=5.8), cells(150, 2, name="test", lead=5.8), binning="equal-mass"
    ),
    "poor": lambda: report_of(
        cells(300, 5, name="validation-of-a-second-laboratory", lead=0.5),
        cells(20_000, 6, name="second-laboratory-of-a-long-name", lead=0.5),
    ),
    "all right and certain": lambda: report_of(
        cells(60, 7, name="validation", lead=60), cells(9, 8, name="test", lead=60)
    ),
    "one cell, full sets": lambda: report_of(
        cells(5, 9, name="validation", lead=2), cells(1, 10, name="test", lead=-9)
    ),
    "hostile name": lambda: dataclasses.replace(
        report_of(cells(60, 11, name="validation", lead=3), cells(60, 12, name="test", lead=3)),
        set="$\\frac{細\u202e\n",
    ),
}


@BOTH
@pytest.mark.parametrize("extreme", EXTREMES)
def test_nothing_is_written_outside_the_picture_or_over_its_neighbour(draw, extreme, figure_of):
    figure = figure_of(draw, EXTREMES[extreme]())
    renderer = figure.canvas.get_renderer()
    titles = [axes._left_title for axes in figure.axes] + figure.texts
    boxes = [text.get_window_extent(renderer) for text in titles if text.get_text()]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_bins_of_few_cells_are_hollow(report, figure_of):
    axes = figure_of(reliability_diagram, report).axes[0]
    faces = {line.get_xdata()[0]: line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"
             and len(line.get_xdata())}  # fmt: skip
    for b in report.before.bins:
        if b.n:
            assert (faces[b.mean_confidence] == "white") == (b.n < calibration_plots.FEW)


def test_without_a_temperature_one_panel_shows_what_was_predicted(figure_of):
    report = report_of(None, cells(150, 2, name="test", lead=5.8))
    figure = figure_of(reliability_diagram, report)
    assert [axes.get_title(loc="left").split("\n")[0] for axes in figure.axes] == ["as predicted", ""]
    assert [text.get_text() for text in figure.axes[1].texts] == [str(b.n) for b in report.before.bins if b.n]
