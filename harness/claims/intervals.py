"""Does a share lie in the interval printed right behind it? Nobody has to compute anything to see that it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

_NUM = r"\d{1,3}(?:\.\d{1,12})?"
_METRIC = (
    r"(?:accurac(?:y|ies)|sensitivity|specificity|recall|precision|AUC|AUROC|F1(?:[- ]score)?|kappa|"
    r"[PN]PV|(?:positive|negative) predictive value)"
)
_OUTSIDE = re.compile(
    rf"\b{_METRIC}\b[^\d.;()%<>~]{{0,30}}(?P<value>{_NUM})(?P<sign>\s*%)?\s?[,;:]?\s?[(\[]\s*"
    rf"(?:(?:\d{{1,9}}\s*(?:/|of)\s*\d{{1,9}})\s*[;,]\s*)?"
    r"(?:9\d(?:\.\d)?\s*%[\s-]*)?(?:CI|confidence\s+interval)\s*[:=,]?\s*"
    rf"(?P<low>{_NUM})\s*%?\s*(?:[-\u2013\u2014,;]|to)\s*(?P<high>{_NUM})\s*%?\s*[)\]]",
    re.IGNORECASE,
)


def outside_intervals(sentence: str) -> Iterator[str]:
    """Why each such share cannot be what its interval is of.

    >>> list(outside_intervals("Sensitivity was 71.0 % (95 % CI 80.2-90.1 %)."))
    ['71.0 % is outside of its own interval, 80.2 to 90.1']
    """
    for match in _OUTSIDE.finditer(sentence.replace("`", "").replace("*", "")):
        value, low, high = (Fraction(match[name]) for name in ("value", "low", "high"))
        in_percent = bool(match["sign"]) or value > 1
        if low > high or in_percent != (high > 1):
            continue  # not in one unit, or no interval
        if not low <= value <= high:
            said = f"{match['value']}{match['sign'] or ''}"
            yield f"{said} is outside of its own interval, {match['low']} to {match['high']}"
