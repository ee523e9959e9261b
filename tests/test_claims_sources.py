"""CSV, LaTeX and what a program prints are read like any other report; numbers that no result can have are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from claims_reports import Numbers, as_text, draw_matrix, is_impossible, numbers_of, plant

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown
from harness.claims.pages import read_html
from harness.claims.reading import NothingToCheck, read_report
from harness.claims.scores import read_scores

SEEDS = range(3)


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def read(folder: Path, name: str, text: str) -> Audit:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return audit(read_report(path), rounding="nearest", exists=lambda name: False)


def lines_of(numbers: Numbers) -> list[list[str]]:
    rows = [[name, *row] for name, row in zip(numbers.names, numbers.rows, strict=True)]
    rows.append(["accuracy", "", "", numbers.accuracy, numbers.total])
    rows.append(["macro avg", *numbers.macro, numbers.total])
    return [*rows, ["weighted avg", *numbers.weighted, numbers.total]]


def as_csv(numbers: Numbers, *, delimiter: str = ",") -> str:
    """As pandas writes classification_report: no head over the names."""
    rows = [["", "precision", "recall", "f1-score", "support"], *lines_of(numbers)]
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


def as_latex(numbers: Numbers) -> str:
    rows = [["Class", r"\textbf{Precision}", "Recall", r"$F_1$ score".replace("$F_1$", "F1"), "Support"]]
    body = [" & ".join(row) + r" \\" for row in [*rows, *lines_of(numbers)]]
    body.insert(1, r"\midrule")
    return "\n".join(
        [
            r"\section{Results on the test set} % a note",
            r"\begin{table}[t]",
            r"\begin{tabular}{l@{\hspace{1em}}rrrr} \toprule",
            *body,
            r"\bottomrule \end{tabular}",
            r"\caption{Results by \emph{class} on the test set.}\label{tab:a}",
            r"\end{table}",
            "",
        ]
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("report.csv", as_csv),
        ("report.tsv", lambda numbers: as_csv(numbers, delimiter="\t")),
        ("semicolons.csv", lambda numbers: as_csv(numbers, delimiter=";")),
        ("report.tex", as_latex),
        ("fenced.md", lambda numbers: f"# Paper\n\n```latex\n{as_latex(numbers)}```\n"),
    ],
)
def test_separated_values_and_latex_are_tables(tmp_path, name, written, seed):
    rng = np.random.default_rng(seed)
    numbers = numbers_of(draw_matrix(rng, most_classes=8, most_cells=2_000), 3, rng)
    honest = read(tmp_path, name, written(numbers))
    assert honest.exit_code == 0, honest.findings
    assert honest.counts[0] >= len(numbers.names)
    wrong = plant(numbers, rng)
    if is_impossible(wrong):
        assert read(tmp_path, name, written(wrong)).exit_code == 1


def test_a_row_of_latex_is_found_on_its_line(tmp_path):
    text = "\\begin{tabular}{lrr}\nClass & Precision & Recall & F1 & Support \\\\\n\\hline\n"
    text += "a & 0.9 & 0.9 & 0.9 &\n10 \\\\\n"
    text += "b & 0.9 & 0.9 & 0.5 & 10 \\\\\n\\end{tabular}\n"
    found = read(tmp_path, "report.tex", text).findings
    assert [place.line for each in found for place in each.places] == [6]


def test_a_file_of_predictions_is_no_report(tmp_path):
    rows = "\n".join(f"image_{k}.png,a,{k % 2}" for k in range(3_000))
    with pytest.raises(NothingToCheck):
        read(tmp_path, "predictions.csv", f"image,reference,predicted\n{rows}\n")


# --- what a program prints ------------------------------------------------------------------------


def in_notebook(text: str) -> str:
    output = {"output_type": "stream", "name": "stdout", "text": text.splitlines(True)}
    return json.dumps({"cells": [{"cell_type": "code", "source": [], "outputs": [output]}], "nbformat": 4})


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", ["Accuracy: {}", "Test accuracy = {}", "accuracy_score: {}"])
@pytest.mark.parametrize("is_above", [True, False])
def test_a_result_printed_beside_a_report_is_checked_with_it(tmp_path, seed, label, is_above):
    rng = np.random.default_rng(100 + seed)
    matrix = draw_matrix(rng, most_classes=6, most_cells=500)
    numbers, n, right = numbers_of(matrix, 2, rng), int(matrix.sum()), int(np.trace(matrix))

    def printed(k: int) -> str:
        parts = [label.format(f"{k / n:.4f}"), as_text(numbers)]
        return "\n".join(parts if is_above else parts[::-1]) + "\n"

    wrong = right - max(3, n // 20) if right > n // 2 else right + max(3, n // 20)
    for name, made in (("run.ipynb", in_notebook), ("run.md", lambda text: f"# Run\n\n```\n{text}```\n")):
        assert read(tmp_path, name, made(printed(right))).exit_code == 0
        assert read(tmp_path, name, made(printed(wrong))).exit_code == 1


@pytest.mark.parametrize(
    "block",
    [
        "Epoch 9\naccuracy: 0.55\n",
        "accuracy: 0.55\naccuracy: 0.60\n",
        "loss: 0.3\naccuracy: 0.55\n",
        "accuracy = 0.55\nprint(accuracy)\n",
    ],
)
def test_a_log_or_a_program_in_a_block_states_no_result(block):
    rng = np.random.default_rng(3)
    report = as_text(numbers_of(draw_matrix(rng, most_classes=4, most_cells=200), 2, rng))
    assert audited(f"# Test set\n\n{report}\n```\n{block}```\n").exit_code == 0


# --- numbers that no result has ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_wrong"),
    [("1.3", True), ("130%", True), ("-0.2", True), (".inf", True), ("250", True), ("0.9", False), ("97.5", False)],
)
@pytest.mark.parametrize("name", ["report.yaml", "report.json"])
def test_a_rate_outside_of_its_range_is_impossible_in_data(tmp_path, value, is_wrong, name):
    text = (
        f"test:\n  accuracy: {value}\n  tp: 45\n" if name.endswith("yaml") else f'{{"accuracy": "{value}", "tp": 45}}'
    )
    assert (read(tmp_path, name, text).exit_code == 1) is is_wrong


@pytest.mark.parametrize("name", ["report.yaml", "report.json"])
def test_no_number_is_not_checked_and_no_fault(tmp_path, name):
    text = "test_accuracy: .nan\ntp: 45\n" if name.endswith("yaml") else '{"test_accuracy": NaN, "tp": 45}'
    result = read(tmp_path, name, text)
    assert result.exit_code == 3
    assert [each for each in result.report.unread if "nan" in each.message.lower()]


@pytest.mark.parametrize(
    ("line", "is_wrong"),
    [
        ("AUC: 1.02", True),
        ("AUC: 1.00", False),
        ("MCC: -0.12", False),
        ("kappa: -1.2", True),
        ("Sensitivity: 104 %", True),
        ("Loss: 1.4", False),
    ],
)
def test_a_labelled_score_outside_of_its_range_is_impossible(line, is_wrong):
    assert (
        any(each.kind == "impossible" for each in audited(f"# Test set\n\n20 test images\n\n{line}\n").findings)
        is is_wrong
    )


def test_a_difference_may_be_negative():
    text = "# Results\n\n20 test images\n\n## Change against the baseline\n\n- Accuracy: -0.2\n"
    assert not audited(text).findings


def test_a_negative_agreement_is_not_read_as_a_positive_one():
    for line in ("kappa: -0.12", "MCC = -0.30", "Kappa -0.12", "kappa: \u22120.12"):
        assert not read_scores(line, one_set=lambda text: None, has_accuracy=False)


@pytest.mark.parametrize(("cell", "code"), [("90.0% (9/10)", 0), ("90.0 [55.5-99.7]", 0), ("85.0% (9/10)", 1)])
def test_a_cell_holds_a_share_and_what_it_is_made_of(cell, code):
    head = "# Test\n\n| Class | Recall | Specificity | n |\n|---|---|---|---|\n"
    assert audited(head + f"| a | {cell} | 80.0% | 10 |\n| b | 80.0% | 90.0% | 10 |\n").exit_code == code


def test_aliases_of_yaml_are_walked_once(tmp_path):
    text = "a: &a0 {precision: 0.9, note: x}\n"
    text += "".join(f"k{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12))
    assert read(tmp_path, "bomb.yaml", text + "confusion_matrix: [*a11, *a11]\ntest_accuracy: 0.9\n").exit_code == 3


def test_a_line_of_html_is_counted_through_blank_lines_comments_and_instructions():
    page = (
        "<p>one</p><div></i>\n\n\n two<!-- a\ncomment -->\n\n<?php\n0.97 ?> three <b>four</div>\n\n<p>five &lt; 6</p>"
    )
    found = [(line.number, line.text) for line in read_html(page).lines]
    assert found[:3] == [(1, "one"), (4, "two three four"), (10, "five < 6")], found


def test_cells_of_html_need_no_closing_tags():
    """HTML lets a cell end where the next begins; and a page of unclosed cells costs its length, not its square."""
    head = "<html><h2>Test set</h2><table><tr><th>Class<th>Precision<th>Recall<th>F1<th>Support"
    rows = "<tr><td>a<td>0.90<td>0.90<td>{}<td>10<tr><td>b<td>0.90<td>0.90<td>0.90<td>10"
    for f1, code in (("0.90", 0), ("0.80", 1)):
        document = read_html(head + rows.format(f1) + "</table>")
        assert audit(extract(document, "page.html"), rounding="nearest", exists=lambda name: False).exit_code == code
    deep = read_html("<table>" + "<tr><td>1" * 5_000)
    assert [len(table.rows) for table in deep.tables] == [4_999]


# --- what says nothing on a page ---


@pytest.mark.parametrize(
    "number",
    [
        "0.97",
        '<data value="0.97" title="run > accuracy">0.97</data>',
        "<a href='#x' class=wide>0<b>.9</b>7</a>",
        '<DATA\ndata-path="a &gt; b"\n>0.97</DATA>',
        '<code>0.97</code><svg class="plot" viewBox="0 0 1 1">\n<rect x="1"></rect><circle r="2"/></svg>',
        "0.97<svg><text>0.12</text></svg>",
        "0.97<svg></svg><!-- <svg> -->",
    ],
)
def test_tags_that_say_nothing_leave_the_number_and_its_line(number):
    page = f"<html><body>\n<p>Accuracy on the test set:\n{number} of 200 images.</p>\n<p>Loss 1.</p></body></html>"
    first, last, *_ = (line for line in read_html(page).lines if line.text)
    assert " ".join(first.text.split()) == "Accuracy on the test set: 0.97 of 200 images."
    assert (first.number, last.number) == (2, page[: page.index("<p>Loss")].count("\n") + 1)


@pytest.mark.parametrize(
    "hiding",
    [
        '<img alt="<svg>">{}<img alt="</svg>">',
        "<!-- <svg> -->{}<!-- </svg> -->",
        "<svg></svg>{}<svg></svg>",
        '<a title="<svg>">{}</a><a title="</svg>"></a>',
        "<title><svg></title>{}<title></svg></title>",
    ],
)
def test_no_word_is_taken_for_part_of_a_drawing(hiding):
    page = f"<html><body><p>{hiding.format('Accuracy 0.97 on the test set')}</p></body></html>"
    assert any("Accuracy 0.97" in line.text for line in read_html(page).lines)
