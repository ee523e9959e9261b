"""What became of images from elsewhere, and where do they come from?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from markupsafe import Markup

from harness.metrics.adaptation import beside_unadapted, right_after
from harness.metrics.comparison import Comparison, difference
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Evaluation
from harness.metrics.gaps import generalisation_gap
from harness.metrics.paired import mcnemar_exact
from harness.protocol.datasets import ExternalPlan
from harness.protocol.names import PARTS
from harness.report.printing import Printer, sentence
from harness.report.results import SetResult, absent_classes, set_result
from harness.report.section import Limit, Material, Section
from harness.run.results import RunResults

# Below this many cells, a set without a single error still leaves room for about 4 % of errors (Wilson, 95 %).
SMALL_SET = 100
# Which facts stand on which side, by their fields in `Provenance`.
SIDES = (
    ("Shared with the training source", "same"),
    ("Different", "different"),
    ("What would show independence", "would_show"),
    ("What so many images can say", "limits"),
)


@dataclass(frozen=True, slots=True)
class View:
    """plans: name -> place of its plan in the protocol; gaps: the sets that the gap to the test part is told of."""

    results: tuple[SetResult, ...]
    plans: dict[str, tuple[ExternalPlan, int]]
    gaps: tuple[str, ...]
    worst: str | None
    sides: tuple[tuple[str, str], ...] = SIDES


def view(page: Material) -> View:
    run = page.run
    compared = _compared(run)
    worst = min(compared, key=lambda each: each.n_correct / each.n, default=None)
    return View(
        tuple(set_result(run, each, page.evidence) for each in _external(run)),
        {plan.name: (plan, place) for place, plan in enumerate(run.protocol.external)},
        tuple(each.set for each in compared),
        worst.set if worst is not None and len(compared) > 1 else None,
    )


def _external(run: RunResults) -> list[Evaluation]:
    return [evaluation for name, evaluation in run.evaluations.items() if name not in PARTS]


def _compared(run: RunResults) -> list[Evaluation]:
    """The external sets that the test part can be compared with."""
    test = run.evaluations.get("test")
    return [] if test is None or not test.n else [each for each in _external(run) if each.n]


def facts(run: RunResults) -> dict[str, object]:
    """gaps: set -> test accuracy minus the accuracy there; sides: set -> the sentences on where its images are from."""
    gaps: dict[str, object] = {}
    for each in _compared(run):
        found = generalisation_gap(run.evaluations["test"], each, level=DISPLAY_LEVEL)
        assert isinstance(found, Estimate)  # both sets have cells
        gaps[each.set] = {"value": found.value, "bounds": {"lower": found.lower, "upper": found.upper}}
    told = {name: {field: list(getattr(each, field)) for _, field in SIDES} for name, each in run.provenance.items()}
    labels = {name: each.label for name, each in run.provenance.items()}
    present = {each.set: len(each.classes) - len(absent_classes(each)) for each in _external(run)}
    adapted = {name: _adapted(run, name) for name in run.adaptations if name in run.predictions}
    return {"adapted": adapted, "gaps": gaps, "sides": told, "labels": labels, "present": present}


def _adapted(run: RunResults, name: str) -> dict[str, object]:
    """The adapted classifier beside itself as it was, in all and class by class, and what it was adapted with."""
    found = run.adaptations[name]
    correlation = run.protocol.clusters.intracluster_correlation
    pair = beside_unadapted(found, run.predictions[name], copies=run.copies, intracluster_correlation=correlation)
    every = [None, *(each for each in pair.classes if pair.counts(each)[2])]
    counts = [(each, int((found.drawn.labels == column).sum())) for column, each in enumerate(found.drawn.classes)]
    return {
        "cells": {each: n for each, n in counts if n},
        "n_drawn": len(found.drawn.digests),
        "right_before": int(found.drawn.correct.sum()),
        "n": pair.counts()[2],
        "rows": [_adapted_row(pair, each) for each in every],
        "scores": [{"name": method, "right": right} for method, right in found.scores.items()],
    }


def _adapted_row(pair: Comparison, cell_class: str | None) -> dict[str, object]:
    lost, gained, n = pair.counts(cell_class)
    before, after = (
        right_after(pair, "adapted_accuracy", cell_class=cell_class, level=DISPLAY_LEVEL, before=before)
        for before in (True, False)
    )
    gain = difference(pair, "adaptation_gain", cell_class=cell_class, level=DISPLAY_LEVEL)
    assert isinstance(before, Estimate) and isinstance(after, Estimate) and isinstance(gain, Estimate)
    return {
        "name": cell_class or "all",
        "n": n,
        "before": asdict(before),
        "after": asdict(after),
        "gained": gained,
        "lost": lost,
        "difference": gain.value,
        "bounds": {"lower": gain.lower, "upper": gain.upper},
        "mcnemar_p": mcnemar_exact(lost, gained)[0],
    }


def limits(page: Material) -> Iterator[Limit]:
    run = page.run
    external = _external(run)
    plans = {plan.name: plan for plan in run.protocol.external}
    if "test" in run.evaluations and not external:
        yield Limit("No external set was evaluated.", "Any statement about images from elsewhere.")
    for evaluation in external:
        yield from _limits_of(evaluation, plans.get(evaluation.set), page.evidence)


def _limits_of(evaluation: Evaluation, plan: ExternalPlan | None, e: Printer) -> Iterator[Limit]:
    name, here = evaluation.set, ("evaluations", evaluation.set)
    absent = absent_classes(evaluation)
    if absent:
        yield Limit(
            sentence(
                "{name} holds cells of {present} of {n} classes; none of {absent}.",
                name=name,
                present=e.plain_count("page", "external", "present", name),
                n=e.size(*here, "classes"),
                absent=", ".join(absent),
            ),
            f"Recall of these classes on {name}; comparing its accuracy with the test part's.",
        )
    if evaluation.n < SMALL_SET:
        yield Limit(
            sentence("{name} is small: n = {n}{room}.", name=name, n=e.plain_count(*here, "n"), room=_room(here, e)),
            "A precise accuracy there.",
        )
    if plan is None:
        yield Limit(
            f"{name} is not named in the protocol; it was added on the command line.",
            "Any verdict on it: nothing was required of it beforehand.",
        )
    elif plan.independence == "not shown":
        yield Limit(
            f"The protocol does not show that {name} is independent of the dataset.",
            "Calling its result an external validation.",
        )


def _room(here: tuple[str, ...], e: Printer) -> Markup:
    accuracy = (*here, "accuracy")
    if e.at(*accuracy, "display") is None:
        return Markup()
    lower, upper = (e.share(*accuracy, "display", side) for side in ("lower", "upper"))
    return sentence(
        "; {counts} correct fits any true accuracy from {lower} to {upper} ({level} Wilson)",
        counts=e.proportion(*accuracy),
        lower=lower,
        upper=upper,
        level=e.level(),
    )


SECTION = Section("external", "External sets", view, limits, facts)
