"""Is there a confusion matrix with these sums, shares and counts, and how many are there? Integers only.

Per class: s support, t diagonal, q predicted; r = s - t false negatives, f = q - t false positives. Over classes the r
and the f each add up to the errors E, the s to n. Numbers off the diagonal exist for given r and f exactly when both
sums are equal and r + f <= E for every class (no cell may lie on the diagonal; max-flow min-cut).

Every printed share bounds a ratio of these integers from both sides, so for fixed (r, f) the supports that fit form an
interval. The search runs over (r, f) and adds intervals; n itself is never enumerated. Work is counted, not timed: the
same question gets the same answer on every machine, and one that is too big gets UNDECIDED.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.claims.averages_fit import averages_fit, averages_possible
from harness.claims.matrix_rules import WORK, Answer, Budget, MatrixQuestion, TooMuchWork
from harness.claims.off_diagonal import compositions, fillings_of, flow_of
from harness.claims.reach import TRIES, first_totals, fixed_reach, fixed_totals, free_reach, vectors
from harness.claims.spans import Contradiction
from harness.claims.tightened import Tightened

MOST_VECTORS = 1_000  # most (r, f) vectors that are listed


def feasible(question: MatrixQuestion, *, work: int = WORK) -> Answer:
    """Whether at least one confusion matrix satisfies everything that is asked."""
    try:
        return Answer.FEASIBLE if _exists(Tightened.of(question), Budget(work)) else Answer.INFEASIBLE
    except TooMuchWork:
        return Answer.UNDECIDED
    except Contradiction:
        return Answer.INFEASIBLE


def count_matrices(question: MatrixQuestion, *, work: int = WORK) -> dict[int, int] | None:
    """How many confusion matrices satisfy the question, by number of errors; None where that is not counted.

    The question must fix the size of the set; otherwise infinitely many matrices satisfy it.
    """
    try:
        tight = Tightened.of(question)
    except Contradiction:
        return {}
    budget = Budget(work)
    counts: dict[int, int] = {}
    try:
        if tight.n[1] is None:
            return None
        for errors in tight.error_totals(limit=4 * TRIES):
            total = 0
            n_span = tight.sizes(errors)
            for vector in vectors(tight, errors, budget):
                if not averages_fit(tight, vector):
                    continue
                fillings = fillings_of(tight, vector, budget)
                if fillings:
                    spans = [option.supports for option in vector]
                    total += fillings * compositions(spans, n_span, budget)
            if total:
                counts[errors] = total
    except TooMuchWork:
        return None
    return counts


def first_matrix(question: MatrixQuestion, *, work: int = WORK) -> tuple[tuple[int, ...], ...] | None:
    """One matrix with supports that are fixed by the question, or None where there is none or it is not found."""
    try:
        tight = Tightened.of(question)
        budget = Budget(work)
        if not tight.is_fixed:
            return None
        for errors in tight.error_totals(limit=TRIES):
            for vector in vectors(tight, errors, budget):
                if averages_fit(tight, vector):
                    flow = flow_of(tight, vector)
                    if flow is not None:
                        for i, option in enumerate(vector):
                            flow[i][i] = option.supports[0][0] - option.r
                        return tuple(map(tuple, flow))
    except (TooMuchWork, Contradiction):
        pass
    return None


def _exists(tight: Tightened, budget: Budget) -> bool:
    if not averages_possible(tight):
        return False
    needs_vectors = bool(tight.averages) or (bool(tight.cells) and not tight.exclusive)
    if tight.is_fixed:
        # Few errors are cheap to try, and most questions that have an answer have one there.
        if not needs_vectors and any(fixed_reach(tight, few, budget) for few in first_totals(tight.errors)):
            return True
        totals: Iterator[int] = iter(fixed_totals(tight, budget))
    else:
        totals = tight.error_totals(limit=TRIES)
    for errors in totals:
        reached = fixed_reach(tight, errors, budget) if tight.is_fixed else free_reach(tight, errors, budget)
        if not reached:
            continue
        if not needs_vectors:
            return True
        for n_seen, vector in enumerate(vectors(tight, errors, budget)):
            if n_seen == MOST_VECTORS:
                raise TooMuchWork
            budget.spend(300)  # what a flow and its averages cost
            if not tight.is_fixed and tight.averages:
                return True  # averages over unknown supports: their necessary conditions held
            if averages_fit(tight, vector) and flow_of(tight, vector) is not None:
                return True
    return False
