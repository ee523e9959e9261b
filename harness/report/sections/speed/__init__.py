"""How long does an image take?"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from markupsafe import Markup

from harness.metrics.estimates import DISPLAY_LEVEL, Estimate
from harness.metrics.timing import images_per_second, latency, quantile_of
from harness.metrics.timing_rules import drift_blocks, drift_of, independent_in, percentiles_of, tier_of
from harness.model.records import Timing
from harness.report.section import Material, Section
from harness.run.results import RunResults

OFFLINE = "Offline"
MEASURES = {
    OFFLINE: "median rate over rounds",
    "MultiStream": "99th percentile, per query",
    "Server": "99th percentile, from arrival",
    "ColdStart": "median, from opening",
}


def view(page: Material) -> list[tuple[str, Markup, Markup, Mapping[str, Any]]]:
    """(measure, value, bounds, what may be said of it) of each timing."""
    e, rows = page.evidence, []
    for index, timing in enumerate(page.run.timings):
        here, unit = ("page", "speed", index), "images/s" if timing.scenario == OFFLINE else "s"
        measure = MEASURES.get(timing.scenario, "90th percentile, per image")
        rows.append((measure, e.quantity(*here, "value", unit=unit), e.interval(*here, unit=unit), e.at(*here)))
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
    told, refused = percentiles_of(timing, level=DISPLAY_LEVEL)
    quantile = 0.5 if timing.scenario == OFFLINE else quantile_of(timing.scenario)
    one_by_one = timing.scenario != OFFLINE
    return {
        **{"value": found.value, "lower": found.lower, "upper": found.upper, **pipe, **load},
        "total_s": sum(timing.samples_s),
        "tier": tier_of(timing),
        "drift": drift_of(timing),
        "drift_blocks": drift_blocks(timing),
        "independent": independent_in(timing, quantile=quantile),
        "percentiles": [asdict(each) for each in told] if one_by_one else [],
        "refused": [asdict(each) for each in refused] if one_by_one else [],
    }


SECTION = Section("speed", "Speed", view, facts=facts)
