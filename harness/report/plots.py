"""How does one set of numbers look? Every function: values in, the bytes of one PNG out.

Nothing here asks what a run is; `figures` does. Drawing uses matplotlib's objects, not pyplot, inside `rc_context`, so
that neither a user's matplotlibrc nor an earlier figure can change a byte.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from harness.metrics.estimates import Estimate, Evaluation
from harness.model.records import LearningRateCurve, PhaseRecord
from harness.protocol.sets import CountRange
from harness.report.encoding import compact
from harness.report.wording import MANY_CLASSES, UNDEFINED, percent, proportion, share

DPI = 120
THRESHOLD = "threshold of the lower bound"
GALLERY_DPI = 96  # photographs are most of a report's bytes
# Okabe and Ito (2008): told apart with any common colour blindness. Markers and dashes differ as well.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, FAINT = "#1a1a1a", "#6b6b6b"
SHADES, DARKEST = colormaps["Blues"], 1.15  # the map's darkest blues would drown the outline of an error
ERRORS, FAINTEST_ERROR = colormaps["Reds"], 0.4

STYLE: dict[str, Any] = {
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # ships with matplotlib, so every machine draws the same letters
    "font.size": 10.5,
    "text.parse_math": False,  # a "$" in a set's name is a dollar sign
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 12,
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "xtick.color": INK,
    "ytick.color": INK,
}

P = ParamSpec("P")


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture of a gallery; `pixels` is (h, w, 3) uint8, or None where it could not be had."""

    pixels: np.ndarray | None
    caption: str


def as_picture(draw: Callable[P, Figure]) -> Callable[P, bytes]:
    """Turn a function that draws a Figure into one that returns its bytes, the same each time: see `compact`."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> bytes:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            canvas = FigureCanvasAgg(draw(*args, **kwargs))
            canvas.draw()
            return compact(Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3]))

    return wrapped


def legible(text: str, *, at_most: int = 40) -> str:
    """A foreign name as the font can draw it: anything beyond Latin-1 as its escape, shortened in the middle."""
    drawn = "".join(c if c.isprintable() and ord(c) < 256 else ascii(c)[1:-1] for c in text)
    half = at_most // 2 - 1
    return drawn if len(drawn) <= at_most else f"{drawn[:half]}...{drawn[-half:]}"


@as_picture
def statement(title: str, text: str) -> Figure:
    """A figure of words, for what there is nothing to draw of."""
    figure = blank(8, 3)
    figure.text(0.04, 0.9, title, weight="bold", size=12, va="top")
    figure.text(0.04, 0.45, text, size=13, va="center", linespacing=1.5)
    return figure


@as_picture
def class_counts(title: str, counts: Mapping[str, int], *, expected: Mapping[str, CountRange]) -> Figure:
    """Bars, and of each class in `expected` a line where the protocol wants its bar to end, or to reach to."""
    if len(counts) > MANY_CLASSES:
        alike = {each.least for each in expected.values()}
        return _long_counts(title, {"images": counts}, expected=alike.pop() if len(alike) == 1 else None)
    figure = blank(8, 4.2)
    axes = figure.add_subplot()
    bars = axes.bar([legible(name, at_most=18) for name in counts], list(counts.values()), color=BLUE, width=0.62)
    axes.bar_label(bars, padding=3)
    dashes: dict[str, Any] = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1.2}
    if len(wanted := {str(each) for each in expected.values()}) == 1:
        least = next(iter(expected.values())).least
        axes.axhline(least, **dashes, label=f"protocol: {wanted.pop()} per class")
        _legend_below(axes, n_columns=1)
    elif expected:
        at = [place for place, name in enumerate(counts) if name in expected]
        ends = [expected[name].least for name in counts if name in expected]
        lines = axes.hlines(ends, [place - 0.4 for place in at], [place + 0.4 for place in at], **dashes)
        lines.set_label("protocol, class by class")
        _legend_below(axes, n_columns=1)
    most = max([*counts.values(), *(each.least for each in expected.values()), 1])
    axes.set(title=title, ylabel="images", ylim=(0, 1.15 * most))
    axes.grid(visible=False, axis="x")
    return figure


@as_picture
def part_counts(title: str, parts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Bars side by side: one group per class, one bar per part."""
    if len(next(iter(parts.values()))) > MANY_CLASSES:
        return _long_counts(title, parts, expected=None)
    figure = blank(8, 4.4)
    axes = figure.add_subplot()
    classes = list(next(iter(parts.values())))
    width = 0.8 / len(parts)
    for index, ((part, counts), colour) in enumerate(zip(parts.items(), (BLUE, ORANGE, GREEN), strict=False)):
        at = np.arange(len(classes)) + (index - (len(parts) - 1) / 2) * width
        total = sum(counts.values())
        bars = axes.bar(at, list(counts.values()), width=0.92 * width, color=colour, label=f"{part} (n = {total:,})")
        axes.bar_label(bars, padding=2, size=9)
    most = max([1, *(n for counts in parts.values() for n in counts.values())])
    axes.set(title=title, ylabel="images", ylim=(0, 1.15 * most))
    axes.set_xticks(range(len(classes)), [legible(name, at_most=18) for name in classes])
    axes.grid(visible=False, axis="x")
    _legend_below(axes, n_columns=3)
    return figure


def _long_counts(title: str, parts: Mapping[str, Mapping[str, int]], *, expected: int | None) -> Figure:
    """One line per class, the parts end to end in it."""
    classes = list(next(iter(parts.values())))
    figure = blank(8, 0.2 * len(classes) + 1.4)
    axes = figure.add_subplot()
    left = np.zeros(len(classes))
    for (part, counts), colour in zip(parts.items(), (BLUE, ORANGE, GREEN), strict=False):
        widths = np.array(list(counts.values()))
        label = f"{part} (n = {widths.sum():,})"
        axes.barh(range(len(classes)), widths, left=left, height=0.74, color=colour, label=label)
        left += widths
    for row, n in enumerate(left):
        axes.annotate(f"{n:,.0f}", (n, row), xytext=(3, 0), textcoords="offset points", va="center", size=7)
    if expected is not None:
        axes.axvline(expected, color=INK, linestyle=(0, (4, 3)), linewidth=1.2, label=f"protocol: {expected} per class")
    axes.set_yticks(range(len(classes)), [legible(name, at_most=24) for name in classes], size=7)
    axes.set(title=title, xlabel="images", ylim=(len(classes) - 0.4, -0.6), xlim=(0, 1.12 * max(1, left.max())))
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, fontsize=8, borderaxespad=0)
    axes.set_title(title, pad=24)
    return figure


@as_picture
def training_curves(phase: PhaseRecord) -> Figure:
    """Train and validation loss on the left axis, validation accuracy on the right, the kept epoch marked."""
    figure = blank(8, 4.8)
    axes = figure.add_subplot()
    epochs = [record.epoch for record in phase.epochs]
    train, validation = [e.train_loss for e in phase.epochs], [e.validation_loss for e in phase.epochs]
    axes.plot(epochs, train, color=BLUE, marker="o", markersize=4, label="train loss")
    axes.plot(epochs, validation, color=VERMILION, marker="s", markersize=4, linestyle="--", label="validation loss")
    axes.set(xlabel="epoch (the first is 0)", ylabel="loss (cross-entropy)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(-0.5, max([0, *epochs]) + 0.5)
    finite = [loss for loss in (*train, *validation) if math.isfinite(loss)]
    axes.set_ylim(0, 1.1 * max([*finite, 1e-9]))
    accuracy = axes.twinx()
    accuracy.plot(
        epochs,
        [e.validation_accuracy for e in phase.epochs],
        color=GREEN,
        marker="^",
        markersize=4,
        linestyle=":",
        label="validation accuracy (right axis)",
    )
    accuracy.set(ylabel="validation accuracy", ylim=(0, 1.05))
    accuracy.yaxis.set_major_formatter(FuncFormatter(as_percent))
    accuracy.grid(visible=False)
    accuracy.spines["right"].set_visible(True)
    best = next((e for e in phase.epochs if e.epoch == phase.best_epoch), None)
    if best is not None:
        axes.axvline(best.epoch, color=FAINT, linewidth=1, linestyle=(0, (2, 2)))
        axes.plot(
            [best.epoch],
            [best.validation_loss],
            marker="o",
            markersize=13,
            fillstyle="none",
            color=INK,
            linestyle="none",
            clip_on=False,
            label=f"kept: epoch {best.epoch}, validation loss {best.validation_loss:.4g}",
        )
    missing = len(train) + len(validation) - len(finite)
    trouble = f"; {missing} losses are not numbers" if missing else ""
    title = f"{legible(phase.name)}: stopped after {len(epochs)} of at most {phase.max_epochs} epochs"
    axes.set_title(f"{title} ({legible(phase.stop_reason)}{trouble})")
    _legend_below(axes, accuracy, n_columns=2, offset=-0.15)
    return figure


@as_picture
def learning_rates(curve: LearningRateCurve, *, used: float | None) -> Figure:
    """The finder's sweep. `used` is the protocol's rate, fixed before the sweep."""
    figure = blank(8, 4.6)
    axes = figure.add_subplot()
    axes.plot(curve.learning_rates, curve.losses, color=BLUE, linewidth=1.8, label="smoothed loss")
    axes.set_xscale("log")
    # Log axes label their ticks in math text, which is off here.
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:.0e}" if rate else "0"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    if curve.suggestion is not None:
        label = f"suggested by the valley rule: {curve.suggestion:.3g}"
        axes.axvline(curve.suggestion, color=VERMILION, linestyle="--", linewidth=1.8, label=label)
    if used is not None:
        axes.axvline(used, color=INK, linestyle=":", linewidth=1.8, label=f"used, as the protocol fixed it: {used:.3g}")
    axes.set(xlabel="learning rate (log scale)", ylabel="loss", title="Learning-rate finder, before the first phase")
    if (span := _descent(curve)) is not None:
        axes.set_ylim(*span)
    _legend_below(axes, n_columns=1, offset=-0.16)
    return figure


def _descent(curve: LearningRateCurve) -> tuple[float, float] | None:
    """The losses to show: the sweep ends where the loss explodes, and the interesting part is what comes before."""
    finite = sorted(loss for loss in curve.losses if math.isfinite(loss))
    if not finite:
        return None
    first_half = [loss for loss in curve.losses[: len(curve.losses) // 2] if math.isfinite(loss)]
    low, high = finite[0], max([finite[int(0.85 * (len(finite) - 1))], *first_half])
    room = max(0.15 * (high - low), 0.02 * abs(high), 1e-6)
    return low - room, high + 2 * room


@as_picture
def confusion_matrices(title: str, evaluations: Sequence[Evaluation]) -> Figure:
    """Integer counts, shaded by the row's share; a class without reference cells is a hatched row, never 0 %."""
    n_classes = max(len(evaluation.classes) for evaluation in evaluations)
    columns = min(len(evaluations), 2)
    rows = math.ceil(len(evaluations) / columns)
    many = n_classes > MANY_CLASSES
    side = 0.13 * n_classes + 3 if many else max(4.6, 0.85 * n_classes + 1.6)
    figure = blank(columns * (side + 1.5) + 0.4, rows * (side + 0.4) + 0.7)
    figure.suptitle(title, x=0.015, ha="left", weight="bold", size=13)
    for index, evaluation in enumerate(evaluations):
        (_large_matrix if many else _matrix)(figure.add_subplot(rows, columns, index + 1), evaluation)
    legend = "Shading: share of the row. Outlined: errors. On the right: recall."
    if many:
        legend = "Blue: share of the row that is right. Red: errors. On the right: recall. The counts are in the table."
    figure.supxlabel(legend, x=0.015, ha="left", size=9, color=FAINT)
    return figure


def _large_matrix(axes: Axes, evaluation: Evaluation) -> None:
    """Of many classes: colours without numbers, an error never fainter than can be seen."""
    confusion, size = evaluation.confusion, len(evaluation.classes)
    support = confusion.sum(axis=1)
    shares = np.divide(confusion, support[:, None], out=np.zeros(confusion.shape), where=support[:, None] > 0)
    pixels = np.ones((size, size, 4))
    right = np.eye(size, dtype=bool)
    pixels[right] = SHADES(shares[right] / DARKEST)
    wrong = ~right & (confusion > 0)
    pixels[wrong] = ERRORS(FAINTEST_ERROR + (1 - FAINTEST_ERROR) * shares[wrong])
    pixels[support == 0] = (0.93, 0.93, 0.93, 1)
    axes.imshow(pixels, interpolation="nearest")
    for row in range(size):
        recall = f"{int(confusion[row, row])}/{int(support[row])}" if support[row] else "no cells"
        axes.text(size, row, recall, va="center", size=5)
    names = [legible(name, at_most=24) for name in evaluation.classes]
    axes.set_xticks(range(size), names, rotation=90, size=5)
    axes.set_yticks(range(size), names, size=5)
    axes.set(xlabel="predicted", ylabel="reference label")
    axes.set_title(f"{legible(evaluation.set)}: {proportion(evaluation.n_correct, evaluation.n)} correct", size=11)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(visible=False)
    axes.grid(visible=True, which="minor", color="#eeeeee", linewidth=0.3)
    axes.tick_params(length=0, which="both", pad=1)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _matrix(axes: Axes, evaluation: Evaluation) -> None:
    confusion, size = evaluation.confusion, len(evaluation.classes)
    support = confusion.sum(axis=1)
    shading = np.divide(confusion, support[:, None], out=np.zeros(confusion.shape), where=support[:, None] > 0)
    axes.imshow(shading, cmap=SHADES, vmin=0, vmax=DARKEST)
    for row in range(size):
        if support[row] == 0:
            axes.add_patch(Rectangle((-0.5, row - 0.5), size, 1, facecolor="#f2f2f2", hatch="//", edgecolor="#cfcfcf"))
            box = {"facecolor": "#f2f2f2", "edgecolor": "none", "pad": 2}
            axes.text((size - 1) / 2, row, "no cells", ha="center", va="center", style="italic", color=FAINT, bbox=box)
            axes.text(size - 0.4, row, UNDEFINED, va="center", size=9, color=FAINT, style="italic")
            continue
        for column in range(size):
            count, error = int(confusion[row, column]), row != column and confusion[row, column] > 0
            colour = _ink_on(SHADES(shading[row, column] / DARKEST)) if count else "#767676"
            weight = "bold" if count else "normal"
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, weight=weight, size=11)
            if error:
                corner = (column - 0.46, row - 0.46)
                axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=VERMILION, linewidth=2))
        k, n = int(confusion[row, row]), int(support[row])
        axes.text(size - 0.4, row, f"{k}/{n}\n{percent(k, n)}", va="center", size=9)
    names = [legible(name, at_most=14) for name in evaluation.classes]
    axes.set_xticks(range(size), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(size), names)
    axes.set(xlabel="predicted", ylabel="reference label")
    axes.set_title(f"{legible(evaluation.set)}: {proportion(evaluation.n_correct, evaluation.n)} correct", size=11)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _ink_on(colour: tuple[float, float, float, float]) -> str:
    """White or black, whichever stands out more (WCAG 2 relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    ink = 0.0103  # of INK
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / (ink + 0.05) else INK


@as_picture
def class_metrics(
    title: str, metrics: Mapping[str, Mapping[str, Estimate]], *, floors: Mapping[tuple[str, str], float] | None = None
) -> Figure:
    """Recall, precision and F1 per class. metrics: class -> metric -> estimate; whiskers where it has an interval."""
    floors = floors or {}  # (class, metric) -> what the protocol asks of the lower bound
    many = len(metrics) > MANY_CLASSES
    step = 0.4 if many else 0.95
    figure = blank(9.4, step * len(metrics) + 1.7)
    axes = figure.add_subplot()
    looks = {"recall": (BLUE, "o"), "precision": (VERMILION, "s"), "f1": (GREEN, "D")}
    lowest = 1.0
    for row, (cell_class, estimates) in enumerate(metrics.items()):
        for offset, (metric, (colour, marker)) in zip((-0.26, 0.0, 0.26), looks.items(), strict=True):
            estimate, y = estimates[metric], row + offset
            name = "F1" if metric == "f1" else metric
            text = f"{name} {UNDEFINED}: no cells"
            if estimate.value is not None and estimate.k is not None and estimate.n is not None:
                k, n = (2 * estimate.k, estimate.k + estimate.n) if metric == "f1" else (estimate.k, estimate.n)
                text = f"{name} {proportion(k, n)}"
                lowest = min(lowest, _whisker(axes, estimate, y, colour=colour, marker=marker))
            if (floor := floors.get((cell_class, metric))) is not None:
                lowest = min(lowest, _threshold(axes, floor, y, reach=0.12))
            ink = INK if estimate.value is not None else FAINT
            size = 6 if many else 9
            axes.annotate(text, (1.02, y), xycoords=("axes fraction", "data"), va="center", size=size, color=ink)
    for label, (colour, marker) in zip(("recall", "precision", "F1 (no interval drawn)"), looks.values(), strict=True):
        axes.plot([], [], color=colour, marker=marker, linestyle="none", label=label)
    if floors:
        axes.plot([], [], color=INK, marker="|", markersize=11, linestyle="none", label=THRESHOLD)
    _proportion_axis(axes, lowest, list(metrics))
    axes.set_title(title)
    _legend_below(axes, n_columns=4 if floors else 3, offset=-0.4 / (step * len(metrics)))
    return figure


@as_picture
def accuracies(title: str, estimates: Sequence[Estimate], *, floors: Mapping[str, float] | None = None) -> Figure:
    """Accuracy of each set with its Wilson interval, its counts and its threshold; the first is the test part."""
    floors = floors or {}
    figure = blank(9.4, 0.62 * len(estimates) + 1.9)
    axes = figure.add_subplot()
    lowest = 1.0
    for row, estimate in enumerate(estimates):
        colour, marker = (BLUE, "o") if row == 0 else (VERMILION, "s")
        text, k, n, interval = f"{UNDEFINED}: no cells", estimate.k, estimate.n, estimate.display
        if estimate.value is not None and k is not None and n is not None and interval is not None:
            lowest = min(lowest, _whisker(axes, estimate, row, colour=colour, marker=marker))
            if (floor := floors.get(estimate.set)) is not None:
                lowest = min(lowest, _threshold(axes, floor, row, reach=0.3))
            text = f"{proportion(k, n)}\n{share(interval.lower, decimals=1)} to {share(interval.upper, decimals=1)}"
        axes.annotate(text, (1.02, row), xycoords=("axes fraction", "data"), va="center", size=9)
    names = [f"{legible(e.set, at_most=24)} (n = {e.n})" for e in estimates]
    _proportion_axis(axes, lowest, names)
    axes.set(title=title, xlabel="accuracy, with 95 % Wilson interval" + (f"; upright: {THRESHOLD}" if floors else ""))
    return figure


@as_picture
def gallery(title: str, rows: Sequence[tuple[str, Sequence[Tile]]], *, n_columns: int) -> Figure:
    """Pictures in a grid, captions below. rows: the row's label, which may be empty, and its pictures."""
    # In inches: every picture gets the same square, whatever its own shape, so that captions line up.
    side, gap, top = 1.55, 0.14, 0.6
    n_lines = max((tile.caption.count("\n") + 1 for _, tiles in rows for tile in tiles if tile.caption), default=0)
    left = 1.35 if any(label for label, _ in rows) else 0.2
    step = side + gap + 0.155 * n_lines + (0.1 if n_lines else 0)
    width, height = left + n_columns * (side + gap) + 0.1, top + len(rows) * step + 0.1
    figure = Figure(figsize=(width, height), dpi=GALLERY_DPI)
    figure.text(0.2 / width, 1 - 0.3 / height, title, va="center", weight="bold", size=11)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))  # of all: axes are slow to make
    axes.axis("off")
    for row, (label, tiles) in enumerate(rows):
        bottom = height - top - row * step - side
        if label:
            name = legible(label, at_most=16)
            axes.text(left - 0.12, bottom + side / 2, name, ha="right", va="center", size=10.5)
        for column, tile in enumerate(tiles):
            x, y = left + column * (side + gap) + side / 2, bottom + side / 2
            if tile.pixels is None:
                box = {"facecolor": "#f2f2f2", "edgecolor": FAINT, "pad": 10}
                axes.text(x, y, "image not\navailable", ha="center", va="center", size=9, bbox=box)
            else:
                tall, wide = (side / 2 * each / max(tile.pixels.shape[:2]) for each in tile.pixels.shape[:2])
                axes.imshow(tile.pixels, extent=(x - wide, x + wide, y - tall, y + tall), aspect="auto")
            axes.text(x, bottom - 0.06, tile.caption, ha="center", va="top", size=8.5, linespacing=1.3)
    return figure


def _whisker(axes: Axes, estimate: Estimate, y: float, *, colour: str, marker: str) -> float:
    """Draw the value and, where there is one, its interval; returns the leftmost point."""
    interval, value = estimate.display, estimate.value
    assert value is not None  # for the type checker: callers draw defined values only
    if interval is not None:
        axes.plot([interval.lower, interval.upper], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot([interval.lower, interval.upper], [y, y], color=colour, marker="|", markersize=9, linestyle="none")
    axes.plot([value], [y], color=colour, marker=marker, markersize=7, linestyle="none", clip_on=False)
    return min(value, interval.lower) if interval is not None else value


def _threshold(axes: Axes, floor: float, y: float, *, reach: float) -> float:
    """Draws what is asked of one bound, upright across its whisker; returns it."""
    axes.plot([floor, floor], [y - reach, y + reach], color=INK, linewidth=1.8, zorder=5)
    return floor


def _proportion_axis(axes: Axes, lowest: float, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.45, -0.55)  # the first name on top
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(max(-0.01, math.floor(20 * lowest - 0.5) / 20), 1.005)
    axes.xaxis.set_major_formatter(FuncFormatter(as_percent))
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="#e4e4e4", linewidth=0.8)


def as_percent(value: float, _: object = None) -> str:
    return f"{100 * value:.4g} %"


def _legend_below(*axes: Axes, n_columns: int, offset: float = -0.1) -> None:
    handles, labels = [], []
    for each in axes:
        found = each.get_legend_handles_labels()
        handles += found[0]
        labels += found[1]
    axes[0].legend(handles, labels, loc="upper left", bbox_to_anchor=(0, offset), ncols=n_columns, borderaxespad=0)


def blank(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    return figure
