"""leukocyte-gate.toml: what it says of its own power is computed again, and nothing in it is out of reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import binom

from harness.judge.criteria import level_at
from harness.metrics.comparison import difference_bounds
from harness.metrics.intervals import errors_allowed, probability_of_passing
from harness.protocol.file import read_protocol
from harness.protocol.questions import DEVICES

FILE = Path(__file__).parents[1] / "suites" / "protocols" / "leukocyte-gate.toml"
TEXT = " ".join(FILE.read_text(encoding="utf-8").replace("#", " ").split())
GATE, PUBLISHED = (read_protocol(FILE.with_name(f"{name}.toml")) for name in ("leukocyte-gate", "leukocyte"))
TEST, OF_A_CLASS = 375, 75  # of 2,500 and of 500, at 15 %
GOOD = 0.985


def bound(protocol, name):
    return next(criterion for criterion in protocol.criteria if criterion.id == name)


def passes(protocol, name, rate, *, n, look=1):
    criterion = bound(protocol, name)
    return probability_of_passing(rate, n, floor=criterion.floor, level=level_at(protocol, criterion, look))


def said(probability):
    return f"{round(100 * probability)} of 100"


def test_a_good_classifier_passes_where_it_says_so_and_a_worse_one_does_not():
    accuracy, recalls = passes(GATE, "A1", GOOD, n=TEST), passes(GATE, "R1-monocyte", GOOD, n=OF_A_CLASS) ** 5
    assert accuracy > 0.95
    assert recalls > 0.98
    assert f"passes A1 in {said(accuracy)} runs and all five of R1 in {round(100 * recalls - 0.5)} " in TEXT
    assert f"At each further look A1 passes in {said(passes(GATE, 'A1', GOOD, n=TEST, look=2))}." in TEXT
    assert said(accuracy) in bound(GATE, "A1").rationale
    assert f"in {round(100 * passes(GATE, 'A1', 0.95, n=TEST))}." in bound(GATE, "A1").rationale


def test_the_published_floors_are_what_it_says_they_are():
    accuracy = passes(PUBLISHED, "A1", GOOD, n=TEST)
    recalls = passes(PUBLISHED, "R1-monocyte", GOOD, n=OF_A_CLASS) ** 5
    assert f"A1 in {round(100 * accuracy)} of 100 and all of R1 in {round(100 * recalls)}." in TEXT


def test_the_errors_that_it_names_are_those_that_pass():
    words = {5: "five", 6: "six", 10: "ten", 13: "Thirteen"}
    for name, n, look in (("A1", TEST, 1), ("A1", TEST, 2), ("A1", TEST, 30), ("R1-monocyte", OF_A_CLASS, 1)):
        criterion = bound(GATE, name)
        allowed = errors_allowed(n, floor=criterion.floor, level=level_at(GATE, criterion, look))
        assert words[allowed] in criterion.rationale
    gap = bound(GATE, "F6")
    # A flawless train part has the upper bound 1, and each side gives away half of 1 - level.
    allowed = {"floor": 1 - gap.ceiling, "level": 0.975}
    assert words[errors_allowed(TEST, **allowed)] in gap.rationale
    assert said(probability_of_passing(0.98, TEST, **allowed)) in gap.rationale


# Cells on which candidate and baseline are apart -> the most that may be lost among them; 20 s to find.
MOST_LOST = {
    "G1": (0, 1, 2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 8, 9, 9, 10),
    "G2-monocyte": (0, 1, 2, 3, 4, 5, 5, 6, 6, 7, 7),
}


@pytest.mark.parametrize(
    ("name", "n", "apart", "criteria", "stated"),
    [("G1", TEST, 0.02, 1, 0.96), ("G2-monocyte", OF_A_CLASS, 0.04, 5, 0.99)],
)
def test_an_equal_candidate_passes_as_often_as_it_says(name, n, apart, criteria, stated):
    floor, level, table = bound(GATE, name).floor, bound(GATE, name).level, MOST_LOST[name]
    for cells in (6, 10):
        lost = table[cells]
        assert difference_bounds(lost, cells - lost, n, level=level)[0] >= floor
        assert difference_bounds(lost + 1, cells - lost - 1, n, level=level)[0] < floor
    share = sum(binom.pmf(cells, n, apart) * binom.cdf(most_lost, cells, 0.5) for cells, most_lost in enumerate(table))
    assert share**criteria == pytest.approx(stated, abs=0.005)
    assert f"in {round(100 * stated)} of 100 runs" in bound(GATE, name).rationale


def test_nothing_is_required_that_most_machines_or_folders_lack():
    required = [criterion for criterion in GATE.criteria if criterion.required]
    assert {criterion.set for criterion in required} <= {"dataset", "training", "test", "any", "export"}
    assert not {criterion.set for criterion in GATE.criteria} & set(DEVICES)
    assert (GATE.external, GATE.waivers, GATE.baseline.needed) == ((), (), "optional")


def test_the_truth_that_the_plan_hopes_for_is_the_one_that_the_floors_were_chosen_by():
    assert GATE.plan is not None
    assert GATE.plan.accuracy == GOOD
    assert f"truly right on {100 * GATE.plan.accuracy:g} % of cells" in TEXT


def test_the_leukocyte_protocols_state_of_the_study_what_the_publication_says_and_no_more():
    for protocol in (GATE, PUBLISHED):
        assert set(protocol.study.said()) == {"source", "licence", "device", "stain"}
    assert read_protocol(FILE.with_name("embedded.toml")).study.said() == {}  # synthetic cells are of no hospital
