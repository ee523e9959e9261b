"""What lies in this folder? Classes, parts and images as found, and what is odd about them; nothing is changed.

A first look for somebody who has no protocol yet: `integrity` judges, this only says what there is. Which folders are
meant as classes and parts is guessed here; what is in them is read by `folders`, as a run will read it.
"""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import DataError, MissingData
from harness.data.decoding import facts_of, read_regular, strict_pillow
from harness.data.folders import Listing, Placed, Walk, called_as_its_part, list_folder
from harness.data.manifest import pin_of_files, scan
from harness.data.records import ImageFacts
from harness.protocol.datasets import FORMATS, LARGEST_SIDE_PX, ImageRules
from harness.protocol.names import NAME_PATTERN, PARTS, UNUSED, part_called

MOST_FILES = 1_000_000
MOST_DECODED = 2_000  # beyond, so many of them spread over the listing stand for all
MOST_WRAPPERS = 4
ANYTHING = ImageRules(formats=FORMATS, modes=(), min_side_px=1, max_side_px=LARGEST_SIDE_PX)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a folder holds.

    root:     the folder with the class or part folders; below the given one where that only wraps it.
    wrapped:  whether it is below.
    images:   path relative to `root` -> class and part, for the files of the class folders; sorted, without litter.
    renamed:  folder -> class, where the folder's name cannot be a class's.
    divided:  folder above or directly below the class folders -> part, "unused" where its name says none; empty
              without part folders.
    litter:   what programs that list folders left behind, relative to `root`; a folder's name ends in "/".
    loose:    files beside the class and part folders.
    facts:    what decoding showed, of all images or of MOST_DECODED spread over them.
    pin:      the digest of every image and its label; None where a file cannot be one.
    """

    root: Path
    wrapped: bool
    images: Mapping[str, Placed]
    renamed: Mapping[str, str]
    divided: Mapping[str, str]
    litter: tuple[str, ...]
    loose: tuple[str, ...]
    facts: tuple[ImageFacts, ...]
    pin: str | None

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({image.label for image in self.images.values()}))

    @property
    def counts(self) -> dict[str, int]:
        return self._counted(self.images.values())

    def counts_in(self, part: str) -> dict[str, int]:
        """Class -> images in the folders of a part."""
        return self._counted(image for image in self.images.values() if image.part == part)

    def _counted(self, images: Iterable[Placed]) -> dict[str, int]:
        found = Counter(image.label for image in images)
        return {name: found[name] for name in self.classes}

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of which there are images, in the order of a split; none without part folders."""
        named = {image.part for image in self.images.values()}
        return tuple(part for part in PARTS if part in named)

    @property
    def unused(self) -> tuple[str, ...]:
        """Folders beside the part folders whose names say no part."""
        return tuple(folder for folder, part in self.divided.items() if part == UNUSED)

    @property
    def readable(self) -> tuple[ImageFacts, ...]:
        return tuple(each for each in self.facts if each.error is None)

    @property
    def broken(self) -> tuple[ImageFacts, ...]:
        return tuple(each for each in self.facts if each.error is not None)


def survey(folder: Path, *, workers: int) -> Survey:
    """Look at a folder of images: class folders, or part folders with those in them.

    Raises:
        MissingData: the folder does not exist.
        DataError: no folders in it, fewer than two classes, folders that a protocol cannot tell apart or name, or
            whatever a run refuses to list, such as a link.
    """
    if folder.is_file():
        raise DataError(f"{folder} is a file, not a folder. If it is an archive, unpack it and name what was in it.")
    if not folder.is_dir():
        raise MissingData(f"the folder {folder} does not exist. Name one with a subfolder of images for each class.")
    root = _unwrapped(folder)
    divided = _divided(root)
    places = _class_folders(root, divided)
    labels = {_name(place): _class_called(_name(place)) for place in places}
    _refuse_names(root, places, labels, divided)
    walk = Walk(root, _at_most(MOST_FILES, root))
    renamed = {name: label for name, label in labels.items() if name != label}
    placed, ignored, parts = list_folder(
        walk,
        classes=tuple(labels.values()),
        labels=renamed,
        parts={name: part for name, part in divided.items() if part == UNUSED},
        set_name="dataset",
    )
    _refuse_no_classes(root, {image.label for image in placed.values()}, labels, ignored=ignored)
    images = dict(sorted(placed.items()))
    return Survey(
        root,
        wrapped=root != folder,
        images=images,
        renamed=renamed,
        divided=divided or parts,
        litter=tuple(sorted(set(walk.litter))),
        loose=tuple(name for name in ignored if not name.endswith("/")),
        facts=_facts(root, list(images), workers),
        pin=_pin(root, images, workers),
    )


def _unwrapped(folder: Path) -> Path:
    """The folder itself, or the only one in it where that holds folders in turn: what unpacking an archive makes."""
    for _ in range(MOST_WRAPPERS):
        folders = _folders_in(folder)
        if len(folders) != 1 or not _folders_in(folder / folders[0]):
            break
        folder = folder / folders[0]
    return folder


def _folders_in(folder: Path) -> list[str]:
    return [entry.name for entry, is_folder in Walk(folder, scan).entries() if is_folder]


def _divided(root: Path) -> dict[str, str]:
    """Folder -> part where class folders lie below part folders, "unused" for those beside them; else nothing.

    A folder that is called as a part and holds files alone may be a class: of vehicles, "train" is one.
    """
    parts = {name: part_called(name, None) for name in _folders_in(root)}
    if not any(part and _folders_in(root / name) for name, part in parts.items()):
        return {}
    return {name: part or UNUSED for name, part in parts.items()}


def _class_folders(root: Path, divided: Mapping[str, str]) -> list[str]:
    """Relative paths of the folders that are meant as classes."""
    if not divided:
        return _folders_in(root)
    above = [name for name, part in divided.items() if part != UNUSED]
    return [f"{part}/{name}" for part in above for name in _folders_in(root / part)]


def _name(place: str) -> str:
    return place.rpartition("/")[2]


def _class_called(folder: str) -> str:
    """The folder's name, with whatever a class's name cannot hold replaced."""
    if re.fullmatch(NAME_PATTERN, folder):
        return folder
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", folder).strip("_.-")[:64]
    return plain or f"class_{os.fsencode(folder).hex()[:16]}"


def _at_most(n_files: int, root: Path) -> Listing:
    """A listing that ends where somebody named a whole disk."""
    n_seen = 0

    def listing(folder: Path) -> list[os.DirEntry[str]]:
        nonlocal n_seen
        entries = scan(folder)
        n_seen += len(entries)
        if n_seen > n_files:
            raise DataError(f"{root} holds more than {n_files:,} files and folders. Name a folder with fewer.")
        return entries

    return listing


def _refuse_names(root: Path, places: Sequence[str], labels: Mapping[str, str], divided: Mapping[str, str]) -> None:
    """Folders at which a run would stop, whatever the protocol says, or that no line of a protocol could name."""
    for name in [*divided, *labels]:
        if any("\ud800" <= c <= "\udfff" for c in name):
            raise DataError(f"{root}: the name {name!r} is not text, and no protocol can name it. Rename the folder.")
    if hidden := next((place for place in places if _name(place).startswith(".")), None):
        raise DataError(f"{root}: the folder {hidden!r} is hidden and lies where the classes do. Move it out.")
    for place in places if divided else ():
        if twice := next((name for name in (_name(place), labels[_name(place)]) if name in divided), None):
            if divided[twice] != UNUSED:
                raise called_as_its_part(root, twice, _folders_in(root / twice), tuple(labels.values()))
            raise DataError(
                f"{root}: the folder {twice!r} lies beside the part folders and is a class in {place!r}, so that a run "
                "cannot tell classes from parts. Move it into the folder of its part, or out."
            )


def _refuse_no_classes(
    root: Path, filled: Collection[str], labels: Mapping[str, str], *, ignored: Collection[str]
) -> None:
    """filled: the classes of which there are files; labels: folder -> class; ignored: what is in none of them."""
    if len(filled) < 2:
        loose = sum(1 for name in ignored if not name.endswith("/"))
        beside = f" {loose} file(s) lie in none: move each into the folder of its class." if loose else ""
        raise DataError(
            f"{root} has {len(filled)} class folder(s) with files: {', '.join(filled) or 'none'}. Expected are at "
            "least two sub-folders, each named after a class, or train, validation and test folders with those in "
            f"them.{beside} Where a table says which image is of which class, no protocol is drafted: extend "
            "generic.toml."
        )
    by_class: dict[str, list[str]] = {}
    for name, label in labels.items():
        by_class.setdefault(label.casefold(), []).append(name)
    if alike := next((names for names in by_class.values() if len(names) > 1), None):
        raise DataError(
            f"{root}: the folders {' and '.join(map(repr, alike))} would be one class, or classes that differ in case "
            "alone. Rename or merge the folders."
        )
    if empty := sorted(set(labels.values()) - set(filled)):
        raise DataError(f"{root}: the folder of class {empty[0]!r} holds no file. Fill it, or move it out.")


def _pin(root: Path, images: Mapping[str, Placed], workers: int) -> str | None:
    try:
        return pin_of_files(root, {path: each.label for path, each in images.items()}, workers=workers)
    except DataError:  # a run would stop at this file, and integrity says why
        return None


def _facts(root: Path, paths: Sequence[str], workers: int) -> tuple[ImageFacts, ...]:
    step = -(-len(paths) // MOST_DECODED)
    with warnings.catch_warnings():
        strict_pillow()
        with ThreadPoolExecutor(workers) as pool:
            return tuple(pool.map(lambda path: _fact(root, path), paths[::step]))


def _fact(root: Path, path: str) -> ImageFacts:
    try:
        return facts_of(read_regular(root / path), path=path, rules=ANYTHING)
    except (OSError, DataError) as error:
        return ImageFacts(path, None, None, None, None, str(error))
