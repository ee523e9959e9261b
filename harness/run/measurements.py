"""What criteria may ask of the live run: each answer is a stage's result, made when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping

from harness.judge.criteria import level_at
from harness.judge.pretrained import unasked
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.comparison import Comparison
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.stability import Robustness
from harness.model.records import Timing
from harness.protocol.records import Criterion, Protocol
from harness.run.graph import Graph
from harness.run.stages import corruptions, data, independence, model, predictions, timing

# Questions whose criteria are judged on cells that training must not know, so that looks at them are counted.
LOOKING = ("accuracy", "regression", "calibration", "robustness", "external")


class LiveMeasurements:
    """Asks the run's stages.

    Args:
        stopwatch: times a scenario and returns its samples in seconds; None where timing is switched off.
    """

    def __init__(self, run: Graph, *, stopwatch: timing.Stopwatch) -> None:
        self._run, self._stopwatch = run, stopwatch

    @property
    def protocol(self) -> Protocol:
        return self._run.setting.protocol

    def unasked(self, criterion: Criterion) -> Unavailable | None:
        """Why a criterion is not asked of the judged classifier; None where it is."""
        return unasked(criterion, self._run(model.model))

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        return self._run(predictions.evaluation, set_name)

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        return self._run(predictions.seed_evaluations, set_name)

    def comparison(self, set_name: str) -> Comparison | Unavailable:
        return self._run(predictions.comparison, set_name)

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        return self._run(predictions.calibration, set_name)

    def robustness(self, *, level: float) -> Robustness:
        return self._run(corruptions.robustness, level)

    def timing(self, metric: str, *, device: str) -> Timing | Unavailable:
        own = self._run.setting.device.type
        if device not in ("any", own):
            return Unavailable(f"this run's device is {own}, not {device}")
        return timing.timing(self._run, metric, self._stopwatch)

    def level(self, criterion: Criterion) -> float:
        """The level of the bounds that this criterion acts on; looks at its set before this one raise it."""
        # Where the budget of looks is spent, the bounds are shown at the protocol's level, and nothing passes.
        return level_at(self.protocol, criterion, self.look(criterion)) or criterion.level

    def look(self, criterion: Criterion) -> int | None:
        """Which look at its set this criterion is judged at; None where looks are not counted, or the set is absent."""
        if criterion.question not in LOOKING or self._run(data.missing, criterion.set) is not None:
            return None
        return self._run(predictions.seen, criterion.set, self.protocol.training.seed).look

    def dependent_sets(self) -> Mapping[str, str]:
        return self._run(independence.dependent_sets)
