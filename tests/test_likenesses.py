"""A set that was saved anew with loss is the set that was looked at; another set of such cells is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits
from test_amended import keys, protocol  # noqa: F401  # a fixture
from test_ledger import looked, sha

from fixtures.laboratories import HOME
from fixtures.smears import draw_cell
from harness.data.hashing import thumbnail
from harness.judge.ledger import LedgerError, read_ledger
from harness.judge.likenesses import InvalidLikenesses, look_alike, pack_likenesses, signs_of, unpack_likenesses
from harness.judge.looks import look_number
from harness.judge.terms import pack_terms

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
Saved = Callable[[Image.Image], Image.Image]


@cache
def cells(seed: int) -> tuple[Image.Image, ...]:
    return tuple(
        Image.fromarray(draw_cell(CLASSES[n % 5], laboratory=HOME, size_px=64, rng=np.random.default_rng([seed, n])))
        for n in range(60)
    )


def packed(pictures: tuple[Image.Image, ...] | list[Image.Image]) -> str:
    return pack_likenesses(map(thumbnail, pictures))


def as_jpeg(quality: int) -> Saved:
    def saved(picture: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality)
        return Image.open(stream).convert("RGB")

    return saved


SAVED_ANEW: dict[str, Saved] = {
    "JPEG of quality 95": as_jpeg(95),
    "JPEG of quality 60": as_jpeg(60),
    "halved": lambda picture: picture.resize((32, 32)),
    "doubled": lambda picture: picture.resize((128, 128)),
    "10 % darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.9),
    "more contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.15),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
}


@pytest.mark.parametrize("how", SAVED_ANEW)
def test_a_set_that_was_saved_anew_looks_alike(how):
    assert look_alike(packed([SAVED_ANEW[how](each) for each in cells(1)]), packed(cells(1)))


def test_other_cells_do_not():
    assert not look_alike(packed(cells(2)), packed(cells(1)))


def test_other_digits_do_not_though_digits_are_all_alike():
    scans = [Image.fromarray((each * 255 / 16).astype(np.uint8)) for each in load_digits().images]
    one, other = scans[:900], scans[900:]
    assert not look_alike(packed(other), packed(one))
    assert look_alike(packed([as_jpeg(80)(each.convert("RGB")) for each in one]), packed(one))


def test_a_part_of_it_in_a_larger_set_does_from_one_in_twenty_on():
    anew = [as_jpeg(90)(each) for each in cells(1)]
    assert look_alike(packed([*anew[:4], *cells(2)]), packed(cells(1)))
    assert not look_alike(packed([*anew[:2], *cells(2)]), packed(cells(1)))
    assert look_alike(packed(anew[:1]), packed(cells(1)))  # all of it


def test_blank_pictures_are_like_nothing():
    blank = [Image.new("RGB", (64, 64), (shade,) * 3) for shade in (200, 201)]
    assert packed(blank) == packed([]) == ""
    assert not look_alike(packed(blank), packed(cells(1)))


def test_signs_are_those_of_the_cosine_transform_by_hand():
    _, right = np.mgrid[0:64, 0:64]
    [wave] = signs_of((128 + 100 * np.cos(np.pi * (2 * right + 1) * 1 / 128))[None].astype(np.uint8))
    [upside] = signs_of((128 - 100 * np.cos(np.pi * (2 * right + 1) * 1 / 128))[None].astype(np.uint8))
    bit = np.uint64(1) << np.uint64(62)  # of the second coefficient of the first row
    assert wave & bit
    assert not upside & bit


def test_they_are_read_back_in_order_and_once():
    found = unpack_likenesses(packed([*cells(1), *cells(1)[:5]]))
    assert len(found) == len(set(found.tolist())) <= 60
    assert np.all(found[1:] > found[:-1])
    assert packed(cells(1)[::-1]) == packed(cells(1))


@pytest.mark.parametrize("text", ["no base64", "AAAA", "AAAAAAAAAAIAAAAAAAAAAQ==", "AAAAAAAAAAEAAAAAAAAAAQ=="])
def test_what_was_not_written_here_is_refused(text, tmp_path: Path):
    with pytest.raises(InvalidLikenesses):
        unpack_likenesses(text)
    with pytest.raises(LedgerError, match=r"likenesses"):
        looked(tmp_path / "ledger.jsonl", likenesses=text)


def test_more_likenesses_than_cells_are_refused(tmp_path: Path):
    with pytest.raises(LedgerError, match=r"n is 2"):
        looked(tmp_path / "ledger.jsonl", likenesses=packed(cells(1)), n=2)


# --- what follows from it --------------------------------------------------------------------------


def test_looks_at_a_set_that_was_saved_anew_with_loss_count_on(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    for name in ("p1", "p2", "p3"):
        looked(path, run=name, predictions=sha(name), likenesses=packed(cells(1)), n=60)
    anew = packed([as_jpeg(90)(each) for each in cells(1)])
    others = {"source": sha("others"), "cells": sha("others")}
    looked(path, run="anew", source=sha("anew"), cells=sha("anew"), predictions=sha("p4"), likenesses=anew, n=60)
    looked(path, run="others", predictions=sha("p5"), likenesses=packed(cells(2)), n=60, **others)
    ledger = read_ledger(path)
    assert [each.likenesses != "" for each in ledger] == [True, False, False, True, True]  # once for each set of cells
    ask = {"source": sha("anew"), "cells": sha("anew"), "predictions": sha("p4")}
    assert look_number(ledger, run="anew", **ask) == 4
    assert look_number(ledger, run="others", predictions=sha("p5"), **others) == 1
    # And from there on, also at the set as it was.
    ask = {"source": ledger[0].source, "cells": ledger[0].cells, "predictions": sha("p6")}
    assert look_number(ledger, run="back", **ask) == 5


def test_what_the_first_look_fixed_is_fixed_for_the_set_that_was_saved_anew(protocol, tmp_path: Path):  # noqa: F811
    path = tmp_path / "ledger.jsonl"
    lower = protocol('[[criteria]]\nid = "A1"\nfloor = 0.8\nrationale = "another"\n')
    looked(path, run="first", terms=pack_terms(protocol()), likenesses=packed(cells(1)), n=60)
    anew = packed([as_jpeg(90)(each) for each in cells(1)])
    shown = {"source": sha("anew"), "cells": sha("anew"), "n": 60}
    assert keys(path, lower, run="anew", likenesses=anew, **shown) == ["criteria.A1.floor"]
    shown = {"source": sha("new"), "cells": sha("new"), "n": 60}
    assert keys(path, lower, run="new", likenesses=packed(cells(2)), **shown) == []
