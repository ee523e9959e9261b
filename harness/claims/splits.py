"""What does a line say of how the data was split, and of how many classes a set covers?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_INT = r"(?<![\w.,/-])(\d{1,3}(?:[,'\u2019]\d{3})+|\d{1,9})(?![\w/]|[.,]\d|\s*%)"
_THING = r"(?:images?|cells?|samples?|smears?|pictures?|cases|slides|patches)"
_PART = r"(train(?:ing)?|val(?:idation)?|test(?:ing)?|development|dev)"
_SHARE = r"(?:\s*[(\[,]?\s*(\d{1,2}(?:\.\d{1,6})?)\s*%\s*[)\]]?)?"
_BEFORE = re.compile(
    rf"{_INT}(?:\s+{_THING})?{_SHARE}\s*(?:(?:were|was|are|is|being)\s+)?"
    rf"(?:(?:used|taken|kept|reserved|held|set aside)\s+)?(?:(?:for|as|in|into|to)\s+)?(?:the\s+)?{_PART}\b",
    re.IGNORECASE,
)
_AFTER = re.compile(
    rf"\b{_PART}(?:\s+(?:set|data|split|part|{_THING}))?\s*[(:=]\s*(?:n\s*=\s*)?{_INT}(?:\s+{_THING})?{_SHARE}",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    rf"\b(?:the|of|all|total of|contains?|comprises?|has|with|split|divided|partitioned)\s+(?:the\s+|all\s+)?{_INT}\s+"
    rf"(?:\w+\s+)?{_THING}\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"\b(?:remov\w*|exclud\w*|discard\w*|dropp\w*|augment\w*|\w*sampl(?:ed|ing)|synthe\w*|duplicat\w*|subset|remain\w*|"
    r"after|before|unused|left out|per class|each|fold\w*|patients?|approximately|about|around|roughly|"
    r"respectively)\b|[~\u2248]",
    re.IGNORECASE,
)
_NAMES = {"tr": "train", "va": "validation", "de": "validation", "te": "test"}


@dataclass(frozen=True, slots=True)
class Split:
    """The parts that one sentence says a whole was split into. parts: (train, validation or test, cells)."""

    total: int
    parts: tuple[tuple[str, int], ...]
    problems: tuple[str, ...]


def split_of(sentence: str) -> Split | None:
    """The split of one sentence, read whole or not at all: a total and two or three parts, each once.

    >>> split_of("Of 100 images, 70 (70 %) were used for training and 40 for testing.").problems
    ('train and test have 70 + 40 = 110 images, the whole 100',)
    """
    if len(sentence) > 1_000 or _OTHER.search(sentence):
        return None
    said = [(match.span(), match[3], match[1], match[2]) for match in _BEFORE.finditer(sentence)]
    after = [(match.span(), match[1], match[2], match[3]) for match in _AFTER.finditer(sentence)]
    said = said if len(said) >= len(after) else after
    taken = [span for span, *_ in said]
    totals = [
        match[1]
        for match in _TOTAL.finditer(sentence)
        if not any(start <= match.start(1) < end for start, end in taken)
    ]
    names = [_NAMES[name[:2].lower()] for _, name, _, _ in said]
    if (
        len(totals) != 1
        or len(names) not in (2, 3)
        or len(set(names)) < len(names)
        or not {"train", "test"} <= set(names)
    ):
        return None
    if len(names) == 2 and re.search(r"\bval(?:idation)?\b|\bdev", sentence, re.IGNORECASE):
        return None
    total, counts = _whole(totals[0]), [_whole(count) for _, _, count, _ in said]
    problems = []
    if sum(counts) != total:
        parts = f"{', '.join(names[:-1])} and {names[-1]} have {' + '.join(f'{n:,}' for n in counts)}"
        problems.append(f"{parts} = {sum(counts):,} images, the whole {total:,}")
    for name, count, (_, _, _, share) in zip(names, counts, said, strict=True):
        if share is not None and total and abs(Fraction(share) - Fraction(100 * count, total)) > _slack(share, total):
            problems.append(f"{name}: {count:,} of {total:,} is {100 * count / total:.4g} %, not {share} %")
    return Split(total, tuple(zip(names, counts, strict=True)), tuple(problems))


def _slack(share: str, total: int) -> Fraction:
    """One unit of the last decimal, for cut off shares, and one cell, for parts that were rounded."""
    return Fraction(1, 10 ** len(share.partition(".")[2])) + Fraction(100, total)


def _whole(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def coverage_of(line: str) -> tuple[int, int] | None:
    match = re.search(r"\b(\d+)\s+(?:out\s+)?of\s+(?:the\s+)?(\d+)\s+(?:\w+\s+)?class(?:es)?\b", line, re.IGNORECASE)
    if match and int(match[1]) <= int(match[2]):
        return int(match[1]), int(match[2])
    return None


_PERCENT = r"(\d{1,2})\s*%?"
_BY = r"\s*[/:\u2013-]\s*"
_NOT_IN_IT = r"(?<![\d/.:\u2013-])", r"(?![\d%]|\s*[/:]\s*\d|[.,]\d)"
_IN_THREE = re.compile(rf"{_NOT_IN_IT[0]}{_PERCENT}{_BY}{_PERCENT}{_BY}{_PERCENT}{_NOT_IN_IT[1]}")
_IN_TWO = re.compile(rf"{_NOT_IN_IT[0]}{_PERCENT}{_BY}{_PERCENT}{_NOT_IN_IT[1]}")
_NAMED_THREE = re.compile(r"train\w*\W+(?:\w+\W+)?(?:val|dev)\w*\W+(?:and\W+|\w+\W+and\W+)?test", re.IGNORECASE)
_NAMED_TWO = re.compile(r"train\w*\W+(?:and\W+|set\W+and\W+)?test", re.IGNORECASE)
_ALMOST = re.compile(
    r"\b(?:patients?|subjects?|groups?|slides?|donors?|sites?|approx\w*|about|around|roughly|nearly|almost)\b|[~\u2248]",
    re.IGNORECASE,
)


def ratios_of(line: str) -> tuple[tuple[str, int], ...]:
    """(train, validation or test, percent) of a line that says in which ratio the images were split.

    Of two parts the test part alone: validation may be taken out of the other.

    >>> ratios_of("Split 80:20 into training and test.")
    (('test', 20),)
    """
    if _ALMOST.search(line):  # parts that no cell of a patient may leave fit no ratio exactly
        return ()
    for pattern, named, names in (
        (_IN_THREE, _NAMED_THREE, ("train", "validation", "test")),
        (_IN_TWO, _NAMED_TWO, ("train", "test")),
    ):
        found = pattern.findall(line)
        if len(found) == 1 and named.search(line):
            ratios = tuple(zip(names, map(int, found[0]), strict=True))
            whole = sum(percent for _, percent in ratios) == 100
            return () if not whole else ratios if len(ratios) == 3 else ratios[1:]
    return ()
