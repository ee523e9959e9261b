"""What cannot pass is known before the run: from cells, sets and devices, and never of what could pass."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TINY, evidence_of, run_pytest

from harness.core.places import SUITES
from harness.data.records import CellImage
from harness.judge.prospects import BestCase, by_reason, cannot_pass
from harness.metrics.estimates import Unavailable
from harness.metrics.intervals import clopper_pearson_bounds
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.run.stages.prospects import Prospects, told

TODAY = date(2026, 1, 15)
LEUKOCYTE, GATE = (read_protocol(SUITES / "protocols" / f"{name}.toml") for name in ("leukocyte", "leukocyte-gate"))
FIVE = LEUKOCYTE.dataset.classes
ABSENT = Unavailable("external set external_monocytes is not there")


def cells(prefix: str, counts: dict[str, int], *, patients: int | None = None) -> tuple[CellImage, ...]:
    labels = [label for label, n in counts.items() for _ in range(n)]
    return tuple(
        CellImage(f"{label}/{prefix}{i}.png", label, f"{prefix}{i}", 1, patient=patients and f"P{i % patients}")
        for i, label in enumerate(labels)
    )


def parts(per_class: int, *, classes: Sequence[str] = FIVE, patients: int | None = None):
    sizes = {"train": 70 * per_class // 15, "validation": per_class, "test": per_class}
    return {name: cells(name, dict.fromkeys(classes, n), patients=patients) for name, n in sizes.items()}


def hopeless(protocol: Protocol, sets, *, device: str = "cpu", compares: bool = False) -> dict[str, str]:
    best = BestCase(protocol, sets, device=device, judged=None, compares=compares)
    return cannot_pass(best, today=TODAY)


def changed(protocol: Protocol, name: str, **changes: object) -> Protocol:
    criteria = tuple(c.model_copy(update=changes) if c.id == name else c for c in protocol.criteria)
    return protocol.model_copy(update={"criteria": criteria})


def test_the_published_protocol_cannot_pass_and_says_why():
    nine = cells("nine", {"monocyte": 9})
    found = hopeless(LEUKOCYTE, {**parts(75), "external_monocytes": nine})
    assert set(found) == {"E1", "T1"}
    # Nine of nine at the first look, which has half of 2.5 %: 0.0125 ** (1 / 9) = 0.6145, by hand.
    assert found["E1"].startswith("without a single error it is 1 (9/9) [0.6145, 1] at 98.75 % one-sided; required:")
    assert "lower 98.75 % bound >= 0.92" in found["E1"]
    assert "not shown to be independent of the training source" in found["E1"]
    assert found["T1"] == "this run's device is cpu, not mps"


def test_with_the_device_and_more_cells_from_an_independent_source_it_could():
    (plan,) = LEUKOCYTE.external
    shown = LEUKOCYTE.model_copy(update={"external": (plan.model_copy(update={"independence": "shown"}),)})
    sets = {**parts(75), "external_monocytes": cells("more", {"monocyte": 53})}
    assert hopeless(shown, sets, device="mps") == {}
    few = hopeless(shown, {**sets, "external_monocytes": cells("few", {"monocyte": 52})}, device="mps")
    assert "about 53 cells without an error would be needed" in few["E1"]


def test_a_set_that_is_not_there_is_told_unless_it_is_waived_or_not_required():
    sets = {**parts(75), "external_monocytes": ABSENT}
    assert hopeless(LEUKOCYTE, sets, device="mps") == {"E1": ABSENT.reason}
    assert hopeless(changed(LEUKOCYTE, "E1", required=False), sets, device="mps") == {}
    offline = read_protocol(SUITES / "protocols" / "leukocyte-offline.toml")
    assert list(hopeless(offline, sets | dict.fromkeys(("jtsc", "bccd", "pbc_unseen_dev"), ABSENT))) == ["E1"]  # T1


def test_nothing_of_the_gate_is_out_of_reach_on_a_machine_without_an_apple_gpu():
    assert hopeless(GATE, parts(75)) == {}


@given(n=st.integers(1, 60), floor=st.floats(0.05, 0.999), level=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_floor_is_out_of_reach_exactly_where_the_bound_of_a_flawless_result_is_below_it(n, floor, level):
    protocol = changed(GATE, "R1-monocyte", floor=floor, level=level)
    sets = {**parts(75), "test": cells("test", dict.fromkeys(FIVE, 75) | {"monocyte": n})}
    reached = clopper_pearson_bounds(n, n, level=1 - (1 - level) / 2)[0] >= floor  # half, at the first look
    assert ("R1-monocyte" in hopeless(protocol, sets)) is not reached


def test_cells_of_few_patients_count_as_fewer():
    assert "A1" not in hopeless(GATE, parts(75))
    assert "cells of further patients without an error would be needed" in hopeless(GATE, parts(75, patients=5))["A1"]


def test_a_class_without_test_cells_and_a_gap_that_validation_cannot_show_are_found():
    sets = {**parts(75), "test": cells("test", dict.fromkeys(FIVE[:4], 75)), "validation": parts(10)["validation"]}
    found = hopeless(GATE, sets)
    assert found["R1-neutrophil"].startswith("without a single error it is undefined (no cells of neutrophil)")
    assert "F6" in found  # of 50 validation cells none wrong: the gap may still be 0.071
    assert "A1" not in found


def test_what_would_let_a_criterion_pass_is_told_and_does():
    """By hand: 50 of 50 at 97.5 % show 0.025 ** (1 / 50) = 0.9289, so the gap may be 0.0711; 0.06 takes 60 cells."""
    sets = parts(10)
    why = hopeless(GATE, sets)["F6"]
    assert "about 1.2 times as many cells of every set without an error would be needed" in why  # 12 of each class
    assert why.endswith("with as many cells as now, a ceiling of 0.072 or more can pass")


def test_a_bound_that_is_told_passes_and_a_tighter_one_of_two_digits_does_not():
    sets = parts(10)
    for name, key, tighter in (("F6", "ceiling", -0.001), ("A1", "floor", 0.01)):
        protocol = changed(GATE, name, **{key: 0.0001 if key == "ceiling" else 0.999})
        (told_bound,) = re.findall(rf"a {key} of ([\d.]+) or \w+ can pass", hopeless(protocol, sets)[name])
        assert name not in hopeless(changed(GATE, name, **{key: float(told_bound)}), sets)
        assert name in hopeless(changed(GATE, name, **{key: float(told_bound) + tighter}), sets)


def test_no_bound_and_no_number_is_told_where_none_helps():
    few_patients = hopeless(GATE, parts(75, patients=5))
    assert few_patients and not any("times as many" in why for why in few_patients.values())
    none = hopeless(GATE, {**parts(75), "test": cells("test", dict.fromkeys(FIVE[:4], 75))})
    assert "can pass" not in none["R1-neutrophil"]


def test_a_baseline_that_is_required_and_not_given_is_told():
    plan = GATE.baseline.model_copy(update={"needed": "required"})
    required = GATE.model_copy(update={"baseline": plan})
    assert set(hopeless(required, parts(75))) == {"G1", *(f"G2-{name}" for name in FIVE)}
    assert hopeless(required, parts(75), compares=True) == {}


def test_a_hundred_classes_with_one_reason_are_one_line():
    found = {f"R1-{i}": "too few cells" for i in range(100)} | {"A1": "another"}
    assert by_reason(found)["another"] == ["A1"]
    assert told(Prospects(found, None)) == [
        "required, and cannot pass: R1-0, R1-1, R1-2, R1-3, R1-4, and 95 more: too few cells",
        "required, and cannot pass: A1: another",
    ]


# --- in a run -------------------------------------------------------------------------------------

# Of nine test cells; and on a device that no machine has beside the one it runs on.
OUT_OF_REACH = """
extends = "tiny.toml"
[[criteria]]
id = "A1"
required = true
floor = 0.999
rationale = "out of reach"
[[criteria]]
id = "T1"
required = true
"""


@pytest.fixture(scope="module")
def run(place: Path):
    (place / "tiny.toml").write_text(TINY)
    (place / "out.toml").write_text(OUT_OF_REACH)
    reports = place / "reports-out"
    done = run_pytest(
        str(SUITES), f"--protocol={place / 'out.toml'}", f"--reports={reports}", "-k", "D1", "--device=cpu"
    )
    return done, (reports / "latest").resolve()


@pytest.mark.slow
def test_the_terminal_says_it_before_the_first_verdict_and_the_pack_holds_it(run):
    done, pack = run
    before = done.stdout.partition("verdicts (")[0]
    assert "required, and cannot pass: A1: without a single error it is 1 (10/10)" in before
    assert "required, and cannot pass: T1: this run's device is cpu, not mps" in before
    assert "%" not in before.partition("required, and cannot pass")[0]  # which pytest prints after a file's tests
    assert set(evidence_of(pack)["cannot_pass"]) == {"A1", "T1"}
    page = (pack / "index.html").read_text()
    assert "Known before the run" in page


@pytest.mark.slow
def test_the_pack_of_such_a_run_is_rebuilt_with_it(run):
    from harness.pack.verify import verify_pack

    result = verify_pack(run[1])
    assert result.discrepancies == ()
    assert result.holds
