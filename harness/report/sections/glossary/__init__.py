"""What do the words of this page mean? For a reader who knows cells and not statistics."""

from __future__ import annotations

from harness.report.section import Section

SECTION = Section("glossary", "Words of this page")
