"""What cannot pass, whatever the classifier does? The same judge, asked of one that is right about every cell.

Too few cells, a set or a device that is not there, an independence that is not shown: known before anything is trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import date

import numpy as np

from harness.data.leakage import DuplicatePair
from harness.data.records import CellImage, labels_of
from harness.judge.asking import decide, measure
from harness.judge.continuity import KnownChain
from harness.judge.criteria import observed, requirement, trials
from harness.judge.pretrained import Judged, lacking, unanswered
from harness.judge.rules import RULES
from harness.judge.verdicts import Verdict
from harness.metrics.classification import evaluate
from harness.metrics.comparison import Comparison
from harness.metrics.copies import counted_once
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.measurements import NothingRecorded, NotRecorded
from harness.metrics.predictions import Predictions, predictions_of, widened
from harness.metrics.slices import evaluate_slices
from harness.model.records import Timing
from harness.protocol.criteria import Criterion
from harness.protocol.questions import QUESTIONS
from harness.protocol.records import Protocol

# How many times as many cells are asked about, by a quarter of a doubling.
STEPS_A_DOUBLING, MOST_DOUBLINGS = 4, 6


class BestCase(NothingRecorded):
    """What would be measured of a classifier that makes no error, as far as cells, sets and devices decide it.

    Args:
        cells: part or external set -> its cells, or why it is not there.
        device: of this machine; None before a machine is known.
        judged: what existed before the run and is judged; None where a classifier is trained.
        compares: whether a baseline was given.
        scale: how many times as many cells of each class every set is taken to have, for what rests on confusion
            matrices; 1 where cells come from patients or slides.
        copies: cells that show the same picture, of which one is counted; none where nobody has searched for them.
    """

    def __init__(
        self,
        protocol: Protocol,
        cells: Mapping[str, Sequence[CellImage] | Unavailable],
        *,
        device: str | None,
        judged: Judged,
        compares: bool,
        chains: Sequence[KnownChain] = (),
        scale: float = 1.0,
        copies: Sequence[DuplicatePair] = (),
    ) -> None:
        # Without its hopes: the number of cells that a classifier without an error needs is asked for.
        protocol = protocol.model_copy(update={"plan": None}) if protocol.plan is not None else protocol
        super().__init__(protocol, what="what a classifier without an error would show")
        self.rules = RULES
        self._cells, self._device, self._judged, self._compares = cells, device, judged, compares
        self._evaluations: dict[str, Evaluation] = {}
        self._chains, self._scale, self.copies = chains, scale, copies

    def enlarged(self, times: float) -> BestCase:
        """The same of so many times as many cells of every set."""
        found = copy(self)
        found._scale = times
        return found

    def known_chains(self) -> Sequence[KnownChain]:
        return self._chains

    def lacking(self, need: str) -> Unavailable | None:
        return lacking(need, self._judged)

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        cells = self._cells.get(set_name)
        if cells is None:
            self._refuse(f"set {set_name}")
        if isinstance(cells, Unavailable):
            return cells
        if (silent := unanswered(set_name, self._judged)) is not None:
            return silent
        if set_name not in self._evaluations:
            correlation = self.protocol.clusters.intracluster_correlation
            self._evaluations[set_name] = evaluate(self.flawless(set_name), intracluster_correlation=correlation)
        return _scaled(self._evaluations[set_name], self._scale)

    def slices(self, set_name: str, column: str) -> Mapping[str, Evaluation] | Unavailable:
        if isinstance(found := self.evaluation(set_name), Unavailable):
            return found
        predictions, plan = self.flawless(set_name), self.protocol.clusters
        return evaluate_slices(predictions, column, intracluster_correlation=plan.intracluster_correlation)

    def flawless(self, set_name: str) -> Predictions:
        """Predictions without an error of a set that is there; of cells of unknown classes, without any confidence."""
        cells, classes = self._cells[set_name], self.protocol.dataset.classes
        assert not isinstance(cells, Unavailable)  # asked by the caller
        if self.protocol.unknown_plan(set_name) is not None:
            every = (*classes, *sorted({cell.label for cell in cells}))
            unsure = widened(np.full((len(cells), len(classes)), 1 / len(classes)), every)
            return counted_once(predictions_of(cells, unsure, set_name=set_name, classes=every), self.copies)
        right = np.eye(len(classes))[labels_of(cells, classes)]
        return counted_once(predictions_of(cells, right, set_name=set_name, classes=classes), self.copies)

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        found = self.evaluation(set_name)
        assert isinstance(found, Evaluation)  # seeds are judged on the test part, which is always there
        return dict.fromkeys(self.protocol.training.every_seed, found)

    def unknown(self, set_name: str) -> Predictions | Unavailable:
        found = self.evaluation(set_name)
        return found if isinstance(found, Unavailable) else self.flawless(set_name)

    def comparison(self, set_name: str, *, kind: str | None = None) -> Comparison | Unavailable:
        if self._compares:
            self._refuse(f"the baseline's errors on {set_name}")
        optional = self.protocol.baseline.needed == "optional"
        return Unavailable("no baseline given (--baseline PACK)", not_asked=optional)

    def timing(self, scenario: str, span: str, *, device: str) -> Timing | Unavailable:
        if self._device is None or device in ("any", self._device):
            self._refuse(f"{scenario} on {device}")
        return Unavailable(f"this run's device is {self._device}, not {device}")

    def look(self, criterion: Criterion) -> int | None:
        return 1 if QUESTIONS[criterion.question].counts_looks else None

    def dependent_sets(self) -> Mapping[str, str]:
        return {}  # what the images show, nobody has seen yet; the protocol's own word counts


def _scaled(flawless: Evaluation, scale: float) -> Evaluation:
    if scale == 1.0 or flawless.grouped:
        return flawless
    counts = flawless.confusion  # beside the diagonal are pictures with two labels
    more = np.where(counts > 0, np.maximum(1, np.round(counts * scale)), 0).astype(np.int64)
    return replace(flawless, confusion=more, by_group=None)


def cannot_pass(best: BestCase, *, today: date) -> dict[str, str]:
    """Required criterion -> why it cannot pass, even if every cell is classified correctly; the others are left out."""
    found = {}
    for criterion in best.protocol.criteria:
        if criterion.required:
            verdict = best_verdict(criterion, best, today)
            if verdict is not None and verdict.blocks:
                found[criterion.id] = reason_of(verdict, best, today)
    return found


def by_reason(found: Mapping[str, str]) -> dict[str, list[str]]:
    """Reason -> the criteria that it holds for: those on each of a hundred classes share one."""
    grouped: dict[str, list[str]] = {}
    for name, reason in found.items():
        grouped.setdefault(reason, []).append(name)
    return grouped


def best_verdict(criterion: Criterion, best: BestCase, today: date) -> Verdict | None:
    """The verdict on a classifier without an error; None where no best case is known, such as of a duration."""
    try:
        # Without its family: Holm's correction is about failing, and nothing fails here.
        return decide(criterion, measure(criterion, best), best, today=today, family=())
    except NotRecorded:
        return None


def reason_of(verdict: Verdict, best: BestCase, today: date) -> str:
    """Why the best case does not pass; where cells are too few, how many, and which bound, would do."""
    if verdict.estimate is None:
        return verdict.reason
    shown = observed(verdict.estimate, note=False, beside=verdict.criterion.bound)
    ways = "".join(f"; {way}" for way in _ways(verdict, verdict.estimate, best, today))
    return f"without a single error it is {shown}; required: {requirement(verdict)}; {verdict.reason}{ways}"


def _ways(verdict: Verdict, estimate: Estimate, best: BestCase, today: date) -> Iterator[str]:
    """What would let the best case pass, each way by itself; asked of the judge, so that nothing is promised."""
    criterion = verdict.criterion
    if verdict.n_to_decide is not None:
        yield f"about {verdict.n_to_decide:,} {trials(verdict)} without an error would be needed"
    elif (times := _times(criterion, best, today)) is not None:
        yield f"about {times:.2g} times as many cells of every set without an error would be needed"
    if (bound := _bound(criterion, estimate, best, today)) is not None:
        kind, side = ("floor", "less") if criterion.floor is not None else ("ceiling", "more")
        yield f"with as many cells as now, a {kind} of {bound:.6g} or {side} can pass"


def _times(criterion: Criterion, best: BestCase, today: date) -> float | None:
    """How many times as many cells are enough; None where the most that are asked about are not."""
    scales = [2.0 ** (step / STEPS_A_DOUBLING) for step in range(1, STEPS_A_DOUBLING * MOST_DOUBLINGS + 1)]

    def passes(times: float) -> bool:
        found = best_verdict(criterion, best.enlarged(times), today)
        return found is not None and found.passed

    return next(filter(passes, scales), None) if passes(scales[-1]) else None


def _bound(criterion: Criterion, estimate: Estimate, best: BestCase, today: date) -> float | None:
    """The requirement of two digits nearest to the stated one that these cells can meet, unless everything meets it."""
    key, reached = ("floor", estimate.lower) if criterion.floor is not None else ("ceiling", estimate.upper)
    if reached is None or reached == 0.0 or not math.isfinite(reached):
        return None
    digits = 1 - math.floor(math.log10(abs(reached)))
    cut = (math.floor if key == "floor" else math.ceil)(reached * 10.0**digits) / 10.0**digits
    if abs(cut) >= 1.0 or (cut <= 0.0 and not criterion.entry.is_difference):
        return None
    eased = best_verdict(criterion.model_copy(update={key: cut}), best, today)
    return cut if eased is not None and eased.passed else None
