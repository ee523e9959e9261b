"""Every number and verdict of a page is compared with its evidence, whichever templates printed it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from example_run import (
    example_picture,
    example_run,
    page_of,
    stopped_run,
    unread_run,
    without_misclassified_cells,
    write_example_dataset,
)
from hypothesis import given
from hypothesis import strategies as st
from page_edits import EDITS, added, said, without_row

from harness.cli import main
from harness.judge.amended import Change
from harness.pack.files import UNLISTED
from harness.pack.page_check import check_page
from harness.pack.page_reading import read_page
from harness.pack.page_values import says, says_ratio
from harness.pack.report_check import PageCheck
from harness.pack.tables import as_json, evidence
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.report import page as report
from harness.report import wording
from harness.report.places import Places, parsed, written
from harness.report.printing import _plain
from harness.report.rooted import with_whole_paths
from harness.run.results import RunResults

FILES = {"evidence.json": "ab" * 32, "figures/training_loss_phase1.png": "cd" * 32}
PNG = b"\x89PNG\r\n\x1a\n, as far as the report looks"


class Printed:
    """A run's page, and what it is compared with."""

    def __init__(self, run: RunResults) -> None:
        self.document = json.loads(as_json(evidence(run, None)))
        self.places = Places(self.document, run, FILES)
        self.short = page_of(run, files=FILES, figures={"class_distribution": PNG, "training_loss_phase1": PNG})
        self.html = with_whole_paths(self.short)  # edits name paths; that both say the same: tests/test_rooted.py

    def wrong(self, page: str | None = None) -> list[tuple[str, str]]:
        html = self.html if page is None else page
        return list(check_page(html, read_page(html), self.places, self.document))

    def refutes(self, page: str) -> bool:
        """Whether anything is wrong with it: the first thing will do."""
        return any(True for _ in check_page(page, read_page(page), self.places, self.document))


@pytest.fixture(scope="module")
def printed() -> Printed:
    return Printed(example_run())


@pytest.mark.parametrize("run", [example_run, stopped_run, unread_run, without_misclassified_cells])
def test_an_honest_page_has_nothing_wrong(run):
    assert Printed(run()).wrong() == []


def test_an_honest_page_may_say_of_an_absent_class_that_none_of_none_was_right():
    run = example_run()
    first = next(each for each in run.verdicts if each.estimate is not None and each.criterion.question == "training")
    nothing = replace(first.estimate, value=None, lower=None, upper=None, k=0, n=0, display=None, note="no cells")
    verdicts = [replace(each, estimate=nothing) if each is first else each for each in run.verdicts]
    assert Printed(replace(run, verdicts=tuple(verdicts))).wrong() == []
    assert says_ratio("0/0", 0, 0)
    assert not says_ratio("0/0", 0, 5)


# --- edits ----------------------------------------------------------------------------------------


@pytest.mark.slow(but_one_in=4)
@pytest.mark.parametrize("name", EDITS)
def test_an_edited_page_is_found_by_its_numbers_alone(printed, name):
    edited = EDITS[name](printed.html)
    assert edited != printed.html
    assert printed.refutes(edited)


@pytest.mark.slow
def test_every_printed_number_is_compared_and_none_may_be_another(printed):
    """Whatever element says a number: with its first digit changed, it is found."""
    places = list(re.finditer(r"<data data-(?:path|section)=[^>]*>([^<]*\d[^<]*)</data>", printed.html))
    assert len(places) > 500
    for found in places[:: max(1, len(places) // 40)]:
        digit = re.search(r"\d", found[1])
        at = found.start(1) + digit.start()
        other = str((int(digit[0]) + 1) % 10)
        assert printed.refutes(printed.html[:at] + other + printed.html[at + 1 :]), found[0]


@pytest.mark.parametrize("odd", ["<![x", "<", "<a " * 8000, "<!--" * 50000, "<p>" * 50000, "<p " + "a " * 200_000])
def test_odd_markup_is_refused_at_once_and_in_one_sentence(printed, odd):
    assert len(printed.wrong(added(odd)(printed.html))) == 1


def test_words_before_the_first_tag_are_refused(printed):
    """A browser shows them above the page."""
    said = printed.wrong(printed.html.replace("<!DOCTYPE html>", "<!DOCTYPE html> Flawless. ", 1))
    assert [what for _, what in said] == ["text stands between <!DOCTYPE html> and its first tag"]


def test_words_of_a_template_may_change(printed):
    for old, new in [
        ("Every percentage stands beside its counts.", "Each percentage has its counts beside it."),
        ("Research tool, not a medical device", "Research tool; no medical device"),
        ('class="wide cards"', 'class="cards"'),
        ("<h3>Seeds</h3>", "<h4>Training seeds</h4>"),
    ]:
        assert printed.wrong(printed.html.replace(old, new)) == []


# --- what a text says -----------------------------------------------------------------------------


@given(st.floats(0, 1))
def test_whatever_the_report_prints_of_a_fraction_says_it(value):
    assert says(wording.share(value), value, "value")
    assert says(wording.probability(value), value, "p_monocyte")
    assert says(wording.points(value), value, "value")


@given(st.integers(1, 1000))
def test_the_level_of_any_look_says_itself(look):
    assert says(wording.percent_of(1 - 0.05 / look), 1 - 0.05 / look, "level")


@given(st.floats(1e-6, 1e6))
def test_whatever_the_report_prints_of_a_number_says_it(value):
    assert says(wording.number(value), value, "value")
    assert says(wording.quantity(value, "s"), value, "value")
    assert says(wording.duration(value), value, "seconds")


@pytest.mark.parametrize(("value", "text"), [(2.3e-106, "< 0.000000001"), (2e-9, "0.000000002"), (0.0, "0")])
def test_a_number_next_to_nothing_is_said_to_be_small_and_not_in_a_hundred_zeros(value, text):
    assert _plain(value) == text
    assert says(text, value, "brier")
    assert not says("< 0.000000001", 1.0, "brier") and not says("< 0.000000001", 0.0, "brier")


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(-3, 3))
def test_a_proportion_says_its_own_counts_and_no_others(counts, more):
    k, n = counts
    text = wording.proportion(k, n)
    assert says_ratio(text, k, n)
    assert says_ratio(text, k + more, n) == (more == 0)


def test_a_text_that_begins_like_a_bound_is_a_text():
    assert says("lower because labels are noisy", "lower because labels are noisy", "rationale")
    assert not says("lower because labels are noisy", "upper because labels are noisy", "rationale")
    assert says("lower 3 %", 0.03, "lower") and not says("lower 3 %", 0.03, "upper")


@pytest.mark.parametrize(
    ("text", "value", "field"),
    [
        ("100 %", 0.9973, "value"),
        ("100.00 %", 0.99996, "value"),
        ("0 %", 0.00001, "value"),
        ("98 %", 0.9761, "value"),
        ("97.6 % or more", 0.976, "value"),
        ("0.9", 0.94, "value"),
        ("> 0.5", 0.93, "p_x"),
        ("< 0.5", 0.1, "p"),
        ("0", 0.0, "p"),
        ("< 0.0001", 0.0, "value"),
        ("0.0001", 0.0, "p"),
        ("1,00", 100, "n"),
        ("01", 2, "n"),
        ("passed", False, "passed"),
        ("yes", False, "exceeds_null"),
        ("none", 0.5, "value"),
        ("—", {"lower": 0.1, "upper": 0.2}, "display"),
        ("10.00 % to 30.00 %", {"lower": 0.1, "upper": 0.2}, "display"),
        ("abcdef", "abcdef" + "0" * 58, "digest"),
        ("inconclusive", "failed", "outcome"),
        ("in 99 of 100 runs", 0.4, "power"),
    ],
)
def test_a_text_that_says_something_else_is_refused(text, value, field):
    assert not says(text, value, field)


@pytest.mark.parametrize("text", ["none", "nothing", "not stated"])
def test_what_stands_for_an_empty_text_says_it_and_no_other(text):
    assert says(text, "", "version")
    assert says(text, None, "version")
    assert not says(text, "2.1", "version")


def test_a_p_value_that_underflows_is_below_what_four_decimals_show():
    assert says(wording.probability(max(0.0, 1e-12)), 0.0, "p")  # as the section on confidence prints it


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_a_path_reads_back_whatever_its_steps_hold(steps):
    shown = parsed(written(steps))
    assert written(shown) == written(steps)
    assert len(shown) == len(steps)


# --- packs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Iterator[Path]:
    """The smallest run that has verdicts, without its drawn figures."""
    place = tmp_path_factory.mktemp("pack")
    with pytest.MonkeyPatch.context() as quick:
        quick.setattr("harness.report.figures.draw_figures", lambda *_: {"class_distribution": example_picture("one")})
        manifest = write_example_dataset(place / "data")
        whole = example_run(content=example_picture)
        run = dataclasses.replace(stopped_run(), sets=whole.sets[:1], integrity=whole.integrity)
        yield write_pack(run, reports=place / "reports", manifest=manifest, models={}, formats=("PNG",))


@pytest.fixture
def copy(pack, tmp_path) -> Path:
    return Path(shutil.copytree(pack, tmp_path / "copy"))


def mend_sums(folder: Path) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in UNLISTED)
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(folder).as_posix()}\n" for f in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def another_comma(monkeypatch):
    """The installed templates differ by one comma from those that printed the pack."""
    original = report._environment.__wrapped__  # a new one: the one that is kept prints what the others compare

    def edited() -> object:
        environment = original()
        load = environment.loader.get_source

        def with_a_comma(within: object, name: str) -> object:
            source, *rest = load(within, name)
            return source.replace("Research tool, not a medical device", "Research tool, not, a medical device"), *rest

        environment.loader.get_source = with_a_comma
        return environment

    monkeypatch.setattr(report, "_environment", edited)
    now = {"digest": hashlib.sha256(b"with a comma").hexdigest(), "version": "later"}
    for module in ("report.page", "pack.report_check", "pack.verify", "pack.tables"):
        monkeypatch.setattr(f"harness.{module}.renderer", lambda: now)


def test_where_the_renderer_is_installed_the_whole_page_is_compared(copy):
    whole = verify_pack(copy)
    assert whole.page is PageCheck.WHOLE
    assert [*map(str, whole.discrepancies)] == []
    page = copy / "index.html"
    page.write_text(page.read_text().replace("no clinical claim", "a clinical claim"))
    mend_sums(copy)
    assert {each.file for each in verify_pack(copy).discrepancies} == {"index.html"}


def test_a_comma_added_to_a_template_refutes_no_sound_pack(copy, another_comma, capsys):
    assert main(["verify", str(copy)]) == 0
    assert "note: its report was compared by its numbers, verdicts and pictures only" in capsys.readouterr().out
    assert main(["verify", "--strict", str(copy)]) == 1
    assert "--strict: the whole report was not compared" in capsys.readouterr().out
    assert json.loads(machine(copy, capsys))["page"] == PageCheck.NUMBERS


def machine(pack: Path, capsys: pytest.CaptureFixture[str]) -> str:
    main(["verify", "--json", str(pack)])
    return capsys.readouterr().out


def other_renderer(folder: Path) -> None:
    path = folder / "evidence.json"
    content = json.loads(path.read_text())
    content["renderer"] = {"digest": "0" * 64, "version": "9.9"}
    page, before = folder / "index.html", hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(as_json(content))
    page.write_text(page.read_text().replace(before, hashlib.sha256(path.read_bytes()).hexdigest()))


@pytest.mark.parametrize(
    "edit",
    [
        said("run > passed", "Passed"),
        said("verdicts > S1 > outcome", "passed"),
        said("page > verdict > blocking", "0"),
        without_row("verdicts > S1 > required"),
        added("<p>Accuracy 99.9 %.</p>"),
    ],
    ids=["word", "outcome", "count", "row", "sentence"],
)
def test_an_edited_page_is_found_although_digest_and_sums_were_mended(copy, edit):
    """Fault E5: whoever edits the page says that another renderer printed it."""
    page = copy / "index.html"
    content = page.read_text()
    page.write_text(edit(content))
    other_renderer(copy)
    mend_sums(copy)
    assert any(each.file == "index.html" for each in verify_pack(copy).discrepancies)


def test_another_renderer_alone_is_no_finding(copy):
    other_renderer(copy)
    mend_sums(copy)
    found = verify_pack(copy)
    assert [*map(str, found.discrepancies)] == []
    assert found.page is PageCheck.NUMBERS


def moved_run(n: int) -> RunResults:
    """A run after whose first look n keys moved, none of them declared."""
    changes = tuple(
        Change("test", f"criteria.A{k}.floor", "0.98", "0.95", "first", "2026-01-02T00:00:00+00:00", None)
        for k in range(n)
    )
    return replace(example_run(), changes=changes)


@pytest.mark.parametrize("n", [1, 9])
def test_whatever_moved_undeclared_stands_in_the_box_of_the_verdict(n):
    page = Printed(moved_run(n))
    assert page.wrong() == []
    for k in (0, n - 1):
        (item,) = re.findall(rf"<li>(?:(?!</li>).)*changes &gt; {k} &gt; key.*?</li>", page.html, re.S)
        found = page.wrong(page.html.replace(item, ""))
        assert any(place == f"changes > {k} > key" and "the box of the verdict" in said for place, said in found)
