"""The proof of reproducibility itself: it must hold, and it must be able to fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import TrainingError
from harness.metrics.reproducibility import ProcessDigests, differences
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.run import reproduction
from harness.run.reproduction import reproduce

ONE = ProcessDigests("first", "s", "l", "w", "p")


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return read_protocol(DEFAULT_PROTOCOL)


@pytest.mark.slow
def test_two_fresh_processes_get_the_same_digests_under_different_conditions(smears: Path, protocol: Protocol):
    first, second = reproduce(protocol, data=smears, split_file=None, device="cpu")
    assert first.conditions != second.conditions
    assert "PYTHONHASHSEED=0" in first.conditions
    assert replace(first, conditions="") == replace(second, conditions="")


@pytest.mark.slow
def test_a_process_that_seeds_otherwise_is_found(
    smears: Path, tmp_path: Path, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
):
    # The planted fault: one of the two processes reads a protocol with another training seed.
    other = tmp_path / "other.toml"
    other.write_text(f'extends = "{DEFAULT_PROTOCOL.as_posix()}"\n[training]\nseed = 43\n')
    wanted = reproduction.json.dumps
    calls = iter([str(DEFAULT_PROTOCOL), str(other)])
    monkeypatch.setattr(reproduction.json, "dumps", lambda request: wanted({**request, "protocol": next(calls)}))
    processes = reproduce(protocol, data=smears, split_file=None, device="cpu")
    assert differences(processes, "split") == ()
    for field in ("losses", "weights", "predictions"):
        (line,) = differences(processes, field)
        assert field in line
        assert "PYTHONHASHSEED=0" in line


@pytest.mark.slow
def test_a_process_that_dies_says_why(tmp_path: Path, protocol: Protocol):
    with pytest.raises(TrainingError, match=r"ended with 1:[\s\S]*there is nothing at"):
        reproduce(protocol, data=tmp_path / "nowhere", split_file=None, device="cpu")


@pytest.mark.parametrize("field", ["split", "losses", "weights", "predictions"])
def test_each_field_that_differs_is_one_line(field: str):
    assert differences((ONE, ONE), field) == ()
    (line,) = differences((ONE, replace(ONE, conditions="second", **{field: "other"})), field)
    assert line == f"{field}: other (second), {getattr(ONE, field)} (first)"
