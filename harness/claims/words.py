"""Which words of a report claim more than its counts can carry?

A word counts only in a sentence that claims performance. One that negates, limits, plans or hopes is not a claim.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.claims.records import Place, Sentence

_STRONG = (
    ("perfect", re.compile(r"(?<!near-)(?<!nearly )(?<!almost )\b(?:perfect(?:ly)?|flawless(?:ly)?)\b", re.IGNORECASE)),
    ("generalization", re.compile(r"\bgenerali[sz](?:es|ed|able|ation|ing)?\b", re.IGNORECASE)),
    ("robust", re.compile(r"\brobust(?:ly|ness)?\b", re.IGNORECASE)),
    ("identical", re.compile(r"\bidentical\b", re.IGNORECASE)),
    (
        "production-ready",
        re.compile(
            r"\b(?:production|deployment|clinic(?:al)?)[- ]ready\b|\bready for (?:production|deployment|clinical use)"
            r"\b",
            re.I,
        ),
    ),
)
_PERFORMANCE = re.compile(
    r"\b(?:accurac\w+|performance|classif\w+|predict\w*|identif\w+|generali[sz]\w*|discriminat\w*|distinguish\w*|metrics?|"
    r"precision|recall|validation|results?|features|recogni[sz]\w*|detect\w*|ready|pipeline)\b",
    re.IGNORECASE,
)
_NO_CLAIM = re.compile(
    r"\b(?:no(?! (?:class|systematic|significant|overfitting))|not|never|cannot|can't|"
    r"without|limited|would|could|"
    r"should|may|might|need\w*|requir\w*|future|obtain|assess\w*|improv\w*|evaluate whether|unknown|unclear|"
    r"remain\w*|to be|to ensure|unproven|hard(?:ly)?|difficult|et al|more (?:robust|general)\w*|"
    r"only with|if|help\w*|aim\w*|goal|"
    r"target|expand|collect|whether|shows? that no|does not|n't|undefined|potential\w*|ability to|better suited)\b",
    re.IGNORECASE,
)
_MODEST = {
    "generalization": re.compile(
        r"\b(?:excellent|strong|good|great|perfect(?:ly)?|robust|demonstrat\w+|show\w*|prov\w+|successfully|achiev\w+|well|"
        r"learned|indicat\w+|suggest\w*|confirm\w*|generali[sz]es)\b",
        re.IGNORECASE,
    ),
    "robust": re.compile(
        r"\b(?:model|classifier|network|performance|discriminat\w+|robustly|features|implementation|results?)\b",
        re.IGNORECASE,
    ),
    "identical": re.compile(r"\b(?:results?|outputs?|predictions?|metrics?|accurac\w+|runs?)\b", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class StrongWord:
    """word: its family; set: what the sentence speaks of, or None."""

    word: str
    set: str | None
    place: Place


def names_strong_word(text: str) -> bool:
    lower = text.lower()
    return any(hint in lower for hint in ("perfect", "flawless", "generali", "robust", "identical", "ready"))


def strong_words(sentences: tuple[Sentence, ...]) -> tuple[StrongWord, ...]:
    found = []
    for sentence in sentences:
        if _NO_CLAIM.search(sentence.text) or sentence.text.rstrip().endswith("?"):
            continue
        for word, pattern in _STRONG:
            match = pattern.search(sentence.text)
            if not match:
                continue
            if re.match(
                r"\s+(?:balanced|aligned|centred|centered|square|circular|seed|split|set|copies|scaler|loss|settings?)s?\b",
                sentence.text[match.end() :],
            ):
                continue
            others = sentence.text[: match.start()] + sentence.text[match.end() :]
            if word != "identical" and not _PERFORMANCE.search(others if word == "robust" else sentence.text):
                continue
            modest = _MODEST.get(word)
            if modest is not None and not modest.search(others if word != "generalization" else sentence.text):
                continue
            found.append(StrongWord(word, sentence.set, sentence.place))
    return tuple(found)
