"""The report: honest numbers, nothing but text from outside, readable at whatever point a run ended."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from datetime import date
from html.parser import HTMLParser

import numpy as np
import pytest
from example_run import CLASSES, example_run, limits_in, page_of, stopped_run, without_misclassified_cells
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import EvidenceError, UndefinedStatistic
from harness.core.text import visible
from harness.judge.ledger import record_look
from harness.judge.sample_size import ONLY_NEW
from harness.judge.verdicts import Outcome
from harness.protocol.criteria import Waiver
from harness.report.page import _environment
from harness.report.sections import SECTIONS
from harness.report.sentences import classes_lost
from harness.report.wording import MOST_WORSE, number, percent, probability, proportion, share

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
PNG = b"\x89PNG\r\n\x1a\n, as far as the report looks"
VOID = {"meta", "br", "img", "link", "hr", "input"}
INLINE = {"data", "span", "strong", "code", "a", "em"}


class Page(HTMLParser):
    """A page as its elements and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag not in INLINE:
            self.pieces.append(" ")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    @property
    def skeleton(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(sorted(attributes))) for tag, attributes in self.elements]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def run():
    return example_run()


@pytest.fixture(scope="module")
def html(run):
    names = ("class_distribution", "confusion_matrix_test", "training_loss_phase1", "training_loss_phase2")
    return page_of(run, figures=dict.fromkeys(names, PNG), files={"evidence.json": "ab" * 32})


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


# --- the page as a document ---------------------------------------------------------------------


def test_the_page_is_well_formed_and_loads_nothing(html, page):
    assert page.open == []
    assert "<script" not in html.lower()
    assert page.all("link") == []
    loaded = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")]
    assert loaded
    assert all(value.startswith(("data:image/png;base64,", "data:image/webp;base64,", "#")) for value in loaded)
    assert "url(" not in html
    assert "@import" not in html
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_the_content_security_policy_comes_before_anything_it_governs(html, page):
    # Computed from the style sheet as a browser sees it on the page: a change of a single space would unstyle it.
    style = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = {
        "http-equiv": "Content-Security-Policy",
        "content": f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'",
    }
    tags = [tag for tag, _ in page.elements]
    position = page.elements.index(("meta", policy))
    assert position < min(tags.index("style"), tags.index("img"), tags.index("body"))


def test_every_link_has_its_target_and_every_id_is_unique(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"] for attributes in page.all("a")} <= {f"#{each}" for each in ids}


def test_a_screen_reader_finds_language_headings_captions_scopes_and_alternative_texts(page):
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert [attributes["id"] for attributes in page.all("h2")] == [section.name for section in SECTIONS]
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    assert all(attributes.get("alt") for attributes in page.all("img"))


def test_every_given_figure_is_on_the_page_once(page):
    assert len(page.all("img")) == 4
    assert page.text.count("(figures/training_loss_phase2.png)") == 1


def test_rendering_twice_gives_the_same_text(run):
    assert page_of(run) == page_of(example_run())


# --- text from outside --------------------------------------------------------------------------


def test_a_hostile_name_changes_no_element_and_no_attribute(run):
    plain = example_run(file_name=lambda name, number: f"{name}_{number:03d}.jpg")
    hostile = example_run(
        file_name=lambda name, number: f"{name}_{number:03d}{HOSTILE}.jpg", environment={"platform": HOSTILE}
    )
    hostile = dataclasses.replace(hostile, command=HOSTILE, run_id=HOSTILE, started_at=HOSTILE)
    plain_page, hostile_page = (Page(page_of(each)) for each in (plain, hostile))
    assert hostile_page.skeleton == plain_page.skeleton
    assert " ".join(HOSTILE.split()) in hostile_page.text


def test_a_hostile_name_of_a_set_stays_text(run):
    # One that only the command line names is not restricted by the protocol.
    evaluation = dataclasses.replace(run.evaluations["nine-monocytes"], set=HOSTILE)
    predictions = dataclasses.replace(run.predictions["nine-monocytes"], set=HOSTILE)
    extended = dataclasses.replace(
        run,
        evaluations={**run.evaluations, HOSTILE: evaluation},
        predictions={**run.predictions, HOSTILE: predictions},
    )
    html = page_of(extended)
    assert "<script" not in html
    assert Page(html).all("img") == []


def test_hostile_reasons_findings_and_details_stay_text(run):
    verdicts = tuple(
        dataclasses.replace(
            v, reason=HOSTILE, estimate=v.estimate and dataclasses.replace(v.estimate, details=(HOSTILE,))
        )
        for v in run.verdicts
    )
    finding = dataclasses.replace(run.integrity.findings[0], rule=HOSTILE, path=HOSTILE, detail=HOSTILE, remedy=HOSTILE)
    integrity = dataclasses.replace(run.integrity, findings=(finding,))
    html = page_of(
        dataclasses.replace(run, verdicts=verdicts, integrity=integrity, stopped_because=HOSTILE), figures={}
    )
    assert "<script" not in html
    assert Page(html).all("img") == []


def test_autoescaping_is_on_for_templates_named_j2():
    # Jinja's own select_autoescape() skips such names; the environment must not.
    assert _environment().autoescape is True
    assert _environment().from_string("{{ text }}").render(text=HOSTILE).count("<") == 0


def test_undecodable_file_names_and_direction_overrides_become_visible_text():
    odd = example_run(n_wrong=30, file_name=lambda name, number: f"{name}{number}\udcff\u202egpj.exe")
    html = page_of(odd)
    html.encode("utf-8")  # a lone surrogate would raise
    assert "\u202e" not in html
    assert "\\udcff\\u202egpj.exe" in Page(html).text


# --- what it says -------------------------------------------------------------------------------


def test_the_run_verdict_its_reasons_and_its_waivers_come_first(run, page):
    assert not run.passed
    first = page.text[: page.text.index("2. What was tested")]
    assert "Not passed 1 of 7 required criteria did not pass: E1 (accuracy on second-laboratory) failed" in first
    assert "77.86 % 109/140 lower 71.31 % upper 83.50 % lower 95 % bound ≥ 92 %" in first
    assert "Waived: P2" in first
    assert "No Apple machine is at hand" in first


def test_every_criterion_and_every_outcome_word_is_on_the_page(run, page):
    assert {verdict.outcome for verdict in run.verdicts} == set(Outcome)
    for verdict in run.verdicts:
        assert verdict.criterion.id in page.text
        assert verdict.criterion.rationale in page.text
    for outcome in Outcome:
        assert outcome.value in page.text


def test_outcomes_differ_in_mark_and_class_not_in_colour_alone(page):
    classes = {a["class"] for a in page.all("span") if (a.get("class") or "").startswith("outcome")}
    assert len(classes) == len(Outcome)


def test_the_banner_gives_the_scope_and_what_did_not_pass_without_being_required(run, page):
    first = page.text[: page.text.index("2. What was tested")]
    assert "Scope: " + run.protocol.identity.intended_use in first
    assert "For information, not required, and not passed" in first
    assert "E2 (accuracy on nine-monocytes) inconclusive" in first


def test_an_inconclusive_blocking_criterion_says_on_the_first_pages_what_would_decide(run):
    verdicts = tuple(
        dataclasses.replace(v, criterion=v.criterion.model_copy(update={"required": True})) for v in run.verdicts
    )
    page = Page(page_of(dataclasses.replace(run, verdicts=verdicts)))
    first = page.text[: page.text.index("2. What was tested")]
    undecided = next(v for v in verdicts if v.outcome is Outcome.INCONCLUSIVE and v.n_to_decide)
    assert f"about {undecided.n_to_decide:,} new cells of the class would decide in four of five runs" in first
    assert first.count(ONLY_NEW) == 1


def test_what_every_interval_leaves_open_is_said_once_below_the_verdicts(page):
    first = page.text[: page.text.index("2. What was tested")]
    assert first.count("no patient ids") == 1


def test_conditions_of_fresh_processes_differ_on_purpose_and_results_that_differ_stand_out(run):
    other = dataclasses.replace(run.reproducibility[1], conditions="cpu, 1 thread", losses="ab" * 32)
    text = Page(page_of(dataclasses.replace(run, reproducibility=(run.reproducibility[0], other)))).text
    assert "cpu, 1 thread differ on purpose" in text
    assert "abababababab DIFFER" in text
    assert text.count(" DIFFER") == 1


def test_an_external_set_is_never_called_external_without_its_independence(page):
    assert "external, independence not shown" in page.text
    assert "external, independence shown" in page.text


def test_the_page_names_no_file_and_no_command_that_the_pack_does_not_have(page):
    assert "ledger.jsonl" not in page.text  # this run recorded no look
    assert "sha256sum --check SHA256SUMS" in page.text


def test_every_seed_is_reported_and_none_is_chosen(run, page):
    for seed, predictions in run.seed_predictions.items():
        assert f"{seed} {proportion(int(predictions.correct.sum()), 30)}" in page.text
    assert "judged and exported: fixed in the protocol before the run" in page.text
    alone = Page(page_of(dataclasses.replace(run, seed_predictions={}))).text
    assert "One seed was trained (42). How much another seed's classifier would differ is not known" in alone


def test_the_baseline_is_named_with_its_digest_and_every_discordant_cell(run, page):
    assert run.baseline.run_id in page.text
    assert run.baseline.sums_digest in page.text
    assert f"It is signed by key {run.baseline.check.vouched_by[0]}: the signature verifies." in page.text
    comparison = run.comparisons["test"]
    b, c, n = comparison.counts()
    assert (b, c, n) == (3, 1, 30)
    assert f"all 30 {n - b - c} {c} {b} 0 -6.67 points" in page.text
    for cell in comparison.discordant:
        assert f"{cell.reference} {cell.baseline} {cell.candidate} {'gained' if cell.candidate_right else 'lost'}" in (
            page.text
        )
    assert "The baseline has 1 of 30 cells wrong: no candidate whatever can be shown to be better here." in page.text


def test_the_first_screen_says_what_was_lost_against_the_baseline_and_in_which_classes(run):
    found = run.comparisons["test"]
    lost, gained, n = found.counts()
    worse = classes_lost(found)
    assert lost and worse
    said = Page(page_of(run).partition('<dl class="tiles">')[0]).text  # above the first number
    begun = (
        f"Against the baseline {run.baseline.run_id} , which passed: test: {lost} cells lost, {gained} gained of {n}"
    )
    assert "".join(begun.split()) in "".join(said.split())
    assert ("andothers" in "".join(said.split())) == (len(worse) > MOST_WORSE)
    for name in worse[:MOST_WORSE]:
        lost, gained, _ = found.counts(name)
        assert f"{name}({lost}lost,{gained}gained)" in "".join(said.split())
    nothing = "".join(Page(page_of(dataclasses.replace(run, comparisons={}))).text.split())
    assert "nosetwascompared." in nothing
    assert "nosetwascompared." not in "".join(Page(page_of(dataclasses.replace(run, baseline=None))).text.split())


def test_without_a_baseline_nothing_is_said_of_better_or_worse(run):
    text = Page(page_of(dataclasses.replace(run, baseline=None, comparisons={}))).text
    assert "this run says nothing of better or worse than before" in text


def test_confidence_is_told_with_its_bins_its_fit_and_its_prevalence(run, page):
    report = run.calibrations["test"]
    assert "15 equal-width bins of confidence, half-open (lo, hi]; n = 30" in page.text
    assert f"Expected calibration error {number(report.before.ece)} {number(report.after.ece)}" in page.text
    assert "fitted on 30 cells of validation" in page.text
    assert "Middle of common adult reference ranges." in page.text
    assert "undefined: no cells of basophil, eosinophil, lymphocyte, neutrophil" in page.text


def test_the_number_of_the_look_stands_beside_the_verdict(page):
    assert "Looks test: look 2, second-laboratory: look 1, nine-monocytes: look 1" in page.text
    assert "The first look at a set may spend half of 1 - level" in page.text
    assert "The budget: 30 looks." in page.text


def test_the_head_of_the_ledger_is_on_the_page(run, tmp_path):
    sha = "ab" * 32
    look = record_look(
        tmp_path / "ledger.jsonl",
        run=run.run_id,
        set="test",
        source=sha,
        cells=sha,
        n=30,
        model=sha,
        predictions=sha,
        protocol=sha,
        role="judged",
    )
    text = Page(page_of(dataclasses.replace(run, ledger=(look,)))).text
    assert f"the last is {look.hash}" in text


def test_joint_bounds_stand_beside_each_class(run, page):
    # Five classes, six test cells each: 0.01 ** (1 / 6) = 0.4642 for a class without an error.
    assert "≥ 46.42 %" in page.text
    assert "lower bounds of all recalls that hold together at 95 %" in page.text


def test_a_long_list_of_misclassified_cells_is_folded_and_complete(run, page):
    assert "Misclassified on second-laboratory: 31 of 140 cells" in page.text
    wrong = run.predictions["second-laboratory"]
    assert all(wrong.digests[row][:12] in page.text for row in np.flatnonzero(~wrong.correct))


def test_paper_gets_tables_not_the_cards_of_a_narrow_screen(html):
    # A sheet of A4 is narrower than the limit below which a screen shows cards.
    assert "@media screen and (max-width" in html
    assert "@media (max-width" not in html


def test_undefined_is_said_and_never_becomes_zero(page):
    start = page.text.index("Per class on nine-monocytes")
    part = page.text[start : page.text.index("What the criteria on nine-monocytes")]
    absent = [name for name in CLASSES if name != "monocyte"]
    for name in absent:
        assert f"{name} 0 undefined — — undefined — undefined" in part
        assert f"{name} no cells: undefined 0" in part
    assert not re.search(r"\b0 %", part)


def test_every_misclassified_cell_is_listed_with_digest_labels_and_all_probabilities(run, page):
    test = run.predictions["test"]
    wrong = np.flatnonzero(~test.correct)
    assert wrong.size == 3
    for row in wrong:
        cells = [
            test.paths[row],
            test.digests[row][:12],
            test.classes[test.labels[row]],
            test.classes[test.predicted[row]],
            *(probability(p) for p in test.probabilities[row].tolist()),
        ]
        assert " ".join(cells) in page.text


def test_no_misclassified_cell_is_said_with_its_count():
    text = Page(page_of(without_misclassified_cells())).text
    assert "test: no cell was misclassified (0 of 30)." in text
    assert "Accuracy 30/30 (100 %), two-sided 95 % Wilson interval 88.65 % to 100 %" in text


def test_percentages_have_their_integers_beside_them(page):
    body = page.text[page.text.index("9. Results") : page.text.index("What the criteria on test")]
    # A level, or one of the bounds that hold jointly, is not a share of cells.
    body = re.sub(r"95 % (Wilson|interval|\(Holm|\(Bonferroni|clustered)|≥ [\d.]+ %|one-sided at 95 %", "", body)
    for match in re.finditer(r"[\d.]+ %", body):
        around = body[max(0, match.start() - 40) : match.end() + 3]
        assert re.search(r"\d+/\d+ \([\d.]+ %\)", around) or "to" in around


def test_a_run_that_stopped_early_says_where_and_why():
    run = stopped_run()
    text = Page(page_of(run)).text
    assert "The run stopped early. MissingData: no folder of class 'monocyte'" in text
    assert text.count("Not reached:") >= 6
    assert "5 of 7 required criteria did not pass" in text
    assert "not judged" in text


def test_a_run_without_any_stage_still_renders(run):
    bare = dataclasses.replace(stopped_run(), sets=(), integrity=None, stages=(), environment={}, stopped_because=None)
    text = Page(page_of(bare)).text
    assert "Not part of this run" in text
    assert "not recorded" in text


def test_ignored_files_are_listed_or_said_not_to_be_known(run):
    assert "listed and never read: not recorded." in Page(page_of(run)).text
    assert "listed and never read: none." in Page(page_of(run, figures={}, ignored=())).text
    text = Page(page_of(run, figures={}, ignored=("notes.txt", HOSTILE))).text
    assert "listed and never read: 2." in text
    assert "notes.txt" in text


def test_a_run_that_passes_says_so(run):
    verdicts = tuple(
        dataclasses.replace(v, outcome=Outcome.PASSED, waiver=None) if v.criterion.required else v for v in run.verdicts
    )
    passing = dataclasses.replace(run, verdicts=verdicts)
    page = Page(page_of(passing))
    assert passing.passed
    assert "Passed Every required criterion passed" in page.text
    assert {"class": "banner passed"} in page.all("div")


def test_the_page_makes_no_claim_words_of_its_own(page):
    assert not re.search(
        r"perfect|identical|generali[sz]|state.of.the.art|robust|superior|clinical-grade", page.text, re.I
    )
    assert "ground truth" not in page.text.lower()
    assert "no clinical claim" in page.text
    assert "Unsigned draft" in page.text


def test_the_limits_name_what_the_records_cannot_carry(run):
    limits = " ".join(limits_in(run))
    assert "patient leakage cannot be checked" in limits
    assert "single source" in limits
    assert "synthetic" in limits
    assert "near-duplicate" in limits
    assert "this is look 2 at the test part's source" in limits
    assert "nine-monocytes is small: n = 9; 9/9 (100 %) correct fits any true accuracy from 70.09 % to 100 %" in limits
    # 0.05 ** (1 / 9) = 0.717 < 0.92; the least n with 0.05 ** (1 / n) >= 0.92 is 36.
    assert "E2 cannot pass with n = 9" in limits
    assert "At least 36 cells are needed" in limits
    for verdict in run.verdicts:
        if verdict.outcome in (Outcome.NOT_ASSESSED, Outcome.NOT_JUDGED):
            assert re.search(rf"{verdict.criterion.id}\b[^.]*: {verdict.outcome}\.", limits)


def test_a_limit_goes_where_the_records_answer_it(run):
    patients = {
        part: tuple(
            dataclasses.replace(i, patient=f"P{k}", site=f"S{k % 2}") for k, i in enumerate(run.split.part(part))
        )
        for part in ("train", "validation", "test")
    }
    split = dataclasses.replace(run.split, **patients)
    limits = " ".join(limits_in(dataclasses.replace(run, split=split)))
    assert "patient leakage" not in limits
    assert "single source" not in limits


def test_uncommitted_changes_are_a_limit_and_so_is_not_knowing(run):
    def mentions(environment):
        return any("uncommitted" in each for each in limits_in(dataclasses.replace(run, environment=environment)))

    assert mentions({"dirty": "True"})
    assert mentions({})
    assert not mentions({"dirty": "False"})


# --- records that contradict one another --------------------------------------------------------


def test_a_matrix_that_is_not_that_of_the_predictions_is_refused(run):
    swapped = dataclasses.replace(run.evaluations["test"], confusion=run.evaluations["test"].confusion.T.copy())
    with pytest.raises(EvidenceError, match="confusion matrix of 'test'"):
        page_of(dataclasses.replace(run, evaluations={**run.evaluations, "test": swapped}))


def test_a_verdict_on_other_counts_than_the_matrix_is_refused(run):
    verdicts = tuple(
        dataclasses.replace(v, estimate=dataclasses.replace(v.estimate, k=30)) if v.criterion.id == "A1" else v
        for v in run.verdicts
    )
    with pytest.raises(EvidenceError, match=r"A1 was judged on 30/30, but .* gives 27/30"):
        page_of(dataclasses.replace(run, verdicts=verdicts))


def test_a_criterion_without_a_verdict_is_refused(run):
    # An empty list of verdicts has nothing that blocks: without this it would read as passed.
    with pytest.raises(EvidenceError, match="one verdict"):
        page_of(dataclasses.replace(run, verdicts=()))


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "n", "text"),
    [
        (374, 375, "99.73 %"),
        (373, 375, "99.47 %"),
        (19_999, 20_000, "99.995 %"),
        (1, 1_000_000, "0.0001 %"),
        (375, 375, "100 %"),
        (0, 9, "0 %"),
        (1, 8, "12.5 %"),
        (999_999, 1_000_000, "99.9999 %"),
    ],
)
def test_rounding_never_hides_an_error(k, n, text):
    assert percent(k, n) == text


@given(st.integers(1, 10**7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_percentage_is_all_or_none_only_when_it_is(counts):
    k, n = counts
    written = float(percent(k, n).removesuffix(" %"))
    assert (written == 100) == (k == n)
    assert (written == 0) == (k == 0)
    assert abs(written - 100 * k / n) <= 0.005 + 1e-9


@given(st.integers(1, 10**4).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_one_more_correct_cell_never_reads_as_less(counts):
    k, n = counts
    assert float(percent(k, n)[:-2]) <= float(percent(k + 1, n)[:-2])


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_value_never_reads_as_on_the_other_side_of_its_bound(value, bound):
    written = float(share(value, beside=[bound])[:-2]) / 100
    if abs(value - bound) > 1e-12:  # below that, the float of the test itself rounds
        assert (written < bound) == (value < bound)
    assert float(number(value, beside=[bound])) == pytest.approx(value, rel=1e-3)


def test_no_cells_have_no_percentage():
    with pytest.raises(UndefinedStatistic):
        percent(0, 0)
    assert proportion(0, 0) == "undefined (0/0)"
    with pytest.raises(ValueError, match="not a share"):
        percent(5, 4)


@given(st.floats(0, 1))
def test_a_probability_never_reads_as_certain_unless_it_is(p):
    assert (probability(p) == "1") == (p == 1)
    assert (probability(p) == "0") == (p == 0)
    assert not probability(p).startswith(("0.0000", "1.0000"))


@given(st.text())
def test_visible_text_is_printable_and_plain_text_is_untouched(text):
    shown = visible(text)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    shown.encode("utf-8")
    assert visible("monocyte_001.jpg ä 細胞") == "monocyte_001.jpg ä 細胞"


def test_a_waiver_record_is_shown_even_if_it_was_not_needed(run):
    waiver = Waiver(
        criterion="A1",
        reason="Never used, yet it stands in the protocol.",
        owner="a maintainer",
        expires=date(2027, 1, 31),
    )
    protocol = run.protocol.model_copy(update={"waivers": (*run.protocol.waivers, waiver)})
    assert waiver.reason in Page(page_of(dataclasses.replace(run, protocol=protocol))).text


def test_pictures_that_could_not_be_compared_are_named_among_the_limits():
    assert any("basophil/smooth.png of dataset" in limit for limit in limits_in(example_run()))
    whole = dataclasses.replace(example_run(), uncompared=())
    assert not any("too smooth" in limit for limit in limits_in(whole))
