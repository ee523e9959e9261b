"""Reports as people write them: what is honest has no finding, however it is laid out; what is not is still found."""

from __future__ import annotations

import os
import time
from fractions import Fraction
from pathlib import Path

import pytest

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown
from harness.claims.pages import read_html
from harness.claims.records import Matrix, Row, Rows, Supports
from harness.claims.subjects import subject_of
from harness.claims.toml_report import read_toml
from harness.cli import main

CELLS = ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")
# rows: reference; 363 of 375 are right, 365 in the other model's matrix
ONE = ((70, 2, 0, 1, 2), (1, 73, 0, 0, 1), (0, 0, 75, 0, 0), (0, 1, 3, 71, 0), (1, 0, 0, 0, 74))
TWO = ((71, 1, 0, 1, 2), (0, 74, 0, 0, 1), (0, 0, 74, 1, 0), (0, 1, 2, 72, 0), (1, 0, 0, 0, 74))
HEAD = "| Class | Precision | Recall | F1-score | Support |\n|---|---|---|---|---|\n"


def decimals(share: Fraction, n: int) -> str:
    digits = str(round(share * 10**n)).zfill(n + 1)
    return f"{digits[:-n]}.{digits[-n:]}"


def rows(matrix: tuple[tuple[int, ...], ...], n: int = 4) -> list[list[str]]:
    """Precision, recall, F1 and support of each class, as printed."""
    made = []
    for k, line in enumerate(matrix):
        t, s, q = line[k], sum(line), sum(other[k] for other in matrix)
        made.append([decimals(Fraction(*share), n) for share in ((t, q), (t, s), (2 * t, s + q))] + [str(s)])
    return made


def body(matrix: tuple[tuple[int, ...], ...], names: tuple[str, ...] = CELLS, n: int = 4) -> str:
    return "".join(f"| {name} | {' | '.join(row)} |\n" for name, row in zip(names, rows(matrix, n), strict=False))


def matrix_table(matrix: tuple[tuple[int, ...], ...], names: tuple[str, ...] = CELLS) -> str:
    lines = [f"| true \\ predicted | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(str, row))} |" for name, row in zip(names, matrix, strict=True)]
    return "\n".join(lines) + "\n"


def audited(text: str, *, html: bool = False) -> Audit:
    document = read_html(text) if html else read_markdown(text)
    return audit(extract(document, "report"), rounding="nearest", exists=lambda name: False)


def findings(text: str, *, html: bool = False) -> list[str]:
    return [f"{finding.kind}: {finding.message}" for finding in audited(text, html=html).findings]


def stated(text: str) -> set[str]:
    return {f"{entry.statement.set}: {entry.statement.content}" for entry in audited(text).statements}


# --- several models, readers, sites -------------------------------------------------------------------

HONEST = {
    "two models under headings": "# R\n\n## Results on the test set (375 images)\n\n### ResNet-50\n\n"
    f"Accuracy: 96.80% (363/375 correct)\n\n{HEAD}{body(ONE)}\n### EfficientNet-B0\n\n"
    f"Accuracy: 97.33% (365/375 correct)\n\n{HEAD}{body(TWO)}",
    "two models in a list": "## Test set results\n\n- LeukoNet: 96.80% accuracy\n- CellFormer: 97.33% accuracy\n",
    "two models in one line": "Our test accuracy is 97.3% (365/375 correct). A VGG-16 has a test accuracy of 95.2%; "
    "without augmentation test accuracy is 94.1%.",
    "two hospitals under bold lines": "## Test set\n\n**Hospital B**\n\nAccuracy: 91.0%\n\n"
    "**Hospital A**\n\nAccuracy: 96.8%\n",
    "two models in two tables under one heading": f"## Test set\n\nBefore fine-tuning:\n\n{HEAD}{body(ONE)}\n"
    f"After fine-tuning:\n\n{HEAD}{body(TWO)}",
    "models as rows without a head": "## Test set\n\n| | Precision | Recall | F1 |\n|---|---|---|---|\n"
    "| SVM | 0.9683 | 0.9680 | 0.9679 |\n| CNN | 0.9735 | 0.9333 | 0.9432 |\n\nTest: 375 images\n",
    "models as sections of a table": f"## Test set\n\n{HEAD}| **ResNet** | | | | |\n{body(ONE)}"
    f"| **VGG** | | | | |\n{body(TWO)}",
    "models as rows of a table of sets": "| Dataset | Model | Accuracy |\n|---|---|---|\n| Test | ResNet | 97.1% |\n"
    "| Test | VGG | 95.2% |\n",
    "folds and seeds": "- Fold 1: validation accuracy 97.33%\n- Fold 2: validation accuracy 96.80%\n\n"
    "Test accuracy over 5 seeds: 97.4% ± 0.5%. Test: 375 images\n",
    "a training log": "Epoch 1/2 - val accuracy: 0.7900\nEpoch 2/2 - val accuracy: 0.8900\n",
    "the work of others": "Smith et al. (2020) achieved 98.4% test accuracy. In [12] a test accuracy of 91.0% is "
    "given. Two pathologists reached a test accuracy of 97.1%. Our test accuracy is 97.3%.",
    # --- several sets, tasks, names
    "two test sets": "Test set A: 100 images. Test set B: 200 images.\n\n- Test set A: accuracy 97.0%\n"
    "- Test set B: accuracy 95.5%\n\nThe second test set contains 200 images.",
    "two hospitals in a table of sets": "| Set | Images | Accuracy |\n|---|---|---|\n| Hospital A | 100 | 97.0% |\n"
    "| Hospital B | 200 | 95.5% |\n",
    "two datasets": "The public dataset contains 17,092 images. The dataset contains 2,500 images.\n\n"
    "Test: 375 images\n",
    "abbreviated classes": f"## Test set\n\n75 test images per class, 375 test images.\n\n{HEAD}{body(ONE)}\n"
    + matrix_table(ONE, ("Bas", "Eos", "Lym", "Mon", "Neu")),
    "classes in the plural": f"## Test set\n\n75 test images per class, 375 test images.\n\n{HEAD}{body(ONE)}\n"
    + matrix_table(ONE, tuple(f"{name.lower()}s" for name in CELLS)),
    "two tasks": f"## Test set\n\n75 test images per class, 375 test images.\n\n{HEAD}{body(ONE)}\n"
    f"## Screening on the validation set\n\n{HEAD}{body(((581, 36), (22, 595)), ('benign', 'malignant'))}",
    "two of five classes": f"We classify five cell types.\n\n## Test set\n\n375 test images, 75 test images per "
    f"class.\n\n{HEAD}{''.join(body(ONE).splitlines(keepends=True)[:2])}",
    "a class called ALL": f"## Test set\n\n{HEAD}{body(((10, 1, 0), (0, 12, 2), (1, 0, 20)), ('AML', 'CLL', 'ALL'))}\n"
    "Test: 46 images. 42 of 46 test images are correct.\n",
    # --- rows that are no class
    "an overall row": f"## Test set\n\n{HEAD}{body(ONE)}| **Overall** | | | 0.9680 | **375** |\n"
    "| Macro-averaged F1 | | | 0.9679 | |\n| avg / total | 0.9683 | 0.9680 | 0.9679 | 375 |\n\nTest set: 375 images\n",
    # --- numbers as people write them
    "decimal commas": f"## Test set\n\n{HEAD}{body(ONE).replace('.', ',')}"
    "| Durchschnitt | 0,968 | 0,968 | 0,968 | 375 |\n",
    "thousands with a space or an apostrophe": "We evaluated 1 234 test images. Test accuracy: 95.3% (1176/1234 "
    "correct). The 1'234 test images and all 1\u00a0234 test images are the same.",
    "intervals in the cells": "## Test set\n\n| Class | Recall (95 % CI) | Support |\n|---|---|---|\n"
    "| A | 0.93 (0.90-0.99) | 75 |\n| B | 0.97 [0.91, 0.99] | 75 |\n\nTest accuracy 96.0% (91.5-98.5%)\n",
    "a matrix in percent": "## Test set\n\nTest: 375 images\n\n"
    + matrix_table(tuple(tuple(round(100 * cell / 75) for cell in row) for row in ONE)),
    # --- counts that are not all
    "some errors, some images": "## Test set\n\nTest accuracy: 96.80% (363/375 correct)\n\nFigure 3 shows six "
    "misclassified cells. Figure 4: three misclassified cells. We show 16 test images. Latency was measured on "
    "100 test images. 3 of 375 images had missing metadata. After removing 25 test images of poor quality, 375 "
    "remained. Three errors in the annotation were corrected. 12 test images were misclassified. 363 "
    "test images were classified correctly.",
    "digits of a name": "On the test set, ResNet-18 misclassified 12 of 375 cells. ResNet 18 misclassified no "
    "basophil.",
    "minutes": "Training: 50 min\n\nTest: 12 min\n\nTotal: 62 min\n\nTest accuracy: 97.3% (365/375 correct)\n",
    "what is struck out or a comment": "<!-- Test accuracy: 95.0% -->\n<!--\nTest accuracy: 91.0%\n-->\n"
    "~~Test accuracy: 90.0%~~\n\nTest accuracy: 96.80% (363/375 correct)\n",
    # --- beside the numbers
    "versions that were not used": "Tested with PyTorch 1.13 and PyTorch 2.1.\n\nRequires NumPy 1.21 or newer.\n\n"
    "We used NumPy 2.1.\n\nTest accuracy: 97.3%\n",
    "strong words that claim nothing": "Test accuracy: 97.3% (365/375 correct).\n\nRobustness of the model to stain "
    "variation remains to be tested. Identical seeds were used for all runs. Generalization of predictions is hard.",
    "a bound in a table's head": "Test accuracy: 97.3% (365/375 correct), a perfect result.\n\n"
    "| Model | 95%-CI |\n|---|---|\n| ours | 95.2-98.7 |\n",
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_report_has_no_finding_in_any_shape(name):
    assert findings(HONEST[name]) == []


PLANTED = {
    "beside another model": (
        "## Test set\n\n- ResNet-50: 97.9% accuracy, 363 of 375 correct\n- VGG-16: accuracy 95.2%\n",
        "97.9%",
    ),
    "abstract and results of one model": (
        "Our ResNet-18 reaches 98.1% test accuracy.\n\n## Results\n\nOn the test set, ResNet-18 misclassified 12 of "
        "375 cells.\n",
        "98.1% of 375 is 368 correct",
    ),
    "the size of the set and one of two models": (
        "## Test set\n\n- LeukoNet: 96.80% accuracy\n- CellFormer: 97.44% accuracy\n\nTest set: 375 images\n",
        "no k/375 prints as 97.44%",
    ),
    "decimal commas": (f"## Test set\n\n{HEAD}{body(ONE, n=3).replace('0.933', '0.943').replace('.', ',')}", "0,943"),
    "thousands with a space": (
        "Test accuracy: 95.3%\n\n61 of 1 234 test images were misclassified.\n",
        "61 errors leave 1,173",
    ),
    "abbreviated classes": (
        f"## Test set\n\n{HEAD}{body(ONE)}\n{matrix_table(ONE, ('Bas', 'Eos', 'Lym', 'Mon', 'Neu'))}\n"
        "Test accuracy: 98.20%\n",
        "no k/375 prints as 98.20%",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_contradiction_is_found_beside_all_that(name):
    text, words = PLANTED[name]
    assert any(words in message for message in findings(text)), findings(text)


def test_results_of_two_models_are_checked_each_with_the_size_of_the_set():
    text = "## Test set\n\n- ResNet-50: 97.9% accuracy\n- VGG16: accuracy 95.2%\n\nTest set: 375 images\n"
    assert stated(text) == {
        "test: 375 images",
        "test, resnet50: 375 images",
        "test, resnet50: accuracy 97.9%",
        "test, vgg16: 375 images",
        "test, vgg16: accuracy 95.2%",
    }


def test_a_single_model_does_not_take_its_report_apart():
    text = "ResNet-50 reaches a test accuracy of 98.1%.\n\nTest accuracy: 97.3%\n"
    assert any("cannot hold together" in message for message in findings(text))


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("ResNet-50 and ResNet50", "resnet50"),
        ("pretrained on ImageNet", None),
        ("model accuracy", None),
        ("Model B", "modelb"),
        ("our results", "ours"),
        ("ResNet-50 against VGG-16", "several"),
    ],
)
def test_a_subject_is_a_name_not_a_word(text, subject):
    assert subject_of(text) == subject


def test_a_table_that_is_left_alone_says_why():
    text = f"## Test set\n\n{HEAD}{body(ONE)}{body(TWO)}\nTest accuracy: 96.8%\n"
    assert any("a class twice" in note.message for note in audited(text).notes)


def test_spellings_of_one_class_are_one_class():
    # The exchanged columns make a conflict, and its notes look every row up in the matrix by name.
    swapped = HEAD.replace("Precision | Recall", "Recall | Precision")
    text = f"## Test set\n\n{swapped}{body(ONE).replace('Basophil', 'basophils')}\n{matrix_table(ONE)}"
    result = audited(text)
    assert len(result.report.classes) == len(CELLS)
    assert result.findings


# --- HTML ---------------------------------------------------------------------------------------------


def page(rest: str) -> str:
    return f"<html><body><h2>Test set</h2><p>Accuracy: 96.80%<sup>2</sup> (363/375 correct)</p>{rest}</body></html>"


HTML_HEAD = "<tr><th>Class</th><th>Precision</th><th>Recall</th><th>F1</th><th>Support</th></tr>"


def html_rows(cell: str = "<td>{}</td>", note: str = "", columns: int = 2) -> str:
    made = ""
    for name, row in zip(CELLS, rows(ONE, columns), strict=True):
        made += f"<tr>{cell.format(name)}{''.join(f'<td>{value}{note}</td>' for value in row)}</tr>"
    return made


def test_a_footnote_mark_is_no_digit():
    text = page(f"<table>{HTML_HEAD}{html_rows(note='<sup>1</sup>')}</table>")
    assert findings(text, html=True) == []
    assert findings(page(f"<table>{HTML_HEAD}{html_rows()}</table>"), html=True) == []


def test_cells_over_several_rows_do_not_shift_the_others():
    merged = html_rows().replace("<tr>", "<tr><td rowspan='5'>Cells</td>", 1)
    head = HTML_HEAD.replace("<th>Precision", "<th>Name</th><th>Precision")
    assert findings(page(f"<table>{head}{merged}</table>"), html=True) == []
    noted = html_rows("<td rowspan=2>{}</td>").replace("</tr>", "</tr><tr><td colspan=4>note</td></tr>")
    assert findings(page(f"<table>{HTML_HEAD}{noted}</table>"), html=True) == []
    footed = f"<table>{HTML_HEAD}{html_rows()}<tr><td colspan=5>Support is per class.</td></tr></table>"
    assert Supports in {type(e.statement.content) for e in audit_of_page(footed).statements}


def audit_of_page(table: str) -> Audit:
    return audited(page(table), html=True)


def test_a_span_without_end_takes_no_memory():
    huge = "<table><tr><th>Class</th><th colspan=999999999>Recall</th></tr><tr><td rowspan=99999999>A</td></tr></table>"
    assert findings(page(huge), html=True) == []


def test_a_matrix_in_html_is_read_with_its_merged_corner():
    body_rows = "".join(
        f"<tr><th>{n}</th>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for n, row in zip(CELLS, ONE, strict=True)
    )
    table = (
        f"<table><caption>rows: true, columns: predicted</caption><tr><th></th>"
        f"{''.join(f'<th>{name}</th>' for name in CELLS)}</tr>{body_rows}</table>"
    )
    result = audit_of_page(table)
    assert Matrix in {type(entry.statement.content) for entry in result.statements}
    assert result.holds


# --- files that are no report, or too much of one ---------------------------------------------------------


def run(path: Path) -> int:
    start = time.process_time()
    code = main(["claims", str(path)])
    assert time.process_time() - start < 20  # of the processor; a hang or a quadratic search takes minutes
    return code


@pytest.mark.parametrize("name", ["report.md", "report.toml"])
def test_a_pipe_is_refused_and_not_waited_for(name, tmp_path, capsys):
    os.mkfifo(tmp_path / name)
    assert run(tmp_path / name) == 2
    assert "no file" in capsys.readouterr().err


def test_a_name_that_no_file_system_takes_is_a_wrong_call(tmp_path, capsys):
    assert run(tmp_path / ("a" * 300)) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_utf_16_is_named(tmp_path, capsys):
    path = tmp_path / "report.md"
    path.write_bytes("Test accuracy: 9/9 correct\n".encode("utf-16"))
    assert run(path) == 2
    assert "UTF-16" in capsys.readouterr().err


LONG = {
    "a number of 5,000 digits": f"Test accuracy: {'9' * 5000} of {'9' * 5001} correct\n",
    "a table with such numbers": f"## Test set\n{HEAD}"
    f"| A | 0.{'9' * 4999} | 0.5 | 0.5 | {'7' * 4500} |\n| B | 0.5 | 0.5 | 0.5 | 3 |\n",
    "brackets": "[" * 200_000 + "\n",
    "picture marks": "![" * 100_000 + "\n",
    "a heading of spaces": "# " + " " * 200_000 + "x\n",
    "numbers": "1,234 " * 50_000 + "\n",
    "one line of 2 MB": "test accuracy " * 150_000 + "\n",
    "2,000 lines that say other things": "".join(
        f"The test accuracy was 97.{i % 10}% ({i}/37500 correct), of {i} test images, ten were misclassified.\n"
        for i in range(2000)
    ),
    "3,000 classes": "## Test set\n\n"
    + HEAD
    + "".join(f"| c{i} | 0.51 | 0.4{i % 9} | 0.43 | {i + 1} |\n" for i in range(3000)),
    "1,500 sets": "| Set | Images |\n|---|---|\n"
    + "".join(f"| s{i} | {i + 10} |\n" for i in range(1500))
    + "s1 s2\n" * 200,
}


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("name", LONG)
def test_a_report_too_large_to_read_ends(name, tmp_path):
    path = tmp_path / "report.md"
    path.write_text(LONG[name] + "\nExternal accuracy: 97.3%\n", encoding="utf-8")
    assert run(path) in (1, 3)  # what is too long is not checked, and a lone accuracy is not either


def test_a_page_of_150000_pieces_ends(tmp_path):
    path = tmp_path / "report.html"
    path.write_text(f"<html><body><p>{'<b>x</b> &amp; ' * 150_000}</p><p>Test accuracy: 97.3%</p>", encoding="utf-8")
    assert run(path) == 3  # one accuracy and nothing to hold it against


def test_what_was_too_long_is_noted():
    result = audited("Test accuracy: 97.3%\n" + "x" * 30_000 + "\n")
    assert any("line 2 has 30,000 characters" in note.message for note in result.notes)


# --- TOML -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"[[set]]\nname = 't'\nn = {'9' * 5000}\n", "not valid TOML"),
        (f"[[set]]\nname = 't'\nconfusion = {'[' * 3000}{']' * 3000}\n", "not valid TOML"),
        (
            "[[set]]\nname = 't'\n[[set.class]]\nname = 'A'\nprecision = '0.5'\n[[set.class]]\nname = 'a'\n",
            "has two tables",
        ),
    ],
)
def test_toml_that_cannot_be_read_says_so(text, words, tmp_path, capsys):
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    assert run(path) == 2
    assert words in capsys.readouterr().err


def test_toml_takes_the_spelling_of_the_classes():
    text = (
        "classes = ['A', 'B']\n[[set]]\nname = 't'\nconfusion = [[4, 1], [1, 3]]\n"
        "[[set.class]]\nname = 'a'\nprecision = '0.5'\n[[set.class]]\nname = 'b'\nprecision = '0.75'\n"
    )
    result = audit(read_toml(text, "r.toml"), rounding="nearest", exists=lambda name: False)
    contents = [entry.statement.content for entry in result.statements]
    assert Rows((Row("A", precision=contents[0].rows[0].precision),)) in contents  # type: ignore[union-attr]
    assert len(result.findings) == 1


def test_toml_of_one_class_is_audited():
    result = audit(
        read_toml("classes = ['A']\n[[set]]\nname = 't'\nn = 3\nconfusion = [[3]]\n", "r.toml"),
        rounding="nearest",
        exists=lambda name: False,
    )
    assert result.holds
