"""What is left of a level when several claims are made together, or one set is looked at again?

"Every class passes" needs no correction: it is an intersection-union test, each class at the full level. A claim that
*some* class fails, intervals that are displayed side by side, and repeated looks at one test set do need one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.metrics.intervals import check_level, clopper_pearson_bounds

PROVED_BY_ENOUGH = 0.75  # of a class, by all of its cells without an error, where distances of rates add up


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the order given: reject those at or below alpha, and at most alpha is at risk.

    Valid however the tests depend on each other.

    Args:
        p_values: fractions in [0, 1]; none gives none.
    Source: Holm (1979), Scand. J. Stat. 6:65-70.
    >>> [round(p, 3) for p in holm([0.001, 0.008, 0.039, 0.041, 0.27])]
    [0.005, 0.032, 0.117, 0.117, 0.27]
    """
    for position, p in enumerate(p_values):
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p-value {position} is {p}, not a fraction in [0, 1]; leave out a test that was not made")
    adjusted, running, n = [0.0] * len(p_values), 0.0, len(p_values)
    for rank, position in enumerate(sorted(range(n), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (n - rank) * p_values[position]))
        adjusted[position] = running
    return tuple(adjusted)


def simultaneous_lower_bounds(
    counts: Sequence[tuple[int, int]], *, floors: Sequence[float] | None, level: float
) -> tuple[float, ...]:
    """Lower bounds of several proportions that are all true together with probability at least `level`.

    Without floors: each class at 1 - (1 - level) / K (Bonferroni).

    With floors: the bounds that belong to Holm's test of "this rate is below its floor". They never contradict it: a
    bound reaches its floor exactly where Holm's test proves that floor. The price of the stronger test is that a
    proved floor is all that is said about its class while another class is open: the bound of a class that is proved
    is the floor itself, that of a class that is not is its own at 1 - (1 - level) / (number not proved). Only when
    all are proved is anything above a floor claimed, each at 1 - (1 - level) / K.

    Args:
        counts: (successes, trials) of each class.
        floors: one per class, fixed before the counts were seen, or None.
        level: joint confidence, a fraction in (0, 1).
    Raises:
        UndefinedStatistic: a class has no trials.
    Source: Strassburger and Bretz (2008), Stat. Med. 27:4914-4927; Guilbaud (2008), Biom. J. 50:678-692.
    >>> [round(bound, 6) for bound in simultaneous_lower_bounds([(75, 75)] * 5, floors=None, level=0.95)]
    [0.940445, 0.940445, 0.940445, 0.940445, 0.940445]
    >>> [round(b, 4) for b in simultaneous_lower_bounds([(75, 75), (70, 75)], floors=[0.9, 0.9], level=0.95)]
    [0.9, 0.8649]
    """
    check_level(level)
    if not counts:
        return ()
    alpha, n_classes = 1.0 - level, len(counts)

    def bound(index: int, shared_by: int) -> float:
        return clopper_pearson_bounds(*counts[index], level=1.0 - alpha / shared_by)[0]

    if floors is None:
        return tuple(bound(index, n_classes) for index in range(n_classes))
    if len(floors) != n_classes:
        raise ValueError(f"{len(floors)} floors for {n_classes} classes; give one for each, in the same order")
    # Holm by its bounds: while the level shared by the open classes proves one more floor, fewer share it.
    still_open = set(range(n_classes))
    while still_open:
        proved = {index for index in still_open if bound(index, len(still_open)) >= floors[index]}
        if not proved:
            break
        still_open -= proved
    if not still_open:
        return tuple(max(floors[index], bound(index, n_classes)) for index in range(n_classes))
    return tuple(bound(index, len(still_open)) if index in still_open else floors[index] for index in range(n_classes))


def level_of_part(*, level: float, parts: int) -> float:
    """The level of an evaluation that may spend one of so many equal parts of 1 - level.

    Bonferroni: evaluations whose parts sum to at most the whole hold together at `level`, also where a model is chosen
    in the light of earlier ones, if every look is counted, the unsuccessful ones too.

    Args:
        level: joint one-sided confidence, a fraction in (0, 1).
        parts: of how many equal ones this evaluation spends one; at least 1.
    >>> round(level_of_part(level=0.95, parts=5), 12)
    0.99
    """
    check_level(level)
    if parts < 1:
        raise ValueError(f"parts is {parts}; a look spends one part of at least 1")
    return 1.0 - (1.0 - level) / parts


def parts_of_series(look: int) -> int:
    """One of how many equal parts of the error the look of this number spends, where no look is to be the last.

    1/2, 1/6, 1/12, ...: 1 / (m (m + 1)) is 1/m - 1/(m + 1), so that the first m looks spend m / (m + 1), and all
    looks together the whole.

    >>> [parts_of_series(look) for look in (1, 2, 3, 30)]
    [2, 6, 12, 930]
    """
    return look * (look + 1)


def parts_of_first_look(look: int, *, budget: int) -> int | None:
    """The same where half is for the first look and the other half is shared equally by the rest of a budget of looks.

    Returns:
        None for a look after the last of the budget, which has nothing left to spend.
    >>> [parts_of_first_look(look, budget=30) for look in (1, 2, 30, 31)]
    [2, 58, 58, None]
    """
    if look == 1:
        return 2
    return 2 * (budget - 1) if look <= budget else None


def add_up(supports: Iterable[int], *, level: float) -> bool:
    """Whether distances to exact bounds of independent rates may be added up as variances are (MOVER) at this level.

    Of few trials they may not: counted out, the lower bound of the mean of two rates of three trials each missed in
    1.1 % of samples at a level of 99.914 %, which later looks leave, and of single trials in 10.5 % at 95 %. Where even
    a rate without a miss is shown to be three quarters the bounds held at every level from 95 to 99.99 %, counted out
    for two and three rates (tests/test_few_cells.py).

    >>> [add_up([n, 500], level=level) for n, level in ((10, 0.95), (11, 0.95), (24, 0.99914), (25, 0.99914))]
    [False, True, False, True]
    """
    return all((1.0 - level) ** (1.0 / n) >= PROVED_BY_ENOUGH for n in supports)
