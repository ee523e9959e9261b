"""How much does a proof show? Exact bounds for the share of faults that are caught, and of clean controls that alarm.

The faults are a list that somebody drew up, not a sample of all that can go wrong: the bounds speak of their like.
"""

from __future__ import annotations

from harness.judge.intervals import clopper_pearson_bounds
from harness.records import Proof

LEVEL = 0.95


def detection(proof: Proof) -> tuple[int, int, float]:
    """(caught, planted, lower bound of the share at LEVEL, one-sided). 0 where nothing was planted."""
    caught, planted = len(proof.faults) - len(proof.survivors), len(proof.faults)
    return caught, planted, clopper_pearson_bounds(caught, planted, level=LEVEL)[0] if planted else 0.0


def alarms(proof: Proof) -> tuple[int, int, float]:
    """(alarms, clean controls, upper bound of the share at LEVEL, one-sided). 1 where there was no control."""
    raised, controls = len(proof.false_alarms), len(proof.controls)
    return raised, controls, clopper_pearson_bounds(raised, controls, level=LEVEL)[1] if controls else 1.0
