"""The claims audit from file to verdict: the published report, honest reports, planted faults, our own pack."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown
from harness.claims.pages import read_html
from harness.claims.records import Matrix, Rows, Size, Supports, printed
from harness.claims.search import count_matrices
from harness.claims.toml_report import read_toml
from harness.cli import main

ROOT = Path(__file__).resolve().parents[1]


def audited(markdown: str) -> Audit:
    return audit(extract(read_markdown(markdown), "report.md"), rounding="nearest", exists=lambda name: False)


def messages(result: Audit) -> list[str]:
    return [f"{finding.kind}: {finding.message}" for finding in result.findings]


# --- the published report ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published() -> Path:
    report = ROOT.parent / "shared" / "published" / "leukocyte-report-2025-11.md"
    if not report.is_file():
        pytest.skip("the published report is not on this machine (../shared/published)")
    return report


@pytest.fixture(scope="module")
def published_audit(published: Path) -> Audit:
    claims = extract(read_markdown(published.read_text(encoding="utf-8")), published.name)
    return audit(claims, rounding="nearest", exists=lambda name: False)


def letters(result: Audit) -> dict[str, str]:
    """The reference's letters A ... J for the audit's ids, by what the statements say."""
    words = {
        "375 images": "A",
        "accuracy 99.47%": "B",
        "exactly 2 errors": "C",
        "75 images per class (500": "D",
        "supports": "E",
        "Basophil precision": "F",
        "Neutrophil precision": "G",
        "Eosinophil, Lymphocyte, Monocyte all": "H",
        "the only errors": "I",
        "2 FP for Basophil": "J",
    }
    own = [entry for entry in result.statements if entry.statement.set == "test"]
    return {entry.id: next(v for k, v in words.items() if str(entry.statement).startswith(k)) for entry in own}


def test_the_published_report_has_exactly_the_conflicts_of_the_reference(published_audit):
    letter = letters(published_audit)
    assert sorted(letter.values()) == list("ABCDEFGHIJ")
    found = {"".join(sorted(letter[i] for i in f.statements)) for f in published_audit.findings if f.statements}
    assert found == {"AE", "BE", "DE", "DF", "FI", "GI", "IJ"}
    conflicts = dict(published_audit.conflicts)["test"]
    ids = [entry.id for entry in published_audit.statements if entry.statement.set == "test"]
    largest = {"".join(sorted(letter[ids[i]] for i in group)) for group in conflicts.maximal}
    assert largest == {"ABCDGHJ", "ABCFGHJ", "ABCDHI", "CEFGHJ", "CEHI"}
    assert conflicts.complete
    assert published_audit.complete


@pytest.mark.parametrize(
    "words",
    [
        "exactly one matrix with 2 errors, 371/373 = 99.46 % correct",
        "25,425 matrices with 2 errors, 373/375 = 99.47 % correct; 3,003 matrices with 4 errors, 371/375 = 98.93 %",
        "supports left free: 25,425 matrices with 2 errors, 373/375 = 99.47 % correct",
        "99.47% of 375 is 373 correct",
        "with 2 errors 99.47% fits n = 374 … 380 only",
        "gives the row of Basophil exactly as printed; it does not explain the rest, Neutrophil would be "
        "1.0000 / 0.9740 / 0.9868 with support 77",
        "none of the 13 figures",
    ],
)
def test_the_notes_work_out_what_the_reference_does(published_audit, words):
    assert any(words in note.message for note in published_audit.notes), published_audit.notes


@pytest.mark.parametrize(
    "words",
    [
        "prints precision 0.9868 (1 FP), 0.9740 (2 FP), 0.9615 (3 FP), never 0.9733",
        "the supports add up to 373",
        "no k/373 prints as 99.47%",
        "rests on 9/9, and only 1 of 5 classes: exact one-sided 95 % lower bound 0.7169",
        "torch 2.9.1 goes with torchvision 0.24, not 0.14.1; torchvision 0.14.1 requires torch 1.13",
        '"production-ready"',
    ],
)
def test_the_findings_say_why(published_audit, words):
    assert any(words in message for message in messages(published_audit)), messages(published_audit)


def test_every_statement_names_lines_that_hold_it(published, published_audit):
    lines = published.read_text(encoding="utf-8").splitlines()
    for entry in published_audit.statements:
        for place in entry.statement.places:
            assert place.text.split()[-1].strip("*`|") in lines[place.line - 1]


def test_two_rows_for_two_classes_without_the_others_have_no_say_on_the_rest():
    text = """## Test set
| Class | Precision | Recall | F1 | Support |
|---|---|---|---|---|
| A | 0.50 | 1.00 | 0.67 | 5 |
| B | 1.00 | 0.50 | 0.67 | 10 |
"""
    assert messages(audited(text)) == []


# --- our own report ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reports/reference", "reports/reference/index.html"])
def test_our_own_reference_report_has_no_finding(name, capsys):
    assert main(["claims", str(ROOT / name)]) == 0, capsys.readouterr().out
    assert "S20" in capsys.readouterr().out  # it was read, not skipped


def test_an_html_page_is_read_like_its_markdown():
    page = """<html><body><h2>Test set</h2><p>Accuracy: 70/80 correct (87.5 %)</p>
    <table><caption>Confusion matrix, rows: reference</caption>
    <tr><th></th><th>A</th><th>B</th><th>support</th></tr>
    <tr><td>A</td><td>40</td><td>0</td><td>40</td></tr><tr><td>B</td><td>9</td><td>31</td><td>40</td></tr></table>
    </body></html>"""
    result = audit(extract(read_html(page), "p.html"), rounding="nearest", exists=lambda name: False)
    kinds = [type(entry.statement.content) for entry in result.statements]
    assert Matrix in kinds
    assert Supports in kinds
    assert len(result.findings) == 2  # 71 are on the diagonal: 9 errors, neither 10 nor 12.5 %


# --- honest reports -----------------------------------------------------------------------------------


def written(share: Fraction, decimals: int, how: str) -> str:
    scaled = share * 10**decimals
    units = round(scaled) if how == "half-even" else int(scaled + Fraction(1, 2))
    digits = str(units).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def shares_of(matrix: list[list[int]], k: int) -> list[Fraction]:
    t, s, q = matrix[k][k], sum(matrix[k]), sum(line[k] for line in matrix)
    return [Fraction(a, b) if b else Fraction(0) for a, b in ((t, q), (t, s), (2 * t, s + q))]


NAMES = ("alpha", "beta", "gamma", "delta")


def honest_report(matrix: list[list[int]], decimals: int, how: str, *, averages: bool, percent: bool) -> str:
    """What somebody prints who counted these cells and rounded."""
    k = len(matrix)
    n, right = sum(map(sum, matrix)), sum(matrix[i][i] for i in range(k))
    rows = [shares_of(matrix, i) for i in range(k)]

    def cell(share: Fraction) -> str:
        return f"{written(share * 100, decimals - 1, how)}%" if percent else written(share, decimals, how)

    lines = ["# Report", "", "## Test set performance", ""]
    lines.append(
        f"- **Accuracy:** {written(Fraction(100 * right, n), decimals, how)}% ({right}/{n} correct predictions)"
    )
    lines.append(f"- Out of {n} test images, {n - right} were misclassified.")
    errors = [(i, j, matrix[i][j]) for i in range(k) for j in range(k) if i != j and matrix[i][j]]
    lines += [f"- {count} {NAMES[i]}s were predicted as {NAMES[j]}s" for i, j, count in errors]
    lines += ["", "| Class | Precision | Recall | F1-score | Support |", "|:--|--:|--:|--:|--:|"]
    for i in range(k):
        lines.append(f"| **{NAMES[i]}** | {' | '.join(cell(share) for share in rows[i])} | {sum(matrix[i])} |")
    lines.append(f"| accuracy | | | {cell(Fraction(right, n))} | {n} |")
    if averages:
        macro = [sum((row[m] for row in rows), Fraction(0)) / k for m in range(3)]
        weighted = [sum((rows[i][m] * sum(matrix[i]) for i in range(k)), Fraction(0)) / n for m in range(3)]
        lines.append(f"| macro avg | {' | '.join(map(cell, macro))} | {n} |")
        lines.append(f"| weighted avg | {' | '.join(map(cell, weighted))} | {n} |")
    lines += ["", "| true \\ predicted | " + " | ".join(NAMES[:k]) + " |", "|---" * (k + 1) + "|"]
    lines += [f"| {NAMES[i]} | " + " | ".join(map(str, matrix[i])) + " |" for i in range(k)]
    return "\n".join(lines) + "\n"


@st.composite
def matrices(draw: st.DrawFn) -> list[list[int]]:
    k = draw(st.integers(2, 4))
    diagonal = st.integers(0, 90)
    other = st.sampled_from([0, 0, 0, 0, 1, 2, 3, 11])
    matrix = [[draw(diagonal) if i == j else draw(other) for j in range(k)] for i in range(k)]
    matrix[0][0] += 1
    return matrix


@settings(max_examples=examples(60), deadline=None)
@given(
    matrix=matrices(),
    decimals=st.integers(2, 4),
    how=st.sampled_from(["half-even", "half-up"]),
    averages=st.booleans(),
    percent=st.booleans(),
)
def test_an_honest_report_has_no_finding(matrix, decimals, how, averages, percent):
    report = honest_report(matrix, decimals, how, averages=averages, percent=percent)
    assert messages(audited(report)) == [], report
    # Without the matrix the search has to find one itself.
    table_only = report[: report.index("| true")]
    assert messages(audited(table_only)) == [], table_only


@settings(max_examples=examples(60), deadline=None)
@given(matrix=matrices(), seed=st.integers(0, 2**32 - 1))
def test_one_altered_digit_beside_a_printed_matrix_is_found(matrix, seed):
    """The printed matrix decides by hand: an altered share that is not the matrix's own must be found."""
    report = honest_report(matrix, 4, "half-even", averages=False, percent=False)
    rng = random.Random(seed)
    k = rng.randrange(len(matrix))
    metric = rng.randrange(3)
    share = shares_of(matrix, k)[metric]
    old = written(share, 4, "half-even")
    place = rng.randrange(2, 6)
    new = old[:place] + rng.choice([d for d in "0123456789" if d != old[place]]) + old[place + 1 :]
    value = printed(new)
    assert value is not None
    if value.value > 1:
        return
    low, high = value.band("nearest")
    assert not low <= share <= high
    lines = report.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"| **{NAMES[k]}**"))
    cells = lines[at].split(" | ")
    cells[1 + metric] = new
    lines[at] = " | ".join(cells)
    result = audited("\n".join(lines))
    assert any(finding.kind == "conflict" and at + 1 in {p.line for p in finding.places} for finding in result.findings)


@settings(max_examples=examples(60), deadline=None)
@given(
    a=st.tuples(st.integers(1, 8), st.integers(0, 4)),
    b=st.tuples(st.integers(1, 8), st.integers(0, 4)),
    seed=st.integers(0, 2**32 - 1),
)
def test_an_altered_table_without_matrix_is_found_when_brute_force_says_so(a, b, seed):
    matrix = [[a[0], a[1]], [b[1], b[0]]]
    report = honest_report(matrix, 2, "half-even", averages=False, percent=False)
    report = report[: report.index("| true")]
    lines = [line for line in report.splitlines() if "were predicted" not in line]
    rng = random.Random(seed)
    k, metric = rng.randrange(2), rng.randrange(3)
    at = next(i for i, line in enumerate(lines) if line.startswith(f"| **{NAMES[k]}**"))
    cells = lines[at].split(" | ")
    cells[1 + metric] = f"0.{rng.randrange(100):02d}"
    lines[at] = " | ".join(cells)
    result = audited("\n".join(lines))
    # Two classes with known supports: try every matrix against every printed number.
    supports, n = [sum(row) for row in matrix], sum(map(sum, matrix))
    wrong = n - matrix[0][0] - matrix[1][1]
    possible = False
    for x in range(supports[0] + 1):
        for y in range(supports[1] + 1):
            tried = [[x, supports[0] - x], [supports[1] - y, y]]
            bands = [[printed(c.strip()) for c in line.split(" | ")[1:4]] for line in lines if line.startswith("| **")]
            fits = all(
                share is not None and share.band("nearest")[0] <= value <= share.band("nearest")[1]
                for i in range(2)
                for share, value in zip(bands[i], shares_of(tried, i), strict=True)
            )
            possible = possible or (fits and n - x - y == wrong)
    assert bool(result.findings) == (not possible), messages(result)


# --- extraction ---------------------------------------------------------------------------------------


def contents(markdown: str) -> list[str]:
    return [f"{entry.statement.set}: {entry.statement.content}" for entry in audited(markdown).statements]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Accuracy on the test set was 0.9947.", ["test: accuracy 0.9947"]),
        (
            "The model achieved 98.0% test and 91.5% external accuracy.",
            ["test: accuracy 98.0%", "external: accuracy 91.5%"],
        ),
        (
            "Test accuracy: 97.1% (68 of 70 cells correct)",
            ["test: accuracy 97.1%", "test: exactly 2 errors", "test: 70 images"],
        ),
        ("Of 70 test images, two were misclassified.", ["test: exactly 2 errors", "test: 70 images"]),
        ("The test accuracy is about 99%.", []),
        ("Test error rate: <1%", []),
        ("All test classes are at or near 100% accuracy", []),
        ("We require a test accuracy of at least 98.0%.", []),
        ("The balanced test accuracy was 98.0%.", []),
        ("Accuracy was 98.0%.", []),
        ("Validation accuracy 98.0% and test accuracy 97.0%", ["validation: accuracy 98.0%", "test: accuracy 97.0%"]),
        ("Clinical validation: accuracy 98.0%", []),
        ("Training: 1,750 images (70%)", ["train: 1,750 images"]),
        ("Test: 375 images", ["test: 375 images"]),
        ("75 test images per class", ["test: 75 images per class"]),
        ("Random crop: 75-100% of the test image", []),
        ("Split 70/15/15 on 2025-11-15", []),
        ("Error rate on the test set: 2.0%", ["test: accuracy 98.0 % (error rate 2.0%)"]),
    ],
)
def test_a_line_states_what_it_says_and_no_more(line, expected):
    assert sorted(contents(f"# Report\n\n{line}\n")) == sorted(expected)


def test_a_classification_report_in_a_code_block_is_a_class_table():
    text = """## Test set
```
              precision    recall  f1-score   support

  band cells       1.00      0.50      0.67        10
        blast       0.67      1.00      0.80        10

    accuracy                           0.75        20
   macro avg       0.83      0.75      0.73        20
weighted avg       0.83      0.75      0.73        20
```
"""
    result = audited(text)
    assert result.report.classes == ("band cells", "blast")
    assert {type(s.content) for s in result.report.statements} >= {Rows, Supports, Size}
    assert messages(result) == []
    assert messages(audited(text.replace("0.73        20\nweighted", "0.93        20\nweighted"))) != []


def test_a_matrix_that_does_not_name_its_sides_is_not_read():
    text = "## Test set\n| | A | B |\n|---|---|---|\n| A | 3 | 1 |\n| B | 0 | 4 |\n"
    assert contents(text) == []


def test_numbers_of_different_sets_are_never_combined():
    text = "Test accuracy: 99.0% (99/100 correct)\n\nValidation accuracy: 50.0% (5/10 correct)\n"
    assert messages(audited(f"# R\n\n{text}")) == []


def test_more_correct_than_there_are_is_a_finding():
    assert any("12 of 9" in m for m in messages(audited("Test accuracy: 12 of 9 correct\n")))


def test_an_accuracy_that_no_count_prints_is_found():
    found = messages(audited("Test accuracy: 99.50% of 9 cells\n\nTest set of 9 images\n\nTest: 9 images\n"))
    assert any("no k/9 prints as 99.50%" in message for message in found)


def test_decimals_that_hide_the_count_are_noted():
    notes = [n.message for n in audited("Test accuracy: 99.5%\n\nTest: 2,000 images\n").notes]
    assert any("1,989 … 1,991 correct: the decimals hide the count" in note for note in notes)


def test_a_split_that_does_not_add_up_is_found():
    text = "Total images: 100\n\n- Training: 70 images\n- Validation: 15 images\n- Test: 14 images\n"
    assert any("70 + 15 + 14 = 99" in message for message in messages(audited(text)))


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("External accuracy 9/9 correct shows perfect generalization.", True),
        ("External accuracy 9/9 correct.", False),
        ("External accuracy 9/9 correct; this does not show generalization.", False),
        ("External accuracy 9/9 correct. No claim of robust performance on the external set is made.", False),
    ],
)
def test_strong_words_count_only_as_a_claim(sentence, found):
    kinds = [finding.kind for finding in audited(f"# R\n\n{sentence}\n").findings]
    assert kinds == (["overclaim"] if found else [])


def test_pins_that_belong_together_are_no_finding():
    text = "Test accuracy: 9/9 correct\n```\ntorch==2.9.1\ntorchvision==0.24.1\n```\n"
    assert messages(audited(text)) == []


def test_a_figure_is_missed_only_where_others_are_there(tmp_path):
    report = tmp_path / "report.md"
    report.write_text("Test accuracy: 100% (9/9 correct)\n\n![a](one.png)\n![b](two.png)\n")
    assert main(["claims", str(report)]) == 0
    (tmp_path / "one.png").write_bytes(b"x")
    assert main(["claims", str(report)]) == 1


# --- TOML -----------------------------------------------------------------------------------------------

TOML = """
[[set]]
name = "test"
n = 8
accuracy = "87.5%"
errors = 1
confusion = [[4, 0], [1, 3]]
[[set.class]]
name = "A"
precision = "0.80"
recall = "1.00"
f1 = "0.89"
support = 4
[[set.class]]
name = "B"
precision = "1.00"
recall = "0.75"
f1 = "0.86"
support = 4
[pins]
torch = "2.9.1"
torchvision = "0.24.1"
"""


def toml_audit(text: str) -> Audit:
    return audit(read_toml(text, "r.toml"), rounding="nearest", exists=lambda name: False)


def test_a_toml_of_true_statements_has_no_finding():
    assert messages(toml_audit(TOML)) == []


def test_a_toml_of_one_false_statement_has_findings():
    assert all("0.81" in message for message in messages(toml_audit(TOML.replace('"0.80"', '"0.81"'))))
    assert messages(toml_audit(TOML.replace('"0.80"', '"0.81"')))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('recall = "1.00"', 'recall = "1.2"', "above 1"),
        ('recall = "1.00"', 'recall = "97.33"', 'write "97.33%"'),
        ('recall = "1.00"', "recall = 1.00", "as text"),
        ("support = 4", "support = -4", "negative"),
        ("support = 4", "support = 4.0", "not a count"),
        ("errors = 1", "errors = 9", "more than n"),
        ("errors = 1", "mistakes = 1", "unknown key 'mistakes'"),
        ("[[4, 0], [1, 3]]", "[[4, 0]]", "2 x 2"),
        ("[[4, 0], [1, 3]]", "[[4, 0], [1, -3]]", "every cell is a count"),
        ('name = "test"', "name = 3", "needs name as text"),
        ("[[set]]", "[[set]", "not valid TOML"),
        ('torch = "2.9.1"', "torch = 2.9", "a version is text"),
    ],
)
def test_bad_toml_says_what_and_what_to_do(old, new, words, tmp_path, capsys):
    path = tmp_path / "r.toml"
    path.write_text(TOML.replace(old, new, 1))
    assert main(["claims", str(path)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1


# --- the command line -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\x89PNG\r\n\0\0", "binary"),
        (b"caf\xe9", "not UTF-8"),
        (b"# A story\n\nOnce upon a time.\n", "nothing to check"),
        (b"| a | b |\n|---|---|\n| 1 | 2 |\n", "nothing to check"),
    ],
)
def test_what_is_no_report_is_a_wrong_call(data, words, tmp_path, capsys):
    path = tmp_path / "report.md"
    if data is not None:
        path.write_bytes(data)
    assert main(["claims", str(path)]) == 2
    assert words in capsys.readouterr().err


def test_a_folder_without_a_report_is_a_wrong_call(tmp_path, capsys):
    assert main(["claims", str(tmp_path)]) == 2
    assert "index.html" in capsys.readouterr().err


def test_a_row_with_a_missing_cell_is_a_finding_not_a_guess():
    text = "## Test set\n| Class | Recall | Support |\n|---|---|---|\n| A | 0.5 | 4 |\n| B | 0.5 |\n| C | 1.0 | 4 |\n"
    assert any("2 cells under 3 column heads" in message for message in messages(audited(text)))


def test_a_table_without_precision_is_read_for_what_it_has():
    text = "## Test set\n| Class | Recall | Support |\n|---|---|---|\n| A | 0.5 | 4 |\n| B | 0.6 | 4 |\n"
    assert any("never 0.6" in message or "cannot" in message for message in messages(audited(text)))


def test_json_says_the_same(tmp_path, capsys):
    path = tmp_path / "report.md"
    path.write_text("Test accuracy: 99.50%\n\nTest: 9 images\n")
    assert main(["claims", str(path), "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["holds"] is False
    assert data["findings"][0]["statements"] == ["S1", "S2"]
    assert [place["line"] for place in data["findings"][0]["places"]] == [1, 3]


def test_control_characters_of_a_report_do_not_reach_the_terminal(tmp_path, capsys):
    path = tmp_path / "report.md"
    path.write_text("Test accuracy: 9/9 correct \x1b[31m\n")
    main(["claims", str(path), "--verbose"])
    assert "\x1b" not in capsys.readouterr().out


def test_truncated_decimals_are_a_mode_of_their_own(tmp_path):
    path = tmp_path / "report.md"
    path.write_text("Test accuracy: 66.6%\n\nTest: 3 images\n")
    assert main(["claims", str(path)]) == 1
    assert main(["claims", str(path), "--rounding", "truncated"]) == 0


def test_counting_needs_a_size():
    from harness.claims.matrix_rules import ClassRule, MatrixQuestion

    assert count_matrices(MatrixQuestion((ClassRule(), ClassRule()))) is None
