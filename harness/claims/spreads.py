"""Can this be the standard deviation of these shares, or of any with this mean? Squares of fractions, no roots."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from harness.claims.records import Printed, printed

_NUM = r"\d{1,3}(?:\.\d{1,12})?"
_BESIDE = re.compile(rf"(?<![\w.,])(?P<mean>{_NUM}\s*%?)\s*(?:±|\+/-|\\pm)\s*(?P<spread>{_NUM}\s*%?)")
_DEVIATION = re.compile(r"\b(?:SD|s\.d\.|std\.?|stdev|standard deviations?)(?!\w)", re.IGNORECASE)
_RATE = re.compile(
    r"\b(?:accurac(?:y|ies)|sensitivit(?:y|ies)|specificit(?:y|ies)|recalls?|precisions?|F[-_ ]?1\w*|AUC|AUROC)\b", re.I
)
_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_FOLDS = re.compile(
    rf"\b(\d{{1,2}}|{'|'.join(_WORDS)})[\s-]+(?:folds?|runs|seeds|repeats|repetitions)\b", re.IGNORECASE
)


def is_deviation(text: str) -> bool:
    """Whether a head or a row's name says that it is a standard deviation."""
    return bool(_DEVIATION.search(text))


def mean_and_spread(cell: str, *, percent: bool | None) -> tuple[Printed, Printed] | None:
    """
    >>> [share.text for share in mean_and_spread("94.1 ± 0.9 %", percent=None) or ()]
    ['94.1 %', '0.9 %']
    """
    match = _BESIDE.fullmatch(cell.strip())
    if match is None:
        return None
    sign = " %" if "%" in match[0] else ""
    found = [printed(match[name].strip(" %") + sign, percent=percent) for name in ("mean", "spread")]
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None


def deviations(shares: Sequence[Printed]) -> tuple[Fraction, Fraction]:
    """The squares of the standard deviation of the printed values, over n and over n - 1."""
    values = [share.value for share in shares]
    mean = sum(values, Fraction(0)) / len(values)
    total = sum(((value - mean) ** 2 for value in values), Fraction(0))
    return total / len(values), total / (len(values) - 1)


def is_deviation_of(spread: Printed, shares: Sequence[Printed]) -> bool:
    """Whether some values that print as these have this deviation, over n or over n - 1.

    A deviation over n moves by no more than the largest move of a value, one over n - 1 by sqrt(2) times that.
    """
    slack = max(share.unit for share in shares) * Fraction(3, 2) + spread.unit
    least, most = max(Fraction(0), spread.value - slack), spread.value + slack
    return any(least**2 <= square <= most**2 for square in deviations(shares))


def impossible_spreads(sentence: str) -> Iterator[str]:
    """A deviation over n - 1 of n shares with mean m is at most sqrt(m (1 - m) n / (n - 1)).

    Of the means that print so the one that allows most is taken.

    >>> list(impossible_spreads("Accuracy was 0.95 ± 0.40 (mean ± SD)."))
    ['0.95 ± 0.40: shares with this mean have a standard deviation of at most 0.336']
    """
    if not _DEVIATION.search(sentence) or not _RATE.search(sentence):
        return
    named = {_WORDS.get(each.lower()) or int(each) for each in _FOLDS.findall(sentence)}
    n = named.pop() if len(named) == 1 else 2
    for match in _BESIDE.finditer(sentence):
        both = mean_and_spread(match[0], percent=None)
        if both is None or both[0].value > 1 or n < 2:
            continue
        mean, spread = both
        ends = [mean.value - mean.unit, mean.value, mean.value + mean.unit]
        inside = [min(max(end, Fraction(0)), Fraction(1)) for end in ends]
        if inside[0] <= Fraction(1, 2) <= inside[2]:
            inside.append(Fraction(1, 2))
        most = max(end * (1 - end) for end in inside) * Fraction(n, n - 1)
        if max(Fraction(0), spread.value - spread.unit) ** 2 > most:
            limit = float(most) ** 0.5
            said = f"{100 * limit:.1f} %" if "%" in match[0] else f"{limit:.3f}"
            yield f"{match[0].strip()}: shares with this mean have a standard deviation of at most {said}"
