"""Can these statements about one set hold together? Puts the question to the method that is exact for its form.

Supports known: a choice of pairs (choice.py, two_classes.py). Two answers: binary.py. Anything else: the search of
search.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor

from harness.claims.binary import decide_answers, is_about_answers
from harness.claims.choice import Choice, Meter, Sum, decide, mean_sum
from harness.claims.closed import holds_alone, is_of_means, row_is_impossible
from harness.claims.lanes import NOTHING_ELSE, OneAgainstAll, lanes
from harness.claims.matrix_rules import Answer, ClassRule, MatrixQuestion, TooMuchWork
from harness.claims.question import question_of
from harness.claims.records import (
    Averages,
    Content,
    Mean,
    Rounding,
    Rows,
    Score,
    Worked,
)
from harness.claims.search import feasible
from harness.claims.two_classes import decide_two

_ASKED, _SEARCHED = 200, 1_000  # steps that a question costs at least
_SHARES = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class Terms:
    """How the statements of one set are taken.

    is_open: its classes may not be all there are: predicted counts need not add up.
    """

    classes: tuple[str, ...]
    rounding: Rounding
    is_open: bool = False


def answer_of(contents: Sequence[Content], terms: Terms, meter: Meter) -> Answer:
    """Whether a confusion matrix satisfies all of it; UNDECIDED where the meter runs out."""
    if meter.left <= 0:
        return Answer.UNDECIDED
    meter.left -= _ASKED
    alone = [content for content in contents if isinstance(content, Worked | Mean)]
    if any(not holds_alone(content, terms.rounding) for content in alone):
        return Answer.INFEASIBLE
    contents = [content for content in contents if content not in alone]
    if is_about_answers(contents):
        return decide_answers(contents, terms.rounding, work=meter.left)
    if any(row_is_impossible(row, terms.rounding) for c in contents if isinstance(c, Rows) for row in c.rows):
        return Answer.INFEASIBLE
    classes = (*terms.classes, "any other", "and another") if terms.is_open else terms.classes
    question = question_of(contents, classes, rounding=terms.rounding)
    if question is None:
        return Answer.INFEASIBLE
    answer = Answer.UNDECIDED
    choice = choice_of(question, contents, terms)
    if isinstance(choice, Answer):
        return choice
    if choice is not None:
        two = choice.whole and len(choice.supports) == 2
        answer = decide_two(choice, meter) if two else decide(choice, meter)
        told_cells = bool(question.cells) and not question.exclusive
        if answer is Answer.INFEASIBLE or (answer is Answer.FEASIBLE and not told_cells):
            return answer
        if answer is Answer.UNDECIDED:
            return answer
    if terms.is_open:
        question = replace(question, averages=())
    answer = feasible(question, work=max(1, meter.left))
    meter.left -= meter.left if answer is Answer.UNDECIDED else _SEARCHED
    return answer


# --- supports known -------------------------------------------------------------------------------


def choice_of(question: MatrixQuestion, contents: Sequence[Content], terms: Terms) -> Choice | Answer | None:
    """The question as a choice; None where a support is not known; an answer where one class decides."""
    named = len(terms.classes)
    rules = question.rules[:named]
    if any(rule.support[0] != rule.support[1] for rule in rules):
        return None
    supports = tuple(rule.support[0] for rule in rules)
    n = sum(supports)
    if question.n[1] is not None and not question.n[0] <= n <= question.n[1]:
        return Answer.INFEASIBLE
    if n < question.n[0]:
        return Answer.INFEASIBLE
    least, most = _right_cells(question, n)
    if least > most:
        return Answer.INFEASIBLE
    if question.exclusive:
        rules = tuple(_with_cells(question, k) for k in range(named))
        right = n - sum(count for _, _, count in question.cells)
        least, most = max(least, right), min(most, right)
        if least > most:
            return Answer.INFEASIBLE
    more = _against_all(contents, terms)
    try:
        own = tuple(
            tuple(
                lanes(
                    rule,
                    n if not terms.is_open else 10 * n + 10_000,
                    more=more.get(k, NOTHING_ELSE) if not terms.is_open else NOTHING_ELSE,
                    most_wrong=None if terms.is_open else n - least,
                )
            )
            for k, rule in enumerate(rules)
        )
    except TooMuchWork:
        return None
    if not all(own):
        return Answer.INFEASIBLE
    ones = frozenset(k for k, rule in enumerate(rules) if rule.precision is None and _says_one(contents, terms, k))
    ones_everywhere = (Fraction(1),) * named
    sums = [Sum("right", Fraction(least), Fraction(most), ones_everywhere)]
    sums += _averages(contents, supports, terms)
    sums += _scores(contents, supports, terms.rounding)
    if any(each.low > each.high for each in sums):
        return Answer.INFEASIBLE
    return Choice(supports, own, tuple(sums), not terms.is_open, ones)


def _right_cells(question: MatrixQuestion, n: int) -> tuple[int, int]:
    least, most = 0, n
    if question.accuracy is not None:
        least, most = ceil(question.accuracy[0] * n), min(n, floor(question.accuracy[1] * n))
    least = max(least, n - question.errors[1]) if question.errors[1] is not None else least
    return least, min(most, n - question.errors[0])


def _with_cells(question: MatrixQuestion, k: int) -> ClassRule:
    rule = question.rules[k]
    missed = sum(count for i, _, count in question.cells if i == k)
    called = sum(count for _, j, count in question.cells if j == k)
    if rule.false_negatives not in (None, missed) or rule.false_positives not in (None, called):
        return replace(rule, correct=-1)  # no number of right cells fits both
    return replace(rule, false_negatives=missed, false_positives=called)


def _against_all(contents: Sequence[Content], terms: Terms) -> dict[int, OneAgainstAll]:
    at = {name.lower(): k for k, name in enumerate(terms.classes)}
    return {
        at[row.name.lower()]: OneAgainstAll(
            row.specificity.band(terms.rounding) if row.specificity is not None else None,
            row.npv.band(terms.rounding) if row.npv is not None else None,
        )
        for content in contents
        if isinstance(content, Rows)
        for row in content.rows
        if row.specificity is not None or row.npv is not None
    }


def _says_one(contents: Sequence[Content], terms: Terms, k: int) -> bool:
    """Whether a row of this class prints the precision of no predictions: see `Row.is_of_nothing`."""
    name = terms.classes[k].lower()
    rows = [row for content in contents if isinstance(content, Rows) for row in content.rows]
    return any(row.name.lower() == name and row.is_of_nothing for row in rows)


def _averages(contents: Sequence[Content], supports: tuple[int, ...], terms: Terms) -> list[Sum]:
    found: list[Sum] = []
    for content in contents:
        if not isinstance(content, Averages):
            continue
        if content.kind == "micro":
            found += _micro(content, supports, terms.rounding)
            continue
        weights = list(supports) if content.kind == "weighted" else [1] * len(supports)
        for kind, share in zip(_SHARES, content.shares, strict=True):
            if share is None or (kind == "f1" and is_of_means(content, terms.rounding)):
                continue
            each = mean_sum(kind, share.band(terms.rounding), weights)
            found += [each] if each is not None else []
    return found


def _micro(content: Averages, supports: tuple[int, ...], rounding: Rounding) -> list[Sum]:
    """Right / predicted, right / support and their F1, of the sums over classes."""
    k, n = len(supports), sum(supports)
    found: list[Sum] = []
    top = Fraction(10**15)
    for kind, share in zip(_SHARES, content.shares, strict=True):
        if share is None:
            continue
        low, high = share.band(rounding)
        if kind == "recall":
            found.append(Sum("right", low * n, high * n, (Fraction(1),) * k))
            continue
        a, base = (Fraction(1), 0) if kind == "precision" else (Fraction(2), n)
        # right - low x predicted >= 0, right - high x predicted <= 0; for F1 with n added to the predicted.
        found.append(Sum("linear", low * base, top, (a,) * k, (-low,) * k))
        found.append(Sum("linear", -top, high * base, (a,) * k, (-high,) * k))
    return found


def _scores(contents: Sequence[Content], supports: tuple[int, ...], rounding: Rounding) -> list[Sum]:
    """Balanced accuracy is the mean recall; kappa is a bound on right cells and chance agreement."""
    n, k, found = sum(supports), len(supports), []
    for content in contents:
        if not isinstance(content, Score):
            continue
        low, high = content.share.band(rounding)
        if content.name == "balanced accuracy":
            each = mean_sum("recall", (low, high), [1 if s else 0 for s in supports])
            found += [each] if each is not None else []
        elif content.name == "kappa" and n:
            # (o - e) / (1 - e) >= low  <=>  o - (1 - low) e >= low, with o = right / n and e = sum of s q / n^2
            top = Fraction(10**6)
            for end, span in ((low, (low, top)), (high, (-top, high))):
                a = (Fraction(1, n),) * k
                b = tuple(-(1 - end) * Fraction(s, n * n) for s in supports)
                found.append(Sum("linear", span[0], span[1], a, b))
    return found


def is_decided_by_classes(content: Content) -> bool:
    """Whether a score says something about a table with a class a row."""
    return not isinstance(content, Score) or content.name in ("balanced accuracy", "kappa")
