"""Writes the evidence pack: one folder, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.claims.audit import CONTRADICTIONS, audit
from harness.claims.printing import as_json as claims_json
from harness.claims.reading import beside, read_report
from harness.claims.records import UnreadableReport
from harness.core.digests import file_digest
from harness.core.errors import EvidenceError
from harness.core.files import WRITING
from harness.data.decoding import open_picture, read_regular, rgb_of
from harness.data.records import Manifest
from harness.data.split import write_split
from harness.pack.files import CLAIMS, EVIDENCE, REPORT, SUMS
from harness.pack.tables import as_json, documents
from harness.report.page import render_report
from harness.report.pictures import suffix_of
from harness.run.results import RunResults

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from harness.run.recipes.basis import Pictures

LATEST = "latest"
RUN_IDS = "[0-9]" * 8 + "T" + "[0-9]" * 6 + "Z-*"  # how the plugin names runs, as a glob pattern
# Names that stand for something else in tables of results.
HEADINGS = (
    *("all", "total", "overall", "sum", "average", "avg", "mean", "macro", "micro", "weighted"),
    *("accuracy", "precision", "recall", "f1", "support", "count", "counts", "images", "cells", "errors"),
    *("train", "training", "validation", "test", "external", "dataset", "class", "reference", "predicted"),
)


def write_pack(
    results: RunResults,
    *,
    reports: Path,
    manifest: Manifest | None,
    models: Mapping[str, Path],
    formats: Sequence[str],
    given: Mapping[str, bytes] | None = None,
    elsewhere: Sequence[Pictures] = (),
    signer: CryptoSigner | None = None,
) -> Path:
    """Write `reports/<run id>/`, point `reports/latest` at it, and return its path.

    Everything goes into a neighbouring temporary folder first, is synced, and is renamed in one step: a reader sees a
    whole pack or none.

    Args:
        manifest: the dataset, whose images the figures show; None where it was never read.
        models: file name -> file to copy into models/.
        elsewhere: the external sets, whose misclassified cells the page shows.
        given: path in the pack -> content of the predictions that were judged, as they were read.
        formats: Pillow's names of the formats that may be decoded.
        signer: the key that `results.signed_with` announces; None for a draft.
    Raises:
        EvidenceError: the folder cannot be written, or holds this run already; a set's name is not a file name.
    """
    if results.signed_with != (None if signer is None else signer.public_key.keyid):
        raise EvidenceError(f"the run says that it is signed with {results.signed_with!r}: give write_pack that key.")
    target = reports / results.run_id
    if os.path.lexists(target):
        raise EvidenceError(f"{target} exists already. Two runs never share a folder; remove it or run again.")
    for name in results.predictions:
        if name != Path(name).name or name.startswith("."):
            raise EvidenceError(f"set {name!r} is not a file name, and its files would leave the pack. Rename the set.")
    unfinished, pointer = reports / f".{results.run_id}{WRITING}", reports / f".{results.run_id}.{LATEST}"
    try:
        unfinished.mkdir(parents=True)
        _write_files(unfinished, results, manifest, models, formats, given or {}, elsewhere)
        if signer is not None:
            from harness.pack.sign import sign_pack

            sign_pack(unfinished, signer)
        _sync(unfinished)
        pointer.symlink_to(target.name, target_is_directory=True)
        unfinished.rename(target)
        try:
            _sync_entries(reports)
            pointer.replace(reports / LATEST)
        except OSError:
            target.rename(unfinished)  # in one step: removed file by file, a kill would leave half a pack
            raise
    except OSError as error:
        left = "It is whole, and not the latest" if target.exists() else "Nothing was left there"
        raise EvidenceError(
            f"the evidence pack {target} could not be written: {error}. {left}; free space, make the folder writable, "
            "or name another one with --reports."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        with contextlib.suppress(OSError):
            pointer.unlink()
    return target


def remove_unfinished(reports: Path) -> None:
    """Remove what runs that were killed while they wrote their pack left behind; for a run that holds the folder alone.

    Raises:
        EvidenceError: it cannot be removed.
    """
    try:
        for leftover in reports.glob(f".{RUN_IDS}.{LATEST}"):
            leftover.unlink()
        for leftover in reports.glob(f".{RUN_IDS}{WRITING}"):
            shutil.rmtree(leftover)
    except OSError as error:
        raise EvidenceError(f"what a killed run left in {reports} cannot be removed: {error}. Remove it.") from error


def _write_files(
    folder: Path,
    results: RunResults,
    manifest: Manifest | None,
    models: Mapping[str, Path],
    formats: Sequence[str],
    given: Mapping[str, bytes],
    elsewhere: Sequence[Pictures],
) -> None:
    """Every file of the pack; the report after what it lists, the sums after everything."""
    written = documents(results, manifest)
    for path, content in (written | dict(given)).items():
        _write(folder / path, content)
    if results.split is not None:
        write_split(results.split, folder / "data_split.csv")
    for name, source in models.items():
        (folder / "models").mkdir(exist_ok=True)
        shutil.copyfile(source, folder / "models" / name)
    from harness.report import figures as drawing  # matplotlib takes a second to import, and a reader draws nothing
    from harness.run.recipes.basis import Pictures  # computes with torch, and whoever reads a pack needs none

    pictures = [] if manifest is None else [Pictures("dataset", manifest.images, tuple(formats), manifest.root)]
    shown = _load_shown(drawing.images_to_show(results), [*pictures, *elsewhere])
    figures = drawing.draw_figures(results, shown)
    for name, content in figures.items():
        _write(folder / "figures" / f"{name}.{suffix_of(content)}", content)
    page = render_report(
        results,
        evidence=json.loads(written[EVIDENCE]),
        figures=figures,
        thumbnails=drawing.draw_thumbnails(results, shown),
        files=_digests(folder),
        ignored=manifest.ignored if manifest else None,
    )
    _write(folder / REPORT, page.encode())
    if (claims := audited(folder / REPORT, classes=results.protocol.dataset.classes)) is not None:
        _write(folder / CLAIMS, claims)
    sums = "".join(f"{digest}  {name}\n" for name, digest in _digests(folder).items())
    _write(folder / SUMS, sums.encode())


def audited(report: Path, *, classes: Sequence[str]) -> bytes | None:
    """What `python -m harness claims` says of the page that was just written; None where it states nothing to check.

    The audit reads the page as a stranger would. A class called "N", "ALL" or "test" reads like a heading: then what it
    finds is kept, and does not decide.

    Raises:
        EvidenceError: two statements of the page cannot both be true.
    """
    try:
        found = audit(read_report(report), rounding="nearest", exists=beside(report))
    except UnreadableReport:
        return None  # a run that stopped before it had a number
    contradictions = [finding.message for finding in found.findings if finding.kind in CONTRADICTIONS]
    if contradictions and not any(_reads_like_a_heading(name) for name in classes):
        raise EvidenceError(
            f"the report contradicts itself, so none is written: {'; '.join(contradictions)}. This is a fault of the "
            "harness: please report it with the run's predictions."
        )
    return as_json(claims_json(found))


def _reads_like_a_heading(name: str) -> bool:
    return len(name) < 3 or name.casefold() in HEADINGS


def _load_shown(digests: Iterable[str], sets: Sequence[Pictures]) -> dict[str, np.ndarray]:
    """Digest -> pixels. An image that is gone, altered or broken has none, and its figure says so."""
    places = {cell.sha256: (each.root / cell.path, each.formats) for each in sets for cell in each.cells}
    shown = {}
    for digest in digests:
        try:
            path, formats = places[digest]
            content = read_regular(path)
            if hashlib.sha256(content).hexdigest() != digest:
                continue
            with open_picture(content, formats=formats) as image:
                shown[digest] = np.asarray(rgb_of(image))
        except Exception:  # a hostile file can make a parser raise anything; integrity has said what
            continue
    return shown


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content)


def _digests(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file that is in the folder by now."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file_digest(file) for file in files}


def _sync(folder: Path) -> None:
    """Files and folder entries reach the disk before the pack gets its name."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            _sync_entries(path)
        else:
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def _sync_entries(folder: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened, and needs no sync
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
