"""What metrics and judge may ask of the live run; `harness.pack.measurements` answers the same of a pack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.data.records import Manifest
from harness.judge.continuity import KnownChain
from harness.judge.pretrained import lacking
from harness.judge.rules import RULES
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.comparison import Comparison
from harness.metrics.detection import Detection
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.leakage import Compared, compared_in, count_of, incomparable_sets, n_looked_at
from harness.metrics.measurements import Count
from harness.metrics.predictions import Predictions
from harness.metrics.slices import evaluate_slices
from harness.metrics.stability import Robustness
from harness.metrics.timing import ANSWERED, differing_answers
from harness.model.records import Timing
from harness.protocol.criteria import Criterion
from harness.protocol.questions import QUESTIONS
from harness.protocol.records import Protocol
from harness.run.evidence import judged_predictions
from harness.run.graph import Graph
from harness.run.stages import (
    adaptation,
    corruptions,
    data,
    external,
    given,
    independence,
    onnx,
    predictions,
    reproducibility,
    timing,
)
from harness.run.stages import training_checks as training


class LiveMeasurements:
    """Asks the run's stages; each is made when it is first asked for.

    Args:
        stopwatch: times a scenario and returns its samples in seconds; None where timing is switched off.
    """

    def __init__(self, run: Graph, *, stopwatch: timing.Stopwatch) -> None:
        self._run, self._stopwatch = run, stopwatch
        self.rules = RULES

    @property
    def protocol(self) -> Protocol:
        return self._run.setting.protocol

    def lacking(self, need: str) -> Unavailable | None:
        return lacking(need, self._run(given.judged))

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        return self._run(predictions.evaluation, set_name)

    def slices(self, set_name: str, column: str) -> Mapping[str, Evaluation] | Unavailable:
        if (reason := self._run(predictions.unanswered, set_name)) is not None:
            return reason
        correlation = self.protocol.clusters.intracluster_correlation
        return evaluate_slices(self._run(predictions.counted, set_name), column, intracluster_correlation=correlation)

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        return self._run(predictions.seed_evaluations, set_name)

    def ensemble(self, set_name: str) -> Comparison | Unavailable:
        return self._run(predictions.ensemble, set_name)

    def adaptation(self, set_name: str) -> Comparison | Unavailable:
        return self._run(adaptation.adaptation, set_name)

    def unknown(self, set_name: str) -> Predictions | Unavailable:
        reason = self._run(predictions.unanswered, set_name)
        return reason if reason is not None else self._run(predictions.counted, set_name)

    def comparison(self, set_name: str, *, kind: str | None = None) -> Comparison | Unavailable:
        if kind is not None:
            return self._run(corruptions.corrupted_comparison, kind)
        return self._run(predictions.comparison, set_name)

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        return self._run(predictions.calibration, set_name)

    def robustness(self, *, level: float) -> Robustness | Unavailable:
        return self._run(corruptions.robustness, level)

    def detection(self, *, level: float, correlation: float) -> Detection | Unavailable:
        return self._run(corruptions.detection, level, correlation)

    def count(self, question: str, metric: str) -> Count | Unavailable:
        run = self._run
        match question:
            case "integrity":
                return Count(tuple(map(str, run(data.integrity).of(metric))), run(data.integrity).checked.get(metric))
            case "split":
                return Count(run(data.split_checks)[metric])
            case "leakage":
                found, uncompared = run(independence.leakage_checks)[metric], run(independence.uncompared)
                n = n_looked_at(metric, len(run(data.manifest).images), uncompared)
                return count_of(metric, found, n, uncompared, self._compared())
            case "reproducibility":
                return Count(run(reproducibility.reproducibility_checks)[metric])
            case "throughput":
                timings = [self.timing(*each, device="any") for each in ANSWERED]
                for each in timings:
                    if isinstance(each, Unavailable):
                        return each
                return differing_answers(
                    (t for t in timings if isinstance(t, Timing)), run(predictions.predictions, "test")
                )
            case "export":
                # The test part, and whatever else was scored: the classifier is shown no cell for this alone.
                scored = [name for name in judged_predictions(run) if name not in predictions.FITTING_SETS]
                return run(onnx.onnx_parity, tuple(dict.fromkeys(["test", *scored]))).count
            case _:
                return Count(run(training.training_checks)[metric])

    def timing(self, scenario: str, span: str, *, device: str) -> Timing | Unavailable:
        own = self._run.setting.device
        if device not in ("any", own):
            return Unavailable(f"this run's device is {own}, not {device}")
        return timing.timing(self._run, scenario, span, self._stopwatch)

    def known_chains(self) -> Sequence[KnownChain]:
        return self._run.setting.options.known_chains

    def look(self, criterion: Criterion) -> int | None:
        """Which look at its set this criterion is judged at; None where looks are not counted, or the set is absent."""
        counted = QUESTIONS[criterion.question].counts_looks
        if not counted or self._run(predictions.unanswered, criterion.set) is not None:
            return None
        if criterion.entry.adapted:
            found = self._run(adaptation.adaptation, criterion.set)
            return None if isinstance(found, Unavailable) else self._run(adaptation.look, criterion.set)
        return self._run(predictions.seen, criterion.set, self.protocol.training.seed).look

    def dependent_sets(self) -> Mapping[str, str]:
        return {**incomparable_sets(self._compared()), **self._run(independence.dependent_sets)}

    def _compared(self) -> Compared:
        sets = {name: len(e.images) for name, e in self._run(external.external).items() if isinstance(e, Manifest)}
        suffices = self.protocol.dataset.pixels_suffice
        return compared_in(self._run(independence.uncompared), self._run(data.split), sets, suffices=suffices)
