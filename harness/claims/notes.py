"""What did the audit work out besides? Counts of matrices, nearest values, whether arguments were exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from harness.claims.choice import Meter
from harness.claims.matrix_rules import Answer
from harness.claims.question import question_of
from harness.claims.records import (
    Accuracy,
    Content,
    Directions,
    Errors,
    Matrix,
    PerClass,
    Printed,
    Rounding,
    Row,
    Rows,
    Size,
    Supports,
)
from harness.claims.search import count_matrices, first_matrix
from harness.claims.weighing import Labelled, Weighed, weigh


@dataclass(frozen=True, slots=True)
class Note:
    """What the audit worked out besides: counts of matrices, nearest values, what it could not decide."""

    set: str | None
    message: str


def notes_on(weighed: Weighed) -> Iterator[Note]:
    """What the numbers of one set leave open."""
    yield from _Notes(weighed).all()


class _Notes:
    def __init__(self, weighed: Weighed) -> None:
        self.weighed = weighed
        self.name, self.own, self.terms = weighed.name, weighed.own, weighed.terms
        self.classes, self.rounding = weighed.terms.classes, weighed.terms.rounding
        self.conflicts = weighed.conflicts
        self.undecided = weighed.undecided
        self.reasons = weighed.reasons

    def count(self, contents: Sequence[Content]) -> dict[int, int] | None:
        question = question_of(contents, self.classes, rounding=self.rounding)
        return {} if question is None else count_matrices(question)

    def kept(self, *kinds: type) -> list[Labelled]:
        return [entry for entry in self.own if isinstance(entry.statement.content, kinds)]

    def all(self) -> Iterator[Note]:
        if self.undecided:
            yield Note(self.name, f"not decided: {self.undecided} combination(s) of statements were too much to search")
        if not self.conflicts.complete:
            yield Note(self.name, "the list of conflicts is not complete: the search stopped at its limit")
        if not any(not entry.statement.from_table for entry in self.own):
            return  # a table by itself has said what is wrong with it
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
            other = weigh(
                self.name, self.own, replace(self.terms, rounding="truncated"), budget=Meter(self.weighed.work)
            )
            if not other.conflicts.minimal:
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
            n = self.reasons.size_of([entry.statement.content])
            yield Note(self.name, f"rows {ids} with {entry.id}: {self._said(found, n)}")
        for one in supports:
            for two in sizes:
                found = self.count([*table, one.statement.content, two.statement.content])
                yield Note(self.name, f"rows {ids} with {one.id} and {two.id}: {self._said(found, None)}")
        for entry in per_class:
            found = self.count([*table, entry.statement.content])
            yield Note(
                self.name,
                f"rows {ids} with {entry.id}: {self._said(found, self.reasons.size_of([entry.statement.content]))}",
            )
        for entry in sizes:
            found = self.count([*table, entry.statement.content])
            n = self.reasons.size_of([entry.statement.content])
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
                n = self.reasons.size_of([size.statement.content])
                if n and self.weighed.ask([content, size.statement.content]) is Answer.FEASIBLE:
                    why = self.reasons.why_accuracy(content.share, n, None)
                    hides = "…" in why and not self.kept(Errors, Matrix)
                    if hides:
                        yield Note(self.name, f"{why}: the decimals hide the count, and the report does not print it")
                    elif in_conflict:
                        yield Note(self.name, why)
            if in_conflict:
                for errors in self.kept(Errors):
                    said = errors.statement.content
                    assert isinstance(said, Errors)
                    low, high = self.reasons.sizes_of(content.share, said.count)
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
