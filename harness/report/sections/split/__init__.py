"""Who is in which part, what was kept together, and what tells the class without the cell?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from harness.data.name_hints import NameHint, name_hints
from harness.data.records import Split
from harness.metrics.copies import copies_within
from harness.metrics.leakage import COVERED
from harness.protocol.names import PARTS
from harness.report.counts import part_counts
from harness.report.section import Limit, Material, Section
from harness.run.results import RunResults

MOST_PAIRS_SHOWN = 100
MOST_NAMES_SHOWN = 20


def unit_kinds(split: Split) -> Counter[str]:
    """How many images are kept together by patient, by slide, or only by content."""
    return Counter(image.unit.partition(":")[0] for part in PARTS for image in split.part(part))


def facts(run: RunResults) -> dict[str, object]:
    return {
        "parts": part_counts(run),
        "units": {} if run.split is None else dict(unit_kinds(run.split)),
        "shortcuts": [] if run.shortcuts is None else [str(each) for each in run.shortcuts.findings],
        "names": None if run.shortcuts is None or run.shortcuts.names is None else str(run.shortcuts.names),
        "pairs_shown": min(len(run.duplicates or ()), MOST_PAIRS_SHOWN),
        "name_hints": [asdict(hint) for hint in _name_hints(run)],
        "repeated": list(_repeated(run)),
    }


def _repeated(run: RunResults) -> tuple[str, ...]:
    """The pictures that are in a part or set several times, where each is counted once."""
    part_of = {} if run.split is None else {image.path: part for part in PARTS for image in run.split.part(part)}
    return copies_within(run.copies, part_of)


@dataclass(frozen=True, slots=True)
class View:
    """kinds: what images were kept together by. undivided: every cell is judged as test.

    covered:          what the search for pictures in two places can find.
    look_alike_names: the first of the names that look like another's copy; more_names: whether there are others.
    """

    kinds: list[str]
    undivided: bool
    covered: str
    look_alike_names: tuple[NameHint, ...]
    more_names: bool


def view(page: Material) -> View:
    split, hints = page.run.split, _name_hints(page.run)
    return View(
        list(unit_kinds(split)) if split is not None else [],
        split is not None and split.source == "undivided",
        COVERED,
        hints[:MOST_NAMES_SHOWN],
        len(hints) > MOST_NAMES_SHOWN,
    )


def _name_hints(run: RunResults) -> tuple[NameHint, ...]:
    if run.split is None:
        return ()
    return name_hints([image.path for part in PARTS for image in run.split.part(part)])


def _counted_as(split: Split) -> str:
    """What the cells count as that do not name their patient."""
    images = [image for part in PARTS for image in split.part(part) if image.patient is None]
    if all(image.slide for image in images):
        return "slides count as patients"
    if all(image.slide or image.site for image in images):
        return "cells of one site count as those of one patient"
    return "cells without patient or slide count as independent"


def limits(page: Material) -> Iterator[Limit]:
    run = page.run
    if run.split is None:
        return
    kinds = unit_kinds(run.split)
    if kinds["patient"] < kinds.total():
        yield Limit(
            f"Not every image names its patient: patient leakage cannot be checked; {_counted_as(run.split)}.",
            "Performance on new patients; that no patient is in both train and test. Intervals are a best case.",
        )
    if kinds["patient"] or kinds["slide"]:
        yield Limit(
            "Intervals are widened for cells of one patient by a design effect, whose correlation is assumed or "
            "estimated from these cells.",
            "An exact level of these bounds, above all with a handful of patients.",
        )
    if run.duplicates is None:
        yield Limit(
            "Files were compared byte by byte: two pictures of one cell that differ in a pixel were not searched for.",
            "That no cell of the test part has a near-duplicate in the train part.",
        )


SECTION = Section("split", "Split and independence", view, limits, facts)
