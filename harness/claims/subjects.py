"""Which model, reader or site does a statement speak of? Two of them never contradict each other.

A subject is only a reason not to combine: it takes part where a set has results of several subjects that differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from harness.claims.document import Document, Line, Table

SEVERAL = "several"  # the text names two: which of them a number belongs to is not said

_NAMED = re.compile(
    r"\b(?!ImageNet)(?:[A-Z]\w*-?(?:Net|NeXt|Former|Mixer|BERT)|ResNeXt|VGG|Inception|Xception|ViT|DeiT|BEiT|DINO|CLIP|"
    r"Swin|YOLO|SVM|[kK]-?NN|XGBoost|LightGBM|CatBoost|MLP|LSTM|TTA)(?:[-\s]?[a-zA-Z]?\d[\w.]*|-[A-Z]\w*)?"
    r"|\b(?:[Mm]odel|[Vv]ariant|[Nn]etwork|[Cc]onfig(?:uration)?|[Ee]xperiment|[Rr]un|[Mm]ethod|[Rr]eader|[Oo]bserver|"
    r"[Hh]ospital|[Ss]ite|[Cc]ent(?:er|re)|[Cc]linic|[Ll]ab|[Ss]canner|[Cc]ohort|[Ff]old|[Ss]eed)\s+(?:#?\d+|[A-Z]|one|two|three|four|five)\b"
)
_PHRASED = re.compile(
    r"\b(?:random forest|logistic regression|decision tree|na[iï]ve bayes|ensemble|baseline|ablation|"
    r"(?:before|after|without)\s+[a-z]+(?:-[a-z]+)?)\b",
    re.IGNORECASE,
)
# A title that dates what stands under it: what an older state reached contradicts nothing of a newer one.
_STATE = re.compile(
    r"\b(?:v(?:ersion)?\.?\s?\d[\w.]*|\d{4}-\d\d(?:-\d\d)?|(?:week|day|sprint|update|attempt|iteration|round|phase|milestone|"
    r"release|revision|trial|stage)\s+#?\d+|(?:19|20)\d\d|unreleased)(?![\w.])|\[\d+(?:\.\d+)+\]|^\W*\d+(?:\.\d+){2}\b(?!\s+\w)|"
    r"\b(?:old(?:er)?|previous|earlier|legacy|initial|former|history|deprecated)\b",
    re.IGNORECASE,
)
STATE = "state "  # what the key of such a subject starts with
_OURS = re.compile(r"\b(?:ours?|the proposed (?:model|method|network))\b", re.IGNORECASE)
_LABEL = re.compile(r"\W*([^:\u2013\u2014|]{2,40}?)(?::|\s[-\u2013\u2014]\s|\.\s)")
# Titles and labels that say what is measured, not of what.
_GENERAL = re.compile(
    r"\b(?:accurac\w*|errors?|results?|performance|test\w*|train\w*|val\w*|external|sets?|data\w*|overall|total|summary|notes?|"
    r"conclusions?|abstract|findings?|key|correct\w*|mis\w*|metrics?|final|main|best|class\w*|discussion|evaluation|"
    r"introduction|methods?|appendix|report\w*|tables?|figures?|confusion|matrix|analysis|images?|cells?|samples?|"
    r"experiments?|limitations?|outlook|highlights?|details?|scores?|status|update|statistics?|ergebnis\w*|"
    r"zusammenfassung|precision|recall|f1|support|per|split|of|out|overview|background|claims?|achievements?|"
    r"generali[sz]ation|robustness|interpretation|strengths?|the|this|in|on|we|model|it)\b",
    re.IGNORECASE,
)


def subject_of(text: str) -> str | None:
    """
    >>> subject_of("ResNet-50: accuracy 97 %"), subject_of("Accuracy 97 %"), subject_of("ResNet-50 beats VGG16")
    ('resnet50', None, 'several')
    """
    found = {_key(match[0]) for pattern in (_NAMED, _PHRASED) for match in pattern.finditer(text)}
    if not found:
        return "ours" if _OURS.search(text) else None
    return found.pop() if len(found) == 1 else SEVERAL


def without_numbers_of_names(text: str) -> str:
    """The same text with the digits of model names masked: they count nothing.

    >>> without_numbers_of_names("ResNet 18 misclassified 12 cells")
    'ResNet xx misclassified 12 cells'
    """
    return _NAMED.sub(lambda match: re.sub(r"\d", "x", match[0]), text)


def without_names(text: str) -> str:
    """The same text without the names of models; test-time augmentation is a name here, and never the model itself."""
    return _NAMED.sub(lambda match: match[0] if match[0].startswith("TTA") else " ", text)


@dataclass(frozen=True)
class Subjects:
    """The subjects of one document's lines and tables."""

    document: Document

    def of_line(self, line: Line, sentence: str) -> str | None:
        own = subject_of(sentence) or label_of(line.text) or subject_of(line.text)
        return own or subject_of(line.topic) or _title(line.topic) or self._of_section(line.heading)

    def named_by(self, line: Line, sentence: str) -> str | None:
        """The same without labels, for a number whose label is its own name."""
        own = subject_of(sentence) or subject_of(line.text) or subject_of(line.topic)
        return own or _title(line.topic) or self._of_section(line.heading)

    def of_table(self, table: Table) -> str | None:
        caption = table.caption.rstrip()
        own = subject_of(caption) or label_of(caption + " ")
        return own or self._of_section(table.heading)

    def _of_section(self, heading: int | None) -> str | None:
        while heading is not None:
            entry = self.document.headings[heading]
            found = subject_of(entry.title)
            if found:
                return found
            if (state := _STATE.search(entry.title)) is not None:
                return STATE + _key(state[0]).strip("[]")
            if heading in self._compared:
                return _title(entry.title)
            heading = entry.parent
        return None

    @cached_property
    def _compared(self) -> frozenset[int]:
        """Sections beside each other, each with a table of its own, whose titles all name something of their own."""
        tables = {table.heading for table in self.document.tables}
        groups: dict[tuple[int | None, int], list[int]] = {}
        for index, heading in enumerate(self.document.headings):
            if index in tables and _title(heading.title):
                groups.setdefault((heading.parent, heading.level), []).append(index)
        return frozenset(index for group in groups.values() if len(group) > 1 for index in group)


def label_of(text: str) -> str | None:
    """What stands before the colon or dash of a line, as a key; None where it names nothing of its own."""
    match = _LABEL.match(text)
    return _title(match[1]) if match else None


def _title(text: str) -> str | None:
    """A title that names something, as a key; None where it only says what is measured."""
    if not text or _GENERAL.search(text) or not re.search(r"[A-Za-z]{2}", text):
        return None
    return _key(re.sub(r"^[\d.\s]+", "", text))


def _key(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text.lower())
