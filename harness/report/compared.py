"""How does one run stand against another, cell by cell, and what changed between them? The page of `compare --html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.judge.criteria import observed, requirement, subject_of
from harness.judge.verdicts import Verdict
from harness.metrics.comparison import Comparison, remarks
from harness.metrics.estimates import DISPLAY_LEVEL
from harness.report import templating, wording
from harness.report.history import MOST_CHANGES, STYLE, PastRun, Step, brief
from harness.report.sections.comparison import paired_row
from harness.report.sentences import worse_classes
from harness.report.verdicts import MARKS

TEMPLATE = "compared.html.j2"
MOST_CELLS = 200  # of one set that the page lists; both packs have the predictions


def render_comparison(
    step: Step,
    *,
    holds: bool,
    told: Sequence[str],
    verdicts: Sequence[Verdict],
    comparisons: Sequence[Comparison],
    corrupted: Mapping[str, Comparison],
) -> str:
    """One page without scripts, as the report is; no picture is on it.

    Args:
        step: from the baseline's run to the candidate's.
        holds: whether every required regression criterion passed by margins that were not loosened undeclared.
        told: what else is said of the baseline and of what moved, a sentence each.
        verdicts: on the regression criteria of the candidate's protocol.
    """
    return (
        templating.environment(STYLE)
        .get_template(TEMPLATE)
        .render(
            step=step,
            holds=holds,
            told=told,
            worse=[(each.set, ", ".join(classes)) for each in comparisons if (classes := worse_classes(each))],
            verdicts=[_verdict(each) for each in verdicts],
            sets=[_set(each) for each in comparisons],
            kinds=[paired_row(found, None, name=kind) for kind, found in corrupted.items()],
            readings=_side_by_side(step.before, step.after),
            level=wording.percent_of(DISPLAY_LEVEL),
            brief=brief,
            most_changes=MOST_CHANGES,
            most_cells=MOST_CELLS,
            points=wording.points,
            absent=wording.NOTHING,
        )
    )


def _verdict(verdict: Verdict) -> dict[str, object]:
    found = verdict.estimate
    return {
        "id": verdict.criterion.id,
        "subject": subject_of(verdict.criterion),
        "outcome": str(verdict.outcome),
        "mark": MARKS[verdict.outcome],
        "css": verdict.outcome.value.replace(" ", "-"),
        "required": verdict.criterion.required,
        "blocks": verdict.blocks,
        "observed": wording.NOTHING if found is None else observed(found, beside=verdict.criterion.bound),
        "requirement": requirement(verdict),
        "reason": verdict.reason,
    }


def _set(comparison: Comparison) -> dict[str, object]:
    every = [None, *(name for name in comparison.classes if comparison.counts(name)[2])]
    return {
        "name": comparison.set,
        "n": comparison.counts()[2],
        "n_changed": comparison.n_changed,
        "rows": [paired_row(comparison, name) for name in every],
        "remarks": list(remarks(comparison, level=DISPLAY_LEVEL)),
        "discordant": comparison.discordant,
    }


def _side_by_side(before: PastRun, after: PastRun) -> list[tuple[str, str, str]]:
    """(estimate, the baseline's, the candidate's) of every estimate that either has."""
    names = dict.fromkeys([*after.readings, *before.readings])
    return [(name, _told(before, name), _told(after, name)) for name in names]


def _told(run: PastRun, name: str) -> str:
    if (found := run.readings.get(name)) is None:
        return wording.NOTHING
    return " ".join(part for part in (found.told, f"({found.counts})" if found.counts else "", found.interval) if part)
