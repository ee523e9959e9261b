"""What would a classifier of the hoped-for truth show on these cells? Its confusion matrices are drawn, set by set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import betaincinv

from harness.data.leakage import DuplicatePair
from harness.data.records import CellImage
from harness.judge.prospects import BestCase
from harness.metrics.estimates import Evaluation, Unavailable
from harness.protocol.hopes import HopedTruth
from harness.protocol.records import Protocol


class Drawn(BestCase):
    """What would be measured of one draw; `draw` takes the next one.

    The recalls are the protocol's hopes, the same on train, validation and test. A cell that is not recognised is
    called each other class equally often. Where patients or slides are known, each is as well recognised as a draw from
    a beta distribution about the hoped-for recall says, the same quantile for all its classes.

    Args:
        scale: how many times as many cells of each class every set has; 1 where they come from patients.
        copies: see `BestCase`. A picture with two labels is wrong whatever is drawn.
    """

    def __init__(
        self,
        protocol: Protocol,
        cells: Mapping[str, Sequence[CellImage] | Unavailable],
        hoped: HopedTruth,
        *,
        scale: float = 1.0,
        copies: Sequence[DuplicatePair] = (),
    ) -> None:
        super().__init__(protocol, cells, device=None, judged=None, compares=True, scale=scale, copies=copies)
        self.hoped = hoped
        self.asked: set[str] = set()
        self._drawn: dict[str, Evaluation] = {}

    def draw(self, rng: np.random.Generator) -> None:
        """Confusion matrices of every set that is there, in the order of the sets: a seed gives the same ones."""
        for name in self._cells:
            found = super().evaluation(name)
            if isinstance(found, Evaluation):
                self._drawn[name] = self._one_draw(found, rng)

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        found = super().evaluation(set_name)
        if isinstance(found, Unavailable):
            return found
        self.asked.add(set_name)
        return self._drawn[set_name]

    def slices(self, set_name: str, column: str) -> Mapping[str, Evaluation] | Unavailable:
        self._refuse(f"how far right answers differ by {column}")

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        self._refuse("how far classifiers of other seeds differ")

    def state(self, sets: Sequence[str]) -> tuple[bytes, ...]:
        """Equal where the draws of these sets are."""
        drawn = (self._drawn[name] for name in sets)
        return tuple((each.confusion if each.by_group is None else each.by_group).tobytes() for each in drawn)

    def _one_draw(self, flawless: Evaluation, rng: np.random.Generator) -> Evaluation:
        recalls = np.array([self.hoped.recall_of(name, flawless.set) for name in flawless.classes])
        grouped = flawless.by_group is not None
        every = flawless.by_group if flawless.by_group is not None else flawless.confusion[None]
        counts = np.diagonal(every, 0, 1, 2)
        wrong_anyhow = every * ~np.eye(every.shape[1], dtype=bool)
        correlation = self.hoped.correlation
        if correlation is None:
            correlation = flawless.intracluster_correlation
        of_group = _recalls_of_groups(recalls, len(counts), correlation if grouped else 0.0, rng)
        by_group = wrong_anyhow + _confused(counts, rng.binomial(counts, 1.0 - of_group), rng)
        return replace(flawless, confusion=by_group.sum(axis=0), by_group=by_group if grouped else None)


def _recalls_of_groups(recalls: np.ndarray, n_groups: int, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """(n_groups, n_classes): a beta distribution of mean r and intracluster correlation rho has a + b = 1 / rho - 1."""
    if correlation == 0.0:
        return np.broadcast_to(recalls, (n_groups, len(recalls)))
    if correlation == 1.0:  # all cells of a group, or none
        return np.asarray(rng.random((n_groups, 1)) < recalls, dtype=np.float64)
    size, sure = 1.0 / correlation - 1.0, recalls == 1.0
    inside = np.where(sure, 0.5, recalls)
    drawn = betaincinv(inside * size, (1.0 - inside) * size, rng.random((n_groups, 1)))
    return np.asarray(np.where(sure, 1.0, drawn))


def _confused(counts: np.ndarray, errors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n_groups, n_classes, n_classes): the errors of each class spread evenly over the other ones."""
    n_groups, n_classes = counts.shape
    found = np.zeros((n_groups, n_classes, n_classes), dtype=np.int64)
    every = np.arange(n_classes)
    found[:, every, every] = counts - errors
    for group, place in zip(*np.nonzero(errors), strict=True):
        others = every[every != place]
        found[group, place, others] = rng.multinomial(errors[group, place], np.full(len(others), 1 / len(others)))
    return found
