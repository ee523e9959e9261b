"""How much does a proof show? Exact bounds for the share of faults that are caught, and of clean controls that alarm.

The faults are a list that somebody drew up, not a sample of all that can go wrong: the bounds speak of their like.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.metrics.intervals import clopper_pearson_bounds


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one planted fault, or of one clean control.

    id:          the row of the list of faults that it belongs to, and its variant, such as "K2-rotated".
    expected:    what must be seen where it is caught; happened: what was seen.
    as_expected: a fault was caught by what must catch it; a control raised no alarm.
    """

    id: str
    title: str
    expected: str
    happened: str
    as_expected: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of every planted fault and every clean control.

    code:  digest of the sources that were proven: harness, suites and fixtures.
    quick: only a chosen few were planted.
    made:  ISO 8601 in UTC.
    """

    code: str
    version: str
    quick: bool
    made: str
    seconds: float
    faults: tuple[Trial, ...]
    controls: tuple[Trial, ...]

    @property
    def holds(self) -> bool:
        return bool(self.faults) and not self.survivors and not self.false_alarms

    @property
    def survivors(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.faults if not trial.as_expected)

    @property
    def false_alarms(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.controls if not trial.as_expected)


LEVEL = 0.95


def detection(proof: Proof) -> tuple[int, int, float]:
    """(caught, planted, lower bound of the share at LEVEL, one-sided). 0 where nothing was planted."""
    caught, planted = len(proof.faults) - len(proof.survivors), len(proof.faults)
    return caught, planted, clopper_pearson_bounds(caught, planted, level=LEVEL)[0] if planted else 0.0


def alarms(proof: Proof) -> tuple[int, int, float]:
    """(alarms, clean controls, upper bound of the share at LEVEL, one-sided). 1 where there was no control."""
    raised, controls = len(proof.false_alarms), len(proof.controls)
    return raised, controls, clopper_pearson_bounds(raised, controls, level=LEVEL)[1] if controls else 1.0
