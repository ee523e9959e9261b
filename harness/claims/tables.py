"""What do a report's tables state? Class tables, confusion matrices and tables of sets; any other is left alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from harness.claims.document import Table
from harness.claims.records import (
    Accuracy,
    Averages,
    ClassCounts,
    Content,
    Errors,
    Matrix,
    Place,
    Printed,
    Problem,
    Row,
    Rows,
    Size,
    Supports,
    printed,
    whole,
)

_CLASS_HEADS = re.compile(
    r"|class(?:es)?|labels?|(?:white )?(?:blood )?cells?(?: (?:type|class|name))?|"
    r"cell[ _-]?type|types?|categor(?:y|ies)|leu[ck]ocytes?(?: type)?|class name|target",
    re.IGNORECASE,
)
_SET_HEADS = re.compile(r"(?:data\s?)?set|split|part(?:ition)?|subset", re.IGNORECASE)
_METRICS = {
    "precision": re.compile(r"precision|prec\.?|ppv|positive predictive value", re.IGNORECASE),
    "recall": re.compile(r"recall|sensitivity|tpr|true positive rate", re.IGNORECASE),
    "f1": re.compile(r"f[-_ ]?1(?:[-_ ]?(?:score|measure))?|f[-_ ]score", re.IGNORECASE),
}
_SUPPORT = re.compile(r"support|n|count|# ?(?:images|cells|samples)", re.IGNORECASE)
_TOTAL = re.compile(r"all|total|sum|images|cells|samples|n|size|support", re.IGNORECASE)
_AVERAGE = re.compile(r"(?:overall )?accuracy|(macro|weighted|micro)[-_ ]*(?:avg\.?|average|mean)?", re.IGNORECASE)
# Any other row of such a name sums up too: it is not a class, and what it is the mean of is not said.
_NO_CLASS = re.compile(
    r"\b(?:accuracy|macro|micro|weighted|overall|total|sum|mean|average[ds]?|avg|(?-i:[Aa]ll)|"  # ALL is a leukaemia
    r"gesamt|summe|mittelwert|mittel|durchschnitt|genauigkeit)\b",
    re.IGNORECASE,
)
_WHOLE = r"\d{1,3}(?:[,'\u2019 ]\d{3})+|\d{1,12}"
_COUNTED = re.compile(rf"({_WHOLE})\s*/\s*({_WHOLE})(?:\s*\(\s*([\d.,]+\s*%)\s*\))?")
_MOST_CLASSES = 100  # in one table; more are a list of something else, or too much to search
_PERCENT = re.compile(r"\(\s*%|\bin (?:%|per\s?cent|prozent)|\bnormali[sz]ed|\bproportions|\brow-wise", re.IGNORECASE)
_SIDE = re.compile(r"^(?:true|actual|reference|predicted|pred\.?|gt)[\s:_-]+", re.IGNORECASE)
_REFERENCE = re.compile(r"\b(?:true|actual|reference|truth|ground)\b", re.IGNORECASE)
_PREDICTED = re.compile(r"\bpred(?:icted|iction|\.)?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Read:
    """One content from a table. set: only where the table itself names it (a table of sets)."""

    content: Content
    places: tuple[Place, ...]
    set: str | None = None


@dataclass(frozen=True, slots=True)
class TableReading:
    kind: str  # "classes", "matrix", "sets" or "" (left alone)
    classes: tuple[str, ...] = ()
    found: tuple[Read, ...] = ()
    problems: tuple[Problem, ...] = ()
    unread: str = ""  # why a table that looks like one of these was left alone


def is_set_table(table: Table) -> bool:
    return bool(table.header) and bool(_SET_HEADS.fullmatch(table.header[0].strip()))


def read_table(table: Table, file: str, classes: tuple[str, ...]) -> TableReading:
    """
    Args:
        classes: class names known from other tables, whose spelling is taken; a table of sets has them as columns.
    """
    if len(table.header) < 2 or not table.rows:
        return TableReading("")
    if is_set_table(table):
        return _read_sets(table, file, classes)
    heads = list(enumerate(table.header[1:], 1))
    columns = [(name, k) for name in _METRICS for k, head in heads if _is(_METRICS[name], head)]
    if columns and _CLASS_HEADS.fullmatch(table.header[0].strip()):
        support_at = [k for k, head in heads if _is(_SUPPORT, head)]
        if len(dict(columns)) < len(columns) or len(support_at) > 1:
            return _alone(table, "has two columns of one name: it may compare several models or sets")
        if not table.header[0].strip() and not support_at:
            return TableReading("")  # its rows may be models: no word says that they are classes
        return _read_classes(table, file, dict(columns), support_at[0] if support_at else None, _spelling(classes))
    return _read_matrix(table, file, _spelling(classes))


def _alone(table: Table, why: str) -> TableReading:
    return TableReading("", unread=f"the table in line {table.line} {why}")


def class_key(name: str) -> str:
    """What two spellings of one class have in common: case, hyphens and the plural do not tell classes apart."""
    key = re.sub(r"[\s_-]+", " ", name.lower()).strip()
    return key[:-1] if len(key) > 3 and key.endswith("s") and not key.endswith("ss") else key


def _spelling(classes: tuple[str, ...]) -> dict[str, str]:
    return {class_key(name): name for name in classes}


def _is(pattern: re.Pattern[str], head: str) -> bool:
    return bool(pattern.fullmatch(re.sub(r"\s*[\[(]\s*%?\s*[\])]|%", "", head).strip()))


def _place(table: Table, file: str, line: int, cells: tuple[str, ...]) -> Place:
    return Place(file, line, " | ".join(cells))


# --- class tables -----------------------------------------------------------------------------


def _read_classes(
    table: Table, file: str, columns: dict[str, int], support_at: int | None, spelling: dict[str, str]
) -> TableReading:
    problems: list[Problem] = []
    for line, cells in table.rows:
        if len(cells) != len(table.header):
            place = _place(table, file, line, cells)
            problems.append(
                Problem(
                    f"the row has {len(cells)} cells under {len(table.header)} column heads; it is not read", (place,)
                )
            )
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    while rows and not any(rows[-1][1][1:]):
        rows.pop()  # a footnote in a row of its own
    if rows and rows[0][1][0] and not any(rows[0][1][1:]):
        rows.pop(0)  # a title in a row of its own
    labels = [class_key(cells[0]) for _, cells in rows if not _NO_CLASS.search(cells[0])]
    if not all(labels) or len(set(labels)) < len(labels) or not all(any(cells[1:]) for _, cells in rows):
        return _alone(table, "has sections or a class twice: it may compare several models or sets")
    if len(labels) > _MOST_CLASSES:
        return _alone(table, f"has {len(labels):,} rows, more classes than are searched")
    percent = {k: _in_percent(table.header[k], [cells[k] for _, cells in rows]) for k in columns.values()}
    classes: list[str] = []
    supports: list[tuple[str, int]] = []
    support_places: list[Place] = []
    counted: list[tuple[str, int, int | None, int | None]] = []
    counted_places: list[Place] = []
    perfect: list[Row] = []
    perfect_places: list[Place] = []
    found: list[Read] = []
    for line, cells in rows:
        place, name = _place(table, file, line, cells), cells[0].strip()
        name = spelling.get(class_key(name), name)
        shares: dict[str, Printed | None] = {}
        support = _count(cells[support_at]) if support_at is not None else None
        average = _AVERAGE.fullmatch(name)
        counts: list[tuple[str, int, int]] = []
        for metric, k in columns.items():
            share, pair = _share(cells[k], percent[k])
            shares[metric] = share
            if share is not None and share.value > 1:
                problems.append(Problem(f"{name}: {metric} {share.text} is not a share of anything", (place,)))
                shares[metric] = None
            if pair is not None:
                if pair[0] > pair[1]:
                    why = f"{name}: {metric} {pair[0]}/{pair[1]} is not a share of anything"
                    problems.append(Problem(why, (place,)))
                    shares[metric] = None
                else:
                    counts.append((metric, *pair))
                    if share is not None and not _prints(pair, share):
                        problems.append(Problem(f"{name}: {metric} {pair[0]}/{pair[1]} is not {share.text}", (place,)))
        if average or _NO_CLASS.search(name):
            found += _average(average, shares, support, place) if average else []
            continue
        if support_at is not None and support is None and cells[support_at].strip().startswith("-"):
            problems.append(Problem(f"{name}: support {cells[support_at]} is not a count", (place,)))
        classes.append(name)
        if support is not None:
            supports.append((name, support))
            support_places.append(place)
        row = Row(name, shares.get("precision"), shares.get("recall"), shares.get("f1"))
        if any(row.shares):
            if row.is_perfect:
                perfect.append(row)
                perfect_places.append(place)
            else:
                found.append(Read(Rows((row,)), (place,)))
        for metric, k, n in counts:
            if metric == "recall":
                counted.append((name, k, n, None))
            elif metric == "precision":
                counted.append((name, k, None, n))
            counted_places.append(place)
    if len(classes) < 2:
        return TableReading("", unread=f"the table in line {table.line} has fewer than two class rows")
    if perfect:
        found.append(Read(Rows(tuple(perfect)), tuple(perfect_places)))
    if supports:
        found.insert(0, Read(Supports(tuple(supports)), tuple(support_places)))
    if counted:
        found.append(Read(ClassCounts(tuple(counted)), tuple(dict.fromkeys(counted_places))))
    return TableReading("classes", tuple(classes), tuple(found), tuple(problems))


def _in_percent(head: str, cells: list[str]) -> bool | None:
    """None: each cell's own % sign decides. Bare numbers from 2 to 100 can only be percent."""
    if "%" in head:
        return True
    bare = [share.value for cell in cells if "%" not in cell and (share := printed(cell)) is not None]
    if bare and max(bare) >= 2 and max(bare) <= 100:
        return True
    return None


def _share(cell: str, percent: bool | None) -> tuple[Printed | None, tuple[int, int] | None]:
    match = _COUNTED.fullmatch(cell.strip())
    if match:
        k, n = whole(match[1]), whole(match[2])
        if match[3]:
            return printed(match[3]), (k, n)
        return (Printed(cell.strip(), Fraction(k, n), Fraction(0)) if 0 <= k <= n and n else None), (k, n)
    return printed(cell, percent=percent), None


def _prints(pair: tuple[int, int], share: Printed) -> bool:
    if pair[1] == 0:
        return False
    exact = Fraction(*pair)
    return any(low <= exact <= high for low, high in (share.band("nearest"), share.band("truncated")))


def _average(match: re.Match[str], shares: dict[str, Printed | None], support: int | None, place: Place) -> list[Read]:
    kind = (match[1] or "").lower()
    given = [share for share in shares.values() if share is not None]
    found: list[Read] = []
    if match[0].lower().endswith("accuracy") or kind == "micro":
        # One number, in whichever column; micro precision, recall and F1 of single labels are the accuracy.
        if given and len({share.value for share in given}) == 1:
            found.append(Read(Accuracy(given[-1]), (place,)))
    elif given:
        content = Averages(kind, shares.get("precision"), shares.get("recall"), shares.get("f1"))
        found.append(Read(content, (place,)))
    if support is not None and support > 0:
        found.append(Read(Size(support), (place,)))
    return found


# --- confusion matrices -----------------------------------------------------------------------


def _read_matrix(table: Table, file: str, spelling: dict[str, str]) -> TableReading:
    heads = [_SIDE.sub("", head.strip()).strip() for head in table.header[1:]]
    names = [_SIDE.sub("", cells[0].strip()).strip() for _, cells in table.rows]
    heads, names = ([spelling.get(class_key(name), name) for name in side] for side in (heads, names))
    if names and names[-1] in ("Total", "total", "Sum", "sum", "All", "all", "Predicted", "predicted"):
        names = names[:-1]
    n = len(names)
    if n < 2 or heads[:n] != names or len(set(names)) != n or len(heads) > n + 1:
        return TableReading("")
    if n > _MOST_CLASSES:
        return _alone(table, f"has {n:,} rows, more classes than are searched")
    corner = table.header[0]
    hints = f"{corner} {table.caption}".lower()
    first_row, first_head = table.rows[0][1][0], table.header[1]
    rows_reference: bool | None = None
    if re.search(r"rows?\W+(?:are\s+)?(?:true|actual|reference|truth)", hints):
        rows_reference = True
    elif re.search(r"rows?\W+(?:are\s+)?pred", hints):
        rows_reference = False
    elif (_REFERENCE.search(first_row) or _PREDICTED.search(first_head)) and not _PREDICTED.search(first_row):
        rows_reference = True
    elif (_PREDICTED.search(first_row) or _REFERENCE.search(first_head)) and not _REFERENCE.search(first_row):
        rows_reference = False
    else:
        true_at, guess_at = _REFERENCE.search(corner), _PREDICTED.search(corner)
        if true_at:
            rows_reference = guess_at is None or true_at.start() < guess_at.start()
        elif guess_at:
            rows_reference = False
    if rows_reference is None:
        return TableReading(
            "",
            tuple(names),
            unread=f"the table in line {table.line} looks like a confusion matrix, but does not say whether its rows "
            "are the reference or the prediction",
        )
    counts: list[list[int]] = []
    sums: list[tuple[str, int]] = []
    for name, (_, cells) in zip(names, table.rows[:n], strict=True):
        total = _count(cells[n + 1]) if len(cells) > n + 1 else None
        row = [_count(cell) for cell in cells[1 : n + 1]]
        if total == 0 and not any(row):
            row = [0] * n
        if len(row) != n or any(cell is None for cell in row):
            return TableReading("", unread=f"row {name!r} of the matrix in line {table.line} is not all counts")
        counts.append([cell for cell in row if cell is not None])
        if total is not None:
            sums.append((name, total))
    whole = [sum(row) for row in counts]
    if _PERCENT.search(hints) or (not sums and n > 1 and all(99 <= total <= 101 for total in whole)):
        return _alone(table, "looks like a confusion matrix in percent, not in counts")
    if not rows_reference:
        counts = [list(column) for column in zip(*counts, strict=True)]
        sums = []
    places = tuple(_place(table, file, line, cells) for line, cells in table.rows[:n])
    found = [Read(Matrix(tuple(names), tuple(map(tuple, counts))), places)]
    if len(sums) == n:
        found.append(Read(Supports(tuple(sums)), places))
    return TableReading("matrix", tuple(names), tuple(found))


# --- tables of sets -----------------------------------------------------------------------------


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


def _read_sets(table: Table, file: str, classes: tuple[str, ...]) -> TableReading:
    found: list[Read] = []
    problems: list[Problem] = []
    names = set_names(table)
    if len(named := [name for name in names if name is not None]) > len(set(named)):
        return _alone(table, "names a set twice: it may compare several models")
    known = _spelling(classes)
    at_class = [(k, known[class_key(head)]) for k, head in enumerate(table.header) if class_key(head) in known]
    at_total = [k for k, head in enumerate(table.header[1:], 1) if _is(_TOTAL, head)]
    at_accuracy = [k for k, head in enumerate(table.header[1:], 1) if _is(re.compile("accuracy", re.I), head)]
    at_correct = [k for k, head in enumerate(table.header[1:], 1) if _is(re.compile("correct", re.I), head)]
    for name, (line, cells) in zip(names, table.rows, strict=True):
        if name is None or len(cells) != len(table.header):
            continue
        place = _place(table, file, line, cells)
        counts = [(label, _count(cells[k])) for k, label in at_class]
        if len(counts) >= 2 and all(count is not None for _, count in counts):
            given = tuple((label, count) for label, count in counts if count is not None)
            found.append(Read(Supports(given), (place,), name))
        for k in at_total[:1]:
            total = _count(cells[k])
            if total is not None:
                found.append(Read(Size(total), (place,), name))
        for k in (*at_accuracy, *at_correct):
            share, pair = _share(
                cells[k], _in_percent(table.header[k], [row[k] for _, row in table.rows if len(row) > k])
            )
            if pair is not None:
                if pair[0] > pair[1]:
                    problems.append(Problem(f"{name}: {pair[0]} correct of {pair[1]}", (place,)))
                    continue
                found += [Read(Size(pair[1]), (place,), name), Read(Errors(pair[1] - pair[0]), (place,), name)]
            if share is not None and (k in at_accuracy or "%" in share.text) and share.unit:
                if share.value > 1:
                    problems.append(Problem(f"{name}: accuracy {share.text} is not a share of anything", (place,)))
                else:
                    found.append(Read(Accuracy(share), (place,), name))
    return TableReading("sets", (), tuple(found), tuple(problems))


def _count(cell: str) -> int | None:
    match = re.fullmatch(_WHOLE, cell.strip())
    return whole(match[0]) if match else None
