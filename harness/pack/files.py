"""The files of a pack, in a folder or a zip: which there are, opened within limits, and nothing unpacked."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from harness.core.errors import EvidenceError
from harness.core.files import open_plain

SUMS = "SHA256SUMS"
EVIDENCE = "evidence.json"
REPORT = "index.html"
CLAIMS = "claims.json"
# These sign SHA256SUMS, or are added beside what does, so it cannot list them.
SIGNATURE = "signature.dsse.json"
TEST_RESULT = "test-result.dsse.json"
MODEL_SIGNATURE = "model.sig"
UNLISTED = frozenset({SUMS, SIGNATURE, TEST_RESULT, MODEL_SIGNATURE})
# Far above any honest pack, far below what would hurt the machine that reads it.
MAX_FILES = 1_000  # Python reads the whole list of a zip again for each of its entries
MAX_PACK_BYTES = 1 << 30
MAX_DIRECTORY_BYTES = 4 << 20  # of a zip's list of entries
MAX_RATIO = 200  # of an entry of more than RATIO_FROM_BYTES; CSV and PNG stay below 30
RATIO_FROM_BYTES = 1 << 20
# What can go wrong inside a zip whose bytes were chosen by somebody else.
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)


@dataclass(frozen=True, slots=True)
class PackFile:
    """One file of a pack. `open` gives a stream of its bytes, which are not yet checked."""

    name: str
    n_bytes: int
    open: Callable[[], IO[bytes]]


def folder_files(root: Path) -> dict[str, PackFile]:
    files: dict[str, PackFile] = {}
    waiting, n_entries, n_bytes = [""], 0, 0
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    name, n_entries = folder + entry.name, n_entries + 1
                    _check_count(root.name, n_entries)
                    check_name(root.name, name)
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


def zip_files(path: Path) -> dict[str, PackFile]:
    """The files of a zip by their names in the pack; whatever could be meant in two ways is refused."""
    _check_zip_end(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, *BROKEN_ZIP) as error:
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
    check_name(pack, name.removesuffix("/"))
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


def check_name(pack: str, name: str) -> None:
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
