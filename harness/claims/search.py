"""Is there a confusion matrix with these sums, shares and counts, and how many are there? Integers only.

Per class: s support, t diagonal, q predicted; r = s - t false negatives, f = q - t false positives. Over classes the r
and the f each add up to the errors E, the s to n. Numbers off the diagonal exist for given r and f exactly when both
sums are equal and r + f <= E for every class (no cell may lie on the diagonal; max-flow min-cut).

Every printed share bounds a ratio of these integers from both sides, so for fixed (r, f) the supports that fit form an
interval. The search runs over (r, f) and adds intervals; n itself is never enumerated. Work is counted, not timed: the
same question gets the same answer on every machine, and one that is too big gets UNDECIDED.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from typing import TypeAlias

from harness.claims.records import Band

Span: TypeAlias = tuple[int, int | None]  # (least, most); None: no upper end
Cell: TypeAlias = tuple[int, int, int]  # (reference, predicted, count)
ANY: Span = (0, None)

WORK = 400_000  # elementary steps of one question
FREE_ERRORS = 120  # most errors for which the supports are searched too
MOST_VECTORS = 1_000  # most (r, f) vectors that are listed
_TRIES = 60  # error totals that are tried one by one


class Answer(Enum):
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNDECIDED = "not decided"


class TooMuchWork(Exception):  # internal: becomes UNDECIDED
    """The budget is spent."""


@dataclass(frozen=True, slots=True)
class ClassRule:
    """What one class must satisfy. None: nothing is said."""

    support: Span = ANY
    precision: Band | None = None
    recall: Band | None = None
    f1: Band | None = None
    false_negatives: int | None = None
    false_positives: int | None = None
    correct: int | None = None
    predicted: int | None = None

    @property
    def is_free(self) -> bool:
        return self == FREE


FREE = ClassRule()


@dataclass(frozen=True, slots=True)
class AverageRule:
    """A printed mean over classes; weighted by support or plain."""

    weighted: bool
    precision: Band | None
    recall: Band | None
    f1: Band | None


@dataclass(frozen=True, slots=True)
class MatrixQuestion:
    """One question. cells: counts off the diagonal; exclusive: all others are 0."""

    rules: tuple[ClassRule, ...]
    n: Span = ANY
    errors: Span = ANY
    accuracy: Band | None = None
    cells: tuple[Cell, ...] = ()
    exclusive: bool = False
    averages: tuple[AverageRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """One (r, f) of a class with the supports that fit it: disjoint inclusive intervals."""

    r: int
    f: int
    supports: tuple[Span, ...]


class _Budget:
    def __init__(self, work: int) -> None:
        self.left = work

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise TooMuchWork


# --- one class ------------------------------------------------------------------------------------


def options(rule: ClassRule, most_errors: int) -> tuple[Option, ...]:
    """Every (r, f) with r + f <= most_errors that the class's shares allow for some support.

    Raises:
        TooMuchWork: more than the budget of pairs.
    """
    return _options(rule, most_errors)


@lru_cache(maxsize=4096)
def _options(rule: ClassRule, most: int) -> tuple[Option, ...]:
    least, limit = rule.support
    if limit is not None and limit < least:
        return ()
    if least == limit:
        return tuple(_of_support(rule, least, most))
    if most > FREE_ERRORS:
        raise TooMuchWork
    rings = _rings(rule)
    for total in range(len(rings), most + 1):
        rings.append(tuple(_of_total(rule, total)))
    return tuple(option for ring in rings[: most + 1] for option in ring)


@lru_cache(maxsize=4096)
def _rings(rule: ClassRule) -> list[tuple[Option, ...]]:
    """The options of a class with unknown support by r + f; grows as more errors are asked for."""
    return []


def _of_total(rule: ClassRule, total: int) -> Iterator[Option]:
    limit = rule.support[1]
    first, last = 0, total
    if limit is not None:
        # Of at most `limit` cells a recall of at least lo misses so many; false alarms likewise.
        if rule.recall is not None:
            last = min(last, floor((1 - rule.recall[0]) * limit))
        if rule.precision is not None and rule.precision[0] > 0:
            first = max(first, total - floor((1 / rule.precision[0] - 1) * limit))
    if rule.false_negatives is not None:
        first, last = max(first, rule.false_negatives), min(last, rule.false_negatives)
    if rule.false_positives is not None:
        first, last = max(first, total - rule.false_positives), min(last, total - rule.false_positives)
    for r in range(first, last + 1):
        supports = _supports(rule, r, total - r)
        if supports:
            yield Option(r, total - r, supports)


def _of_support(rule: ClassRule, s: int, most: int) -> Iterator[Option]:
    least_t, most_t = 0, s
    if rule.recall is not None:
        least_t, most_t = ceil(rule.recall[0] * s), floor(rule.recall[1] * s)
        if s == 0 and rule.recall[0] > 0:  # no cells, no recall: printed 0 at most
            return
    if rule.correct is not None:
        least_t, most_t = max(least_t, rule.correct), min(most_t, rule.correct)
    if rule.false_negatives is not None:
        least_t, most_t = max(least_t, s - rule.false_negatives), min(most_t, s - rule.false_negatives)
    fixed: tuple[Span, ...] = ((s, s),)
    n_pairs = 0
    for t in range(min(most_t, s), max(least_t, s - most, 0) - 1, -1):
        r = s - t
        least_f, most_f = 0, most - r
        if t == 0:
            # Nothing right: every share that exists is 0, one that does not exist is printed as 0.
            if any(band is not None and band[0] > 0 for band in (rule.precision, rule.f1)):
                continue
        else:
            if rule.precision is not None:
                low, high = _denominators(t, rule.precision)
                least_f = max(least_f, low - t)
                most_f = most_f if high is None else min(most_f, high - t)
            if rule.f1 is not None:
                low, high = _denominators(2 * t, rule.f1)
                least_f = max(least_f, low - s - t)
                most_f = most_f if high is None else min(most_f, high - s - t)
        if rule.predicted is not None:
            least_f, most_f = max(least_f, rule.predicted - t), min(most_f, rule.predicted - t)
        if rule.false_positives is not None:
            least_f, most_f = max(least_f, rule.false_positives), min(most_f, rule.false_positives)
        n_pairs += 1 + max(0, most_f - least_f + 1)
        if n_pairs > WORK:
            raise TooMuchWork
        for f in range(least_f, most_f + 1):
            yield Option(r, f, fixed)


def _supports(rule: ClassRule, r: int, f: int) -> tuple[Span, ...]:
    """The supports for which r misses and f false alarms print as they are printed."""
    low: int
    high: int | None
    found: list[Span] = []
    # Nothing right: t = 0, so s = r, and every share is 0 or does not exist and is printed as 0.
    if all(band is None or band[0] <= 0 for band in (rule.precision, rule.recall, rule.f1)):
        _add(found, rule, r, r, r, f)
    low, high = r + 1, None  # t >= 1
    for band, wrong, per, offset in (
        (rule.recall, r, 1, 0),  # r / s
        (rule.precision, f, 1, f - r),  # f / (s + f - r)
        (rule.f1, r + f, 2, f - r),  # (r + f) / (2 s + f - r)
    ):
        if band is None:
            continue
        # wrong / total lies in [1 - hi, 1 - lo] with total = per * s + offset > 0
        (lo_n, lo_d), (hi_n, hi_d) = band[0].as_integer_ratio(), band[1].as_integer_ratio()
        if lo_n < lo_d:  # s >= (wrong / (1 - lo) - offset) / per, rounded up
            low = max(low, -((offset * (lo_d - lo_n) - wrong * lo_d) // (per * (lo_d - lo_n))))
        elif wrong:
            return tuple(found)
        if hi_n < hi_d:
            if wrong == 0:
                return tuple(found)
            top = (wrong * hi_d - offset * (hi_d - hi_n)) // (per * (hi_d - hi_n))
            high = top if high is None else min(high, top)
    _add(found, rule, low, high, r, f)
    return tuple(found)


def _add(found: list[Span], rule: ClassRule, low: int, high: int | None, r: int, f: int) -> None:
    low = max(low, rule.support[0])
    for top in (
        rule.support[1],
        None if rule.correct is None else rule.correct + r,
        None if rule.predicted is None else rule.predicted + r - f,
    ):
        high = top if high is None else (high if top is None else min(high, top))
    if rule.correct is not None:
        low = max(low, rule.correct + r)
    if rule.predicted is not None:
        low = max(low, rule.predicted + r - f)
    if high is None or low <= high:
        found.append((low, high))


def _denominators(numerator: int, band: Band) -> Span:
    """Every d with numerator / d in the band (numerator > 0); an empty span where there is none."""
    low, high = band
    if high <= 0:
        return 1, 0
    return ceil(Fraction(numerator) / high), None if low <= 0 else floor(Fraction(numerator) / low)


# --- all classes ----------------------------------------------------------------------------------


def feasible(question: MatrixQuestion, *, work: int = WORK) -> Answer:
    """Whether at least one confusion matrix satisfies everything that is asked."""
    try:
        return Answer.FEASIBLE if _exists(_Tightened.of(question), _Budget(work)) else Answer.INFEASIBLE
    except TooMuchWork:
        return Answer.UNDECIDED
    except _Contradiction:
        return Answer.INFEASIBLE


def count_matrices(question: MatrixQuestion, *, work: int = WORK) -> dict[int, int] | None:
    """How many confusion matrices satisfy the question, by number of errors; None where that is not counted.

    The question must fix the size of the set; otherwise infinitely many matrices satisfy it.
    """
    try:
        tight = _Tightened.of(question)
    except _Contradiction:
        return {}
    budget = _Budget(work)
    counts: dict[int, int] = {}
    try:
        if tight.n[1] is None:
            return None
        for errors in tight.error_totals(limit=4 * _TRIES):
            total = 0
            n_span = tight.sizes(errors)
            for vector in _vectors(tight, errors, budget):
                if not _averages_fit(tight, vector):
                    continue
                fillings = _fillings(tight, vector, budget)
                if fillings:
                    spans = [option.supports for option in vector]
                    total += fillings * _compositions(spans, n_span, budget)
            if total:
                counts[errors] = total
    except TooMuchWork:
        return None
    return counts


def first_matrix(question: MatrixQuestion, *, work: int = WORK) -> tuple[tuple[int, ...], ...] | None:
    """One matrix with supports that are fixed by the question, or None where there is none or it is not found."""
    try:
        tight = _Tightened.of(question)
        budget = _Budget(work)
        if not tight.is_fixed:
            return None
        for errors in tight.error_totals(limit=_TRIES):
            for vector in _vectors(tight, errors, budget):
                if _averages_fit(tight, vector):
                    flow = _flow(tight, vector)
                    if flow is not None:
                        for i, option in enumerate(vector):
                            flow[i][i] = option.supports[0][0] - option.r
                        return tuple(map(tuple, flow))
    except (TooMuchWork, _Contradiction):
        pass
    return None


class _Contradiction(Exception):
    """Two plain numbers of the question exclude each other."""


@dataclass(frozen=True, slots=True)
class _Tightened:
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
    def of(cls, question: MatrixQuestion) -> _Tightened:
        rules = list(question.rules)
        for band in (b for rule in rules for b in (rule.precision, rule.recall, rule.f1) if b is not None):
            if band[0] > band[1]:
                raise _Contradiction
        cells: dict[tuple[int, int], int] = {}
        for i, j, count in question.cells:
            if i == j or cells.setdefault((i, j), count) != count:
                raise _Contradiction
        errors = question.errors
        stated = sum(cells.values())
        errors = _meet(errors, (stated, stated) if question.exclusive else (stated, None))
        if question.exclusive:
            for k, rule in enumerate(rules):
                missed = sum(count for (i, _), count in cells.items() if i == k)
                called = sum(count for (_, j), count in cells.items() if j == k)
                rules[k] = _with_errors(rule, missed, called)
        for k, rule in enumerate(rules):
            if rule.correct is not None:
                rules[k] = rule = replace(rule, support=_meet(rule.support, (rule.correct, None)))
            if rule.recall is not None and rule.precision is not None and rule.f1 is not None:
                _check_row(rule.precision, rule.recall, rule.f1)
        n = _meet(question.n, _sum([rule.support for rule in rules]))
        if n[1] is not None:
            errors = _meet(errors, (0, n[1]))
        if question.accuracy is not None:
            low, high = question.accuracy
            if low > high:
                raise _Contradiction
            if low == 1:
                errors = _meet(errors, (0, 0))
            if n[1] is not None:
                errors = _meet(errors, (ceil((1 - high) * n[0]), floor((1 - low) * n[1])))
            elif errors[1] is not None and high < 1:
                n = _meet(n, (0, floor(Fraction(errors[1]) / (1 - high))))
            if low < 1:
                n = _meet(n, (ceil(Fraction(errors[0]) / (1 - low)), None))
        if n[1] is not None and all(rule.recall is not None for rule in rules):
            worst = min(rule.recall[0] for rule in rules if rule.recall is not None)
            errors = _meet(errors, (0, floor((1 - worst) * n[1])))
        if len(rules) == 1:
            errors = _meet(errors, (0, 0))
        if n[1] is not None:
            elsewhere = sum(rule.support[0] for rule in rules)
            for k, rule in enumerate(rules):
                if not rule.is_free:  # a class of which nothing is said stays recognisable as one
                    rest = n[1] - (elsewhere - rule.support[0])
                    rules[k] = replace(rule, support=_meet(rule.support, (0, max(rest, 0))))
        return cls(tuple(rules), n, errors, question.accuracy, cells, question.exclusive, question.averages)

    def sizes(self, errors: int) -> Span:
        """The n that the printed accuracy allows with so many errors."""
        n = _meet_or_none(self.n, (errors, None))
        if n is not None and self.accuracy is not None:
            low, high = self.accuracy
            if low == 1 and errors:
                return 1, 0
            least = ceil(Fraction(errors) / (1 - low)) if low < 1 else 0
            most = None if high == 1 else floor(Fraction(errors) / (1 - high))
            n = _meet_or_none(n, (max(1, least), most))
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


def _exists(tight: _Tightened, budget: _Budget) -> bool:
    if not _averages_possible(tight):
        return False
    needs_vectors = bool(tight.averages) or (bool(tight.cells) and not tight.exclusive)
    if tight.is_fixed:
        # Few errors are cheap to try, and most questions that have an answer have one there.
        if not needs_vectors and any(_fixed_reach(tight, few, budget) for few in _first(tight.errors)):
            return True
        totals: Iterator[int] = iter(_fixed_totals(tight, budget))
    else:
        totals = tight.error_totals(limit=_TRIES)
    for errors in totals:
        reached = _fixed_reach(tight, errors, budget) if tight.is_fixed else _free_reach(tight, errors, budget)
        if not reached:
            continue
        if not needs_vectors:
            return True
        for n_seen, vector in enumerate(_vectors(tight, errors, budget)):
            if n_seen == MOST_VECTORS:
                raise TooMuchWork
            budget.spend(300)  # what a flow and its averages cost
            if not tight.is_fixed and tight.averages:
                return True  # averages over unknown supports: their necessary conditions held
            if _averages_fit(tight, vector) and _flow(tight, vector) is not None:
                return True
    return False


def _first(errors: Span) -> range:
    least, most = errors
    return range(least, least + 3 if most is None else min(least + 3, most + 1))


def _fixed_totals(tight: _Tightened, budget: _Budget) -> list[int]:
    """The error totals that the sums alone allow, supports being known."""
    n = sum(rule.support[0] for rule in tight.rules)
    least, most = tight.errors
    most = n if most is None else min(most, n)
    # No class can miss more, and none raise more false alarms, than its row allows.
    per_class = [options(rule, most) for rule in tight.rules]
    if not all(per_class):
        return []
    most = min(most, sum(max(o.r for o in own) for own in per_class), sum(max(o.f for o in own) for own in per_class))
    least = max(least, sum(min(o.r for o in own) for own in per_class), sum(min(o.f for o in own) for own in per_class))
    low, high = tight.sizes(least) if least <= most else (1, 0)
    totals = []
    if most - least > 20_000:
        raise TooMuchWork
    reach = _sums(tight, per_class, most, budget) if most > least else None
    stride = _stride(most)
    for errors in range(least, most + 1):
        low, high = tight.sizes(errors)
        if low <= n and (high is None or n <= high) and (reach is None or reach >> (errors * stride + errors) & 1):
            totals.append(errors)
    if len(totals) > _TRIES:
        # Feasible totals are usually found at once; the rest is cut off, and that is said.
        return _Cut(totals[:_TRIES])
    return totals


class _Cut(list[int]):
    """A list of totals that goes on; running off its end is not proof."""

    def __iter__(self) -> Iterator[int]:
        yield from super().__iter__()
        raise TooMuchWork


def _stride(errors: int) -> int:
    return 2 * errors + 2


def _sums(tight: _Tightened, per_class: Sequence[Sequence[Option]], most: int, budget: _Budget) -> int:
    """Which (sum of r, sum of f) up to `most` can be reached, as the bits of one integer."""
    stride = _stride(most)
    words = 1 + (most + 1) * stride // 4096
    row = (1 << (most + 1)) - 1
    mask = 0
    for i in range(most + 1):
        mask |= row << (i * stride)
    reached = 1
    for own in per_class:
        runs = _runs(own)
        budget.spend(len(runs) * 3 * words)
        after = 0
        for r, first, length in runs:
            after |= _spread(reached, length) << (r * stride + first)
            after &= mask
        reached = after
        if not reached:
            break
    return reached


def _runs(own: Sequence[Option]) -> list[tuple[int, int, int]]:
    """(r, first f, how many f in a row): options of one r come in runs, and a run is spread by doubling."""
    runs: list[tuple[int, int, int]] = []
    for option in sorted(own, key=lambda o: (o.r, o.f)):
        if runs and runs[-1][0] == option.r and runs[-1][1] + runs[-1][2] == option.f:
            runs[-1] = (option.r, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((option.r, option.f, 1))
    return runs


def _spread(bits: int, length: int) -> int:
    """The bits, each also moved up by 1 ... length - 1.

    A run is at most `most` long and a row has room for twice that, so nothing reaches the next row.
    """
    done = 1
    while done < length:
        step = min(done, length - done)
        bits |= bits << step
        done += step
    return bits


def _fixed_reach(tight: _Tightened, errors: int, budget: _Budget) -> bool:
    per_class = [_own(tight, k, errors) for k in range(len(tight.rules))]
    if not all(per_class):
        return False
    return bool(_sums(tight, per_class, errors, budget) >> (errors * _stride(errors) + errors) & 1)


def _own(tight: _Tightened, k: int, errors: int) -> tuple[Option, ...]:
    """The class's options that leave room for the counts stated cell by cell."""
    own = options(tight.rules[k], errors)
    if not tight.cells or tight.exclusive:
        return own
    missed = sum(count for (i, _), count in tight.cells.items() if i == k)
    called = sum(count for (_, j), count in tight.cells.items() if j == k)
    rest = errors - sum(tight.cells.values())
    return tuple(o for o in own if o.r >= missed and o.f >= called and (o.r - missed) + (o.f - called) <= rest)


def _free_reach(tight: _Tightened, errors: int, budget: _Budget) -> bool:
    """Whether some (r, f) of every class and supports adding up to an allowed n exist."""
    low, high = tight.sizes(errors)
    if high is not None and low > high:
        return False
    bound = [k for k, rule in enumerate(tight.rules) if not rule.is_free or tight.cells]
    n_free = len(tight.rules) - len(bound)
    per_class = sorted((_own(tight, k, errors) for k in bound), key=len)
    if not all(per_class):
        return False
    # (sum r, sum f) -> the sums of supports, as disjoint inclusive intervals
    states: dict[tuple[int, int], list[Span]] = {(0, 0): [(0, 0)]}
    for own in per_class:
        after: dict[tuple[int, int], list[Span]] = {}
        budget.spend(len(states) * len(own) * 4)
        for (r, f), spans in states.items():
            for option in own:
                if r + option.r <= errors and f + option.f <= errors:
                    sums = [_plus(a, b) for a in spans for b in option.supports]
                    after.setdefault((r + option.r, f + option.f), []).extend(s for s in sums if _below(s, high))
        states = {}
        for key, spans in after.items():
            if spans:
                states[key] = _merged(spans)
                budget.spend(len(spans))
        if not states:
            return False
    for (r, f), spans in states.items():
        rest_r, rest_f = errors - r, errors - f
        if n_free == 0 and (rest_r or rest_f):
            continue
        # Two or more classes of which nothing is said take any rest: one the misses, another the false alarms.
        if n_free == 1 and rest_r + rest_f > errors:
            continue
        for least, most in spans:
            least += rest_r
            most = None if n_free else most
            if (high is None or least <= high) and (most is None or most >= low):
                return True
    return False


def _vectors(tight: _Tightened, errors: int, budget: _Budget) -> Iterator[list[Option]]:
    """Every choice of one option per class whose r and whose f each add up to the errors."""
    per_class = [_own(tight, k, errors) for k in range(len(tight.rules))]
    n = len(per_class)
    if not all(per_class):
        return
    least_r, least_f, most_r, most_f = [0] * (n + 1), [0] * (n + 1), [0] * (n + 1), [0] * (n + 1)
    for k in range(n - 1, -1, -1):
        least_r[k] = least_r[k + 1] + min(o.r for o in per_class[k])
        least_f[k] = least_f[k + 1] + min(o.f for o in per_class[k])
        most_r[k] = most_r[k + 1] + max(o.r for o in per_class[k])
        most_f[k] = most_f[k + 1] + max(o.f for o in per_class[k])
    chosen: list[Option] = []

    def descend(k: int, r: int, f: int) -> Iterator[list[Option]]:
        if k == n:
            if r == f == errors:
                yield list(chosen)
            return
        budget.spend(len(per_class[k]))
        for option in per_class[k]:
            rest_r, rest_f = errors - r - option.r, errors - f - option.f
            if least_r[k + 1] <= rest_r <= most_r[k + 1] and least_f[k + 1] <= rest_f <= most_f[k + 1]:
                chosen.append(option)
                yield from descend(k + 1, r + option.r, f + option.f)
                chosen.pop()

    yield from descend(0, 0, 0)


# --- off the diagonal -----------------------------------------------------------------------------


def _residual(tight: _Tightened, vector: Sequence[Option]) -> tuple[list[int], list[int]]:
    rows, columns = [o.r for o in vector], [o.f for o in vector]
    for (i, j), count in tight.cells.items():
        rows[i] -= count
        columns[j] -= count
    return rows, columns


def _flow(tight: _Tightened, vector: Sequence[Option]) -> list[list[int]] | None:
    """Numbers off the diagonal with these row and column sums and the stated cells, by augmenting paths."""
    rows, columns = _residual(tight, vector)
    n = len(rows)
    if min(rows) < 0 or min(columns) < 0 or sum(rows) != sum(columns):
        return None
    placed = [[0] * n for _ in range(n)]
    for i in range(n):
        while rows[i]:
            # Breadth first from row i: rows reach every open column, columns give back what they hold.
            came: dict[int, tuple[int, int]] = {}
            seen, queue, end = {i}, [i], -1
            while queue and end < 0:
                row = queue.pop(0)
                for j in range(n):
                    if j in came or j == row or (row, j) in tight.cells:
                        continue
                    came[j] = (row, -1)
                    if columns[j]:
                        end = j
                        break
                    for other in range(n):
                        if placed[other][j] and other not in seen:
                            seen.add(other)
                            queue.append(other)
                            came[n + other] = (j, -1)
            if end < 0:
                return None
            path, j = [], end
            while True:
                row = came[j][0]
                path.append((row, j))
                if row == i:
                    break
                j = came[n + row][0]
                path.append((row, j))
            amount = min(rows[i], columns[end], *(placed[a][b] for a, b in path[1::2]))
            for step, (a, b) in enumerate(path):
                placed[a][b] += amount if step % 2 == 0 else -amount
            rows[i] -= amount
            columns[end] -= amount
    for (i, j), count in tight.cells.items():
        placed[i][j] = count
    return placed


def _fillings(tight: _Tightened, vector: Sequence[Option], budget: _Budget) -> int:
    """How many ways there are to fill the cells off the diagonal."""
    rows, columns = _residual(tight, vector)
    if min(rows) < 0 or min(columns) < 0 or sum(rows) != sum(columns):
        return 0
    if tight.exclusive:
        return 1 if not any(rows) and not any(columns) else 0
    known: dict[tuple[int, tuple[int, ...]], int] = {}

    def fill(i: int, left: tuple[int, ...]) -> int:
        if i == len(rows):
            return 1 if not any(left) else 0
        if (i, left) not in known:
            budget.spend(20)
            total = 0
            for after in _spent(i, rows[i], left):
                total += fill(i + 1, after)
            known[i, left] = total
        return known[i, left]

    def _spent(i: int, amount: int, left: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        open_columns = [j for j in range(len(left)) if j != i and (i, j) not in tight.cells]

        def spend(position: int, rest: int, state: list[int]) -> Iterator[tuple[int, ...]]:
            budget.spend(1)
            if rest == 0:
                yield tuple(state)
                return
            if position == len(open_columns):
                return
            j = open_columns[position]
            for take in range(min(rest, state[j]) + 1):
                state[j] -= take
                yield from spend(position + 1, rest - take, state)
                state[j] += take

        yield from spend(0, amount, list(left))

    return fill(0, tuple(columns))


def _compositions(spans: Sequence[Sequence[Span]], n: Span, budget: _Budget) -> int:
    """How many supports, one per class from its intervals, add up to an allowed n."""
    low, high = n
    assert high is not None
    counts = {0: 1}
    for own in spans:
        if len(own) == 1 and own[0][0] == own[0][1]:
            counts = {total + own[0][0]: ways for total, ways in counts.items() if total + own[0][0] <= high}
            continue
        budget.spend(2 * high)
        steps = [0] * (high + 2)
        for total, ways in counts.items():
            for least, most in own:
                first = total + least
                if first <= high:
                    steps[first] += ways
                    last = high if most is None else min(high, total + most)
                    steps[last + 1] -= ways
        counts, running = {}, 0
        for total in range(high + 1):
            running += steps[total]
            if running:
                counts[total] = running
    return sum(ways for total, ways in counts.items() if low <= total)


# --- averages -------------------------------------------------------------------------------------


def _averages_possible(tight: _Tightened) -> bool:
    """A necessary condition: the mean of the printed bands meets the printed mean."""
    for average in tight.averages:
        for name in ("precision", "recall", "f1"):
            wanted: Band | None = getattr(average, name)
            bands: list[Band | None] = [getattr(rule, name) for rule in tight.rules]
            if wanted is None or any(band is None for band in bands):
                continue
            if average.weighted:
                if not tight.is_fixed:
                    known = [band for band in bands if band is not None]
                    low, high = min(b[0] for b in known), max(b[1] for b in known)
                else:
                    weights = [rule.support[0] for rule in tight.rules]
                    total = sum(weights)
                    if total == 0:
                        continue
                    pairs = [(w, b) for w, b in zip(weights, bands, strict=True) if b is not None]
                    low = sum((w * b[0] for w, b in pairs), Fraction(0)) / total
                    high = sum((w * b[1] for w, b in pairs), Fraction(0)) / total
            else:
                low = sum((band[0] for band in bands if band is not None), Fraction(0)) / len(bands)
                high = sum((band[1] for band in bands if band is not None), Fraction(0)) / len(bands)
            if high < wanted[0] or low > wanted[1]:
                return False
    return True


def _averages_fit(tight: _Tightened, vector: Sequence[Option]) -> bool:
    if not tight.averages or not tight.is_fixed:
        return True
    supports = [option.supports[0][0] for option in vector]
    right = [s - option.r for s, option in zip(supports, vector, strict=True)]
    called = [t + option.f for t, option in zip(right, vector, strict=True)]
    shares = {
        "precision": [Fraction(t, q) if q else Fraction(0) for t, q in zip(right, called, strict=True)],
        "recall": [Fraction(t, s) if s else Fraction(0) for t, s in zip(right, supports, strict=True)],
        "f1": [
            Fraction(2 * t, s + q) if s + q else Fraction(0) for t, s, q in zip(right, supports, called, strict=True)
        ],
    }
    for average in tight.averages:
        weights = supports if average.weighted else [1] * len(supports)
        total = sum(weights)
        for name, values in shares.items():
            band: Band | None = getattr(average, name)
            if band is not None and total:
                mean = sum((w * v for w, v in zip(weights, values, strict=True)), Fraction(0)) / total
                if not band[0] <= mean <= band[1]:
                    return False
    return True


# --- small arithmetic -----------------------------------------------------------------------------


def _check_row(precision: Band, recall: Band, f1: Band) -> None:
    """F1 is the harmonic mean, and it grows with both: at no size does a row exist outside these ends."""

    def harmonic(p: Fraction, r: Fraction) -> Fraction:
        return 2 * p * r / (p + r) if p + r else Fraction(0)

    if harmonic(precision[1], recall[1]) < f1[0] or harmonic(precision[0], recall[0]) > f1[1]:
        raise _Contradiction


def _with_errors(rule: ClassRule, missed: int, called: int) -> ClassRule:
    if rule.false_negatives not in (None, missed) or rule.false_positives not in (None, called):
        raise _Contradiction
    return replace(rule, support=_meet(rule.support, (missed, None)), false_negatives=missed, false_positives=called)


def _meet_or_none(a: Span, b: Span) -> Span | None:
    low = max(a[0], b[0])
    high = a[1] if b[1] is None else b[1] if a[1] is None else min(a[1], b[1])
    return None if high is not None and low > high else (low, high)


def _meet(a: Span, b: Span) -> Span:
    met = _meet_or_none(a, b)
    if met is None:
        raise _Contradiction
    return met


def _sum(spans: Sequence[Span]) -> Span:
    total: Span = (0, 0)
    for span in spans:
        total = _plus(total, span)
    return total


def _plus(a: Span, b: Span) -> Span:
    return a[0] + b[0], None if a[1] is None or b[1] is None else a[1] + b[1]


def _below(span: Span, high: int | None) -> bool:
    return high is None or span[0] <= high


def _merged(spans: list[Span]) -> list[Span]:
    out: list[Span] = []
    for low, high in sorted(spans, key=lambda span: span[0]):
        if out and (out[-1][1] is None or low <= out[-1][1] + 1):
            if out[-1][1] is not None:
                out[-1] = (out[-1][0], None if high is None else max(out[-1][1], high))
        else:
            out.append((low, high))
    return out
