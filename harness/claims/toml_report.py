"""What does a report state that comes as TOML? Every key is known or refused; nothing is converted silently.

classes = ["basophil", "neutrophil"]      # optional where a table or matrix names them
[[set]]
name = "test"                             # required
n = 375                                   # images
accuracy = "99.47%"                       # TEXT: its decimals are part of the statement; "%" or a fraction
correct = 373                             # or: errors = 2
images_per_class = 75
covers = [1, 5]                           # one class of five
claims = ["perfect generalisation"]       # sentences whose words are weighed
confusion = [[73, 2], [0, 75]]            # rows reference, columns predicted, in the order of the classes
only_errors = true                        # the [[set.error]] below are all there are
[[set.class]]
name = "basophil"                         # required; the others as far as printed
precision = "0.9733"                      # TEXT
recall = "1.0000"                         # TEXT
f1 = "0.9865"                             # TEXT
support = 73
false_positives = 2
false_negatives = 0
[[set.average]]
kind = "macro"                            # or "weighted"; precision, recall, f1 as TEXT
[[set.error]]
reference = "basophil"
predicted = "neutrophil"
count = 2
[pins]
torch = "2.9.1"
torchvision = "0.24.1"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from harness.claims.records import (
    Accuracy,
    Averages,
    Content,
    Directions,
    Errors,
    FalseCounts,
    Matrix,
    PerClass,
    Pin,
    Place,
    Printed,
    ReportClaims,
    Row,
    Rows,
    Sentence,
    Size,
    Statement,
    Supports,
    UnreadableReport,
    printed,
)

_TOP = ("classes", "set", "pins")
_SET = (
    "name", "n", "accuracy", "correct", "errors", "images_per_class", "covers", "claims", "confusion", "only_errors",
    "class", "average", "error",
)  # fmt: skip
_CLASS = ("name", "precision", "recall", "f1", "support", "false_positives", "false_negatives")
_AVERAGE = ("kind", "precision", "recall", "f1")
_ERROR = ("reference", "predicted", "count")


def read_toml(text: str, file: str) -> ReportClaims:
    """
    Raises:
        UnreadableReport: no TOML, an unknown key, a wrong type, or a number that is impossible by itself.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # the parser's own, and numbers or nesting beyond what Python takes
        raise UnreadableReport(f"{file}: not valid TOML: {error}. Mend that line and run again.") from error
    return _Reader(text, file).read(data)


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines = text.splitlines()
        self.at = 0  # tables come in the order of the file, so each search starts where the last one ended

    def read(self, data: Mapping[str, Any]) -> ReportClaims:
        self._known(data, _TOP, "the file")
        sets = self._tables(data, "set", "the file")
        if not sets:
            self._fail("the file has no [[set]]", "state at least one set with a name and its numbers")
        classes = self._classes(data, sets)
        statements: list[Statement] = []
        sentences: list[Sentence] = []
        coverage: list[tuple[str, int, int, Place]] = []
        names: set[str] = set()
        for entry in sets:
            self._known(entry, _SET, "[[set]]")
            name = self._text(entry, "name", "[[set]]")
            if name in names:
                self._fail(f"two sets are named {name!r}", "give each set one table")
            names.add(name)
            statements += self._set(entry, name, classes)
            where = f"set {name!r}"
            for claim in self._list(entry, "claims", str, where):
                sentences.append(Sentence(name, claim, self._place(claim[:30])))
            covers = self._list(entry, "covers", int, where)
            if covers:
                if len(covers) != 2 or not 0 < covers[0] <= covers[1]:
                    self._fail(f"{where}: covers = {covers}", "write [classes covered, classes in all], such as [1, 5]")
                if covers[0] < covers[1]:
                    coverage.append((name, covers[0], covers[1], self._place("covers")))
        pins = self._pins(data)
        return ReportClaims(
            self.file, classes, tuple(statements), pins=pins, sentences=tuple(sentences), coverage=tuple(coverage)
        )

    # --- sets -----------------------------------------------------------------------------------

    def _classes(self, data: Mapping[str, Any], sets: list[Mapping[str, Any]]) -> tuple[str, ...]:
        names = self._list(data, "classes", str, "the file")
        for entry in sets:
            for row in self._tables(entry, "class", "[[set]]"):
                names.append(self._text(row, "name", "[[set.class]]"))
        seen: dict[str, str] = {}
        for name in names:
            if not name.strip():
                self._fail("a class has an empty name", "give every class a name")
            seen.setdefault(name.lower(), name)
        return tuple(seen.values())

    def _set(self, entry: Mapping[str, Any], name: str, classes: tuple[str, ...]) -> list[Statement]:
        where = f"set {name!r}"
        made: list[Statement] = []

        def add(content: Content, key: str) -> None:
            made.append(Statement(name, content, (self._place(key),)))

        n = self._count(entry, "n", where)
        correct, errors = self._count(entry, "correct", where), self._count(entry, "errors", where)
        if n is not None:
            add(Size(n), "n")
        accuracy = self._share(entry, "accuracy", where)
        if accuracy is not None:
            add(Accuracy(accuracy), "accuracy")
        for key, k in (("correct", correct), ("errors", errors)):
            if k is not None and n is not None and k > n:
                self._fail(f"{where}: {key} = {k} is more than n = {n}", "no more images can be counted than there are")
        if correct is not None:
            if n is None:
                self._fail(f"{where}: correct = {correct} without n", "state n too: k correct says nothing without it")
            else:
                add(Errors(n - correct), "correct")
        if errors is not None:
            add(Errors(errors), "errors")
        per_class = self._count(entry, "images_per_class", where)
        if per_class is not None:
            add(PerClass(per_class, per_class), "images_per_class")
        made += self._table(entry, name, classes, where)
        made += self._matrix(entry, name, classes, where)
        made += self._errors(entry, name, classes, where)
        return _merged(made)

    def _table(self, entry: Mapping[str, Any], name: str, classes: tuple[str, ...], where: str) -> list[Statement]:
        made: list[Statement] = []
        spelling = {label.lower(): label for label in classes}
        labels: set[str] = set()
        supports: list[tuple[str, int]] = []
        false_counts: list[tuple[str, str, int]] = []
        perfect: list[tuple[Row, Place]] = []
        places: list[Place] = []
        for table in self._tables(entry, "class", where):
            self._known(table, _CLASS, f"{where}, [[set.class]]")
            label = self._text(table, "name", f"{where}, [[set.class]]")
            at = f"{where}, class {label!r}"
            place = self._place(label)
            label = spelling[label.lower()]
            if label in labels:
                self._fail(f"{at} has two tables", "state each class once")
            labels.add(label)
            row = Row(label, *(self._share(table, key, at) for key in ("precision", "recall", "f1")))
            support = self._count(table, "support", at)
            if support is not None:
                supports.append((label, support))
                places.append(place)
            for key, kind in (("false_positives", "FP"), ("false_negatives", "FN")):
                count = self._count(table, key, at)
                if count is not None:
                    false_counts.append((label, kind, count))
            if any(row.shares):
                if row.is_perfect:
                    perfect.append((row, place))
                else:
                    made.append(Statement(name, Rows((row,)), (place,)))
        if perfect:
            made.append(Statement(name, Rows(tuple(row for row, _ in perfect)), tuple(p for _, p in perfect)))
        if supports:
            made.append(Statement(name, Supports(tuple(supports)), tuple(places)))
        if false_counts:
            made.append(Statement(name, FalseCounts(tuple(false_counts)), tuple(places) or (self._place("false_"),)))
        for table in self._tables(entry, "average", where):
            self._known(table, _AVERAGE, f"{where}, [[set.average]]")
            kind = self._text(table, "kind", f"{where}, [[set.average]]")
            if kind not in ("macro", "weighted"):
                self._fail(f"{where}: an average of kind {kind!r}", 'write "macro" or "weighted"')
            shares = [self._share(table, key, f"{where}, {kind} average") for key in ("precision", "recall", "f1")]
            if any(shares):
                made.append(Statement(name, Averages(kind, *shares), (self._place(kind),)))
        return made

    def _matrix(self, entry: Mapping[str, Any], name: str, classes: tuple[str, ...], where: str) -> list[Statement]:
        if "confusion" not in entry:
            return []
        rows = entry["confusion"]
        square = (
            isinstance(rows, list)
            and len(rows) == len(classes)
            and all(isinstance(row, list) and len(row) == len(classes) for row in rows)
        )
        if not square:
            self._fail(
                f"{where}: confusion is not a table of {len(classes)} x {len(classes)}",
                f"one row per reference class, one column per predicted class, in the order {list(classes)}",
            )
        for row in rows:
            for value in row:
                if type(value) is not int or value < 0:
                    self._fail(f"{where}: confusion holds {value!r}", "every cell is a count, 0 or more")
        return [Statement(name, Matrix(classes, tuple(map(tuple, rows))), (self._place("confusion"),))]

    def _errors(self, entry: Mapping[str, Any], name: str, classes: tuple[str, ...], where: str) -> list[Statement]:
        tables = self._tables(entry, "error", where)
        only = entry.get("only_errors", False)
        if type(only) is not bool:
            self._fail(f"{where}: only_errors = {only!r}", "write true or false")
        if only and not tables:
            self._fail(f"{where}: only_errors without a [[set.error]]", "state the errors, or write errors = 0")
        cells: list[tuple[str, str, int]] = []
        places: list[Place] = []
        known = {label.lower(): label for label in classes}
        for table in tables:
            self._known(table, _ERROR, f"{where}, [[set.error]]")
            pair = [self._text(table, key, f"{where}, [[set.error]]") for key in ("reference", "predicted")]
            count = self._count(table, "count", f"{where}, [[set.error]]")
            if count is None:
                self._fail(f"{where}: an error without count", "write count = 2")
                continue
            for label in pair:
                if label.lower() not in known:
                    stranger = f"{where}: error names {label!r}, which is not a class"
                    self._fail(stranger, f"the classes are {list(classes)}")
            if pair[0].lower() == pair[1].lower():
                self._fail(f"{where}: {pair[0]!r} predicted {pair[1]!r} is not an error", "leave it out")
            cells.append((known[pair[0].lower()], known[pair[1].lower()], count))
            places.append(self._place(pair[0]))
        if len({cell[:2] for cell in cells}) != len(cells):
            self._fail(f"{where}: one direction of error is stated twice", "state each pair once")
        return [Statement(name, Directions(tuple(sorted(cells)), only), tuple(places))] if cells else []

    def _pins(self, data: Mapping[str, Any]) -> tuple[Pin, ...]:
        pins = data.get("pins", {})
        if not isinstance(pins, dict):
            self._fail("pins is not a table", 'write [pins] and torch = "2.9.1"')
        for name, version in pins.items():
            if not isinstance(version, str) or not re.match(r"\d", version):
                self._fail(f"pins: {name} = {version!r}", 'a version is text such as "2.9.1"')
        return tuple(Pin(name.lower(), version, self._place(name)) for name, version in pins.items())

    # --- values ---------------------------------------------------------------------------------

    def _share(self, table: Mapping[str, Any], key: str, where: str) -> Printed | None:
        if key not in table:
            return None
        value = table[key]
        if not isinstance(value, str):
            self._fail(
                f"{where}: {key} = {value!r} is a number",
                f'write it as text, {key} = "0.9733": its decimals say how exact it is',
            )
        share = printed(value)
        if share is None:
            self._fail(f"{where}: {key} = {value!r} is not a plain number", 'write "0.9733" or "97.33%"')
            return None
        if share.value > 1:
            hint = f' If it is in percent, write "{value}%".' if "%" not in value and share.value <= 100 else ""
            self._fail(f"{where}: {key} = {value!r} is above 1", f"a share lies between 0 and 1.{hint}")
        return share

    def _count(self, table: Mapping[str, Any], key: str, where: str) -> int | None:
        if key not in table:
            return None
        value = table[key]
        if type(value) is not int:
            self._fail(f"{where}: {key} = {value!r} is not a count", f"write a whole number, {key} = 75")
        if value < 0:
            self._fail(f"{where}: {key} = {value} is negative", "a count is 0 or more")
        return int(value)

    def _text(self, table: Mapping[str, Any], key: str, where: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            self._fail(f"{where} needs {key} as text, found {value!r}", f'write {key} = "..."')
        return str(value).strip()

    def _list(self, table: Mapping[str, Any], key: str, kind: type, where: str) -> list[Any]:
        value = table.get(key, [])
        if not isinstance(value, list) or any(type(item) is not kind for item in value):
            self._fail(f"{where}: {key} = {value!r}", f"write a list of {'texts' if kind is str else 'whole numbers'}")
        return list(value)

    def _tables(self, table: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            head = "set" if key == "set" else f"set.{key}"
            self._fail(f"{where}: {key} is not a list of tables", f"write [[{head}]] above each one")
        return list(value)

    def _known(self, table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
        unknown = sorted(set(table) - set(keys))
        if unknown:
            self._fail(f"{where} has the unknown key {unknown[0]!r}", f"known are {', '.join(keys)}")

    def _place(self, words: str) -> Place:
        """The next line that holds these words; the file's first where none does."""
        for start in (self.at, 0):
            for number in range(start, len(self.lines)):
                if words in self.lines[number]:
                    self.at = number
                    return Place(self.file, number + 1, self.lines[number].strip())
        return Place(self.file, 1, "")

    def _fail(self, what: str, remedy: str) -> None:
        raise UnreadableReport(f"{self.file}: {what}; {remedy}.".replace("..", "."))


def _merged(statements: list[Statement]) -> list[Statement]:
    merged: dict[Content, Statement] = {}
    for statement in statements:
        before = merged.get(statement.content)
        places = statement.places if before is None else tuple(sorted({*before.places, *statement.places}))
        merged[statement.content] = Statement(statement.set, statement.content, places, statement.note)
    return list(merged.values())
