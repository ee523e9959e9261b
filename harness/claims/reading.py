"""Which report lies at this path, and what does it state? The only module of this package that touches the disk."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from harness.claims.document import Builder, Document, Table
from harness.claims.extract import extract
from harness.claims.markdown import read_data, read_markdown, read_notebook
from harness.claims.records import ReportClaims, Statement, UnreadableReport
from harness.claims.separated import SUFFIXES, read_separated
from harness.claims.structured import markdown_of_notebook, of_json, of_yaml
from harness.claims.toml_report import read_toml
from harness.core.files import read_plain

_MOST_BYTES = 32 * 1024 * 1024
PACK_FILES = ("index.html", "summary.md")


class NothingToCheck(UnreadableReport):
    """A report that can be read and states nothing that can be checked."""


def read_report(path: Path) -> ReportClaims:
    """The statements of a Markdown, HTML, plain text or TOML report, or of an evidence pack's folder.

    Raises:
        UnreadableReport: nothing is there, it is empty, binary or too big, or it states nothing that can be checked.
    """
    try:
        is_folder = path.is_dir()
    except OSError as error:  # a name too long, or a folder above that may not be entered
        _refuse(path, f"cannot be read ({error.strerror})", "Check the path and its permissions.")
    if is_folder:
        return _read_pack(path)
    claims = _read_file(path, path.name)
    recognised = any(each.is_result for each in claims.unread)
    if not (claims.statements or claims.unbound or claims.problems or claims.pins or recognised):
        left = f" Left alone: {'; '.join(each.message for each in claims.unread)}." if claims.unread else ""
        raise NothingToCheck(
            f"{path}: no class table, confusion matrix, accuracy or count was found, so there is nothing to check."
            f"{left} Is this the report? Numbers in pictures are not read; "
            "state them as TOML (see docs/claims-audit.md)."
        )
    return claims


def beside(path: Path) -> Callable[[str], bool]:
    """Whether a file that the report names lies beside it."""
    folder = path if path.is_dir() else path.parent

    def exists(name: str) -> bool:
        try:
            return (folder / name).is_file()
        except (OSError, ValueError):  # a name that no file system takes
            return False

    return exists


def _read_pack(folder: Path) -> ReportClaims:
    present = [name for name in PACK_FILES if (folder / name).is_file()]
    if not present:
        raise UnreadableReport(
            f"{folder}: a folder without {' or '.join(PACK_FILES)}. Name the report file itself, or an evidence pack."
        )
    parts = [_read_file(folder / name, name) for name in present]
    first = parts[0]
    for other in parts[1:]:
        first = _joined(first, other)
    return replace(first, name=folder.name)


def _joined(a: ReportClaims, b: ReportClaims) -> ReportClaims:
    merged: dict[tuple[str, object], Statement] = {}
    for statement in (*a.statements, *b.statements):
        key = (statement.set, statement.content)
        before = merged.get(key)
        merged[key] = statement if before is None else replace(before, places=before.places + statement.places)
    known = {name.lower() for name in a.classes}
    return replace(
        a,
        classes=a.classes + tuple(name for name in b.classes if name.lower() not in known),
        statements=tuple(merged.values()),
        problems=a.problems + b.problems,
        unbound=a.unbound + b.unbound,
        pins=a.pins + b.pins,
        files=a.files + b.files,
        file_totals=a.file_totals + b.file_totals,
        sentences=a.sentences + b.sentences,
        coverage=a.coverage + b.coverage,
        unread=a.unread + b.unread,
        open_sets=a.open_sets | b.open_sets,
        prints_bounds=a.prints_bounds or b.prints_bounds,
    )


def _read_file(path: Path, name: str) -> ReportClaims:
    text = _text(path)
    if path.suffix.lower() == ".toml":
        return read_toml(text, name)
    if path.suffix.lower() in (".json", ".yaml", ".yml"):
        return extract(read_data((of_json if path.suffix.lower() == ".json" else of_yaml)(text)), name)
    if path.suffix.lower() in SUFFIXES:
        return extract(_of_one_table(read_separated(text)), name)
    if path.suffix.lower() == ".ipynb":
        lines = markdown_of_notebook(text)
        if lines is None:
            _refuse(path, "no notebook", "Save it with Jupyter, or export it as Markdown or HTML.")
        return extract(read_notebook(lines), name)
    start = text.lstrip()[:500].lower()
    if path.suffix.lower() in (".html", ".htm") or start.startswith(("<!doctype html", "<html")):
        from harness.claims.pages import read_page  # for pages alone

        return read_page(text, name)
    return extract(read_markdown(text), name)


def _of_one_table(table: Table | None) -> Document:
    return Builder().done(apart=[table] if table is not None else [])


def _text(path: Path) -> str:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe would be waited for, a device has no end
            _refuse(path, "no file but a pipe or device", "Save the report as a file and name that.")
        if about.st_size > _MOST_BYTES:
            _refuse(path, f"larger than {_MOST_BYTES // 2**20} MiB", "Is this a report?")
        data = read_plain(path, most_bytes=_MOST_BYTES, follow_link=True)
    except FileNotFoundError:
        _refuse(path, "no such file or folder", "Check the path.")
    except OSError as error:
        _refuse(path, f"cannot be read ({error.strerror})", "Check its permissions.")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        _refuse(path, "UTF-16 text, not UTF-8", "Save it as UTF-8.")
    if b"\0" in data:
        _refuse(path, "a binary file, not text", "Export the report as Markdown, HTML or TOML.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(path, f"not UTF-8 text (byte {error.start})", "Save it as UTF-8.")
    if not text.strip():
        _refuse(path, "empty", "Name a report that states something.")
    return text


def _refuse(path: Path, what: str, remedy: str) -> NoReturn:
    raise UnreadableReport(f"{path}: {what}. {remedy}")
