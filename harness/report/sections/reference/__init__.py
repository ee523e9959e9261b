"""What the reference labels are worth."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.section import Limit, Material, Section


def limits(page: Material) -> Iterator[Limit]:
    if page.run.split is not None:
        yield Limit(
            "Reference labels come with the files; nobody re-read them for this run.",
            "Agreement with expert readers; a count of errors that is free of labelling mistakes.",
        )


SECTION = Section("reference", "Reference standard", limits=limits)
