"""Renders the report: one run's records and figures in, one self-contained HTML page out.

The page has no script and loads nothing. It computes no statistic: what it prints is in the evidence, and each number
carries the path of what it prints (harness/report/printing.py). Its sections are listed in harness/report/sections.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment

import harness
from harness.core.errors import EvidenceError
from harness.judge.sample_size import ONLY_NEW
from harness.judge.verdicts import Verdict
from harness.metrics.classification import evaluate
from harness.metrics.estimates import DISPLAY_LEVEL, INDEPENDENCE_UNKNOWN
from harness.metrics.summary import measured_again
from harness.report import templating, wording
from harness.report.captions import caption_of
from harness.report.cells import Cells
from harness.report.links import SECTION_OF, anchor, links_of
from harness.report.pictures import as_uri, suffix_of
from harness.report.places import Places, written
from harness.report.printing import Printer
from harness.report.rooted import rooted
from harness.report.section import Limit, Material
from harness.report.sections import SECTIONS, limits
from harness.report.seen import seen_in
from harness.report.stacked import labelled
from harness.run.results import RunResults

TEMPLATE = "report.html.j2"
RENDERED_BY = (".py", ".j2", ".css")


def page_facts(run: RunResults) -> dict[str, object]:
    """Numbers that the page prints and that nothing else records, section by section: `page` of evidence.json."""
    return {"level": DISPLAY_LEVEL, **{section.name: section.facts(run) for section in SECTIONS}}


@cache
def renderer() -> dict[str, str]:
    """What prints the page: the digest of the code, templates and style sheet of this room, and the version."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.suffix in RENDERED_BY):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return {"digest": digest.hexdigest(), "version": harness.__version__}


def render_report(
    run: RunResults,
    *,
    evidence: Mapping[str, Any],
    figures: Mapping[str, bytes],
    thumbnails: Mapping[str, bytes] | None = None,
    files: Mapping[str, str] | None = None,
    ignored: Sequence[str] | None = None,
) -> str:
    """The report of a run, finished or stopped early.

    Args:
        evidence: the content of the run's evidence.json, as it is read back.
        figures: file stem -> PNG or WebP, as `draw_figures` made them from this very run.
        thumbnails: digest of a misclassified cell -> WebP, as `draw_thumbnails` made them.
        files: path in the pack -> SHA-256, of what was written before the report; listed in the evidence index.
        ignored: the manifest's ignored files; None where no manifest was read.
    Raises:
        EvidenceError: the run's records contradict one another; no page is better than a page with two truths.
    """
    _refuse_contradictions(run)
    printer = Printer(Places(evidence, run, files or {}))
    material = Material(run, printer, dict(figures), dict(thumbnails or {}), list(files or ()), ignored)
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            run=run,
            e=printer,
            sections=SECTIONS,
            views={section.name: section.view(material) for section in SECTIONS},
            answered=answered_by(run),
            seen_in=lambda name: seen_in(name, run),
            links_of=lambda criterion: links_of(
                criterion,
                evaluated=tuple(name for name in run.evaluations if name not in ("train",)),
                figures=material.figures,
                files=material.files,
            ),
            figures=material.figures,
            cells=Cells(material.thumbnails),
            longest_name=max(map(len, run.protocol.dataset.classes), default=0),
            files=material.files,
            ignored=ignored,
        )
    )


def answered_by(run: RunResults) -> dict[str, list[Verdict]]:
    """Section -> the verdicts whose evidence it has; what did not pass comes first."""
    found: dict[str, list[Verdict]] = {}
    for verdict in sorted(run.verdicts, key=lambda verdict: verdict.passed):
        found.setdefault(SECTION_OF[verdict.criterion.question], []).append(verdict)
    return found


def limits_of(run: RunResults, *, evidence: Mapping[str, Any]) -> tuple[Limit, ...]:
    """What the run does not show, as the page says it."""
    return limits.view(Material(run, Printer(Places(evidence, run, {})), {}, {}, (), None))


@cache  # its templates are compiled once a process, and again where their file was changed
def _environment() -> Environment:
    environment = templating.environment()
    environment.filters |= {"uri": as_uri, "kind": suffix_of, "path": written, "labelled": labelled, "rooted": rooted}
    environment.globals |= {
        "caption_of": caption_of,
        "anchor": anchor,
        "INDEPENDENCE_UNKNOWN": INDEPENDENCE_UNKNOWN,
        "ONLY_NEW": ONLY_NEW,
        "MANY_CLASSES": wording.MANY_CLASSES,
        "LONG_NAME": wording.LONG_NAME,
        "FEW_CLASSES": wording.FEW_CLASSES,
        "MOST_ROWS": wording.MOST_ROWS,
        "MOST_NAMED": wording.MOST_NAMED,
        "MOST_MOVED": wording.MOST_MOVED,
        "MOST_COMPARED": wording.MOST_COMPARED,
        "MOST_WORSE": wording.MOST_WORSE,
        "NOTHING": wording.NOTHING,
        "STUDY": wording.STUDY,
        "UNDEFINED": wording.UNDEFINED,
    }
    return environment


def _refuse_contradictions(run: RunResults) -> None:
    """Two records of one number must agree before either is printed."""
    asked, judged = [c.id for c in run.protocol.criteria], [v.criterion.id for v in run.verdicts]
    if sorted(asked) != sorted(judged):
        raise EvidenceError(
            f"run {run.run_id}: the protocol has the criteria {sorted(asked)}, the verdicts are on {sorted(judged)}. "
            "Give every criterion one verdict (harness.judge.criteria.complete) before writing evidence."
        )
    for name, evaluation in run.evaluations.items():
        if name in run.predictions and not np.array_equal(
            evaluate(run.counted(run.predictions[name])).confusion, evaluation.confusion
        ):
            raise EvidenceError(
                f"run {run.run_id}: the confusion matrix of {name!r} is not that of its predictions. "
                "Evaluate the predictions that the pack holds."
            )
    for verdict in run.verdicts:
        criterion, found = verdict.criterion, verdict.estimate
        measured = run.evaluations.get(criterion.set)
        if found is None or measured is None or criterion.question not in ("accuracy", "external"):
            continue
        again = measured_again(run.protocol, measured, criterion.entry, found)
        if again is not None and (found.k, found.n) != (again.k, again.n):
            raise EvidenceError(
                f"run {run.run_id}: criterion {criterion.id} was judged on {found.k}/{found.n}, but the confusion "
                f"matrix of {criterion.set!r} gives {again.k}/{again.n}. Judge the evaluation that the pack holds."
            )
