"""What does this run not show? Limits that follow from its own records, each with the claim that it blocks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.text import first_few
from harness.data.records import Split
from harness.judge.verdicts import Outcome
from harness.metrics.classification import estimate
from harness.metrics.estimates import DISPLAY_LEVEL, Evaluation
from harness.protocol.records import PARTS
from harness.report.wording import proportion, share, short
from harness.run.packages import Declared
from harness.run.results import RunResults

# Below this many cells, a set without a single error still leaves room for about 4 % of errors (Wilson, 95 %).
SMALL_SET = 100
PREPROCESSING = ("image_size_px", "resize", "normalisation")
MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that the evidence cannot carry, and what must not be said because of it."""

    what: str
    blocks: str


def limits_of(run: RunResults) -> tuple[Limit, ...]:
    return (
        *_limits_of_the_run(run),
        *_limits_of_packages(run),
        *_limits_of_the_proof(run),
        *_limits_of_the_model(run),
        *_limits_of_the_data(run),
        *_limits_of_the_test_set(run),
        *_limits_of_looks(run),
        *_limits_of_external_sets(run),
        *_limits_of_criteria(run),
        *_limits_of_confidence(run),
        Limit(
            "No clinical study was made: no patients, no operators, no setting of use.",
            "Any statement about diagnosis, safety or benefit to patients.",
        ),
    )


def unit_kinds(split: Split) -> Counter[str]:
    """How many images are kept together by patient, by slide, or only by content."""
    return Counter(image.unit.partition(":")[0] for part in PARTS for image in split.part(part))


def absent_classes(evaluation: Evaluation) -> list[str]:
    return [name for name, support in evaluation.support.items() if support == 0]


def _limits_of_the_run(run: RunResults) -> Iterator[Limit]:
    if run.stopped_because is not None:
        yield Limit(
            f"The run stopped early: {run.stopped_because}", "Everything that a later stage would have measured."
        )
    if run.environment.get("dirty", "unknown").casefold() not in ("false", "no", "0", "clean"):
        yield Limit(
            "The working tree had uncommitted changes, or changed during the run, or nothing recorded whether it had.",
            "That the commit named here is the code that ran.",
        )


def _limits_of_packages(run: RunResults) -> Iterator[Limit]:
    packages = run.packages
    if packages is None or packages.declared_in is None:
        yield Limit(
            "Nothing recorded what the harness declares that it needs, beside what was installed.",
            "That it ran with the packages that it was made for.",
        )
    if packages is None:
        return
    if packages.unsatisfied:
        yield Limit(
            f"What was installed is not what was declared: {_named(packages.unsatisfied)}.",
            "That the packages of this run work together; any number that comes from one of these.",
        )
    if packages.untried:
        yield Limit(
            f"Installed in another version than was tried together: {_named(packages.untried)}.",
            "That the harness was tested with what ran here.",
        )


def _limits_of_the_proof(run: RunResults) -> Iterator[Limit]:
    if run.proof is None:
        yield Limit(
            "No faults were planted into this very code to see its checks close: `python -m harness prove` does.",
            "That each of these checks was seen to close.",
        )
    elif missed := [trial.id for trial in (*run.proof.survivors, *run.proof.false_alarms)]:
        yield Limit(
            f"Of the planted faults and clean controls, these did not end as they must: {', '.join(missed)}.",
            "That the checks which should have told them apart can be relied on.",
        )


def _named(found: tuple[Declared, ...]) -> str:
    return "; ".join(first_few(found, MOST_NAMED, more="and {n} more"))


def _limits_of_the_model(run: RunResults) -> Iterator[Limit]:
    model = run.model
    if model is None:
        return
    yield Limit(
        "The classifier existed before the run: its training was not watched, and not repeated.",
        "Any statement on how it was trained; that training it again gives the same.",
    )
    if model.knows_its_cells:
        yield Limit(
            f"The cells that it was trained on are {model.cells}: this run saw none of its training.",
            "That no cell of the test part was trained on, beyond that word.",
        )
    else:
        known = "not known" if model.cells == "unknown" else "not this run's train part, by its file's word"
        yield Limit(
            f"The cells that it was trained on are {known}: cells of the validation and test parts may be among them.",
            "Performance on new cells from the test part; a gap between train and validation; calibration and "
            "thresholds as fitted on cells that it had not seen.",
        )
    unsaid = [name for name in PREPROCESSING if name not in model.stated]
    if unsaid:
        plan = run.protocol.training
        yield Limit(
            f"Its file does not state {', '.join(unsaid)}; it was shown what the protocol says: {plan.image_size_px} "
            f"px, {plan.resize}, {plan.normalisation}.",
            "How it does with the preprocessing of its own program.",
        )


def _limits_of_the_data(run: RunResults) -> Iterator[Limit]:
    if any(each.synthetic for each in run.sets):
        yield Limit(
            "Some of the images are synthetic: drawn by a program, not photographed.",
            "Any statement about real cells from the sets so marked.",
        )
    if run.split is None:
        return
    cells = [image for part in PARTS for image in run.split.part(part)]
    kinds = unit_kinds(run.split)
    if kinds["patient"] < len(cells):
        counted = (
            "cells without patient or slide count as independent" if kinds["content"] else "slides count as patients"
        )
        yield Limit(
            f"Not every image names its patient: patient leakage cannot be checked; {counted}.",
            "Performance on new patients; that no patient is in both train and test. Intervals are a best case.",
        )
    if kinds["patient"] or kinds["slide"]:
        yield Limit(
            "Intervals are widened for cells of one patient by a design effect, whose correlation is assumed or "
            "estimated from these cells.",
            "An exact level of these bounds, above all with a handful of patients.",
        )
    sites = {image.site for image in cells}
    if None in sites or len(sites) == 1:
        yield Limit(
            "The dataset comes, as far as its manifest says, from a single source.",
            "Performance with another stain, camera or laboratory from the test part alone.",
        )
    if run.duplicates is None:
        yield Limit(
            "Files were compared byte by byte: two pictures of one cell that differ in a pixel were not searched for.",
            "That no cell of the test part has a near-duplicate in the train part.",
        )
    if run.uncompared:
        images = [f"{image.path} of {image.set}" for image in run.uncompared]
        named = ", ".join(first_few(images, MOST_NAMED, more="and {n} more"))
        yield Limit(
            f"{len(run.uncompared)} pictures are too smooth to be compared but by their pixels: {named}.",
            "That none of these is another one's near-duplicate.",
        )
    yield Limit(
        "Reference labels come with the files; nobody re-read them for this run.",
        "Agreement with expert readers; a count of errors that is free of labelling mistakes.",
    )


def _limits_of_the_test_set(run: RunResults) -> Iterator[Limit]:
    test = run.evaluations.get("test")
    if test is None:
        return
    mix = ", ".join(f"{name} {support}" for name, support in test.support.items())
    look = run.looks.get("test")
    known = f"is look {look} at the test part's source" if look is not None else "was not recorded as a look"
    yield Limit(
        f"As far as this ledger knows, this {known}; looks elsewhere, or in another ledger, are not in it.",
        "That nothing was chosen after a look that nobody recorded.",
    )
    yield Limit(
        f"The classes' shares in the test part ({mix}) come from how the set was collected, not from blood, where "
        "some classes are rare.",
        "Carrying precision (positive predictive value), F1 or accuracy over to blood without its prevalence.",
    )


def _limits_of_looks(run: RunResults) -> Iterator[Limit]:
    """Predictions that were seen under other criteria: these may have been chosen in their light."""
    for name in run.looks:
        seen = run.predictions[name].digest if name in run.predictions else None
        others = {e.protocol for e in run.ledger if e.predictions == seen and e.protocol != run.protocol.digest}
        if others:
            yield Limit(
                f"These predictions of {name} were scored before under {len(others)} other protocol(s), "
                f"{', '.join(short(digest) for digest in sorted(others))}.",
                f"That the criteria on {name} were fixed before anybody knew its numbers.",
            )


def _limits_of_confidence(run: RunResults) -> Iterator[Limit]:
    if "test" not in run.calibrations:
        yield Limit(
            "Probabilities were not checked for calibration.",
            "Reading a confidence as the chance that the class is right.",
        )
        return
    yield Limit(
        "Temperature and conformal threshold come from the validation part, on which the kept epoch was chosen too.",
        "That their promises hold to the letter: the validation part flatters the classifier a little.",
    )


def _limits_of_external_sets(run: RunResults) -> Iterator[Limit]:
    external = [evaluation for name, evaluation in run.evaluations.items() if name not in PARTS]
    plans = {plan.name: plan for plan in run.protocol.external}
    if "test" in run.evaluations and not external:
        yield Limit("No external set was evaluated.", "Any statement about images from elsewhere.")
    for evaluation in external:
        absent = absent_classes(evaluation)
        if absent:
            n_present = len(evaluation.classes) - len(absent)
            yield Limit(
                f"{evaluation.set} holds cells of {n_present} of {len(evaluation.classes)} classes; "
                f"none of {', '.join(absent)}.",
                f"Recall of these classes on {evaluation.set}; comparing its accuracy with the test part's.",
            )
        if evaluation.n < SMALL_SET:
            yield Limit(
                f"{evaluation.set} is small: n = {evaluation.n}{_room(evaluation)}.", "A precise accuracy there."
            )
        plan = plans.get(evaluation.set)
        if plan is None:
            yield Limit(
                f"{evaluation.set} is not named in the protocol; it was added on the command line.",
                "Any verdict on it: nothing was required of it beforehand.",
            )
        elif plan.independence == "not shown":
            yield Limit(
                f"The protocol does not show that {evaluation.set} is independent of the dataset.",
                "Calling its result an external validation.",
            )


def _room(evaluation: Evaluation) -> str:
    interval = estimate(evaluation, "accuracy", cell_class=None, level=DISPLAY_LEVEL).display
    if interval is None:
        return ""
    counts = proportion(evaluation.n_correct, evaluation.n)
    return (
        f"; {counts} correct fits any true accuracy from {share(interval.lower, decimals=1)} to "
        f"{share(interval.upper, decimals=1)} (95 % Wilson)"
    )


def _limits_of_criteria(run: RunResults) -> Iterator[Limit]:
    for verdict in run.verdicts:
        criterion, found = verdict.criterion, verdict.estimate
        if verdict.outcome in (Outcome.NOT_ASSESSED, Outcome.NOT_JUDGED):
            yield Limit(
                f"{criterion.id} was {verdict.outcome}: {verdict.reason}.",
                f"Any statement on {criterion.metric} ({criterion.set}) from this run.",
            )
        if criterion.floor is None or not 0 < criterion.floor < 1 or criterion.metric not in ("accuracy", "recall"):
            continue
        if found is None or not found.n:
            continue
        # Clopper-Pearson's lower bound of n correct out of n is (1 - level) ** (1 / n).
        if (1 - found.level) ** (1 / (found.effective_n or found.n)) < criterion.floor:
            needed = math.ceil(math.log(1 - found.level) / math.log(criterion.floor))
            yield Limit(
                f"{criterion.id} cannot pass with n = {found.n}: even {found.n} of {found.n} correct leaves its lower "
                f"bound under {share(criterion.floor)}. At least {needed} cells are needed"
                f"{', of independent patients' if found.effective_n else ''}.",
                f"That {criterion.metric} on {criterion.set} reaches {share(criterion.floor)}, whatever was observed.",
            )
