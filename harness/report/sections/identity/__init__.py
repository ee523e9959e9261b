"""What was tested: run, protocol, classifier, sets, code and device, each by its digest."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.section import Limit, Material, Section


def limits(page: Material) -> Iterator[Limit]:
    if page.run.environment.get("dirty", "unknown").casefold() not in ("false", "no", "0", "clean"):
        yield Limit(
            "The working tree had uncommitted changes, or changed during the run, or nothing recorded whether it had.",
            "That the commit named here is the code that ran.",
        )


SECTION = Section("identity", "What was tested", limits=limits)
