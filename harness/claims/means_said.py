"""Which values does a line list, and which mean of them? "Accuracies of 91.0 %, 93.2 % and 95.1 % (mean 93.1 %)"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.claims.records import Mean, printed

_VALUE = r"(?:\d{1,3}(?:\.\d{1,12})?\s?%|0?\.\d{1,12}|1\.0{1,12})(?![\w/]*\d)"
_LIST = rf"(?<![\w.,/])(?P<list>{_VALUE}(?:,\s*(?:and\s+|&\s*)?{_VALUE}|\s+(?:and|&)\s+{_VALUE}|\s+{_VALUE}){{2,19}})"
_MEAN = r"\b(?:mean|average|averaging|avg\.?)\b"
_WORDS = r"[^\d;~<>\u2248]{0,40}?"
_AFTER = re.compile(rf"{_LIST}[^\d;]{{0,60}}?{_MEAN}{_WORDS}(?P<mean>{_VALUE})", re.IGNORECASE)
_BEFORE = re.compile(rf"{_MEAN}{_WORDS}(?P<mean>{_VALUE})[^\d;]{{0,40}}?{_LIST}", re.IGNORECASE)
_REPEATED = re.compile(
    r"\b(?:folds?|runs?|seeds?|splits?|repeats?|repetitions?|trials?|cross[- ]?validat\w*|rounds?|accurac(?:y|ies)|"
    r"scores?|sites?|cent(?:er|re)s?)\b",
    re.IGNORECASE,
)
_WEIGHTED = re.compile(
    r"\b(?:weighted|pooled|geometric|harmonic|moving|trimmed|other|another|previous)\b", re.IGNORECASE
)
_LONGEST = 2_000


def means_said(text: str) -> Iterator[Mean]:
    """Each mean that stands beside the list of what it is the mean of.

    >>> [str(mean) for mean in means_said("Accuracy by fold: 0.91, 0.93, 0.95. Mean: 0.93.")]
    ['mean 0.93 of 3 values (0.91, 0.93, 0.95)']
    """
    plain = text.replace("*", "").replace("`", "")
    if len(plain) > _LONGEST or not _REPEATED.search(plain) or _WEIGHTED.search(plain):
        return
    found = [match for pattern in (_AFTER, _BEFORE) for match in pattern.finditer(plain)]
    if len(found) != 1 or len(re.findall(_LIST, plain)) != 1:
        return  # of several lists: which mean is of which is not said
    listed = re.findall(_VALUE, found[0]["list"])
    values = [share for value in (*listed, found[0]["mean"]) if (share := printed(value)) is not None]
    if len({"%" in value.text for value in values}) != 1 or any(value.value > 1 for value in values):
        return
    yield Mean(tuple(f"value {k}" for k in range(1, len(values))), tuple(values[:-1]), values[-1])
