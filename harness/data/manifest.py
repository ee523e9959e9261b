"""Which images are there, with which reference label? An image folder or a label table becomes a Manifest.

Nothing is decoded here and nothing is hidden: every file below a class folder is an image until `integrity` says
otherwise, but for what an operating system left behind, which is named. `folders` reads what lies there, `tables` what
a table says of it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath

from harness.core.errors import DataError, MissingData
from harness.core.spreadsheet import active
from harness.core.text import shortened
from harness.data.decoding import FORMAT_OF_SUFFIX, MOST_BYTES, open_regular
from harness.data.folders import Listing, Placed, Walk, linked, list_folder
from harness.data.likely_paths import LikelyPaths
from harness.data.records import CellImage, Manifest, Reading, pin_of, sorted_by_path, sub_folders
from harness.data.suggestions import labels_table, not_a_class
from harness.data.tables import FILENAME, Table, TableRow, read_table, relative_path
from harness.protocol.names import part_called
from harness.protocol.sets import SLICES, ColumnPlan, SetNames

GROUP_COLUMNS = ("patient", "slide", "site")
PIECE_BYTES = 2**20
MOST_FOLDERS = 20_000
MOST_LOOKED_THROUGH = 100_000  # files, for what an error says


@dataclass(frozen=True, slots=True)
class _Row:
    """What is said of an image before it is opened."""

    label: str
    sha256: str | None = None
    patient: str | None = None
    slide: str | None = None
    site: str | None = None
    part: str | None = None
    slices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a set says of itself before any image is opened: images by path, and what did not match."""

    root: Path
    images: Mapping[str, _Row]
    ignored: tuple[str, ...]
    reading: Reading
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of one folder, hidden ones included, in whatever order the file system has them."""
    with os.scandir(folder) as entries:
        return list(entries)


def read_manifest(
    location: Path,
    *,
    name: str,
    classes: tuple[str, ...],
    workers: int,
    names: SetNames | None = None,
    parts: Mapping[str, str] | None = None,
    listing: Listing = scan,
) -> Manifest:
    """List and hash every image of one set. The order of the listing has no influence on the result.

    A class folder may be absent, and its class then counts zero. Rows without a file and files without a row are no
    error here: they are kept in `missing` and `unlisted`, where `integrity.inspect` finds them.

    Args:
        location: a folder with one sub-folder per class, one of part folders with those in them, or a table with a
            path (or filepath) and a label column, and optionally patient, slide, site and sha256. Paths in it are
            relative to the folder it lies in.
        workers: threads that hash.
        names: what classes and columns are called in this set, where it is not as the protocol calls them.
        parts: folder above the class folders -> part, beside the usual names; None where the set is not divided.
        listing: lists one folder; tests pass one that shuffles.
    Raises:
        MissingData: there is nothing at `location`.
        DataError: a folder, label or column that nothing is said of, a link or other special file, a row that cannot
            be meant, or no image at all.
    """
    names = names or SetNames()
    if location.is_dir():
        listed = _list_folder(location, classes, names, parts, name, listing)
    elif location.is_file():
        listed = _list_table(location, classes, names, name, listing)
    elif os.path.lexists(location):
        raise DataError(f"set {name!r}: {location} is neither a folder nor a file. Name an image folder or a CSV.")
    else:
        raise MissingData(
            f"set {name!r}: there is nothing at {location}. Name a folder with one sub-folder per class, or a CSV "
            "with the columns path and label."
        )
    if not listed.images:
        loose = [each for each in listed.ignored if PurePosixPath(each).suffix.lower() in FORMAT_OF_SUFFIX]
        if loose and location.is_dir():
            raise DataError(
                f"set {name!r}: {location} holds no image of any class. {len(loose)} lie loose in it, first "
                f"{min(loose)!r}, and no folder says of which class they are. Name a CSV beside them, with the "
                "columns path and label and a row for each; "
                f"or move them into sub-folders named {', '.join([*classes, *names.label_of])}."
            )
        detail = f"; all {len(listed.missing)} files that it names are missing" if listed.missing else ""
        if listed.missing and (close := LikelyPaths(_some_files(listed.root)).close_to(listed.missing[0])):
            detail += f" (of {listed.missing[0]!r} {close} is close, and is not guessed)"
        raise DataError(
            f"set {name!r}: {location} holds no image of any class{detail}. Expected are sub-folders named "
            f"{', '.join([*classes, *names.label_of])}, or rows whose paths are relative to {listed.root}."
        )
    return _manifest_of(listed, name=name, classes=classes, workers=workers)


def _some_files(root: Path) -> Iterator[str]:
    """Files below a folder, relative to it, as many as can be looked through for the words of an error."""
    every = (Path(folder, name) for folder, _, names in os.walk(root) for name in sorted(names))
    return (file.relative_to(root).as_posix() for file in islice(every, MOST_LOOKED_THROUGH))


def read_strangers(
    location: Path, *, name: str, known: Sequence[str], workers: int, names: SetNames | None = None
) -> Manifest:
    """List and hash the images of a set whose cells are of classes that a classifier does not know.

    Its classes are the kinds of cell that are found there: the sub-folders, or the labels of the table; of images that
    lie loose in the folder there is one kind, called as the set.

    Args:
        location: a folder with one sub-folder per kind of cell, one of images, or a table as in `read_manifest`.
        known: the classes that the classifier knows.
        names: the kind that a sub-folder or label stands for, and the names of columns, where they differ.
    Raises:
        DataError: as `read_manifest`; also a kind that is one of the known classes, or loose images beside sub-folders.
    """
    names = names or SetNames()
    walk = Walk(location, scan)
    if location.is_file():
        rows = read_table(location, required=("label",), refusal=DataError, columns=names.columns, set_name=name).rows
        written, loose = [row.cells["label"] for row in rows], []
    elif location.is_dir():
        entries = walk.entries()
        written = [entry.name for entry, is_folder in entries if is_folder]
        loose = [entry.name for entry, is_folder in entries if not is_folder]
    else:
        written, loose = [], []
    kinds = tuple(sorted({names.label_of.get(each, each) for each in written}))
    _refuse_known([(kind, kind) for kind in kinds], known, set_name=name, location=location)
    images = [each for each in loose if PurePosixPath(each).suffix.lower() in FORMAT_OF_SUFFIX]
    if kinds and images:
        raise DataError(
            f"set {name!r}: {location} has sub-folders, and loose images beside them, first {images[0]!r}. Move these "
            "into a sub-folder that is called as their kind of cell."
        )
    if images:
        others = tuple(each for each in loose if each not in images)
        reading = Reading(litter=tuple(sorted(walk.litter)))
        listed = _Listed(location, dict.fromkeys(images, _Row(name)), others, reading)
        return _manifest_of(listed, name=name, classes=(name,), workers=workers)
    if location.is_dir() and not kinds:
        first = f", and {min(loose)!r} is none" if loose else ""
        raise DataError(
            f"set {name!r}: {location} holds no image{first}. Put the images of one kind of cell there, or one "
            "sub-folder for each kind."
        )
    found = read_manifest(location, name=name, classes=kinds, workers=workers, names=names)
    if location.is_dir():  # a kind may be divided further, by slide or day, but not into known classes
        inside = [(step, image.path) for image in found.images for step in image.path.split("/")[1:-1]]
        _refuse_known(inside, known, set_name=name, location=location)
    return found


def _refuse_known(steps: Iterable[tuple[str, str]], known: Sequence[str], *, set_name: str, location: Path) -> None:
    """
    Args:
        steps: a name of a kind, or of a folder below one, and where it was met.
    Raises:
        DataError: one of them is a known class, however it is spelt, or a part of a data set.
    """
    classes = {_plainly(each): each for each in known}
    for step, where in steps:
        if (same := classes.get(_plainly(step))) is not None:
            spelt = "" if where == same else f" ({where!r})"
            raise DataError(
                f"set {set_name!r}: {location} has cells of {same!r}{spelt}, which is a class that the classifier "
                "knows. Move them to an external set, or say under `labels` what they are."
            )
        if step == where and part_called(step, None) is not None:
            raise DataError(
                f"set {set_name!r}: {location} has the part folder {step!r}, and such a set is scored whole. Name one "
                "of the folders in it, with one sub-folder per kind of cell."
            )


def _plainly(name: str) -> str:
    """A name without what spellings of one class differ by: case, spaces, hyphens, the plural."""
    return re.sub(r"[\s_-]", "", name.casefold()).removesuffix("s")


def _manifest_of(listed: _Listed, *, name: str, classes: tuple[str, ...], workers: int) -> Manifest:
    with ThreadPoolExecutor(workers) as pool:
        images = pool.map(lambda item: _hashed(listed.root, *item), sorted(listed.images.items()))
        return Manifest(
            name=name,
            root=listed.root,
            classes=classes,
            images=sorted_by_path(images),
            ignored=listed.ignored,
            missing=listed.missing,
            unlisted=listed.unlisted,
            reading=listed.reading,
        )


def pin_of_files(root: Path, labels: Mapping[str, str], *, workers: int) -> str:
    """The pin of images by their paths and labels, as a run that lists the same finds it.

    Raises:
        DataError: a file that cannot be read, or that is too large for an image.
    """
    with ThreadPoolExecutor(workers) as pool:
        images = pool.map(lambda item: _hashed(root, item[0], _Row(item[1])), labels.items())
        return pin_of((image.sha256, image.label) for image in images)


def _hashed(root: Path, path: str, row: _Row) -> CellImage:
    digest, n_bytes = hashlib.sha256(), 0
    try:
        with open_regular(root / path) as file:
            # A terabyte may take no room on its disk, and would be hashed for an hour.
            n_expected = os.fstat(file.fileno()).st_size
            while n_expected <= MOST_BYTES and n_bytes <= MOST_BYTES and (piece := file.read(PIECE_BYTES)):
                digest.update(piece)
                n_bytes += len(piece)
    except FileNotFoundError:
        raise MissingData(
            f"{path!r} vanished from {root} while it was read. Let nothing write there, and repeat."
        ) from None
    except OSError as error:
        raise DataError(f"{path!r} in {root} cannot be read ({error.strerror}). Make it readable.") from None
    if max(n_expected, n_bytes) > MOST_BYTES:
        raise DataError(
            f"{path!r} in {root} has {max(n_expected, n_bytes):,} bytes, and no image has more than {MOST_BYTES:,}. "
            "Move it out of the data folder."
        )
    sha256 = digest.hexdigest()
    if row.sha256 not in (None, sha256):
        raise DataError(
            f"{path!r} has SHA-256 {sha256}, its row in the manifest says {row.sha256}. The file is not the "
            "one that was listed: restore it, or correct the manifest."
        )
    return CellImage(path, row.label, sha256, n_bytes, row.patient, row.slide, row.site, row.part, row.slices)


def _list_folder(
    root: Path,
    classes: Sequence[str],
    names: SetNames,
    parts: Mapping[str, str] | None,
    set_name: str,
    listing: Listing,
) -> _Listed:
    walk = Walk(root, listing)
    placed, ignored, divided = list_folder(walk, classes=classes, labels=names.label_of, parts=parts, set_name=set_name)
    reading = Reading(
        labels=_labels_met(placed, names.label_of),
        parts=divided,
        within=sub_folders(placed, divided),
        litter=tuple(sorted(set(walk.litter))),
    )
    return _Listed(root, {path: _Row(each.label, part=each.part) for path, each in placed.items()}, ignored, reading)


def _labels_met(placed: Mapping[str, Placed], labels: Mapping[str, str]) -> dict[str, str]:
    """Folder -> class, for the folders that are not called as their class."""
    met = {step: each.label for path, each in placed.items() if (step := _class_folder(path, each.label, labels))}
    return dict(sorted(met.items()))


def _class_folder(path: str, label: str, labels: Mapping[str, str]) -> str | None:
    """The folder that says the class, first or below a part folder; None where it is called as the class."""
    first, second = path.split("/")[:2]
    return next((step for step in (first, second) if labels.get(step, step) == label and step in labels), None)


# --- tables -----------------------------------------------------------------------------------


def _list_table(file: Path, classes: Sequence[str], names: SetNames, set_name: str, listing: Listing) -> _Listed:
    plan = names.columns or ColumnPlan()
    table = read_table(file, required=("label",), refusal=DataError, columns=plan, set_name=set_name)
    rows = _rows_of(file, table, classes, names.label_of, set_name)
    walk = Walk(file.parent, listing)
    found, others = _found_beside(walk, rows, [*classes, *names.label_of])
    written = {row.cells["label"] for row in table.rows}
    said_again = FILENAME in table.columns and not _says_nothing_new(table)
    unread = (*table.unread, *([FILENAME] if said_again else []))
    reading = Reading(
        labels={each: names.label_of[each] for each in sorted(written) if names.label_of.get(each, each) != each},
        columns={role: column for role, column in table.columns.items() if role != FILENAME},
        delimiter=table.delimiter,
        unread=tuple(name for name in unread if name not in plan.unused),
        unused=tuple(name for name in unread if name in plan.unused),
        litter=tuple(sorted(set(walk.litter))),
    )
    return _Listed(
        file.parent,
        images={path: row for path, row in rows.items() if path in found},
        ignored=tuple(name for name in others if name != file.name),
        reading=reading,
        missing=tuple(sorted(rows.keys() - found)),
        unlisted=tuple(sorted(found - rows.keys() - {file.name})),
    )


def _says_nothing_new(table: Table) -> bool:
    """Whether the column of file names only repeats the last step of each path."""
    return all(
        active(row.cells[FILENAME]).removeprefix("./") == PurePosixPath(active(row.cells["path"])).name
        for row in table.rows
    )


def _rows_of(
    file: Path, table: Table, classes: Sequence[str], labels: Mapping[str, str], set_name: str
) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}
    lines: dict[str, int] = {}
    spelled: dict[tuple[str, str], tuple[str, int]] = {}
    strange = {row.cells["label"]: None for row in table.rows if _class_of(row, classes, labels) is None}
    for row in table.rows:
        where = f"{file}, line {row.line}"
        path, label = _path_in(row, where), _class_of(row, classes, labels)
        if path in rows:
            raise DataError(f"{where}: {path!r} is already on line {lines[path]}. Keep one row per image.")
        if label is None:
            raise DataError(
                f"{where}: the label {not_a_class(row.cells['label'], classes)} is not a class; the classes are "
                f"{', '.join(classes)}. Write exactly one of them, remove the row, or say in the protocol what each "
                f"stands for (check every line):\n{labels_table(set_name, list(strange), classes)}"
            )
        sha256 = row.cells.get("sha256")
        if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
            raise DataError(
                f"{where}: sha256 is {shortened(ascii(sha256), 300)}, not 64 hexadecimal digits in lower case. Correct "
                "it, or drop the column."
            )
        patient, slide, site = (_group_in(row, column, where) for column in GROUP_COLUMNS)
        slices = tuple(
            (role.removeprefix(SLICES), value)
            for role in sorted(row.cells)
            if role.startswith(SLICES) and (value := _group_in(row, role, where)) is not None
        )
        rows[path], lines[path] = _Row(label, sha256, patient, slide, site, slices=slices), row.line
        for column, value in (*zip(GROUP_COLUMNS, (patient, slide, site), strict=True), *slices):
            if value is not None:
                _refuse_another_spelling(spelled, column, value, row.line, where)
    return rows


def _refuse_another_spelling(
    spelled: dict[tuple[str, str], tuple[str, int]], column: str, value: str, line: int, where: str
) -> None:
    """One patient of two spellings counts as two, may be in two parts, and makes every bound narrower than it is."""
    before, first = spelled.setdefault((column, _as_read(value)), (value, line))
    if before != value:
        raise DataError(
            f"{where}: {column} {shortened(ascii(value), 300)} differs from {shortened(ascii(before), 300)} on line "
            f"{first} in nothing but case, spaces or how a letter is encoded, so that it may be the same or not. Write "
            "every id in one way; ids of two patients in two that differ in more."
        )


def _as_read(value: str) -> str:
    """What a person reads: "p1" and a "P1" with an invisible or a wide letter are one; "1 12" and "11 2" are two."""
    letters = unicodedata.normalize("NFKC", value).casefold()
    return " ".join("".join(each for each in letters if unicodedata.category(each) != "Cf").split())


def _class_of(row: TableRow, classes: Sequence[str], labels: Mapping[str, str]) -> str | None:
    written = row.cells["label"]
    return labels.get(written) or (written if written in classes else None)


def _path_in(row: TableRow, where: str) -> str:
    try:
        return relative_path(row.cells["path"])
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _group_in(row: TableRow, column: str, where: str) -> str | None:
    value = active(row.cells.get(column, ""))
    if value != value.strip():
        raise DataError(
            f"{where}: {column} {shortened(ascii(value), 300)} begins or ends with white space, so that it may be the "
            "same as another id or not. Write every id in one way."
        )
    return value or None


def _found_beside(walk: Walk, rows: Iterable[str], class_folders: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
    """Every file in the folders that the rows speak of, and the names in the root that they do not speak of.

    The rows speak of each folder that holds one of their images, and of the class folders beside it: a class that was
    left out of the table altogether must not go unnoticed. In the root itself, where tables and notes may lie too, a
    file counts only if some row there has the same suffix.
    """
    rows = set(rows)
    parents: set[PurePosixPath] = set()
    for path in rows:
        nearest, *above = PurePosixPath(path).parents
        parents |= {nearest, *(folder for folder in above if folder.name in class_folders)}
        if len(parents) > MOST_FOLDERS:
            raise DataError(f"the paths of the table speak of more than {MOST_FOLDERS:,} folders. Divide the table.")
    beside = {parent.parent / name for parent in parents for name in class_folders}
    folders = {folder.as_posix() for folder in parents | beside}
    found: set[str] = set()
    is_plain = _plain_folders(walk.root)
    for folder in sorted(folders - {"."}):
        if is_plain(folder):
            found |= set(walk.files(folder))
    suffixes = {PurePosixPath(path).suffix.lower() for path in rows if "/" not in path}
    spoken_of = {folder.split("/")[0] for folder in folders}
    others = []
    for entry, is_folder in walk.entries(refuse_special=False):
        if entry.name in rows and not walk.is_folder(entry):
            found.add(entry.name)
        elif entry.name in spoken_of and is_folder:
            continue
        elif entry.is_file(follow_symlinks=False) and PurePosixPath(entry.name).suffix.lower() in suffixes:
            found.add(entry.name)
        else:
            others.append(entry.name)
    return found, tuple(others)


def _plain_folders(root: Path) -> Callable[[str], bool]:
    """Tells whether a folder exists, no step towards it being a link. Each step is looked at once."""

    @cache
    def is_plain(folder: str) -> bool:
        above = folder.rpartition("/")[0]
        if above and not is_plain(above):
            return False
        try:
            mode = (root / folder).lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise DataError(
                f"{str(root / folder)!r} cannot be looked at ({error.strerror}). Correct the name."
            ) from None
        if stat.S_ISLNK(mode):
            raise linked(root / folder, root)
        return stat.S_ISDIR(mode)

    return is_plain
