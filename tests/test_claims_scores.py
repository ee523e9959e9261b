"""Kappa, MCC, balanced accuracy and AUC against the matrix, the rows and the operating point that decide them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from claims_reports import draw_matrix, numbers_of, piped, written
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, matthews_corrcoef

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown
from harness.claims.of_scores import mcc_span, score_of_matrix
from harness.claims.records import Row, printed

SEEDS = range(5)


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def cases_of(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cells = [(i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) for _ in range(count)]
    return np.array([i for i, _ in cells]), np.array([j for _, j in cells])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "witness"),
    [("kappa", cohen_kappa_score), ("mcc", matthews_corrcoef), ("balanced accuracy", balanced_accuracy_score)],
)
def test_a_score_of_a_matrix_is_scikit_learns(seed, name, witness):
    matrix = draw_matrix(np.random.default_rng(seed), most_classes=7, most_cells=800)
    found = score_of_matrix(name, matrix.tolist())
    assert found is not None
    assert float(found) == pytest.approx(witness(*cases_of(matrix)), abs=1e-12)


def as_matrix(matrix: np.ndarray) -> str:
    names = [f"kind {chr(97 + k)}" for k in range(len(matrix))]
    lines = [f"| true \\ predicted | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(str, row))} |" for name, row in zip(names, matrix.tolist(), strict=True)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", ["Cohen's kappa", "MCC", "Balanced accuracy"])
def test_a_score_beside_a_matrix_is_checked_with_it(seed, label):
    matrix = draw_matrix(np.random.default_rng(20 + seed), most_classes=6, most_cells=800)
    name = {"Cohen's kappa": "kappa", "MCC": "mcc"}.get(label, "balanced accuracy")
    value = score_of_matrix(name, matrix.tolist())
    assert value is not None and value > Fraction(1, 20)
    above = f"# Test set\n\n{as_matrix(matrix)}\n"
    assert audited(above + f"- {label}: {written(value, 3)}\n").exit_code == 0
    wrong = audited(above + f"- {label}: {written(value + Fraction(1, 500), 3)}\n")
    assert wrong.exit_code == 1
    assert written(value, 3) in " ".join(each.message for each in wrong.findings)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mcc_of_rows_lies_between_its_ends(seed):
    rng = np.random.default_rng(40 + seed)
    matrix = draw_matrix(rng, most_classes=6, most_cells=400)
    while min(matrix.sum(axis=0).min(), matrix.sum(axis=1).min()) < 3:
        matrix = draw_matrix(rng, most_classes=6, most_cells=400)
    numbers = numbers_of(matrix, 3, rng)
    rows = [Row(name, *map(printed, row[:3])) for name, row in zip(numbers.names, numbers.rows, strict=True)]
    supports = {name: int(row[3]) for name, row in zip(numbers.names, numbers.rows, strict=True)}
    value, span = score_of_matrix("mcc", matrix.tolist()), mcc_span(rows, supports, "nearest")
    assert value is not None and span is not None
    assert span[0] <= value <= span[1]
    above = f"# Test set\n\n{piped(numbers)}\n"
    assert value > Fraction(1, 20)
    assert audited(above + f"MCC: {written(value, 3)}\n").exit_code == 0
    assert audited(above + f"MCC: {written(span[0] - Fraction(1, 100), 3)}\n").exit_code == 1


def curve(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A ROC curve of drawn scores: false and true positive rates, from 0 to 1."""
    positive, negative = rng.normal(rng.uniform(0, 3), 1, size=40), rng.normal(0, 1, size=60)
    at = np.sort(np.concatenate([positive, negative]))[::-1]
    rates = [[0, *(float((side >= t).mean()) for t in at), 1] for side in (negative, positive)]
    return np.array(rates[0]), np.array(rates[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_no_area_of_a_curve_contradicts_a_point_of_it(seed):
    rng = np.random.default_rng(60 + seed)
    false, true = curve(rng)
    area = float(np.trapezoid(true, false))
    for k in rng.choice(len(false), size=4):
        text = "# Test set\n\nPositives: 40, negatives: 60\n\n"
        text += f"- Sensitivity: {true[k]:.3f}\n- Specificity: {1 - false[k]:.3f}\n- AUC: {{}}\n"
        assert audited(text.format(f"{area:.3f}")).exit_code == 0
        least, most = true[k] * (1 - false[k]), 1 - (1 - true[k]) * false[k]
        for wrong in (least - 0.01, most + 0.01):
            if 0 < wrong < 1:
                assert audited(text.format(f"{wrong:.3f}")).exit_code == 1


def test_an_area_is_not_held_against_a_point_of_several_classes():
    text = "# Test set\n\n- Sensitivity: 0.800\n- Specificity: 0.900\n- AUC: 0.990\n"
    assert not audited(text).findings
    assert audited(text).exit_code == 3
