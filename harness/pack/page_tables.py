"""Compares the tables of a report with what they list: entries with rows, values with their rows and headings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from harness.pack.page_first import is_asked
from harness.pack.page_lines import lines
from harness.pack.page_plots import misdrawn
from harness.pack.page_reading import Cell, Mark, PageRead, TableRead
from harness.pack.page_verdicts import VERDICTS, is_own, unsaid
from harness.report.places import SUMS, Places, parsed, written

Found = tuple[str, str]  # the place, and what is wrong there

# The table that lists a path -> the field of an entry -> the heading that it stands under, as a regular expression.
# `*` in a path is the name of a set. A field that a table names here is in each of its rows, unless it is in SOMETIMES.
INTERVAL = r"\d+(\.\d+)? % interval"
BOUNDS = r"(One-sided|Exact one-sided|Lower) \d+(\.\d+)? % bounds?"
# Of two classifiers on the same cells, whatever the row's name is of.
_PAIRED = {
    "n": "Support",
    "both_right": "Both right",
    "gained": "Candidate alone",
    "lost": "Baseline alone",
    "both_wrong": "Both wrong",
    "difference": "Difference",
    "bounds": BOUNDS,
    "interval": f"Tango {INTERVAL}",
    "mcnemar_p": "McNemar p",
}
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "verdicts": {
        "outcome": "Outcome",
        "required": "Outcome",
        "criterion": "Criterion",
        "estimate": "Observed",
        "estimate > value": "Observed",
        "estimate > n": "Observed",
        "estimate > lower": "Bound",
        "estimate > upper": "Bound",
        "estimate > level": "Requirement",
        "look": "Requirement",
        "reason": "Why",
        "n_to_decide": "Why",
        "power": "Why",
    },
    "protocol > content > criteria": {
        "id": "Id",
        "metric": "What",
        "set": "What",
        "level": "Requirement",
        "floor": "Requirement",
        "ceiling": "Requirement",
        "required": r"Required\?",
        "rationale": "Why this bound",
    },
    "page > verdict > tally": {"required": "Required", "other": "For information"},
    "sets": {"n_images": "Images", "digest": "Digest"},
    "integrity > checked": {"": "Looked at"},
    "page > split > parts": {},
    "evaluations": {"accuracy": "Correct", "accuracy > display": INTERVAL},
    "evaluations > * > per_class": {
        "support": "Support",
        "recall": "Recall",
        "recall > display": "Interval of recall",
        "precision": "Precision",
        "precision > display": "Interval of precision",
    },
    "evaluations > * > confusion": {},
    "page > comparison > seeds": {"": "Correct", "display": INTERVAL},
    "page > comparison > sets > * > rows": {**_PAIRED, "name": "Cells"},
    "page > comparison > kinds": {**_PAIRED, "name": "Corruption"},
    "calibrations > * > conformal > per_class": {"cell_class": "Class", "": "Covered"},
    "calibrations > * > ppv": {
        "cell_class": "Class",
        "prevalence": "Prevalence",
        "value": "Predictive value",
        "": BOUNDS,
    },
    "calibrations > * > counts": {
        "cell_class": "Class",
        "prevalence": "Prevalence",
        "called": "Counted as",
        "value": "Bias",
        "": BOUNDS,
        "limits > 0 > n": "A count of cells",
        "limits > 1 > n": "A count of cells",
        "limits > 2 > n": "A count of cells",
    },
    "page > external > adapted > * > rows": {
        "name": "Cells",
        "n": "Support",
        "before": "Right before",
        "before > display": "Right before",
        "after": "Right after",
        "after > display": "Right after",
        "gained": "Gained",
        "lost": "Lost",
        "difference": "Gain",
        "bounds": BOUNDS,
        "mcnemar_p": "McNemar p",
    },
    "page > external > gaps": {"value": "Gap", "bounds": BOUNDS},
    "robustness > curves": {"kind": "Disturbance"},
    "robustness > flips": {
        "kind": "Transform",
        "": f"Called another class|{BOUNDS}",
        "became_wrong": "Became wrong",
        "became_right": "Became right",
    },
    "page > disturbances > unknown > * > rows": {
        "name": "Kind of cell",
        "confident": "Confidently called",
        "called": "Called most often",
        "of_these": "Called so",
    },
    "page > disturbances > without_a_cell": {
        "name": "Kind",
        "auroc > value": "AUROC",
        "auroc": BOUNDS,
        "taken_for_cells": f"Taken for a cell|{BOUNDS} of that",
    },
    "predictions/*.csv": {"path": "File", "sha256": "Digest", "label": "Reference", "predicted": "Predicted"},
    "page > failures > unsure > *": {
        "path": "File",
        "sha256": "Digest",
        "label": "Reference",
        "p_label": "Probability",
        "other": "Next class",
        "p_other": "Its probability",
    },
    "explanations > sets > *": {
        "path": "File",
        "sha256": "Digest",
        "label": "Reference",
        "predicted": "Predicted",
        "agreement": "Agreement",
        "inside": "Inside the cell",
        "area": "Its area",
        "nearest > 0 > label": "Nearest in training",
        "nearest > 0 > sha256": "Nearest in training",
        "nearest > 0 > distance": "Nearest in training",
    },
    "relabelled": {
        "set": "Set",
        "path": "File",
        "old": "Label before",
        "new": "Label now",
        "run": "By the run",
    },
    "page > labels > suspects > *": {
        "rank": "Rank",
        "path": "File",
        "sha256": "Digest",
        "label": "Label",
        "suggested": "Suggested",
        "confident": "Confident",
        "p_label": "Probability of the label",
        "p_suggested": "Probability of the suggested",
        "margin": "Margin",
    },
    "timings": {"scenario": "Scenario", "batch_size": "Batch"},
    SUMS: {"": "SHA-256"},
}
IN_PARTS = ("verdicts",)  # what several tables may list together
# The table of calibration lists no entries: its columns are two records, and each of its rows a field of both.
RECORDS = {"As predicted": "before", "After temperature": "after"}
MEASURES = {
    "Expected calibration error": ("ece",),
    "A calibrated classifier of these confidences, on average": ("mean",),
    "and in 95 of 100 sets at most": ("limit",),
    "More than chance explains?": ("exceeds_null",),
    "Largest gap of a bin": ("mce",),
    "Brier score, top label (0 to 1)": ("top_label_brier",),
    "Brier score, all classes (0 to 2)": ("multiclass_brier",),
    "Negative log-likelihood, nats": ("nll", "n_impossible"),
}
# The headings of the other tables that list no entries -> what their values begin with; "" where they are sentences.
UNLISTED: Mapping[str, tuple[str, ...]] = {
    r"Criterion \| Reason \| Owner \| Until": ("protocol > content > waivers > ",),
    r"What \| .* \| Agree\?": ("reproducibility > ",),
    r"Measure \| As predicted( \| After temperature)?": ("calibrations > ", "page > "),
    r"Limit \| What must not be said because of it": ("",),
}
SELF_EVIDENT = ("", "Outcome", "Image")  # headings whose cells say by themselves what they are
BOTH_BOUNDS = ("ece_lower", "ece_upper")
# Fields that an entry may leave out: it has no such value, or prints it in another way.
SOMETIMES = frozenset(
    (
        *("estimate", "estimate > value", "estimate > n", "estimate > lower", "estimate > upper", "estimate > level"),
        *("look", "n_to_decide", "power", "level", "floor", "ceiling", "set", "n_images", "digest"),
        *("agreement", "inside", "area", "nearest > 0 > label", "nearest > 0 > sha256", "nearest > 0 > distance"),
    )
)


def tables(page: PageRead, places: Places, document: Mapping[str, Any]) -> Iterator[Found]:
    listed = Counter(table.rows for table in page.tables if table.rows is not None)
    yield from _in_parts(page, places)
    if is_asked(document):
        yield from lines(page, places, document)
        yield from _unlabelled(page)
    for wanted in _expected(document):
        if listed[wanted] != 1 and not (wanted in IN_PARTS and listed[wanted]):
            yield wanted, f"{listed[wanted]} tables list this, and one does on a report of the harness"
    for table in page.tables:
        yield from _mislabelled(table)
        path = table.rows if table.rows is not None else table.some
        if path is None:
            if any(cell.plots for row in table.body for cell in row):
                yield table.caption, "a drawing stands in a table that does not say what it lists"
            yield from _unlisted(table)
            yield from _doubled(table)
            yield from _measures(table)
            continue
        try:
            yield from _table(table, path, places)
        except (LookupError, TypeError):
            yield path, f"the table {table.caption!r} lists what is not in the evidence"


def _in_parts(page: PageRead, places: Places) -> Iterator[Found]:
    """Where the tables of verdicts together do not list each once, or one that matters is folded away."""
    entries = places.at("verdicts")
    found = [
        (place, table)
        for table in page.tables
        if "verdicts" in (table.rows, table.some)
        for row in table.body
        if (place := _entry_of(row, ("verdicts",), entries, places)) is not None
    ]
    listed = Counter(place for place, table in found if table.rows in IN_PARTS)
    unfolded = {place for place, table in found if not table.folded}
    for place, verdict in enumerate(entries):
        if listed[place] != 1:
            yield "verdicts", f"{verdict['criterion']} has {listed[place]} rows, and one on a report"
        quiet = verdict["outcome"] in ("passed", "not judged") or verdict["not_asked"]
        if place not in unfolded and (verdict["required"] or not quiet):
            yield "verdicts", f"{verdict['criterion']} is folded away"


def _expected(document: Mapping[str, Any]) -> list[str]:
    """The paths that a page lists entry by entry, each in one table."""
    page, robust = document["page"], document["robustness"] or {}
    shown = [name for name in document["evaluations"] if name != "train"]
    judged = [name for name in document["predictions"] if name not in ("train", "validation")]
    calibrated = document["calibrations"]
    explained = (document.get("explanations") or {}).get("sets", {})
    suspects = page.get("labels", {}).get("suspects", {})  # older pages have no such section
    wanted: dict[tuple[object, ...], object] = {
        ("verdicts",): True,
        ("protocol", "content", "criteria"): True,
        ("page", "verdict", "tally"): True,
        ("sets",): document["sets"],
        ("given", "files"): document.get("given"),
        ("integrity", "checked"): document["integrity"],
        ("page", "split", "parts"): document["split"],
        ("evaluations",): document["evaluations"],
        **{("evaluations", name, field): True for name in shown for field in ("per_class", "confusion")},
        ("page", "comparison", "seeds"): document["seeds"],
        **{("page", "comparison", "sets", name, "rows"): True for name in document["comparisons"]},
        ("page", "comparison", "kinds"): page["comparison"].get("kinds"),
        **{
            ("calibrations", name, "conformal", "per_class"): found["conformal"]["threshold"] is not None
            for name, found in calibrated.items()
            if found["conformal"] is not None
        },
        **{("calibrations", name, "ppv"): found["ppv"] for name, found in calibrated.items()},
        **{("calibrations", name, "counts"): found.get("counts") for name, found in calibrated.items()},
        ("page", "external", "gaps"): page["external"]["gaps"],
        ("robustness", "curves"): page["disturbances"]["worst"],
        ("robustness", "flips"): robust.get("flips"),
        ("page", "disturbances", "without_a_cell"): page["disturbances"]["without_a_cell"],
        **{("page", "disturbances", "unknown", n, "rows"): True for n in page["disturbances"].get("unknown", {})},
        **{(f"predictions/{name}.csv",): page["failures"]["wrong"][name] for name in judged},
        **{("page", "failures", "unsure", n): found for n, found in page["failures"].get("unsure", {}).items()},
        **{("explanations", "sets", name): cells for name, cells in explained.items()},
        ("relabelled",): document.get("relabelled"),
        **{("page", "labels", "suspects", name): found for name, found in suspects.items()},
        ("timings",): document["timings"],
        (SUMS,): True,
    }
    return [written(steps) for steps, there in wanted.items() if there]


def _mislabelled(table: TableRead) -> Iterator[Found]:
    """Where a narrow screen would show another heading beside a value than its column has."""
    for row in table.body:
        column = 0
        for cell in row:
            under = table.heads[column] if column < len(table.heads) else ""
            column += cell.n_columns
            if cell.label is not None and " ".join(cell.label.split()) != under:
                yield (
                    table.caption,
                    f"{cell.label!r} is told beside {cell.text.strip()[:60]!r}, which is under {under!r}",
                )


def _unlabelled(page: PageRead) -> Iterator[Found]:
    """Where a narrow screen would show a value without the heading of its column."""
    for table in page.tables:
        for row in table.body:
            column = 0
            for cell in row:
                under = table.heads[column] if column < len(table.heads) else ""
                column += cell.n_columns
                if cell.label is None and not cell.is_head and cell.n_columns == 1 and under not in SELF_EVIDENT:
                    yield table.caption, f"{cell.text.strip()[:60]!r} has no label of its heading {under!r}"


def _unlisted(table: TableRead) -> Iterator[Found]:
    """Where a table that says not what it lists is none of the few that do not."""
    marks = [mark for row in table.body for cell in row for mark in cell.marks if mark.path is not None]
    roots = next((roots for heads, roots in UNLISTED.items() if re.fullmatch(heads, " | ".join(table.heads))), ())
    for mark in marks:
        if "" not in roots and not str(mark.path).startswith(tuple(roots) or ("\0",)):
            yield table.caption, f"{mark.text!r} stands in a table that does not say what it lists: {mark.path}"


def _doubled(table: TableRead) -> Iterator[Found]:
    rows = Counter(tuple(" ".join(cell.text.split()) for cell in row) for row in table.body)
    for row, n in rows.items():
        if n > 1 and any(row):
            yield table.caption, f"{n} rows are the same: {' | '.join(row)[:100]!r}"


def _measures(table: TableRead) -> Iterator[Found]:
    """Where a table of calibration has a value in another's row or column."""
    if "As predicted" not in table.heads:  # the second column is there where a temperature was fitted
        return
    for row in table.body:
        for head, cell in zip(table.heads, row, strict=False):
            fields = MEASURES.get(" ".join(row[0].text.split()), BOTH_BOUNDS)
            for mark in cell.marks if head in RECORDS else ():
                own = parsed(mark.path or "")
                if RECORDS[head] not in own or own[-1] not in fields:
                    yield table.caption, f"{mark.text!r} stands in the row {_said(row)!r} under {head!r}: {mark.path}"


def _table(table: TableRead, path: str, places: Places) -> Iterator[Found]:
    """Each row against the entry that it is about, and each column against the others of its kind."""
    steps = parsed(path)
    entries = places.at(*steps)
    called = _called(steps, entries, places)
    about: list[int] = []
    patterns: dict[int, set[tuple[str, ...]]] = {}
    for row in table.body:
        place = _entry_of(row, steps, entries, places)
        if place is None:
            yield path, f"a row of {table.caption!r} is about nothing that it lists: {_said(row)!r}"
            continue
        about.append(place)
        names = called[place]
        if path == "verdicts":
            name = entries[place]["criterion"]
            criterion = places.at("protocol", "content", "criteria", name)
            for each in unsaid(row, entries[place], criterion):
                yield path, f"the row of {name} does not say {each}"
        yield from _row(row, table, path, names, places)
        if _is(path, "explanations > sets > *"):
            yield from _mapped(row, table, path, entries[place])
        column = 0
        for cell in row:
            if cell.marks and not cell.is_head and cell.n_columns == 1:
                patterns.setdefault(column, set()).add(_pattern(cell.marks[0], steps, names))
            column += cell.n_columns
    counted = Counter(about)
    for place, n in sorted(counted.items()):
        if n > 1:
            yield path, f"entry {place} has {n} rows in {table.caption!r}"
    if table.rows is not None and table.rows not in IN_PARTS and (missing := len(entries) - len(counted)):
        yield path, f"{missing} of {len(entries)} entries have no row in {table.caption!r}"
    if path not in ("verdicts", "protocol > content > criteria", "fits"):
        for column, found in patterns.items():
            if len(found) > 1:
                head = table.heads[column] if column < len(table.heads) else column
                yield path, f"the column {head!r} of {table.caption!r} holds different things: {sorted(found)[:3]}"


def _mapped(row: Sequence[Cell], table: TableRead, path: str, cell: Mapping[str, Any]) -> Iterator[Found]:
    """Each map that is recorded is drawn once, alone, under its own heading."""
    recorded = {("Map", "veil map"): cell["map"], ("Control", "veil control"): cell["control"]}
    wanted = Counter(place for place, packed in recorded.items() if packed is not None)
    under = zip(table.heads, row, strict=False)
    if wanted != Counter((head, plot.frame.get("class")) for head, each in under for plot in each.plots):
        yield path, f"in the row {_said(row)!r} map and control are not drawn once each, under their headings"


def _entry_of(row: Sequence[Cell], steps: tuple[str, ...], entries: Any, places: Places) -> int | None:
    """Which entry a row is about: the one that its first value below the listed path belongs to."""
    for mark in (mark for cell in row for mark in cell.marks if mark.path is not None):
        own = parsed(str(mark.path))
        if own[: len(steps)] == steps and len(own) > len(steps):
            try:
                return places.place_of(entries, own[len(steps)])
            except LookupError:
                return None
    return None


def _row(row: Sequence[Cell], table: TableRead, path: str, names: set[str], places: Places) -> Iterator[Found]:
    head = next((cell for cell in row if cell.is_head), None)
    if head is not None and not head.marks and not any(_begins(head.text, name) for name in names):
        yield path, f"the row {head.text.strip()!r} of {table.caption!r} is about {' or '.join(sorted(names))}"
    columns = next((fields for known, fields in COLUMNS.items() if _is(path, known)), None)
    present: Counter[str] = Counter()
    column = 0
    for cell in row:
        under = table.heads[column] if column < len(table.heads) else ""
        column += cell.n_columns
        for plot in cell.plots:
            if (wrong := misdrawn(plot, places)) is not None:
                yield path, wrong
            elif parsed(plot.path or "")[-1] not in names:
                yield path, f"the drawing in the row {_said(row)!r} is of {plot.path}"
        for mark in cell.marks:
            own = parsed(mark.path or "")
            if not (is_own(own, names) if path in VERDICTS else names & set(own)):
                yield path, f"{mark.text!r} in the row {_said(row)!r} of {table.caption!r} is about {mark.path}"
                continue
            field = _field(own, parsed(path), names)
            if field is None or columns is None or table.rows is None:
                continue
            present[field] += 1
            if field in columns and re.fullmatch(columns[field], under) is None:
                yield path, f"{mark.text!r} stands under {under!r}, and is {mark.path}"
            in_matrix = _is(path, "evaluations > * > confusion") and cell.n_columns == 1
            if in_matrix and under != _column_name(table, own[-1]):
                yield path, f"{mark.text!r} stands under {under!r}, and is {mark.path}"
    absent_set = any(cell.n_columns > 1 for cell in row)
    for field in columns or () if table.rows is not None and not absent_set else ():
        if not present[field] and field not in SOMETIMES:
            yield path, f"{_said(row)!r} of {table.caption!r} does not say its {field or 'value'}"


def _column_name(table: TableRead, step: str) -> str | None:
    place = int(step) + 1 if step.isascii() and step.isdecimal() else None
    return table.heads[place] if place is not None and place < len(table.heads) else None


def _field(own: tuple[str, ...], listed: tuple[str, ...], names: set[str]) -> str | None:
    """The path below the entry, or None where the value lies elsewhere."""
    if own[: len(listed)] != listed or len(own) <= len(listed) or own[len(listed)] not in names:
        return None
    return written(own[len(listed) + 1 :])


def _called(steps: tuple[str, ...], entries: Any, places: Places) -> dict[int, set[str]]:
    """What each entry is called in paths: its name, its place, and the class of a row of a confusion matrix."""
    names: dict[int, set[str]] = {}
    for step in places.steps_of(entries):
        names.setdefault(places.place_of(entries, step), set()).add(step)
    if steps[-1] == "confusion":
        for place, own in names.items():
            own.add(places.at(*steps[:-1], "classes", place))
    return names


def _pattern(mark: Mark, steps: tuple[str, ...], names: set[str]) -> tuple[str, ...]:
    """A path without the name of its row's entry, which is what the other rows of a column have there, too."""
    own = list(parsed(mark.path or ""))
    start = len(steps) if tuple(own[: len(steps)]) == steps else 0
    place = next((i for i, step in enumerate(own) if i >= start and step in names), None)
    return tuple("*" if i == place else step for i, step in enumerate(own))


@lru_cache(maxsize=4096)  # every row of a table asks the same
def _is(path: str, known: str) -> bool:
    """Whether a path is a known one, whose `*` is any one step, or part of the name of a file."""
    return re.fullmatch(re.escape(known).replace(r"\*", "(?:(?! > ).)*"), path) is not None


def _begins(text: str, name: str) -> bool:
    said, name = " ".join(text.split()), " ".join(name.split())
    return name in said and re.match(rf"\W*{re.escape(name)}(?!\w)", said) is not None


def _said(row: Sequence[Cell]) -> str:
    return " | ".join(" ".join(cell.text.split()) for cell in row)[:100]
