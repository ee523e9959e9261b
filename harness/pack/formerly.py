"""What would an earlier version have recorded? Verdicts as packs have them that do not say what their n assumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.judge.sample_size import cells_at_that_rate
from harness.judge.verdicts import Verdict
from harness.pack.read import Pack
from harness.run.results import RunResults


def lacks_assumed(pack: Pack) -> bool:
    """Whether the pack was written before decision 0039: its `n_to_decide` was that of the observed share itself."""
    verdicts = pack.evidence.get("verdicts")
    return isinstance(verdicts, list) and not any(isinstance(v, Mapping) and "assumed" in v for v in verdicts)


def as_formerly(run: RunResults, pack: Pack) -> RunResults:
    """The run with the numbers of cells that its pack could have recorded; unchanged where it says what they assume."""
    if not lacks_assumed(pack):
        return run
    return replace(run, verdicts=tuple(map(_at_that_rate, run.verdicts)))


def _at_that_rate(verdict: Verdict) -> Verdict:
    needed = verdict.n_to_decide
    # A verdict on an observed proportion has a power; where nothing was observed, both versions assume no error.
    if verdict.power is not None and verdict.estimate is not None:
        needed = cells_at_that_rate(verdict.criterion, verdict.estimate)
    return replace(verdict, n_to_decide=needed, assumed=None)
