"""The sections of the report in their order, which is where their numbers come from. To add one: a folder, a line."""

from __future__ import annotations

from importlib import import_module

from harness.report.section import Section

ORDER = (
    "verdict",
    "identity",
    "use",
    "protocol",
    "data",
    "reference",
    "split",
    "training",
    "results",
    "comparison",
    "confidence",
    "external",
    "disturbances",
    "failures",
    "labels",
    "speed",
    "limits",
    "glossary",
    "evidence",
)
SECTIONS: tuple[Section, ...] = tuple(import_module(f"{__name__}.{name}").SECTION for name in ORDER)
