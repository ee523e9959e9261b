"""Which words claim more than counts can carry? Shared by the audit of reports and that of a protocol's texts.

A word counts only in a sentence that claims performance. One that negates, limits, plans or hopes is not a claim.
"""

from __future__ import annotations

import re

STRONG = {
    "perfect": re.compile(
        r"(?<!near-)(?<!nearly )(?<!almost )\b(?:perfect(?:ly)?|flawless(?:ly)?|infallible|error[- ]free)\b", re.I
    ),
    "generalization": re.compile(r"\bgenerali[sz](?:es|ed|able|ation|ing)?\b", re.I),
    "robust": re.compile(r"\brobust(?:ly|ness)?\b", re.I),
    "identical": re.compile(r"\bidentical\b", re.I),
    "production-ready": re.compile(
        r"\b(?:production|deployment|clinic(?:al)?)[- ]ready\b|"
        r"\bready for (?:production|deployment|clinical use|patients)\b",
        re.I,
    ),
    "validated": re.compile(
        r"\b(?:clinically|medically|diagnostically)[- ](?:validated|proven|approved|tested|certified)\b|"
        r"\b(?:fda|ce|ivdr?|mdr)[- ](?:approved|cleared|marked|certified|compliant)\b",
        re.I,
    ),
}
_PERFORMANCE = re.compile(
    r"\b(?:accurac\w+|performance|classif\w+|predict\w*|identif\w+|generali[sz]\w*|discriminat\w*|distinguish\w*|metrics?|"
    r"precision|recall|validation|results?|features|recogni[sz]\w*|detect\w*|ready|pipeline)\b",
    re.IGNORECASE,
)
_NO_CLAIM = re.compile(
    r"\b(?:no(?! (?:class(?:es)?|systematic|significant|overfitting)\b)|not|never|cannot|can't|"
    r"nothing|without|limited|would|could|"
    r"should|may|might|need\w*|requir\w*|future|obtain|assess\w*|improv\w*|evaluate whether|unknown|unclear|"
    r"remain\w*|to be|to ensure|unproven|hard(?:ly)?|difficult|et al|more (?:robust|general)\w*|"
    r"only with|if|help\w*|aim\w*|goal|"
    r"target|expand|collect|whether|shows? that no|does not|n't|undefined|potential\w*|ability to|better suited)\b",
    re.IGNORECASE,
)
_MODEST = {
    "generalization": re.compile(
        r"\b(?:excellent|strong|good|great|perfect(?:ly)?|robust|demonstrat\w+|show\w*|prov\w+|successfully|achiev\w+|well|"
        r"learned|indicat\w+|suggest\w*|confirm\w*|generali[sz]es|generali[sz]able)\b",
        re.IGNORECASE,
    ),
    "robust": re.compile(
        r"\b(?:model|classifier|network|performance|discriminat\w+|robustly|features|implementation|results?)\b",
        re.IGNORECASE,
    ),
    "identical": re.compile(r"\b(?:results?|outputs?|predictions?|metrics?|accurac\w+|runs?)\b", re.IGNORECASE),
}
_HARMLESS_AFTER = re.compile(
    r"\s+(?:balanced|aligned|centred|centered|square|circular|seed|split|set|copies|scaler|loss|settings?)s?\b"
)


def is_no_claim(text: str) -> bool:
    """Whether a sentence negates, limits, asks, plans or hopes."""
    return _NO_CLAIM.search(text) is not None or text.rstrip().endswith("?")


def strong_words_in(sentence: str) -> tuple[str, ...]:
    """The families of the strong words of a sentence.

    >>> strong_words_in("The classifier is perfect."), strong_words_in("No classifier is perfect.")
    (('perfect',), ())
    """
    if is_no_claim(sentence):
        return ()
    return tuple(word for word, pattern in STRONG.items() if _claims(sentence, word, pattern))


def _claims(sentence: str, word: str, pattern: re.Pattern[str]) -> bool:
    match = pattern.search(sentence)
    if not match or _HARMLESS_AFTER.match(sentence[match.end() :]):
        return False
    others = sentence[: match.start()] + sentence[match.end() :]
    of_performance = _PERFORMANCE.search(others if word == "robust" else sentence)
    if word not in ("identical", "validated") and not of_performance:
        return False
    modest = _MODEST.get(word)
    return modest is None or bool(modest.search(others if word != "generalization" else sentence))
