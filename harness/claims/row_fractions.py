"""Which column is the share that another one counts? "48/52" beside "92.3 %", images beside their share of all, errors
beside the accuracy.

What a column means is taken from its rows: where half of them show it, one of these no 0 or 1, every row has to hold;
else it is left. One of many may show it by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.claims.cells import SUPPORT, Read, count, in_percent, is_head, place, share_of
from harness.claims.document import Table
from harness.claims.records import Printed, Worked, whole

_PAIR = re.compile(r"(\d{1,9})\s*(?:/|of)\s*(\d{1,9})")
_NUM = r"\d{1,3}(?:\.\d{1,12})?\s*%?"
# Whether the value lies in it or not.
_INTERVAL = re.compile(rf"\s*[(\[]\s*{_NUM}\s*(?:[-\u2013\u2014,;]|to)\s*{_NUM}\s*[)\]]$")
_SHARE_HEAD = re.compile(r"(?:share|proportion|fraction|percent(?:age)?|%|% of (?:total|all|images))", re.IGNORECASE)
_TOTAL = re.compile(r"(?:grand )?total|sum|all", re.IGNORECASE)
_ACCURACY = re.compile(r"(?:(?:val(?:id(?:ation)?)?|test|train(?:ing)?)[ _])?acc(?:uracy)?", re.IGNORECASE)
_ERROR = re.compile(r"(?:(?:val(?:id(?:ation)?)?|test|train(?:ing)?)[ _])?error[ _]rate", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Beside:
    line: int
    cells: tuple[str, ...]
    made: str
    value: Fraction
    share: Printed


def read_fractions(table: Table, file: str) -> Iterator[Read]:
    """Each share that its row, or the total of the table, decides."""
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    for k, beside in (*_pairs(table, rows), *_of_total(table, rows), *_complements(table, rows)):
        shown = [each for each in beside if each.share.prints(each.value)]
        if 2 * len(shown) < len(beside) or not any(0 < each.value < 1 for each in shown):
            continue
        for each in beside:
            if not each.share.is_cut_off(each.value):
                content = Worked(each.made, each.value, each.share)
                where = (place(file, each.line, each.cells),)
                yield Read(content, where, f"line {each.line}, {table.header[k]}")


def _shares(
    table: Table, k: int, rows: Sequence[tuple[int, tuple[str, ...]]]
) -> list[tuple[int, tuple[str, ...], Printed]]:
    plain = [_INTERVAL.sub("", cells[k].strip(" *`")) for _, cells in rows]
    percent = in_percent(table.header[k], plain)
    read = [(line, cells, share_of(cell, percent)) for (line, cells), cell in zip(rows, plain, strict=True)]
    return [
        (line, cells, share)
        for line, cells, (share, pair) in read
        if share is not None and pair is None and share.unit and share.value <= 1
        if "%" in table.header[k] or re.search(r"[%.,]", share.text)  # a bare count is not a share
    ]


def _pairs(table: Table, rows: Sequence[tuple[int, tuple[str, ...]]]) -> Iterator[tuple[int, list[_Beside]]]:
    """A column of k/n, and each column of shares."""
    at = [
        k
        for k in range(1, len(table.header))
        if rows and all(_PAIR.fullmatch(cells[k].strip(" *`")) for _, cells in rows)
    ]
    if len(at) != 1:
        return
    for k in range(1, len(table.header)):
        if k == at[0]:
            continue
        beside = []
        for line, cells, share in _shares(table, k, rows):
            match = _PAIR.fullmatch(cells[at[0]].strip(" *`"))
            if match is not None and whole(match[2]):
                right, n = whole(match[1]), whole(match[2])
                beside.append(_Beside(line, cells, f"{right}/{n}", Fraction(right, n), share))
        yield k, beside


def _of_total(table: Table, rows: Sequence[tuple[int, tuple[str, ...]]]) -> Iterator[tuple[int, list[_Beside]]]:
    """Counts that add up to a last row, and their shares of it."""
    counts = [k for k, head in enumerate(table.header) if k and is_head(SUPPORT, head)]
    shares = [k for k, head in enumerate(table.header) if k and _SHARE_HEAD.fullmatch(head.strip(" *`:()"))]
    if len(counts) != 1 or len(shares) != 1 or len(rows) < 3 or not _TOTAL.fullmatch(rows[-1][1][0].strip(" *`:")):
        return
    numbers = [count(cells[counts[0]].strip(" *`")) for _, cells in rows]
    if None in numbers or not numbers[-1] or sum(n or 0 for n in numbers[:-1]) != numbers[-1]:
        return  # a class may be left out, and then nothing here is called consistent
    of = dict(zip((line for line, _ in rows), numbers, strict=True))
    total = numbers[-1]
    beside = [
        _Beside(line, cells, f"{of[line]}/{total}", Fraction(of[line] or 0, total), share)
        for line, cells, share in _shares(table, shares[0], rows)
    ]
    yield shares[0], beside


def _complements(table: Table, rows: Sequence[tuple[int, tuple[str, ...]]]) -> Iterator[tuple[int, list[_Beside]]]:
    """An accuracy and an error rate in one row."""
    accuracy = [k for k, head in enumerate(table.header) if k and is_head(_ACCURACY, head)]
    error = [k for k, head in enumerate(table.header) if k and is_head(_ERROR, head)]
    if len(accuracy) != 1 or len(error) != 1:
        return
    of = {line: share for line, _, share in _shares(table, accuracy[0], rows)}
    beside = [
        _Beside(line, cells, f"1 - {of[line].text}", 1 - of[line].value, share)
        for line, cells, share in _shares(table, error[0], rows)
        if line in of and of[line].unit <= share.unit
    ]
    yield error[0], beside
