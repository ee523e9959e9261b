"""Which row or column of a table is the mean of the others, and is it? Classes by models, folds by metrics.

"Mean" and "Average" may be weighted. So either the name says that it is not ("macro average"), or one row or column
shows that plain means are printed, and then all of them have to be; else what they are is told, not judged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.claims.cells import Read, TableReading, count, in_percent, place, share_of
from harness.claims.closed import holds_alone
from harness.claims.document import Table
from harness.claims.records import Mean, Place, Printed, Unread

_MEAN = re.compile(
    r"(?P<macro>(?:macro|unweighted)[\s-]+)?(?:mean|average|avg\.?)(?:\s+(?:over|of|across)\s[\w\s]+)?", re.I
)
_SUMMARY = re.compile(
    r"\b(?:mean|average|avg|median|total|overall|all|sum|std|sd|min|max|weighted|micro|macro)\b", re.I
)
_AREA = re.compile(r"\bAU(?:RO)?C\b|\barea\b", re.IGNORECASE)
_RESULT = re.compile(
    r"accurac|recall|sensitivit|specificit|precision|\bf1|f-score|dice|iou|auc|auroc|score|kappa|mcc", re.IGNORECASE
)
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class _Lane:
    """name: of the column, or row; mean: as printed; where: the places of all of them."""

    name: str
    of: tuple[str, ...]
    shares: tuple[Printed, ...]
    mean: Printed
    where: tuple[Place, ...]

    @property
    def content(self) -> Mean:
        return Mean(self.of, self.shares, self.mean)

    @property
    def tells(self) -> bool:
        return len({share.value for share in self.shares}) > 1 and holds_alone(self.content, "nearest")


def read_mean_lanes(table: Table, file: str) -> TableReading:
    """The means in the last row, or else in the last column; of kind "" where there is none."""
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    if len(rows) < len(table.rows) or len(table.header) < 2 or not rows:
        return TableReading("")
    text = " ".join((table.caption, *table.header, *(cells[0] for _, cells in rows)))
    if not _RESULT.search(text):
        return TableReading("")
    names = [_plain(cells[0]) for _, cells in rows]
    heads = [_plain(head) for head in table.header]
    if (match := _mean_at(names)) is not None:
        lanes = [_of_column(table, file, rows, k) for k in range(1, len(heads))]
    elif (match := _mean_at(heads[1:])) is not None:
        lanes = [_of_row(table, file, rows, r) for r in range(len(rows))]
    else:
        return TableReading("")
    found = [lane for lane in lanes if lane is not None]
    if not found:
        return TableReading("")
    is_area = any(_AREA.search(f"{table.caption} {lane.name}") for lane in found)  # of the mean curve, as often
    if not ((match["macro"] and not is_area) or any(lane.tells for lane in found)):
        why = f"the table in line {table.line}: what {match[0]!r} is the mean of is not said"
        return TableReading("", unread=(Unread(why, table.line),))
    reads = tuple(Read(lane.content, lane.where, f"table in line {table.line}, {lane.name}") for lane in found)
    return TableReading("means", (), reads)


def _mean_at(names: list[str]) -> re.Match[str] | None:
    """The last of the names where it is a mean, and the only one that sums up."""
    if len(names) <= _FEWEST or any(_SUMMARY.search(name) for name in names[:-1]):
        return None
    return _MEAN.fullmatch(names[-1])


def _of_column(table: Table, file: str, rows: list[tuple[int, tuple[str, ...]]], k: int) -> _Lane | None:
    cells = [_plain(row[k]) for _, row in rows]
    shares = _shares(table.header[k], cells)
    if shares is None:
        return None
    of = tuple(_plain(row[0]) for _, row in rows[:-1])
    where = tuple(place(file, line, row) for line, row in rows)
    return _Lane(_plain(table.header[k]), of, shares[:-1], shares[-1], where)


def _of_row(table: Table, file: str, rows: list[tuple[int, tuple[str, ...]]], r: int) -> _Lane | None:
    line, row = rows[r]
    shares = _shares(" ".join(table.header), [_plain(cell) for cell in row[1:]])
    if shares is None:
        return None
    of = tuple(map(_plain, table.header[1:-1]))
    return _Lane(_plain(row[0]), of, shares[:-1], shares[-1], (place(file, line, row),))


def _shares(head: str, cells: list[str]) -> tuple[Printed, ...] | None:
    """All cells as shares of one unit; None where one is none, or all are counts."""
    if all(count(cell) is not None for cell in cells) or len({"%" in cell for cell in cells}) > 1:
        return None
    percent = in_percent(head, cells)
    shares = [share_of(cell, percent)[0] for cell in cells]
    given = [share for share in shares if share is not None and share.value <= 1 and share.unit]
    return tuple(given) if len(given) == len(cells) else None


def _plain(text: str) -> str:
    return text.strip(" *`_:")
