"""Shortcuts: every planted one is found with its images, and sets without one stay quiet."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from drawn import CLASSES
from PIL import Image
from scipy.stats import chi2_contingency, hypergeom

from fixtures.laboratories import HOME
from fixtures.smears import draw_cell
from harness.core.errors import DataError
from harness.core.progress import silent
from harness.data.inspection import read_facts
from harness.data.manifest import read_manifest
from harness.data.metadata import ABSENT, FileFacts, SetFacts, name_of_tables
from harness.metrics.shortcuts import ShortcutReport, find_shortcuts, linkage_p_value, name_letters, name_number

ALPHA, LEVEL = 0.01, 0.95
PER_CLASS = 24
FORMATS = ("JPEG", "PNG")
Cells = list[tuple[str, np.ndarray]]
# class, number within the class, pixels -> file content and suffix
Export = Callable[[str, int, Image.Image], tuple[bytes, str]]


@pytest.fixture(scope="module")
def cells() -> Cells:
    """24 drawn cells of each class."""
    return [
        (label, draw_cell(label, laboratory=HOME, size_px=48, rng=np.random.default_rng([5, i, j])))
        for i, label in enumerate(CLASSES)
        for j in range(PER_CLASS)
    ]


def encoded(image: Image.Image, format: str, **options: object) -> tuple[bytes, str]:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue(), format.lower()


def plain(label: str, number: int, image: Image.Image) -> tuple[bytes, str]:
    return encoded(image, "JPEG", quality=90)


def facts_at(root: Path) -> SetFacts:
    manifest = read_manifest(root, name="planted", classes=CLASSES, workers=1)
    return read_facts(manifest.images, root, formats=FORMATS, workers=2, progress=silent, label="facts")


def written(root: Path, cells: Cells, export: Export, *, prefix: str = "cell") -> SetFacts:
    """The cells as files, numbered in an order that is not that of the classes."""
    numbers = np.random.default_rng(1).permutation(len(cells))
    seen: Counter[str] = Counter()
    for number, (label, pixels) in zip(numbers, cells, strict=True):
        content, suffix = export(label, seen[label], Image.fromarray(pixels))
        seen[label] += 1
        path = root / label / f"{prefix}{number:05d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return facts_at(root)


def searched(facts: SetFacts, *, seed: int = 0, alpha: float = ALPHA) -> ShortcutReport:
    return find_shortcuts(facts, alpha=alpha, level=LEVEL, rng=np.random.default_rng(seed))


def exif(maker: str) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F] = maker
    return tags


# --- planted shortcuts: every kind, in all or a third of the monocytes -----------------------------

PLANTED: list[tuple[str, str, Export]] = [
    ("format", "PNG", lambda c, i, image: encoded(image, "PNG")),
    ("size", "51x48", lambda c, i, image: encoded(image.resize((51, 48)), "JPEG", quality=90)),
    ("JPEG tables", "JPEG quality 75", lambda c, i, image: encoded(image, "JPEG", quality=75)),
    ("chroma sampling", "4:4:4", lambda c, i, image: encoded(image, "JPEG", quality=90, subsampling=0)),
    ("comment", "scanner 2", lambda c, i, image: encoded(image, "JPEG", quality=90, comment=b"scanner 2")),
    ("EXIF Make", "Second", lambda c, i, image: encoded(image, "JPEG", quality=90, exif=exif("Second"))),
    ("mode", "L", lambda c, i, image: encoded(image.convert("L"), "JPEG", quality=90)),
    ("progressive", "1", lambda c, i, image: encoded(image, "JPEG", quality=90, progressive=True)),
    ("dpi", "(72, 72)", lambda c, i, image: encoded(image, "JPEG", quality=90, dpi=(72, 72))),
]


@pytest.mark.parametrize(("kind", "value", "export"), PLANTED, ids=[kind for kind, *_ in PLANTED])
@pytest.mark.parametrize("n_planted", [PER_CLASS, 10])
def test_a_header_that_goes_with_the_class_is_found_with_its_images(tmp_path, cells, kind, value, export, n_planted):
    def mixed(label: str, number: int, image: Image.Image) -> tuple[bytes, str]:
        planted = label == "monocyte" and number < n_planted
        return (export if planted else plain)(label, number, image)

    report = searched(written(tmp_path / "set", cells, mixed))
    assert len(report.findings) == 1, [str(finding) for finding in report.findings]
    finding = report.findings[0]
    assert (kind, value) in finding.facts
    assert finding.linked == "monocyte"
    assert dict(finding.counts) == {label: n_planted * (label == "monocyte") for label in CLASSES}
    assert len(finding.paths) == n_planted
    assert all(path.startswith("monocyte/") for path in finding.paths)
    assert f"{n_planted} images share" in str(finding)


def test_one_value_that_every_image_of_a_class_lacks_is_found(tmp_path, cells):
    def export(label: str, number: int, image: Image.Image) -> tuple[bytes, str]:
        return encoded(image, "JPEG", quality=75 if label != "neutrophil" and number % 3 == 0 else 90)

    report = searched(written(tmp_path / "set", cells, export))
    assert [dict(finding.counts)["neutrophil"] for finding in report.findings] == [0]
    assert report.findings[0].linked == "neutrophil"


def test_a_frame_in_the_colour_of_its_class_is_told_by_the_border(tmp_path, cells):
    shades = dict(zip(CLASSES, (200, 205, 210, 215, 220), strict=True))

    def export(label: str, number: int, image: Image.Image) -> tuple[bytes, str]:
        framed = Image.new("RGB", (52, 52), (shades[label],) * 3)
        framed.paste(image, (2, 2))
        return encoded(framed, "PNG")

    report = searched(written(tmp_path / "set", cells, export))
    assert report.border_tells
    assert report.probe("border ring").lower > 0.9
    assert report.findings == ()  # the header is the same everywhere


def test_names_that_tell_the_class_are_a_finding_of_their_own_kind(smears):
    report = searched(facts_at(smears))
    assert report.names is not None
    assert (report.names.k, report.names.n) == (60, 60)
    assert report.names.prefixes[0] == ("BA_", "basophil", 12, 12)
    assert report.findings == ()
    assert "random names" in str(report.names)


# --- the clean control ------------------------------------------------------------------------------


def test_a_clean_set_has_no_finding_and_a_header_that_tells_nothing(tmp_path, cells):
    report = searched(written(tmp_path / "set", cells, plain))
    assert (report.findings, report.names, report.n_tests, report.notes) == ((), None, 0, ())
    assert not report.border_tells
    header = report.probe("header")
    assert (header.n, header.chance) == (5 * PER_CLASS, pytest.approx(0.2))
    assert not header.above_chance
    assert report.probe("mean colour").above_chance  # an honest cell's colour goes with its class


@pytest.mark.parametrize("seed", range(8))
def test_exports_that_do_not_go_with_the_class_stay_quiet(seed):
    assert searched(drawn_headers(seed), seed=seed).findings == ()


def drawn_headers(seed: int, *, n: int = 200) -> SetFacts:
    """Headers of a set that three programs exported, whichever the class; pixels of noise."""
    rng = np.random.default_rng(seed)
    files = []
    for i in range(n):
        program = int(rng.choice(3, p=[0.7, 0.2, 0.1]))
        files.append(
            replace(
                FACTS,
                path=f"x/{i}.jpg",
                label=CLASSES[i % 5],
                unit=f"content:{i}",
                n_bytes=int(rng.integers(900, 1100)),
                width_px=int(rng.choice([48, 50])),
                tables=f"own tables {program}",
                header=(("comment", f"program {program}"),),
            )
        )
    pixels = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    return SetFacts(tuple(files), pixels, rng.random((n, 6)))


FACTS = FileFacts("x/1.jpg", "basophil", "content:1", "0" * 64, 900, 48, 48, "JPEG", "RGB", "own", "4:4:4", "APP0", ())


@pytest.mark.parametrize("seed", range(4))
def test_probes_of_noise_are_at_chance(seed):
    facts = drawn_headers(seed)
    # Names are counted up class by class in turn, and headers are drawn: nothing tells the class.
    for probe in searched(facts, seed=seed, alpha=ALPHA).probes:
        assert probe.p_value > 1e-3, str(probe)


# --- what is counted --------------------------------------------------------------------------------


def test_images_of_one_patient_are_one_witness():
    # Forty monocytes with their own tables, but all of one patient: one export, and no evidence that it is the class's.
    facts = drawn_headers(3)
    mine = [i for i, file in enumerate(facts.files) if file.label == "monocyte"]
    files = [replace(file, unit=f"patient:{i % 7}", tables="t", header=()) for i, file in enumerate(facts.files)]
    for i in mine:
        files[i] = replace(files[i], tables="other", unit="patient:alone")
    grouped = searched(replace(facts, files=tuple(files)))
    assert grouped.findings == ()
    alone = [replace(file, unit=f"content:{i}") for i, file in enumerate(files)]
    assert len(searched(replace(facts, files=tuple(alone))).findings) == 1


def test_images_of_one_patient_are_never_on_both_sides_of_a_fold():
    # Ten patients of random classes, each with a shade of its own: a model that has seen the patient knows the class.
    rng = np.random.default_rng(8)
    facts = drawn_headers(8)
    patient = np.arange(200) % 10
    label_of = [CLASSES[i % 5] for i in range(10)]
    shades = rng.permutation(np.linspace(20, 230, 10)).astype(np.uint8)
    files = [
        replace(file, label=label_of[p], unit=f"patient:{p}") for file, p in zip(facts.files, patient, strict=True)
    ]
    pixels = np.broadcast_to(shades[patient][:, None, None, None], (200, 32, 32, 3)).copy()
    apart = searched(SetFacts(tuple(files), pixels, facts.borders)).probe("thumbnail")
    leaked = [replace(file, unit=f"content:{i}") for i, file in enumerate(files)]
    mixed = searched(SetFacts(tuple(leaked), pixels, facts.borders)).probe("thumbnail")
    assert apart.k < 80 < mixed.k


def test_every_image_is_predicted_once_and_the_bounds_are_exact(smears):
    for probe in searched(facts_at(smears)).probes:
        assert probe.n == 60
        assert probe.lower <= probe.k / probe.n <= probe.upper


def test_the_same_seed_gives_the_same_report_and_so_does_any_number_of_workers(smears):
    manifest = read_manifest(smears, name="set", classes=CLASSES, workers=1)
    reports = [
        searched(
            read_facts(manifest.images, smears, formats=FORMATS, workers=workers, progress=silent, label="facts"),
            seed=3,
        )
        for workers in (1, 4)
    ]
    assert reports[0] == reports[1]


def test_moving_the_classes_to_folders_of_other_names_changes_no_probe(tmp_path, smears):
    # K7: nothing that predicts may read the class out of the path.
    facts = facts_at(smears)
    hidden = [replace(file, path=f"folder/{i}_{file.stem[3:]}.png") for i, file in enumerate(facts.files)]
    renamed = searched(replace(facts, files=tuple(hidden)))
    for probe in searched(facts).probes:
        if probe.name != "number in the name":
            assert probe == renamed.probe(probe.name)
    assert renamed.names is None


def test_freely_cut_crops_are_left_to_the_probe():
    facts = drawn_headers(2)
    files = [
        replace(file, width_px=100 + (i * 7) % 90 + 50 * (file.label == "monocyte"), tables="t", header=())
        for i, file in enumerate(facts.files)
    ]
    report = searched(replace(facts, files=tuple(files)))
    assert report.findings == ()
    assert "cut by its own box" in report.notes[0]


def test_a_set_of_one_class_leaves_nothing_to_guess(smears, tmp_path):
    shutil.copytree(smears / "monocyte", tmp_path / "one" / "monocyte")
    report = searched(facts_at(tmp_path / "one"))
    assert (report.findings, report.probes) == ((), ())
    assert "nothing to guess" in report.notes[0]


def test_a_class_of_a_single_image_is_predicted_wrongly_and_breaks_nothing():
    facts = drawn_headers(1)
    files = [replace(file, label="basophil" if i == 0 else "monocyte") for i, file in enumerate(facts.files)]
    assert {probe.n for probe in searched(replace(facts, files=tuple(files))).probes} == {200}


def test_two_images_of_one_content_leave_no_fold_to_predict():
    facts = drawn_headers(1).at([0, 1])
    files = tuple(replace(file, unit="content:same") for file in facts.files)
    report = searched(replace(facts, files=files))
    assert report.probes == ()
    assert "none is left to predict" in report.notes[0]


def test_no_image_is_refused():
    with pytest.raises(DataError, match="no image"):
        searched(SetFacts((), np.empty((0, 32, 32, 3), np.uint8), np.empty((0, 6))))


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_a_percentage_for_alpha_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        searched(drawn_headers(1), alpha=alpha)


def test_the_report_can_be_written_as_json(smears):
    report = searched(facts_at(smears))
    assert json.loads(json.dumps(asdict(report)))["counts"] == [[label, 12] for label in CLASSES]


# --- the statistic ----------------------------------------------------------------------------------


def test_the_exact_test_of_the_366_by_369_images_agrees_with_the_hypergeometric_distribution():
    # SOURCE.md of the real set: 22, 6, 14, 16 and 0 of 500 each.
    held = dict(zip(CLASSES, (22, 6, 14, 16, 0), strict=True))
    table = {(label, True): n for label, n in held.items()} | {(label, False): 500 - n for label, n in held.items()}
    none = hypergeom.pmf(0, 2500, 500, 58)
    # Two-sided: every count that is not a likelier than none at all.
    pmf = hypergeom.pmf(np.arange(59), 2500, 500, 58)
    assert linkage_p_value(table, "neutrophil") == pytest.approx(pmf[pmf <= none * (1 + 1e-9)].sum(), rel=1e-6)
    # The published figure of the fault list is the chi-square test of all classes at once.
    rows = [list(held.values()), [500 - n for n in held.values()]]
    assert chi2_contingency(rows).pvalue == pytest.approx(2.6e-5, rel=0.02)


def test_a_linkage_by_hand():
    # Three of three against none of three: 2 of the 20 ways to deal are as extreme.
    table = {("a", True): 3, ("b", False): 3}
    assert linkage_p_value(table, "a") == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("stem", "letters", "number"),
    [
        ("BA_10387", "BA_", 10387),
        ("BloodImage_00008_1", "BloodImage_", 8),
        ("7", "", 7),
        ("scan", "scan", None),
        ("x" + "9" * 400, "x", int("9" * 18)),
        ("cell²3", "cell²", 3),
    ],
)
def test_letters_and_number_of_a_name(stem, letters, number):
    assert (name_letters(stem), name_number(stem)) == (letters, number)


# --- reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [1, 25, 49, 50, 75, 100])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pillow_s_tables_are_named_by_their_quality(quality, mode):
    content, _ = encoded(Image.new(mode, (16, 16)), "JPEG", quality=quality)
    with Image.open(io.BytesIO(content)) as image:
        assert name_of_tables(image.quantization) == f"JPEG quality {quality}"


def test_tables_of_an_encoder_s_own_are_named_by_digest():
    assert name_of_tables({0: [16] * 64, 1: [17] * 64}).startswith("own tables ")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16"])
def test_a_png_without_tables_and_of_any_mode_is_read(tmp_path, mode):
    (tmp_path / "monocyte").mkdir()
    Image.new("RGB", (40, 30)).convert("L" if mode == "I;16" else mode).convert(mode).save(
        tmp_path / "monocyte" / "a.png"
    )
    file = facts_at(tmp_path).files[0]
    assert (file.mode, file.size, file.format) == (mode, "40x30", "PNG")
    assert (file.tables, file.sampling, file.markers) == (ABSENT, ABSENT, ABSENT)


def test_a_long_or_binary_header_value_is_told_by_its_digest(tmp_path):
    (tmp_path / "monocyte").mkdir()
    content, _ = encoded(Image.new("RGB", (40, 30)), "JPEG", comment=b"\x01" + b"x" * 300)
    (tmp_path / "monocyte" / "a.jpg").write_bytes(content)
    assert dict(facts_at(tmp_path).files[0].header)["comment"].startswith("301 characters, SHA-256 ")


@pytest.mark.parametrize("content", [b"no image", None, b""])
def test_a_file_that_is_gone_changed_or_no_image_is_refused_by_name(tmp_path, smears, content):
    root = tmp_path / "set"
    shutil.copytree(smears, root)
    manifest = read_manifest(root, name="set", classes=CLASSES, workers=1)
    victim = root / manifest.images[3].path
    if content is None:
        victim.unlink()
    else:
        victim.write_bytes(content)
    with pytest.raises(DataError, match=victim.name):
        read_facts(manifest.images, root, formats=FORMATS, workers=2, progress=silent, label="facts")


def test_a_file_that_never_was_an_image_is_refused_by_name(tmp_path):
    (tmp_path / "monocyte").mkdir()
    (tmp_path / "monocyte" / "a.jpg").write_bytes(b"\xff\xd8\xff no image")
    with pytest.raises(DataError, match=r"a\.jpg.*does not decode"):
        facts_at(tmp_path)


# --- real data --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_58_odd_images_of_the_real_set_are_found_by_name(shared_data):
    manifest = read_manifest(shared_data / "leukocytes", name="dataset", classes=CLASSES, workers=2)
    facts = read_facts(manifest.images, manifest.root, formats=("JPEG",), workers=2, progress=silent, label="facts")
    report = searched(facts)
    assert len(report.findings) == 1
    finding = report.findings[0]
    assert ("size", "366x369") in finding.facts
    assert finding.counts == (
        ("basophil", 22), ("eosinophil", 6), ("lymphocyte", 14), ("monocyte", 16), ("neutrophil", 0)
    )  # fmt: skip
    assert (finding.linked, len(finding.paths)) == ("neutrophil", 58)
    assert finding.p_adjusted < 2.6e-5
    sizes = {file.path: file.size for file in facts.files}
    assert {sizes[path] for path in finding.paths} == {"366x369"}
    # The whole header hardly helps to guess the class: 58 images of 2,500. The exact test sees what a probe cannot.
    assert not report.probe("header").above_chance
    assert report.probe("colour and file size").lower > 0.7
    assert report.probe("thumbnail").lower > 0.8
    assert not report.border_tells
    assert report.names is not None
    assert report.names.k == 2500
