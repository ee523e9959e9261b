"""Small data sets in the shapes that people bring, drawn here, and what the harness says to each.

Discs, not cells: layout and format count. `python tests/cases.py > docs/cases.md` writes the page; test_cases.py holds
it current.
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from harness.core.errors import HarnessError
from harness.core.progress import silent
from harness.data.inspection import hash_images
from harness.data.integrity import inspect
from harness.data.leakage import find_duplicates
from harness.data.manifest import read_manifest
from harness.data.records import Manifest
from harness.data.split import check_split, draw_split, read_split
from harness.data.tables import columns_of
from harness.protocol.datasets import DatasetPlan, ImageRules, SplitPlan
from harness.report.readings import reading_told

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
INKS = ((60, 40, 130), (205, 85, 105), (85, 75, 165), (135, 125, 185), (175, 145, 185))
PLAN = SplitPlan(train=0.7, validation=0.15, test=0.15, seed=42)


def cell(label: int, number: int, side: int = 64) -> Image.Image:
    """A smear's background with one disc more for each class; the same for the same numbers."""
    rng = np.random.default_rng([label, number, 7])
    rows, columns = np.indices((side, side))
    frame = np.array([226.0, 210.0, 203.0]) + rng.normal(0, 5, (side, side, 1))
    for _ in range(label + 1):
        x, y, radius = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.2)
        frame[np.hypot(columns - x * side, rows - y * side) < radius * side] = INKS[label] + rng.normal(0, 6, 3)
    return Image.fromarray(frame.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


def put(image: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def classes(
    root: Path,
    counts: Sequence[int] = (12,) * 5,
    *,
    names: Sequence[str] = CLASSES,
    suffix: str = ".png",
    first: int = 0,
    side: int = 64,
    change: Callable[[Image.Image], Image.Image] = lambda image: image,
    **options: Any,
) -> Path:
    """A folder per class."""
    for label, (name, count) in enumerate(zip(names, counts, strict=True)):
        for number in range(first, first + count):
            put(change(cell(label, number, side)), root / name / f"{label}_{number:03}{suffix}", **options)
    return root


def rows_of(root: Path) -> list[tuple[str, str, str]]:
    """Path, class and patient of every cell of a folder per class, relative to its parent."""
    files = sorted(root.rglob("*.png"))
    return [
        (file.relative_to(root.parent).as_posix(), file.parent.name, f"P{int(file.stem[2:]) % 4}") for file in files
    ]


def table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], **how: Any) -> Path:
    encoding = how.pop("encoding", "utf-8")
    with path.open("w", newline="", encoding=encoding) as stream:
        csv.writer(stream, **how).writerows([header, *rows])
    return path


@dataclass(frozen=True)
class Case:
    """One shape. draw: makes it below a folder and returns what --data would name; plan: lines of its [dataset]."""

    name: str
    shape: str
    draw: Callable[[Path], Path]
    plan: dict[str, Any] = field(default_factory=dict)
    formats: tuple[str, ...] = ("PNG",)
    modes: tuple[str, ...] = ("RGB",)
    copies: bool = False  # whether the search for copies is what it is about


def plan_of(case: Case) -> DatasetPlan:
    rules = ImageRules(formats=case.formats, modes=case.modes, min_side_px=32, max_side_px=96)
    named = {"classes": CLASSES, **case.plan}
    return DatasetPlan.model_validate({"description": "drawn", "images": rules, **named})


def outcome(case: Case, root: Path) -> list[str]:
    """What is said of this case, from listing to split, with the folder it lies in left out."""
    plan = plan_of(case)
    location = case.draw(root)
    try:
        said = list(_said(case, plan, location))
    except HarnessError as error:
        said = [f"{type(error).__name__}: {error}"]
    return [line.replace(f"{root}/", "").replace(str(root), ".") for line in said]


def _said(case: Case, plan: DatasetPlan, location: Path) -> Any:
    found = listing(plan, location)
    yield f"{len(found.images)} images: {', '.join(map(str, found.counts.values()))}"
    yield from reading_told(found.reading)
    report = inspect(found, images=plan.images, counts=plan.counts, workers=2)
    findings: dict[str, list[str]] = {}
    for finding in report.findings:
        findings.setdefault(finding.rule, []).append(str(finding).removeprefix(f"{finding.rule}: "))
    for rule, lines in findings.items():
        yield f"{rule}: {len(lines)} finding(s), first {lines[0]}"
    if {"contract_violations", "unreadable_images", "missing_files"} & findings.keys():
        return
    if case.copies:
        yield _copies(found, plan)
    is_split = location.is_file() and "split" in columns_of(location, plan.columns)
    split = read_split(location, found, names=plan, parts=plan.parts) if is_split else draw_split(found, PLAN)
    yield f"split: {len(split.train)}, {len(split.validation)}, {len(split.test)}; {split.origin}"
    if any(image.patient for image in found.images):
        leaks = check_split(split, found, PLAN)["leaked_units"]
        n_patients = len({image.patient for image in found.images})
        yield f"{n_patients} patients, of whom {len(leaks)} in two parts"


def listing(plan: DatasetPlan, location: Path) -> Manifest:
    return read_manifest(location, name="dataset", classes=CLASSES, workers=2, names=plan, parts=plan.parts)


def _copies(found: Manifest, plan: DatasetPlan) -> str:
    hashes = hash_images(found.images, found.root, set_name="dataset", rules=plan.images, workers=2, progress=silent)
    return f"{len(find_duplicates([hashes], workers=2))} pairs of resembling pictures are found"


# --- the cases ----------------------------------------------------------------------------------


def _parts(root: Path, **parts: tuple[int, int]) -> Path:
    for part, (first, count) in parts.items():
        classes(root / part, (count,) * 5, first=first)
    return root


def _capitals(root: Path) -> Path:
    for part, (first, count) in {"TRAIN": (0, 8), "TEST": (8, 3), "TEST_SIMPLE": (11, 1)}.items():
        names = [name.upper() for name in CLASSES]
        classes(root / "images" / part, (count,) * 5, names=names, first=first)
    return root


def _overlapping(root: Path) -> Path:
    _parts(root, train=(0, 8), test=(8, 3))
    shutil.copy(root / "train" / "monocyte" / "3_002.png", root / "test" / "monocyte" / "again.png")
    return root


def _littered(root: Path) -> Path:
    classes(root)
    for place in (root, root / "basophil"):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0_001.png"):
            (place / name).write_bytes(b"\0\0\0\1Bud1" * 9)
    put(cell(0, 1), root / "__MACOSX" / "basophil" / "._0_001.png")
    put(cell(0, 1), root / "basophil" / ".ipynb_checkpoints" / "0_001-checkpoint.png")
    return root


def _two_sizes(root: Path) -> Path:
    classes(root, (8,) * 5)
    return classes(root, (4,) * 5, first=8, side=70)


def _masked(root: Path) -> Path:
    for file in sorted(classes(root).rglob("*.png")):
        dark = np.asarray(Image.open(file).convert("L")) < 190
        put(Image.fromarray((dark * 255).astype(np.uint8)).convert("RGB"), file.with_name(f"{file.stem}_mask.png"))
    return root


def _blanks(root: Path) -> Path:
    half = np.array(cell(3, 2))
    half[32:] = 128
    classes(root)
    for name, frame in (("black", np.zeros_like(half)), ("white", np.full_like(half, 255)), ("half", half)):
        put(Image.fromarray(frame), root / "monocyte" / f"{name}.png")
    return root


def _patients_below(root: Path) -> Path:
    classes(root / "drawn")
    for path, _, patient in rows_of(root / "drawn"):
        moved = root / "set" / Path(path).parts[1] / patient / Path(path).name
        moved.parent.mkdir(parents=True, exist_ok=True)
        (root / path).rename(moved)
    return root / "set"


def _noisy_copies(root: Path) -> Path:
    rng = np.random.default_rng(3)
    classes(root)
    for label, name in enumerate(CLASSES):
        for number in range(9):
            noisy = np.asarray(cell(label, 0), dtype=float) + rng.normal(0, 3, (64, 64, 3))
            put(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), root / name / f"{label}_9{number}.png")
    return root


def _augmented(root: Path) -> Path:
    rng = np.random.default_rng(4)
    for file in sorted(classes(root, (3,) * 5).rglob("*.png")):
        for number in range(3):
            angle = float(rng.uniform(15, 75))
            turned = Image.open(file).rotate(angle, Image.Resampling.BICUBIC, fillcolor=(226, 210, 203))
            put(turned, file.with_name(f"{file.stem}_{number}.png"))
    return root


def _linked(root: Path) -> Path:
    classes(root / "cache")
    for file in sorted((root / "cache").rglob("*.png")):
        link = root / "set" / file.relative_to(root / "cache")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    return root / "set"


def _clear(image: Image.Image) -> Image.Image:
    palette = image.quantize(200)
    palette.info["transparency"] = palette.getpixel((0, 0))
    return palette


def deep(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def floating(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image.convert("L")) / 255).astype(np.float32))


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _table(name: str, header: Sequence[str], cells: Callable[[str, str, str], Sequence[object]], **how: Any) -> Any:
    def draw(root: Path) -> Path:
        rows = rows_of(classes(root / "img"))
        return table(root / name, header, [cells(*row) for row in rows], **how)

    return draw


def _zipped(root: Path) -> Path:
    shutil.make_archive(str(root / "cells"), "zip", classes(root / "img", (1,) * 5))
    return root / "cells.zip"


CAPITALS = {name.upper(): name for name in CLASSES}
ENGLISH = ("Basophil granulocytes", "Eosinophil granulocytes", "Lymphocytes", "Monocytes", "Band and segmented")
WANTED = dict(zip(ENGLISH, CLASSES, strict=True))
NUMBERED = {str(number): name for number, name in enumerate(CLASSES)}
FILE_CLASS = {"path": "filename", "label": "class"}


def _said_of(name: str, shape: str, draw: Any, **plan: Any) -> Case:
    how = {key: plan.pop(key) for key in ("formats", "modes", "copies") if key in plan}
    return Case(name, shape, draw, plan, **how)


CASES = (
    _said_of(
        "part_folders_capitals", "`images/TRAIN\\|TEST\\|TEST_SIMPLE/CLASS`, the folder above it named", _capitals
    ),
    _said_of("part_folders_capitals", "`images` named", lambda root: _capitals(root) / "images"),
    _said_of(
        "part_folders_capitals",
        "with `parts`",
        lambda root: _capitals(root) / "images",
        parts={"TEST_SIMPLE": "unused"},
    ),
    _said_of(
        "part_folders_capitals",
        "with `parts` and `labels`",
        lambda root: _capitals(root) / "images",
        parts={"TEST_SIMPLE": "test"},
        labels=CAPITALS,
    ),
    _said_of("train_val_test", "parts above classes", lambda r: _parts(r, train=(0, 8), val=(8, 2), test=(10, 2))),
    _said_of("train_test_only", "no validation", lambda root: _parts(root, train=(0, 9), test=(9, 3))),
    _said_of("overlapping_parts", "a file of train again in test", _overlapping),
    _said_of("wrapped", "one folder too deep", lambda root: classes(root / "dataset").parent),
    _said_of("litter", "left by Finder, Explorer, zip and notebooks", _littered, images_per_class=12),
    _said_of("unequal", "3, 9, 6, 5, 14; nothing asked", lambda root: classes(root, (3, 9, 6, 5, 14))),
    _said_of(
        "unequal",
        "a table for each class",
        lambda root: classes(root, (3, 9, 6, 5, 14)),
        images_per_class=dict(zip(CLASSES, (3, 9, 6, 5, 14), strict=True)),
    ),
    _said_of(
        "unequal", "`{ minimum = 5 }`", lambda root: classes(root, (3, 9, 6, 5, 14)), images_per_class={"minimum": 5}
    ),
    _said_of("unequal", "a number", lambda root: classes(root, (3, 9, 6, 5, 14)), images_per_class=9),
    _said_of("names_with_spaces", "as they are", lambda root: classes(root, names=ENGLISH)),
    _said_of("names_with_spaces", "with `labels`", lambda root: classes(root, names=ENGLISH), labels=WANTED),
    _said_of("two_frame_sizes", "64 and 70 px", _two_sizes),
    _said_of("linked", "links into a cache", _linked),
    _said_of("tables/patient_id", "not spoken of", _table("t.csv", ("path", "label", "patient_id"), lambda *r: r)),
    _said_of(
        "tables/patient_id",
        "mapped",
        _table("t.csv", ("path", "label", "patient_id"), lambda *r: r),
        columns={"patient": "patient_id"},
    ),
    _said_of("tables/Patient", "not spoken of", _table("t.csv", ("path", "label", "Patient"), lambda *r: r)),
    _said_of("tables/donor", "not spoken of", _table("t.csv", ("path", "label", "donor"), lambda *r: r)),
    _said_of(
        "tables/donor",
        "declared unused",
        _table("t.csv", ("path", "label", "donor"), lambda *r: r),
        columns={"unused": ("donor",)},
    ),
    _said_of("tables/semicolons", "as it is", _table("t.csv", ("filename", "class"), lambda *r: r[:2], delimiter=";")),
    _said_of(
        "tables/semicolons",
        "with `columns`",
        _table("t.csv", ("filename", "class"), lambda *r: r[:2], delimiter=";"),
        columns=FILE_CLASS,
    ),
    _said_of(
        "tables/tabs",
        "with `columns`",
        _table("t.tsv", ("Image", "Label"), lambda *r: r[:2], delimiter="\t"),
        columns={"path": "Image", "label": "Label"},
    ),
    _said_of("tables/numbers", "as it is", _table("t.csv", ("path", "label"), lambda *r: (r[0], CLASSES.index(r[1])))),
    _said_of(
        "tables/numbers",
        "with `labels`",
        _table("t.csv", ("path", "label"), lambda *r: (r[0], CLASSES.index(r[1]))),
        labels=NUMBERED,
    ),
    _said_of("tables/space_after_comma", "", _table("t.csv", ("path", " label"), lambda *r: (r[0], f" {r[1]}"))),
    _said_of("tables/utf16", "", _table("t.csv", ("path", "label"), lambda *r: r[:2], encoding="utf-16")),
    _said_of(
        "tables/extra_column", "", _table("t.csv", ("path", "label", "magnification"), lambda *r: (*r[:2], "40x"))
    ),
    _said_of("tables/cells.zip", "an archive as --data", _zipped),
    _said_of("grey_16_bit", "16-bit grey PNG", lambda root: classes(root, change=deep)),
    _said_of("grey_16_bit", "accepted", lambda root: classes(root, change=deep), modes=("I;16B",)),
    _said_of(
        "float_tiff",
        "floating-point TIFF",
        lambda root: classes(root, change=floating, suffix=".tiff"),
        formats=("TIFF",),
    ),
    _said_of("webp", "WebP", lambda root: classes(root, suffix=".webp", lossless=True)),
    _said_of("webp", "accepted", lambda root: classes(root, suffix=".webp", lossless=True), formats=("WEBP",)),
    _said_of(
        "cmyk",
        "CMYK JPEG",
        lambda root: classes(root, change=lambda image: image.convert("CMYK"), suffix=".jpg"),
        formats=("JPEG",),
    ),
    _said_of(
        "exif_turned",
        "turned by EXIF alone",
        lambda root: classes(root, suffix=".jpg", exif=turned()),
        formats=("JPEG",),
    ),
    _said_of("palette_transparent", "a palette with a clear colour", lambda root: classes(root, change=_clear)),
    _said_of("masks_beside", "a two-valued mask beside each image", _masked),
    _said_of("blank_frames", "black, white, and a grey lower half", _blanks),
    _said_of("patients_below_classes", "a folder of each patient in each class folder", _patients_below),
    _said_of("copies_in_one_part", "nine noisy copies of one cell of each class", _noisy_copies, copies=True),
    _said_of("augmented_before_the_split", "three turned copies of each of 15", _augmented, copies=True),
)

HEADER = """# Cases: shapes that people bring, and what is said to each

Made by `python tests/cases.py > docs/cases.md`, which draws every case and reads it as a run does: listing, integrity,
split. tests/test_cases.py holds this page current. Paths are shortened to the drawn folder. The shapes became known
from public reports and questions, and from trying as a new user; `with` names the key of `[dataset]` that was stated
(docs/images.md).
"""


MODELS = """# Model files

What `--model` says to a file under a protocol for a SqueezeNet 1.1 of these five classes;
tests/cases_of_models.py makes each. The network stands for whichever is meant.
"""

REPORTS = """# Reports

Reports in their own wording, with forms of tables that became known from public reports, and how
`leukocyte-harness claims` ends on each (docs/exit-codes.md); tests/test_claims_forms.py asks it where these files are
at hand.

| report | what it comes to | exit code |
|---|---|---|
"""
# Of ../shared/cases/claims.
REPORT_NAMES = (
    "01_no_set_word",
    "02_spacer_row",
    "03_slow_binary",
    "03b_slow_binary_wrong",
    "04_two_models",
    "05_testset_one_word",
    "06_runs",
    "07_tp_fp",
    "08_indented",
    "09_float_support",
    "10_f1_no_support",
    "10b_same_with_class_head",
    "11_zero_division",
    "12_transposed",
    "13_ner_micro",
    "14_multilabel_micro",
    "14b",
    "15_actual_rows",
    "16_worked_fraction",
    "17_two_headings_unfenced",
)
ENDS = {
    0: "nothing in it cannot hold",
    1: "something in it cannot hold",
    3: "something that was recognised was not checked",
}


def page() -> str:
    return "\n".join([pictures(), model_files(), reports()])


def pictures() -> str:
    parts = [HEADER]
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            parts.append(entry(title(case), outcome(case, Path(folder))))
    return "\n".join(parts)


def title(case: Case) -> str:
    return f"{case.name}: {case.shape}" if case.shape else case.name


def entry(name: str, said: Sequence[str]) -> str:
    return f"## {name}\n\n```text\n" + "\n".join(said) + "\n```\n"


def model_files() -> str:
    from cases_of_models import MODEL_CASES
    from cases_of_models import outcome as said_of

    parts = [MODELS]
    for case in MODEL_CASES:
        with tempfile.TemporaryDirectory() as folder:
            parts.append(entry(f"model: {case.name}", said_of(case, Path(folder))))
    return "\n".join(parts)


def reports() -> str:
    from test_claims_forms import EXPECTED

    codes = {name: EXPECTED.get(name, 1) for name in REPORT_NAMES}
    return REPORTS + "".join(f"| {name} | {ENDS[code]} | {code} |\n" for name, code in codes.items())


if __name__ == "__main__":
    sys.stdout.write(page())
