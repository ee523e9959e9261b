"""The synthetic cells: the same pixels everywhere, five classes that can be told apart, but not by colour alone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures import smears
from fixtures.laboratories import HOME, SECOND, Laboratory
from fixtures.smears import CELL_CLASSES, SmearsExist, UnknownCellClass, draw_cell, draw_field, stored_png, write_smears
from harness.core.errors import DataError, HarnessError

LABORATORIES = {"home": HOME, "second": SECOND}

# First 16 hex digits of the SHA-256 of the pixels of four images at 96 px and one at 64 px. A change of these is a
# change of the embedded dataset, so of every number in the committed reference run: never update them to make a test
# pass on one more machine. If they differ between machines, the drawing has left exact arithmetic (see smears.py).
GOLDEN = {
    "home": {
        "basophil": "2e6f9cb330a3dc85",
        "eosinophil": "f498c65dc5e54a29",
        "lymphocyte": "9470519f479e1ddd",
        "monocyte": "7e1250dbdb7b0cec",
        "neutrophil": "be95c3d9042be8eb",
        "field": "dc5f557f99e4aba2",
    },
    "second": {
        "basophil": "1a72d3962eca1d26",
        "eosinophil": "c648bf0a4ab784ae",
        "lymphocyte": "8c437e92799e02f8",
        "monocyte": "4d0caf20714e86da",
        "neutrophil": "13b6deda133e69af",
        "field": "4b391e25a044affb",
    },
}


def digests(laboratory: Laboratory) -> dict[str, str]:
    """Digest of some images of every class, and of a field without a white cell."""
    found = {}
    for cell_class in CELL_CLASSES:
        images = [pixels_of(cell_class, number, laboratory=laboratory) for number in range(4)]
        images.append(pixels_of(cell_class, 4, laboratory=laboratory, size_px=64))
        found[cell_class] = hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()[:16]
    field = draw_field(laboratory, size_px=96, rng=np.random.default_rng(7))
    return {**found, "field": hashlib.sha256(field.tobytes()).hexdigest()[:16]}


def pixels_of(cell_class: str, number: int, *, laboratory: Laboratory = HOME, size_px: int = 96) -> np.ndarray:
    return draw_cell(cell_class, laboratory=laboratory, size_px=size_px, rng=np.random.default_rng([20, number]))


def contents_of(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("laboratory", LABORATORIES)
def test_pixels_are_the_committed_ones(laboratory):
    assert digests(LABORATORIES[laboratory]) == GOLDEN[laboratory]


def test_pixels_do_not_depend_on_the_cpus_vector_instructions():
    # NumPy picks its loops by CPU; switching the wide ones off in a new process stands in for an older machine.
    wide = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    if not wide:
        pytest.skip("this CPU and this build of NumPy leave no vector instructions to switch off")
    script = "import json, sys; sys.path.append('tests'); import test_smears as t; print(json.dumps(t.digests(t.HOME)))"
    child = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(wide)},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(child.stdout) == GOLDEN["home"]


@pytest.mark.parametrize("laboratory", LABORATORIES)
@pytest.mark.parametrize("cell_class", CELL_CLASSES)
@pytest.mark.parametrize("size_px", [32, 97, 224])
def test_every_class_is_drawn_at_any_size(cell_class, laboratory, size_px):
    image = pixels_of(cell_class, 0, laboratory=LABORATORIES[laboratory], size_px=size_px)
    assert image.shape == (size_px, size_px, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.std() > 10, "there is something in the image"


def test_the_same_generator_state_draws_the_same_cell_and_another_draws_another():
    first, again, other = (
        draw_cell("monocyte", laboratory=HOME, size_px=64, rng=np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_an_unknown_class_is_refused_with_the_classes_that_exist(tmp_path):
    with pytest.raises(UnknownCellClass, match=r"'blast' can be drawn\. Use one of basophil, eosinophil") as caught:
        draw_cell("blast", laboratory=HOME, size_px=96, rng=np.random.default_rng(0))
    assert isinstance(caught.value, HarnessError)
    with pytest.raises(UnknownCellClass):
        write_smears(tmp_path / "set", images_per_class={"blast": 0}, laboratory=HOME, size_px=96, seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size_px": 31}, "31 px .* Give size_px of 32 or more"),
        ({"seed": -1}, "seed -1 is below 0"),
        ({"workers": 0}, "0 workers cannot draw"),
        ({"images_per_class": {"monocyte": -2}}, "count -2 is below 0"),
    ],
)
def test_an_impossible_wish_is_refused_before_anything_is_written(tmp_path, wrong, message):
    wish = {"images_per_class": {"monocyte": 1}, "laboratory": HOME, "size_px": 64, "seed": 1, **wrong}
    with pytest.raises(DataError, match=message):
        write_smears(tmp_path / "set", **wish)
    assert list(tmp_path.iterdir()) == []


def test_a_set_has_one_folder_per_class_and_a_file_per_image(tmp_path):
    counts = {"monocyte": 3, "basophil": 2}
    write_smears(tmp_path / "new" / "set", images_per_class=counts, laboratory=HOME, size_px=64, seed=5)
    assert list(contents_of(tmp_path)) == [
        "new/set/basophil/BA_00001.png",
        "new/set/basophil/BA_00002.png",
        "new/set/monocyte/MO_00001.png",
        "new/set/monocyte/MO_00002.png",
        "new/set/monocyte/MO_00003.png",
    ]


def test_files_depend_neither_on_workers_nor_on_the_other_classes(tmp_path):
    counts = {"neutrophil": 3, "lymphocyte": 2, "monocyte": 2}
    common = {"laboratory": HOME, "size_px": 64, "seed": 5}
    write_smears(tmp_path / "alone", images_per_class=counts, **common)
    write_smears(tmp_path / "together", images_per_class=counts, workers=2, **common)
    write_smears(tmp_path / "fewer", images_per_class={"monocyte": 1, "neutrophil": 3}, **common)
    alone, fewer = contents_of(tmp_path / "alone"), contents_of(tmp_path / "fewer")
    assert contents_of(tmp_path / "together") == alone
    assert fewer.items() <= alone.items()
    assert len(fewer) == 4


def test_no_two_files_of_any_seed_or_laboratory_are_the_same(tmp_path):
    counts = dict.fromkeys(CELL_CLASSES, 2)
    for name, laboratory, seed in [("a", HOME, 1), ("b", HOME, 2), ("c", SECOND, 1)]:
        write_smears(tmp_path / name, images_per_class=counts, laboratory=laboratory, size_px=48, seed=seed)
    contents = contents_of(tmp_path)
    assert len(set(contents.values())) == len(contents) == 30


def test_a_folder_that_exists_is_left_alone(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("keep")
    with pytest.raises(SmearsExist, match=r"set exists already\. Remove it") as caught:
        write_smears(tmp_path / "set", images_per_class={"monocyte": 1}, laboratory=HOME, size_px=64, seed=1)
    assert isinstance(caught.value, FileExistsError)
    assert [path.name for path in tmp_path.rglob("*")] == ["set", "mine.txt"]


def test_a_set_that_could_not_be_finished_leaves_nothing_behind(tmp_path, monkeypatch):
    def drawn_once(cell_class, **wish):
        monkeypatch.setattr(smears, "stored_png", full_disk)
        return draw_cell(cell_class, **wish)

    def full_disk(pixels):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(smears, "draw_cell", drawn_once)
    with pytest.raises(OSError, match="No space left"):
        write_smears(tmp_path / "set", images_per_class={"monocyte": 4}, laboratory=HOME, size_px=64, seed=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_appears_meanwhile_is_left_alone(tmp_path, monkeypatch):
    def slowly(cell_class, **wish):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / "theirs.txt").write_text("keep")
        return draw_cell(cell_class, **wish)

    monkeypatch.setattr(smears, "draw_cell", slowly)
    with pytest.raises(SmearsExist, match="appeared while it was drawn"):
        write_smears(tmp_path / "set", images_per_class={"monocyte": 1}, laboratory=HOME, size_px=64, seed=1)
    assert [path.name for path in tmp_path.rglob("*")] == ["set", "theirs.txt"]


@pytest.mark.parametrize("shape", [(1, 1), (96, 96), (40, 300), (300, 200)])  # the last needs three stored blocks
def test_a_stored_png_decodes_to_its_pixels(shape):
    pixels = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    data = stored_png(pixels)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert (np.asarray(image) == pixels).all()
    with Image.open(io.BytesIO(data)) as image:
        image.verify()  # the checksums, which decoding may pass over
    assert len(data) - pixels.size < 100 + shape[0], "nothing was compressed"


def test_a_stored_png_has_the_bytes_that_the_specification_gives_for_one_pixel():
    # By hand, after PNG (ISO 15948) and RFC 1950/1951: one row of filter byte 0 and (1, 2, 3).
    stream = "7801 01 0400 fbff 00010203 000e0007"
    data = stored_png(np.array([[[1, 2, 3]]], dtype=np.uint8))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[8:29] == bytes.fromhex("0000000d 49484452 00000001 00000001 08 02 00 00 00")
    assert data[33:37] == bytes.fromhex("0000000f")
    assert data[41:56] == bytes.fromhex(stream)
    assert data[-12:] == bytes.fromhex("00000000 49454e44 ae426082")


@pytest.fixture(scope="module")
def cells():
    """(classes, 60, 64, 64, 3) float64 in [0, 1]; the first 40 of each class are for learning."""
    return np.stack([[pixels_of(c, n, size_px=64) / 255.0 for n in range(60)] for c in CELL_CLASSES])


def nearest_centroid_accuracy(features: np.ndarray) -> float:
    """Of (classes, images, features), standardised; learned on the first 40 images, judged on the rest."""
    learned, judged = features[:, :40], features[:, 40:]
    spread = learned.std(axis=(0, 1)) + 1e-9
    distances = np.abs(judged[:, :, None, :] - learned.mean(axis=1)[None, None]) / spread
    said = distances.sum(axis=-1).argmin(axis=-1)
    return float((said == np.arange(len(features))[:, None]).mean())


def test_colours_of_the_centre_tell_more_than_chance_but_do_not_settle_the_class(cells):
    centre = cells[:, :, 16:48, 16:48].reshape(5, 60, -1, 3)
    features = np.concatenate([centre.mean(axis=2), centre.std(axis=2)], axis=-1)
    assert 0.4 < nearest_centroid_accuracy(features) < 0.9


def test_the_mean_colour_of_the_whole_image_says_little(cells):
    assert nearest_centroid_accuracy(cells.mean(axis=(2, 3))) < 0.6


def test_the_second_laboratory_has_the_yellower_background():
    def yellowness(laboratory):
        fields = [draw_field(laboratory, size_px=64, rng=np.random.default_rng(n)) / 255.0 for n in range(8)]
        red, _, blue = np.mean(fields, axis=(0, 1, 2))
        return red - blue

    assert yellowness(SECOND) > yellowness(HOME) + 0.08


def test_a_lymphocyte_is_smaller_than_a_monocyte():
    def dark_share(cell_class):
        return np.mean([(pixels_of(cell_class, n)[..., 1] < 150).mean() for n in range(20)])

    assert dark_share("lymphocyte") < 0.85 * dark_share("monocyte")
