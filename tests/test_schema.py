"""The keys of a protocol: every one is described where it is defined, and schema and page say what the reader takes."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from test_protocol import SMALL

from harness.cli import main
from harness.core.errors import ProtocolError
from harness.core.places import PROJECT
from harness.metrics.table import TABLE
from harness.protocol.criteria import Criterion
from harness.protocol.datasets import SplitPlan
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.protocol.schema import _records, descriptions, keys_page, kind_of, protocol_schema, summary
from harness.protocol.stress import RobustnessPlan

SHIPPED = sorted((PROJECT / "suites" / "protocols").glob("*.toml"))
# Of the records that a file does not hold: it names a JSON file of expectations.
NOT_IN_THE_FILE = ("ExpectationSuite", "Expectation", "RowCondition")


def plain(value: object) -> object:
    """TOML as JSON has it: a date is a text."""
    return json.loads(json.dumps(value, default=datetime.date.isoformat))


def problems(text: str) -> list[str]:
    return [error.message for error in Draft202012Validator(protocol_schema()).iter_errors(plain(tomllib.loads(text)))]


def test_it_is_a_json_schema():
    Draft202012Validator.check_schema(protocol_schema())


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_file_is_valid_by_it(file: Path):
    assert problems(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batch_size = 8", "bacth_size = 8"),
        ("[split]", "[spilt]"),
        ("seed = 42", 'seed = "42"'),
        ('metric = "accuracy"', 'metric = "acuracy"'),
        ('question = "accuracy"', 'question = "accurate"'),
        ("train = 0.7", "train = 70"),
        ('trains = "head"', 'trains = "heads"'),
        ("required = true", "required = 1"),
        ('id = "A1"\n', ""),
        ('name = "elsewhere"\n', ""),
        ("max_side_px = 64", "max_side_px = 9000"),
    ],
)
def test_what_the_reader_refuses_of_one_key_the_schema_refuses(tmp_path: Path, old: str, new: str):
    assert problems(SMALL) == []
    assert SMALL.count(old) >= 1
    wrong = SMALL.replace(old, new, 1)
    assert len(problems(wrong)) >= 1
    (tmp_path / "wrong.toml").write_text(wrong)
    with pytest.raises(ProtocolError):
        read_protocol(tmp_path / "wrong.toml")


def test_what_the_reader_adds_to_the_records_is_in_the_schema():
    start = 'extends = "base.toml"\nremove = ["prevalence"]\nreplace = ["robustness"]\n'
    each = '[[criteria]]\nid = "R1"\ncell_class = "each"\n[[criteria]]\nid = "B1"\nkind = "each"\n'
    suite = '[dataset]\nexpectations = "suite.json"\n'
    assert problems(start + each + suite) == []
    assert len(problems('remove = "prevalence"')) == 1
    assert len(problems('source = "x"')) == 1


def test_every_metric_can_be_named():
    criterion = protocol_schema()["$defs"]["Criterion"]["properties"]
    assert set(criterion["metric"]["enum"]) == set(TABLE)


@pytest.mark.parametrize("record", [r for r in _records(Protocol) if r.__name__ not in NOT_IN_THE_FILE])
def test_every_key_is_described_where_it_is_defined(record):
    keys = set(record.model_fields) - ({"source"} if record is Protocol else set())
    assert keys - set(descriptions(record)) == set()
    assert summary(record).endswith((".", "?"))


def test_descriptions_are_read_from_docstring_and_field():
    assert descriptions(SplitPlan)["test"] == descriptions(SplitPlan)["train"]
    assert descriptions(SplitPlan)["seed"] == "of the draw."
    assert descriptions(Criterion)["set"].endswith('for throughput the device: "mps", "cuda", "cpu" or "any".')
    assert descriptions(RobustnessPlan)["agreed"] == "kind -> the severity at which it is judged."


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"type": "integer", "minimum": 1}, "whole number, at least 1"),
        ({"type": "number", "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0}, "number, above 0, below 1"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text"),
        ({"anyOf": [{"type": "integer"}, {"type": "object", "additionalProperties": {"type": "integer"}}]},
         "whole number or table of whole number"),
        ({"enum": ["a", "b"]}, '`"a"`, `"b"`'),
        ({"type": "array", "items": {"type": "string"}}, "list of text"),
        ({"type": "string", "format": "date"}, "date"),
    ],
)  # fmt: skip
def test_a_type_is_said_in_words(node: dict[str, object], said: str):
    assert kind_of(node) == said


def test_the_page_has_every_key_once():
    page = keys_page()
    for record in _records(Protocol):
        if record.__name__ not in NOT_IN_THE_FILE and record is not Protocol:
            for key in record.model_fields:
                assert f"| `{key}` |" in page, (record.__name__, key)
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert len(set(headings)) == len(headings)
    assert "`[[training.phases]]`" in page
    assert "`[training.augmentation]`" in page


def test_the_page_of_the_documentation_is_current():
    assert (PROJECT / "docs" / "protocol-keys.md").read_text(encoding="utf-8") == keys_page(), (
        "write it again: python -m harness schema --page > docs/protocol-keys.md"
    )


def test_the_job_prints_both(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == protocol_schema()
    assert main(["schema", "--page"]) == 0
    assert capsys.readouterr().out == keys_page()


@pytest.mark.parametrize("job", [["schema"], ["init", "nowhere"]])
def test_neither_job_imports_torch(job: list[str]):
    code = f"import sys; from harness.cli import main; main({job}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, check=False)
    assert done.returncode == 0
