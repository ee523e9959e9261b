"""A classifier adapted to another laboratory by a few of its cells: which are drawn, who is judged, what is kept."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import CLASSES, MeanColour, classifier_of
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from test_ledger import looked, sha
from test_verify import edit_json, mend_sums
from tiny_run import Pytest, evidence_of, verdicts_of

from harness.core.errors import NotApplicable
from harness.data.drawing import Candidate, draw_cells
from harness.judge.ledger import read_ledger
from harness.judge.looks import fitted_among, look_number
from harness.judge.pictures import pack_pictures
from harness.metrics.adaptation import METRICS, Adapted, beside_unadapted
from harness.metrics.comparison import Comparison
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.measurements import NothingRecorded
from harness.metrics.paired import tango_bounds
from harness.metrics.predictions import Predictions
from harness.model.adapting import adapt, folds, way_of
from harness.model.images import frames_of
from harness.model.networks import normalise
from harness.model.retuned import fine_tuned, with_statistics_of
from harness.pack.verify import verify_pack
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol

PROTOCOL = read_protocol(DEFAULT_PROTOCOL)

# --- which cells ----------------------------------------------------------------------------------


def cells(**sizes: int) -> list[Candidate]:
    names = [(f"{label}/{number:03}", label) for label, size in sizes.items() for number in range(size)]
    return [Candidate(path, label, sha(path), f"content:{sha(path)}") for path, label in names]


def test_every_class_has_as_many_as_the_others_and_none_more_than_half():
    # Of one basophil none is drawn, of 22 eosinophils 11, and the others share what is left.
    found = draw_cells(cells(basophil=1, eosinophil=22, lymphocyte=60, neutrophil=176), (), n=71, seed=1)
    assert Counter(cell.label for cell in found) == {"eosinophil": 11, "lymphocyte": 30, "neutrophil": 30}


@given(st.integers(0, 2**32 - 1), st.randoms())
def test_neither_listing_nor_a_larger_draw_changes_who_is_drawn(seed, shuffle):
    listed = cells(a=9, b=30, c=4)
    few, more = (draw_cells(listed, (), n=n, seed=seed) for n in (7, 15))
    shuffle.shuffle(listed)
    assert draw_cells(listed, (), n=15, seed=seed) == more
    assert set(few) < set(more)


@given(
    st.integers(0, 1000), st.integers(2, 40), st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=8)
)
def test_patients_and_pictures_are_drawn_whole_or_not_at_all(seed, n, pairs):
    listed = [replace(cell, unit=f"patient:{row % 13}") for row, cell in enumerate(cells(a=15, b=20, c=5))]
    copies = [(listed[one].path, listed[other].path) for one, other in pairs]
    drawn = set(draw_cells(listed, copies, n=n, seed=seed))
    assert len(drawn) <= n
    assert not {cell.unit for cell in drawn} & {cell.unit for cell in set(listed) - drawn}
    of = {cell.path: cell in drawn for cell in listed}
    assert all(of[one] == of[other] for one, other in copies)
    assert all(
        2 * k <= Counter(cell.label for cell in listed)[label] for label, k in Counter(c.label for c in drawn).items()
    )


def test_the_same_file_twice_is_one_picture_whatever_its_patients():
    one, *others = cells(a=10)
    again = replace(one, path="a/copy", unit="patient:2")
    for seed in range(30):
        drawn = draw_cells([one, again, *others], (), n=4, seed=seed)
        assert (one in drawn) == (again in drawn)


# --- a new head -----------------------------------------------------------------------------------


class Featured(MeanColour):
    """Answers by colour, always with the same class; its features tell red from green from blue."""

    card = replace(
        MeanColour.card, classes=("red", "green", "blue"), abilities=("probabilities", "new images", "features")
    )

    def predict_proba(self, images):
        return np.tile([0.05, 0.15, 0.8], (len(images), 1))

    def embed(self, images):
        return np.array([images.frame(row).reshape(-1, 3).mean(axis=0) for row in range(len(images))], dtype=np.float64)


def coloured(labels: list[int], *, seed: int):
    rng = np.random.default_rng(seed)
    colours = np.full((3, 3), 60) + 120 * np.eye(3, dtype=int)
    return frames_of([np.clip(rng.normal(colours[label], 20, (6, 6, 3)), 0, 255).astype(np.uint8) for label in labels])


def test_a_new_head_learns_what_the_features_hold_and_the_classifier_does_not_say():
    labels = np.array([0, 1, 2] * 4)
    found = adapt(
        Featured(), coloured(labels.tolist(), seed=1), labels, coloured([2, 1, 0, 0], seed=2), method="head", seed=1
    )
    assert found.probabilities.argmax(axis=1).tolist() == [2, 1, 0, 0]
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0)


def test_of_a_class_without_a_drawn_cell_the_probability_stays_as_it_was():
    labels = np.array([0, 1] * 5)
    found = adapt(
        Featured(), coloured(labels.tolist(), seed=1), labels, coloured([0, 1], seed=2), method="head", seed=1
    )
    assert found.probabilities[:, 2] == pytest.approx([0.8, 0.8])
    assert found.probabilities[0, 0] > found.probabilities[0, 1]
    alone = adapt(Featured(), coloured([1, 1], seed=1), np.array([1, 1]), coloured([0], seed=2), method="head", seed=1)
    assert alone.probabilities.tolist() == [[0.05, 0.15, 0.8]]  # one class tells a head nothing


def test_a_classifier_without_features_has_no_head_to_replace():
    with pytest.raises(NotApplicable, match="features"):
        adapt(MeanColour(), coloured([0, 1], seed=1), np.array([0, 1]), coloured([0], seed=2), method="head", seed=1)


def test_folds_ask_every_cell_once_and_deal_every_class_out():
    labels = np.array([0] * 10 + [1] * 5 + [2] * 2)
    parts = list(folds(labels, seed=3))
    assert sorted(np.concatenate([asked for _, asked in parts]).tolist()) == list(range(17))
    assert all(set(inside) | set(asked) == set(range(17)) for inside, asked in parts)
    assert [int((labels[asked] == 0).sum()) for _, asked in parts] == [2, 2, 2, 2, 2]


# --- the weights of a network ---------------------------------------------------------------------


def network() -> torch.nn.Sequential:
    torch.manual_seed(1)
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.ReLU())
    return torch.nn.Sequential(
        body, torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(6, len(CLASSES)))
    )


def test_batch_norm_statistics_are_those_of_the_drawn_cells_and_the_classifier_stays_as_it_was():
    door = classifier_of(network())
    before = {name: tensor.clone() for name, tensor in door.network.state_dict().items()}
    arrays = np.random.default_rng(1).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    adapted = with_statistics_of(door.network, arrays, door.how, door.torch_device)
    with torch.no_grad():
        seen = door.network[0][0](normalise(torch.from_numpy(arrays), door.how))  # type: ignore[index]
    norm = adapted[0][1]  # type: ignore[index]
    assert torch.allclose(norm.running_mean, seen.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var, seen.var(dim=(0, 2, 3)), rtol=1e-4)
    assert not norm.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in door.network.state_dict().items())
    changed = {name for name, tensor in adapted.state_dict().items() if not torch.equal(tensor, before[name])}
    assert all("running" in name or "num_batches" in name for name in changed)


def test_fine_tuning_learns_the_drawn_cells_to_the_same_bits_and_leaves_the_classifier_as_it_was():
    door, labels = classifier_of(network()), np.array([0, 1, 2] * 6)
    before = door.network.state_dict()["1.2.weight"].clone()
    drawn, asked = coloured(labels.tolist(), seed=1), coloured([0, 1, 2] * 4, seed=2)
    first, again = (
        adapt(door, drawn, labels, asked, method="fine-tune", seed=5).probabilities.tobytes() for _ in range(2)
    )
    assert first == again
    assert first != adapt(door, drawn, labels, asked, method="none", seed=5).probabilities.tobytes()
    assert torch.equal(door.network.state_dict()["1.2.weight"], before)


def test_fine_tuning_lowers_the_loss_on_the_drawn_cells():
    door, labels = classifier_of(network()), np.array([0, 1, 2] * 6)
    arrays = door.prepare(coloured(labels.tolist(), seed=1))
    adapted = fine_tuned(door.network, arrays, labels, door.how, door.torch_device, seed=5)
    of_own = [each.forward(arrays)[np.arange(len(labels)), labels] for each in (door, door.beside(adapted))]
    assert np.log(of_own[1]).mean() > np.log(of_own[0]).mean()


# --- which way ------------------------------------------------------------------------------------


def test_cross_validation_takes_what_has_most_of_the_drawn_cells_right_and_says_what_could_not_be_tried():
    labels = np.array([0, 1, 2] * 4)
    drawn, asked = coloured(labels.tolist(), seed=1), coloured([2, 0], seed=2)
    found = adapt(Featured(), drawn, labels, asked, method="cross-validation", seed=1)
    assert found.method == "head"
    assert found.scores == {"none": 4, "head": 12}  # it always says blue: four of twelve
    assert set(found.notes) == {"batch-norm", "fine-tune"}
    assert "not a torch network" in found.notes["fine-tune"]


def test_where_nothing_gains_the_classifier_is_left_as_it_was():
    blue = np.array([2] * 6)
    asked = coloured([0, 2], seed=2)
    found = adapt(Featured(), coloured(blue.tolist(), seed=1), blue, asked, method="cross-validation", seed=1)
    assert (found.method, found.scores) == ("none", {"none": 6, "head": 6})
    assert found.probabilities.tolist() == [[0.05, 0.15, 0.8]] * 2


def test_a_network_without_statistics_has_none_to_estimate():
    plain = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Flatten()), torch.nn.Linear(3, len(CLASSES)))
    with pytest.raises(NotApplicable, match="batch-norm"):
        way_of("batch-norm", classifier_of(plain), seed=1)


# --- the numbers ----------------------------------------------------------------------------------


def said(right: list[int], labels: list[int], *, set_name: str = "lab") -> Predictions:
    called = [label if ok else 1 - label for ok, label in zip(right, labels, strict=True)]
    names = [f"{number:02}" for number in range(len(labels))]
    return Predictions(
        set_name, ("a", "b"), tuple(names), tuple(map(sha, names)), np.array(labels), np.eye(2)[called] * 0.8 + 0.1
    )


LABELS = [0] * 6 + [1] * 4
BEFORE = said([1, 1, 0, 0, 0, 0, 1, 1, 1, 0], LABELS)
AFTER = said([1, 1, 1, 1, 1, 0, 0, 1, 1, 0], LABELS)


def measured(name: str, cell_class: str | None = None) -> Estimate | Unavailable:
    class Subject:
        set, kind = "lab", None

    Subject.cell_class = cell_class  # type: ignore[attr-defined]

    class Recorded(NothingRecorded):
        def adaptation(self, set_name: str) -> Comparison | Unavailable:
            found = Adapted("head", AFTER, said([1], [0]))
            return beside_unadapted(found, BEFORE, copies=(), intracluster_correlation=0.1)

    metric = next(each for each in METRICS if each.name == name)
    return metric.estimate(Recorded(PROTOCOL, what="two"), Subject(), 0.95)  # type: ignore[arg-type]


def test_before_and_after_are_counted_on_the_same_cells_with_exact_bounds():
    found = measured("adapted_accuracy")
    assert isinstance(found, Estimate)
    assert (found.k, found.n, found.lower) == (7, 10, clopper_pearson_bounds(7, 10, level=0.95)[0])
    assert "as it was: 5/10" in found.note
    recall = measured("adapted_recall", "a")
    assert isinstance(recall, Estimate)
    assert (recall.k, recall.n) == (5, 6)
    assert "as it was: 2/6" in recall.note


def test_the_gain_is_paired():
    found = measured("adaptation_gain")
    assert isinstance(found, Estimate)
    assert (found.value, found.paired) == (pytest.approx(0.2), (1, 3))
    assert found.lower is not None
    assert -1 < found.lower <= tango_bounds(1, 3, 10, level=0.95)[0]  # the exact bound is never the sharper one
    of_class = measured("adapted_recall_gain", "b")
    assert isinstance(of_class, Estimate)
    assert of_class.paired == (1, 0)


# --- what is fixed, and what the ledger knows -----------------------------------------------------


def test_a_criterion_on_an_adapted_classifier_needs_its_plan_and_a_plan_its_limits(tmp_path):
    criterion = """[[criteria]]
id = "AD1"
question = "external"
set = "second_laboratory"
metric = "adapted_accuracy"
floor = 0.5
level = 0.95
rationale = "A new head must not forget everything."
required = false
"""
    file = tmp_path / "adapted.toml"
    text = f'extends = "{DEFAULT_PROTOCOL.as_posix()}"\n{criterion}'
    file.write_text(text)
    with pytest.raises(Exception, match=r"external.second_laboratory.adaptation"):
        read_protocol(file)
    plan = '[[external]]\nname = "second_laboratory"\nadaptation = { cells = 20, seed = 1, method = "head" }\n'
    file.write_text(text + plan)
    read = read_protocol(file)
    assert read.adaptation_of("second_laboratory") is not None
    with pytest.raises(ValidationError, match="less than or equal to 100"):
        type(read.adaptation_of("second_laboratory")).model_validate({"cells": 101, "seed": 1, "method": "head"})  # type: ignore[arg-type]


def test_a_classifier_and_itself_adapted_are_one_look_and_another_draw_of_another_run_is_a_further_one(tmp_path):
    path = tmp_path / "ledger.jsonl"

    def number(predictions: str, role: str, run: str) -> int:
        known = {"source": sha("own"), "cells": sha("cells"), "predictions": sha(predictions)}
        return look_number(read_ledger(path), run=run, role=role, **known)  # type: ignore[arg-type]

    for predictions, role, run in (
        ("b", "judged", "1"),
        ("a", "adapted", "1"),
        ("b", "judged", "2"),
        ("a2", "adapted", "2"),
    ):
        looked(path, run=run, source=sha("own"), cells=sha("cells"), predictions=sha(predictions), role=role)
    assert [number("b", "judged", "1"), number("a", "adapted", "1"), number("b", "judged", "2")] == [1, 1, 1]
    assert number("a2", "adapted", "2") == 3  # the first run's two classifiers were seen before
    assert number("a", "adapted", "3") == 1  # the same again


def test_the_ledger_knows_the_pictures_that_a_classifier_was_adapted_with(tmp_path):
    path = tmp_path / "ledger.jsonl"
    known = pack_pictures([sha("x"), sha("y")])
    looked(path, run="1", cells=sha("drawn"), n=2, role="fit", pictures=known)
    looked(path, run="2", cells=sha("drawn"), n=2, role="fit", pictures=known)
    looked(path, run="2", cells=sha("others"), n=1, role="judged", pictures=pack_pictures([sha("z")]))
    ((look, n),) = fitted_among(read_ledger(path), pack_pictures([sha("y"), sha("z")]))
    assert (look.run, n) == ("1", 1)
    assert fitted_among(read_ledger(path), pack_pictures([sha("z")])) == []


# --- the whole path -------------------------------------------------------------------------------

ADAPTED = """extends = "tiny.toml"
[[external]]
name = "second_laboratory"
adaptation = { cells = 20, seed = 1, method = "cross-validation" }
[[criteria]]
id = "AD1"
question = "external"
set = "second_laboratory"
metric = "adapted_accuracy"
floor = 0.01
level = 0.95
rationale = "A new head must not forget everything."
required = false
[[criteria]]
id = "AD2"
question = "external"
set = "second_laboratory"
metric = "adaptation_gain"
floor = -0.9
level = 0.95
rationale = "A new head must not lose everything."
required = false
"""


def test_an_adaptation_is_drawn_judged_verified_and_its_cells_are_never_judged_again(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    (place / "adapted.toml").write_text(ADAPTED)
    done = tiny(f"--protocol={place / 'adapted.toml'}", suites="suites/test_external.py")
    pack = (place / "reports" / "latest").resolve()
    assert pack != cold[1], done.stdout + done.stderr
    verdicts, evidence = verdicts_of(pack), evidence_of(pack)
    assert (verdicts["AD1"]["outcome"], verdicts["AD2"]["outcome"]) == ("passed", "passed"), done.stdout
    assert evidence["adaptations"]["second_laboratory"]["drawn"]["n"] == 20
    assert verdicts["E1"]["estimate"]["n"] == verdicts["AD1"]["estimate"]["n"] == 180
    assert "Before and after the adaptation to second_laboratory" in (pack / "index.html").read_text()
    assert verify_pack(pack).discrepancies == ()

    # Planted: another drawing than the protocol's, stated beside the same predictions.
    def other_seed(content):
        plan = next(each for each in content["protocol"]["content"]["external"] if each["name"] == "second_laboratory")
        plan["adaptation"]["seed"] = 2

    edit_json(pack, "evidence.json", other_seed)
    mend_sums(pack)
    assert any("seed = 2 draw" in str(each) for each in verify_pack(pack).discrepancies)

    # Under the same ledger, a run that would judge the whole set is refused it.
    done = tiny(suites="suites/test_external.py")
    refused = verdicts_of((place / "reports" / "latest").resolve())["E1"]
    assert refused["outcome"] == "not assessed", done.stdout
    assert "20 images of set second_laboratory were drawn by run" in refused["reason"]
    assert verify_pack((place / "reports" / "latest").resolve()).discrepancies == ()
