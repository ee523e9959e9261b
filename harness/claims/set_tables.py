"""What does a table with one row for each set of cells state? Sizes, counts by class, accuracies."""

from __future__ import annotations

import re
from fractions import Fraction

from harness.claims.cells import (
    Read,
    TableReading,
    alone,
    class_key,
    count,
    in_percent,
    is_head,
    place,
    share_of,
    spelling,
)
from harness.claims.document import Table
from harness.claims.pooled import SetRow, pooling_problems
from harness.claims.records import Accuracy, Content, Errors, Place, Problem, Size, Supports

_SET_HEADS = re.compile(
    r"(?:(?:test|external|validation)\s+)?(?:data\s?)?set|cohort|split|part(?:ition)?|subset", re.IGNORECASE
)
_SHARE = re.compile(
    r"(?:share|percent(?:age)?|proportion|fraction|ratio|%|% of (?:total|all|images|dataset))(?: *[(\[]%[)\]])?",
    re.IGNORECASE,
)
_ERRORS = re.compile(
    r"(?:errors?|misclassified|misclassifications?|mistakes|wrong|incorrect)(?: (?:images|cells|samples|predictions))?",
    re.IGNORECASE,
)
_TOTAL = re.compile(r"all|total|sum|images|cells|samples|n|size|support", re.IGNORECASE)


def is_set_table(table: Table) -> bool:
    return bool(table.header) and bool(_SET_HEADS.fullmatch(table.header[0].strip()))


def set_names(table: Table) -> list[str | None]:
    """The sets that the rows of a table of sets are about: their first word, or more where that is not enough."""
    cells = [cells[0] if cells else "" for _, cells in table.rows]
    first = [_set_name(cell.split()[0] if cell.split() else "") for cell in cells]
    named = [name for name in first if name is not None]
    return first if len(set(named)) == len(named) else [_set_name(cell) for cell in cells]


def _set_name(cell: str) -> str | None:
    word = re.sub(r"\s*[(\[].*|[:,;].*", "", cell.strip())
    word = re.sub(r"\s+(?:data\s?)?(?:set|split|data|part|images|cells|samples)$", "", word, flags=re.IGNORECASE)
    if not re.match(r"[A-Za-z]", word) or len(word) > 60:
        return None
    return {"training": "train", "val": "validation", "testing": "test", "total": "dataset"}.get(
        word.lower(), word.lower() if word.lower() in ("train", "validation", "test", "external", "dataset") else word
    )


def read_sets(table: Table, file: str, classes: tuple[str, ...]) -> TableReading:
    found: list[Read] = []
    problems: list[Problem] = []
    names = set_names(table)
    if len(named := [name for name in names if name is not None]) > len(set(named)):
        return alone(table, "names a set twice: it may compare several models")
    known = spelling(classes)
    at_class = [(k, known[class_key(head)]) for k, head in enumerate(table.header) if class_key(head) in known]
    at_total = [k for k, head in enumerate(table.header[1:], 1) if is_head(_TOTAL, head)]
    at_accuracy = [k for k, head in enumerate(table.header[1:], 1) if is_head(re.compile("accuracy", re.I), head)]
    at_correct = [k for k, head in enumerate(table.header[1:], 1) if is_head(re.compile("correct", re.I), head)]
    at_errors = [k for k, head in enumerate(table.header[1:], 1) if is_head(_ERRORS, head)]
    rows: list[SetRow] = []
    for name, (line, cells) in zip(names, table.rows, strict=True):
        if name is None or len(cells) != len(table.header):
            continue
        where = place(file, line, cells)
        before = len(found)
        counts = [(label, count(cells[k])) for k, label in at_class]
        if len(counts) >= 2 and all(n is not None for _, n in counts):
            given = tuple((label, n) for label, n in counts if n is not None)
            found.append(Read(Supports(given), (where,), name))
        for k in at_total[:1]:
            total = count(cells[k])
            if total is not None:
                found.append(Read(Size(total), (where,), name))
        for k in at_errors[:1]:
            if (wrong := count(cells[k])) is not None:
                found.append(Read(Errors(wrong), (where,), name))
        for k in (*at_accuracy, *at_correct):
            share, pair = share_of(
                cells[k], in_percent(table.header[k], [row[k] for _, row in table.rows if len(row) > k])
            )
            if pair is not None:
                if pair[0] > pair[1]:
                    problems.append(Problem(f"{name}: {pair[0]} correct of {pair[1]}", (where,)))
                    continue
                found += [Read(Size(pair[1]), (where,), name), Read(Errors(pair[1] - pair[0]), (where,), name)]
            if share is not None and (k in at_accuracy or "%" in share.text) and share.unit:
                if share.value > 1:
                    problems.append(Problem(f"{name}: accuracy {share.text} is not a share of anything", (where,)))
                else:
                    found.append(Read(Accuracy(share), (where,), name))
        rows.append(_row(cells, [read.content for read in found[before:]], at_correct, where))
        n, right = rows[-1].n, next((said for at in at_correct if (said := count(cells[at])) is not None), None)
        if n is not None and right is not None and right > n:
            problems.append(Problem(f"{name}: {right} correct of {n}", (where,)))
        elif n is not None and right is not None:
            found.append(Read(Errors(n - right), (where,), name))
    problems += _share_problems(table, file, names, at_total)
    if len(rows) == len(table.rows) and not {"train", "validation"} & set(names):
        problems += pooling_problems(rows)
    return TableReading("sets", (), tuple(found), tuple(problems))


def _share_problems(table: Table, file: str, names: list[str | None], at_total: list[int]) -> list[Problem]:
    """Where a share is not that of the count beside it; of a table with a row for the whole, which is 100 %."""
    whole_rows = [row for row in table.rows if len(row[1]) == len(table.header)]
    at_share = [k for k, head in enumerate(table.header[1:], 1) if _SHARE.fullmatch(head.strip(" *`"))]
    counted = [k for k in range(1, len(table.header)) if k not in at_share and any(count(c[k]) for _, c in whole_rows)]
    if len(at_share) != 1 or counted != at_total:  # of two columns of counts it may be the share of either
        return []
    rows = [
        (name, line, cells, count(cells[at_total[0]]), cells[at_share[0]])
        for name, (line, cells) in zip(names, table.rows, strict=True)
        if (line, cells) in whole_rows
    ]
    wholes = [n for name, _, _, n, _ in rows if n and name == "dataset"]
    if len(wholes) != 1 or any(n is None for *_, n, _ in rows):
        return []
    whole, percent, problems = wholes[0], in_percent(table.header[at_share[0]], [cell for *_, cell in rows]), []
    shares = [share_of(cell, percent)[0] for *_, cell in rows]
    if not any(share and share.value == 1 and row[0] == "dataset" for share, row in zip(shares, rows, strict=True)):
        return []
    for share, (name, line, cells, n, _) in zip(shares, rows, strict=True):
        if share is None or n is None or not share.unit:
            continue
        if abs(share.value - Fraction(n, whole)) > share.unit + Fraction(1, whole):
            own = share.like(Fraction(n, whole))
            problems.append(
                Problem(f"{name}: {n:,} of {whole:,} is {own}, not {share.text}", (place(file, line, cells),))
            )
    return problems


def _row(cells: tuple[str, ...], contents: list[Content], at_correct: list[int], where: Place) -> SetRow:
    sizes = {content.n for content in contents if isinstance(content, Size)}
    errors = {content.count for content in contents if isinstance(content, Errors)}
    shares = [content.share for content in contents if isinstance(content, Accuracy)]
    n = sizes.pop() if len(sizes) == 1 else None
    right = next((found for k in at_correct if (found := count(cells[k])) is not None), None)
    if right is None and len(errors) == 1 and n is not None:
        right = n - errors.pop()
    return SetRow(cells[0], n, right, shares[0] if len(shares) == 1 else None, where)
