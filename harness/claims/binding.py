"""Which table does a line speak of, and which tables are about one thing? Only where the report says so.

Every table of results is a question by itself. It shares one with other tables and with prose where its set is named
and no other table of its kind is about that set, or where they stand in one section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.claims.cells import TableReading, class_key
from harness.claims.document import Document, Line, Table
from harness.claims.sets import Binder, SetWords
from harness.claims.subjects import SEVERAL, Subjects

_KINDS = ("classes", "matrix", "bare")
_BESIDE = 6  # lines between a class table and the matrix of the same classes
_CAPTION = 4  # a line this close above a table, and further from the one before, is its caption


@dataclass(frozen=True, slots=True)
class Results:
    """One table of results. name: of its question; of: the set it is about, None where that is not said."""

    table: Table
    reading: TableReading
    of: str | None
    subject: str | None
    name: str

    @property
    def last_line(self) -> int:
        return max((line for line, _ in self.table.rows), default=self.table.line)


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one document, each with the name of its question."""

    document: Document
    results: dict[int, Results] = field(default_factory=dict)  # by number in document.tables

    def name_for(self, line: Line, of: str | None) -> str | None:
        """The question that a line takes part in; `of` is the set that it names or its section is about."""
        own = self._under(line.heading)
        named = {each.name for each in own}
        if len(named) > 1:
            own = [each for each in own if self._is_caption(line, each, own)]
            named = {each.name for each in own}
        if not named and of is None:
            own = self._below(line.heading)
            named = {each.name for each in own}
        if len(named) == 1 and (of is None or {each.of for each in own} <= {of, None}):
            return named.pop()
        return of

    def is_split(self, of: str | None) -> bool:
        """Whether several tables of one kind are about this set, so that none of them is meant by its name alone."""
        return of is not None and any(each.of == of and each.name != of for each in self.results.values())

    def _under(self, heading: int | None) -> list[Results]:
        return [each for each in self.results.values() if each.table.heading == heading]

    def _below(self, heading: int | None) -> list[Results]:
        """Tables of the sections inside this one."""
        if heading is None:
            return []
        inside = {heading}
        for index, entry in enumerate(self.document.headings):
            if entry.parent in inside:
                inside.add(index)
        return [each for each in self.results.values() if each.table.heading in inside]

    def _is_caption(self, line: Line, of: Results, others: Sequence[Results]) -> bool:
        above = of.table.line - line.number
        before = [line.number - each.last_line for each in others if each.last_line < line.number]
        between = [each for each in others if line.number < each.table.line < of.table.line]
        return 0 < above <= _CAPTION and not between and min(before, default=above + 1) > above


def bind_tables(
    document: Document, readings: Sequence[TableReading], binder: Binder, words: SetWords, subjects: Subjects
) -> Tables:
    """The question of every table of results."""
    bound = Tables(document)
    known: dict[int, Results] = {}
    for number, (table, reading) in enumerate(zip(document.tables, readings, strict=True)):
        if reading.kind in _KINDS:
            named = words.named(table.caption)
            of = words.one(table.caption) or (None if named else binder.of_section(table.heading))
            known[number] = Results(table, reading, of, subjects.of_table(table), "")
    for number, each in known.items():
        same = [other for other in known.values() if other.of == each.of]
        rivals = [(one, other) for one in same for other in same if one is not other and _is_rival(one, other)]
        name = each.of if not rivals else None
        if name is None:
            partner = _partner(each, list(known.values()))
            both = sorted([each, partner] if partner else [each], key=lambda one: _KINDS.index(one.reading.kind))
            told = both[0].subject if _are_told_apart(rivals) else None
            where = told or f"table in line {both[0].table.line}"
            name = where if each.of is None else f"{each.of}, {where}"
        bound.results[number] = Results(each.table, each.reading, each.of, each.subject, name)
    return bound


def _is_rival(one: Results, other: Results) -> bool:
    """A table of the same kind about the same set that says something else."""
    if one.reading.kind != other.reading.kind or one.of != other.of:
        return False
    said = [{read.content for read in each.reading.found} for each in (one, other)]
    return said[0] != said[1]


def _are_told_apart(rivals: Sequence[tuple[Results, Results]]) -> bool:
    """Whether each table has a subject of its own, such as a model, so that prose can mean it."""
    return bool(rivals) and all(
        None not in (one.subject, other.subject)
        and SEVERAL not in (one.subject, other.subject)
        and one.subject != other.subject
        for one, other in rivals
    )


def _partner(each: Results, everything: Sequence[Results]) -> Results | None:
    """The table of another kind of the same classes that stands next to this one, or alone with it in the section."""
    near = [other for other in everything if other.table.heading == each.table.heading and other is not each]
    fit = [other for other in near if other.reading.kind != each.reading.kind and _share_classes(each, other)]
    if len(near) == 1 and fit:
        return fit[0]
    beside = [other for other in fit if 0 < _gap(each, other) <= _BESIDE]
    return beside[0] if len(beside) == 1 else None


def _gap(one: Results, other: Results) -> int:
    """Lines from the end of the upper table to the start of the lower."""
    upper, lower = sorted((one, other), key=lambda each: each.table.line)
    return lower.table.line - upper.last_line


def _share_classes(one: Results, other: Results) -> bool:
    keys = [{class_key(name) for name in each.reading.classes} for each in (one, other)]
    return keys[0] == keys[1] or (not keys[0] and _n(other) == _n(one)) or (not keys[1] and _n(other) == _n(one))


def _n(each: Results) -> int:
    return len(each.reading.classes) or len(each.table.rows)
