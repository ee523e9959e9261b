"""How far is a bound from its threshold, and where does that stand on the line of a forest plot?

All lines share one axis, on which the threshold is the middle and right is better: percentage points of a share, counts
of a count, and percent of the threshold of a time or a rate. What is farther out than the axis ends in an arrow.
"""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from harness.judge.verdicts import Verdict
from harness.protocol.criteria import Criterion
from harness.report.places import written

REACH = 20.0  # of the axis, to either side
WIDTH, HEIGHT = 200, 16
MIDDLE, PER_STEP = WIDTH / 2, WIDTH / (2 * REACH)
BEYOND = {-1: "0,8 6,4 6,12", 1: "200,8 194,4 194,12"}  # the arrow at either end


def margin(verdict: Verdict) -> float | None:
    """The bound that decides minus its threshold, in the unit of the value, positive where there is room."""
    found, criterion = verdict.estimate, verdict.criterion
    if found is None or found.value is None:
        return None
    bound = found.lower if criterion.floor is not None else found.upper
    return None if bound is None else _better(verdict) * (bound - criterion.bound)


def line(verdict: Verdict) -> Markup:
    """The line of one criterion as a drawing; empty where nothing was measured."""
    found, criterion = verdict.estimate, verdict.criterion
    if found is None or found.value is None:
        return Markup()
    per = _steps_per_unit(criterion)
    if per is None:
        return Markup()

    def place(value: float) -> float:
        return per * _better(verdict) * (value - criterion.bound)

    own = place(found.value)
    ends = (own, own) if found.lower is None or found.upper is None else (place(found.lower), place(found.upper))
    path = written(("verdicts", criterion.id))
    opening = '<svg class="forest" data-plot="{}" viewbox="0 0 200 16" aria-hidden="true">{}</svg>'
    return Markup(opening).format(path, Markup().join(_shapes(own, min(ends), max(ends))))


def _shapes(own: float, low: float, high: float) -> Iterator[Markup]:
    yield _rect("threshold", MIDDLE - 0.5, 0, 1, HEIGHT)
    if high > low:
        yield _rect("interval", _px(low), 7, _px(high) - _px(low), 2)
    for side, points in BEYOND.items():
        if max(low * side, high * side) > REACH:
            yield Markup('<polygon class="beyond" points="{}"></polygon>').format(points)
    if abs(own) <= REACH:
        yield Markup('<circle class="estimate" cx="{}" cy="8" r="4"></circle>').format(_digits(_px(own)))


def _steps_per_unit(criterion: Criterion) -> float | None:
    """How many steps of the axis one unit of the value is; None where it has no place, as beside 0 seconds."""
    match criterion.entry.unit:
        case "fraction":
            return 100.0
        case "count":
            return 1.0
        case _:
            return 100 / criterion.bound if criterion.bound else None


def _better(verdict: Verdict) -> int:
    return 1 if verdict.criterion.floor is not None else -1


def _px(place: float) -> float:
    return MIDDLE + PER_STEP * max(-REACH, min(REACH, place))


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"></rect>').format(
        kind, *(_digits(each) for each in (x, y, width, height))
    )


def _digits(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
