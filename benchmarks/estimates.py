"""How long do all intervals, tests and bounds of 25,000 predictions take?

    python -m benchmarks estimates [--cells 25000]

Draws a candidate's and a baseline's predictions of a validation part and a test set, and asks every entry of the table
of metrics that is answered from predictions: evaluation, calibration report, comparison, ensemble of three seeds, and
one estimate per metric, or per metric and class. Each is asked once, as by a run. Seconds are of processor time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import process_time
from typing import TypeVar

import numpy as np

from harness.metrics.calibration import calibration_report
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.classification import evaluate
from harness.metrics.comparison import Comparison, compare
from harness.metrics.ensemble import ensemble_beside_best
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Evaluation, Unavailable
from harness.metrics.measurements import NothingRecorded, NotRecorded
from harness.metrics.metric import Subject
from harness.metrics.predictions import Predictions
from harness.metrics.table import TABLE
from harness.protocol.file import read_protocol

PROTOCOL = Path(__file__).parents[1] / "suites" / "protocols" / "leukocyte.toml"
T = TypeVar("T")
SEED, LEVEL, RIGHT = 20_261, 0.975, 0.97


@dataclass(frozen=True, slots=True)
class Of:
    """A subject: a set, or a class of it."""

    set: str
    cell_class: str | None = None
    kind: str | None = None


def drawn(rng: np.random.Generator, n: int, classes: tuple[str, ...], *, set_name: str) -> Predictions:
    """n cells of balanced classes, of which RIGHT are called as they are labelled, with graded confidence."""
    labels = np.arange(n, dtype=np.int64) % len(classes)
    called = np.where(rng.random(n) < RIGHT, labels, rng.integers(0, len(classes), n))
    logits = rng.normal(0, 1, (n, len(classes)))
    logits[np.arange(n), called] += rng.gamma(6, 1, n) + logits.max(axis=1)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    ids = [f"{set_name}-{each:06d}" for each in range(n)]
    return Predictions(
        set=set_name,
        classes=classes,
        paths=tuple(ids),
        digests=tuple(ids),
        labels=labels,
        probabilities=shares / shares.sum(axis=1, keepdims=True),
    )


def again(rng: np.random.Generator, found: Predictions) -> Predictions:
    """Another classifier's answers on the same cells: one cell in fifty is answered anew."""
    anew = drawn(rng, len(found.digests), found.classes, set_name=found.set).probabilities
    changed = rng.random(len(found.digests)) < 0.02
    return replace(found, probabilities=np.where(changed[:, None], anew, found.probabilities))


class Drawn(NothingRecorded):
    """The measurements of the predictions that were drawn, each timed as it is first made."""

    def __init__(self, n: int, clock: Clock) -> None:
        super().__init__(read_protocol(PROTOCOL), what="drawn predictions")
        rng, classes = np.random.default_rng(SEED), self.protocol.dataset.classes
        validation, test = (drawn(rng, n, classes, set_name=name) for name in ("validation", "test"))
        self._baseline = again(rng, test)
        seeds = {seed: again(rng, test) for seed in (1, 2)} | {0: test}
        self._evaluation = clock("evaluation", partial(evaluate, test))
        self._seeds = {seed: evaluate(found) for seed, found in seeds.items()}
        self._ensemble = clock(
            "ensemble of three seeds", partial(ensemble_beside_best, seeds, intracluster_correlation=0.0)
        )
        self._comparison = clock(
            "comparison",
            partial(compare, test, self._baseline, baseline_run="drawn", copies=(), intracluster_correlation=0.0),
        )
        prevalence = self.protocol.prevalence
        self._calibration = clock(
            "calibration report",
            partial(
                calibration_report,
                validation,
                test,
                n_bins=self.protocol.calibration.n_bins,
                binning="equal-width",
                alpha=self.protocol.calibration.miscoverage,
                level=DISPLAY_LEVEL,
                prevalence=prevalence.shares if prevalence is not None else None,
                seed=SEED,
                intracluster_correlation=0.0,
            ),
        )

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        return self._evaluation

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        return self._seeds

    def ensemble(self, set_name: str) -> Comparison | Unavailable:
        return self._ensemble

    def comparison(self, set_name: str, *, kind: str | None = None) -> Comparison | Unavailable:
        return self._comparison if kind is None else super().comparison(set_name, kind=kind)

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        return self._calibration


class Clock:
    """Seconds by what was asked."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def __call__(self, what: str, make: Callable[[], T]) -> T:
        started = process_time()
        made = make()
        self.spent[what] = self.spent.get(what, 0.0) + process_time() - started
        return made


def asked(n: int) -> tuple[Mapping[str, float], int]:
    """Seconds by what was asked, and the number of estimates that came of it."""
    clock = Clock()
    measurements, given = Drawn(n, clock), 0
    for metric in TABLE.values():
        if metric.per not in ("set", "class"):
            continue
        of = measurements.protocol.dataset.classes if metric.per == "class" else (None,)
        for cell_class in of:
            subject: Subject = Of("test", cell_class)
            try:
                found = clock(metric.name, partial(metric.estimate, measurements, subject, LEVEL))
            except NotRecorded:
                clock.spent.pop(metric.name, None)
                break
            given += isinstance(found, Estimate)
    return clock.spent, given


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=25_000, help="of each of the two sets")
    n = parser.parse_args().cells
    spent, given = asked(n)
    for what, seconds in sorted(spent.items(), key=lambda item: -item[1])[:12]:
        print(f"{seconds:8.3f} s  {what}")
    print(f"{sum(spent.values()):8.3f} s  in all: {given} estimates from {n:,} predictions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
