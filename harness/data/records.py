"""The images of one set: files, labels, findings and the split. Values only; no file is opened here.

`frozen` stops reassignment, not writes into an array: treat every array as read-only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from harness.core.digests import digest_of
from harness.protocol.names import PARTS


@dataclass(frozen=True, slots=True)
class CellImage:
    """One image file of one cell, as listed.

    path:   relative to the manifest's root, with forward slashes on every OS.
    label:  the reference label, one of the manifest's classes.
    sha256: hex digest of the file's bytes.
    patient, slide, site: who and where the cell came from, if the manifest says.
    part:   of the split, where the set came divided into part folders.
    slices: (name, value) of further columns that divide the set, sorted by name; empty values are left out.
    """

    path: str
    label: str
    sha256: str
    n_bytes: int
    patient: str | None = None
    slide: str | None = None
    site: str | None = None
    part: str | None = None
    slices: tuple[tuple[str, str], ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """Everything that divides sets into slices: patient, slide, site and further columns, as far as stated."""
        own = {"patient": self.patient, "slide": self.slide, "site": self.site}
        return {name: value for name, value in own.items() if value is not None} | dict(self.slices)

    @property
    def filename(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def unit(self) -> str:
        """What must never be divided between two parts of a split.

        The coarsest group that is known (patient, else slide); without one, the file's content, so that
        two byte-identical files always land in the same part.
        """
        if self.patient is not None:
            return f"patient:{self.patient}"
        if self.slide is not None:
            return f"slide:{self.slide}"
        return f"content:{self.sha256}"

    @property
    def cluster(self) -> str:
        """Whose cells are likely to be right or wrong together with this one: those of the patient, else the slide.

        Where neither is known, those of the site: it may be one person's blood, and is one stain and one camera.
        """
        if self.patient is None and self.slide is None and self.site is not None:
            return f"site:{self.site}"
        return self.unit


@dataclass(frozen=True, slots=True)
class Reading:
    """What of a set was read as what; all of it empty where a folder is written as the protocol has it.

    labels:    folder name or label as written -> class, where they differ.
    parts:     folder above or directly below the class folders -> part, or "unused" for one that was not read.
    columns:   what was read -> the column of the table; delimiter: what separates its cells. Empty for a folder.
    unread:    columns that nothing read; unused: those of them that the protocol declares unused.
    within:    sub-folders of the class folders, of which nothing was read but the images in them; None where there are
               none, and of a set that was read before they were told.
    litter:    files, and folders with a "/" at the end, that an operating system or a program left behind.
    """

    labels: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    unread: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    within: tuple[str, ...] | None = None
    litter: tuple[str, ...] = ()

    def part_of(self, path: str) -> str | None:
        """The part of the image at this path, where its set came in part folders."""
        return next((self.parts[step] for step in path.split("/")[:2] if step in self.parts), None)


def sub_folders(paths: Iterable[str], parts: Collection[str]) -> tuple[str, ...] | None:
    """What the folders between class and images are called, part folders aside; None where there are none."""
    steps = ([step for step in path.split("/")[:-1] if step not in parts] for path in paths)
    return tuple(sorted({"/".join(each[1:]) for each in steps if len(each) > 1})) or None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The images of one set, in the order of their paths.

    name:    the set's name, such as "dataset" or "jtsc".
    root:    the folder that the paths are relative to. Not part of `digest`.
    classes: the class vocabulary, in the order of the protocol; the column order of probabilities.
    images:  sorted by path.
    ignored: files that lie beside the class folders: listed, never read.
    missing: paths that a manifest CSV names and the disk does not hold; they are not among `images`.
    unlisted: files in the listed folders that no row of the manifest CSV names; they are not among `images`.
    reading:  what of it was read as what.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    images: tuple[CellImage, ...]
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    reading: Reading = Reading()

    @property
    def counts(self) -> dict[str, int]:
        """Images per class, every class of the vocabulary included."""
        found = Counter(image.label for image in self.images)
        return {name: found[name] for name in self.classes}

    @property
    def digest(self) -> str:
        """Digest of paths, labels and contents; independent of the root and of the listing's order."""
        return digest_of(sorted([image.path, image.label, image.sha256] for image in self.images))

    @property
    def pin(self) -> str:
        """What a protocol's `digest` says of this set: every content with its label, whatever the files are called."""
        return pin_of((image.sha256, image.label) for image in self.images)

    @property
    def grouped(self) -> bool:
        """Whether every image names its patient or slide."""
        return bool(self.images) and all(image.patient or image.slide for image in self.images)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What decoding one file showed.

    error:     None for a file that decoded completely.
    too_large: whether that error is that it has more bytes, pixels or pieces than is decoded. A pack does not say it
               again beside the finding.
    """

    path: str
    width_px: int | None
    height_px: int | None
    format: str | None
    mode: str | None
    error: str | None = None
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the data: which file, which rule, what to do."""

    rule: str
    path: str
    detail: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.path!r}: {self.detail}. {self.remedy}"  # repr: a file name may hold anything


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """What became of one expectation of the table of images; docs/expectations.md says what may be expected.

    source:       "protocol", or the suite file that states it.
    rule:         the integrity rule that it breaks where it is not met.
    n_unexpected: offending rows. An expectation with `mostly` may be met although there are some.
    observed:     of an expectation on a whole column or table, the number that was compared.
    examples:     paths of the first offending rows.
    """

    source: str
    rule: str
    expectation: str
    met: bool
    n_unexpected: int
    observed: float | None
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """Every rule that was checked and every finding, in the order of (rule, path).

    checked: rule name -> how many files or rows it looked at. A rule that is absent was not checked.
    facts:   one entry per image, in the manifest's order.
    expectations: what was expected of the table of images, and met or not; None in packs that are older.
    """

    checked: dict[str, int]
    findings: tuple[Finding, ...]
    facts: tuple[ImageFacts, ...]
    expectations: tuple[ExpectationResult, ...] | None = None

    def of(self, rule: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.rule == rule)


SplitSource = Literal["drawn", "folders", "file", "undivided"]


@dataclass(frozen=True, slots=True)
class Split:
    """Which image serves which purpose. Each part is sorted by path; no unit is in two parts.

    origin: where it is from, in words.
    source: what made it: this run, the folders of the images, a file; or nothing, and every image is judged as test.
    """

    train: tuple[CellImage, ...]
    validation: tuple[CellImage, ...]
    test: tuple[CellImage, ...]
    origin: str
    source: SplitSource = "drawn"

    def part(self, name: str) -> tuple[CellImage, ...]:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(filepath, filename, label, split) of every image, sorted by path: the rows of data_split.csv."""
        rows = [(i.path, i.filename, i.label, name) for name in PARTS for i in self.part(name)]
        return sorted(rows)

    @property
    def digest(self) -> str:
        """Digest of who is where, by content; independent of file names."""
        return digest_of(sorted([i.sha256, i.label, name] for name in PARTS for i in self.part(name)))


def labelled_digest(cells: Iterable[tuple[str, str]]) -> str:
    """Digest of (SHA-256 of the file, label) of every image, in any order; one that is there twice counts twice."""
    return digest_of(sorted([sha256, label] for sha256, label in cells))


def pin_of(cells: Iterable[tuple[str, str]]) -> str:
    """The same as a protocol's `digest` states it."""
    return f"sha256:{labelled_digest(cells)}"


def sorted_by_path(images: Iterable[CellImage]) -> tuple[CellImage, ...]:
    return tuple(sorted(images, key=lambda image: image.path))


def labels_of(images: Sequence[CellImage], classes: Sequence[str]) -> np.ndarray:
    """(n,) int64 column index of each image's label."""
    column = {name: index for index, name in enumerate(classes)}
    return np.array([column[image.label] for image in images], dtype=np.int64)
