"""What are answers worth where the classes are as frequent as stated? Predictive values, and the mix of a set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from harness.core.errors import UndefinedStatistic
from harness.metrics.calibration_records import ClassPpv, PrevalenceShift, RatesTogether
from harness.metrics.clusters import Counted, share_bounds
from harness.metrics.distributions import chi_squared_sf
from harness.metrics.intervals import check_level
from harness.metrics.multiplicity import add_up

FEW = 5  # expected cells below which a chi-squared approximation is called coarse (Cochran, 1954)


@dataclass(frozen=True, slots=True)
class WeightedRate:
    """A share of the cells of one class that are called a class, times how frequent that class is.

    lower, upper: one-sided bounds of it, each at the level of the bounds that are made of several.
    """

    value: float
    lower: float
    upper: float

    @property
    def distance(self) -> float:
        """The larger of the distances to its bounds: that of a rate of 1 to its upper bound is 0, and says too much."""
        return max(self.value - self.lower, self.upper - self.value)


def bounds_of_share(own: WeightedRate, others: Sequence[WeightedRate]) -> tuple[float, float]:
    """One-sided bounds of own / (own + sum of others), for rates that are independent: those of classes are.

    A share p has the odds t at which own - t * (sum of others) is 0. The bounds of that difference are made of those of
    each rate, whose distances add up as variances do (MOVER), and the bounds of t are where one of them is 0, as
    Fieller's are. benchmarks/gate_error_rates.py simulates how often they miss.

    Source: Zou and Donner (2008), Stat. Med. 27:1693-1702; Donner and Zou (2012), Stat. Methods Med. Res. 21:347-359,
        for ratios; Fieller (1954), J. R. Stat. Soc. B 16:175-185.
    >>> never = WeightedRate(0.0, 0.0, 0.04)
    >>> [round(bound, 3) for bound in bounds_of_share(WeightedRate(0.5, 0.48, 0.5), [never])]
    [0.926, 1.0]
    """
    if own.upper == 0.0:
        return 0.0, 0.0  # a class that does not occur: whatever is called so is not of it
    rest, rest_distance = sum(each.value for each in others), math.hypot(*(each.distance for each in others))
    product = own.value * rest
    own_square, rest_square = own.value**2 - own.distance**2, rest**2 - rest_distance**2
    root = math.sqrt(max(0.0, product**2 - own_square * rest_square))
    lower = own_square / (product + root) if own_square > 0 and product + root > 0 else 0.0
    upper = (product + root) / rest_square if rest_square > 0 else math.inf
    return lower / (1.0 + lower), upper / (1.0 + upper) if math.isfinite(upper) else 1.0


def ppv_at_prevalence(
    confusion: ArrayLike,
    classes: Sequence[str],
    prevalence: Mapping[str, float],
    *,
    level: float,
    by_group: np.ndarray | None = None,
    assumed_correlation: float = 0.0,
    together: RatesTogether = "MOVER of many",
) -> tuple[ClassPpv, ...]:
    """The positive predictive value of each class where the classes are as frequent as stated.

    PPV_c = f_c P(c|c) / sum over j of f_j P(c|j), with f the prevalence and P(c|j) the share of class j that is called
    c. It rises with P(c|c) and falls with every other P(c|j); exact Clopper-Pearson bounds of these rates bound it. The
    rates of classes are independent, and their distances add up as variances do (`bounds_of_share`). Over patients,
    who have cells of several classes, they are not: then each rate has an equal share of the error (Bonferroni).
    Assumes that P(c|j) carries over: another laboratory with other neutrophils has another P(c|j).

    Args:
        confusion: (n_classes, n_classes) counts, rows reference, columns predicted.
        prevalence: class -> fraction; every class named, summing to 1.
        level: one-sided confidence of each bound of each class, a fraction in (0, 1).
        by_group: (n_groups, n_classes, n_classes) the counts of each patient, over whom the rates then have bounds.
        together: how bounds of rates make those of the value, where cells are independent: see `made_by`.
    Returns:
        One record per class. value and bounds None where a class that occurs has no cells here, or where no cell of a
        class that occurs was called c.
    Raises:
        ValueError: the prevalence names other classes, or is not a distribution.
    >>> table = np.array([[90, 10], [20, 80]])
    >>> rare, common = ppv_at_prevalence(table, ("rare", "common"), {"rare": 0.01, "common": 0.99}, level=0.95)
    >>> round(rare.value, 4)  # 0.01 * 0.9 / (0.01 * 0.9 + 0.99 * 0.2)
    0.0435
    """
    confusion, frequency = checked_counts(confusion, classes, prevalence)
    check_level(level)
    support = confusion.sum(axis=1)
    occurring = np.flatnonzero(frequency > 0)
    unknown = [classes[int(j)] for j in occurring if support[j] == 0]
    added = by_group is None and made_by(together, support[occurring].tolist(), level=level) == "MOVER"
    each_level = level if added else 1.0 - (1.0 - level) / len(occurring)

    def ppv(c: int) -> ClassPpv:
        undefined = ClassPpv(
            cell_class=classes[c],
            prevalence=float(frequency[c]),
            value=None,
            lower=None,
            upper=None,
            level=level,
            k=int(confusion[c, c]),
            n=int(support[c]),
        )
        if unknown:
            return replace(undefined, note=f"no cells of {', '.join(unknown)}, which the prevalence says occur")
        if not confusion[occurring, c].any():
            return replace(undefined, note=f"no cell of a class that occurs was called {classes[c]}")
        called = {int(j): (int(confusion[j, c]), int(support[j])) for j in occurring}

        bounds = {
            j: bounds_of_rate(
                confusion, j, c, by_group=by_group, assumed_correlation=assumed_correlation, level=each_level
            )
            for j in called
        }
        others = [j for j in called if j != c]
        own_low, own_high = bounds.get(c, (0.0, 0.0))  # a class that does not occur: whatever is predicted as it is not
        own_k, own_n = called.get(c, (0, 1))
        if added:
            rates = {j: _weighted(frequency[j], *called[j], *bounds[j]) for j in called}
            lower, upper = bounds_of_share(rates.get(c, WeightedRate(0.0, 0.0, 0.0)), [rates[j] for j in others])
            value = _share_of(rates[c].value if c in rates else 0.0, (rates[j].value for j in others))
            return replace(undefined, value=value, lower=lower, upper=upper)
        return replace(
            undefined,
            value=_share_of(frequency[c] * own_k / own_n, (frequency[j] * called[j][0] / called[j][1] for j in others)),
            lower=_share_of(frequency[c] * own_low, (frequency[j] * bounds[j][1] for j in others)),
            upper=_share_of(frequency[c] * own_high, (frequency[j] * bounds[j][0] for j in others)),
        )

    return tuple(ppv(c) for c in range(len(classes)))


def made_by(together: RatesTogether, supports: Sequence[int], *, level: float) -> RatesTogether:
    """How bounds of the rates of so many cells each make a bound of a value: "MOVER of many" of few by Bonferroni."""
    if together != "MOVER of many":
        return together
    return "MOVER" if all(supports) and add_up(supports, level=level) else "Bonferroni"


def prevalence_shift(counts: Sequence[int], classes: Sequence[str], prevalence: Mapping[str, float]) -> PrevalenceShift:
    """Whether a set has its classes as often as stated. Where it has not, an accuracy on it is not that of practice.

    Args:
        counts: cells of each class, in the order of `classes`.
        prevalence: as for `ppv_at_prevalence`.
    Raises:
        UndefinedStatistic: there are no cells.
        ValueError: the prevalence names other classes, or is not a distribution.
    Source: K. Pearson (1900), Philosophical Magazine 50:157-175.
    >>> prevalence_shift([90, 70, 75, 80, 60], "abcde", dict.fromkeys("abcde", 0.2)).p  # doctest: +ELLIPSIS
    0.1545...
    """
    observed, n = np.asarray(counts, dtype=np.float64), sum(counts)
    if n == 0:
        raise UndefinedStatistic("0 cells have their classes neither as often as stated nor otherwise.")
    expected = n * checked_prevalence(classes, prevalence)
    occurs = expected > 0
    degrees, few = int(occurs.sum()) - 1, int((expected[occurs] < FEW).sum())
    if observed[~occurs].any():
        return PrevalenceShift(statistic=None, degrees=degrees, p=0.0, few=few)
    statistic = float(((observed - expected)[occurs] ** 2 / expected[occurs]).sum())
    p = chi_squared_sf(statistic, degrees) if degrees else None
    return PrevalenceShift(statistic=statistic, degrees=degrees, p=p, few=few)


def bounds_of_rate(
    confusion: np.ndarray,
    of: int,
    called: int,
    *,
    by_group: np.ndarray | None,
    assumed_correlation: float,
    level: float,
) -> tuple[float, float]:
    """One-sided bounds of the share of class `of` that is called `called`, over patients where they are known."""
    own = None if by_group is None else _of_groups_with_cells(by_group[:, of, called], by_group[:, of].sum(axis=1))
    k, n = int(confusion[of, called]), int(confusion[of].sum())
    return share_bounds(k, n, own, assumed_correlation=assumed_correlation, level=level)


def checked_counts(
    confusion: ArrayLike, classes: Sequence[str], prevalence: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """(confusion, (n_classes,) prevalence in the order of the classes).

    Raises:
        ValueError: the table has another shape or negative counts, the prevalence other classes, or it is none.
    """
    confusion = np.asarray(confusion)
    if confusion.shape != (len(classes), len(classes)) or (confusion < 0).any():
        raise ValueError(
            f"confusion of shape {confusion.shape} for {len(classes)} classes: pass counts, rows reference, columns "
            "predicted, in the order of the classes"
        )
    return confusion, checked_prevalence(classes, prevalence)


def _weighted(frequency: float, k: int, n: int, lower: float, upper: float) -> WeightedRate:
    return WeightedRate(float(frequency * k / n), float(frequency * lower), float(frequency * upper))


def _share_of(part: float, others: Iterable[float]) -> float:
    """part / (part + others); 0 of nothing is 0, the side that promises least."""
    return float(part / math.fsum([part, *others])) if part > 0 else 0.0


def checked_prevalence(classes: Sequence[str], prevalence: Mapping[str, float]) -> np.ndarray:
    if set(prevalence) != set(classes):
        raise ValueError(
            f"prevalence names {sorted(prevalence)} and the classes are {sorted(classes)}; give every class exactly "
            "one prevalence, 0 where it does not occur"
        )
    frequency = np.array([prevalence[name] for name in classes], dtype=np.float64)
    if not ((frequency >= 0).all() and abs(math.fsum(frequency) - 1.0) <= 1e-9):  # False for NaN too
        raise ValueError(
            f"prevalence {dict(prevalence)} is not a distribution (it sums to {math.fsum(frequency):.12g}); give "
            "fractions of at least 0 that sum to 1, not percent"
        )
    return frequency


def _of_groups_with_cells(hits: np.ndarray, sizes: np.ndarray) -> Counted:
    there = sizes > 0
    return tuple(zip(hits[there].tolist(), sizes[there].tolist(), strict=True))
