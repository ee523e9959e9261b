"""Does the table of images hold what is expected of it? What is asked, and what the answers come to.

The protocol's rules (contract, formats, modes, sizes, counts) and the user's own suite are both great-expectations
expectations over one table with the columns of manifest.csv. A run asks great-expectations (`harness.data.gx`);
`answers` does the same arithmetic in plain Python, so that `verify` can make the result again within a second.
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.data.records import ExpectationResult, Finding, ImageFacts, Manifest
from harness.protocol.datasets import FORMATS, DatasetPlan, ImageRules
from harness.protocol.expectations import COLUMNS, Expectation, RowCondition
from harness.protocol.modes import why_not
from harness.protocol.sets import CountRange

# Column -> values in the order of the manifest; None where there is none. Numbers are floats, as pandas has them.
Table = Mapping[str, Sequence[float | str | None]]
PROTOCOL = "protocol"
MOST_EXAMPLES = 5
CONTRACT_REMEDY = "Correct that row of the manifest, or the file it names."
# Relative, with forward slashes, and with no empty, "." or ".." step.
SAFE_PATH = r"(?s)\A(?![A-Za-z]:)(?!.*\\)(?:(?!\.{0,2}(?:/|\Z))[^/]+(?:/(?!\Z)|\Z))+\Z"


@dataclass(frozen=True, slots=True)
class Asked:
    """One expectation, the integrity rule that it belongs to, and who states it."""

    rule: str
    source: str
    expectation: Expectation


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one expectation.

    unexpected: places of the offending rows; empty for an expectation on the whole column or table.
    observed:   the number that such an expectation is about, or how many values of a set are too many or missing.
    """

    met: bool
    unexpected: tuple[int, ...] = ()
    observed: float | None = None


Engine = Callable[[Table, Sequence[Expectation]], list[Answer]]


# --- what is asked ----------------------------------------------------------------------------


def table_of(manifest: Manifest, facts: Iterable[ImageFacts], *, rules: ImageRules) -> dict[str, list[Any]]:
    """The images as the columns `COLUMNS`; width, height and mode only of files that were decoded."""
    table: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for image, seen in zip(manifest.images, facts, strict=True):
        decoded = seen.error is None and seen.format in rules.formats
        row: dict[str, str | int | None] = {
            "path": image.path,
            "filename": image.filename,
            "label": image.label,
            "sha256": image.sha256,
            "bytes": image.n_bytes,
            "width": seen.width_px if decoded else None,
            "height": seen.height_px if decoded else None,
            "format": seen.format,
            "mode": seen.mode if decoded else None,
            "patient": image.patient,
            "slide": image.slide,
            "site": image.site,
        }
        for name, value in row.items():
            table[name].append(_plain(value))
    return table


def _plain(value: str | int | None) -> str | float | None:
    # pandas cannot hash the stand-ins for bytes of a file name that are not UTF-8.
    if isinstance(value, str):
        return value.encode("utf-8", "xmlcharrefreplace").decode()
    return None if value is None else float(value)


def expected_of(manifest: Manifest, *, rules: ImageRules, counts: Mapping[str, CountRange] | None) -> tuple[Asked, ...]:
    """What the protocol says of every set: its contract, and what each image must be."""

    def ask(rule: str, kind: str, **kwargs: Any) -> Asked:
        only = kwargs.pop("only", None)
        return Asked(rule, PROTOCOL, Expectation(type=f"expect_{kind}", kwargs=kwargs, only=only))

    contract, sides = "contract_violations", {"min_value": rules.min_side_px, "max_value": rules.max_side_px}
    asked = [
        ask(contract, "column_values_to_not_be_null", column="path"),
        ask(contract, "column_values_to_be_unique", column="path"),
        ask(contract, "column_values_to_match_regex", column="path", regex=SAFE_PATH),
        ask(contract, "column_values_to_not_be_null", column="label"),
        ask(contract, "column_values_to_be_in_set", column="label", value_set=manifest.classes),
        ask(contract, "column_values_to_not_be_null", column="sha256"),
        ask(contract, "column_values_to_match_regex", column="sha256", regex=r"\A[0-9a-f]{64}\Z"),
        ask(contract, "column_values_to_be_between", column="bytes", min_value=1, max_value=rules.max_bytes),
        ask("unexpected_formats", "column_values_to_be_in_set", column="format", value_set=rules.formats),
        ask("unexpected_modes", "column_values_to_be_in_set", column="mode", value_set=rules.modes),
        ask("unexpected_sizes", "column_values_to_be_between", column="width", **sides),
        ask("unexpected_sizes", "column_values_to_be_between", column="height", **sides),
    ]
    if grouped := [name for name in ("patient", "slide") if any(getattr(i, name) for i in manifest.images)]:
        # With ids for some cells only, cells of one person could be in two parts and nobody would know.
        asked.append(ask(contract, "column_values_to_not_be_null", column=grouped[0]))
    for name, wanted in (counts or {}).items():
        only = RowCondition(column="label", value=name)
        if wanted.most is not None:
            asked.append(ask("count_mismatches", "table_row_count_to_equal", only=only, value=wanted.least))
        else:
            kind = "table_row_count_to_be_between"
            asked.append(ask("count_mismatches", kind, only=only, min_value=wanted.least))
    return tuple(asked)


def expected_by_user(plan: DatasetPlan) -> tuple[Asked, ...]:
    """What the suite file says that `[dataset] expectations` names; nothing where it names none."""
    suite = plan.expectations
    if suite is None:
        return ()
    return tuple(Asked("unmet_expectations", suite.file, each) for each in suite.expectations)


# --- what the answers come to -----------------------------------------------------------------


def results_of(manifest: Manifest, asked: Sequence[Asked], found: Sequence[Answer]) -> tuple[ExpectationResult, ...]:
    return tuple(
        ExpectationResult(
            source=each.source,
            rule=each.rule,
            expectation=str(each.expectation),
            met=answer.met,
            n_unexpected=len(answer.unexpected),
            observed=answer.observed,
            examples=tuple(manifest.images[place].path for place in answer.unexpected[:MOST_EXAMPLES]),
        )
        for each, answer in zip(asked, found, strict=True)
    )


def findings_of(
    manifest: Manifest,
    facts: Sequence[ImageFacts],
    asked: Sequence[Asked],
    found: Sequence[Answer],
    *,
    rules: ImageRules,
) -> Iterator[Finding]:
    """One finding for every row that breaks a rule of the protocol, and one for every unmet expectation of the user."""
    mis_sized: set[int] = set()
    for each, answer in zip(asked, found, strict=True):
        if answer.met:
            continue
        match each.rule:
            case "unmet_expectations":
                yield _unmet(manifest, each, answer)
            case "count_mismatches":
                yield _miscounted(each.expectation, answer)
            case "unexpected_sizes":
                mis_sized |= set(answer.unexpected)
            case rule:
                for place in answer.unexpected:
                    yield _row_finding(rule, each.expectation, manifest, facts, place, rules)
    for place in sorted(mis_sized):
        seen = facts[place]
        detail = (
            f"{seen.width_px} x {seen.height_px} px, each side must be {rules.min_side_px} to {rules.max_side_px} px"
        )
        yield Finding(
            "unexpected_sizes", seen.path, detail, "Export it again at the expected size, or correct the protocol."
        )


def _row_finding(
    rule: str,
    expectation: Expectation,
    manifest: Manifest,
    facts: Sequence[ImageFacts],
    place: int,
    rules: ImageRules,
) -> Finding:
    image, seen = manifest.images[place], facts[place]
    match rule:
        case "unexpected_formats":
            original = f"Replace it by the original in an accepted format ({', '.join(rules.formats)})"
            remedy = f"{original}, or {_accepting(seen.format)}."
            return Finding(rule, image.path, seen.error or f"the content is {seen.format}", remedy)
        case "unexpected_modes":
            detail = f"colour mode {seen.mode}, accepted are {', '.join(rules.modes)}"
            if (reason := why_not(str(seen.mode))) is None:
                remedy = "Export it again in an accepted mode from the original, or accept this mode in the protocol."
            else:
                remedy = f"Convert it to RGB with the program that wrote it: {reason}."
            return Finding(rule, image.path, detail, remedy)
        case _:
            column = str(expectation.kwargs["column"])
            value = image.n_bytes if column == "bytes" else getattr(image, column)
            wanted = expectation.type.removeprefix("expect_").replace("_", " ")
            return Finding(rule, image.path, f"{wanted} ({column} is {value!r})", CONTRACT_REMEDY)


def _accepting(format: str | None) -> str:
    """What else can be done about a format that the protocol does not accept: accept it, where any protocol can."""
    if format in FORMATS:
        return f"accept {format} in the protocol"
    return f"convert it to PNG with the program that wrote it: no protocol can accept {format}"


def _miscounted(expectation: Expectation, answer: Answer) -> Finding:
    assert expectation.only is not None  # `expected_of` counts by class
    name, given = str(expectation.only.value), expectation.kwargs
    expected = given["value"] if "value" in given else f"at least {given['min_value']}"
    detail = f"{int(answer.observed or 0)} images of class {name}, the protocol expects {expected}"
    remedy = "Restore the missing files or remove the surplus, or correct images_per_class in the protocol."
    return Finding("count_mismatches", name, detail, remedy)


def _unmet(manifest: Manifest, asked: Asked, answer: Answer) -> Finding:
    if answer.unexpected:
        first = manifest.images[answer.unexpected[0]].path
        seen = f"{len(answer.unexpected)} of {len(manifest.images)} images do not fit, first {first!r}"
    else:
        seen = "observed is " + ("no value at all" if answer.observed is None else f"{answer.observed:.12g}")
    remedy = "Correct the data, or the expectation in the suite before the run."
    return Finding("unmet_expectations", asked.source, f"{asked.expectation}: {seen}", remedy)


# --- the same answers without great-expectations ----------------------------------------------


def answers(table: Table, expectations: Sequence[Expectation]) -> list[Answer]:
    """What great-expectations answers, in plain Python; tests compare the two on drawn tables."""
    return [_answer(table, each) for each in expectations]


def _answer(table: Table, expectation: Expectation) -> Answer:
    given = expectation.kwargs
    rows = _rows(table, expectation.only)
    kind = expectation.type
    if kind.startswith("expect_table_row_count"):
        expected = given.get("value")
        in_range = len(rows) == expected if expected is not None else _within(len(rows), given)
        return Answer(in_range, observed=float(len(rows)))
    if kind in _ON_ROWS:
        judged, unexpected = _ON_ROWS[kind](table, rows, given)
        share: Any = given.get("mostly", 1.0)
        met = not judged or (len(judged) - len(unexpected)) / len(judged) >= share
        return Answer(met, tuple(unexpected))
    column = table[str(given["column"])]
    values: list[Any] = [column[row] for row in rows if column[row] is not None]
    if kind in _ON_SETS:
        n_off = _ON_SETS[kind](set(values), set(_values(given)))
        return Answer(n_off == 0, observed=float(n_off))
    observed = _ON_COLUMNS[kind](values)
    return Answer(observed is not None and _within(observed, given), observed=observed)


def _rows(table: Table, only: RowCondition | None) -> list[int]:
    n_rows = len(table["path"])
    if only is None:
        return list(range(n_rows))
    return [row for row in range(n_rows) if table[only.column][row] == only.value]


def _within(value: float, given: Mapping[str, Any]) -> bool:
    above, below = (operator.gt if given.get(f"strict_{side}") else operator.ge for side in ("min", "max"))
    lowest, highest = given.get("min_value"), given.get("max_value")
    return (lowest is None or above(value, lowest)) and (highest is None or below(highest, value))


def _values(given: Mapping[str, Any]) -> tuple[Any, ...]:
    values: tuple[Any, ...] = given["value_set"]
    return values


Judged = tuple[list[int], list[int]]  # rows that were looked at, and of those the unexpected ones
OnRows = Callable[[Table, list[int], Mapping[str, Any]], Judged]


def _each(fits: Callable[[Any, Mapping[str, Any]], bool]) -> OnRows:
    """Judges every value of the column that is there."""

    def judged(table: Table, rows: list[int], given: Mapping[str, Any]) -> Judged:
        column = table[given["column"]]
        there = [row for row in rows if column[row] is not None]
        return there, [row for row in there if not fits(column[row], given)]

    return judged


def _null(wanted: bool) -> OnRows:
    def judged(table: Table, rows: list[int], given: Mapping[str, Any]) -> Judged:
        column = table[given["column"]]
        return rows, [row for row in rows if (column[row] is None) != wanted]

    return judged


def _unique(table: Table, rows: list[int], given: Mapping[str, Any]) -> Judged:
    names = given.get("column_list") or (given["column"],)
    keys = {row: tuple(table[name][row] for name in names) for row in rows}
    there = [row for row in rows if any(value is not None for value in keys[row])]
    n_of = Counter(keys[row] for row in there)
    return there, [row for row in there if n_of[keys[row]] > 1]


def _equal(table: Table, rows: list[int], given: Mapping[str, Any]) -> Judged:
    one, other = table[given["column_A"]], table[given["column_B"]]
    there = [row for row in rows if one[row] is not None or other[row] is not None]
    return there, [row for row in there if one[row] != other[row]]


_ON_ROWS: dict[str, OnRows] = {
    "expect_column_values_to_not_be_null": _null(wanted=False),
    "expect_column_values_to_be_null": _null(wanted=True),
    "expect_column_values_to_be_unique": _unique,
    "expect_compound_columns_to_be_unique": _unique,
    "expect_column_pair_values_to_be_equal": _equal,
    "expect_column_values_to_be_in_set": _each(lambda value, given: value in _values(given)),
    "expect_column_values_to_not_be_in_set": _each(lambda value, given: value not in _values(given)),
    "expect_column_values_to_be_between": _each(_within),
    "expect_column_value_lengths_to_be_between": _each(lambda value, given: _within(len(value), given)),
    "expect_column_values_to_match_regex": _each(lambda value, given: re.search(given["regex"], value) is not None),
    "expect_column_values_to_not_match_regex": _each(lambda value, given: re.search(given["regex"], value) is None),
}
_ON_SETS: dict[str, Callable[[set[Any], set[Any]], int]] = {
    "expect_column_distinct_values_to_be_in_set": lambda found, wanted: len(found - wanted),
    "expect_column_distinct_values_to_contain_set": lambda found, wanted: len(wanted - found),
    "expect_column_distinct_values_to_equal_set": lambda found, wanted: len(found ^ wanted),
}
_ON_COLUMNS: dict[str, Callable[[list[Any]], float | None]] = {
    "expect_column_unique_value_count_to_be_between": lambda values: float(len(set(values))),
    "expect_column_min_to_be_between": lambda values: min(values, default=None),
    "expect_column_max_to_be_between": lambda values: max(values, default=None),
    "expect_column_mean_to_be_between": lambda values: math.fsum(values) / len(values) if values else None,
}
