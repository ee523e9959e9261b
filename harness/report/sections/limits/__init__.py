"""What does this run not show? The limits that each section knows of, each with the claim that it blocks."""

from __future__ import annotations

from harness.report.section import Limit, Material, Section


def view(page: Material) -> tuple[Limit, ...]:
    from harness.report.sections import SECTIONS  # which lists this section, too

    return tuple(limit for section in SECTIONS for limit in section.limits(page))


SECTION = Section("limits", "Limits and what they block", view)
