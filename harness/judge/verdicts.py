"""Outcomes and verdicts: the words that terminal, JUnit, JSON and HTML share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.judge.sample_size import Assumed
from harness.metrics.estimates import Estimate, Unavailable
from harness.protocol.criteria import Criterion, Waiver


class Outcome(StrEnum):
    """The word that terminal, JUnit, JSON and HTML all use."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NOT_ASSESSED = "not assessed"
    NOT_JUDGED = "not judged"  # its test was deselected or stopped before it could decide, or its gate stayed closed


@dataclass(frozen=True, slots=True)
class Verdict:
    """One criterion, what was measured for it, and what follows.

    reason:      one sentence on why the outcome is what it is.
    n_to_decide: how many new cells would decide an inconclusive proportion in four of five runs; None if unknown.
    power:       the chance that a classifier whose true rate is the observed one passes with as many cells as here.
    assumed:     at which true rate `n_to_decide` cells decide; None without them, and in packs before decision 0039,
                 whose number decided where exactly the observed share of them was right.
    waiver:      the protocol's waiver, in force on the day of the run, where a criterion was not assessed.
    look:        the number of the look at the criterion's set, from 1; None where looks are not counted.
    not_asked:   not assessed because nobody asked, such as a comparison without --baseline.
    unavailable: what could not be answered, before anything was said of a waiver; None where it was answered.
    """

    criterion: Criterion
    estimate: Estimate | None
    outcome: Outcome
    reason: str
    n_to_decide: int | None = None
    power: float | None = None
    assumed: Assumed | None = None
    waiver: Waiver | None = None
    look: int | None = None
    not_asked: bool = False
    unavailable: Unavailable | None = None

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASSED

    @property
    def blocks(self) -> bool:
        """Whether this verdict alone keeps the run from passing. A waiver only ever excuses `not assessed`."""
        excused = self.outcome is Outcome.NOT_ASSESSED and (self.waiver is not None or self.not_asked)
        return self.criterion.required and not self.passed and not excused
