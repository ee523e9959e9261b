"""One judged set as the page prints it, in the section of results or of external sets."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from harness.metrics.classification import estimate, joint_recall_bounds
from harness.metrics.estimates import DISPLAY_LEVEL, Evaluation
from harness.report import wording
from harness.report.printing import Printer, element, sentence
from harness.report.verdicts import VerdictRow, rows_of
from harness.run.results import RunResults


@dataclass(frozen=True, slots=True)
class SetResult:
    """One evaluated set. matrix: counts, rows reference; joint: class -> the bound that holds with all the others'.

    reported: further metrics of the table, which no column above prints.
    """

    name: str
    classes: tuple[str, ...]
    matrix: list[list[int]]
    has_interval: bool
    joint: dict[str, Markup]
    macro_f1: Markup
    gates: tuple[VerdictRow, ...]
    absent: tuple[str, ...]
    interval_method: str
    joint_method: str
    reported: tuple[str, ...]

    @property
    def place(self) -> tuple[str, ...]:
        return "evaluations", self.name


def set_result(run: RunResults, evaluation: Evaluation, e: Printer) -> SetResult:
    name = evaluation.set
    by_floor = _recall_floors(run, evaluation) is not None and not evaluation.grouped
    return SetResult(
        name=name,
        classes=evaluation.classes,
        matrix=evaluation.confusion.tolist(),
        has_interval=e.at("evaluations", name, "accuracy", "display") is not None,
        joint={each: joint_bound(e, name, each) for each in evaluation.classes},
        macro_f1=_macro_f1(e, name),
        gates=tuple(
            row
            for row in rows_of(run, e)
            if row.verdict.criterion.set == name and row.verdict.criterion.question in ("accuracy", "external")
        ),
        absent=tuple(absent_classes(evaluation)),
        interval_method=interval_method(evaluation),
        joint_method="Holm, against the criteria's floors" if by_floor else "Bonferroni",
        reported=tuple(e.at("evaluations", name).get("reported", ())),
    )


def interval_method(evaluation: Evaluation) -> str:
    """What the interval for display is called."""
    return "clustered" if evaluation.grouped else "Wilson"


def facts_of(run: RunResults, evaluation: Evaluation) -> tuple[dict[str, float | None], dict[str, object]]:
    """(joint recall bounds, F1 as 2TP/(2TP+FP+FN)) of each class."""
    joint = joint_recall_bounds(evaluation, floors=_recall_floors(run, evaluation), level=DISPLAY_LEVEL)
    scores = {name: estimate(evaluation, "f1", cell_class=name, level=DISPLAY_LEVEL) for name in evaluation.classes}
    counts: dict[str, object] = {
        name: None
        if found.value is None or found.k is None or found.n is None
        else {"k": 2 * found.k, "n": found.k + found.n}
        for name, found in scores.items()
    }
    return {name: joint[name] for name in evaluation.classes}, counts


def absent_classes(evaluation: Evaluation) -> list[str]:
    return [name for name, support in evaluation.support.items() if support == 0]


def joint_bound(e: Printer, set_name: str, cell_class: str) -> Markup:
    """The lower bound of a class's recall that holds together with those of all the others."""
    here = ("page", "results", "joint_recall", set_name, cell_class)
    return element(here, wording.NOTHING) if e.at(*here) is None else sentence("≥ {bound}", bound=e.share(*here))


def _macro_f1(e: Printer, set_name: str) -> Markup:
    here = ("evaluations", set_name, "macro_f1")
    value = e.share(*here, "value")
    if e.at(*here, "value") is None:
        return sentence("{value} ({note})", value=value, note=e.text(*here, "note"))
    return sentence("{value}, {level} interval {both}", value=value, level=e.level(), both=e.interval(*here, "display"))


def _recall_floors(run: RunResults, evaluation: Evaluation) -> dict[str, float] | None:
    """The floors that the protocol sets for the recall of each class on this set, if it does so for every class."""
    floors = {
        str(c.cell_class): c.bound
        for c in run.protocol.criteria
        if c.metric == "recall" and c.set == evaluation.set and c.question in ("accuracy", "external")
    }
    return floors if set(floors) == set(evaluation.classes) else None
