"""How many cells does a line say are right or wrong, of one set as a whole?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from harness.claims.phrases import is_plain
from harness.claims.records import Accuracy, Errors, Size, whole
from harness.claims.vocabulary import (
    COUNT,
    ELSEWHERE,
    FIGURE,
    INT,
    NOT_A_RESULT,
    OF,
    SET,
    THING,
    Saying,
    loose,
    names_class,
    number_of,
    of_some,
    without_counts,
)

_RIGHT = re.compile(r"\b(?:correct(?:ly)?|right(?:ly)?|perfect predictions?|accura\w+)\b", re.IGNORECASE)
_WRONG = re.compile(
    r"\b(?:mis(?:classif|predict|identif|recogni|diagnos|assign)\w+|errors?|wrong(?:ly)?|incorrect(?:ly)?|mistakes?)\b",
    re.IGNORECASE,
)
_ACCURACY_SAID = re.compile(r"\baccurac(?:y|ies)\b[^\d.;]{0,20}\d{1,3}(?:\.\d{1,12})?\s*%?", re.IGNORECASE)
_WRONGLY = r"(?:misclassified|(?:wrongly|incorrectly)\s+classified|classified\s+(?:wrongly|incorrectly))"
_ERRORS = re.compile(
    rf"{COUNT}\s+(?:(?:test|{THING})\s+)*(?:errors?|misclassifications?|mistakes|misclassified)\b"
    r"(?!\s*(?:rate|bars?|types?|as\b|than))",
    re.IGNORECASE,
)
_OF_ALL = re.compile(
    rf"\s+(?:in|on|among|(?:out )?of)\s+(?:(?:the|all|a total of)\s+)*{INT}\s+(?:(?:{SET})\s+)?(?:{THING}|cases)\b"
    r"(?!\s+(?:of|from|with)\b)",
    re.IGNORECASE,
)
# The same as whole clauses, which may be about some of the cells: used where nothing else stands in the sentence.
_ERRORS_SAID = (
    re.compile(
        rf"{COUNT}\s+(?:(?:test|{THING})\s+)+(?:were|was|are|is)\s+(?:{_WRONGLY}|wrong)\b(?!\s*(?:as\b|than))",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\bmisclassif(?:ied|ies)\s+(?:only\s+|just\s+)?{COUNT}\s+(?:test\s+)?{THING}\b(?!\s+(?:as|of|from)\b)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^\W*(?:(?:{SET}|total)\s+(?:set\s+)?)?(?:(?:number\s+of\s+)?errors?|misclassifications?|misclassified|wrong|"
        rf"incorrect)(?:\s+(?:predictions|{THING}))?\s*[:=]\s*{COUNT}\W*$",
        re.IGNORECASE,
    ),
)
COUNTED_RIGHT = re.compile(
    rf"{INT}(?:\s+(?:of (?:them|these)|{THING}))?\s+(?:(?:were|was|are|is)\s+)?"
    r"(?:(?:classified|identified|predicted)\s+)?(?:correct(?:ly)?|right)(?![\w-])",
    re.IGNORECASE,
)


def counted(
    clause: str, sentence: str, classes: tuple[str, ...], one_set: Callable[[str], str | None], problems: list[str]
) -> Iterator[Saying]:
    """k/n, k of n, k out of n: where the words say whether k is right or wrong."""
    if of_some(sentence):
        return
    for match in OF.finditer(clause):
        k, n = whole(match[1]), whole(match[2])
        noun = (match[3] or "").lower()
        if noun.startswith("class") or (noun and names_class(noun, classes)) or loose(clause, match.start()):
            continue
        words = _ACCURACY_SAID.sub(" ", clause)  # "misclassified 3 of 120 (accuracy 97.5 %)" counts the wrong ones
        right, wrong = bool(_RIGHT.search(words)), bool(_WRONG.search(words))
        if not (right or wrong):
            right = bool(_RIGHT.search(clause))
        if right == wrong:
            continue
        # The share of one class is not the share of the set.
        if names_class(clause, classes) or NOT_A_RESULT.search(clause):
            continue
        if re.search(r"\b(?:precision|recall|f1|sensitivity|specificity)\b", clause, re.IGNORECASE):
            continue
        if k > n:
            problems.append(f"{match[1]} of {match[2]}")
            continue
        name = one_set(clause) or one_set(sentence)
        yield Saying(Size(n), name)
        yield Saying(Errors(n - k if right else k), name)


def out_of_errors(sentence: str, one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    """ "Out of n images, k were misclassified": one statement across a comma."""
    match = re.search(
        rf"\b(?:out\s+)?of\s+(?:the\s+)?{INT}\s+[\w\s-]*?,\s*(?:only\s+|just\s+)?{COUNT}\s+(?:{THING}\s+)?"
        r"(?:were|was|are|is)\s+(misclassified|wrong|incorrect\w*|correct\w*|classified correctly)\b(?!\s+as)",
        sentence,
        re.IGNORECASE,
    )
    if match and not ELSEWHERE.search(sentence) and not loose(sentence, match.start(2 if match[2] else 3)):
        n, k = whole(match[1]), number_of(match[2], match[3])
        if k <= n:
            yield Saying(Size(n), one_set(sentence))
            yield Saying(
                Errors(n - k if "correct" in match[4] and "incorrect" not in match[4] else k), one_set(sentence)
            )


def right_of(sentence: str, said: Sequence[Saying], classes: tuple[str, ...]) -> Iterator[Saying]:
    """ "(146 correct)", "gets 146 right": of the one size that stands beside an accuracy in the sentence."""
    sizes = {(saying.content.n, saying.set) for saying in said if isinstance(saying.content, Size)}
    stated = {type(saying.content) for saying in said}
    if len(sizes) != 1 or Accuracy not in stated or Errors in stated or names_class(sentence, classes):
        return
    if of_some(sentence):
        return
    found = list(COUNTED_RIGHT.finditer(sentence))
    n, name = sizes.pop()
    if len(found) == 1 and not loose(sentence, found[0].start(1)) and whole(found[0][1]) <= n:
        yield Saying(Errors(n - whole(found[0][1])), name)


def errors_said(
    clause: str, sentence: str, classes: tuple[str, ...], one_set: Callable[[str], str | None]
) -> Iterator[Saying]:
    """ "k errors", "k cells were misclassified", "errors: k": of the whole set, so not where a class is named."""
    if names_class(clause, classes) or NOT_A_RESULT.search(clause):
        return
    if of_some(sentence):
        return
    for match in _ERRORS.finditer(clause):
        if FIGURE.search(sentence) and not re.search(r"\b(?:the|all)\s+$", clause[: match.start()], re.IGNORECASE):
            continue  # "six misclassified cells" under a figure are some, "the two misclassified cells" are all
        if not loose(clause, match.start()) and (match[2] or "").lower() != "both":
            yield Saying(Errors(number_of(match[1], match[2])), one_set(clause))
            # "27 errors in 270 images" says how many there are, too.
            if (of_all := _OF_ALL.match(clause, match.end())) is not None and not loose(clause, of_all.start(1)):
                yield Saying(Size(whole(of_all[1])), one_set(clause))
    is_some = not is_plain(without_counts(sentence, classes))
    for match in (match for pattern in _ERRORS_SAID for match in pattern.finditer(clause)):
        n = number_of(match[1], match[2])
        # "Errors: 0" is as often said of the program that was run.
        if n > 0 and not loose(clause, match.start()) and (match[2] or "").lower() != "both":
            yield Saying(Errors(n), one_set(clause), qualified=is_some)
