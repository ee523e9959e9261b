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


@pytest.mark.parametrize(
    "sentence",
    [
        "Class a reached a sensitivity of 95 %.",
        "Sensitivity for a was 0.95 and for b 0.80.",
        "The accuracy on b was 85 %, its precision 80 %.",
        "The method has 93 % specificity in all.",
        "A kappa value as high as 0.93 was seen.",
    ],
)
@pytest.mark.parametrize("above", ["", TABLE])
def test_a_share_that_names_a_class_or_a_metric_is_listed_where_it_is_not_bound(above, sentence):
    result = audited(above + sentence)
    assert result.exit_code == 3
    assert [each for each in result.report.unread if sentence.rstrip(".") in each.message and each.line]


def test_a_goal_is_told_and_is_no_result():
    result = audited(TABLE + "The target sensitivity is 99 %.")
    assert result.exit_code == 0
    assert [each.is_result for each in result.report.unread] == [False]


@pytest.mark.parametrize("share", ["0.90", "0.80"])
def test_a_value_with_a_half_width_is_one_claim(share):
    bare = audited(TABLE + f"Test accuracy was {share} ± 0.05.")
    assert bare.exit_code == 3 and len(bare.report.unread) == 1 and not bare.report.unbound
    said = audited(TABLE + f"Test accuracy was {share} ± 0.05 (95 % CI).")
    assert said.exit_code == (0 if share == "0.90" else 1) and not said.report.unbound


@pytest.mark.parametrize(("written", "code"), [("90,0 %", 0), ("80,0 %", 1), ("0,90", 0), ("0,80", 1)])
def test_decimal_commas_are_read_where_the_document_writes_them(written, code):
    table = TABLE.replace("0.90", "90 %")
    assert audited(table + f"Test accuracy was {written}.").exit_code == code


def test_commas_of_a_document_with_points_are_left_alone():
    assert not [
        s for s in audited(TABLE + "Precision was 0.90, accuracy 80,0 %.").statements if "80" in str(s.statement)
    ]


@pytest.mark.parametrize(("value", "code"), [("90.00", 0), ("85.00", 1)])
def test_an_average_that_says_its_kind_needs_no_colon(value, code):
    assert audited(TABLE + f"Macro F1 {value} %, 95 % interval 71.0 % to 98.0 %.").exit_code == code


def test_a_rare_class_may_be_predicted_a_hundred_times_as_often_as_it_occurs():
    """204 of 272 right among 14,000 predicted: precision 0.0146, recall 0.75, F1 408/14,272 = 0.0286."""
    text = "| Class | Precision | Recall | F1 | Support |\n|---|---|---|---|---|\n| rare | 0.01 | 0.75 | 0.03 | 272 |\n"
    assert audited(text + "| usual | 0.99 | 0.66 | 0.79 | 40,000 |\n").exit_code == 0


@pytest.mark.parametrize(
    ("line", "clashes"),
    [
        ("pip install torch==2.9.1 torchvision==0.14.1", True),
        ("pip install torch==2.9.1 torchvision==0.24.1", False),
        ("- `torch==2.9.1`, `torchvision==0.14.1`, `numpy==2.0`", True),
        ("torch==2.9.1 does not go with torchvision==0.14.1", False),  # says so itself
        ("torch==2.9.1, torch==2.8.0", False),  # a comparison
    ],
)
def test_several_pins_on_one_line_are_read_where_the_line_is_a_list(line, clashes):
    findings = audited(TABLE + line).findings
    assert bool(findings) == clashes
    assert all(each.kind == "versions" for each in findings)


def test_a_class_called_zero_is_not_named_by_the_zero_of_a_fraction():
    rows = (
        "           0       0.96      0.95      0.96      2624",
        "           1       0.95      0.96      0.96      2576",
    )
    table = "\n".join(
        ("              precision    recall  f1-score   support\n", *rows, "", f"    accuracy{0.96:31}      5200")
    )
    assert audited(f"Test data accuracy: 0.9568\n\n```\n{table}```\n").exit_code == 0


@pytest.mark.parametrize(
    ("sentence", "right"),
    [
        ("It reached an accuracy of 97.3 % on the test set of 150 images ({k} correct).", 146),
        ("On the test set of 150 images the model gets {k} right, an accuracy of 97.3 %.", 146),
        ("Of the 150 test images {k} were classified correctly, an accuracy of 97.3 %.", 146),
        ("The test set has 150 images; accuracy 97.3 %, {k} images correct.", 146),
    ],
)
def test_a_count_of_right_cells_beside_the_size_and_the_accuracy_is_held_against_both(sentence, right):
    assert audited(f"# Results\n\n{sentence.format(k=right)}\n").exit_code == 0
    assert audited(f"# Results\n\n{sentence.format(k=right - 1)}\n").exit_code == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "It reached an accuracy of 97.3 % on the test set of 150 images (24 monocytes correct).",
        "It reached an accuracy of 97.3 % on the test set of 150 images (about 140 correct).",
        "On the test set of 150 images, accuracy 97.3 %; on blurred ones 120 were correct.",
    ],
)
def test_a_count_of_some_of_them_contradicts_nothing(sentence):
    table = "| class | recall |\n|---|---|\n| monocyte | 0.96 |\n| basophil | 0.98 |\n"
    assert audited(f"# Results\n\n{sentence}\n\n# Other\n\n{table}").holds


@pytest.mark.parametrize(
    "said",
    [
        "test: 2 cells lost, 0 gained of 20; worse: a (2 lost, 0 gained of 10)",
        "test: 2 cells gained of 20",
        "test: 2 images were wrongly classified",
        "test: 18 cells correct",
        "test: 2 images misclassified",
        "validation: 3 cells were excluded; test: 2 cells removed",
    ],
)
def test_a_set_s_name_before_a_count_of_some_of_its_cells_does_not(said):
    result = audited(TABLE + said)
    assert result.exit_code != 1, result.findings
    assert not [each for each in result.findings if "one set has one size" in str(each)]
