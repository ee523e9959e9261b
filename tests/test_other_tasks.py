"""Images that are no blood cells: digits, two classes, a hundred; from a folder through `init` to a verdict."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from tiny_run import evidence_of, run_pytest, verdicts_of

from harness.cli import main
from harness.core.places import SUITES
from harness.pack.verify import verify_pack
from harness.session import Exit

pytestmark = pytest.mark.slow

DIGITS_PER_CLASS = 60
# Cut down to seconds; what so short a training reaches is not required.
SHORT = """
[report]
figures = false
[training.lr_finder]
iterations = 10
[[training.phases]]
name = "phase1"
max_epochs = 1
[[training.phases]]
name = "phase2"
max_epochs = {epochs}
[throughput]
queries = 30
offline_images = 8
[[criteria]]
id = "F6"
required = false
[[criteria]]
id = "A1"
required = {accuracy}
floor = {floor}
rationale = "small"
[[criteria]]
id = "R1"
required = false
[[criteria]]
id = "T2"
ceiling = 60.0
rationale = "busy"
[[criteria]]
id = "T4"
floor = 0.01
rationale = "busy"
"""


@dataclass(frozen=True)
class Done:
    process: subprocess.CompletedProcess[str]
    pack: Path


# What two fresh processes make of a second training does not follow from the number of classes: the digits ask it.
NOT_REPEATED = 'remove = ["criteria.P1", "criteria.P2", "criteria.P3", "criteria.P4"]\n'


# Of pictures of 8 px nothing but their pixels tells a copy from a look-alike.
OF_8_PX = '[dataset]\npixels_suffice = "each is one scan, reduced to 8 x 8 grey levels: a copy is of the file"\n'


def judged(
    place: Path, folder: Path, *, epochs: int, floor: float, required: bool = True, without: str = "", stated: str = ""
) -> Done:
    """`harness init` on the folder, a short training by what it wrote, and the verdict.

    without, stated: what the protocol removes of the draft, and what it adds.
    """
    drafted = place / f"{folder.name}.toml"
    assert main(["init", str(folder), "--out", str(drafted)]) == 0
    short = SHORT.format(epochs=epochs, floor=floor, accuracy=str(required).lower())
    (place / "short.toml").write_text(f'extends = "{drafted.name}"\n{without}{stated}{short}')
    reports = place / "reports"
    process = run_pytest(
        str(SUITES), f"--protocol={place / 'short.toml'}", f"--data={folder}", f"--reports={reports}", "--device=cpu"
    )
    return Done(process, (reports / "latest").resolve())


def blobs(folder: Path, *, n_classes: int, per_class: int, side: int) -> Path:
    """Four by four patches of colour, a pattern for each class, with noise."""
    for label in range(n_classes):
        pattern = np.random.default_rng(label).integers(0, 256, (4, 4, 3)).astype(float)
        for number in range(per_class):
            rng = np.random.default_rng(1000 * label + number)
            patches = np.clip(pattern + rng.normal(0, 25, pattern.shape), 0, 255).astype(np.uint8)
            large = np.asarray(Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC))
            noisy = np.clip(large + rng.normal(0, 12, large.shape), 0, 255).astype(np.uint8)
            file = folder / f"kind{label:03}" / f"{number:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy).save(file)
    return folder


# --- digits ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Done:
    place = tmp_path_factory.mktemp("digits-run")
    found, seen = load_digits(), Counter[int]()
    for pixels, label in zip(found.images, found.target, strict=True):
        if seen[label] < DIGITS_PER_CLASS:
            file = place / "digits" / f"digit {label}" / f"{seen[label]:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(file)
            seen[label] += 1
    # The folders' names have a blank, which no class can have: the draft says what each stands for.
    return judged(place, place / "digits", epochs=5, floor=0.2, stated=OF_8_PX)


def test_digits_pass_what_a_short_training_can_show(digits: Done):
    assert digits.process.returncode == Exit.PASSED, digits.process.stdout[-3000:]
    verdicts = verdicts_of(digits.pack)
    assert verdicts["A1"]["outcome"] == "passed"
    assert verdicts["A1"]["estimate"]["n"] == 90  # 15 % of 600
    assert sum(name.startswith("R1-digit_") for name in verdicts) == 10
    assert {v["outcome"] for name, v in verdicts.items() if name[0] in "DSLPF" and v["required"]} == {"passed"}


def test_digits_are_read_from_the_folder_as_it_lies_there(digits: Done):
    (reading,) = (each["reading"] for each in evidence_of(digits.pack)["sets"] if each["name"] == "dataset")
    assert reading["labels"] == {f"digit {n}": f"digit_{n}" for n in range(10)}


def test_nothing_that_is_asked_of_cells_alone_is_asked_of_digits(digits: Done):
    evidence = evidence_of(digits.pack)
    assert evidence["robustness"] is None
    assert evidence["protocol"]["content"]["prevalence"] is None
    assert {verdict["question"] for verdict in evidence["protocol"]["content"]["criteria"]} == {
        *("integrity", "split", "leakage", "reproducibility", "training", "accuracy", "regression", "calibration"),
        *("export", "throughput"),
    }
    page = (digits.pack / "index.html").read_text(encoding="utf-8").lower()
    assert [word for word in ("leukocyt", "monocyt", "neutrophil", "blood") if word in page] == []


def test_the_pack_of_the_digits_holds(digits: Done):
    result = verify_pack(digits.pack)
    assert result.discrepancies == ()
    assert result.holds


# --- two, and a hundred ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_classes", "per_class", "side"),
    [(2, 30, 40), (100, 7, 32)],
)
def test_two_and_a_hundred_classes_come_to_a_verdict_and_a_pack_that_holds(
    tmp_path: Path, n_classes: int, per_class: int, side: int
):
    folder = blobs(tmp_path / "images", n_classes=n_classes, per_class=per_class, side=side)
    done = judged(tmp_path, folder, epochs=1, floor=0.01, required=False, without=NOT_REPEATED)
    assert done.process.returncode == Exit.PASSED, done.process.stdout[-3000:]
    evidence = evidence_of(done.pack)
    assert len(evidence["protocol"]["content"]["dataset"]["classes"]) == n_classes
    assert np.shape(evidence["evaluations"]["test"]["confusion"]) == (n_classes, n_classes)
    assert sum(name.startswith("R1-") for name in verdicts_of(done.pack)) == n_classes
    result = verify_pack(done.pack)
    assert result.discrepancies == ()
    assert result.holds
