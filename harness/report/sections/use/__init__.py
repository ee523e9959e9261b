"""What the classifier is meant for, and who signs for it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.section import Limit, Material, Section


def limits(_: Material) -> Iterator[Limit]:
    yield Limit(
        "No clinical study was made: no patients, no operators, no setting of use.",
        "Any statement about diagnosis, safety or benefit to patients.",
    )


SECTION = Section("use", "Intended use", limits=limits)
