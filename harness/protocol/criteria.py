"""What is asked of which metric, and who excuses that it cannot be answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from harness.protocol.names import Name
from harness.protocol.questions import QUESTIONS
from harness.protocol.record import Record as _Record
from harness.protocol.record import Text
from harness.protocol.statistics import HIGHEST_LEVEL

if TYPE_CHECKING:
    from harness.metrics.metric import Metric


NEAREST_TO_VACUOUS = 1e-6  # of a bound to the value that nothing can miss


def metric_table() -> Mapping[str, Metric]:
    """The table of metrics, which criteria are checked against.

    Looked up when the first criterion is made and not imported: metrics are written in terms of criteria, so the room
    of metrics imports this one. It is the one place where a room asks a room that comes after it.
    """
    table: Mapping[str, Metric] = import_module("harness.metrics.table").TABLE
    return table


class Criterion(_Record):
    """One question with its bound, fixed before the run.

    id:     names it everywhere; with "each" the class or kind is added.
    question: which suite asks it, and so at which gate it is judged.
    metric: what is measured, from docs/metrics.md.
    cell_class: of a metric per class: one of the classes, or "each".
    rationale: why this bound, for whoever reads the verdict; whoever changes the bound of a base states another.
    required: whether the run passes only with it; else it is reported for information.
    set:    "dataset" for integrity, split, leakage and reproducibility; "training"; "validation", "test" or an external
            set's name, or that of a set of unknown cells; for throughput the device: "mps", "cuda", "cpu" or "any".
    kind:   for robustness: of the disturbance, the transform or the input without a cell; "any" takes all together;
            for worst_slice the column.
    floor, ceiling: exactly one. A floor acts on the lower bound, a ceiling on the upper.
    level:  one-sided confidence of that bound.
    """

    id: Name
    question: Literal[tuple(QUESTIONS)]  # type: ignore[valid-type]
    set: str
    metric: str
    cell_class: str | None = None
    kind: str | None = None
    floor: float | None = None
    ceiling: float | None = None
    level: float = Field(ge=0.5, le=HIGHEST_LEVEL)
    rationale: Text = Field(min_length=1)
    required: bool

    @model_validator(mode="after")
    def _answerable(self) -> Criterion:
        if (self.floor is None) == (self.ceiling is None):
            raise ValueError(f"criterion {self.id} needs exactly one of `floor` and `ceiling`")
        table = metric_table()
        metric = table.get(self.metric)
        if metric is None or self.question not in metric.questions:
            known = ", ".join(each.name for each in table.values() if self.question in each.questions and each.bounded)
            raise ValueError(
                f"criterion {self.id}: no stage feeds metric {self.metric!r} for question {self.question!r}; "
                f"it can be one of {known}"
            )
        if not metric.bounded:
            raise ValueError(
                f"criterion {self.id}: metric {metric.name!r} has no bound, so nothing could pass or fail on it; it is "
                "reported for every set without a criterion"
            )
        for key, value, needed in (
            ("cell_class", self.cell_class, metric.per == "class"),
            ("kind", self.kind, metric.per in ("corruption", "column")),
        ):
            if (value is not None) != needed:
                word = f"needs a `{key}`" if needed else f"takes no `{key}`"
                raise ValueError(f"criterion {self.id}: metric {metric.name!r} {word}")
        # A bound on the wrong side or beyond every value would pass whatever was measured.
        if (self.floor is not None) != metric.higher_is_better:
            side = "floor` (more of it is better)" if metric.higher_is_better else "ceiling` (less of it is better)"
            raise ValueError(f"criterion {self.id}: metric {metric.name!r} takes a `{side}")
        self._refuse_vacuous_bound(metric)
        return self

    def _refuse_vacuous_bound(self, metric: Metric) -> None:
        lowest, highest = metric.range
        if metric.is_difference and not lowest < self.bound <= highest:
            raise ValueError(
                f"criterion {self.id}: {self.bound:g} is not a difference of two fractions; write floor = -0.02 to "
                "allow 2 points less than the baseline"
            )
        if metric.unit == "fraction" and not lowest <= self.bound <= highest:
            hint = f"; write {self.bound / 100:g} for {self.bound:g} %" if self.bound > 1 else ""
            raise ValueError(f"criterion {self.id}: {self.bound:g} is not a fraction in [0, 1]{hint}")
        if self.ceiling is not None and self.ceiling < lowest:
            raise ValueError(
                f"criterion {self.id}: {metric.name!r} is never below {lowest:g}, so nothing could meet a bound of "
                f"{self.bound:g}; state one of at least {lowest:g}"
            )
        # So near to the end of a fraction that one right answer of a million meets it, such as 1e-300.
        near = NEAREST_TO_VACUOUS if metric.unit == "fraction" else 0.0
        if self.bound <= lowest + near if self.floor is not None else self.bound >= highest - near:
            raise ValueError(
                f"criterion {self.id}: nothing could miss a bound of {self.bound:g}; state one that can fail"
            )

    @property
    def entry(self) -> Metric:
        """Its metric's entry in the table."""
        return metric_table()[self.metric]

    @property
    def bound(self) -> float:
        return self.floor if self.floor is not None else self.ceiling  # type: ignore[return-value]

    @property
    def gate(self) -> str:
        """Which of `GATES` it belongs to."""
        question = QUESTIONS[self.question]
        return question.gate_per_class if question.gate_per_class and self.cell_class is not None else question.gate

    @property
    def family(self) -> str:
        """What criteria on the same metric of several classes share: their question, set and metric."""
        return f"{self.question}/{self.set}/{self.metric}"


class Waiver(_Record):
    """Lets a required criterion be `not assessed`, in the open. It never turns a failure into a pass.

    criterion: the id of the criterion.
    reason:  why it cannot be assessed, for the report.
    owner:   who answers for it.
    expires: the last day on which it counts.
    """

    criterion: Name
    reason: Text = Field(min_length=10)
    owner: Text = Field(min_length=2)
    expires: date
