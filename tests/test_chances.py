"""The chances of passing: by hand, by every confusion matrix that there is, and by the procedure itself."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binom

from fixtures.drawing import smears_for
from harness.core.places import PROTOCOLS
from harness.data.leakage import DuplicatePair, ListedImage
from harness.data.records import CellImage
from harness.judge.chances import OF_PATIENTS, Chances, How, chances
from harness.judge.criteria import judge, level_at
from harness.judge.drawing import Drawn
from harness.judge.prospects import BestCase
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.measurements import NothingRecorded
from harness.planning import lines, plan
from harness.protocol.file import read_protocol
from harness.protocol.hopes import HopedTruth
from harness.protocol.records import Protocol
from harness.protocol.statistics import ClusterPlan

TODAY = date(2026, 1, 15)
LEUKOCYTE = read_protocol(PROTOCOLS / "leukocyte.toml")
PAIR = ("basophil", "monocyte")
PROJECT = Path(__file__).parents[1]


def cells(counts: dict[str, int], *, patients: int | None = None) -> tuple[CellImage, ...]:
    labels = [label for label, n in counts.items() for _ in range(n)]
    return tuple(
        CellImage(f"{label}/{i}.png", label, f"{i:064x}", 1, patient=patients and f"P{i % patients}")
        for i, label in enumerate(labels)
    )


def asking(*names: str, classes: tuple[str, ...] = PAIR, **floors: float) -> Protocol:
    """The published protocol with these criteria alone; floors by the first part of an id."""
    asked = [c for c in LEUKOCYTE.criteria if c.id in names]
    criteria = [c.model_copy(update={"floor": floors.get(c.id.split("-")[0], c.floor)}) for c in asked]
    dataset = LEUKOCYTE.dataset.model_copy(update={"classes": classes})
    return LEUKOCYTE.model_copy(update={"criteria": tuple(criteria), "dataset": dataset})


def told(protocol: Protocol, sets, **hopes: object) -> Chances:
    best = BestCase(protocol, sets, device=None, judged=None, compares=True)
    return chances(best, sets, HopedTruth.model_validate(hopes), today=TODAY)


def test_the_published_gate_at_a_true_accuracy_of_99_5_percent():
    sets = {"test": cells(dict.fromkeys(LEUKOCYTE.dataset.classes, 75))}
    protocol = asking("A1", "R1-basophil", classes=LEUKOCYTE.dataset.classes)
    found = told(protocol, sets, accuracy=0.995, draws=1000)
    first, second = found.each
    # Of 375 cells 2 errors pass: 0.995^375 + 375 · 0.005 · 0.995^374 + ... = 0.7105; of 75, too.
    assert (first.how, first.n, round(first.probability, 4), first.n_needed) == (How.EXACT, 375, 0.7105, 509)
    assert (second.how, second.n, round(second.probability, 4)) == (How.EXACT, 75, 0.9935)
    assert first.error is None
    # Three errors of one class alone fail the second and not the first only where the first fails, too.
    assert abs(found.together.probability - first.probability) < 4 * found.together.error
    assert found.accuracy == {"test": pytest.approx(0.995)}


def pair(one: str, other: str, labels: tuple[str, str]) -> DuplicatePair:
    first, second = (ListedImage("dataset", path, label) for path, label in zip((one, other), labels, strict=True))
    return DuplicatePair(first, second, "same pixels", "none", 1.0, 1.0)


def test_copies_count_once_and_a_picture_with_two_labels_is_wrong_whatever_the_truth_is():
    found = cells({"basophil": 40, "monocyte": 40})
    alike = [pair("basophil/0.png", f"basophil/{i}.png", ("basophil", "basophil")) for i in range(1, 11)]
    conflict = [pair("basophil/20.png", "monocyte/45.png", ("basophil", "monocyte"))]

    def best(copies: Sequence[DuplicatePair]) -> BestCase:
        sets = {"test": found}
        return BestCase(asking("A1"), sets, device=None, judged=None, compares=True, copies=copies)

    assert best(alike).evaluation("test").confusion.tolist() == [[30, 0], [0, 40]]
    assert best(alike + conflict).evaluation("test").confusion.tolist() == [[29, 1], [0, 39]]
    hoped = HopedTruth(accuracy=1.0, draws=100)
    # At 97.5 % 70 of 70 prove 0.93; with the conflict there are 68 of 69, which prove 0.9 and 0.93 not.
    for copies, floor, expected in ((alike, 0.93, 1.0), (alike + conflict, 0.93, 0.0), (alike + conflict, 0.9, 1.0)):
        asked = BestCase(
            asking("A1", A1=floor), {"test": found}, device=None, judged=None, compares=True, copies=copies
        )
        (chance,) = chances(asked, {"test": found}, hoped, today=TODAY).each
        assert chance.probability == expected, chance


def test_a_plan_of_data_counts_each_picture_of_a_set_once_as_a_run_does(tmp_path: Path):
    shown = LEUKOCYTE.external[0]
    rules = shown.images.model_copy(update={"formats": ("PNG",), "min_side_px": 8})
    protocol = asking("A1").model_copy(update={"external": (shown.model_copy(update={"images": rules}),)})
    protocol = protocol.model_copy(update={"dataset": protocol.dataset.model_copy(update={"images": rules})})
    rng = np.random.default_rng(3)
    for folder in ("cells", shown.name):
        for label in PAIR:
            (tmp_path / folder / label).mkdir(parents=True)
            for i in range(7):
                blot = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((64, 64), 3)
                blot.save(tmp_path / folder / label / f"{i}.png")
    again = Image.open(tmp_path / shown.name / PAIR[0] / "0.png").transpose(Image.Transpose.ROTATE_90)
    again.save(tmp_path / shown.name / PAIR[0] / "again.png")
    found, listed = (plan(protocol, tmp_path / "cells", today=TODAY, workers=1, once=once) for once in (True, False))
    assert (found.sizes[shown.name], listed.sizes[shown.name]) == (14, 15)
    assert "each picture once (1 of 29 cells show one that their part or set has already)" in found.sized_by


def test_errors_of_classes_of_unlike_recall_are_added_up():
    sets = {"test": cells({"basophil": 3, "monocyte": 100})}
    found = told(asking("A1", A1=0.9), sets, accuracy=0.99, recall={"basophil": 0.5}, draws=4000)
    (chance,) = found.each
    # By hand, at a first look's half of 5 %; those of 3 and of 100 independent cells.
    allowed = next(e for e in range(103, -1, -1) if binom.cdf(e, 103, 0.1) <= 0.025)
    by_hand = sum(binom.pmf(b, 3, 0.5) * binom.cdf(allowed - b, 100, 0.01) for b in range(4))
    assert chance.probability == pytest.approx(by_hand, abs=1e-12)
    assert found.accuracy["test"] == pytest.approx((3 * 0.5 + 100 * 0.99) / 103)
    assert abs(found.together.probability - by_hand) < 4 * found.together.error


class Seen(NothingRecorded):
    """One confusion matrix, as a run would have it."""

    def __init__(self, protocol: Protocol, found: Evaluation) -> None:
        super().__init__(protocol, what="one matrix")
        self._found = found

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        return self._found


@pytest.mark.parametrize(("supports", "recalls"), [((30, 20), (0.97, 0.97)), ((25, 40), (0.9, 0.98))])
def test_every_confusion_matrix_that_there_is_gives_the_same_chances(supports, recalls):
    """Every matrix of two classes, judged by `judge` and weighed by its binomial probability."""
    names = ("A1", "A2", "R1-basophil", "R1-monocyte", "N1-basophil", "N1-monocyte")
    protocol = asking(*names, A1=0.85, A2=0.8, R1=0.8, N1=0.82)
    found = told(
        protocol,
        {"test": cells(dict(zip(PAIR, supports, strict=True)))},
        accuracy=1.0,
        recall=dict(zip(PAIR, recalls, strict=True)),
        draws=1500,
    )
    alone, together = dict.fromkeys(names, 0.0), 0.0
    for wrong in itertools.product(*(range(n + 1) for n in supports)):
        weight = np.prod([binom.pmf(w, n, 1 - r) for w, n, r in zip(wrong, supports, recalls, strict=True)])
        if weight < 1e-8:
            continue
        matrix = np.array([[supports[0] - wrong[0], wrong[0]], [wrong[1], supports[1] - wrong[1]]])
        seen = Seen(protocol, Evaluation("test", PAIR, matrix))
        passed = {
            c.id: judge(
                c, c.entry.estimate(seen, c, level_at(protocol, c, 1)), protocol=protocol, today=TODAY, look=1
            ).passed
            for c in protocol.criteria
        }
        for name in names:
            alone[name] += weight * passed[name]
        together += weight * all(passed[c.id] for c in protocol.criteria if c.required)
    for chance in found.each:
        exact = alone[chance.criterion]
        assert 0.05 < exact < 0.999  # else nothing is compared
        if chance.how is How.EXACT:
            assert chance.probability == pytest.approx(exact, abs=1e-6)
        else:
            assert abs(chance.probability - exact) < 4 * chance.error
    assert abs(found.together.probability - together) < 4 * found.together.error


def test_the_number_that_is_looked_for_by_simulation_is_enough_and_far_fewer_are_not():
    protocol = asking("N1-basophil", N1=0.9)
    few = {"test": cells({"basophil": 20, "monocyte": 20})}
    (chance,) = told(protocol, few, accuracy=0.98, draws=500).each
    assert (chance.how, chance.n) == (How.SIMULATED, 20)
    assert chance.probability < 0.8 < chance.times
    for n, enough in ((chance.n_needed, True), (chance.n_needed // 2, False)):
        (again,) = told(protocol, {"test": cells({"basophil": n, "monocyte": n})}, accuracy=0.98, draws=1000).each
        assert (again.probability > 0.8 - 4 * again.error) is enough


def test_one_seed_gives_one_answer():
    sets = {"test": cells({"basophil": 20, "monocyte": 20})}
    one, same = (told(asking("A1", "N1-basophil", A1=0.8), sets, accuracy=0.97, draws=200, seed=3) for _ in range(2))
    assert one == same


# --- patients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", [0.1, 0.4])
def test_cells_of_a_patient_are_drawn_alike(correlation):
    counts = {"basophil": 200, "monocyte": 200}
    hoped = HopedTruth(accuracy=0.9, recall={"basophil": 0.8}, correlation=correlation)
    drawn = Drawn(asking("A1"), {"test": cells(counts, patients=40)}, hoped)
    rng = np.random.default_rng(5)
    right = []
    for _ in range(150):
        drawn.draw(rng)
        found = drawn.evaluation("test")
        assert (found.confusion.sum(axis=1) == [200, 200]).all()
        assert (found.by_group.sum(axis=0) == found.confusion).all()
        right.append(found.by_group[:, [0, 1], [0, 1]])  # of 5 cells of each class and patient
    share = np.concatenate(right) / 5
    np.testing.assert_allclose(share.mean(axis=0), [0.8, 0.9], atol=0.01)
    # The variance of a mean of m cells is p (1 - p) (1 + (m - 1) rho) / m.
    for place, p in enumerate((0.8, 0.9)):
        expected = p * (1 - p) * (1 + 4 * correlation) / 5
        assert share[:, place].var() == pytest.approx(expected, rel=0.15)
    assert np.corrcoef(share.T)[0, 1] > 0.1  # a patient whose basophils are hard has hard monocytes


def test_few_patients_make_a_pass_rarer_and_no_number_exact():
    counts = {"basophil": 200, "monocyte": 200}
    protocol = asking("A1", A1=0.9)
    (alone,) = told(protocol, {"test": cells(counts)}, accuracy=0.95, draws=150).each
    of_patients = told(protocol, {"test": cells(counts, patients=40)}, accuracy=0.95, draws=150)
    (grouped,) = of_patients.each
    assert (of_patients.together.times, of_patients.together.why) == (None, OF_PATIENTS)
    assert (alone.how, grouped.how) == (How.EXACT, How.SIMULATED)
    assert grouped.probability < alone.probability - 0.1
    assert grouped.n_needed > alone.n_needed


def test_cells_that_are_right_or_wrong_patient_by_patient_are_drawn_so():
    sets = {"test": cells({"basophil": 200, "monocyte": 200}, patients=100)}
    found = told(asking("A1", A1=0.5), sets, accuracy=0.9, correlation=0.0, draws=200)
    assert found.each[0].probability == 1.0
    alike = Drawn(
        asking("A1").model_copy(update={"clusters": ClusterPlan(intracluster_correlation=1.0)}),
        sets,
        HopedTruth(accuracy=0.9),
    )
    alike.draw(np.random.default_rng(1))
    groups = alike.evaluation("test").by_group
    right = np.trace(groups, axis1=1, axis2=2)
    assert set((right / groups.sum(axis=(1, 2))).tolist()) == {0.0, 1.0}
    assert 0.8 < (right > 0).mean() < 1.0


# --- what has no chance, and what no model --------------------------------------------------------


def test_a_hope_that_is_not_above_the_floor_has_no_number_of_cells():
    found = told(asking("A1"), {"test": cells({"basophil": 200, "monocyte": 200})}, accuracy=0.98, draws=100)
    (chance,) = found.each
    assert (found.together.times, found.together.why) == (None, "one of them is hoped to be no better than its floor")
    assert chance.probability < 0.05
    assert (chance.n_needed, "not above the floor" in chance.why) == (None, True)


def test_without_data_the_protocol_says_how_many_cells_there_are_and_what_cannot_pass():
    found = plan(LEUKOCYTE, None, today=TODAY, workers=1)
    assert found.sizes == {"train": 1750, "validation": 375, "test": 375, "external_monocytes": None}
    assert found.hopeless == {"E1": "set external_monocytes is not shown to be independent of the training source"}
    of = {chance.criterion: chance for chance in found.chances.each}
    assert set(of) == {criterion.id for criterion in LEUKOCYTE.criteria}
    assert of["A1"].how is How.NO_MODEL  # nothing is hoped for
    assert of["T1"].why == "they rest on times"
    text = "\n".join(lines(found))
    assert "state [plan] accuracy" in text
    # Half of the error for the first look, the rest for the 29 after it: 375 without an error show 0.98 at each.
    assert found.looks["test"].last == 30
    assert "looks at test: a classifier without an error passes at the first 30, and A1" in text
    (shown,) = (each.model_copy(update={"independence": "shown"}) for each in LEUKOCYTE.external)
    other = plan(LEUKOCYTE.model_copy(update={"external": (shown,)}), None, today=TODAY, workers=1)
    assert other.hopeless == {}
    unknown = next(c for c in other.chances.each if c.criterion == "E1")
    assert unknown.why == "how many cells set external_monocytes has is not known: name the data with --data"


def test_the_sets_of_a_protocol_that_draws_its_cells_are_as_many_as_a_run_draws():
    protocol = read_protocol(PROTOCOLS / "embedded.toml")
    found = plan(protocol, None, today=TODAY, workers=1)
    drawn = smears_for(protocol, workers=1).sets
    sizes = {name: sum(each.counts.values()) for name, each in drawn.items()}
    assert sizes == {"dataset": 1000, "second_laboratory": 200, "nine_monocytes": 9}
    of = dict(found.sizes)
    assert sum(of.pop(part) for part in ("train", "validation", "test")) == sizes.pop("dataset")
    assert of == sizes
    assert not any("not known" in line for line in lines(found))
    # Nine of the training source: too few, and what an external set must not be.
    assert "not shown to be independent" in next(c.why for c in found.chances.each if c.criterion == "E2")


# --- the job --------------------------------------------------------------------------------------

HOPING = """
extends = "generic"
[identity]
id = "two"
title = "Two kinds"
version = "1"
intended_use = "Tests."
[dataset]
description = "Two kinds."
classes = ["basophil", "monocyte"]
images = { formats = ["PNG"], min_side_px = 8, max_side_px = 64 }
[plan]
accuracy = 0.99
draws = 100
"""


def harness_plan(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The job in a process of its own, which ends with 99 where it imported torch."""
    code = (
        "import sys; from harness.cli import main; rc = main(sys.argv[1:]); "
        "sys.exit(99 if 'torch' in sys.modules else rc)"
    )
    call = [sys.executable, "-c", code, "plan", *arguments]
    return subprocess.run(
        call, cwd=cwd, env={"PYTHONPATH": str(PROJECT), "PATH": ""}, capture_output=True, text=True, check=False
    )


def images(folder: Path, n: int) -> Path:
    """Files that nobody decodes, each another."""
    for label in PAIR:
        (folder / label).mkdir(parents=True)
        for i in range(n):
            (folder / label / f"{i}.png").write_text(f"{label} {i}")
    return folder


def test_the_job_counts_the_cells_of_a_folder_without_torch(tmp_path):
    (tmp_path / "two.toml").write_text(HOPING)
    done = harness_plan("two.toml", cwd=tmp_path)
    assert (done.returncode, "Name them with --data DIR" in done.stderr) == (2, True)
    data = images(tmp_path / "cells", 200)
    done = harness_plan("two.toml", f"--data={data}", "--as-listed", "--json", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert done.returncode == (1 if said["cannot_pass"] else 0), done.stderr
    assert said["sizes"]["test"] == 60
    assert said["hoped_for"]["accuracy"] == 0.99
    of = {chance["criterion"]: chance for chance in said["each"]}
    assert (of["A1"]["how"], of["A1"]["n"]) == ("exact", 60)
    assert 0 <= said["together"]["probability"] <= 1


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[plan]\naccuracy = 0.99\nrecall = { eosinophil = 0.9 }", "plan.recall names 'eosinophil'"),
        ("[plan]\naccuracy = 0.99\nexternal = { elsewhere = 0.9 }", "plan.external names 'elsewhere'"),
        ("[plan]\naccuracy = 99.0", "plan.accuracy"),
    ],
)
def test_a_hope_that_cannot_be_meant_is_refused(tmp_path, table, said):
    from harness.core.errors import ProtocolError

    (tmp_path / "two.toml").write_text(HOPING.replace("[plan]\naccuracy = 0.99", table))
    with pytest.raises(ProtocolError, match=said):
        read_protocol(tmp_path / "two.toml")


def test_a_protocol_without_hopes_keeps_its_digest():
    assert "plan" not in LEUKOCYTE.model_dump(mode="json")
