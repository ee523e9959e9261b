"""What lies in this folder? Classes, parts and images as found, and what is odd about them; nothing is changed.

A first look for somebody who has no protocol yet: `integrity` judges, this only says what there is.
"""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import DataError, MissingData
from harness.data.decoding import facts_of, read_regular, strict_pillow
from harness.data.records import ImageFacts
from harness.protocol.records import LARGEST_SIDE_PX, NAME_PATTERN, PART_ALIASES, PARTS, ImageRules

MOST_FILES = 1_000_000
MOST_DECODED = 2_000  # beyond, so many of them spread over the listing stand for all
MOST_WRAPPERS = 4
# What file managers, archives and notebooks leave behind.
LITTER = re.compile(
    r"(?i)^(\..*|thumbs\.db|desktop\.ini|icon\r|__macosx|.*\.(txt|md|csv|tsv|json|xml|ya?ml|html?|pdf))$"
)
ANYTHING = ImageRules(formats=("JPEG", "PNG", "BMP", "TIFF"), modes=(), min_side_px=1, max_side_px=LARGEST_SIDE_PX)


@dataclass(frozen=True, slots=True)
class Found:
    """One file in a class folder.

    path:  relative to the surveyed folder, with forward slashes.
    label: the class: the folder's name, made one that a class can have.
    part:  of the split, where part folders say so.
    """

    path: str
    label: str
    part: str | None


@dataclass(frozen=True, slots=True)
class Survey:
    """What a folder holds.

    root:     the folder with the class or part folders; below the given one where that only wraps it.
    wrapped:  whether it is below.
    images:   the files of the class folders, sorted by path, without litter.
    renamed:  folder -> class, where the folder's name cannot be a class's.
    litter:   files and folders that are nobody's image, relative to `root`.
    loose:    files beside the class folders.
    facts:    what decoding showed, of all images or of MOST_DECODED spread over them.
    """

    root: Path
    wrapped: bool
    images: tuple[Found, ...]
    renamed: Mapping[str, str]
    litter: tuple[str, ...]
    loose: tuple[str, ...]
    facts: tuple[ImageFacts, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({image.label for image in self.images}))

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(image.label for image in self.images)
        return {name: found[name] for name in self.classes}

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that folders name, in the order of a split."""
        named = {image.part for image in self.images}
        return tuple(part for part in PARTS if part in named)

    @property
    def readable(self) -> tuple[ImageFacts, ...]:
        return tuple(each for each in self.facts if each.error is None)

    @property
    def broken(self) -> tuple[ImageFacts, ...]:
        return tuple(each for each in self.facts if each.error is not None)


def survey(folder: Path, *, workers: int) -> Survey:
    """Look at a folder of images: class folders, or part folders with those in them.

    Raises:
        MissingData: there is no such folder.
        DataError: no folders in it, fewer than two classes, or two classes that differ in case alone.
    """
    if not folder.is_dir():
        raise MissingData(f"there is no folder {folder}. Name one with a sub-folder of images for each class.")
    root = _unwrapped(folder)
    folders, loose = _entries(root)
    parts = {name: PART_ALIASES[name.casefold()] for name in folders if name.casefold() in PART_ALIASES}
    parted = bool(parts) and len(parts) == len(folders)
    places = (
        [(f"{part}/{name}", name, parts[part]) for part in sorted(parts) for name in _entries(root / part)[0]]
        if parted
        else [(name, name, None) for name in folders]
    )
    renamed = {name: _class_name(name) for _, name, _ in places if not re.fullmatch(NAME_PATTERN, name)}
    found: list[Found] = []
    litter: list[str] = [name for name in loose if LITTER.match(name)]
    for place, name, part in places:
        for path in _files(root, place):
            if LITTER.match(path.rpartition("/")[2]):
                litter.append(path)
            else:
                found.append(Found(path, renamed.get(name, name), part))
            if len(found) > MOST_FILES:
                raise DataError(f"{root} holds more than {MOST_FILES:,} files. Name a folder with fewer.")
    images = tuple(sorted(found, key=lambda each: each.path))
    _refuse_no_classes(root, images, [name for _, name, _ in places])
    loose = [name for name in loose if not LITTER.match(name)]
    return Survey(root, root != folder, images, renamed, tuple(litter), tuple(loose), _facts(root, images, workers))


def _unwrapped(folder: Path) -> Path:
    """The folder itself, or the only one in it where that holds folders in turn: what unpacking an archive makes."""
    for _ in range(MOST_WRAPPERS):
        folders, _ = _entries(folder)
        if len(folders) != 1 or not _entries(folder / folders[0])[0]:
            break
        folder = folder / folders[0]
    return folder


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in it, sorted; hidden folders and litter are no folders of images."""
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False) and not LITTER.match(entry.name)
            (folders if is_folder else files).append(entry.name)
    return sorted(folders), sorted(files)


def _files(root: Path, place: str) -> Iterator[str]:
    folders, files = _entries(root / place)
    yield from (f"{place}/{name}" for name in files)
    for name in folders:
        yield from _files(root, f"{place}/{name}")


def _class_name(folder: str) -> str:
    """The folder's name with whatever a class's name cannot hold replaced."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", folder).strip("_.-")[:64]
    return plain or f"class_{folder.encode().hex()[:16]}"


def _refuse_no_classes(root: Path, images: Sequence[Found], folders: Sequence[str]) -> None:
    labels = sorted({image.label for image in images})
    if len(labels) < 2:
        raise DataError(
            f"{root} has {len(labels)} class folder(s) with files: {', '.join(labels) or 'none'}. Expected are at "
            "least two sub-folders, each named after a class, or train, validation and test folders with those in "
            "them. Where a table says which image is of which class, no protocol is drafted: extend generic.toml."
        )
    by_case: dict[str, list[str]] = {}
    for label in labels:
        by_case.setdefault(label.casefold(), []).append(label)
    if alike := next((names for names in by_case.values() if len(names) > 1), None):
        raise DataError(f"{root}: the classes {' and '.join(alike)} differ in case alone. Rename or merge the folders.")
    empty = sorted({_class_name(f) if not re.fullmatch(NAME_PATTERN, f) else f for f in folders} - set(labels))
    if empty:
        raise DataError(f"{root}: the folder of class {empty[0]!r} holds no file. Fill it, or move it out.")


def _facts(root: Path, images: Sequence[Found], workers: int) -> tuple[ImageFacts, ...]:
    step = -(-len(images) // MOST_DECODED)
    with warnings.catch_warnings():
        strict_pillow()
        with ThreadPoolExecutor(workers) as pool:
            return tuple(pool.map(lambda image: _fact(root, image.path), images[::step]))


def _fact(root: Path, path: str) -> ImageFacts:
    try:
        return facts_of(read_regular(root / path), path=path, rules=ANYTHING)
    except (OSError, DataError) as error:
        return ImageFacts(path, None, None, None, None, str(error))
