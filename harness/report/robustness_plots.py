"""How does accuracy fall as films get worse, and are inputs without a cell noticed? The bytes of one PNG each.

Drawn in the style of `plots`, and byte for byte the same each time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike
from PIL import Image

from harness.data.corruptions import AMOUNTS, KINDS, SEVERITIES, disturb
from harness.data.image_arrays import Pixels
from harness.metrics.auroc import Auroc
from harness.metrics.detection import Detection, FalsePositives
from harness.metrics.robustness import SeverityCurve
from harness.report import plots
from harness.report.plots import BLUE, FAINT, GREEN, INK, ORANGE, VERMILION, Tile, as_picture, legible
from harness.report.wording import probability, proportion, share

MOST_COLUMNS = 4
N_BINS = 40
# What the numbers under a panel are; a kind that is not here is drawn over its severity.
AXIS_NAMES = {
    "stain": "optical density, times or divided by",
    "brightness": "pixel values, times or divided by",
    "contrast": "from grey, times or divided by",
    "defocus": "sd of the blur, % of side",
    "noise": "sd per pixel, levels of 255",
    "jpeg": "JPEG quality",
    "resolution": "side kept, %",
    "rotation": "degrees, either way",
    "scale": "magnified, times or divided by",
    "bubble": "diameter, % of side",
    "second_cell": "distance from the middle, % of side",
}
SCORE_NAMES = {
    "confidence": "1 - largest probability",
    "entropy": "entropy of the probabilities, of the largest possible",
    "mahalanobis": "distance to the nearest class in feature space",
}

# Colour, mark and word of a bound beside its floor: told apart without the colour, too.
REACHED, MISSED = (GREEN, "^", "reaches"), (VERMILION, "X", "misses")


@as_picture
def severity_figure(curves: Sequence[SeverityCurve], *, agreed: Mapping[str, tuple[int, float]]) -> Figure:
    """Accuracy over severity, one panel per kind, on one scale.

    Args:
        curves: of one set, at least one.
        agreed: kind -> (severity, floor) that the protocol asks for; a kind without is drawn without.
    """
    columns = min(MOST_COLUMNS, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = plots.blank(max(8.0, 3.1 * columns + 0.6), 2.75 * rows + 1.5)
    n = curves[0].clean.n
    name = legible(curves[0].set, at_most=20)
    title = f"Accuracy as the film gets worse: {name}\nn = {n:,}, clean {proportion(curves[0].clean.k, n)}"
    figure.suptitle(title, x=0.015, ha="left", weight="bold", size=13, linespacing=1.5)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    lowest = min(
        *(min(point.display.lower, point.lower) for curve in curves for point in curve.points),
        *(floor for _, floor in agreed.values()),
        1.0,
    )
    for axes, curve in zip(grid, curves, strict=False):
        _curve(axes, curve, agreed.get(curve.kind))
        axes.set_ylim(max(-0.03, math.floor(10 * lowest - 0.3) / 10), 1.03)
    for row in range(rows):
        grid[row * columns].set_ylabel("accuracy")
    for axes in grid[len(curves) :]:
        axes.set_visible(False)
    _severity_legend(figure, curves, n_columns=min(3, columns), with_floors=bool(agreed))
    return figure


def _curve(axes: Axes, curve: SeverityCurve, agreed: tuple[int, float] | None) -> None:
    amount = AMOUNTS.get(curve.kind)
    severities = [point.severity for point in curve.points]
    accuracies = [point.accuracy for point in curve.points]
    if agreed is not None:
        severity, floor = agreed
        axes.axvspan(severity - 0.3, severity + 0.3, color="#fdf0d5", linewidth=0)
        axes.plot([severity - 0.45, severity + 0.45], [floor, floor], color=ORANGE, linewidth=2.6, zorder=4)
    worst = [(point.severity, point.worst.value) for point in curve.points]
    axes.plot(*zip(*worst, strict=True), color=FAINT, linewidth=1.1, linestyle=(0, (2, 2)), marker=".", markersize=4)
    for point in curve.points:
        x = point.severity
        axes.plot([x, x], [point.display.lower, point.display.upper], color=BLUE, linewidth=2, solid_capstyle="butt")
    axes.plot(severities, accuracies, color=BLUE, linewidth=1.6, marker="o", markersize=5, clip_on=False, zorder=3)
    if agreed is not None and (judged := curve.at(agreed[0])) is not None:
        colour, marker, _ = REACHED if judged.lower >= agreed[1] else MISSED
        axes.plot([judged.severity], [judged.lower], color=colour, marker=marker, markersize=8, linestyle="none",
                  zorder=5, clip_on=False)  # fmt: skip
    heading = legible(curve.kind, at_most=24).replace("_", " ")
    axes.set_title(heading, size=11, pad=8)
    axes.set_xlabel(AXIS_NAMES.get(curve.kind, "severity"), size=9.5, color=FAINT)
    labels = [str(s) if amount is None else _amount(curve.kind, s) for s in severities]
    axes.set_xticks(severities, labels, size=9)
    axes.set_xlim(min(severities) - 0.5, max(severities) + 0.5)
    axes.yaxis.set_major_formatter(FuncFormatter(plots.as_percent))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(visible=False, axis="x")


def _amount(kind: str, severity: int) -> str:
    return f"{AMOUNTS[kind].at(severity):g}" if severity else "clean"


def _severity_legend(figure: Figure, curves: Sequence[SeverityCurve], *, n_columns: int, with_floors: bool) -> None:
    axes = figure.axes[0]
    shown, level = curves[0].clean.display, curves[0].clean.level
    name = f"accuracy, with {100 * shown.level:g} % interval ({shown.method})"
    handles = axes.plot([], [], color=BLUE, marker="o", label=name)
    handles += axes.plot([], [], color=FAINT, linestyle=(0, (2, 2)), marker=".", label="recall of the worst class")
    if with_floors:
        handles += axes.plot([], [], color=ORANGE, linewidth=2.6, label="floor at the agreed severity")
        for colour, marker, word in (REACHED, MISSED):
            label = f"lower {100 * level:.6g} % bound that {word} it"
            handles += axes.plot([], [], color=colour, marker=marker, markersize=8, linestyle="none", label=label)
    figure.legend(handles=handles, loc="outside lower left", ncols=n_columns)


@as_picture
def detection_figure(detection: Detection, *, cells: ArrayLike, others: Mapping[str, ArrayLike]) -> Figure:
    """How strange the cells look, and below them each kind of input without one; the threshold runs through all.

    Args:
        cells, others: the scores that `detection` was made from, kind by kind.
    """
    panels = [("cells", np.asarray(cells, dtype=np.float64))]
    panels += [(kind, np.asarray(values, dtype=np.float64)) for kind, values in others.items()]
    every = np.concatenate([values for _, values in panels])
    finite = every[np.isfinite(every)]
    right = (
        1.0
        if detection.score in ("confidence", "entropy")
        else float(max(finite.max(initial=1.0), detection.threshold))
    )
    edges = np.linspace(0.0, right * 1.0000001, N_BINS + 1)
    figure = plots.blank(10.2, 1.05 * len(panels) + 2.0)
    title = f"Is an input without a cell noticed? {legible(detection.set, at_most=20)}, score {detection.score}"
    pooled = detection.taken_for_cells
    figure.suptitle(
        f"{title}\nAUROC {_area(detection.auroc)}; {_passing(pooled)}, taken for cells",
        x=0.015, ha="left", weight="bold", size=12.5, linespacing=1.5,
    )  # fmt: skip
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False).ravel()
    known = {kind.kind: kind for kind in detection.kinds}
    for axes, (name, values) in zip(grid, panels, strict=True):
        is_cells = axes is grid[0]
        shown = values[np.isfinite(values)]
        axes.hist(shown, bins=edges.tolist(), color=BLUE if is_cells else VERMILION, alpha=0.9)
        axes.axvline(detection.threshold, color=INK, linewidth=1.4, linestyle=(0, (4, 3)))
        label = f"cells of {legible(detection.set, at_most=14)}" if is_cells else legible(name, at_most=20)
        axes.set_ylabel(label.replace("_", " "), rotation=0, ha="right", va="center", size=10)
        text = f"{proportion(detection.n_kept, detection.n_cells)} kept"
        if not is_cells:
            text = f"{_passing(known[name].taken_for_cells)}, pass\nAUROC {_area(known[name].auroc)}"
        if len(shown) < len(values):
            text += f"\n{len(values) - len(shown)} refused"
        axes.annotate(text, (1.015, 0.5), xycoords="axes fraction", va="center", size=9, linespacing=1.4)
        axes.set_xlim(-0.015 * right, 1.015 * right)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
        axes.set_ylim(0, 1.1 * max(1, np.histogram(shown, bins=edges)[0].max(initial=1)))
        axes.tick_params(axis="y", labelsize=8)
        axes.grid(visible=False, axis="x")
    grid[-1].set_xlabel(SCORE_NAMES[detection.score])
    handles = grid[0].plot([], [], color=INK, linewidth=1.4, linestyle=(0, (4, 3)), label=_threshold(detection))
    bound = f"at least, at most: one-sided {100 * detection.level:.6g} % bounds"
    handles += grid[0].plot([], [], linestyle="none", label=bound)
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    return figure


def _area(found: Auroc) -> str:
    # Never the value alone: a flawless area of ten inputs is not one of ten thousand.
    return f"{probability(found.value)}, at least {probability(found.lower)}"


def _passing(found: FalsePositives) -> str:
    return f"{proportion(found.k, found.n)}, at most {share(found.upper)}"


def _threshold(detection: Detection) -> str:
    kept = detection.taken_for_cells
    reference = legible(detection.reference, at_most=20)
    return (
        f"threshold: keeps {kept.n_kept} of {kept.n_positive} cells of {reference}, {100 * detection.tpr:g} % asked for"
    )


def disturbance_sheet(cell: Pixels, other: Pixels, *, title: str, seed: int) -> bytes:
    """One cell after every kind of disturbance (rows) at every severity (columns): what the curves speak of.

    Args:
        cell, other: (h, w, 3) uint8 RGB; `other` is the second cell, brought to the size of the first.
        seed: 0 or above; the mishaps of one row are the same, only worse.
    """
    rows = []
    if other.shape != cell.shape:
        other = np.asarray(Image.fromarray(other).resize((cell.shape[1], cell.shape[0])))
    for kind in KINDS:
        tiles = [
            Tile(
                disturb(cell, kind, severity, np.random.default_rng(seed), other=other), AMOUNTS[kind].written(severity)
            )
            for severity in SEVERITIES
        ]
        rows.append((kind.replace("_", " "), tiles))
    return plots.gallery(title, rows, n_columns=len(SEVERITIES))
