"""A busy machine: what other processes take is told from what we and our children do, and fails nobody."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness.core.load import Used, share_of_others, used
from harness.judge.asking import decide, measure
from harness.judge.rules import RULES
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.measurements import NothingRecorded
from harness.metrics.timing import BUSY
from harness.model.records import Timing
from harness.protocol.criteria import Criterion, Waiver
from harness.protocol.file import read_protocol

TODAY = date(2026, 1, 15)
EMBEDDED = read_protocol(Path(__file__).parents[1] / "suites" / "protocols" / "embedded.toml")
SLOW, QUICK = (3.0,) * 100, (0.02,) * 100
BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


def test_the_share_of_others_by_hand(monkeypatch):
    monkeypatch.setattr("psutil.cpu_count", lambda: 2)
    # Ten seconds of two cores: 9 used, 4 of them by us.
    assert share_of_others(Used(0.0, 100.0, 7.0), Used(10.0, 109.0, 11.0)) == pytest.approx(0.25)
    # Clocks tick coarsely: no share is below nothing or above everything.
    assert share_of_others(Used(0.0, 100.0, 7.0), Used(10.0, 101.0, 9.0)) == 0.0
    assert share_of_others(Used(0.0, 0.0, 0.0), Used(1.0, 9.0, 0.0)) == 1.0
    assert share_of_others(Used(5.0, 0.0, 0.0), Used(5.0, 9.0, 0.0)) is None


def test_what_a_child_of_ours_takes_is_ours():
    before = used()
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        after = used()
        child.communicate(b"\n")
    assert after.ours - before.ours >= 0.25  # the child's 0.3, but for the clock's ticks
    assert after.all - before.all >= 0.25


class Timed(NothingRecorded):
    rules = RULES

    def __init__(self, seconds: tuple[float, ...], others_share: float | None, protocol=EMBEDDED) -> None:
        super().__init__(protocol, what="one timing")
        self._timing = Timing("SingleStream", "decode-to-label", "cpu", 1, 1, seconds, others_share=others_share)

    def timing(self, scenario: str, span: str, *, device: str) -> Timing:
        return replace(self._timing, scenario=scenario, span=span)

    def look(self, criterion: Criterion) -> None:
        return None

    def dependent_sets(self) -> dict[str, str]:
        return {}


def verdict_on(evidence: Timed, metric: str = "latency_s") -> Verdict:
    criterion = next(c for c in EMBEDDED.criteria if c.metric == metric and c.set == "any")
    return decide(criterion, measure(criterion, evidence), evidence, today=TODAY, family=())


@pytest.mark.parametrize("metric", ["latency_s", "model_latency_s"])
def test_a_failed_timing_of_a_busy_machine_is_not_assessed_and_a_passed_one_stays(metric):
    assert verdict_on(Timed(QUICK, 0.9), metric).passed
    assert verdict_on(Timed(SLOW, BUSY - 0.01), metric).outcome is Outcome.FAILED
    assert verdict_on(Timed(SLOW, None), metric).outcome is Outcome.FAILED  # nobody looked: a pack of before
    found = verdict_on(Timed(SLOW, 0.62), metric)
    assert found.outcome is Outcome.NOT_ASSESSED
    assert found.reason.startswith("3 s [3, 3] at 95 %")
    assert "would fail, but other processes took 62 % of the machine's processor time" in found.reason
    assert found.reason.endswith("time it again on a quiet machine")
    assert found.blocks is found.criterion.required


def test_a_rate_of_a_busy_machine_is_not_assessed_either():
    assert verdict_on(Timed(SLOW, 0.62), "images_per_s").outcome is Outcome.NOT_ASSESSED


def test_a_waiver_excuses_a_busy_machine():
    waiver = Waiver(
        criterion="T2", reason="A shared runner, for this test.", owner="maintainers", expires=date(2026, 12, 31)
    )
    found = verdict_on(Timed(SLOW, 0.62, EMBEDDED.model_copy(update={"waivers": (waiver,)})))
    assert (found.outcome, found.waiver, found.blocks) == (Outcome.NOT_ASSESSED, waiver, False)
