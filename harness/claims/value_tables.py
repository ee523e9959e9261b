"""What does a table of names and values state? Each row reads like a line of prose; folds have a mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from harness.claims.cells import Read, TableReading, count, in_percent, is_head, place, share_of
from harness.claims.document import Table
from harness.claims.records import Mean, Printed, Problem, Unread
from harness.claims.spreads import deviations, is_deviation, is_deviation_of, mean_and_spread

_NAMES = re.compile(r"|metrics?|measures?|statistics?|name|key|quantity|indicator|result|score", re.IGNORECASE)
_VALUES = re.compile(r"|values?|results?|scores?|%|percent(?:age)?|performance|metric value", re.IGNORECASE)
_SETS = re.compile(
    r"(?:training|train|validation|val|testing|test|external|held[- ]out|hold[- ]?out)"
    r"(?:[\s-]+(?:set|data|split|score))?",
    re.IGNORECASE,
)
_SCORES = re.compile(
    r"accuracy|sensitivity|specificity|precision|recall|f1|auc|kappa|mcc|npv|ppv|error|tp\b|fp\b|fn\b|tn\b|true|false|"
    r"samples|images|support|correct",
    re.IGNORECASE,
)
_ALL = re.compile(r"(?:(?:number of |no\. of |total )?(?:images|cells|samples)|n|total|support)", re.IGNORECASE)
_RIGHT = re.compile(r"(?:(?:number )?correct(?:ly classified)?|right)(?: (?:images|cells|samples|predictions))?", re.I)
_FOLD = re.compile(r"(?:fold|split|run|seed|repeat|trial|iteration|cv)?\s*[#-]?\s*\d+", re.IGNORECASE)
_MEAN = re.compile(
    r"(?:mean|average|avg\.?|overall mean)(?:\s+(?:of )?\w+)?"
    r"(?:\s*(?:±|\+/-|\(|,)\s*(?:sd|s\.d\.|std\.?|stdev|standard deviation)\)?)?",
    re.IGNORECASE,
)
_SPREAD = re.compile(r"(?:std|sd|stdev|st\.? ?dev\.?|standard deviation|\u03c3|range|min|max)", re.IGNORECASE)
_FOLD_HEADS = re.compile(
    r"(?:cv )?(?:folds?|splits?|runs?|seeds?|repeats?|trials?|iterations?)(?: ?(?:#|no\.?|number))?", re.I
)


def is_value_table(table: Table) -> bool:
    """Names on the left, one value to the right of each, or one for each set of cells."""
    heads = [head.strip(" *`") for head in table.header]
    if not _NAMES.fullmatch(heads[0]):
        return False
    right = heads[1:]
    named = [cells[0] for _, cells in table.rows if cells]
    if not any(_SCORES.search(name) for name in named):
        return False
    return (len(right) == 1 and bool(_VALUES.fullmatch(right[0]))) or all(_SETS.fullmatch(head) for head in right)


def read_values(table: Table, file: str) -> TableReading:
    """Each cell as a line "set name: value"."""
    said: list[tuple[int, str]] = []
    for line, cells in table.rows:
        for head, cell in zip(table.header[1:], cells[1:], strict=False):
            if cell.strip():
                of = f"{head.strip(' *`')} " if _SETS.fullmatch(head.strip(" *`")) else ""
                percent = "%" if "%" in head + cells[0] and "%" not in cell and re.fullmatch(r"[\d.]+", cell) else ""
                said.append((line, f"{of}{cells[0].strip(' *`').replace('(%)', '').strip()}: {cell.strip()}{percent}"))
    return TableReading("values", said=(*said, *_errors_of(table)))


def _errors_of(table: Table) -> Iterator[tuple[int, str]]:
    """ "set errors: n - k" of each column that has a row of the images and one of those that are right."""
    named = {
        pattern: [row for row in table.rows if row[1] and is_head(pattern, row[1][0])] for pattern in (_ALL, _RIGHT)
    }
    if any(len(rows) != 1 for rows in named.values()):
        return
    (_, of_all), (line, right) = named[_ALL][0], named[_RIGHT][0]
    for head, n, k in zip(table.header[1:], of_all[1:], right[1:], strict=False):
        if (all_ := count(n)) is not None and (some := count(k)) is not None and some <= all_:
            of = re.sub(r"[\s-]+(?:set|data|split|score)$", "", head.strip(" *`"), flags=re.IGNORECASE)
            yield line, f"{of} set errors: {all_ - some}" if _SETS.fullmatch(of) else f"errors: {all_ - some}"


def read_means(table: Table, file: str) -> TableReading:
    """A table with a row for each fold and one for their mean: the mean of each column of shares."""
    if not _FOLD_HEADS.fullmatch(table.header[0].strip(" *`")):
        return TableReading("")
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    folds = [(line, cells) for line, cells in rows if _FOLD.fullmatch(cells[0].strip(" *`"))]
    means = [(line, cells) for line, cells in rows if _MEAN.fullmatch(cells[0].strip(" *`"))]
    spread = [(line, cells) for line, cells in rows if _SPREAD.fullmatch(cells[0].strip(" *`"))]
    if len(folds) < 2 or len(means) != 1 or len(folds) + 1 + len(spread) != len(rows):
        return TableReading("")
    found: list[Read] = []
    unread: list[Unread] = []
    problems: list[Problem] = []
    says_deviation = is_deviation(f"{means[0][1][0]} | {table.caption} | {' | '.join(table.header)}")
    for k, head in enumerate(table.header[1:], 1):
        is_share = "%" in head or bool(_SCORES.search(head)) or any("%" in cells[k] for _, cells in folds)
        if not is_share and all(count(cells[k]) is not None for _, cells in folds):
            continue
        percent = in_percent(head, [cells[k] for _, cells in (*folds, *means)])
        both = mean_and_spread(means[0][1][k], percent=percent)
        shares = [share_of(cells[k], percent)[0] for _, cells in folds]
        shares.append(both[0] if both else share_of(means[0][1][k], percent)[0])
        given = [share for share in shares if isinstance(share, Printed) and share.value <= 1]
        if len(given) < len(shares):
            unread.append(
                Unread(f"line {means[0][0]}: the mean of column {head!r} is not of plain shares", means[0][0])
            )
            continue
        names = tuple(cells[0] for _, cells in folds)
        places = tuple(place(file, line, cells) for line, cells in (*folds, *means))
        found.append(Read(Mean(names, tuple(given[:-1]), given[-1]), places))
        stated = [(means[0], both[1])] if both is not None and says_deviation else []
        stated += [(row, s) for row in spread if is_deviation(row[1][0]) and (s := share_of(row[1][k], percent)[0])]
        for (line, cells), deviation in stated:
            if not is_deviation_of(deviation, given[:-1]):
                own = " or ".join(deviation.like(Fraction(float(square) ** 0.5)) for square in deviations(given[:-1]))
                why = f"{head}: standard deviation {deviation.text} of {len(folds)} values that have {own}"
                problems.append(Problem(why, (place(file, line, cells),)))
    return TableReading("means", (), tuple(found), tuple(problems), tuple(unread))
