"""Which shares of a row follow from the counts in it? TP, FP, FN and TN, or how many are right of how many.

Each row is a question by itself, whether it is a model, a class, a fold or a site. What a column means is taken from
its rows: where no row fits the usual meaning, the column may be of another average, and is told, not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from harness.claims.binary import MADE_OF, VALUES, Four
from harness.claims.cells import METRICS, SUPPORT, Read, count, in_percent, is_head, place, share_of
from harness.claims.document import Table
from harness.claims.records import Printed, Problem, Unread, Worked

_COUNTS = {
    "tp": re.compile(r"TPs?|true[\s-]positives?(?: *\(TP\))?", re.IGNORECASE),
    "fp": re.compile(r"FPs?|false[\s-]positives?(?: *\(FP\))?", re.IGNORECASE),
    "fn": re.compile(r"FNs?|false[\s-]negatives?(?: *\(FN\))?", re.IGNORECASE),
    "tn": re.compile(r"TNs?|true[\s-]negatives?(?: *\(TN\))?", re.IGNORECASE),
}
_ACCURACY = re.compile(r"(?:test |overall |class )?acc(?:uracy|\.)?", re.IGNORECASE)
_SHARES = {
    "precision": METRICS["precision"],
    "sensitivity": METRICS["recall"],
    "f1": METRICS["f1"],
    "specificity": METRICS["specificity"],
    "npv": METRICS["npv"],
    "accuracy": _ACCURACY,
    "balanced accuracy": re.compile(r"balanced[\s-]acc(?:uracy|\.)?", re.IGNORECASE),
    "mcc": re.compile(r"MCC", re.IGNORECASE),
    "kappa": re.compile(r"(?:cohen'?s )?kappa|\u03ba", re.IGNORECASE),
}
_NUMBER = r"(?:(?:no\.?|number|#|n) ?(?:of )?)?"
_THINGS = r"(?: (?:images|cells|samples|predictions|cases|slides|patients|tiles))?"
RIGHT = re.compile(
    rf"{_NUMBER}(?:correct(?:ly)?(?: (?:classified|predicted|identified))?{_THINGS}|right|hits)", re.IGNORECASE
)
WRONG = re.compile(
    rf"{_NUMBER}(?:errors?|misclassified|misclassifications?|mistakes|wrong|incorrect){_THINGS}", re.IGNORECASE
)
OF = re.compile(rf"{_NUMBER}(?:total|all|of|images|cells|samples|cases|slides|patients|tiles|n|size)", re.IGNORECASE)
_OF_MANY = re.compile(
    r"^(?P<head>[^(\[]*?)\s*[(\[]?\s*(?:out )?of\s+(?P<n>\d{1,3}(?:[,']\d{3})+|\d{1,9})\s*[)\]]?$", re.IGNORECASE
)
_SUMS_UP = re.compile(
    r"\b(?:mean|average[ds]?|avg|macro|micro|weighted|median|std|sd|total|overall|all|sum|pooled)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class RowReading:
    """columns: those whose every share was put beside its counts."""

    found: tuple[Read, ...] = ()
    problems: tuple[Problem, ...] = ()
    unread: tuple[Unread, ...] = ()
    columns: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Cell:
    """One share and what it would be; other: what it would be with the answers exchanged, else the same."""

    line: int
    cells: tuple[str, ...]
    share: Printed
    value: Fraction
    made: str
    other: Fraction | None = None

    @property
    def fits(self) -> bool:
        return self.share.prints(self.value)


def read_rows(table: Table, file: str, *, of_answers_alone: bool = False) -> RowReading:
    """Shares that follow from the counts in their row, and columns whose meaning no row settles.

    Args:
        of_answers_alone: how many are right of how many is read elsewhere.
    >>> table = Table(1, "", ("Model", "TP", "FN", "Recall"), ((2, ("a", "9", "1", "0.90")),), None)
    >>> [str(read.content) for read in read_rows(table, "").found]
    ['9/(9 + 1) = 0.90']
    """
    table = turned_counts(table)
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    own = [(line, cells) for line, cells in rows if not _SUMS_UP.search(cells[0])]
    found: list[Read] = []
    unread: list[Unread] = []
    columns: set[int] = set()
    problems = [] if of_answers_alone else list(_sums(table, file, rows))
    for k, name, cells in (*_of_answers(table, own), *(() if of_answers_alone else _of_right(table, rows))):
        bad = [cell for cell in cells if not cell.fits]
        tells = any(cell.fits and 0 < cell.value < 1 for cell in cells)
        exchanged = bool(bad) and all(cell.other is not None and cell.share.prints(cell.other) for cell in cells)
        if bad and not tells and (exchanged or name not in ("accuracy", "sensitivity", "specificity")):
            unread.append(
                Unread(
                    f"the table in line {table.line}: what {table.header[k]!r} is a share of is not said", table.line
                )
            )
            continue
        columns.add(k)
        for cell in cells:
            if cell.share.is_cut_off(cell.value):
                continue
            where = (place(file, cell.line, cell.cells),)
            found.append(Read(Worked(cell.made, cell.value, cell.share), where, f"line {cell.line}, {table.header[k]}"))
    return RowReading(tuple(found), tuple(problems), tuple(unread), frozenset(columns))


def turned_counts(table: Table) -> Table:
    """The same table with a model a row, where it has one a column and its rows are named TP, FP, FN, TN."""
    names = [cells[0].strip(" *`:") if cells else "" for _, cells in table.rows]
    if sum(any(is_head(pattern, name) for name in names) for pattern in _COUNTS.values()) < 2:
        return table
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    if len(rows) < len(table.rows):
        return table
    turned = tuple(
        (table.line, (table.header[k], *(cells[k].strip(" *`") for _, cells in rows)))
        for k in range(1, len(table.header))
    )
    return replace(table, header=("", *names), rows=turned)


def _of_answers(table: Table, rows: Sequence[tuple[int, tuple[str, ...]]]) -> Iterator[tuple[int, str, list[_Cell]]]:
    at = {name: _only(table, pattern) for name, pattern in _COUNTS.items()}
    given = {name: k for name, k in at.items() if k is not None}
    if len(given) < 2:
        return
    for name, pattern in _SHARES.items():
        k = _only(table, pattern)
        needs = MADE_OF.get(name, set(_COUNTS))
        if k is None or not needs <= given.keys():
            continue
        cells = []
        for line, row, share in _shares(table, k, rows):
            counts = {each: count(row[column]) for each, column in given.items()}
            if any(n is None for n in counts.values()):
                continue
            four = Four(*(counts.get(each) or 0 for each in _COUNTS))
            value, other = VALUES[name](four), VALUES[name](Four(four.tn, four.fn, four.fp, four.tp))
            if value is not None:
                cells.append(_Cell(line, row, share, value, _made(name, four), other if len(given) == 4 else None))
        if cells:
            yield k, name, cells


def _of_right(table: Table, rows: Sequence[tuple[int, tuple[str, ...]]]) -> Iterator[tuple[int, str, list[_Cell]]]:
    """Accuracies beside how many are right, or wrong, of how many."""
    k = _only(table, _ACCURACY)
    columns = _right_and_all(table)
    if k is None or columns is None:
        return
    cells = []
    for line, row, share in _shares(table, k, rows):
        pair = _pair(row, columns)
        if pair is not None:
            cells.append(_Cell(line, row, share, Fraction(*pair), f"{pair[0]}/{pair[1]}"))
    if cells:
        yield k, "right", cells


@dataclass(frozen=True, slots=True)
class _Columns:
    """of: the column of all, or its number where the head says it ("Errors (of 300)")."""

    some: int
    is_wrong: bool
    of: int | None
    n: int | None


def _right_and_all(table: Table) -> _Columns | None:
    heads = [head.strip(" *`:") for head in table.header]
    many = [_OF_MANY.match(head) for head in heads]
    plain = [match["head"] if match else head for match, head in zip(many, heads, strict=True)]
    right = [k for k, head in enumerate(plain) if k and is_head(RIGHT, head)]
    wrong = [k for k, head in enumerate(plain) if k and is_head(WRONG, head)]
    of = [k for k, head in enumerate(heads) if k and (is_head(OF, head) or is_head(SUPPORT, head))]
    some = right or wrong
    if len(some) != 1 or len(of) > 1 or "%" in heads[some[0]]:
        return None
    match = many[some[0]]
    n = int(re.sub(r"\D", "", match["n"])) if match else None
    return _Columns(some[0], not right, of[0] if of else None, n) if (of or n) else None


def _pair(row: tuple[str, ...], columns: _Columns) -> tuple[int, int] | None:
    k, n = count(row[columns.some]), columns.n if columns.of is None else count(row[columns.of])
    if k is None or not n or k > n:
        return None
    return (n - k if columns.is_wrong else k), n


def _sums(table: Table, file: str, rows: Sequence[tuple[int, tuple[str, ...]]]) -> Iterator[Problem]:
    """A row of the whole whose counts of all add up and whose right ones do not, or the other way round."""
    columns = _right_and_all(table)
    if columns is None or columns.of is None or len(rows) < 3 or not _SUMS_UP.search(rows[-1][1][0]):
        return
    if any(_SUMS_UP.search(cells[0]) for _, cells in rows[:-1]) or re.search(
        r"\b(?:mean|av\w+|macro|median|st?d)\b", rows[-1][1][0], re.I
    ):
        return
    counts = [[count(cells[k]) for _, cells in rows] for k in (columns.some, columns.of)]
    if any(n is None for column in counts for n in column):
        return
    sums = [(sum(n or 0 for n in column[:-1]), column[-1] or 0) for column in counts]
    if (sums[0][0] == sums[0][1]) != (sums[1][0] == sums[1][1]):
        total, said = next(pair for pair in sums if pair[0] != pair[1])
        line, cells = rows[-1]
        yield Problem(
            f"{cells[0].strip(' *')}: {said:,}, and the rows add up to {total:,}", (place(file, line, cells),)
        )


def _only(table: Table, pattern: re.Pattern[str]) -> int | None:
    found = [k for k, head in enumerate(table.header) if k and is_head(pattern, head)]
    return found[0] if len(found) == 1 else None


def _shares(
    table: Table, k: int, rows: Sequence[tuple[int, tuple[str, ...]]]
) -> Iterator[tuple[int, tuple[str, ...], Printed]]:
    percent = in_percent(table.header[k], [cells[k] for _, cells in rows])
    for line, cells in rows:
        share, _ = share_of(cells[k].strip(" *`"), percent)
        if share is not None and share.value <= 1 and share.unit:
            yield line, cells, share


def _made(name: str, four: Four) -> str:
    tp, fp, fn, tn = four.tp, four.fp, four.fn, four.tn
    return {
        "sensitivity": f"{tp}/({tp} + {fn})",
        "specificity": f"{tn}/({tn} + {fp})",
        "precision": f"{tp}/({tp} + {fp})",
        "npv": f"{tn}/({tn} + {fn})",
        "f1": f"2 x {tp}/(2 x {tp} + {fp} + {fn})",
        "accuracy": f"({tp} + {tn})/{four.n}",
    }.get(name, f"{name} of TP {tp}, FP {fp}, FN {fn}, TN {tn}")
