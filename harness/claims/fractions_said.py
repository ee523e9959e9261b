"""Which share stands right beside the counts that it is the share of? "24 of 25 smears (96 %)", "96 % (24/25)".

Whatever the two are about, they say the same or one of them is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from harness.claims.merging import Found
from harness.claims.phrases import without_intervals
from harness.claims.records import Accuracy, ClassCounts, Errors, Printed, Size, Worked, printed, whole
from harness.claims.vocabulary import END, OF, START, WHOLE, loose

_OF = rf"{START}(?P<k>{WHOLE})\s*(?:/|\b(?:out\s+)?of\b)\s*(?:(?:the|all|these|those|a\s+total\s+of)\s+)*(?P<n>{WHOLE})"
_SHARE = r"(?P<share>\d{1,3}(?:\.\d{1,12})?\s*%|0?\.\d{2,12}|1\.0{2,12})"
_WORDS = r"(?:[\s-]+[A-Za-z][\w'\u2019-]{0,30}){0,8}?"
_FEW = r"(?:\s+[A-Za-z][\w'-]{0,30}){0,3}?"
_NOUN = (
    r"(?:\s+(?:test\s+)?(?:images|cells|samples|slides|smears|patients|cases|tiles|patches|lesions|pictures|scans))?"
)
_BETWEEN = r"\s*(?:[(\[]\s*|,?\s*(?:i\.e\.,?|that is,?|or|=|:)\s*)"
_CLOSED = r"\s*(?:[)\]]|[.,;:]?\s*$|[.,;]\s)"
_COUNTS_FIRST = re.compile(rf"{_OF}(?![\w/]|[.,]\d|\s*%){_WORDS}{_BETWEEN}{_SHARE}{_CLOSED}", re.IGNORECASE)
_SHARE_FIRST = re.compile(
    rf"(?<![\w.,/+])(?<![\s:=(][-\u2212]){_SHARE}{_WORDS}\s*[(\[]\s*(?:n\s*=\s*)?{_OF}{END}{_NOUN}\s*[)\]]",
    re.IGNORECASE,
)
# A slash stands in dates, ratios, scores and steps, too: it is a fraction beside a word of a result alone.
_RESULT = re.compile(
    r"\b(?:accura\w+|sensitivit\w+|specificit\w+|recalls?|precisions?|[PN]PV|predictive|correct\w*|detect\w+|identif\w+|"
    r"classif\w+|found|mis\w+|errors?|agree\w*|concordan\w+|success\w*|images?|cells?|samples?|slides?|smears?|patients?|"
    r"cases?|tiles?|patch\w*|lesions?|total|overall)\b",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"\b(?:accura|sensitiv|specific|recall|precision|[PN]PV|agree|concordan|rate|share|proportion)", re.I
)
_LABELLED = re.compile(r"\W*[A-Za-z][\w /'-]{0,40}:\s*\W*")  # nothing but a name beside it
_NO_FRACTION = re.compile(
    r"\b(?:epochs?|steps?|batch(?:es)?|iterations?|folds?|ratios?|split|pages?|version|figs?|target|goal|"
    r"dropout|weights?|rat(?:ed|ing)|stars?|(?:grade|stage)s?\s+\d|scores?d? of|bootstrap\w*|adjusted|"
    r"weighted|averaged?|mean|median|would|could|should|expect\w*|intervals?|confidence|cover\w*|credible|bounds?)\b",
    re.IGNORECASE,
)
_NO_CELLS = re.compile(
    r"\s+(?:[A-Za-z]+\s+)?(?:runs?|models?|seeds?|class(?:es)?|categories|data\s?sets|experiments?|methods?|labs?|sites?|hospitals?|"
    r"metrics?|tasks?|settings?|configurations?|trials?|layers?|channels?|studies|papers|readers?|raters?|px|pixels?|[numkc]?m|\u00b5m|"
    r"m?s|seconds?|minutes?|hours?|days?|weeks?|years?|[KMG]i?B|parameters?|params|features?|dimensions?|points?|bits?)\b",
    re.IGNORECASE,
)
_WHOLE_OF = re.compile(
    rf"\W*(?:(?:out )?of|among)\s+(?:(?:the|all|these|a\s+total\s+of)\s+)*(?P<n>{WHOLE})"
    rf"(?![\w/]|[.,]\d|\s*%){_WORDS}\s*,",
    re.IGNORECASE,
)
_NAME = (
    r"(?:sensitivity|specificity|recall|precision|accuracy|[PN]PV|(?:positive|negative) predictive value|"
    r"detection rate)"
)
_PART = re.compile(
    rf"{START}(?P<k>{WHOLE})(?![\w/]|[.,]\d|\s*%){_FEW}\s*[(\[]\s*(?:(?P<name>{_NAME})\s*[:=]?\s*)?(?P<share>\d{{1,3}}(?:\.\d{{1,12}})?\s*%)\s*[)\]]"
)
_IN_BRACKET = rf"{_FEW}\s*[(\[]\s*(?P<name>{_NAME})\s*[:=]?\s*(?P<share>\d{{1,3}}(?:\.\d{{1,12}})?\s*%)\s*[)\]]"
_WHICH = re.compile(
    rf"{START}(?P<n>{WHOLE})(?![\w/]|[.,]\d|\s*%){_FEW},?\s+(?:of|among)\s+(?:which|whom|these|them),?"
    rf"\s+(?P<k>{WHOLE})(?![\w/]|[.,]\d|\s*%){_IN_BRACKET}",
    re.IGNORECASE,
)
_MISSED = re.compile(
    rf"\b(?:missed|overlooked|failed to (?:detect|find|identify))\s+(?:only\s+|just\s+)?(?P<k>{WHOLE})\s+"
    rf"(?:out\s+)?of\s+(?:the\s+|all\s+)?(?P<n>{WHOLE})(?![\w/]|[.,]\d|\s*%){_IN_BRACKET}",
    re.IGNORECASE,
)
_NESTED = re.compile(
    r"\b(?:of (?:which|whom|these|those|them)|thereof|among (?:which|whom|these|them)|the remaining|respectively)\b",
    re.I,
)
_WRONG = re.compile(r"\b(?:mis\w+|errors?|wrong\w*|incorrect\w*|failed|missed)\b", re.IGNORECASE)


def fractions_said(sentence: str) -> Iterator[Worked]:
    """Each share in a sentence that stands right beside the two counts that it is the share of.

    >>> [str(each) for each in fractions_said("Of the slides, 24 of 25 smears (96 %) were right.")]
    ['24/25 = 96 %']
    """
    text = without_intervals(sentence.replace("`", ""))
    if len(text) > 1_000 or _NO_FRACTION.search(text):
        return
    seen: set[tuple[int, int]] = set()
    for pattern in (_COUNTS_FIRST, _SHARE_FIRST):
        for match in pattern.finditer(text):
            k, n, share = whole(match["k"]), whole(match["n"]), printed(match["share"])
            if share is None or n < 2 or (k, n) in seen:
                continue
            if _is_loose(text, match.start("share")) or _is_loose(text, match.start("k")):
                continue
            if _NO_CELLS.match(text, match.end("n")) or re.search(r"\bby\s*\W?\s*$", text[: match.start("share")]):
                continue
            if "%" not in match["share"] and not _RATE.search(text):
                continue  # any number has a point
            if "/" in match[0] and not (_RESULT.search(text) or _LABELLED.fullmatch(text.replace(match[0], "", 1))):
                continue
            if not share.prints(Fraction(k, n)) and share.prints(Fraction(n - k, n)) and _WRONG.search(text):
                continue  # "3 of 100 were wrong (97 %)"
            if share.is_cut_off(Fraction(k, n)):
                continue
            seen.add((k, n))
            yield Worked(f"{k}/{n}", Fraction(k, n), share)
    for clause in re.split(r";\s+", text):
        yield from _parts_of(clause, seen)
        yield from _of_which(clause, seen)


def _parts_of(text: str, seen: set[tuple[int, int]]) -> Iterator[Worked]:
    """ "Of 412 slides, 286 (69.4 %) came from one site and 126 (30.6 %) from another": each part is of the whole."""
    whole_of = _WHOLE_OF.match(text)
    if whole_of is None or _NESTED.search(text) or len(OF.findall(text)) > 1:
        return
    n = whole(whole_of["n"])
    for match in _PART.finditer(text, whole_of.end()):
        k, share = whole(match["k"]), printed(match["share"])
        if share is None or n < 2 or (k, n) in seen or _is_loose(text, match.start("k")):
            continue
        if k > n and match["name"] is None:
            continue  # of something else; "389 controls, 401 were negative (specificity ...)" is of them
        seen.add((k, n))
        if not share.is_cut_off(Fraction(k, n)):
            yield Worked(f"{k}/{n}", Fraction(k, n), share)


def _of_which(text: str, seen: set[tuple[int, int]]) -> Iterator[Worked]:
    """ "Flagged 60 slides, of which 54 were malignant (precision 90 %)", "missed 6 of 60 (recall 90 %)"."""
    for match in (*_WHICH.finditer(text), *_MISSED.finditer(text)):
        k, n, share = whole(match["k"]), whole(match["n"]), printed(match["share"])
        if match.re is _MISSED:
            k = n - k
        if share is None or n < 2 or k < 0 or (k, n) in seen:
            continue
        if _is_loose(text, match.start("k")) or _is_loose(text, match.start("n")):
            continue
        seen.add((k, n))
        if not share.is_cut_off(Fraction(k, n)):
            yield Worked(f"{k}/{n}", Fraction(k, n), share)


def once(found: list[Found]) -> list[Found]:
    """Each fraction in one question: that of a set, where its accuracy and counts are bound to one; else its own, and
    then a plain result of its line, of no clear set, says no more than it."""
    out = list(found)
    for entry in found:
        worked = entry.content
        if not isinstance(worked, Worked) or not re.fullmatch(r"\d+/\d+", worked.fraction):
            continue
        n, k = (int(part) for part in reversed(worked.fraction.split("/")))
        same = [other for other in found if other.places == entry.places]
        sets = {other.set for other in same if other.set and _is_share(other, worked.share)}
        counted = {other.set for other in same if other.set and isinstance(other.content, Errors | ClassCounts)}
        if sets & counted:
            out = [other for other in out if other is not entry]
            continue
        says = (Errors(k), Errors(n - k), Size(n))
        out = [
            other
            for other in out
            if not (
                other.set is None
                and not other.qualified
                and other.places == entry.places
                and (_is_share(other, worked.share) or other.content in says)
            )
        ]
    return out


def _is_share(entry: Found, share: Printed) -> bool:
    """Whether an accuracy is this share, or what is left where the share is an error rate."""
    if not isinstance(entry.content, Accuracy):
        return False
    own = entry.content.share
    return own == share or (own.value == 1 - share.value and "error rate" in own.text)


def _is_loose(text: str, at: int) -> bool:
    """Whether a number is said to be near, or is the end of a range: "7 to 9 of 9"."""
    return loose(text, at) or bool(re.search(r"\d\s*(?:to|and|or|[-\u2013\u2014])\s*$", text[:at]))
