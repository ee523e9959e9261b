"""A model card of a pack: read by the hub's own library and the claims audit, true to the evidence to the last bit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from example_run import CLASSES, example_run
from hostile_run import hostile_run
from huggingface_hub import ModelCard, ModelCardData
from test_verify import mend_sums

from harness.claims.audit import audit
from harness.claims.reading import read_report
from harness.cli import main
from harness.core.errors import EvidenceError
from harness.core.places import PROJECT
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.predictions import Predictions, widened
from harness.pack.card import card_of
from harness.report import wording
from harness.report.card import model_card

PACK = PROJECT / "reports" / "reference"


@pytest.fixture(scope="module")
def card() -> str:
    return card_of(PACK)


@pytest.fixture(scope="module")
def evaluations() -> dict[str, dict[str, object]]:
    return json.loads((PACK / "evidence.json").read_text())["evaluations"]  # type: ignore[no-any-return]


def test_the_hubs_own_library_reads_each_result(card, evaluations):
    data = ModelCard(card).data
    assert isinstance(data, ModelCardData)
    found = {(each.dataset_name, each.metric_type, str(each.metric_args)): each for each in data.eval_results or ()}
    for name in ("test", "second_laboratory", "nine_monocytes"):
        accuracy = found[name, "accuracy", "None"]
        assert accuracy.metric_value == evaluations[name]["accuracy"]["value"]
        assert (accuracy.task_type, accuracy.dataset_type) == ("image-classification", "private")
    assert found["test", "f1", "{'average': 'macro'}"].metric_value == evaluations["test"]["macro_f1"]["value"]
    for cell_class, each in evaluations["test"]["per_class"].items():
        told = found["test", "recall", str({"class": cell_class})]
        assert told.metric_value == each["recall"]["value"]
        assert f"{each['recall']['k']}/{each['recall']['n']}" in told.metric_name
    assert {name for name, _, _ in found} == {"test", "second_laboratory", "nine_monocytes"}  # not what training knew


def test_a_class_without_cells_has_no_recall(card):
    index = yaml.safe_load(card.split("---\n")[1])["model-index"]
    (nine,) = [each for each in index[0]["results"] if each["dataset"]["name"] == "nine_monocytes"]
    assert [each["args"]["class"] for each in nine["metrics"] if each["type"] == "recall"] == ["monocyte"]


def test_the_audit_of_published_reports_finds_nothing_wrong_with_it(card, tmp_path):
    (tmp_path / "README.md").write_text(card)
    found = audit(read_report(tmp_path / "README.md"), rounding="nearest", exists=lambda name: True)
    assert [str(each) for each in found.findings if each.kind == "contradiction"] == []


def test_it_begins_with_the_verdict_and_says_what_is_not_stated(card):
    text = card.split("---\n", 2)[2]
    assert text.lstrip().splitlines()[2].startswith("**RUN PASSED: every required criterion passed")
    assert "- not stated: user, operator" in text
    assert "not a medical device" in text


@pytest.mark.slow
def test_a_card_is_checked_line_by_line(card, tmp_path, capsys):
    place = tmp_path / "README.md"
    assert main(["card", str(PACK), "--out", str(place)]) == 0
    assert place.read_text() == card
    assert main(["card", str(PACK), "--check", str(place)]) == 0
    place.write_text(card.replace("value: 0.9466666666666667", "value: 0.9933333333333333", 1))
    capsys.readouterr()
    assert main(["card", str(PACK), "--check", str(place)]) == 1
    assert "value: 0.9933333333333333' is written, '      value: 0.9466666666666667' follows" in capsys.readouterr().out


def test_a_pack_that_does_not_hold_has_no_card(tmp_path: Path):
    import shutil

    shutil.copytree(PACK, tmp_path / "edited", ignore=shutil.ignore_patterns("figures"))
    mend_sums(tmp_path / "edited")
    with pytest.raises(EvidenceError, match="cannot have a model card"):
        card_of(tmp_path / "edited")


def test_hostile_names_make_neither_keys_nor_markdown():
    run = hostile_run("http://127.0.0.1:9")
    card = model_card(run, limits=(), sums_digest="0" * 64)
    front, body = card.split("---\n", 2)[1:]
    read = yaml.safe_load(front)
    assert list(read) == ["pipeline_tag", "tags", "model-index"]
    assert len(read["model-index"][0]["results"][0]["metrics"]) == 2 + len(CLASSES)
    for line in body.splitlines():
        assert "<script" not in line.replace("\\<", "")
        assert "<img" not in line.replace("\\<", "")
    assert card.isprintable() or all(c.isprintable() or c == "\n" for c in card)


def test_the_tag_says_whether_it_passed():
    assert (
        "not-passed" in yaml.safe_load(model_card(example_run(), limits=(), sums_digest="").split("---\n")[1])["tags"]
    )


@pytest.mark.slow
def test_the_classifier_is_named_with_its_door_and_digest():
    card = card_of(PROJECT / "reports" / "leukocyte-reference")
    assert "- classifier: `resnet18`, trained here, digest `23e5d1c89169046112860d7c5ed43d79" in card
    assert yaml.safe_load(card.split("---\n")[1])["model-index"][0]["name"] == "resnet18"


def test_what_unknown_cells_are_taken_for_stands_on_the_card_with_its_bounds(tmp_path):
    run = example_run()
    known = run.protocol.dataset.classes
    kinds = (*known, "blast", "smudge")
    sure = np.array([[0.96, 0.01, 0.01, 0.01, 0.01]] * 3 + [[0.3, 0.5, 0.1, 0.05, 0.05]] * 2)
    names = tuple(f"{number}.png" for number in range(5))
    odd = Predictions(
        set="odd",
        classes=kinds,
        paths=names,
        digests=tuple(hashlib.sha256(name.encode()).hexdigest() for name in names),
        labels=np.array([kinds.index("blast")] * 4 + [kinds.index("smudge")]),
        probabilities=widened(sure, kinds),
    )
    told = model_card(replace(run, unknown={"odd": odd}), limits=(), sums_digest="0" * 64)
    lower, upper = clopper_pearson_bounds(3, 5, level=0.95)
    assert f"| blast | 3/4 | {known[0]} (3/4) |" in told
    assert f"| smudge | 0/1 | {known[1]} (1/1) |" in told
    assert f"All: 3/5, one-sided 95 % bounds {wording.share(lower)} to {wording.share(upper)}." in told
    assert "does not know" not in model_card(run, limits=(), sums_digest="0" * 64)
    # Its counts are no claim on the classifier's own classes.
    (tmp_path / "README.md").write_text(told)
    found = audit(read_report(tmp_path / "README.md"), rounding="nearest", exists=lambda name: True)
    assert [str(each) for each in found.findings if each.kind == "contradiction"] == []
