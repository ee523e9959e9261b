"""Which results of no clear set stand in one list or one sentence, each of a kind of its own? Those are of one thing.

A list "Sensitivity: 0.90", "Specificity: 0.95", "TP: 45", or a sentence of such, is a question by itself like a table.
Where a kind stands twice, a set is named, or a line says more than a name and a value, nothing is combined.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, replace

from harness.claims.merging import Found
from harness.claims.records import Accuracy, Averages, Content, Errors, Outcomes, Score, Sides, Size, Worked

_LABELLED = re.compile(r"\W*[A-Za-z][^:=.;]{0,60}\s*[:=]\s*\W*\d[^A-Za-z]*(?:[(\[][^()\[\]]*[)\]]\W*)?")
_SENTENCES = re.compile(r"[.!?]\s+[A-Z]")
_KINDS = (Accuracy, Averages, Errors, Outcomes, Score, Sides, Size)


def of_one_list(found: Sequence[Found]) -> list[Found]:
    """The same, with a name of its own for each list or sentence whose results belong together."""
    out = list(found)
    lists: dict[tuple[int | None, int], list[int]] = {}
    lines: dict[int, list[int]] = {}
    for index, entry in enumerate(found):
        if not entry.from_table and len(entry.places) == 1:
            lists.setdefault((entry.section, entry.block), []).append(index)
            lines.setdefault(entry.places[0].line, []).append(index)
    for group in (*lists.values(), *lines.values()):
        own = [index for index in group if _is_free(out[index])]
        texts = {out[index].places[0].text for index in group}
        if len(own) < 2 or len(own) + _n_worked(found, group) < len(group) or not _is_one(texts):
            continue
        contents = {out[index].content for index in own}
        if all(isinstance(content, Errors | Size) for content in contents):
            continue  # a count of which no share is said
        if any(isinstance(content, Size) for content in contents):  # then errors said twice are of that many
            contents = {content for content in contents if not isinstance(content, Errors)}
        keys = [key for content in contents for key in _keys(content)]
        if len(set(keys)) < len(keys):
            continue
        if len({out[index].subject for index in own} - {None}) > 1:
            continue
        first, last = (end(out[index].places[0].line for index in own) for end in (min, max))
        name = f"line {first}" if first == last else f"lines {first} to {last}"
        for index in own:
            out[index] = replace(out[index], set=name)
    return out


def _is_free(entry: Found) -> bool:
    """Whether it is of no clear set, or of its own line alone."""
    alone = entry.set is None or re.fullmatch(r"line \d+", entry.set)
    return bool(alone) and not entry.qualified and isinstance(entry.content, _KINDS)


def _n_worked(found: Sequence[Found], group: Sequence[int]) -> int:
    return sum(1 for index in group if isinstance(found[index].content, Worked))


def _is_one(texts: set[str]) -> bool:
    """Whether the lines are names and values, or one sentence."""
    if len(texts) == 1:
        return not _SENTENCES.search(next(iter(texts)))
    return all(_LABELLED.fullmatch(text) for text in texts)


def _keys(content: Content) -> list[tuple[str, ...]]:
    """What a content says something of: twice the same may be of two things."""
    kind = type(content).__name__
    if isinstance(content, Score):
        return [(kind, content.name)]
    if isinstance(content, Outcomes | Sides | Averages):
        given = [field.name for field in fields(content) if field.name != "kind"]
        of = content.kind if isinstance(content, Averages) else ""
        return [(kind, of, name) for name in given if getattr(content, name) is not None]
    return [(kind,)]
