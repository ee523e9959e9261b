"""What is a share as it was printed? Its value, its last decimal, and what prints so. Fractions, never floats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

Rounding = Literal["nearest", "truncated"]
Band: TypeAlias = tuple[Fraction, Fraction]

_NUMBER = re.compile(r"(\d{1,18})?(?:[.,](\d{1,18}))?")  # a share has no thousands: its comma is a decimal comma
# Strictly below a bound and at most this much below it are the same for every share of fewer than 10**12 cells.
_SLIVER = Fraction(1, 10**24)
_FLOAT = Fraction(1, 10**11)  # a share printed with all its digits was computed as a float: its last ones are noise


@dataclass(frozen=True, slots=True)
class Printed:
    """A share as it was printed.

    text: as printed, such as "97.33 %".
    value: the number as a fraction in [0, 1].
    unit: one unit of its last decimal, as a fraction (97.33 % has 1/10,000); 0 where it is an exact k/n.
    """

    text: str
    value: Fraction
    unit: Fraction

    def band(self, rounding: Rounding) -> Band:
        """(lowest, highest) exact share that is printed so. Closed: half-up and half-even both fit."""
        if self.unit == 0:
            return self.value, self.value
        if rounding == "truncated":
            return self.value, min(Fraction(1), self.value + self.unit - _SLIVER)
        return max(Fraction(0), self.value - self.unit / 2), min(Fraction(1), self.value + self.unit / 2)

    def prints(self, exact: Fraction) -> bool:
        """Whether the exact share can be printed so, by rounding or by leaving further decimals out."""
        return any(low <= exact <= high for low, high in (self.band("nearest"), self.band("truncated")))

    def is_cut_off(self, exact: Fraction) -> bool:
        """Whether the exact share is printed so by leaving its further decimals out, and not by rounding."""
        (low, high), (least, most) = self.band("nearest"), self.band("truncated")
        return least <= exact <= most and not low <= exact <= high

    @property
    def is_whole(self) -> bool:
        return self.value == 1

    def like(self, share: Fraction) -> str:
        """Another share, rounded half-even and written in this one's manner."""
        percent = "%" in self.text
        unit = self.unit or Fraction(1, 10_000)
        units = round(share / unit)
        scaled = units * unit * (100 if percent else 1)
        decimals = max(0, len(str((unit * (100 if percent else 1)).denominator)) - 1)
        whole = round(scaled * 10**decimals)
        digits = str(whole).zfill(decimals + 1)
        text = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
        return f"{text} %" if percent else text


def printed(text: str, *, percent: bool | None = None) -> Printed | None:
    """A share from its text, or None where it is not a plain number.

    percent: whether the number is in percent; None takes the sign's word for it.
    >>> printed("97.33 %").value, printed("0.9733").unit, printed("~100%")
    (Fraction(9733, 10000), Fraction(1, 10000), None)
    """
    body = text.strip()
    signed = body.endswith("%")
    body = body.removesuffix("%").strip()
    match = _NUMBER.fullmatch(body)
    if match is None or not body or body == ".":
        return None
    decimals = len(match[2] or "")
    scale = 100 if (signed if percent is None else percent) else 1
    whole = int((match[1] or "0") + (match[2] or ""))
    unit = max(Fraction(1, 10**decimals * scale), _FLOAT)
    return Printed(text.strip(), Fraction(whole, 10**decimals * scale), unit)


def whole(text: str) -> int:
    """A count, whatever separates its thousands."""
    return int(re.sub(r"\D", "", text))
