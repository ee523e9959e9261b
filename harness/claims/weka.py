"""What does the output of Weka print? Its summary as lines, its table by class and its matrix of letters as tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from harness.claims.document import Table
from harness.claims.records import printed

_SUMMARY = (
    (re.compile(r"\s*Correctly Classified Instances\s+(\d+)\s+(\d+(?:\.\d+)?)\s*%\s*"), True),
    (re.compile(r"\s*Incorrectly Classified Instances\s+(\d+)\s+(\d+(?:\.\d+)?)\s*%\s*"), False),
)
_TOTAL = re.compile(r"\s*Total Number of Instances\s+(\d+)\s*")
_KAPPA = re.compile(r"\s*Kappa statistic\s+(-?\d+(?:\.\d+)?)\s*")
_CLASS_HEAD = re.compile(r"\s*TP Rate\s+FP Rate\s+Precision\s+Recall\s+F-Measure\b(?P<more>.*?)\s+Class\s*")
_AVERAGE = re.compile(r"Weighted Avg\.\s+(.*)")
_LETTERS = re.compile(r"\s*((?:[a-z]+\s+)+)<-- classified as\s*")
_LETTER_ROW = re.compile(r"\s*((?:\d+\s+)+)\|\s+([a-z]+) = (.+?)\s*")
_HEAD = ("class", "TPR", "specificity", "precision", "recall", "F1")


def summary_at(lines: Sequence[str], start: int) -> tuple[list[tuple[int, str]], int]:
    """The lines of a summary as sentences, and the index after it; nothing where none begins.

    >>> summary_at(["Correctly Classified Instances 9 90 %", "Total Number of Instances 10"], 0)[0]
    [(1, 'Accuracy: 90 % (9/10)')]
    """
    if not any(pattern.fullmatch(lines[start]) for pattern, _ in _SUMMARY):
        return [], start
    end = next((k for k in range(start, min(start + 14, len(lines))) if _TOTAL.fullmatch(lines[k])), None)
    if end is None:
        return [], start
    total = _TOTAL.fullmatch(lines[end])
    n = total[1] if total else ""
    said: list[tuple[int, str]] = []
    for k in range(start, end):
        for pattern, is_right in _SUMMARY:
            if match := pattern.fullmatch(lines[k]):
                name = "Accuracy" if is_right else "Error rate"
                said.append((k + 1, f"{name}: {match[2]} % ({match[1]}/{n})"))
        if match := _KAPPA.fullmatch(lines[k]):
            said.append((k + 1, f"Cohen's kappa: {match[1]}"))
    return said, end + 1


def table_at(lines: Sequence[str], start: int) -> tuple[Table | None, int]:
    """The table by class or the matrix whose head is this line, and the index after it; (None, start) for neither."""
    if head := _CLASS_HEAD.fullmatch(lines[start]):
        return _by_class(lines, start, 5 + len(re.findall(r"MCC|ROC Area|PRC Area", head["more"])))
    if letters := _LETTERS.fullmatch(lines[start]):
        return _matrix(lines, start, letters[1].split())
    return None, start


def _by_class(lines: Sequence[str], start: int, n_values: int) -> tuple[Table | None, int]:
    rows: list[tuple[int, tuple[str, ...]]] = []
    at = start + 1
    while at < len(lines) and lines[at].strip():
        average = _AVERAGE.fullmatch(lines[at].strip())
        words = (average[1] if average else lines[at]).split()
        values, name = words[:n_values], "weighted avg" if average else " ".join(words[n_values:])
        if len(values) < n_values or not name or not all(re.fullmatch(r"[\d.]+|\?", value) for value in values):
            break
        right, alarms, precision, recall, f1 = ("" if value == "?" else value for value in values[:5])
        # One minus the weighted false positive rate is not the overall specificity.
        rows.append((at + 1, (name, right, "" if average else _rest(alarms), precision, recall, f1)))
        at += 1
    table = Table(start + 1, "", _HEAD, tuple(rows), None)
    return (table, at) if len(rows) > 1 else (None, start)


def _rest(share: str) -> str:
    """1 - x with the decimals of x: a false positive rate as a specificity."""
    value = printed(share)
    if value is None:
        return ""
    decimals = len(share.partition(".")[2])
    return f"{float(Fraction(1) - value.value):.{decimals}f}"


def _matrix(lines: Sequence[str], start: int, letters: list[str]) -> tuple[Table | None, int]:
    rows = list(_letter_rows(lines, start + 1, len(letters)))
    if len(rows) != len(letters) or [letter for _, letter, _ in rows] != letters:
        return None, start
    names = [cells[0] for *_, cells in rows]
    body = tuple((number, cells) for number, _, cells in rows)
    return Table(start + 1, "", ("actual \\ predicted", *names), body, None), rows[-1][0]


def _letter_rows(lines: Sequence[str], at: int, n: int) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    while at < len(lines) and (match := _LETTER_ROW.fullmatch(lines[at])) and len(match[1].split()) == n:
        yield at + 1, match[2], (match[3], *match[1].split())
        at += 1
