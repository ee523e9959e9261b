"""Can everything that a report states hold together, and what do its numbers not support?

One finding per thing that is wrong. A note is not a finding: it says what was searched and what the numbers leave open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import TypeAlias

from harness.claims.conflicts import Conflicts, Group, find_conflicts
from harness.claims.pins import clashing_pins
from harness.claims.question import question_of
from harness.claims.records import (
    Accuracy,
    Content,
    Directions,
    Errors,
    Matrix,
    PerClass,
    Place,
    Printed,
    ReportClaims,
    Rounding,
    Row,
    Rows,
    Size,
    Statement,
    Supports,
    lines_of,
    names_of,
)
from harness.claims.search import Answer, count_matrices, feasible, first_matrix
from harness.claims.words import StrongWord, strong_words
from harness.metrics.intervals import clopper_pearson_bounds

LEVEL = 0.95  # one-sided, as the gates of this harness
THIN = 0.90  # an external set whose lower bound stays under this carries no strong word
_WORK_PER_SET = 3_000_000
_WORK_PER_QUESTION = 200_000
_MOST_STATEMENTS = 400  # about one set; more are a log, and each would be weighed against all others

FileExists: TypeAlias = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A statement and its number in the audit."""

    id: str
    statement: Statement


# Kinds of findings that say that two statements cannot both be true, or that one cannot.
CONTRADICTIONS = ("conflict", "impossible", "split")


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that does not hold.

    kind: "conflict", "impossible", "split", "overclaim", "versions" or "files".
    statements: ids of the statements in conflict.
    """

    kind: str
    set: str | None
    message: str
    places: tuple[Place, ...]
    statements: tuple[str, ...] = ()

    @property
    def lines(self) -> str:
        return lines_of(self.places)


@dataclass(frozen=True, slots=True)
class Note:
    """What the audit worked out besides: counts of matrices, nearest values, what it could not decide."""

    set: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Audit:
    """complete: False where a search stopped at its limit (the notes say where)."""

    report: ReportClaims
    statements: tuple[Labelled, ...]
    findings: tuple[AuditFinding, ...]
    notes: tuple[Note, ...]
    conflicts: tuple[tuple[str, Conflicts], ...]
    complete: bool

    @property
    def holds(self) -> bool:
        return not self.findings


def audit(report: ReportClaims, *, rounding: Rounding, exists: FileExists) -> Audit:
    """
    Args:
        rounding: how the report is taken to have made its decimals.
        exists: whether a file lies beside the report, by the path that the report gives.
    """
    labelled = tuple(Labelled(f"S{i}", statement) for i, statement in enumerate(report.statements, start=1))
    findings = [AuditFinding("impossible", None, problem.message, problem.places) for problem in report.problems]
    notes = [Note(None, f"not read: {reason}") for reason in report.unread]
    conflicts = []
    complete = True
    for name in report.sets:
        own = tuple(entry for entry in labelled if entry.statement.set == name)
        result = _Set(name, own, _classes_of(own, report.classes), rounding)
        conflicts.append((name, result.conflicts))
        findings += result.findings()
        notes += result.notes()
        complete = complete and result.conflicts.complete and not result.undecided
    findings += _overclaims(report)
    findings += [AuditFinding("versions", None, message, places) for message, places in clashing_pins(report.pins)]
    file_findings, file_notes = _files(report, exists)
    findings += file_findings
    notes += file_notes
    return Audit(report, labelled, tuple(findings), tuple(notes), tuple(conflicts), complete)


def _classes_of(own: Sequence[Labelled], classes: tuple[str, ...]) -> tuple[str, ...]:
    """The report's classes, or those of a set that has its own. Without any, two classes stand for all: sums and
    accuracies need no more."""
    named = tuple(dict.fromkeys(name for entry in own for name in names_of(entry.statement.content)))
    if not {name.lower() for name in named} <= {name.lower() for name in classes}:
        classes = named
    return classes if len(classes) >= 2 else (*classes, "one class", "another")[:2]


class _Set:
    """The search over the statements about one set."""

    def __init__(self, name: str, own: tuple[Labelled, ...], classes: tuple[str, ...], rounding: Rounding) -> None:
        self.name, self.own, self.classes, self.rounding = name, own, classes, rounding
        self.contents = tuple(entry.statement.content for entry in own)
        self.undecided: set[Group] = set()
        self.work = _WORK_PER_SET
        few = len(own) <= _MOST_STATEMENTS
        self.conflicts = find_conflicts(len(own), self._contradicts) if few else Conflicts((), (), complete=False)

    def _contradicts(self, group: Group) -> bool:
        answer = self.ask([self.contents[i] for i in sorted(group)])
        if answer is Answer.UNDECIDED:
            self.undecided.add(group)
        return answer is Answer.INFEASIBLE

    def ask(self, contents: Sequence[Content]) -> Answer:
        question = question_of(contents, self.classes, rounding=self.rounding)
        if question is None:
            return Answer.INFEASIBLE
        if self.work <= 0:
            return Answer.UNDECIDED
        answer = feasible(question, work=_WORK_PER_QUESTION)
        self.work -= _WORK_PER_QUESTION if answer is Answer.UNDECIDED else 1000
        return answer

    def count(self, contents: Sequence[Content]) -> dict[int, int] | None:
        question = question_of(contents, self.classes, rounding=self.rounding)
        return {} if question is None else count_matrices(question)

    def kept(self, *kinds: type) -> list[Labelled]:
        return [entry for entry in self.own if isinstance(entry.statement.content, kinds)]

    # --- findings ---------------------------------------------------------------------------------

    def findings(self) -> Iterator[AuditFinding]:
        for group in self.conflicts.minimal:
            entries = [self.own[i] for i in sorted(group)]
            said = " and ".join(f'{entry.id} "{entry.statement}" ({entry.statement.lines})' for entry in entries)
            verb = "cannot be true" if len(entries) == 1 else "cannot hold together"
            why = self.why([entry.statement.content for entry in entries])
            places = tuple(sorted({place for entry in entries for place in entry.statement.places}))
            ids = tuple(entry.id for entry in entries)
            yield AuditFinding("conflict", self.name, f"{said} {verb}{f': {why}' if why else ''}", places, ids)

    def why(self, contents: Sequence[Content]) -> str:
        """What a reader can check by hand; "" where the search alone knows."""
        sizes = [c.n for c in contents if isinstance(c, Size)]
        supports = [c for c in contents if isinstance(c, Supports)]
        per_class = [c for c in contents if isinstance(c, PerClass)]
        shares = [c.share for c in contents if isinstance(c, Accuracy)]
        errors = [c.count for c in contents if isinstance(c, Errors)]
        rows = [row for c in contents if isinstance(c, Rows) for row in c.rows]
        n = self._n(contents)
        if supports and sizes and len(contents) == 2:
            return f"the supports add up to {sum(count for _, count in supports[0].counts):,}"
        if supports and per_class and len(contents) == 2:
            odd = [
                f"{name} has {count}"
                for name, count in supports[0].counts
                if not per_class[0].least <= count <= per_class[0].most
            ]
            return ", ".join(odd) or "the supports do not cover the classes"
        if shares and n is not None:
            return self._why_accuracy(shares[0], n, errors[0] if errors else None)
        if shares and errors:
            low, high = self._sizes_of(shares[0], errors[0])
            span = f"{low:,} … {high:,}" if high is not None else f"{low:,} or more"
            return f"with {errors[0]} errors {shares[0].text} needs n = {span}"
        if len(rows) == 1 and len(contents) == 2:
            support = self._support(rows[0].name, contents)
            if support is not None:
                return self._why_row(rows[0], support)
        if len(contents) == 1 and rows:
            return "F1 is the harmonic mean of precision and recall: 2PR / (P + R)" if len(rows) == 1 else ""
        return self._why_errors(contents)

    def _n(self, contents: Sequence[Content]) -> int | None:
        for content in contents:
            if isinstance(content, Size):
                return content.n
            if isinstance(content, Matrix):
                return sum(map(sum, content.counts))
            if isinstance(content, Supports) and len(content.counts) == len(self.classes):
                return sum(count for _, count in content.counts)
            if isinstance(content, PerClass) and content.least == content.most:
                return content.least * len(self.classes)
        return None

    def _support(self, name: str, contents: Sequence[Content]) -> int | None:
        for content in contents:
            if isinstance(content, PerClass) and content.least == content.most:
                return content.least
            if isinstance(content, Supports):
                return dict(content.counts).get(name)
            if isinstance(content, Matrix) and name in content.classes:
                return sum(content.counts[content.classes.index(name)])
        return None

    def _why_accuracy(self, share: Printed, n: int, errors: int | None) -> str:
        if n == 0:
            return "a set of no images has no accuracy"
        low, high = share.band(self.rounding)
        fits = range(ceil(low * n), floor(high * n) + 1)
        if len(fits) == 0:
            near = sorted(range(n + 1), key=lambda k: (abs(Fraction(k, n) - share.value), k))[:2]
            said = " and ".join(f"{k}/{n} = {share.like(Fraction(k, n))}" for k in sorted(near))
            return f"no k/{n} prints as {share.text}; nearest are {said}"
        forced = f"{fits[0]:,}" if len(fits) == 1 else f"{fits[0]:,} … {fits[-1]:,}"
        if errors is not None:
            return f"{share.text} of {n:,} is {forced} correct, {errors} errors leave {n - errors:,}"
        return f"{share.text} of {n:,} is {forced} correct"

    def _sizes_of(self, share: Printed, errors: int) -> tuple[int, int | None]:
        low, high = share.band(self.rounding)
        least = 1 if low == 1 else max(1, ceil(errors / (1 - low)))
        most = None if high == 1 else int(Fraction(errors) / (1 - high))
        return least, most

    def _why_row(self, row: Row, support: int) -> str:
        for metric, share in (("precision", row.precision), ("recall", row.recall), ("F1", row.f1)):
            near = self._nearest(row, metric, support)
            if share is not None and near:
                cells = f"{support:,} cells{self._given(row, metric)}"
                return f"{row.name} with {cells} prints {metric} {near}, never {share.text}"
        return ""

    def _given(self, row: Row, metric: str) -> str:
        return f" and recall {row.recall.text}" if metric == "precision" and row.recall is not None else ""

    def _nearest(self, row: Row, metric: str, s: int) -> str:
        """The printed values nearest to the row's own that do exist; "" where the value itself exists."""
        share = {"precision": row.precision, "recall": row.recall, "F1": row.f1}[metric]
        if share is None or share.unit == 0 or s == 0 or s > 100_000:
            return ""
        recall = (
            row.recall.band(self.rounding)
            if row.recall is not None and metric != "recall"
            else (Fraction(0), Fraction(1))
        )
        least, most = ceil(recall[0] * s), floor(recall[1] * s)
        values: dict[str, tuple[Fraction, str]] = {}
        low, high = share.band(self.rounding)
        for t in range(max(0, least), most + 1) if most - least < 200 else ():
            if metric == "recall":
                pairs = [(Fraction(t, s), f"{s - t} missed")]
            else:
                precision = row.precision.band(self.rounding) if row.precision is not None and metric == "F1" else None
                pairs = []
                guess = round(t / share.value) - t if metric == "precision" and share.value else 0
                for f in range(max(0, guess - 4), guess + 6 if metric == "precision" else s + 1):
                    if t + f == 0 or (precision is not None and not precision[0] <= Fraction(t, t + f) <= precision[1]):
                        continue
                    value = Fraction(t, t + f) if metric == "precision" else Fraction(2 * t, s + t + f)
                    pairs.append((value, f"{f} FP"))
            for value, said in pairs:
                if low <= value <= high:
                    return ""
                values.setdefault(share.like(value), (value, said))
        nearest = sorted(values.items(), key=lambda item: abs(item[1][0] - share.value))[:3]
        shown = sorted(nearest, key=lambda item: -item[1][0])
        return ", ".join(f"{text} ({said})" for text, (_, said) in shown)

    def _why_errors(self, contents: Sequence[Content]) -> str:
        """Errors by direction against a row or against counts."""
        directions = [c for c in contents if isinstance(c, Directions)]
        rows = [row for c in contents if isinstance(c, Rows) for row in c.rows]
        if not directions:
            return ""
        stated = directions[0]
        for row in rows:
            missed = sum(count for reference, _, count in stated.cells if reference == row.name)
            called = sum(count for _, guess, count in stated.cells if guess == row.name)
            if missed and row.recall is not None and row.recall.is_whole:
                return f"{row.name} with {missed} missed cells has no recall {row.recall.text}"
            if called and row.precision is not None and row.precision.is_whole:
                return f"{row.name} with {called} false alarms has no precision {row.precision.text}"
        if stated.exclusive:
            tally: dict[str, str] = {}
            for reference, guess, count in stated.cells:
                tally[reference] = f"{count} FN for {reference}"
                tally[guess] = f"{count} FP for {guess}"
            return "these errors are " + ", ".join(tally.values())
        return ""

    # --- notes ------------------------------------------------------------------------------------

    def notes(self) -> Iterator[Note]:
        if self.undecided:
            yield Note(
                self.name, f"not decided: {len(self.undecided)} combination(s) of statements were too much to search"
            )
        if not self.conflicts.complete:
            yield Note(self.name, "the list of conflicts is not complete: the search stopped at its limit")
        if self.conflicts.minimal:
            groups = [
                " ".join(self.own[i].id for i in sorted(group)) for group in self.conflicts.maximal if len(group) > 1
            ]
            if groups:
                yield Note(self.name, f"largest sets of statements that hold together: {'; '.join(groups)}")
        yield from self._about_table()
        yield from self._about_accuracy()
        yield from self._swapped()
        if self.conflicts.minimal and self.rounding == "nearest":
            other = _Set(self.name, self.own, self.classes, "truncated").conflicts
            if not other.minimal:
                yield Note(self.name, "if the decimals were cut off, not rounded, all of it holds together")

    def _about_table(self) -> Iterator[Note]:
        """How many matrices the class table allows, alone and with what is said beside it."""
        rows = self.kept(Rows)
        if not rows or self.kept(Matrix) or not self.conflicts.minimal:
            return
        table = [entry.statement.content for entry in rows]
        ids = " ".join(entry.id for entry in rows)
        supports, sizes, per_class = self.kept(Supports), self.kept(Size), self.kept(PerClass)
        for entry in supports:
            found = self.count([*table, entry.statement.content])
            n = self._n([entry.statement.content])
            yield Note(self.name, f"rows {ids} with {entry.id}: {self._said(found, n)}")
        for one in supports:
            for two in sizes:
                found = self.count([*table, one.statement.content, two.statement.content])
                yield Note(self.name, f"rows {ids} with {one.id} and {two.id}: {self._said(found, None)}")
        for entry in per_class:
            found = self.count([*table, entry.statement.content])
            yield Note(
                self.name, f"rows {ids} with {entry.id}: {self._said(found, self._n([entry.statement.content]))}"
            )
        for entry in sizes:
            found = self.count([*table, entry.statement.content])
            n = self._n([entry.statement.content])
            yield Note(self.name, f"rows {ids} with {entry.id}, supports left free: {self._said(found, n)}")
            for accuracy in self.kept(Accuracy):
                found = self.count([*table, entry.statement.content, accuracy.statement.content])
                yield Note(
                    self.name,
                    f"rows {ids} with {entry.id} and {accuracy.id}, supports left free: {self._said(found, n)}",
                )

    def _said(self, found: dict[int, int] | None, n: int | None) -> str:
        if found is None:
            return "not counted, too many"
        if not found:
            return "no confusion matrix"
        like = next(
            (e.statement.content.share for e in self.kept(Accuracy) if isinstance(e.statement.content, Accuracy)), None
        )
        like = like or Printed("00.00%", Fraction(0), Fraction(1, 10_000))
        parts = []
        for errors, count in found.items():
            right = f", {n - errors:,}/{n:,} = {like.like(Fraction(n - errors, n))} correct" if n else ""
            matrices = "exactly one matrix" if count == 1 else f"{count:,} matrices"
            parts.append(f"{matrices} with {errors} error{'' if errors == 1 else 's'}{right}")
        return "; ".join(parts)

    def _about_accuracy(self) -> Iterator[Note]:
        """Which counts a printed accuracy stands for, and with the stated errors which sizes."""
        for entry in self.kept(Accuracy):
            content = entry.statement.content
            assert isinstance(content, Accuracy)
            in_conflict = any(self.own[i].id == entry.id for group in self.conflicts.minimal for i in group)
            for size in self.kept(Size):
                n = self._n([size.statement.content])
                if n and self.ask([content, size.statement.content]) is Answer.FEASIBLE:
                    why = self._why_accuracy(content.share, n, None)
                    hides = "…" in why and not self.kept(Errors, Matrix)
                    if hides:
                        yield Note(self.name, f"{why}: the decimals hide the count, and the report does not print it")
                    elif in_conflict:
                        yield Note(self.name, why)
            if in_conflict:
                for errors in self.kept(Errors):
                    said = errors.statement.content
                    assert isinstance(said, Errors)
                    low, high = self._sizes_of(content.share, said.count)
                    if said.count and high is not None:
                        span = f"{low:,} … {high:,}" if low <= high else "no size"
                        yield Note(self.name, f"with {said.count} errors {content.share.text} fits n = {span} only")

    def _swapped(self) -> Iterator[Note]:
        """The swap hypothesis: were reference and prediction exchanged when the table was made?"""
        rows = [(entry, row) for entry in self.kept(Rows) for row in _rows(entry.statement.content)]
        if not rows or not self.conflicts.minimal:
            return
        printed_supports = dict(pair for entry in self.kept(Supports) for pair in _pairs(entry.statement.content))
        sources = [[entry] for entry in self.kept(Matrix)]
        sources += [[a, b] for a in self.kept(Directions) for b in self.kept(PerClass, Supports) if _exclusive(a)]
        for source in sources:
            contents = [entry.statement.content for entry in source]
            question = question_of(contents, self.classes, rounding=self.rounding)
            matrix = None
            if question is not None and sum((count_matrices(question) or {}).values()) == 1:
                matrix = first_matrix(question)
            if matrix is None:
                continue
            explained, left = [], []
            for _, row in rows:
                if row.is_perfect:
                    continue
                as_is, swapped = _row_of(matrix, self.classes, row), _row_of(_transposed(matrix), self.classes, row)
                support = printed_supports.get(row.name)
                fits = _prints(swapped, row, self.rounding) and support in (None, swapped[3])
                if fits and not (_prints(as_is, row, self.rounding) and support in (None, as_is[3])):
                    explained.append(row.name)
                elif not fits:
                    left.append(f"{row.name} would be {_written(swapped, row)}")
            if explained:
                ids = " and ".join(entry.id for entry in source)
                rest = (
                    f"; it does not explain the rest, {'; '.join(left)}: one exchange does not account for the table"
                    if left
                    else "; every row fits the transposed matrix"
                )
                yield Note(
                    self.name,
                    f"swap hypothesis: the one matrix of {ids} with reference and prediction exchanged gives the row "
                    f"of {', '.join(explained)} exactly as printed{rest}",
                )


_Shares: TypeAlias = tuple[Fraction, Fraction, Fraction, int]  # precision, recall, F1, support


def _rows(content: Content) -> tuple[Row, ...]:
    return content.rows if isinstance(content, Rows) else ()


def _pairs(content: Content) -> tuple[tuple[str, int], ...]:
    return content.counts if isinstance(content, Supports) else ()


def _exclusive(entry: Labelled) -> bool:
    return isinstance(entry.statement.content, Directions) and entry.statement.content.exclusive


def _transposed(matrix: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(zip(*matrix, strict=True))


def _row_of(matrix: tuple[tuple[int, ...], ...], classes: tuple[str, ...], row: Row) -> _Shares:
    k = classes.index(row.name)
    t, s, q = matrix[k][k], sum(matrix[k]), sum(line[k] for line in matrix)
    zero = Fraction(0)
    return (
        Fraction(t, q) if q else zero,
        Fraction(t, s) if s else zero,
        Fraction(2 * t, s + q) if s + q else zero,
        s,
    )


def _prints(shares: _Shares, row: Row, rounding: Rounding) -> bool:
    for value, share in zip(shares[:3], row.shares, strict=True):
        if share is not None:
            low, high = share.band(rounding)
            if not low <= value <= high:
                return False
    return True


def _written(shares: _Shares, row: Row) -> str:
    parts = [share.like(value) for value, share in zip(shares[:3], row.shares, strict=True) if share is not None]
    return f"{' / '.join(parts)} with support {shares[3]}"


# --- words and files ------------------------------------------------------------------------------


def _counts_of(report: ReportClaims, name: str) -> tuple[int, int] | None:
    """(correct, n) of a set where the report states both, each once."""
    sizes = {s.content.n for s in report.of(name) if isinstance(s.content, Size)}
    errors = {s.content.count for s in report.of(name) if isinstance(s.content, Errors)}
    for statement in report.of(name):
        if isinstance(statement.content, Matrix) and not sizes:
            sizes = {sum(map(sum, statement.content.counts))}
            errors = {sizes.copy().pop() - sum(row[i] for i, row in enumerate(statement.content.counts))}
    if len(sizes) != 1 or len(errors) != 1:
        return None
    n, wrong = sizes.pop(), errors.pop()
    return (n - wrong, n) if 0 <= wrong <= n and n else None


def _overclaims(report: ReportClaims) -> Iterator[AuditFinding]:
    """Strong words beside evidence too thin for them, one finding per set."""
    by_set: dict[str | None, list[StrongWord]] = {}
    for word in strong_words(report.sentences):
        by_set.setdefault(word.set if word.set in report.sets and word.set != "dataset" else None, []).append(word)
    for name, words in by_set.items():
        said = ", ".join(f'"{word}"' for word in dict.fromkeys(word.word for word in words))
        places = tuple(sorted({word.place for word in words}))
        counts = _counts_of(report, name) if name is not None else None
        if counts is None:
            if not report.prints_bounds:
                yield AuditFinding("overclaim", name, f"{said}: no interval or bound is printed for it", places)
            continue
        k, n = counts
        lower, _ = clopper_pearson_bounds(k, n, level=LEVEL)
        covered = next(((c, of) for set_name, c, of, _ in report.coverage if set_name == name), None)
        one_class = f", and only {covered[0]} of {covered[1]} classes" if covered else ""
        if report.prints_bounds and lower >= THIN and not covered:
            continue
        yield AuditFinding(
            "overclaim",
            name,
            f"{said} rests on {k:,}/{n:,}{one_class}: exact one-sided 95 % lower bound {lower:.4f}"
            + (", and the report prints no bound" if not report.prints_bounds else ""),
            places,
        )


def _files(report: ReportClaims, exists: FileExists) -> tuple[list[AuditFinding], list[Note]]:
    findings, notes = [], []
    for said, listed, place in report.file_totals:
        if said != listed:
            findings.append(
                AuditFinding("files", None, f"the list is headed {said} and has {listed} entries", (place,))
            )
    # A list may name the file alone where the text gave the folder.
    shown = {reference.path for reference in report.files if "/" in reference.path}
    names = {path.rsplit("/", 1)[-1] for path in shown}
    wanted: dict[str, list[Place]] = {}
    kinds: dict[str, bool] = {}
    for reference in report.files:
        base = reference.path.rsplit("/", 1)[-1]
        key = (
            next((path for path in shown if path.endswith("/" + base)), reference.path)
            if base in names
            else reference.path
        )
        wanted.setdefault(key, []).append(reference.place)
        kinds[key] = reference.is_figure
    for is_figure, word in ((True, "figures"), (False, "files")):
        paths = [path for path in wanted if kinds[path] is is_figure]
        missing = [path for path in paths if not exists(path)]
        if paths and len(missing) == len(paths):
            notes.append(Note(None, f"none of the {len(paths)} {word} that the report shows or lists is beside it"))
            continue
        for path in missing:
            findings.append(AuditFinding("files", None, f"{path} is not beside the report", tuple(wanted[path])))
    return findings, notes
