"""Why can these statements not hold together? What a reader can check by hand; nothing where the search alone knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from harness.claims.binary import VALUES, Four
from harness.claims.records import (
    Accuracy,
    Content,
    Directions,
    Errors,
    Matrix,
    Outcomes,
    PerClass,
    Printed,
    Rounding,
    Row,
    Rows,
    Score,
    Sides,
    Size,
    Supports,
)


@dataclass(frozen=True, slots=True)
class Reasons:
    """For statements about one set of these classes."""

    classes: tuple[str, ...]
    rounding: Rounding

    def why(self, contents: Sequence[Content]) -> str:
        """What a reader can check by hand; "" where the search alone knows."""
        sizes = [c.n for c in contents if isinstance(c, Size)]
        supports = [c for c in contents if isinstance(c, Supports)]
        per_class = [c for c in contents if isinstance(c, PerClass)]
        shares = [c.share for c in contents if isinstance(c, Accuracy)]
        errors = [c.count for c in contents if isinstance(c, Errors)]
        rows = [row for c in contents if isinstance(c, Rows) for row in c.rows]
        n = self.size_of(contents)
        if supports and sizes and len(contents) == 2:
            return f"the supports add up to {sum(count for _, count in supports[0].counts):,}"
        if supports and per_class and len(contents) == 2:
            odd = [
                f"{name} has {count}"
                for name, count in supports[0].counts
                if not per_class[0].least <= count <= per_class[0].most
            ]
            return ", ".join(odd) or "the supports do not cover the classes"
        if any(isinstance(c, Outcomes) for c in contents):
            return self._why_answers(contents)
        if shares and n is not None:
            return self.why_accuracy(shares[0], n, errors[0] if errors else None)
        if shares and errors:
            low, high = self.sizes_of(shares[0], errors[0])
            if high is not None and low > high:
                return f"with {errors[0]} errors no set of any size prints {shares[0].text}"
            span = f"{low:,} … {high:,}" if high is not None else f"{low:,} or more"
            return f"with {errors[0]} errors {shares[0].text} needs n = {span}"
        if len(rows) == 1 and len(contents) == 2:
            support = self._support(rows[0].name, contents)
            if support is not None:
                return self._why_row(rows[0], support)
        if len(contents) == 1 and rows:
            return "F1 is the harmonic mean of precision and recall: 2PR / (P + R)" if len(rows) == 1 else ""
        return self._why_answers(contents) or self._why_errors(contents)

    def _why_answers(self, contents: Sequence[Content]) -> str:
        """What the four counts print."""
        four = next((c for c in contents if isinstance(c, Outcomes)), None)
        if four is None or None in (four.tp, four.fp, four.fn, four.tn):
            return ""
        counts = Four(four.tp or 0, four.fp or 0, four.fn or 0, four.tn or 0)
        for content in contents:
            if isinstance(content, Sides):
                return f"the counts have {counts.tp + counts.fn:,} positives and {counts.tn + counts.fp:,} negatives"
            if isinstance(content, Score | Accuracy):
                name = content.name if isinstance(content, Score) else "accuracy"
                value = VALUES[name](counts) if name in VALUES else None
                return f"the counts have {name} {content.share.like(value)}" if value is not None else ""
        return f"the counts add up to {counts.n:,}, {counts.fp + counts.fn:,} of them wrong"

    def size_of(self, contents: Sequence[Content]) -> int | None:
        for content in contents:
            if isinstance(content, Size):
                return content.n
            if isinstance(content, Matrix):
                return sum(map(sum, content.counts))
            if isinstance(content, Supports) and len(content.counts) == len(self.classes):
                return sum(count for _, count in content.counts)
            if isinstance(content, PerClass) and content.least == content.most:
                return content.least * len(self.classes)
        return None

    def _support(self, name: str, contents: Sequence[Content]) -> int | None:
        for content in contents:
            if isinstance(content, PerClass) and content.least == content.most:
                return content.least
            if isinstance(content, Supports):
                return dict(content.counts).get(name)
            if isinstance(content, Matrix) and name in content.classes:
                return sum(content.counts[content.classes.index(name)])
        return None

    def why_accuracy(self, share: Printed, n: int, errors: int | None) -> str:
        if n == 0:
            return "a set of no images has no accuracy"
        low, high = share.band(self.rounding)
        fits = range(ceil(low * n), floor(high * n) + 1)
        if len(fits) == 0:
            near = sorted(range(n + 1), key=lambda k: (abs(Fraction(k, n) - share.value), k))[:2]
            said = " and ".join(f"{k}/{n} = {share.like(Fraction(k, n))}" for k in sorted(near))
            return f"no k/{n} prints as {share.text}; nearest are {said}"
        forced = f"{fits[0]:,}" if len(fits) == 1 else f"{fits[0]:,} … {fits[-1]:,}"
        if errors is not None:
            return f"{share.text} of {n:,} is {forced} correct, {errors} errors leave {n - errors:,}"
        return f"{share.text} of {n:,} is {forced} correct"

    def sizes_of(self, share: Printed, errors: int) -> tuple[int, int | None]:
        low, high = share.band(self.rounding)
        least = 1 if low == 1 else max(1, ceil(errors / (1 - low)))
        most = None if high == 1 else int(Fraction(errors) / (1 - high))
        return least, most

    def _why_row(self, row: Row, support: int) -> str:
        for metric, share in (("precision", row.precision), ("recall", row.recall), ("F1", row.f1)):
            near = self._nearest(row, metric, support)
            if share is not None and near:
                cells = f"{support:,} cells{self._given(row, metric)}"
                return f"{row.name} with {cells} prints {metric} {near}, never {share.text}"
        return ""

    def _given(self, row: Row, metric: str) -> str:
        return f" and recall {row.recall.text}" if metric == "precision" and row.recall is not None else ""

    def _nearest(self, row: Row, metric: str, s: int) -> str:
        """The printed values nearest to the row's own that do exist; "" where the value itself exists."""
        share = {"precision": row.precision, "recall": row.recall, "F1": row.f1}[metric]
        if share is None or share.unit == 0 or s == 0 or s > 100_000:
            return ""
        recall = (
            row.recall.band(self.rounding)
            if row.recall is not None and metric != "recall"
            else (Fraction(0), Fraction(1))
        )
        least, most = ceil(recall[0] * s), floor(recall[1] * s)
        values: dict[str, tuple[Fraction, str]] = {}
        low, high = share.band(self.rounding)
        for t in range(max(0, least), most + 1) if most - least < 200 else ():
            if metric == "recall":
                pairs = [(Fraction(t, s), f"{s - t} missed")]
            else:
                precision = row.precision.band(self.rounding) if row.precision is not None and metric == "F1" else None
                pairs = []
                guess = round(t / share.value) - t if metric == "precision" and share.value else 0
                for f in range(max(0, guess - 4), guess + 6 if metric == "precision" else s + 1):
                    if t + f == 0 or (precision is not None and not precision[0] <= Fraction(t, t + f) <= precision[1]):
                        continue
                    value = Fraction(t, t + f) if metric == "precision" else Fraction(2 * t, s + t + f)
                    pairs.append((value, f"{f} FP"))
            for value, said in pairs:
                if low <= value <= high:
                    return ""
                values.setdefault(share.like(value), (value, said))
        nearest = sorted(values.items(), key=lambda item: abs(item[1][0] - share.value))[:3]
        shown = sorted(nearest, key=lambda item: -item[1][0])
        return ", ".join(f"{text} ({said})" for text, (_, said) in shown)

    def _why_errors(self, contents: Sequence[Content]) -> str:
        """Errors by direction against a row or against counts."""
        directions = [c for c in contents if isinstance(c, Directions)]
        rows = [row for c in contents if isinstance(c, Rows) for row in c.rows]
        if not directions:
            return ""
        stated = directions[0]
        for row in rows:
            missed = sum(count for reference, _, count in stated.cells if reference == row.name)
            called = sum(count for _, guess, count in stated.cells if guess == row.name)
            if missed and row.recall is not None and row.recall.is_whole:
                return f"{row.name} with {missed} missed cells has no recall {row.recall.text}"
            if called and row.precision is not None and row.precision.is_whole:
                return f"{row.name} with {called} false alarms has no precision {row.precision.text}"
        if stated.exclusive:
            tally: dict[str, str] = {}
            for reference, guess, count in stated.cells:
                tally[reference] = f"{count} FN for {reference}"
                tally[guess] = f"{count} FP for {guess}"
            return "these errors are " + ", ".join(tally.values())
        return ""
