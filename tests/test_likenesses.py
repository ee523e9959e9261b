"""A set that was saved anew with loss is the set that was looked at; another set of such cells is not."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_digits
from test_amended import keys, protocol  # noqa: F401  # a fixture
from test_ledger import looked, sha

from fixtures.laboratories import HOME
from fixtures.smears import draw_cell
from harness.data.hashing import thumbnail
from harness.judge.labels import pack_labels, picture_of
from harness.judge.ledger import read_ledger
from harness.judge.likenesses import (
    MODES,
    InvalidLikenesses,
    known_again,
    likenesses_by_picture,
    look_alike,
    pack_likenesses,
    signs_of,
    turned,
    unpack_likenesses,
)
from harness.judge.look import LedgerError
from harness.judge.looks import look_number
from harness.judge.packed_numbers import pack_numbers
from harness.judge.partitions import pack_groups
from harness.judge.pictures import pack_pictures
from harness.judge.regrouped import regrouped_sets
from harness.judge.relabelled import corrected_pictures
from harness.judge.terms import pack_terms

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
Saved = Callable[[Image.Image], Image.Image]


@cache
def cells(seed: int) -> tuple[Image.Image, ...]:
    return tuple(
        Image.fromarray(draw_cell(CLASSES[n % 5], laboratory=HOME, size_px=64, rng=np.random.default_rng([seed, n])))
        for n in range(60)
    )


def digests(shown: Sequence[Image.Image]) -> list[str]:
    return [hashlib.sha256(np.asarray(each).tobytes()).hexdigest() for each in shown]


def packed(shown: Sequence[Image.Image]) -> str:
    return pack_likenesses(zip(digests(shown), map(thumbnail, shown), strict=True))


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
    "mirrored": ImageOps.mirror,
    "upside down, as JPEG": lambda picture: as_jpeg(80)(ImageOps.flip(picture)),
    "a quarter turn": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "transposed": lambda picture: picture.transpose(Image.Transpose.TRANSVERSE),
    "the negative": ImageOps.invert,
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
    assert packed([]) == ""
    assert unpack_likenesses(packed(blank)).size == 0
    assert not look_alike(packed(blank), packed(cells(1)))
    assert not look_alike(packed(blank), packed(blank))


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


def test_an_entry_of_before_which_has_them_without_an_order_is_read_and_compared():
    before = pack_numbers(unpack_likenesses(packed(cells(1))), most=100)
    assert likenesses_by_picture(before) is None
    assert look_alike(packed([as_jpeg(80)(each) for each in cells(1)]), before)
    assert np.array_equal(unpack_likenesses(before), unpack_likenesses(packed(cells(1))))


NOT_WRITTEN = [
    "no base64",
    "AAAA",
    "AAAAAAAAAAIAAAAAAAAAAQ==",
    "AAAAAAAAAAEAAAAAAAAAAQ==",
    "in order:",
    "in order:AAAA",
    "in order:?",
    "in order://///////////",
]


@pytest.mark.parametrize("text", NOT_WRITTEN)
def test_what_was_not_written_here_is_refused(text, tmp_path: Path):
    with pytest.raises(InvalidLikenesses):
        unpack_likenesses(text)
    with pytest.raises(LedgerError, match=r"likenesses"):
        looked(tmp_path / "ledger.jsonl", likenesses=text)


def test_more_likenesses_than_cells_are_refused(tmp_path: Path):
    with pytest.raises(LedgerError, match=r"n is 2"):
        looked(tmp_path / "ledger.jsonl", likenesses=packed(cells(1)), n=2)


# --- which picture is which -----------------------------------------------------------------------


@pytest.mark.parametrize("how", SAVED_ANEW)
def test_each_picture_is_known_again_and_taken_for_no_other(how):
    own, others = (signs_of(np.array([thumbnail(each) for each in shown])) for shown in (cells(1), cells(2)))
    order = np.random.default_rng(1).permutation(len(own))
    anew = [SAVED_ANEW[how](cells(1)[place]) for place in order.tolist()]
    rows, places = known_again(signs_of(np.array([thumbnail(each) for each in anew])), np.concatenate([others, own]))
    assert len(rows) >= 0.9 * len(own)
    assert np.array_equal(places, len(others) + order[rows])


def test_among_pictures_that_are_all_alike_none_is_said_to_be_another():
    scans = [Image.fromarray((each * 255 / 16).astype(np.uint8)) for each in load_digits().images]
    one, other = (signs_of(np.array([thumbnail(each) for each in some])) for some in (scans[:900], scans[900:]))
    assert len(known_again(other, one)[0]) == 0
    twice = np.array([one[0], one[0] ^ np.uint64(1)])
    assert len(known_again(one[:1], twice)[0]) == len(known_again(twice, one[:1])[0]) == 0


def test_turning_is_undone_by_hand():
    across = np.uint64(1) << np.uint64(62)  # of the first coefficient of the first row, which turns into the column's
    down = np.uint64(1) << np.uint64(63 - MODES)
    seen = set(turned(np.array([across]))[:, 0].tolist())
    odd = sum(1 << (63 - (MODES * u + v)) for u in range(MODES) for v in range(MODES) if v % 2)
    assert {int(across), int(down), int(across) ^ odd, int(across) ^ (2**63 - 1)} <= seen
    assert len(seen) == 16


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


def shown_at(path: Path, run: str, shown: list[Image.Image], *, labels: list[str], patients: list[str]) -> None:
    names = digests(shown)
    looked(
        path,
        run=run,
        source=sha(run),
        cells=sha(run),
        predictions=sha(run),
        n=len(shown),
        pictures=pack_pictures(names),
        labels=pack_labels(zip(names, labels, strict=True)),
        groups=pack_groups((name, {"patient": patient}) for name, patient in zip(names, patients, strict=True)),
        likenesses=pack_likenesses(zip(names, map(thumbnail, shown), strict=True)),
    )


@pytest.mark.parametrize("how", ["JPEG of quality 60", "upside down, as JPEG"])
@pytest.mark.parametrize("only_these", [False, True])
def test_a_label_and_a_patient_that_change_in_a_set_that_was_saved_anew_are_seen(how, only_these, tmp_path: Path):
    """Saved anew is the whole set, or the pictures that have another label now, and nothing else."""
    path, shown = tmp_path / "ledger.jsonl", list(cells(1))
    labels, patients = [CLASSES[n % 5] for n in range(60)], [f"P{n % 6}" for n in range(60)]
    shown_at(path, "first", shown, labels=labels, patients=patients)
    corrected, alone = ["monocyte", "neutrophil", *labels[2:]], ["alone", *patients[1:]]
    anew = [SAVED_ANEW[how](each) if not only_these or n < 2 else each for n, each in enumerate(shown)]
    shown_at(path, "later", anew, labels=corrected, patients=alone)
    ledger = read_ledger(path)
    found = corrected_pictures(ledger, run="later")
    assert [(each.old, each.new) for each in found] == [("basophil", "monocyte"), ("eosinophil", "neutrophil")] or [
        (each.old, each.new) for each in found
    ] == [("eosinophil", "neutrophil"), ("basophil", "monocyte")]
    assert {each.picture for each in found} == {f"{picture_of(each):016x}" for each in digests(anew[:2])}
    (moved,) = regrouped_sets(ledger, run="later")
    assert (moved.kind, moved.old.partition(",")[0], moved.new.partition(",")[0]) == ("patient", "6 groups", "7 groups")


def test_a_set_saved_anew_with_its_labels_and_patients_is_no_change_and_new_cells_are_none(tmp_path: Path):
    path, shown = tmp_path / "ledger.jsonl", list(cells(1))
    labels, patients = [CLASSES[n % 5] for n in range(60)], [f"P{n % 6}" for n in range(60)]
    shown_at(path, "first", shown, labels=labels, patients=patients)
    anew = [*map(as_jpeg(80), shown), *cells(2)]
    shown_at(path, "later", anew, labels=[*labels, *labels[1:], "monocyte"], patients=[*patients, *patients])
    ledger = read_ledger(path)
    assert corrected_pictures(ledger, run="later") == ()
    assert regrouped_sets(ledger, run="later") == ()


def test_likenesses_of_more_or_fewer_pictures_than_an_entry_has_are_refused(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    looked(path, n=60, pictures=pack_pictures(digests(cells(1))), likenesses=packed(cells(1)[:59]))
    with pytest.raises(LedgerError, match=r"likenesses are those of 59 pictures"):
        read_ledger(path)
