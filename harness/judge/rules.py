"""By which rules was a run judged? What has changed between versions of the judge and stands in no protocol.

A pack records them, so that a run of before is judged again as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

# Groups of equal size. benchmarks/gate_error_rates.py prints how often a classifier at its floor passes with fewer.
FEWEST_GROUPS = 20
# How alike cells of one patient may be at least without a pass being lost, where no source says: decision 0077.
ALIKE_UNSOURCED = 0.3


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one version of the judge.

    fewest_groups: of patients, slides or sites that a bound on them takes; 0: they are not counted.
    one_picture:   whether cells that show the same picture count as one.
    grouped:       whether paired differences, calibration, conformal sets and predictive values know of groups, and
                   groups are those of all cells that enter a number.
    sharper:       whether the bounds of predictive values and of areas under a curve are those of decision 0049.
    counted:       whether differential counts are compared with the prevalence.
    more_told:     whether a criterion that is not required may be added after a look: it is told, and is no amendment.
    searched:      whether a search for copies that could compare too few of the pictures leaves its question open, and
                   the note of its count says how many were compared by their pixels alone.
    few_apart:     whether rates of classes with few cells have a share of the error each in bounds made of several.
    alike_unsourced: up to which intracluster correlation a pass has to hold where the protocol's has no source; a pass
                   then says at which one its verdict turns. None: up to the protocol's own.
    cells_kept:    whether pictures that are dropped from a set after a look are an amendment of the data.
    parts_kept:    whether they are so of every part that is not drawn, of sets to adapt with and of a choice of fewer
                   than a third, too; and whether pictures that were saved anew with other pixels are.
    firsts_kept:   whether a first look is the first by its date, too, where ledgers were merged; and whether a look at
                   another set leaves what was dropped of this one to the looks after it.
    detected_by_group: whether the bounds of telling cells from inputs without one know of the cells' groups.
    constant_told: whether it is told that one and the same answer to every cell would pass.
    holm_over:     that one criterion of several fails is said after Holm's correction where these are for each of
                   these, as `Metric.per` has it.
    """

    fewest_groups: int = FEWEST_GROUPS
    holm_over: tuple[str, ...] = ("class", "corruption")
    one_picture: bool | None = None
    grouped: bool | None = None
    sharper: bool | None = None
    counted: bool | None = None
    more_told: bool | None = None
    searched: bool | None = None
    few_apart: bool | None = None
    alike_unsourced: float | None = None
    cells_kept: bool | None = None
    constant_told: bool | None = None
    parts_kept: bool | None = None
    detected_by_group: bool | None = None
    firsts_kept: bool | None = None


RULES = Rules(
    one_picture=True,
    grouped=True,
    sharper=True,
    counted=True,
    more_told=True,
    searched=True,
    few_apart=True,
    alike_unsourced=ALIKE_UNSOURCED,
    cells_kept=True,
    constant_told=True,
    parts_kept=True,
    detected_by_group=True,
    firsts_kept=True,
)
OLDEST = Rules(fewest_groups=0, holm_over=("class",))
# What came with each version of the judge, the newest first. A rule that a pack does not name is None: so it was before
# there was one.
ADDED = (
    ("firsts_kept",),
    ("parts_kept", "detected_by_group"),
    ("alike_unsourced", "cells_kept", "constant_told"),
    ("searched", "few_apart"),
    ("more_told",),
    ("counted",),
    ("one_picture", "grouped", "sharper"),
)


def _without(rules: Rules, names: Sequence[str]) -> Rules:
    absent: dict[str, Any] = dict.fromkeys(names)
    return replace(rules, **absent)


# Those that some version of the judge had: a pack that names others was judged by none.
KNOWN = (*accumulate(ADDED, _without, initial=RULES), OLDEST)
