"""A question about a matrix with all that follows from its plain numbers filled in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor

from harness.claims.matrix_rules import AverageRule, ClassRule, MatrixQuestion, TooMuchWork
from harness.claims.records import Band
from harness.claims.spans import Contradiction, Span, meet, meet_or_none, sum_of


@dataclass(frozen=True, slots=True)
class Tightened:
    """The question with everything that follows from its plain numbers filled in."""

    rules: tuple[ClassRule, ...]
    n: Span
    errors: Span
    accuracy: Band | None
    cells: dict[tuple[int, int], int]
    exclusive: bool
    averages: tuple[AverageRule, ...]

    @property
    def is_fixed(self) -> bool:
        return all(rule.support[0] == rule.support[1] for rule in self.rules)

    @classmethod
    def of(cls, question: MatrixQuestion) -> Tightened:
        rules = list(question.rules)
        for band in (b for rule in rules for b in (rule.precision, rule.recall, rule.f1) if b is not None):
            if band[0] > band[1]:
                raise Contradiction
        cells: dict[tuple[int, int], int] = {}
        for i, j, count in question.cells:
            if i == j or cells.setdefault((i, j), count) != count:
                raise Contradiction
        errors = question.errors
        stated = sum(cells.values())
        errors = meet(errors, (stated, stated) if question.exclusive else (stated, None))
        if question.exclusive:
            for k, rule in enumerate(rules):
                missed = sum(count for (i, _), count in cells.items() if i == k)
                called = sum(count for (_, j), count in cells.items() if j == k)
                rules[k] = _with_errors(rule, missed, called)
        for k, rule in enumerate(rules):
            if rule.correct is not None:
                rules[k] = rule = replace(rule, support=meet(rule.support, (rule.correct, None)))
            if rule.recall is not None and rule.precision is not None and rule.f1 is not None:
                _check_row(rule.precision, rule.recall, rule.f1)
        n = meet(question.n, sum_of([rule.support for rule in rules]))
        if n[1] is not None:
            errors = meet(errors, (0, n[1]))
        if question.accuracy is not None:
            low, high = question.accuracy
            if low > high:
                raise Contradiction
            if low == 1:
                errors = meet(errors, (0, 0))
            if n[1] is not None:
                errors = meet(errors, (ceil((1 - high) * n[0]), floor((1 - low) * n[1])))
            elif errors[1] is not None and high < 1:
                n = meet(n, (0, floor(Fraction(errors[1]) / (1 - high))))
            if low < 1:
                n = meet(n, (ceil(Fraction(errors[0]) / (1 - low)), None))
        if n[1] is not None and all(rule.recall is not None for rule in rules):
            worst = min(rule.recall[0] for rule in rules if rule.recall is not None)
            errors = meet(errors, (0, floor((1 - worst) * n[1])))
        if len(rules) == 1:
            errors = meet(errors, (0, 0))
        if n[1] is not None:
            elsewhere = sum(rule.support[0] for rule in rules)
            for k, rule in enumerate(rules):
                if not rule.is_free:  # a class of which nothing is said stays recognisable as one
                    rest = n[1] - (elsewhere - rule.support[0])
                    rules[k] = replace(rule, support=meet(rule.support, (0, max(rest, 0))))
        return cls(tuple(rules), n, errors, question.accuracy, cells, question.exclusive, question.averages)

    def sizes(self, errors: int) -> Span:
        """The n that the printed accuracy allows with so many errors."""
        n = meet_or_none(self.n, (errors, None))
        if n is not None and self.accuracy is not None:
            low, high = self.accuracy
            if low == 1 and errors:
                return 1, 0
            least = ceil(Fraction(errors) / (1 - low)) if low < 1 else 0
            most = None if high == 1 else floor(Fraction(errors) / (1 - high))
            n = meet_or_none(n, (max(1, least), most))
        return (1, 0) if n is None else n

    def error_totals(self, *, limit: int) -> Iterator[int]:
        """The error totals to try, fewest first.

        Raises:
            TooMuchWork: the limit is reached with totals left to try.
        """
        least, most = self.errors
        tried, errors = 0, least
        while most is None or errors <= most:
            low, high = self.sizes(errors)
            if high is None or low <= high:
                if tried == limit:
                    raise TooMuchWork
                tried += 1
                yield errors
            elif errors - least > 20_000:
                raise TooMuchWork
            errors += 1


def _check_row(precision: Band, recall: Band, f1: Band) -> None:
    """F1 is the harmonic mean, and it grows with both: at no size does a row exist outside these ends."""

    def harmonic(p: Fraction, r: Fraction) -> Fraction:
        return 2 * p * r / (p + r) if p + r else Fraction(0)

    if harmonic(precision[1], recall[1]) < f1[0] or harmonic(precision[0], recall[0]) > f1[1]:
        raise Contradiction


def _with_errors(rule: ClassRule, missed: int, called: int) -> ClassRule:
    if rule.false_negatives not in (None, missed) or rule.false_positives not in (None, called):
        raise Contradiction
    return replace(rule, support=meet(rule.support, (missed, None)), false_negatives=missed, false_positives=called)
