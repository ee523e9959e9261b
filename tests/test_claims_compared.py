"""Tables that compare models, and sizes beside tables that may not list every class: nothing of them passes unread."""

import pytest

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown

TABLES = """
## {one}

Test set:

| class | precision | recall | f1 | support |
|---|---|---|---|---|
| cat | 0.96 | 0.96 | 0.96 | 50 |
| dog | 0.96 | 0.96 | 0.96 | 50 |
| accuracy | | | 0.96 | 100 |

## {other}

Test set:

| class | precision | recall | f1 | support |
|---|---|---|---|---|
| cat | 0.94 | 0.96 | 0.95 | 50 |
| dog | 0.96 | 0.94 | 0.95 | 50 |
| accuracy | | | 0.95 | 100 |
"""


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: True)


def compared(head: str, first: str, second: str, *, one: str, other: str, rows: tuple[str, str] | None = None) -> Audit:
    """Two models in a table of the given head, and each with a class table of its own below."""
    names = rows or (one, other)
    table = f"# Results\n\n| {head} |\n|---|---|\n| {names[0]} | {first} |\n| {names[1]} | {second} |\n"
    return audited(table + TABLES.format(one=one, other=other))


MODELS = [
    pytest.param({"one": "Model A", "other": "Model B", "rows": ("A", "B")}, id="letters"),
    pytest.param({"one": "ResNet-50", "other": "VGG16"}, id="networks"),
]
HEADS = [
    ("Model | Test accuracy", "0.96", "0.95", "0.98"),
    ("Classifier | Accuracy (test) (%)", "96.0", "95.0", "98.0"),
    ("Method | Test acc.", "96 %", "95 %", "98 %"),
    ("Model | Overall accuracy on the test set", "**0.960**", "0.950", "**0.980**"),
]


@pytest.mark.parametrize(
    ("models", "head", "first", "second", "wrong"),
    [
        pytest.param(models.values[0], *head, id=f"{models.id}, {head[0]}")
        for models in MODELS
        for head in HEADS
        if models.id != "letters" or head[0].startswith("Model")  # a letter is called by the word of its own head
    ],
)
def test_an_accuracy_beside_others_is_held_against_the_table_of_its_model(models, head, first, second, wrong):
    assert compared(head, first, second, **models).counts[1:] == (0, 0)
    found = compared(head, wrong, second, **models)
    assert found.exit_code == 1
    assert found.counts[2] == 0


def test_methods_that_are_no_names_are_told():
    found = compared("Method | Test accuracy", "0.98", "0.95", one="Random forest", other="Logistic regression")
    assert found.exit_code == 3


def test_what_names_no_set_or_no_model_is_told_and_not_combined():
    for head, rows in (
        ("Model | Accuracy", None),
        ("Model | Test accuracy", ("Proposed method", "Best")),
        ("Model | Test accuracy", ("ResNet-50", "ResNet-50")),
        ("Model | Validation accuracy", None),
    ):
        found = compared(head, "0.91", "0.90", one="ResNet-50", other="VGG16", rows=rows)
        assert found.holds, head
        assert found.exit_code == 3, head


@pytest.mark.parametrize("value", ["0.91 ± 0.02", "about 0.91", "0.91 at best", "0.91 / 0.93", "> 0.9"])
def test_a_cell_of_no_form_that_is_read_is_told(value):
    found = compared("Model | Test accuracy", value, "0.95", one="ResNet-50", other="VGG16")
    assert found.holds
    assert found.exit_code == 3


def test_models_of_other_papers_contradict_no_table():
    """The table is of a model that it does not name: what others reach on the same set is no second result of it."""
    table = "| Model | Test accuracy |\n|---|---|\n| VGG16 [3] | 0.91 |\n| ResNet-50 (ours) | 0.95 |\n\n"
    alone = TABLES.format(one="x", other="Ours").partition("## Ours")[2]
    found = audited(f"# Results\n\n{table}## Our results\n{alone}")
    assert found.holds
    assert found.exit_code == 3


def test_scores_beside_the_accuracies_are_means_of_a_kind_that_is_not_said():
    head = "Model | Test accuracy | Precision | Recall"
    rows = "| Model A | 0.98 | 0.9 | 0.9 |\n| Model B | 0.95 | 0.9 | 0.9 |\n"
    text = f"| {head} |\n|---|---|---|---|\n{rows}" + TABLES.format(one="Model A", other="Model B")
    found = audited(text)
    assert found.exit_code == 1
    assert found.counts[2] == 1  # the two other columns
    assert audited(text.replace("| 0.98 |", "| 0.96 |")).exit_code == 3


@pytest.mark.parametrize("without", ["Test: {n} images.", "The test set has {n} images.", "{n} test images."])
@pytest.mark.parametrize(("n", "code"), [(100, 0), (375, 3), (90, 3)])
def test_a_size_beside_a_table_without_accuracy_is_checked_or_told(without, n, code):
    """A class left out, or several objects an image, may be behind another size: it is no contradiction."""
    rows = "| cat | 0.94 | 0.96 | 50 |\n| dog | 0.96 | 0.94 | 50 |\n"
    table = f"| class | precision | recall | support |\n|---|---|---|---|\n{rows}"
    found = audited(f"## Test results\n\n{without.format(n=n)}\n\n{table}")
    assert found.holds
    assert found.exit_code == code
