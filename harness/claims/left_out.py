"""Which shares of a line of prose name a metric and were read as nothing? They are listed, never left out silently."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction

from harness.claims.error_counts import COUNTED_RIGHT
from harness.claims.phrases import without_intervals
from harness.claims.prose import sentences
from harness.claims.records import Accuracy, Content, Errors, Printed, Unread, Worked, names_of, printed
from harness.claims.vocabulary import ELSEWHERE, OF, loose, names_class

_METRIC = (
    r"(?:sensitivit(?:y|ies)|specificit(?:y|ies)|recalls?|precisions?|kappa|\u03ba|MCC|NPV|PPV|"
    r"F[-_ ]?1(?:[- ]?(?:scores?|measure))?)"
)
_CORRECT = r"(?:accurac(?:y|ies))"
_VALUE = r"(?<![\w.,/=-])(?P<{0}>\d{{1,3}}(?:\.\d{{1,12}})?\s*%|[01]?\.\d{{1,12}})"
_VALUE += r"(?![\w./]*\d|\s*[-\u2013\u2014]\s*\d|\s*(?:CI|confidence)\b)"
_BETWEEN = r"[^\d.;%=:]{0,60}(?:=|:)?[^\d.;%=:]{0,3}"


def _beside(words: str) -> re.Pattern[str]:
    after, before = _VALUE.format("after"), _VALUE.format("before")
    return re.compile(rf"\b{words}(?!\w){_BETWEEN}{after}|{before}\s*(?:\w+\s+)?{words}(?!\w)", re.IGNORECASE)


_SCORE, _SCORE_OR_ACCURACY = _beside(_METRIC), _beside(f"(?:{_METRIC}|{_CORRECT})")
_COUNTED = re.compile(
    r"(?<![\w.,])\d{1,7}(?![\w.,]*\d)|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|all|every|each|no|none|"
    r"perfect(?:ly)?)\b",
    re.IGNORECASE,
)
_PATH = re.compile(r"\S*(?:/[^\W\d]|_)\S*")  # files are often named after a class; 45/50 is not a file
_PERCENT = re.compile(r"\d+(?:[.,]\d+)?\s*%|\d*\.\d+")
_OUTCOME = re.compile(
    r"\b(?:correct(?:ly)?|right|misclassif\w+|mistaken|confused|wrong(?:ly)?|(?:called|predicted as|taken for)|"
    r"false (?:positives?|negatives?)|perfect(?:ly)?)\b",
    re.IGNORECASE,
)
_MOST_WORDS = 25
_WARNING = re.compile(r"\b[A-Z]\w+Warning\b")  # of the program that printed the report: about 0.0 and 1.0 as such
_FRACTION = re.compile(r"\d+[.,]\d+")
_SPREAD = re.compile(r"\s*(?:\u00b1|\+/-|\\pm)\s*\d")
_NO_RESULT = re.compile(
    r"\b(?:targets?|floor|goals?|require\w*|thresholds?|criteri(?:on|a)|chance|guess\w*|expect\w*|would|could|should|must|if|"
    r"literature|published|et al|authors|e\.g|example|at least|at most|minimum|power|assum\w*|suppos\w*|"
    r"plan\w*|baseline|previous\w*)\b|[<>\u2264\u2265]",
    re.IGNORECASE,
)


# What this model reached on some of the cells is a result of this report, too.
_PART = re.compile(r"\b(?:subsets?|subgroups?|remaining|pooled|of (?:these|them)|among)\b", re.IGNORECASE)
_NOT_THIS = re.compile(r"\b(?:top[- ]?\d|train(?:ing)?|epochs?|seeds?)\b|\[\d+(?:[,\u2013-]\s*\d+)*\]", re.IGNORECASE)
_OF_ALL = re.compile(r"\b(?:correct(?:ly)?|right(?:ly)?|misclassif\w+|wrong(?:ly)?|incorrect(?:ly)?)\b", re.IGNORECASE)


def left_out(text: str, number: int, contents: Sequence[Content], classes: tuple[str, ...]) -> Iterator[Unread]:
    """
    Args:
        text: one line of prose, markup removed. number: its line.
        contents: what was read from it.
    """
    if _WARNING.search(text):
        return
    yield from _counts_left_out(text, number, contents, classes)
    read = {share.value for content in contents for share in _shares_of(content)}
    for sentence in sentences(without_intervals(text.replace("`", ""))):
        has_class = names_class(_FRACTION.sub(" ", sentence), classes)  # a class called 0 is not named by 0.95
        has_spread = bool(_SPREAD.search(sentence))
        of_a_part = bool(_PART.search(sentence)) and not _NOT_THIS.search(sentence)
        any_metric = _SCORE_OR_ACCURACY if has_class or has_spread or of_a_part else _SCORE
        matches = list(any_metric.finditer(sentence))
        values = [(m["after"] or m["before"], m.start("after") if m["after"] else m.start("before")) for m in matches]
        open_ = [value for value, at in values if not loose(sentence, at) and _value(value) not in read]
        if open_:
            said = " ".join(sentence.split())[:100]
            if _NO_RESULT.search(sentence):
                yield Unread(f'"{said}" (line {number}): a goal, an assumption or what others reached', number, False)
                continue
            if has_spread:
                what = "a mean with its spread, or a half-width: which is not said, and no one count prints a mean"
                yield Unread(f'"{said}" (line {number}): {what}', number)
                continue
            why = "of a class, in words with more than one reading" if has_class else "in no form that is read"
            yield Unread(f'"{said}" (line {number}): {", ".join(open_)} {why}', number)


def _counts_left_out(text: str, number: int, contents: Sequence[Content], classes: tuple[str, ...]) -> Iterator[Unread]:
    """Counts of right or wrong cells that no form has read: "Cats: 45/50 correct", "no dog was confused".

    Of all cells only beside their accuracy: what else is right may be anything.
    """
    if any(isinstance(content, Accuracy) for content in contents) and not any(
        isinstance(content, Errors | Worked) for content in contents
    ):
        for match in COUNTED_RIGHT.finditer(_PERCENT.sub(" ", text)):
            yield Unread(f'"{match[0].strip()}" (line {number}): of how many is not said', number)
    if not any(isinstance(content, Errors | Worked) or names_of(content) for content in contents):
        for sentence in sentences(text.replace("`", "")):
            counts = OF.search(_PERCENT.sub(lambda m: " " * len(m[0]), sentence))
            is_result = _PART.search(sentence) and _OF_ALL.search(sentence) and not _NOT_THIS.search(sentence)
            if counts and is_result and not _NO_RESULT.search(sentence) and not loose(sentence, counts.start()):
                yield Unread(
                    f'"{counts[0].strip()}" (line {number}): of a part of the cells, in no form that is read', number
                )
    if not classes or any(names_of(content) for content in contents):
        return
    for sentence in sentences(_PATH.sub(" ", text.replace("`", ""))):
        counted = _COUNTED.search(_PERCENT.sub(" ", sentence))
        if not (counted and _OUTCOME.search(sentence) and names_class(_FRACTION.sub(" ", sentence), classes)):
            continue
        if _NO_RESULT.search(sentence) or ELSEWHERE.search(sentence) or not _is_short(sentence):
            continue
        said = " ".join(sentence.split())[:100]
        yield Unread(f'"{said}" (line {number}): a count of cells of a class, in no form that is read', number)


def _is_short(sentence: str) -> bool:
    """A sentence of a result, not an account of a method in which a class, a number and a verb stand by chance."""
    return len(sentence.split()) <= _MOST_WORDS


def _value(text: str) -> Fraction | None:
    share = printed(text)
    return share.value if share is not None else None


def _shares_of(content: object) -> Iterator[Printed]:
    if isinstance(content, Printed):
        yield content
    elif isinstance(content, tuple):
        for part in content:
            yield from _shares_of(part)
    elif is_dataclass(content):
        for field in fields(content):
            yield from _shares_of(getattr(content, field.name))
