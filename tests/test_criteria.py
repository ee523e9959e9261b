"""Criteria: three outcomes by the bounds alone, waivers in the open, and words that hide nothing."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.multitest import multipletests

from harness.data.records import CellImage
from harness.judge.asking import family_of
from harness.judge.criteria import (
    closed_gate,
    complete,
    explain,
    judge,
    level_at,
    not_judged,
    observed,
    parts_at,
    requirement,
)
from harness.judge.rules import OLDEST, RULES, Rules
from harness.judge.sample_size import ONLY_NEW, cells_to_decide
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.classification import estimate
from harness.metrics.counts import exact_count
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.gaps import accuracy_gap
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.measurements import NothingRecorded
from harness.metrics.predictions import predictions_of
from harness.metrics.robustness import severity_curves
from harness.metrics.stability import Robustness
from harness.metrics.timing import images_per_second, latency
from harness.model.records import Timing
from harness.protocol.criteria import Criterion, Waiver
from harness.protocol.file import read_protocol
from harness.protocol.questions import GATES
from harness.protocol.records import Protocol
from harness.protocol.statistics import LooksPlan
from harness.run.results import RunResults

PROTOCOL = read_protocol(Path(__file__).parents[1] / "suites" / "protocols" / "embedded.toml")
ID = {criterion.id: criterion for criterion in PROTOCOL.criteria}
TODAY = date(2026, 1, 15)
OUTCOMES = st.sampled_from(list(Outcome))


def criterion_like(known: str, **changes: object) -> Criterion:
    """A criterion of the embedded protocol with some fields changed, checked as one from a file is."""
    return Criterion.model_validate({**ID[known].model_dump(), **changes})


def protocol_with(**changes: object) -> Protocol:
    return PROTOCOL.model_copy(update=changes)


def accuracy(k: int, n: int, *, level: float = 0.95, set_name: str = "test") -> Estimate:
    confusion = np.array([[k, n - k], [0, 0]], dtype=np.int64)
    return estimate(Evaluation(set_name, ("a", "b"), confusion), "accuracy", cell_class=None, level=level)


def judged(floor: float, k: int, n: int, **changes: object) -> Verdict:
    criterion = criterion_like("A1", floor=floor, **changes)
    return judge(criterion, accuracy(k, n, level=criterion.level), protocol=PROTOCOL, today=TODAY)


# --- three outcomes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "floor", "most_to_pass", "fewest_to_fail"),
    [
        (375, 0.95, 11, 27),
        (375, 0.97, 5, 18),
        (375, 0.98, 2, 13),
        (375, 0.99, 0, 8),
        (375, 0.995, None, 5),
        (75, 0.90, 2, 13),
        (75, 0.95, 0, 8),
        (75, 0.97, None, 6),
        (9, 0.70, 0, 6),
        (9, 0.75, None, 5),
    ],
)
def test_errors_allowed_to_pass_and_needed_to_fail(n, floor, most_to_pass, fewest_to_fail):
    outcomes = [judged(floor, n - errors, n).outcome for errors in range(min(n, 30) + 1)]
    n_passing = 0 if most_to_pass is None else most_to_pass + 1
    assert outcomes == (
        [Outcome.PASSED] * n_passing
        + [Outcome.INCONCLUSIVE] * (fewest_to_fail - n_passing)
        + [Outcome.FAILED] * (len(outcomes) - fewest_to_fail)
    )


def test_the_published_result_is_at_the_edge_of_98_percent_and_does_not_show_99():
    assert judged(0.98, 373, 375).passed
    assert judged(0.98, 372, 375).outcome is Outcome.INCONCLUSIVE
    assert judged(0.99, 373, 375).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(("bound", "expected"), [(0.9, Outcome.PASSED), (math.nextafter(0.9, 0), Outcome.INCONCLUSIVE)])
def test_a_lower_bound_on_the_floor_passes_and_a_hair_below_does_not(bound, expected):
    on_the_edge = replace(accuracy(70, 75), lower=bound)
    assert judge(criterion_like("A1", floor=0.9), on_the_edge, protocol=PROTOCOL, today=TODAY).outcome is expected


def test_an_upper_bound_on_the_floor_does_not_fail_yet():
    on_the_edge = replace(accuracy(10, 75), upper=0.9)
    criterion = criterion_like("A1", floor=0.9)
    assert judge(criterion, on_the_edge, protocol=PROTOCOL, today=TODAY).outcome is Outcome.INCONCLUSIVE
    below = replace(on_the_edge, upper=math.nextafter(0.9, 0))
    assert judge(criterion, below, protocol=PROTOCOL, today=TODAY).outcome is Outcome.FAILED


def test_a_value_above_the_floor_alone_never_passes():
    # 9 of 9 is a perfect score and proves no more than 71.7 %.
    verdict = judged(0.75, 9, 9)
    assert (verdict.estimate.value, verdict.outcome) == (1.0, Outcome.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("upper", "lower", "expected"),
    [
        (0.1, 0.05, Outcome.PASSED),
        (0.11, 0.05, Outcome.INCONCLUSIVE),
        (0.3, 0.11, Outcome.FAILED),
        (0.3, 0.1, Outcome.INCONCLUSIVE),
        (None, 0.05, Outcome.INCONCLUSIVE),
        (None, 0.11, Outcome.FAILED),
        (0.09, None, Outcome.PASSED),
        (None, None, Outcome.INCONCLUSIVE),
    ],
)
def test_a_ceiling_acts_on_the_upper_bound(upper, lower, expected):
    criterion = criterion_like("T2", ceiling=0.1)
    measured = Estimate("latency_s", "cpu", None, 0.07, lower, upper, 0.95, "order statistics", unit="s", n=100)
    assert judge(criterion, measured, protocol=PROTOCOL, today=TODAY).outcome is expected


def test_times_and_rates_are_judged_by_their_slow_end():
    quick = Timing("SingleStream", "decode-to-label", "cpu", 1, 1, (0.02,) * 99 + (5.0,))
    assert judge(ID["T2"], latency(quick, metric="latency_s", level=0.95), protocol=PROTOCOL, today=TODAY).passed
    few = replace(quick, samples_s=(0.02,) * 28)
    verdict = judge(ID["T2"], latency(few, metric="latency_s", level=0.95), protocol=PROTOCOL, today=TODAY)
    assert (verdict.outcome, verdict.n_to_decide) == (Outcome.INCONCLUSIVE, None)
    rounds = Timing("Offline", "decode-to-label", "cpu", 100, 32, (1.0, 1.0, 1.0, 1.0, 50.0))
    measured = images_per_second(rounds, metric="images_per_s", level=0.95)
    assert (
        judge(ID["T4"], measured, protocol=PROTOCOL, today=TODAY).outcome is Outcome.INCONCLUSIVE
    )  # one round made 2 a second


@pytest.mark.parametrize(("found", "expected"), [([], Outcome.PASSED), (["x in two parts"], Outcome.FAILED)])
def test_a_count_is_decided_without_doubt(found, expected):
    assert (
        judge(ID["S2"], exact_count("leaked_units", "dataset", found), protocol=PROTOCOL, today=TODAY).outcome
        is expected
    )


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [
        # Ceiling 0.03, validation at 97.5 %: of 375, four errors leave 0.9729 and five 0.9693.
        ((1750, 1750), (371, 375), Outcome.PASSED),
        ((1750, 1750), (370, 375), Outcome.INCONCLUSIVE),
        ((1750, 1750), (350, 375), Outcome.FAILED),
    ],
)
def test_the_gap_is_judged_by_its_wide_bound(train, validation, expected):
    pair = [Evaluation("x", ("a", "b"), np.array([[k, n - k], [0, 0]])) for k, n in (train, validation)]
    verdict = judge(criterion_like("F6", ceiling=0.03), accuracy_gap(*pair, level=0.95), protocol=PROTOCOL, today=TODAY)
    assert verdict.outcome is expected
    assert verdict.n_to_decide is None


def test_what_is_not_a_number_proves_nothing():
    nothing = replace(accuracy(375, 375), value=math.nan, lower=math.nan, upper=math.nan)
    assert (
        judge(criterion_like("A1", floor=0.5), nothing, protocol=PROTOCOL, today=TODAY).outcome is Outcome.INCONCLUSIVE
    )
    slow = Estimate("latency_s", "cpu", None, math.nan, math.nan, math.nan, 0.95, "order statistics", unit="s", n=9)
    assert judge(ID["T2"], slow, protocol=PROTOCOL, today=TODAY).outcome is Outcome.INCONCLUSIVE


@given(k=st.integers(0, 400), n=st.integers(1, 400), floor=st.floats(0.01, 1), level=st.floats(0.5, 0.999))
def test_pass_and_fail_follow_from_the_bounds_and_nothing_else(k, n, floor, level):
    assume(k <= n)
    verdict = judged(floor, k, n, level=level)
    proved, disproved = verdict.estimate.lower >= floor, verdict.estimate.upper < floor
    assert (verdict.outcome is Outcome.PASSED, verdict.outcome is Outcome.FAILED) == (proved, disproved)
    assert verdict.passed == proved


# --- what does not fit ----------------------------------------------------------------------------


def test_an_estimate_at_another_level_is_an_error():
    with pytest.raises(ValueError, match=r"A1 is judged at level 0.95, its estimate has 0.9$"):
        judge(ID["A1"], accuracy(375, 375, level=0.9), protocol=PROTOCOL, today=TODAY)


def test_equal_samples_at_another_level_are_an_error_too():
    equal = Timing("SingleStream", "decode-to-label", "cpu", 1, 1, (0.015,) * 100)
    with pytest.raises(ValueError, match=r"T2 is judged at level 0.95, its estimate has 0.5"):
        judge(ID["T2"], latency(equal, metric="latency_s", level=0.5), protocol=PROTOCOL, today=TODAY)


@pytest.mark.parametrize(
    ("known", "changes"),
    [
        ("R1-basophil", {"cell_class": "eosinophil"}),
        ("R1-basophil", {"metric": "precision"}),
        ("R1-basophil", {"set": "validation"}),
        ("T1", {"set": "cpu", "metric": "latency_s", "cell_class": None}),
    ],
)
def test_an_estimate_of_something_else_is_an_error_and_no_verdict(known, changes):
    perfect = Estimate("recall", "test", "basophil", 1.0, 0.99, 1.0, 0.95, "Clopper-Pearson", k=300, n=300)
    assert judge(ID["R1-basophil"], perfect, protocol=PROTOCOL, today=TODAY).passed
    with pytest.raises(ValueError, match=f"{known} asks for .*, its estimate is "):
        judge(ID[known], replace(perfect, **changes), protocol=PROTOCOL, today=TODAY)


# --- the undefined --------------------------------------------------------------------------------


def nine_monocytes() -> Evaluation:
    return Evaluation("test", PROTOCOL.dataset.classes, np.diag([0, 0, 0, 9, 0]))


def test_an_undefined_recall_is_inconclusive_and_says_what_is_missing():
    absent = estimate(nine_monocytes(), "recall", cell_class="basophil", level=0.95)
    verdict = judge(ID["R1-basophil"], absent, protocol=PROTOCOL, today=TODAY)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.blocks
    assert verdict.reason == "undefined on test: no cells of basophil"
    # Floor 0.50 without an error: 0.5 ** 4 = 0.0625 and 0.5 ** 5 = 0.031.
    assert verdict.n_to_decide == 5
    text = explain(verdict)
    assert "observed  undefined (no cells of basophil)" in text
    assert "about 5 new cells of the class would decide in four of five runs without an error;" in text
    assert "observed rate" not in text


def test_a_class_that_was_never_predicted_is_not_said_to_be_absent():
    confusion = np.array([[0, 9], [0, 9]])
    never = estimate(Evaluation("test", ("basophil", "b"), confusion), "precision", cell_class="basophil", level=0.95)
    verdict = judge(criterion_like("R1-basophil", metric="precision"), never, protocol=PROTOCOL, today=TODAY)
    assert verdict.reason == "undefined on test: no cell was called basophil"


# --- how many cells would decide ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("floor", "k", "n", "needed"),
    [
        (0.98, 100, 100, 149),  # ln 0.05 / ln 0.98 = 148.3
        (0.95, 9, 9, 59),
        (0.99, 75, 75, 299),
        (0.97, 75, 75, 99),
    ],
)
def test_the_cells_that_a_flawless_record_needs_are_those_of_the_table(floor, k, n, needed):
    assert judged(floor, k, n).n_to_decide == needed


@example(n=1, share=0.0, floor=0.95)  # the upper bound of 0 of 1 is 0.95: not below it
@given(n=st.integers(1, 400), share=st.floats(0, 1), floor=st.sampled_from([0.6, 0.75, 0.9, 0.95, 0.98]))
def test_the_number_of_cells_that_would_decide_decides_and_is_more_than_there_are(n, share, floor):
    k = round(n * share)
    verdict = judged(floor, k, n)
    if verdict.n_to_decide is None:
        return
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.n_to_decide > n
    assert judged(floor, round(k / n * verdict.n_to_decide), verdict.n_to_decide).outcome in (
        Outcome.PASSED,
        Outcome.FAILED,
    )


def test_the_cells_that_would_decide_are_more_than_those_that_did_not():
    # At 142 cells the rate of 144 of 153 would round to 8 errors instead of 9: the old answer.
    assert judged(0.9, 144, 153).n_to_decide > 153


def test_an_f1_needs_the_cells_that_its_jaccard_index_needs():
    criterion = criterion_like("N1-basophil", floor=0.9)
    confusion = np.array([[9, 0], [0, 9]])
    evaluation = Evaluation("test", ("basophil", "b"), confusion)
    verdict = judge(
        criterion, estimate(evaluation, "f1", cell_class="basophil", level=0.95), protocol=PROTOCOL, today=TODAY
    )
    # F1 0.9 is J = 0.9 / 1.1 = 0.818: ln 0.05 / ln 0.818 = 14.9.
    assert (verdict.outcome, verdict.n_to_decide) == (Outcome.INCONCLUSIVE, 15)


def test_a_rate_on_the_floor_is_decided_by_no_number_of_cells():
    assert judged(0.9, 9, 10).n_to_decide is None
    assert "decidable" not in explain(judged(0.9, 9, 10))


def test_only_a_proportion_has_a_deciding_number_of_cells():
    duration = Estimate("latency_s", "cpu", None, 1.0, 0.5, 2.0, 0.95, "order statistics", n=9)
    with pytest.raises(ValueError, match="latency_s is not a proportion"):
        cells_to_decide(ID["T2"], duration, PROTOCOL, level=0.95)


# --- not assessed, waived -------------------------------------------------------------------------


WAIVER = Waiver(criterion="A1", reason="for the purpose of this test", owner="a maintainer", expires=TODAY)


def test_what_cannot_be_measured_here_is_not_assessed_and_blocks():
    verdict = judge(ID["A1"], Unavailable("no such set"), protocol=PROTOCOL, today=TODAY)
    assert (verdict.outcome, verdict.reason, verdict.estimate) == (Outcome.NOT_ASSESSED, "no such set", None)
    assert verdict.blocks
    assert not verdict.passed


def test_a_waiver_lets_a_required_criterion_be_not_assessed_in_the_open():
    verdict = judge(ID["A1"], Unavailable("no such set"), protocol=protocol_with(waivers=(WAIVER,)), today=TODAY)
    assert not verdict.blocks
    assert not verdict.passed
    assert "waived    for the purpose of this test" in explain(verdict)


@pytest.mark.parametrize(("k", "expected"), [(100, Outcome.FAILED), (320, Outcome.INCONCLUSIVE), (375, Outcome.PASSED)])
def test_a_waiver_changes_nothing_once_something_was_measured(k, expected):
    verdict = judge(ID["A1"], accuracy(k, 375), protocol=protocol_with(waivers=(WAIVER,)), today=TODAY)
    assert (verdict.outcome, verdict.waiver) == (expected, None)
    assert verdict.blocks == (expected is not Outcome.PASSED)


@given(outcome=OUTCOMES)
def test_even_a_verdict_made_with_a_waiver_blocks_unless_it_was_not_assessed(outcome):
    verdict = Verdict(ID["A1"], None, outcome, "by hand", waiver=WAIVER)
    assert verdict.blocks == (outcome not in (Outcome.PASSED, Outcome.NOT_ASSESSED))


# --- external sets --------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [9, 45, 10_000])
def test_a_set_that_is_not_shown_to_be_independent_never_passes(n):
    verdict = judge(ID["E2"], accuracy(n, n, level=0.975, set_name="nine_monocytes"), protocol=PROTOCOL, today=TODAY)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "not shown to be independent" in verdict.reason
    assert verdict.n_to_decide is None  # no number of cells from there would pass


def test_a_set_that_is_not_shown_to_be_independent_may_still_fail():
    failing = accuracy(10, 100, level=0.975, set_name="nine_monocytes")
    assert judge(ID["E2"], failing, protocol=PROTOCOL, today=TODAY).outcome is Outcome.FAILED


def test_an_undefined_number_of_such_a_set_names_no_number_of_cells_either():
    nothing = accuracy(0, 0, level=0.975, set_name="nine_monocytes")
    verdict = judge(ID["E2"], nothing, protocol=PROTOCOL, today=TODAY)
    assert (verdict.outcome, verdict.n_to_decide) == (Outcome.INCONCLUSIVE, None)


def test_45_of_45_of_an_independent_set_pass_and_44_do_not():
    shown = tuple(plan.model_copy(update={"independence": "shown"}) for plan in PROTOCOL.external)
    outcomes = [
        judge(
            ID["E2"],
            accuracy(n, n, level=0.975, set_name="nine_monocytes"),
            protocol=protocol_with(external=shown),
            today=TODAY,
        )
        for n in (44, 45)
    ]
    assert [verdict.outcome for verdict in outcomes] == [Outcome.INCONCLUSIVE, Outcome.PASSED]
    assert outcomes[0].n_to_decide == 45


# --- a waiver ends, and a question that nobody asked ----------------------------------------------


def test_a_waiver_counts_on_its_last_day_and_no_longer():
    protocol, missing = protocol_with(waivers=(WAIVER,)), Unavailable("no such set")
    assert not judge(ID["A1"], missing, protocol=protocol, today=TODAY).blocks
    late = judge(ID["A1"], missing, protocol=protocol, today=TODAY + timedelta(days=1))
    assert late.blocks
    assert late.waiver is None
    assert late.reason == "no such set; the waiver of a maintainer expired on 2026-01-15"


def test_a_waiver_is_told_with_who_answers_for_it_and_until_when():
    verdict = judge(ID["A1"], Unavailable("no such set"), protocol=protocol_with(waivers=(WAIVER,)), today=TODAY)
    assert "for the purpose of this test (a maintainer, until 2026-01-15)" in explain(verdict)


def test_what_nobody_asked_for_does_not_block_and_is_not_passed():
    verdict = judge(ID["G1"], Unavailable("no baseline", not_asked=True), protocol=PROTOCOL, today=TODAY)
    assert verdict.outcome is Outcome.NOT_ASSESSED
    assert not verdict.blocks
    assert not verdict.passed
    assert judge(ID["G1"], Unavailable("no predictions there"), protocol=PROTOCOL, today=TODAY).blocks


@given(outcome=OUTCOMES)
def test_not_asked_excuses_nothing_that_was_measured(outcome):
    verdict = Verdict(ID["A1"], None, outcome, "by hand", not_asked=True)
    assert verdict.blocks == (outcome not in (Outcome.PASSED, Outcome.NOT_ASSESSED))


# --- looks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("looks", "lower"), [(1, 0.983307), (5, 0.977775), (20, 0.973292), (100, 0.968290)])
def test_a_pack_of_before_is_judged_by_the_rule_of_before(looks, lower):
    protocol = protocol_with(looks=LooksPlan(correction="look-number"))
    level = level_at(protocol, ID["A1"], looks)
    assert accuracy(373, 375, level=level).lower == pytest.approx(lower, abs=5e-7)


# By the audit's table for floor 0.98 and n = 375: two errors are worth 0.0194, one 0.0044, none 0.00051 of the error.
@pytest.mark.parametrize(
    ("plan", "looks", "passing"),
    [
        (LooksPlan(), (1, 2, 30, 31), (373, 375, 375, None)),
        (LooksPlan(correction="series"), (1, 2, 3, 9, 10), (373, 374, 375, 375, None)),
        (LooksPlan(correction="budget", budget=10), (1, 10, 11), (374, 374, None)),
    ],
)
def test_each_look_takes_its_share_until_even_no_error_passes(plan, looks, passing):
    protocol, criterion = protocol_with(looks=plan), criterion_like("A1", floor=0.98)
    for look, fewest in zip(looks, passing, strict=True):
        level = level_at(protocol, criterion, look) or 0.95

        def passes(correct: int, look: int = look, level: float = level) -> bool:
            estimate = accuracy(correct, 375, level=level)
            return judge(criterion, estimate, protocol=protocol, today=TODAY, look=look).passed

        assert [n for n in range(370, 376) if passes(n)][:1] == ([] if fewest is None else [fewest])


@pytest.mark.parametrize(
    "plan", [LooksPlan(), LooksPlan(correction="series"), LooksPlan(correction="budget", budget=7)]
)
def test_the_shares_of_all_looks_together_are_at_most_the_whole(plan):
    shares = [Fraction(1, parts) for look in range(1, 2001) if (parts := parts_at(look, plan)) is not None]
    assert 1 - Fraction(1, 2000) <= sum(shares) <= 1  # and nearly all of it is used


def test_a_result_that_passes_at_the_first_look_is_inconclusive_at_the_second():
    criterion = criterion_like("A1", floor=0.98)
    first, second = (level_at(PROTOCOL, criterion, look) for look in (1, 2))
    assert judge(criterion, accuracy(373, 375, level=first), protocol=PROTOCOL, today=TODAY, look=1).passed
    again = judge(criterion, accuracy(373, 375, level=second), protocol=PROTOCOL, today=TODAY, look=2)
    assert (again.outcome, again.look) == (Outcome.INCONCLUSIVE, 2)
    assert requirement(again) == "lower 99.1667 % bound >= 0.98 (95 % shared among looks)"
    assert "  look      2 at test" in explain(again).splitlines()


def test_an_estimate_at_the_level_of_an_earlier_look_is_an_error():
    with pytest.raises(ValueError, match=r"A1 is judged at level 0.99166\d*, its estimate has 0.975"):
        judge(ID["A1"], accuracy(375, 375, level=0.975), protocol=PROTOCOL, today=TODAY, look=2)


def test_a_budget_of_looks_is_shared_beforehand_and_ends():
    protocol = protocol_with(looks=LooksPlan(correction="budget", budget=5))
    assert [level_at(protocol, ID["A1"], look) for look in (1, 5, 6)] == [
        pytest.approx(0.99),
        pytest.approx(0.99),
        None,
    ]
    spent = judge(ID["A1"], accuracy(375, 375), protocol=protocol, today=TODAY, look=6)
    assert spent.outcome is Outcome.INCONCLUSIVE
    assert "this is look 6 at test, and the protocol's budget is 5 looks" in spent.reason


def test_looks_may_be_free_where_the_protocol_says_so_and_why():
    protocol = protocol_with(looks=LooksPlan(correction="none", reason="fresh cells are drawn for every look"))
    assert level_at(protocol, ID["A1"], 50) == 0.95
    assert level_at(PROTOCOL, ID["D1"], None) == 0.95


# --- several classes ------------------------------------------------------------------------------


def recall(cell_class: str, k: int, n: int) -> tuple[Criterion, Estimate]:
    criterion = criterion_like(f"R1-{cell_class}", floor=0.9)
    confusion = np.zeros((5, 5), dtype=np.int64)
    row = PROTOCOL.dataset.classes.index(cell_class)
    confusion[row, row], confusion[row, (row + 1) % 5] = k, n - k
    found = estimate(
        Evaluation("test", PROTOCOL.dataset.classes, confusion), "recall", cell_class=cell_class, level=0.95
    )
    return criterion, found


def family_verdict(family: list[tuple[Criterion, Estimate]], place: int) -> Verdict:
    return judge(*family[place], protocol=PROTOCOL, today=TODAY, family=family)


def test_that_every_class_passes_needs_no_correction():
    # Intersection-union: each class at its own 95 %. 75 of 75 prove 0.9608, jointly only 0.9404.
    family = [recall(name, 75, 75) for name in PROTOCOL.dataset.classes]
    family = [(criterion_like(c.id, floor=0.95), e) for c, e in family]
    assert all(family_verdict(family, place).passed for place in range(5))


def test_that_one_class_fails_is_said_after_holm_s_correction():
    # 13 errors of 75 disprove 0.90 alone (p = .033), not as the worst of five; 18 errors do even then.
    family = [recall("basophil", 62, 75), *(recall(name, 75, 75) for name in PROTOCOL.dataset.classes[1:])]
    alone = judge(*family[0], protocol=PROTOCOL, today=TODAY)
    together = family_verdict(family, 0)
    assert (alone.outcome, together.outcome) == (Outcome.FAILED, Outcome.INCONCLUSIVE)
    assert "as one of 5 classes (Holm) it does not" in together.reason
    family[0] = recall("basophil", 57, 75)
    worst = family_verdict(family, 0)
    assert worst.outcome is Outcome.FAILED
    assert "after Holm's correction for 5 classes" in worst.reason


def test_a_family_that_must_be_flawless_fails_where_it_is_not():
    # floor = 1.0: no number of cells proves it, and one error disproves it, after any correction.
    family = [recall("basophil", 74, 75), *(recall(name, 75, 75) for name in PROTOCOL.dataset.classes[1:])]
    family = [(criterion_like(c.id, floor=1.0), e) for c, e in family]
    assert family_verdict(family, 0).outcome is Outcome.FAILED
    assert family_verdict(family, 1).outcome is Outcome.INCONCLUSIVE


def test_holm_by_bounds_is_holm_by_p_values():
    counts = [57, 60, 62, 75, 75]
    family = [recall(name, k, 75) for name, k in zip(PROTOCOL.dataset.classes, counts, strict=True)]
    rejected, *_ = multipletests([binom.cdf(k, 75, 0.9) for k in counts], alpha=0.05, method="holm")
    found = [family_verdict(family, place).outcome is Outcome.FAILED for place in range(5)]
    assert found == rejected.tolist()
    assert found == [True, True, False, False, False]


def disturbed(kind: str, n_right: int) -> tuple[Criterion, Estimate]:
    """One criterion of eleven, B1 of a kind, with so many of 375 right."""
    criterion = next(c for c in PROTOCOL.criteria if c.metric == "disturbed_accuracy" and c.kind == kind)
    lower, upper = clopper_pearson_bounds(n_right, 375, level=0.95)
    found = Estimate(
        criterion.metric, "test", None, n_right / 375, lower, upper, 0.95, "Clopper-Pearson", k=n_right, n=375
    )
    return criterion, found


def test_that_one_disturbance_fails_is_said_after_holm_s_correction():
    family = [disturbed(kind, 375) for kind in PROTOCOL.robustness.kinds[1:]]
    family.insert(0, disturbed(PROTOCOL.robustness.kinds[0], 284))
    assert judge(*family[0], protocol=PROTOCOL, today=TODAY).outcome is Outcome.FAILED
    assert "as one of 11 kinds (Holm) it does not" in family_verdict(family, 0).reason


def test_of_eleven_disturbances_at_their_floor_some_fails_in_at_most_five_of_100_test_sets():
    kinds, rng, runs = PROTOCOL.robustness.kinds, np.random.default_rng(7), 1_000
    alone = together = 0
    for counts in rng.binomial(375, 0.8, (runs, len(kinds))).tolist():
        family = [disturbed(kind, k) for kind, k in zip(kinds, counts, strict=True)]
        worst = int(np.argmin(counts))
        alone += judge(*family[worst], protocol=PROTOCOL, today=TODAY).outcome is Outcome.FAILED
        together += family_verdict(family, worst).outcome is Outcome.FAILED
    assert alone / runs > 0.3  # what a correction is for
    assert together <= binom.ppf(0.999, runs, 0.05)


class Disturbed(NothingRecorded):
    """Twenty cells, disturbed in every way and right about all of them."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(PROTOCOL, what="disturbed cells")
        self.rules = rules

    def robustness(self, *, level: float) -> Robustness:
        plan, classes = PROTOCOL.robustness, PROTOCOL.dataset.classes
        images = [CellImage(f"{i}", classes[i % 5], f"{i:064x}", 1) for i in range(20)]
        right = predictions_of(images, np.eye(5)[np.arange(20) % 5], set_name="test", classes=classes)
        disturbed = {(kind, severity): right for kind in plan.kinds for severity in plan.severities}
        curves = severity_curves(right, disturbed, intracluster_correlation=0.0, level=level)
        return Robustness(curves, (), None, {})

    def look(self, criterion: Criterion) -> None:
        return None


def test_the_family_of_a_kind_is_every_kind_and_in_a_run_of_before_it_was_alone():
    asked = next(c for c in PROTOCOL.criteria if c.metric == "disturbed_accuracy")
    found = family_of(asked, Disturbed(RULES))
    assert [c.kind for c, _ in found] == list(PROTOCOL.robustness.kinds)
    assert family_of(asked, Disturbed(OLDEST)) == []


def test_a_waiver_excuses_what_is_absent_and_not_what_is_wrong():
    leaked = Unavailable("40 of its images are also in the dataset", waivable=False)
    verdict = judge(ID["A1"], leaked, protocol=protocol_with(waivers=(WAIVER,)), today=TODAY)
    assert verdict.blocks
    assert "a waiver excuses what is absent, not this" in verdict.reason


def test_a_superiority_floor_is_never_called_a_margin():
    found = Estimate("accuracy_difference", "test", None, 0.0, -0.06, 0.06, 0.95, "exact", n=50, paired=(0, 0))
    verdict = judge(criterion_like("G1", floor=0.01), found, protocol=PROTOCOL, today=TODAY)
    assert "margin" not in verdict.reason


def test_further_cells_are_asked_of_further_patients_where_patients_are_known():
    found = replace(accuracy(340, 375), effective_n=197.4, lower=0.85, upper=0.94)
    verdict = judge(criterion_like("A1", floor=0.9), found, protocol=PROTOCOL, today=TODAY)
    said = r"about [\d,]+ new cells of further patients would decide in four of five runs if the observed rate"
    assert re.search(said, explain(verdict))


def test_a_class_without_cells_does_not_count_among_the_family():
    family = [recall("basophil", 62, 75), *(recall(name, 0, 0) for name in PROTOCOL.dataset.classes[1:])]
    assert family_verdict(family, 0).outcome is Outcome.FAILED


# --- gates ----------------------------------------------------------------------------------------


def test_a_gate_opens_only_when_every_earlier_one_let_everything_required_through():
    failed = Verdict(ID["D2"], None, Outcome.FAILED, "by hand")
    unasked = Verdict(ID["E1"], None, Outcome.FAILED, "by hand")
    assert closed_gate(ID["A1"], [failed]) == "gate 'accuracy' stayed closed: at gate 'data', D2 failed"
    assert closed_gate(ID["D3"], [failed]) is None  # the same gate: every finding there is told
    assert closed_gate(ID["T2"], [unasked]) is None  # not required
    inconclusive = Verdict(ID["A1"], None, Outcome.INCONCLUSIVE, "by hand")
    assert "at gate 'accuracy', A1 inconclusive" in closed_gate(ID["R1-basophil"], [inconclusive])
    assert closed_gate(ID["F1"], [inconclusive]) is None  # an earlier gate


def test_the_gates_follow_the_order_of_the_questions():
    by_gate = {gate: [c.id for c in PROTOCOL.criteria if c.gate == gate] for gate in GATES}
    assert by_gate["accuracy"] == ["F8", "A1", "A2"]
    assert {i.partition("-")[0] for i in by_gate["classes"]} == {"R1", "N1"}
    assert GATES.index("regression") < GATES.index("calibration") < GATES.index("elsewhere") < GATES.index("speed")


# --- what the images show against the protocol's word ---------------------------------------------

SHARED_CHAIN = {"second_laboratory": "all share the source's encoder"}


def judged_elsewhere(k: int, dependent: dict[str, str]) -> Verdict:
    found = accuracy(k, 200, set_name="second_laboratory")
    return judge(ID["E1"], found, protocol=PROTOCOL, today=TODAY, dependent=dependent)


def test_a_set_that_the_training_source_explains_is_no_external_set_whatever_the_protocol_says():
    assert judged_elsewhere(200, {}).passed
    verdict = judged_elsewhere(200, SHARED_CHAIN)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "the independence of set second_laboratory is not shown: all share the source's encoder" in verdict.reason
    assert verdict.n_to_decide is None  # no number of such cells would do


def test_what_fails_on_dependent_cells_fails():
    assert judged_elsewhere(100, SHARED_CHAIN).outcome is Outcome.FAILED


def test_the_origin_of_one_set_says_nothing_of_another():
    assert judged_elsewhere(200, {"nine_monocytes": "shares pictures"}).passed


# --- one verdict per criterion --------------------------------------------------------------------


def test_every_criterion_gets_one_verdict_gate_by_gate():
    passed = judge(ID["A1"], accuracy(375, 375), protocol=PROTOCOL, today=TODAY)
    count = judge(ID["D3"], exact_count("unreadable_images", "dataset", []), protocol=PROTOCOL, today=TODAY)
    verdicts = complete(PROTOCOL, [passed, count], otherwise="deselected")
    assert sorted(v.criterion.id for v in verdicts) == sorted(c.id for c in PROTOCOL.criteria)
    gates = [verdict.criterion.gate for verdict in verdicts]
    assert gates == sorted(gates, key=GATES.index)
    assert [v.criterion.id for v in verdicts if v.criterion.gate == "data"] == [
        *(f"D{i}" for i in range(1, 11)),
        "D12",
        *(f"Q{i}" for i in range(1, 7)),
    ]
    decided = {verdict.criterion.id: verdict for verdict in verdicts if verdict.outcome is not Outcome.NOT_JUDGED}
    assert decided == {"A1": passed, "D3": count}
    assert {verdict.reason for verdict in verdicts if verdict.outcome is Outcome.NOT_JUDGED} == {"deselected"}


# --- whether a run passed -------------------------------------------------------------------------


def run_with(verdicts: tuple[Verdict, ...], *, stopped_because: str | None = None) -> RunResults:
    return RunResults("r", "now", 1.0, "pytest suites/", PROTOCOL, {}, verdicts, stopped_because=stopped_because)


def all_passed() -> dict[str, Verdict]:
    return {criterion.id: Verdict(criterion, None, Outcome.PASSED, "by hand") for criterion in PROTOCOL.criteria}


def test_a_run_passes_when_every_required_criterion_passed():
    assert run_with(tuple(all_passed().values())).passed


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.PASSED])
def test_one_required_criterion_that_did_not_pass_keeps_the_run_from_passing(outcome):
    verdicts = all_passed() | {"A1": Verdict(ID["A1"], None, outcome, "by hand")}
    assert not run_with(tuple(verdicts.values())).passed


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_criterion_that_is_not_required_never_blocks(outcome):
    assert not ID["E1"].required
    verdicts = all_passed() | {"E1": Verdict(ID["E1"], None, outcome, "by hand")}
    assert run_with(tuple(verdicts.values())).passed


def test_a_stopped_run_never_passes():
    assert not run_with(tuple(all_passed().values()), stopped_because="DataError: no images").passed


def test_a_run_without_verdicts_does_not_pass():
    assert not run_with(()).passed
    nothing_required = protocol_with(criteria=(ID["E1"],))
    assert not replace(run_with(()), protocol=nothing_required).passed


@pytest.mark.parametrize("missing", ["A1", "D1", "R1-monocyte"])
def test_a_required_criterion_that_vanished_from_the_verdicts_keeps_the_run_from_passing(missing):
    verdicts = all_passed()
    del verdicts[missing]
    assert not run_with(tuple(verdicts.values())).passed


# --- words ----------------------------------------------------------------------------------------


def test_the_explanation_says_what_was_observed_required_and_why():
    assert explain(judged(0.98, 372, 375)).splitlines() == [
        "A1 accuracy on test: INCONCLUSIVE",
        "  observed  0.992 (372/375) [0.9795, 0.9978] at 95 % one-sided, "
        "no patient ids: best-case interval, independence not demonstrated",
        "  required  lower 95 % bound >= 0.98; too little evidence to decide",
        "  decidable about 719 new cells would decide in four of five runs if the observed rate is the true one;",
        f"            {ONLY_NEW}",
        "  power     at n = 375, a classifier truly at the observed rate passes in 42 of 100 runs",
        f"  because   {ID['A1'].rationale}",
    ]


def test_the_explanation_names_the_class():
    perfect = Estimate("recall", "test", "basophil", 1.0, 0.99, 1.0, 0.95, "Clopper-Pearson", k=300, n=300)
    assert explain(judge(ID["R1-basophil"], perfect, protocol=PROTOCOL, today=TODAY)).startswith(
        "R1-basophil recall of basophil, on test: PASSED\n"
    )


def test_findings_are_listed_ten_and_then_counted():
    verdict = judge(
        ID["S2"],
        exact_count("leaked_units", "dataset", [f"leak {i}" for i in range(13)], of=2500),
        protocol=PROTOCOL,
        today=TODAY,
    )
    lines = explain(verdict).splitlines()
    assert "  observed  13 of 2,500 checked" in lines
    assert [line for line in lines if line.startswith("  - ")] == [
        *(f"  - leak {i}" for i in range(10)),
        "  - ... and 3 more",
    ]


@pytest.mark.parametrize(
    ("k", "n", "value"),
    [
        (19_999, 20_000, "0.99995"),
        (1, 20_000, "5e-05"),
        (999_999_999, 1_000_000_000, "0.999999999"),
        (20_000, 20_000, "1"),
        (373, 375, "0.9947"),
    ],
)
def test_a_single_error_still_shows(k, n, value):
    assert observed(accuracy(k, n)).startswith(f"{value} ({k}/{n}) [")


def test_a_bound_below_the_floor_is_not_printed_as_the_floor():
    near = replace(accuracy(373, 375), lower=0.979996)
    verdict = judge(criterion_like("A1", floor=0.98), near, protocol=PROTOCOL, today=TODAY)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "[0.979996, " in explain(verdict)


@pytest.mark.parametrize(
    ("note", "text"), [("no cells of basophil", "undefined (no cells of basophil)"), ("", "undefined (no cells)")]
)
def test_the_undefined_is_said_to_be_undefined(note, text):
    assert observed(Estimate("recall", "test", "basophil", None, None, None, 0.95, "x", k=0, n=0, note=note)) == text


def test_a_bound_that_so_few_samples_cannot_give_is_said_to_be_unbounded():
    few = Timing("SingleStream", "model-only", "cpu", 1, 1, (0.02,) * 28)
    assert observed(latency(few, metric="latency_s", level=0.95), note=False) == (
        "0.02 s [0.02, unbounded] at 95 % one-sided"
    )


def test_what_was_not_judged_says_so():
    verdict = not_judged(ID["A1"], "its test was deselected")
    assert (verdict.outcome, verdict.blocks) == (Outcome.NOT_JUDGED, True)
    assert explain(verdict).splitlines()[:2] == [
        "A1 accuracy on test: NOT JUDGED",
        "  required  lower 95 % bound >= 0.85; its test was deselected",
    ]
