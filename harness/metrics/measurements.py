"""What metrics may ask: of the live run, or of a pack that was read. Both answer the same questions.

A judge that asks a pack instead of a run is how `verify` recomputes every verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from harness.core.errors import HarnessError
from harness.metrics.estimates import Evaluation, Unavailable

if TYPE_CHECKING:
    from harness.metrics.calibration_records import CalibrationReport
    from harness.metrics.comparison import Comparison
    from harness.metrics.detection import Detection
    from harness.metrics.predictions import Predictions
    from harness.metrics.stability import Robustness
    from harness.model.records import Timing
    from harness.protocol.records import Protocol as ValidationProtocol


class NotRecorded(HarnessError, LookupError):
    """A pack does not hold what a number is made of: it can only be taken as recorded."""


@dataclass(frozen=True, slots=True)
class Count:
    """Something that was counted, not sampled.

    details: one line for each thing that is wrong.
    of:      how many files or rows were looked at; None where that is not a number of things.
    note:    what a reader must know beside the number, such as how many were looked at by their pixels alone.
    doubt:   why "none" would prove little, such as too many images that could not be compared; None where it proves it.
    """

    details: tuple[str, ...]
    of: int | None = None
    note: str = ""
    doubt: str | None = None


class Measurements(Protocol):
    """What a metric may ask. An answer is a record, or `Unavailable` with the reason.

    Raises:
        NotRecorded: by a pack that cannot answer.
    """

    @property
    def protocol(self) -> ValidationProtocol: ...

    def lacking(self, need: str) -> Unavailable | None:
        """Why one of a metric's `needs` cannot be met; None where it can."""

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        """The confusion matrix of one part or external set; of one of unknown classes, with their columns."""

    def slices(self, set_name: str, column: str) -> Mapping[str, Evaluation] | Unavailable:
        """Value of a column, "" for none -> the confusion matrix of those cells of one part or external set."""

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        """Training seed -> the evaluation of its classifier, the judged one among them."""

    def ensemble(self, set_name: str) -> Comparison | Unavailable:
        """The classifiers of all seeds together, paired with the best of them."""

    def adaptation(self, set_name: str) -> Comparison | Unavailable:
        """The classifier adapted to an external set, beside itself as it was, on the cells that were not drawn."""

    def unknown(self, set_name: str) -> Predictions | Unavailable:
        """What the classifier said of cells of classes that it does not know, one for each picture."""

    def comparison(self, set_name: str, *, kind: str | None = None) -> Comparison | Unavailable:
        """Candidate and baseline on one set, paired by cell; kind: with this corruption at its agreed severity."""

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        """How far the confidences on one set can be believed."""

    def robustness(self, *, level: float) -> Robustness | Unavailable:
        """Severity curves, flip rates and out-of-distribution detection with one-sided bounds at `level`."""

    def detection(self, *, level: float, correlation: float) -> Detection | Unavailable:
        """Out-of-distribution detection; correlation: how alike the cells of one group are assumed to be."""

    def count(self, question: str, metric: str) -> Count | Unavailable:
        """What was counted for a metric of integrity, split, leakage, reproducibility or training."""

    def timing(self, scenario: str, span: str, *, device: str) -> Timing | Unavailable:
        """Raw samples of one scenario; device: "any" takes the one that was timed."""


class NothingRecorded:
    """The `Measurements` of somebody who knows nothing; a subclass answers what it knows.

    what: is at hand, for the error.
    """

    def __init__(self, protocol: ValidationProtocol, *, what: str) -> None:
        self.protocol, self._what = protocol, what

    def lacking(self, need: str) -> Unavailable | None:
        return None

    def known_chains(self) -> Sequence[Any]:
        return ()  # of looks, which nobody here has counted

    def _refuse(self, asked: str) -> NoReturn:
        raise NotRecorded(f"there is only {self._what} at hand, nothing of {asked}")

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        self._refuse(f"the evaluation of {set_name}")

    def slices(self, set_name: str, column: str) -> Mapping[str, Evaluation] | Unavailable:
        self._refuse(f"the evaluation of {set_name} by {column}")

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        self._refuse(f"other seeds on {set_name}")

    def ensemble(self, set_name: str) -> Comparison | Unavailable:
        self._refuse(f"the seeds' answers on {set_name}")

    def adaptation(self, set_name: str) -> Comparison | Unavailable:
        self._refuse(f"an adaptation to {set_name}")

    def unknown(self, set_name: str) -> Predictions | Unavailable:
        self._refuse(f"cells of unknown classes in {set_name}")

    def comparison(self, set_name: str, *, kind: str | None = None) -> Comparison | Unavailable:
        self._refuse(f"a comparison on {set_name}")

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        self._refuse(f"the calibration on {set_name}")

    def robustness(self, *, level: float) -> Robustness | Unavailable:
        self._refuse("robustness")

    def detection(self, *, level: float, correlation: float) -> Detection | Unavailable:
        self._refuse("inputs without a cell")

    def count(self, question: str, metric: str) -> Count | Unavailable:
        self._refuse(metric)

    def timing(self, scenario: str, span: str, *, device: str) -> Timing | Unavailable:
        self._refuse(f"{scenario} on {device}")
