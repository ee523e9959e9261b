"""Rows that pool several sets, and sentences that split one, add up; what need not add up is left alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from claims_reports import written

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown
from harness.claims.splits import split_of

SEEDS = range(5)


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def sets_of(seed: int) -> list[tuple[str, int, int]]:
    """(name, cells, right), with accuracies that differ."""
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(80, 900, size=int(rng.integers(2, 5)))]
    return [(f"Site{k}", n, int(n * (0.97 - 0.06 * k))) for k, n in enumerate(sizes)]


def table_of(rows: list[tuple[str, str, str]], *, head: str = "Dataset") -> str:
    lines = [f"| {head} | Images | Accuracy |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "# External validation\n\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("pooled", ["All", "Total", "Pooled", "Overall"])
@pytest.mark.parametrize("head", ["Dataset", "Test set", "Cohort"])
def test_a_row_that_pools_others_is_checked_with_them(seed, pooled, head):
    sets = sets_of(seed)
    n, right = sum(s[1] for s in sets), sum(s[2] for s in sets)
    rows = [(name, f"{size:,}", f"{written(Fraction(100 * k, size), 1)} %") for name, size, k in sets]

    def last(total: int, share: Fraction) -> str:
        return table_of([*rows, (pooled, f"{total:,}", f"{written(100 * share, 1)} %")], head=head)

    share = Fraction(right, n)
    assert audited(last(n, share)).exit_code == 0
    assert audited(last(n, share + Fraction(1, 20))).exit_code == 1
    assert audited(last(n + 7, share)).exit_code == 1


def test_a_mean_of_sets_may_be_called_overall_and_groups_may_overlap():
    rows = [("A1", "100", "90.0 %"), ("B1", "300", "70.0 %")]
    assert audited(table_of([*rows, ("Overall", "400", "80.0 %")])).exit_code == 0
    assert audited(table_of([*rows, ("Pooled", "400", "80.0 %")])).exit_code == 1
    groups = [("young", "60", "90.0 %"), ("old", "40", "80.0 %"), ("female", "50", "88.0 %"), ("male", "50", "84.0 %")]
    assert not audited(table_of([*groups, ("All", "100", "86.0 %")])).findings


SPLITS = [
    "We split the {total} images into {train} training, {val} validation and {test} test images.",
    "Of {total} images, {train} ({p} %) were used for training, {val} ({q} %) for validation, {test} ({r} %) for test.",
    "The dataset contains {total} images: training ({train}), validation ({val}) and test ({test}).",
    "All {total} cells were divided: train = {train}, val = {val}, test = {test}.",
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("form", SPLITS)
def test_the_parts_of_a_split_add_up(seed, form):
    rng = np.random.default_rng(seed)
    total = int(rng.integers(200, 40_000))
    train, val = int(total * rng.uniform(0.5, 0.8)), int(total * rng.uniform(0.05, 0.15))

    def sentence(whole: int, parts: list[int]) -> str:
        shares = {name: written(Fraction(100 * part, total), 1) for name, part in zip("pqr", parts, strict=True)}
        named = {name: f"{part:,}" for name, part in zip(("train", "val", "test"), parts, strict=True)}
        return form.format(total=f"{whole:,}", **named, **shares)

    parts = [train, val, total - train - val]
    found = split_of(sentence(total, parts))
    assert found is not None and not found.problems
    assert [count for _, count in found.parts] == parts
    assert not audited(f"# Data\n\n{sentence(total, parts)}\n").findings
    assert audited(f"# Data\n\n{sentence(total + 60, parts)}\n").exit_code == 1
    assert audited(f"# Data\n\n{sentence(total, [train - 40, *parts[1:]])}\n").exit_code == 1


def test_a_share_of_a_split_is_checked_with_its_count():
    said = "Of 2,500 images, 1,750 ({} %) were used for training, 375 (15 %) for validation and 375 (15 %) for testing."
    assert not audited(said.format(70)).findings
    assert audited(said.format(75)).exit_code == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "Of 100 images, 60 were used for training and 20 for testing after removing duplicates.",
        "From the 100 images 60 training and 20 test images remained.",
        "Of 100 images, 60 were used for training, 20 for testing and the validation set had the others.",
        "Of about 100 images, 70 were used for training and 20 for testing.",
    ],
)
def test_what_need_not_add_up_is_left_alone(sentence):
    assert split_of(sentence) is None
    assert not audited(f"# Data\n\n{sentence}\n\nTest accuracy: 90 %\n").findings


# --- ratios and shares of a split ---


RATIOS = [
    ("split {a}/{b}/{c} into training, validation and test", True),
    ("divided {a}:{b}:{c} (train/val/test)", True),
    ("split {a}%/{b}%/{c}% in train, validation and test sets", True),
    ("split {a}-{b}-{c} for training, development and testing", True),
    ("split in {a}:{b}:{c}, by patient, into train/validation/test", False),
    ("split about {a}/{b}/{c} into training, validation and test", False),
]


@pytest.mark.parametrize(("said", "exact"), RATIOS)
@pytest.mark.parametrize(("a", "b", "c"), [(70, 15, 15), (80, 10, 10), (60, 20, 20)])
def test_a_ratio_is_held_against_the_size_that_is_printed(said, exact, a, b, c):
    text = f"# Data\n\nThe dataset of 2,000 images was {said.format(a=a, b=b, c=c)}.\n\nTest set: {{n}} images.\n"
    assert audited(text.format(n=20 * c)).holds
    assert audited(text.format(n=20 * c + 8)).holds  # a percent is rounded
    assert audited(text.format(n=20 * c + 60)).holds is not exact


def test_of_a_ratio_in_two_only_the_test_part_is_held_against_a_size():
    """Validation may be taken out of the larger one."""
    said = "The dataset of 1,000 images was split 80/20 into train and test."
    text = f"# Data\n\n{said}\n\nTrain: {{}} images. Test: {{}} images.\n"
    assert audited(text.format(700, 200)).holds
    assert not audited(text.format(800, 300)).holds


def test_a_train_part_that_grew_is_held_against_no_ratio():
    text = "# Data\n\nThe dataset of 1,000 images was split 70/15/15 (train/val/test).\n\nTrain: {} images.\n{}"
    assert not audited(text.format(2_800, "")).holds
    assert audited(text.format(2_800, "\nThe training images were augmented fourfold.\n")).holds


SHARES = (
    "| Split | Images | Share |\n|---|---|---|\n| Train | 700 | {} |\n| Test | 300 | {} |\n| Total | 1,000 | {} |\n"
)


def test_a_share_beside_two_columns_of_counts_may_be_of_either():
    rows = "| Train | 70 | 1,800 | 70 % |\n| Test | 30 | 700 | 30 % |\n| Total | 100 | 2,500 | 100 % |\n"
    assert audited(f"| Part | Patients | Images | Share |\n|---|---|---|---|\n{rows}").holds


@pytest.mark.parametrize(
    ("shares", "holds"),
    [
        (("70 %", "30 %", "100 %"), True),
        (("0.70", "0.30", "1.00"), True),
        (("70", "30", "100"), True),
        (("70 %", "35 %", "100 %"), False),
        (("0.70", "0.03", "1.00"), False),
        (("12 %", "11 %", "11.7 %"), True),  # of something else: the whole is not 100 % of it
        (("12 %", "11 %", ""), True),
    ],
)
def test_a_column_of_shares_is_that_of_the_counts_beside_it(shares, holds):
    assert audited(SHARES.format(*shares)).holds is holds


def counts_of(seed: int) -> list[list[int]]:
    """A class a row, its images in train, validation and test."""
    return np.random.default_rng(seed).integers(20, 900, size=(4, 3)).tolist()


def by_class(counts: list[list[int]], changed: tuple[int, int] | None = None) -> str:
    whole = [[*row, sum(row)] for row in counts]
    whole.append([sum(column) for column in zip(*whole, strict=True)])
    if changed is not None:
        whole[changed[0]][changed[1]] += 7
    names = ["glioma", "pituitary", "normal", "other", "Total"]
    rows = [f"| {name} | {' | '.join(f'{n:,}' for n in row)} |" for name, row in zip(names, whole, strict=True)]
    return "# Images\n\n| Type | Train | Val | Test | Total |\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("changed", [(0, 3), (2, 1), (4, 0), (4, 3)])
def test_images_by_class_and_set_add_up(changed, seed):
    assert not audited(by_class(counts_of(seed))).findings
    assert audited(by_class(counts_of(seed), changed)).exit_code == 1


def test_totals_of_which_none_adds_up_are_of_something_else():
    rows = [("glioma", 840, 60, 60, 500), ("pituitary", 900, 90, 90, 510), ("normal", 700, 70, 70, 520)]  # train grew
    rows.append(("Total", 2_000, 200, 200, 1_500))
    lines = [
        f"| {' | '.join(map(str, row))} |" for row in (("Type", "Train", "Val", "Test", "Total"), ["---"] * 5, *rows)
    ]
    assert not audited("# Images\n\n" + "\n".join(lines) + "\n").findings


def test_what_is_no_count_of_images_need_not_add_up():
    text = "# Sites\n\n| Site | Patients | Mean age | Images | Test |\n|---|---|---|---|---|\n"
    text += "| Bern | 40 | 61 | 400 | 80 |\n| Oslo | 50 | 58 | 500 | 100 |\n| Total | 85 | 59 | 900 | 180 |\n"
    assert not audited(text).findings
