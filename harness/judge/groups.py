"""Are a criterion's cells those of enough patients for a bound that assumes how alike they are?

With few patients the sample says next to nothing about how alike their cells are, and the bound rests on what the
protocol assumes. Where nobody says what that assumption rests on, nothing passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from harness.judge.criteria import sides
from harness.judge.rules import Rules
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.clusters import equal_groups
from harness.metrics.comparison import Comparison
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
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
    plan = measurements.protocol.clusters
    if plan.source is not None or found.is_exact or found.value is None:
        return None
    fewest, every = rules.fewest_groups, _evaluations(criterion, measurements)
    counted = [(_group_sizes(each, criterion, entering=bool(rules.grouped)), each) for each in every]
    few = [(equal_groups(sizes.tolist()), sizes, each) for sizes, each in counted if _is_grouped(sizes)]
    if not few or round((least := min(few, key=lambda each: each[0]))[0], 1) >= fewest:
        return None
    equal, sizes, evaluation = least
    worth = "" if sizes.size == round(equal, 1) else f" (worth {equal:.1f} of equal size)"
    of = f" with cells {_entering(criterion)}" if criterion.cell_class is not None else ""
    return (
        f"{evaluation.set} has {sizes.size} {evaluation.grouped_by}{of}{worth}, fewer than {fewest}: how alike cells "
        f"of one are is assumed (intracluster correlation {plan.intracluster_correlation:g}), not known; "
        f"{_turn(criterion, measurements, found.level)}; what helps is cells of {fewest} or more, or the correlation "
        "with its `source` in [clusters] of the protocol"
    )


def turning_correlation(criterion: Criterion, measurements: Measurements, *, level: float) -> float | None:
    """The largest assumed correlation, to three digits, at which the bound still meets the requirement.

    1 where it does at every correlation; None where it does at none.

    Raises:
        NotRecorded: the bound does not follow from the confusion matrix, or takes no correlation.
    """

    def meets(correlation: float) -> bool:
        found = criterion.entry.estimate(_Assuming(measurements, correlation), criterion, level)
        return isinstance(found, Estimate) and sides(criterion, found)[0]

    if not meets(0.0):
        return None
    low, high = 0.0, 1.0
    if meets(high):
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low


class _Assuming(NothingRecorded):
    """The same evaluations under another assumption about their groups."""

    def __init__(self, measurements: Measurements, correlation: float) -> None:
        super().__init__(measurements.protocol, what="confusion matrices under another correlation")
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

    def _compared(self, found: Comparison | Unavailable) -> Comparison | Unavailable:
        return found if isinstance(found, Unavailable) else replace(found, intracluster_correlation=self._correlation)

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        return self._measurements.calibration(set_name)  # its bounds take the correlation of the evaluation

    def _assumed(self, evaluation: Evaluation) -> Evaluation:
        return replace(evaluation, intracluster_correlation=self._correlation)


def _turn(criterion: Criterion, measurements: Measurements, level: float) -> str:
    try:
        turn = turning_correlation(criterion, measurements, level=level)
    except NotRecorded:
        return "at which correlation the verdict turns cannot be told of this metric"
    if turn is None:
        return "at no correlation does the bound meet the requirement"
    if turn == 1.0:
        return "the bound would meet the requirement at every correlation"
    # Rounded down: at the correlation that is printed the bound still holds.
    return f"the verdict turns at {np.floor(1000 * turn) / 1000:.3f}: above it the bound misses the requirement"


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
