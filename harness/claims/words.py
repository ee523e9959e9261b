"""Which words of a report claim more than its counts can carry?"""

from __future__ import annotations

from dataclasses import dataclass

from harness.claims.records import Place, Sentence
from harness.core.strong_words import STRONG, strong_words_in


@dataclass(frozen=True, slots=True)
class StrongWord:
    """word: its family; set: what the sentence speaks of, or None."""

    word: str
    set: str | None
    place: Place


def names_strong_word(text: str) -> bool:
    return any(pattern.search(text) for pattern in STRONG.values())


def strong_words(sentences: tuple[Sentence, ...]) -> tuple[StrongWord, ...]:
    return tuple(
        StrongWord(word, sentence.set, sentence.place)
        for sentence in sentences
        for word in strong_words_in(sentence.text)
    )
