"""Sentences about classes, averages and two answers: numbers from confusion matrices, in several orders of words."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from claims_reports import NAMES, Numbers, draw_matrix, numbers_of, piped, written

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown
from harness.claims.spoken import read_spoken

SEEDS = range(3)


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def drawn(seed: int) -> tuple[np.ndarray, Numbers]:
    rng = np.random.default_rng(seed)
    matrix = draw_matrix(rng, most_classes=6, most_cells=400)
    while min(matrix.sum(axis=0).min(), matrix.sum(axis=1).min()) < 5:
        matrix = draw_matrix(rng, most_classes=6, most_cells=400)
    return matrix, numbers_of(matrix, 3, rng)


def percent(share: Fraction) -> str:
    return f"{written(100 * share, 1)} %"


ONE_CLASS = [
    "Sensitivity for {name}s was {recall} ({t}/{s}).",
    "The {name} recall was {recall}.",
    "On the test set, {name}s were detected with a recall of {recall} and a precision of {precision}.",
    "The model found {t} of {s} {name}s ({recall}).",
    "{t} of the {s} {name} cells were correctly classified.",
    "{recall} of {name}s ({t}/{s}) were correctly identified.",
    "{wrong} of {s} {name}s were misclassified.",
    "For {name} we obtained {precision} precision.",
    "Precision: {precision} for {name}.",
]


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("form", ONE_CLASS)
def test_a_sentence_about_a_class_is_checked_with_its_row(seed, form):
    matrix, numbers = drawn(seed)
    k = int(np.argmax(matrix.sum(axis=1)))

    def sentence(t: int) -> str:
        s, q = int(matrix[k].sum()), int(matrix[:, k].sum())
        said = {
            "recall": percent(Fraction(t, s)),
            "precision": percent(Fraction(max(0, t + q - int(matrix[k, k])) and t, q)),
        }
        return form.format(name=numbers.names[k], t=t, s=s, wrong=s - t, **said)

    above = f"# Results on the test set\n\n{piped(numbers)}\n"
    honest = audited(above + sentence(int(matrix[k, k])))
    assert honest.exit_code == 0, honest.findings or honest.report.unread
    t = int(matrix[k, k]) + (-3 if matrix[k, k] > 3 else 3)
    assert audited(above + sentence(t)).exit_code == 1


ALL_CLASSES = [
    ("Cohen's kappa was {}.", "kappa"),
    ("We obtained a kappa of {} on the test set.", "kappa"),
    ("The macro-averaged recall was {}.", "recall"),
    ("The mean recall over the classes was {}.", "recall"),
    ("Recall averaged over all classes was {}.", "recall"),
    ("A macro average precision of {} was obtained.", "precision"),
    ("Balanced accuracy was {}.", "recall"),
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("form", "which"), ALL_CLASSES)
def test_a_sentence_about_all_classes_is_checked_with_the_table(seed, form, which):
    matrix, numbers = drawn(10 + seed)
    n, right = int(matrix.sum()), matrix.diagonal()
    s, q = matrix.sum(axis=1), matrix.sum(axis=0)
    chance = Fraction(int((s * q).sum()), n * n)
    value = {
        "kappa": (Fraction(int(right.sum()), n) - chance) / (1 - chance),
        "recall": sum((Fraction(int(a), int(b)) for a, b in zip(right, s, strict=True)), Fraction(0)) / len(matrix),
        "precision": sum((Fraction(int(a), int(b)) for a, b in zip(right, q, strict=True)), Fraction(0)) / len(matrix),
    }[which]
    assert value > Fraction(1, 10), "draw with another seed: a negative kappa is not written here"
    above = f"# Results on the test set\n\n{piped(numbers)}\n"
    assert audited(above + form.format(written(value, 3))).exit_code == 0
    assert audited(above + form.format(written(value - Fraction(1, 25), 3))).exit_code == 1


TWO = (
    "On the test set the classifier had a sensitivity of {} ({}/{}), a specificity of {} ({}/{}), "
    "a PPV of {} ({}/{}) and an NPV of {} ({}/{})."
)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_answers_in_one_sentence_share_their_counts(seed):
    rng = np.random.default_rng(seed)
    tp, fn, fp, tn = (int(count) for count in rng.integers(4, 90, size=4))
    pairs = [(tp, tp + fn), (tn, tn + fp), (tp, tp + fp), (tn, tn + fn)]

    def sentence(given: list[tuple[int, int]]) -> str:
        return TWO.format(*(part for k, n in given for part in (percent(Fraction(k, n)), k, n)))

    assert audited(sentence(pairs)).exit_code == 0
    for k, (count, total) in enumerate(pairs):
        wrong = [*pairs[:k], (count + 1, total + 1), *pairs[k + 1 :]]
        assert audited(sentence(wrong)).exit_code == 1, k


@pytest.mark.parametrize(
    "sentence",
    [
        "On blurred images the recall of {} was 50 %.",
        "Recall was 95 % overall and 50 % for {}.",
        "Recall for {} was about 50 %.",
        "Without augmentation the recall of {} was 50 %.",
        "Two experts identified 50 % of the {} cells correctly.",
        "Recall of {} was 50 % in patients under 10 years.",
        "The recall of {} rose from 50 % to 60 %.",
        "Mean recall was 50 %.",
    ],
)
def test_what_may_be_about_something_else_is_not_read(sentence):
    said = sentence.format(NAMES[0])
    assert not read_spoken(said, classes=NAMES, one_set=lambda text: None)
    _, numbers = drawn(1)
    # What is approximate, or names no metric, states nothing; the rest is listed.
    code = 0 if "about" in said or "experts" in said else 3
    assert (
        audited(f"# Results on the test set\n\n{piped(numbers)}\n{sentence.format(numbers.names[0])}").exit_code == code
    )
