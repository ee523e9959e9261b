"""The questions that suites ask, and the gates through which a run passes: one table.

A metric says which questions it answers (`harness.metrics.table`); everything else that depends on the question stands
here once: on which sets it can be asked, at which gate it is judged, and whether asking it is a look at its set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# The order in which gates open: a criterion is judged only where no required one of an earlier gate blocks.
# Nobody looks at the test part of data that are not sound, and nothing fast or calibrated is praised that is wrong.
GATES = ("data", "split", "procedure", "accuracy", "classes", "regression", "calibration", "elsewhere", "speed")
DEVICES = ("mps", "cuda", "cpu")  # in order of preference; what each can do stands in harness/model/devices.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one suite asks.

    gate:              at which its criteria are judged; gate_per_class: where they speak of one class, if elsewhere.
    sets:              what a criterion may name as its set; on_external: also the external sets of the protocol.
    on_unknown:        or its sets of cells of classes that the classifier does not know.
    counts_looks:      its criteria are judged on cells that training must not know, so each look at them counts.
    needs_independence: an external set satisfies it only where its independence of the training source is shown.
    """

    name: str
    gate: str
    sets: tuple[str, ...]
    on_external: bool = False
    on_unknown: bool = False
    gate_per_class: str = ""
    counts_looks: bool = False
    needs_independence: bool = False

    def sets_among(self, external: Sequence[str], unknown: Sequence[str]) -> tuple[str, ...]:
        return (*self.sets, *(external if self.on_external else ()), *(unknown if self.on_unknown else ()))


# In the order in which pytest asks them: data before split before model.
QUESTIONS = {
    question.name: question
    for question in (
        Question(name="integrity", gate="data", sets=("dataset",)),
        Question(name="split", gate="split", sets=("dataset",)),
        Question(name="leakage", gate="split", sets=("dataset",)),
        Question(name="reproducibility", gate="procedure", sets=("dataset",)),
        Question(name="training", gate="procedure", sets=("training",)),
        Question(
            name="accuracy",
            gate="accuracy",
            gate_per_class="classes",
            sets=("validation", "test"),
            counts_looks=True,
        ),
        Question(name="regression", gate="regression", sets=("test",), on_external=True, counts_looks=True),
        Question(
            name="calibration",
            gate="calibration",
            sets=("test",),
            on_external=True,
            counts_looks=True,
            needs_independence=True,
        ),
        Question(name="robustness", gate="elsewhere", sets=("test",), counts_looks=True),
        Question(
            name="external", gate="elsewhere", sets=(), on_external=True, counts_looks=True, needs_independence=True
        ),
        Question(name="unknown", gate="elsewhere", sets=(), on_unknown=True, counts_looks=True),
        # Asked when every set is scored that will be, so that all of them are compared. It belongs to the gate at which
        # the test part is first looked at: what an exported file says of judged cells is no less true elsewhere.
        Question(name="export", gate="accuracy", sets=("export",)),
        Question(name="throughput", gate="speed", sets=(*DEVICES, "any")),
    )
}
