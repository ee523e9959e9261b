"""summary.md: short whatever happened, true to the verdicts, and inert whatever the names in it are."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from example_run import example_run, stopped_run

from harness.data.prediction_records import GivenPredictions, PredictionsFile
from harness.job_page import STEP_SUMMARY, append_to_job_page
from harness.judge.criteria import not_judged
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.comparison import Comparison
from harness.protocol.questions import GATES
from harness.report.sentences import conclusion, gates_told, verdict_table
from harness.report.summary import summary, summary_without_pack
from harness.run.results import RunResults

MOST_LINES = 60


@pytest.fixture(scope="module")
def run() -> RunResults:
    return example_run(n_wrong=9)


def required(verdict: Verdict, **changes: object) -> Verdict:
    return replace(verdict, criterion=verdict.criterion.model_copy(update={"required": True, **changes}))


def rows_in(text: str) -> list[list[str]]:
    """The cells of every row of its tables."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]


# --- what it says ---


def test_what_did_not_pass_is_there_with_value_bounds_and_threshold(run):
    text = summary(run)
    assert text.startswith("## RUN NOT PASSED: example\n")
    blocking = [v for v in run.verdicts if v.blocks and v.outcome is not Outcome.NOT_JUDGED]
    assert [row[0].split()[0] for row in rows_in(text)[2:]] == [verdict.criterion.id for verdict in blocking]
    (row,) = [row for row in rows_in(text) if row[0].startswith(" A1 ")]
    assert [cell.strip().replace("\\", "") for cell in row[1:]] == [
        "inconclusive",
        "0.7 (21/30)",
        "[0.5349, 0.8337] at 95 % one-sided",
        "lower 95 % bound >= 0.7",
    ]


def test_the_regression_is_named_by_class_and_cells(run):
    comparison = run.comparisons["test"]
    text = summary(run)
    assert f"baseline `{run.baseline.run_id}`" in text
    lost, gained, n = comparison.counts()
    assert f"- test: {lost} cells lost, {gained} gained of {n}" in text
    worst = max(comparison.classes, key=lambda name: comparison.counts(name)[0] - comparison.counts(name)[1])
    assert f"worse: {worst} ({comparison.counts(worst)[0]} lost" in text
    cell = next(cell for cell in comparison.discordant if not cell.candidate_right)
    assert f"- lost: `{cell.path}` of test is {cell.reference}, now called {cell.candidate}" in text


def test_without_a_baseline_nothing_is_said_of_one(run):
    assert "baseline" not in summary(replace(run, baseline=None, comparisons={})).casefold()


def test_looks_report_and_what_is_optional_are_told(run):
    text = summary(run)
    assert "- look 2 at test: criteria on it are judged at a higher level" in text
    assert f"Report: `{run.run_id}/index.html`" in text
    assert "- inconclusive, and not in the way: T1, R1-basophil" in text
    assert "- not judged, and not in the way: P3" in text


def test_a_run_that_passed_says_so_and_has_no_table(run):
    passed = replace(run, verdicts=tuple(v for v in run.verdicts if v.passed and v.criterion.required))
    protocol = run.protocol.model_copy(update={"criteria": tuple(v.criterion for v in passed.verdicts)})
    text = summary(replace(passed, protocol=protocol))
    assert text.startswith("## RUN PASSED: example\n")
    assert (
        "Every required criterion passed; the protocol requires nothing about accuracy." in text
    )  # none of that passed
    assert rows_in(text) == []


def test_a_run_that_stopped_says_why(run):
    text = summary(stopped_run())
    assert text.startswith("## RUN NOT PASSED")
    assert "The run stopped: MissingData" in text
    assert "No evidence pack was written: no room" in summary_without_pack("example", "no room")


def closed(run: RunResults) -> RunResults:
    """Every criterion behind the gate of data not judged, and one of the data failed."""
    first = next(v for v in run.verdicts if v.criterion.gate == "data")
    failed = required(replace(first, outcome=Outcome.FAILED))
    reason = "gate {!r} stayed closed: at gate 'data', {} failed"
    behind = [
        not_judged(v.criterion, reason.format(v.criterion.gate, first.criterion.id))
        for v in run.verdicts
        if v.criterion.gate != "data"
    ]
    return replace(run, verdicts=(failed, *map(required, behind)))


def test_closed_gates_are_one_line_in_summary_and_terminal(run):
    shut = closed(run)
    (line,) = [line for line in summary(shut).splitlines() if "stayed closed" in line]
    told = gates_told(shut.verdicts)
    gates = [gate for gate in GATES if gate in {v.criterion.gate for v in shut.verdicts[1:]}]
    first = shut.verdicts[0].criterion.id
    assert told == (
        f"gates {', '.join(gates)} stayed closed, {len(shut.verdicts) - 1} criteria not judged: at gate 'data', "
        f"{first} failed"
    )
    assert line == f"- {told}"
    assert [row.split()[0] for row in verdict_table(shut.verdicts)] == [first]
    assert [row[0].split()[0] for row in rows_in(summary(shut))[2:]] == [first]
    assert gates_told(run.verdicts) is None


def test_what_nobody_judged_for_one_reason_is_one_line_of_the_terminal(run):
    stopped = [not_judged(v.criterion, "the run stopped before it") for v in run.verdicts]
    ids = [v.criterion.id for v in stopped]
    (line,) = verdict_table(stopped)
    named = ", ".join(ids[:12])
    assert line == f"{named}, and {len(ids) - 12} more: NOT JUDGED: the run stopped before it"
    # Beside verdicts that are some, and where few are not judged, each has its own line.
    rows = verdict_table([*run.verdicts[:5], *stopped[5:7]])
    assert sum("NOT JUDGED" in row for row in rows) == sum(
        v.outcome is Outcome.NOT_JUDGED for v in [*run.verdicts[:5], *stopped[5:7]]
    )
    assert ids[5] == next(row for row in rows if "the run stopped before it" in row).split()[0]


def test_terminal_and_summary_end_in_the_same_words(run):
    word, _, why = conclusion(run).partition(": ")
    assert summary(run).splitlines()[0] == f"## {word}: example"
    assert f"{why[0].upper()}{why[1:]}." in summary(run)


# --- how it says it ---


def crowded(run: RunResults) -> RunResults:
    """Two hundred required criteria that failed on a thousand cells lost in a hundred classes of ten sets."""
    verdict = next(v for v in run.verdicts if v.criterion.id == "A1")
    many = tuple(required(replace(verdict, outcome=Outcome.FAILED), id=f"A{n}") for n in range(200))
    optional = tuple(
        replace(v, criterion=v.criterion.model_copy(update={"required": False, "id": f"Z{v.criterion.id}"}))
        for v in many
    )
    old = run.comparisons["test"]
    classes = tuple(f"class{n}" for n in range(100))
    table = np.add(old.table[:1].repeat(100, axis=0), [[0, 0], [7, 0]])
    cells = old.discordant * 200
    sets = {f"set{n}": Comparison(f"set{n}", classes, old.baseline, table, cells, len(cells)) for n in range(10)}
    return replace(run, verdicts=(*many, *optional), comparisons=sets)


def test_it_stays_under_sixty_lines_however_much_there_is_to_say(run):
    file = PredictionsFile(
        *("dataset", "p.csv", "1" * 64, 9, "CSV", "predictions/given/dataset.csv", "path", 4, "3 decimals", 0.0015),
        *(2, 0.001, 1, ("label", "note"), "label", 3),
    )
    given = GivenPredictions(tuple(replace(file, set=f"set{n}") for n in range(10)), parts=("test",))
    for each in (run, closed(run), crowded(run), stopped_run(), replace(crowded(run), given=given)):
        assert len(summary(each).splitlines()) < MOST_LINES
    assert len(summary(crowded(run)).splitlines()) > 30
    assert "more lost cells, which the report names" in summary(crowded(run))


@pytest.mark.parametrize(
    "hostile",
    [
        "a|b",
        "](http://x.example)",
        "<img src=x>",
        "# h",
        "`` ` ``",
        "a\n\n## RUN PASSED",
        "https://x.example",
        "WWW.x.example",
    ],
)
def test_a_name_from_outside_stays_a_name(run, hostile):
    named = example_run(n_wrong=9, file_name=lambda cell_class, number: f"{hostile}{number}.jpg")
    verdict = replace(next(v for v in named.verdicts if v.blocks), estimate=None, reason=hostile)
    text = summary(replace(named, verdicts=(verdict, *named.verdicts[1:]), stopped_because=hostile))
    assert len([line for line in text.splitlines() if line.startswith("#")]) == 2  # the verdict's, the baseline's
    assert {len(row) for row in rows_in(text)} == {5}
    outside_code = re.sub(r"(`+) ?.*?(?<!`)\1(?!`)", "", text)
    assert "](" not in re.sub(r"\\.", "", outside_code)
    assert "<" not in re.sub(r"\\.", "", outside_code)
    assert re.search(r"(?<!\\)://|www\.", outside_code, re.IGNORECASE) is None


# --- in the pack, and on a job page ---


def test_the_job_page_that_github_names_gets_what_is_appended(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("before\n")
    monkeypatch.setenv(STEP_SUMMARY, str(page))
    assert append_to_job_page(lambda: "## RUN PASSED\n") is None
    assert page.read_text() == "before\n## RUN PASSED\n\n"
    monkeypatch.setenv(STEP_SUMMARY, str(tmp_path))
    told = append_to_job_page(lambda: "x")
    assert told is not None
    assert "could not be appended" in told
    assert "summary.md of the pack" in told
    monkeypatch.delenv(STEP_SUMMARY)
    assert append_to_job_page(lambda: "x") is None
