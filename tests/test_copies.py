"""Copies under any transform: found by landmarks and registration, said in words, and nothing else taken for one."""

from __future__ import annotations

import io
import tracemalloc
from datetime import date

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from fixtures.copies import COPIES, copied, moved
from fixtures.laboratories import HOME
from fixtures.planting.leakage import DISGUISED
from fixtures.smears import draw_cell
from harness.core.places import SUITES
from harness.data import recognition
from harness.data.hashing import ImageHashes, hash_pictures, thumbnail
from harness.data.landmarks import described, landmarks
from harness.data.leakage import ListedImage, find_duplicates
from harness.data.name_hints import name_hints
from harness.data.recognition import Recognised, recognised
from harness.judge.criteria import explain, judge
from harness.metrics.counts import exact_count
from harness.metrics.leakage import COVERED, n_looked_at
from harness.protocol.file import read_protocol

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
COVERED_KINDS = [kind for kind in COPIES if not kind.startswith("beyond")]
N = 10


def cell(number: int, *, size_px: int = 128) -> Image.Image:
    rng = np.random.default_rng([61, number])
    return Image.fromarray(draw_cell(CLASSES[number % 5], laboratory=HOME, size_px=size_px, rng=rng))


@pytest.fixture(scope="module")
def originals() -> list[Image.Image]:
    return [cell(number) for number in range(N)]


def hashed(pictures: list[Image.Image], name: str) -> ImageHashes:
    return hash_pictures(pictures, set_name=name, label="any")


def how(first: Image.Image, second: Image.Image) -> list[str]:
    return [pair.transform for pair in find_duplicates([hashed([first], "a"), hashed([second], "b")], workers=1)]


@pytest.mark.parametrize("kind", COVERED_KINDS)
def test_copies_of_every_kind_are_found_and_nothing_else(originals, kind):
    copies = hashed([copied(kind, picture, seed=number) for number, picture in enumerate(originals)], "b")
    pairs = find_duplicates([hashed(originals, "a"), copies], workers=2)
    assert [pair for pair in pairs if pair.first.path != pair.second.path] == []
    assert len(pairs) >= N - 1  # of drawn cells, which are emptier than real ones; docs/duplicates.md measures those


@pytest.mark.parametrize("disguise", DISGUISED)
def test_training_cells_that_are_to_pass_for_another_laboratory_s_are_found(originals, disguise):
    copies = hashed([DISGUISED[disguise](picture) for picture in originals], "b")
    pairs = find_duplicates([hashed(originals, "a"), copies], workers=2)
    assert [pair for pair in pairs if pair.first.path != pair.second.path] == []
    assert len(pairs) >= N - 1


def test_different_cells_are_no_copies_of_each_other():
    pictures = np.array([thumbnail(cell(number, size_px=64)) for number in range(100, 250)])
    assert len(recognised(pictures, workers=2).first) == 0


def test_a_search_that_takes_look_alikes_for_copies_is_seen(monkeypatch):
    # The planted fault, for the test above: whatever is laid over each other counts as a copy.
    for name in ("MIN_FIRST_AGREEMENT", "MIN_COARSE_AGREEMENT", "MIN_AGREEMENT"):
        monkeypatch.setattr(f"harness.data.registration.{name}", 0.0)
    pictures = np.array([thumbnail(cell(number, size_px=64)) for number in range(100, 150)])
    assert len(recognised(pictures, workers=1).first) > 0


def test_neither_order_nor_workers_nor_other_images_decide_what_is_found(originals):
    copies = [copied("turned by any angle", picture, seed=7) for picture in originals]
    pictures = np.array([thumbnail(picture) for picture in (*originals, *copies)])
    whole = recognised(pictures, workers=1)
    again = recognised(pictures, workers=3)
    backwards = recognised(pictures[::-1], workers=1)
    pairs = list(zip(whole.first.tolist(), whole.second.tolist(), strict=True))
    assert pairs == list(zip(again.first.tolist(), again.second.tolist(), strict=True))
    last = len(pictures) - 1
    assert pairs == sorted(
        (last - j, last - i) for i, j in zip(backwards.first.tolist(), backwards.second.tolist(), strict=True)
    )
    for i, j in pairs:
        assert len(recognised(pictures[[i, j]], workers=1).first) == 1


# --- in words -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pictures_that_are_all_alike_are_compared_in_little_memory(monkeypatch):
    """Handwritten digits, 40 px: nearly every landmark resembles hundreds of others, 0.1 million pairs in 100 pictures.

    901 of them took 21 GB, and the system ended the run; what is held at a time may not grow with the pairs.
    """
    digits = load_digits(n_class=5).images[:100]
    shown = [Image.fromarray((pixels * 255 / 16).astype(np.uint8)).resize((64, 64)) for pixels in digits]
    thumbnails = np.array([*map(np.asarray, shown), np.rot90(np.asarray(shown[0]))], dtype=np.uint8)
    tracemalloc.start()
    found = recognised(thumbnails, workers=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300e6  # 1.1e9 where all resembling pairs lay in memory at once
    assert (0, 100) in zip(found.first.tolist(), found.second.tolist(), strict=True)
    monkeypatch.setattr(recognition, "PAIRS_AT_ONCE", 1000)
    monkeypatch.setattr(recognition, "ASKED_AT_ONCE", 300)
    again = recognised(thumbnails, workers=1)
    for name in Recognised.__slots__:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_a_turn_is_named_counter_clockwise_from_either_side(originals):
    turned = originals[0].rotate(33, Image.Resampling.BICUBIC)
    assert how(originals[0], turned) == ["rotated 33"]
    assert how(turned, originals[0]) == ["rotated 327"]


def test_mirroring_comes_before_the_turn_that_follows_it(originals):
    turned = ImageOps.mirror(originals[1]).rotate(-20, Image.Resampling.BICUBIC)
    assert how(originals[1], turned) == ["flipped left-right, rotated 340"]
    # The other way round it is the same: mirroring turns a turn back.
    assert how(turned, originals[1]) == ["flipped left-right, rotated 340"]


def test_a_zoom_is_named_in_pixels(originals):
    smaller = moved(originals[2], np.random.default_rng(3), degrees=40, wider=0.8, higher=0.8)
    assert how(originals[2], smaller) == ["rotated 40, rescaled x0.8"]
    enlarged = smaller.resize((256, 256), Image.Resampling.BICUBIC)
    assert how(originals[2], enlarged) == ["rotated 40, rescaled x1.6"]


def test_a_picture_with_a_hole_is_told_to_be_covered(originals):
    holed = originals[3].copy()
    holed.paste((0, 0, 0), (30, 30, 60, 75))
    assert how(originals[3], holed) == ["relit or partly covered"]


# --- what is no copy -----------------------------------------------------------------------------


def test_two_cells_side_by_side_in_one_field_are_not_one_picture():
    field = Image.new("RGB", (384, 256))
    for number in range(6):
        field.paste(cell(300 + number), (128 * (number % 3), 128 * (number // 3)))
    left, right = field.crop((0, 0, 256, 256)), field.crop((110, 0, 366, 256))
    assert how(left, right) == []
    assert how(left, field.crop((20, 0, 276, 256))) == ["shifted"]


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (127, 127, 127)])
@pytest.mark.parametrize("degrees", [0, 30])
def test_equal_borders_do_not_make_two_pictures_alike(colour, degrees):
    # The search by whole frames alone took some of these for each other, as most of what it saw was the frame.
    pictures = [cell(1 + 5 * number, size_px=96) for number in range(40)]
    framed = []
    for picture in pictures:
        wider = ImageOps.expand(picture, 13, colour).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=colour)
        stream = io.BytesIO()
        wider.resize((96, 96), Image.Resampling.LANCZOS).save(stream, "JPEG", quality=80)
        framed.append(Image.open(stream).convert("RGB"))
    assert find_duplicates([hashed(framed, "a")], workers=1) == ()


def test_pictures_without_a_landmark_are_in_no_pair():
    slopes = np.tile(np.arange(64, dtype=np.uint8) * 3, (3, 64, 1))
    assert len(landmarks(slopes, scales=(1.0,)).image) == 0
    assert described(landmarks(slopes, scales=(1.0,)).maps).shape == (0, 48)
    assert len(recognised(slopes, workers=1).first) == 0


# --- what is said of it --------------------------------------------------------------------------


def test_an_image_that_cannot_be_compared_is_not_in_the_count_of_a_search():
    blank = [ListedImage("dataset", "a.png", "x"), ListedImage("external", "b.png", "x")]
    assert n_looked_at("duplicates_across_parts", 10, blank) == 9
    assert n_looked_at("class_linked_headers", 10, blank) == 10


def test_what_the_search_covers_stands_in_the_verdict():
    protocol = read_protocol(SUITES / "protocols" / "embedded.toml")
    by_id = {criterion.id: criterion for criterion in protocol.criteria}

    def explained(id_: str) -> str:
        found = exact_count(by_id[id_].metric, "dataset", [], of=10)
        return explain(judge(by_id[id_], found, protocol=protocol, today=date(2026, 1, 1)))

    assert f"  covers    {COVERED}" in explained("L1")
    assert "  covers" not in explained("L4")


@pytest.mark.parametrize(
    "name", ["x_aug1", "x_rot90", "x (1)", "x_flip", "x-hflip_2", "x_rotated15_brightness0.8", "x - Copy", "x_AUG_3"]
)
def test_a_name_like_an_augmentation_is_a_hint(name):
    [hint] = name_hints([f"a/{name}.png", "b/x.jpg", "b/y.jpg"])
    assert (hint.path, hint.after) == (f"a/{name}.png", "b/x.jpg")


def test_of_two_augmentations_of_a_lost_original_one_is_named_after_the_other():
    [hint] = name_hints(["x_rot15.png", "x_rot30.png"])
    assert (hint.path, hint.after) == ("x_rot30.png", "x_rot15.png")


@pytest.mark.parametrize("name", ["BA_124", "x2", "x_2", "flip", "copy", "xcopy"])
def test_numbers_and_words_of_their_own_are_no_hint(name):
    assert name_hints([f"a/{name}.png", "a/BA_123.png", "a/x.png"]) == ()
