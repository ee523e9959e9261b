"""Which labelled numbers cannot be a share of anything? "AUC: 1.02", "accuracy: inf", "recall: 130 %"."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RATE = (
    r"(?:balanced[\s-]+)?acc(?:uracy)?|error[\s-]+rate|sensitivity|specificity|precision|recall|[PN]PV|TPR|TNR|"
    r"F[-_ ]?1(?:[- ]?(?:score|measure))?|(?:ROC[\s-]?)?AUC(?:[\s-]?ROC)?|AUROC"
)
_AGREEMENT = r"MCC|(?:Cohen(?:'s|\u2019s)?\s+)?kappa|\u03ba"
_OF = (
    r"(?:(?:overall|total|final|mean|average|macro|micro|weighted|test|testing|train|training|val|validation|eval|"
    r"external|hold[- ]?out|held[- ]?out|set)[\s-]+)*"
)
_LABELLED = re.compile(
    rf"^\W*(?P<of>{_OF})(?:(?P<rate>{_RATE})|(?:{_AGREEMENT}))(?:\s+score)?\s*[:=]\s*"
    r"(?P<value>[-+\u2212]?(?:\d{1,12}(?:\.\d{1,18})?(?:e[-+]?\d{1,3})?|\.?inf(?:inity)?|\.?nan))\s*(?P<sign>%?)\W*$",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"\b(?:change\w*|differ\w*|delta|drops?|gains?|improve\w*|vs\.?|versus|relative|gaps?|ablat\w*|compar\w*|baseline)\b|"
    r"[\u0394\u2206]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class NoShare:
    """message: what is wrong with it. is_number: False for "nan", of which nobody says that it is a result."""

    message: str
    is_number: bool


def no_share(text: str, *, around: str) -> NoShare | None:
    """
    Args:
        text: one line, markup removed.
        around: the title above it: a difference may have any sign.
    >>> no_share("AUC: 1.02", around="").message, no_share("AUC: 0.92", around="")
    ('AUC: 1.02 is not a share of anything', None)
    """
    match = _LABELLED.match(text)
    if match is None:
        return None
    said, written = " ".join(text.split()), match["value"].lower().replace("\u2212", "-")
    if "nan" in written:
        return NoShare(f"{said}: no number", is_number=False)
    value = float("inf" if "inf" in written else written)
    size, is_negative = abs(value), written.startswith("-") and value != 0
    may_be_negative = match["rate"] is None or bool(_CHANGE.search(f"{text} {around}"))
    is_fraction = 1 < size < 2 and "." in written and not match["sign"]  # from 2 to 100 without a sign it is in percent
    is_wrong = size > 100 or is_fraction or (is_negative and not may_be_negative)
    return NoShare(f"{said} is not a share of anything", is_number=True) if is_wrong else None
