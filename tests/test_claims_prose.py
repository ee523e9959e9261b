"""What stands beside a table in prose: read where a sentence says one thing, else not checked, never left out."""

from __future__ import annotations

import pytest

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown

# 20 cells, 18 right
TABLE = """# Results on the test set

| Class | Precision | Recall | F1 | Support |
|---|---|---|---|---|
| a | 0.90 | 0.90 | 0.90 | 10 |
| b | 0.90 | 0.90 | 0.90 | 10 |

"""


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


@pytest.mark.parametrize(
    "sentence",
    [
        "Test accuracy was {0}0 % (95 % CI {1}6 % to 99 %).",
        "Accuracy: {0}0.0 % (95 % CI {1}6.4-99.1 %).",
        "Accuracy: 0.{0}0 (95% CI 0.{1}6-0.99)",
        "Accuracy: 0.{0}0 [0.{1}6, 0.99]",
        "Test accuracy {0}0.0%, 95% CI [{1}6.4, 99.1].",
        "Test accuracy {0}0.0% (95% Wilson confidence interval: {1}6.4 to 99.1%).",
        "| Metric | Value |\n|---|---|\n| Accuracy | {0}0.0 % (95 % CI {1}6.4-99.1) |",
    ],
)
def test_an_accuracy_is_read_beside_its_interval(sentence):
    assert audited(TABLE + sentence.format(9, 7)).exit_code == 0
    assert audited(TABLE + sentence.format(8, 7)).exit_code == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "With test-time augmentation test accuracy was 95 %.",
        "With TTA test accuracy was 95 %.",
        "Excluding class b, test accuracy is 95 %.",
        "Random guessing gives an accuracy of 50 % on the test set.",
        "Last year's test accuracy was 80 %.",
        "On blurred test images the accuracy is 80 %.",
        "With noise added to the test images accuracy is 70 %.",
        "Test accuracy on males 85 %, on females 95 %.",
        "On blurred test images the accuracy is 80 % (16/20 correct).",
    ],
)
def test_what_may_be_of_a_part_of_the_set_is_not_checked_against_all_of_it(sentence):
    result = audited(TABLE + sentence)
    assert result.exit_code == 3, result.findings
    assert result.counts[2] > 0


@pytest.mark.parametrize(
    "sentence",
    [
        "We obtained a test accuracy of {}.",
        "The final model reached an overall accuracy of {} on the held-out test set.",
        "On the test set, accuracy is {}.",
    ],
)
def test_a_sentence_of_nothing_else_is_checked(sentence):
    assert audited(TABLE + sentence.format("90 %")).exit_code == 0
    assert audited(TABLE + sentence.format("95 %")).exit_code == 1


@pytest.mark.parametrize("above", ["", "# Results on the test set\n\n", TABLE])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("TP = 45, FN = 5, Sensitivity = 0.90", 0),  # 45/50
        ("TP = 45, FN = 5, Sensitivity = 0.92", 1),
        ("TN = 30, FP = 10, Specificity = 75 %", 0),  # 30/40
        ("TN = 30, FP = 10, Specificity = 70 %", 1),
        ("TP = 45, FP = 15, Precision: 0.75", 0),  # 45/60
        ("TP = 45, FP = 15, Precision: 0.70", 1),
        ("TP = 8, FP = 1, FN = 3, F1 = 0.80", 0),  # 16/20
        ("TP = 8, FP = 1, FN = 3, F1 = 0.85", 1),
        ("TP = 45, FN = 5, Specificity = 0.92", 3),  # nothing says what the negatives are
    ],
)
def test_a_score_beside_the_counts_that_it_is_made_of_is_checked(above, line, code):
    assert audited(above + line).exit_code == code
