"""What does R's caret print of a confusion matrix? Its overall statistics as lines, those by class as a table.

The matrix itself stands in columns and is read as such (aligned_tables.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.claims.document import Table

_TITLE = "Confusion Matrix and Statistics"
_VALUE = re.compile(r"\s*(?P<name>[A-Z][\w .>'\[\]-]{2,40}?) : (?P<value>\S+)\s*")
_POSITIVE = re.compile(r"\s*'Positive' Class\s*:\s*(?P<name>.+?)\s*")
_OF_ALL = {"Accuracy": "Accuracy", "Kappa": "Cohen's kappa", "Balanced Accuracy": "Balanced accuracy"}
_OF_CLASS = ("Sensitivity", "Specificity", "Pos Pred Value", "Neg Pred Value")
_HEAD = ("Class", "sensitivity", "specificity", "PPV", "NPV")
_BY_CLASS = re.compile(r"\s*(?:Class: \S.*?)(?:\s+Class: \S.*?)+\s*")
_MOST_LINES = 120
_SHARE = re.compile(r"[01](?:\.\d+)?")


def statistics_at(lines: Sequence[str], start: int) -> tuple[list[tuple[int, str]], list[Table], set[int]]:
    """The overall statistics as sentences, tables of the classes, and the indexes of their lines; nothing where this
    line is not caret's title."""
    if lines[start].strip() != _TITLE:
        return [], [], set()
    said: list[tuple[int, str]] = []
    values: dict[str, tuple[int, str]] = {}
    tables: list[Table] = []
    taken: set[int] = {start}
    names: list[str] = []
    positive = ""
    for k in range(start + 1, min(start + _MOST_LINES, len(lines))):
        line = lines[k]
        if line.strip() == _TITLE or line.lstrip().startswith(("#", "```")):
            break
        if (match := _POSITIVE.fullmatch(line)) is not None:
            positive = match["name"]
        elif (match := _VALUE.fullmatch(line)) is not None:
            values[match["name"].strip()] = (k + 1, match["value"])
        elif _BY_CLASS.fullmatch(line):
            tables += _by_class(lines, k, taken)
            continue
        elif not names and line.split()[:1] == ["Prediction"]:
            names = line.split()[1:]
            continue
        else:
            continue
        taken.add(k)
    for name, spoken in _OF_ALL.items():
        if name in values and _SHARE.fullmatch(values[name][1]):
            said.append((values[name][0], f"{spoken}: {values[name][1]}"))
    if positive and len(names) == 2 and positive in names:
        tables += _of_two(values, positive, next(name for name in names if name != positive))
    return said, tables, taken


def _by_class(lines: Sequence[str], head: int, taken: set[int]) -> list[Table]:
    """One row a class of what caret prints one column a class."""
    names = [name.strip() for name in re.split(r"Class: ", lines[head])[1:]]
    found: dict[str, list[str]] = {}
    at = head + 1
    while at < len(lines) and lines[at].strip():
        words = lines[at].split()
        label, values = " ".join(words[: -len(names)]), words[-len(names) :]
        if not label or not all(_SHARE.fullmatch(value) or value in ("NA", "NaN") for value in values):
            break
        found[label] = values
        at += 1
    if not set(_OF_CLASS) <= found.keys():
        return []
    taken.update(range(head, at))
    cells = [(name, *(found[label][k] for label in _OF_CLASS)) for k, name in enumerate(names)]
    return [Table(head + 1, "", _HEAD, tuple((head + 1, row) for row in cells), None)]


def _of_two(values: Mapping[str, tuple[int, str]], positive: str, negative: str) -> list[Table]:
    """Of two classes what is the sensitivity of one is the specificity of the other."""
    if not all(label in values and _SHARE.fullmatch(values[label][1]) for label in _OF_CLASS):
        return []
    line = values[_OF_CLASS[0]][0]
    right, other, ppv, npv = (values[label][1] for label in _OF_CLASS)
    rows = ((line, (positive, right, other, ppv, npv)), (line, (negative, other, right, npv, ppv)))
    return [Table(line, "", _HEAD, rows, None)]
