"""What the protocol asked for before anything was seen."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from harness.protocol.criteria import Criterion
from harness.report.section import Material, Section
from harness.report.verdicts import criterion_place, requirement, subject


@dataclass(frozen=True, slots=True)
class Row:
    criterion: Criterion
    place: tuple[str, ...]
    subject: Markup
    requirement: Markup


def view(page: Material) -> tuple[Row, ...]:
    e = page.evidence
    return tuple(
        Row(each, criterion_place(each), subject(each, e), requirement(each, e)) for each in page.run.protocol.criteria
    )


SECTION = Section("protocol", "Criteria fixed beforehand", view)
