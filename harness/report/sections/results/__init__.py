"""How often the classifier was right, set by set and class by class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.protocol.names import PARTS
from harness.report.printing import listed, sentence
from harness.report.results import SetResult, facts_of, set_result
from harness.report.section import Limit, Material, Section
from harness.run.results import RunResults

WHAT_IT_IS = {
    "train": "trained on: says nothing of new cells",
    "validation": "used to choose the kept epoch",
    "test": "held out",
}
UNKNOWN = "not known whether the classifier was trained on these cells"


@dataclass(frozen=True, slots=True)
class View:
    """sets: name -> what it is; internal: the parts whose results are told here."""

    sets: dict[str, str]
    internal: tuple[SetResult, ...]


def view(page: Material) -> View:
    run = page.run
    internal = [run.evaluations[name] for name in ("test", "validation") if name in run.evaluations]
    return View(
        {name: _what_it_is(run, name) for name in run.evaluations},
        tuple(set_result(run, each, page.evidence) for each in internal),
    )


def _what_it_is(run: RunResults, name: str) -> str:
    if name in PARTS:
        return WHAT_IT_IS[name] if run.judged is None or run.judged.knows_its_cells else UNKNOWN
    plan = next((plan for plan in run.protocol.external if plan.name == name), None)
    return f"external, {'not in the protocol' if plan is None else f'independence {plan.independence}'}"


def facts(run: RunResults) -> dict[str, object]:
    every = {name: facts_of(run, evaluation) for name, evaluation in run.evaluations.items()}
    return {
        "joint_recall": {name: joint for name, (joint, _) in every.items()},
        "f1": {name: counts for name, (_, counts) in every.items()},
    }


def limits(page: Material) -> Iterator[Limit]:
    run, e = page.run, page.evidence
    test = run.evaluations.get("test")
    if test is None:
        return
    mix = listed(
        sentence("{name} {n}", name=name, n=e.plain_count("evaluations", "test", "per_class", name, "support"))
        for name in test.classes
    )
    known = (
        sentence("is look {look} at the test part's source", look=e.plain_count("looks", "test"))
        if "test" in run.looks
        else "was not recorded as a look"
    )
    yield Limit(
        sentence(
            "As far as this ledger knows, this {known}; looks elsewhere, or in another ledger, are not in it.",
            known=known,
        ),
        "That nothing was chosen after a look that nobody recorded.",
    )
    yield Limit(
        sentence(
            "The classes' shares in the test part ({mix}) come from how the set was collected, not from where the "
            "classifier is used; there some classes may be rare.",
            mix=mix,
        ),
        "Carrying precision (positive predictive value), F1 or accuracy over to another mix of classes without their "
        "prevalence.",
    )


SECTION = Section("results", "Results", view, limits, facts)
