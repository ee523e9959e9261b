"""Are the images what the protocol says they are? Every file is decoded to the last pixel; nothing is changed.

One finding per file and rule; the rules are the metrics of integrity (docs/metrics.md). great-expectations checks the
images as a table (`harness.data.expectations`), own code the files. Only what was looked at is `checked`.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from harness.data import gx
from harness.data.decoding import FORMAT_OF_SUFFIX
from harness.data.expectations import Asked, expected_of, findings_of, results_of, table_of
from harness.data.inspection import Inspected, inspect_files
from harness.data.likely_paths import LikelyPaths
from harness.data.pins import pin_findings
from harness.data.quality import Quality, quality_checked, quality_findings
from harness.data.records import CellImage, Finding, ImageFacts, IntegrityReport, Manifest
from harness.protocol.datasets import PINNED_BY, ImageRules
from harness.protocol.sets import CountRange


def inspect(
    manifest: Manifest,
    *,
    images: ImageRules,
    counts: Mapping[str, CountRange] | None,
    workers: int,
    pin: str | None = None,
    further: Sequence[Asked] = (),
    progress: Callable[[int], None] | None = None,
) -> IntegrityReport:
    """Check a set against the protocol: contract, counts, names and every pixel.

    Args:
        images: what each file must be. A format that it does not accept is never handed to a parser.
        counts: how many of each class the protocol expects; None leaves `count_mismatches` unchecked.
        pin: the digest that the set must have; None leaves `digest_mismatches` unchecked.
        further: what is expected beside the protocol's rules, such as by a suite file of the user.
        workers: threads that decode (Pillow decodes outside the interpreter lock, so threads use every core).
        progress: called with the number of files done so far, one call at a time, from the decoding threads.
    Raises:
        DataError: a file turned into a link, pipe or device after it was listed.
    """
    inspected = inspect_files(
        manifest.images,
        manifest.root,
        rules=images,
        workers=workers,
        progress=progress,
        meanwhile=gx.import_gx,  # which takes seconds
    )
    return judge_files(manifest, inspected, images=images, counts=counts, pin=pin, further=further)


def judge_files(
    manifest: Manifest,
    inspected: Sequence[Inspected],
    *,
    images: ImageRules,
    counts: Mapping[str, CountRange] | None,
    pin: str | None = None,
    further: Sequence[Asked] = (),
    quality: bool = True,
) -> IntegrityReport:
    """The same of files that were looked at already, in the order of the manifest.

    Args:
        quality: whether to name what somebody should look at, too: a blurred picture breaks no rule that was declared.
    """
    facts = tuple(seen.facts for seen in inspected)
    asked = (
        *expected_of(manifest, rules=images, counts=counts),
        *further,
    )
    found = gx.answers(table_of(manifest, facts, rules=images), [each.expectation for each in asked])
    findings = list(findings_of(manifest, facts, asked, found, rules=images))
    for image, seen in zip(manifest.images, inspected, strict=True):
        findings += _file_findings(image, seen, images)
    findings += [*pin_findings(manifest, pin), *_listing_findings(manifest)]
    findings += _name_findings([*(image.path for image in manifest.images), *manifest.unlisted])
    pictures = _pictures(inspected) if quality else {}
    findings += quality_findings(pictures)
    checked = _checked(manifest, facts, counted=counts is not None, pinned=pin is not None, n_further=len(further))
    return IntegrityReport(
        checked=checked | (quality_checked(pictures) if quality else {}),
        findings=tuple(sorted(findings, key=lambda finding: (finding.rule, finding.path, finding.detail))),
        facts=facts,
        expectations=results_of(manifest, asked, found),
    )


def _checked(
    manifest: Manifest, facts: Iterable[ImageFacts], *, counted: bool, pinned: bool, n_further: int
) -> dict[str, int]:
    n, n_opened = len(manifest.images), sum(fact.width_px is not None for fact in facts)
    return {
        "contract_violations": n,
        **({"count_mismatches": n} if counted else {}),
        **({PINNED_BY: n} if pinned else {}),
        "unreadable_images": n,
        "unexpected_formats": n,
        "unexpected_modes": n_opened,
        "unexpected_sizes": n_opened,
        "uninformative_images": n_opened,
        "unlisted_files": n + len(manifest.unlisted),
        "missing_files": n + len(manifest.missing),
        "colliding_names": n + len(manifest.unlisted),
        **({"unmet_expectations": n_further} if n_further else {}),
    }


# --- files ------------------------------------------------------------------------------------


def _pictures(inspected: Iterable[Inspected]) -> dict[str, Quality]:
    """Path -> what the grey levels of it come to, of every file with which nothing worse is wrong."""
    return {
        seen.facts.path: seen.shown.quality
        for seen in inspected
        if seen.shown is not None and seen.facts.error is None and seen.empty is None and not seen.altered
    }


def _file_findings(image: CellImage, seen: Inspected, rules: ImageRules) -> Iterator[Finding]:
    facts, path = seen.facts, image.path
    named_as = FORMAT_OF_SUFFIX.get(PurePosixPath(path).suffix.lower())
    if seen.gone:
        detail = "was listed and is gone"
        yield Finding("missing_files", path, detail, "Let nothing write to the data folder during a run, and repeat.")
        return
    if seen.altered:
        detail = f"its content has changed since it was listed (SHA-256 {image.sha256} then)"
        remedy = "Let nothing write to the data folder during a run, and repeat."
        yield Finding("contract_violations", path, detail, remedy)
    if facts.format is not None and facts.format not in rules.formats:
        return  # an expectation names it, and nothing else was looked at
    if facts.error is not None:
        remedy = "Replace it by the original file, or remove it and correct the expected counts."
        yield Finding("unexpected_sizes" if facts.too_large else "unreadable_images", path, facts.error, remedy)
        return
    if named_as not in (None, facts.format):
        detail = f"the content is {facts.format}, the name says {named_as}"
        yield Finding(
            "unexpected_formats", path, detail, "Find out which program renamed it, and restore the original."
        )
    if seen.empty is not None:
        remedy = "Move it out of the class folder, or remove its row; restore the original where one exists."
        yield Finding("uninformative_images", path, seen.empty, remedy)


# --- lists and names ----------------------------------------------------------------------------


def _listing_findings(manifest: Manifest) -> Iterator[Finding]:
    likely = LikelyPaths(manifest.unlisted)
    for path in manifest.missing:
        detail = "the manifest names it, the folder does not hold it"
        if close := likely.close_to(path):
            detail += f"; {close} is close to it, and no row names that"
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
