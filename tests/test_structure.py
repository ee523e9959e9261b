"""What no change of colour moves: numbers of a picture that stay under gain, turn and mirror, and not under defocus."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fixtures.laboratories import HOME
from fixtures.smears import draw_cell
from harness.metrics.structure import MOVED, structures


@pytest.fixture(scope="module")
def cell() -> Image.Image:
    pixels = draw_cell("monocyte", laboratory=HOME, size_px=96, rng=np.random.default_rng(5))
    return Image.fromarray(pixels).resize((32, 32), Image.Resampling.BOX)


def of(picture: Image.Image | np.ndarray) -> np.ndarray:
    return structures(np.asarray(picture).astype(np.uint8)[None])[0]


def test_gain_and_offset_alike_in_all_channels_move_nothing_but_by_rounding(cell):
    assert np.abs(of(np.asarray(cell) * 0.7 + 20) - of(cell)).max() < 3 * MOVED


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT])
def test_quarter_turns_and_mirrors_move_nothing(cell, turn):
    assert of(cell.transpose(turn)) == pytest.approx(of(cell), abs=1e-9)


def test_defocus_takes_from_the_finest_band(cell):
    sharp, soft = of(cell), of(cell.filter(ImageFilter.GaussianBlur(1.5)))
    assert soft[4] < sharp[4] - 1.0


def test_a_larger_cell_darkens_the_rings_around_the_centre(cell):
    near = cell.crop((8, 8, 24, 24)).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.abs(of(near) - of(cell))[5:].max() > 10 * MOVED


def test_a_flat_picture_has_numbers():
    assert np.isfinite(of(np.full((32, 32, 3), 200))).all()
