"""Do printed averages fit classes whose counts are known, or can they at all?"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.claims.class_options import Option
from harness.claims.records import Band
from harness.claims.tightened import Tightened


def averages_possible(tight: Tightened) -> bool:
    """A necessary condition: the mean of the printed bands meets the printed mean."""
    for average in tight.averages:
        for name in ("precision", "recall", "f1"):
            wanted: Band | None = getattr(average, name)
            bands: list[Band | None] = [getattr(rule, name) for rule in tight.rules]
            if wanted is None or any(band is None for band in bands):
                continue
            if average.weighted:
                if not tight.is_fixed:
                    known = [band for band in bands if band is not None]
                    low, high = min(b[0] for b in known), max(b[1] for b in known)
                else:
                    weights = [rule.support[0] for rule in tight.rules]
                    total = sum(weights)
                    if total == 0:
                        continue
                    pairs = [(w, b) for w, b in zip(weights, bands, strict=True) if b is not None]
                    low = sum((w * b[0] for w, b in pairs), Fraction(0)) / total
                    high = sum((w * b[1] for w, b in pairs), Fraction(0)) / total
            else:
                low = sum((band[0] for band in bands if band is not None), Fraction(0)) / len(bands)
                high = sum((band[1] for band in bands if band is not None), Fraction(0)) / len(bands)
            if high < wanted[0] or low > wanted[1]:
                return False
    return True


def averages_fit(tight: Tightened, vector: Sequence[Option]) -> bool:
    if not tight.averages or not tight.is_fixed:
        return True
    supports = [option.supports[0][0] for option in vector]
    right = [s - option.r for s, option in zip(supports, vector, strict=True)]
    called = [t + option.f for t, option in zip(right, vector, strict=True)]
    shares = {
        "precision": [Fraction(t, q) if q else Fraction(0) for t, q in zip(right, called, strict=True)],
        "recall": [Fraction(t, s) if s else Fraction(0) for t, s in zip(right, supports, strict=True)],
        "f1": [
            Fraction(2 * t, s + q) if s + q else Fraction(0) for t, s, q in zip(right, supports, called, strict=True)
        ],
    }
    for average in tight.averages:
        weights = supports if average.weighted else [1] * len(supports)
        total = sum(weights)
        for name, values in shares.items():
            band: Band | None = getattr(average, name)
            if band is not None and total:
                mean = sum((w * v for w, v in zip(weights, values, strict=True)), Fraction(0)) / total
                if not band[0] <= mean <= band[1]:
                    return False
    return True
