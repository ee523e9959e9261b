"""Measured numbers with their bounds, and the confusion matrix that most of them come from.

Rates are fractions in [0, 1]. Times are seconds. `None` in a statistic means undefined, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DISPLAY_LEVEL = 0.95
CELLS_COUNTED = "cells of one patient or slide counted as independent: best-case interval"
INDEPENDENCE_UNKNOWN = "no patient ids: best-case interval, independence not demonstrated"


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval for display."""

    lower: float
    upper: float
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """One measured number with what it rests on.

    value:  the point value, or None where it is undefined (a class with no cells has no recall).
    lower, upper: one-sided bounds, each at `level`; None where undefined. An exact count has both equal to
            `value` and level 1.
    k, n:   successes and trials where the number is a proportion of cells (or a transform of one).
    method: how the bounds were made, such as "Clopper-Pearson".
    support: reference cells that the number speaks of: those of its class, or all of the set.
    paired: (baseline alone right, candidate alone right) of a paired difference.
    effective_n: trials that as many independent cells would be worth, where cells are clustered; None where they are
            counted as independent.
    unit:   "fraction", "s", "images/s", "count".
    note:   what a reader must know beside the number, such as "no patient ids".
    """

    metric: str
    set: str
    cell_class: str | None
    value: float | None
    lower: float | None
    upper: float | None
    level: float
    method: str
    unit: str = "fraction"
    k: int | None = None
    n: int | None = None
    display: Interval | None = None
    note: str = ""
    details: tuple[str, ...] = ()
    support: int | None = None
    effective_n: float | None = None
    paired: tuple[int, int] | None = None

    @property
    def is_exact(self) -> bool:
        # Equal samples of a coarse clock have equal bounds too, but not with certainty.
        return self.level == 1.0 and self.value is not None and self.lower == self.value == self.upper


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why this machine or this run cannot answer a criterion: no MPS, no such set, no patient ids.

    not_asked: nobody asked, and the protocol does not insist: no --baseline where a baseline is optional.
    waivable:  whether a waiver can excuse it: what is absent can be waived, what is there and wrong cannot.
    """

    reason: str
    not_asked: bool = False
    waivable: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Counts of one set's predictions; every metric derives from the confusion matrix.

    confusion: (n_classes, n_classes) int64, rows reference, columns predicted.
    by_group:  (n_groups, n_classes, n_classes) int64, the same counts patient by patient (or slide by slide), summing
               to `confusion`; None where groups are not known.
    intracluster_correlation: the least that is assumed of cells of one group.
    grouped_by: what the groups are, in words.
    n_left_out: further cells of the set, which show a picture again that is counted here once.
    few_apart: whether rates of classes with few cells have an equal share of the error each in a bound that is made of
               several (`multiplicity.add_up`); False of an older judge, which added their distances up as of many.
    """

    set: str
    classes: tuple[str, ...]
    confusion: np.ndarray
    by_group: np.ndarray | None = None
    intracluster_correlation: float = 0.0
    grouped_by: str = "patients or slides"
    n_left_out: int = 0
    few_apart: bool = True

    @property
    def grouped(self) -> bool:
        return self.by_group is not None

    @property
    def n(self) -> int:
        return int(self.confusion.sum())

    @property
    def n_correct(self) -> int:
        return int(np.trace(self.confusion))

    @property
    def support(self) -> dict[str, int]:
        return dict(zip(self.classes, self.confusion.sum(axis=1).tolist(), strict=True))
