"""What is made of predictions: comparisons, calibration, robustness and explanations, again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.core.errors import HarnessError
from harness.data.leakage import DuplicatePair
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.estimates import DISPLAY_LEVEL, Evaluation
from harness.metrics.explanations import Explanations
from harness.metrics.predictions import Predictions
from harness.metrics.robustness import FlipRate, SeverityCurve
from harness.metrics.stability import Robustness
from harness.model.ood import ood_score_of
from harness.pack.comparing_again import Compared, Held, compared_again, corrupted_again
from harness.pack.explained import explained_again
from harness.pack.files import EVIDENCE
from harness.pack.measurements import at_level, calibration_of
from harness.pack.rebuilding.frame import Frame
from harness.pack.rebuilding.judged import Judged
from harness.pack.rebuilding.said import Said
from harness.report.page import renderer
from harness.report.sections.failures import to_explain
from harness.run.results import Baseline, RunResults


def compare_again(
    frame: Frame, said: Said, baseline: Baseline | None, copies: tuple[DuplicatePair, ...]
) -> tuple[dict[str, Predictions], Compared]:
    """(what was said of corrupted cells, every comparison with the baseline)."""
    curves = frame.of(tuple[SeverityCurve, ...] | None, "robustness", "curves") or ()
    held = Held(frame.pack, frame.protocol, frame.rules, said.predictions, {}, baseline, copies)
    corrupted = corrupted_again(held, curves, frame.note)
    found = compared_again(replace(held, corrupted=corrupted), frame.note)
    frame.take(*found.taken)
    return corrupted, found


def calibrate_again(frame: Frame, said: Said, judged: Judged) -> dict[str, CalibrationReport]:
    found = {}
    for name in frame.field("calibrations", kind=dict):
        try:
            found[name] = calibration_of(
                frame.protocol, said.counted, name, judged=judged.model or judged.given, rules=frame.rules
            )
        except HarnessError as error:
            frame.note(EVIDENCE, f"calibrations > {name}", str(error))
    return found


def recorded_robustness(frame: Frame, said: Said, judged: Judged) -> Robustness | None:
    """Counts and scores as recorded, with bounds made anew at the level of displays; None if not examined."""
    if not frame.has("robustness"):
        return None
    curves = frame.of(tuple[SeverityCurve, ...], "robustness", "curves")
    flips = frame.of(tuple[FlipRate, ...], "robustness", "flips")
    scores = frame.of(dict[str, tuple[float, ...]], "robustness", "strangeness")
    for curve in curves:
        _check_clean(frame, said.evaluations.get(curve.set), curve)
    recorded = Robustness(
        curves, flips, None, {name: np.array(values, dtype=np.float64) for name, values in scores.items()}
    )
    plan, record = frame.protocol.detection, judged.model or judged.training
    card = None if record is None else record.card
    score = None if plan is None else plan.score if card is None else ood_score_of(plan, card)
    frame.take(
        "what the network said of disturbed and turned cells, and how strange each input looked to it: counts "
        "and scores are recorded, bounds and detection follow from them"
    )
    test = said.counted.get("test")
    groups = None if test is None else test.groups
    return at_level(recorded, frame.protocol, score=score, level=DISPLAY_LEVEL, groups=groups, rules=frame.rules)


def _check_clean(frame: Frame, found: Evaluation | None, curve: SeverityCurve) -> None:
    clean = curve.clean
    if found is None or (found.n_correct, found.n) != (clean.k, clean.n):
        here = "nothing" if found is None else f"{found.n_correct}/{found.n}"
        field = f"robustness > curves > {curve.kind}"
        frame.note(EVIDENCE, field, f"{clean.k}/{clean.n} clean cells, the predictions of {curve.set} have {here}")
    for point in curve.points:
        if point.lost is not None and point.gained is not None and clean.k - point.lost + point.gained != point.k:
            field = f"robustness > curves > {curve.kind} > {point.severity}"
            frame.note(EVIDENCE, field, f"{point.lost} lost and {point.gained} gained do not make {point.k} right")
        if point.by_group is not None and tuple(map(sum, zip(*point.by_group, strict=True))) != (
            point.n,
            point.lost,
            point.gained,
        ):
            frame.note(EVIDENCE, f"robustness > curves > {curve.kind}", "its groups are not those of its cells")


def explain_again(frame: Frame, results: RunResults) -> Explanations | None:
    found: Explanations | None = frame.of(Explanations | None, "explanations")
    if found is None:
        if frame.pack.evidence.get("renderer") == renderer() and to_explain(results):
            frame.note(EVIDENCE, "explanations", "cells are pictured, and nothing is told of why they were called so")
        return None
    frame.take("where the classifier's gradients and features lead: maps and distances are recorded, and compared")
    again, problems = explained_again(found, results)
    for place, message in problems:
        frame.note(EVIDENCE, f"explanations > {place}", message)
    return again
