"""Which numbers does a text state, and as bounds of what? Text in, records out; nothing here knows a criterion."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

# What a share that a text states is of; "" is nothing that texts state as one.
Family: TypeAlias = Literal["", "sensitivity", "specificity", "predictive value", "F1", "area", "correctness"]

Side = Literal["at least", "at most"]

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
_WORDS = {word: n for n, word in enumerate(_ONES.split())} | {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_DIGITS = r"\d+(?:[.,]\d+)?|\.\d+"
_WHOLE = rf"(?:\d+|{_WORD})"
# A share, a time or a rate with its unit; a bare number counts only as a decimal fraction.
_NUMBER = (
    rf"(?<![\w.,])(?:(?P<k>{_WHOLE}) ?(?:/|of|in|out of) ?(?P<n>{_WHOLE})(?![\w%]|[.,]\d)|"
    rf"(?P<percent>{_DIGITS}|(?:one )?(?:{_WORD})(?:[- ](?:{_WORD}))?)[- ]?"
    r"(?P<unit>%|percent\b|per ?cent\b|(?:percentage )?points?\b|ms\b|milliseconds?\b|s\b|seconds?\b|"
    r"images?(?:/| per | a )s(?:econds?)?\b)|"
    r"(?P<fraction>0?[.,]\d+|1[.,]0+)(?![\w%]|[.,]\d))"
)
_FILLER = r"(?:(?:to|be|of|is|an?|the|about|with|hold|reach|accuracy|recall|value|it|that|as|are|:|=)\s+){0,3}"
_FEWER = r"(?:less|fewer|lower|worse|below|under|smaller)"
_MORE = r"(?:more|greater|higher|larger|above|over|bigger)"
_LEAST = (
    rf"(?:at (?:the very )?least|≥|>=|>|(?:no|not|never|nothing) {_FEWER}(?: than)?|minim(?:um|ally)|"
    rf"{_MORE} than|above|over|exceed(?:s|ing)?|reach(?:es)?|floor|required?|requires|expect(?:s|ed)?|must|should|"
    r"target|guaranteed?s?|demands?|demanded)"
)
_MOST = (
    rf"(?:at (?:the very )?most|≤|<=|<|(?:no|not|never|nothing) {_MORE}(?: than)?|maxim(?:um|ally)|{_FEWER} than|below|"
    r"under|up to|ceiling|within)"
)
_AFTER_LEAST = r"(?:or (?:more|better|above|higher)|and (?:more|above)|at (?:the )?least|minimum|(?:is |are )?required)"
_AFTER_MOST = r"(?:or (?:less|fewer|below|lower)|at (?:the )?most|maximum)"
# Where a sentence tells of another quantity than what is required: what is true, was, or follows by chance.
_ELSEWHERE = re.compile(
    r"\b(?:tru(?:e|ly)|truth|would|could|prov\w+|pass(?:es|ed)?|flawless|chance|alone|guess\w*|was|were|formerly|"
    r"previous\w*|earlier|once|instead of|rather than|baseline's)\b",
    re.IGNORECASE,
)
_BETWEEN_CLAUSES = r"[,;:!?()]\s+|(?<!\d)\.\s+|\s+(?:but|yet|and|-|\u2013|\u2014)\s+"
_ALPHABETS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"})
_GREEK_AS_LATIN = frozenset(
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03b9\u03bd\u03bf\u03c1"
)
ROUND = (10, 100, 1000)  # "99 of 100" is a share, "371 of 375" counts cells
_CONFIDENCE = r"(?:confiden(?:ce|t)|certain(?:ty)?|level)"


@dataclass(frozen=True, slots=True)
class Stated:
    """A number of a text.

    unit:  "share", "points", "s", "images/s", or "cells" for a share that is counted, such as 371 of 375.
    words: as they stand there.
    """

    value: float
    unit: str
    words: str


@dataclass(frozen=True, slots=True)
class StatedBound:
    """A number that a text calls a bound."""

    side: Side
    number: Stated


def plain_text(text: str) -> str:
    """The text in which every digit and letter is an ordinary one, whatever it was written with, on one line.

    What nobody sees, such as a soft hyphen, is left out, and a word that is divided at the end of a line is one.
    """
    return _on_one_line(text, divided="")


def _on_one_line(text: str, *, divided: str) -> str:
    """divided: for a hyphen at the end of a line, which may be of the word or of the line."""
    seen = "".join(each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != "Cf")
    return " ".join(re.sub(r"(?<=[^\W\d_])[-\u2010]\s*\n\s*(?=[^\W\d_])", divided, seen).split())


def mixed_words(text: str) -> list[str]:
    """Words in letters of several alphabets that look alike: they are not what a reader takes them for.

    >>> [ascii(word) for word in mixed_words("valid, v\u0430lid, TNF\u03b1, 5 \u03bcm, \u0432\u0435\u0440\u043d\u043e")]
    ["'v\\\\u0430lid'"]
    """
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", text))
    return [word for word in words if len({_alphabet(letter) for letter in word} & _ALPHABETS) > 1]


def _alphabet(letter: str) -> str:
    """Of a Greek letter only where a Latin one looks like it: TNF\u03b1 and NF\u03baB are words of the field."""
    found = unicodedata.name(letter, "").partition(" ")[0]
    return found if found != "GREEK" or letter in _GREEK_AS_LATIN else ""


def sentences_of(text: str, *, ends: str = ".;:!?") -> list[str]:
    """The sentences of a text, cut where a new clause of its own begins, too."""
    return [part for part in re.split(rf"(?<=[{ends}])\s+", plain_text(text)) if part]


def clauses_of(text: str) -> list[str]:
    """Its parts between commas: what one of them denies, the next may still claim."""
    readings = dict.fromkeys(_on_one_line(text, divided=each) for each in ("", "-"))
    return list(dict.fromkeys(part for each in readings for part in re.split(_BETWEEN_CLAUSES, each) if part))


def numbers_in(text: str) -> Iterator[tuple[Stated, int, int]]:
    """Every share, time and rate, with where it begins and ends. One of a confidence level is none."""
    for match in re.finditer(_NUMBER, text, re.IGNORECASE):
        if not _is_level(text, match.start(), match.end()) and (found := _stated(match)) is not None:
            yield found, match.start(), match.end()


def levels_in(text: str) -> Iterator[Stated]:
    """The confidence levels that a text names."""
    for match in re.finditer(_NUMBER, text, re.IGNORECASE):
        found = _stated(match)
        if found is not None and found.unit == "share" and _is_level(text, match.start(), match.end()):
            yield found


def bounds_in(text: str) -> Iterator[StatedBound]:
    """The numbers of a text that it calls bounds, such as "at least 97 %" or "2 points at most".

    >>> [(each.side, each.number.value) for each in bounds_in("Expected at least 97 %; a true 99 % passes.")]
    [('at least', 0.97)]
    """
    for sentence in sentences_of(text):
        if _ELSEWHERE.search(sentence):
            continue
        for number, start, end in numbers_in(sentence):
            side = _side(sentence[:start], sentence[end:])
            if side is not None:
                yield StatedBound(side, number)


def _side(before: str, after: str) -> Side | None:
    for side, word in (("at most", _AFTER_MOST), ("at least", _AFTER_LEAST)):
        if re.match(rf"\s*(?:of \w+ |\w+ )?{word}", after, re.IGNORECASE):
            return side  # type: ignore[return-value]
    for side, word in (("at most", _MOST), ("at least", _LEAST)):
        if re.search(rf"(?<!\w){word}\s*{_FILLER}$", before, re.IGNORECASE):
            return side  # type: ignore[return-value]
    return None


def _is_level(text: str, start: int, end: int) -> bool:
    after = re.match(rf"[- ]*(?:\w+ )?{_CONFIDENCE}\b", text[end:], re.IGNORECASE)
    before = re.search(r"\b(?:confidence(?: level)?(?: of| is|:)?|level(?: of| is|:))\s*$", text[:start], re.IGNORECASE)
    return bool(after or before)


def _stated(match: re.Match[str]) -> Stated | None:
    words = match[0]
    if match["n"] is not None:
        k, n = _counted(match["k"]), _counted(match["n"])
        cells = match["n"].isdecimal() and n not in ROUND
        return Stated(k / n, "cells" if cells else "share", words) if n > 0 and k <= n else None
    if match["fraction"] is not None:
        return Stated(_decimal(match["fraction"]), "share", words)
    value, unit = _counted(match["percent"]), match["unit"].casefold()
    if unit.startswith("image"):
        return Stated(value, "images/s", words)
    if unit.startswith("m"):
        return Stated(value / 1000, "s", words)
    if unit.startswith("s"):
        return Stated(value, "s", words)
    return Stated(value / 100, "points" if "point" in unit else "share", words)


def _counted(text: str) -> float:
    """A number in digits or words; "ninety-seven" is 97, "one hundred" 100."""
    if text[0].isdigit() or text[0] == ".":
        return _decimal(text)
    parts = [_WORDS[word] for word in re.split("[- ]", text.casefold())]
    return float(100 if 100 in parts else sum(parts))


def _decimal(text: str) -> float:
    return float(text.replace(",", "."))
