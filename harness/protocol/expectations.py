"""What may be expected of the table of images, beyond the protocol's own rules: great-expectations suites as records.

A suite file is great-expectations' own JSON (`ExpectationSuite.to_json_dict()`). It comes from outside, so it is
bounded in size, and only the expectation types and arguments below are accepted: none of them runs code, queries a
database or touches disk or network. docs/expectations.md lists them; `TYPES` is what it is written from.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.core.digests import digest_of
from harness.core.errors import ProtocolError
from harness.core.files import read_plain
from harness.core.strict_json import parse_json
from harness.protocol.record import Text

NUMBERS = ("bytes", "width", "height")
TEXTS = ("path", "filename", "label", "sha256", "format", "mode", "patient", "slide", "site")
COLUMNS = ("path", "filename", "label", "sha256", *NUMBERS, "format", "mode", "patient", "slide", "site")

MOST_SUITE_BYTES = 2**20
MOST_EXPECTATIONS = 500
MOST_VALUES = 10_000  # of a value_set
LARGEST_NUMBER = 2**53
MOST_PATTERN_CHARACTERS = 200
MOST_REPEATS = 3  # of a pattern, "?" included
LONGEST_REPEAT = 8
MOST_LONG_REPEATS = 2  # that may stretch over a whole name: three of them take its length cubed
# Words a condition may compare with: great-expectations puts them into an expression that pandas evaluates.
PLAIN_WORD = re.compile(r"[A-Za-z0-9 _./:-]{0,200}")

Scalar = bool | int | float | str
Argument = Literal["text", "numeric", "any", "list", "number", "count", "values", "pattern", "flag", "share"]

_RANGE: dict[str, Argument] = {
    "min_value": "number",
    "max_value": "number",
    "strict_min": "flag",
    "strict_max": "flag",
}
_COUNT: dict[str, Argument] = {"min_value": "count", "max_value": "count"}
_MOSTLY: dict[str, Argument] = {"mostly": "share"}
# Expectation type -> argument -> what it holds. `row_condition` and `condition_parser` go with each of them.
TYPES: dict[str, dict[str, Argument]] = {
    "expect_column_values_to_not_be_null": {"column": "any", **_MOSTLY},
    "expect_column_values_to_be_null": {"column": "any", **_MOSTLY},
    "expect_column_values_to_be_unique": {"column": "any", **_MOSTLY},
    "expect_column_values_to_be_in_set": {"column": "any", "value_set": "values", **_MOSTLY},
    "expect_column_values_to_not_be_in_set": {"column": "any", "value_set": "values", **_MOSTLY},
    "expect_column_values_to_be_between": {"column": "numeric", **_RANGE, **_MOSTLY},
    "expect_column_value_lengths_to_be_between": {"column": "text", **_COUNT, **_MOSTLY},
    "expect_column_values_to_match_regex": {"column": "text", "regex": "pattern", **_MOSTLY},
    "expect_column_values_to_not_match_regex": {"column": "text", "regex": "pattern", **_MOSTLY},
    "expect_column_pair_values_to_be_equal": {"column_A": "any", "column_B": "any", **_MOSTLY},
    "expect_compound_columns_to_be_unique": {"column_list": "list", **_MOSTLY},
    "expect_column_distinct_values_to_be_in_set": {"column": "any", "value_set": "values"},
    "expect_column_distinct_values_to_contain_set": {"column": "any", "value_set": "values"},
    "expect_column_distinct_values_to_equal_set": {"column": "any", "value_set": "values"},
    "expect_column_unique_value_count_to_be_between": {"column": "any", **_COUNT},
    "expect_column_min_to_be_between": {"column": "numeric", **_RANGE},
    "expect_column_max_to_be_between": {"column": "numeric", **_RANGE},
    "expect_column_mean_to_be_between": {"column": "numeric", **_RANGE},
    "expect_table_row_count_to_be_between": {**_COUNT},
    "expect_table_row_count_to_equal": {"value": "count"},
}
NEEDED = ("column", "column_A", "column_B", "column_list", "value_set", "regex", "value")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class RowCondition(_Record):
    """Restricts an expectation to the rows whose `column` equals `value`, such as those of one class."""

    column: str
    value: int | float | str


class Expectation(_Record):
    """One expectation by great-expectations' name for it. `only` is what its `row_condition` says."""

    type: str
    kwargs: dict[str, Scalar | tuple[Scalar, ...]]
    only: RowCondition | None = None

    def __str__(self) -> str:
        words = self.type.removeprefix("expect_").replace("_", " ")
        given = ", ".join(
            f"{name} {list(value) if isinstance(value, tuple) else value!r}" for name, value in self.kwargs.items()
        )
        where = f" where {self.only.column} is {self.only.value!r}" if self.only is not None else ""
        return f"{words} ({given}){where}"


class ExpectationSuite(_Record):
    """What a user expects of the dataset, read from the file that `[dataset] expectations` names.

    The content is kept, so that the protocol's digest covers it and a pack needs no second file.
    """

    file: Text
    expectations: tuple[Expectation, ...] = Field(min_length=1, max_length=MOST_EXPECTATIONS)

    @model_validator(mode="after")
    def _safe(self) -> ExpectationSuite:
        for number, expectation in enumerate(self.expectations, start=1):
            problem = next(_problems(expectation), None)
            if problem is not None:
                raise ValueError(f"expectation {number} of {self.file} ({expectation.type}): {problem}")
        return self

    @property
    def digest(self) -> str:
        return digest_of(self.model_dump(mode="json"))


def read_suite(path: Path) -> dict[str, object]:
    """The content of a suite file, in the form that `ExpectationSuite` checks.

    Raises:
        ProtocolError: there is no such file, or it is not a JSON suite of a bearable size.
    """
    remedy = 'Write it as great-expectations does: {"expectations": [{"type": "expect_...", "kwargs": {...}}]}.'
    try:
        content = parse_json(read_plain(path, most_bytes=MOST_SUITE_BYTES, follow_link=True).decode())
    except (OSError, ValueError) as error:
        raise ProtocolError(f"expectation suite {path} cannot be read as JSON ({error}). {remedy}") from None
    if not isinstance(content, dict) or not isinstance(content.get("expectations"), list):
        raise ProtocolError(f"expectation suite {path} has no list `expectations`. {remedy}")
    if unknown := sorted(set(content) - {"name", "id", "expectations", "meta", "notes"}):
        raise ProtocolError(f"expectation suite {path}: unknown key {unknown[0]!r}. {remedy}")
    if len(content["expectations"]) > MOST_EXPECTATIONS:
        raise ProtocolError(f"expectation suite {path} has more than {MOST_EXPECTATIONS} expectations. Leave some out.")
    try:
        expectations = tuple(_record_of(each) for each in content["expectations"])
    except ValueError as error:
        raise ProtocolError(f"expectation suite {path}: {error}. {remedy}") from None
    return {"file": path.name, "expectations": expectations}


def _record_of(entry: object) -> dict[str, object]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise ValueError(f"{str(entry)[:80]!r} has no `type`")
    if unknown := sorted(set(entry) - {"type", "kwargs", "meta", "id", "notes", "severity", "description"}):
        raise ValueError(f"{entry['type']}: unknown key {unknown[0]!r}")
    kwargs = entry.get("kwargs", {})
    if not isinstance(kwargs, Mapping):
        raise ValueError(f"{entry['type']}: `kwargs` is not an object")
    given = {name: value for name, value in kwargs.items() if value is not None}
    parser = given.pop("condition_parser", "great_expectations")
    only = _condition_of(given.pop("row_condition", None), parser)
    listed = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return {"type": entry["type"], "kwargs": listed, "only": only}


def _condition_of(condition: object, parser: object) -> dict[str, object] | None:
    """The one form of `row_condition` that is data and not an expression: column == value."""
    match condition:
        case None:
            return None
        case {"type": "comparison", "column": {"name": str(column)}, "operator": "==", "parameter": value, **rest}:
            if not rest and parser == "great_expectations":
                return {"column": column, "value": value}
    raise ValueError(
        "a `row_condition` is evaluated as code unless it is great-expectations' own comparison "
        '{"type": "comparison", "column": {"name": ...}, "operator": "==", "parameter": ...}'
    )


def _problems(expectation: Expectation) -> Iterator[str]:
    arguments = TYPES.get(expectation.type)
    if arguments is None:
        yield f"this type is not accepted; those that are: {', '.join(sorted(TYPES))}"
        return
    for name in arguments:
        if name in NEEDED and name not in expectation.kwargs:
            yield f"it needs `{name}`"
    only = expectation.only
    for name, given in [*expectation.kwargs.items(), *([("row_condition", only.value)] if only is not None else [])]:
        for each in given if isinstance(given, tuple) else (given,):
            if (problem := _unwritable(each)) is not None:
                yield f"`{name}`: {problem}"
                return
    for name, value in expectation.kwargs.items():
        if name not in arguments:
            yield f"argument `{name}` is not accepted; those that are: {', '.join(arguments)}"
        elif (problem := _misfit(arguments[name], value)) is not None:
            yield f"`{name}`: {problem}"
    if "min_value" in arguments and not {"min_value", "max_value"} & expectation.kwargs.keys():
        yield "it needs `min_value`, `max_value` or both"
    least, most = (expectation.kwargs.get(name) for name in ("min_value", "max_value"))
    if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
        yield f"`min_value` {least!r} is above `max_value` {most!r}, so nothing could lie between"
    if expectation.only is not None:
        if (problem := _misfit("any", expectation.only.column)) is not None:
            yield f"`row_condition`: {problem}"
        if isinstance(expectation.only.value, str) and PLAIN_WORD.fullmatch(expectation.only.value) is None:
            yield f"`row_condition`: {expectation.only.value[:40]!r} has characters that an expression could run"


def _unwritable(value: object) -> str | None:
    """Why a value cannot be digested, or compared alike by great-expectations and by plain Python."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"{value[:40]!a} is no text that UTF-8 can write"
    elif isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
        return f"a number lies between -{LARGEST_NUMBER} and {LARGEST_NUMBER}, where every integer is exact"
    return None


def _misfit(kind: Argument, value: object) -> str | None:
    columns = {"text": TEXTS, "numeric": NUMBERS, "any": COLUMNS}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "text" | "numeric" | "any" if value not in columns[kind]:
            return f"{value!r} is not one of the columns {', '.join(columns[kind])}"
        case "list" if not isinstance(value, tuple) or len(value) < 2 or not set(value) <= set(COLUMNS):
            return f"expected are two or more of the columns {', '.join(COLUMNS)}"
        case "values" if not isinstance(value, tuple) or not 0 < len(value) <= MOST_VALUES:
            return f"expected is a list of 1 to {MOST_VALUES} values"
        case "number" if not number:
            return f"{value!r} is not a number"
        case "count" if not number or value < 0 or value != int(value):  # type: ignore[operator, call-overload]
            return f"{value!r} is not a count: a whole number, 0 or more"
        case "flag" if not isinstance(value, bool):
            return f"{value!r} is neither true nor false"
        case "share" if not number or not 0 < value <= 1:  # type: ignore[operator]
            return f"{value!r} is not a fraction above 0 and at most 1"
        case "pattern":
            return _costly(value) if isinstance(value, str) else f"{value!r} is not a text"
    return None


def _costly(pattern: str) -> str | None:
    """Why a regular expression is refused: one that backtracks could keep a run busy for ever."""
    if len(pattern) > MOST_PATTERN_CHARACTERS:
        return f"a pattern has at most {MOST_PATTERN_CHARACTERS} characters"
    try:
        re.compile(pattern)
        parsed: Any = importlib.import_module("re._parser").parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"{pattern!r} is not a regular expression ({error})"
    repeats = list(_repeats(parsed, within=False))
    if any(repeats):
        return "a repeat inside a repeat, a choice inside a repeat and a back-reference can take for ever"
    if len(repeats) > MOST_REPEATS:
        return f"a pattern has at most {MOST_REPEATS} of `*`, `+`, `?` and `{{}}`"
    if sum(1 for _ in _long_repeats(parsed)) > MOST_LONG_REPEATS:
        return (
            f"a pattern has at most {MOST_LONG_REPEATS} of `*`, `+` and `{{}}` of more than {LONGEST_REPEAT}: "
            "with more of them a long name takes minutes"
        )
    return None


def _long_repeats(parsed: Any) -> Iterator[None]:
    """Once for every repeat that may stretch over a whole name; none of them stands in another."""
    for operation, argument in parsed:
        name = str(operation)
        if "REPEAT" in name and argument[1] > LONGEST_REPEAT:
            yield None
        elif name == "SUBPATTERN":
            yield from _long_repeats(argument[3])
        elif name == "BRANCH":
            for branch in argument[1]:
                yield from _long_repeats(branch)
        elif name in ("ASSERT", "ASSERT_NOT"):
            yield from _long_repeats(argument[1])
        elif name == "ATOMIC_GROUP":
            yield from _long_repeats(argument)


def _repeats(parsed: Any, *, within: bool) -> Iterator[bool]:
    """For every repeat in a parsed pattern, and whatever else costs: whether it can cost more than a power."""
    for operation, argument in parsed:
        name = str(operation)
        if "REPEAT" in name:
            yield within
            yield from _repeats(argument[2], within=True)
        elif name == "SUBPATTERN":
            yield from _repeats(argument[3], within=within)
        elif name == "BRANCH":
            if within:
                yield True
            for branch in argument[1]:
                yield from _repeats(branch, within=within)
        elif name in ("ASSERT", "ASSERT_NOT"):
            yield from _repeats(argument[1], within=within)
        elif name.startswith("GROUPREF"):
            yield True
        elif name == "ATOMIC_GROUP":
            yield from _repeats(argument, within=within)
