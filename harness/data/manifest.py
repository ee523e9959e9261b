"""Which images are there, with which reference label? An image folder or a CSV becomes a Manifest.

Nothing is decoded here and nothing is hidden: every file below a class folder is an image until `integrity` says
otherwise. Links, pipes and devices are refused before anything opens them.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from harness.core.errors import DataError, MissingData
from harness.core.files import open_plain, read_plain
from harness.core.spreadsheet import active
from harness.core.text import shortened
from harness.data.decoding import MOST_BYTES, open_regular
from harness.data.records import CellImage, Manifest, sorted_by_path

Listing = Callable[[Path], Iterable[os.DirEntry[str]]]

PATH_COLUMNS = ("filepath", "path")
GROUP_COLUMNS = ("patient", "slide", "site")
PIECE_BYTES = 2**20

# Far above any honest table or folder, far below what would hurt the machine that reads it.
MOST_TABLE_BYTES = 2**26  # some 400,000 rows with their digests
LONGEST_LINE = 2**16
MOST_ROWS = 1_000_000
MOST_COLUMNS = 100
MOST_FOLDERS = 20_000
MOST_STEPS = 32  # of a path, its file name included
LONGEST_PATH = 1024


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a CSV: the line of the file it starts on, and its cells by column name."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a set says of itself before any image is opened: images by path, and what did not match."""

    root: Path
    images: dict[str, _Row]
    ignored: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    sha256: str | None = None
    patient: str | None = None
    slide: str | None = None
    site: str | None = None


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of one folder, hidden ones included, in whatever order the file system has them."""
    with os.scandir(folder) as entries:
        return list(entries)


def read_manifest(
    location: Path, *, name: str, classes: tuple[str, ...], workers: int, listing: Listing = scan
) -> Manifest:
    """List and hash every image of one set. The order of the listing has no influence on the result.

    A class folder may be absent, and its class then counts zero. Rows without a file and files without a row are no
    error here: they are kept in `missing` and `unlisted`, where `integrity.inspect` finds them.

    Args:
        location: a folder with one sub-folder per class, or a CSV with the columns path (or filepath) and label, and
            optionally patient, slide, site and sha256. Paths in it are relative to the folder it lies in.
        workers: threads that hash.
        listing: lists one folder; tests pass one that shuffles.
    Raises:
        MissingData: there is nothing at `location`.
        DataError: a folder or label that is not a class, a link or other special file, a row that cannot be meant, or
            no image at all.
    """
    if location.is_dir():
        listed = _list_folder(location, classes, listing)
    elif location.is_file():
        listed = _list_csv(location, classes, listing)
    elif os.path.lexists(location):
        raise DataError(f"set {name!r}: {location} is neither a folder nor a file. Name an image folder or a CSV.")
    else:
        raise MissingData(
            f"set {name!r}: there is nothing at {location}. Name a folder with one sub-folder per class, or a CSV "
            "with the columns path and label."
        )
    if not listed.images:
        detail = f"; all {len(listed.missing)} files that it names are missing" if listed.missing else ""
        raise DataError(
            f"set {name!r}: {location} holds no image of any class{detail}. Expected are sub-folders named "
            f"{', '.join(classes)}, or rows whose paths are relative to {listed.root}."
        )
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
        )


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
    return CellImage(path, row.label, sha256, n_bytes, row.patient, row.slide, row.site)


# --- folders ----------------------------------------------------------------------------------


def _list_folder(root: Path, classes: Sequence[str], listing: Listing) -> _Listed:
    images: dict[str, _Row] = {}
    ignored, strangers = [], []
    for entry in sorted(listing(root), key=lambda entry: entry.name):
        if not _is_folder(entry):
            ignored.append(entry.name)
        elif entry.name in classes:
            images |= {path: _Row(entry.name) for path in _walk(root, entry.name, listing)}
        else:
            strangers.append(entry.name)
    if strangers:
        raise DataError(
            f"{root} has {len(strangers)} sub-folder(s) that are not classes: "
            f"{'; '.join(_stranger(name, classes) for name in strangers[:5])}. The classes are {', '.join(classes)}. "
            "Rename a folder to exactly its class, or move it out."
        )
    return _Listed(root, images, tuple(ignored))


def _walk(root: Path, folder: str, listing: Listing) -> Iterator[str]:
    """Relative path of every file below `folder`."""
    if folder.count("/") + 2 > MOST_STEPS:
        raise DataError(
            f"{root}: folders are nested more than {MOST_STEPS - 1} deep, the first is {folder!r}. Move it out."
        )
    try:
        entries = listing(root / folder)
    except OSError as error:
        raise DataError(
            f"{root}: the folder {folder!r} cannot be listed ({error.strerror}). Make it readable."
        ) from None
    for entry in entries:
        if "\\" in entry.name:
            # No manifest or split file could name it: a backslash separates folders on Windows.
            raise DataError(f"{root}: the name {entry.name!r} in {folder!r} has a backslash. Rename it.")
        path = f"{folder}/{entry.name}"
        if _is_folder(entry):
            yield from _walk(root, path, listing)
        else:
            yield path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        raise DataError(f"{entry.path!r} is a symbolic link, and links are not followed. Put the file itself there.")
    if entry.is_dir(follow_symlinks=False):
        return True
    if entry.is_file(follow_symlinks=False):
        return False
    raise DataError(f"{entry.path!r} is neither a file nor a folder (a pipe, socket or device). Move it out.")


def _stranger(name: str, classes: Sequence[str]) -> str:
    # ascii() shows what the eye cannot: a trailing space, a Cyrillic letter, a combining accent.
    close = difflib.get_close_matches(name.strip().casefold(), classes, n=1, cutoff=0.6)
    return _brief(name) + (f" (close to {close[0]!r}, but not it)" if close else "")


def _brief(value: object) -> str:
    return shortened(ascii(value), 300)


# --- CSV --------------------------------------------------------------------------------------


def _list_csv(file: Path, classes: Sequence[str], listing: Listing) -> _Listed:
    root = file.parent
    rows = _rows_of(file, classes)
    found, others = _found_beside(root, rows, classes, listing)
    ignored = tuple(name for name in others if name != file.name)
    return _Listed(
        root,
        images={path: row for path, row in rows.items() if path in found},
        ignored=ignored,
        missing=tuple(sorted(rows.keys() - found)),
        unlisted=tuple(sorted(found - rows.keys() - {file.name})),
    )


def _rows_of(file: Path, classes: Sequence[str]) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}
    lines: dict[str, int] = {}
    for row in read_table(file, required=("label",), refusal=DataError):
        where = f"{file}, line {row.line}"
        path, label = _path_in(row, where), row.cells["label"]
        if path in rows:
            raise DataError(f"{where}: {path!r} is already on line {lines[path]}. Keep one row per image.")
        if label not in classes:
            raise DataError(
                f"{where}: the label {_stranger(label, classes)} is not a class; the classes are {', '.join(classes)}. "
                "Write exactly one of them, or remove the row."
            )
        sha256 = row.cells.get("sha256")
        if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
            raise DataError(
                f"{where}: sha256 is {_brief(sha256)}, not 64 hexadecimal digits in lower case. Correct it, or drop "
                "the column."
            )
        patient, slide, site = (_group_in(row, column, where) for column in GROUP_COLUMNS)
        rows[path], lines[path] = _Row(label, sha256, patient, slide, site), row.line
    return rows


def _path_in(row: TableRow, where: str) -> str:
    try:
        return relative_path(path_cell(row))
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _group_in(row: TableRow, column: str, where: str) -> str | None:
    value = active(row.cells.get(column, ""))
    if value != value.strip():
        raise DataError(
            f"{where}: {column} {_brief(value)} begins or ends with white space, so that it may be the same as another "
            "id or not. Write every id in one way."
        )
    return value or None


def _found_beside(
    root: Path, rows: Iterable[str], classes: Sequence[str], listing: Listing
) -> tuple[set[str], tuple[str, ...]]:
    """Every file in the folders that the rows speak of, and the names in the root that they do not speak of.

    The rows speak of each folder that holds one of their images, and of the class folders beside it: a class that was
    left out of the table altogether must not go unnoticed. In the root itself, where tables and notes may lie too, a
    file counts only if some row there has the same suffix.
    """
    rows = set(rows)
    parents: set[PurePosixPath] = set()
    for path in rows:
        nearest, *above = PurePosixPath(path).parents
        parents |= {nearest, *(folder for folder in above if folder.name in classes)}
        if len(parents) > MOST_FOLDERS:
            raise DataError(f"the paths of the table speak of more than {MOST_FOLDERS:,} folders. Divide the table.")
    class_folders = {parent.parent / name for parent in parents for name in classes}
    folders = {folder.as_posix() for folder in parents | class_folders}
    found: set[str] = set()
    is_plain = _plain_folders(root)
    for folder in sorted(folders - {"."}):
        if is_plain(folder):
            found |= set(_walk(root, folder, listing))
    suffixes = {PurePosixPath(path).suffix.lower() for path in rows if "/" not in path}
    spoken_of = {folder.split("/")[0] for folder in folders}
    others = []
    for entry in sorted(listing(root), key=lambda entry: entry.name):
        if entry.name in rows and not _is_folder(entry):
            found.add(entry.name)
        elif entry.name in spoken_of and entry.is_dir(follow_symlinks=False):
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
            raise DataError(
                f"{str(root / folder)!r} is a symbolic link, and links are not followed. Put the folder itself there."
            )
        return stat.S_ISDIR(mode)

    return is_plain


# --- tables: also what split.py reads ------------------------------------------------------------


def columns_of(file: Path) -> list[str]:
    """The column names of a CSV; none where its first line is not a list of names, which `read_table` then says."""
    try:
        with open_plain(file, follow_link=True) as stream:
            first = stream.readline(LONGEST_LINE)
        text = first.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        return next(csv.reader(io.StringIO(text, newline="")), [])
    except (OSError, csv.Error):
        return []


def read_table(file: Path, *, required: Sequence[str], refusal: type[DataError]) -> list[TableRow]:
    """The rows of a CSV that has a header, one path column ("filepath" or "path") and the `required` ones.

    UTF-8; bytes of a file name that are not are kept as they are (surrogateescape). Blank lines are skipped.

    Raises:
        MissingData: no such file.
        refusal: unreadable as CSV, or a column or cell too few or too many.
    """
    try:
        content = read_plain(file, most_bytes=MOST_TABLE_BYTES, follow_link=True)
    except FileNotFoundError:
        raise MissingData(f"there is no file {file}. Correct the name.") from None
    except OSError as error:
        raise refusal(f"{file} cannot be read ({error.strerror}). Name a CSV with one row per image.") from None
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    reader = csv.reader(_lines(text), strict=True)
    rows: list[TableRow] = []
    try:
        header = next(reader, [])
        _check_header(file, header, required, refusal)
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise refusal(
                    f"{file}, line {line}: {len(cells)} cells under {len(header)} column names. Write one cell per "
                    "column, and quote a cell that holds a comma."
                )
            if len(rows) == MOST_ROWS:
                raise refusal(f"{file}, line {line}: more than {MOST_ROWS:,} rows. Divide the table.")
            if cells:
                rows.append(TableRow(line, dict(zip(header, cells, strict=True))))
            line = reader.line_num + 1
    except csv.Error as error:
        raise refusal(f"{file}, line {reader.line_num}: not readable as CSV ({error}). Correct that line.") from None
    return rows


def _lines(text: str) -> Iterator[str]:
    for line in io.StringIO(text, newline=""):
        if len(line) > LONGEST_LINE:  # the reader would make an object of each of its millions of cells
            raise csv.Error(f"the line has more than {LONGEST_LINE:,} characters")
        yield line


def _check_header(file: Path, header: Sequence[str], required: Sequence[str], refusal: type[DataError]) -> None:
    if len(header) > MOST_COLUMNS:
        raise refusal(f"{file}, line 1: {len(header):,} columns, at most {MOST_COLUMNS} are read. Is this the table?")
    absent = [name for name in required if name not in header]
    n_paths = sum(header.count(name) for name in PATH_COLUMNS)
    repeated = sorted({name for name in header if header.count(name) > 1})
    if absent or repeated or n_paths != 1:
        wanted = f"one of {' and '.join(PATH_COLUMNS)}, and {', '.join(required)}"
        raise refusal(
            f"{file}, line 1: the columns are {_brief(list(header))}; needed are {wanted}, each once, named on the "
            "first line in lower case."
        )


def path_cell(row: TableRow) -> str:
    """The row's path as it is written."""
    return next(row.cells[name] for name in PATH_COLUMNS if name in row.cells)


def relative_path(cell: str) -> str:
    """The path that a CSV cell means, if it stays under the folder it is relative to.

    One leading "./" is dropped, as are those that keep a spreadsheet from taking "=1.jpg" for a formula.

    Raises:
        ValueError: the path is empty, absolute, too long, has a backslash or NUL, or is not written plainly. Says what
            to do.
    >>> relative_path("./=1.jpg")
    '=1.jpg'
    """
    path = active(cell).removeprefix("./")
    remedy = "Write it relative to the data folder with forward slashes, such as 'basophil/BA_1.jpg'"
    if not path:
        raise ValueError(f"the path is empty. {remedy}.")
    if len(path) > LONGEST_PATH or path.count("/") >= MOST_STEPS:
        raise ValueError(
            f"the path {_brief(cell)} has {len(path):,} characters and {path.count('/')} folders; at most "
            f"{LONGEST_PATH:,} and {MOST_STEPS - 1} are followed. {remedy}."
        )
    if "\0" in path or "\\" in path:
        raise ValueError(f"the path {cell!r} has a {'NUL' if chr(0) in path else 'backslash'}. {remedy}.")
    if path.startswith("/") or re.match("[A-Za-z]:", path):
        raise ValueError(f"the path {cell!r} is absolute. {remedy}.")
    if {"", ".", ".."} & set(path.split("/")):
        raise ValueError(f"the path {cell!r} has an empty, '.' or '..' step. {remedy}.")
    return path
