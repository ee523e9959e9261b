"""What a pytest session knows of its validation run, and the exit code that follows."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.core.places import PROJECT
from harness.judge.verdicts import Outcome, Verdict
from harness.protocol.records import Protocol
from harness.run.environment import Source, source_state
from harness.run.packages import Packages, packages_here
from harness.run.results import RunResults

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from harness.pack.sign import Trust
    from harness.run.graph import Graph
    from harness.run.lock import RunLock

STATE: pytest.StashKey[RunState] = pytest.StashKey()
VERDICT: pytest.StashKey[Verdict] = pytest.StashKey()
OTHERWISE = "the session did not: see what failed above"


class Exit(IntEnum):
    """Exit codes of a validation run. 2 to 5 are pytest's own: interrupted, crashed, wrong call, nothing collected."""

    PASSED = 0
    FAILED = 1  # a required criterion failed, or a test that is no criterion
    INCONCLUSIVE = 6  # no required criterion failed, and one has too little evidence
    INCOMPLETE = 7  # neither, yet a required criterion was not assessed or judged, or the protocol changed undeclared
    ERROR = 8  # the run stopped, or its evidence could not be written: nothing is known


@dataclass
class RunState:
    """What one pytest session knows of its validation run."""

    protocol: Protocol
    started: float = field(default_factory=time.monotonic)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    # Of the beginning: hours later, the checkout and the environment may be others than those that ran.
    source: Source = field(default_factory=lambda: source_state(PROJECT))
    packages: Packages = field(default_factory=lambda: packages_here(PROJECT))
    signer: CryptoSigner | None = None
    run: Graph | None = None
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    stopped_because: str | None = None
    others_failed: bool = False
    baseline_trust: Trust | None = None
    results: RunResults | None = None
    pack: Path | None = None
    pack_error: str | None = None
    job_page_error: str | None = None
    history: str | None = None
    hold: RunLock | None = None

    @property
    def run_id(self) -> str:
        return f"{self.started_at:%Y%m%dT%H%M%SZ}-{self.protocol.identity.id}-{os.getpid()}"

    def record(self, verdict: Verdict) -> None:
        """Keep the verdict; one that blocks stays, so that rerunning a test cannot turn it into one that passes."""
        previous = self.verdicts.get(verdict.criterion.id)
        if previous is None or not previous.blocks:
            self.verdicts[verdict.criterion.id] = verdict


def exit_code(state: RunState) -> Exit:
    """The worst that is known of the run, under a number of its own."""
    results = state.results
    if state.stopped_because is not None or state.pack_error is not None:
        return Exit.ERROR
    if results is None:  # every suite was deselected or skipped: nothing was judged, so nothing passed
        return Exit.FAILED if state.others_failed else Exit.INCOMPLETE
    blocking = {verdict.outcome for verdict in results.verdicts if verdict.blocks}
    if state.others_failed or Outcome.FAILED in blocking:
        return Exit.FAILED
    if Outcome.INCONCLUSIVE in blocking:
        return Exit.INCONCLUSIVE
    return Exit.PASSED if results.passed else Exit.INCOMPLETE
