"""One way from a file to pixels: faithful or refused by name, and no remedy that is refused when it is followed."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from harness.core.places import PROJECT
from harness.core.progress import silent
from harness.data.decoding import is_plain, open_picture, rgb_of
from harness.data.inspection import hash_images, read_facts
from harness.data.integrity import inspect
from harness.data.manifest import read_manifest
from harness.data.records import Finding, Manifest
from harness.model.images import images_of, read_frame, readable_by_anybody
from harness.protocol.datasets import FORMATS, ImageRules
from harness.protocol.modes import ACCEPTABLE, why_not

CLASSES = ("basophil", "monocyte")


def picture() -> Image.Image:
    """40 x 44 px, every quarter of another colour, so that a turn or a lost channel is seen."""
    pixels = np.random.default_rng(5).integers(60, 200, (44, 40, 3), dtype=np.uint8)
    pixels[:22, :20], pixels[22:, 20:] = (250, 30, 40), (20, 60, 240)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def grey16() -> Image.Image:
    return Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * 257)


def clear_palette() -> bytes:
    palette = picture().quantize(200)
    return encoded(palette, "PNG", transparency=palette.getpixel((0, 0)))


GREY = np.asarray(picture().convert("L"))[..., None].repeat(3, axis=2)
RGB = np.asarray(picture())
PALETTE = np.asarray(picture().quantize(200).convert("RGB"))
# What is written, how, and the pixels that everybody must get.
FAITHFUL: dict[str, tuple[Callable[[], bytes], np.ndarray]] = {
    "RGB PNG": (lambda: encoded(picture(), "PNG"), RGB),
    "RGBA PNG, all of it opaque": (lambda: encoded(picture().convert("RGBA"), "PNG"), RGB),
    "grey PNG": (lambda: encoded(picture().convert("L"), "PNG"), GREY),
    "palette PNG": (lambda: encoded(picture().quantize(200), "PNG"), PALETTE),
    "16-bit grey PNG": (lambda: encoded(grey16(), "PNG"), GREY),
    "16-bit grey TIFF": (lambda: encoded(grey16(), "TIFF"), GREY),
    "WebP": (lambda: encoded(picture(), "WEBP", lossless=True), RGB),
    "BMP": (lambda: encoded(picture(), "BMP"), RGB),
    # EXIF 6: the first row of what is stored is the right side of what is shown, so it is turned clockwise.
    "turned PNG": (lambda: encoded(picture(), "PNG", exif=turned(6)), np.rot90(RGB, -1)),
    "mirrored PNG": (lambda: encoded(picture(), "PNG", exif=turned(2)), RGB[:, ::-1]),
    "turned TIFF": (lambda: encoded(picture(), "TIFF", exif=turned(6)), np.rot90(RGB, -1)),
    "turned 16-bit PNG": (lambda: encoded(grey16(), "PNG", exif=turned(3)), GREY[::-1, ::-1]),
}
REFUSED: dict[str, Callable[[], bytes]] = {
    "CMYK JPEG": lambda: encoded(picture().convert("CMYK"), "JPEG"),
    "float TIFF": lambda: encoded(Image.fromarray((GREY[..., 0] / 255).astype(np.float32)), "TIFF"),
    "32-bit TIFF": lambda: encoded(Image.fromarray(GREY[..., 0].astype(np.int32) * 1000), "TIFF"),
    "palette with a clear colour": clear_palette,
    "RGB with a clear colour": lambda: encoded(picture(), "PNG", transparency=(250, 30, 40)),
    "16-bit grey with a clear colour": lambda: encoded(grey16(), "PNG", transparency=257),
    "GIF": lambda: encoded(picture(), "GIF"),
    "JPEG of two pictures": lambda: encoded(picture(), "MPO", save_all=True, append_images=[picture()]),
}
STRICT = ImageRules(formats=("JPEG", "PNG", "TIFF", "BMP"), min_side_px=30, max_side_px=50)


@pytest.fixture
def one(tmp_path: Path) -> Callable[[bytes], Manifest]:
    def made(content: bytes) -> Manifest:
        folder = tmp_path / "cells" / "monocyte"
        folder.mkdir(parents=True)
        (folder / "x").write_bytes(content)
        return read_manifest(tmp_path / "cells", name="dataset", classes=CLASSES, workers=1)

    return made


def findings(manifest: Manifest, rules: ImageRules) -> tuple[Finding, ...]:
    return inspect(manifest, images=rules, counts=None, workers=1).findings


@pytest.mark.parametrize("kind", FAITHFUL)
def test_everybody_gets_the_pixels_that_were_meant(one, kind):
    write, meant = FAITHFUL[kind]
    manifest = one(write())
    accepting = ImageRules(formats=FORMATS, modes=ACCEPTABLE, min_side_px=30, max_side_px=50)
    report = inspect(manifest, images=accepting, counts=None, workers=1)
    assert report.findings == ()
    assert (report.facts[0].height_px, report.facts[0].width_px) == meant.shape[:2]
    (frame,) = [images_of(manifest.images, manifest.root, formats=FORMATS).frame(0)]
    assert np.array_equal(frame, meant)
    hashed = hash_images(manifest.images, manifest.root, set_name="x", rules=accepting, workers=1, progress=silent)
    assert tuple(hashed.sizes_px[0]) == meant.shape[1::-1]
    facts = read_facts(manifest.images, manifest.root, formats=FORMATS, workers=1, progress=silent, label="")
    assert facts.thumbnails[0].mean() == pytest.approx(meant.mean(), abs=2)


def test_two_values_become_black_and_white():
    image = Image.open(io.BytesIO(encoded(picture().convert("1"), "PNG")))
    assert np.array_equal(np.asarray(rgb_of(image))[..., 1] == 255, np.asarray(picture().convert("1")))


@pytest.mark.parametrize("value", [0, 1, 128, 129, 257, 32_768, 65_406, 65_407, 65_535])
def test_16_bits_are_scaled_to_the_nearest_of_256_levels(value):
    image = Image.open(io.BytesIO(encoded(Image.fromarray(np.full((4, 4), value, np.uint16)), "PNG")))
    assert set(np.asarray(rgb_of(image)).ravel()) == {round(value / 257)}


@pytest.mark.parametrize("kind", [*FAITHFUL, *REFUSED])
def test_no_remedy_advises_what_is_then_refused(one, kind):
    content = FAITHFUL[kind][0]() if kind in FAITHFUL else REFUSED[kind]()
    manifest = one(content)
    rules = STRICT
    for finding in findings(manifest, rules):
        if "accept" not in finding.remedy.partition(", or ")[2]:
            assert kind in REFUSED
            continue
        if finding.rule == "unexpected_modes":
            mode = finding.detail.removeprefix("colour mode ").split(",")[0]
            rules = ImageRules(**{**rules.model_dump(), "modes": (*rules.modes, mode)})
        elif "no protocol can accept" not in finding.remedy:
            name = re.findall(r"accept (\w+) in the protocol", finding.remedy)[0]
            rules = ImageRules(**{**rules.model_dump(), "formats": (*rules.formats, name)})
    after = findings(manifest, rules)
    assert (after == ()) == (kind in FAITHFUL), after
    assert all("the program that wrote it" in finding.remedy for finding in after)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_refused_by_name_and_never_decoded_by_a_guess(one, kind, tmp_path):
    manifest = one(REFUSED[kind]())
    (finding, *_) = findings(manifest, STRICT)
    assert finding.path == "monocyte/x"
    assert finding.rule in ("unexpected_modes", "unexpected_formats")


@pytest.mark.parametrize("kind", ["CMYK JPEG", "float TIFF", "32-bit TIFF"])
def test_behind_an_opened_gate_a_mode_without_a_meaning_is_refused_all_the_same(tmp_path, kind):
    (tmp_path / "x").write_bytes(REFUSED[kind]())
    with pytest.raises(ValueError, match="does not decode: colour mode"):
        read_frame(tmp_path / "x", formats=FORMATS)


@pytest.mark.parametrize("mode", ["F", "I", "CMYK", "LAB", "P with transparent pixels", "rgb", "anything"])
def test_a_protocol_cannot_accept_a_mode_without_a_meaning(mode):
    with pytest.raises(ValidationError, match=f"mode '{mode}' cannot be accepted: "):
        ImageRules(formats=("PNG",), modes=("RGB", mode), min_side_px=1, max_side_px=9)
    assert why_not(mode) is not None


def test_a_picture_that_not_every_program_decodes_alike_is_handed_over_as_its_pixels(tmp_path):
    for kind in FAITHFUL:
        file, copy = tmp_path / "x", tmp_path / "copy.png"
        file.write_bytes(FAITHFUL[kind][0]())
        given = readable_by_anybody(file, copy, formats=FORMATS)
        assert (given == file) == ("16-bit" not in kind and "urned" not in kind and "mirrored" not in kind), kind
        with Image.open(given) as image:  # as a stranger reads it
            assert np.array_equal(np.asarray(image.convert("RGB")), FAITHFUL[kind][1]), kind
        with open_picture(file.read_bytes(), formats=FORMATS) as image:
            assert is_plain(image) == (given == file)


def test_only_one_function_of_the_harness_turns_an_opened_file_into_rgb():
    users = set()
    for file in sorted((PROJECT / "harness").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "open_picture":
                users.add(file)
            if isinstance(node, ast.Name) and node.id == "open_picture":
                users.add(file)
    readers = {file.relative_to(PROJECT).as_posix() for file in users if 'convert("RGB")' in file.read_text()}
    # hashing also takes pictures that are in memory already, for the benchmark of the search; a mask is no picture that
    # anything is scored on, and its colours are only compared with its palette.
    assert readers <= {"harness/data/decoding.py", "harness/data/hashing.py", "harness/data/masks.py"}
