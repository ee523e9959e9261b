"""How long does an image take?"""

from __future__ import annotations

import statistics

from markupsafe import Markup

from harness.metrics.estimates import DISPLAY_LEVEL, Estimate
from harness.metrics.timing import images_per_second, latency
from harness.model.records import Timing
from harness.report.section import Material, Section
from harness.run.results import RunResults

OFFLINE = "Offline"
MEASURES = {OFFLINE: "median rate over rounds", "MultiStream": "99th percentile, per query"}


def view(page: Material) -> list[tuple[str, Markup, Markup]]:
    """(measure, value, bounds) of each timing."""
    e, rows = page.evidence, []
    for index, timing in enumerate(page.run.timings):
        here, unit = ("page", "speed", index), "images/s" if timing.scenario == OFFLINE else "s"
        measure = MEASURES.get(timing.scenario, "90th percentile, per image")
        rows.append((measure, e.quantity(*here, "value", unit=unit), e.interval(*here, unit=unit)))
    return rows


def facts(run: RunResults) -> list[dict[str, object]]:
    return [_facts_of(timing) for timing in run.timings]


def _facts_of(timing: Timing) -> dict[str, object]:
    found: Estimate = (
        images_per_second(timing, metric="images_per_s", level=DISPLAY_LEVEL)
        if timing.scenario == OFFLINE
        else latency(timing, metric="latency_s", level=DISPLAY_LEVEL)
    )
    pipe = {"pipe_s": statistics.median(timing.pipe_samples_s)} if timing.pipe_samples_s else {}
    shares = timing.blocks.others_shares if timing.blocks is not None else ()
    load = {"quietest": min(shares), "busiest": max(shares)} if shares else {}
    return {"value": found.value, "lower": found.lower, "upper": found.upper, **pipe, **load}


SECTION = Section("speed", "Speed", view, facts=facts)
