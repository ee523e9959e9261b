"""Blurred, dark, light, flat and oddly cut pictures are named; their neighbours are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from harness.data.quality import FEWEST, Quality, quality_checked, quality_findings, quality_of
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.measurements import Count
from harness.metrics.table import TABLE

USUAL = Quality(width_px=360, height_px=363, shade=95, light=235, bits=5.9, sharpness=0.027)


def cell(seed: int = 0, *, side: int = 64) -> Image.Image:
    """Grey, a dark nucleus with texture on a light ground."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side)) / side - 0.5
    nucleus = np.exp(-((x**2 + y**2) * 18)) * (150 + rng.normal(0, 20, (side, side)))
    return Image.fromarray((230 - nucleus + rng.normal(0, 2, (side, side))).clip(0, 255).astype(np.uint8))


def named(pictures: Iterable[Quality]) -> list[tuple[str, str]]:
    found = quality_findings({f"m/{n}.png": each for n, each in enumerate(pictures)})
    return sorted((finding.rule, finding.path) for finding in found)


def set_with(*odd: Quality) -> list[Quality]:
    """Thirty pictures whose sharpness is spread as in the real set, and the odd ones behind them."""
    spread = np.exp(0.25 * np.random.default_rng(1).normal(size=30))
    return [replace(USUAL, sharpness=USUAL.sharpness * each) for each in spread.tolist()] + list(odd)


def test_a_picture_of_four_pixels_by_hand():
    """Levels 10, 10, 20, 250: two bits less the half that two equal ones take; a twentieth is at 10, all at 250."""
    seen = quality_of(Image.fromarray(np.array([[10, 10], [20, 250]], np.uint8)))
    assert seen == Quality(width_px=2, height_px=2, shade=10, light=250, bits=pytest.approx(1.5), sharpness=0.0)


def test_sharpness_is_that_of_a_plain_convolution():
    grey = cell()
    levels = np.asarray(grey).astype(float)
    inner = levels[1:-1, 1:-1]
    laplacian = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * inner
    assert quality_of(grey).sharpness == pytest.approx(laplacian.var() / levels.var(), rel=1e-9)
    shares = np.unique(levels, return_counts=True)[1] / levels.size
    assert quality_of(grey).bits == pytest.approx(-(shares * np.log2(shares)).sum())


@pytest.mark.parametrize("gain", [0.5, 0.8])
def test_light_has_little_say_in_sharpness_and_blur_all(gain):
    grey = cell()
    dimmed = grey.point(lambda level: level * gain)
    assert quality_of(dimmed).sharpness == pytest.approx(quality_of(grey).sharpness, rel=0.15)  # levels are rounded
    sharpness = [quality_of(grey.filter(ImageFilter.GaussianBlur(sigma))).sharpness for sigma in (0, 0.7, 1.5, 3)]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[2] < 0.2 * sharpness[0]


@pytest.mark.parametrize(
    ("odd", "rule"),
    [
        (replace(USUAL, light=95), "dark_images"),
        (replace(USUAL, shade=231), "light_images"),
        (replace(USUAL, bits=1.99), "low_information_images"),
        (replace(USUAL, sharpness=USUAL.sharpness / 5), "blurred_images"),
        (replace(USUAL, width_px=180, height_px=181), "odd_sizes"),
        (replace(USUAL, width_px=720, height_px=726), "odd_sizes"),
        (replace(USUAL, width_px=520, height_px=260), "odd_aspect_ratios"),
        (replace(USUAL, width_px=255, height_px=520), "odd_aspect_ratios"),
    ],
)
def test_each_rule_names_its_picture_and_no_other(odd, rule):
    assert named(set_with(odd)) == [(rule, "m/30.png")]


@pytest.mark.parametrize(
    "usual",
    [
        replace(USUAL, light=96),
        replace(USUAL, shade=230),
        replace(USUAL, bits=2.0),
        replace(USUAL, sharpness=USUAL.sharpness / 2),
        replace(USUAL, width_px=240, height_px=242),
        replace(USUAL, width_px=420, height_px=300),
    ],
)
def test_what_is_within_its_limit_is_not_named(usual):
    assert named(set_with(usual)) == []


def test_equally_sharp_pictures_are_not_blurred_for_being_a_little_less_so():
    assert named([USUAL] * 30 + [replace(USUAL, sharpness=USUAL.sharpness * 0.41)]) == []
    assert named([USUAL] * 30 + [replace(USUAL, sharpness=USUAL.sharpness * 0.39)]) == [("blurred_images", "m/30.png")]
    assert named([replace(USUAL, sharpness=0.0)] * 30) == []


def test_a_few_pictures_have_nothing_that_is_usual():
    few = {str(n): USUAL for n in range(FEWEST - 1)}
    odd = {**few, "odd": replace(USUAL, width_px=36, height_px=36)}
    assert quality_checked(few).keys() == {"dark_images", "light_images", "low_information_images"}
    assert [finding.rule for finding in quality_findings(odd)] == ["odd_sizes"]
    assert not list(quality_findings(dict(list(odd.items())[1:])))
    assert set(quality_checked(odd).values()) == {FEWEST}


class Counted:
    def __init__(self, of: int | None) -> None:
        self.of = of

    def count(self, question: str, metric: str) -> Count:
        return Count((), self.of)


@pytest.mark.parametrize("metric", ["blurred_images", "odd_sizes", "odd_aspect_ratios"])
def test_a_rule_that_looked_at_nothing_is_not_passed(metric):
    subject = SimpleNamespace(set="dataset")
    none, some = (TABLE[metric].estimate(Counted(of), subject, 0.95) for of in (None, 30))
    assert isinstance(none, Unavailable)
    assert none.not_asked
    assert isinstance(some, Estimate)
    assert (some.value, some.n) == (0.0, 30)
