"""Shares that their own row or matrix decides: k/n, of a total, beside an error rate, in the cells of a matrix."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from claims_reports import written

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_data, read_markdown
from harness.claims.pages import read_html
from harness.claims.structured import of_json


def audited(text: str, *, html: bool = False) -> Audit:
    document = read_html(text) if html else read_markdown(text)
    return audit(extract(document, "report"), rounding="nearest", exists=lambda name: False)


def pipe(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n"


def percent(k: int, n: int, decimals: int = 1) -> str:
    return written(Fraction(100 * k, n), decimals)


@pytest.mark.parametrize("seed", range(4))
def test_a_share_beside_its_fraction(seed):
    rng = np.random.default_rng(seed)
    pairs = [(int(rng.integers(20, 60)), int(rng.integers(61, 90))) for _ in range(4)]
    rows = [[name, f"{k}/{n}", f"{percent(k, n)} (1.0-99.9)"] for name, (k, n) in zip("abcd", pairs, strict=True)]
    head = ["Measure", "n/N", "% (95 % CI)"]
    assert audited(pipe(head, rows)).exit_code == 0
    for r in range(4):
        k, n = pairs[r]
        for cells in ([f"{k - 3}/{n}", rows[r][2]], [f"{k}/{n}", f"{percent(k - 4, n)} (90.1-99.9)"]):
            wrong = [list(row) for row in rows]
            wrong[r][1:] = cells
            assert audited(pipe(head, wrong)).exit_code == 1


def test_a_column_that_is_no_share_of_the_fraction_is_left():
    rows = [["a", "40/50", "12.5"], ["b", "30/60", "31.0"]]
    assert not audited(pipe(["Model", "Correct", "Time (ms)"], rows)).findings
    counted = [["a", "300/300", "0"], ["b", "300/300", "0"], ["c", "299/300", "1"]]
    assert not audited(pipe(["Change", "Found", "False pairs"], counted)).findings


@pytest.mark.parametrize("seed", range(4))
def test_shares_of_a_total(seed):
    counts = [int(n) for n in np.random.default_rng(seed).integers(30, 200, 4)]
    total = sum(counts)
    rows = [[name, str(n), f"{percent(n, total)} %"] for name, n in zip("abcd", counts, strict=True)]
    rows.append(["Total", str(total), "100.0 %"])
    head = ["Class", "Images", "Share"]
    assert not audited(pipe(head, rows)).findings
    rows[1][2] = f"{percent(counts[1] + 12, total)} %"
    assert audited(pipe(head, rows)).exit_code == 1


def test_accuracy_and_error_rate_of_each_epoch():
    head = ["epoch", "train_loss", "accuracy", "error_rate"]
    rows = [["0", "0.9", "0.812345", "0.187655"], ["1", "0.4", "0.912345", "0.087655"]]
    assert audited(pipe(head, rows)).exit_code == 0
    rows[1][3] = "0.097655"
    assert audited(pipe(head, rows)).exit_code == 1


@pytest.mark.parametrize("of", ["row", "column", "all"])
def test_shares_in_the_cells_of_a_matrix(of):
    matrix = np.array([[40, 6, 4], [5, 61, 4], [2, 3, 55]])
    wholes = {
        "row": np.repeat(matrix.sum(axis=1), 3).reshape(3, 3),
        "column": np.tile(matrix.sum(axis=0), 3).reshape(3, 3),
        "all": np.full((3, 3), matrix.sum()),
    }[of]

    def report(counts: np.ndarray, shown: np.ndarray) -> str:
        rows = [
            [name, *(f"{counts[i, j]} ({percent(int(shown[i, j]), int(wholes[i, j]))}%)" for j in range(3))]
            for i, name in enumerate("xyz")
        ]
        return pipe(["True \\ Predicted", "x", "y", "z"], rows)

    assert audited(report(matrix, matrix)).exit_code != 1
    for i in range(3):
        for j in range(3):
            other = matrix.copy()
            other[i, j] += 7
            assert audited(report(matrix, other)).exit_code == 1
            # of a total that has changed no share is shown
            assert audited(report(other, matrix)).exit_code == (3 if of == "all" else 1)


def test_a_matrix_under_spanning_heads():
    body = "<tr><td colspan=2></td><th colspan=2>Predicted</th></tr><tr><td></td><td></td><th>cat</th><th>dog</th></tr>"
    body += (
        "<tr><th rowspan=2>Actual</th><th>cat</th><td>40</td><td>5</td></tr><tr><th>dog</th><td>3</td><td>52</td></tr>"
    )
    for accuracy, code in (("92.0 %", 0), ("93.0 %", 1)):
        page = f"<h2>Test set</h2><table>{body}</table><p>Test accuracy: {accuracy}</p>"
        assert audited(page, html=True).exit_code == code


@pytest.mark.parametrize("key", ["accuracy_score", "recall_score", "precision_score", "f1_score", "true_positives"])
def test_the_metrics_that_mlflow_writes(key):
    tp, fp, fn, tn = 45, 5, 7, 60
    values = {
        "true_negatives": str(tn),
        "false_positives": str(fp),
        "false_negatives": str(fn),
        "true_positives": str(tp),
        "accuracy_score": written(Fraction(tp + tn, tp + fp + fn + tn), 6),
        "recall_score": written(Fraction(tp, tp + fn), 6),
        "precision_score": written(Fraction(tp, tp + fp), 6),
        "f1_score": written(Fraction(2 * tp, 2 * tp + fp + fn), 6),
    }

    def of(entries: dict[str, str]) -> Audit:
        text = "{\n" + ",\n".join(f'"{name}": {value}' for name, value in entries.items()) + "\n}"
        report = extract(read_data(of_json(text)), "metrics.json")
        return audit(report, rounding="nearest", exists=lambda name: False)

    assert of(values).exit_code == 0
    assert of({**values, key: "0.512345" if "." in values[key] else "49"}).exit_code == 1


@pytest.mark.parametrize("n_rows", [3, 6, 9])
def test_a_share_that_one_row_of_many_shows_by_chance_is_not_of_that_count(n_rows: int):
    """Banners in screens beside tables that are too wide: 36/99 happened to print 0.36."""
    rows = [f"| page {k} | {k}/99 | 0.{80 - k} |" for k in range(1, n_rows)]
    table = "\n".join(["| page | too wide | banner |", "|---|---|---|", *rows, "| last | 36/99 | 0.36 |"])
    assert not audited(table).findings


@pytest.mark.parametrize("n_rows", [2, 3, 6])
def test_one_wrong_share_among_those_that_hold_is_found(n_rows: int):
    counts = [(30 + 7 * k, 80 + k) for k in range(n_rows)]
    rows = [f"| site {k} | {right}/{n} | {right / n:.3f} |" for k, (right, n) in enumerate(counts)]
    head = ["| site | images | rate |", "|---|---|---|"]
    assert not audited("\n".join([*head, *rows])).findings
    right, n = counts[0]
    rows[0] = f"| site 0 | {right}/{n} | {right / n + 0.05:.3f} |"
    assert audited("\n".join([*head, *rows])).exit_code == 1


@pytest.mark.parametrize(
    "table",
    [
        ".. list-table:: Classes\n   :header-rows: 1\n   :widths: 20 20 20 20 20\n\n   * - Class\n     - Precision\n"
        "     - Recall\n     - F1-score\n     - Support\n   * - grove\n     - 0.421\n     - 0.800\n     - 0.552\n"
        "     - 10\n"
        "   * - cedar\n     - 0.750\n     - 0.353\n     - 0.480\n     - 17\n",
        "+-------+-----------+--------+----------+---------+\n| Class | Precision | Recall | F1-score | Support |\n"
        "+=======+===========+========+==========+=========+\n| grove | 0.421     | 0.800  | 0.552    | 10      |\n"
        "+-------+-----------+--------+----------+---------+\n| cedar | 0.750     | 0.353  | 0.480    | 17      |\n"
        "+-------+-----------+--------+----------+---------+\n",
    ],
)
def test_a_drawn_table_begins_where_it_is_drawn_so_that_the_line_above_is_its_own(table: str):
    rows = "".join(f"| {name} | 0.80 | 0.80 | 10 |\n" for name in "ab")
    one = f"| Class | Precision | Recall | Support |\n|---|---|---|---|\n{rows}"
    text = f"# Test results\n\nModel one\n\n{one}\nAccuracy: 0.80\n\nModel two\n\nAccuracy: 0.519\n\n{table}"
    assert not audited(text).findings
    assert audited(text.replace("0.519", "0.619")).exit_code == 1
