"""How many cells of each class does a sentence say that a set has? "The test set contains 60 cats and 40 dogs"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from harness.claims.phrases import is_plain
from harness.claims.prose import sentences
from harness.claims.records import Supports, whole
from harness.claims.vocabulary import INT, Saying, class_named, class_pattern, loose

_HOLDS = re.compile(
    r"\b(?:contain(?:s|ed)?|compris(?:es|ed|ing)|consist(?:s|ed)? of|ha[sd]|holds?|held|with|includ(?:es|ed|ing))\b",
    re.I,
)
_ALSO = re.compile(
    "contain|contains|contained|comprises|comprised|comprising|consists|consisted|consist|includes|included|including"
)


def read_held(text: str, *, classes: tuple[str, ...], one_set: Callable[[str], str | None]) -> Iterator[Saying]:
    """Read whole or not at all: every number is a class's, no class comes twice, and nothing else is said.

    Args:
        text: one line, markup removed.
        one_set: the one set that a piece of text names, or None.
    """
    if not classes:
        return
    counted = re.compile(
        rf"{INT}\s+(?:(?:images?|cells?|samples?)\s+of\s+)?({class_pattern(classes)})(?:e?s)?(?!\w)(?:\s+(?:images?|cells?))?",
        re.IGNORECASE,
    )
    for sentence in sentences(text.replace("`", "")):
        found = list(counted.finditer(sentence))
        left = counted.sub(" ", sentence)
        names = [class_named(match[2], classes) for match in found]
        if len(found) < 2 or len(set(names)) < len(names) or re.search(r"\d", left) or not _HOLDS.search(left):
            continue
        if any(loose(sentence, match.start()) for match in found) or not is_plain(left, also=_ALSO):
            continue
        counts = tuple(zip(names, (whole(match[1]) for match in found), strict=True))
        yield Saying(Supports(counts), one_set(sentence), sentence=sentence)
