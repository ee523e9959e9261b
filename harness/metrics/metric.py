"""One entry of the table of metrics: what a number is called, what it needs, and how it is measured.

An entry stands beside its arithmetic, in a module of this room that names its entries in `METRICS`;
`harness.metrics.table` collects them. Protocol, suites, judge, report, `verify` and `compare` ask the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from harness.core.errors import BrokenPromise
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.measurements import Measurements
from harness.protocol.needs import PROBABILITIES
from harness.protocol.prose import Family

Unit = Literal["fraction", "s", "images/s", "count"]
CellsOf = Literal["class", "others", "called", "class or called", "all"]
Scope = Literal["set", "class", "corruption", "column", "device"]


class Subject(Protocol):
    """What a metric is measured of; a `Criterion` is one.

    set:        name of the set, or of the device.
    cell_class: of a metric per class, else None.
    kind:       of a metric per corruption: the corruption, the transform or the input without a cell; of one per column
                the column; else None.
    """

    @property
    def set(self) -> str: ...
    @property
    def cell_class(self) -> str | None: ...
    @property
    def kind(self) -> str | None: ...


Measure = Callable[[Measurements, Subject, float], Estimate | Unavailable]


@dataclass(frozen=True, slots=True)
class Kinds:
    """Where the protocol lists the kinds that a metric per corruption, or per column, can be asked of.

    table, key: of the protocol, such as "robustness" and "kinds".
    together:   whether "any" asks for all of them together.
    """

    table: str
    key: str
    together: bool = False


def unchanged(floor: float) -> float:
    return floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    name:             as a criterion names it.
    questions:        the suites that ask for it.
    meaning:          what it is, in one sentence; the documentation of the protocol is made of these.
    unit:             of its values; higher_is_better: a criterion on it is a floor, else a ceiling.
    per:              what it is measured for, one at a time.
    needs:            what the classifier or the run must be able to give.
    measure:          the estimate with one-sided bounds at a level, or why there is none.
    range:            the smallest and the largest value that a criterion's bound may state.
    sets:             the only sets that it is measured on; empty where its questions say all.
    kinds:            of a metric per corruption or per column: where the protocol lists them.
    protocol_table:   an optional table of the protocol, by its dotted name, that it cannot do without.
    trials:           what the trials of a proportion of cells are; empty where it is none.
    proportion_floor: a floor on the metric as a floor on that proportion.
    holm:             "one class fails" is said after Holm's correction over the criteria on other classes, or kinds.
    right_or_wrong:   whether each of its trials is a cell that is right or wrong by its own label: then recalls alone
                      make its rate.
    cells:            of a metric per class: which cells enter it.
    column:           by whose values it divides a set; empty where it does not, or where the criterion's kind says it.
    cells_of:         sets whose cells it rests on, beside the one that a criterion names.
    counts:           what n counts.
    disturbed_by:     why a failure of it is not believed, such as a busy machine; None where it always is.
    covers:           of a search: what it can find, so that nobody takes "none found" for more.
    doubted_by:       why a pass of it is not believed, such as pictures that could not be compared; None where it is.
    family:           what a text that states a share of it speaks of; empty of what no text states as one.
    adapted:          whether it is of the classifier after it was adapted to the set, whose plan then says how.
    bounded:          whether its estimates have bounds; without them it is reported, and no criterion can be on it.
    """

    name: str
    questions: tuple[str, ...]
    meaning: str
    unit: Unit = "fraction"
    higher_is_better: bool = True
    per: Scope = "set"
    needs: frozenset[str] = frozenset({PROBABILITIES})
    measure: Measure
    range: tuple[float, float] = (0.0, 1.0)
    sets: tuple[str, ...] = ()
    kinds: Kinds | None = None
    protocol_table: str | None = None
    trials: str = ""
    proportion_floor: Callable[[float], float] = unchanged
    holm: bool = False
    right_or_wrong: bool = False
    cells: CellsOf = "class"
    column: str = ""
    cells_of: tuple[str, ...] = ()
    counts: str = "cells"
    disturbed_by: Callable[[Measurements, Subject], str | None] | None = None
    covers: str = ""
    doubted_by: Callable[[Measurements, Subject], str | None] | None = None
    family: Family = ""
    adapted: bool = False
    bounded: bool = True

    def estimate(self, measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        """What `measure` gives, once it keeps what this entry promises: a criterion must not act on anything else.

        Raises:
            BrokenPromise: counts are missing, or the bounds are not in order. A value without bounds keeps its promise:
                equal seeds show no spread, and nothing passes by it.
        """
        found = self.measure(measurements, subject, level)
        if isinstance(found, Estimate) and (broken := self._broken(found)):
            raise BrokenPromise(
                f"the metric {self.name!r} gave {found!r}: {broken}. Correct its `measure`, or its entry."
            )
        return found

    def _broken(self, found: Estimate) -> str | None:
        if found.metric != self.name:
            return f"it is called {found.metric!r} there"
        if found.unit != self.unit:
            return f"its unit is {self.unit!r}"
        if found.value is None:
            return None
        if self.trials and (found.k is None or found.n is None or not 0 <= found.k <= found.n):
            return f"a proportion of {self.trials} has k of n of them"
        if found.lower is not None and found.upper is not None and not found.lower <= found.upper:
            return "its lower bound is not below its upper one"
        return None

    def divides_by(self, subject: Subject) -> str | None:
        """The column by whose values it divides a set; None for a metric of the whole set."""
        return self.column or (subject.kind if self.per == "column" else None)

    @property
    def is_difference(self) -> bool:
        """Whether it compares two classifiers, and 0 is no difference."""
        return self.range[0] < 0
