"""The words and numbers that forms of prose are made of, and what a form says: a saying."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from harness.claims.records import Content, whole

# "1 234" and "1'234" are one number; a number of more than twelve digits is none.
_GROUP = r"(?:[,'\u2019]\d{3})+(?!\d)"
START, END = r"(?<![\w.,/^])(?<!\d['\u2019 ])(?<![A-Za-z][-\u2013])", r"(?!(?:[\w./]*|['\u2019 ]|,)\d)"
WHOLE = rf"(\d{{1,3}}{_GROUP}|\d{{1,3}}(?: \d{{3}})+(?!\d)|\d{{1,12}})"
INT = rf"{START}{WHOLE}{END}"
_WORDS = {
    "both": 2, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10,
}  # fmt: skip
COUNT = rf"(?:{INT}|\b({'|'.join(_WORDS)})\b)"
_LOOSE = re.compile(
    r"(?:[~≈<>≤≥±]|\b(?:about|around|approximately|approx\.?|nearly|almost|over|under|above|below|than|least|most|"
    r"up to|near|roughly|some|circa|ca\.|only about|another|further|first|next|additional|a further|"
    r"type|level|grade|stage|section|table|class|phase|version))\s*$",
    re.IGNORECASE,
)
RANGE_AFTER = re.compile(r"\s*(?:[-\u2013\u2014]|to)\s*\d|\+|\s*(?:±|\+/-|\\pm)")
NOT_A_RESULT = re.compile(
    r"\b(?:target|floor|goal|require[sd]?|requirement|threshold|criteri(?:on|a)|baseline|previous(?:ly)?|"
    r"chance|human|expect\w*|would|could|should|must|balanced|top[- ]?\d|epochs?|mean|average|per[- ]class|"
    r"interval|bounds?|confidence|literature|published|reported|compared|versus|vs\.?|improv\w*|increase\w*|gain|drop\w*|gap|difference|points?|fold|if)\b",
    re.IGNORECASE,
)
# What somebody or something else reached, or this model on a part of the set.
ELSEWHERE = re.compile(
    r"\b(?:epochs?|folds?|seeds?|cross[- ]validation|et al|authors|prior|earlier|state[- ]of[- ]the[- ]art|sota|"
    r"pathologists?|experts?|annotators?|readers?|raters?|clinicians?|technicians?|h(?:a|ae)matologists?|"
    r"(?:patient|slide|smear|case|lesion|object|tile|patch|video|pixel)[- ](?:level|wise)|"
    r"threshold|rejected|referred|subset|remaining|of these|of them|among)\b|\[\d+(?:[,\u2013-]\s*\d+)*\]",
    re.IGNORECASE,
)
# An error of the labels, or one that a figure shows, is not one of all errors.
SOME = re.compile(
    r"\b(?:shows?|showing|shown|examples?|e\.g|annotat\w*|label(?:s|l?ing|l?ed)?|corrected|fixed|missing|metadata|"
    r"focus|focal|exposure|quality|segment\w*|code|software)(?!\w)",
    re.IGNORECASE,
)
FIGURE = re.compile(r"\bfig(?:ure|s?\.)", re.IGNORECASE)
SET = r"(?:train(?:ing)?|val(?:idation)?|test(?:ing)?|external|(?:held|hold)[\s-]?out|dev(?:elopment)?)"
OF = re.compile(rf"{START}{WHOLE}\s*(?:/|\bout of\b|\bof\b)\s*(?:the\s+|all\s+)?{WHOLE}{END}\s*(\w+)?", re.IGNORECASE)
THING = r"(?:images?|cells?|samples?|smears?|pictures?)"


@dataclass(frozen=True, slots=True)
class Saying:
    """One content from one line. set: named by the words right at it, else None; needs_set: where it must be."""

    content: Content
    set: str | None
    exact_set: bool = False  # the set is part of the wording ("375 test images"); a section's set must not replace it
    sentence: str = field(default="", compare=False)
    qualified: bool = False  # other words stand in the sentence: it may be about a part of the set, or something else


def loose(text: str, at: int) -> bool:
    return bool(_LOOSE.search(text[:at]))


@lru_cache(maxsize=1024)  # a sentence of many clauses is asked for each of them
def of_some(sentence: str) -> bool:
    """Whether it may be of what others reached, or of errors that are not all errors."""
    return bool(ELSEWHERE.search(sentence) or SOME.search(sentence))


@lru_cache(maxsize=64)
def class_pattern(classes: tuple[str, ...]) -> str:
    names = sorted(classes, key=len, reverse=True)
    # A class called "a" must not match the article.
    return "(?:" + "|".join(r"a(?!\s+[^\W\d]{2})" if name in ("a", "A") else re.escape(name) for name in names) + r")"


@lru_cache(maxsize=1024)  # of a sentence it is asked for each of its statements
def without_counts(text: str, classes: tuple[str, ...]) -> str:
    """The same text without what a bracket only counts: "(100 images: 64 benign and 36 malignant)"."""
    named = rf"|{class_pattern(classes)}" if classes else ""
    only = rf"\((?=[^()]*\d)(?:[\d,;:/&=+\s]|\b(?:{THING}|n|and|of{named})(?:e?s)?\b){{1,200}}\)"
    return re.sub(only, " ", text, flags=re.IGNORECASE)


@lru_cache(maxsize=1024)  # every form that is looked for in a clause asks it
def names_class(text: str, classes: tuple[str, ...]) -> bool:
    if not classes:
        return False
    # "external monocyte dataset" names a set by its class; that is not a statement about the class.
    rest = re.sub(
        rf"\b{class_pattern(classes)}(?:[- ]only)?\s+(?:data\s?set|set|data)\b", "", text, flags=re.IGNORECASE
    )
    return bool(re.search(rf"(?<!\w){class_pattern(classes)}(?:e?s)?(?!\w)", rest, re.IGNORECASE))


def class_named(text: str, classes: tuple[str, ...]) -> str:
    """The class as its table spells it."""
    return next(name for name in classes if name.lower() == text.lower())


def classes_named(text: str, classes: tuple[str, ...]) -> list[str]:
    if not classes:
        return []
    matches = re.finditer(rf"(?<!\w)({class_pattern(classes)})(?:e?s)?(?!\w)", text, re.IGNORECASE)
    return list(dict.fromkeys(class_named(match[1], classes) for match in matches))


def number_of(digits: str | None, word: str | None) -> int:
    return whole(digits) if digits else _WORDS[(word or "").lower()]
