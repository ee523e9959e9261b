"""Which set of images does a piece of text speak of? None where that is not clear; nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from harness.claims.document import Document

_NOUNS = (
    r"(?:set|split|data(?:set)?|part|partition|accuracy|images?|cells?|samples?|size|performance|results?|"
    r"error(?:[\s-]+rate)?)"
)
_SETS = {
    "test": rf"test(?:ing)?(?:[\s_-]+{_NOUNS}|[\s_-]*(?:set|split))|(?:held|hold)[\s-]?out",
    "validation": rf"val(?:idation)?(?:[\s_-]+{_NOUNS}|[\s_-]*(?:set|split))|dev(?:elopment)?[\s-]?set",
    "train": r"train(?:ing)?(?:[\s_-]+(?:set|split|part|partition|accuracy|images?|cells?|samples?|size|performance|"
    r"results?)|[\s_-]*set)",
    "external": r"external",
}
_LABELS = {"test": "test(?:ing)?", "validation": "val(?:idation)?", "train": "train(?:ing)?", "external": "external"}
_NAMED = {
    name: re.compile(
        rf"\b(?:{words})\b|^\W*{_LABELS[name]}(?:\s+set)?\s*(?:[:(]|$)|"
        rf"\b(?:on|of|for|-)\s+(?:the\s+)?{_LABELS[name]}(?![\s-]*\w)",
        re.IGNORECASE,
    )
    for name, words in _SETS.items()
}
_NAMED_BARE = {
    name: re.compile(
        rf"\b(?:{_LABELS[name]})\s+with\b|\b(?:of|on)\s+{_LABELS[name]}\s+(?:rows|with|\d|part)\b", re.IGNORECASE
    )
    for name in ("test", "validation", "train")
}
_PARTED = r"(?P<set>test(?:ing)?|external|val(?:idation)?)[\s-]+(?:set|data(?:set)?|split|cohort|part)"
_DESIGNATED = re.compile(rf"\b(?i:{_PARTED})\s+#?(?:[A-Z]|\d)(?![\w.,%])")
_QUALIFIED = re.compile(
    rf"\b(?P<which>first|second|third|internal|independent|prospective|public|private|hidden|original|new|additional|other)"
    rf"\s+{_PARTED}\b",
    re.IGNORECASE,
)
_DATASET = re.compile(r"\btotal (?:images|cells|samples)\b|\bdata\s?set\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SetWords:
    """The words by which this report names its sets.

    names: sets that a table of the report names, beside the usual four. Where it names external sets one by one, the
           bare word "external" means none of them.
    """

    names: tuple[str, ...] = ()
    several: frozenset[str] = frozenset()  # "test" where there is a test set A and a test set B

    def named(self, text: str) -> list[str]:
        """The sets that the text names, in order, each once; "dataset" only where it names no other."""
        found: list[tuple[int, str]] = []
        # "external validation" is an activity on the external set, not the validation part.
        cleaned = re.sub(r"(external(?:[\s-]+\w+)?[\s-]+)validation", r"\1check", text, flags=re.IGNORECASE)
        for name, pattern in _NAMED.items():
            if name in self.several or (name == "external" and self.names):
                continue
            found += [(match.start(), name) for match in pattern.finditer(cleaned)]
            if name in _NAMED_BARE:
                found += [(match.start(), name) for match in _NAMED_BARE[name].finditer(cleaned)]
        if self.names:
            found += [(match.start(), self._spelled(match[0])) for match in _any_of(self.names).finditer(text)]
        if not found and _DATASET.search(text):
            return ["dataset"]
        return list(dict.fromkeys(name for _, name in sorted(found)))

    def _spelled(self, text: str) -> str:
        return next((name for name in self.names if name == text), text.lower())

    def one(self, text: str) -> str | None:
        named = self.named(text)
        return named[0] if len(named) == 1 else None


def several_of_a_kind(document: Document) -> SetWords:
    """The sets of one kind that the text tells apart: "test set A" and "test set B", "the second test set"."""
    found: dict[str, dict[str, None]] = {}
    texts = [line.text for line in document.lines] + [heading.title for heading in document.headings]
    for text in texts:
        for pattern in (_DESIGNATED, _QUALIFIED):
            for match in pattern.finditer(text):
                kind = next(name for name, label in _LABELS.items() if re.fullmatch(label, match["set"], re.IGNORECASE))
                found.setdefault(kind, {})[match[0].lower()] = None
    several = {kind: names for kind, names in found.items() if len(names) > 1}
    return SetWords(tuple(name for names in several.values() for name in names), frozenset(several))


@lru_cache(maxsize=8)
def _any_of(names: tuple[str, ...]) -> re.Pattern[str]:
    """Names of sets as they are written; those that the text itself tells apart ("test set a") in any case."""
    longest = sorted(names, key=len, reverse=True)
    words = (re.escape(name) if name != name.lower() else f"(?i:{re.escape(name)})" for name in longest)
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)")


@dataclass(frozen=True, slots=True)
class Binder:
    """Lines and tables of one document to their sets."""

    document: Document
    words: SetWords
    with_table: frozenset[int]  # headings under which a class table or a matrix stands
    _known: dict[int, str | None] = field(default_factory=dict)

    def of(self, text: str, heading: int | None) -> str | None:
        """The one set that the text names; where it names none, the one that its section is about."""
        named = self.words.named(text)
        if len(named) == 1:
            return named[0]
        return None if named else self.of_section(heading)

    def of_section(self, heading: int | None) -> str | None:
        """A section's title, its own lines, then (only under a class table) the section before, then the parent."""
        if heading is None:
            return None
        if heading not in self._known:
            self._known[heading] = self._of_section(heading)
        return self._known[heading]

    def _of_section(self, heading: int | None) -> str | None:
        while heading is not None:
            entry = self.document.headings[heading]
            named = self.words.named(entry.title)
            if named:
                return named[0] if len(named) == 1 else None
            inside = self._all(line.text for line in self.document.lines if line.heading == heading)
            if inside:
                return inside[0] if len(inside) == 1 else None
            if heading in self.with_table:
                for before in range(heading - 1, -1, -1):
                    sibling = self.document.headings[before]
                    if sibling.parent == entry.parent and sibling.level == entry.level:
                        named = self.words.named(sibling.title)
                        if named:
                            return named[0] if len(named) == 1 and named != ["dataset"] else None
            heading = entry.parent
        return None

    def _all(self, texts: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(name for text in texts for name in self.words.named(text) if name != "dataset"))
