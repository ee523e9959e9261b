"""Is there a table of two answers (TP, FP, FN, TN) that prints these scores? Exact where counts or sides are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, isqrt

from harness.claims.matrix_rules import Answer
from harness.claims.records import Accuracy, Band, Content, Errors, Outcomes, Rounding, Score, Sides, Size

_KINDS = (Outcomes, Sides, Score, Accuracy, Errors, Size)


@dataclass(frozen=True, slots=True)
class Four:
    """The four counts."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        return self.tp + self.fp + self.fn + self.tn


def _ratio(top: int, bottom: int) -> Fraction | None:
    return Fraction(top, bottom) if bottom else None


def _balanced(four: Four) -> Fraction | None:
    one, two = _ratio(four.tp, four.tp + four.fn), _ratio(four.tn, four.tn + four.fp)
    return None if one is None or two is None else (one + two) / 2


def _kappa(four: Four) -> Fraction | None:
    if not four.n:
        return None
    agreed = Fraction(four.tp + four.tn, four.n)
    chance = Fraction((four.tp + four.fn) * (four.tp + four.fp) + (four.tn + four.fp) * (four.tn + four.fn), four.n**2)
    return None if chance == 1 else (agreed - chance) / (1 - chance)


def _mcc(four: Four) -> Fraction | None:
    """To 18 decimals: the root is not a fraction."""
    under = (four.tp + four.fp) * (four.tp + four.fn) * (four.tn + four.fp) * (four.tn + four.fn)
    if not under:
        return None
    return Fraction((four.tp * four.tn - four.fp * four.fn) * 10**18, isqrt(under * 10**36))


VALUES: Mapping[str, Callable[[Four], Fraction | None]] = {
    "sensitivity": lambda four: _ratio(four.tp, four.tp + four.fn),
    "specificity": lambda four: _ratio(four.tn, four.tn + four.fp),
    "precision": lambda four: _ratio(four.tp, four.tp + four.fp),
    "npv": lambda four: _ratio(four.tn, four.tn + four.fn),
    "f1": lambda four: _ratio(2 * four.tp, 2 * four.tp + four.fp + four.fn),
    "accuracy": lambda four: _ratio(four.tp + four.tn, four.n),
    "balanced accuracy": _balanced,
    "kappa": _kappa,
    "mcc": _mcc,
}


# What a score is made of. Where just that is printed, no other count can make it true, or wrong.
MADE_OF = {
    "sensitivity": {"tp", "fn"},
    "specificity": {"tn", "fp"},
    "precision": {"tp", "fp"},
    "npv": {"tn", "fn"},
    "f1": {"tp", "fp", "fn"},
}


def is_about_answers(contents: Sequence[Content]) -> bool:
    return any(isinstance(content, Outcomes | Sides) for content in contents) and all(
        isinstance(content, _KINDS) for content in contents
    )


def decide_answers(contents: Sequence[Content], rounding: Rounding, *, work: int) -> Answer:
    """Every table that the counts and sides leave open is tried; UNDECIDED where that is too many."""
    found = _Question.of(contents, rounding)
    if found is None:
        return Answer.INFEASIBLE
    direct = found.of_its_own_counts()
    if direct is not Answer.UNDECIDED:
        return direct
    for four in found.tables():
        if four is None:
            return Answer.UNDECIDED
        work -= 1
        if work < 0:
            return Answer.UNDECIDED
        if found.prints(four):
            return Answer.FEASIBLE
    return Answer.INFEASIBLE


@dataclass(slots=True)
class _Question:
    counts: dict[str, int]
    positives: int | None
    negatives: int | None
    n: int | None
    errors: int | None
    bands: list[tuple[str, Band]]

    @classmethod
    def of(cls, contents: Sequence[Content], rounding: Rounding) -> _Question | None:
        found = cls({}, None, None, None, None, [])
        for content in contents:
            if isinstance(content, Outcomes):
                for name in ("tp", "fp", "fn", "tn"):
                    count = getattr(content, name)
                    if count is not None and found.counts.setdefault(name, count) != count:
                        return None
            elif isinstance(content, Sides):
                for name in ("positives", "negatives"):
                    if not found._set(name, getattr(content, name)):
                        return None
            elif isinstance(content, Size):
                if not found._set("n", content.n):
                    return None
            elif isinstance(content, Errors):
                if not found._set("errors", content.count):
                    return None
            elif isinstance(content, Accuracy):
                found.bands.append(("accuracy", content.share.band(rounding)))
            elif isinstance(content, Score) and content.name in VALUES:
                found.bands.append((content.name, content.share.band(rounding)))
        return found

    def _set(self, name: str, count: int | None) -> bool:
        if count is None:
            return True
        known = getattr(self, name)
        setattr(self, name, count)
        return known is None or known == count

    def of_its_own_counts(self) -> Answer:
        """TP 45 and FN 5 decide a sensitivity, whatever FP and TN are; UNDECIDED where something else is printed."""
        four = Four(*(self.counts.get(name, 0) for name in ("tp", "fp", "fn", "tn")))
        made = [(name, band) for name, band in self.bands if MADE_OF.get(name, {"all"}) <= self.counts.keys()]
        for name, (low, high) in made:
            value = VALUES[name](four)
            if not low <= (value if value is not None else Fraction(0)) <= high:
                return Answer.INFEASIBLE
        totals = (self.positives, self.negatives, self.n, self.errors)
        is_all = len(made) == len(self.bands) and all(total is None for total in totals)
        return Answer.FEASIBLE if made and is_all else Answer.UNDECIDED

    def tables(self) -> Iterator[Four | None]:
        """Every table with these counts, sides and size; None where they leave too much open."""
        given = self.counts
        if len(given) == 4:
            yield Four(**given)
            return
        p, q = self._sides()
        if p is None or q is None:
            yield None
            return
        for tp in self._span("tp", "fn", p, "sensitivity"):
            for tn in self._span("tn", "fp", q, "specificity"):
                yield Four(tp, q - tn, p - tp, tn)

    def _sides(self) -> tuple[int | None, int | None]:
        given, p, q = self.counts, self.positives, self.negatives
        if p is None and "tp" in given and "fn" in given:
            p = given["tp"] + given["fn"]
        if q is None and "tn" in given and "fp" in given:
            q = given["tn"] + given["fp"]
        if p is None and q is not None and self.n is not None:
            p = self.n - q
        if q is None and p is not None and self.n is not None:
            q = self.n - p
        return p, q

    def _span(self, name: str, other: str, total: int, score: str) -> range:
        if name in self.counts:
            return range(self.counts[name], self.counts[name] + 1)
        if other in self.counts:
            return range(total - self.counts[other], total - self.counts[other] + 1)
        least, most = 0, total
        for which, (low, high) in self.bands:
            if which == score:
                least, most = max(least, ceil(low * total)), min(most, floor(high * total))
        return range(least, most + 1)

    def prints(self, four: Four) -> bool:
        if min(four.tp, four.fp, four.fn, four.tn) < 0 or any(getattr(four, k) != v for k, v in self.counts.items()):
            return False
        for known, count in (
            (self.positives, four.tp + four.fn),
            (self.negatives, four.tn + four.fp),
            (self.n, four.n),
            (self.errors, four.fp + four.fn),
        ):
            if known is not None and known != count:
                return False
        for name, (low, high) in self.bands:
            value = VALUES[name](four)
            if not low <= (value if value is not None else Fraction(0)) <= high:
                return False
        return True


def area_span(sensitivity: Band, specificity: Band) -> Band:
    """The areas under a curve that passes through a point: at least the box under it, at most all but the box above."""
    least = sensitivity[0] * specificity[0]
    return least, 1 - (1 - sensitivity[1]) * (1 - specificity[1])
