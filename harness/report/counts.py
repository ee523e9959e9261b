"""Counts the images of a run per class, as listed and as split: what tables and figures both show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.data.records import CellImage
from harness.protocol.names import PARTS
from harness.run.results import RunResults


def dataset_counts(run: RunResults) -> dict[str, int] | None:
    """Images per class of the dataset: as listed, or, if the listing is not recorded, as split."""
    summary = next((s for s in run.sets if "dataset" in (s.name, s.role) and s.absent_because is None), None)
    if summary is not None:
        return {name: summary.counts.get(name, 0) for name in run.protocol.dataset.classes}
    if run.split is None:
        return None
    return _count_classes(run, [image for part in PARTS for image in run.split.part(part)])


def part_counts(run: RunResults) -> dict[str, dict[str, int]]:
    """Part -> class -> images; empty before the split."""
    return {} if run.split is None else {part: _count_classes(run, run.split.part(part)) for part in PARTS}


def _count_classes(run: RunResults, images: Iterable[CellImage]) -> dict[str, int]:
    found = Counter(image.label for image in images)
    return {name: found[name] for name in run.protocol.dataset.classes}
