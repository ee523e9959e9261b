"""Is a sentence about a whole set and nothing else?

What may stand beside a result is a closed list: any other word may be a qualifier ("blurred", "males", "last year's").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

from harness.claims.subjects import without_names

_NUM = r"\d{1,3}(?:\.\d{1,12})?"
_CI = (
    r"(?:(?:\d\d(?:\.\d)?\s*%[\s-]*)?(?:[A-Za-z]+[\s-]+){0,2}?(?:CI|confidence[\s-]+(?:interval|limits?)|"
    r"(?<=\d\d % )interval)\b"
    r"(?:\s*\d\d(?:\.\d)?\s*%)?(?:\s*\([A-Za-z\s-]{1,30}\))?\s*(?:[:=,]|of|from|is|was|between)?\s*)"
)


def _span(low: str, high: str) -> str:
    return rf"(?P<{low}>{_NUM})\s*%?\s*(?:[-\u2013\u2014,;\u2026]|to|and|\.\.)\s*(?P<{high}>{_NUM})\s*%?"


_INTERVAL = re.compile(
    rf"(?<![\w.,])(?P<value>{_NUM})(?P<sign>\s*%)?\s?[,;:]?\s?(?:"
    rf"[(\[]\s*{_CI}?[(\[]?\s*{_span('a', 'b')}\s*[)\]]{{1,2}}"
    rf"|{_CI}[(\[]?\s*{_span('c', 'd')}(?:\s*[)\]])?(?![\d.]*\d))",
    re.IGNORECASE,
)
# "0.95 +- 0.05" is a half-width only where it says so; else it may be the spread of folds, whose mean no count prints.
_HALF_WIDTH = re.compile(
    rf"(?<![\w.,])(?P<value>{_NUM}(?:\s*%)?)\s*(?:±|\+/-|\\pm)\s*{_NUM}(?:\s*%)?\s*"
    r"[(\[]?\s*(?:(?:95|99|90)\s*%\s*)?(?:CI|confidence\s+(?:interval|limits?)|half[- ]width)\b\s*[)\]]?",
    re.IGNORECASE,
)
# "84.5 % (431/510; 95 % CI 78.3-88.6)": the fraction alone is left in the bracket.
_BESIDE_COUNTS = re.compile(
    rf"(?P<value>{_NUM})(?P<sign>\s*%)?\s*(?P<open>[(\[])\s*(?P<counts>\d[\d,]*\s*(?:/|of)\s*\d[\d,]*)\s*"
    rf"[;,]\s*{_CI}[(\[]?\s*{_span('a', 'b')}\s*[)\]]{{1,2}}",
    re.IGNORECASE,
)
_COMMA = re.compile(r"(?<![\w.,])(?:(\d{1,3}),(\d{1,2}|\d{4,12})(?=\s*%)|(0),(\d{1,12})(?![\d,.]*\d))")
_POINT = re.compile(r"(?<![\w.,])(?:\d{1,3}\.\d{1,12}\s*%|[01]\.\d{1,12}(?![\d.]))")
_PLAIN = re.compile(
    "a|acc|accuracies|accuracy|achieve|achieved|achieves|all|an|and|are|as|at|attain|attained|attains|be|been|"
    "being|both|by|case|cases|cell|cells|classification|classified|classifier|correct|correctly|correspond|corresponding|"
    "corresponds|data|dataset|dev|development|e|eight|equal|equals|error|errors|evaluate|evaluated|evaluation|"
    "exactly|external|final|five|for|four|gave|get|gets|give|gives|got|had|has|have|held|hold|i|identified|image|"
    "images|in|incorrect|incorrectly|is|it|its|just|made|make|makes|making|measure|measured|metric|"
    "misclassification|misclassifications|misclassified|mistake|mistakes|model|n|network|nine|no|none|obtain|"
    "obtained|obtains|of|on|one|only|or|our|out|overall|part|partition|percent|performance|picture|pictures|"
    "predicted|prediction|predictions|rate|reach|reached|reaches|recognised|recognized|report|reports|result|"
    "results|right|sample|samples|score|scored|scores|set|sets|seven|show|shows|six|smear|smears|split|ten|test|"
    "testing|testset|that|the|there|this|three|to|total|train|training|two|us|val|validation|value|was|we|were|"
    "which|with|wrong|wrongly|x|yield|yielded|yields|zero|"
    # other metrics: none of them says of which images
    "kappa|cohen|s|mcc|matthews|auc|auroc|roc|f|npv|ppv|sensitivity|specificity|precision|recall|macro|weighted"
)


@lru_cache(maxsize=1024)  # prose and what is spoken of classes are read of the same lines
def without_intervals(text: str) -> str:
    """The same text, each interval cut off that stands right after a value that lies in it.

    >>> without_intervals("accuracy 95.0 % (95 % CI 76.4-99.1 %)"), without_intervals("0.95 [0.76, 0.99]")
    ('accuracy 95.0 %', '0.95')
    """
    text = _BESIDE_COUNTS.sub(_kept_counts, text)
    return _HALF_WIDTH.sub(lambda match: match["value"], _INTERVAL.sub(_cut, text))


def _kept_counts(match: re.Match[str]) -> str:
    if not Fraction(match["a"]) <= Fraction(match["value"]) <= Fraction(match["b"]):
        return match[0]
    return f"{match['value']}{match['sign'] or ''} ({match['counts']})"


def writes_commas(texts: Iterable[str]) -> bool:
    """Whether a document's shares have decimal commas, and none has a point."""
    kept = list(texts)
    return any(map(_COMMA.search, kept)) and not any(map(_POINT.search, kept))


def with_points(text: str) -> str:
    """The same text, its decimal commas written as points; a comma between thousands stays.

    >>> with_points("Genauigkeit 97,4 % von 1,234 Zellen, kappa 0,91")
    'Genauigkeit 97.4 % von 1,234 Zellen, kappa 0.91'
    """
    return _COMMA.sub(lambda match: f"{match[1] or match[3]}.{match[2] or match[4]}", text)


def _cut(match: re.Match[str]) -> str:
    low, high = match["a"] or match["c"], match["b"] or match["d"]
    if not Fraction(low) <= Fraction(match["value"]) <= Fraction(high):
        return match[0]
    return match["value"] + (match["sign"] or "")


def is_plain(sentence: str, *, also: re.Pattern[str] = _PLAIN) -> bool:
    """Whether nothing in a sentence may narrow down what its numbers are about.

    also: words that say nothing of the kind where this sentence stands.
    >>> is_plain("We reached a test accuracy of 95 %."), is_plain("On blurred test images the accuracy is 80 %.")
    (True, False)
    """
    words = re.findall(r"[^\W\d_]+", without_names(sentence).lower())
    return all(_PLAIN.fullmatch(word) or also.fullmatch(word) for word in words)
