"""Is a cell in two places, and does anything but the cell tell its class or its origin?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.data.inspection import set_facts_of
from harness.data.leakage import DuplicatePair, ListedImage
from harness.data.metadata import SetFacts
from harness.data.records import Manifest
from harness.metrics.estimates import DISPLAY_LEVEL
from harness.metrics.leakage import dependent_sets as dependence
from harness.metrics.leakage import leakage, n_copies_in
from harness.metrics.provenance import compare_provenance, fingerprint
from harness.metrics.provenance_records import Provenance
from harness.metrics.shortcuts import ShortcutReport, find_shortcuts
from harness.run.graph import Asking, stage
from harness.run.recipes.copies import Copies, CopySearch, read_copies
from harness.run.stages.data import comparable, inspected, manifest, split

SHORTCUT_ALPHA = 0.01  # of any false finding among all headers that are tested


@stage(manifest, comparable)
def sets(run: Asking) -> Mapping[str, Manifest]:
    """The dataset and the sets that are compared with it, by name."""
    return {found.name: found for found in (run(manifest), *run(comparable))}


@stage(sets, inspected, keeps=CopySearch)
def copies(run: Asking) -> Copies:
    """Every picture that is in two places, and those that could not be compared, searched for once and kept."""
    found = run(sets)
    rules = {name: run.setting.rules(name) for name in found}
    search = CopySearch(found, rules, workers=run.setting.options.workers, look=lambda name: run(inspected, name))
    return read_copies(run.keep("copies", search))


@stage(copies)
def uncompared(run: Asking) -> tuple[ListedImage, ...]:
    """Pictures too smooth or too small to be compared but by their pixels."""
    return run(copies).unsearchable


@stage(copies)
def duplicates(run: Asking) -> tuple[DuplicatePair, ...]:
    """Every picture that is in two places, within and across the dataset and the external sets."""
    return run(copies).pairs


@stage(sets, inspected)
def facts(run: Asking, set_name: str) -> SetFacts:
    """What the files of one set say beside their pixels."""
    found = run(sets)[set_name]
    return set_facts_of(found.images, run(inspected, set_name), root=found.root)


@stage(facts)
def shortcuts(run: Asking) -> ShortcutReport:
    """What can be guessed of a class from headers, borders, coarse pixels and names."""
    rng = np.random.default_rng(run.setting.protocol.split.seed)
    return find_shortcuts(run(facts, "dataset"), alpha=SHORTCUT_ALPHA, level=DISPLAY_LEVEL, rng=rng)


@stage(facts, comparable, duplicates)
def provenance(run: Asking) -> Mapping[str, Provenance]:
    """External set -> what its images say of where they come from, beside the dataset's."""
    home = fingerprint(run(facts, "dataset"), name="dataset")
    rng = np.random.default_rng(run.setting.protocol.split.seed)
    return {
        each.name: compare_provenance(
            home,
            fingerprint(run(facts, each.name), name=each.name),
            n_copies=n_copies_in(run(duplicates), each.name),
            alpha=SHORTCUT_ALPHA,
            level=DISPLAY_LEVEL,
            rng=rng,
        )
        for each in run(comparable)
        if each.name not in run.setting.unknown
    }


@stage(duplicates, shortcuts, split)
def leakage_checks(run: Asking) -> Mapping[str, tuple[str, ...]]:
    """Leakage metric -> what is wrong, one line each."""
    return leakage(run(duplicates), run(shortcuts), run(split))


@stage(sets, duplicates, provenance)
def dependent_sets(run: Asking) -> Mapping[str, str]:
    """External set -> what in its images speaks against its independence of the dataset."""
    units = {name: {image.unit for image in found.images} for name, found in run(sets).items()}
    return dependence(run(duplicates), run(provenance), units)
