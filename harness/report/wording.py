"""How is a number or a foreign text written, so that neither hides anything? Shared by figures and report."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from harness.core.errors import UndefinedStatistic

UNDEFINED = "undefined"
NOTHING = "—"
# Beyond, a figure has its classes one below the other in small type, and a matrix in numbers is folded away.
MANY_CLASSES = 16
LONG_NAME = 24  # letters; a longer name of a class breaks in tables
FEW_CLASSES = 7  # a matrix of so many is as narrow as a phone
MOST_ROWS = 10  # of a list that stands in the open
# Of criteria and of changes that the box of the verdict names in the open: it fits on one screen of a phone.
MOST_NAMED, MOST_MOVED, MOST_COMPARED, MOST_WORSE = 6, 1, 3, 2

# What a reader is told that each key of the protocol's table [study] is.
STUDY = {
    "user": "User",
    "operator": "Operator",
    "exclusions": "Exclusions",
    "source": "Source",
    "licence": "Licence",
    "collected": "Dates of collection",
    "device": "Microscope or analyser",
    "stain": "Stain",
    "labelled_by": "Who gave the labels",
    "readers": "Readers of each cell",
    "blinding": "Blinding of the readers",
    "disagreement": "How disagreement was settled",
    "funding": "Funding and interests",
    "sign_off": "Who answers for the report",
}


def percent(k: int, n: int, *, decimals: int = 2) -> str:
    """k of n in percent, with as many decimals as it takes that a single error still shows.

    "100 %" means all and "0 %" means none, never "nearly".

    Raises:
        UndefinedStatistic: n is 0.
    >>> percent(374, 375), percent(19999, 20000), percent(7, 7)
    ('99.73 %', '99.995 %', '100 %')
    """
    if n == 0:
        raise UndefinedStatistic("a percentage of 0 cells does not exist; it is not 0 %. Write it as undefined.")
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a share; pass 0 <= k <= n")
    return f"{_rounded(Fraction(100 * k, n), decimals, beside=(Fraction(0), Fraction(100)))} %"


def proportion(k: int, n: int) -> str:
    """k/n with its percentage, or that it is undefined.

    >>> proportion(374, 375), proportion(0, 0)
    ('374/375 (99.73 %)', 'undefined (0/0)')
    """
    return f"{k}/{n} ({percent(k, n)})" if n else f"{UNDEFINED} (0/0)"


def share(value: float, *, decimals: int = 2, beside: Iterable[float] = ()) -> str:
    """A fraction in percent; like `percent`, never rounded onto or past 0 %, 100 % or a number in `beside`.

    >>> share(0.97999, beside=[0.98]), share(0.5)
    ('97.999 %', '50 %')
    """
    references = tuple(100 * _exact(v) for v in (0.0, 1.0, *beside))
    return f"{_rounded(100 * _exact(value), decimals, beside=references)} %"


def number(value: float, *, significant: int = 4, beside: Iterable[float] = ()) -> str:
    """A plain number, never rounded onto or past one of `beside`.

    >>> number(0.0312345), number(0.1000004, beside=[0.1]), number(42.0)
    ('0.03123', '0.1000004', '42')
    """
    exact = _exact(value)
    magnitude = Decimal(repr(value)).adjusted() if value else 0
    return _rounded(exact, max(0, significant - 1 - magnitude), beside=tuple(map(_exact, beside)))


def probability(value: float) -> str:
    """A probability with four decimals that says so where four do not tell it from 0 or 1.

    >>> probability(0.93127), probability(0.999999), probability(2e-9), probability(1.0)
    ('0.9313', '> 0.9999', '< 0.0001', '1')
    """
    if value in (0.0, 1.0):
        return f"{value:g}"
    if value < 0.00005:
        return "< 0.0001"
    return "> 0.9999" if value >= 0.99995 else f"{value:.4f}"


def quantity(value: float | None, unit: str, *, beside: Iterable[float] = ()) -> str:
    """A measured number in its unit ("fraction", "s", "images/s", "count"), or "undefined"."""
    if value is None:
        return UNDEFINED
    match unit:
        case "fraction":
            return share(value, beside=beside)
        case "count":
            return number(value, significant=9, beside=beside)
        case _:
            return f"{number(value, beside=beside)} {unit}"


def percent_of(level: float) -> str:
    """A confidence level, such as "98.3333 %".

    >>> percent_of(0.95), percent_of(1 - 0.05 / 3)
    ('95 %', '98.3333 %')
    """
    return f"{100 * level:.6g} %"


def points(*differences: float) -> str:
    """A difference of two fractions in percentage points with its sign, or a range of differences.

    >>> points(-0.0213333), points(0.0), points(-0.02, 0.015)
    ('-2.13 points', '0 points', '-2 to +1.5 points')
    """
    signed = [("+" if d > 0 else "") + _rounded(100 * _exact(d), 2, beside=(Fraction(0),)) for d in differences]
    return f"{' to '.join(signed)} points"


def short(digest: str | None, *, length: int = 12) -> str:
    return digest[:length] if digest else "none"


def duration(seconds: float) -> str:
    """
    >>> duration(0.0421), duration(9.44), duration(75.2), duration(4210)
    ('0.042 s', '9.4 s', '1 min 15 s', '1 h 10 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{number(seconds, significant=2)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _exact(value: float) -> Fraction:
    # The shortest decimal that reads back as this float: what a person wrote in the protocol, not its binary neighbour.
    return Fraction(repr(float(value)))


def _rounded(value: Fraction, decimals: int, *, beside: tuple[Fraction, ...]) -> str:
    """Half-even at `decimals` places, or at the first more that keep its order to every number in `beside`.

    Trailing zeros go only where rounding lost nothing, so "98" is 98 and "98.00" is near it.
    """
    while True:
        units = round(value * 10**decimals)
        rounded = Fraction(units, 10**decimals)
        if all(_sign(rounded - other) == _sign(value - other) for other in beside):
            break
        decimals += 1
    digits = str(abs(units)).zfill(decimals + 1)
    text = ("-" if units < 0 else "") + (f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits)
    return text.rstrip("0").rstrip(".") if decimals and rounded == value else text


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)
