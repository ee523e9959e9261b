"""What Weka, caret and pandas print of a confusion matrix: drawn from numbers, honest and with one changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest
from claims_drawn import DRAWINGS
from claims_reports import draw_matrix, written
from effort import examples

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown
from harness.claims.printed import take_printed

FEW = np.array([[40, 6, 4], [5, 61, 4], [2, 3, 55]])


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


@dataclass
class Printer:
    """Prints numbers, the one in place `wrong` changed by far more than rounding."""

    wrong: int | None = None
    printed: list[str] = field(default_factory=list)

    def share(self, value: Fraction, decimals: int) -> str:
        if len(self.printed) == self.wrong:
            value = value - Fraction(1, 5) if value > Fraction(1, 2) else value + Fraction(1, 5)
        self.printed.append(written(value, decimals))
        return self.printed[-1]

    def count(self, n: int) -> str:
        self.printed.append(str(n + (3 if len(self.printed) == self.wrong else 0)))
        return self.printed[-1]

    def percent(self, value: Fraction, decimals: int) -> str:
        """Without its sign."""
        if len(self.printed) == self.wrong:
            value = value - Fraction(1, 5) if value > Fraction(1, 2) else value + Fraction(1, 5)
        self.printed.append(written(value * 100, decimals))
        return self.printed[-1]


def kappa(matrix: np.ndarray) -> Fraction:
    n = int(matrix.sum())
    chance = Fraction(int((matrix.sum(axis=0) * matrix.sum(axis=1)).sum()), n * n)
    return (Fraction(int(np.trace(matrix)), n) - chance) / (1 - chance)


def over(a: int, b: int) -> Fraction:
    return Fraction(int(a), int(b)) if b else Fraction(0)


def weka(matrix: np.ndarray, names: Sequence[str], put: Printer) -> str:
    n, right, k = int(matrix.sum()), int(np.trace(matrix)), len(matrix)
    text = (
        "=== Summary ===\n\n"
        f"Correctly Classified Instances      {put.count(right):>8}     {put.percent(over(right, n), 4):>9} %\n"
        f"Incorrectly Classified Instances    {put.count(n - right):>8}     {put.percent(over(n - right, n), 4):>9} %\n"
        f"Kappa statistic                     {put.share(kappa(matrix), 4):>8}\n"
        "Mean absolute error                   0.0353\n"
        f"Total Number of Instances           {put.count(n):>8}\n\n=== Detailed Accuracy By Class ===\n\n"
        "                 TP Rate  FP Rate  Precision  Recall   F-Measure  MCC      ROC Area  PRC Area  Class\n"
    )
    for i in range(k):
        t, s, q = int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum())
        recall = put.share(over(t, s), 3)
        cells = [recall, written(over(q - t, n - s), 3), put.share(over(t, q), 3), put.share(over(t, s), 3)]
        cells += [put.share(over(2 * t, s + q), 3), "0.700", "0.971", "0.950"]
        text += f"                 {'    '.join(cells)}    {names[i]}\n"
    letters = "abcdefghijkl"[:k]
    text += f"\n=== Confusion Matrix ===\n\n {'   '.join(letters)}   <-- classified as\n"
    for i in range(k):
        text += f" {' '.join(put.count(int(cell)) for cell in matrix[i])} |  {letters[i]} = {names[i]}\n"
    return text


def caret(matrix: np.ndarray, names: Sequence[str], put: Printer) -> str:
    """R's columns: the names left, numbers right."""
    n, k = int(matrix.sum()), len(matrix)
    rows = [[names[j], *(put.count(int(matrix[i, j])) for i in range(k))] for j in range(k)]
    text = (
        f"Confusion Matrix and Statistics\n\n          Reference\n{DRAWINGS['columns'](['Prediction', *names], rows)}"
    )
    text += "\nOverall Statistics\n\n"
    text += f"               Accuracy : {put.share(over(np.trace(matrix), n), 4)}\n"
    text += "                 95% CI : (0.01, 0.9999)\n"
    text += f"    No Information Rate : 0.5000\n\n                  Kappa : {put.share(kappa(matrix), 4)}\n\n"
    supports, called, right = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    rest = n - supports - called + right
    shares = {
        "Sensitivity": (right, supports),
        "Specificity": (rest, n - supports),
        "Pos Pred Value": (right, called),
        "Neg Pred Value": (rest, n - called),
    }
    if k == 2:
        labels = [f"            {name} : {put.share(over(a[0], b[0]), 4)}\n" for name, (a, b) in shares.items()]
        return text + "".join(labels) + f"\n       'Positive' Class : {names[0]}\n"
    table = [[name, *(put.share(over(x, y), 4) for x, y in zip(a, b, strict=True))] for name, (a, b) in shares.items()]
    return text + "Statistics by Class:\n\n" + DRAWINGS["columns"](["", *(f"Class: {name}" for name in names)], table)


def crosstab(matrix: np.ndarray, names: Sequence[str], put: Printer) -> str:
    rows = [
        [name, *map(put.count, map(int, row)), put.count(int(row.sum()))]
        for name, row in zip(names, matrix, strict=True)
    ]
    rows.append(["All", *(put.count(int(q)) for q in matrix.sum(axis=0)), str(int(matrix.sum()))])
    head, *body = DRAWINGS["columns"](["Predicted", *names, "All"], rows).split("\n")
    return "\n".join([head, "Actual", *body])


PROGRAMS: dict[str, Callable[[np.ndarray, Sequence[str], Printer], str]] = {
    "Weka": weka,
    "caret": caret,
    "pandas crosstab": crosstab,
}
FRAMES: dict[str, Callable[[str], str]] = {
    "alone": lambda text: text,
    "fenced": lambda text: f"# Results\n\nWe got:\n\n```r\n{text}```\n",
}


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_program_prints_holds_and_one_changed_number_is_found(program, frame):
    rng = np.random.default_rng(sum(map(ord, program + frame)))
    names = ["Stage I", "normal", "border case", "b2", "late", "other", "mixed", "early"]
    for _ in range(examples(24)):
        matrix = 1 + draw_matrix(rng, most_classes=8, most_cells=900)  # no share is undefined
        own = names[: len(matrix)] if program != "caret" or len(matrix) > 2 else ["ill", "healthy"]
        put = Printer()
        text = FRAMES[frame](PROGRAMS[program](matrix, own, put))
        honest = audited(text)
        assert honest.exit_code == 0, text
        assert honest.counts[0] > 1
        wrong = FRAMES[frame](PROGRAMS[program](matrix, own, Printer(int(rng.integers(len(put.printed))))))
        assert audited(wrong).exit_code == 1, wrong


@pytest.mark.slow
def test_every_number_of_a_small_matrix_is_checked():
    for program, print_ in PROGRAMS.items():
        put = Printer()
        print_(FEW, ["one", "two", "three"], put)
        for wrong in range(len(put.printed)):
            text = print_(FEW, ["one", "two", "three"], Printer(wrong))
            assert audited(text).exit_code == 1, (program, wrong, text)


def test_prose_lists_and_logs_are_no_tables():
    for text in (
        "We trained 3 models\nModel A was run 12 times\nModel B was run 14 times\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "Results\n-------\n\nA title and its rule.\n\n---\n\n- - -\n",
        "epoch  loss\n0.1 0.2\n",
        "+ an item\n+ another item\n",
        "A -- B ---- C\n",
    ):
        assert take_printed(text.split("\n")).tables == [], text


@pytest.mark.parametrize(
    "text",
    [
        "|===\n",
        "|===\n\n|===\n",
        "{|\n",
        "{|\n|}\n",
        "+--+\n",
        "+--+--+\n|a|b|\n",
        "== ==\n",
        ".. list-table::\n",
        ".. csv-table::\n   :header:\n",
        "Confusion Matrix and Statistics\n",
        "Correctly Classified Instances 1 2 %\n",
        " a b <-- classified as\n 1 2 | a = x\n",
        "TP Rate FP Rate Precision Recall F-Measure Class\n",
        "==  ==\n\n\n==  ==\n",
    ],
)
def test_a_table_that_breaks_off_is_none(text):
    assert take_printed(text.split("\n")).tables == []


def test_two_names_of_one_share_agree_or_one_is_wrong():
    head = "| Class | Precision | Sensitivity | Recall | F1 | Support |\n|---|---|---|---|---|---|\n"
    rest = "| b | 0.75 | 0.60 | 0.60 | 0.67 | 10 |\n"
    assert audited(head + "| a | 0.69 | 0.82 | 0.82 | 0.75 | 11 |\n" + rest).exit_code == 0
    wrong = audited(head + "| a | 0.69 | 0.82 | 0.91 | 0.75 | 11 |\n" + rest)
    assert "two names of one share" in wrong.findings[0].message


def test_a_warning_of_the_program_is_no_result():
    text = "x.py:1344: UndefinedMetricWarning: Precision is ill-defined and being set to 0.0 in labels.\n\n"
    report = DRAWINGS["columns"](
        ["", "precision", "recall", "f1-score", "support"],
        [["a", "0.69", "0.82", "0.75", "11"], ["b", "0.75", "0.60", "0.67", "10"]],
    )
    assert audited(f"{text}{report}accuracy: 0.71\n").exit_code == 0
    assert audited(f"{text}{report}accuracy: 0.62\n").exit_code == 1
