"""Is there one (right, predicted) pair per class whose sums print all averages? For tables whose supports are known.

Sums over classes of numbers that each depend on one class's pair: right cells, predicted counts, averages of shares.
With a pair for every class, numbers off the diagonal exist exactly when the predicted counts add up and no class has
more misses and false alarms than there are errors (search.py). So what is left is a choice of one pair per class.

Proof of "no" is a weighting of the sums whose best value stays outside what is printed (Lagrange); proof of "yes" is a
choice, checked in integers. Work is counted, not timed. Floats only guide and bound, with a margin that is far
above their rounding and far below any printed decimal.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from harness.claims.lanes import Lane
from harness.claims.matrix_rules import Answer
from harness.claims.records import Band

Pair: TypeAlias = tuple[int, int]  # (right, predicted)
MARGIN = 1e-9
STEP = 8  # of the meter: a pair that is looked at costs as much as so many steps of search.py
_FEW = 6  # predicted counts of a lane that are tried one by one


@dataclass(slots=True)
class Meter:
    """The steps that are left."""

    left: int


@dataclass(frozen=True, slots=True)
class Sum:
    """low <= sum over classes of part <= high.

    kind: "right", "predicted", "precision", "recall", "f1" or "linear" (a x right + b x predicted).
    weights: of each class; of "linear" (a, b) of each.
    """

    kind: str
    low: Fraction
    high: Fraction
    weights: tuple[Fraction, ...]
    others: tuple[Fraction, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """The question. whole: predicted counts add up to n, and misses and false alarms find each other.

    ones: classes whose precision is printed as 1 where nothing was predicted.
    """

    supports: tuple[int, ...]
    lanes: tuple[tuple[Lane, ...], ...]
    sums: tuple[Sum, ...]
    whole: bool
    ones: frozenset[int] = frozenset()

    @property
    def n(self) -> int:
        return sum(self.supports)


def value(choice: Choice, each: Sum, k: int, pair: Pair) -> Fraction:
    """What class k adds to a sum, exactly."""
    t, q = pair
    weight = each.weights[k]
    if each.kind == "right":
        return weight * t
    if each.kind == "predicted":
        return weight * q
    if each.kind == "linear":
        return weight * t + each.others[k] * q
    s = choice.supports[k]
    top, bottom = {"precision": (t, q), "recall": (t, s), "f1": (2 * t, s + q)}[each.kind]
    if bottom == 0:
        return weight if each.kind == "precision" and k in choice.ones else Fraction(0)
    return weight * Fraction(top, bottom)


def fits(choice: Choice, pairs: Sequence[Pair]) -> bool:
    """Whether a choice satisfies everything, in exact numbers."""
    if choice.whole:
        n, errors = choice.n, choice.n - sum(t for t, _ in pairs)
        if sum(q for _, q in pairs) != n:
            return False
        if any(s - t + q - t > errors for s, (t, q) in zip(choice.supports, pairs, strict=True)):
            return False
    return all(
        each.low <= sum((value(choice, each, k, pair) for k, pair in enumerate(pairs)), Fraction(0)) <= each.high
        for each in choice.sums
    )


def decide(choice: Choice, meter: Meter) -> Answer:
    """UNDECIDED where the meter runs out."""
    if not all(choice.lanes):
        return Answer.INFEASIBLE
    search = _Search(choice, meter)
    if search.is_impossible_by_one():
        return Answer.INFEASIBLE
    answer = search.exactly()
    if answer is Answer.UNDECIDED:
        answer = search.by_weights_and_steps()
    return answer


def reach(choice: Choice, each: Sum) -> tuple[float, float]:
    """The least and the greatest value that one sum can have, whatever the others."""
    search = _Search(choice, Meter(10**12))
    index = choice.sums.index(each)
    return search.span(index)


class _Search:
    def __init__(self, choice: Choice, meter: Meter) -> None:
        self.choice, self.meter = choice, meter
        sums = list(choice.sums)
        if choice.whole:
            n, ones = Fraction(choice.n), (Fraction(1),) * len(choice.supports)
            sums.append(Sum("predicted", n, n, ones))
        self.sums = sums
        self.bounds = [(float(each.low), float(each.high)) for each in sums]
        self.scale = [self._scale(each) for each in sums]
        self.weights = [[float(weight) for weight in each.weights] for each in sums]
        self.others = [[float(weight) for weight in each.others] for each in sums]

    def _scale(self, each: Sum) -> float:
        """What counts as one step of a sum: the width of what is printed, or one cell."""
        width = float(each.high - each.low)
        return width if width > 0 else float(max(each.weights, default=Fraction(1))) or 1.0

    def parts(self, k: int, t: int, q: int) -> list[float]:
        s, found = self.choice.supports[k], []
        for index, each in enumerate(self.sums):
            weight = self.weights[index][k]
            if each.kind == "right":
                found.append(weight * t)
            elif each.kind == "predicted":
                found.append(weight * q)
            elif each.kind == "linear":
                found.append(weight * t + self.others[index][k] * q)
            elif each.kind == "precision":
                found.append(weight * t / q if q else weight if k in self.choice.ones else 0.0)
            elif each.kind == "recall":
                found.append(weight * t / s if s else 0.0)
            else:
                found.append(weight * 2 * t / (s + q) if s + q else 0.0)
        return found

    # --- one sum alone ----------------------------------------------------------------------------

    def span(self, index: int) -> tuple[float, float]:
        low = high = 0.0
        for k, own in enumerate(self.choice.lanes):
            ends = [self.parts(k, lane.t, q)[index] for lane in _ends(own) for q in (lane.least, lane.most)]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def is_impossible_by_one(self) -> bool:
        for index, (low, high) in enumerate(self.bounds):
            least, most = self.span(index)
            margin = MARGIN * max(1.0, abs(high))
            if least > high + margin or most < low - margin:
                return True
        return False

    # --- all of it, where there is little -----------------------------------------------------------

    def exactly(self) -> Answer:
        """Every choice, cut off where the classes that are left cannot make up for it."""
        total = sum(lane.most - lane.least + 1 for own in self.choice.lanes for lane in own)
        if total > 4_000:
            return Answer.UNDECIDED
        pairs = [[(lane.t, q) for lane in own for q in range(lane.least, lane.most + 1)] for own in self.choice.lanes]
        order = sorted(range(len(pairs)), key=lambda k: len(pairs[k]))
        parts = [[(pair, self.parts(k, *pair)) for pair in pairs[k]] for k in order]
        m = len(self.sums)
        rest = [([0.0] * m, [0.0] * m)]
        for own in reversed(parts):
            low, high = rest[-1]
            least = [low[i] + min(part[i] for _, part in own) for i in range(m)]
            most = [high[i] + max(part[i] for _, part in own) for i in range(m)]
            rest.append((least, most))
        rest.reverse()
        margins = [MARGIN * max(1.0, abs(high)) for _, high in self.bounds]
        allowed = left = max(0, min(self.meter.left // STEP, 20_000))
        chosen: list[Pair] = []

        def descend(at: int, so_far: list[float]) -> bool | None:
            nonlocal left
            if at == len(parts):
                back = dict(zip(order, chosen, strict=True))
                return fits(self.choice, [back[k] for k in range(len(parts))])
            low, high = rest[at + 1]
            for pair, part in parts[at]:
                left -= 1
                if left < 0:
                    return None
                now = [so_far[i] + part[i] for i in range(m)]
                if any(
                    now[i] + low[i] > self.bounds[i][1] + margins[i]
                    or now[i] + high[i] < self.bounds[i][0] - margins[i]
                    for i in range(m)
                ):
                    continue
                chosen.append(pair)
                answer = descend(at + 1, now)
                chosen.pop()
                if answer is not False:
                    return answer
            return False

        answer = descend(0, [0.0] * m)
        self.meter.left -= STEP * (allowed - max(left, 0))
        return {True: Answer.FEASIBLE, False: Answer.INFEASIBLE, None: Answer.UNDECIDED}[answer]

    # --- where there is much ------------------------------------------------------------------------

    def by_weights_and_steps(self) -> Answer:
        rng = random.Random(7)  # the same question gets the same answer
        weights = [0.0] * len(self.sums)
        for turn in range(40):
            if self.meter.left <= 0:
                break
            if self.steps(rng, restart=turn):
                return Answer.FEASIBLE
            for _ in range(6):
                if self.excludes(weights, turn):
                    return Answer.INFEASIBLE
        return Answer.UNDECIDED

    def excludes(self, weights: list[float], turn: int) -> bool:
        """Whether these weights prove that no choice exists; each step moves them towards such a proof."""
        totals, bound = [0.0] * len(self.sums), 0.0
        for k, own in enumerate(self.choice.lanes):
            best, least = None, float("inf")
            for lane in own:
                self.meter.left -= STEP
                for low, part in self._lane_bound(weights, k, lane):
                    if low < least:
                        least, best = low, part
            assert best is not None
            bound += least
            totals = [total + part for total, part in zip(totals, best, strict=True)]
        room = 0.0
        for weight, (low, high) in zip(weights, self.bounds, strict=True):
            room += max(weight * low, weight * high)
        size = sum(abs(weight) * max(1.0, abs(high)) for weight, (_, high) in zip(weights, self.bounds, strict=True))
        if bound > room + MARGIN * max(size, 1e-12) and size:
            return True
        step = 1.0 / (1 + turn)
        for index, (total, (low, high)) in enumerate(zip(totals, self.bounds, strict=True)):
            gap = total - min(max(total, low), high)
            weights[index] += step * gap / self.scale[index] ** 2
        return False

    def _lane_bound(self, weights: list[float], k: int, lane: Lane) -> Iterator[tuple[float, list[float]]]:
        """Values that no predicted count of the lane goes under, and the parts at one that comes near."""
        if lane.most - lane.least <= _FEW:
            for q in range(lane.least, lane.most + 1):
                part = self.parts(k, lane.t, q)
                yield sum(w * p for w, p in zip(weights, part, strict=True)), part
            return
        one, two = self.parts(k, lane.t, lane.least), self.parts(k, lane.t, lane.most)
        # Every part goes one way with the predicted count, so each is least at an end.
        low = sum(min(w * a, w * b) for w, a, b in zip(weights, one, two, strict=True))
        at_ends = [sum(w * p for w, p in zip(weights, part, strict=True)) for part in (one, two)]
        yield low, one if at_ends[0] <= at_ends[1] else two

    def steps(self, rng: random.Random, *, restart: int) -> bool:
        """From some choice, one class at a time, towards one that fits."""
        lanes = self.choice.lanes
        pairs: list[Pair] = []
        for own in lanes:
            lane = own[len(own) // 2] if restart == 0 else rng.choice(own)
            pairs.append(
                (lane.t, (lane.least + lane.most) // 2 if restart == 0 else rng.randint(lane.least, lane.most))
            )
        parts = [self.parts(k, *pair) for k, pair in enumerate(pairs)]
        totals = [sum(part[i] for part in parts) for i in range(len(self.sums))]
        worst = self._wrong(totals)
        order = list(range(len(lanes)))
        for _ in range(30):
            if self._done(worst, pairs):
                return True
            rng.shuffle(order)
            before = worst
            for k in order:
                if self.meter.left <= 0:
                    return False
                best = None
                for pair in self._near(rng, k, pairs, totals):
                    self.meter.left -= STEP
                    part = self.parts(k, *pair)
                    tried = [total - old + new for total, old, new in zip(totals, parts[k], part, strict=True)]
                    wrong = self._wrong(tried)
                    if wrong < worst:
                        best, worst, kept = (pair, part), wrong, tried
                if best is not None:
                    pairs[k], parts[k] = best
                    totals = kept
                if worst == 0 and self._done(worst, pairs):
                    return True
            if worst >= before:
                return False
        return False

    def _done(self, worst: float, pairs: list[Pair]) -> bool:
        return worst == 0 and fits(self.choice, pairs)

    def _wrong(self, totals: list[float]) -> float:
        wrong = 0.0
        for total, (low, high), scale in zip(totals, self.bounds, self.scale, strict=True):
            slack = MARGIN * max(1.0, abs(high))
            if total < low - slack:
                wrong += (low - total) / scale
            elif total > high + slack:
                wrong += (total - high) / scale
        return wrong

    def _near(self, rng: random.Random, k: int, pairs: list[Pair], totals: list[float]) -> Iterator[Pair]:
        own = self.choice.lanes[k]
        tried = own if len(own) <= 12 else rng.sample(own, 12)
        missing = self.choice.n - round(totals[-1]) if self.choice.whole else 0
        for lane in tried:
            wanted = pairs[k][1] + missing
            qs = {lane.least, lane.most, min(max(wanted, lane.least), lane.most), rng.randint(lane.least, lane.most)}
            if lane.least <= pairs[k][1] <= lane.most:
                qs.add(pairs[k][1])
            for q in sorted(qs):
                yield lane.t, q


def _ends(own: Sequence[Lane]) -> Sequence[Lane]:
    """All lanes: the extremes of a share need not be at the first or the last."""
    return own


def mean_sum(kind: str, band: Band, weights: Sequence[int]) -> Sum | None:
    """The mean of a share with these weights, as a sum; None where all weights are 0."""
    total = sum(weights)
    if total == 0:
        return None
    return Sum(kind, band[0], band[1], tuple(Fraction(weight, total) for weight in weights))
