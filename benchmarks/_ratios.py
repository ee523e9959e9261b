"""How many times as long does one side take as another, and how sure is that? What other measurements count with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """A geometric mean over pairs that ran one after the other, with its two-sided interval at LEVEL."""

    value: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.lower:.3f}, {self.upper:.3f}]"


def ratio_of(one: Sequence[float], other: Sequence[float]) -> Ratio:
    """Seconds of one side over those of the other, pair by pair; of a single pair the interval is infinite.

    >>> str(ratio_of([10.3, 10.4, 10.3], [10, 10.2, 9.9]))
    '1.030 [1.004, 1.056]'
    """
    logs = np.log(np.asarray(one, dtype=float) / np.asarray(other, dtype=float))
    n, mean = len(logs), float(logs.mean())
    half = float(student.ppf((1 + LEVEL) / 2, n - 1) * logs.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))
