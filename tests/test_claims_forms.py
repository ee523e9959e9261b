"""The forms in which people print results: drawn from numbers, honest and with one changed digit."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from claims_reports import FORMS, Numbers, alone, draw_matrix, is_impossible, numbers_of, piped, plant, several
from effort import examples

from harness.claims.audit import Audit, audit
from harness.claims.binary import VALUES, Four
from harness.claims.choice import Meter
from harness.claims.deciding import Terms, answer_of
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown
from harness.claims.matrix_rules import Answer
from harness.claims.records import Accuracy, Averages, Content, Printed, Row, Rows, Size, Supports, printed
from harness.cli import main

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "cases" / "claims"


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


# --- drawn reports ------------------------------------------------------------------------------------


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("form", FORMS)
def test_an_honest_report_holds_and_an_impossible_digit_is_found(form):
    rng = np.random.default_rng(sum(map(ord, form)))
    for _ in range(examples(8)):
        numbers = numbers_of(draw_matrix(rng, most_classes=20), int(rng.choice([2, 2, 3, 4])), rng)
        text = alone(numbers, form)
        assert audited(text).exit_code == 0, text
        wrong = plant(numbers, rng)
        if is_impossible(wrong):
            assert audited(alone(wrong, form)).exit_code == 1, alone(wrong, form)


def test_reports_beside_each_other_are_not_merged():
    rng = np.random.default_rng(5)
    for _ in range(examples(64)):
        some = [numbers_of(draw_matrix(rng, most_classes=5, most_cells=900), 2, rng) for _ in range(3)]
        text = several(some, [str(rng.choice(list(FORMS))) for _ in some], rng)
        assert audited(text).exit_code != 1, text


def test_one_wrong_report_of_three_is_found():
    rng = np.random.default_rng(6)
    n_found = 0
    while n_found < 6:
        some = [numbers_of(draw_matrix(rng, most_classes=5, most_cells=900), 2, rng) for _ in range(3)]
        wrong = plant(some[1], rng)
        if not is_impossible(wrong):
            continue
        text = several([some[0], wrong, some[2]], ["text, fenced", "pipe table", "HTML table"], rng)
        assert audited(text).exit_code == 1, text
        n_found += 1


@pytest.mark.parametrize("k", [40, 60])
def test_many_classes_are_decided(k):
    rng = np.random.default_rng(k)
    matrix = np.diag(rng.integers(50, 700, size=k)) + rng.integers(0, 4, size=(k, k))
    numbers = numbers_of(matrix, 2, rng)
    assert audited(alone(numbers, "text, bare")).exit_code == 0
    rows = list(numbers.rows)
    rows[3] = (*rows[3][:2], "0.01", rows[3][3])
    assert audited(alone(Numbers(**{**_fields(numbers), "rows": tuple(rows)}), "text, bare")).exit_code == 1


def _fields(numbers: Numbers) -> dict[str, object]:
    return {name: getattr(numbers, name) for name in Numbers.__dataclass_fields__}


# --- against every matrix -----------------------------------------------------------------------------


def _share(top: int, bottom: int) -> Fraction:
    return Fraction(top, bottom) if bottom else Fraction(0)


def _prints(matrix: tuple[tuple[int, ...], ...], contents: list[Content]) -> bool:
    k, n = len(matrix), sum(map(sum, matrix))
    supports = [sum(row) for row in matrix]
    called = [sum(row[j] for row in matrix) for j in range(k)]
    own = [
        (
            _share(matrix[i][i], called[i]),
            _share(matrix[i][i], supports[i]),
            _share(2 * matrix[i][i], supports[i] + called[i]),
        )
        for i in range(k)
    ]
    for content in contents:
        if isinstance(content, Rows):
            for row in content.rows:
                if not _all_fit(row.shares, own["abc".index(row.name)]):
                    return False
        elif isinstance(content, Accuracy):
            if not _all_fit((content.share,), (_share(sum(matrix[i][i] for i in range(k)), n),)):
                return False
        elif isinstance(content, Averages):
            weights = supports if content.kind == "weighted" else [1] * k
            means = [
                sum(w * shares[m] for w, shares in zip(weights, own, strict=True)) / sum(weights) for m in range(3)
            ]
            if not _all_fit(content.shares, means):
                return False
    return True


def _all_fit(shares, values) -> bool:  # type: ignore[no-untyped-def]
    bands = [share.band("nearest") if share is not None else (Fraction(0), Fraction(1)) for share in shares]
    return all(low <= value <= high for (low, high), value in zip(bands, values, strict=True))


def _rows_of(total: int, k: int):  # type: ignore[no-untyped-def]
    return (cells for cells in product(range(total + 1), repeat=k) if sum(cells) == total)


def _any(rng: random.Random, digits: int = 1) -> Printed:
    made = printed(f"{rng.randrange(10**digits + 1) / 10**digits:.{digits}f}")
    assert made is not None
    return made


@pytest.mark.parametrize("supports", [(4, 3), (6, 5), (2, 3, 2), (3, 1, 3)])
def test_the_answer_is_that_of_trying_every_matrix(supports):
    rng = random.Random(str(supports))
    k = len(supports)
    every = list(product(*(_rows_of(total, k) for total in supports)))
    answers = set()
    for _ in range(examples(240)):
        honest = rng.choice(every)
        contents: list[Content] = [Supports(tuple(zip("abc", supports, strict=False))), Size(sum(supports))]
        for i in range(k):
            t, q = honest[i][i], sum(row[i] for row in honest)
            values = (_share(t, q), _share(t, supports[i]), _share(2 * t, supports[i] + q))
            shares = [printed(f"{float(value):.1f}") if rng.random() < 0.9 else _any(rng) for value in values]
            contents.append(Rows((Row("abc"[i], *shares),)))
        if rng.random() < 0.5:
            contents.append(Accuracy(_any(rng)))
        if rng.random() < 0.4:
            contents.append(Averages(rng.choice(["macro", "weighted"]), _any(rng), _any(rng), None))
        possible = any(_prints(matrix, contents) for matrix in every)
        answer = answer_of(contents, Terms(tuple("abc"[:k]), "nearest"), Meter(1_600_000))
        assert answer is (Answer.FEASIBLE if possible else Answer.INFEASIBLE), contents
        answers.add(answer)
    assert len(answers) == 2


# --- two answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", sorted(set(VALUES) - {"kappa", "mcc"}))
def test_a_score_beside_four_counts_is_recomputed(score):
    rng = random.Random(score)
    for _ in range(6):
        four = Four(*(rng.randrange(3, 90) for _ in range(4)))
        value = VALUES[score](four)
        assert value is not None
        head = f"## Test set\n\n- TP: {four.tp}, FP: {four.fp}, FN: {four.fn}, TN: {four.tn}\n"
        name = score.replace("npv", "NPV").replace("f1", "F1").capitalize()
        assert audited(f"{head}- {name}: {float(100 * value):.2f}%\n").exit_code == 0
        other = value + Fraction(1, 100) if value < Fraction(9, 10) else value - Fraction(1, 100)
        wrong = audited(f"{head}- {name}: {float(100 * other):.2f}%\n")
        assert wrong.exit_code == 1
        assert any(f"{float(100 * value):.2f}" in finding.message for finding in wrong.findings)


def test_sides_without_counts_decide_too():
    text = "## Test set (positives: 24 images, negatives: 62 images)\n\n- Sensitivity: {}%\n- Specificity: {}%\n"
    assert audited(text.format("75.00", "83.87")).exit_code == 0  # 18 of 24, 52 of 62
    assert audited(text.format("75.00", "82.86")).exit_code == 1


@pytest.mark.parametrize(("k", "n"), [(27, 30), (224, 228), (7, 9)])
def test_a_fraction_worked_out_is_what_it_comes_to(k, n):
    right = f"{100 * k / n:.1f}"
    wrong = f"{100 * (k - 2) / n:.1f}"
    for text in ("({a} + {b}) / {n} = {x} %", "{x}% ({a} + {b}) / ({a} + {b} + {rest})"):
        said = {"a": k - 3, "b": 3, "n": n, "rest": n - k}
        assert audited(f"## Test set\n\nWe count {text.format(**said, x=right)}.\n").exit_code == 0
        assert audited(f"## Test set\n\nWe count {text.format(**said, x=wrong)}.\n").exit_code == 1


def test_the_mean_of_folds_is_a_mean_of_folds():
    shares = [Fraction(k, 40) for k in (31, 36, 38, 33)]
    rows = "".join(f"| Fold {i} | {float(100 * share):.1f}% |\n" for i, share in enumerate(shares, 1))
    mean = float(100 * sum(shares) / 4)
    for shift, code in ((0, 0), (0.3, 1)):
        assert audited(f"| Fold | Accuracy |\n|---|---|\n{rows}| Mean | {mean + shift:.1f}% |\n").exit_code == code


# --- what is not said is not checked --------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Test accuracy: 97.3%\n",
        "The test set reached 97.3% accuracy, the validation set 95.0% accuracy.\n",
        "| Model | Precision | Recall | F1 |\n|--|--|--|--|\n| SVM | 0.91 | 0.9 | 0.82 |\n| C | 0.9 | 0.9 | 0.9 |\n",
        "## Test set\n\n- Precision: 0.91\n- Recall: 0.50\n- F1: 0.45\n",  # of which class, or what mean, is not said
    ],
)
def test_what_nothing_decides_is_not_called_consistent(text):
    result = audited(text)
    assert result.exit_code == 3
    assert result.counts[2] > 0


def test_a_total_that_slipped_a_column_spoils_no_other_cell():
    numbers = numbers_of(np.array([[30, 4], [3, 50]]), 2, np.random.default_rng(1))
    lines = piped(numbers).splitlines()
    for row in (f"| accuracy | {numbers.accuracy} | 87 | | |", f"| accuracy | {numbers.accuracy} | 87 |"):
        lines[4] = row
        result = audited("\n".join(lines))
        assert result.exit_code == 3, result.findings


def test_means_over_folds_need_be_no_counts():
    table = "| Class | Precision | Recall | F1 |\n|---|---|---|---|\n| a | 0.5 | 0.5 | 0.7 |\n| b | 0.9 | 0.9 | 0.9 |\n"
    assert audited(f"## Test set\n\n{table}").exit_code == 1
    assert audited(f"## Results of 5-fold cross-validation\n\n{table}").exit_code == 3
    assert audited(f"## Test set\n\nAveraged over 5 seeds:\n\n{table}").exit_code == 3


@pytest.mark.parametrize(
    "sentence",
    [
        "The train, validation and test accuracy was 99%, 95% and 93%.",
        "Train and test accuracy are 99% and 93% respectively.",
        "The accuracy on the test set was 90%, 91% and 92% for the three models.",
    ],
)
def test_a_list_is_read_whole_or_not_at_all(sentence):
    read = audited(f"# R\n\n{sentence}\n\nTest: 10 images\n\nTest: 20 images per class\n").statements
    assert not any(isinstance(entry.statement.content, Accuracy) for entry in read)


def test_errors_of_a_compound_subject_are_not_read_in_part():
    table = "## Test set\n\n| Class | Precision | Recall | F1 | Support |\n|---|---|---|---|---|\n" + (
        "| cat | 0.80 | 0.80 | 0.80 | 10 |\n| dog | 0.80 | 0.80 | 0.80 | 10 |\n| fox | 1.00 | 1.00 | 1.00 | 10 |\n"
    )
    assert audited(f"{table}\nThe only errors: 2 cats and 2 dogs were predicted as foxs.\n").exit_code != 1


# --- files ----------------------------------------------------------------------------------------------

EXPECTED = {
    **dict.fromkeys(("03_slow_binary", "04_two_models", "11_zero_division", "13_ner_micro"), 0),
    **dict.fromkeys(("05_testset_one_word", "06_runs"), 3),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not on this machine (../shared/cases/claims)")
def test_the_reproductions_of_public_reports_end_as_they_must(capsys):
    codes = {path.stem: main(["claims", str(path)]) for path in sorted(CASES.glob("*.md"))}
    capsys.readouterr()
    assert codes == {name: EXPECTED.get(name, 1) for name in codes}


def _wrong_table() -> str:
    head = "## Test set\n\n| Class | Precision | Recall | F1 |\n|---|---|---|---|\n"
    return f"{head}| a | 0.5 | 0.5 | 0.5 |\n| b | 0.9 | 0.9 | 0.1 |\n"


def test_a_notebook_is_read_where_it_prints_its_report(tmp_path, capsys):
    rng = np.random.default_rng(1)
    numbers = numbers_of(np.array([[30, 4], [3, 50]]), 2, rng)
    text = FORMS["text, bare"](numbers)
    cells = [
        {"cell_type": "markdown", "source": ["# Results\n", "on the test set"]},
        {"cell_type": "code", "source": [], "outputs": [{"output_type": "stream", "text": text.splitlines(True)}]},
    ]
    path = tmp_path / "a.ipynb"
    for changed, code in ((text, 0), (text.replace("87", "88"), 1)):
        cells[1]["outputs"] = [{"output_type": "stream", "text": changed.splitlines(True)}]
        path.write_text(json.dumps({"cells": cells, "nbformat": 4}, indent=1))
        assert main(["claims", str(path)]) == code
    assert "accuracy" in capsys.readouterr().out


def test_data_files_are_read_for_the_tables_in_them(tmp_path, capsys):
    numbers = numbers_of(np.array([[30, 4], [3, 50]]), 4, np.random.default_rng(1))
    written = FORMS["JSON"](numbers).removeprefix("```json\n").removesuffix("```\n")
    path = tmp_path / "r.json"
    path.write_text(written)
    assert main(["claims", str(path)]) == 0
    path.write_text(written.replace(numbers.accuracy, "0.5111"))
    assert main(["claims", str(path)]) == 1
    card = tmp_path / "card.md"
    card.write_text(
        "---\nmodel-index:\n- name: m\n  results:\n  - metrics:\n    - type: accuracy\n      value: 0.9\n---\n# Card\n"
    )
    assert main(["claims", str(card)]) == 3
    assert "accuracy 0.9" in capsys.readouterr().out


def test_a_folder_is_audited_file_by_file(tmp_path, capsys):
    good = piped(numbers_of(np.array([[30, 4], [3, 50]]), 2, np.random.default_rng(1)))
    (tmp_path / "good.md").write_text(good)
    (tmp_path / "story.md").write_text("Once upon a time.\n")
    assert main(["claims", str(tmp_path)]) == 0
    (tmp_path / "bad.md").write_text(_wrong_table())
    capsys.readouterr()
    assert main(["claims", str(tmp_path), "--csv"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "file,line,question,id,statement,verdict,recomputed,why"
    assert any("bad.md,6," in line and "cannot hold,0.9," in line for line in lines)


@pytest.mark.parametrize(("beside", "code"), [("# Hello", 0), (b"\x00\x01binary", 2), ("", 2)])
def test_a_report_that_cannot_be_audited_is_named_and_stops_none_beside_it(tmp_path, capsys, beside, code):
    table = _wrong_table().replace("0.9 | 0.9 | 0.1", "0.9 | 0.9 | 0.9")
    (tmp_path / "good.md").write_text(table)
    (tmp_path / "other.md").write_bytes(beside if isinstance(beside, bytes) else beside.encode())
    for given in ([tmp_path], [tmp_path / "other.md", tmp_path / "good.md"]):
        assert main(["claims", *map(str, given)]) == code
        said = capsys.readouterr()
        assert "2 hold" in said.out
        assert "other.md: " in said.err
    (tmp_path / "good.md").write_text(_wrong_table())
    assert main(["claims", str(tmp_path)]) == 1


def test_aliases_of_aliases_are_walked_once(tmp_path, capsys):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]  # 9^12 lists, if each is walked
    (tmp_path / "card.yaml").write_text("\n".join([*lines, "accuracy: 0.9"]))
    assert main(["claims", str(tmp_path / "card.yaml")]) == 3
    assert "accuracy 0.9" in capsys.readouterr().out


def test_what_cannot_hold_is_annotated_where_it_is_printed(tmp_path, capsys):
    path = tmp_path / "bad.md"
    path.write_text(_wrong_table())
    assert main(["claims", str(path), "--github"]) == 1
    assert f"::error file={path.as_posix()},line=6,title=cannot-hold::" in capsys.readouterr().out
    assert main(["claims", str(path), "--sarif"]) == 1
    sarif = json.loads(capsys.readouterr().out)
    region = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert (sarif["version"], region) == ("2.1.0", {"startLine": 6})


def test_a_hook_passes_what_is_not_checked_and_stops_what_cannot_hold(tmp_path, capsys):
    path = tmp_path / "README.md"
    for text, code in (("Test accuracy: 97%\n", 0), ("No numbers.\n", 0), (_wrong_table(), 1)):
        path.write_text(text)
        assert main(["claims", "--lenient", str(path)]) == code
    capsys.readouterr()


@pytest.mark.parametrize("folder", ["docs", "README.md", "CHANGELOG.md"])
def test_our_own_documents_state_nothing_impossible(folder, capsys):
    assert main(["claims", str(ROOT / folder), "--lenient"]) == 0, capsys.readouterr().out


def test_the_audit_starts_without_what_only_some_reports_need():
    code = (
        "import sys, harness.claims.job; print(sorted({'numpy', 'scipy', 'bs4', 'torch', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# --- counts of right and wrong ones, beside sizes and shares ---


COUNTED = "| Class | Correct | Total | Accuracy |\n|---|---|---|---|\n| a | 45 | 50 | {a} |\n| b | {k} | 50 | {b} |\n"


@pytest.mark.parametrize(
    ("a", "k", "b", "code"),
    [
        ("90 %", 42, "84 %", 0),
        ("0.90", 42, "0.84", 0),
        ("90 %", 40, "84 %", 1),
        ("90 %", 51, "84 %", 1),
        ("93.5 %", 42, "93.5 %", 3),  # of two classes against each other: what they are shares of is not said
    ],
)
def test_a_class_row_of_right_ones_and_all_is_worked_out(a, k, b, code):
    assert audited(f"# Test results\n\n{COUNTED.format(a=a, k=k, b=b)}").exit_code == code


@pytest.mark.parametrize(("total", "code"), [("87 | 100 | 87 %", 0), ("88 | 100 | 88 %", 1), ("87 | 100 | 88 %", 1)])
def test_the_row_of_the_whole_is_the_sum_of_the_classes(total, code):
    table = COUNTED.format(a="90 %", k=42, b="84 %") + f"| Total | {total} |\n"
    assert audited(f"# Test results\n\n{table}").exit_code == code


@pytest.mark.parametrize(("recall", "code"), [("84.0", 0), ("82.0", 1)])
def test_right_ones_beside_a_recall_decide_it(recall, code):
    rows = f"| a | 50 | 45 | 90.0 |\n| b | 50 | 42 | {recall} |\n"
    table = f"| Class | Support | Correct | Recall (%) |\n|---|---|---|---|\n{rows}"
    assert audited(f"# Test results\n\n{table}").exit_code == code


ERRORS = [
    "On the test set (n = 125), the model misclassified {k} cells (accuracy 96 %).",
    "The overall accuracy on the test set of 125 cells was 96 %; {k} cells were misclassified.",
    "On the 125 test images the accuracy is 96 %. {k} images were classified incorrectly.",
    "- Test accuracy: 96%\n- Test images: 125\n- Errors: {k}",
    "- Test accuracy: 96%\n- Test images: 125\n- Misclassified images: {k}",
    "| Set | n | Errors | Accuracy |\n|---|---|---|---|\n| Test | 125 | {k} | 96 % |\n| External | 50 | 5 | 90 % |",
]


@pytest.mark.parametrize("said", ERRORS)
def test_a_number_of_errors_is_held_against_size_and_accuracy(said):
    assert audited(f"# Results\n\n{said.format(k=5)}\n").exit_code == 0
    assert audited(f"# Results\n\n{said.format(k=7)}\n").exit_code == 1


@pytest.mark.parametrize(
    "said",
    [
        "Among blurred ones 12 cells were misclassified.",
        "For the lymphocytes two cells were misclassified.",
        "In the first trial 9 images were misclassified.",
        "The night shift misclassified 11 cells.",
        "Errors: 0",
    ],
)
def test_errors_of_some_of_the_cells_contradict_nothing(said):
    assert audited(f"# Results\n\nAccuracy on the 125 test images was 96 %.\n\n{said}\n").holds


def test_rows_of_images_and_right_ones_are_held_against_the_accuracy_of_their_column():
    rows = "| Images | 100 | 20 |\n| Correct | 97 | {} |\n| Accuracy | 97 % | 75 % |\n"
    table = f"| Metric | Test | External |\n|---|---|---|\n{rows}"
    assert audited(f"# Results\n\n{table.format(15)}").exit_code == 0
    assert audited(f"# Results\n\n{table.format(17)}").exit_code == 1


CATS = (
    "# R\n\n## Test set\n\n| class | precision | recall | f1 | support |\n|---|---|---|---|---|\n"
    "| cat | 0.94 | 0.96 | 0.95 | 50 |\n| dog | 0.96 | 0.94 | 0.95 | 50 |\n| accuracy | | | 0.95 | 100 |\n\n"
)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("The test set contains 50 cats and 50 dogs.", 0),
        ("The test set contains 60 cats and 40 dogs.", 1),
        ("The test set consists of 60 images of cats and 40 images of dogs.", 1),
        ("Among others, the test set contains 12 cats and 9 dogs.", 0),  # other words: nothing is read
        ("Misclassification rate: 5 %", 0),
        ("Misclassification rate: 4 %", 1),
        ("Test accuracy of 95 % corresponds to 93 correct predictions.", 3),
        ("Test accuracy is 95 % (95 of 100 correct).", 0),
        ("Cats: 45/50 correct.", 3),
        ("All dogs were classified correctly.", 3),
        ("No cat was misclassified.", 3),
        ("We achieve perfect recall for cats.", 3),
        ("Of 50 cats 2 were called dogs.", 3),
        ("False negatives for dog: 5", 3),
        ("48 cats right, 2 wrong.", 3),
        ("Every image was looked at by two experts.", 0),
        ("Cats and dogs were photographed by three phones.", 0),
    ],
)
def test_what_is_said_of_the_cells_of_a_class_is_checked_or_told(said, code):
    assert audited(f"{CATS}{said}\n").exit_code == code
