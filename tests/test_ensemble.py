"""The seeds' classifiers asked together: their mean answer, beside the best of them on the same cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.core.errors import InvalidPredictions
from harness.metrics.comparison import Comparison
from harness.metrics.ensemble import METRICS, averaged, ensemble_beside_best
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.measurements import NothingRecorded
from harness.metrics.predictions import Predictions
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol

PROTOCOL = read_protocol(DEFAULT_PROTOCOL)
ACCURACY, DIFFERENCE = METRICS


class Subject:
    set, cell_class, kind = "test", None, None


def said(first_class: list[float], labels: list[int], groups: tuple[str, ...] | None = None) -> Predictions:
    share = np.array(first_class)
    names = [f"{number:02}" for number in range(len(labels))]
    return Predictions(
        set="test",
        classes=("a", "b"),
        paths=tuple(names),
        digests=tuple(name * 32 for name in names),
        labels=np.array(labels),
        probabilities=np.stack([share, 1 - share], axis=1),
        groups=groups,
    )


def measured(metric, seeds: dict[int, Predictions], *, level: float = 0.95) -> Estimate | Unavailable:
    class Recorded(NothingRecorded):
        def ensemble(self, set_name: str) -> Comparison | Unavailable:
            return ensemble_beside_best(seeds, intracluster_correlation=0.1)

    return metric.estimate(Recorded(PROTOCOL, what="seeds"), Subject(), level)


LABELS = [0, 0, 0, 1, 1, 1]
# Each is wrong on another cell, and unsure there; together none is.
SEEDS = {
    42: said([0.4, 0.9, 0.9, 0.1, 0.1, 0.1], LABELS),
    43: said([0.9, 0.4, 0.9, 0.1, 0.1, 0.1], LABELS),
    44: said([0.9, 0.9, 0.4, 0.1, 0.6, 0.1], LABELS),
}


def test_together_they_are_right_where_each_alone_is_unsure():
    accuracy, difference = (measured(metric, SEEDS) for metric in METRICS)
    assert isinstance(accuracy, Estimate)
    assert isinstance(difference, Estimate)
    assert (accuracy.k, accuracy.n, accuracy.lower) == (6, 6, clopper_pearson_bounds(6, 6, level=0.95)[0])
    # The best member is seed 42 (5 of 6, tied with 43): the ensemble alone is right on one cell.
    assert difference.value == pytest.approx(1 / 6)
    assert difference.paired == (0, 1)
    assert "seed 42, the best of 3: 5/6" in accuracy.note


def test_the_order_of_seeds_and_a_seed_named_twice_as_often_change_nothing_but_the_mean():
    assert np.array_equal(averaged(SEEDS).probabilities, averaged(dict(reversed(SEEDS.items()))).probabilities)
    same = {1: SEEDS[42], 2: SEEDS[42]}
    assert np.array_equal(averaged(same).probabilities, SEEDS[42].probabilities)
    difference = measured(DIFFERENCE, same)
    assert isinstance(difference, Estimate)
    assert (difference.value, difference.paired) == (0, (0, 0))
    assert difference.lower < 0  # type: ignore[operator]
    assert difference.upper is None  # the best member is chosen on these cells, so that no loss can be shown


def test_over_patients_the_bounds_are_wider():
    groups = ("p", "p", "p", "q", "q", "q")
    clustered = measured(ACCURACY, {seed: replace(each, groups=groups) for seed, each in SEEDS.items()})
    alone = measured(ACCURACY, SEEDS)
    assert isinstance(clustered, Estimate)
    assert isinstance(alone, Estimate)
    assert clustered.value == alone.value
    assert clustered.lower < alone.lower  # type: ignore[operator]


def test_one_seed_is_no_ensemble_and_other_cells_are_refused():
    found = measured(ACCURACY, {42: SEEDS[42]})
    assert isinstance(found, Unavailable)
    assert "training.seeds" in found.reason
    shorter = said([0.9, 0.1], [0, 1])
    with pytest.raises(InvalidPredictions, match="different cells"):
        averaged({1: SEEDS[42], 2: shorter})
