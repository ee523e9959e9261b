"""The sections of the report in their order, which is where their numbers come from. To add one: a folder, a line."""

from __future__ import annotations

from harness.report.section import Section
from harness.report.sections import (
    comparison,
    confidence,
    data,
    disturbances,
    evidence,
    external,
    failures,
    identity,
    limits,
    protocol,
    reference,
    results,
    speed,
    split,
    training,
    use,
    verdict,
)

SECTIONS: tuple[Section, ...] = (
    verdict.SECTION,
    identity.SECTION,
    use.SECTION,
    protocol.SECTION,
    data.SECTION,
    reference.SECTION,
    split.SECTION,
    training.SECTION,
    results.SECTION,
    comparison.SECTION,
    confidence.SECTION,
    external.SECTION,
    disturbances.SECTION,
    failures.SECTION,
    speed.SECTION,
    limits.SECTION,
    evidence.SECTION,
)
