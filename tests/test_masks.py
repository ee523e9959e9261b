"""A mask says one thing in whatever form it is written, or is refused: never another cell than was drawn."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from harness.core.errors import DataError
from harness.data.masks import read_mask

SIZE = (20, 30)
INSIDE = np.zeros(SIZE, dtype=bool)
INSIDE[5:10, 5:15] = True
LEVELS = (INSIDE * 255).astype(np.uint8)
GREY = Image.fromarray(LEVELS)
FULL = Image.new("L", GREY.size, 255)


def palette(background: int, *colours: tuple[int, int, int]) -> Image.Image:
    """The cell in palette entry 1 - background."""
    image = Image.fromarray(np.where(INSIDE, 1 - background, background).astype(np.uint8)).convert("P")
    image.putpalette([value for colour in colours for value in colour] + [0] * 750)
    return image


def turned() -> tuple[Image.Image, Image.Exif]:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    return GREY.rotate(180), exif


def read(tmp_path: Path, image: Image.Image, suffix: str = ".png", **how: object) -> np.ndarray:
    file = tmp_path / f"mask{suffix}"
    made = io.BytesIO()
    image.save(made, {".png": "PNG", ".tif": "TIFF", ".bmp": "BMP"}[suffix], **how)
    file.write_bytes(made.getvalue())
    return read_mask(file, size=SIZE)


@pytest.mark.parametrize(
    ("image", "suffix"),
    [
        (GREY, ".png"),
        (GREY, ".tif"),
        (GREY, ".bmp"),
        (GREY.convert("1"), ".png"),
        (GREY.convert("RGB"), ".png"),
        (Image.fromarray(LEVELS // 255), ".png"),  # of 0 and 1, as programs write labels
        (Image.fromarray(LEVELS.astype(np.uint16) * 257), ".png"),
        (Image.merge("LA", (GREY, FULL)), ".png"),
        (Image.merge("RGBA", (GREY, GREY, GREY, FULL)), ".png"),
        (palette(0, (0, 0, 0), (200, 0, 0)), ".png"),
    ],
)
def test_the_same_cell_is_read_whatever_it_was_saved_as(tmp_path: Path, image: Image.Image, suffix: str):
    assert np.array_equal(read(tmp_path, image, suffix), INSIDE)


def test_a_mask_is_turned_as_its_file_says_like_its_picture(tmp_path: Path):
    image, exif = turned()
    assert np.array_equal(read(tmp_path, image, exif=exif), INSIDE)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.merge("RGBA", (FULL, FULL, FULL, GREY)), "transparent pixels, and nothing says whether"),
        (Image.merge("LA", (FULL, GREY)), "transparent pixels"),
        (palette(0, (255, 255, 255), (0, 0, 0)), "a palette in which entry 0 and black are not the same"),
        (palette(1, (255, 255, 255), (0, 0, 0)), "a palette in which entry 0 and black are not the same"),
        (FULL, "0 nowhere, so that all of its picture would be cell"),
        (Image.fromarray(np.maximum(LEVELS, 1)), "0 nowhere"),
        (Image.new("L", GREY.size), "0 everywhere, so that it marks no cell"),
        (GREY.resize((15, 10)), "15 x 10 px and its picture 30 x 20 px"),
    ],
)
def test_what_can_be_read_in_two_ways_or_marks_nothing_is_refused(tmp_path: Path, image: Image.Image, words: str):
    with pytest.raises(DataError, match=words):
        read(tmp_path, image)
