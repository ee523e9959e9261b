"""Where every number can be recomputed from, and what made them: files, stages, environment, packages, proof."""

from __future__ import annotations

from collections.abc import Iterator

from harness.judge.proofs import LEVEL, alarms, detection
from harness.report.custody import custody_told
from harness.report.printing import Printer, listed, sentence
from harness.report.section import Limit, Material, Section
from harness.run.packages import Declared
from harness.run.results import RunResults

MOST_NAMED = 8


def facts(run: RunResults) -> dict[str, object]:
    return {
        "n_installed": None if run.packages is None else len(run.packages.installed),
        "unsatisfied": [] if run.packages is None else [str(each) for each in run.packages.unsatisfied],
        "untried": [] if run.packages is None else [str(each) for each in run.packages.untried],
        "more": _more(run),
        "custody": custody_told(run),
        "proof": _facts_of_the_proof(run),
    }


def _more(run: RunResults) -> dict[str, int]:
    """How many differences are not named among the limits."""
    found = run.packages
    every = {} if found is None else {"unsatisfied": found.unsatisfied, "untried": found.untried}
    return {name: max(0, len(each) - MOST_NAMED) for name, each in every.items()}


def _facts_of_the_proof(run: RunResults) -> dict[str, object] | None:
    if run.proof is None:
        return None
    caught, planted, least = detection(run.proof)
    raised, controls, most = alarms(run.proof)
    return {
        "caught": caught,
        "planted": planted,
        "lower": least,
        "alarms": raised,
        "controls": controls,
        "upper": most,
        "level": LEVEL,
    }


def view(page: Material) -> object:
    """How many planted faults were caught, and how many clean controls raised an alarm, with their bounds."""
    proof, e = page.run.proof, page.evidence
    if proof is None:
        return ""
    here = ("page", "evidence", "proof")
    told = sentence(
        "{caught} of {planted} planted faults were caught by what must catch them: at least {least} of faults like "
        "these would be (one-sided {level} bound).",
        caught=e.plain_count(*here, "caught"),
        planted=e.plain_count(*here, "planted"),
        least=e.share(*here, "lower"),
        level=e.level(*here, "level"),
    )
    quiet = sentence(
        " Of {controls} clean controls {raised} raised an alarm: at most {most} would.",
        controls=e.plain_count(*here, "controls"),
        raised=e.plain_count(*here, "alarms"),
        most=e.share(*here, "upper"),
    )
    return told + quiet if proof.controls else told


def limits(page: Material) -> Iterator[Limit]:
    yield from _limits_of_packages(page)
    for place, _ in enumerate(custody_told(page.run)):
        yield Limit(
            page.evidence.text("page", "evidence", "custody", place),
            "That nothing but the recorded code and its clock had a hand in this run.",
        )
    proof, e = page.run.proof, page.evidence
    if proof is None:
        yield Limit(
            "No faults were planted into this very code to see its checks close: `python -m harness prove` does.",
            "That each of these checks was seen to close.",
        )
        return
    missed = [
        e.text("proof", field, place, "id")
        for field, trials in (("faults", proof.faults), ("controls", proof.controls))
        for place, trial in enumerate(trials)
        if not trial.as_expected
    ]
    if missed:
        yield Limit(
            sentence(
                "Of the planted faults and clean controls, these did not end as they must: {missed}.",
                missed=listed(missed),
            ),
            "That the checks which should have told them apart can be relied on.",
        )


def _limits_of_packages(page: Material) -> Iterator[Limit]:
    packages = page.run.packages
    if packages is None or packages.declared_in is None:
        yield Limit(
            "Nothing recorded what the harness declares that it needs, beside what was installed.",
            "That it ran with the packages that it was made for.",
        )
    if packages is None:
        return
    if packages.unsatisfied:
        yield Limit(
            sentence(
                "What was installed is not what was declared: {named}.",
                named=_named("unsatisfied", packages.unsatisfied, page.evidence),
            ),
            "That the packages of this run work together; any number that comes from one of these.",
        )
    if packages.untried:
        yield Limit(
            sentence(
                "Installed in another version than was tried together: {named}.",
                named=_named("untried", packages.untried, page.evidence),
            ),
            "That the harness was tested with what ran here.",
        )


def _named(field: str, found: tuple[Declared, ...], e: Printer) -> object:
    here = ("page", "evidence", field)
    named = listed((e.text(*here, place) for place in range(min(len(found), MOST_NAMED))), "; ")
    if len(found) <= MOST_NAMED:
        return named
    return sentence("{named}; and {n} more", named=named, n=e.plain_count("page", "evidence", "more", field))


SECTION = Section("evidence", "Evidence and how to recompute it", view, limits, facts)
