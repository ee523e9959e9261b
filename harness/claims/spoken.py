"""What does a plain sentence say of named classes, of all classes, or of two answers? Read whole or not at all.

A sentence is a row of metrics, classes and values with nothing but a result's own words between them; which value
belongs to what follows from their order alone. Any other word, or any other order, and nothing is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction

from harness.claims.phrases import is_plain, without_intervals
from harness.claims.prose import sentences
from harness.claims.records import (
    Averages,
    ClassCounts,
    Content,
    Outcomes,
    Printed,
    Row,
    Rows,
    Score,
    Worked,
    printed,
    whole,
)
from harness.claims.vocabulary import Saying, class_pattern, loose

_METRICS = (
    ("recall", r"sensitivit(?:y|ies)|recalls?|true positive rate|TPR|detection rate"),
    ("specificity", r"specificit(?:y|ies)|true negative rate|TNR"),
    ("npv", r"negative predictive value|NPV"),
    ("precision", r"precisions?|positive predictive value|PPV"),
    ("f1", r"F[-_ ]?1(?:[- ]?(?:scores?|measure))?"),
)
_SCORES = (
    ("kappa", r"(?:Cohen(?:'s|\u2019s)?\s+)?(?:kappa|\u03ba)(?:\s+(?:coefficient|statistic|value|score))?"),
    ("mcc", r"Matthews(?:'s?|\u2019s?)?\s+correlation\s+coefficient(?:\s*\(MCC\))?|MCC"),
    ("balanced accuracy", r"balanced[\s-]accuracy"),
    ("auc", r"(?:ROC[\s-])?AUC|AUROC|area under the ROC curve(?:\s*\(AUC\))?"),
)
_CLASSES = (
    r"(?:over|across|of)\s+(?:all\s+|the\s+|all\s+the\s+)?"
    r"(?:(?:\d{1,2}|two|three|four|five|six|seven|eight|nine|ten)\s+)?classes"
)
_MEANS = (
    ("weighted", r"(?:support[\s-]?)?weighted(?:[\s-]+averaged?|[\s-]+mean)?"),
    ("macro", rf"macro(?:[\s-]+averaged?|[\s-]+mean)?|(?:unweighted\s+)?(?:mean|averaged?)\s+{_CLASSES}"),
    ("mean", r"(?:unweighted\s+)?(?:mean|average)"),  # of classes only where it says so, before or after
    ("over", _CLASSES),
)
_INT = r"\d{1,3}(?:[,'\u2019]\d{3})+|\d{1,9}"
_COUNTS = (
    rf"\(?(?<![\w.,/])(?P<k>{_INT})\s*(?:/|(?:out\s+)?of)\s*(?:the\s+|all\s+)?"
    rf"(?P<n>{_INT})(?![\w/]|[.,]\d|\s*%)\)?"
)
_VALUE = (
    r"\(?(?<![\w.,/])(?<![\s(=:][-\u2212])"
    r"(?P<value>\d{1,3}(?:\.\d{1,12})?\s*%|0?\.\d{1,12}|1\.0{1,12})(?![\w/]|\.?\d)\)?"
)
_RIGHT = re.compile(
    r"\b(?:correct(?:ly)?|right(?:ly)?|found|finds|detected|recogni[sz]ed|identified|recovered)\b", re.IGNORECASE
)
_WRONG = re.compile(r"\b(?:incorrect\w*|wrong\w*|mis\w+|missed|errors?|mistakes?|false\w*|not|no|never)\b", re.I)
# Beside those of any result.
_ALSO = re.compile(
    "alone|also|but|came|cells?|class|classes|computed|detected|detection|detects|finds|found|identified|its|lay|missed|"
    "per|recognised|recognized|recovered|respective|stood|their|types?|using|whereas|while"
)
_ORDERS = re.compile(r"M(?:CR)+|M(?:RC)+|C(?:MR)+|C(?:RM)+|(?:MCR)+|(?:CMR)+|(?:MRC)+|(?:RMC)+|MCR(?:MR)+")
_OF_ALL = re.compile(r"(?:[GSX]R)+|(?:R[GSX])+")
_OF_TWO = re.compile(r"(?:[MX]R)+|(?:R[MX])+")
_COUNTED = re.compile(r"(?:KCV?)+|(?:RCK?)+")
_AVERAGED = [field.name for field in fields(Averages) if field.name != "kind"]
_MADE_OF = {"recall": ("tp", "fn"), "specificity": ("tn", "fp"), "precision": ("tp", "fp"), "npv": ("tn", "fn")}


@dataclass(frozen=True, slots=True)
class _Token:
    """kind: C class, M metric, S score, X accuracy, A mean, G mean of a metric, V share, K counts, R either or both."""

    kind: str
    name: str = ""
    mean: str = ""
    share: Printed | None = None
    pair: tuple[int, int] | None = None


def read_spoken(text: str, *, classes: tuple[str, ...], one_set: Callable[[str], str | None]) -> list[Saying]:
    """
    Args:
        text: one line, markup removed.
        one_set: the one set that a piece of text names, or None.
    """
    found = []
    for sentence in sentences(without_intervals(text.replace("`", ""))):
        name = one_set(sentence)
        found += [Saying(content, name, sentence=sentence) for content in _contents(sentence, classes)]
    return found


def joined(labelled: list[Saying], spoken: list[Saying]) -> list[Saying]:
    """Both, without the scores of no class in `labelled` that `spoken` knows to be of a class, or a mean of a kind."""
    known = {
        share
        for saying in spoken
        for record in (saying.content.rows if isinstance(saying.content, Rows) else (saying.content,))
        if isinstance(record, Row | Averages)
        for share in record.shares
    }
    kept = [each for each in labelled if not (isinstance(each.content, Score) and each.content.share in known)]
    return [*kept, *spoken]


def _contents(sentence: str, classes: tuple[str, ...]) -> list[Content]:
    if not re.search(r"\d", sentence) or len(sentence) > 1_000 or re.search(r"\brespectively\b", sentence, re.I):
        return []
    tokens = _tokens(sentence, classes)
    if tokens is None:
        return []
    tokens = _merged(tokens)
    order = "".join(token.kind for token in tokens)
    if any(token.share is not None and token.share.value > 1 for token in tokens):
        return []
    odd = [
        Worked(f"{token.pair[0]}/{token.pair[1]}", Fraction(*token.pair), token.share)
        for token in tokens
        if token.pair and token.share and token.pair[1] > 0 and not token.share.prints(Fraction(*token.pair))
    ]
    if any(token.pair and not 0 <= token.pair[0] <= token.pair[1] for token in tokens):
        return []
    if _ORDERS.fullmatch(order):
        return [*odd, *_of_classes(_paired(tokens, order))]
    if _OF_ALL.fullmatch(order):
        return [*odd, *_of_all(tokens)]
    if _OF_TWO.fullmatch(order) and all(token.pair for token in tokens if token.kind == "R"):
        return [*odd, *_of_two(tokens)]
    if _COUNTED.fullmatch(order):
        is_right, is_wrong = bool(_RIGHT.search(sentence)), bool(_WRONG.search(sentence))
        if order.startswith("K") and is_wrong and not _RIGHT.search(_WRONG.sub(" ", sentence)):
            return list(_of_counts(tokens, is_wrong=True))
        return list(_of_counts(tokens, is_wrong=False)) if is_right and not is_wrong else []
    return []


# --- tokens -----------------------------------------------------------------------------------------


def _tokens(sentence: str, classes: tuple[str, ...]) -> list[_Token] | None:
    """What the sentence is made of; None where it holds another word or number, or a loose one."""
    parts = [
        *(rf"(?P<S{k}>\b(?:{words})(?!\w))" for k, (_, words) in enumerate(_SCORES)),
        *(rf"(?P<A{k}>\b(?:{words})(?!\w))" for k, (_, words) in enumerate(_MEANS)),
        *(rf"(?P<M{k}>\b(?:{words})(?!\w))" for k, (_, words) in enumerate(_METRICS)),
        rf"(?P<K0>{_COUNTS})",
        rf"(?P<V0>{_VALUE})",
        r"(?P<X0>\baccuracy\b)",
    ]
    if classes:
        parts.insert(0, rf"(?P<C0>(?<![\w.]){class_pattern(classes)}(?:e?s)?(?![\w]|[.,]\d))")
    found: list[_Token] = []
    between, at = [], 0
    for match in re.finditer("|".join(parts), sentence, re.IGNORECASE):
        kind = next(name for name, text in match.groupdict().items() if text is not None and name[0].isupper())
        number = int(kind[1:])
        if kind[0] in "VK" and loose(sentence, match.start()):
            return None
        between.append(sentence[at : match.start()])
        at = match.end()
        found.append(_token(kind[0], number, match, classes))
    between.append(sentence[at:])
    rest = " ".join(between)
    if re.search(r"[\d%±~<>]", rest) or not is_plain(rest, also=_ALSO):
        return None
    return found


def _token(kind: str, number: int, match: re.Match[str], classes: tuple[str, ...]) -> _Token:
    if kind == "C":
        text = match["C0"].lower()
        return _Token("C", next(name for name in _longest(classes) if text.startswith(name.lower())))
    if kind == "K":
        return _Token("K", pair=(whole(match["k"]), whole(match["n"])))
    if kind == "V":
        return _Token("V", share=printed(match["value"]))
    names = {"S": _SCORES, "A": _MEANS, "M": _METRICS}.get(kind)
    return _Token(kind, names[number][0] if names else "accuracy")


def _longest(classes: tuple[str, ...]) -> list[str]:
    return sorted(classes, key=len, reverse=True)


def _merged(tokens: list[_Token]) -> list[_Token]:
    """A share beside its counts is one value, a mean beside a metric one average."""
    out: list[_Token] = []
    for token in tokens:
        last = out[-1] if out else None
        if last is not None and {last.kind, token.kind} == {"V", "K"}:
            out[-1] = _Token("R", share=last.share or token.share, pair=last.pair or token.pair)
        elif last is not None and token.kind == "M" and last.kind == "A" and last.name != "over":
            out[-1] = _Token("G", token.name, mean=last.name)
        elif last is not None and token.kind == "A" and token.name != "mean" and last.kind == "M":
            out[-1] = _Token("G", last.name, mean="macro" if token.name == "over" else token.name)
        elif last is not None and token.name == "over" and last.kind == "G" and last.mean in ("mean", "macro"):
            out[-1] = _Token("G", last.name, mean="macro")
        else:
            out.append(token)
    has_class = any(token.kind == "C" for token in out)
    counted = has_class and not any(token.kind in "MG" for token in out)
    kinds = ("V",) if counted else ("V", "K")
    return [
        _Token("R", share=token.share, pair=token.pair)
        if token.kind in kinds and not (counted and out[k - 1].kind == "C" and k > 1 and out[k - 2].kind == "K")
        else token
        for k, token in enumerate(out)
    ]


# --- contents ---------------------------------------------------------------------------------------


def _paired(tokens: list[_Token], order: str) -> Iterator[tuple[str, str, _Token]]:
    """(class, metric, value), by the order of the three."""
    one_class = order.count("C") == 1
    one_metric = order.count("M") == 1
    names = [token.name for token in tokens if token.kind == "C"]
    metrics = [token.name for token in tokens if token.kind == "M"]
    values = [token for token in tokens if token.kind == "R"]
    for k, value in enumerate(values):
        yield names[0 if one_class else k], metrics[0 if one_metric else k], value


def _of_classes(said: Iterator[tuple[str, str, _Token]]) -> Iterator[Content]:
    shares: dict[str, dict[str, Printed]] = {}
    counts: list[tuple[str, int, int | None, int | None]] = []
    seen: set[tuple[str, str]] = set()
    for name, metric, value in said:
        if (name, metric) in seen:
            return  # twice: of two models or sets
        seen.add((name, metric))
        if value.share is not None:
            shares.setdefault(name, {})[metric] = value.share
        if value.pair is not None and metric == "recall":
            counts.append((name, value.pair[0], value.pair[1], None))
        elif value.pair is not None and metric == "precision":
            counts.append((name, value.pair[0], None, value.pair[1]))
    for name, own in shares.items():
        yield Rows((Row(name, **own),))
    for each in counts:
        yield ClassCounts((each,))


def _of_all(tokens: list[_Token]) -> Iterator[Content]:
    labels = [token for token in tokens if token.kind != "R"]
    values = [token for token in tokens if token.kind == "R"]
    if len({(label.name, label.mean) for label in labels}) < len(labels):
        return
    for label, value in zip(labels, values, strict=True):
        share = value.share
        if share is None or label.kind == "X":
            continue
        if label.kind == "S":
            yield Score(label.name, share)
        elif label.mean in ("macro", "weighted") and label.name in _AVERAGED:
            yield Averages(label.mean, **{**dict.fromkeys(_AVERAGED), label.name: share})


def _of_two(tokens: list[_Token]) -> Iterator[Content]:
    """Sensitivity, specificity and predictive values, each with the counts that it is made of."""
    labels = [token.name for token in tokens if token.kind != "R"]
    values = [token for token in tokens if token.kind == "R"]
    if len(set(labels)) < len(labels):
        return
    for name, value in zip(labels, values, strict=True):
        if name in _MADE_OF and value.pair is not None:
            right, wrong = _MADE_OF[name]
            yield Outcomes(**{right: value.pair[0], wrong: value.pair[1] - value.pair[0]})
            if value.share is not None:
                yield Score("sensitivity" if name == "recall" else name, value.share)


def _of_counts(tokens: list[_Token], *, is_wrong: bool) -> Iterator[Content]:
    """ "24 of 25 monocytes were found (96 %)", "96 % of monocytes (24/25) were identified"."""
    names = [token.name for token in tokens if token.kind == "C"]
    if len(set(names)) < len(names):
        return
    for name, value in zip(names, _grouped(tokens), strict=True):
        pair, share = value.pair, value.share
        if pair is not None:
            right = pair[1] - pair[0] if is_wrong else pair[0]
            yield ClassCounts(((name, right, pair[1], None),))
            if share is not None and not is_wrong and pair[1] and not share.prints(Fraction(*pair)):
                yield Worked(f"{pair[0]}/{pair[1]}", Fraction(*pair), share)
        if share is not None and not is_wrong:
            yield Rows((Row(name, recall=share),))


def _grouped(tokens: list[_Token]) -> list[_Token]:
    """The values of each class, before and after its name, as one."""
    made: list[_Token] = []
    for token in tokens:
        is_first = token.kind != "C" and (not made or made[-1].kind == "done")
        if token.kind == "C":
            continue
        follows = bool(made) and (
            (made[-1].pair is not None and made[-1].share is None and token.kind == "V")
            or (made[-1].share is not None and made[-1].pair is None and token.kind == "K")
        )
        if follows and not is_first:
            made[-1] = _Token("R", share=made[-1].share or token.share, pair=made[-1].pair or token.pair)
        else:
            made.append(_Token("R", share=token.share, pair=token.pair))
    return made
