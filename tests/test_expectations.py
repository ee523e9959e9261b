"""What a user expects of the images: read safely, answered alike by two engines, judged, kept and made again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from example_run import example_picture, example_run, write_example_dataset
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_verify import edit_json, edit_text, mend_sums, pack_of

from harness.core.errors import ProtocolError
from harness.data import gx
from harness.data.expectations import answers, expected_by_user
from harness.data.integrity import inspect
from harness.judge.criteria import complete, judge
from harness.judge.verdicts import Verdict
from harness.metrics.counts import exact_count
from harness.pack.verify import verify_pack
from harness.protocol.expectations import COLUMNS, NUMBERS, TEXTS, TYPES, Expectation, ExpectationSuite, read_suite
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.run.results import RunResults

EMBEDDED = Path(__file__).parents[1] / "suites" / "protocols" / "embedded.toml"
ROOT = Path(__file__).parents[1]


def suite_of(*expectations: dict[str, Any], **top: Any) -> str:
    return json.dumps({"name": "mine", "expectations": list(expectations), "meta": {}, "notes": None, **top})


def expectation(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs, "meta": {}, "severity": "critical"}


def read(path: Path, text: str) -> ExpectationSuite:
    path.write_text(text)
    return ExpectationSuite.model_validate(read_suite(path))


def only(column: str, value: object, **changed: object) -> dict[str, object]:
    return {"type": "comparison", "column": {"name": column}, "operator": "==", "parameter": value, **changed}


# --- reading ------------------------------------------------------------------------------------


def test_what_great_expectations_writes_is_read(tmp_path):
    library = gx.import_gx()
    from great_expectations.expectations.row_conditions import Column

    asked = [
        library.expectations.ExpectColumnValuesToBeBetween(column="width", min_value=300, max_value=400, mostly=0.95),
        library.expectations.ExpectColumnValuesToBeUnique(column="sha256"),
        library.expectations.ExpectTableRowCountToEqual(value=500, row_condition=Column("label") == "monocyte"),
        library.expectations.ExpectCompoundColumnsToBeUnique(column_list=["label", "filename"]),
    ]
    written = library.ExpectationSuite(name="mine", expectations=asked).to_json_dict()
    suite = read(tmp_path / "mine.json", json.dumps(written))
    assert [str(each) for each in suite.expectations] == [
        "column values to be between (column 'width', mostly 0.95, min_value 300.0, max_value 400.0)",
        "column values to be unique (column 'sha256')",
        "table row count to equal (value 500) where label is 'monocyte'",
        "compound columns to be unique (column_list ['label', 'filename'])",
    ]


IN_SET = {"column": "mode", "value_set": ["RGB"]}
UNIQUE = expectation("column_values_to_be_unique", column="path")


def refusal(folder: Path, text: str) -> str:
    """What is said of a protocol that names this suite."""
    with pytest.raises(ProtocolError) as refused:
        protocol_with(folder, text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "has no list `expectations`"),
        ('{"expectations": {}}', "has no list `expectations`"),
        ('{"expectations": [], "expectations": []}', "is there twice"),
        (suite_of(), "at least 1 item"),
        (suite_of(UNIQUE, code="x"), "unknown key 'code'"),
        (suite_of({"kwargs": {}}), "has no `type`"),
        (suite_of(UNIQUE | {"module": "os"}), "unknown key 'module'"),
        (suite_of(UNIQUE | {"kwargs": []}), "`kwargs` is not an object"),
        (suite_of(*[UNIQUE] * 501), "more than 500"),
        (suite_of(UNIQUE, notes="x" * 2**20), "more than 1,048,576"),
    ],
)
def test_a_file_that_is_no_suite_is_refused_by_name(tmp_path, text, reason):
    said = refusal(tmp_path, text)
    assert reason in said
    assert "mine.json" in said or reason == "at least 1 item"


@pytest.mark.parametrize(
    ("kind", "kwargs", "reason"),
    [
        ("column_to_exist", {"column": "mode"}, "this type is not accepted"),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT 1"}, "this type is not accepted"),
        ("column_values_to_match_json_schema", {"column": "mode"}, "this type is not accepted"),
        ("query_results_to_match_comparison", {}, "this type is not accepted"),
        ("column_values_to_be_in_set", {"column": "mode"}, "needs `value_set`"),
        ("column_values_to_be_in_set", IN_SET | {"column": "Mode"}, "not one of the columns"),
        ("column_values_to_be_in_set", IN_SET | {"parse_strings": True}, "is not accepted"),
        ("column_values_to_be_in_set", IN_SET | {"value_set": []}, "1 to 10000 values"),
        ("column_values_to_be_in_set", IN_SET | {"value_set": {"$PARAMETER": "x"}}, "value_set"),
        ("column_values_to_be_between", {"column": "width"}, "`min_value`, `max_value` or both"),
        ("column_values_to_be_between", {"column": "mode", "min_value": 1}, "not one of the columns"),
        ("column_values_to_be_between", {"column": "width", "min_value": "1"}, "is not a number"),
        ("column_values_to_be_between", {"column": "width", "min_value": 1, "strict_min": 1}, "neither true nor false"),
        ("column_values_to_be_unique", {"column": "mode", "mostly": 0}, "fraction above 0"),
        ("compound_columns_to_be_unique", {"column_list": ["path"]}, "two or more of the columns"),
        ("table_row_count_to_equal", {"value": 1, "row_condition": 'label=="a"'}, "evaluated as code"),
        (
            "table_row_count_to_equal",
            {"value": 1, "row_condition": only("label", "a"), "condition_parser": "pandas"},
            "evaluated as code",
        ),
        ("table_row_count_to_equal", {"value": 1, "row_condition": only("label", "a", operator="<")}, "as code"),
        ("table_row_count_to_equal", {"value": 1, "row_condition": only("x", "a")}, "one of the columns"),
        ("table_row_count_to_equal", {"value": 1, "row_condition": only("label", "a' or 1")}, "could run"),
        ("table_row_count_to_equal", {"value": 4.5}, "not a count"),
        ("table_row_count_to_equal", {"value": -1}, "not a count"),
        ("column_value_lengths_to_be_between", {"column": "mode", "min_value": 0.5}, "not a count"),
        ("table_row_count_to_be_between", {"min_value": 5, "max_value": 4}, "is above `max_value`"),
        ("column_values_to_be_between", {"column": "width", "min_value": 2, "max_value": 1.5}, "is above `max_value`"),
        ("table_row_count_to_equal", {"value": 10**3999}, "where every integer is exact"),
        ("column_values_to_be_between", {"column": "width", "min_value": -(2.0**54)}, "where every integer is exact"),
        ("column_values_to_be_in_set", IN_SET | {"value_set": ["RGB", "\ud800"]}, "no text that UTF-8 can write"),
        ("column_values_to_be_in_set", IN_SET | {"value_set": [1, 10**3999]}, "where every integer is exact"),
        ("column_values_to_match_regex", {"column": "width", "regex": "1"}, "not one of the columns"),
        ("column_values_to_match_regex", {"column": "path", "regex": "("}, "not a regular expression"),
        ("column_values_to_match_regex", {"column": "path", "regex": "(a+)+$"}, "can take for ever"),
        ("column_values_to_match_regex", {"column": "path", "regex": "(a|aa)*$"}, "can take for ever"),
        ("column_values_to_match_regex", {"column": "path", "regex": r"(a)\1"}, "can take for ever"),
        ("column_values_to_match_regex", {"column": "path", "regex": "(?=(a+)+)"}, "can take for ever"),
        ("column_values_to_match_regex", {"column": "path", "regex": "a*a*a*a*b"}, "at most 3 of"),
        ("column_values_to_match_regex", {"column": "path", "regex": ".*.*.*b"}, "at most 2 of"),
        ("column_values_to_match_regex", {"column": "path", "regex": "(a+)(?=a{2,})(?:a|b{0,99})c"}, "at most 2 of"),
        ("column_values_to_match_regex", {"column": "path", "regex": "a" * 201}, "at most 200 characters"),
    ],
)
def test_an_expectation_that_could_do_more_than_compare_is_refused(tmp_path, kind, kwargs, reason):
    said = refusal(tmp_path, suite_of(UNIQUE, expectation(kind, **kwargs)))
    assert reason in said
    assert "dataset.expectations" in said or "mine.json" in said


def test_no_suite_file_is_named_by_its_place(tmp_path):
    (tmp_path / "p.toml").write_text(f'extends = {json.dumps(str(EMBEDDED))}\ndataset.expectations = "none.json"\n')
    with pytest.raises(ProtocolError, match=r"none\.json cannot be read"):
        read_protocol(tmp_path / "p.toml")


CRITERION = """
[[criteria]]
id = "D11"
question = "integrity"
set = "dataset"
metric = "unmet_expectations"
ceiling = 0.0
level = 0.95
required = true
rationale = "What the laboratory expects of its own images."
"""


def protocol_with(folder: Path, suite: str, *, criterion: str = CRITERION) -> Protocol:
    (folder / "mine.json").write_text(suite)
    text = f'extends = {json.dumps(str(EMBEDDED))}\n[dataset]\nexpectations = "mine.json"\n{criterion}'
    (folder / "p.toml").write_text(text)
    return read_protocol(folder / "p.toml")


def test_the_suite_is_part_of_what_the_protocol_digest_covers(tmp_path):
    one = protocol_with(tmp_path, suite_of(expectation("column_min_to_be_between", column="width", min_value=90)))
    other = protocol_with(tmp_path, suite_of(expectation("column_min_to_be_between", column="width", min_value=91)))
    plain = read_protocol(EMBEDDED)
    assert len({one.digest, other.digest, plain.digest}) == 3
    assert "expectations" not in plain.model_dump(mode="json")["dataset"]
    assert Protocol.model_validate_json(json.dumps({**one.model_dump(mode="json"), "source": "x"})).digest == one.digest


def test_a_protocol_that_extends_takes_the_suite_that_lies_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "base").mkdir()
    protocol_with(tmp_path / "base", suite_of(expectation("column_values_to_be_unique", column="sha256")))
    (tmp_path / "mine.json").write_text("not this one")
    (tmp_path / "p.toml").write_text('extends = "base/p.toml"\n')
    suite = read_protocol(tmp_path / "p.toml").dataset.expectations
    assert suite is not None
    assert [each.type for each in suite.expectations] == ["expect_column_values_to_be_unique"]


def test_a_suite_that_nobody_judges_is_refused(tmp_path):
    with pytest.raises(ProtocolError, match="go together"):
        protocol_with(tmp_path, suite_of(UNIQUE), criterion="")


def test_a_criterion_on_expectations_without_a_suite_is_refused(tmp_path):
    (tmp_path / "p.toml").write_text(f"extends = {json.dumps(str(EMBEDDED))}\n{CRITERION}")
    with pytest.raises(ProtocolError, match="go together"):
        read_protocol(tmp_path / "p.toml")


def test_every_accepted_type_and_column_is_documented():
    text = (ROOT / "docs" / "expectations.md").read_text()
    assert all(f"`{name}`" in text for name in (*TYPES, *COLUMNS))


# --- two engines --------------------------------------------------------------------------------

WORDS = st.none() | st.sampled_from(["", "a", "b", "ab", "JPEG", "Zelle \xe4", "a\nb", "1"])
SIZES = st.none() | st.integers(0, 6).map(float)
SHARES = st.sampled_from([None, 0.25, 0.5, 0.9, 1.0])
PATTERNS = ["a", "^a", "b$", r"\Aab?\Z", r"\w+", "(a|b)", "(?i)jpeg", "[^a]"]


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    n = draw(st.integers(1, 7))
    return {
        name: draw(st.lists(SIZES if name in NUMBERS else WORDS, min_size=n, max_size=n)) if name != "path"
        else [str(row) for row in range(n)]
        for name in COLUMNS
    }  # fmt: skip


def argument(draw: st.DrawFn, kind: str) -> Any:
    return draw(
        {
            "any": st.sampled_from(COLUMNS),
            "text": st.sampled_from(TEXTS),
            "numeric": st.sampled_from(NUMBERS),
            "list": st.lists(st.sampled_from(COLUMNS), min_size=2, max_size=3, unique=True).map(tuple),
            "values": st.lists(st.sampled_from(["a", "ab", "JPEG", 0, 1, 2.0, 5]), min_size=1, max_size=4).map(tuple),
            "number": st.integers(0, 6),
            "count": st.integers(0, 6),
            "pattern": st.sampled_from(PATTERNS),
            "flag": st.booleans(),
            "share": SHARES,
        }[kind]
    )


@st.composite
def expectations(draw: st.DrawFn) -> Expectation:
    kind = draw(st.sampled_from(sorted(TYPES)))
    kwargs = {name: argument(draw, what) for name, what in TYPES[kind].items()}
    if "min_value" in kwargs:
        kwargs |= dict(zip(("min_value", "max_value"), sorted((kwargs["min_value"], kwargs["max_value"])), strict=True))
        if draw(st.booleans()):
            del kwargs[draw(st.sampled_from(["min_value", "max_value"]))]
    if {"min_value", "max_value"} <= kwargs.keys() and kwargs["min_value"] == kwargs["max_value"]:
        kwargs |= {name: False for name in ("strict_min", "strict_max") if name in kwargs}  # GX refuses empty ranges
    condition = None
    if draw(st.booleans()):
        condition = {"column": "label", "value": draw(st.sampled_from(["a", "b", "ab"]))}
    kept = {name: value for name, value in kwargs.items() if value is not None}
    return Expectation.model_validate({"type": kind, "kwargs": kept, "only": condition})


# Shrinking would take minutes: each answer of great-expectations takes a tenth of a second.
@pytest.mark.slow
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(table=tables(), asked=st.lists(expectations(), min_size=5, max_size=12))
def test_great_expectations_and_plain_python_answer_alike(table, asked):
    ExpectationSuite(file="drawn", expectations=tuple(asked))  # which checks that a suite could hold them
    for each, one, other in zip(asked, gx.answers(table, asked), answers(table, asked), strict=True):
        assert (one.met, one.unexpected) == (other.met, other.unexpected), str(each)
        assert one.observed == pytest.approx(other.observed), str(each)


# --- a run's images -----------------------------------------------------------------------------

MET = [
    expectation("column_values_to_be_in_set", column="mode", value_set=["RGB"]),
    expectation("column_values_to_be_unique", column="sha256"),
    expectation("column_pair_values_to_be_equal", column_A="width", column_B="height", mostly=0.01),
    expectation("column_values_to_match_regex", column="filename", regex=r"_[0-9]{3}\.jpg$"),
    expectation("column_mean_to_be_between", column="bytes", min_value=1),
]
UNMET = [
    expectation("column_values_to_be_between", column="width", min_value=100),
    expectation("table_row_count_to_equal", value=1, row_condition=only("label", "monocyte")),
    expectation("column_values_to_not_be_null", column="patient"),
]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_example_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(manifest, tmp_path_factory):
    """The example run, whose protocol names a suite of which three expectations are not met."""
    run = example_run(content=example_picture)
    folder = tmp_path_factory.mktemp("suite")
    suite = read(folder / "mine.json", suite_of(*MET, *UNMET))
    content = run.protocol.model_dump(mode="json")
    content["dataset"]["expectations"] = suite.model_dump(mode="json")
    content["criteria"].append({**content["criteria"][0], "id": "D11", "metric": "unmet_expectations"})
    protocol = Protocol.model_validate_json(json.dumps({**content, "source": "example"}))
    plan = protocol.dataset
    report = inspect(
        manifest,
        images=plan.images,
        counts=plan.counts,
        workers=2,
        further=expected_by_user(plan),
    )
    criterion = protocol.criteria[-1]
    found = [str(each) for each in report.of("unmet_expectations")]
    counted = exact_count(criterion.metric, "dataset", found, of=report.checked["unmet_expectations"])
    verdict = judge(criterion, counted, protocol=protocol, today=date(2026, 1, 15))
    kept = [
        replace(each, criterion=next(c for c in protocol.criteria if c.id == each.criterion.id))
        for each in run.verdicts
        if each.criterion.question != "integrity"
    ]
    integrity = []
    for each in protocol.criteria[:-1]:
        if each.question == "integrity":
            listed = [str(finding) for finding in report.of(each.metric)]
            counted = exact_count(each.metric, "dataset", listed, of=report.checked[each.metric])
            integrity.append(judge(each, counted, protocol=protocol, today=date(2026, 1, 15)))
    verdicts = complete(protocol, (*integrity, *kept, verdict), otherwise="its test was not selected")
    return replace(run, protocol=protocol, integrity=report, verdicts=verdicts)


def verdict_on_expectations(run: RunResults) -> Verdict:
    return next(verdict for verdict in run.verdicts if verdict.criterion.id == "D11")


def test_each_unmet_expectation_is_one_finding_and_fails_its_criterion(run, manifest):
    findings = run.integrity.of("unmet_expectations")
    narrow = [facts.path for facts in run.integrity.facts if facts.width_px < 100]
    n_monocytes = manifest.counts["monocyte"]
    assert [finding.detail for finding in findings] == [
        f"column values to be between (column 'width', min_value 100): {len(narrow)} of {len(manifest.images)} images "
        f"do not fit, first {narrow[0]!r}",
        f"column values to not be null (column 'patient'): {len(manifest.images)} of {len(manifest.images)} images do "
        f"not fit, first {manifest.images[0].path!r}",
        f"table row count to equal (value 1) where label is 'monocyte': observed is {n_monocytes}",
    ]
    assert {finding.path for finding in findings} == {"mine.json"}
    assert str(verdict_on_expectations(run).outcome) == "failed"
    assert verdict_on_expectations(run).estimate.n == len(MET) + len(UNMET)


def test_results_name_source_rule_and_examples(run):
    mine = [each for each in run.integrity.expectations if each.source == "mine.json"]
    assert [each.met for each in mine] == [True] * len(MET) + [False] * len(UNMET)
    assert all(len(each.examples) == min(each.n_unexpected, 5) for each in mine)
    assert {each.rule for each in run.integrity.expectations if each.source == "protocol"} == {
        *("contract_violations", "unexpected_formats", "unexpected_modes", "unexpected_sizes", "count_mismatches"),
    }


@pytest.fixture(scope="module")
def written(run, manifest, tmp_path_factory):
    return pack_of(run, manifest, tmp_path_factory.mktemp("reports"))


def wider(text: str) -> str:
    header, first, *rest = text.split("\n")
    cells = first.split(",")
    assert int(cells[4]) < 100
    return "\n".join([header, ",".join([*cells[:4], "100", *cells[5:]]), *rest])


def result(evidence: dict[str, Any], text: str) -> dict[str, Any]:
    return next(each for each in evidence["integrity"]["expectations"] if text in each["expectation"])


def edited(evidence: dict[str, Any]) -> None:
    """One result made better, one worse, one finding taken out and one put in."""
    result(evidence, "'patient'").update(met=True, n_unexpected=0)
    result(evidence, "'sha256'").update(met=False)
    found = evidence["integrity"]["findings"]
    kept = [each for each in found if "'patient'" not in each["detail"]]
    evidence["integrity"]["findings"] = [*kept, {**found[-1], "detail": "another"}]


def about_expectations(pack: Path) -> list[str]:
    return [str(each) for each in verify_pack(pack).discrepancies if "integrity >" in str(each) or "D11" in str(each)]


@pytest.mark.slow
def test_an_edited_result_or_finding_is_found(written, tmp_path):
    copy = Path(shutil.copytree(written, tmp_path / "copy"))
    edit_json(copy, "evidence.json", edited)
    mend_sums(copy)
    found = "\n".join(about_expectations(copy))
    for place in (
        "integrity > findings: missing is unmet_expectations: 'mine.json': column values to not be null",
        "integrity > findings: nothing in manifest.csv shows unmet_expectations: 'mine.json': another",
        "met: True is written, False follows",
        "met: False is written, True follows",
    ):
        assert place in found


def test_an_edited_table_contradicts_the_results(written, tmp_path):
    copy = Path(shutil.copytree(written, tmp_path / "copy"))
    edit_text(copy, "manifest.csv", wider)
    mend_sums(copy)
    assert any("integrity > expectations" in each and "n_unexpected" in each for each in about_expectations(copy))


@pytest.mark.slow
def test_the_result_is_made_again_from_the_pack_with_neither_great_expectations_nor_pandas(written):
    code = (
        "import sys; from pathlib import Path; from harness.pack.verify import verify_pack\n"
        f"found = [str(d) for d in verify_pack(Path({str(written)!r})).discrepancies]\n"
        "found = [each for each in found if 'integrity >' in each or 'D11' in each]\n"
        "sys.exit(str(found) if found else bool({'great_expectations', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
