"""Figures of what is lost elsewhere, of how long queries take and of pictures in two places."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from example_run import example_picture, example_pixels, example_run, page_of
from PIL import Image

from harness.data.leakage import DuplicatePair, ListedImage
from harness.metrics.estimates import Estimate
from harness.model.records import Timing
from harness.protocol.reporting import LEFT_OUT, ReportPlan
from harness.report import figures
from harness.report.captions import caption_of
from harness.report.further_plots import gaps, latencies
from harness.report.pictures import suffix_of
from harness.report.plots import VERMILION
from harness.report.seen import seen_in
from harness.run.results import RunResults


def of_colour(png: bytes, colour: str) -> int:
    """How many pixels are about of this colour."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.abs(pixels - wanted).max(axis=2) < 40).sum())


def lost(upper: float) -> Estimate:
    return Estimate("generalisation_gap", "elsewhere", None, 0.02, -0.01, upper, 0.95, "by hand")


def test_a_missed_ceiling_of_a_gap_is_marked_and_a_kept_one_is_not():
    missed, kept = (gaps("Lost", [lost(upper)], ceilings={"elsewhere": 0.05}) for upper in (0.08, 0.04))
    assert of_colour(missed, VERMILION) > 100 > of_colour(kept, VERMILION)
    assert gaps("Lost", [lost(0.08)], ceilings={"elsewhere": 0.05}) == missed  # the same bytes each time


def test_a_histogram_of_queries_shows_a_ceiling_where_there_is_one_and_is_sharp():
    timing = Timing("SingleStream", "model-only", "CPU", 1, 1, tuple(0.01 + 0.0001 * n for n in range(100)))
    plain, asked = (latencies("Time", [timing], ceilings=ceilings) for ceilings in ({}, {0: 0.05}))
    assert of_colour(asked, VERMILION) > 100 > of_colour(plain, VERMILION)
    assert Image.open(io.BytesIO(plain)).width >= 2 * 832  # the widest that the page shows it


@pytest.fixture(scope="module")
def run() -> RunResults:
    found = example_run(n_wrong=9, content=example_picture)
    one, other, third = found.split.train[:3]  # type: ignore[union-attr]
    listed = [ListedImage("dataset", each.path, each.label) for each in (one, other, third)]
    pairs = (
        DuplicatePair(listed[0], listed[1], "same pixels", "the same", 1.0, 1.0),
        DuplicatePair(listed[0], listed[2], "near", "rotated 90", 0.98, 0.91),
    )
    return dataclasses.replace(found, duplicates=pairs)


def test_the_pictures_of_pairs_are_shown_where_all_may_be_and_nowhere_else(run, monkeypatch):
    shown: list[tuple[str, int]] = []
    monkeypatch.setattr(
        figures.plots, "gallery", lambda title, rows, n_columns: shown.append((title, len(rows))) or b"PNG"
    )
    wanted = {each.sha256 for each in run.split.train[:3]}
    assert wanted <= set(figures.images_to_show(run))
    assert "duplicate_pairs" in figures._figures_of_copies(run, {})
    assert shown == [("Pictures in two places: 2 of 2 pairs, the least alike first", 1)]
    assert [pair.kind for pair in figures._duplicate_pairs(run)] == ["near", "same pixels"]
    narrow = run.protocol.model_copy(update={"report": ReportPlan(images="errors")})
    assert "duplicate_pairs" in LEFT_OUT["errors"] & LEFT_OUT["none"]
    assert not wanted & set(figures.images_to_show(dataclasses.replace(run, protocol=narrow)))


def test_each_has_its_place_on_the_page_and_words_for_whoever_cannot_see_it(run):
    pair = run.duplicates[1]
    elsewhere = dataclasses.replace(pair, second=ListedImage("second-laboratory", "x/copy.png", pair.second.label))
    run = dataclasses.replace(run, duplicates=(elsewhere,))  # within one part one of the two would not be counted
    drawn = {
        **figures._figure_of_gaps(run),
        **figures._figures_of_speed(run),
        **figures._figures_of_copies(run, example_pixels(figures.images_to_show(run))),
    }
    assert set(drawn) == {"generalisation_gap", "latency_distribution", "duplicate_pairs"}
    page = page_of(run, figures=drawn)
    for name in drawn:
        assert page.count(f"(figures/{name}.{suffix_of(drawn[name])})") == 1
        assert caption_of(name) is not None
    assert seen_in("generalisation_gap", run) == "Most is lost on second-laboratory; least on nine-monocytes."
