"""Does a text say a value? The rule by which every number and word of a report is compared with its evidence.

It shares no code with what prints: a text is right if what a reader takes from it is the value, at the precision that
is printed. So that no digit can be dropped to flatter, a rounded number has three digits of its own or as many places
as a report prints; "100 %" is all and "0 %" is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from harness.core.text import visible

NUMBER = re.compile(r"(?:= )?(?P<sign>[<>] )?(?P<digits>[+-]?\d+(?:\.\d+)?)(?: (?P<unit>%|points|s|images/s))?")
COUNT = re.compile(r"\d+|\d{1,3}(?:,\d{3})+")
RATIO = re.compile(r"(?P<k>\d+)/(?P<n>\d+)(?: \((?P<share>[^()]*)\))?")
DURATION = re.compile(r"(?:(\d+) h (\d+) min|(\d+) min (\d+) s)")
HEX = re.compile(r"[0-9a-f]{40,64}")
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T[0-9:.]+(?:[+-]\d{2}:\d{2}|Z)?")
RUNS = re.compile(r"in (\d{1,2}) of 100 runs")
SHORTEST_DIGEST = 12

# What stands where there is no value.
NOTHINGS = frozenset(
    (
        "—",
        "undefined",
        "undefined (0/0)",
        "none",
        "nothing",
        "not stated",
        "none: one-sided by design",
        "none: too little to bound it",
    )
)
# The words for yes and for no, by the field that they are about.
WORDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "passed": (frozenset({"passed"}), frozenset({"not passed", "did not pass"})),
    "required": (frozenset({"yes", "required"}), frozenset({"no", "for information"})),
    "reused": (frozenset({"reused"}), frozenset({"made"})),
    "as_expected": (frozenset({"caught:", "quiet:"}), frozenset({"survived:", "alarm:"})),
}
PLAIN_WORDS = (frozenset({"yes"}), frozenset({"no"}))
CLOSE = Fraction(1, 10**9)


def says(text: str, value: object, field: str) -> bool:
    """Whether a text says a value of evidence.json. field: the last step of the value's path."""
    text = " ".join(text.split())
    lead, _, rest = text.partition(" ")
    if lead in ("lower", "upper") and not isinstance(value, str):  # a rationale may begin with the word
        return lead == field and says(rest, value, "")
    match value:
        case None:
            return text in NOTHINGS
        case bool():
            yes, no = WORDS.get(field, PLAIN_WORDS)
            return text.casefold() in (yes if value else no)
        case int() if COUNT.fullmatch(text):
            return int(text.replace(",", "")) == value
        case int() | float():
            return _says_number(text, value, field)
        case str():
            return _says_text(text, value)
        case Mapping():
            return _says_record(text, value)
        case list():
            return text in NOTHINGS and not any(value)
        case _:
            return False


def says_ratio(text: str, k: object, n: object) -> bool:
    """Whether a text says "k/n", alone or with its percentage."""
    text = " ".join(text.split())
    if type(k) is not int or type(n) is not int or n == 0:
        return text in NOTHINGS or (text == "0/0" and k == n == 0)  # of a class that is not there
    found = RATIO.fullmatch(text)
    if found is None or (int(found["k"]), int(found["n"])) != (k, n):
        return False
    return found["share"] is None or (found["share"].endswith(" %") and _is_number(found["share"], Fraction(k, n)))


def _says_record(text: str, value: Mapping[str, object]) -> bool:
    if RATIO.fullmatch(text):
        return says_ratio(text, value.get("k"), value.get("n"))
    if " to " in text:
        return _says_range(text, value.get("lower"), value.get("upper"))
    without_counts = "k" in value and (value["k"] is None or not value.get("n"))
    without_bounds = "lower" in value and None in (value["lower"], value.get("upper"))
    return text in NOTHINGS and (without_counts or without_bounds)


def _says_range(text: str, lower: object, upper: object) -> bool:
    low, _, high = text.partition(" to ")
    unit = next((f" {unit}" for unit in ("points",) if high.endswith(f" {unit}")), "")
    return says(low if low in NOTHINGS else low + unit, lower, "") and says(high, upper, "")


def _says_number(text: str, value: float, field: str) -> bool:
    if field == "power":
        return _says_power(text, value)
    if found := DURATION.fullmatch(text):
        hours, minutes, whole_minutes, seconds = (int(part or 0) for part in found.groups())
        in_hours = found[1] is not None
        said = 3600 * hours + 60 * minutes if in_hours else 60 * whole_minutes + seconds
        return -0.51 <= value - said <= (60 if in_hours else 0.51)  # a begun minute of hours is not counted
    if field == "p" and value == 0:  # it underflows; no page says that something is impossible
        return text == "< 0.0001"
    return _is_number(text, Fraction(repr(float(value))))


def _is_number(text: str, value: Fraction) -> bool:
    found = NUMBER.fullmatch(text)
    if found is None:
        return False
    unit = found["unit"]
    exact, said = value * (100 if unit in ("%", "points") else 1), Fraction(found["digits"])
    if found["sign"] is not None:  # only ever of what is next to 0 or 1
        below = found["sign"] == "< "
        return (0 < exact < said <= Fraction(1, 1000)) if below else (Fraction(999, 1000) <= said < exact < 1)
    if abs(exact - said) <= CLOSE * (1 + abs(exact)):
        return exact == said or unit != "%" or said not in (0, 100)
    if unit == "%" and said in (0, 100):
        return False
    digits = found["digits"].lstrip("+-")
    places = len(digits.partition(".")[2])
    fine = len(digits.replace(".", "").lstrip("0")) >= 3 or places >= (2 if unit in ("%", "points", "s") else 4)
    tenths = unit == "s" and places == 1  # how long a stage took
    return (fine or tenths) and abs(exact - said) <= Fraction(1, 2 * 10**places) * (1 + CLOSE)


def _says_power(text: str, value: float) -> bool:
    if found := RUNS.fullmatch(text):
        said = int(found[1])
        return abs(100 * value - said) <= 0.5 + 1e-9 or (said == 99 and 0.985 <= value < 1)
    return {"always": value == 1, "never": value == 0, "in fewer than 1 of 100 runs": 0 < value < 0.005}.get(
        text, False
    )


def _says_text(text: str, value: str) -> bool:
    shown = " ".join(visible(value).split())
    if text == shown or (value == "" and text in NOTHINGS):
        return True
    if HEX.fullmatch(value):
        return len(text) >= SHORTEST_DIGEST and value.startswith(text)
    if TIME.fullmatch(value):
        return text in (value[:10], value.replace("T", " ", 1).replace("+00:00", " UTC"))
    return False
