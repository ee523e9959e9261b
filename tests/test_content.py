"""Masks, blank frames and half pictures are found; photographs are not, however dark, bright or small."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data.content import emptiness_of, tones_of

DATA = Path(__file__).parents[2] / "shared" / "data"


def photograph(side: int = 64, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side)) / side
    frame = 200 - 120 * np.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) * 18)[..., None] * [1.0, 1.2, 0.6]
    return (frame + rng.normal(0, 4, (side, side, 3))).clip(0, 255).astype(np.uint8)


def through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def mask() -> np.ndarray:
    y, x = np.indices((64, 64))
    inside = (x - 30) ** 2 + (y - 34) ** 2 < 300
    return np.where(inside[..., None], 255, 0).repeat(3, axis=2).astype(np.uint8)


def half(value: int, rows: int = 32) -> np.ndarray:
    pixels = photograph()
    pixels[-rows:] = value
    return pixels


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (np.zeros((64, 64, 3), np.uint8), "a blank frame: all of it is about (0, 0, 0)"),
        (np.full((64, 64, 3), 255, np.uint8), "a blank frame"),
        (np.random.default_rng(1).normal(210, 3, (64, 64, 3)).astype(np.uint8), "a blank frame"),  # the camera's noise
        (mask(), "a mask or a map of labels: the frame has 2 colours"),
        (mask() // 255 * np.array([200, 30, 90], np.uint8), "2 colours"),
        (np.maximum(mask() // 2, mask()[::-1]), "3 colours"),  # a map of labels
        (through_jpeg(mask(), 90), "a mask:"),
        (half(128), "cut off: the last 32 of 64 rows are the grey that decoders fill in"),
        (half(128, rows=6), "cut off: the last 6 of 64 rows"),
        (through_jpeg(half(128), 85), "cut off"),
        (half(0), "half empty: the last 32 of 64 rows are of one colour"),
        (half(255)[::-1], "half empty: the first 32 of 64 rows"),
        (half(255).transpose(1, 0, 2), "half empty: the last 32 of 64 columns"),
        (half(255).transpose(1, 0, 2)[:, ::-1], "half empty: the first 32 of 64 columns"),
    ],
)
def test_what_shows_no_cell_is_told(pixels, says):
    assert says in str(emptiness_of(np.ascontiguousarray(pixels)))


@pytest.mark.parametrize(
    "pixels",
    [
        photograph(),
        photograph() // 6,  # far too dark
        255 - photograph() // 5,  # far too bright
        photograph(8),
        half(255, rows=20),  # a third of it overexposed
        half(127, rows=2),
        through_jpeg(photograph(), 30),
        np.clip(photograph().astype(int) * 3 - 400, 0, 255).astype(np.uint8),  # a contrast that clips most of it
        np.array([[0, 16], [16, 0]], np.uint8).repeat(4, 0).repeat(4, 1)[..., None].repeat(3, 2),  # a digit of 8 px
    ],
)
def test_a_picture_is_a_picture(pixels):
    assert emptiness_of(pixels) is None


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared image sets are not on this machine")
def test_no_real_image_of_the_small_sets_is_taken_for_empty():
    files = [file for name in ("jtsc", "bccd", "external_monocytes") for file in sorted((DATA / name).rglob("*.*"))]
    images = [file for file in files if file.suffix in (".jpg", ".png", ".bmp")]
    assert len(images) == 660
    assert [
        (file.name, why) for file in images if (why := emptiness_of(np.asarray(Image.open(file).convert("RGB"))))
    ] == []


def test_tones_count_every_level_of_every_channel():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 13, 3), dtype=np.uint8)
    counted = tones_of(pixels)
    assert [list(row) for row in counted] == [
        [int((pixels[..., channel] == level).sum()) for level in range(256)] for channel in range(3)
    ]


@pytest.mark.parametrize("turns", range(4))
def test_an_edge_is_of_one_colour_from_the_first_line_that_counts(turns):
    """45 % of 64 lines are 28.8, whichever edge they are at, and however few of them are looked at first."""
    frames = {rows: np.ascontiguousarray(np.rot90(half(0, rows=rows), turns)) for rows in (28, 29)}
    assert emptiness_of(frames[28]) is None
    assert "half empty: the" in str(emptiness_of(frames[29]))
