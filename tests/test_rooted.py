"""What a page writes once: the beginning of the paths in a row, and the picture of a cell."""

import re

import pytest
from markupsafe import Markup
from page_edits import added, matched, once

from harness.pack.page_around import pictures
from harness.pack.page_reading import read_page
from harness.report.cells import Cells
from harness.report.figures import draw_thumbnails, images_to_show
from harness.report.places import parsed, written
from harness.report.printing import element
from harness.report.rooted import rooted, with_whole_paths
from tests.example_run import example_pixels, example_run, page_of
from tests.test_explanations import with_explanations
from tests.test_page_pictures import picture

ODD = ("predictions/a > b.csv", "~1", '" onload="', "<b>", "&gt; x")


@pytest.fixture(scope="module")
def page() -> str:
    run = with_explanations(example_run(n_wrong=9))
    return page_of(run, thumbnails=draw_thumbnails(run, example_pixels(images_to_show(run))))


def wrong(page: str) -> list[str]:
    read = read_page(page)
    return [*read.problems, *pictures(read, allowed="all")]


def test_every_value_has_the_path_that_it_would_have_without_a_common_beginning(page: str):
    whole = with_whole_paths(page)
    assert "data-in" not in whole and "data-at" not in whole
    assert [mark for mark, _ in read_page(page).marks] == [mark for mark, _ in read_page(whole).marks]
    assert len(page) < 0.95 * len(whole)
    assert wrong(page) == wrong(whole) == []


def test_any_name_survives_and_a_row_of_one_value_is_left_as_it_is():
    steps = [(*ODD, field) for field in ("label", "p_>", "", "~")]
    body = Markup('<tbody><tr class="x">{}</tr><tr>{}</tr></tbody>').format(
        Markup().join(element(each, "1") for each in steps), element(("a", "b"), "2")
    )
    found = rooted(body)
    assert found.count(" data-at=") == 1 and found.endswith(f"<tr>{element(('a', 'b'), '2')}</tr></tbody>")
    table = f"<table>{found}</table>"
    head = "<head><title></title><style></style></head>"
    read = read_page(f"<!DOCTYPE html><html>{head}<body>{table}</body></html>")
    assert [parsed(mark.path or "") for mark, _ in read.marks] == [*steps, ("a", "b")]
    assert re.findall(' data-path="([^"]*)"', with_whole_paths(table)) == [
        str(Markup.escape(written(each))) for each in (*steps, ("a", "b"))
    ]


EDITS = {
    "a row without a beginning": lambda page: once(page, matched(page, ' data-at="[^"]*"'), ""),
    "a beginning that is no row's": added('<p data-at="verdicts"><data data-in="A1">1</data></p>'),
    "a rest outside of a row": added('<p><data data-in="A1">1</data></p>'),
    "both": lambda page: once(page, "<data data-in=", '<data data-path="verdicts" data-in='),
    "a picture shown again that is none": lambda page: once(page, 'href="#cell-1"', 'href="#cell-999"'),
    "another cell's picture": lambda page: once(page, 'href="#cell-1"', 'href="#cell-2"'),
    "the same name twice": lambda page: once(page, 'id="cell-2"', 'id="cell-1"'),
    "one picture over another": lambda page: once(page, "<use ", '<use href="#cell-1"></use><use '),
    "an empty frame": lambda page: once(page, matched(page, "<use [^>]*></use>"), ""),
    "a picture without a frame": added('<p><use href="#cell-1"></use></p>'),
    "a stretched picture": lambda page: once(page, 'class="thumb" viewbox="0 0 ', 'class="thumb" viewbox="0 0 9'),
    "a stretched picture and its frame": lambda page: re.sub(
        r'viewbox="0 0 (\d+) (\d+)"( role="img" aria-label="Cell"><image [^>]*) width="\d+"',
        r'viewbox="0 0 9\1 \2"\3 width="9\1"',
        page,
        count=1,
    ),
    "a shift": lambda page: once(page, "<image ", '<image x="50" '),
    "a picture from elsewhere": lambda page: once(page, 'href="data:image/webp', 'href="https://a.example/b'),
    "a shape over a picture": lambda page: once(page, "<use ", '<rect class="v9" x="0" y="0"></rect><use '),
}


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("name", EDITS)
def test_no_path_and_no_picture_is_mistaken_for_another(page: str, name: str):
    edited = EDITS[name](page)
    assert edited != page
    assert wrong(edited) != []


def test_a_cell_s_picture_is_carried_once_and_fills_its_frame_as_it_is_shown():
    wide = picture("WEBP", side=24)
    cells = Cells({"a": wide, "b": b"\x89PNG\r\n\x1a\n and no more"})
    first, again = cells.picture("a"), cells.picture("a", "Training picture", fit="crop")
    assert 'viewbox="0 0 24 24" role="img" aria-label="Cell"><image id="cell-1" href="data:image/webp;base64,' in first
    assert again == (
        '<svg class="thumb" viewbox="0 0 24 24" preserveaspectratio="xMidYMid slice" role="img" '
        'aria-label="Training picture"><use href="#cell-1"></use></svg>'
    )
    assert 'viewbox="0 0 1 1"' in cells.picture("b")
    assert "b" in cells and "c" not in cells
