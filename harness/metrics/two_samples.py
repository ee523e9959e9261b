"""Can a small classifier tell the images of two sets apart?"""

from __future__ import annotations

import numpy as np

from harness.metrics.distributions import binomial_sf
from harness.metrics.intervals import check_counts
from harness.metrics.provenance_records import Fingerprint, TwoSampleTest
from harness.metrics.shortcuts import predicted, with_products


def classifier_two_sample_test(
    source: Fingerprint, other: Fingerprint, *, alpha: float, rng: np.random.Generator
) -> TwoSampleTest:
    """Can a small classifier tell images of the two sets apart by their colours?

    Of every class, as many images from either set as the smaller of the two holds: other shares of classes must not be
    what tells the sets apart. Half of them are learnt from, the rest is asked. Images count as independent.

    Source: Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, ICLR.
    """
    learnt: list[tuple[int, int]] = []
    held_out: list[tuple[int, int]] = []
    labels = [np.array([file.label for file in one.files]) for one in (source, other)]
    for label in sorted(set(labels[0]) & set(labels[1])):
        members = [rng.permutation(np.flatnonzero(of == label)) for of in labels]
        n = min(map(len, members))
        for side, positions in enumerate(members):
            held_out += [(side, int(position)) for position in positions[: n // 2]]
            learnt += [(side, int(position)) for position in positions[n // 2 : n]]
    smallest = accuracy_p_value(len(held_out), len(held_out)) if held_out else 1.0
    if smallest > alpha:
        refused = (
            f"{len(held_out)} images to ask about: even all correct would give p = {smallest:.3g}, above {alpha}. More "
            "images of classes that both sets hold would do."
        )
        return TwoSampleTest(0, len(held_out), None, smallest, refused)
    views = [np.array(one.colours) for one in (source, other)]
    rows = np.array([views[side][position] for side, position in [*learnt, *held_out]])
    view, sides = with_products(rows), np.array([str(side) for side, _ in [*learnt, *held_out]])
    said = predicted(view[: len(learnt)], sides[: len(learnt)], view[len(learnt) :])
    correct = int(np.sum(said == sides[len(learnt) :]))
    return TwoSampleTest(correct, len(held_out), accuracy_p_value(correct, len(held_out)), smallest)


def accuracy_p_value(correct: int, held_out: int) -> float:
    """Probability of so many correct answers, or more, by tossing a coin.

    Raises:
        UndefinedStatistic: held_out is 0.
    >>> round(accuracy_p_value(115, 200), 6)
    0.020019
    """
    check_counts(correct, held_out)
    return binomial_sf(correct - 1, held_out, 0.5)
