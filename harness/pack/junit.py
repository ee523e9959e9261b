"""The verdicts as JUnit XML, and as properties of a test case, for whatever reads them on a job page.

JUnit knows fewer outcomes than the harness. A test case has a failure or an error exactly where its verdict blocks the
run, so that a job page is red where the run did not pass and nowhere else. An optional criterion that did not pass is
`skipped`, with its own word and reason: a passed case would hide both. (Of pytest's own outcomes, a skip still means
that this machine cannot answer.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from harness.core.text import visible
from harness.judge.criteria import explain, requirement
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.comparison import Comparison
from harness.protocol.questions import QUESTIONS
from harness.report.sentences import counted_against, lost_told

JUNIT = "junit.xml"

# Where a verdict blocks. Without evidence nothing was found wrong, which is an error of the run and no failure.
BLOCKING = {
    Outcome.FAILED: "failure",
    Outcome.INCONCLUSIVE: "failure",
    Outcome.NOT_ASSESSED: "error",
    Outcome.NOT_JUDGED: "error",
}
# 2 named no cell that was lost against the baseline, 1 is what packs have that name no documents.
VERSION = 3
# As packs have it that were written before an optional outcome was told apart.
FORMERLY = {**BLOCKING, Outcome.NOT_ASSESSED: "skipped"}


def junit(
    verdicts: Sequence[Verdict],
    *,
    name: str,
    seconds: float,
    moved: Sequence[tuple[str, bool]] = (),
    contradictions: Sequence[str] = (),
    comparisons: Mapping[str, Comparison] | None = None,
    version: int = VERSION,
) -> bytes:
    """One test case per criterion; each outcome under its own word, with what it rests on.

    moved:    what has changed in the protocol since a first look, and whether that keeps the run from passing.
    contradictions: cells that got another answer when they were scored again.
    comparisons: set -> candidate beside baseline: which cells were lost stands with whatever blocks on their answers,
                 be it a gate that stayed closed before anybody asked the baseline.
    version: of the form; packs have the one of their time.
    """
    formerly, lost = version < 2, comparisons if comparisons is not None and version >= 3 else {}
    elements = [FORMERLY.get(verdict.outcome) if formerly else element_of(verdict) for verdict in verdicts]
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=visible(name),
        tests=str(len(verdicts) + bool(moved) + bool(contradictions)),
        failures=str(elements.count("failure")),
        errors=str(elements.count("error") + any(blocks for _, blocks in moved) + bool(contradictions)),
        skipped=str(elements.count("skipped")),
        time=f"{seconds:.3f}",
    )
    if moved:
        _tell_moved(suite, moved)
    if contradictions:
        case = ElementTree.SubElement(suite, "testcase", classname="answers", name="scored again")
        said = "cells that were scored again got other answers"
        error = ElementTree.SubElement(case, "error", type="contradiction", message=said)
        error.text = "\n".join(map(visible, contradictions))
    for verdict, element in zip(verdicts, elements, strict=True):
        criterion = verdict.criterion
        case = ElementTree.SubElement(suite, "testcase", classname=criterion.question, name=criterion.id)
        properties = ElementTree.SubElement(case, "properties")
        for key, value in properties_of(verdict)[: 2 if formerly else None]:
            ElementTree.SubElement(properties, "property", name=key, value=visible(value))
        if element is not None:
            # XML 1.0 cannot hold control characters or lone surrogates, even escaped.
            detail = ElementTree.SubElement(case, element, type=verdict.outcome, message=visible(verdict.reason))
            detail.text = "\n".join(map(visible, [explain(verdict), *_against(verdict, lost)]))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _against(verdict: Verdict, comparisons: Mapping[str, Comparison]) -> list[str]:
    """What the baseline had right and this run has not, of the cells that a blocking verdict rests on."""
    criterion = verdict.criterion
    found = comparisons.get(criterion.set)
    if found is None or not verdict.blocks or criterion.kind is not None:
        return []
    if not QUESTIONS[criterion.question].counts_looks or not (named := lost_told(found, criterion.cell_class)):
        return []
    counts = counted_against(found, criterion.cell_class)
    return [f"  baseline  {found.baseline}: {counts}", f"  lost      {named}"]


def _tell_moved(suite: ElementTree.Element, moved: Sequence[tuple[str, bool]]) -> None:
    """A test case of its own: each criterion may well have passed by the protocol that was changed."""
    case = ElementTree.SubElement(suite, "testcase", classname="protocol", name="amendments")
    properties = ElementTree.SubElement(case, "properties")
    for told, blocks in moved:
        ElementTree.SubElement(properties, "property", name="moved" if blocks else "amended", value=visible(told))
    if undeclared := [visible(told) for told, blocks in moved if blocks]:
        said = "the protocol changed after a look, and no amendment declares it"
        ElementTree.SubElement(case, "error", type="amended", message=said).text = "\n".join(undeclared)


def element_of(verdict: Verdict) -> str | None:
    """The JUnit element that tells of this verdict; None for a case that passed."""
    if verdict.blocks:
        return BLOCKING[verdict.outcome]
    return None if verdict.passed else "skipped"


def properties_of(verdict: Verdict) -> list[tuple[str, str]]:
    """What a machine may want to know of a verdict, each always there; empty where there is none.

    value, lower, upper: at full precision; k, n: counts. bound: the one of the two bounds that decides.
    threshold: what that is compared with; threshold_is: "floor" or "ceiling". look: which look at the set it was.
    """
    criterion, found = verdict.criterion, verdict.estimate
    side, kind = ("lower", "floor") if criterion.floor is not None else ("upper", "ceiling")
    measured = {
        name: _said(getattr(found, name)) if found is not None else ""
        for name in ("value", "k", "n", "lower", "upper", "level")
    }
    return [
        ("outcome", str(verdict.outcome)),
        ("required", str(criterion.required).lower()),
        *measured.items(),
        ("bound", measured[side]),
        ("threshold", _said(criterion.bound)),
        ("threshold_is", kind),
        ("unit", criterion.entry.unit),
        ("requirement", requirement(verdict)),
        ("look", _said(verdict.look)),
    ]


def _said(value: float | None) -> str:
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)
