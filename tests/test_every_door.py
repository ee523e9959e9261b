"""A passing run of any door passes every job: door x job. A door joins as a line of DOORS, a job as one of JOBS."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_run import Pytest, evidence_of, verdicts_of

from harness.cli import main
from harness.model.exports import CLASSIFIER
from harness.model.onnx_writing import ONNX
from harness.pack.baseline import read_baseline
from harness.pack.keys import write_key_pair
from harness.pack.outcome import read_passed
from harness.pack.read import open_pack
from harness.protocol.statistics import BaselinePlan

COMMAND = Path(__file__).with_name("onnx_command.py")

# Door -> what the command line says beside the protocol, given the pack of the run that trained the classifier.
DOORS: dict[str, Callable[[Path], list[str]]] = {
    "trained": lambda trained: [],
    "model file": lambda trained: [f"--model={trained / 'models' / CLASSIFIER}"],
    "onnx": lambda trained: [f"--model={trained / 'models' / ONNX}"],
    "command": lambda trained: [f"--model-command={sys.executable} {COMMAND} {trained / 'models' / ONNX}"],
    "predictions": lambda trained: [
        f"--split={trained / 'data_split.csv'}",
        *(f"--predictions={trained / 'predictions' / part}.csv" for part in ("train", "validation", "test")),
        *(f"--predictions={s}={trained / 'predictions' / s}.csv" for s in ("second_laboratory", "nine_monocytes")),
    ],
}


@dataclass(frozen=True)
class Entered:
    """A run of one door that was asked for a signature and compared with the run that trained, all in one.

    key: the private key that signed it; its public one lies beside it.
    """

    door: str
    done: subprocess.CompletedProcess[str]
    pack: Path
    trained: Path
    key: Path


@pytest.fixture(scope="module", params=DOORS)
def entered(
    request: pytest.FixtureRequest, tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
) -> Entered:
    door, trained = request.param, cold[1]
    key = place / f"{door}.pem"
    write_key_pair(key)
    done = tiny(*DOORS[door](trained), f"--baseline={trained}", f"--sign-key={key}")
    return Entered(door, done, (place / "reports" / "latest").resolve(), trained, key)


def verify(run: Entered, tmp_path: Path) -> None:
    assert main(["verify", str(run.pack)]) == 0


def verify_signature(run: Entered, tmp_path: Path) -> None:
    assert main(["verify", str(run.pack), "--key", f"{run.key}.pub"]) == 0


def sign(run: Entered, tmp_path: Path) -> None:
    second = tmp_path / "second.pem"
    write_key_pair(second)
    assert main(["sign", str(run.pack), "--key", str(second)]) == 0


def compare_as_candidate(run: Entered, tmp_path: Path) -> None:
    assert main(["compare", str(run.trained), str(run.pack)]) == 0


def compare_as_baseline(run: Entered, tmp_path: Path) -> None:
    assert main(["compare", str(run.pack), str(run.trained)]) == 0


def baseline(run: Entered, tmp_path: Path) -> None:
    classes = tuple(evidence_of(run.pack)["protocol"]["content"]["dataset"]["classes"])
    assert read_baseline(run.pack, sets=("test",), classes=classes, asked=BaselinePlan()).passed


def read_as_passed(run: Entered, tmp_path: Path) -> None:
    assert read_passed(open_pack(run.pack))


def promote(run: Entered, tmp_path: Path) -> None:
    if importlib.util.find_spec("mlflow") is None:
        pytest.skip("the extra [mlflow] is not installed (see constraints-mlflow.txt)")
    asked = ["promote", str(run.pack), "--name", "cells", "--alias", "champion", "--reports", str(tmp_path)]
    assert main(asked) == 0


JOBS = (verify, verify_signature, sign, compare_as_candidate, compare_as_baseline, baseline, read_as_passed, promote)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__)
def test_a_passing_run_of_this_door_passes_this_job(entered: Entered, job, tmp_path: Path, capsys):
    assert entered.done.returncode == 0, entered.done.stdout[-3000:]
    job(entered, tmp_path)


def test_the_door_takes_no_look_of_its_own_and_counts_the_same_cells(entered: Entered):
    evidence, trained = evidence_of(entered.pack), evidence_of(entered.trained)
    assert evidence["looks"] == trained["looks"] == {"test": 1, "second_laboratory": 1, "nine_monocytes": 1}
    found, wanted = verdicts_of(entered.pack), verdicts_of(entered.trained)
    counted = [name for name in wanted if wanted[name]["estimate"] and name[0] in "ARNE"]
    assert counted
    for name in counted:
        assert found[name]["outcome"] == wanted[name]["outcome"]
        assert found[name]["estimate"] == wanted[name]["estimate"]
    assert found["G1"]["outcome"] == "passed"  # against itself
