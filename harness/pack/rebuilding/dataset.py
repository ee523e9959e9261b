"""The dataset and its integrity, made again of manifest.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.spreadsheet import active
from harness.data.expectations import answers, expected_by_user, expected_of, findings_of, results_of, table_of
from harness.data.leakage import LEAST_SEARCHED_PX, ListedImage
from harness.data.pins import pin_findings
from harness.data.records import (
    CellImage,
    Finding,
    ImageFacts,
    IntegrityReport,
    Manifest,
    Reading,
    sorted_by_path,
    sub_folders,
)
from harness.metrics.copies import DATASET
from harness.pack.decode import rows_of, whole_number
from harness.pack.files import EVIDENCE
from harness.pack.rebuilding.frame import Frame
from harness.pack.tables import MANIFEST, MANIFEST_COLUMNS, slice_columns
from harness.protocol.datasets import PINNED_BY
from harness.protocol.names import part_called
from harness.protocol.sets import SLICES
from harness.run.results import SetSummary

# Integrity rules whose every finding follows from manifest.csv; files that could not be decoded, others had to see.
FROM_EXPECTATIONS = ("count_mismatches", "unexpected_modes", "unmet_expectations")


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The dataset as listed, its root not known, and its integrity; None of what the run did not read or check."""

    manifest: Manifest | None = None
    integrity: IntegrityReport | None = None

    @property
    def images(self) -> tuple[CellImage, ...]:
        return () if self.manifest is None else self.manifest.images


def read_dataset(frame: Frame) -> Dataset:
    """The dataset, and what integrity found in it; its files' facts are columns of manifest.csv."""
    manifest, integrity = None, None
    sets = frame.of(tuple[SetSummary, ...], "sets")
    listed = any(each.name == "dataset" for each in sets)
    recorded = next((each.reading for each in sets if each.name == "dataset"), None)
    reading = recorded or Reading()
    images: list[CellImage] = []
    facts: list[ImageFacts] = []
    undecodable: dict[str, str] = {}
    checked: dict[str, int] | None = None
    findings: tuple[Finding, ...] = ()
    if frame.has("integrity"):
        checked = frame.of(dict[str, int], "integrity", "checked")
        findings = frame.of(tuple[Finding, ...], "integrity", "findings")
        undecodable = frame.of(dict[str, str], "integrity", "undecodable")
    if listed or MANIFEST in frame.pack.files:
        further = slice_columns(reading)
        for number, row in enumerate(rows_of(frame.pack, MANIFEST, (*MANIFEST_COLUMNS, *further)), start=2):
            path, label, sha256, n_bytes, width, height, format_, mode, *groups = row
            here = f"{MANIFEST}, row {number}"
            patient, slide, site, *values = (active(each) or None for each in groups)
            slices = tuple((name.removeprefix(SLICES), v) for name, v in zip(further, values, strict=True) if v)
            path = active(path)
            size, part = whole_number(here, n_bytes), reading.part_of(path)
            images.append(CellImage(path, label, sha256, size, patient, slide, site, part, slices))
            facts.append(
                ImageFacts(
                    path,
                    whole_number(here, width) if width else None,
                    whole_number(here, height) if height else None,
                    format_ or None,
                    mode or None,
                    undecodable.get(path),
                )
            )
        if images != list(sorted_by_path(images)):
            frame.note(MANIFEST, "path", "the rows are not sorted by path")
        ignored = frame.of(tuple[str, ...], "ignored")
        classes = frame.protocol.dataset.classes
        manifest = Manifest("dataset", Path(), classes, tuple(images), ignored=ignored, reading=reading)
        if recorded is not None:
            _check_reading(frame, manifest)
    if checked is not None:
        integrity = _expect_again(frame, manifest, IntegrityReport(checked, findings, tuple(facts)))
        _check_pin(frame, manifest, integrity)
    return Dataset(manifest, integrity)


def _check_reading(frame: Frame, manifest: Manifest) -> None:
    """Whether the labels are those that the folders stand for, by the protocol and by the record of the reading."""
    reading, labels = manifest.reading, frame.protocol.names_in("dataset").label_of
    for written, name in reading.labels.items():
        if labels.get(written) != name:
            frame.note(
                EVIDENCE,
                "sets > dataset > reading > labels",
                f"{written!r} was read as {name!r}; the protocol says {labels.get(written)!r}",
            )
    for folder, part in reading.parts.items():
        if part_called(folder, frame.protocol.dataset.parts) != part:
            frame.note(EVIDENCE, "sets > dataset > reading > parts", f"the folder {folder!r} was read as {part!r}")
    if reading.columns:
        return  # the labels of a table were not in its paths
    within = sub_folders((image.path for image in manifest.images), reading.parts)
    if reading.within not in (None, within):
        frame.note(EVIDENCE, "sets > dataset > reading > within", f"the paths have {within}")
    for image in manifest.images:
        steps = image.path.split("/")
        below = steps[0] in reading.parts
        written = steps[below] if len(steps) > 1 + below else ""
        if labels.get(written, written) != image.label:
            frame.note(MANIFEST, "label", f"{image.path!r} is labelled {image.label!r}")


def _expect_again(frame: Frame, manifest: Manifest | None, report: IntegrityReport) -> IntegrityReport:
    """What was expected of the images, asked again of manifest.csv, and the findings that follow from it."""
    if manifest is None or frame.field("integrity", kind=dict).get("expectations") is None:
        return report
    plan = frame.protocol.dataset
    counts = plan.counts if "count_mismatches" in report.checked else None
    expected = expected_of(manifest, rules=plan.images, counts=counts)
    asked = (*expected, *expected_by_user(plan))
    table = table_of(manifest, report.facts, rules=plan.images)
    found = answers(table, [each.expectation for each in asked])
    made = set(findings_of(manifest, report.facts, asked, found, rules=plan.images))
    for each in sorted(made - set(report.findings), key=str):
        frame.note(EVIDENCE, "integrity > findings", f"missing is {each}")
    for each in report.findings:
        if each not in made and each.rule in FROM_EXPECTATIONS:
            frame.note(EVIDENCE, "integrity > findings", f"nothing in {MANIFEST} shows {each}")
    return replace(report, expectations=results_of(manifest, asked, found))


def check_uncompared(frame: Frame, report: IntegrityReport | None, uncompared: Sequence[ListedImage]) -> None:
    """Whether the images too small to be compared are named; which are too smooth, their pixels alone tell."""
    if not frame.rules.searched or report is None:
        return
    named = {image.path for image in uncompared if image.set == DATASET}
    for each in report.facts:
        sides = [side for side in (each.width_px, each.height_px) if side is not None]
        if min(sides, default=LEAST_SEARCHED_PX) < LEAST_SEARCHED_PX and each.path not in named:
            frame.note(EVIDENCE, "uncompared", f"{each.path!r} is too small to be compared, and is not named")


def _check_pin(frame: Frame, manifest: Manifest | None, report: IntegrityReport) -> None:
    """Whether what was found of its digest is what manifest.csv shows."""
    if manifest is None or (pin := frame.protocol.dataset.digest) is None:
        return
    if PINNED_BY not in report.checked:
        frame.note(EVIDENCE, f"integrity > checked > {PINNED_BY}", "the protocol pins the dataset, and nobody looked")
    if (made := tuple(pin_findings(manifest, pin))) != report.of(PINNED_BY):
        said = made[0].detail if made else f"the digest of the images in {MANIFEST} is the pinned one"
        frame.note(EVIDENCE, f"integrity > findings > {PINNED_BY}", said)
