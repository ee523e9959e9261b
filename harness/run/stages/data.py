"""What is there: the dataset, its integrity, its split, and the sets that are said to be from elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataError, IncomparableSets
from harness.core.mapping import readable_sample
from harness.core.text import first_few
from harness.data import gx
from harness.data.expectations import expected_by_user
from harness.data.inspection import Inspected, Inspection, inspect_files, picture_digests_of
from harness.data.integrity import judge_files
from harness.data.manifest import read_manifest, read_strangers
from harness.data.records import IntegrityReport, Manifest, Split
from harness.data.split import check_split, draw_split, read_split
from harness.metrics.comparison import refuse_other_cells
from harness.metrics.estimates import Unavailable
from harness.metrics.predictions import predictions_of
from harness.run.graph import Asking, stage
from harness.run.setting import Setting

# Findings after which nothing can be computed; the others are judged, and the run goes on.
BLOCKING_RULES = ("contract_violations", "unreadable_images", "missing_files")
SHOWN_FINDINGS = 10


@stage()
def manifest(run: Asking) -> Manifest:
    """The dataset as it lies there."""
    options, protocol = run.setting.options, run.setting.protocol
    return read_manifest(
        options.data,
        name="dataset",
        classes=run.setting.classes,
        workers=options.workers,
        names=protocol.names_in("dataset"),
        parts=protocol.dataset.parts,
    )


@stage()
def found_elsewhere(run: Asking) -> Mapping[str, Manifest | Unavailable]:
    """Every set beside the dataset, of protocol and command line, as it lies there, or that it is not there."""
    options, sets = run.setting.options, dict[str, Manifest | Unavailable]()
    for name in dict.fromkeys([*(plan.name for plan in run.setting.protocol.external), *options.external]):
        folder = options.external.get(name)
        if folder is None:
            sets[name] = Unavailable(
                f"external set {name} is not there: no --external {name}=DIR, no folder {name} beside the data"
            )
        else:
            sets[name] = read_manifest(
                folder,
                name=name,
                classes=run.setting.classes,
                workers=options.workers,
                names=run.setting.protocol.names_in(name),
            )
    return sets | {name: _of_unknown_classes(run.setting, name) for name in run.setting.unknown}


def _of_unknown_classes(setting: Setting, name: str) -> Manifest | Unavailable:
    folder, plan = setting.options.unknown.get(name), setting.protocol.unknown_plan(name)
    if folder is None:
        return Unavailable(f"set {name} is not there: no --unknown {name}=DIR, no folder {name} beside the data")
    return read_strangers(
        folder,
        name=name,
        known=setting.classes,
        workers=setting.options.workers,
        names=plan,
    )


@stage(manifest, found_elsewhere)
def inspected(run: Asking, set_name: str) -> tuple[Inspected, ...]:
    """What each file of the dataset or of an external set shows, in the order of its manifest; decoded here, once.

    Raises:
        DataError: the external set is not there.
    """
    found = run(manifest) if set_name == "dataset" else run(found_elsewhere)[set_name]
    if isinstance(found, Unavailable):
        raise DataError(found.reason)
    total, rules, label = len(found.images), run.setting.rules(set_name), f"inspecting {set_name}"

    def told(done: int) -> None:
        run.progress(label, done, total, "")

    spread = run.setting.options.spread
    if spread is None:
        workers = run.setting.options.workers
        # The import takes seconds.
        return inspect_files(
            found.images, found.root, rules=rules, workers=workers, progress=told, meanwhile=gx.import_gx
        )
    root = found.root.absolute()
    slices = spread.map(
        Inspection(root, rules),
        found.images,
        label=label,
        multiple=1,
        sample=readable_sample((root / image.path, image.sha256) for image in found.images),
        done=told,
    )
    return tuple(itertools.chain.from_iterable(slices))


@stage(manifest, found_elsewhere, inspected)
def picture_digests(run: Asking, set_name: str) -> Mapping[str, str]:
    """Path of each image of the dataset or of a whole external set -> the digest of its pixels."""
    shown = run(inspected, set_name)  # first: it refuses a set that is not there
    found = run(manifest) if set_name == "dataset" else run(found_elsewhere)[set_name]
    assert isinstance(found, Manifest)
    return dict(zip((image.path for image in found.images), picture_digests_of(found.images, shown), strict=True))


@stage(manifest, found_elsewhere, inspected)
def thumbnails(run: Asking, set_name: str) -> Mapping[str, NDArray[np.uint8]]:
    """Path of each image of the dataset or of a whole external set that can be decoded -> its grey thumbnail."""
    shown = run(inspected, set_name)
    found = run(manifest) if set_name == "dataset" else run(found_elsewhere)[set_name]
    assert isinstance(found, Manifest)
    pairs = zip(found.images, shown, strict=True)
    return {image.path: each.shown.grey for image, each in pairs if each.shown is not None}


@stage(manifest, inspected)
def integrity(run: Asking) -> IntegrityReport:
    """What of the dataset breaks the rules that the protocol gives it."""
    plan = run.setting.protocol.dataset
    return judge_files(
        run(manifest),
        run(inspected, "dataset"),
        images=plan.images,
        counts=plan.counts,
        pin=run.setting.protocol.pin_of("dataset"),
        further=expected_by_user(plan),
    )


@stage(manifest, integrity)
def split(run: Asking) -> Split:
    """The split in use, after integrity found nothing that forbids one; of predictions without one, all cells as test.

    Raises:
        DataError: integrity found images that cannot be used.
        IncomparableSets: the baseline was judged on other test cells.
    """
    _refuse_blocked(run(manifest), run(integrity))
    parts = divided(run(manifest), run.setting)
    _refuse_other_test_part(parts, run.setting)
    return parts


def divided(found: Manifest, setting: Setting) -> Split:
    """The split of --split or of part folders, or the one that the protocol draws; nothing is decoded for it."""
    file, protocol = setting.options.split_file, setting.protocol
    if file is not None and found.reading.parts:
        raise DataError(
            f"--split names {file.name}, and the dataset is divided by its folders "
            f"({', '.join(found.reading.parts)}). Leave --split away, or give the images in one folder."
        )
    if file is not None:
        return read_split(file, found, names=protocol.names_in("dataset"), parts=protocol.dataset.parts)
    # A part drawn here would say that some cells are unknown to a classifier whose training nobody here knows.
    return draw_split(found, protocol.split, draws=not setting.options.predictions)


@stage(manifest, split)
def split_checks(run: Asking) -> Mapping[str, tuple[str, ...]]:
    """Split metric -> what is wrong, one line each."""
    return check_split(run(split), run(manifest), run.setting.protocol.split)


@stage(found_elsewhere, inspected)
def listed(run: Asking) -> Mapping[str, Manifest | Unavailable]:
    """Every external set whose images can be looked at, or why they cannot."""
    return {
        name: _intact(run, found) if isinstance(found, Manifest) else found
        for name, found in run(found_elsewhere).items()
    }


@stage(listed)
def comparable(run: Asking) -> tuple[Manifest, ...]:
    """The external sets whose pictures are compared with the dataset's: those that hold copies of it above all."""
    return tuple(found for found in run(listed).values() if isinstance(found, Manifest))


def _intact(run: Asking, found: Manifest) -> Manifest | Unavailable:
    """An external set, or why it is not one: it breaks the rules that it was given."""
    rules, pin = run.setting.rules(found.name), run.setting.protocol.pin_of(found.name)
    findings = judge_files(
        found, run(inspected, found.name), images=rules, counts=None, pin=pin, quality=False
    ).findings
    if findings:
        return Unavailable(
            f"set {found.name} is not what was declared: {len(findings)} integrity finding(s), first {findings[0]}",
            waivable=False,
        )
    return found


def _refuse_blocked(found: Manifest, report: IntegrityReport) -> None:
    blocking = [finding for finding in report.findings if finding.rule in BLOCKING_RULES]
    if blocking:
        shown = "\n".join(f"  {finding}" for finding in first_few(blocking, SHOWN_FINDINGS))
        raise DataError(
            f"set {found.name!r} cannot be used before {len(blocking)} integrity finding(s) are settled:\n{shown}"
        )


def _refuse_other_test_part(parts: Split, setting: Setting) -> None:
    """A baseline of other test cells is refused before the hours of training, not after them."""
    baseline, test, n_classes = setting.options.baseline, parts.test, len(setting.classes)
    if baseline is not None and "test" in baseline.predictions:
        if parts.source == "undivided" and {image.sha256 for image in test} != {*baseline.predictions["test"].digests}:
            raise IncomparableSets(
                f"baseline {baseline.run_id} was judged on a test part of {len(baseline.predictions['test'].digests)} "
                f"cells, and --predictions without a split on all {len(test)}. Name the baseline's split: --split with "
                "the data_split.csv of its pack."
            )
        level = np.full((len(test), n_classes), 1 / n_classes)
        refuse_other_cells(
            predictions_of(test, level, set_name="test", classes=setting.classes),
            baseline.predictions["test"],
            baseline_run=baseline.run_id,
        )
