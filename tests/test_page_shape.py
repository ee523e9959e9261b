"""How the page is built: what stands in the open, what is linked to what, and what a phone makes of its tables."""

from __future__ import annotations

import dataclasses
import html as markup
import json
import re
import shutil
import subprocess
from datetime import date
from functools import cache

import pytest
from example_run import example_run, page_of
from markupsafe import Markup

from harness.judge.amended import Change
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.estimates import Estimate
from harness.pack.page_reading import PageRead, read_page
from harness.protocol.amendments import Amendment
from harness.protocol.study import StudyPlan
from harness.report.margins import line, margin
from harness.report.sections.verdict import worst_class_of, worst_external_of
from harness.report.seen import seen_in
from harness.report.stacked import labelled
from harness.report.wording import MOST_NAMED

PNG = b"\x89PNG\r\n\x1a\n, as far as the report looks"
FIGURES = ("confusion_matrix_test", "per_class_metrics", "class_distribution", "confusion_matrix_external")
FILES = {"evidence.json": "ab" * 32, "predictions/test.csv": "cd" * 32}
BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)


@cache
def html() -> str:
    return page_of(example_run(), figures=dict.fromkeys(FIGURES, PNG), files=FILES)


@cache
def page() -> PageRead:
    return read_page(html())


def ids_in(text: str) -> set[str]:
    return set(re.findall(r' id="([^"]+)"', text))


def links_in(text: str) -> set[str]:
    return set(re.findall(r'href="#([^"]+)"', text))


def row(identifier: str) -> str:
    found = re.search(rf'<tr id="{re.escape(identifier)}".*?</tr>', html(), re.DOTALL)
    assert found is not None, identifier
    return found[0]


# --- what stands in the open ----------------------------------------------------------------------


def folded(text: str) -> str:
    """The parts of a page that are seen only once something is opened."""
    depth, parts, start = 0, [], 0
    for tag in re.finditer(r"<details|</details>", text):
        if tag[0] == "<details":
            start = tag.start() if depth == 0 else start
            depth += 1
        elif (depth := depth - 1) == 0:
            parts.append(text[start : tag.end()])
    return "".join(parts)


def test_only_criteria_that_ask_for_no_second_look_are_folded():
    hidden = ids_in(folded(html()))
    for verdict in example_run().verdicts:
        quiet = verdict.passed or verdict.not_asked or verdict.outcome is Outcome.NOT_JUDGED
        assert (f"criterion-{verdict.criterion.id}" in hidden) is quiet, verdict.criterion.id


def test_every_required_criterion_has_its_line_in_the_open_and_what_blocks_comes_first():
    lines = re.findall(r'<tr id="line-([^"]+)"', html())
    assert not {f"line-{name}" for name in lines} & ids_in(folded(html()))
    verdicts = {verdict.criterion.id: verdict for verdict in example_run().verdicts}
    assert sorted(lines) == sorted(name for name, each in verdicts.items() if each.criterion.required)
    assert verdicts[lines[0]].blocks


def test_the_main_tables_and_the_limits_stand_in_the_open():
    hidden = folded(html())
    for opening in (
        "<caption>Limits<",
        'data-rows="evaluations"',
        'data-rows="evaluations &gt; test &gt; per_class"',
        'data-rows="evaluations &gt; test &gt; confusion"',
        'data-rows="sets"',
    ):
        assert opening in html()
        assert opening not in hidden


def test_the_box_of_the_verdict_names_a_few_criteria_and_folds_the_others():
    run = example_run()
    first = next(verdict for verdict in run.verdicts if verdict.blocks)
    many = [
        dataclasses.replace(first, criterion=first.criterion.model_copy(update={"id": f"E1-{n}"})) for n in range(20)
    ]
    criteria = (*run.protocol.criteria, *(verdict.criterion for verdict in many))
    protocol = run.protocol.model_copy(update={"criteria": criteria})
    text = page_of(dataclasses.replace(run, protocol=protocol, verdicts=(*run.verdicts, *many)))
    box = text.partition('<div class="banner')[2].partition("\n</div>")[0]
    blocking = box.partition("required criteria did not pass")[2].partition("<details>")[0]
    assert len(links_in(blocking)) == MOST_NAMED
    assert {f"criterion-E1-{n}" for n in range(20)} <= links_in(box)


def test_what_moved_undeclared_stands_before_what_an_amendment_declares():
    run = example_run()
    time, first = "2026-01-01T09:30:00+00:00", "2026-01-01T000000-1111"
    made = Amendment(
        key="criteria.A1.floor", old=0.9, new=0.8, reason="It was mistyped.", owner="Ada", day=date(2026, 1, 10)
    )
    changes = (
        Change("test", made.key, "0.9", "0.8", first, time, made),
        Change("test", "criteria.A2.floor", "0.9", "0.8", first, time, None),
    )
    text = page_of(dataclasses.replace(run, changes=changes))
    box = text.partition('<div class="banner')[2].partition("\n</div>")[0]
    assert 0 < box.index("Moved, not declared") < box.index("<details") < box.index("Amended")


def test_the_first_numbers_are_accuracy_the_worst_class_and_the_worst_external_set():
    run = example_run()
    tiles = html().partition('<dl class="tiles">')[2].partition("</dl>")[0]
    paths = [markup.unescape(each) for each in re.findall(r'data-path="([^"]+)"', tiles)]
    assert "evaluations > test > accuracy" in paths
    assert f"evaluations > test > per_class > {worst_class_of(run)} > recall" in paths
    assert f"evaluations > {worst_external_of(run)} > accuracy" in paths
    assert worst_external_of(run) == "second-laboratory"


def test_a_tile_names_the_method_of_its_interval():
    tiles = html().partition('<dl class="tiles">')[2].partition("</dl>")[0]
    assert tiles.count("</data> Wilson interval <data") == 2


def test_a_count_among_nothing_is_not_told_like_one_of_something():
    """A wide screen has no room for what was checked beside a count of 0; of nothing it must be said."""
    run = example_run()
    verdicts = [
        dataclasses.replace(each, estimate=dataclasses.replace(each.estimate, n=0))
        if each.criterion.id == "D1" and each.estimate is not None
        else each
        for each in run.verdicts
    ]
    text = page_of(dataclasses.replace(run, verdicts=tuple(verdicts)))
    line = text.partition('<tr id="line-D1"')[2].partition("</tr>")[0]
    assert re.search(r"<strong>of <data[^>]*>0</data> checked</strong>", line)
    assert "<strong>of" not in row("line-D1")


# --- links ----------------------------------------------------------------------------------------


def test_every_criterion_leads_to_its_evidence_and_back():
    run, ids = example_run(), ids_in(html())
    assert links_in(html()) <= ids
    for verdict in run.verdicts:
        name = verdict.criterion.id
        own = links_in(row(f"criterion-{name}"))
        assert (own - {f"line-{name}"}) <= ids - {f"criterion-{name}"}
        assert own
        assert (f"line-{name}" in own) is verdict.criterion.required
        if verdict.criterion.required:
            assert f"criterion-{name}" in links_in(row(f"line-{name}"))


def test_every_section_names_the_criteria_that_rest_on_it():
    back = [links_in(each) for each in re.findall(r'<p class="answers.*?</p>', html(), re.DOTALL)]
    named = [name for links in back for name in links]
    assert sorted(named) == sorted(f"criterion-{verdict.criterion.id}" for verdict in example_run().verdicts)


def test_a_criterion_names_the_file_and_the_figure_of_its_own_set():
    assert "<code>predictions/test.csv</code>" in row("criterion-A1")
    assert 'href="#figure-confusion_matrix_test"' in row("criterion-A1")
    assert 'href="#set-test"' in row("criterion-A1")


# --- tables on narrow screens ---------------------------------------------------------------------


def test_every_cell_that_needs_it_carries_the_heading_of_its_column():
    seen = 0
    for table in page().tables:
        for cells in table.body:
            column = 0
            for cell in cells:
                head = table.heads[column] if column < len(table.heads) else ""
                column += cell.n_columns
                if not cell.is_head and cell.n_columns == 1 and head not in ("", "Outcome", "Image"):
                    assert cell.label is not None
                    assert " ".join(cell.label.split()) == head
                    seen += 1
    assert seen > 200


def test_a_cell_over_several_columns_has_no_label_and_moves_the_next_ones():
    body = Markup(
        '<thead><tr><th scope="col">A</th><th scope="col">B</th><th scope="col">C &lt;</th></tr></thead>'
        '<tbody><tr><td colspan="2">both</td><td>last</td></tr></tbody>'
    )
    assert '<td colspan="2">both</td><td data-label="C &lt;">last</td>' in labelled(body)


@pytest.mark.skipif(BROWSER is None, reason="neither Chromium nor Chrome is on this machine")
def test_on_a_phone_no_table_scrolls_sideways_and_the_box_is_no_longer_than_a_screen(tmp_path):
    bare = re.sub(r"<meta http-equiv=[^>]*>", "", html())
    probe = """<script>addEventListener("load", () => {
      const box = document.querySelector(".banner").offsetHeight, shut = document.documentElement.scrollHeight;
      document.querySelectorAll("details").forEach(each => each.open = true);
      const wide = [...document.querySelectorAll(".scroll")].filter(each => each.scrollWidth > each.clientWidth + 1);
      document.title = JSON.stringify({box, shut, open: document.documentElement.scrollHeight,
        wide: wide.map(each => each.ariaLabel), width: document.documentElement.scrollWidth});
    })</script></body>"""
    (tmp_path / "page.html").write_text(bare.replace("</body>", probe), encoding="utf-8")
    # A window cannot be as narrow as a phone, a frame in it can.
    frame = '<title></title><iframe src="page.html" style="border:0;width:390px;height:844px"></iframe><script>'
    frame += "setInterval(() => document.title = document.querySelector('iframe').contentDocument.title, 50)</script>"
    (tmp_path / "frame.html").write_text(frame, encoding="utf-8")
    done = subprocess.run(
        [
            str(BROWSER),
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--virtual-time-budget=5000", "--dump-dom", (tmp_path / "frame.html").as_uri()),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )
    found = json.loads(markup.unescape(done.stdout.decode().partition("<title>")[2].partition("</title>")[0]))
    assert found["wide"] == []
    assert found["width"] <= 390
    assert found["box"] <= 844
    assert found["shut"] <= 25 * 844
    assert found["open"] > 1.5 * found["shut"]


# --- the forest plot ------------------------------------------------------------------------------


def verdict_of(criterion: str, **changes: object) -> Verdict:
    found = next(verdict for verdict in example_run().verdicts if verdict.criterion.id == criterion)
    assert isinstance(found.estimate, Estimate)
    return dataclasses.replace(found, estimate=dataclasses.replace(found.estimate, **changes))


def test_a_line_has_its_threshold_in_the_middle_and_five_to_the_point():
    # E1 asks for a lower bound of 92 %: 90 % is 2 points short of it, 94 % as much beyond, 93 % one point.
    found = verdict_of("E1", value=0.93, lower=0.90, upper=0.94)
    assert found.criterion.floor == 0.92
    drawn = line(found)
    assert '<rect class="threshold" x="99.5" y="0" width="1" height="16">' in drawn
    assert '<rect class="interval" x="90" y="7" width="20" height="2">' in drawn
    assert '<circle class="estimate" cx="105" cy="8" r="4">' in drawn
    assert "beyond" not in drawn
    assert margin(found) == pytest.approx(-0.02)


def test_what_lies_beyond_the_axis_ends_in_an_arrow():
    drawn = line(verdict_of("E1", value=0.50, lower=0.40, upper=0.95))
    assert '<polygon class="beyond" points="0,8 6,4 6,12">' in drawn
    assert "circle" not in drawn
    assert 'x="0" y="7" width="115"' in drawn


# --- figures --------------------------------------------------------------------------------------


def test_who_cannot_see_a_figure_is_told_what_stands_out_in_it():
    run = example_run()
    found = run.evaluations["test"]
    alternatives = re.findall(r'alt="([^"]*)"', html())
    told = next(each for each in alternatives if "The most frequent error:" in each)
    reference, predicted = re.findall(r"error: (\w+) called (\w+)\.", told)[0]
    wrong = {
        (one, other): found.confusion[i, j]
        for i, one in enumerate(found.classes)
        for j, other in enumerate(found.classes)
        if i != j
    }
    assert wrong[reference, predicted] == max(wrong.values()) > 0
    assert any(f"lowest for {worst_class_of(run)}." in each for each in alternatives)


def test_a_class_that_is_a_number_is_not_named_where_it_would_read_like_one():
    run = example_run()
    found = dataclasses.replace(run.evaluations["test"], classes=tuple("01234"))
    assert seen_in("confusion_matrix_test", dataclasses.replace(run, evaluations={"test": found})) == ""


# --- what the protocol states of the study --------------------------------------------------------


def test_what_the_protocol_states_of_the_study_is_shown_and_what_it_does_not_is_said():
    run = example_run()
    stated = StudyPlan(user="Two haematologists of the example.", stain="May-Gruenwald-Giemsa")
    text = page_of(dataclasses.replace(run, protocol=run.protocol.model_copy(update={"study": stated})))
    assert ">Two haematologists of the example.</data>" in text
    assert ">May-Gruenwald-Giemsa</data>" in text
    assert "user, operator" in " ".join(html().split())
    missing = re.findall(r"<strong>Not stated in the protocol</strong>.*?</p>", text, re.DOTALL)
    assert all("stain" not in each and "user" not in each for each in missing)
    assert any("blinding" in each for each in missing)


def test_a_protocol_without_a_study_keeps_its_digest():
    protocol = example_run().protocol
    assert "study" not in protocol.model_dump(mode="json")
    assert protocol.model_copy(update={"study": StudyPlan(user="somebody")}).digest != protocol.digest
