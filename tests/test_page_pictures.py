"""How a page carries its pictures: what they are stands in their address, and they are small."""

import io

import numpy as np
import pytest
from PIL import Image

from harness.report.figures import draw_thumbnails
from harness.report.pictures import as_uri, kind_of, of_uri
from tests.example_run import example_pixels, example_run


def picture(format: str, side: int = 24) -> bytes:
    pixels = np.random.default_rng(7).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=format)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_address_says_what_its_bytes_are_and_gives_them_back(format: str):
    content = picture(format)
    assert kind_of(content) == format.lower()
    assert as_uri(content).startswith(f"data:image/{format.lower()};base64,")
    assert of_uri(as_uri(content)) == content


@pytest.mark.parametrize("format", ["GIF", "JPEG", "BMP"])
def test_other_kinds_are_none_of_a_page_s(format: str):
    assert kind_of(picture(format)) is None


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/svg+xml;base64,AAAA",
        "data:image/gif;base64,AAAA",
        "data:image/webp;base64,A",
        "data:image/png;base64,A*AA",
        "data:image/png,AAAA",
        "https://example.org/x.webp",
        "",
    ],
)
def test_no_other_address_has_bytes(uri: str):
    assert of_uri(uri) is None


def test_a_thumbnail_shows_the_cell_in_fewer_bytes_than_a_png_of_few_colours():
    run = example_run()
    cells = example_pixels(sorted({digest for each in run.predictions.values() for digest in each.digests}))
    drawn = draw_thumbnails(run, cells)
    assert drawn
    for digest, content in drawn.items():
        assert kind_of(content) == "webp"
        shown = Image.open(io.BytesIO(content))
        assert max(shown.size) <= 96
        again = Image.fromarray(cells[digest])
        again.thumbnail((96, 96))
        assert shown.size == again.size
