"""Do a protocol's texts say what its criteria say? They stand beside every verdict, and are read before any number.

Read like the claims of a report: a number that no criterion carries, a word that no verdict can carry, a rationale that
names another bound than the one beside it. What is denied is not claimed. Whoever means to mislead finds other words;
the report prints the bounds beside the texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.core.strong_words import STRONG, strong_words_in
from harness.core.text import brief
from harness.protocol.criteria import metric_table
from harness.protocol.prose import (
    Family,
    Stated,
    StatedBound,
    bounds_in,
    clauses_of,
    levels_in,
    mixed_words,
    numbers_in,
    plain_text,
    sentences_of,
)

if TYPE_CHECKING:
    from harness.protocol.criteria import Criterion
    from harness.protocol.records import Protocol

NOT_NEGATED = re.compile(
    r"\b(?:no|not|never|nothing) (?=less|fewer|lower|worse|more|below|under|above|just|only)", re.I
)
NEGATION = re.compile(r"\b(?:no|not|never|nothing|neither|nor|none|cannot|whether|if|would|unproven)\b|n't\b", re.I)
NEVER_WRONG = re.compile(
    r"\bnever (?:wrong|errs?|fails?|misses|misclassif\w+|mistaken)\b|\bwithout (?:an? )?errors?\b", re.I
)
COMPARED_WITH_PEOPLE = re.compile(
    r"\b(?:human|expert|pathologist)[- ]level\b|\bsuperhuman\b|\boutperforms?\b|\bstate[- ]of[- ]the[- ]art\b|"
    r"\bbetter than (?:an? |any |every |the )?(?:humans?|experts?|people|doctors?|pathologists?|ha?ematologists?)\b",
    re.I,
)
# What no verdict of this harness carries, whatever is measured.
NOBODY_CARRIES = (STRONG["production-ready"], STRONG["validated"], COMPARED_WITH_PEOPLE, NEVER_WRONG)
ELSEWHERE = (
    r"(?:any|every|all|other|others'|another|different|multiple|unseen)\s+(?:\w+\s+){0,2}?(?:laborator(?:y|ies)|labs?|"
    r"hospitals?|sites?|cent(?:er|re)s?|clinics?|scanners?|microscopes?|stain(?:s|ings?)?|analy[sz]ers?|cameras?)"
)
# What a required criterion on this question carries, and nothing else.
CARRIED_BY_QUESTION = (
    (re.compile(rf"\bgenerali[sz](?:es|able)\b|\b{ELSEWHERE}\b", re.I), "external"),
    (re.compile(r"\brobust(?:ly)?\b", re.I), "robustness"),
    (
        re.compile(r"\b(?:well[- ])?calibrated\b|\b(?:reliable|trustworthy) (?:confidence|probabilit)", re.I),
        "calibration",
    ),
    (re.compile(r"\breal[- ]time\b", re.I), "throughput"),
)
# What a share in a sentence is of; the metrics of that family carry it by their floors.
WRONG = r"error|wrong|misclassif|\bmiss(?:es|ed)?\b|mistake|false"
FAMILIES: tuple[tuple[str, Family], ...] = (  # the first that a sentence matches
    (r"sensitiv|recall|detect|recogni|\bfinds?\b|true positive", "sensitivity"),
    (r"specificit", "specificity"),
    (r"\bprecision|predictive value", "predictive value"),
    (r"\bf1\b|f-?score", "F1"),
    (r"\bauc|auroc|\broc\b", "area"),
    (rf"accura|correct|\bright\b|reliab|perform|identif|classif|{WRONG}", "correctness"),
)
CLOSE = 1e-9


def problems_in_texts(protocol: Protocol) -> Iterator[str]:
    """What the texts of a protocol say that its criteria do not, each with its key and what to write."""
    identity, dataset = protocol.identity, protocol.dataset
    for key, text in (("identity.title", identity.title), ("identity.intended_use", identity.intended_use)):
        yield from (f"{key}: {said}" for said in _claims(text, protocol.criteria, _shown_elsewhere(protocol)))
        yield from (f"{key}: {said}" for said in _shares(text, protocol.criteria))
    described = {"dataset.description": dataset.description} | {
        f"external.{each.name}.description": each.description for each in protocol.external
    }
    reasons = {f"waivers.{each.criterion}.reason": each.reason for each in protocol.waivers}
    reasons |= {f"amendments.{each.key}.reason": each.reason for each in protocol.amendments}
    study = {f"study.{key}": text for key, text in protocol.study.said().items()}
    for key, text in (described | reasons | study).items():
        yield from (f"{key}: {said}" for said in _unsupported(text))
    for criterion in protocol.criteria:
        key = f"criteria.{criterion.id}.rationale"
        yield from (f"{key}: {said}" for said in (*_unsupported(criterion.rationale), *rationale_problems(criterion)))


def rationale_problems(criterion: Criterion) -> Iterator[str]:
    """Where a rationale names another bound or level than its criterion has, or another weight."""
    text = plain_text(criterion.rationale)
    word = "floor" if criterion.floor is not None else "ceiling"
    matching = any(_equal(value, _target(criterion)) for value in _readings(criterion, text))
    for bound in bounds_in(text):
        value = _as_bound(criterion, bound)
        if value is None or _equal(value, _target(criterion)):
            continue
        if _stricter(criterion, value) or not matching:
            yield (
                f"it says {_quoted(bound)}, and the {word} beside it is {criterion.bound:g}. Write why it is "
                f"{criterion.bound:g}, or state the {word} that the text speaks of"
            )
            return
    for level in levels_in(text):
        if level.value > criterion.level + CLOSE:
            yield f"it says {brief(level.words)}, and the level beside it is {criterion.level:g}. Write one of the two"
            return
    if criterion.required and re.search(r"\bnot (?:required|mandatory)\b|\bfor information only\b", text, re.I):
        yield "it says that the criterion is not required, and `required` is true. Write why it is"
    if not criterion.required and re.search(
        r"(?<!not )\b(?:is required|is mandatory|mandatory criterion)\b", text, re.I
    ):
        yield "it says that the criterion is required, and `required` is false. Write why it is not"


def _target(criterion: Criterion) -> float:
    """The bound as a text would say it: of a floor on a difference, what may be lost."""
    return -criterion.bound if criterion.entry.is_difference else criterion.bound


def _unit(criterion: Criterion) -> str:
    return {"fraction": "share", "s": "s", "images/s": "images/s"}.get(criterion.entry.unit, "")


def _fits(criterion: Criterion, number: Stated) -> bool:
    return number.unit == _unit(criterion) or (number.unit == "points" and _unit(criterion) == "share")


def _as_bound(criterion: Criterion, bound: StatedBound) -> float | None:
    """A stated bound in terms of the criterion's; None where it is of something else."""
    number = bound.number
    if not _fits(criterion, number):
        return None
    wanted = "at most" if _lower_is_stricter(criterion) else "at least"
    if bound.side == wanted:
        return number.value
    # "at most 2 % wrong" is at least 98 % right; of times, rates and differences there is no other side.
    return 1 - number.value if number.unit == "share" and not criterion.entry.is_difference else None


def _readings(criterion: Criterion, text: str) -> Iterator[float]:
    """Every number of the text that could be the bound."""
    for number, _, _ in numbers_in(text):
        if _fits(criterion, number):
            yield number.value
            yield 1 - number.value


def _stricter(criterion: Criterion, value: float) -> bool:
    """Whether a text promises more than the bound beside it asks."""
    return value < _target(criterion) if _lower_is_stricter(criterion) else value > _target(criterion)


def _lower_is_stricter(criterion: Criterion) -> bool:
    return criterion.ceiling is not None or criterion.entry.is_difference


def _equal(value: float, target: float) -> bool:
    return abs(value - target) <= CLOSE * (1 + abs(target))


def _quoted(bound: StatedBound) -> str:
    return f'"{bound.side} {bound.number.words.strip()}"'


# --- titles and uses: what a pass would mean ------------------------------------------------------


def _claims(text: str, criteria: Sequence[Criterion], shown: frozenset[str]) -> Iterator[str]:
    """Words that say what no required criterion carries."""
    yield from _unsupported(text)
    for clause in _claiming(text):
        if (match := STRONG["perfect"].search(clause)) and "perfect" not in strong_words_in(clause):
            yield _no_criterion(match[0])
        for pattern, question in CARRIED_BY_QUESTION:
            carried = any(
                each.required and each.question == question and (question != "external" or each.set in shown)
                for each in criteria
            )
            if (match := pattern.search(clause)) is not None and not carried:
                of = " whose independence is shown" if question == "external" else ""
                yield (
                    f"it says {brief(match[0])}, and no required criterion asks the question {question!r}"
                    f"{' of a set' if of else ''}{of}. Require one, or say what is judged"
                )


def _unsupported(text: str) -> Iterator[str]:
    """Words that nothing measured here can carry, and words that are not what a reader takes them for."""
    for word in mixed_words(text):
        yield (
            f"it has the word {word!a}, whose letters are of several alphabets, so that nothing but the eye reads "
            "it. Write it in one"
        )
    for clause in _claiming(text):
        found = [match[0] for pattern in NOBODY_CARRIES if (match := pattern.search(clause))]
        found += [word for word in strong_words_in(clause) if word in ("perfect", "identical")]
        yield from map(_no_criterion, found)


def _no_criterion(words: str) -> str:
    return f"it says {brief(words)}, which no criterion can carry. Say what is judged, with its bound"


def _claiming(text: str) -> list[str]:
    """The clauses that claim something: those that deny or ask are left away."""
    kept = []
    for clause in clauses_of(text):
        plain = NEVER_WRONG.sub("", NOT_NEGATED.sub("", clause))
        if NEGATION.search(plain) is None and not clause.endswith("?"):
            kept.append(clause)
    return kept


def _shares(text: str, criteria: Sequence[Criterion]) -> Iterator[str]:
    """Shares of right or wrong answers that no required criterion carries."""
    for sentence in sentences_of(text, ends=".;!?"):  # "accuracy: 1.0" says what the number is of
        for number, start, _ in numbers_in(sentence):
            if number.unit not in ("share", "cells") or NEGATION.search(_before(sentence, start)):
                continue
            family = next((of for pattern, of in FAMILIES if re.search(pattern, sentence, re.I)), None)
            if family is None:
                continue
            metrics = [metric.name for metric in metric_table().values() if metric.family == family]
            said = 1 - number.value if re.search(WRONG, sentence, re.I) and number.value < 0.5 else number.value
            carried = _carried(metrics, criteria)
            if carried is None or said > carried + CLOSE:
                most = "none asks for it" if carried is None else f"the highest floor is {carried:g}"
                yield (
                    f"it says {brief(number.words.strip())}, and of the required criteria on {' or '.join(metrics)} "
                    f"{most}. Write what is required, or require what is written"
                )


def _before(sentence: str, start: int) -> str:
    """The clause up to a number, in which it could be denied."""
    return re.split(r"[,;:(]\s|\b(?:but|yet)\b", NOT_NEGATED.sub("", sentence[:start]))[-1]


def _carried(metrics: Sequence[str], criteria: Sequence[Criterion]) -> float | None:
    """The highest share that required criteria on these metrics promise of a whole set: of its classes, the lowest."""
    floors: dict[tuple[str, str], float] = {}
    for each in criteria:
        if each.required and each.metric in metrics and each.floor is not None:
            key = (each.set, each.metric)
            floors[key] = min(each.floor, floors.get(key, 1.0))
    return max(floors.values(), default=None)


def _shown_elsewhere(protocol: Protocol) -> frozenset[str]:
    return frozenset(plan.name for plan in protocol.external if plan.independence == "shown")
