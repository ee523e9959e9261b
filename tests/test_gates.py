"""Exit codes, closed gates and counted looks, as a user of `pytest suites/` meets them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tiny_run import Pytest, apart, evidence_of, verdicts_of

from harness.cli import main
from harness.judge.ledger import read_ledger
from harness.judge.pictures import unpack_pictures
from harness.judge.verdicts import Outcome, Verdict
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.run.results import RunResults
from harness.session import Exit, RunState, exit_code


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((Outcome.PASSED, Outcome.PASSED), Exit.PASSED),
        ((Outcome.FAILED, Outcome.INCONCLUSIVE), Exit.FAILED),
        ((Outcome.PASSED, Outcome.INCONCLUSIVE), Exit.INCONCLUSIVE),
        ((Outcome.NOT_JUDGED, Outcome.INCONCLUSIVE), Exit.INCONCLUSIVE),
        ((Outcome.PASSED, Outcome.NOT_ASSESSED), Exit.INCOMPLETE),
        ((Outcome.NOT_JUDGED, Outcome.PASSED), Exit.INCOMPLETE),
    ],
)
def test_failed_inconclusive_and_incomplete_have_exit_codes_of_their_own(outcomes, code):
    protocol = read_protocol(DEFAULT_PROTOCOL)
    protocol = protocol.model_copy(update={"criteria": protocol.criteria[:2]})
    verdicts = tuple(Verdict(c, None, o, "") for c, o in zip(protocol.criteria, outcomes, strict=True))
    state = RunState(protocol)
    state.results = RunResults("x", "2026-01-15T00:00:00+00:00", 1.0, "pytest", protocol, {}, verdicts)
    assert exit_code(state) == code
    state.stopped_because = "DataError: gone"
    assert exit_code(state) == Exit.ERROR


@pytest.fixture(scope="module")
def miscounted(place: Path) -> Path:
    """The tiny protocol that wants one image more of every class than there are."""
    path = place / "miscounted.toml"
    path.write_text('extends = "tiny.toml"\n[dataset]\nimages_per_class = 13\n')
    return path


def test_behind_a_closed_gate_nothing_is_judged_and_nobody_looks(
    tiny: Pytest, place: Path, miscounted: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    reports = apart(place, "gated")
    ledger = reports / "ledger.jsonl"
    done = tiny(f"--protocol={miscounted}", f"--reports={reports}")
    assert done.returncode == Exit.FAILED
    verdicts = verdicts_of((reports / "latest").resolve())
    assert verdicts["D2"]["outcome"] == "failed"
    assert {verdicts[f"D{i}"]["outcome"] for i in (1, 3, 4, 9)} == {"passed"}  # the same gate
    assert {verdicts[i]["outcome"] for i in ("S1", "F1", "A1", "E1", "T2")} == {"not judged"}
    assert verdicts["A1"]["reason"] == "gate 'accuracy' stayed closed: at gate 'data', D2 failed"
    assert read_ledger(ledger) == ()
    assert "--every-gate also judges" in done.stdout


def test_a_closed_gate_can_be_passed_for_a_diagnosis_that_does_not_pass(tiny: Pytest, place: Path, miscounted: Path):
    reports = apart(place, "every")
    done = tiny(f"--protocol={miscounted}", "--every-gate", f"--reports={reports}")
    assert done.returncode == Exit.FAILED
    verdicts = verdicts_of((reports / "latest").resolve())
    assert "not judged" not in {verdict["outcome"] for verdict in verdicts.values()}


def test_too_little_evidence_ends_with_its_own_exit_code(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    # Two basophils prove no 50 %, however they are called, and disprove it neither.
    protocol = place / "thin.toml"
    protocol.write_text('extends = "tiny.toml"\n[[criteria]]\nid = "R1-basophil"\n')
    base = (place / "tiny.toml").read_text().replace('id = "R1"\nrequired = false', 'id = "R1"\nrequired = true')
    protocol.write_text(base)
    done = tiny(f"--protocol={protocol}")
    assert done.returncode == Exit.INCONCLUSIVE, done.stdout
    assert "power     at n = 2" in done.stdout


# --- looks ---


def test_the_same_predictions_are_the_same_look_and_others_are_the_next(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    # In a folder whose packs know of no look: a new ledger beside packs that do would judge nothing.
    reports = apart(place, "looks")
    ledger = reports / "ledger.jsonl"

    def looked(*arguments: str) -> tuple[int, float]:
        done = tiny(f"--reports={reports}", "-k", "A1", *arguments)
        assert "A1 " in done.stdout, done.stdout + done.stderr
        verdict = verdicts_of(reports / "latest")["A1"]
        return verdict["look"], verdict["estimate"]["level"]

    other = place / "other.toml"
    other.write_text('extends = "tiny.toml"\n[training]\nseed = 7\n')
    assert looked() == (1, 0.975)
    assert looked() == (1, 0.975)
    assert looked(f"--protocol={other}") == (2, pytest.approx(1 - 0.05 / 6))
    assert looked() == (1, 0.975)  # the first model's numbers were known before the second's
    looks = read_ledger(ledger)
    assert [look.index for look in looks] == [1, 2, 3, 4]
    pack = (reports / "latest").resolve()
    assert (pack / "ledger.jsonl").read_bytes() == ledger.read_bytes()
    # Validation was not scored, so nothing that is fitted on it is in the pack.
    assert main(["verify", str(pack)]) == 0


LOWER = """
extends = "tiny.toml"
[looks]
correction = "budget"
budget = 100
[[criteria]]
id = "A1"
floor = 0.01
rationale = "lower"
"""


def test_what_moved_after_the_first_look_is_told_and_verified_and_a_declared_change_too(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    reports = apart(place, "moved")
    ledger = reports / "ledger.jsonl"
    tiny(f"--reports={reports}", "-k", "A1")
    (first,) = read_ledger(ledger)
    assert (len(unpack_pictures(first.pictures)), bool(first.terms)) == (first.n, True)
    other = place / "moved.toml"
    other.write_text(LOWER)
    done = tiny(f"--reports={reports}", "-k", "A1", f"--protocol={other}")
    assert done.returncode == Exit.INCOMPLETE, done.stdout
    assert (
        "the protocol changed after a look, and no amendment declares it: criteria.A1.floor 0.85 -> 0.01" in done.stdout
    )
    pack = (reports / "latest").resolve()
    moved = {each["key"]: each for each in evidence_of(pack)["changes"]}
    assert sorted(moved) == ["criteria.A1.floor", "looks.budget", "looks.correction"]
    assert main(["verify", str(pack)]) == 0
    # What the terminal writes out is what declares it.
    block = done.stdout[done.stdout.index("[[amendments]]") :].partition("RUN NOT PASSED")[0]
    block = block.replace('reason = ""', 'reason = "a floor of another set"').replace('owner = ""', 'owner = "us"')
    other.write_text(LOWER + block.replace("day =", "day = 2026-01-20"))
    done = tiny(f"--reports={reports}", "-k", "A1", f"--protocol={other}")
    assert "no amendment declares it" not in done.stdout
    assert "amended after a look: criteria.A1.floor 0.85 -> 0.01" in done.stdout
    pack = (reports / "latest").resolve()
    assert all(each["amendment"] for each in evidence_of(pack)["changes"])
    assert main(["verify", str(pack)]) == 0


def test_a_ledger_that_was_altered_stops_the_run(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    ledger = place / "altered.jsonl"
    ledger.write_bytes((place / "reports" / "ledger.jsonl").read_bytes().replace(b'"judged"', b'"seed"', 1))
    done = tiny(f"--ledger={ledger}")
    assert done.returncode == Exit.ERROR
    assert "LedgerError" in done.stdout
    assert "Traceback" not in done.stdout
