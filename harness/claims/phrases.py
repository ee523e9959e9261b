"""Is a sentence about a whole set and nothing else?

What may stand beside a result is a closed list: any other word may be a qualifier ("blurred", "males", "last year's").
"""

from __future__ import annotations

import re
from fractions import Fraction

from harness.claims.subjects import without_names

_NUM = r"\d{1,3}(?:\.\d{1,12})?"
_CI = (
    r"(?:(?:\d\d(?:\.\d)?\s*%[\s-]*)?(?:[A-Za-z]+[\s-]+){0,2}?(?:CI|confidence[\s-]+(?:interval|limits?))\b"
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
_PLAIN = re.compile(
    "a|acc|accuracies|accuracy|achieve|achieved|achieves|all|an|and|are|as|at|attain|attained|attains|be|been|"
    "being|both|by|cell|cells|classification|classified|classifier|correct|correctly|correspond|corresponding|"
    "corresponds|data|dataset|dev|development|e|eight|equal|equals|error|errors|evaluate|evaluated|evaluation|"
    "exactly|external|final|five|for|four|gave|get|gets|give|gives|got|had|has|have|held|hold|i|identified|image|"
    "images|in|incorrect|incorrectly|is|it|its|just|made|make|makes|making|measure|measured|metric|"
    "misclassification|misclassifications|misclassified|mistake|mistakes|model|n|network|nine|no|none|obtain|"
    "obtained|obtains|of|on|one|only|or|our|out|overall|part|partition|percent|performance|picture|pictures|"
    "predicted|prediction|predictions|rate|reach|reached|reaches|recognised|recognized|report|reports|result|"
    "results|right|sample|samples|score|scored|scores|set|sets|seven|show|shows|six|smear|smears|split|ten|test|"
    "testing|testset|that|the|there|this|three|to|total|train|training|two|us|val|validation|value|was|we|were|"
    "which|with|wrong|wrongly|x|yield|yielded|yields|zero"
)


def without_intervals(text: str) -> str:
    """The same text, each interval cut off that stands right after a value that lies in it.

    >>> without_intervals("accuracy 95.0 % (95 % CI 76.4-99.1 %)"), without_intervals("0.95 [0.76, 0.99]")
    ('accuracy 95.0 %', '0.95')
    """
    return _INTERVAL.sub(_cut, text)


def _cut(match: re.Match[str]) -> str:
    low, high = match["a"] or match["c"], match["b"] or match["d"]
    if not Fraction(low) <= Fraction(match["value"]) <= Fraction(high):
        return match[0]
    return match["value"] + (match["sign"] or "")


def is_plain(sentence: str) -> bool:
    """Whether nothing in a sentence may narrow down what its numbers are about.

    >>> is_plain("We reached a test accuracy of 95 %."), is_plain("On blurred test images the accuracy is 80 %.")
    (True, False)
    """
    words = re.findall(r"[^\W\d_]+", without_names(sentence).lower())
    return all(_PLAIN.fullmatch(word) for word in words)
