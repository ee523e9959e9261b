"""Integrity: every rule catches its planted fault by name, and the clean control stays quiet."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from harness.core.errors import DataError
from harness.data.decoding import facts_of, format_of, strict_pillow
from harness.data.integrity import inspect
from harness.data.manifest import read_manifest
from harness.data.records import IntegrityReport, Manifest
from harness.metrics.table import metrics_of
from harness.protocol.datasets import ImageRules
from harness.protocol.sets import CountRange, counts_of

CLASSES = ("basophil", "monocyte")
RULES = ImageRules(formats=("JPEG", "PNG"), min_side_px=30, max_side_px=50)
# All but the user's own suite and the pinned digest, which test_expectations.py and test_pins.py are about.
PROTOCOL_RULES = {metric.name for metric in metrics_of("integrity")} - {"unmet_expectations", "digest_mismatches"}
# Nothing is usual among a few pictures.
IN_A_SMALL_SET = PROTOCOL_RULES - {"blurred_images", "odd_sizes", "odd_aspect_ratios"}
DATA = Path(__file__).parents[2] / "shared" / "data"
FIVE = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared image sets are not on this machine")


def picture(seed: int, *, size: tuple[int, int] = (40, 44), mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def transparent(seed: int) -> Image.Image:
    cell = picture(seed, mode="RGBA")
    cell.putpixel((3, 3), (200, 180, 190, 254))
    return cell


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pair(format: str) -> bytes:
    return encoded(picture(1), format, save_all=True, append_images=[picture(2)])


DEEP_ROW = b"\0" + bytes(range(240))  # the filter's byte, then 40 pixels of three numbers of 16 bits
JPEG, PNG = encoded(picture(99), "JPEG"), encoded(picture(99), "PNG")


def png(width: int, height: int, *, depth: int = 8, rows: bytes = b"") -> bytes:
    """A PNG written by hand, so that its header can promise what Pillow would not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clean set: three images of each of two classes, one of them a PNG."""
    for i in range(6):
        path = tmp_path / "cells" / CLASSES[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(i).save(path)
    (tmp_path / "cells" / "basophil" / "0.jpg").unlink()
    picture(0).save(tmp_path / "cells" / "basophil" / "0.png")
    return tmp_path / "cells"


def read(location: Path) -> Manifest:
    return read_manifest(location, name="dataset", classes=CLASSES, workers=2)


def each(n: int) -> dict[str, CountRange]:
    return counts_of(n, CLASSES)


def inspected(location: Path | Manifest, *, counts: dict[str, CountRange] | None = None) -> IntegrityReport:
    manifest = location if isinstance(location, Manifest) else read(location)
    return inspect(manifest, images=RULES, counts=counts, workers=2)


def found(report: IntegrityReport) -> list[tuple[str, str]]:
    return [(finding.rule, finding.path) for finding in report.findings]


# --- the clean control --------------------------------------------------------------------------


def test_a_clean_set_has_no_finding_and_every_rule_was_checked(folder):
    report = inspected(folder, counts=each(3))
    assert report.findings == ()
    assert report.checked == dict.fromkeys(IN_A_SMALL_SET, 6)
    assert [(fact.path, fact.width_px, fact.height_px) for fact in report.facts] == [
        (image.path, 40, 44) for image in read(folder).images
    ]
    assert {(fact.format, fact.mode, fact.error) for fact in report.facts} == {
        ("JPEG", "RGB", None),
        ("PNG", "RGB", None),
    }


def test_a_rule_without_an_expectation_is_not_checked(folder):
    assert "count_mismatches" not in inspected(folder).checked


def test_progress_counts_every_file_once(folder):
    seen: list[int] = []
    inspect(read(folder), images=RULES, counts=None, workers=3, progress=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_inspecting_changes_nothing_on_disk(folder):
    (folder / "monocyte" / "broken.jpg").write_bytes(JPEG[:200])
    before = {
        path: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns) for path in folder.rglob("*")
    }
    inspected(folder)
    after = {
        path: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns) for path in folder.rglob("*")
    }
    assert after == before


def test_the_number_of_workers_never_changes_the_report(folder):
    (folder / "monocyte" / "broken.jpg").write_bytes(JPEG[:200])
    reports = [inspect(read(folder), images=RULES, counts=each(3), workers=n) for n in (1, 4)]
    assert reports[0] == reports[1]


# --- planted files --------------------------------------------------------------------------------


# name, content, the rules it breaks, what the last finding says
PLANTED = [
    ("zero.jpg", b"", ["contract_violations", "unreadable_images"], "the file is empty"),
    ("half.jpg", JPEG[: len(JPEG) // 2], ["unreadable_images"], "truncated"),
    ("end.jpg", JPEG[:-2], ["unreadable_images"], "truncated"),
    ("byte.jpg", JPEG[:-1], ["unreadable_images"], "truncated"),
    ("half.png", PNG[: len(PNG) // 2], ["unreadable_images"], "truncated"),
    ("html.jpg", b"<!DOCTYPE html><html></html>", ["unreadable_images"], "the file is HTML or XML"),
    ("text.jpg", b"no image", ["unreadable_images"], "begins with b'no image'"),
    ("header.jpg", JPEG[:20], ["unreadable_images"], "does not decode"),
    (".DS_1.jpg", b"\0\0\0\1Bud1" + bytes(99), ["unreadable_images"], "no image"),
    ("animated.png", pair("PNG"), ["unreadable_images"], "2 pictures"),
    ("png.jpg", PNG, ["unexpected_formats"], "the content is PNG, the name says JPEG"),
    ("jpeg.png", JPEG, ["unexpected_formats"], "the content is JPEG, the name says PNG"),
    ("bmp.bmp", encoded(picture(1), "BMP"), ["unexpected_formats"], "not decoded: the content is BMP"),
    ("gif.jpg", encoded(picture(1), "GIF"), ["unexpected_formats"], "not decoded: the content is GIF"),
    ("fits.jpg", b"SIMPLE  =                    T", ["unexpected_formats"], "not decoded: the content is FITS"),
    ("many.jpg", pair("MPO"), ["unexpected_formats"], "2 pictures"),
    ("grey.jpg", encoded(picture(1, mode="L"), "JPEG"), ["unexpected_modes"], "colour mode L"),
    ("cmyk.jpg", encoded(picture(1, mode="CMYK"), "JPEG"), ["unexpected_modes"], "colour mode CMYK"),
    ("alpha.png", encoded(picture(1, mode="RGBA"), "PNG"), ["unexpected_modes"], "colour mode RGBA"),
    ("clear.png", encoded(transparent(1), "PNG"), ["unexpected_modes"], "colour mode RGBA with transparent pixels"),
    ("deep.png", png(40, 40, depth=16, rows=DEEP_ROW * 40), ["unexpected_modes"], "colour mode RGB;16B"),
    ("wide.jpg", encoded(picture(1, size=(51, 40)), "JPEG"), ["unexpected_sizes"], "51 x 40 px"),
    ("low.jpg", encoded(picture(1, size=(40, 29)), "JPEG"), ["unexpected_sizes"], "40 x 29 px"),
    ("large.png", png(2_000, 2_000), ["unexpected_sizes"], "refused before decoding: 2000 x 2000 px"),
    ("huge.png", png(10_000, 10_000), ["unexpected_sizes"], "refused before decoding: Image size"),
    ("bomb.png", png(20_000, 20_000), ["unexpected_sizes"], "refused before decoding: Image size"),
    ("padded.jpg", JPEG + bytes(2**21), ["contract_violations", "unexpected_sizes"], "before decoding: over"),
]  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> IntegrityReport:
    """One report on a clean image among all the planted files."""
    root = tmp_path_factory.mktemp("planted") / "cells"
    (root / "monocyte").mkdir(parents=True)
    (root / "monocyte" / "clean.jpg").write_bytes(JPEG)
    for name, content, *_ in PLANTED:
        (root / "monocyte" / name).write_bytes(content)
    return inspected(root)


@pytest.mark.parametrize(("name", "rules", "detail"), [(name, *rest) for name, _, *rest in PLANTED])
def test_a_planted_file_is_found_by_name_under_its_rule(planted, name, rules, detail):
    findings = [finding for finding in planted.findings if finding.path == f"monocyte/{name}"]
    assert [finding.rule for finding in findings] == rules
    assert detail in findings[-1].detail
    assert all(finding.remedy for finding in findings)


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, content, *_ in PLANTED])
def test_what_is_too_large_is_a_fact_of_its_own(name: str, content: bytes):
    with warnings.catch_warnings():
        strict_pillow()
        facts = facts_of(content, path=name, rules=RULES)
    assert facts.too_large == (name in ("large.png", "huge.png", "bomb.png", "padded.jpg"))


def test_a_clean_file_among_planted_ones_stays_quiet(planted):
    assert not [finding for finding in planted.findings if finding.path == "monocyte/clean.jpg"]


def test_where_opacity_is_accepted_a_channel_that_says_nothing_passes_and_one_that_does_is_named(folder):
    (folder / "monocyte" / "opaque.png").write_bytes(encoded(picture(1, mode="RGBA"), "PNG"))
    (folder / "monocyte" / "clear.png").write_bytes(encoded(transparent(1), "PNG"))
    rules = RULES.model_copy(update={"modes": ("RGB", "RGBA")})
    report = inspect(read(folder), images=rules, counts=None, workers=1)
    assert found(report) == [("unexpected_modes", "monocyte/clear.png")]


def test_exif_orientation_is_applied(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees for display
    (folder / "monocyte" / "turned.jpg").write_bytes(encoded(picture(1), "JPEG", exif=exif))
    report = inspected(folder)
    assert report.findings == ()
    sides = {fact.path: (fact.width_px, fact.height_px) for fact in report.facts}
    assert (sides["monocyte/turned.jpg"], sides["monocyte/1.jpg"]) == ((44, 40), (40, 44))


def test_a_progressive_jpeg_with_a_thumbnail_is_fine(folder):
    exif = b"Exif\0\0" + JPEG  # a whole JPEG, its end marker included, before the picture's own data
    (folder / "monocyte" / "p.jpg").write_bytes(encoded(picture(1), "JPEG", progressive=True, comment=exif))
    assert inspected(folder).findings == ()


def test_truncated_files_are_found_even_where_another_library_tolerates_them(folder, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (folder / "monocyte" / "half.jpg").write_bytes(JPEG[: len(JPEG) // 2])
    assert found(inspected(folder)) == [("unreadable_images", "monocyte/half.jpg")]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_format_that_is_not_accepted_reaches_no_parser(folder, monkeypatch):
    def parser(*arguments: object, **options: object) -> None:
        raise AssertionError("Pillow saw the bytes")

    monkeypatch.setattr(Image, "open", parser)
    facts = facts_of(encoded(picture(1), "TIFF"), path="x.tif", rules=RULES)
    assert (facts.format, facts.width_px) == ("TIFF", None)


# --- counts, lists, names, contract ---------------------------------------------------------------


def test_counts_are_compared_per_class(folder):
    (folder / "basophil" / "0.png").unlink()
    report = inspected(folder, counts=each(3))
    assert found(report) == [("count_mismatches", "basophil")]
    assert report.findings[0].detail == "2 images of class basophil, the protocol expects 3"


def test_an_absent_class_is_a_count_mismatch(tmp_path, folder):
    for path in (folder / "basophil").iterdir():
        path.unlink()
    (folder / "basophil").rmdir()
    assert found(inspected(folder, counts=each(3))) == [("count_mismatches", "basophil")]


def test_missing_and_unlisted_files_are_found_by_name(folder):
    rows = [f"{image.path},{image.label}" for image in read(folder).images[1:]]
    (folder / "m.csv").write_text("\n".join(["path,label", *rows, "basophil/gone.jpg,basophil"]))
    report = inspected(folder / "m.csv")
    assert found(report) == [("missing_files", "basophil/gone.jpg"), ("unlisted_files", "basophil/0.png")]
    assert (report.checked["missing_files"], report.checked["unlisted_files"]) == (6, 6)


def test_a_missing_file_that_lies_there_under_another_form_of_its_name_is_told(folder):
    first, *others = read(folder).images
    rows = [f"{image.path},{image.label}" for image in others]
    (folder / "m.csv").write_text("\n".join(["path,label", *rows, f"{first.path.upper()},{first.label}"]))
    missing = next(each for each in inspected(folder / "m.csv").findings if each.rule == "missing_files")
    assert f"{first.path!r} is close to it, and no row names that" in str(missing)


def test_a_file_that_vanishes_after_the_listing_is_missing(folder):
    manifest = read(folder)
    (folder / "monocyte" / "1.jpg").unlink()
    assert found(inspected(manifest)) == [("missing_files", "monocyte/1.jpg")]


def test_a_file_that_changes_after_the_listing_is_found(folder):
    manifest = read(folder)
    picture(77).save(folder / "monocyte" / "1.jpg")
    report = inspected(manifest)
    assert found(report) == [("contract_violations", "monocyte/1.jpg")]
    assert "has changed since it was listed" in report.findings[0].detail


@pytest.mark.parametrize("swap", ["link", "pipe"])
def test_a_file_swapped_for_a_link_or_pipe_after_the_listing_is_never_opened(folder, swap):
    manifest, victim = read(folder), folder / "monocyte" / "1.jpg"
    victim.unlink()
    if swap == "link":
        victim.symlink_to(folder / "monocyte" / "3.jpg")
    else:
        os.mkfifo(victim)
    with pytest.raises(DataError, match=r"1\.jpg"):
        inspected(manifest)


@pytest.mark.parametrize(
    ("one", "other"), [("A.jpg", "a.jpg"), ("\u00e9.jpg", "e\u0301.jpg"), ("STRASSE.jpg", "stra\u00dfe.jpg")]
)
def test_names_that_some_system_takes_for_the_same_collide(folder, one, other):
    for i, name in enumerate((one, other)):
        picture(i + 50).save(folder / "monocyte" / name)
    if len(list((folder / "monocyte").iterdir())) < 5:
        pytest.skip("this file system keeps only one of the two names")
    report = inspected(folder)
    assert found(report) == [("colliding_names", f"monocyte/{max(one, other)}")]
    assert ascii(f"monocyte/{min(one, other)}") in report.findings[0].detail


def test_the_same_name_in_two_classes_does_not_collide(folder):
    for name in CLASSES:
        picture(60).save(folder / name / "same.jpg")
    assert inspected(folder).findings == ()


def test_names_that_are_not_utf8_pass_through_the_contract(folder):
    try:
        picture(1).save(folder / "monocyte" / os.fsdecode(b"\xff.jpg"))
        picture(2).save(folder / "monocyte" / os.fsdecode(b"\xfe.jpg"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert inspected(folder).findings == ()


@pytest.mark.parametrize("name", ["new\nline.jpg", "\u202egpj.jpg", "=cmd().jpg", "..jpg", "...jpg", "a b.jpg"])
def test_odd_but_harmless_names_are_no_finding(folder, name):
    picture(1).save(folder / "monocyte" / name, "JPEG")
    assert inspected(folder).findings == ()


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"path": "monocyte/../x.jpg"}, "match regex"),
        ({"path": "/x.jpg"}, "match regex"),
        ({"path": "monocyte/./x.jpg"}, "match regex"),
        ({"path": "monocyte//x.jpg"}, "match regex"),
        ({"path": "monocyte/"}, "match regex"),
        ({"path": "monocyte\\x.jpg"}, "match regex"),
        ({"path": ""}, "match regex"),
        ({"label": "Monocyte"}, "be in set (label is 'Monocyte')"),
        ({"sha256": "0" * 63 + "G"}, "match regex"),
        ({"n_bytes": 0}, "be between (bytes is 0)"),
        ({"n_bytes": RULES.max_bytes + 1}, "be between"),
        ({"patient": "P1"}, "column values to not be null (patient is None)"),
    ],
)
def test_a_manifest_made_by_hand_must_keep_the_contract(folder, change, detail):
    manifest = read(folder)
    images = (*manifest.images[:-1], replace(manifest.images[-1], **change))
    details = [finding.detail for finding in inspected(replace(manifest, images=images)).of("contract_violations")]
    assert any(detail in text for text in details), details


def test_ids_for_some_cells_only_break_the_contract_once_per_cell_without(folder):
    manifest = read(folder)
    images = (*manifest.images[:-1], replace(manifest.images[-1], slide="S1"))
    assert found(inspected(replace(manifest, images=images))) == [
        ("contract_violations", image.path) for image in images[:-1]
    ]


def test_a_path_listed_twice_breaks_the_contract(folder):
    manifest = read(folder)
    images = (*manifest.images, manifest.images[-1])
    assert ("contract_violations", images[-1].path) in found(inspected(replace(manifest, images=images)))


def test_great_expectations_is_not_imported_before_it_is_needed():
    code = "import sys, harness.data.integrity; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0


def test_a_path_that_leads_out_of_the_root_is_never_opened(tmp_path, folder):
    (tmp_path / "outside.jpg").write_bytes(JPEG)
    manifest = read(folder)
    images = (replace(manifest.images[0], path="../outside.jpg"), *manifest.images[1:])
    report = inspected(replace(manifest, images=images))
    assert found(report) == [("contract_violations", "../outside.jpg"), ("unreadable_images", "../outside.jpg")]
    assert report.facts[0].width_px is None


# --- one file -----------------------------------------------------------------------------------


def test_the_facts_of_one_file(tmp_path):
    picture(1).save(tmp_path / "a.jpg")
    facts = facts_of((tmp_path / "a.jpg").read_bytes(), path="a.jpg", rules=RULES)
    assert (facts.width_px, facts.height_px, facts.format, facts.mode, facts.error) == (40, 44, "JPEG", "RGB", None)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000"])
def test_a_format_is_known_by_its_first_bytes(format):
    # What Pillow wrote is the independent witness of the table of signatures.
    assert format_of(encoded(picture(1), format)) == format


@pytest.mark.parametrize("cut", range(0, len(JPEG), 97))
def test_a_jpeg_cut_anywhere_is_never_accepted(cut):
    assert facts_of(JPEG[:cut], path="x.jpg", rules=RULES).error is not None


# --- real data ------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_data
def test_the_published_images_have_no_finding():
    manifest = read_manifest(DATA / "leukocytes", name="dataset", classes=FIVE, workers=2)
    rules = ImageRules(formats=("JPEG",), min_side_px=300, max_side_px=400)
    report = inspect(manifest, images=rules, counts=counts_of(500, FIVE), workers=2)
    # Another program wrote them and blurred them a little: 44 of the 58 that SOURCE.md counts.
    assert {finding.rule for finding in report.findings} == {"blurred_images"}
    sides = {fact.path: (fact.width_px, fact.height_px) for fact in report.facts}
    assert [sides[finding.path] for finding in report.findings] == [(366, 369)] * 44
    assert report.checked == dict.fromkeys(PROTOCOL_RULES, 2500)
    # SOURCE.md counts 58 images of the other size.
    assert sum((fact.width_px, fact.height_px) == (366, 369) for fact in report.facts) == 58


@needs_data
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_without_its_end_marker_is_cut_off_even_where_pillow_does_not_mind(cut):
    content = (DATA / "leukocytes" / "basophil" / "BA_10387.jpg").read_bytes()[:-cut]
    Image.open(io.BytesIO(content)).load()
    facts = facts_of(content, path="x.jpg", rules=ImageRules(formats=("JPEG",), min_side_px=300, max_side_px=400))
    assert facts.error == "does not decode: cut off, the end-of-image marker is missing"


@needs_data
def test_the_jpg_that_is_no_image_is_refused_by_name():
    manifest = read_manifest(DATA / "odd_files", name="odd", classes=FIVE, workers=1)
    rules = ImageRules(formats=("JPEG",), min_side_px=300, max_side_px=400)
    report = inspect(manifest, images=rules, counts=None, workers=1)
    assert found(report) == [("unreadable_images", "neutrophil/.DS_169665.jpg")]


@needs_data
@pytest.mark.parametrize(
    ("name", "format", "blurred"), [("jtsc", "PNG", 2), ("bccd", "JPEG", 0), ("external_monocytes", "JPEG", 0)]
)
def test_the_external_sets_are_clean_under_their_own_rules(name, format, blurred):
    manifest = read_manifest(DATA / name, name=name, classes=FIVE, workers=2)
    rules = ImageRules(formats=(format,), min_side_px=80, max_side_px=400)
    findings = inspect(manifest, images=rules, counts=None, workers=2).findings
    assert [finding.rule for finding in findings] == ["blurred_images"] * blurred  # both looked at: out of focus
