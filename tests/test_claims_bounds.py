"""What follows from a few numbers beside each other: F1 of any mean, balanced accuracy, intervals, 2x2 tables."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from claims_reports import draw_matrix, written
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.f1_bounds import f1_span
from harness.claims.markdown import read_markdown


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def means(matrix: np.ndarray, kind: str) -> tuple[Fraction, Fraction, Fraction]:
    """Precision, recall and F1, macro or weighted, in fractions."""
    supports, called, right = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    weights = [1] * len(matrix) if kind == "macro" else [int(s) for s in supports]
    made = []
    for top, under in ((right, called), (right, supports), (2 * right, supports + called)):
        shares = [Fraction(int(a), int(b)) if b else Fraction(0) for a, b in zip(top, under, strict=True)]
        made.append(sum((w * x for w, x in zip(weights, shares, strict=True)), Fraction(0)) / sum(weights))
    return made[0], made[1], made[2]


# --- F1 -----------------------------------------------------------------------------------------------

SHARE = st.fractions(min_value=0, max_value=1, max_denominator=50)


@given(st.lists(st.tuples(SHARE, SHARE, st.integers(1, 9)), min_size=1, max_size=6))
@settings(max_examples=examples(300))
def test_a_mean_of_f1s_lies_between_its_bounds(classes):
    total = sum(weight for *_, weight in classes)
    precision = sum((p * w for p, _, w in classes), Fraction(0)) / total
    recall = sum((r * w for _, r, w in classes), Fraction(0)) / total
    f1s = [2 * p * r / (p + r) if p + r else Fraction(0) for p, r, _ in classes]
    f1 = sum((f * w for f, (*_, w) in zip(f1s, classes, strict=True)), Fraction(0)) / total
    least, most = f1_span((precision, precision), (recall, recall))
    assert least <= f1 <= most


def test_both_bounds_are_reached():
    assert f1_span((Fraction(3, 4),) * 2, (Fraction(3, 4),) * 2) == (Fraction(1, 2), Fraction(3, 4))
    # classes with (1, 1), (1, 1), (1, 0), (0, 1) have means 3/4, 3/4 and 1/2


FORMS = {
    "models": "| Model | Precision | Recall | F1 |\n|---|---|---|---|\n| A | {} | {} | {} |\n| B | {} | {} | {} |\n",
    "letters": "| Setting | P | R | F1 |\n|---|---|---|---|\n| full | {} | {} | {} |\n| less | {} | {} | {} |\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("decimals", [2, 3, 4])
def test_rows_of_means_are_possible_and_an_f1_above_both_is_not(form, decimals):
    rng = np.random.default_rng(decimals)
    for _ in range(examples(40)):
        rows = [
            means(draw_matrix(rng, most_classes=9, most_cells=900), str(rng.choice(["macro", "weighted"])))
            for _ in "ab"
        ]
        cells = [written(share, decimals) for row in rows for share in row]
        assert audited(FORMS[form].format(*cells)).exit_code == 3
        cells[2] = written(min(Fraction(1), max(rows[0][:2]) + Fraction(3, 100)), decimals)
        if max(rows[0][:2]) < Fraction(97, 100):
            assert audited(FORMS[form].format(*cells)).exit_code == 1


def test_an_average_of_classes_has_no_f1_above_its_precision_and_recall():
    rng = np.random.default_rng(3)
    for kind in ("macro", "weighted"):
        precision, recall, f1 = (written(share, 3) for share in means(draw_matrix(rng, most_classes=6), kind))
        text = f"{kind} precision: {{}}\n\n"
        list_ = f"- Precision: {precision}\n- Recall: {recall}\n- F1: {{}}\n"
        assert audited(list_.format(f1)).exit_code == 3, text
        assert (
            audited(list_.format(written(max(Fraction(precision), Fraction(recall)) + Fraction(1, 50), 3))).exit_code
            == 1
        )


# --- lists and sentences of no set -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_list_of_two_answers_is_a_question_by_itself(seed):
    rng = np.random.default_rng(seed)
    tp, fp, fn, tn = (int(n) for n in rng.integers(8, 90, 4))
    right, other = Fraction(tp, tp + fn), Fraction(tn, tn + fp)
    said = [
        ("True positives", str(tp)),
        ("False positives", str(fp)),
        ("False negatives", str(fn)),
        ("True negatives", str(tn)),
        ("Sensitivity", f"{written(100 * right, 1)} %"),
        ("Specificity", f"{written(100 * other, 1)} %"),
        ("Balanced accuracy", f"{written(50 * (right + other), 1)} %"),
        ("Accuracy", f"{written(Fraction(100 * (tp + tn), tp + fp + fn + tn), 1)} %"),
    ]
    for mark in ("- {}: {}\n", "* {} = {}\n"):
        assert audited("## Screening\n\n" + "".join(mark.format(*pair) for pair in said)).exit_code == 0
        for k, (name, value) in enumerate(said):
            number = float(value.rstrip(" %"))
            changed = f"{number - 7:.1f} %" if "%" in value else str(int(number) + 5)
            wrong = [*said[:k], (name, changed), *said[k + 1 :]]
            assert audited("## Screening\n\n" + "".join(mark.format(*pair) for pair in wrong)).exit_code == 1


@pytest.mark.parametrize("seed", range(6))
def test_a_sentence_of_scores_is_a_question_by_itself(seed):
    rng = np.random.default_rng(seed)
    tp, fp, fn, tn = (int(n) for n in rng.integers(8, 90, 4))
    right, other = Fraction(tp, tp + fn), Fraction(tn, tn + fp)
    text = "Sensitivity {}, specificity {}, balanced accuracy {}."
    made = [written(share, 3) for share in (right, other, (right + other) / 2)]
    assert audited(text.format(*made)).exit_code == 0
    for k in range(3):
        wrong = [*made]
        wrong[k] = written(Fraction(made[k]) - Fraction(8, 100), 3)
        assert audited(text.format(*wrong)).exit_code == 1, wrong


@pytest.mark.parametrize(
    "text",
    [
        "- Accuracy: 95.0 %\n- Accuracy: 91.0 %\n- 12 errors\n",
        "- ResNet: accuracy 95.0 %\n- VGG: 12 errors\n",
        "- Sensitivity: 0.90\n- We used 300 images of three sites, and 12 errors in the labels were mended\n",
        "Precision was 0.90. Recall, of the older model, was 0.20. Its F1 was 0.95.",
    ],
)
def test_what_a_list_does_not_say_together_is_not_combined(text):
    assert audited(text).exit_code == 3


# --- tables of a test against a reference -------------------------------------------------------------------


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_two_by_two(seed, is_turned):
    tp, fp, fn, tn = (int(n) for n in np.random.default_rng(seed).integers(8, 90, 4))

    def report(*counts: int) -> str:
        (a, b, ab), (c, d, cd), (ac, bd, n) = counts[:3], counts[3:6], counts[6:9]
        body = [["Test positive", a, b, ab], ["Test negative", c, d, cd], ["Total", ac, bd, n]]
        table = [["", "Disease present", "Disease absent", "Total"], *body]
        if is_turned:
            table = [list(row) for row in zip(*table, strict=True)]
        lines = [f"| {' | '.join(map(str, row))} |" for row in table]
        shares = [f"{written(Fraction(100 * k, n), 1)} %" for k, n in ((tp, tp + fn), (tn, tn + fn))]
        scores = f"\nSensitivity: {shares[0]}, NPV: {shares[1]}\n"
        return "\n".join([lines[0], "|---|---|---|---|", *lines[1:], scores])

    honest = [tp, fp, tp + fp, fn, tn, fn + tn, tp + fn, fp + tn, tp + fp + fn + tn]
    assert audited(report(*honest)).exit_code == 0
    for k in range(9):
        wrong = [*honest]
        wrong[k] += 3
        assert audited(report(*wrong)).exit_code == 1, report(*wrong)


@pytest.mark.parametrize(
    "table",
    [
        "| | yes | no |\n|---|---|---|\n| yes | 40 | 3 |\n| no | 2 | 50 |\n",
        "| | A positive | B positive |\n|---|---|---|\n| Test positive | 40 | 3 |\n| Test negative | 2 | 50 |\n",
        "| | Test positive | Test negative |\n|---|---|---|\n| AI positive | 40 | 3 |\n| AI negative | 2 | 50 |\n",
    ],
)
def test_a_table_that_does_not_say_which_is_the_reference_is_none(table):
    assert not audited(f"{table}\nSensitivity: 10 %\n").findings


# --- intervals and fractions --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_share_lies_in_its_own_interval(seed):
    rng = np.random.default_rng(seed)
    k, n = int(rng.integers(30, 80)), int(rng.integers(80, 120))
    share = Fraction(100 * k, n)
    low, high = written(max(Fraction(0), share - 8), 1), written(min(Fraction(100), share + 6), 1)
    for text in (
        f"Sensitivity was {{}} % ({{}}/{n}; 95 % CI {low}-{high}).",
        f"The sensitivity was {{}} % ({{}}/{n}, 95% CI: {low} % to {high} %).",
    ):
        assert audited(text.format(written(share, 1), k)).exit_code == 0, text
        assert audited(text.format(written(share - 20, 1), k)).exit_code == 1
        assert audited(text.format(written(share, 1), k - 9)).exit_code == 1


def test_an_interval_in_another_unit_says_nothing():
    for text in (
        "Sensitivity 95.0 % (95 % CI 0.91-0.97)",
        "accuracy 0.95 (95 % CI 91-97)",
        "kappa of 0.9 at n (95 % CI 5 to 4)",
    ):
        assert not audited(text).findings


@pytest.mark.parametrize("seed", range(5))
def test_fractions_whose_whole_stands_in_another_clause(seed):
    rng = np.random.default_rng(seed)
    n, m = (int(x) for x in rng.integers(40, 200, 2))
    k, j = int(rng.integers(20, n - 4)), int(rng.integers(20, m - 4))
    of_n, of_m = (f"{written(Fraction(100 * a, b), 1)} %" for a, b in ((k, n), (j, m)))
    for text in (
        f"Among {n} patients with malaria, {{}} were detected (sensitivity {of_n}); among {m} controls, {j} were "
        f"negative (specificity {of_m}).",
        f"It flagged {n} slides, of which {{}} were malignant (precision {of_n}). It missed {m - j} of {m} of them.",
    ):
        assert audited(text.format(k)).exit_code == 0, text
        assert audited(text.format(k + 3)).exit_code == 1, text
        assert audited(text.format(n + 4)).exit_code == 1, text
    assert audited(f"The network missed {m - j} of {m} malignant slides (recall {of_m}).").exit_code == 0
    assert audited(f"The network missed {m - j + 4} of {m} malignant slides (recall {of_m}).").exit_code == 1


def test_misclassified_of_all_beside_the_accuracy():
    for wrong, code in ((3, 0), (5, 1)):
        text = f"The network misclassified only {wrong} of 120 test images (accuracy 97.5 %)."
        assert audited(text).exit_code == code


def test_models_on_sets_of_their_own_contradict_nothing():
    text = "# R\n\n## AlexNet\n\nAccuracy 90.00% on 130 test images.\n\n{}\n"
    text += "## DenseNet\n\nAccuracy 80.00% on 150 test images.\n\n{}"
    head = "| Class | Precision | Recall | F1 | Support |\n|---|---|---|---|---|\n"
    one = f"{head}| a | 0.90 | 0.90 | 0.90 | 65 |\n| b | 0.90 | 0.90 | 0.90 | 65 |\n"
    two = f"{head}| a | 0.80 | 0.80 | 0.80 | 75 |\n| b | 0.80 | 0.80 | 0.80 | 75 |\n"
    assert not [each for each in audited(text.format(one, two)).findings if "one set has one size" in each.message]
