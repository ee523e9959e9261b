"""What metrics and judge may ask of the live run; `harness.pack.measurements` answers the same of a pack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from harness.judge.pretrained import lacking
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.comparison import Comparison
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.measurements import Count
from harness.metrics.stability import Robustness
from harness.model.records import Timing
from harness.model.scenarios import Scenario
from harness.protocol.records import Criterion, Protocol
from harness.run.run import Run

Stopwatch = Callable[[Scenario], Iterable[float] | None]


class LiveMeasurements:
    """Asks the run for one stage after the other; each is computed when it is first asked for.

    Args:
        stopwatch: times a scenario and returns its samples in seconds; None where timing is switched off.
    """

    def __init__(self, run: Run, *, stopwatch: Stopwatch) -> None:
        self._run, self._stopwatch = run, stopwatch

    @property
    def protocol(self) -> Protocol:
        return self._run.protocol

    def lacking(self, need: str) -> Unavailable | None:
        return lacking(need, self._run.model)

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        return self._run.evaluation(set_name)

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        return self._run.seed_evaluations(set_name)

    def comparison(self, set_name: str) -> Comparison | Unavailable:
        return self._run.comparison(set_name)

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        return self._run.calibration(set_name)

    def robustness(self, *, level: float) -> Robustness | Unavailable:
        return self._run.robustness(level=level)

    def count(self, question: str, metric: str) -> Count | Unavailable:
        run = self._run
        match question:
            case "integrity":
                return Count(tuple(map(str, run.integrity.of(metric))), run.integrity.checked.get(metric))
            case "split":
                return Count(run.split_checks[metric])
            case "leakage":
                return Count(run.leakage_checks[metric], len(run.manifest.images))
            case "reproducibility":
                return Count(run.reproducibility_checks[metric])
            case _:
                return Count(run.training_checks[metric])

    def timing(self, scenario: str, span: str, *, device: str) -> Timing | Unavailable:
        if device not in ("any", self._run.device.type):
            return Unavailable(f"this run's device is {self._run.device.type}, not {device}")
        return self._run.timing(scenario, span, self._stopwatch)

    def look(self, criterion: Criterion) -> int | None:
        return self._run.look(criterion)

    def dependent_sets(self) -> Mapping[str, str]:
        return self._run.dependent_sets
