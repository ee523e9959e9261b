"""What does a pack say, and are its bytes what it says?

Reads a pack that was written elsewhere, as a folder or a zip, as a stranger would: it follows no link, unpacks nothing
to disk, and takes no byte that SHA256SUMS does not vouch for, but those of the signature. The sums tell of damage and
careless edits; whoever writes all of them anew is only found by a signature or a ledger.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, TypeVar

import numpy as np

from harness.core.digests import digest_of
from harness.core.errors import EvidenceError, InvalidPredictions
from harness.core.files import open_plain
from harness.core.spreadsheet import active, inert
from harness.core.strict_json import parse_json
from harness.core.text import brief
from harness.metrics.predictions import Predictions

SUMS = "SHA256SUMS"
EVIDENCE = "evidence.json"
# These sign SHA256SUMS, or are added beside what does, so it cannot list them.
SIGNATURE = "signature.dsse.json"
TEST_RESULT = "test-result.dsse.json"
MODEL_SIGNATURE = "model.sig"
UNLISTED = frozenset({SUMS, SIGNATURE, TEST_RESULT, MODEL_SIGNATURE})
SCHEMAS = ("leukocyte-harness/evidence/2", "leukocyte-harness/evidence/3", "leukocyte-harness/evidence/4")
WITHOUT_PATHS = SCHEMAS[:2]  # in which nothing on the page says what it follows from
ABSENT_OK = ("models/",)  # large, and no number of the pack rests on them; the committed reference run has none

# Far above any honest pack, far below what would hurt the machine that reads it.
MAX_FILES = 1_000  # Python reads the whole list of a zip again for each of its entries
MAX_PACK_BYTES = 1 << 30
MAX_TEXT_BYTES = 64 << 20  # of a file that is read as a whole
MAX_SIGNATURE_BYTES = 1 << 20
MAX_DIRECTORY_BYTES = 4 << 20  # of a zip's list of entries
MAX_RATIO = 200  # of an entry of more than RATIO_FROM_BYTES; CSV and PNG stay below 30
RATIO_FROM_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20

# What can go wrong inside a zip whose bytes were chosen by somebody else.
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class PackFile:
    """One file of a pack. `open` gives a stream of its bytes, which are not yet checked."""

    name: str
    n_bytes: int
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """An evidence pack, open for reading.

    name:        of the folder or zip, for people.
    location:    where it lies.
    files:       name in the pack -> file, SHA256SUMS included.
    sums:        name -> SHA-256 as SHA256SUMS says, read once.
    sums_digest: SHA-256 of SHA256SUMS itself: it stands for the whole pack.
    evidence:    the content of evidence.json, whose bytes were checked; its schema is a known one.
    """

    name: str
    location: Path
    files: Mapping[str, PackFile]
    sums: Mapping[str, str]
    sums_digest: str
    evidence: Mapping[str, object]

    def read(self, name: str) -> bytes:
        """The bytes of a file, which are the ones that SHA256SUMS lists.

        Raises:
            EvidenceError: there is no such file, it is not listed, too large, or differs.
        """
        return _read_listed(self.name, self.files, self.sums, name)


# --- opening ----------------------------------------------------------------------------------


def open_pack(path: Path) -> Pack:
    """Open a pack: a folder, or a zip of one with its files at the root or in a single folder.

    `path` itself may be a link, such as reports/latest; nothing inside may be one.

    Raises:
        EvidenceError: there is no pack, it holds what no pack holds (a link, a pipe, a path that leads out of it), it
            is larger than any honest pack, or its sums or evidence cannot be read or do not agree.
    """
    try:
        place = path.resolve(strict=True)
        mode = place.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links; ValueError: a NUL
        raise EvidenceError(f"there is no pack at {path} ({error}). Name a folder under reports/, or a zip.") from None
    if stat.S_ISDIR(mode):
        files = _folder_files(place)
    elif stat.S_ISREG(mode):
        files = _zip_files(place)
    else:
        raise EvidenceError(f"{path} is neither a folder nor a file. Name a folder under reports/, or a zip.")
    for needed in (SUMS, EVIDENCE):
        if needed not in files:
            with _at_fault(needed):
                raise EvidenceError(
                    f"{path} is not an evidence pack: it has no {needed}. Name the folder of one run, such as "
                    "reports/latest, or a zip of it."
                )
    name = place.name
    with _at_fault(SUMS):
        sums_bytes = _bounded(name, files[SUMS])
        sums = MappingProxyType(_parse_sums(name, sums_bytes))
    with _at_fault(EVIDENCE):
        evidence = _parse_evidence(f"{name}/{EVIDENCE}", _read_listed(name, files, sums, EVIDENCE))
    return Pack(
        name=name,
        location=place,
        files=MappingProxyType(files),
        sums=sums,
        sums_digest=hashlib.sha256(sums_bytes).hexdigest(),
        evidence=MappingProxyType(evidence),
    )


@contextmanager
def _at_fault(file: str) -> Iterator[None]:
    """Names the file that an error is about."""
    try:
        yield
    except EvidenceError as error:
        error.file = file
        raise


@dataclass(frozen=True, slots=True)
class WrongFile:
    """A file whose bytes are not what SHA256SUMS says, and what is wrong with it."""

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file!r} {self.problem}"


def verify_digests(pack: Pack, *, absent_ok: Sequence[str] = ABSENT_OK) -> tuple[WrongFile, ...]:
    """What is wrong with the bytes of a pack, file by file in the order of names; empty when nothing is.

    Every file is read to its end, in pieces.

    Args:
        absent_ok: beginnings of the names of files that may be missing; where they are present, they must agree.
    """
    problems = []
    for name in sorted(pack.sums.keys() | pack.files.keys() - UNLISTED):
        if name not in pack.sums:
            problems.append(WrongFile(name, f"is not listed in {SUMS}: it was added after the run"))
        elif name not in pack.files:
            if not name.startswith(tuple(absent_ok)):
                problems.append(WrongFile(name, f"is listed in {SUMS} and missing"))
        else:
            try:
                found = _digest(pack.name, pack.files[name])
            except EvidenceError as error:
                problems.append(WrongFile(name, f"cannot be read: {error}"))
                continue
            if found != pack.sums[name]:
                said = f"has SHA-256 {found}, {SUMS} says {pack.sums[name]}: it was altered"
                problems.append(WrongFile(name, said))
    return tuple(problems)


def read_signature(pack: Pack, name: str) -> bytes:
    """The bytes of a file that SHA256SUMS cannot list, for which nothing vouches but what is in it.

    Raises:
        EvidenceError: there is none, or it is larger than any.
    """
    file = pack.files.get(name)
    if file is None or file.n_bytes > MAX_SIGNATURE_BYTES:
        raise EvidenceError(f"{pack.name} has no {name} of at most {MAX_SIGNATURE_BYTES >> 20} MiB.")
    return _bounded(pack.name, file)


def _read_listed(pack: str, files: Mapping[str, PackFile], sums: Mapping[str, str], name: str) -> bytes:
    if name not in files:
        raise EvidenceError(f"{pack} has no file {name!r}. The run did not get that far, or the pack is not whole.")
    if name not in sums:
        raise EvidenceError(
            f"{pack}: {name!r} is not listed in {SUMS}, so nothing vouches for it. Fetch the pack anew."
        )
    content = _bounded(pack, files[name])
    # The very bytes that are used are hashed: a file swapped between checking and reading would go unseen.
    found = hashlib.sha256(content).hexdigest()
    if found != sums[name]:
        raise EvidenceError(
            f"{pack}: {name!r} has SHA-256 {found}, {SUMS} says {sums[name]}. The file was altered after the run; "
            "fetch the pack anew from where it was made."
        )
    return content


def _bounded(pack: str, file: PackFile) -> bytes:
    parts, n_bytes = [], 0
    for part in _parts(pack, file):
        n_bytes += len(part)
        if n_bytes > MAX_TEXT_BYTES:
            raise EvidenceError(
                f"{pack}: {file.name!r} has more than the {MAX_TEXT_BYTES >> 20} MiB that a file of its kind may have. "
                "This is not a pack that the harness wrote."
            )
        parts.append(part)
    return b"".join(parts)


def _digest(pack: str, file: PackFile) -> str:
    digest = hashlib.sha256()
    for part in _parts(pack, file):
        digest.update(part)
    return digest.hexdigest()


def _parts(pack: str, file: PackFile) -> Iterator[bytes]:
    """A file's bytes in pieces, never more than it was listed with, whatever it says or becomes while it is read."""
    n_bytes = 0
    try:
        with file.open() as stream:
            while part := stream.read(CHUNK_BYTES):
                n_bytes += len(part)
                if n_bytes > file.n_bytes:
                    raise EvidenceError(
                        f"{pack}: {file.name!r} has more than the {file.n_bytes} bytes it was listed with. Let nothing "
                        "write there, and repeat."
                    )
                yield part
    except EvidenceError:
        raise  # which is a RuntimeError, too
    except (OSError, *_BROKEN_ZIP) as error:
        raise EvidenceError(f"{pack}: {file.name!r} cannot be read ({error}). Fetch the pack anew.") from None


# --- folders ----------------------------------------------------------------------------------


def _folder_files(root: Path) -> dict[str, PackFile]:
    files: dict[str, PackFile] = {}
    waiting, n_entries, n_bytes = [""], 0, 0
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    name, n_entries = folder + entry.name, n_entries + 1
                    _check_count(root.name, n_entries)
                    _check_name(root.name, name)
                    info = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(info.st_mode):
                        waiting.append(name + "/")
                    elif stat.S_ISREG(info.st_mode):
                        n_bytes += info.st_size
                        _check_bytes(root.name, n_bytes)
                        files[name] = PackFile(name, info.st_size, partial(open_plain, root / name, follow_link=False))
                    else:
                        raise EvidenceError(
                            f"{root.name}: {name!r} is a {_kind(info.st_mode)}. A pack holds plain files and folders "
                            "only: this one was not written by the harness."
                        )
        except OSError as error:
            raise EvidenceError(f"{root / folder} cannot be listed ({error.strerror}). Make it readable.") from None
    return files


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device or special file")


# --- zips -------------------------------------------------------------------------------------


def _zip_files(path: Path) -> dict[str, PackFile]:
    """The files of a zip by their names in the pack; whatever could be meant in two ways is refused."""
    _check_zip_end(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, *_BROKEN_ZIP) as error:
        raise _no_zip(path, str(error)) from None
    _check_count(path.name, len(entries))
    files: dict[str, PackFile] = {}
    n_bytes = 0
    for name, n in Counter(entry.filename for entry in entries).items():
        if n > 1:
            raise EvidenceError(
                f"{path.name}: {name!r} is in the zip {n} times, and programs differ in which they take."
            )
    for entry in entries:
        _check_entry(path.name, entry)
        if entry.is_dir():
            continue
        n_bytes += entry.file_size
        _check_bytes(path.name, n_bytes)
        files[entry.filename] = PackFile(entry.filename, entry.file_size, _entry_opener(path, entry))
    tops = {name.split("/", 1)[0] for name in files}
    if SUMS in files or len(tops) != 1:
        return files
    top = f"{tops.pop()}/"
    return {name.removeprefix(top): replace(file, name=name.removeprefix(top)) for name, file in files.items()}


def _check_zip_end(path: Path) -> None:
    """Refuse a zip whose list of entries is not plainly at its end, before anything of it is read into memory."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(max(0, size - 42))
            tail = stream.read()
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read ({error.strerror}). Make it readable.") from None
    _check_bytes(path.name, size)
    end = tail[-22:]
    if len(end) < 22 or end[:4] != b"PK\x05\x06":
        raise _no_zip(path, "it does not end as a zip without a comment does")
    _disk, _start_disk, n_here, n_entries, directory_bytes, _offset, n_comment = struct.unpack("<4H2LH", end[4:])
    if tail[:4] == b"PK\x06\x07" or n_comment or n_here != n_entries:
        raise _no_zip(path, "it has 64-bit fields, a comment or several parts, which no pack needs")
    _check_count(path.name, n_entries)
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise EvidenceError(
            f"{path.name}: the list of its entries has {directory_bytes} bytes, more than the {MAX_DIRECTORY_BYTES} "
            "that a pack's may have. This is not a pack that the harness wrote."
        )


def _no_zip(path: Path, why: str) -> EvidenceError:
    return EvidenceError(f"{path} is not a readable zip: {why}. Unpack it and name the folder, or fetch it anew.")


def _check_entry(pack: str, entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if entry.orig_filename != name:  # Python cuts a name at a NUL, where other programs do not
        raise EvidenceError(f"{pack}: the zip has an entry with the unusable name {entry.orig_filename!r}.")
    _check_name(pack, name.removesuffix("/"))
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        raise EvidenceError(
            f"{pack}: {name!r} is a {_kind(kind)} in the zip. A pack holds plain files and folders only: this one was "
            "not made from a pack that the harness wrote."
        )
    if entry.flag_bits & 0x2041:  # encrypted, strongly encrypted, masked
        raise EvidenceError(f"{pack}: {name!r} is encrypted in the zip. Decrypt it, and name the folder.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise EvidenceError(f"{pack}: {name!r} is compressed in an unusual way in the zip. Zip it with deflate.")
    if entry.file_size > max(RATIO_FROM_BYTES, MAX_RATIO * entry.compress_size):
        raise EvidenceError(
            f"{pack}: {name!r} would grow from {entry.compress_size} to {entry.file_size} bytes when unpacked, which "
            "nothing in a pack does. This looks like a zip bomb; it was not unpacked."
        )


def _entry_opener(path: Path, entry: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    def open_entry() -> IO[bytes]:
        with zipfile.ZipFile(path) as archive:  # the stream keeps the file open for as long as it needs it
            return archive.open(entry.filename)

    return open_entry


# --- limits -----------------------------------------------------------------------------------


def _check_name(pack: str, name: str) -> None:
    """Refuse a name that would leave the pack, or that is not text."""
    steps = name.split("/")
    if {"", ".", ".."} & set(steps) or "\\" in name or "\0" in name or re.match("[A-Za-z]:", name):
        raise EvidenceError(
            f"{pack}: the name {name!r} is absolute, leads out of the pack or is not written plainly. This is not a "
            "pack that the harness wrote."
        )
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise EvidenceError(f"{pack}: the name {name!r} is not UTF-8. This is not a pack that the harness wrote.")


def _check_count(pack: str, n_files: int) -> None:
    if n_files > MAX_FILES:
        raise EvidenceError(
            f"{pack} holds more than {MAX_FILES} files and folders. Name the folder of one run, not of all."
        )


def _check_bytes(pack: str, n_bytes: int) -> None:
    if n_bytes > MAX_PACK_BYTES:
        raise EvidenceError(
            f"{pack} holds more than {MAX_PACK_BYTES >> 20} MiB. Name the folder of one run, not of all; its models/ "
            "may be left out."
        )


# --- SHA256SUMS and evidence.json -------------------------------------------------------------


def _parse_sums(pack: str, content: bytes) -> dict[str, str]:
    where = f"{pack}/{SUMS}"
    lines = _text(where, content).split("\n")
    if lines.pop() or not lines:
        raise EvidenceError(f"{where}: it is empty, or its last line breaks off. Fetch the pack anew.")
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        found = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if found is None:
            raise EvidenceError(
                f"{where}, line {number}: {line[:100]!r} is not a SHA-256 digest, two spaces and a name. Fetch "
                "the pack anew."
            )
        digest, name = found.groups()
        _check_name(f"{where}, line {number}", name)
        if name in sums or name in UNLISTED:
            raise EvidenceError(f"{where}, line {number}: {name!r} cannot be listed here (again). Fetch the pack anew.")
        sums[name] = digest
    return sums


def _parse_evidence(where: str, content: bytes) -> dict[str, object]:
    try:
        value = parse_json(_text(where, content))
    except ValueError as error:
        raise EvidenceError(f"{where} is not JSON ({error}). Fetch the pack anew.") from None
    if not isinstance(value, dict):
        raise EvidenceError(f"{where} holds no JSON object. Fetch the pack anew.")
    schema = value.get("schema")
    if schema not in SCHEMAS:
        raise EvidenceError(
            f"{where}: schema {schema!r} is not known here; known are {', '.join(SCHEMAS)}. Read the pack with the "
            "version of the harness that wrote it."
        )
    return value


def _text(where: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvidenceError(f"{where} is not UTF-8 (byte {error.start}). Fetch the pack anew.") from None


def require_field(pack: Pack, *keys: str, kind: type[Kind]) -> Kind:
    """The value at a place in evidence.json, such as `require_field(pack, "run", "id", kind=str)`.

    Raises:
        EvidenceError: there is nothing at that place, or something of another kind.
    """
    value: object = pack.evidence
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise EvidenceError(
            f"{pack.name}/{EVIDENCE}: {' > '.join(keys)} is {brief(value)}, expected is a {kind.__name__}. "
            "The run did not get that far, or the pack was not written by the harness."
        )
    return value


# --- what a run was ---------------------------------------------------------------------------


def read_classes(pack: Pack) -> tuple[str, ...]:
    """The class vocabulary, in order."""
    names = require_field(pack, "protocol", "content", "dataset", "classes", kind=list)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names) or not names:
        raise EvidenceError(f"{pack.name}/{EVIDENCE}: the classes {brief(names)} are not distinct names.")
    return tuple(names)


def read_protocol_digest(pack: Pack) -> str:
    """The protocol's digest, recomputed from its content.

    Raises:
        EvidenceError: the digest in evidence.json is another one: a threshold was edited after the run.
    """
    stated, content = (
        require_field(pack, "protocol", "digest", kind=str),
        require_field(pack, "protocol", "content", kind=dict),
    )
    try:
        found = digest_of(content)
    except (ValueError, RecursionError):
        found = "none"
    if stated != found:
        raise EvidenceError(
            f"{pack.name}/{EVIDENCE}: the protocol in it has the digest {found}, stated is {stated}. Its content was "
            "edited after the run: fetch the pack anew from where it was made."
        )
    return stated


# --- predictions ------------------------------------------------------------------------------


def read_predictions(pack: Pack, set_name: str, *, further_classes: Sequence[str] = ()) -> Predictions:
    """What the classifier said of each cell of a set, to the last bit, checked against the evidence.

    Raises:
        EvidenceError: names file, row and field of the first thing that is not as the harness writes it.
    """
    evaluated = require_field(pack, "predictions", kind=dict)
    if set_name not in evaluated:
        raise EvidenceError(
            f"{pack.name} has no predictions of the set {set_name!r}; its sets are "
            f"{', '.join(map(repr, evaluated)) or 'none'}. Name one of these, or another pack."
        )
    classes, name = (*read_classes(pack), *further_classes), f"predictions/{set_name}.csv"
    where = f"{pack.name}/{name}"
    rows = _Rows(where, classes, pack.read(name))
    try:
        predictions = Predictions(
            set=set_name,
            classes=classes,
            paths=tuple(rows.paths),
            digests=tuple(rows.digests),
            labels=np.array(rows.labels, dtype=np.int64),
            probabilities=np.array(rows.probabilities, dtype=np.float64).reshape(-1, len(classes)),
        )
    except InvalidPredictions as error:
        raise EvidenceError(f"{where}: {error}") from None
    n, digest = (
        require_field(pack, "predictions", set_name, "n", kind=int),
        require_field(pack, "predictions", set_name, "digest", kind=str),
    )
    if n != len(rows.digests):
        raise EvidenceError(f"{where}: {len(rows.digests)} cells, {EVIDENCE} says {n}. Fetch the pack anew.")
    if digest != predictions.digest:
        raise EvidenceError(
            f"{where}: these predictions have the digest {predictions.digest}, {EVIDENCE} says {digest}. One of the "
            "two was edited after the run: fetch the pack anew."
        )
    return predictions


class _Rows:
    """The columns of predictions/<set>.csv, each cell checked."""

    def __init__(self, where: str, classes: tuple[str, ...], content: bytes) -> None:
        self.paths: list[str] = []
        self.digests: list[str] = []
        self.labels: list[int] = []
        self.probabilities: list[list[float]] = []
        header = ["sha256", "path", "label", "predicted", *(f"p_{name}" for name in classes)]
        column = {name: index for index, name in enumerate(classes)}
        # Bytes of a file name that are not UTF-8 are kept as they are.
        text = content.decode("utf-8", "surrogateescape")
        if not text.endswith("\n"):
            raise _misfit(f"{where}: the last row breaks off.")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            if (found := next(reader)) != header:
                raise _misfit(f"{where}, row 1: the columns are {found}, expected are {header}.")
            for row, cells in enumerate(reader, start=2):
                here = f"{where}, row {row}"
                if len(cells) != len(header):
                    raise _misfit(f"{here}: {len(cells)} fields under {len(header)} column names.")
                self._add(here, cells, column)
        except csv.Error as error:
            raise _misfit(f"{where}, line {reader.line_num}: not readable as CSV ({error}).") from None
        if len(set(self.paths)) != len(self.paths):
            path, n = Counter(self.paths).most_common(1)[0]
            raise _misfit(f"{where}: path {path!r} is in {n} rows. Each cell is scored once.")

    def _add(self, here: str, cells: list[str], column: Mapping[str, int]) -> None:
        sha256, path, label, predicted, *numbers = cells
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise _misfit(f"{here}, field sha256: {sha256!r} is not a SHA-256 digest in lower case.")
        for field, name in (("label", label), ("predicted", predicted)):
            if name not in column:
                raise _misfit(f"{here}, field {field}: {name!r} is none of the classes {', '.join(column)}.")
        probabilities = [
            _probability(f"{here}, field p_{name}", cell) for name, cell in zip(column, numbers, strict=True)
        ]
        if not math.isclose(math.fsum(probabilities), 1.0, rel_tol=0, abs_tol=1e-6):
            raise _misfit(f"{here}: the probabilities add up to {math.fsum(probabilities):.9g}, not to 1.")
        largest = probabilities.index(max(probabilities))  # the first of equals, as everywhere
        if column[predicted] != largest:
            raise _misfit(
                f"{here}, field predicted: {predicted!r}, but {list(column)[largest]!r} has the largest probability."
            )
        self.paths.append(_path(f"{here}, field path", path))
        self.digests.append(sha256)
        self.labels.append(column[label])
        self.probabilities.append(probabilities)


def _misfit(what: str) -> EvidenceError:
    return EvidenceError(
        f"{what} The table was edited together with {SUMS}, or not written by the harness: fetch the pack anew "
        "from where it was made."
    )


def _probability(here: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if repr(value) != cell or not 0 <= value <= 1:  # False for NaN too
        raise _misfit(f"{here}: {cell[:40]!r} is not a probability as the harness writes it, such as 0.25.")
    return value


def _path(here: str, cell: str) -> str:
    """The path that a cell means, which is what the harness would write for it."""
    path = active(cell)
    if not cell or inert(path) != cell:
        raise _misfit(f"{here}: {cell!r} is not a path as the harness writes it.")
    return path


def require_verified(pack: Pack, *, absent_ok: Sequence[str] = ABSENT_OK) -> None:
    """Go on only if `verify_digests` finds nothing.

    Raises:
        EvidenceError: says how many files are wrong and names the first three.
    """
    problems = verify_digests(pack, absent_ok=absent_ok)
    if problems:
        raise EvidenceError(
            f"{pack.name} does not verify, {len(problems)} file(s) are wrong: {'; '.join(map(str, problems[:3]))}. "
            "Fetch the pack anew from where it was made."
        )
