"""The history of a folder of packs: every run, every entry that is none, what moved and changed; inert whatever."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from example_run import write_example_dataset
from hostile_run import NAMES, RUN
from test_comparing import pack_of, run_named
from test_verify import mend_sums

from harness.cli import main
from harness.core.errors import EvidenceError
from harness.pack.history import INDEX, flat, read_history, write_index
from harness.report.history import (
    Changed,
    NoRun,
    PastRun,
    Reading,
    changes_between,
    render_history,
    steps_of,
    trends_of,
)
from harness.report.trends import Point, trend


def reading(value: float, *, half: float = 0.02, unit: str = "fraction") -> Reading:
    return Reading(value, value - half, value + half, unit, "9/10", "two-sided 95 %, Wilson")


def past(n: int, *, facts: dict[str, dict[str, str]] | None = None, **changes: object) -> PastRun:
    made = PastRun(
        folder=f"run-{n}",
        page=True,
        run_id=f"run-{n}",
        started_at=f"2026-01-{n:02d}T00:00:00+00:00",
        protocol="p",
        title="P",
        passed=n % 2 == 0,
        stopped=False,
        outcomes={"passed": 1},
        looks={"test": n},
        baseline=None,
        readings={"accuracy, test": reading(0.9 + n / 100)},
        facts={"code": {"dirty": "no"}} | (facts or {}),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


# --- what changed ---


def test_what_changed_is_named_by_key_with_both_values():
    before = past(1, facts={"protocol": {"criteria.A1.floor": "0.9", "seed": "1"}, "model": {"digest": "aa"}})
    after = past(
        2, facts={"protocol": {"criteria.A1.floor": "0.8", "seed": "1"}, "model": {"digest": "aa", "dtype": "f4"}}
    )
    step = changes_between(before, after)
    assert step.changes["protocol"] == (Changed("protocol", "criteria.A1.floor", "0.9", "0.8"),)
    assert step.changes["model"] == (Changed("model", "dtype", None, "f4"),)
    assert step.summary == "protocol (1), model (1)"
    assert not step.same_code_unknown


@pytest.mark.parametrize("dirty", ["yes", "unknown"])
def test_a_checkout_with_changes_of_its_own_is_told(dirty):
    assert changes_between(past(1), past(2, facts={"code": {"dirty": dirty}})).same_code_unknown


def test_a_run_is_compared_with_the_one_before_it_of_its_own_protocol():
    steps = steps_of([past(4), past(3, protocol="other"), past(2), past(1, protocol="other")])
    assert {name: step.before.run_id for name, step in steps.items()} == {"run-4": "run-2", "run-3": "run-1"}


def test_keys_of_entries_are_named_by_id_and_doubles_by_place():
    assert flat([{"id": "a", "x": 1}, {"id": "b", "x": 2}]) == {"a.id": "a", "a.x": "1", "b.id": "b", "b.x": "2"}
    assert flat([{"id": "a"}, {"id": "a"}]) == {"0.id": "a", "1.id": "a"}


# --- trends ---


def test_a_drawing_has_each_value_at_its_height_and_its_interval_around_it():
    points = [Point(str(n), reading(value), passed=True, baseline=False) for n, value in enumerate((0.5, 0.7, 0.6))]
    first, second, third = trend("accuracy", points, most=30).marks
    assert first.x < second.x < third.x
    assert second.y < third.y < first.y  # y grows downwards
    assert (first.y + second.y) / 2 == pytest.approx(third.y, abs=0.06)  # 0.6 is half way
    assert all(mark.top < mark.y < mark.bottom for mark in (first, second, third))


def test_ticks_are_round_numbers_inside_the_drawing():
    points = [
        Point("a", reading(0.93), passed=True, baseline=False),
        Point("b", reading(0.96), passed=True, baseline=False),
    ]
    found = trend("accuracy", points, most=30).ticks
    assert [tick.label for tick in found] == ["92 %", "94 %", "96 %", "98 %"]
    assert all(0 < tick.y < 150 for tick in found)


@pytest.mark.parametrize("value", [0.0, 1.0, 5e-324, 1e300])
def test_one_value_without_an_interval_can_be_drawn(value):
    found = trend("x", [Point("a", Reading(value, None, None, "s"), passed=True, baseline=False)] * 2, most=30)
    assert all(0 <= mark.y <= 150 for mark in found.marks)


def test_the_alternative_says_which_way_it_goes_and_whether_that_is_more_than_the_intervals():
    apart = [
        Point("a", reading(0.5), passed=True, baseline=False),
        Point("b", reading(0.9), passed=False, baseline=False),
    ]
    assert "rises, from 50 % [48 %, 52 %] in the oldest to 90 % [88 %, 92 %]" in trend("x", apart, most=30).alternative
    assert "their intervals do not overlap" in trend("x", apart, most=30).alternative
    near = [
        Point("a", reading(0.5), passed=True, baseline=False),
        Point("b", reading(0.49), passed=True, baseline=False),
    ]
    assert "falls" in trend("x", near, most=30).alternative
    assert "their intervals overlap" in trend("x", near, most=30).alternative


def test_a_long_trend_draws_its_newest_runs_and_lists_them_all():
    runs = [past(n, run_id=f"run-{n}") for n in range(28, 0, -1)]
    (found,) = trends_of(runs)["p"]
    assert [point.run_id for point in found.points] == [run.run_id for run in reversed(runs)]
    assert [mark.point.run_id for mark in trend("x", found.points, most=5).marks] == [f"run-{n}" for n in range(24, 29)]


# --- the page ---


def test_a_baseline_is_marked_where_it_stands_and_where_it_is_drawn():
    page = render_history("reports", [past(3, baseline="run-1"), past(2), past(1)], [], checked="")
    assert text_of(page).count("baseline of 1 run here") == 1
    assert page.count('class="ring"') == 1
    assert page.count('class="met"') == 1  # run 2; a run that did not pass has a square
    assert page.count('class="unmet"') == 2


def test_hostile_texts_are_text():
    hostile = "".join(NAMES)
    attacked = past(
        1,
        folder=f"javascript:{RUN}",
        run_id=hostile,
        protocol=hostile,
        baseline=hostile,
        looks={hostile: 1},
        outcomes={hostile: 1},
        readings={hostile: reading(0.9)},
        facts={"protocol": {hostile: "a"}},
    )
    later = replace(attacked, run_id=f"2{hostile}", facts={"protocol": {hostile: hostile}})
    page = render_history(hostile, [later, attacked], [NoRun(hostile, hostile)], checked="")
    page.encode()  # no lone surrogate is left
    assert "<img" not in page
    assert "<body onload" not in page
    assert "<svg onload" not in page
    assert set(re.findall(r'href="([^"]*)"', page)) == {
        "#runs",
        "#others",
        "./javascript%3Adocument.title%3D%27an%20attack%20ran%27/index.html",
    }
    assert re.findall(r" on\w+=", re.sub(r'"[^"]*"', "", "".join(re.findall(r"<[^>]*>", page)))) == []
    assert "<script" not in page


# --- from packs ---


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("history")
    manifest = write_example_dataset(place / "data")
    folder = place / "reports"
    older = replace(run_named("older", n_wrong=3), started_at="2026-01-01T00:00:00+00:00")
    newer = replace(run_named("newer", n_wrong=25), started_at="2026-01-02T01:00:00+02:00")
    newer = replace(newer, environment={**newer.environment, "PYTEST_ADDOPTS": "-p no:x"})
    for run in (newer, older):
        pack_of(run, manifest, folder)
    (folder / "empty").mkdir()
    shutil.copytree(folder / "older", folder / "copied")
    shutil.copytree(folder / "older", folder / "altered")
    with (folder / "altered" / "junit.xml").open("a") as file:
        file.write(" ")
    (folder / "nowhere").symlink_to("not-there")
    return folder


def test_runs_come_newest_first_and_what_is_none_is_listed(reports):
    runs, others = read_history(reports)
    assert [run.run_id for run in runs] == ["newer", "older"]
    assert runs[0].started_at == "2026-01-01T23:00:00+00:00"
    assert {each.folder: each.why for each in others}.keys() == {"altered", "empty", "nowhere", "older"}
    why = {each.folder: each.why for each in others}
    assert "it was altered" in why["altered"]
    assert "it has no SHA256SUMS" in why["empty"]
    assert why["older"] == "it is of the same run as copied"


def test_a_run_says_what_its_evidence_says(reports):
    newer, older = read_history(reports)[0]
    evidence = json.loads((reports / "older" / "evidence.json").read_text())
    found = evidence["evaluations"]["test"]["accuracy"]
    told = older.readings["accuracy, test"]
    assert (told.value, told.lower, told.upper) == (
        found["value"],
        found["display"]["lower"],
        found["display"]["upper"],
    )
    assert told.counts == "27/30"
    assert older.facts["protocol"]["digest"] == evidence["protocol"]["digest"]
    assert older.facts["protocol"]["criteria.B1.floor"] == "-0.5"
    step = changes_between(older, newer)
    (changed,) = step.changes["environment"]
    assert (changed.name, changed.after) == ("PYTEST_ADDOPTS", "-p no:x")
    assert step.changes["protocol"] == step.changes["data"] == ()


def test_verify_finds_what_digests_do_not(reports, tmp_path):
    shutil.copytree(reports / "older", tmp_path / "edited")
    place = tmp_path / "edited" / "evidence.json"
    evidence = json.loads(place.read_text())
    evidence["evaluations"]["test"]["accuracy"]["value"] = 0.99
    place.write_text(json.dumps(evidence))
    mend_sums(tmp_path / "edited")
    assert len(read_history(tmp_path)[0]) == 1
    runs, (other,) = read_history(tmp_path, verify=True)
    assert runs == []
    assert "does not verify" in other.why


def test_the_command_writes_one_page_and_says_what_it_left_out(reports, capsys):
    assert main(["index", str(reports)]) == 1
    told = capsys.readouterr().out
    assert "no run: 'altered'" in told
    page = (reports / INDEX).read_text()
    assert "<script" not in page
    assert 'src="' not in page
    assert 'href="./newer/index.html"' in page
    assert main(["index", str(reports), "--json"]) == 1  # over its own page
    assert json.loads(capsys.readouterr().out)["runs"] == ["newer", "older"]


def test_somebody_elses_page_is_left_alone(tmp_path):
    (tmp_path / INDEX).write_text("<h1>mine</h1>")
    with pytest.raises(EvidenceError, match="not an index that the harness wrote"):
        write_index(tmp_path)
    assert (tmp_path / INDEX).read_text() == "<h1>mine</h1>"


def test_a_pack_is_not_a_folder_of_packs(reports):
    with pytest.raises(EvidenceError, match="is itself a pack"):
        write_index(reports / "newer")
    with pytest.raises(EvidenceError, match="cannot be listed"):
        write_index(reports / "missing")


def test_compare_writes_its_verdicts_and_cells_as_a_page(reports, tmp_path, capsys):
    page = tmp_path / "page.html"
    code = main(["compare", str(reports / "older"), str(reports / "newer"), "--html", str(page)])
    lines = capsys.readouterr().out.splitlines()
    told = text_of(page.read_text())
    assert code == 1
    assert "NOT SHOWN TO BE NO WORSE" in told
    cells = [line.split(": ", 2)[2].split("'")[1] for line in lines if line.startswith("lost: test: ")]
    assert cells
    assert all(f"lost {cell} :" in told for cell in cells)
    (worse,) = [line.removeprefix("worse: test: ") for line in lines if line.startswith("worse: test: ")]
    assert f"Worse on test: {worse}." in told.partition(" Criteria ")[0]  # beside the verdict, not below nine criteria
    assert "PYTEST_ADDOPTS" in told
