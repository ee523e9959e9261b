"""Figures of what is lost elsewhere and of how long queries take. Twice as sharp as the screen that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from harness.metrics.estimates import DISPLAY_LEVEL, Estimate
from harness.metrics.timing_rules import percentiles_of
from harness.model.records import Timing
from harness.report.plots import BLUE, FAINT, INK, VERMILION, as_percent, as_picture, blank, legible

SHARP_DPI = 200
N_BINS = 40
# Percentile -> dashes and marker: told apart without colour.
PERCENTILES = {50: ((0, ()), "o"), 90: ((0, (5, 2)), "s"), 95: ((0, (5, 2, 1, 2)), "D"), 99: ((0, (1, 1.5)), "^")}


@as_picture
def gaps(title: str, estimates: Sequence[Estimate], *, ceilings: Mapping[str, float]) -> Figure:
    """Test accuracy minus accuracy elsewhere, with its bounds; right of 0 is what is lost.

    estimates: of the sets, each with a value and both bounds. ceilings: set -> what its upper bound must not exceed.
    """
    figure = blank(8.4, 0.62 * len(estimates) + 1.7)
    figure.set_dpi(SHARP_DPI)
    axes = figure.add_subplot()
    for row, each in enumerate(estimates):
        assert each.value is not None and each.lower is not None and each.upper is not None
        ceiling = ceilings.get(each.set)
        missed = ceiling is not None and each.upper > ceiling
        colour, marker = (VERMILION, "X") if missed else (BLUE, "o")
        axes.plot([each.lower, each.upper], [row, row], color=colour, linewidth=2, marker="|", markersize=9)
        axes.plot([each.value], [row], color=colour, marker=marker, markersize=7, linestyle="none")
        if ceiling is not None:
            axes.plot([ceiling, ceiling], [row - 0.3, row + 0.3], color=INK, linewidth=1.8, zorder=5)
        text = f"{100 * each.value:+.1f}\n{100 * each.lower:+.1f} to {100 * each.upper:+.1f}"
        axes.annotate(text, (1.02, row), xycoords=("axes fraction", "data"), va="center", size=9)
    axes.axvline(0, color=FAINT, linewidth=1, linestyle=(0, (2, 2)))
    axes.set_yticks(range(len(estimates)), [legible(each.set, at_most=24) for each in estimates])
    axes.set_ylim(len(estimates) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(as_percent))
    marks = "; upright: ceiling of the upper bound, crossed out where it is missed" if ceilings else ""
    axes.set(title=title, xlabel=f"test accuracy minus accuracy there, with 95 % bounds{marks}")
    return figure


@as_picture
def latencies(title: str, timings: Sequence[Timing], *, ceilings: Mapping[int, float]) -> Figure:
    """A histogram of seconds a query for each scenario, with the percentiles that it carries; the axis is logarithmic.

    ceilings: place of a timing -> what the upper bound of its percentile must not exceed, in seconds.
    """
    figure = blank(8.4, 2.7 * len(timings) + 0.6)
    figure.set_dpi(SHARP_DPI)
    figure.suptitle(title, x=0.02, ha="left", weight="bold", size=12)
    panels = figure.subplots(len(timings), 1, squeeze=False)[:, 0]
    for place, (axes, timing) in enumerate(zip(panels, timings, strict=True)):
        samples = 1000 * np.asarray(timing.samples_s)
        shown = [*samples, *([1000 * ceilings[place]] if place in ceilings else [])]
        low, high = min(shown) / 1.05, max(shown) * 1.05
        axes.hist(samples, bins=np.geomspace(low, high, N_BINS + 1), color=BLUE, alpha=0.55)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        top = axes.get_ylim()[1] * 1.12
        axes.set_ylim(0, top)
        for told in percentiles_of(timing, level=DISPLAY_LEVEL)[0]:
            percentile, at = told.percentile, 1000 * told.value
            dashes, marker = PERCENTILES[percentile]
            axes.axvline(at, color=INK, linewidth=1.2, linestyle=dashes)
            axes.plot(
                [at], [top * 0.95], color=INK, marker=marker, linestyle="none", label=f"p{percentile}: {at:.3g} ms"
            )
        if place in ceilings:
            at = 1000 * ceilings[place]
            axes.axvline(at, color=VERMILION, linewidth=2)
            axes.plot([at], [top * 0.95], color=VERMILION, marker="X", linestyle="none", label=f"ceiling: {at:.3g} ms")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(
            FuncFormatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
        )
        axes.tick_params(axis="x", which="minor", labelsize=8)
        per = "image" if timing.images_per_query == 1 else f"query of {timing.images_per_query}"
        axes.set_title(f"{timing.scenario}, {timing.span} ({len(samples)} queries)", size=10.5)
        axes.set(xlabel=f"milliseconds per {per}", ylabel="queries")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
    return figure
