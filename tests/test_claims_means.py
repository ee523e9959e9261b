"""Means of folds, classes and models, and classes in lists: drawn from numbers, honest and with one changed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from claims_reports import draw_matrix, numbers_of, written

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown

CLASSES = ("amber", "birch", "cedar", "delta")


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def shares(rng: np.random.Generator, n: int) -> list[Fraction]:
    return [Fraction(int(x), 1000) for x in rng.integers(700, 990, n)]


def pipe(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n"


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_mean_of_each_model_over_classes(seed, is_turned):
    rng = np.random.default_rng(seed)
    columns = [shares(rng, len(CLASSES)) for _ in range(3)]
    means = [sum(column, Fraction(0)) / len(column) for column in columns]
    table = [["Recall", "CNN", "ViT", "SVM"]]
    table += [[name, *(written(column[k], 3) for column in columns)] for k, name in enumerate(CLASSES)]
    table.append(["Mean", *(written(mean, 3) for mean in means)])

    def report(rows: list[list[str]]) -> str:
        rows = [list(row) for row in zip(*rows, strict=True)] if is_turned else rows
        return "Recall by class\n\n" + pipe(rows[0], rows[1:])

    assert audited(report(table)).exit_code == 0
    for k in range(1, 4):
        wrong = [list(row) for row in table]
        wrong[-1][k] = written(means[k - 1] - Fraction(1, 20), 3)
        assert audited(report(wrong)).exit_code == 1


def test_a_mean_that_may_be_weighted_is_told_and_not_judged():
    rows = [["amber", "0.900"], ["birch", "0.800"], ["Mean", "0.887"]]
    assert audited("F1 by class\n\n" + pipe(["Class", "CNN"], rows)).exit_code == 3
    rows[-1][0] = "Macro average"
    assert audited("F1 by class\n\n" + pipe(["Class", "CNN"], rows)).exit_code == 1
    areas = [["amber", "0.900"], ["birch", "0.800"], ["Macro average", "0.887"]]
    assert audited(pipe(["Class", "AUC"], areas)).exit_code == 3  # of the mean curve


SENTENCES = (
    "Five-fold cross-validation gave accuracies of {}, {}, {}, {} and {} (mean {}).",
    "Accuracy by fold: {}, {}, {}, {}, {}. Mean accuracy: {}.",
    "Over the runs the accuracy was {}, {}, {}, {}, and {}, with an average of {}.",
    "The folds reach [{} {} {} {} {}], on average {}.",
)


@pytest.mark.parametrize("is_percent", [False, True])
@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_mean_of_folds_in_a_sentence(sentence, is_percent):
    rng = np.random.default_rng(len(sentence))
    folds = shares(rng, 5)
    mean = sum(folds, Fraction(0)) / 5

    def said(share: Fraction) -> str:
        return f"{written(100 * share, 1)}%" if is_percent else written(share, 3)

    assert audited(sentence.format(*map(said, folds), said(mean))).exit_code == 0
    assert audited(sentence.format(*map(said, folds), said(mean - Fraction(3, 100)))).exit_code == 1
    folds[2] -= Fraction(1, 5)
    assert audited(sentence.format(*map(said, folds), said(mean))).exit_code == 1


@pytest.mark.parametrize(
    "text",
    [
        "The folds reach 0.91, 0.92 and 0.93, the weighted mean is 0.99.",
        "Learning rates of 0.1, 0.2 and 0.3 were tried; a mean of 0.9 epochs.",
        "Folds 0.91, 0.92, 0.93 of model A and 0.81, 0.82, 0.83 of model B, on average 0.99 for both.",
        "The folds reach 91 %, 92 % and 93 %, mean 0.70.",
    ],
)
def test_a_mean_of_something_else_is_none(text):
    assert not audited(text).findings


LISTS = {
    "list": ("Per-class results:\n\n", "- **{0}**: precision {1}, recall {2}, F1 {3} (n = {4})\n"),
    "letters": ("Results by class\n\n", "* {0} - P: {1} / R: {2} / F1: {3}\n"),
    "sections": ("# Every class\n\n", "### {0}\n\n- Precision: {1}\n- Recall: {2}\n- F1-score: {3}\n\n"),
}


@pytest.mark.parametrize("form", LISTS)
@pytest.mark.parametrize("seed", range(4))
def test_classes_in_a_list_are_rows_of_a_table(form, seed):
    rng = np.random.default_rng(seed)
    numbers = numbers_of(draw_matrix(rng, most_classes=6, most_cells=900) + 3, 3, rng)
    above, line = LISTS[form]
    rows = [[name, *row] for name, row in zip(numbers.names, numbers.rows, strict=True)]
    # without supports more matrices fit than are searched
    assert audited(above + "".join(line.format(*row) for row in rows)).exit_code in ((0,) if form == "list" else (0, 3))
    for k in (1, 2, 3):
        wrong = [list(row) for row in rows]
        value = Fraction(wrong[0][k])
        wrong[0][k] = written(value - Fraction(1, 8) if value > Fraction(1, 2) else value + Fraction(1, 8), 3)
        assert audited(above + "".join(line.format(*row) for row in wrong)).exit_code == 1


def test_models_in_a_list_are_no_classes():
    text = "- ResNet-50: precision 0.90, recall 0.80, F1 0.83\n- VGG16: precision 0.91, recall 0.82, F1 0.85\n"
    assert audited(text).exit_code == 3


def test_a_title_of_class_balance_makes_no_classes():
    rows = "- Balanced: precision 0.78, recall 0.77, F1 0.76\n- Original: precision 0.76, recall 0.77, F1 0.75\n"
    assert audited(f"Results by class balance:\n\n{rows}").exit_code == 3
    assert audited(f"Results by class:\n\n{rows}").exit_code == 1
