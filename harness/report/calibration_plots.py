"""How do confidences compare with what came true? A calibration report in, the bytes of one PNG out.

Drawn in the style of `plots`, and byte for byte the same each time.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.metrics.calibration_records import CalibrationMetrics, CalibrationReport, Temperature
from harness.metrics.intervals import clopper_pearson_bounds
from harness.report import plots
from harness.report.plots import BLUE, FAINT, GREEN, INK, ORANGE, VERMILION, as_picture, legible
from harness.report.wording import number, proportion, share

WHISKER_LEVEL = 0.95  # two-sided
FEW = 10  # a bin of fewer cells is drawn hollow and thin, so that the eye rests on the others
CLOSEST_VIEW = 0.8  # the axis of confidence begins here or lower
LEAST_LABELLED = 0.04  # of the axis: a count above a narrower bar would touch its neighbour's
MOST_BOUNDS = 1000  # points of the curve whose bound is computed: more than the picture has columns


@as_picture
def reliability_diagram(report: CalibrationReport) -> Figure:
    """Accuracy against confidence per bin, before and after temperature, with the cells of each bin below.

    Before alone, where no temperature was fitted.
    """
    views = [("before", "as predicted", report.before, BLUE, "o")]
    if report.temperature is not None and report.after is not None:
        views.append(("after", _after(report.temperature), report.after, VERMILION, "s"))
    figure = plots.blank(5.2 * len(views) + 1.4 * (len(views) == 1), 6.9)
    names = [panel for panel, *_ in views]
    panels: dict[str, Axes] = figure.subplot_mosaic([names, [f"cells {each}" for each in names]], height_ratios=[3, 1])
    name = legible(report.set, at_most=20)
    title = f"Does confidence match accuracy? {name} (n = {report.n:,}), {report.n_bins} {report.binning} bins"
    if len(views) == 1:
        title = title.replace("), ", "),\n")
    figure.suptitle(title, x=0.015, ha="left", weight="bold", size=13)
    filled = [b for _, _, metrics, _, _ in views for b in metrics.bins if b.n]
    # A first bin of equal mass begins at 0, where no cell is.
    left = [b.lower if report.binning == "equal-width" else b.mean_confidence or 0.0 for b in filled]
    lowest, most = min(*left, CLOSEST_VIEW), max(b.n for b in filled)
    margin = 0.025 * (1 - lowest)
    for panel, head, metrics, colour, marker in views:
        axes, counts = panels[panel], panels[f"cells {panel}"]
        _accuracies(axes, metrics, colour=colour, marker=marker)
        axes.set_title(f"{head}\n{_calibration_error(metrics)}", size=10.5, linespacing=1.5, weight="normal")
        axes.set(ylim=(-0.03, 1.03), xlim=(lowest - margin, 1 + margin))
        counts.set_xlim(lowest - margin, 1 + margin)
        _counts(counts, metrics, colour=colour, narrowest=LEAST_LABELLED * (1 - lowest))
        axes.tick_params(labelbottom=False)
        axes.yaxis.set_major_formatter(FuncFormatter(plots.as_percent))
        counts.set(ylim=(0, 1.28 * most), xlabel="confidence")
        counts.xaxis.set_major_formatter(FuncFormatter(plots.as_percent))
        counts.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.set_xticks([x for x in counts.get_xticks() if lowest - margin <= x <= 1 + margin])
        counts.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    panels["before"].set_ylabel("accuracy")
    panels["cells before"].set_ylabel("cells")
    _legend(figure, n_columns=3 if len(views) == 2 else 1)
    return figure


@as_picture
def risk_coverage(report: CalibrationReport) -> Figure:
    """The share of errors among accepted cells, as ever less confident ones are accepted."""
    curve, level = report.risk_coverage, report.level
    figure = plots.blank(9.4, 5.6)
    axes = figure.add_subplot()
    counts = list(zip(curve.n_accepted, curve.n_errors, strict=True))
    few = len(counts) <= 60
    shown = sorted({*range(0, len(counts), 1 + len(counts) // MOST_BOUNDS), len(counts) - 1})
    uppers = [clopper_pearson_bounds(counts[i][1], counts[i][0], level=level)[1] for i in shown]
    axes.plot(
        [curve.coverages[i] for i in shown],
        uppers,
        color=FAINT,
        linewidth=1.3,
        linestyle=(0, (2, 2)),
        marker="." if few else None,
        label=f"upper {100 * level:g} % bound of each point, taken alone",
    )
    n_correct = curve.n - curve.n_errors[-1]
    best = [max(0, accepted - n_correct) / accepted for accepted in range(1, curve.n + 1)]
    axes.plot(
        [accepted / curve.n for accepted in range(1, curve.n + 1)],
        best,
        color=GREEN,
        linewidth=1.6,
        linestyle="--",
        label=f"best possible order of these cells: area {number(curve.best_aurc, significant=3)}",
    )
    axes.plot(
        curve.coverages,
        curve.risks,
        color=BLUE,
        linewidth=1.8,
        marker="o" if few else None,
        markersize=3,
        label=f"by confidence: area {number(curve.aurc, significant=3)}",
    )
    top = 1.35 * max(*curve.risks, uppers[-1])
    if (selective := report.selective) is not None:
        at, upper = selective.accepted / report.n, selective.upper
        axes.plot([at, at], [selective.risk, upper], color=ORANGE, linewidth=2.2)
        wrong = f"{selective.errors} of {selective.accepted:,} wrong, at most {share(upper)} at {100 * level:g} %"
        text = f"sets of one class: {wrong}"
        axes.plot([at], [selective.risk], color=ORANGE, marker="D", markersize=8, linestyle="none", label=text)
        axes.plot([at], [upper], color=ORANGE, marker="_", markersize=12, markeredgewidth=2.2, linestyle="none")
        top = max(top, 1.1 * upper)
    top = min(top, 1.05)
    axes.set(xlim=(0, 1.015), ylim=(-0.015 * top, top), ylabel="errors among accepted cells")
    axes.set_xlabel("accepted, the most confident first (the rest is referred)")
    axes.xaxis.set_major_formatter(FuncFormatter(plots.as_percent))
    axes.yaxis.set_major_formatter(FuncFormatter(plots.as_percent))
    wrong = proportion(curve.n_errors[-1], curve.n)
    axes.set_title(f"Errors left if unsure cells are referred: {legible(report.set, at_most=16)}, {wrong} in all")
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _after(temperature: Temperature) -> str:
    fitted_on = legible(temperature.fitted_on, at_most=20)
    fitted = f"temperature {number(temperature.value, significant=3)}, fitted on {fitted_on} (n = {temperature.n:,})"
    return f"{fitted}\nthe end of the allowed range: that set cannot tell" if temperature.at_bound else fitted


def _calibration_error(metrics: CalibrationMetrics) -> str:
    ece, limit = (round(value, 8) for value in (metrics.ece, metrics.null.limit))
    word = "more than" if metrics.exceeds_null else "within"
    return f"ECE {share(ece, beside=[limit])}, {word} the {share(limit, beside=[ece])} that chance explains"


def _accuracies(axes: Axes, metrics: CalibrationMetrics, *, colour: str, marker: str) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.1, linestyle=(0, (4, 3)))
    for b in metrics.bins:
        if b.mean_confidence is None or b.accuracy is None:
            continue
        few = b.n < FEW
        low, high = clopper_pearson_bounds(b.n_correct, b.n, level=(1 + WHISKER_LEVEL) / 2)
        x = b.mean_confidence
        axes.plot([x, x], [low, high], color=colour, linewidth=1 if few else 2.2, solid_capstyle="butt")
        axes.plot([x, x], [low, high], color=colour, marker="_", markersize=7, linestyle="none")
        axes.plot([x], [b.accuracy], color=colour, marker=marker, markerfacecolor="white" if few else colour,
                  markersize=7, linestyle="none", clip_on=False, zorder=3)  # fmt: skip


def _counts(axes: Axes, metrics: CalibrationMetrics, *, colour: str, narrowest: float) -> None:
    for b in metrics.bins:
        width = b.upper - b.lower
        axes.bar(b.lower + width / 2, b.n, width=0.97 * width, color=colour)
        if b.n and width >= narrowest:
            at = ((max(b.lower, axes.get_xlim()[0]) + b.upper) / 2, b.n)
            axes.annotate(f"{b.n:,}", at, xytext=(0, 3), textcoords="offset points", ha="center", size=9)
    axes.grid(visible=False, axis="x")


def _legend(figure: Figure, *, n_columns: int) -> None:
    axes = figure.axes[0]
    bin_name = f"bin, with the exact {100 * WHISKER_LEVEL:g} % interval of its accuracy"
    handles = axes.plot([], [], color=INK, linewidth=1.1, linestyle=(0, (4, 3)), label="perfect calibration")
    for label, face in ((bin_name, FAINT), (f"bin of fewer than {FEW} cells", "white")):
        handles += axes.plot([], [], color=FAINT, marker="o", markerfacecolor=face, linestyle="none", label=label)
    figure.legend(handles=handles, loc="outside lower left", ncols=n_columns)
