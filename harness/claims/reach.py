"""Which totals of errors can the classes together reach, and by which choices of one option per class?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.claims.class_options import Option, options
from harness.claims.matrix_rules import Budget, TooMuchWork
from harness.claims.spans import Span, below, joined_spans, plus
from harness.claims.tightened import Tightened

TRIES = 60  # error totals that are tried one by one


def first_totals(errors: Span) -> range:
    least, most = errors
    return range(least, least + 3 if most is None else min(least + 3, most + 1))


def fixed_totals(tight: Tightened, budget: Budget) -> list[int]:
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
    reach = sums(tight, per_class, most, budget) if most > least else None
    stride = stride_of(most)
    for errors in range(least, most + 1):
        low, high = tight.sizes(errors)
        if low <= n and (high is None or n <= high) and (reach is None or reach >> (errors * stride + errors) & 1):
            totals.append(errors)
    if len(totals) > TRIES:
        # Feasible totals are usually found at once; the rest is cut off, and that is said.
        return _Cut(totals[:TRIES])
    return totals


class _Cut(list[int]):
    """A list of totals that goes on; running off its end is not proof."""

    def __iter__(self) -> Iterator[int]:
        yield from super().__iter__()
        raise TooMuchWork


def stride_of(errors: int) -> int:
    return 2 * errors + 2


def sums(tight: Tightened, per_class: Sequence[Sequence[Option]], most: int, budget: Budget) -> int:
    """Which (sum of r, sum of f) up to `most` can be reached, as the bits of one integer."""
    stride = stride_of(most)
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


def fixed_reach(tight: Tightened, errors: int, budget: Budget) -> bool:
    per_class = [own_options(tight, k, errors) for k in range(len(tight.rules))]
    if not all(per_class):
        return False
    return bool(sums(tight, per_class, errors, budget) >> (errors * stride_of(errors) + errors) & 1)


def own_options(tight: Tightened, k: int, errors: int) -> tuple[Option, ...]:
    """The class's options that leave room for the counts stated cell by cell."""
    own = options(tight.rules[k], errors)
    if not tight.cells or tight.exclusive:
        return own
    missed = sum(count for (i, _), count in tight.cells.items() if i == k)
    called = sum(count for (_, j), count in tight.cells.items() if j == k)
    rest = errors - sum(tight.cells.values())
    return tuple(o for o in own if o.r >= missed and o.f >= called and (o.r - missed) + (o.f - called) <= rest)


def free_reach(tight: Tightened, errors: int, budget: Budget) -> bool:
    """Whether some (r, f) of every class and supports adding up to an allowed n exist."""
    low, high = tight.sizes(errors)
    if high is not None and low > high:
        return False
    bound = [k for k, rule in enumerate(tight.rules) if not rule.is_free or tight.cells]
    n_free = len(tight.rules) - len(bound)
    per_class = sorted((own_options(tight, k, errors) for k in bound), key=len)
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
                    sums = [plus(a, b) for a in spans for b in option.supports]
                    after.setdefault((r + option.r, f + option.f), []).extend(s for s in sums if below(s, high))
        states = {}
        for key, spans in after.items():
            if spans:
                states[key] = joined_spans(spans)
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


def vectors(tight: Tightened, errors: int, budget: Budget) -> Iterator[list[Option]]:
    """Every choice of one option per class whose r and whose f each add up to the errors."""
    per_class = [own_options(tight, k, errors) for k in range(len(tight.rules))]
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
