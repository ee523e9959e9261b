"""What does a printed confusion matrix state, and which of its sides is the reference?"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from harness.claims.cells import Read, TableReading, alone, class_key, count, in_percent, place, share_of
from harness.claims.document import Table
from harness.claims.records import Content, Errors, Matrix, Problem, Size, Supports, Unread, Worked

_MOST_CLASSES = 100
_PERCENT = re.compile(r"\(\s*%|\bin (?:%|per\s?cent|prozent)|\bnormali[sz]ed|\bproportions|\brow-wise", re.IGNORECASE)
_SIDE = re.compile(r"^(?:true|actual|reference|predicted|pred\.?|gt)[\s:_-]+", re.IGNORECASE)
_REFERENCE = re.compile(r"\b(?:true|actual|reference|truth|ground)\b", re.IGNORECASE)
_PREDICTED = re.compile(r"\bpred(?:icted|iction|\.)?\b", re.IGNORECASE)
_RECALL = re.compile(r"recall|sensitivity", re.IGNORECASE)
_ROW_SHARE = re.compile(
    r"(?:recall|sensitivity|precision|ppv|positive predictive value)(?: *[(\[]?%[)\]]?)?", re.IGNORECASE
)
_WITH_SHARE = re.compile(r"(?P<count>\d{1,9})\s*[(\[]\s*(?P<share>\d{1,3}(?:\.\d{1,12})?\s*%)\s*[)\]]")
_SUMS = {"total", "sum", "all", "predicted", "support", "n"}


def read_matrix(table: Table, file: str, spelling: dict[str, str]) -> TableReading:
    if table.header[0] == "[[]]":
        return _read_bare(table, file)
    heads = [_SIDE.sub("", head.strip()).strip() for head in table.header[1:]]
    names = [_SIDE.sub("", cells[0].strip()).strip() for _, cells in table.rows]
    heads, names = ([spelling.get(class_key(name), name) for name in side] for side in (heads, names))
    while names and _is_margin(names[-1]):
        names = names[:-1]
    while len(heads) > len(names) + 1 and _is_margin(heads[-1]):
        heads = heads[:-1]
    n = len(names)
    if n < 2 or len(heads) not in (n, n + 1) or len(set(names)) != n or not _same(heads[:n], names):
        return TableReading("")
    if n > _MOST_CLASSES:
        return alone(table, f"has {n:,} rows, more classes than are searched")
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
            unread=(
                Unread(
                    f"the table in line {table.line} looks like a confusion matrix, but does not say whether its rows "
                    "are the reference or the prediction",
                    table.line,
                ),
            ),
        )
    table, of_cells = _without_shares(table, n)
    counts: list[list[int]] = []
    sums: list[tuple[str, int]] = []
    for name, (_, cells) in zip(names, table.rows[:n], strict=True):
        total = count(cells[n + 1]) if len(cells) > n + 1 else None
        row = [count(cell) for cell in cells[1 : n + 1]]
        if total == 0 and not any(row):
            row = [0] * n
        if len(row) != n or any(cell is None for cell in row):
            return alone(table, f"is a matrix whose row {name!r} is not all counts")
        counts.append([cell for cell in row if cell is not None])
        if total is not None:
            sums.append((name, total))
    whole = [sum(row) for row in counts]
    problems, unread, shares = _margins(table, file, counts, rows_reference)
    printed_counts = [list(row) for row in counts]
    if _PERCENT.search(hints) or (not sums and n > 1 and all(99 <= total <= 101 for total in whole)):
        return alone(table, "looks like a confusion matrix in percent, not in counts")
    if not rows_reference:
        counts = [list(column) for column in zip(*counts, strict=True)]
        sums = _sums_below(table, names)
    shares += _in_cells(table, file, printed_counts, of_cells)
    places = tuple(place(file, line, cells) for line, cells in table.rows[:n])
    found = [Read(Matrix(tuple(names), tuple(map(tuple, counts))), places)]
    if len(sums) == n:
        found.append(Read(Supports(tuple(sums)), places))
    return TableReading("matrix", tuple(names), (*found, *shares), tuple(problems), tuple(unread))


def unspanned(table: Table) -> Table:
    """A matrix under one head over all its columns, and beside one over all its rows, with both heads in its corner."""
    heads, rows = [head.strip() for head in table.header], table.rows
    over = {head for head in heads[2:] if head}
    if len(heads) < 4 or heads[0] or heads[1] or len(over) != 1 or len(rows) < 3:
        return table
    names, body = rows[0][1], rows[1:]
    beside = {cells[0].strip() for _, cells in body if cells}
    if len(names) != len(heads) or names[0] or names[1] or len(beside) != 1:
        return table
    corner = f"{beside.pop()} \\ {over.pop()}"
    return replace(table, header=(corner, *names[2:]), rows=tuple((line, cells[1:]) for line, cells in body))


def _sums_below(table: Table, names: list[str]) -> list[tuple[str, int]]:
    """The supports, where the columns are the reference: the row of sums below the counts."""
    for _, cells in table.rows[len(names) :]:
        if cells[0].lower().strip(" *`:") in _SUMS:
            own = [count(cell.strip(" *`")) for cell in cells[1 : len(names) + 1]]
            return [(name, n) for name, n in zip(names, own, strict=False) if n is not None]
    return []


def _without_shares(table: Table, n: int) -> tuple[Table, list[list[str]]]:
    """A matrix whose cells are "45 (90.0 %)" with its counts alone, and the shares as they were printed."""
    cells = [[_WITH_SHARE.fullmatch(cell.strip(" *`")) for cell in row[1 : n + 1]] for _, row in table.rows[:n]]
    if not all(match for row in cells for match in row):
        return table, []
    counts = [[match["count"] for match in row if match] for row in cells]
    shares = [[match["share"] for match in row if match] for row in cells]
    rows = [(line, (row[0], *own, *row[n + 1 :])) for (line, row), own in zip(table.rows[:n], counts, strict=True)]
    return replace(table, rows=(*rows, *table.rows[n:])), shares


def _in_cells(table: Table, file: str, counts: list[list[int]], shares: list[list[str]]) -> list[Read]:
    """The share in each cell: of its row, its column or all, whichever most of the cells show."""
    if not shares:
        return []
    columns = [sum(column) for column in zip(*counts, strict=True)]
    total = sum(columns)
    wholes: list[Callable[[int, int], int]] = [lambda i, j: sum(counts[i]), lambda i, j: columns[j], lambda i, j: total]
    said = [
        (i, j, share)
        for i, row in enumerate(shares)
        for j, text in enumerate(row)
        if (share := share_of(text, None)[0])
    ]
    fits = [
        [
            (i, j)
            for i, j, share in said
            if 0 < counts[i][j] < whole(i, j) and share.prints(Fraction(counts[i][j], whole(i, j)))
        ]
        for whole in wholes
    ]
    best = max(range(3), key=lambda k: len(fits[k]))
    if len(fits[best]) < 2:
        return []
    found = []
    for i, j, share in said:
        n = wholes[best](i, j)
        if n and not share.is_cut_off(value := Fraction(counts[i][j], n)):
            where = (place(file, *table.rows[i]),)
            found.append(
                Read(Worked(f"{counts[i][j]}/{n}", value, share), where, f"line {where[0].line}, column {j + 1}")
            )
    return found


def _is_margin(name: str) -> bool:
    return name.lower().strip(" *`:%()") in _SUMS or _ROW_SHARE.fullmatch(name.strip(" *`:")) is not None


def _margins(
    table: Table, file: str, counts: list[list[int]], rows_reference: bool
) -> tuple[list[Problem], list[Unread], list[Read]]:
    """What stands right of and below the counts: sums, and the share that the diagonal has in its row or column."""
    problems: list[Problem] = []
    unread: list[Unread] = []
    shares: list[Read] = []
    n = len(counts)
    columns = [list(column) for column in zip(*counts, strict=True)]

    def told(label: str, of_rows: bool, lanes: list[list[int]], cells: list[tuple[int, tuple[str, ...], str]]) -> None:
        is_sum = _is_sum(label)
        share_of_reference = _RECALL.search(label) is not None
        for k, (lane, (line, row, cell)) in enumerate(zip(lanes, cells, strict=False)):
            where, whole = (place(file, line, row),), sum(lane)
            said = count(cell.strip(" *`"))
            if is_sum and said is not None and said != whole and of_rows != rows_reference:
                problems.append(Problem(f"{label}: {said:,}, and its counts add up to {whole:,}", where))
            share, _ = share_of(cell.strip(" *`"), in_percent(label, [text for *_, text in cells]))
            if is_sum or share is None or not whole or not share.unit:
                continue
            if _ROW_SHARE.fullmatch(label.strip(" *`:")) is None or share_of_reference != (of_rows == rows_reference):
                unread.append(Unread(f"line {line}: what {label!r} is a share of is not said", line))
            elif not share.is_cut_off(Fraction(lane[k], whole)):
                value = Fraction(lane[k], whole)
                shares.append(Read(Worked(f"{lane[k]}/{whole}", value, share), where, f"line {line}, {label} {k}"))

    body = [(line, cells) for line, cells in table.rows[:n]]
    for at in range(n + 1, len(table.header)):
        told(table.header[at], True, counts, [(line, row, row[at]) for line, row in body if len(row) > at])
    total = sum(map(sum, counts))
    for line, row in table.rows[n:]:
        told(row[0], False, columns, [(line, row, cell) for cell in row[1 : n + 1]])
        for head, cell in zip(table.header[n + 1 :], row[n + 1 :], strict=False):
            said = count(cell.strip(" *`"))
            if _is_sum(head) and _is_sum(row[0]) and said is not None and said != total:
                problem = f"{row[0]}: {said:,}, and all its counts add up to {total:,}"
                problems.append(Problem(problem, (place(file, line, row),)))
    return problems, unread, shares


def _is_sum(label: str) -> bool:
    return label.lower().strip(" *`:%()") in _SUMS


def _same(heads: list[str], names: list[str]) -> bool:
    """The same classes in the same order; a head may be short for its row's name."""
    pairs = [(head.lower().rstrip("."), name.lower()) for head, name in zip(heads, names, strict=True)]
    if len(set(heads)) < len(heads):
        return False
    return all(
        head == name or (min(len(head), len(name)) >= 2 and (name.startswith(head) or head.startswith(name)))
        for head, name in pairs
    )


def _read_bare(table: Table, file: str) -> TableReading:
    """Counts without names: how many there are and how many are on the diagonal is said in either direction."""
    counts = [[count(cell) for cell in cells[1:]] for _, cells in table.rows]
    if any(cell is None for row in counts for cell in row) or not any(cell for row in counts for cell in row):
        return TableReading("")
    numbers = [[cell or 0 for cell in row] for row in counts]
    total = sum(map(sum, numbers))
    places = tuple(dict.fromkeys(place(file, line, cells) for line, cells in table.rows))
    said: list[Content] = [Size(total), Errors(total - sum(row[i] for i, row in enumerate(numbers)))]
    return TableReading("bare", (), tuple(Read(content, places) for content in said))
