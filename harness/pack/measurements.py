"""What metrics and judge may ask of a pack: the same questions as of the live run, answered from what was written.

What rests on cells is computed from the predictions, what rests on samples from the raw timings, what was counted from
the listed findings and from the manifest. The judge that asks this is how `verify` recomputes every verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from harness.core.errors import DataError, EvidenceError, HarnessError
from harness.data.records import Manifest
from harness.data.split import leaked_units, listing_order_changes, path_prefix_changes, size_mismatches
from harness.judge.continuity import KnownChain
from harness.judge.looks import looked_at
from harness.judge.pretrained import Judged, lacking, unanswered
from harness.judge.rules import Rules
from harness.metrics.adaptation import beside_unadapted
from harness.metrics.calibration import calibration_report
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.classification import evaluate
from harness.metrics.comparison import Comparison
from harness.metrics.detection import Detection, detect_as_planned
from harness.metrics.deviations import training_deviations
from harness.metrics.ensemble import ensemble_beside_best
from harness.metrics.estimates import DISPLAY_LEVEL, Evaluation, Unavailable
from harness.metrics.fits import fits_on_judged_cells
from harness.metrics.intervals import clopper_pearson_bounds, wilson_interval
from harness.metrics.leakage import Compared, compared_in, count_of, dependent_sets, leakage, n_looked_at
from harness.metrics.measurements import Count, NotRecorded
from harness.metrics.paired import mcnemar_exact
from harness.metrics.predictions import Predictions
from harness.metrics.reproducibility import reproducibility
from harness.metrics.robustness import FlipRate, SeverityPoint
from harness.metrics.slices import evaluate_slices
from harness.metrics.stability import Robustness
from harness.metrics.timing import ANSWERED, differing_answers
from harness.model.records import Timing
from harness.protocol.criteria import Criterion
from harness.protocol.names import PARTS
from harness.protocol.needs import ANSWERS_ON_VALIDATION
from harness.protocol.records import Protocol
from harness.run.results import RunResults


class RecordedMeasurements:
    """The `Measurements` of a run whose records were read from its pack, its verdicts aside.

    Args:
        run: the records; nothing in them is recomputed here but what a metric asks for.
        manifest: the dataset's, without a root; None where the pack has none.
    """

    def __init__(self, run: RunResults, manifest: Manifest | None) -> None:
        self._run, self._manifest = run, manifest
        self._calibrations = dict(run.calibrations)
        self._robustness: dict[float, Robustness] = {}

    @property
    def protocol(self) -> Protocol:
        return self._run.protocol

    @property
    def rules(self) -> Rules:
        return self._run.rules

    def lacking(self, need: str) -> Unavailable | None:
        return lacking(need, self._run.judged)

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        if (reason := unanswered(set_name, self._run.judged)) is not None:
            return reason
        if (strange := self._run.unknown.get(set_name)) is not None:
            correlation = self.protocol.clusters.intracluster_correlation
            return evaluate(self._run.counted(strange), intracluster_correlation=correlation)
        if set_name not in self._run.evaluations:
            raise NotRecorded(f"the pack has no predictions of {set_name}")
        return self._run.evaluations[set_name]

    def slices(self, set_name: str, column: str) -> Mapping[str, Evaluation] | Unavailable:
        if (reason := unanswered(set_name, self._run.judged)) is not None:
            return reason
        if set_name not in self._run.predictions:
            raise NotRecorded(f"the pack has no predictions of {set_name}")
        correlation = self.protocol.clusters.intracluster_correlation
        found = self._run.counted(self._run.predictions[set_name])
        return evaluate_slices(found, column, intracluster_correlation=correlation)

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        correlation = self.protocol.clusters.intracluster_correlation
        seeds = self._seeds(set_name)
        return {seed: evaluate(each, intracluster_correlation=correlation) for seed, each in seeds.items()}

    def ensemble(self, set_name: str) -> Comparison | Unavailable:
        correlation = self.protocol.clusters.intracluster_correlation
        return ensemble_beside_best(self._seeds(set_name), intracluster_correlation=correlation)

    def _seeds(self, set_name: str) -> dict[int, Predictions]:
        asked = self.protocol.training.every_seed
        if not set(asked) <= set(self._run.seed_predictions):
            raise NotRecorded(f"the pack has no predictions of {set_name} by the classifiers of all seeds")
        return {seed: self._run.counted(self._run.seed_predictions[seed]) for seed in asked}

    def adaptation(self, set_name: str) -> Comparison | Unavailable:
        if (reason := unanswered(set_name, self._run.judged)) is not None:
            return reason
        if set_name not in self._run.adaptations:
            raise NotRecorded(f"the pack has nothing of an adaptation to {set_name}")
        return beside_unadapted(
            self._run.adaptations[set_name],
            self._run.predictions[set_name],
            copies=self._run.copies,
            intracluster_correlation=self.protocol.clusters.intracluster_correlation,
        )

    def unknown(self, set_name: str) -> Predictions | Unavailable:
        if (reason := unanswered(set_name, self._run.judged)) is not None:
            return reason
        if set_name not in self._run.unknown:
            raise NotRecorded(f"the pack has no answers on {set_name}")
        return self._run.counted(self._run.unknown[set_name])

    def comparison(self, set_name: str, *, kind: str | None = None) -> Comparison | Unavailable:
        if self._run.baseline is None:  # which a run asks for first
            raise NotRecorded("the run had no baseline")
        if (reason := unanswered(set_name, self._run.judged)) is not None:
            return reason
        if kind is not None:
            if kind not in self._run.corrupted_comparisons:
                raise NotRecorded(f"the pack has no comparison on cells with {kind}")
            return self._run.corrupted_comparisons[kind]
        if set_name not in self._run.comparisons:
            raise NotRecorded(f"the pack has no comparison on {set_name}")
        return self._run.comparisons[set_name]

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        if (reason := unanswered(set_name, self._run.judged)) is not None:
            return reason
        if set_name not in self._calibrations:
            try:
                run = self._run
                self._calibrations[set_name] = calibration_of(
                    self.protocol, run.counted_predictions, set_name, judged=run.judged, rules=run.rules
                )
            except HarnessError as error:
                raise NotRecorded(str(error)) from None
        return self._calibrations[set_name]

    def robustness(self, *, level: float) -> Robustness | Unavailable:
        if self._run.robustness is None:
            raise NotRecorded("the pack says nothing of robustness")
        if level not in self._robustness:
            detection = self._run.robustness.detection
            score = None if detection is None else detection.score
            self._robustness[level] = at_level(
                self._run.robustness,
                self.protocol,
                score=score,
                level=level,
                groups=self._groups_of_test(),
                rules=self.rules,
            )
        return self._robustness[level]

    def detection(self, *, level: float, correlation: float) -> Detection | Unavailable:
        recorded = self._run.robustness
        if recorded is None or recorded.detection is None:
            raise NotRecorded("the pack says nothing of inputs without a cell")
        if not self.rules.detected_by_group and correlation != self.protocol.clusters.intracluster_correlation:
            raise NotRecorded("its judge took every cell as independent here")
        found = detection_of(
            recorded.strangeness,
            self.protocol,
            score=recorded.detection.score,
            level=level,
            correlation=correlation,
            groups=self._groups_of_test(),
            rules=self.rules,
        )
        assert found is not None  # it was recorded
        return found

    def _groups_of_test(self) -> tuple[str, ...] | None:
        found = self._run.predictions.get("test")
        return None if found is None else self._run.counted(found).groups

    def count(self, question: str, metric: str) -> Count | Unavailable:
        found = self._counted(question, metric)
        if found is None:
            raise NotRecorded(f"the pack does not hold what {metric} is counted from")
        return found

    def _counted(self, question: str, metric: str) -> Count | None:
        run = self._run
        match question:
            case "integrity" if run.integrity is not None:
                return Count(tuple(map(str, run.integrity.of(metric))), run.integrity.checked.get(metric))
            case "throughput" if "test" in run.predictions:
                timings = [self.timing(*each, device="any") for each in ANSWERED]
                if any(isinstance(each, Unavailable) or each.answers is None for each in timings):
                    return None
                return differing_answers((t for t in timings if isinstance(t, Timing)), run.predictions["test"])
            case "split":
                return self._split_count(metric)
            case "leakage" if run.duplicates is not None and run.shortcuts is not None and run.split is not None:
                return self._leakage_count(metric, leakage(run.duplicates, run.shortcuts, run.split)[metric])
            case "reproducibility" if run.reproducibility:
                return Count(reproducibility(run.reproducibility)[metric])
            case "export" if run.parity is not None:
                return run.parity.count
            case "training" if metric == "judged_cells_in_fits":
                return Count(fits_on_judged_cells(run.fits))
            case "training" if run.training is not None:
                try:
                    deviations = training_deviations(run.training, self.protocol.training)
                except ValueError:
                    raise EvidenceError("the training has other phases than the protocol") from None
                return Count(deviations[metric]) if metric in deviations else None
            case _:
                return None

    def _leakage_count(self, metric: str, found: tuple[str, ...]) -> Count:
        if self._manifest is None:
            return Count(found)
        compared, uncompared = self._compared(), self._run.uncompared
        n = n_looked_at(metric, len(self._manifest.images), uncompared, searched=compared is not None)
        return Count(found, n) if compared is None else count_of(metric, found, n, uncompared, compared)

    def _compared(self) -> Compared | None:
        """None of a run that an older judge judged."""
        run = self._run
        if not run.rules.searched or run.split is None:
            return None
        sets = {each.name: each.n_images for each in run.sets if each.role == "external" and not each.absent_because}
        return compared_in(run.uncompared, run.split, sets, suffices=self.protocol.dataset.pixels_suffice)

    def _split_count(self, metric: str) -> Count | None:
        split, manifest, plan = self._run.split, self._manifest, self.protocol.split
        if split is None or manifest is None:
            return None
        checks: dict[str, Callable[[], Sequence[str]]] = {
            "split_size_mismatches": lambda: size_mismatches(split, manifest, plan),
            "leaked_units": lambda: leaked_units(split),
            "listing_order_changes": lambda: listing_order_changes(split, manifest, plan),
            "path_prefix_changes": lambda: path_prefix_changes(split, manifest, plan),
        }
        try:
            return Count(tuple(checks[metric]())) if metric in checks else None
        except DataError:
            return None  # such a dataset cannot be drawn again

    def timing(self, scenario: str, span: str, *, device: str) -> Timing | Unavailable:
        for timing in self._run.timings:
            if (timing.scenario, timing.span) == (scenario, span) and device in ("any", timing.device):
                return timing
        raise NotRecorded(f"the pack has no samples of {scenario}, {span}, on {device}")

    def known_chains(self) -> Sequence[KnownChain]:
        return self._run.known_chains

    def look(self, criterion: Criterion) -> int | None:
        return self._run.looks.get(looked_at(criterion))

    def dependent_sets(self) -> Mapping[str, str] | None:
        if self._run.duplicates is None:
            return None
        units: dict[str, Collection[str]] = {
            name: each.groups or () for name, each in self._run.predictions.items() if name not in PARTS
        }
        if self._manifest is not None:
            units["dataset"] = {image.unit for image in self._manifest.images}
        return dependent_sets(self._run.duplicates, self._run.provenance, units, self._compared())


def calibration_of(
    protocol: Protocol, predictions: Mapping[str, Predictions], set_name: str, *, judged: Judged, rules: Rules
) -> CalibrationReport:
    """The calibration report of one set, made from the predictions of it and of validation, where there are any.

    Args:
        rules: by which its bounds were made.
    Raises:
        NotRecorded: its predictions are not in the pack, or those of validation, and what was judged covers it.
    """
    unfitted = lacking(ANSWERS_ON_VALIDATION, judged) is not None
    if set_name not in predictions or not ("validation" in predictions or unfitted):
        raise NotRecorded("the predictions that it rests on are not in the pack")
    plan, prevalence = protocol.calibration, protocol.prevalence
    return calibration_report(
        predictions.get("validation"),
        predictions[set_name] if rules.grouped else replace(predictions[set_name], groups=None),
        n_bins=plan.n_bins,
        binning="equal-width",
        alpha=plan.miscoverage,
        level=DISPLAY_LEVEL,
        referral=plan.referral,
        prevalence=prevalence.shares if prevalence is not None else None,
        seed=protocol.training.seed,
        intracluster_correlation=protocol.clusters.intracluster_correlation,
        rates_together="MOVER of many" if rules.few_apart else "MOVER" if rules.sharper else None,
        counted=rules.counted,
    )


# --- robustness -------------------------------------------------------------------------------


def detection_of(
    scores: Mapping[str, np.ndarray],
    protocol: Protocol,
    *,
    score: str | None,
    level: float,
    correlation: float,
    groups: Sequence[str] | None,
    rules: Rules,
) -> Detection | None:
    """How well the recorded scores tell cells from inputs without one; None where the protocol asks for none.

    Args:
        correlation: how alike the cells of one group are assumed to be.
        groups: of the test cells that count; a judge that did not know of them has none.
    """
    if (plan := protocol.detection) is None or score is None:
        return None
    return detect_as_planned(
        plan,
        scores,
        score=score,
        level=level,
        groups=groups if rules.detected_by_group else None,
        assumed_correlation=correlation,
        areas_by="proportion" if rules.sharper else "DeLong",
    )


def at_level(
    recorded: Robustness,
    protocol: Protocol,
    *,
    score: str | None,
    level: float,
    groups: Sequence[str] | None,
    rules: Rules,
) -> Robustness:
    """The same counts and scores with bounds at another level.

    Args:
        score: what the out-of-distribution scores are; None where the protocol asks for none.
        groups: of the test cells that count.
        rules: by which areas have their bounds.
    Raises:
        NotRecorded: cells are clustered, so the bounds need the corrupted predictions, which a pack does not hold;
            those at the level of displays are taken as recorded.
    """
    counted = [point for curve in recorded.curves for point in curve.points] + list(recorded.flips)
    if level != DISPLAY_LEVEL and any(each.effective_n is not None for each in counted):
        raise NotRecorded(f"bounds at {level:g} need the predictions of corrupted cells")
    return Robustness(
        tuple(
            replace(curve, points=tuple(_bounded(each, level) for each in curve.points)) for curve in recorded.curves
        ),
        tuple(_with_p(_bounded(each, level)) for each in recorded.flips),
        detection_of(
            recorded.strangeness,
            protocol,
            score=score,
            level=level,
            correlation=protocol.clusters.intracluster_correlation,
            groups=groups,
            rules=rules,
        ),
        recorded.strangeness,
    )


Counted = TypeVar("Counted", SeverityPoint, FlipRate)


def _bounded(counted: Counted, level: float) -> Counted:
    """The same counts with bounds made anew; as recorded where cells are clustered."""
    if counted.effective_n is not None:
        return counted
    lower, upper = clopper_pearson_bounds(counted.k, counted.n, level=level)
    display = wilson_interval(counted.k, counted.n, level=DISPLAY_LEVEL)
    bounded = replace(counted, lower=lower, upper=upper, display=display, level=level)
    if isinstance(bounded, SeverityPoint):
        recalls = tuple(replace(r, lower=clopper_pearson_bounds(r.k, r.n, level=level)[0]) for r in bounded.recalls)
        bounded = replace(bounded, recalls=recalls)
    return bounded


def _with_p(flips: FlipRate) -> FlipRate:
    return flips if flips.p is None else replace(flips, p=mcnemar_exact(flips.became_wrong, flips.became_right)[0])
