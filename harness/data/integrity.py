"""Are the images what the protocol says they are? Every file is decoded to the last pixel; nothing is changed.

One finding per file and rule; the rules are `protocol.INTEGRITY_METRICS`. great-expectations checks the manifest as a
table, own code checks the files. Only what was looked at is `checked`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import ImageFile

from harness.core.errors import DataError
from harness.data.decoding import REFUSED_AS_TOO_LARGE, facts_of, max_bytes, open_regular, strict_pillow
from harness.data.manifest import relative_path
from harness.data.records import CellImage, Finding, ImageFacts, IntegrityReport, Manifest
from harness.protocol.records import ImageRules

FORMAT_OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".png": "PNG",
    ".gif": "GIF",
    ".webp": "WEBP",
}
COLUMNS = ("path", "label", "sha256", "n_bytes", "patient", "slide", "site")
# Relative, with forward slashes, and with no empty, "." or ".." step.
SAFE_PATH = r"(?s)\A(?![A-Za-z]:)(?!.*\\)(?:(?!\.{0,2}(?:/|\Z))[^/]+(?:/(?!\Z)|\Z))+\Z"


@dataclass(frozen=True, slots=True)
class _Inspected:
    """One file as it is now. `gone` and `altered` compare with what the manifest saw."""

    facts: ImageFacts
    gone: bool = False
    altered: bool = False


def inspect(
    manifest: Manifest,
    *,
    images: ImageRules,
    images_per_class: int | None,
    workers: int,
    progress: Callable[[int], None] | None = None,
) -> IntegrityReport:
    """Check a set against the protocol: contract, counts, names and every pixel.

    Args:
        images: what each file must be. A format that it does not accept is never handed to a parser.
        images_per_class: how many of each class the protocol expects; None leaves `count_mismatches` unchecked.
        workers: threads that decode (Pillow decodes outside the interpreter lock, so threads use every core).
        progress: called with the number of files done so far, one call at a time, from the decoding threads.
    Raises:
        DataError: a file turned into a link, pipe or device after it was listed.
    """
    # Truncated files would load without complaint if any library in this process had set this switch.
    tolerant, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
            strict_pillow()
            futures = [pool.submit(_inspected, manifest.root, image, images) for image in manifest.images]
            _count(futures, progress)
            # great-expectations takes seconds to import; the files decode meanwhile.
            findings = list(_contract_findings(manifest, cap_bytes=max_bytes(images)))
            inspected = [future.result() for future in futures]
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerant
    for image, seen in zip(manifest.images, inspected, strict=True):
        findings += _file_findings(image, seen, images)
    findings += _listing_findings(manifest)
    findings += _name_findings([*(image.path for image in manifest.images), *manifest.unlisted])
    if images_per_class is not None:
        findings += _count_findings(manifest, images_per_class)
    facts = tuple(seen.facts for seen in inspected)
    return IntegrityReport(
        checked=_checked(manifest, facts, counted=images_per_class is not None),
        findings=tuple(sorted(findings, key=lambda finding: (finding.rule, finding.path, finding.detail))),
        facts=facts,
    )


def _checked(manifest: Manifest, facts: Iterable[ImageFacts], *, counted: bool) -> dict[str, int]:
    n, n_opened = len(manifest.images), sum(fact.width_px is not None for fact in facts)
    return {
        "contract_violations": n,
        **({"count_mismatches": n} if counted else {}),
        "unreadable_images": n,
        "unexpected_formats": n,
        "unexpected_modes": n_opened,
        "unexpected_sizes": n_opened,
        "unlisted_files": n + len(manifest.unlisted),
        "missing_files": n + len(manifest.missing),
        "colliding_names": n + len(manifest.unlisted),
    }


def _count(futures: Iterable[Future[_Inspected]], progress: Callable[[int], None] | None) -> None:
    if progress is None:
        return
    done, one_at_a_time = itertools.count(1), threading.Lock()

    def report(_: object) -> None:
        with one_at_a_time:
            progress(next(done))

    for future in futures:
        future.add_done_callback(report)


# --- files ------------------------------------------------------------------------------------


def _inspected(root: Path, image: CellImage, rules: ImageRules) -> _Inspected:
    if not _stays_below(image.path):
        # Only a manifest made by hand can say this; `_contract_findings` reports the path itself.
        return _Inspected(ImageFacts(image.path, None, None, None, None, error="not opened: no path below the root"))
    try:
        with open_regular(root / image.path) as file:
            content = file.read(max_bytes(rules) + 1)
    except FileNotFoundError:
        return _Inspected(ImageFacts(image.path, None, None, None, None, error="the file is gone"), gone=True)
    whole = len(content) <= max_bytes(rules)
    # The bytes that are decoded must be the bytes that were listed, not a file swapped in between.
    altered = whole and hashlib.sha256(content).hexdigest() != image.sha256
    return _Inspected(facts_of(content, path=image.path, rules=rules), altered=altered)


def _stays_below(path: str) -> bool:
    try:
        return relative_path(path) == path
    except ValueError:
        return False


def _file_findings(image: CellImage, seen: _Inspected, rules: ImageRules) -> Iterator[Finding]:
    facts, path = seen.facts, image.path
    named_as = FORMAT_OF_SUFFIX.get(PurePosixPath(path).suffix.lower())
    accepted = ", ".join(rules.formats)
    if seen.gone:
        detail = "was listed and is gone"
        yield Finding("missing_files", path, detail, "Let nothing write to the data folder during a run, and repeat.")
        return
    if seen.altered:
        detail = f"its bytes are no longer those that were listed (SHA-256 {image.sha256})"
        remedy = "Let nothing write to the data folder during a run, and repeat."
        yield Finding("contract_violations", path, detail, remedy)
    if facts.format is not None and facts.format not in rules.formats:
        remedy = (
            f"Replace it by the original in an accepted format ({accepted}), or accept {facts.format} in the protocol."
        )
        yield Finding("unexpected_formats", path, facts.error or f"the content is {facts.format}", remedy)
        return
    if facts.error is not None:
        too_large = facts.error.startswith(REFUSED_AS_TOO_LARGE)
        remedy = "Replace it by the original file, or remove it and correct the expected counts."
        yield Finding("unexpected_sizes" if too_large else "unreadable_images", path, facts.error, remedy)
        return
    if named_as not in (None, facts.format):
        detail = f"the content is {facts.format}, the name says {named_as}"
        yield Finding(
            "unexpected_formats", path, detail, "Find out which program renamed it, and restore the original."
        )
    if facts.mode not in rules.modes:
        detail = f"colour mode {facts.mode}, accepted are {', '.join(rules.modes)}"
        remedy = "Export it again in an accepted mode from the original, or accept this mode in the protocol."
        yield Finding("unexpected_modes", path, detail, remedy)
    sides = (facts.width_px or 0, facts.height_px or 0)
    if not all(rules.min_side_px <= side <= rules.max_side_px for side in sides):
        detail = f"{sides[0]} x {sides[1]} px, each side must be {rules.min_side_px} to {rules.max_side_px} px"
        yield Finding(
            "unexpected_sizes", path, detail, "Export it again at the expected size, or correct the protocol."
        )


# --- lists, names, counts ---------------------------------------------------------------------


def _listing_findings(manifest: Manifest) -> Iterator[Finding]:
    for path in manifest.missing:
        detail = "the manifest names it, the folder does not hold it"
        yield Finding("missing_files", path, detail, "Restore the file, or remove its row from the manifest.")
    for path in manifest.unlisted:
        detail = "lies among the listed images, and no row of the manifest names it"
        yield Finding("unlisted_files", path, detail, "Add a row with its label, or move the file out.")


def _name_findings(paths: Iterable[str]) -> Iterator[Finding]:
    """Names that a file system or an archive tool may take for the same: they differ only in case or composition."""
    alike: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        alike[_caseless(path)].append(path)
    for first, *others in alike.values():
        for path in others:
            detail = f"differs from {first!a} only in case or in how accents are encoded ({path!a})"
            yield Finding("colliding_names", path, detail, "Rename one: some systems keep only one of the two files.")


def _caseless(path: str) -> str:
    # Unicode's canonical caseless matching (The Unicode Standard, 3.13, D145).
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def _count_findings(manifest: Manifest, images_per_class: int) -> Iterator[Finding]:
    for name, n_found in manifest.counts.items():
        if n_found != images_per_class:
            detail = f"{n_found} images of class {name}, the protocol expects {images_per_class}"
            remedy = "Restore the missing files or remove the surplus, or correct images_per_class in the protocol."
            yield Finding("count_mismatches", name, detail, remedy)


# --- contract ---------------------------------------------------------------------------------


def _contract_findings(manifest: Manifest, *, cap_bytes: int) -> Iterator[Finding]:
    """The manifest as a table, checked by great-expectations without a project, a network or a file."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the library is imported
    with warnings.catch_warnings():
        # The import goes through Python's deprecated sre_* modules (GX 1.24.1 on Python 3.11).
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations as gx
        import pandas as pd
        from great_expectations.data_context.types.base import ProgressBarsConfig

    expect, used = gx.expectations, {c for c in ("patient", "slide") if any(getattr(i, c) for i in manifest.images)}
    contract = [
        expect.ExpectTableColumnsToMatchOrderedList(column_list=list(COLUMNS)),
        expect.ExpectTableRowCountToEqual(value=len(manifest.images)),
        expect.ExpectColumnValuesToNotBeNull(column="path"),
        expect.ExpectColumnValuesToBeUnique(column="path"),
        expect.ExpectColumnValuesToMatchRegex(column="path", regex=SAFE_PATH),
        expect.ExpectColumnValuesToNotBeNull(column="label"),
        expect.ExpectColumnValuesToBeInSet(column="label", value_set=list(manifest.classes)),
        expect.ExpectColumnValuesToNotBeNull(column="sha256"),
        expect.ExpectColumnValuesToMatchRegex(column="sha256", regex="^[0-9a-f]{64}$"),
        expect.ExpectColumnValuesToBeBetween(column="n_bytes", min_value=1, max_value=cap_bytes),
    ]
    if used:
        # With ids for some cells only, cells of one person could be in two parts and nobody would know.
        column = "patient" if "patient" in used else "slide"
        contract.append(expect.ExpectColumnValuesToNotBeNull(column=column))
    rows = [[_printable(getattr(image, column)) for column in COLUMNS] for image in manifest.images]
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("manifest").add_dataframe_asset("images")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(
        batch_parameters={"dataframe": pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)}
    )
    outcome = batch.validate(gx.ExpectationSuite(name="contract", expectations=contract), result_format="COMPLETE")
    if len(outcome.results) != len(contract):
        raise DataError(
            f"great-expectations answered {len(outcome.results)} of {len(contract)} expectations. "
            "Install the version that constraints.txt names."
        )
    for result in outcome.results:
        if not result.success:
            yield from _violations(manifest, result)


def _printable(value: object) -> object:
    # pandas cannot hash the stand-ins for bytes of a file name that are not UTF-8.
    return value.encode("utf-8", "xmlcharrefreplace").decode() if isinstance(value, str) else value


def _violations(manifest: Manifest, result: Any) -> Iterator[Finding]:
    """One finding per offending row; one for the whole table where great-expectations names no row."""
    kind, column = result.expectation_config.type, result.expectation_config.kwargs.get("column")
    indices = (result.result or {}).get("unexpected_index_list") or []
    wanted = kind.removeprefix("expect_").replace("_", " ")
    remedy = "Correct that row of the manifest, or the file it names."
    if not indices:
        seen = (result.result or {}).get("observed_value", result.exception_info)
        yield Finding("contract_violations", "(the manifest)", f"{wanted} does not hold: {seen!r}", remedy)
    for index in indices:
        image = manifest.images[index]
        yield Finding("contract_violations", image.path, f"{wanted} ({column} is {getattr(image, column)!r})", remedy)
