"""Honest reports for the claims audit, drawn from confusion matrices and printed in the forms that people use.

What is printed comes from the matrix alone. The witness of `is_impossible` shares no code with the audit: it puts the
printed numbers to scipy's integer programming.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np
from claims_drawn import DRAWINGS, Drawing
from scipy.optimize import Bounds, LinearConstraint, milp

NAMES = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jade", "knoll", "larch")


@dataclass(frozen=True)
class Numbers:
    """The numbers of one classification report as text: rows (precision, recall, F1, support), accuracy, averages."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, str, str, str], ...]
    accuracy: str
    total: str
    macro: tuple[str, str, str]
    weighted: tuple[str, str, str]
    matrix: tuple[tuple[int, ...], ...]
    decimals: int


def draw_matrix(rng: np.random.Generator, *, most_classes: int = 60, most_cells: int = 50_000) -> np.ndarray:
    """2 to 60 classes, 20 to 50,000 cells, balanced or not, good or bad."""
    few, some = rng.random() < 0.4, rng.random() < 0.7
    k = 2 if few else int(rng.integers(3, 11)) if some else int(rng.integers(11, max(12, most_classes + 1)))
    k = min(k, most_classes)
    n = max(20, 2 * k, int(np.exp(rng.uniform(np.log(20), np.log(most_cells)))))
    shares = rng.dirichlet(np.full(k, rng.choice([0.7, 3.0, 50.0])))
    supports = np.maximum(1, rng.multinomial(n, shares))
    right = np.clip(rng.normal(rng.uniform(0.5, 0.99), 0.1, size=k), 0.02, 1.0)
    matrix = np.zeros((k, k), dtype=int)
    for i in range(k):
        elsewhere = rng.dirichlet(np.full(k, 0.8))
        elsewhere[i] = 0
        chances = elsewhere / elsewhere.sum() * (1 - right[i])
        chances[i] = 1 - chances.sum()
        matrix[i] = rng.multinomial(supports[i], np.clip(chances, 0, 1))
    return matrix


def written(share: Fraction, decimals: int) -> str:
    scaled = share * 10**decimals
    units = round(scaled)  # half to even, as Python and NumPy print
    digits = str(units).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def numbers_of(matrix: np.ndarray, decimals: int, rng: np.random.Generator) -> Numbers:
    k, n = len(matrix), int(matrix.sum())
    supports, predicted = [int(s) for s in matrix.sum(axis=1)], [int(q) for q in matrix.sum(axis=0)]
    shares = []
    for i in range(k):
        t, s, q = int(matrix[i, i]), supports[i], predicted[i]
        pairs = ((t, q), (t, s), (2 * t, s + q))
        shares.append([Fraction(a, b) if b else Fraction(0) for a, b in pairs])
    macro = [sum((row[m] for row in shares), Fraction(0)) / k for m in range(3)]
    weighted = [sum((row[m] * s for row, s in zip(shares, supports, strict=True)), Fraction(0)) / n for m in range(3)]
    words = list(rng.permutation(NAMES))
    names = [str(words[i % len(words)]) + ("" if i < len(words) else str(i)) for i in range(k)]
    rows = tuple(
        (*(written(share, decimals) for share in row), str(s)) for row, s in zip(shares, supports, strict=True)
    )
    return Numbers(
        tuple(names),
        rows,
        written(Fraction(int(np.trace(matrix)), n), decimals),
        str(n),
        tuple(written(share, decimals) for share in macro),
        tuple(written(share, decimals) for share in weighted),
        tuple(tuple(int(cell) for cell in row) for row in matrix),
        decimals,
    )


# --- forms ------------------------------------------------------------------------------------------


def as_text(numbers: Numbers) -> str:
    """scikit-learn's classification_report."""
    width = max(len("weighted avg"), *(len(name) for name in numbers.names))
    head = " " * width + "  precision    recall  f1-score   support\n\n"
    lines = [
        f"{name:>{width}} {row[0]:>10} {row[1]:>9} {row[2]:>9} {row[3]:>9}\n"
        for name, row in zip(numbers.names, numbers.rows, strict=True)
    ]
    rest = f"\n{'accuracy':>{width}} {'':>10} {'':>9} {numbers.accuracy:>9} {numbers.total:>9}\n"
    for name, average in (("macro avg", numbers.macro), ("weighted avg", numbers.weighted)):
        rest += f"{name:>{width}} {average[0]:>10} {average[1]:>9} {average[2]:>9} {numbers.total:>9}\n"
    return head + "".join(lines) + rest


def fenced(numbers: Numbers) -> str:
    return f"```\n{as_text(numbers)}```\n"


def indented(numbers: Numbers) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in as_text(numbers).split("\n"))


def _lines(numbers: Numbers) -> list[list[str]]:
    rows = [[name, *row] for name, row in zip(numbers.names, numbers.rows, strict=True)]
    rows.append(["accuracy", "", "", numbers.accuracy, numbers.total])
    rows.append(["macro avg", *numbers.macro, numbers.total])
    return [*rows, ["weighted avg", *numbers.weighted, numbers.total]]


def piped(numbers: Numbers, *, head: str = "Class") -> str:
    lines = [f"| {head} | Precision | Recall | F1-score | Support |", "|:--|--:|--:|--:|--:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in _lines(numbers))]) + "\n"


def percents(numbers: Numbers) -> str:
    def cell(text: str) -> str:
        if "." not in text:
            return text
        moved = text.replace(".", "")
        at = len(text.split(".")[0]) + 2
        whole, rest = moved[:at].lstrip("0") or "0", moved[at:]
        return f"{whole}.{rest}%" if rest else f"{whole}%"

    lines = ["| Species | Precision | Recall | F1 | Support |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(cell, row))} |" for row in _lines(numbers))]) + "\n"


def floats(numbers: Numbers) -> str:
    """What pandas prints of classification_report(output_dict=True), transposed: counts are floats."""
    lines = ["|              | precision | recall | f1-score | support |", "|---|---|---|---|---|"]
    for row in _lines(numbers):
        cells = [f"{cell}.0" if cell and "." not in cell else cell for cell in row[1:]]
        if row[0] == "accuracy":
            cells = [row[3]] * 4
        lines.append(f"| {row[0]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def transposed(numbers: Numbers) -> str:
    rows = [row for row in _lines(numbers) if row[0] != "accuracy"]
    lines = [f"| Metric | {' | '.join(row[0] for row in rows)} |", "|---" * (len(rows) + 1) + "|"]
    for k, name in enumerate(("Precision", "Recall", "F1-score", "Support"), 1):
        lines.append(f"| {name} | {' | '.join(row[k] for row in rows)} |")
    return "\n".join(lines) + f"\n\nAccuracy: {numbers.accuracy}\n"


def in_html(numbers: Numbers) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("Label", "Precision", "Recall", "F1", "Support"))
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in _lines(numbers))
    return f"<table><tr>{head}</tr>\n{body}</table>\n"


def with_matrix(numbers: Numbers) -> str:
    names = " | ".join(numbers.names)
    lines = [f"| true \\ predicted | {names} |", "|---" * (len(numbers.names) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(map(str, row))} |" for name, row in zip(numbers.names, numbers.matrix, strict=True)
    ]
    return f"{piped(numbers)}\n" + "\n".join(lines) + "\n"


def in_json(numbers: Numbers) -> str:
    """classification_report(output_dict=True), rounded; every number keeps its digits."""

    def entry(name: str, row: tuple[str, ...], support: str) -> str:
        shares = ", ".join(f'"{k}": {cell}' for k, cell in zip(("precision", "recall", "f1-score"), row, strict=True))
        return f'  "{name}": {{{shares}, "support": {support}}}'

    made = [entry(name, row[:3], row[3]) for name, row in zip(numbers.names, numbers.rows, strict=True)]
    made.append(f'  "accuracy": {numbers.accuracy}')
    made.append(entry("macro avg", numbers.macro, numbers.total))
    made.append(entry("weighted avg", numbers.weighted, numbers.total))
    return "```json\n{\n" + ",\n".join(made) + "\n}\n```\n"


def drawn(draw: Drawing, numbers: Numbers) -> str:
    return draw(("Class", "Precision", "Recall", "F1-score", "Support"), _lines(numbers))


FORMS: dict[str, Callable[[Numbers], str]] = {
    "text, fenced": fenced,
    "text, bare": as_text,
    "text, indented": indented,
    "pipe table": piped,
    "other head": lambda numbers: piped(numbers, head="Crop"),
    "percent": percents,
    "pandas floats": floats,
    "transposed": transposed,
    "HTML table": in_html,
    "with matrix": with_matrix,
    "JSON": in_json,
    **{name: partial(drawn, draw) for name, draw in DRAWINGS.items()},
}


# --- one changed digit --------------------------------------------------------------------------------


def plant(numbers: Numbers, rng: np.random.Generator) -> Numbers:
    """The same numbers with one digit of one of them changed."""
    k = len(numbers.names)
    where = int(rng.integers(0, 4 * k + 7))
    if where < 4 * k:
        i, column = divmod(where, 4)
        row = list(numbers.rows[i])
        row[column] = changed(row[column], rng)
        rows = list(numbers.rows)
        rows[i] = tuple(row)
        return replace(numbers, rows=tuple(rows))
    where -= 4 * k
    if where == 6:
        return replace(numbers, accuracy=changed(numbers.accuracy, rng))
    name = "macro" if where < 3 else "weighted"
    average = list(getattr(numbers, name))
    average[where % 3] = changed(average[where % 3], rng)
    return replace(numbers, **{name: tuple(average)})


def changed(text: str, rng: np.random.Generator) -> str:
    """One digit changed, so that it is another share (or count, of no fewer digits)."""
    first = text.index(".") + 1 if "." in text else 0
    at = int(rng.integers(first, len(text)))
    digits = [d for d in "0123456789" if d != text[at] and not (at == 0 and d == "0" and "." not in text)]
    new = text[:at] + str(rng.choice(digits)) + text[at + 1 :]
    return new if float(new) <= 1 or "." not in new else "0" + new[1:]


# --- the witness ----------------------------------------------------------------------------------------


def band(text: str) -> tuple[float, float]:
    unit = 10.0 ** -len(text.split(".")[1])
    return max(0.0, float(text) - unit / 2), min(1.0, float(text) + unit / 2)


def is_impossible(numbers: Numbers, *, seconds: float = 20.0) -> bool:
    """Whether no right and predicted counts print these numbers, by integer programming.

    Averages of precision and F1 are not linear: of those only the averages of the printed ends count.
    """
    k, n = len(numbers.names), int(numbers.total)
    supports = [int(row[3]) for row in numbers.rows]
    if sum(supports) != n:
        return True
    for average, weights in ((numbers.macro, [1] * k), (numbers.weighted, supports)):
        for m in range(3):
            ends = [band(row[m]) for row in numbers.rows]
            low, high = (sum(w * e[x] for w, e in zip(weights, ends, strict=True)) / sum(weights) for x in (0, 1))
            wanted = band(average[m])
            harmonic = _harmonic_fits(average) if m == 2 else False
            if (low > wanted[1] + 1e-9 or high < wanted[0] - 1e-9) and not harmonic:
                return True
    lines: list[np.ndarray] = []
    lows: list[float] = []
    highs: list[float] = []

    def ask(coefficients: dict[int, float], low: float, high: float) -> None:
        line = np.zeros(2 * k)
        for at, value in coefficients.items():
            line[at] = value
        lines.append(line)
        lows.append(low)
        highs.append(high)

    for i, row in enumerate(numbers.rows):
        t, q, s = i, k + i, supports[i]
        low, high = band(row[1])
        ask({t: 1}, low * s, high * s)
        low, high = band(row[0])
        ask({t: 1, q: -low}, 0, np.inf)
        ask({t: 1, q: -high}, -np.inf, 0)
        low, high = band(row[2])
        ask({t: 2, q: -low}, low * s, np.inf)
        ask({t: 2, q: -high}, -np.inf, high * s)
        ask({q: 1, t: -1}, 0, n - s)
        # misses and false alarms of a class are at most all errors
        ask({**dict.fromkeys(range(k), 1.0), t: -1.0, q: 1.0}, -np.inf, n - s)
    ask({k + i: 1 for i in range(k)}, n, n)
    low, high = band(numbers.accuracy)
    ask(dict.fromkeys(range(k), 1), low * n, high * n)
    low, high = band(numbers.weighted[1])
    ask(dict.fromkeys(range(k), 1), low * n, high * n)
    low, high = band(numbers.macro[1])
    ask({i: 1 / s for i, s in enumerate(supports) if s}, low * k, high * k)
    slack = 1e-9
    found = milp(
        np.zeros(2 * k),
        constraints=LinearConstraint(np.array(lines), np.array(lows) - slack, np.array(highs) + slack),
        integrality=np.ones(2 * k),
        bounds=Bounds(0, np.array([*supports, *([n] * k)])),
        options={"time_limit": seconds},
    )
    return bool(found.status == 2)


def _harmonic_fits(average: tuple[str, str, str]) -> bool:
    """The audit takes the harmonic mean of the averages for an F1 of averages: some print that."""
    (p0, p1), (r0, r1), (f0, f1) = (band(text) for text in average)
    low, high = (2 * p * r / (p + r) if p + r else 0.0 for p, r in ((p0, r0), (p1, r1)))
    return low <= f1 and f0 <= high


# --- whole reports --------------------------------------------------------------------------------------


def alone(numbers: Numbers, form: str) -> str:
    return f"# Results\n\n{FORMS[form](numbers)}"


def several(all_numbers: list[Numbers], forms: list[str], rng: np.random.Generator) -> str:
    """Reports one after another: models under headings, sets under headings, folds, or with nothing but a bold line."""
    titles = (
        ("## ResNet-50", "## EfficientNet-B0", "## ViT-B/16"),
        ("## Training set", "## Validation set", "## Test set"),
        ("### Fold 1", "### Fold 2", "### Fold 3"),
        ("**Before tuning**", "**After tuning**", "**With TTA**"),
        ("Model one", "Model two", "Model three"),
    )[int(rng.integers(0, 5))]
    made = "# Test results\n\n"
    for numbers, form, title in zip(all_numbers, forms, titles, strict=False):
        made += f"{title}\n\n"
        if rng.random() < 0.5:
            made += f"Accuracy: {numbers.accuracy}\n\n"
        made += FORMS[form](numbers) + "\n"
    return made
