"""Every number and verdict of a page is compared with its evidence, whichever templates printed it."""

from __future__ import annotations

import dataclasses
import hashlib
import html
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
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

from harness.cli import main
from harness.pack.page_check import check_page
from harness.pack.page_values import says, says_ratio
from harness.pack.report_check import PageCheck
from harness.pack.tables import as_json, evidence
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.report import page as report
from harness.report import wording
from harness.report.places import Places, parsed, written
from harness.run.results import RunResults

FILES = {"evidence.json": "ab" * 32, "figures/training_loss_phase1.png": "cd" * 32}
PNG = b"\x89PNG\r\n\x1a\n, as far as the report looks"


class Printed:
    """A run's page, and what it is compared with."""

    def __init__(self, run: RunResults) -> None:
        self.document = json.loads(as_json(evidence(run, None)))
        self.places = Places(self.document, run, FILES)
        self.html = page_of(run, files=FILES, figures={"class_distribution": PNG, "training_loss_phase1": PNG})

    def wrong(self, page: str | None = None) -> list[tuple[str, str]]:
        return list(check_page(self.html if page is None else page, self.places, self.document))


@pytest.fixture(scope="module")
def printed() -> Printed:
    return Printed(example_run())


@pytest.mark.parametrize("run", [example_run, stopped_run, unread_run, without_misclassified_cells])
def test_an_honest_page_has_nothing_wrong(run):
    assert Printed(run()).wrong() == []


# --- edits ----------------------------------------------------------------------------------------


def once(page: str, old: str, new: str) -> str:
    assert old in page, old
    return page.replace(old, new, 1)


def element(page: str, path: str, nth: int = 0) -> re.Match[str]:
    """The nth element that prints a path."""
    escaped = re.escape(html.escape(path))
    return list(re.finditer(rf'<data data-path="{escaped}"[^>]*>([^<]*)</data>', page))[nth]


def said(path: str, text: str) -> Callable[[str], str]:
    """The first element of a path says something else."""

    def edit(page: str) -> str:
        found = element(page, path)
        assert found[1] != text
        return page[: found.start(1)] + text + page[found.end(1) :]

    return edit


def matched(page: str, pattern: str) -> str:
    return re.findall(pattern, page, re.DOTALL)[0]


def table_of(page: str, path: str) -> str:
    return matched(page, rf'<table class="" data-rows="{path}">.*?</table>')


def row_of(page: str, path: str) -> str:
    """The table row that the first element of a path stands in."""
    place = element(page, path).start()
    start, end = page.rindex("<tr", 0, place), page.index("</tr>", place) + len("</tr>")
    return page[start:end]


def without_row(path: str) -> Callable[[str], str]:
    return lambda page: once(page, row_of(page, path), "")


def row_twice(path: str) -> Callable[[str], str]:
    return lambda page: once(page, row_of(page, path), row_of(page, path) * 2)


def swapped(one: str, other: str) -> Callable[[str], str]:
    """Two elements change places, paths and all."""

    def edit(page: str) -> str:
        first, second = element(page, one)[0], element(page, other)[0]
        assert first != second
        return once(once(once(page, first, "\0"), second, first), "\0", second)

    return edit


def added(text: str) -> Callable[[str], str]:
    return lambda page: once(page, "</main>", f"{text}</main>")


def around(path: str, before: str, after: str) -> Callable[[str], str]:
    return lambda page: once(page, found := element(page, path)[0], f"{before}{found}{after}")


RECALL = "evaluations > test > per_class > {} > recall"
VERDICT = "verdicts > {}"
HIDDEN = '<p style="display:none">3</p>'

EDITS: dict[str, Callable[[str], str]] = {
    "the word of the run": said("run > passed", "Passed"),
    "the title": lambda page: once(page, "<title>Not passed", "<title>Passed"),
    "the word of a verdict": said("verdicts > E1 > outcome", "passed"),
    "an outcome of no meaning": said("verdicts > E1 > outcome", "Passed!"),
    "whether a criterion was required": said("verdicts > E1 > required", "for information"),
    "a count of a proportion": said("verdicts > E1 > estimate", "110/140"),
    "the whole of a proportion": said("verdicts > E1 > estimate", "109/139"),
    "a percentage": said("verdicts > E1 > estimate > value", "78.86 %"),
    "a percentage by its last place": said("verdicts > E1 > estimate > value", "77.87 %"),
    "a percentage of fewer places": said("verdicts > E1 > estimate > value", "80 %"),
    "a lower bound": said("verdicts > E1 > estimate > lower", "lower 92.31 %"),
    "a bound under the other's name": said("verdicts > E1 > estimate > lower", "upper 71.31 %"),
    "a level": said("verdicts > E1 > estimate > level", "99 %"),
    "a floor": said("protocol > content > criteria > E1 > floor", "70 %"),
    "a look": said("looks > test", "1"),
    "a reason": said("verdicts > E1 > reason", "the bound meets the requirement"),
    "a cell of a matrix": said("evaluations > test > confusion > 0 > 1", "0"),
    "a recall": said(RECALL.format("basophil"), "6/6 (100 %)"),
    "a recall's percentage alone": said(RECALL.format("basophil"), "5/6 (93.33 %)"),
    "an interval": said(f"{RECALL.format('basophil')} > display", "80.00 % to 99.00 %"),
    "an undefined recall": said("evaluations > nine-monocytes > per_class > basophil > recall", "0/0 (100 %)"),
    "a number of images": said("sets > dataset > n_images", "2,000"),
    "a digest": said("split > digest", "0" * 64),
    "a shortened digest": said("sets > dataset > digest", "0" * 12),
    "a digest to nearly nothing": said("split > digest", ""),
    "a difference": said("page > comparison > sets > test > rows > all > difference", "+6.67 points"),
    "a calibration error": said("calibrations > test > before > ece", "0.00012"),
    "a time": said("page > speed > 0 > value", "0.0001 s"),
    "a duration": said("run > seconds", "1 min 12 s"),
    "the date": said("run > started_at", "2027-01-15 09:30:00 UTC"),
    "a text that is recorded": said("protocol > content > identity > intended_use", "For diagnosis."),
    "a number of a section": lambda page: re.sub(r'(<data data-section="results">)\d+', r"\g<1>1", page, count=1),
    "a path that does not exist": lambda page: once(page, 'data-path="looks &gt; test"', 'data-path="looks &gt; x"'),
    "a path to another value": lambda page: once(
        page, html.escape('data-path="run > id"', quote=False), html.escape('data-path="run > command"', quote=False)
    ),
    "an element without a path": lambda page: once(page, ' data-path="run &gt; seconds"', ""),
    "a sign before a number": lambda page: once(page, found := element(page, "looks > test")[0], f"-{found}"),
    "a row of the verdicts lost": without_row("verdicts > E1 > required"),
    "a row of the verdicts doubled": row_twice("verdicts > A1 > required"),
    "a row of the matrix lost": without_row("evaluations > test > confusion > 0 > 1"),
    "a class lost": without_row(f"{RECALL.format('basophil')} > display"),
    "a class doubled": row_twice(f"{RECALL.format('monocyte')} > display"),
    "a set lost": without_row("evaluations > second-laboratory > accuracy"),
    "a seed lost": without_row("page > comparison > seeds > 7"),
    "a wrong cell lost": lambda page: once(
        page, matched(page, r"<tr>(?:(?!</tr>).)*predictions/test\.csv.*?</tr>"), ""
    ),
    "a limit doubled": lambda page: once(page, found := matched(page, r"<tr><td>No clinical.*?</tr>"), found * 2),
    "recall and precision swapped": swapped(
        RECALL.format("basophil"), "evaluations > test > per_class > basophil > precision"
    ),
    "two classes swapped": swapped(RECALL.format("basophil"), RECALL.format("monocyte")),
    "two cells of a matrix swapped": swapped(
        "evaluations > test > confusion > 0 > 0", "evaluations > test > confusion > 0 > 1"
    ),
    "two rows' cells of a matrix swapped": swapped(
        "evaluations > test > confusion > 0 > 0", "evaluations > test > confusion > 1 > 0"
    ),
    "reference and predicted swapped": lambda page: swapped(
        found := html.unescape(matched(page, r'data-path="(predictions/test\.csv &gt; \d+ &gt; label)"')),
        found.replace("label", "predicted"),
    )(page),
    "a verdict under another's name": lambda page: once(
        page,
        row := row_of(page, "verdicts > E1 > required"),
        once(row, element(page, "verdicts > E1 > criterion")[0], element(page, "verdicts > E2 > criterion")[0]),
    ),
    "before and after temperature swapped": swapped(
        "calibrations > test > before > mce", "calibrations > test > after > mce"
    ),
    "two measures of calibration swapped": swapped(
        "calibrations > test > before > ece", "calibrations > test > before > mce"
    ),
    "a label that only narrow screens show": lambda page: once(page, 'data-label="Observed"', 'data-label="99.9 %"'),
    "a heading of a column": lambda page: once(page, 'class="number">Recall</th>', 'class="number">Precision</th>'),
    "a whole table lost": lambda page: once(page, table_of(page, "evaluations &gt; test &gt; confusion"), ""),
    "a whole table doubled": lambda page: once(page, found := table_of(page, "evaluations"), found * 2),
    "a table that no longer says what it lists": lambda page: once(page, ' data-rows="evaluations"', ""),
    "a sentence with a number": added("<p>Accuracy 99.9 %.</p>"),
    "a sentence with a fraction": added("<p>149/150 right</p>"),
    "a number in other digits": added("<p>Accuracy \u0669\u0669 percent</p>"),
    "a number in full-width digits": added("<p>Accuracy \uff19\uff19</p>"),
    "a fraction in one sign": added("<p>more than \u00be right</p>"),
    "a number that a script writes": added("<script>1</script>"),
    "a picture of a vector": added("<svg><text>99 %</text></svg>"),
    "a frame": added('<iframe srcdoc="99"></iframe>'),
    "a style of its own": added(HIDDEN),
    "a second style sheet": added("<style>.banner{display:none}</style>"),
    "a comment that begins something else": added("<![CDATA[ 99 ]]>"),
    "a number that is only heard": lambda page: once(page, 'aria-label="Sections"', 'aria-label="99 of 100 right"'),
    "a number under a figure": lambda page: once(page, "<figcaption>", "<figcaption>99 right; "),
    "an element that is never closed": added("<div>"),
    "a comment": added("<!-- the rest -->"),
    "a comment that ends at once": added("<!--><p>Accuracy flawless</p><!-- -->"),
    "a style that ends in another way": lambda page: once(page, "</style>", "</style/><p>99 %</p><style></style>"),
    "a second style": lambda page: once(page, "</style>", "</style><style></style>"),
    "a style in capitals": added("<STYLE>.banner{color:red}</STYLE>"),
    "a markup in the title": lambda page: once(page, "<title>", "<title><b>"),
    "a way to another page": lambda page: once(
        page, "</head>", '<meta http-equiv="refresh" content="0;url=https://example.org"></head>'
    ),
    "another alphabet": lambda page: once(page, 'charset="utf-8"', 'charset="iso-2022-jp"'),
    "a wider policy": lambda page: once(page, "img-src data:", "img-src *"),
    "no policy": lambda page: re.sub("<meta http-equiv=.*?>", "", page),
    "a policy that comes too late": lambda page: once(
        once(page, found := matched(page, "<meta http-equiv=.*?>"), ""), "<body>", f"<body>{found}"
    ),
    "text before the policy": lambda page: once(page, "<head>", "<head>flawless"),
    "a style that is not the policy's": lambda page: once(page, "</style>", "td{display:none}</style>"),
    "a picture of words": added('<figure><img src="data:image/svg+xml,flawless" alt="x"></figure>'),
    "a picture from elsewhere": added('<figure><img src="https://example.org/x.png" alt="x"></figure>'),
    "a picture beside nothing": added('<p><img src="data:image/png;base64,AAAA" alt="x"></p>'),
    "a picture in a row about no cell": lambda page: once(
        page,
        row := row_of(page, "evaluations > test > accuracy"),
        once(row, "</th>", '<img src="data:image/png;base64,AAAA" alt="x"></th>'),
    ),
    "a caption below nothing": added("<p>(figures/Accuracy is 99.9 % on all sets.png)</p>"),
    "a turn of direction": added("<p>less \u202e than</p>"),
    "a turn of direction before a number": around("looks > test", "&#x202e;", ""),
    "a sign and nothing": around("looks > test", "-&#8203;", ""),
    "a sign and a space": around("looks > test", "\u2212 ", ""),
    "at least": around("looks > test", "\u2265", ""),
    "at least, with a space": around("looks > test", "\u2265 ", ""),
    "at most for at least": lambda page: once(page, "\u2265 <data", "\u2264 <data"),
    "a slash before": around("looks > test", "/", ""),
    "a hundred after": around("looks > test", "", "\U0001f4af"),
    "thousands": around("looks > test", "", "k"),
    "one number right after another": lambda page: once(page, found := element(page, "looks > test")[0], found * 2),
    "a new verdict": added('<p>E1: <data data-path="verdicts &gt; E1 &gt; outcome">passed</data></p>'),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_page_is_found_by_its_numbers_alone(printed, name):
    edited = EDITS[name](printed.html)
    assert edited != printed.html
    assert printed.wrong(edited) != []


def test_every_printed_number_is_compared_and_none_may_be_another(printed):
    """Whatever element says a number: with its first digit changed, it is found."""
    places = list(re.finditer(r"<data data-(?:path|section)=[^>]*>([^<]*\d[^<]*)</data>", printed.html))
    assert len(places) > 500
    for found in places[:: max(1, len(places) // 40)]:
        digit = re.search(r"\d", found[1])
        at = found.start(1) + digit.start()
        other = str((int(digit[0]) + 1) % 10)
        assert printed.wrong(printed.html[:at] + other + printed.html[at + 1 :]), found[0]


@pytest.mark.parametrize("odd", ["<![x", "<", "<a " * 8000, "<!--" * 50000, "<p>" * 50000, "<p " + "a " * 200_000])
def test_odd_markup_is_refused_at_once_and_in_one_sentence(printed, odd):
    began = time.process_time()
    assert len(printed.wrong(added(odd)(printed.html))) == 1
    assert time.process_time() - began < 2


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


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(-3, 3))
def test_a_proportion_says_its_own_counts_and_no_others(counts, more):
    k, n = counts
    text = wording.proportion(k, n)
    assert says_ratio(text, k, n)
    assert says_ratio(text, k + more, n) == (more == 0)


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
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(folder).as_posix()}\n" for f in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def another_comma(monkeypatch):
    """The installed templates differ by one comma from those that printed the pack."""
    original = report._environment

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
