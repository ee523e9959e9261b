"""What do duplicates, headers and provenance say against this run?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from harness.data.leakage import DuplicatePair, ListedImage, across_parts, across_sets, label_conflicts
from harness.data.records import Split
from harness.metrics.copies import DATASET, copies_within
from harness.metrics.counts import counted
from harness.metrics.provenance import TOLERATED_SHARE
from harness.metrics.provenance_records import Provenance
from harness.metrics.shortcuts import ShortcutReport
from harness.protocol.names import PARTS
from harness.protocol.needs import SPLIT

COVERED = (
    "one picture, and its copies: turned by any angle, mirrored, rescaled, stretched, shifted, padded or cropped by up "
    "to a seventh of a side, relit, blurred, noisy, partly covered, saved anew. How many of each are found: "
    "docs/duplicates.md. Images too smooth or too small to be compared are not counted as checked"
)
SEARCHES = ("duplicates_across_parts", "duplicates_across_sets", "label_conflicts")


def leakage(
    duplicates: Sequence[DuplicatePair], shortcuts: ShortcutReport, split: Split
) -> Mapping[str, tuple[str, ...]]:
    """Leakage metric -> what is wrong, one line each.

    Two labels on one picture count where one of the two images is in the dataset; a conflict within an external set is
    told with its other pairs.
    """
    part_of = {image.path: part for part in PARTS for image in split.part(part)}
    own = [pair for pair in duplicates if DATASET in (pair.first.set, pair.second.set)]
    return {
        "duplicates_across_parts": tuple(map(str, across_parts(duplicates, split, set_name=DATASET))),
        "duplicates_across_sets": tuple(map(str, across_sets(duplicates))),
        "repeated_pictures": copies_within(duplicates, part_of),
        "label_conflicts": tuple(map(str, label_conflicts(own))),
        "class_linked_headers": tuple(
            f"{finding} Images: {', '.join(finding.paths)}" for finding in shortcuts.findings
        ),
    }


def n_looked_at(metric: str, n_images: int, uncompared: Sequence[ListedImage]) -> int:
    """How many images of the dataset a leakage metric speaks of: of a search, those that can be compared."""
    return n_images - (sum(image.set == DATASET for image in uncompared) if metric in SEARCHES else 0)


def dependent_sets(
    duplicates: Sequence[DuplicatePair],
    provenance: Mapping[str, Provenance],
    units: Mapping[str, Collection[str]],
) -> Mapping[str, str]:
    """External set -> what speaks against its independence of the dataset.

    units: set, the dataset among them -> `CellImage.unit` of its images. A patient whom both name may be one person, or
           one number given twice; as long as nobody says which, independence is not shown.
    """
    found = {name: each.reason for name, each in provenance.items() if not each.may_count_as_external}
    for pair in across_sets(duplicates):
        sets = {pair.first.set, pair.second.set}
        if DATASET in sets:
            found[(sets - {DATASET}).pop()] = f"it shares pictures with the dataset, first {pair}"
    known = {unit for unit in units.get(DATASET, ()) if not unit.startswith("content:")}
    for name in units:
        if name != DATASET and (shared := sorted(known.intersection(units[name]))):
            found[name] = (
                f"it names {len(shared)} of the dataset's patients or slides, first {shared[0]!r}: the same, or the "
                "same numbering. Where they are others, put the laboratory's name before each id"
            )
    return found


def made_of_the_dataset(pairs: Sequence[DuplicatePair], name: str, n_images: int) -> str | None:
    """Why an external set is none: more of its images than a stray few show pictures of the dataset."""
    shared = _shared_with_the_dataset(pairs, name)
    n_copies = n_copies_in(pairs, name)
    if n_copies <= TOLERATED_SHARE * n_images:
        return None
    return f"{n_copies} of its {n_images} images show pictures of the dataset, first {shared[0]}"


def n_copies_in(pairs: Sequence[DuplicatePair], name: str) -> int:
    """How many images of an external set show pictures of the dataset."""
    shared = _shared_with_the_dataset(pairs, name)
    return len({image.path for pair in shared for image in (pair.first, pair.second) if image.set == name})


def _shared_with_the_dataset(pairs: Sequence[DuplicatePair], name: str) -> list[DuplicatePair]:
    return [pair for pair in across_sets(pairs) if {pair.first.set, pair.second.set} == {DATASET, name}]


METRICS = (
    counted(
        "duplicates_across_parts",
        "leakage",
        "Pictures that are in two parts of the split.",
        needs=frozenset({SPLIT}),
        covers=COVERED,
    ),
    counted("label_conflicts", "leakage", "Pictures of the dataset that carry two labels.", covers=COVERED),
    counted(
        "duplicates_across_sets",
        "leakage",
        "Pictures that are both in the dataset and in an external set.",
        covers=COVERED,
    ),
    counted(
        "repeated_pictures",
        "leakage",
        "Pictures that several cells of one part or set show: each counts once.",
        covers=COVERED,
    ),
    counted("class_linked_headers", "leakage", "File properties from which the class can be guessed unseen."),
)
