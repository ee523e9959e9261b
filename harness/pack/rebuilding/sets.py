"""Sizes and digests of the sets, counted again of what the pack lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.data.pins import pin_findings
from harness.data.records import CellImage, Manifest
from harness.pack.adapted import cells_of
from harness.pack.files import EVIDENCE
from harness.pack.rebuilding.dataset import Dataset
from harness.pack.rebuilding.frame import Frame
from harness.pack.rebuilding.said import Said
from harness.run.results import SetSummary


def images_of(dataset: Dataset, said: Said) -> dict[str, tuple[CellImage, ...]]:
    """The images that the pack lists, of the dataset and of every set beside it that was scored."""
    own = {} if dataset.manifest is None else {"dataset": dataset.manifest.images}
    return own | {name: said.cells_of(name) for name in said.beside}


def count_sets(frame: Frame, dataset: Dataset, said: Said) -> tuple[SetSummary, ...]:
    """Sizes and digests of the sets, from manifest.csv and from the predictions of external sets."""
    counted = images_of(dataset, said)
    sets: list[SetSummary] = []
    for summary in frame.of(tuple[SetSummary, ...], "sets"):
        if summary.name in counted:
            stranger = said.unknown.get(summary.name)
            classes = frame.protocol.dataset.classes
            kinds = classes if stranger is None else stranger.classes[len(classes) :]
            there = Manifest(summary.name, Path(), kinds, counted[summary.name])
            drawn = said.adaptations.get(summary.name)
            whole = there if drawn is None else replace(there, images=(*there.images, *cells_of(drawn.drawn)))
            pin = None if summary.pin is None else whole.pin  # an older harness told none
            again = replace(summary, n_images=len(there.images), counts=there.counts, digest=there.digest, pin=pin)
            sets.append(again)
            _check_pin(frame, whole)
        else:
            sets.append(summary)
            if summary.absent_because is None:
                frame.take(f"size and digest of set {summary.name}: the pack has no list of its images")
    for name in counted:
        if name not in {summary.name for summary in sets}:
            frame.note(EVIDENCE, f"sets > {name}", "the set is in the pack and is not listed here")
    return tuple(sets)


def _check_pin(frame: Frame, found: Manifest) -> None:
    """A set from elsewhere that is not the pinned one is never scored; of the dataset a criterion speaks."""
    if found.name != "dataset":
        for each in pin_findings(found, frame.protocol.pin_of(found.name)):
            frame.note(f"predictions/{found.name}.csv", "sha256, label", each.detail)
