"""What do the averages over classes amount to, and how far can macro-F1 be trusted?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from harness.core.errors import UndefinedStatistic

# Points of the one-dimensional searches, and how often each is narrowed down around its best point.
GRID_POINTS, GRID_ROUNDS = 33, 4


@dataclass(frozen=True, slots=True)
class MulticlassSummary:
    """The usual single numbers of a confusion matrix; None where one does not exist, never 0.

    A class without reference cells has no recall and no F1, so no average over classes exists. A class that is never
    predicted has no precision; its F1 is 0, because reference cells were missed.

    balanced_accuracy: mean recall over classes, the same as macro_recall.
    weighted_f1:       F1 averaged by support.
    kappa:             Cohen's; None where chance alone would agree throughout.
    mcc:               multi-class Matthews correlation; None where reference or prediction is one class only.
    """

    accuracy: float
    balanced_accuracy: float | None
    macro_precision: float | None
    macro_recall: float | None
    macro_f1: float | None
    weighted_f1: float | None
    kappa: float | None
    mcc: float | None


def macro_f1(confusion: np.ndarray) -> float:
    """The plain mean of the classes' F1.

    Args:
        confusion: (n_classes, n_classes) counts, rows reference, columns predicted.
    Raises:
        UndefinedStatistic: a class has no reference cells. Its F1 is undefined, and so is the mean: it is not 0.
    >>> round(macro_f1(np.array([[9, 1], [0, 10]])), 6)
    0.949875
    """
    counts = _checked(confusion)
    support = counts.sum(axis=1)
    _check_supports(support.tolist())
    return float(np.mean(2 * np.diag(counts) / (support + counts.sum(axis=0))))


def multiclass_summary(confusion: np.ndarray) -> MulticlassSummary:
    """Accuracy, class averages, kappa and Matthews correlation of one confusion matrix.

    Args:
        confusion: (n_classes, n_classes) counts, rows reference, columns predicted.
    Raises:
        UndefinedStatistic: no cells.
    Source: Cohen (1960), Educ. Psychol. Meas. 20:37-46; Gorodkin (2004), Comput. Biol. Chem. 28:367-374, for mcc.
    >>> summary = multiclass_summary(np.array([[9, 0], [0, 0]]))
    >>> summary.accuracy, summary.macro_recall, summary.kappa
    (1.0, None, None)
    """
    counts = _checked(confusion).astype(np.float64)
    n, hits = float(counts.sum()), np.diag(counts)
    if n == 0:
        raise UndefinedStatistic("a confusion matrix of no cells has no accuracy; score at least one cell")
    support, called = counts.sum(axis=1), counts.sum(axis=0)
    present, precise = bool((support > 0).all()), bool((called > 0).all())
    recall = float(np.mean(hits / support)) if present else None
    f1 = 2 * hits / (support + called) if present else None
    accuracy, chance = float(hits.sum()) / n, float(support @ called) / n**2
    spread = (n * n - float(support @ support)) * (n * n - float(called @ called))
    return MulticlassSummary(
        accuracy=accuracy,
        balanced_accuracy=recall,
        macro_precision=float(np.mean(hits / called)) if present and precise else None,
        macro_recall=recall,
        macro_f1=float(np.mean(f1)) if f1 is not None else None,
        weighted_f1=float(f1 @ support) / n if f1 is not None else None,
        kappa=(accuracy - chance) / (1.0 - chance) if chance < 1.0 else None,
        mcc=(n * float(hits.sum()) - float(support @ called)) / math.sqrt(spread) if spread > 0 else None,
    )


# Each end is a search of a tenth of a second, which report, tables and criteria all ask for.


MOST_CLASSES_BOUNDED = 8  # beyond, the search takes seconds


@lru_cache(maxsize=1024)
def lowest_macro_f1(supports: tuple[int, ...], errors: float) -> float:
    """The lowest macro-F1 of any confusion matrix with these supports and so many errors.

    Errors may be fractional: shares of a population. With a missed cells and b false calls a class of support s loses
    1 - F1 = (a + b) / (2s - a + b), convex in a and concave in b. So the worst arrangement takes the missed cells from
    as few classes as it can and spreads the false calls, the best one does the reverse. That leaves a few arrangements
    with one free number each, which is searched; what is to be spread is spread by its marginal effect. No class's
    missed cells can be its own false calls: a + b <= errors for each.

    At the upper bound of the errors it is the lower bound of macro-F1 that gates act on: whatever the arrangement is,
    macro-F1 is no lower. It pays for not knowing it by being lower than need be. A bootstrap of macro-F1 is no
    substitute: near the ceiling its interval misses the truth far too often.

    >>> round(lowest_macro_f1((75,) * 5, 2), 6)
    0.994639
    """
    s = _of_few_classes(supports)
    if errors == 0.0:
        return 1.0
    worst = _unlike(_concentrated_misses(s, errors), s)
    return max(0.0, 1.0 - max(_best_of(arrangement, s, errors, largest=True) for arrangement in worst) / s.size)


@lru_cache(maxsize=1024)
def highest_macro_f1(supports: tuple[int, ...], errors: float) -> float:
    """The highest macro-F1 of any confusion matrix with these supports and so many errors: see `lowest_macro_f1`.

    >>> round(highest_macro_f1((75,) * 5, 2), 6)
    0.994693
    """
    s = _of_few_classes(supports)
    if errors == 0.0:
        return 1.0
    best = _unlike(_concentrated_calls(s, errors), s)
    return 1.0 - min(_best_of(arrangement, s, errors, largest=False) for arrangement in best) / s.size


def _of_few_classes(supports: tuple[int, ...]) -> np.ndarray:
    if len(supports) > MOST_CLASSES_BOUNDED:
        raise ValueError(f"{len(supports)} classes; macro-F1 has a bound for up to {MOST_CLASSES_BOUNDED}")
    return np.asarray(supports, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """Which class takes what, with one free number x in [low, high].

    whole: classes that lose all their cells, or () where false calls are concentrated.
    split: class that takes `errors` - x of the concentrated kind and x of the other, or None.
    rest:  class that takes what remains of the concentrated kind.
    """

    whole: tuple[int, ...]
    split: int | None
    rest: int
    low: float
    high: float


def _concentrated_misses(s: np.ndarray, errors: float) -> Iterator[_Arrangement]:
    """Every candidate for the worst arrangement."""
    classes = range(s.size)
    for size in classes:
        for whole in combinations(classes, size):
            lost = float(s[list(whole)].sum())
            if lost > errors:
                continue
            for rest in set(classes) - set(whole):
                if errors - lost <= s[rest]:
                    yield _Arrangement(whole, None, rest, lost, lost)
                for split in set(classes) - set(whole) - {rest}:
                    low, high = max(lost, errors - s[split]), min(errors, lost + s[rest])
                    if low <= high:
                        yield _Arrangement(whole, split, rest, low, high)


def _concentrated_calls(s: np.ndarray, errors: float) -> Iterator[_Arrangement]:
    """Every candidate for the best arrangement."""
    for rest in range(s.size):
        yield _Arrangement((), None, rest, 0.0, 0.0)
        for split in set(range(s.size)) - {rest}:
            yield _Arrangement((), split, rest, 0.0, min(errors, s[split]))


def _unlike(arrangements: Iterable[_Arrangement], s: np.ndarray) -> list[_Arrangement]:
    """One of each kind: classes of equal support are interchangeable."""
    kinds = {}
    for plan in arrangements:
        split = None if plan.split is None else s[plan.split]
        kinds[tuple(sorted(s[list(plan.whole)])), split, s[plan.rest]] = plan
    return list(kinds.values())


def _best_of(arrangement: _Arrangement, s: np.ndarray, errors: float, *, largest: bool) -> float:
    """The largest (or smallest) summed loss of one arrangement over its free number."""
    low, high = arrangement.low, arrangement.high
    place = _loss_with_concentrated_misses if largest else _loss_with_concentrated_calls
    sign, best = (1.0 if largest else -1.0), -math.inf
    for _ in range(GRID_ROUNDS if high > low else 1):
        points = np.linspace(low, high, GRID_POINTS if high > low else 1)
        values = sign * place(arrangement, s, errors, points)
        top = int(np.argmax(values))
        best = max(best, float(values[top]))
        low, high = points[max(0, top - 1)], points[min(points.size - 1, top + 1)]
    return sign * best


def _loss_with_concentrated_misses(plan: _Arrangement, s: np.ndarray, errors: float, x: np.ndarray) -> np.ndarray:
    missed, called = np.zeros((x.size, s.size)), np.zeros((x.size, s.size))
    missed[:, list(plan.whole)] = s[list(plan.whole)]
    lost = float(s[list(plan.whole)].sum())
    room = np.ones((x.size, s.size)) * errors
    if plan.split is None:
        missed[:, plan.rest] = errors - lost
        to_spread = np.full(x.size, errors)
    else:
        missed[:, plan.split], missed[:, plan.rest] = errors - x, x - lost
        called[:, plan.split] = x
        room[:, plan.split] = missed[:, plan.split]  # of which nothing is left
        to_spread = errors - x
    room = np.maximum(0.0, room - missed)
    kept = np.maximum(0.0, s - missed)

    def at(price: np.ndarray) -> np.ndarray:
        """The false calls up to which one more still costs each class at least `price`."""
        return np.asarray(np.clip(np.sqrt(2.0 * kept / price[:, None]) - (2.0 * s - missed), 0.0, room))

    called += _spread(at, to_spread, room, dearest_first=True)
    return _loss(s, missed, called)


def _loss_with_concentrated_calls(plan: _Arrangement, s: np.ndarray, errors: float, x: np.ndarray) -> np.ndarray:
    missed, called = np.zeros((x.size, s.size)), np.zeros((x.size, s.size))
    room = np.ones((x.size, s.size)) * np.minimum(s, errors)
    if plan.split is None:
        called[:, plan.rest] = errors
        to_spread = np.full(x.size, errors)
    else:
        called[:, plan.split], called[:, plan.rest] = errors - x, x
        missed[:, plan.split] = x
        room[:, plan.split] = 0.0
        to_spread = errors - x
    room = np.maximum(0.0, np.minimum(room, errors - called))

    def at(price: np.ndarray) -> np.ndarray:
        """The missed cells up to which one more costs each class at most `price`."""
        return np.asarray(np.clip(2.0 * s + called - np.sqrt(2.0 * (s + called) / price[:, None]), 0.0, room))

    missed += _spread(at, to_spread, room, dearest_first=False)
    return np.where(missed.sum(axis=1) >= errors - 1e-6, _loss(s, missed, called), math.inf)


def _spread(
    at: Callable[[np.ndarray], np.ndarray], total: np.ndarray, room: np.ndarray, *, dearest_first: bool
) -> np.ndarray:
    """Divide each total among the classes so that one more would cost the same in all that have room."""
    low, high = np.full(total.shape, -60.0), np.full(total.shape, 60.0)  # natural logarithm of the price
    for _ in range(70):
        middle = (low + high) / 2
        too_much = at(np.exp(middle)).sum(axis=1) > total
        # Where the dearest come first, a higher price takes fewer; otherwise it takes more.
        raise_price = too_much if dearest_first else ~too_much
        low, high = np.where(raise_price, middle, low), np.where(raise_price, high, middle)
    taken: np.ndarray = np.minimum(at(np.exp((low + high) / 2)), room)
    return taken


def _loss(s: np.ndarray, missed: np.ndarray, called: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum((missed + called) / (2.0 * s - missed + called), axis=1))


def _checked(confusion: np.ndarray) -> np.ndarray:
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise ValueError(f"a confusion matrix is square and has no negative count; got shape {counts.shape}")
    return counts


def _check_supports(supports: Sequence[int]) -> None:
    if len(supports) < 2:
        raise ValueError(f"{len(supports)} classes; an average over classes needs at least 2")
    for position, support in enumerate(supports):
        if support < 0:
            raise ValueError(f"class {position} has {support} cells; a support is at least 0")
        if support == 0:
            raise UndefinedStatistic(
                f"class {position} has no reference cells: its F1 is undefined and so is macro-F1; it is not 0"
            )
