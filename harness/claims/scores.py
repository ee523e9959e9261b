"""What does a line say in labelled numbers? TP and FP, named scores, averages, fractions worked out.

Only "name: value" and the like; a number whose name could mean two things is a Score, which only a table of two answers
decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction

from harness.claims.phrases import without_intervals
from harness.claims.prose import sentences
from harness.claims.records import (
    Averages,
    Content,
    Errors,
    Outcomes,
    Printed,
    Score,
    Sides,
    Size,
    Worked,
    printed,
    whole,
)
from harness.claims.vocabulary import Saying, loose

_COUNT = r"(\d{1,3}(?:[,'\u2019]\d{3})+|\d{1,12})(?![\d.,]*\d|\s*%)"
_OUTCOMES = {
    "tp": rf"\b(?:TPs?|true[\s-]positives?)\b(?:\s*\((?:TP|[^)\d]*)\))?\s*[:=]\s*{_COUNT}",
    "fp": rf"\b(?:FPs?|false[\s-]positives?)\b(?:\s*\((?:FP|[^)\d]*)\))?\s*[:=]\s*{_COUNT}",
    "fn": rf"\b(?:FNs?|false[\s-]negatives?)\b(?:\s*\((?:FN|[^)\d]*)\))?\s*[:=]\s*{_COUNT}",
    "tn": rf"\b(?:TNs?|true[\s-]negatives?)\b(?:\s*\((?:TN|[^)\d]*)\))?\s*[:=]\s*{_COUNT}",
}
_POSITIVES = re.compile(rf"(?<!true )(?<!false )(?<!true-)(?<!false-)\bpositives?\s*[:=]\s*{_COUNT}", re.IGNORECASE)
_NEGATIVES = re.compile(rf"(?<!true )(?<!false )(?<!true-)(?<!false-)\bnegatives?\s*[:=]\s*{_COUNT}", re.IGNORECASE)
_NAMES = (
    ("balanced accuracy", r"balanced[\s-]acc(?:uracy|\.)?"),
    ("sensitivity", r"sensitivity|recall|true positive rate|TPR|hit rate"),
    ("specificity", r"specificity|true negative rate|TNR|selectivity"),
    ("precision", r"precision|positive predictive value|PPV"),
    ("npv", r"negative predictive value|NPV"),
    ("f1", r"F[-_ ]?1(?:[-_ ]?(?:score|measure))?|F[-_ ]?(?:score|measure)"),
    ("mcc", r"MCC|Matthews(?:'s?)?[\s\w]*coefficient(?:\s*\(MCC\))?"),
    ("kappa", r"(?:Cohen(?:'s|\u2019s)?\s+)?kappa|\u03ba"),
    ("auc", r"(?:ROC[\s-]?)?AUC(?:[\s-]?ROC)?|AUROC|area under the (?:ROC|curve)[\w\s]*"),
)
_VALUE = r"(?P<value>[01]?\.\d{1,18}|1(?:\.0+)?|0(?:\.0+)?|\d{1,3}(?:\.\d{1,17})?\s*%)"
_LABEL = re.compile(
    r"^\W*(?:\d+[.)]\s+)?(?:(?P<of>(?:overall|total|final|model|our|the|test|testing|train|training|validation|val|external|"
    r"hold[- ]?out|held[- ]out|set|data|micro|macro|weighted|average|avg|averaged|mean)\b[\s-]*)*)"
    rf"(?P<name>{'|'.join(f'(?:{words})' for _, words in _NAMES)})(?![\w])"
    r"(?:\s*[(\[](?P<kind>[^)\]]*)[)\]])?(?P<after>\s*(?:score|value|rate))?"
    r"\s*(?:[:=\u2013\u2014-]+|\bof\b|\bis\b|\bwas\b)\s*(?P<rest>.*)$",
    re.IGNORECASE,
)
# An average that says its kind needs no colon where it is all that the sentence says: "Macro F1 94.65 %."
_AVERAGE_FIRST = re.compile(
    r"^\W*((?:macro|weighted)[\s-]+(?:F[-_ ]?1(?:[-_ ]?score)?|recall|precision))\s+"
    r"(?=(?:\d{1,3}(?:\.\d{1,12})?\s*%|[01]?\.\d{1,12})\.?$)",
    re.IGNORECASE,
)
_DIRECT = re.compile(
    rf"(?:(?:and|an?|the|overall)\s+)*(?P<name>(?:(?:macro|weighted)[\s-]+)?"
    rf"(?:{'|'.join(words for _, words in _NAMES)}|accuracy|(?:test )?accuracy|error rate)(?:\s+(?:score|value))?)"
    rf"\s*(?:[:=]|\bof\b|\bis\b|\bwas\b)?\s+(?P<value>{_VALUE.replace('?P<value>', '?:')})",
    re.IGNORECASE,
)
_COUNT_SAID = re.compile(r"(?:and\s+)?\d{1,9}\s+(?:errors|mistakes|misclassifications)", re.IGNORECASE)
_KIND = re.compile(r"\b(macro|weighted|micro)\b", re.IGNORECASE)
_FORMULA = re.compile(r"^.*?[A-Za-z\u0370-\u03ff)\d]\s*/.*=\s*")
_TERM = r"(?:\(\s*\d{1,9}(?:\s*\+\s*\d{1,9})*\s*\)|\d{1,9})"
_SHARE = r"(\d{1,3}(?:\.\d{1,12})?\s*%|0?\.\d{1,12}|1\.0+)"
_FRACTION = rf"({_TERM}\s*[/\u00f7]\s*{_TERM})"
_WORKED = re.compile(rf"(?<![\w.,/+)])\s*{_FRACTION}\s*=\s*{_SHARE}(?![\w.]*\d)")
_WORKED_AFTER = re.compile(rf"(?<![\w.,/]){_SHARE}\s*[=(:]?\s*{_FRACTION}(?!\s*(?:[/+*\d]|\.\d))")


def read_scores(text: str, *, one_set: Callable[[str], str | None], has_accuracy: bool) -> list[Saying]:
    """
    Args:
        text: one line, markup removed.
        one_set: the one set that a piece of text names, or None.
        has_accuracy: whether an accuracy was read from the line already: then its k/n is read, too.
    """
    plain, found = text.replace("`", ""), []
    for content in (*_outcomes(plain), *_sides(plain)):
        found.append(Saying(content, one_set(plain), sentence=text))
    for sentence in sentences(plain):
        for content in (*_worked(sentence, has_accuracy), *_labelled(sentence)):
            found.append(Saying(content, one_set(sentence), sentence=sentence))
    return found


def _outcomes(text: str) -> Iterator[Content]:
    found: dict[str, int] = {}
    for name, pattern in _OUTCOMES.items():
        matches = re.findall(pattern, text, re.IGNORECASE)
        if len(matches) > 1:
            return  # several models in a line
        if matches:
            found[name] = whole(matches[0])
    if found:
        yield Outcomes(**found)


def _sides(text: str) -> Iterator[Content]:
    counts = []
    for pattern in (_POSITIVES, _NEGATIVES):
        matches = pattern.findall(text)
        counts.append(whole(matches[0]) if len(matches) == 1 else None)
    if any(count is not None for count in counts):
        yield Sides(*counts)


def _worked(sentence: str, has_accuracy: bool) -> Iterator[Content]:
    for match in _WORKED.finditer(sentence):
        made = _sum_over(match[1], match[2], has_accuracy)
        if made and not loose(sentence, match.start(2)):
            yield from made
    for match in _WORKED_AFTER.finditer(sentence):
        made = _sum_over(match[2], match[1], has_accuracy) if "+" in match[2] else ()
        if made and not loose(sentence, match.start(1)):
            yield from made


def _sum_over(fraction: str, said: str, has_accuracy: bool) -> tuple[Content, ...]:
    """ "(12 + 15)/30 = 90 %"; beside an accuracy its size and its errors, too."""
    share = printed(said)
    k, n = (sum(map(int, re.findall(r"\d+", side))) for side in re.split(r"[/\u00f7]", fraction))
    if share is None or share.value > 1 or not 0 <= k <= n or n < 2 or ("+" not in fraction and has_accuracy):
        return ()
    worked = Worked(" ".join(fraction.split()), Fraction(k, n), share)
    return (worked, Size(n), Errors(n - k)) if has_accuracy and share.prints(worked.value) else (worked,)


def _labelled(sentence: str) -> Iterator[Content]:
    """ "Sensitivity: 75 %", "macro F1 = 0.91", several of them apart by commas or semicolons."""
    sentence = _with_colons(_AVERAGE_FIRST.sub(r"\1: ", without_intervals(sentence)))
    for part in re.split(r"[;|]|,\s+(?=[A-Za-z])", sentence):
        match = _LABEL.match(part.strip())
        if match is None:
            continue
        rest = _FORMULA.sub("", match["rest"])
        value = re.match(rf"\W*{_VALUE}(?!\w)(?P<tail>.*)$", rest.strip(" *`"))
        if value is None or re.match(r"\s*(?:[-\u2013\u2014]|to)\s*\d|\s*(?:\u00b1|\+/-)|\s*,\s*\d", value["tail"]):
            continue
        is_loose = re.match(r"\W*[~\u2248<>\u2264\u2265\u2212-]", rest)
        has_minus = re.search(r"\s-$", part.strip()[: match.start("rest")])
        if is_loose or has_minus or re.search(r"\d\s*%", value["tail"]):
            continue
        share = printed(value["value"])
        if share is None or share.value > 1 or (share.unit == 1 and "%" not in share.text):
            continue
        name = next(name for name, words in _NAMES if re.fullmatch(words, match["name"].strip(), re.IGNORECASE))
        kind = _KIND.search(f"{match['of'] or ''} {match['kind'] or ''} {match['after'] or ''}")
        made = _score(name, share, kind[1].lower() if kind else "")
        if made is not None and not re.search(
            r"\b(?:class|label|threshold)\b", f"{match['kind'] or ''}", re.IGNORECASE
        ):
            yield made


def _with_colons(sentence: str) -> str:
    """A sentence that is nothing but names and values, each name with a colon: "sensitivity 0.85, specificity 0.93"."""
    parts = re.split(r"(\s*[;|]\s*|,\s+(?:and\s+)?|\s+and\s+)", sentence.strip().rstrip("."))
    said = [_DIRECT.fullmatch(part) for part in parts[::2]]
    counts = [_COUNT_SAID.fullmatch(part) for part in parts[::2]]
    if not any(said) or not all(one or other for one, other in zip(said, counts, strict=True)):
        return sentence
    return "; ".join(f"{match['name']}: {match['value']}" for match in said if match)


def _score(name: str, share: Printed, kind: str) -> Content | None:
    if not kind:
        return Score(name, share)
    if name not in ("precision", "sensitivity", "f1"):
        return None
    at = ("precision", "sensitivity", "f1").index(name)
    shares = [share if k == at else None for k in range(3)]
    return Averages(kind, *shares)
