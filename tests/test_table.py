"""The table of metrics: complete, consistent, and what its documentation says."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from example_run import example_run

from harness.core.errors import BrokenPromise
from harness.core.places import PROJECT
from harness.judge.rules import RULES
from harness.metrics import table
from harness.metrics.documentation import metrics_page
from harness.metrics.estimates import Estimate
from harness.metrics.summary import measured_again, summarise, summary_metrics
from harness.metrics.table import TABLE, metrics_of
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.criteria import Criterion
from harness.protocol.file import read_protocol
from harness.protocol.questions import GATES, QUESTIONS


@pytest.fixture(scope="module")
def example():
    return example_run()


SHIPPED = sorted(  # the others are only extended, and have no name of their own
    file for file in (PROJECT / "suites" / "protocols").glob("*.toml") if "\n[identity]\n" in file.read_text("utf-8")
)


def test_the_documentation_is_made_from_the_table():
    written = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == metrics_page(), "docs/metrics.md is not current: python -m harness metrics > docs/metrics.md"


def test_every_question_has_metrics_and_a_gate():
    for question in QUESTIONS.values():
        assert metrics_of(question.name)
        assert question.gate in GATES
        assert question.gate_per_class in ("", *GATES)


@pytest.mark.parametrize("metric", TABLE.values(), ids=lambda metric: metric.name)
def test_an_entry_is_consistent(metric):
    lowest, highest = metric.range
    assert lowest < highest
    assert (metric.per in ("corruption", "column")) == (metric.kinds is not None)
    assert metric.meaning.endswith(".")
    if metric.holm:
        assert metric.per in RULES.holm_over
    if metric.trials:
        # The floor of the proportion behind a metric rises with the metric's, within [0, 1].
        floors = [metric.proportion_floor(each / 10) for each in range(11)]
        assert floors == sorted(floors)
        assert (floors[0], floors[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_criterion_that_is_shipped_has_its_entry(file: Path):
    for criterion in read_protocol(file).criteria:
        assert criterion.entry.name == criterion.metric


@pytest.mark.parametrize("room", ["protocol", "data", "model", "judge", "run", "plugin.py"])
def test_no_module_that_decides_lists_metrics_beside_the_table(room):
    """Tuples of metric names, and dispatch by them, grew in five rooms once. (A report's columns are its layout.)"""
    place = PROJECT / "harness" / room
    for path in place.rglob("*.py") if place.is_dir() else [place]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                listed = [TABLE[e.value] for e in node.elts if isinstance(e, ast.Constant) and e.value in TABLE]
                # Findings of integrity are named by their rule, which is what the metric counts.
                names = [metric.name for metric in listed if "integrity" not in metric.questions]
                assert len(names) < 2, (path, names)


def test_two_entries_of_one_name_are_refused(monkeypatch):
    twice = (TABLE["accuracy"], TABLE["accuracy"])
    monkeypatch.setattr("harness.metrics.classification.METRICS", twice)
    with pytest.raises(TypeError, match=r"\['accuracy'\] are declared more than once"):
        table._discovered()


def test_an_entry_that_answers_no_question_is_refused(monkeypatch):
    lost = replace(TABLE["accuracy"], name="beauty", questions=("taste",))
    monkeypatch.setattr("harness.metrics.gaps.METRICS", (lost,))
    with pytest.raises(TypeError, match=r"\['beauty'\] answer no known question"):
        table._discovered()


def test_a_new_entry_can_be_gated_on_without_another_change(monkeypatch):
    found = replace(TABLE["accuracy"], name="beauty")
    monkeypatch.setattr("harness.metrics.table.TABLE", {**TABLE, "beauty": found})
    criterion = Criterion(
        id="X",
        question="accuracy",
        set="test",
        metric="beauty",
        floor=0.5,
        level=0.95,
        rationale="none",
        required=True,
    )
    assert criterion.gate == "accuracy"


def test_a_summary_holds_every_metric_of_a_confusion_matrix(example):
    protocol, evaluation = example.protocol, example.evaluations["test"]
    names = summary_metrics()
    assert {"balanced_accuracy", "cohen_kappa", "matthews_correlation", "specificity"} <= set(names)
    assert not {"accuracy", "recall", "seed_accuracy"} & set(names)  # printed elsewhere, and of more than a matrix
    found = summarise(protocol, evaluation, names=names, level=0.95)
    for metric in map(TABLE.__getitem__, names):
        wanted = [f"{metric.name} of {name}" for name in evaluation.classes] if metric.per == "class" else [metric.name]
        assert set(wanted) <= set(found)


def test_a_number_that_rests_on_more_than_a_confusion_matrix_is_not_made_of_one(example):
    found = Estimate("seed_accuracy", "test", None, 0.9, 0.8, None, 0.95, "by hand")
    assert measured_again(example.protocol, example.evaluations["test"], TABLE["seed_accuracy"], found) is None


def test_the_embedded_protocol_asks_every_question():
    asked = {criterion.question for criterion in read_protocol(DEFAULT_PROTOCOL).criteria}
    assert asked == {
        name for name, question in QUESTIONS.items() if not question.on_unknown
    }  # of which no set is shipped


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"k": None}, "has k of n"),
        ({"n": None}, "has k of n"),
        ({"k": 9, "n": 5}, "has k of n"),
        ({"lower": 0.9, "upper": 0.2}, "not below its upper"),
        ({"lower": float("nan")}, "not below its upper"),
        ({"metric": "precision"}, "is called 'precision' there"),
        ({"unit": "s"}, "its unit is 'fraction'"),
    ],
)
def test_no_criterion_acts_on_an_estimate_that_its_entry_does_not_allow(example, change, says):
    recall = TABLE["recall"]
    sound = next(v.estimate for v in example.verdicts if v.criterion.metric == "recall" and v.estimate is not None)
    assert replace(recall, measure=lambda *_: sound).estimate(None, None, 0.95) == sound
    broken = replace(sound, **change)
    with pytest.raises(BrokenPromise, match=says):
        replace(recall, measure=lambda *_: broken).estimate(None, None, 0.95)
