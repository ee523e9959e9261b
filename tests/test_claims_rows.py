"""Counts in a row and the shares beside them, whatever the row is: a model, a class, a fold, a site."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from claims_reports import written
from sklearn import metrics

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown

SEEDS = range(3)
MODELS = ("LR", "RF", "MLP")
SCORES = ("Precision", "Sensitivity", "F1", "Specificity", "NPV", "Accuracy", "MCC", "Kappa")


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def answers(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.random(300) < 0.4
    return truth, np.where(rng.random(300) < 0.88, truth, ~truth)


def scores(truth: np.ndarray, called: np.ndarray) -> list[str]:
    """As scikit-learn computes them; a second witness for the formulas."""
    made = [
        metrics.precision_score(truth, called),
        metrics.recall_score(truth, called),
        metrics.f1_score(truth, called),
        metrics.recall_score(~truth, ~called),
        metrics.precision_score(~truth, ~called),
        metrics.accuracy_score(truth, called),
        metrics.matthews_corrcoef(truth, called),
        metrics.cohen_kappa_score(truth, called),
    ]
    return [written(Fraction(float(share)), 3) for share in made]


def lines(head: list[str], rows: list[list[str]]) -> str:
    return "# Screening\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def drawn(seed: int) -> list[list[str]]:
    rng, rows = np.random.default_rng(seed), []
    for name in MODELS:
        truth, called = answers(rng)
        counts = [(truth & called).sum(), (~truth & called).sum(), (truth & ~called).sum(), (~truth & ~called).sum()]
        rows.append([name, *map(str, counts), *scores(truth, called)])
    return rows


HEAD = ["Model", "TP", "FP", "FN", "TN", *SCORES]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("column", range(5, 13))
@pytest.mark.parametrize("is_turned", [False, True])
def test_every_score_is_held_against_the_counts_of_its_row(seed, column, is_turned):
    def report(rows: list[list[str]]) -> str:
        table = [HEAD, *rows]
        if is_turned:
            table = [list(row) for row in zip(*table, strict=True)]
        return lines(table[0], table[1:])

    rows = drawn(seed)
    assert not audited(report(rows)).findings
    assert audited(report(rows)).counts[0] >= 3 * len(SCORES)
    rows[1][column] = written(Fraction(rows[1][column]) - Fraction(5, 100), 3)
    wrong = audited(report(rows))
    assert (wrong.exit_code, len(wrong.findings)) == (1, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_of_another_average_are_told_and_not_judged(seed):
    rng, rows = np.random.default_rng(seed), []
    for name in MODELS:
        truth, called = answers(rng)
        counts = [(truth & called).sum(), (~truth & called).sum(), (truth & ~called).sum(), (~truth & ~called).sum()]
        share = metrics.precision_score(truth, called, average="weighted")
        rows.append([name, *map(str, counts), written(Fraction(float(share)), 4)])
    result = audited(lines([*HEAD[:5], "Precision"], rows))
    assert result.exit_code == 3
    assert not result.findings


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("exchanged", [False, True])
def test_the_other_answer_may_be_the_positive_one(seed, exchanged):
    rng, rows = np.random.default_rng(seed), []
    for name in MODELS:
        truth, called = answers(rng)
        counts = [(truth & called).sum(), (~truth & called).sum(), (truth & ~called).sum(), (~truth & ~called).sum()]
        share = metrics.recall_score(~truth if exchanged else truth, ~called if exchanged else called)
        rows.append([name, *map(str, counts), written(Fraction(float(share)), 4)])
    assert not audited(lines([*HEAD[:5], "Sensitivity"], rows)).findings


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("head", ["Model", "Lesion", "Fold", "Site", "Reader", "Age group"])
@pytest.mark.parametrize("word", ["Correct", "Errors", "Misclassified"])
def test_right_of_all_and_their_accuracy(head, word, seed):
    rng, rows = np.random.default_rng(seed), []
    for k in range(4):
        n = int(rng.integers(60, 400))
        right = int(n * rng.uniform(0.7, 0.95))
        rows.append([f"part {k}", str(right if word == "Correct" else n - right), str(n), f"{right / n:.4f}"])
    heads = [head, word, "Total", "Accuracy"]
    assert not audited(lines(heads, rows)).findings
    assert audited(lines(heads, rows)).counts[0] > 0
    rows[2][1] = str(int(rows[2][1]) + 3)
    assert audited(lines(heads, rows)).exit_code == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_of_the_whole_adds_up_where_its_totals_do(seed):
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(60, 400, size=4)]
    right = [int(n * rng.uniform(0.7, 0.95)) for n in sizes]

    def report(more: int) -> str:
        rows = [
            [f"Lesion {k}", str(r), str(n), f"{r / n:.4f}"] for k, (r, n) in enumerate(zip(right, sizes, strict=True))
        ]
        total = sum(right) + more
        rows.append(["Overall", str(total), str(sum(sizes)), f"{total / sum(sizes):.4f}"])
        return lines(["Lesion", "Correct", "Total", "Accuracy"], rows)

    assert not audited(report(0)).findings
    assert audited(report(5)).exit_code == 1


def test_groups_that_overlap_need_not_add_up():
    rows = [["young", "54", "60", "0.9000"], ["old", "32", "40", "0.8000"], ["female", "44", "50", "0.8800"]]
    rows.append(["Overall", "86", "100", "0.8600"])
    assert not audited(lines(["Group", "Correct", "Total", "Accuracy"], rows)).findings


def margins(seed: int, changed: tuple[int, int] | None, *, is_turned: bool = False) -> str:
    """A matrix with its sums, and the recall and the precision of each class, right of it and below."""
    counts = np.random.default_rng(seed).integers(1, 9, size=(3, 3)) + np.diag([40, 50, 60])
    lanes = counts.T if is_turned else counts
    rows = [
        [*map(str, lane), str(lane.sum()), written(Fraction(100 * int(lane[k]), int(lane.sum())), 1)]
        for k, lane in enumerate(lanes)
    ]
    rows.append([*map(str, lanes.sum(axis=0)), str(lanes.sum()), ""])
    rows.append([*(written(Fraction(100 * int(lanes[k, k]), int(lanes[:, k].sum())), 1) for k in range(3)), "", ""])
    if changed is not None:
        row, at = changed
        rows[row][at] = (
            str(int(rows[row][at]) + 4) if "." not in rows[row][at] else written(Fraction(rows[row][at]) - 5, 1)
        )
    one, two = ("Precision (%)", "Recall (%)") if is_turned else ("Recall (%)", "Precision (%)")
    corner = "Predicted / True" if is_turned else "True / Predicted"
    named = [[name, *row] for name, row in zip(["alpha", "beta", "gamma", "Total", two], rows, strict=True)]
    return lines([corner, "alpha", "beta", "gamma", "Total", one], named)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("is_turned", [False, True])
def test_what_stands_around_a_matrix_is_held_against_it(seed, is_turned):
    right = audited(margins(seed, None, is_turned=is_turned))
    assert not right.findings
    assert right.counts[0] >= 6
    for changed in ((0, 3), (1, 4), (3, 2), (3, 3), (4, 0), (2, 4)):
        assert audited(margins(seed, changed, is_turned=is_turned)).exit_code == 1, changed
