"""What does a table of a report state? Which of the forms it has: classes, a matrix, sets, values; else left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from harness.claims.cells import (
    METRICS,
    SUPPORT,
    Read,
    TableReading,
    alone,
    class_key,
    count,
    in_percent,
    is_head,
    metric_of,
    place,
    prints,
    share_of,
    spelling,
)
from harness.claims.compared import read_compared
from harness.claims.count_sums import sum_problems
from harness.claims.document import Table
from harness.claims.f1_bounds import f1_problems, rows_of_means
from harness.claims.matrices import read_matrix, unspanned
from harness.claims.means_of_lanes import read_mean_lanes
from harness.claims.records import (
    Accuracy,
    Averages,
    ClassCounts,
    Errors,
    Mean,
    Place,
    Printed,
    Problem,
    Row,
    Rows,
    Size,
    Supports,
    Unread,
)
from harness.claims.row_counts import read_rows
from harness.claims.row_fractions import read_fractions
from harness.claims.set_tables import is_set_table, read_sets
from harness.claims.subjects import subject_of
from harness.claims.two_by_two import read_two_by_two
from harness.claims.value_tables import is_value_table, read_means, read_values

_CLASS_HEADS = re.compile(
    r"|class(?:es)?|labels?|(?:white )?(?:blood )?cells?(?: (?:type|class|name))?|"
    r"cell[ _-]?type|types?|categor(?:y|ies)|leu[ck]ocytes?(?: type)?|class name|target|entit(?:y|ies)(?: type)?|tags?",
    re.IGNORECASE,
)
# What rows of results are about where they are not about classes: their shares are means of a kind that is not said.
NO_CLASS_HEADS = re.compile(
    r"\b(?:models?|methods?|approach(?:es)?|algorithms?|classifiers?|architectures?|backbones?|networks?|nets?|runs?|"
    r"folds?|seeds?|experiments?|exp|epochs?|steps?|thresholds?|config\w*|variants?|settings?|datasets?|data|sets?|"
    r"splits?|systems?|baselines?|techniques?|estimators?|features?|embeddings?|encoders?|versions?|ablations?|papers?|"
    r"authors?|works?|stud(?:y|ies)|references?|ref|years?|averages?|averaging|metrics?|tasks?|domains?|corpus|"
    r"corpora|benchmarks?|stages?|phases?|loss(?:es)?|optimi[sz]ers?|preprocessing|augmentations?|levels?|sizes?|"
    r"batch(?:es)?|lr|learning rate|k|llms?|prompts?|iterations?|rounds?|trials?|hospitals?|sites?|cent(?:er|re)s?|"
    r"cohorts?|patients?|subjects?|users?|languages?|lang|scenarios?|cases?|conditions?|strateg(?:y|ies)|pipelines?|"
    r"vectori[sz]ers?|kernels?|samplings?|resampling|parameters?|params|groups?|source|test|train\w*|validation|"
    r"readers?|raters?|annotators?|devices?|scanners?|checkpoints?|ckpt|tools?|engines?|detectors?)\b",
    re.IGNORECASE,
)
_AVERAGE = re.compile(
    r"(?:overall |micro |total |test )?accuracy|(macro|weighted|micro|samples?)[-_ ]*(?:avg\.?|average|mean|averaged)?|"
    r"avg(?:\.|erage)? ?/ ?total",
    re.IGNORECASE,
)
# Any other row of such a name sums up too: it is not a class, and what it is the mean of is not said.
_NO_CLASS = re.compile(
    r"\b(?:accuracy|macro|micro|weighted|overall|total|sum|mean|average[ds]?|avg|samples avg|(?-i:[Aa]ll)|"  # ALL: ill
    r"gesamt|summe|mittelwert|mittel|durchschnitt|genauigkeit)\b",
    re.IGNORECASE,
)
_CORRECT = re.compile(
    r"(?:(?:no\.?|number|#) ?(?:of )?)?(?:correct(?:ly)?(?: (?:classified|predicted|identified))?|right|hits)",
    re.IGNORECASE,
)
_TOTAL = re.compile(r"total|all|of", re.IGNORECASE)
_ACCURACY = re.compile(r"(?:class )?acc(?:uracy|\.)?|correct \(?%\)?|rate", re.IGNORECASE)
_WHOLE = re.compile(r"(?:grand )?total|overall|all(?: classes)?|sum", re.IGNORECASE)
_ENTITIES = {"per", "loc", "org", "misc", "person", "location", "organization", "gpe", "date", "o"}
_ENTITY_HEADS = re.compile(r"entit|\btags?\b|slot|span|finding|patholog", re.IGNORECASE)
_MOST_CLASSES = 100  # in one table; more are a list of something else, or too much to search


def read_table(table: Table, file: str, classes: tuple[str, ...]) -> TableReading:
    """What the table states as a whole, and what the counts in each of its rows say of its shares.

    Args:
        classes: class names known from other tables, whose spelling is taken; a table of sets has them as columns.
    """
    if len(table.header) < 2 or not table.rows:
        return TableReading("")
    table = _spelled_out(unspanned(table))
    reading = _read_table(table, file, classes)
    if reading.kind not in ("classes", "matrix"):
        reading = replace(reading, problems=(*reading.problems, *sum_problems(table, file)))
    if not reading.kind and (means := read_mean_lanes(table, file)) and (means.found or means.unread):
        reading = replace(reading, kind=means.kind, found=means.found, unread=(*reading.unread, *means.unread))
    rows = read_rows(table, file, of_answers_alone=reading.kind in ("classes", "sets"))
    if reading.kind in ("", "compared") and not rows.found and (fractions := tuple(read_fractions(table, file))):
        reading = replace(reading, kind=reading.kind or "rows", found=(*reading.found, *fractions))
    if reading.kind in ("", "means") and not rows.found:  # with counts beside them they are decided
        reading = replace(reading, problems=(*reading.problems, *f1_problems(rows_of_means(table), file)))
    if reading.kind == "matrix" or not (rows.found or rows.problems or rows.unread):
        return reading
    known = {k for k, head in enumerate(table.header) if metric_of(head) or is_head(_ACCURACY, head)}
    unread = () if rows.found and not reading.kind and known <= rows.columns else reading.unread
    return replace(
        reading,
        kind=reading.kind or "rows",
        found=(*reading.found, *rows.found),
        problems=(*reading.problems, *rows.problems),
        unread=(*unread, *rows.unread),
    )


def _read_table(table: Table, file: str, classes: tuple[str, ...]) -> TableReading:
    if is_set_table(table):
        return read_sets(table, file, classes)
    if (matrix := read_matrix(table, file, spelling(classes))).kind == "matrix":
        return matrix  # with recalls beside it, too
    if (four := read_two_by_two(table, file)).kind:
        return four
    if (turned := _turned(table)) is not None:
        return _read_table(turned, file, classes)
    if is_value_table(table):
        return read_values(table, file)
    columns = _columns(table)
    if not columns and (means := read_means(table, file)).found:
        return means
    counted = _counted_columns(table)
    if not columns and counted is not None and _CLASS_HEADS.fullmatch(table.header[0].strip(" *`:") or "?"):
        return _Classes(table, file, {}, counted.of, spelling(classes), counted).read()
    if not columns:
        compared = read_compared(table)
        return compared if compared is not None else read_matrix(table, file, spelling(classes))
    columns, twice = _once(table, columns, file)
    support_at = [k for k, head in enumerate(table.header) if k and is_head(SUPPORT, head)]
    if len({name for name, _ in columns}) < len(columns) or len(support_at) > 1:
        return alone(table, "has two columns of one name: it may compare several models or sets")
    known = set(spelling(classes))
    if (why := _why_no_classes(table, bool(support_at), known)) is not None:
        means, compared = read_means(table, file), read_compared(table)
        if means.found:
            return means
        left = alone(table, why) if len(columns) > 1 else TableReading("")
        return left if compared is None else replace(left, said=compared.said)
    at = support_at[0] if support_at else None
    reading = _Classes(table, file, dict(columns), at, spelling(classes), counted if at is not None else None).read()
    return replace(reading, problems=(*reading.problems, *twice))


def _spelled_out(table: Table) -> Table:
    """The same table with "P" and "R" as precision and recall, where an F1 stands beside them: alone they may be a
    p-value and a correlation."""
    heads = [head.strip(" *`:()%") for head in table.header]
    if {"P", "R"} <= set(heads) and any(metric_of(head) == "f1" for head in heads):
        names = {"P": "precision", "R": "recall"}
        header = tuple(
            head.replace(plain, names.get(plain, plain)) for head, plain in zip(table.header, heads, strict=True)
        )
        return replace(table, header=header)
    return table


def _once(table: Table, columns: list[tuple[str, int]], file: str) -> tuple[list[tuple[str, int]], list[Problem]]:
    """Each metric once where it stands under two of its names ("TPR", "Recall"), and the rows in which they differ."""
    kept: dict[str, int] = {}
    problems: list[Problem] = []
    for name, k in columns:
        first = kept.setdefault(name, k)
        if first == k:
            continue
        heads = [table.header[at].strip(" *`:") for at in (first, k)]
        if heads[0].lower() == heads[1].lower() or name == "f1":
            return columns, []  # of two models, or sets; and an F-score need not be F1
        every = [cells for _, cells in table.rows if len(cells) == len(table.header)]
        percent = [in_percent(table.header[at], [cells[at] for cells in every]) for at in (first, k)]
        for line, cells in table.rows:
            both = [share_of(cells[at], of)[0] for at, of in zip((first, k), percent, strict=True) if at < len(cells)]
            one, other = both if len(both) == 2 else (None, None)
            if one is not None and other is not None and abs(one.value - other.value) > max(one.unit, other.unit):
                why = f"{cells[0]}: {heads[0]} {one.text} and {heads[1]} {other.text} are two names of one share"
                problems.append(Problem(why, (place(file, line, cells),)))
    return list(kept.items()), problems


@dataclass(frozen=True, slots=True)
class _Counted:
    """Columns of a class table: how many are right, of how many, and what share that is said to be."""

    right: int
    of: int
    share: int | None


def _counted_columns(table: Table) -> _Counted | None:
    heads = list(enumerate(table.header))[1:]
    right = [k for k, head in heads if is_head(_CORRECT, head)]
    of = [k for k, head in heads if is_head(SUPPORT, head) or is_head(_TOTAL, head)]
    share = [k for k, head in heads if is_head(_ACCURACY, head)]
    if len(right) != 1 or len(of) != 1 or len(share) > 1:
        return None
    return _Counted(right[0], of[0], share[0] if share else None)


def _columns(table: Table) -> list[tuple[str, int]]:
    return [(name, k) for name in METRICS for k, head in enumerate(table.header) if k and is_head(METRICS[name], head)]


def _why_no_classes(table: Table, has_support: bool, known: set[str]) -> str | None:
    """Why the rows may be models, runs or sets; None where they are classes."""
    head = table.header[0].strip(" *`:")
    names = [cells[0].strip() for _, cells in table.rows if cells]
    if {class_key(name) for name in names if name} & known:
        return None
    averages = any(_AVERAGE.fullmatch(name) for name in names)
    if NO_CLASS_HEADS.search(head):
        return f"has rows by {head.lower()}: what its shares are means of is not said"
    if _CLASS_HEADS.fullmatch(head) and head:
        return None
    if not (has_support or averages):
        if not head:
            return "does not say that its rows are classes"
        if any(subject_of(name) for name in names):
            return "has rows that may be models: what their shares are means of is not said"
    return None


def _turned(table: Table) -> Table | None:
    """The same table with a class a row, where it has one a column."""
    names = [cells[0] for _, cells in table.rows if cells]
    metrics = [metric_of(name) for name in names]
    has_support = any(is_head(SUPPORT, name) for name in names)
    if len([metric for metric in metrics if metric]) < 2 or len(table.header) < 3:
        return None
    heads = table.header[1:]
    if any(metric_of(head) for head in heads):
        return None
    averaged = any(_AVERAGE.fullmatch(head.strip()) for head in heads)
    if not (has_support or averaged or _CLASS_HEADS.fullmatch(table.header[0].strip(" *`:") or "?")):
        return None
    rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
    turned = tuple((table.line, (heads[k].strip(), *(cells[k + 1] for _, cells in rows))) for k in range(len(heads)))
    return replace(table, header=("Class", *(cells[0] for _, cells in rows)), rows=turned)


@dataclass
class _Classes:
    """The reading of one class table."""

    table: Table
    file: str
    columns: dict[str, int]
    support_at: int | None
    spelling: dict[str, str]
    counted_at: _Counted | None = None

    def read(self) -> TableReading:
        table = self.table
        self.problems: list[Problem] = []
        self.unread: list[Unread] = []
        rows = self._rows()
        labels = [class_key(cells[0]) for _, cells in rows if not _sums_up(cells[0])]
        if not all(labels) or len(set(labels)) < len(labels) or not all(any(cells[1:]) for _, cells in rows):
            return alone(table, "has sections or a class twice: it may compare several models or sets")
        if len(labels) > _MOST_CLASSES:
            return alone(table, f"has {len(labels):,} rows, more classes than are searched")
        own = [cells for _, cells in rows if not _sums_up(cells[0])]
        self.percent = {k: in_percent(table.header[k], [cells[k] for cells in own]) for k in self.columns.values()}
        self.found: list[Read] = []
        self.classes: list[str] = []
        self.supports: list[tuple[str, int]] = []
        self.support_places: list[Place] = []
        self.counted: list[tuple[str, int, int | None, int | None]] = []
        self.counted_places: list[Place] = []
        self.rows: list[tuple[Row, Place]] = []
        self.perfect: list[tuple[Row, Place]] = []
        self.worked: list[tuple[bool, bool, Problem]] = []  # whether it fits, and whether it tells anything if so
        for line, cells in rows:
            self._row(line, cells)
        self._compare_worked()
        self._accuracies_of_classes(rows)
        if not self.classes or (len(self.classes) < 2 and not self.supports):
            return alone(table, "has fewer than two class rows")
        return TableReading(
            "classes",
            tuple(self.classes),
            tuple(self._gathered()),
            tuple(self.problems),
            tuple(self.unread),
            self._has_some() or not any(isinstance(read.content, Accuracy) for read in self.found),
            self._has_some(),
        )

    def _rows(self) -> list[tuple[int, tuple[str, ...]]]:
        table = self.table
        for line, cells in table.rows:
            if len(cells) < len(table.header) and _sums_up(cells[0]):
                self.unread.append(Unread(f"line {line}: {cells[0]!r} has {len(cells)} cells: which is which?", line))
            elif len(cells) != len(table.header):
                why = f"the row has {len(cells)} cells under {len(table.header)} column heads; it is not read"
                self.problems.append(Problem(why, (place(self.file, line, cells),)))
        rows = [(line, cells) for line, cells in table.rows if len(cells) == len(table.header)]
        rows = [(line, cells) for line, cells in rows if any(cell.strip(" -") for cell in cells)]  # a spacer
        while rows and not any(rows[-1][1][1:]):
            rows.pop()  # a footnote in a row of its own
        if rows and rows[0][1][0] and not any(rows[0][1][1:]):
            rows.pop(0)  # a title in a row of its own
        return rows

    def _has_some(self) -> bool:
        """A micro average is told apart from accuracy where the classes are not all there are; entities never are."""
        names = [cells[0].strip().lower() for _, cells in self.table.rows if cells]
        micro = any(re.match(r"(?:micro|samples?)[-_ ]*(?:avg|average)", name) for name in names)
        entities = {re.sub(r"^[bi]-", "", name) for name in names} & _ENTITIES
        return micro or len(entities) > 1 or bool(_ENTITY_HEADS.search(self.table.header[0]))

    def _row(self, line: int, cells: tuple[str, ...]) -> None:
        where, name = place(self.file, line, cells), cells[0].strip()
        name = self.spelling.get(class_key(name), name)
        support = count(cells[self.support_at]) if self.support_at is not None else None
        shares, counts = self._shares(cells, name, where)
        right = self._right(cells, name, where)
        if _sums_up(name):
            if right is not None and support is not None and _WHOLE.fullmatch(name.strip("*` ")):
                self.found += [Read(Size(support), (where,)), Read(Errors(support - right), (where,))]
                return
            average = _AVERAGE.fullmatch(name.strip("*` "))
            if average is None and any(shares.values()):
                self.unread.append(Unread(f"line {line}: what {name!r} is the mean of is not said", line))
            self.found += _average(average, shares, cells, support, where, self.unread) if average else []
            if average is not None:
                self._average_of_others(average, shares, where)
            return
        if self.support_at is not None and support is None and cells[self.support_at].strip().startswith("-"):
            message = f"{name}: support {cells[self.support_at]} is not a count"
            self.problems.append(Problem(message, (where,)))
        self.classes.append(name)
        if support is not None:
            self.supports.append((name, support))
            self.support_places.append(where)
        row = Row(name, *(shares.get(metric) for metric in METRICS))
        if any(row.every):
            self.rows.append((row, where))
            if row.is_perfect:
                self.perfect.append((row, where))
            else:
                self.found.append(Read(Rows((row,)), (where,)))
        if right is not None:
            self.counted.append((name, right, support, None))
            self.counted_places.append(where)
        for metric, k, n in counts:
            if metric == "recall":
                self.counted.append((name, k, n, None))
            elif metric == "precision":
                self.counted.append((name, k, None, n))
            self.counted_places.append(where)

    def _average_of_others(self, average: re.Match[str], shares: dict[str, Printed | None], where: Place) -> None:
        """A macro average of specificity or NPV is the mean of the rows above it; any other kind is left alone."""
        for metric in ("specificity", "npv"):
            share = shares.get(metric)
            if share is None:
                continue
            own = [(row.name, value) for row, _ in self.rows if (value := getattr(row, metric)) is not None]
            if (average[1] or "").lower() == "macro" and len(own) == len(self.classes):
                places = (*(place for _, place in self.rows), where)
                self.found.append(Read(Mean(tuple(name for name, _ in own), tuple(v for _, v in own), share), places))
            else:
                why = f"line {where.line}: what mean of {metric} {share.text} is, is not said"
                self.unread.append(Unread(why, where.line))

    def _right(self, cells: tuple[str, ...], name: str, where: Place) -> int | None:
        """How many of its cells a row says are right; None where it says nothing, or nothing that can be."""
        if self.counted_at is None:
            return None
        k, n = count(cells[self.counted_at.right]), count(cells[self.counted_at.of])
        if k is None or n is None:
            return None
        if k > n:
            self.problems.append(Problem(f"{name}: {k} right of {n}", (where,)))
            return None
        if self.counted_at.share is not None:
            at = self.counted_at.share
            every = [row[at] for _, row in self.table.rows if len(row) == len(self.table.header)]
            share, _ = share_of(cells[at], in_percent(self.table.header[at], every))
            if share is not None and n:
                problem = Problem(f"{name}: {k} of {n} is {share.like(Fraction(k, n))}, not {share.text}", (where,))
                fits = prints((k, n), share)
                if not _sums_up(name):
                    self.worked.append((fits, 0 < k < n, problem))
                elif not fits:
                    self.problems.append(problem)
        return k

    def _compare_worked(self) -> None:
        """The accuracy of a class may be that of its cells, or of all: it is the first where any row shows it."""
        wrong = [problem for fits, _, problem in self.worked if not fits]
        if any(fits and tells for fits, tells, _ in self.worked):
            self.problems += wrong
        elif wrong:
            line = self.table.line
            self.unread.append(Unread(f"the table in line {line}: what its accuracies are shares of is not said", line))

    def _accuracies_of_classes(self, rows: list[tuple[int, tuple[str, ...]]]) -> None:
        """List accuracies of classes that are not their recalls: each may be that of the class against all others."""
        at = [k for k, head in enumerate(self.table.header) if k and is_head(_ACCURACY, head)]
        recall = self.columns.get("recall")
        own = [cells for _, cells in rows if not _sums_up(cells[0])]
        if len(at) != 1 or self.counted_at is not None or not any(cells[at[0]].strip(" -") for cells in own):
            return
        if recall is None or any(cells[at[0]] != cells[recall] for cells in own):
            line = self.table.line
            self.unread.append(Unread(f"the table in line {line}: what its accuracies are shares of is not said", line))

    def _shares(
        self, cells: tuple[str, ...], name: str, where: Place
    ) -> tuple[dict[str, Printed | None], list[tuple[str, int, int]]]:
        shares: dict[str, Printed | None] = {}
        counts: list[tuple[str, int, int]] = []
        for metric, k in self.columns.items():
            share, pair = share_of(cells[k], self.percent[k])
            shares[metric] = share
            if share is not None and share.value > 1 and _sums_up(name):
                shares[metric] = None  # a total that slipped a column
                self.unread.append(
                    Unread(f"line {where.line}: {name}: {metric} {share.text} is not a share", where.line)
                )
            elif share is not None and share.value > 1:
                self.problems.append(Problem(f"{name}: {metric} {share.text} is not a share of anything", (where,)))
                shares[metric] = None
            if pair is None:
                continue
            if pair[0] > pair[1]:
                why = f"{name}: {metric} {pair[0]}/{pair[1]} is not a share of anything"
                self.problems.append(Problem(why, (where,)))
                shares[metric] = None
            else:
                counts.append((metric, *pair))
                if share is not None and not prints(pair, share):
                    self.problems.append(Problem(f"{name}: {metric} {pair[0]}/{pair[1]} is not {share.text}", (where,)))
        return shares, counts

    def _gathered(self) -> Iterator[Read]:
        if self.supports:
            yield Read(Supports(tuple(self.supports)), tuple(self.support_places))
        yield from self.found
        if self.perfect:
            yield Read(Rows(tuple(row for row, _ in self.perfect)), tuple(where for _, where in self.perfect))
        if self.counted:
            yield Read(ClassCounts(tuple(self.counted)), tuple(dict.fromkeys(self.counted_places)))


def _sums_up(name: str) -> bool:
    return bool(_NO_CLASS.search(name) or _AVERAGE.fullmatch(name.strip("*` ")))


def _average(
    match: re.Match[str],
    shares: dict[str, Printed | None],
    cells: tuple[str, ...],
    support: int | None,
    where: Place,
    unread: list[Unread],
) -> list[Read]:
    kind = (match[1] or "").lower()
    given = [share for share in shares.values() if share is not None]
    found: list[Read] = []
    if match[0].lower().endswith("accuracy"):
        # One number, in whichever column; pandas repeats it in all of them.
        if not given:
            given = [share for cell in cells[1:] if (share := share_of(cell, None)[0]) and share.value <= 1]
        if len({cell for cell in cells[1:] if cell}) == 1 and all(cells[1:]):
            support = None  # the accuracy again
        if given and len({share.value for share in given}) == 1:
            found.append(Read(Accuracy(given[-1]), (where,)))
        elif given:
            said = ", ".join(share.text for share in given)
            unread.append(Unread(f"line {where.line}: the accuracy is {said}: which is it?", where.line))
    elif given and not kind.startswith("sample"):
        content = Averages(kind or "weighted", shares.get("precision"), shares.get("recall"), shares.get("f1"))
        found.append(Read(content, (where,)))
    if support is not None and support > 0:
        found.append(Read(Size(support), (where,)))
    return found
