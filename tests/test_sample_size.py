"""How many new cells decide: by hand, by every number of cells there is, and by judging cells that are drawn."""

from __future__ import annotations

import itertools
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from harness.judge.criteria import explain, judge
from harness.judge.sample_size import ONLY_NEW, POWER, cells_at_that_rate
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.classification import estimate
from harness.metrics.estimates import Evaluation
from harness.metrics.intervals import clopper_pearson_bounds, probability_of_passing, trials_for_power
from harness.protocol.criteria import Criterion
from harness.protocol.file import read_protocol
from harness.protocol.hopes import HopedTruth
from harness.protocol.records import Protocol

PROTOCOL = read_protocol(Path(__file__).parents[1] / "suites" / "protocols" / "leukocyte.toml")
ID = {criterion.id: criterion for criterion in PROTOCOL.criteria}
TODAY = date(2026, 1, 15)
FLOOR, N = 0.98, 375  # A1 of the published protocol
CLASSES = PROTOCOL.dataset.classes


def protocol_that_hopes(**hopes: object) -> Protocol:
    return PROTOCOL.model_copy(update={"plan": HopedTruth.model_validate(hopes)})


def judged(right: int, n: int, *, criterion: Criterion = ID["A1"], protocol: Protocol = PROTOCOL) -> Verdict:
    counts = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    place = CLASSES.index(criterion.cell_class) if criterion.cell_class else 0
    counts[place, place], counts[place, place - 1] = right, n - right
    evaluation = Evaluation("test", CLASSES, counts)
    found = estimate(evaluation, criterion.metric, cell_class=criterion.cell_class, level=criterion.level)
    return judge(criterion, found, protocol=protocol, today=TODAY)


# --- the number -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "floor", "power", "first", "steady"),
    [  # enumerated by an independent implementation
        (0.995, 0.98, 0.8, 386, 386),
        (0.995, 0.98, 0.9, 456, 523),
        (0.99, 0.97, 0.8, 303, 392),
        (0.99, 0.97, 0.9, 436, 478),
        (0.99, 0.95, 0.8, 124, 124),
        (0.99, 0.95, 0.9, 153, 181),
        (1.0, 0.98, 0.8, 149, 149),  # ln 0.05 / ln 0.98 = 148.3
    ],
)
def test_the_numbers_are_those_of_the_table(rate, floor, power, first, steady):
    found = trials_for_power(rate, floor=floor, level=0.95, power=power)
    assert (found.first, found.steady) == (first, steady)


RATES = (0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.995, 1.0)


@pytest.mark.parametrize(("floor", "level"), [*itertools.product((0.5, 0.75, 0.9, 0.95), (0.9, 0.95, 0.99))])
def test_every_number_of_cells_agrees(floor, level):
    most = 400
    for rate in (rate for rate in RATES if rate > floor + 0.04):
        enough = [probability_of_passing(rate, n, floor=floor, level=level) >= POWER for n in range(1, most + 1)]
        found = trials_for_power(rate, floor=floor, level=level, power=POWER)
        if found is None or found.steady > most:
            assert not enough[-1]
            continue
        assert found.first == enough.index(True) + 1
        assert all(enough[found.steady - 1 :])
        assert found.steady == 1 or not enough[found.steady - 2]


@pytest.mark.parametrize(("rate", "floor"), [(0.85, 0.9), (0.6, 0.75), (0.9, 0.95)])
def test_below_the_floor_it_is_the_number_of_cells_that_fail_it(rate, floor):
    rng = np.random.default_rng(7)
    found = trials_for_power(rate, floor=floor, level=0.95, power=POWER)

    def failing(n: int) -> float:
        uppers = {k: clopper_pearson_bounds(k, n, level=0.95)[1] for k in range(n + 1)}
        return float(np.mean([uppers[int(k)] < floor for k in rng.binomial(n, rate, 20_000)]))

    assert failing(found.steady) > POWER - 0.012  # four standard errors
    assert failing(found.first * 3 // 4) < POWER


def test_no_number_is_named_at_the_floor_nor_for_what_no_number_proves():
    for rate, floor in ((0.9, 0.9), (0.9000001, 0.9), (1.0, 1.0), (0.99, 1.0), (0.5, 0.0)):
        assert trials_for_power(rate, floor=floor, level=0.95, power=POWER) is None


# --- in a verdict ---------------------------------------------------------------------------------


def test_new_cells_of_that_number_decide_four_times_in_five():
    rng = np.random.default_rng(1)
    first = judged(372, N)
    assert first.outcome is Outcome.INCONCLUSIVE
    n = first.n_to_decide
    decided = [judged(int(k), n).outcome is Outcome.PASSED for k in rng.binomial(n, 372 / N, 2000)]
    assert np.mean(decided) > POWER - 0.036


def test_the_number_that_was_named_before_decided_about_every_second_time():
    # 386, by hand: 0.8 % of 386 rounds to 3 errors, and with 3 errors 386 are enough (the table of trials_needed).
    first = judged(372, N)
    before = cells_at_that_rate(first.criterion, first.estimate)
    assert before == 386
    assert 0.45 < probability_of_passing(372 / N, before, floor=FLOOR, level=0.95) < 0.7


@pytest.mark.slow
def test_cells_that_were_added_because_the_verdict_said_so_pass_too_often_as_a_first_look():
    """A classifier exactly at its floor: what the warning beside the number is for."""
    rng = np.random.default_rng(2)
    grown, fresh = [], []
    for k in rng.binomial(N, FLOOR, 3000):
        verdict = judged(int(k), N)
        if verdict.outcome is not Outcome.INCONCLUSIVE or verdict.n_to_decide is None:
            grown.append(verdict.passed)
            continue
        n = min(verdict.n_to_decide, 20_000)
        added, new = rng.binomial(max(0, n - N), FLOOR), rng.binomial(n, FLOOR)
        grown.append(verdict.passed or judged(int(k) + int(added), max(n, N)).passed)
        fresh.append(judged(int(new), n).passed)
    assert np.mean(grown) > 0.06  # of a level of 95 %
    assert np.mean(fresh) < 0.05 + 4 * (0.05 * 0.95 / len(fresh)) ** 0.5
    assert ONLY_NEW in explain(judged(372, N))


def test_a_hoped_for_rate_counts_before_the_observed_one():
    hoping = protocol_that_hopes(accuracy=0.995, recall={"basophil": 0.97})
    verdict = judged(70, 75, criterion=ID["R1-basophil"], protocol=hoping)
    assert (verdict.outcome, verdict.assumed) == (Outcome.INCONCLUSIVE, "hoped for")
    assert verdict.n_to_decide == trials_for_power(0.97, floor=0.9, level=0.95, power=POWER).steady
    assert "if the hoped-for rate of [plan] is the true one" in explain(verdict)
    other = judged(70, 75, criterion=ID["R1-monocyte"], protocol=hoping)
    assert other.n_to_decide == trials_for_power(0.995, floor=0.9, level=0.95, power=POWER).steady


def test_where_the_hope_does_not_say_the_rate_the_observed_one_counts():
    # Accuracy follows from two recalls and the mix of classes, precision from more.
    mixed = judged(372, N, protocol=protocol_that_hopes(accuracy=0.995, recall={"basophil": 0.97}))
    assert (mixed.assumed, mixed.n_to_decide) == ("observed", judged(372, N).n_to_decide)
    assert judged(372, N, protocol=protocol_that_hopes(accuracy=0.995)).assumed == "hoped for"
