"""What does a pack say, and are its bytes what it says?

Reads a pack that was written elsewhere, as a folder or a zip, as a stranger would: it follows no link, unpacks nothing
to disk, and takes no byte that SHA256SUMS does not vouch for, but those of the signature. The sums tell of damage and
careless edits; whoever writes all of them anew is only found by a signature or a ledger.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from harness.core.digests import digest_of
from harness.core.errors import EvidenceError
from harness.core.strict_json import parse_json
from harness.core.text import brief
from harness.pack.files import BROKEN_ZIP, EVIDENCE, SUMS, UNLISTED, PackFile, check_name, folder_files, zip_files

SCHEMAS = ("leukocyte-harness/evidence/2", "leukocyte-harness/evidence/3", "leukocyte-harness/evidence/4")
WITHOUT_PATHS = SCHEMAS[:2]  # in which nothing on the page says what it follows from
ABSENT_OK = ("models/",)  # large, and no number of the pack rests on them; the committed reference run has none
MAX_TEXT_BYTES = 64 << 20  # of a file that is read as a whole
MAX_SIGNATURE_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
Kind = TypeVar("Kind")


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
        files = folder_files(place)
    elif stat.S_ISREG(mode):
        files = zip_files(place)
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
    except (OSError, *BROKEN_ZIP) as error:
        raise EvidenceError(f"{pack}: {file.name!r} cannot be read ({error}). Fetch the pack anew.") from None


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
        check_name(f"{where}, line {number}", name)
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
