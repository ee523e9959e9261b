"""What does a line of prose state? Only forms that have one reading; anything else states nothing.

Words such as "about", "~", "<", "at least" make a number approximate or a requirement: it is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.claims.phrases import is_plain, without_intervals
from harness.claims.records import (
    Accuracy,
    Content,
    Directions,
    Errors,
    FalseCounts,
    PerClass,
    Printed,
    Row,
    Rows,
    Size,
    printed,
    whole,
)
from harness.claims.splits import coverage_of, ratios_of
from harness.claims.subjects import without_numbers_of_names

# "1 234" and "1'234" are one number; a number of more than twelve digits is none.
_GROUP = r"(?:[,'\u2019]\d{3})+(?!\d)"
_START, _END = r"(?<![\w.,/^])(?<!\d['\u2019 ])(?<![A-Za-z][-\u2013])", r"(?!(?:[\w./]*|['\u2019 ]|,)\d)"
_WHOLE = rf"(\d{{1,3}}{_GROUP}|\d{{1,3}}(?: \d{{3}})+(?!\d)|\d{{1,12}})"
_INT = rf"{_START}{_WHOLE}{_END}"
_WORDS = {
    "both": 2, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10,
}  # fmt: skip
_COUNT = rf"(?:{_INT}|\b({'|'.join(_WORDS)})\b)"
_SHARE = re.compile(r"(?<![\w.,/])(?<![\s:=(][-\u2212])(\d{1,18}(?:\.\d{1,18})?)(\s*%)?(?![\w./]*\d)")
_LOOSE = re.compile(
    r"(?:[~≈<>≤≥±]|\b(?:about|around|approximately|approx\.?|nearly|almost|over|under|above|below|than|least|most|"
    r"up to|near|roughly|some|circa|ca\.|only about|another|further|first|next|additional|a further|"
    r"type|level|grade|stage|section|table|class|phase|version))\s*$",
    re.IGNORECASE,
)
_RANGE_AFTER = re.compile(r"\s*(?:[-\u2013\u2014]|to)\s*\d|\+|\s*(?:±|\+/-|\\pm)")
_NOT_A_RESULT = re.compile(
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
_SOME = re.compile(
    r"\b(?:shows?|showing|shown|examples?|e\.g|annotat\w*|label(?:s|l?ing|l?ed)?|corrected|fixed|missing|metadata|"
    r"focus|focal|exposure|quality|segment\w*|code|software)(?!\w)",
    re.IGNORECASE,
)
# Images that are named for another reason than to say how large the set is.
_PART = re.compile(
    r"\b(?:shows?|showing|shown|examples?|batch(?:es)?|latency|throughput|seconds?|ms|minutes?|speed|timing|remov\w*|"
    r"exclud\w*|discard\w*|dropp\w*|augment\w*|oversampl\w*|undersampl\w*|resampl\w*|synthe\w*|duplicat\w*|subset|"
    r"random(?:ly)?|sampled|selected|remain\w*|before|after|originally|initially|raw|these|those|blurred|"
    r"unreadable|could not|missing|grad-?cam)\b",
    re.IGNORECASE,
)
_FIGURE = re.compile(r"\bfig(?:ure|s?\.)", re.IGNORECASE)
_SOME_OF = re.compile(r"\b(?:in|for|with|only|these|those|other|every|per|to)\s*$", re.IGNORECASE)
_RIGHT = re.compile(r"\b(?:correct(?:ly)?|right(?:ly)?|perfect predictions?|accura\w+)\b", re.IGNORECASE)
_WRONG = re.compile(
    r"\b(?:mis(?:classif|predict|identif|recogni|diagnos|assign)\w+|errors?|wrong(?:ly)?|incorrect(?:ly)?|mistakes?)\b",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"(?:and|&|or)?\s*\d{1,3}(?:\.\d{1,12})?\s*%?\s*(?:(?:on|for|in|at|with)\b[^%]*|\([^)]*\))?\W*", re.IGNORECASE
)
_SET = r"(?:train(?:ing)?|val(?:idation)?|test(?:ing)?|external|held[- ]out|dev(?:elopment)?)"
_SETS_NAMED = re.compile(rf"\b{_SET}\b", re.IGNORECASE)
_COMPOUND = re.compile(
    rf"\b{_SET}(?:\s+(?:set|data|accuracy))?\s*(?:,|/|&|\band\b|\bor\b)\s*(?:and\s+|the\s+)*{_SET}\b", re.IGNORECASE
)
_OF = re.compile(
    rf"{_START}{_WHOLE}\s*(?:/|\bout of\b|\bof\b)\s*(?:the\s+|all\s+)?{_WHOLE}{_END}\s*(\w+)?", re.IGNORECASE
)
_THING = r"(?:images?|cells?|samples?|smears?|pictures?)"
_ERROR_RATE = r"(?:error|misclassification)[\s-]+rate"
_WRONGLY = r"(?:misclassified|(?:wrongly|incorrectly)\s+classified|classified\s+(?:wrongly|incorrectly))"
_ERRORS = re.compile(
    rf"{_COUNT}\s+(?:(?:test|{_THING})\s+)*(?:errors?|misclassifications?|mistakes|misclassified)\b"
    r"(?!\s*(?:rate|bars?|types?|as\b|than))",
    re.IGNORECASE,
)
# The same as whole clauses, which may be about some of the cells: used where nothing else stands in the sentence.
_ERRORS_SAID = (
    re.compile(
        rf"{_COUNT}\s+(?:(?:test|{_THING})\s+)+(?:were|was|are|is)\s+(?:{_WRONGLY}|wrong)\b(?!\s*(?:as\b|than))",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\bmisclassif(?:ied|ies)\s+(?:only\s+|just\s+)?{_COUNT}\s+(?:test\s+)?{_THING}\b(?!\s+(?:as|of|from)\b)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^\W*(?:(?:{_SET}|total)\s+(?:set\s+)?)?(?:(?:number\s+of\s+)?errors?|misclassifications?|misclassified|wrong|"
        rf"incorrect)(?:\s+(?:predictions|{_THING}))?\s*[:=]\s*{_COUNT}\W*$",
        re.IGNORECASE,
    ),
)
COUNTED_RIGHT = re.compile(
    rf"{_INT}(?:\s+(?:of (?:them|these)|{_THING}))?\s+(?:(?:were|was|are|is)\s+)?"
    r"(?:(?:classified|identified|predicted)\s+)?(?:correct(?:ly)?|right)(?![\w-])",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\bal\.)(?<!\b[Ff]ig\.)(?<!\bcf\.)(?<!\bvs\.)\s+(?=[A-Z(])")
_CLAUSE = re.compile(r"[;|]|,\s(?!\d{3}\b)|\s+and\s+(?=[^()]*(?:\(|$))|\s+[-\u2013\u2014]\s+")


@dataclass(frozen=True, slots=True)
class Saying:
    """One content from one line. set: named by the words right at it, else None; needs_set: where it must be."""

    content: Content
    set: str | None
    exact_set: bool = False  # the set is part of the wording ("375 test images"); a section's set must not replace it
    sentence: str = field(default="", compare=False)
    qualified: bool = False  # other words stand in the sentence: it may be about a part of the set, or something else


@dataclass(frozen=True, slots=True)
class LineReading:
    sayings: tuple[Saying, ...] = ()
    problems: tuple[str, ...] = ()
    covers: tuple[int, int] | None = None
    ratios: tuple[tuple[str, int], ...] = ()  # train, validation or test, and percent
    stratified: bool = False


def sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def read_line(text: str, *, classes: tuple[str, ...], one_set: Callable[[str], str | None]) -> LineReading:
    """
    Args:
        text: one line, markup removed.
        one_set: the one set that a piece of text names, or None.
    """
    line = without_intervals(re.sub(r"^\W*(?:\d+\.\s+)?", "", text))
    sayings: list[Saying] = []
    problems: list[str] = []
    for written in sentences(line):
        sentence, before = without_numbers_of_names(written), len(sayings)
        sayings += _directions(sentence, classes, one_set)
        sayings += _false_counts(sentence, classes, one_set)
        sayings += _class_shares(sentence, classes, one_set)
        sayings += _out_of_errors(sentence, one_set)
        clauses = [clause for clause in _CLAUSE.split(sentence) if clause and clause.strip()]
        sayings += _accuracies(sentence, clauses, classes, one_set)
        for clause in clauses:
            sayings += _errors(clause, sentence, classes, one_set)
            sayings += _counted(clause, sentence, classes, one_set, problems)
        sayings += _sizes(sentence, one_set)
        sayings += _per_class(sentence, one_set)
        sayings += _right_of(sentence, sayings[before:], classes)
        own = [replace(saying, sentence=written) for saying in sayings[before:]]
        if any(isinstance(saying.content, Accuracy) for saying in own) and not is_plain(
            _without_counts(written, classes)
        ):
            own = [replace(saying, qualified=isinstance(saying.content, Accuracy | Errors)) for saying in own]
        sayings[before:] = own
    return LineReading(
        tuple(dict.fromkeys(sayings)),
        tuple(problems),
        coverage_of(line),
        ratios_of(line),
        bool(re.search(r"\bstratif", line, re.IGNORECASE)),
    )


# --- accuracy ---------------------------------------------------------------------------------


def _accuracies(
    sentence: str, clauses: list[str], classes: tuple[str, ...], one_set: Callable[[str], str | None]
) -> list[Saying]:
    found: list[Saying] = []
    pair = re.search(
        r"(\d+(?:\.\d+)?\s*%)\s+(test|validation|training|external)\s+and\s+(\d+(?:\.\d+)?\s*%)\s+"
        r"(test|validation|training|external)\s+accuracy\b",
        sentence,
        re.IGNORECASE,
    )
    if pair and not _NOT_A_RESULT.search(sentence):
        for value, name in ((pair[1], pair[2]), (pair[3], pair[4])):
            share = printed(value)
            if share and share.value <= 1 and not loose(sentence, sentence.index(value)):
                found.append(Saying(Accuracy(share), one_set(f"{name} accuracy"), True))
        return found
    if ELSEWHERE.search(sentence) or re.search(r"\brespectively\b", sentence, re.IGNORECASE):
        return found
    if any(_BARE.fullmatch(clause.strip()) for clause in clauses):
        return found  # one value of a list, whose others are of other sets or models
    for clause in clauses:
        if not re.search(rf"\baccuracy\b|\b{_ERROR_RATE}\b", clause, re.IGNORECASE) or _NOT_A_RESULT.search(clause):
            continue
        if names_class(clause, classes) or re.search(r"\b(?:precision|recall|f1|sensitivity)\b", clause, re.IGNORECASE):
            continue
        is_error = bool(re.search(rf"\b{_ERROR_RATE}\b", clause, re.IGNORECASE))
        if is_error and re.search(r"\baccuracy\b", clause, re.IGNORECASE):
            continue
        shares = list(_shares(_OF.sub(lambda m: "#" * len(m[0]), clause)))
        if len({share.text.replace(" ", "") for share in shares}) != 1:
            continue
        share = shares[0]
        if share.value > 1:
            continue
        if is_error:
            # 1 - x in the same unit is the same statement.
            text = share.like(1 - share.value)
            share = Printed(f"{text} (error rate {share.text})", 1 - share.value, share.unit)
        found.append(Saying(Accuracy(share), one_set(clause) or one_set(sentence)))
    if len(_SETS_NAMED.findall(sentence)) > len(found) and _COMPOUND.search(sentence):
        return []  # "validation and test accuracy": read whole or not at all
    return found


def _shares(clause: str) -> Iterator[Printed]:
    for match in _SHARE.finditer(clause):
        after = clause[match.end() :]
        if loose(clause, match.start()) or _RANGE_AFTER.match(after):
            continue
        if not match[2] and "." not in match[1]:
            continue
        share = printed(match[0])
        if share is not None:
            yield share


def loose(text: str, at: int) -> bool:
    return bool(_LOOSE.search(text[:at]))


# --- counts -----------------------------------------------------------------------------------


def _counted(
    clause: str, sentence: str, classes: tuple[str, ...], one_set: Callable[[str], str | None], problems: list[str]
) -> Iterator[Saying]:
    """k/n, k of n, k out of n: where the words say whether k is right or wrong."""
    if ELSEWHERE.search(sentence) or _SOME.search(sentence):
        return
    for match in _OF.finditer(clause):
        k, n = whole(match[1]), whole(match[2])
        noun = (match[3] or "").lower()
        if noun.startswith("class") or (noun and names_class(noun, classes)) or loose(clause, match.start()):
            continue
        right, wrong = bool(_RIGHT.search(clause)), bool(_WRONG.search(clause))
        if right == wrong:
            continue
        # The share of one class is not the share of the set.
        if names_class(clause, classes) or _NOT_A_RESULT.search(clause):
            continue
        if re.search(r"\b(?:precision|recall|f1|sensitivity|specificity)\b", clause, re.IGNORECASE):
            continue
        if k > n:
            problems.append(f"{match[1]} of {match[2]}")
            continue
        name = one_set(clause) or one_set(sentence)
        yield Saying(Size(n), name)
        yield Saying(Errors(n - k if right else k), name)


def _out_of_errors(sentence: str, one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    """ "Out of n images, k were misclassified": one statement across a comma."""
    match = re.search(
        rf"\b(?:out\s+)?of\s+(?:the\s+)?{_INT}\s+[\w\s-]*?,\s*(?:only\s+|just\s+)?{_COUNT}\s+(?:{_THING}\s+)?"
        r"(?:were|was|are|is)\s+(misclassified|wrong|incorrect\w*|correct\w*|classified correctly)\b(?!\s+as)",
        sentence,
        re.IGNORECASE,
    )
    if match and not ELSEWHERE.search(sentence) and not loose(sentence, match.start(2 if match[2] else 3)):
        n, k = whole(match[1]), _number(match[2], match[3])
        if k <= n:
            yield Saying(Size(n), one_set(sentence))
            yield Saying(
                Errors(n - k if "correct" in match[4] and "incorrect" not in match[4] else k), one_set(sentence)
            )


def _right_of(sentence: str, said: Sequence[Saying], classes: tuple[str, ...]) -> Iterator[Saying]:
    """ "(146 correct)", "gets 146 right": of the one size that stands beside an accuracy in the sentence."""
    sizes = {(saying.content.n, saying.set) for saying in said if isinstance(saying.content, Size)}
    stated = {type(saying.content) for saying in said}
    if len(sizes) != 1 or Accuracy not in stated or Errors in stated or names_class(sentence, classes):
        return
    if ELSEWHERE.search(sentence) or _SOME.search(sentence):
        return
    found = list(COUNTED_RIGHT.finditer(sentence))
    n, name = sizes.pop()
    if len(found) == 1 and not loose(sentence, found[0].start(1)) and whole(found[0][1]) <= n:
        yield Saying(Errors(n - whole(found[0][1])), name)


def _errors(
    clause: str, sentence: str, classes: tuple[str, ...], one_set: Callable[[str], str | None]
) -> Iterator[Saying]:
    """ "k errors", "k cells were misclassified", "errors: k": of the whole set, so not where a class is named."""
    if names_class(clause, classes) or _NOT_A_RESULT.search(clause):
        return
    if ELSEWHERE.search(sentence) or _SOME.search(sentence):
        return
    for match in _ERRORS.finditer(clause):
        if _FIGURE.search(sentence) and not re.search(r"\b(?:the|all)\s+$", clause[: match.start()], re.IGNORECASE):
            continue  # "six misclassified cells" under a figure are some, "the two misclassified cells" are all
        if not loose(clause, match.start()) and (match[2] or "").lower() != "both":
            yield Saying(Errors(_number(match[1], match[2])), one_set(clause))
    is_some = not is_plain(_without_counts(sentence, classes))
    for match in (match for pattern in _ERRORS_SAID for match in pattern.finditer(clause)):
        n = _number(match[1], match[2])
        # "Errors: 0" is as often said of the program that was run.
        if n > 0 and not loose(clause, match.start()) and (match[2] or "").lower() != "both":
            yield Saying(Errors(n), one_set(clause), qualified=is_some)


# --- sizes ------------------------------------------------------------------------------------


def _sizes(sentence: str, one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    if _PART.search(sentence) or _FIGURE.search(sentence):
        return
    each = r"(?!\s*(?:per\b|each\b|for each|of each|in each|/\s*class|a class))"
    labelled = re.match(
        rf"(?:the\s+)?(train(?:ing)?|validation|val|test|external|total(?:\s+{_THING})?|total)(?:\s+(?:set|split|images))?\s*[:=]\s*{_INT}"
        rf"(?:\s+{_THING}\b)?{each}(?=\s*(?:$|[.,;(]|{_THING}\b))",
        sentence,
        re.IGNORECASE,
    )
    if labelled:
        label = labelled[1].lower()
        name = "dataset" if label.startswith("total") else one_set(f"{label} set")
        if name:
            yield Saying(Size(whole(labelled[2])), name, True)
    for match in re.finditer(
        rf"{_INT}\s+(train(?:ing)?|validation|test|external)\s+{_THING}\b{each}", sentence, re.IGNORECASE
    ):
        before, after = sentence[: match.start()], sentence[match.end() :]
        if loose(sentence, match.start()) or _SOME_OF.search(before):
            continue
        # "12 test images were misclassified" counts some, "of the 375 test images" and "all 375 test images" the set.
        if re.search(r"\b(?:of|all|the)\s+$", before, re.IGNORECASE) or not re.match(
            r"\s*(?:were|was|are|is|had)\b", after
        ):
            yield Saying(Size(whole(match[1])), one_set(f"{match[2]} set"), True)
    one = one_set(sentence)
    if one is not None:
        patterns = (
            rf"\b(?:set|dataset|data|part|split)\s+(?:of|with|contains|contained|has|had|holds|comprises|"
            rf"consists of|:)\s+{_INT}\s+{_THING}\b{each}",
            rf"\b(?:set|dataset)\s+contains[^.;()]*\({_INT}\s+{_THING}\)",
        )
        for pattern in patterns:
            for match in re.finditer(pattern, sentence, re.IGNORECASE):
                if not loose(sentence, match.start(1)):
                    yield Saying(Size(whole(match[1])), "dataset" if _is_split(sentence, match) else one, True)
    match_n = re.search(rf"(?:^|[;,(]\s*)n\s*=\s*{_INT}", sentence)
    if match_n and re.search(r"\baccuracy\b", sentence, re.IGNORECASE) and len(re.findall(r"\bn\s*=", sentence)) == 1:
        yield Saying(Size(whole(match_n[1])), one)


def _is_split(sentence: str, size: re.Match[str]) -> bool:
    """Whether it is the size of what is then split: "the dataset of 2,000 images was split ... for training"."""
    whole_of = re.match(r"(?:data\s?set|data)\b", size[0], re.IGNORECASE)
    return bool(whole_of and re.match(r"[^.]*\b(?:split|divided|partitioned)\b", sentence[size.end() :], re.IGNORECASE))


def _per_class(sentence: str, one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    pattern = (
        rf"{_INT}\s+(?:(test|train(?:ing)?|validation)\s+)?(?:{_THING}\s+)?"
        rf"(?:(?:per|for each|of each|in each|for every)\s+class\b|{_THING}\s+each\b|each\b(?=.*\bclass)|/\s*class\b)"
    )
    for match in re.finditer(pattern, sentence, re.IGNORECASE):
        if loose(sentence, match.start()) or _PART.search(sentence):
            continue
        if not re.search(r"\bclass|\bper\b", sentence, re.IGNORECASE):
            continue
        count = whole(match[1])
        name = one_set(f"{match[2]} set") if match[2] else one_set(sentence)
        yield Saying(PerClass(count, count), name, bool(match[2]))


# --- classes ------------------------------------------------------------------------------------


def class_pattern(classes: tuple[str, ...]) -> str:
    names = sorted(classes, key=len, reverse=True)
    # A class called "a" must not match the article.
    return "(?:" + "|".join(r"a(?!\s+[^\W\d]{2})" if name in ("a", "A") else re.escape(name) for name in names) + r")"


def _without_counts(text: str, classes: tuple[str, ...]) -> str:
    """The same text without what a bracket only counts: "(100 images: 64 benign and 36 malignant)"."""
    named = rf"|{class_pattern(classes)}" if classes else ""
    only = rf"\((?=[^()]*\d)(?:[\d,;:/&=+\s]|\b(?:{_THING}|n|and|of{named})(?:e?s)?\b){{1,200}}\)"
    return re.sub(only, " ", text, flags=re.IGNORECASE)


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


def _directions(sentence: str, classes: tuple[str, ...], one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    if len(classes) < 2:
        return
    one = rf"(?<!\w)({class_pattern(classes)})(?:e?s)?(?!\w)(?:\s+{_THING})?"
    verb = (
        r"(?:\s+(?:were|was|are|is|being|got))?(?:\s+(?:incorrectly|wrongly|falsely|erroneously|mistakenly))?\s+"
        r"(?:predicted|misclassified|classified|called|labell?ed|mistaken|taken|read)(?:\s+(?:as|for|to be))?"
    )
    cells: list[tuple[str, str, int]] = []
    exclusive = False
    pattern = (
        rf"{_COUNT}?[\s:(]*(?:errors?|misclassified\s+{_THING}|{_THING})?\W{{0,4}}(?:(both)\s+(?:were|are)\s+)?"
        rf"(?:of\s+)?(?:true\s+|the\s+)?{one}{verb}\s+(?:a\s+|an\s+)?{one}"
    )
    for match in re.finditer(pattern, sentence, re.IGNORECASE):
        count = _number(match[1], match[2]) if match[1] or match[2] else (2 if match[3] else None)
        if count is None:
            continue
        start = next(i for i in (match.start(1), match.start(2), match.start(3)) if i >= 0)
        before = sentence[: match.start(4)]
        if loose(sentence, start) or re.search(r"\b(?:no|not|never|without)\b", before, re.IGNORECASE):
            continue
        cell = (class_named(match[4], classes), class_named(match[5], classes), count)
        if cell[0] == cell[1]:
            continue
        cells.append(cell)
        said = re.search(
            r"\b(?:the\s+)?only\s+(?:errors?|misclassifications?|mistakes?)\b|\bboth\s+errors?\b|\ball\s+(?:the\s+)?(?:\w+\s+)?errors?\b|"
            rf"\bthe\s+{_COUNT}\s+(?:errors?|misclassified\b)",
            before,
            re.IGNORECASE,
        )
        exclusive = exclusive or bool(said)
    arrow = rf"{one}\s*(?:→|->|=>)\s*{one}\s*[:=(x\u00d7]\s*{_INT}"
    for match in re.finditer(arrow, sentence, re.IGNORECASE):
        cell = (class_named(match[1], classes), class_named(match[2], classes), whole(match[3]))
        if cell[0] != cell[1]:
            cells.append(cell)
    n_named = len(re.findall(rf"(?<!\w){class_pattern(classes)}(?:e?s)?(?!\w)", sentence, re.IGNORECASE))
    if n_named > 2 * len(cells):
        return  # "2 As and 3 Bs were called C": read whole or not at all
    if cells and len({cell[:2] for cell in cells}) == len(cells):
        yield Saying(Directions(tuple(sorted(cells)), exclusive), one_set(sentence))


def _false_counts(sentence: str, classes: tuple[str, ...], one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    named = _classes_named(sentence, classes)
    if len(named) != 1:
        return
    counts = []
    for match in re.finditer(rf"{_COUNT}\s+false[\s-](positives?|negatives?)\b", sentence, re.IGNORECASE):
        if not loose(sentence, match.start()):
            kind = "FP" if match[3].lower().startswith("p") else "FN"
            counts.append((named[0], kind, _number(match[1], match[2])))
    if counts and len({count[:2] for count in counts}) == len(counts):
        yield Saying(FalseCounts(tuple(counts)), one_set(sentence))


def _class_shares(sentence: str, classes: tuple[str, ...], one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    """ "Name: x % precision, y % recall", "Name, Name and Name: 100 % across all metrics"."""
    label, colon, rest = sentence.partition(":")
    if not colon or not classes or _NOT_A_RESULT.search(rest):
        return
    named = _classes_named(label, classes)
    leftover = re.sub(
        rf"^class\s|(?<!\w){class_pattern(classes)}(?:e?s)?(?!\w)|\band\b|[,&/\s]", "", label, flags=re.IGNORECASE
    )
    if not named or leftover:
        return
    rows: list[Row] = []
    everywhere = re.search(
        r"(\d+(?:\.\d+)?\s*%)\s+(?:across|on|in|for)\s+all\s+(?:\w+\s+)?metrics\b", rest, re.IGNORECASE
    )
    if everywhere and not loose(rest, everywhere.start(1)):
        share = printed(everywhere[1])
        if share is not None and share.value <= 1:
            rows = [Row(name, share, share, share) for name in named]
    elif len(named) == 1:
        shares: dict[str, Printed] = {}
        for metric, words in (
            ("precision", "precision"),
            ("recall", "recall|sensitivity"),
            ("f1", r"f1(?:[- ]score)?"),
        ):
            matches = [
                m
                for m in re.finditer(
                    rf"(\d+(?:\.\d+)?\s*%|0\.\d+|1\.0+)\s+(?:{words})\b|\b(?:{words})\s*(?:of|is|was|=|:)?\s*(\d+(?:\.\d+)?\s*%|0\.\d+|1\.0+)",
                    rest,
                    re.IGNORECASE,
                )
                if not loose(rest, m.start(1) if m[1] else m.start(2))
            ]
            # "97 % precision, 95 % recall" also matches as "precision 95 %" across the comma only without one.
            if len(matches) == 1:
                share = printed(matches[0][1] or matches[0][2])
                if share is not None and share.value <= 1:
                    shares[metric] = share
        if shares:
            rows = [Row(named[0], shares.get("precision"), shares.get("recall"), shares.get("f1"))]
    if rows:
        yield Saying(Rows(tuple(rows)), one_set(sentence))


def _classes_named(text: str, classes: tuple[str, ...]) -> list[str]:
    if not classes:
        return []
    matches = re.finditer(rf"(?<!\w)({class_pattern(classes)})(?:e?s)?(?!\w)", text, re.IGNORECASE)
    return list(dict.fromkeys(class_named(match[1], classes) for match in matches))


def _number(digits: str | None, word: str | None) -> int:
    return whole(digits) if digits else _WORDS[(word or "").lower()]
