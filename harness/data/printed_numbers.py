"""To how many digits are these numbers printed, and by how much may each be off because of it?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_NUMBER = re.compile(r"[+-]?(\d+(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d{1,4}))?", re.ASCII)


def number_of(text: str) -> float:
    """The number that a cell holds; NaN where it holds none, or one with a decimal comma.

    >>> [number_of(each) for each in ("0.25", "1e-3", "0,25", "")]
    [0.25, 0.001, nan, nan]
    """
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else math.nan


@dataclass(frozen=True, slots=True)
class Printing:
    """How the numbers of one table are printed, taken together: trailing zeros may have been left away.

    decimals:    the most that any has behind its point.
    significant: the most digits that any has from its first that is not 0.
    """

    decimals: int
    significant: int

    def __str__(self) -> str:
        if self.decimals <= self.significant:
            return f"{self.decimals} decimals"
        return f"{self.significant} significant digits"

    def rounding_of(self, values: np.ndarray) -> np.ndarray:
        """By how much each probability may be off: half a unit in the last printed place.

        Of a table with four decimals that is 0.00005 everywhere; with four significant digits it follows the value.
        Which of the two a table has shows in its other numbers, so each place is the coarser that both allow.
        """
        with np.errstate(divide="ignore"):
            leading = np.floor(np.log10(np.abs(values)))
        leading = np.minimum(leading, -1)  # nothing above 1 was rounded to 1: below it, digits are finer
        fixed = -float(self.decimals)
        return np.asarray(0.5 * 10.0 ** np.maximum(fixed, leading - self.significant + 1))


def printing_of(texts: Iterable[str]) -> Printing:
    """
    >>> printing_of(["0.9981", "0.0019", "0"])
    Printing(decimals=4, significant=4)
    >>> str(printing_of(["0.998", "1.23e-05"]))
    '3 significant digits'
    """
    decimals = significant = 0
    for text in texts:
        found = _NUMBER.fullmatch(text.strip())
        if found is None:
            continue
        mantissa, behind = found[1], found[2] or found[3] or ""
        decimals = max(decimals, len(behind) - int(found[4] or 0))
        significant = max(significant, len(mantissa.replace(".", "").lstrip("0")))
    return Printing(decimals, max(1, significant))
