"""Every shape that people bring is met as the page says, and the page is current."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from cases import CASES, NUMBERED, REPORT_NAMES, Case, outcome, pictures, plan_of, reports, title
from cases_of_models import MODEL_CASES
from cases_of_models import outcome as said_of_model
from test_claims_forms import CASES as REPORTS

from harness.core.places import PROJECT

PAGE = PROJECT / "docs" / "cases.md"


def said_on_the_page(name: str) -> str:
    return PAGE.read_text(encoding="utf-8").split(f"\n## {name}\n\n```text\n")[1].split("\n```\n")[0]


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("case", CASES, ids=title)
def test_what_is_said_to_a_case_is_what_the_page_says(tmp_path, case):
    assert said_on_the_page(title(case)) == "\n".join(outcome(case, tmp_path))


@pytest.mark.parametrize("case", MODEL_CASES, ids=lambda case: case.name)
def test_what_is_said_to_a_model_file_is_what_the_page_says(tmp_path, case):
    assert said_on_the_page(f"model: {case.name}") == "\n".join(said_of_model(case, tmp_path))


def test_the_page_has_every_case_and_no_other():
    titles = re.findall("^## (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert titles == [*map(title, CASES), *(f"model: {case.name}" for case in MODEL_CASES)]
    assert PAGE.read_text(encoding="utf-8").endswith(reports())


@pytest.mark.skipif(not REPORTS.is_dir(), reason="the cases are not on this machine (../shared/cases/claims)")
def test_the_page_has_every_report_that_is_at_hand():
    assert tuple(sorted(path.stem for path in REPORTS.glob("*.md"))) == REPORT_NAMES


def case_of(name: str, shape: str) -> Case:
    return next(case for case in CASES if (case.name, case.shape) == (name, shape))


@pytest.mark.parametrize(
    ("name", "shape", "blanks"),
    [
        ("part_folders_capitals", "`images` named", {"TEST_SIMPLE": "test"}),
        ("part_folders_capitals", "with `parts`", {}),
        ("names_with_spaces", "as they are", {"Band and segmented": "neutrophil"}),
        ("tables/patient_id", "not spoken of", {}),
        ("tables/Patient", "not spoken of", {}),
        ("tables/donor", "not spoken of", {}),
        ("tables/semicolons", "as it is", {}),
        ("tables/numbers", "as it is", NUMBERED),
    ],
)  # fmt: skip
def test_the_table_that_an_error_prints_can_be_pasted_and_does_away_with_it(tmp_path, name, shape, blanks):
    case = case_of(name, shape)
    (said,) = outcome(case, tmp_path / "before")
    pasted = tomllib.loads(said.split(":\n", 1)[1].split("\nor,")[0])["dataset"]
    for table in pasted.values():
        table.update({key: blanks[key] for key, value in table.items() if value == "" and key in blanks})
    after = outcome(replace(case, plan={**case.plan, **pasted}), tmp_path / "after")
    assert after != [said]
    assert said.split(":\n", 1)[0] not in after[0]


def test_a_table_that_was_not_completed_is_refused_by_the_protocol():
    with pytest.raises(ValueError, match="'Band' stands for '', which is not a class"):
        plan_of(replace(CASES[0], plan={"labels": {"Band": ""}}))


def test_the_page_is_what_the_module_prints(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("cases.CASES", CASES[:1])
    assert PAGE.read_text(encoding="utf-8").startswith(pictures().rstrip("\n"))
