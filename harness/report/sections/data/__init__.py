"""Which images were there, and what was wrong with their files?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness.protocol.names import PARTS
from harness.report.printing import listed, sentence
from harness.report.readings import reading_told
from harness.report.section import Limit, Material, Section
from harness.run.results import RunResults

MOST_FINDINGS_SHOWN = 200
MOST_KINDS_SHOWN = 8
MOST_NAMED = 8


def facts(run: RunResults) -> dict[str, object]:
    """counts: set of these classes -> class -> images; files: what the files are and how many, the most frequent first.

    readings: set -> what was read as what, one sentence each, where there is anything to say.
    pins: set -> whether its images and labels are those that the protocol pins.
    found: rule -> findings, of which `shown` are on the page. uncompared: how many the limits do not name.
    """
    classes = run.protocol.dataset.classes
    known = [each for each in run.sets if each.role != "unknown"]
    counts = {each.name: {name: each.counts.get(name, 0) for name in classes} for each in known}
    more = max(0, len(run.uncompared) - MOST_NAMED)
    pins = {each.name: _pinned(each.pin, run.protocol.pin_of(each.name)) for each in run.sets if each.pin is not None}
    told = {each.name: list(reading_told(each.reading)) for each in run.sets if each.reading is not None}
    readings = {name: sentences for name, sentences in told.items() if sentences}
    if run.integrity is None:
        return {"counts": counts, "readings": readings, "uncompared": more, "pins": pins}
    return {
        "counts": counts,
        "readings": readings,
        "uncompared": more,
        "pins": pins,
        "files": _kinds_of_files(run),
        "found": {rule: len(run.integrity.of(rule)) for rule in run.integrity.checked},
        "shown": min(len(run.integrity.findings), MOST_FINDINGS_SHOWN),
    }


def _pinned(found: str | None, stated: str | None) -> str:
    if stated is None:
        return "pinned by nothing: the protocol states no digest of it"
    return "as the protocol pins it" if found == stated else f"and the protocol pins {stated}"


def _kinds_of_files(run: RunResults) -> list[dict[str, object]]:
    assert run.integrity is not None  # asked by the caller
    kinds = Counter(
        f"{f.format}, {f.mode}, {f.width_px} x {f.height_px} px" if f.error is None else "not decodable"
        for f in run.integrity.facts
    )
    first = kinds.most_common(MOST_KINDS_SHOWN)
    rest = len(kinds) - len(first)
    rows = [*first, *([(f"{rest} more kinds", kinds.total() - sum(n for _, n in first))] if rest else [])]
    return [{"what": kind, "n": n} for kind, n in rows]


def limits(page: Material) -> Iterator[Limit]:
    run, e = page.run, page.evidence
    if any(each.synthetic for each in run.sets):
        yield Limit(
            "Some of the images are synthetic: drawn by a program, not photographed.",
            "Any statement about real cells from the sets so marked.",
        )
    if run.split is None:
        return
    sites = {image.site for part in PARTS for image in run.split.part(part)}
    if None in sites or len(sites) == 1:
        yield Limit(
            "The dataset comes, as far as its manifest says, from a single source.",
            "Performance with another stain, camera or laboratory from the test part alone.",
        )
    if run.uncompared:
        named = listed(
            sentence("{path} of {set}", path=e.text("uncompared", i, "path"), set=e.text("uncompared", i, "set"))
            for i in range(min(len(run.uncompared), MOST_NAMED))
        )
        more = len(run.uncompared) > MOST_NAMED
        yield Limit(
            sentence(
                "{n} pictures are too smooth or too small to be compared but by their pixels: {named}{more}.",
                n=e.size("uncompared"),
                named=named,
                more=sentence(", and {n} more", n=e.plain_count("page", "data", "uncompared")) if more else "",
            ),
            "That none of these is another one's near-duplicate.",
        )


SECTION = Section("data", "Data", limits=limits, facts=facts)
