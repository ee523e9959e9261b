"""What do duplicates, headers and provenance say against this run?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.data.leakage import DuplicatePair, across_parts, across_sets, label_conflicts
from harness.judge.provenance import Provenance
from harness.judge.shortcuts import ShortcutReport
from harness.records import Split

DATASET = "dataset"


def leakage(
    duplicates: Sequence[DuplicatePair], shortcuts: ShortcutReport, split: Split
) -> Mapping[str, tuple[str, ...]]:
    """Leakage metric -> what is wrong, one line each.

    Two labels on one picture count where one of the two images is in the dataset; a conflict within an external set is
    told with its other pairs.
    """
    own = [pair for pair in duplicates if DATASET in (pair.first.set, pair.second.set)]
    return {
        "duplicates_across_parts": tuple(map(str, across_parts(duplicates, split, set_name=DATASET))),
        "duplicates_across_sets": tuple(map(str, across_sets(duplicates))),
        "label_conflicts": tuple(map(str, label_conflicts(own))),
        "class_linked_headers": tuple(
            f"{finding} Images: {', '.join(finding.paths)}" for finding in shortcuts.findings
        ),
    }


def dependent_sets(duplicates: Sequence[DuplicatePair], provenance: Mapping[str, Provenance]) -> Mapping[str, str]:
    """External set -> what in its images speaks against its independence of the dataset."""
    found = {name: each.reason for name, each in provenance.items() if not each.may_count_as_external}
    for pair in across_sets(duplicates):
        sets = {pair.first.set, pair.second.set}
        if DATASET in sets:
            found[(sets - {DATASET}).pop()] = f"it shares pictures with the dataset, first {pair}"
    return found
