"""Would a classifier that always says the same pass? Then a protocol requires nothing that has to be told apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date

import numpy as np

from harness.judge.asking import decide, measure
from harness.judge.rules import Rules
from harness.metrics.classification import evaluate
from harness.metrics.estimates import Evaluation
from harness.metrics.measurements import NothingRecorded, NotRecorded
from harness.metrics.predictions import Predictions
from harness.protocol.criteria import Criterion
from harness.protocol.records import Protocol


def constant_answers(
    protocol: Protocol, predictions: Mapping[str, Predictions], questions: Collection[str], *, rules: Rules
) -> Iterator[str]:
    """The classes that a classifier could answer every cell with and pass all that these questions require.

    Args:
        predictions: set -> what was said of its cells, of which only the cells count.
    """
    asked = [each for each in protocol.criteria if each.required and each.question in questions]
    if not asked or any(each.set not in predictions for each in asked):
        return
    cells = {each.set: predictions[each.set] for each in asked}
    for name in protocol.dataset.classes:
        if any(name not in each.classes for each in cells.values()):
            continue
        always = {set_name: _Always(protocol, each, name, rules) for set_name, each in cells.items()}
        if all(always[each.set].passes(each) for each in asked):
            yield name


class _Always(NothingRecorded):
    """What would be measured on the cells of one set of a classifier that always answers with one class."""

    def __init__(self, protocol: Protocol, cells: Predictions, name: str, rules: Rules) -> None:
        super().__init__(protocol, what="what one and the same answer would show")
        self.rules, self._cells = rules, cells
        shown = np.zeros((len(cells.labels), len(cells.classes)))
        shown[:, cells.classes.index(name)] = 1.0
        correlation = protocol.clusters.intracluster_correlation
        self._found = evaluate(replace(cells, probabilities=shown), intracluster_correlation=correlation)

    def passes(self, criterion: Criterion) -> bool:
        """At a first look; False, too, where that does not rest on these answers alone."""
        try:
            return decide(criterion, measure(criterion, self), self, today=date.min, family=(), told=False).passed
        except NotRecorded:
            return False

    def evaluation(self, set_name: str) -> Evaluation:
        if set_name != self._cells.set:
            self._refuse(f"set {set_name}")
        return self._found

    def look(self, criterion: Criterion) -> int:
        return 1

    def dependent_sets(self) -> Mapping[str, str]:
        return {}
