"""What does a line of prose state? Only forms that have one reading; anything else states nothing.

Words such as "about", "~", "<", "at least" make a number approximate or a requirement: it is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from harness.claims.error_counts import counted, errors_said, out_of_errors, right_of
from harness.claims.phrases import is_plain, without_intervals
from harness.claims.records import (
    Accuracy,
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
from harness.claims.vocabulary import (
    COUNT,
    ELSEWHERE,
    FIGURE,
    INT,
    NOT_A_RESULT,
    OF,
    RANGE_AFTER,
    SET,
    THING,
    Saying,
    class_named,
    class_pattern,
    classes_named,
    loose,
    names_class,
    number_of,
    without_counts,
)

_SHARE = re.compile(r"(?<![\w.,/])(?<![\s:=(][-\u2212])(\d{1,18}(?:\.\d{1,18})?)(\s*%)?(?![\w./]*\d)")
# Images that are named for another reason than to say how large the set is.
_PART = re.compile(
    r"\b(?:shows?|showing|shown|examples?|batch(?:es)?|latency|throughput|seconds?|ms|minutes?|speed|timing|remov\w*|"
    r"exclud\w*|discard\w*|dropp\w*|augment\w*|oversampl\w*|undersampl\w*|resampl\w*|synthe\w*|duplicat\w*|subset|"
    r"random(?:ly)?|sampled|selected|remain\w*|before|after|originally|initially|raw|these|those|blurred|"
    r"unreadable|could not|missing|grad-?cam)\b",
    re.IGNORECASE,
)
_SOME_OF = re.compile(r"\b(?:in|for|with|only|these|those|other|every|per|to)\s*$", re.IGNORECASE)
_BARE = re.compile(
    r"(?:and|&|or)?\s*\d{1,3}(?:\.\d{1,12})?\s*%?\s*(?:(?:on|for|in|at|with)\b[^%]*|\([^)]*\))?\W*", re.IGNORECASE
)
_SETS_NAMED = re.compile(rf"\b{SET}\b", re.IGNORECASE)
_COMPOUND = re.compile(
    rf"\b{SET}(?:\s+(?:set|data|accuracy))?\s*(?:,|/|&|\band\b|\bor\b)\s*(?:and\s+|the\s+)*{SET}\b", re.IGNORECASE
)
_ERROR_RATE = r"(?:error|misclassification)[\s-]+rate"
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\bal\.)(?<!\b[Ff]ig\.)(?<!\bcf\.)(?<!\bvs\.)\s+(?=[A-Z(])")
_CLAUSE = re.compile(r"[;|]|,\s(?!\d{3}\b)|\s+and\s+(?=[^()]*(?:\(|$))|\s+[-\u2013\u2014]\s+")


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
        sayings += out_of_errors(sentence, one_set)
        clauses = [clause for clause in _CLAUSE.split(sentence) if clause and clause.strip()]
        sayings += _accuracies(sentence, clauses, classes, one_set)
        for clause in clauses:
            sayings += errors_said(clause, sentence, classes, one_set)
            sayings += counted(clause, sentence, classes, one_set, problems)
        sayings += _sizes(sentence, one_set)
        sayings += _per_class(sentence, one_set)
        sayings += right_of(sentence, sayings[before:], classes)
        own = [replace(saying, sentence=written) for saying in sayings[before:]]
        if any(isinstance(saying.content, Accuracy) for saying in own) and not is_plain(
            without_counts(written, classes)
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
    if pair and not NOT_A_RESULT.search(sentence):
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
        if not re.search(rf"\baccuracy\b|\b{_ERROR_RATE}\b", clause, re.IGNORECASE) or NOT_A_RESULT.search(clause):
            continue
        if names_class(clause, classes) or re.search(r"\b(?:precision|recall|f1|sensitivity)\b", clause, re.IGNORECASE):
            continue
        is_error = bool(re.search(rf"\b{_ERROR_RATE}\b", clause, re.IGNORECASE))
        if is_error and re.search(r"\baccuracy\b", clause, re.IGNORECASE):
            continue
        shares = list(_shares(OF.sub(lambda m: "#" * len(m[0]), clause)))
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
        if loose(clause, match.start()) or RANGE_AFTER.match(after):
            continue
        if not match[2] and "." not in match[1]:
            continue
        share = printed(match[0])
        if share is not None:
            yield share


# --- counts -----------------------------------------------------------------------------------


# --- sizes ------------------------------------------------------------------------------------


# "test: 28 cells lost", "test: 3 images were misclassified": some of the set's cells, and not how many it has.
_SOME_OUTCOME = (
    rf"\s+{THING}\s+(?:(?:were|was|are|is)\s+)?(?:\w+ly\s+)?(?:lost|gained|right|wrong\w*|(?:in)?correct\w*|mis\w+|confused|"
    r"called|failed|changed|excluded|removed|dropped|rejected|referred|duplicated?|left\s+out)\b"
)


def _sizes(sentence: str, one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    if _PART.search(sentence) or FIGURE.search(sentence):
        return
    each = r"(?!\s*(?:per\b|each\b|for each|of each|in each|/\s*class|a class))"
    labelled = re.match(
        rf"(?:the\s+)?(train(?:ing)?|validation|val|test|external|support\s*\(total\)|"
        rf"(?:grand\s+)?total(?:\s+number\s+of)?(?:\s+(?:{THING}|support))?)(?:\s+(?:set|split|images))?\s*[:=]\s*{INT}"
        rf"(?!{_SOME_OUTCOME})(?:\s+{THING}\b)?{each}(?=\s*(?:$|[.,;(]|{THING}\b))",
        sentence,
        re.IGNORECASE,
    )
    if labelled:
        label = labelled[1].lower()
        name = "dataset" if "total" in label else one_set(f"{label} set")
        if name:
            yield Saying(Size(whole(labelled[2])), name, True)
    for match in re.finditer(
        rf"{INT}\s+(train(?:ing)?|validation|test|external)\s+{THING}\b{each}", sentence, re.IGNORECASE
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
            rf"consists of|:)\s+{INT}\s+{THING}\b{each}",
            rf"\b(?:set|dataset)\s+contains[^.;()]*\({INT}\s+{THING}\)",
        )
        for pattern in patterns:
            for match in re.finditer(pattern, sentence, re.IGNORECASE):
                if not loose(sentence, match.start(1)):
                    yield Saying(Size(whole(match[1])), "dataset" if _is_split(sentence, match) else one, True)
    for match in re.finditer(
        rf"\b({SET})\s+(?:set|split|data(?:set)?|part)\s*\(\s*(?:n\s*=\s*)?{INT}(?:\s+{THING})?\s*\)",
        sentence,
        re.IGNORECASE,
    ):
        if (of := one_set(f"{match[1]} set")) is not None:  # "the test set (375 images)"
            yield Saying(Size(whole(match[2])), of, True)
    over = re.findall(
        rf"\baccuracy\b(?:[^.;:]|[.]\d)*?\b(?:on|over)\s+(?:(?:the|all)\s+)?{INT}\s+(?:{SET}\s+)?{THING}(?=\W*$)",
        sentence,
        re.I,
    )
    if len(over) == 1 and is_plain(sentence):
        yield Saying(Size(whole(over[0])), one)  # "accuracy 0.91 on 250 images"
    match_n = re.search(rf"(?:^|[;,(]\s*)n\s*=\s*{INT}", sentence)
    if match_n and re.search(r"\baccuracy\b", sentence, re.IGNORECASE) and len(re.findall(r"\bn\s*=", sentence)) == 1:
        yield Saying(Size(whole(match_n[1])), one)


def _is_split(sentence: str, size: re.Match[str]) -> bool:
    """Whether it is the size of what is then split: "the dataset of 2,000 images was split ... for training"."""
    whole_of = re.match(r"(?:data\s?set|data)\b", size[0], re.IGNORECASE)
    return bool(whole_of and re.match(r"[^.]*\b(?:split|divided|partitioned)\b", sentence[size.end() :], re.IGNORECASE))


def _per_class(sentence: str, one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    pattern = (
        rf"{INT}\s+(?:(test|train(?:ing)?|validation)\s+)?(?:{THING}\s+)?"
        rf"(?:(?:per|for each|of each|in each|for every)\s+class\b|{THING}\s+each\b|each\b(?=.*\bclass)|/\s*class\b)"
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


def _directions(sentence: str, classes: tuple[str, ...], one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    if len(classes) < 2:
        return
    one = rf"(?<!\w)({class_pattern(classes)})(?:e?s)?(?!\w)(?:\s+{THING})?"
    verb = (
        r"(?:\s+(?:were|was|are|is|being|got))?(?:\s+(?:incorrectly|wrongly|falsely|erroneously|mistakenly))?\s+"
        r"(?:predicted|misclassified|classified|called|labell?ed|mistaken|taken|read)(?:\s+(?:as|for|to be))?"
    )
    cells: list[tuple[str, str, int]] = []
    exclusive = False
    pattern = (
        rf"{COUNT}?[\s:(]*(?:errors?|misclassified\s+{THING}|{THING})?\W{{0,4}}(?:(both)\s+(?:were|are)\s+)?"
        rf"(?:of\s+)?(?:true\s+|the\s+)?{one}{verb}\s+(?:a\s+|an\s+)?{one}"
    )
    for match in re.finditer(pattern, sentence, re.IGNORECASE):
        count = number_of(match[1], match[2]) if match[1] or match[2] else (2 if match[3] else None)
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
            rf"\bthe\s+{COUNT}\s+(?:errors?|misclassified\b)",
            before,
            re.IGNORECASE,
        )
        exclusive = exclusive or bool(said)
    arrow = rf"{one}\s*(?:→|->|=>)\s*{one}\s*[:=(x\u00d7]\s*{INT}"
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
    named = classes_named(sentence, classes)
    if len(named) != 1:
        return
    counts = []
    for match in re.finditer(rf"{COUNT}\s+false[\s-](positives?|negatives?)\b", sentence, re.IGNORECASE):
        if not loose(sentence, match.start()):
            kind = "FP" if match[3].lower().startswith("p") else "FN"
            counts.append((named[0], kind, number_of(match[1], match[2])))
    if counts and len({count[:2] for count in counts}) == len(counts):
        yield Saying(FalseCounts(tuple(counts)), one_set(sentence))


def _class_shares(sentence: str, classes: tuple[str, ...], one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    """ "Name: x % precision, y % recall", "Name, Name and Name: 100 % across all metrics"."""
    label, colon, rest = sentence.partition(":")
    if not colon or not classes or NOT_A_RESULT.search(rest):
        return
    named = classes_named(label, classes)
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
