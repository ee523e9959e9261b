"""How likely is a pass, before anything is trained? For criteria that rest on confusion matrices, at a hoped-for truth.

Exact where a criterion is one count of independent errors; else the very same judge is asked of draws (`drawing`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypedDict

import numpy as np

from harness.data.records import CellImage
from harness.judge.asking import decide, level_of, measure
from harness.judge.criteria import dependence
from harness.judge.drawing import Drawn
from harness.judge.prospects import MOST_DOUBLINGS, STEPS_A_DOUBLING, BestCase, best_verdict, reason_of
from harness.judge.sample_size import POWER, cells_for_power, trial_floor
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.distributions import binomial_pmf
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.intervals import errors_allowed
from harness.metrics.measurements import NotRecorded
from harness.protocol.criteria import Criterion
from harness.protocol.hopes import HopedTruth
from harness.protocol.names import PARTS

DRAWS_OF_A_STEP = 400  # where a number of cells has to be simulated
NOT_ENOUGH = f"not even {2**MOST_DOUBLINGS} times as many cells are enough"
OF_PATIENTS = "no number is looked for where cells come from patients"
# Question -> what its criteria rest on that no hoped-for truth tells.
NOBODY_KNOWS = {
    **dict.fromkeys(("integrity", "split", "leakage"), "they rest on the images and their files, which a run looks at"),
    **dict.fromkeys(("reproducibility", "training", "export"), "they rest on the training and what it leaves behind"),
    "accuracy": "how far classifiers of other seeds differ is unknown",
    "regression": "they rest on the cells that the baseline gets wrong",
    "calibration": "they rest on the confidences",
    "robustness": "they rest on answers to disturbed cells",
    "unknown": "they rest on answers to cells of other classes",
    "external": "they rest on more than how many cells are right",
    "throughput": "they rest on times",
}


class _Enough(TypedDict, total=False):
    n_needed: int
    times: float
    why: str


class How(StrEnum):
    """What a chance is, or why there is none."""

    EXACT = "exact"
    SIMULATED = "simulated"
    NO_MODEL = "no model"  # nothing here says how it would turn out
    CANNOT_PASS = "cannot pass"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely one criterion is to pass.

    n:           cells of its set; None where that is not known.
    probability: of passing; 0 where it cannot, None without a model.
    error:       Monte Carlo standard error; None where the probability is exact, or there is none.
    n_needed:    as `n` counts, in the same mix of classes, from which on it passes in 80 of 100 runs.
    times:       the same in multiples of the cells of every set, where it was looked for by simulation.
    why:         it cannot pass, has no model, or has no `n_needed` and no `times`.
    """

    criterion: str
    required: bool
    how: How
    n: int | None = None
    probability: float | None = None
    error: float | None = None
    n_needed: int | None = None
    times: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Together:
    """How likely all required criteria that have a model are to pass together.

    times: how many times as many cells of every set make it 80 of 100; None where none are told.
    why:   none are.
    """

    criteria: tuple[str, ...]
    probability: float
    error: float
    times: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Chances:
    """accuracy: set -> what the hoped-for recalls make of it there. together: None where nothing has a model."""

    each: tuple[Chance, ...]
    together: Together | None
    accuracy: dict[str, float]
    draws: int
    seed: int


def chances(
    best: BestCase,
    cells: Mapping[str, Sequence[CellImage] | Unavailable],
    hoped: HopedTruth | None,
    *,
    today: date,
) -> Chances:
    """The chance of every criterion and of all required ones together.

    Args:
        cells: as `best` has them.
        hoped: None where no truth is hoped for: then only what cannot pass is known.
    """
    protocol = best.protocol
    settled = {c.id: found for c in protocol.criteria if (found := _settled(c, best, today)) is not None}
    if hoped is None:
        left = [settled.get(c.id) or _without_model(c, "no truth is hoped for") for c in protocol.criteria]
        return Chances(tuple(left), None, {}, 0, 0)
    drawn, again = (Drawn(protocol, cells, hoped, copies=best.copies) for _ in range(2))
    rng = np.random.default_rng(hoped.seed)
    drawn.draw(rng)
    for criterion in protocol.criteria:
        if criterion.id not in settled and not _is_drawn(criterion, drawn):
            settled[criterion.id] = _without_model(criterion, _unknown(criterion))
    open_ = [c for c in protocol.criteria if c.id not in settled]
    passed = _simulated(open_, again, draws=hoped.draws, seed=hoped.seed, today=today)
    required = tuple(c.id for c in open_ if c.required)
    exact = {c.id: p for c in open_ if (p := _exact(c, drawn, best)) is not None}
    grouped = _grouped(best, cells)
    searched: set[tuple[str, ...]] = {(c.id,) for c in open_ if c.id not in exact and (c.required or c.entry.trials)}
    # Where one of them is hoped to be no better than its floor, more cells help none of all.
    if required and not any(_is_below_its_floor(c, best, hoped) for c in open_ if c.required):
        searched.add(required)
    times = {} if grouped else _times(open_, searched, drawn, cells, today=today)
    each = dict(settled)
    for place, criterion in enumerate(open_):
        share, error = _share(passed[:, place])
        n = _n_of(criterion, best)
        each[criterion.id] = Chance(
            criterion=criterion.id,
            required=criterion.required,
            how=How.EXACT if criterion.id in exact else How.SIMULATED,
            n=n,
            probability=exact.get(criterion.id, share),
            error=None if criterion.id in exact else error,
            **_enough(criterion, best, hoped, times, searched, grouped),
        )
    together = None
    if required:
        every = np.all(passed[:, [place for place, c in enumerate(open_) if c.required]], axis=1)
        together = Together(required, *_share(np.asarray(every)), **_together_from(required, times, searched, grouped))
    return Chances(
        tuple(each[c.id] for c in protocol.criteria),
        together,
        {name: _hoped_accuracy(there, hoped) for name in cells if (there := _flawless(best, name)) is not None},
        hoped.draws,
        hoped.seed,
    )


def _settled(criterion: Criterion, best: BestCase, today: date) -> Chance | None:
    """The criteria that no truth decides: out of reach, not asked, or resting on something else than cells."""
    verdict = best_verdict(criterion, best, today)
    if verdict is None:
        if (dependent := dependence(criterion, best.protocol, {})) is not None:  # however large the set is
            return Chance(criterion.id, criterion.required, How.CANNOT_PASS, None, 0.0, why=dependent)
        return _without_model(criterion, _why(criterion, best))
    if verdict.passed:
        return None
    if verdict.outcome is Outcome.NOT_ASSESSED and (verdict.not_asked or verdict.waiver is not None):
        return Chance(criterion.id, criterion.required, How.NOT_ASKED, why=verdict.reason)
    n = _n_of(criterion, best)
    return Chance(criterion.id, criterion.required, How.CANNOT_PASS, n, 0.0, why=reason_of(verdict, best, today))


def _why(criterion: Criterion, best: BestCase) -> str:
    known = [*PARTS, *(each.name for each in best.protocol.external)]
    if criterion.question in ("accuracy", "external") and criterion.set in known:
        return f"how many cells set {criterion.set} has is not known: name the data with --data"
    return _unknown(criterion)


def _unknown(criterion: Criterion) -> str:
    if (column := criterion.entry.divides_by(criterion)) is not None:
        return f"how far the share of right answers differs by {column} is unknown"
    return NOBODY_KNOWS[criterion.question]


def _is_drawn(criterion: Criterion, drawn: Drawn) -> bool:
    """Whether its metric follows from confusion matrices."""
    try:
        measure(criterion, drawn)
    except NotRecorded:
        return False
    return True


def _without_model(criterion: Criterion, why: str) -> Chance:
    return Chance(criterion.id, criterion.required, How.NO_MODEL, why=why)


# --- exact ----------------------------------------------------------------------------------------


def _exact(criterion: Criterion, drawn: Drawn, best: BestCase) -> float | None:
    """The binomial probability of passing; None where more than one count of independent errors decides."""
    flawless = _flawless(best, criterion.set)
    if not criterion.entry.right_or_wrong or flawless is None or flawless.grouped:
        return None
    if flawless.n_correct < flawless.n:
        return None  # pictures with two labels are wrong whatever the truth is
    support = flawless.support if criterion.cell_class is None else {criterion.cell_class: _n_of(criterion, best) or 0}
    n = sum(support.values())
    allowed = errors_allowed(n, floor=trial_floor(criterion), level=level_of(criterion, best))
    if allowed is None:
        return 0.0
    # Errors of classes of unlike recall add up to no binomial, but to a sum of binomials.
    errors = np.ones(1)
    for name, cells in support.items():
        chance = 1.0 - drawn.hoped.recall_of(name, criterion.set)
        own = [binomial_pmf(k, cells, chance) for k in range(min(allowed, cells) + 1)]
        errors = np.convolve(errors, own)[: allowed + 1]
    return float(min(1.0, errors.sum()))


# --- simulated ------------------------------------------------------------------------------------


def _simulated(criteria: Sequence[Criterion], drawn: Drawn, *, draws: int, seed: int, today: date) -> np.ndarray:
    """(draws, criteria): whether each passed in each draw."""
    rng = np.random.default_rng(seed)
    passed = np.zeros((draws, len(criteria)), dtype=bool)
    sets: dict[str, list[str]] = {}
    known: dict[tuple[str, tuple[bytes, ...]], bool] = {}
    for draw in range(draws):
        drawn.draw(rng)
        for place, criterion in enumerate(criteria):
            key = (criterion.id, drawn.state(sets[criterion.id])) if criterion.id in sets else None
            if key is None or key not in known:
                drawn.asked.clear()
                outcome = _judged(criterion, drawn, today).passed
                sets.setdefault(criterion.id, sorted(drawn.asked))
                known[criterion.id, drawn.state(sets[criterion.id])] = outcome
                passed[draw, place] = outcome
            else:
                passed[draw, place] = known[key]
    return passed


def _judged(criterion: Criterion, drawn: Drawn, today: date) -> Verdict:
    # Without its family: Holm's correction is about failing, and only passes are counted.
    return decide(criterion, measure(criterion, drawn), drawn, today=today, family=(), told=False)


def _share(passed: np.ndarray) -> tuple[float, float]:
    """How many passed, and the Monte Carlo standard error; none passing is no certainty, so one of each is added."""
    n, k = len(passed), int(passed.sum())
    p = (k + 1) / (n + 2)
    return k / n, float(np.sqrt(p * (1 - p) / (n + 2)))


def _times(
    criteria: Sequence[Criterion],
    searched: Iterable[tuple[str, ...]],
    drawn: Drawn,
    cells: Mapping[str, Sequence[CellImage] | Unavailable],
    *,
    today: date,
) -> dict[tuple[str, ...], float]:
    """Criteria that are to pass together -> how many times as many cells make that 80 of 100; absent if none do."""
    found: dict[tuple[str, ...], float] = {}
    left = set(searched)
    steps = range(-STEPS_A_DOUBLING, STEPS_A_DOUBLING * MOST_DOUBLINGS + 1)
    for step in steps:
        if not left:
            break
        asked = [c for c in criteria if any(c.id in names for names in left)]
        scale = 2.0 ** (step / STEPS_A_DOUBLING)
        scaled = Drawn(drawn.protocol, cells, drawn.hoped, scale=scale, copies=drawn.copies)
        passed = _simulated(asked, scaled, draws=DRAWS_OF_A_STEP, seed=drawn.hoped.seed, today=today)
        places = {c.id: place for place, c in enumerate(asked)}
        for names in sorted(left):
            if passed[:, [places[name] for name in names]].all(axis=1).mean() >= POWER:
                found[names] = scale
                left.discard(names)
    return found


# --- sizes ----------------------------------------------------------------------------------------


def _flawless(best: BestCase, set_name: str) -> Evaluation | None:
    try:
        found = best.evaluation(set_name)
    except NotRecorded:
        return None
    return found if isinstance(found, Evaluation) else None


def _grouped(best: BestCase, cells: Mapping[str, object]) -> bool:
    return any((found := _flawless(best, name)) is not None and found.grouped for name in cells)


def _n_of(criterion: Criterion, best: BestCase) -> int | None:
    found = _flawless(best, criterion.set)
    if found is None:
        return None
    return found.n if criterion.cell_class is None else found.support[criterion.cell_class]


def _enough(
    criterion: Criterion,
    best: BestCase,
    hoped: HopedTruth,
    times: Mapping[tuple[str, ...], float],
    searched: Collection[tuple[str, ...]],
    grouped: bool,
) -> _Enough:
    """How many cells are enough for 80 of 100 runs, or why no number is told."""
    rate, n = _hoped_rate(criterion, best, hoped), _n_of(criterion, best)
    if rate is not None:
        if rate <= trial_floor(criterion):
            return {"why": "the hoped-for rate is not above the floor, and more cells would only show it the better"}
        found = measure(criterion, best)
        of_groups = isinstance(found, Estimate) and found.effective_n is not None and bool(found.n)
        worth = found.effective_n / found.n if of_groups else 1.0  # type: ignore[operator, union-attr]
        needed = cells_for_power(criterion, rate, level=level_of(criterion, best), worth=worth)
        return {"n_needed": needed} if needed is not None else {"why": "the hoped-for rate is too close to the floor"}
    if grouped or (criterion.id,) not in searched:
        return {"why": OF_PATIENTS if grouped else "no number of cells was looked for"}
    if (enough := times.get((criterion.id,))) is None:
        return {"why": NOT_ENOUGH}
    return {"times": enough} if n is None else {"times": enough, "n_needed": round(n * enough)}


class _Times(TypedDict):
    times: float | None
    why: str


def _together_from(
    required: tuple[str, ...],
    times: Mapping[tuple[str, ...], float],
    searched: Collection[tuple[str, ...]],
    grouped: bool,
) -> _Times:
    if required in times:
        return {"times": times[required], "why": ""}
    if grouped:
        return {"times": None, "why": OF_PATIENTS}
    if required in searched:
        return {"times": None, "why": NOT_ENOUGH}
    return {"times": None, "why": "one of them is hoped to be no better than its floor"}


def _is_below_its_floor(criterion: Criterion, best: BestCase, hoped: HopedTruth) -> bool:
    rate = _hoped_rate(criterion, best, hoped)
    return rate is not None and rate <= trial_floor(criterion)


def _hoped_rate(criterion: Criterion, best: BestCase, hoped: HopedTruth) -> float | None:
    """The hoped-for accuracy or recall that a criterion is on; None of another metric, or of an unknown set."""
    flawless = _flawless(best, criterion.set)
    if not criterion.entry.right_or_wrong or flawless is None:
        return None
    if criterion.cell_class is not None:
        return hoped.recall_of(criterion.cell_class, criterion.set)
    return _hoped_accuracy(flawless, hoped)


def _hoped_accuracy(flawless: Evaluation, hoped: HopedTruth) -> float:
    return sum(hoped.recall_of(name, flawless.set) * n for name, n in flawless.support.items()) / max(1, flawless.n)
