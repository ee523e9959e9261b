"""Compares every number and verdict of a report with its evidence, whichever version of the templates printed it.

What a page of schema 4 promises is: each number and outcome stands in an element with the path of what it prints; a
table names what it lists, one entry a row, and has the columns of COLUMNS (page_tables.py); nothing else on the page is
a number, but for the words in WORDING and the names of sets and classes. What words alone claim ("flawless"), and what
a style sheet hides, no comparison of numbers can find: so the whole page is compared where its renderer is installed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.core.text import visible
from harness.pack.page_around import neighbour, pictures, unseen
from harness.pack.page_first import beginning, is_asked
from harness.pack.page_head import metas
from harness.pack.page_reading import Mark, PageRead
from harness.pack.page_tables import Found, tables
from harness.pack.page_values import says, says_ratio
from harness.pack.page_verdicts import misshown
from harness.report.places import SUMS, Places, parsed

# Figures that stand in the report's own words. To be added to, never taken from: pages of older templates have them.
WORDING = (
    *(
        "F1 = 2TP/(2TP+FP+FN)",
        "Macro F1",
        "recall and F1",
        "undefined, not 0",
        "precision (positive predictive value), F1",
    ),
    *(
        "SHA256SUMS",
        "sha256sum",
        "shasum -a 256",
        "SHA-256",
        "1 - (1 - level) / m",
        "1 / (m (m + 1))",
        "1 - level",
        "F1",
    ),
    *("severity 0 is the cell as it is", "and in 95 of 100 sets at most", "(0 to 1)", "(0 to 2)", "(first is 0)"),
    *("90th percentile", "99th percentile", "given probability 0 of their class", "fewer than 5 cells", "(% of side)"),
)

CLASSWISE = re.compile(r"evaluations > .+ > confusion|predictions/.+\.csv")  # a column a class
PAIRS = (("covered", "n"), ("errors", "accepted"))  # a count under a name of its own, and its whole beside it

PHASE = r"Training, phase \d{1,2}(?!\d)"  # the caption of a figure, which is drawn phase by phase


def check_page(html: str, page: PageRead, places: Places, document: Mapping[str, Any]) -> Iterator[Found]:
    """Where a page says something else than the evidence, as (place, what is wrong).

    Args:
        page: what `read_page` finds on it.
        places: what paths lead to.
        document: the content of evidence.json.
    """
    if page.refused is not None:
        yield "", page.refused
        return
    yield from (("", problem) for problem in dict.fromkeys(page.problems))
    around = (*metas(page), *pictures(page, allowed=_let_out(document)), *unseen(page))
    yield from (("", problem) for problem in dict.fromkeys(around))
    yield from (("", problem) for problem in dict.fromkeys(misshown(html, page)))
    yield from _title(page, document)
    for mark, heading in page.marks:
        if (wrong := _wrong(mark, places, page)) is not None:
            yield heading or mark.path or "", wrong
    yield from _loose_figures(page, _names(document, places))
    yield from tables(page, places, document)
    if is_asked(document):
        yield from beginning(page, document)
    if not any(mark.path == "run > passed" for mark, _ in page.marks):
        yield "run > passed", "the page does not say whether the run passed"


def _let_out(document: Mapping[str, Any]) -> str:
    """Which pictures of cells the recorded protocol lets out; all, where it says nothing of it."""
    try:
        return str(document["protocol"]["content"]["report"]["images"])
    except (LookupError, TypeError):
        return "all"


# --- single values --------------------------------------------------------------------------------


def _title(page: PageRead, document: Mapping[str, Any]) -> Iterator[Found]:
    run, identity = document["run"], document["protocol"]["content"]["identity"]
    word = "Passed" if run["passed"] else "Not passed"
    expected = visible(f"{word}: {identity['title']}, run {run['id']}")
    if " ".join(page.title.split()) != " ".join(expected.split()):
        yield "title", f"{page.title!r} is written, {expected!r} follows"


def _wrong(mark: Mark, places: Places, page: PageRead) -> str | None:
    """What is wrong with one marked value, or None."""
    if mark.section is not None:
        number = page.sections.index(mark.section) + 1 if mark.section in page.sections else None
        return None if mark.text == str(number) else f"{mark.text!r} is written for section {number}"
    if mark.path is None:
        return f"{mark.text!r} names nothing that it follows from"
    try:
        value = places.at(*parsed(mark.path))
        whole = None if mark.of is None else places.at(*parsed(mark.of))
    except (LookupError, TypeError):
        return f"{mark.text!r} is written for {mark.path}, which is not in the evidence"
    field = parsed(mark.path)[-1]
    if mark.of is not None and not _is_pair(parsed(mark.path), parsed(mark.of)):
        return f"{mark.text!r} is written for {mark.path} of {mark.of}, which is not its whole"
    right = says(mark.text, value, field) if mark.of is None else says_ratio(mark.text, value, whole)
    if not right:
        return f"{mark.text!r} is written for {mark.path}, the evidence has {_brief(value)}"
    if mark.title is not None and mark.title != value:
        return f"{mark.title!r} is what it is called, the evidence has {_brief(value)}"
    return neighbour(mark)


def _is_pair(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    """Whether a count and its whole are one of the pairs that a report has, and of one record."""
    return (part[-1], whole[-1]) in PAIRS and part[:-1] == whole[:-1]


# What a person wants to know of an estimate that a page shows otherwise.
SHOWN_OF_RECORDS = ("k", "n", "value", "lower", "upper", "level")


def _brief(value: object) -> str:
    text = repr(value)
    if isinstance(value, Mapping):
        told = [f"{key} {value[key]}" for key in SHOWN_OF_RECORDS if value.get(key) is not None]
        text = ", ".join(told) or text
    return text if len(text) <= 100 else text[:97] + "..."


def _names(document: Mapping[str, Any], places: Places) -> list[str]:
    """Names of the run's own that hold figures and stand on the page without a mark."""
    content = document["protocol"]["content"]
    names = {
        *content["dataset"]["classes"],
        *document["predictions"],
        *(each["name"] for each in document["sets"]),
        *document["environment"],
        *(document["integrity"] or {}).get("checked", ()),
        *document["seeds"],
        *places.at(SUMS),
    }
    shown = (visible(str(name)) for name in names)
    return sorted((name for name in shown if _has_figure(name) and not _is_bare(name)), key=len, reverse=True)


def _is_bare(name: str) -> bool:
    """Whether a name is a number and nothing else, such as a seed: it says nothing outside of its row or column."""
    return name.isdecimal()


def _bare_heads(page: PageRead) -> Counter[str]:
    """The heads of rows and columns of listed tables that are such a name, which their values are compared with."""
    listed = [table for table in page.tables if table.rows is not None]
    rows = (cell.text.strip() for table in listed for row in table.body for cell in row[:1] if not cell.marks)
    columns = (head for table in listed if CLASSWISE.fullmatch(table.rows or "") for head in table.heads)
    return Counter(head for head in (*rows, *columns) if head and _is_bare(head))


def _loose_figures(page: PageRead, names: Sequence[str]) -> Iterator[Found]:
    """Numbers outside of every mark, in what is seen and in what is only heard."""
    heads = _bare_heads(page)
    known = re.compile(
        "|".join([*map(re.escape, WORDING), PHASE, *(rf"(?<!\w){re.escape(n)}(?!\w)" for n in names)]), re.IGNORECASE
    )
    for text, heading in page.loose:
        if heads[text.strip()] > 0:
            heads[text.strip()] -= 1
        elif _has_figure(known.sub("", text)):
            yield heading, f"{' '.join(text.split())[:100]!r} has a number that names nothing that it follows from"
    seen = " ".join(table.caption for table in page.tables)
    for text in page.spoken:
        if _has_figure(known.sub("", text)) and " ".join(text.split()) not in " ".join(seen.split()):
            yield "", f"{text[:100]!r} is told where it is not seen, and has a number"


def _has_figure(text: str) -> bool:
    return any(character.isnumeric() or character in "%‰" for character in text)
