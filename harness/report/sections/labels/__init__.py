"""Whose reference label should somebody look at again? The suspects of each set, worst first, with their pictures."""

from __future__ import annotations

from dataclasses import asdict

from harness.metrics.label_errors import LabelSuspect, suspects_by_set
from harness.report.section import Section
from harness.run.results import RunResults

MOST_SHOWN = 25


def shown_suspects(run: RunResults) -> dict[str, tuple[LabelSuspect, ...]]:
    """Set -> the suspects that are on the page; label_suspects.csv has all."""
    return {name: found[:MOST_SHOWN] for name, found in suspects_by_set(run.predictions).items()}


def facts(run: RunResults) -> dict[str, object]:
    """suspects: set -> those that are shown; found: set -> how many there are; confident: how many of them are."""
    found = suspects_by_set(run.predictions)
    return {
        "suspects": {name: [asdict(each) for each in suspects[:MOST_SHOWN]] for name, suspects in found.items()},
        "found": {name: len(suspects) for name, suspects in found.items()},
        "confident": {name: sum(each.confident for each in suspects) for name, suspects in found.items()},
    }


SECTION = Section("labels", "Labels to look at again", facts=facts)
