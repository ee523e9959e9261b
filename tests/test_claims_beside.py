"""Numbers right beside each other: a share and its counts, a table and its total, specificities and one size."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from claims_reports import written

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.fractions_said import fractions_said
from harness.claims.markdown import read_markdown

SEEDS = range(4)
NAMES = ("alpha", "beta", "gamma", "delta")


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def matrix_of(seed: int, k: int = 4) -> np.ndarray:
    """Counts with errors in every direction, so that no share is 1."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, size=(k, k))
    counts[np.diag_indices(k)] = rng.integers(40, 90, size=k)
    return counts


def shares_of(counts: np.ndarray, *, against_all: bool = False) -> list[list[Fraction]]:
    """Precision, recall and F1 of each class, or specificity in place of F1."""
    n, made = int(counts.sum()), []
    for i in range(len(counts)):
        t, s, q = int(counts[i, i]), int(counts[i].sum()), int(counts[:, i].sum())
        third = Fraction(n - s - q + t, n - s) if against_all else Fraction(2 * t, s + q)
        made.append([Fraction(t, q), Fraction(t, s), third])
    return made


def rows_of(counts: np.ndarray, *, against_all: bool = False) -> list[list[str]]:
    shares = shares_of(counts, against_all=against_all)
    return [[NAMES[i], *(written(share, 3) for share in own), str(counts[i].sum())] for i, own in enumerate(shares)]


def table(rows: list[list[str]], *, third: str = "F1") -> str:
    head = ["Class", "Precision", "Recall", third, "Support"]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n\n"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "form",
    [
        "{k} of the {n} slides came from the second site ({p} %).",
        "{k} of {n} test images were classified correctly, i.e. {p} %.",
        "- thing one: {k}/{n} ({p}%)",
        "Agreement with the reference was {p}% ({k}/{n}).",
        "The accuracy per patient, by vote, was {p} % ({k} of {n} patients).",
        "In total {k}/{n} tiles were found = {p} %.",
        "Of the {n} slides, {k} ({p} %) came from the first site.",
    ],
)
def test_a_share_beside_its_counts_is_checked_whatever_it_is_about(form, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(60, 2_000))
    k = int(rng.integers(n // 3, n))
    said = [form.format(k=k, n=n, p=written(100 * Fraction(k, n) + more, 1)) for more in (0, -Fraction(7, 2))]
    assert not audited(said[0]).findings
    assert audited(said[0]).counts[0] > 0
    wrong = audited(said[1])
    assert (wrong.exit_code, len(wrong.findings)) == (1, 1)


@pytest.mark.parametrize(
    "sentence",
    [
        "Epoch 3/10 (95.2 %)",
        "We improved 8 of 10 classes (95 %).",
        "The central 280 of 360 px (45 %) were kept.",
        "Best in 4 of 5 runs (97.1 %).",
        "3 of 100 cells were wrong (97 %).",
        "The split was 80/20 (75 % of patients).",
        "Accuracy rose on 20 of 30 images (by 3.5 %).",
        "About 20 of 30 images (50 %) were blurred.",
        "Rated 4/5 (96 %)",
        "bytes per pixel: source 0.130 (0.103 to 0.160); set 0.127 (0.119 to 0.138) (9 of 9 images alike)",
        "Of 9 cells like those, 7 to 9 are in it (95 %).",
        "Of 9 cells like those, 8 would be covered (95 %).",
        "Between 20 and 24 of 25 cells (95 %) were found.",
        "Of 100 slides, 50 were used, of which 25 (50 %) were malignant.",
    ],
)
def test_numbers_that_are_no_fraction_of_each_other_are_left_alone(sentence):
    assert not list(fractions_said(sentence))
    assert not audited(sentence + " Filler with 12 images.").findings if "Epoch" not in sentence else True


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("digits", [0, 1, 2])
def test_a_share_that_was_cut_off_is_no_conflict(digits, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(60, 2_000))
    k = int(rng.integers(n // 3, n))
    units = 100 * k * 10**digits // n
    share = f"{units / 10**digits:.{digits}f}"
    assert not audited(f"In total {k} of {n} cells were found ({share} %).").findings


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fraction_bound_to_its_set_is_found_once(seed):
    counts = matrix_of(seed)
    n, right = int(counts.sum()), int(np.trace(counts))
    share = written(100 * Fraction(right, n) - 4, 1)
    wrong = audited(f"# Test set\n\nThe test accuracy was {share} % ({right}/{n}).\n")
    assert (wrong.exit_code, len(wrong.findings)) == (1, 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", ["Total support: {}", "**Support (total):** {}"])
def test_a_total_support_is_that_of_its_table(label, seed):
    counts = matrix_of(seed)
    text = "## Evaluation\n\n" + table(rows_of(counts))
    assert audited(text + label.format(counts.sum())).exit_code == 0
    assert audited(text + label.format(counts.sum() + 6)).exit_code == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_total_of_images_may_be_of_the_dataset(seed):
    counts = matrix_of(seed)
    text = "## Evaluation\n\n" + table(rows_of(counts)) + "- Total images: {}\n"
    assert audited(text.format(counts.sum())).exit_code == 0
    assert audited(text.format(counts.sum() * 5)).exit_code == 3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("last", ["", "macro"])
def test_specificities_of_one_set_need_one_number_of_cells(seed, last):
    counts = matrix_of(seed)
    rows = rows_of(counts, against_all=True)
    if last:
        means = [sum(column) / 4 for column in zip(*shares_of(counts, against_all=True), strict=True)]
        rows.append(["macro avg", *(written(mean, 3) for mean in means), str(counts.sum())])
    assert not audited("# Test\n\n" + table(rows, third="Specificity")).findings
    for k in range(len(counts)):
        wrong = [list(row) for row in rows]
        wrong[k][3] = written(Fraction(rows[k][3]) - Fraction(4, 100), 3)
        assert audited("# Test\n\n" + table(wrong, third="Specificity")).exit_code == 1
    if last:
        rows[-1][3] = written(Fraction(rows[-1][3]) - Fraction(4, 100), 3)
        assert audited("# Test\n\n" + table(rows, third="Specificity")).exit_code == 1


def test_specificities_of_several_labels_an_image_are_no_conflict():
    n, rng = 400, np.random.default_rng(3)
    rows = []
    for name in NAMES:  # an image may have all four: the supports add up to more than there are images
        s, missed, false = int(rng.integers(150, 250)), int(rng.integers(5, 30)), int(rng.integers(5, 30))
        t = s - missed
        shares = [Fraction(t, t + false), Fraction(t, s), Fraction(n - s - false, n - s)]
        rows.append([name, *(written(share, 3) for share in shares), str(s)])
    assert not audited("# Findings\n\n" + table(rows, third="Specificity")).findings


@pytest.mark.parametrize("seed", SEEDS)
def test_right_ones_of_a_set_are_held_against_its_accuracy(seed):
    rng = np.random.default_rng(seed)
    rows = [(name, int(rng.integers(90, 400))) for name in ("Validation", "Test")]
    right = [int(n * rng.uniform(0.8, 0.95)) for _, n in rows]

    def report(more: int) -> str:
        lines = [
            f"| {name} | {n} | {k + more * (name == 'Test')} | {written(Fraction(k, n), 3)} |"
            for (name, n), k in zip(rows, right, strict=True)
        ]
        return "# Runs\n\n| Split | Images | Correct | Accuracy |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"

    assert audited(report(0)).exit_code == 0
    assert audited(report(4)).exit_code == 1


@pytest.mark.parametrize("old", ["## v1.1", "## 2023-05-01", "## Previous results", "## Week 3", "### [0.3.1]"])
def test_an_older_state_contradicts_nothing_of_a_newer_one(old):
    new = old.replace("1.1", "1.2").replace("05-01", "06-01").replace("Previous", "Initial").replace("3", "4")
    before = f"# Log\n\nThe test set has 250 images.\n\n{old}\n\n- Test accuracy 91.2 %\n\n"
    assert not audited(f"{before}{new}\n\n234 of 250 test images correct.\n").findings


@pytest.mark.parametrize("seed", SEEDS)
def test_errors_in_a_number_of_images_say_both(seed):
    counts = matrix_of(seed)
    n, wrong = int(counts.sum()), int(counts.sum() - np.trace(counts))
    text = "# Test set\n\nThe accuracy is {} % ({} errors in {} images).\n"
    share = written(100 * Fraction(n - wrong, n), 2)
    assert audited(text.format(share, wrong, n)).exit_code == 0
    assert audited(text.format(share, wrong, n + 40)).exit_code == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("site", [0, 1, 2])
def test_every_part_of_one_whole_is_of_it(seed, site):
    parts = [int(n) for n in np.random.default_rng(seed).integers(20, 300, size=3)]

    def said(more: int) -> str:
        shares = [Fraction(100 * n, sum(parts)) + more * (k == site) for k, n in enumerate(parts)]
        a, b, c = (f"{n} ({written(share, 1)} %)" for n, share in zip(parts, shares, strict=True))
        return f"Of {sum(parts)} slides, {a} came from Bern, {b} from Oslo and {c} from Rome."

    assert audited(said(0)).exit_code == 0
    assert audited(said(2)).exit_code == 1


def test_more_than_there_are_is_wrong_beside_its_share():
    assert audited("In all 27 of 25 slides (92 %) were found.").exit_code == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_accuracies_of_classes_are_told_where_they_are_no_recalls(seed):
    counts = matrix_of(seed)
    n = int(counts.sum())
    rows = []
    for i, (row, own) in enumerate(zip(rows_of(counts), counts, strict=True)):
        right = n - int(own.sum()) - int(counts[:, i].sum()) + 2 * int(own[i])
        rows.append([*row[:3], written(Fraction(right, n), 3), row[4]])
    result = audited("# Test\n\n" + table(rows, third="Accuracy"))
    assert result.exit_code == 3
    assert not result.findings
    for row in rows:
        row[3] = row[2]
    assert audited("# Test\n\n" + table(rows, third="Accuracy")).exit_code == 0


@pytest.mark.parametrize(
    "form",
    ["Accuracy {a} on {n} images.", "On the test set ({n} images) the accuracy was {a}.", "Accuracy {a} ({k}/{n})."],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_number_of_images_beside_an_accuracy_is_read(form, seed):
    counts = matrix_of(seed)
    n, right = int(counts.sum()), int(np.trace(counts))
    text = "# Test set\n\n" + table(rows_of(counts))

    def said(size: int) -> str:
        return text + form.format(a=written(Fraction(right, n), 3), n=size, k=right)

    assert audited(said(n)).exit_code == 0
    assert audited(said(n + 30)).exit_code == 1


def test_a_result_of_a_part_is_told_and_never_dropped():
    text = "# Test set\n\n" + table(rows_of(matrix_of(1)))
    assert audited(text).exit_code == 0
    for said in (
        "On a subset the accuracy was 0.91.",
        "Of the remaining 390 cells 335 of 390 were classified correctly.",
    ):
        assert audited(text + said).exit_code == 3, said
