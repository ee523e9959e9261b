"""How far the classifier gives way to corrupted cells, and whether it tells cells from inputs without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.metrics.comparison import Comparison, compare
from harness.metrics.copies import counted_once
from harness.metrics.detection import Detection, detect_as_planned
from harness.metrics.estimates import Unavailable
from harness.metrics.predictions import Predictions
from harness.metrics.robustness import FlipRate, SeverityCurve, flip_rates, severity_curves
from harness.metrics.stability import Robustness
from harness.model.ood import ood_score_of
from harness.protocol.names import PARTS
from harness.run.graph import Asking, stage
from harness.run.recipes.classifier import OPENS
from harness.run.recipes.corruptions import SCORES, Corruptions, read_corruptions
from harness.run.stages.independence import duplicates
from harness.run.stages.model import card, opening, pictures, source
from harness.run.stages.predictions import predictions, without_baseline
from harness.run.stages.spread import corrupting


@stage(pictures, source, opening, corrupting, keeps=Corruptions, runs=OPENS)
def stress(run: Asking) -> dict[str, np.ndarray]:
    """What the classifier predicts for the test part corrupted and turned, and the out-of-distribution scores.

    Keys as `read_corruptions` gives them; rows of the test part in the order of its predictions.
    """
    protocol, parts = run.setting.protocol, {part: run(pictures, part) for part in PARTS}
    recipe = Corruptions(
        parts=parts,
        classes=run.setting.classes,
        source=run(source, protocol.training.seed),
        robustness=protocol.robustness,
        detection=protocol.detection,
        open=run(opening, protocol.training.seed),
        corrupted=run(corrupting),
    )
    kept = run.keep("robustness", recipe, anew=bool(recipe.source.card.asked_anew))
    return read_corruptions(kept, parts["test"])


@stage(stress, predictions)
def corrupted(run: Asking) -> dict[str, Predictions]:
    """Kind -> what the classifier says of the test part with that corruption at its agreed severity."""
    plan, every, shown = run.setting.protocol.robustness, run(predictions, "test"), run(stress)
    if plan is None:
        return {}
    return {kind: replace(every, probabilities=shown[f"{kind} {plan.agreed[kind]}"]) for kind in plan.kinds}


@stage(corrupted, duplicates, without_baseline)
def corrupted_comparison(run: Asking, kind: str) -> Comparison | Unavailable:
    """Candidate and baseline on the test part with one corruption, or why they are not compared."""
    if (reason := run(without_baseline, "test")) is not None:
        return reason
    baseline, plan = run.setting.options.baseline, run.setting.protocol.robustness
    assert baseline is not None and plan is not None  # it is there, and the protocol has kinds where one is asked of
    if (why := baseline.not_corrupted_alike(kind, plan)) is not None:
        return Unavailable(why)
    return compare(
        run(corrupted)[kind],
        baseline.corrupted[kind],
        baseline_run=baseline.run_id,
        copies=run(duplicates),
        intracluster_correlation=run.setting.protocol.clusters.intracluster_correlation,
    )


@stage(stress, predictions, duplicates)
def ood_scores(run: Asking) -> dict[str, np.ndarray]:
    """Set, or kind of input without a cell -> the score of each; of the test part one cell for each picture."""
    found = {name.removeprefix(SCORES): v for name, v in run(stress).items() if name.startswith(SCORES)}
    if "test" in found:
        every = run(predictions, "test")
        found["test"] = found["test"][np.isin(every.paths, counted_once(every, run(duplicates)).paths)]
    return found


@stage(ood_scores, predictions, duplicates, card)
def detection(run: Asking, level: float, correlation: float) -> Detection:
    """How well inputs without a cell are told from cells, the cells of one group taken for so alike at least."""
    plan = run.setting.protocol.detection
    assert plan is not None  # the protocol has a score where a criterion asks for one
    return detect_as_planned(
        plan,
        run(ood_scores),
        score=ood_score_of(plan, run(card)),
        level=level,
        groups=counted_once(run(predictions, "test"), run(duplicates)).groups,
        assumed_correlation=correlation,
    )


@stage(stress, predictions, duplicates, ood_scores, detection)
def robustness(run: Asking, level: float) -> Robustness:
    """Severity curves, flip rates and detection with one-sided bounds at `level`."""
    protocol, every, shown = run.setting.protocol, run(predictions, "test"), run(stress)
    pairs = run(duplicates)
    clean = counted_once(every, pairs)
    correlation = protocol.clusters.intracluster_correlation

    def answered(name: str) -> Predictions:
        return counted_once(replace(every, probabilities=shown[name]), pairs)

    curves: tuple[SeverityCurve, ...] = ()
    flips: tuple[FlipRate, ...] = ()
    if (plan := protocol.robustness) is not None:
        corrupted = {(kind, n): answered(f"{kind} {n}") for kind in plan.kinds for n in plan.severities}
        curves = severity_curves(clean, corrupted, intracluster_correlation=correlation, level=level)
        transformed = {name: answered(name) for name in plan.invariances}
        flips = flip_rates(clean, transformed, intracluster_correlation=correlation, level=level)
    found = None if protocol.detection is None else run(detection, level, correlation)
    return Robustness(curves, flips, found, run(ood_scores))
