"""At how many further looks at a set can anything still pass? The judge is asked of a classifier without an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from harness.judge.asking import decide, measure
from harness.judge.rules import RULES, Rules
from harness.metrics.classification import evaluate
from harness.metrics.estimates import Evaluation
from harness.metrics.measurements import NothingRecorded, NotRecorded
from harness.metrics.predictions import Predictions
from harness.protocol.criteria import Criterion
from harness.protocol.questions import QUESTIONS
from harness.protocol.records import Protocol

MOST_LOOKS = 1_000  # more than anybody takes at one set; further ones are not searched


@dataclass(frozen=True, slots=True)
class LooksLeft:
    """What is left of the looks at one set.

    last:     the last look at which a classifier without an error passes every required criterion on the set that it
              passes at the first; None where that is beyond `MOST_LOOKS`.
    left:     how many looks there are from this one to that; 0 where it is behind; None where there is no last.
    ended_by: the criteria that it does not pass at the look after the last.
    """

    last: int | None
    left: int | None
    ended_by: tuple[str, ...]


def looks_left(
    protocol: Protocol, predictions: Mapping[str, Predictions], looks: Mapping[str, int], *, rules: Rules = RULES
) -> dict[str, LooksLeft]:
    """Set -> what is left; without sets on which nothing that is required rests on a classifier's errors alone.

    What robustness, confidences or a baseline leave possible is not known of a classifier that nobody has.

    Args:
        predictions: set -> what was said of its cells, of which only the cells count.
        looks: set -> the number of this look at it.
        rules: by which the run is, or was, judged.
    """
    found = {}
    for name, number in looks.items():
        if name not in predictions:
            continue
        best = _Flawless(protocol, predictions[name], rules)
        asked = [each for each in protocol.criteria if each.required and each.set == name and best.passes(each, 1)]
        if asked:
            last = _last(best, asked)
            left = None if last is None else max(0, last - number)
            ended = () if last is None else tuple(each.id for each in asked if not best.passes(each, last + 1))
            found[name] = LooksLeft(last, left, ended)
    return found


def _last(best: _Flawless, asked: Sequence[Criterion]) -> int | None:
    """Levels only rise from look to look, so that what passes at one look passed at all before it."""
    passing, failing = 1, MOST_LOOKS + 1
    if all(best.passes(each, failing) for each in asked):
        return None
    while failing - passing > 1:
        middle = (passing + failing) // 2
        passes = all(best.passes(each, middle) for each in asked)
        passing, failing = (middle, failing) if passes else (passing, middle)
    return passing


class _Flawless(NothingRecorded):
    """What would be measured on these cells of a classifier that makes no error, at any look."""

    def __init__(self, protocol: Protocol, cells: Predictions, rules: Rules) -> None:
        super().__init__(protocol, what="what a classifier without an error would show")
        self.rules = rules
        right = replace(cells, probabilities=np.eye(len(cells.classes))[cells.labels])
        self._found = evaluate(right, intracluster_correlation=protocol.clusters.intracluster_correlation)
        self._look = 1

    def passes(self, criterion: Criterion, look: int) -> bool:
        """Whether this criterion passes at this look; False, too, where that does not rest on errors alone."""
        if not QUESTIONS[criterion.question].counts_looks:
            return False
        self._look = look
        try:
            # No day: only a waiver has one, and what is measured needs none. No family: nothing fails here.
            return decide(criterion, measure(criterion, self), self, today=date.min, family=(), told=False).passed
        except NotRecorded:
            return False

    def evaluation(self, set_name: str) -> Evaluation:
        return self._found

    def seed_evaluations(self, set_name: str) -> Mapping[int, Evaluation]:
        return dict.fromkeys(self.protocol.training.every_seed, self._found)

    def look(self, criterion: Criterion) -> int:
        return self._look

    def dependent_sets(self) -> Mapping[str, str]:
        return {}  # what the images show against a set is said with its criterion
