"""Are a criterion's cells those of enough patients for a bound that assumes how alike they are?

With few patients the sample says next to nothing about how alike their cells are, and the bound rests on what the
protocol assumes. Where nobody says what that assumption rests on, nothing passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.core.text import brief
from harness.judge.criteria import sides
from harness.judge.rules import Rules
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.clusters import design_effect, equal_groups
from harness.metrics.comparison import Comparison
from harness.metrics.detection import Detection
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.intervals import effective_bounds
from harness.metrics.measurements import Measurements, NothingRecorded, NotRecorded
from harness.metrics.metric import CellsOf
from harness.metrics.predictions import Predictions
from harness.metrics.slices import judged_slices
from harness.protocol.criteria import Criterion
from harness.protocol.questions import QUESTIONS

HALVINGS = 14  # of the interval of correlations that the verdict turns in: finer than the three digits that are shown


def too_few_groups(criterion: Criterion, found: Estimate, measurements: Measurements, *, rules: Rules) -> str | None:
    """Why nothing may pass on these cells, what helps, and at which correlation the verdict turns; None if it may.

    Args:
        found: what the criterion is decided on; what is counted and not sampled rests on no assumption.
        rules: how many groups of equal size it takes, and of which cells.
    """
    plan, fewest = measurements.protocol.clusters, rules.fewest_groups
    if plan.source is not None or found.is_exact or found.value is None:
        return None
    least = _fewest(criterion, measurements, rules)
    if least is None or round(least.equal, 1) >= fewest:
        return None
    equal, sizes, evaluation = least
    worth = "" if sizes.size == round(equal, 1) else f" (worth {equal:.1f} of equal size)"
    of = f" with cells {_entering(criterion)}" if criterion.cell_class is not None else ""
    return (
        f"{evaluation.set} has {sizes.size} {evaluation.grouped_by}{of}{worth}, fewer than {fewest}: how alike cells "
        f"of one are is assumed (intracluster correlation {plan.intracluster_correlation:g}), not known; "
        f"{_turn(criterion, measurements, found)}; what helps is cells of {fewest} or more, or the correlation "
        "with its `source` in [clusters] of the protocol"
    )


def too_alike(criterion: Criterion, found: Estimate, measurements: Measurements, *, rules: Rules) -> str | None:
    """Why a pass on the cells of many patients is not believed: it turns at a correlation that nobody excludes."""
    plan = measurements.protocol.clusters
    if rules.alike_unsourced is None or plan.source is not None or found.is_exact or found.value is None:
        return None
    least = _fewest(criterion, measurements, rules)
    if least is None or not sides(criterion, found)[0] or plan.intracluster_correlation >= rules.alike_unsourced:
        return None
    try:
        if _meets(criterion, measurements, found, rules.alike_unsourced):
            return None
    except NotRecorded:
        return None  # of a number that takes no correlation
    return (
        f"how alike cells of one of the {least.sizes.size} {least.evaluation.grouped_by} of {least.evaluation.set} are "
        f"is assumed (intracluster correlation {plan.intracluster_correlation:g}), not known; "
        f"{_turn(criterion, measurements, found)}, and without a source it has to hold up to "
        f"{rules.alike_unsourced:g}; what helps is cells of more patients, or the correlation with its `source` in "
        "[clusters] of the protocol"
    )


def turn_of_pass(criterion: Criterion, found: Estimate, measurements: Measurements, *, rules: Rules) -> str | None:
    """At which correlation a pass would be lost, in words; None where groups have no say in it."""
    if rules.alike_unsourced is None or found.is_exact or not sides(criterion, found)[0]:
        return None
    if _fewest(criterion, measurements, rules) is None:
        return None
    try:
        turn = turning_correlation(criterion, measurements, found)
    except NotRecorded:
        return None
    if turn is None or turn == 1.0:
        return None
    plan = measurements.protocol.clusters
    source = "" if plan.source is None else f" ({plan.intracluster_correlation:g} by {brief(plan.source)})"
    return f"it would up to an intracluster correlation of {_rounded_down(turn)}{source}"


def turning_correlation(criterion: Criterion, measurements: Measurements, found: Estimate) -> float | None:
    """The largest assumed correlation, to three digits, at which the bound still meets the requirement.

    1 where it does at every correlation; None where it does at none.

    Raises:
        NotRecorded: the bound does not follow from the confusion matrix, or takes no correlation.
    """

    def meets(correlation: float) -> bool:
        return _meets(criterion, measurements, found, correlation)

    if not meets(0.0):
        return None
    low, high = 0.0, 1.0
    if meets(high):
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low


def _meets(criterion: Criterion, measurements: Measurements, found: Estimate, correlation: float) -> bool:
    """Whether the requirement would be met if cells of one group were assumed to be so alike."""
    try:
        again = criterion.entry.estimate(_Assuming(measurements, correlation), criterion, found.level)
    except NotRecorded:
        if found.k is None or found.n is None or found.effective_n is None:
            raise
        again = _at_correlation(found, found.k, found.n, criterion, measurements, correlation)
    return isinstance(again, Estimate) and sides(criterion, again)[0]


def _at_correlation(
    found: Estimate, k: int, n: int, criterion: Criterion, measurements: Measurements, correlation: float
) -> Estimate:
    """A proportion of cells of which the counts alone are at hand, such as those right when disturbed.

    Where the sample's own correlation is what its bound takes, that is the least here, too.
    """
    assert found.effective_n is not None  # asked by the caller
    own = (each for each in _evaluations(criterion, measurements) if each.set == found.set)
    sizes = next(_group_sizes(each, criterion, entering=True) for each in own)
    worth = n / design_effect(sizes.tolist(), correlation)
    if (stated := measurements.protocol.clusters.intracluster_correlation) > 0:
        as_stated = n / design_effect(sizes.tolist(), stated)
        if found.effective_n < as_stated * (1 - 1e-9):  # the sample's own was larger
            worth = min(worth, found.effective_n)
    lower, upper = effective_bounds(k, n, worth, level=found.level)
    return replace(found, lower=lower, upper=upper)


class _Assuming(NothingRecorded):
    """The same evaluations under another assumption about their groups."""

    def __init__(self, measurements: Measurements, correlation: float) -> None:
        protocol = measurements.protocol
        clusters = protocol.clusters.model_copy(update={"intracluster_correlation": correlation})
        what = "confusion matrices under another correlation"
        super().__init__(protocol.model_copy(update={"clusters": clusters}), what=what)
        self._measurements, self._correlation = measurements, correlation

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        found = self._measurements.evaluation(set_name)
        return found if isinstance(found, Unavailable) else self._assumed(found)

    def unknown(self, set_name: str) -> Predictions | Unavailable:
        return self._measurements.unknown(set_name)  # its bounds take the correlation of the evaluation

    def slices(self, set_name: str, column: str) -> Mapping[str, Evaluation] | Unavailable:
        found = self._measurements.slices(set_name, column)
        return found if isinstance(found, Unavailable) else {name: self._assumed(each) for name, each in found.items()}

    def seed_evaluations(self, set_name: str) -> dict[int, Evaluation]:
        return {seed: self._assumed(each) for seed, each in self._measurements.seed_evaluations(set_name).items()}

    def ensemble(self, set_name: str) -> Comparison | Unavailable:
        return self._compared(self._measurements.ensemble(set_name))

    def adaptation(self, set_name: str) -> Comparison | Unavailable:
        return self._compared(self._measurements.adaptation(set_name))

    def comparison(self, set_name: str, *, kind: str | None = None) -> Comparison | Unavailable:
        return self._compared(self._measurements.comparison(set_name, kind=kind))

    def detection(self, *, level: float, correlation: float) -> Detection | Unavailable:
        return self._measurements.detection(level=level, correlation=correlation)

    def _compared(self, found: Comparison | Unavailable) -> Comparison | Unavailable:
        return found if isinstance(found, Unavailable) else replace(found, intracluster_correlation=self._correlation)

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        return self._measurements.calibration(set_name)  # its bounds take the correlation of the evaluation

    def _assumed(self, evaluation: Evaluation) -> Evaluation:
        return replace(evaluation, intracluster_correlation=self._correlation)


def _turn(criterion: Criterion, measurements: Measurements, found: Estimate) -> str:
    try:
        turn = turning_correlation(criterion, measurements, found)
    except NotRecorded:
        return "at which correlation the verdict turns cannot be told of this metric"
    if turn is None:
        return "at no correlation does the bound meet the requirement"
    if turn == 1.0:
        return "the bound would meet the requirement at every correlation"
    return f"the verdict turns at {_rounded_down(turn)}: above it the bound misses the requirement"


def _rounded_down(turn: float) -> str:
    return f"{np.floor(1000 * turn) / 1000:.3f}"  # at the correlation that is printed the bound still holds


class _Fewest(NamedTuple):
    """The cells of fewest groups that a criterion rests on: of equal size, of each its cells, and of which set."""

    equal: float
    sizes: np.ndarray
    evaluation: Evaluation


def _fewest(criterion: Criterion, measurements: Measurements, rules: Rules) -> _Fewest | None:
    """None where no two cells share a group."""
    every = _evaluations(criterion, measurements)
    counted = [(_group_sizes(each, criterion, entering=bool(rules.grouped)), each) for each in every]
    grouped = [_Fewest(equal_groups(sizes.tolist()), sizes, each) for sizes, each in counted if _is_grouped(sizes)]
    return min(grouped, key=lambda each: each.equal, default=None)


def _evaluations(criterion: Criterion, measurements: Measurements) -> Iterator[Evaluation]:
    """What was said of every set whose cells the criterion rests on, and of every slice that it judges."""
    own = (criterion.set,) if QUESTIONS[criterion.question].counts_looks else ()
    for name in dict.fromkeys((*own, *criterion.entry.cells_of)):
        found = measurements.evaluation(name)
        if isinstance(found, Evaluation):
            yield found
    if (column := criterion.entry.divides_by(criterion)) is not None:
        plan, slices = measurements.protocol.slices, measurements.slices(criterion.set, column)
        assert plan is not None and not isinstance(slices, Unavailable)  # the estimate rests on both
        yield from judged_slices(slices, minimum_support=plan.minimum_support).values()


def _group_sizes(evaluation: Evaluation, criterion: Criterion, *, entering: bool) -> np.ndarray:
    """Cells of each group that the criterion speaks of.

    entering: all cells that enter the number, as those of other classes do that a precision counts; an older judge took
              those of the labelled class alone.
    """
    if evaluation.by_group is None:
        return np.array([], dtype=np.int64)
    cells, asked = evaluation.by_group, criterion.entry.cells
    if criterion.cell_class is not None and (entering or asked == "others"):
        cells = cells * _cells_of(asked, evaluation.classes.index(criterion.cell_class), len(evaluation.classes))
    elif criterion.cell_class is not None:
        cells = cells * _cells_of("class", evaluation.classes.index(criterion.cell_class), len(evaluation.classes))
    sizes = cells.sum(axis=(1, 2))
    return np.asarray(sizes[sizes > 0])


def _cells_of(asked: CellsOf, own: int, n_classes: int) -> np.ndarray:
    """(n_classes, n_classes) bool: which counts of a confusion matrix enter a metric of the class `own`."""
    of_class = np.zeros((n_classes, n_classes), dtype=bool)
    of_class[own] = True
    match asked:
        case "class":
            return of_class
        case "others":
            return ~of_class
        case "called":
            return of_class.T
        case "class or called":
            return of_class | of_class.T
        case "all":
            return np.ones_like(of_class)


def _entering(criterion: Criterion) -> str:
    """Which cells enter a number of one class, in words."""
    name = criterion.cell_class
    match criterion.entry.cells:
        case "class":
            return f"of {name}"
        case "others":
            return f"of other classes than {name}"
        case "called":
            return f"called {name}"
        case "class or called":
            return f"of {name} or called so"
        case "all":
            return "of any class"


def _is_grouped(sizes: np.ndarray) -> bool:
    """Whether any group has two cells: a cell that is alone in its group is like no other one."""
    return bool((sizes > 1).any())
