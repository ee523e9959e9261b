"""JUnit XML is red exactly where the run did not pass, and says what each verdict rests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from xml.etree import ElementTree

import pytest
from example_run import example_run

from harness.judge.verdicts import Outcome, Verdict
from harness.pack.junit import element_of, junit, properties_of
from harness.protocol.criteria import Waiver

PROPERTIES = (
    *("outcome", "required", "value", "k", "n", "lower", "upper", "level", "bound", "threshold", "threshold_is"),
    *("unit", "requirement", "look"),
)


@pytest.fixture(scope="module")
def verdicts() -> tuple[Verdict, ...]:
    return example_run().verdicts


def suite_of(verdicts: tuple[Verdict, ...]) -> ElementTree.Element:
    suite = ElementTree.fromstring(junit(verdicts, name="n", seconds=1.5)).find("testsuite")
    assert suite is not None
    return suite


def test_there_is_one_case_per_criterion_each_under_its_own_word(verdicts):
    cases = suite_of(verdicts).findall("testcase")
    assert [case.get("name") for case in cases] == [verdict.criterion.id for verdict in verdicts]
    assert {verdict.outcome for verdict in verdicts} == set(Outcome)  # the example has every one
    for case, verdict in zip(cases, verdicts, strict=True):
        properties = {each.get("name"): each.get("value") for each in case.find("properties")}
        assert tuple(properties) == PROPERTIES
        assert properties["outcome"] == verdict.outcome.value
        details = [child for child in case if child.tag != "properties"]
        assert [child.get("type") for child in details] == ([] if verdict.passed else [verdict.outcome.value])
        assert all(verdict.criterion.id in child.text for child in details)


def test_a_failure_or_an_error_stands_exactly_where_the_verdict_blocks_the_run(verdicts):
    every = [
        replace(verdict, outcome=outcome, criterion=verdict.criterion.model_copy(update={"required": required}))
        for verdict in verdicts
        for outcome in Outcome
        for required in (True, False)
    ]
    for verdict in every:
        assert (element_of(verdict) in ("failure", "error")) is verdict.blocks, verdict
        assert (element_of(verdict) is None) is verdict.passed


def test_what_is_waived_is_skipped_and_what_is_required_and_cannot_be_answered_is_an_error(verdicts):
    absent = next(v for v in verdicts if v.outcome is Outcome.NOT_ASSESSED)
    required = replace(absent, criterion=absent.criterion.model_copy(update={"required": True}), waiver=None)
    required = replace(required, not_asked=False)
    waiver = Waiver(
        criterion=absent.criterion.id, reason="no such device here", owner="A. Ada", expires=date(2030, 1, 1)
    )
    assert element_of(required) == "error"
    assert element_of(replace(required, waiver=waiver)) == "skipped"
    assert element_of(replace(required, not_asked=True)) == "skipped"


def test_the_counts_are_those_of_the_cases(verdicts):
    suite = suite_of(verdicts)
    assert int(suite.get("tests", "")) == len(verdicts)
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert int(suite.get(attribute, "")) == len(suite.findall(f"testcase/{tag}"))
    assert int(suite.get("failures", "")) == sum(
        v.blocks and v.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE) for v in verdicts
    )


def test_a_floor_is_told_with_value_counts_deciding_bound_threshold_and_look(verdicts):
    verdict = next(v for v in verdicts if v.criterion.id == "A1")
    found = verdict.estimate
    said = dict(properties_of(replace(verdict, look=3)))
    assert (said["k"], said["n"]) == ("27", "30")  # by hand: the example has three of thirty wrong
    assert float(said["value"]) == 0.9
    assert float(said["bound"]) == float(said["lower"]) == found.lower  # to the last bit
    assert said["threshold"] == repr(verdict.criterion.floor)
    assert (said["threshold_is"], said["look"]) == ("floor", "3")


def test_a_ceiling_is_compared_with_the_upper_bound(verdicts):
    verdict = next(v for v in verdicts if v.criterion.ceiling is not None and v.estimate is not None)
    said = dict(properties_of(verdict))
    assert (said["bound"], said["threshold_is"]) == (said["upper"], "ceiling")


def test_what_was_not_measured_is_empty_and_never_0(verdicts):
    verdict = next(v for v in verdicts if v.estimate is None)
    said = dict(properties_of(verdict))
    assert {said[name] for name in ("value", "k", "n", "lower", "upper", "bound", "level")} == {""}
    assert said["threshold"] != ""


def test_a_case_that_blocks_on_answers_names_the_cells_that_the_baseline_had_right():
    run = example_run()
    found = run.comparisons["test"]
    lost = {c.path: c.reference for c in found.discordant if not c.candidate_right}
    assert lost
    # Behind a gate that stayed closed: nobody asked, and the cells are known all the same.
    closed = tuple(
        replace(
            v,
            outcome=Outcome.NOT_JUDGED,
            estimate=None,
            not_asked=False,
            waiver=None,
            criterion=v.criterion.model_copy(update={"required": True}),
        )
        if v.criterion.set == "test" and v.criterion.question == "accuracy"
        else v
        for v in run.verdicts
    )
    told = junit(closed, name="n", seconds=1.0, comparisons=run.comparisons)
    cases = {case.get("name"): case for case in ElementTree.fromstring(told).iter("testcase")}
    asked = [v for v in closed if v.criterion.set == "test" and v.criterion.question == "accuracy"]
    assert asked
    for verdict in asked:
        text = "".join(child.text or "" for child in cases[verdict.criterion.id])
        own = {path for path, name in lost.items() if verdict.criterion.cell_class in (None, name)}
        assert {path for path in lost if repr(path) in text} == own
        assert (found.baseline in text) == bool(own)
    for verdict in closed:
        if not verdict.blocks:
            assert "  lost " not in "".join(child.text or "" for child in cases[verdict.criterion.id])
    assert junit(closed, name="n", seconds=1.0, comparisons=run.comparisons, version=2) == junit(
        closed, name="n", seconds=1.0
    )
