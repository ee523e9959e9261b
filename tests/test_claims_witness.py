"""mlscorecheck as a second witness: where it decides whether scores can be of one test set, the audit decides the same.

It knows tables of two classes; its check of macro averages does not go with today's PuLP. Source: Fazekas and Kovacs
(2024), Testing the consistency of performance scores reported for binary classification problems.
"""

from __future__ import annotations

import logging
from fractions import Fraction

import numpy as np
import pytest
from mlscorecheck.check.binary import check_1_testset_no_kfold
from test_claims_rows import audited, lines, written

logging.getLogger("mlscorecheck").setLevel(logging.WARNING)  # it tells each step of each check
DECIMALS = 4
# Score of mlscorecheck -> where the audit reads it: row, column.
PLACES = {"ppv": (0, 1), "sens": (0, 2), "npv": (1, 1), "spec": (1, 2), "acc": (2, 2)}


def scores_of(tp: int, tn: int, p: int, n: int) -> dict[str, Fraction]:
    return {
        "sens": Fraction(tp, p),
        "spec": Fraction(tn, n),
        "ppv": Fraction(tp, tp + n - tn),
        "npv": Fraction(tn, tn + p - tp),
        "acc": Fraction(tp + tn, p + n),
    }


def report(scores: dict[str, str], p: int, n: int) -> str:
    rows = [["sick", "", "", str(p)], ["well", "", "", str(n)], ["accuracy", "", "", str(p + n)]]
    for name, (row, column) in PLACES.items():
        rows[row][column] = scores[name]
    return lines(["class", "precision", "recall", "support"], rows)


def possible(scores: dict[str, str], p: int, n: int) -> bool:
    found = check_1_testset_no_kfold(
        testset={"p": p, "n": n},
        scores={name: float(score) for name, score in scores.items()},
        eps=0.5 * 10**-DECIMALS,
        numerical_tolerance=1e-9,  # its own, 1e-6, lets 127/204 be printed as 0.6226
    )
    return not found["inconsistency"]


@pytest.mark.parametrize("seed", range(40))
def test_both_witnesses_say_the_same_of_a_table_and_of_one_with_a_changed_score(seed: int):
    rng = np.random.default_rng(seed)
    p, n = (int(each) for each in rng.integers(20, 400, size=2))
    tp, tn = int(rng.integers(p // 2, p)), int(rng.integers(n // 2, n))
    honest = {name: written(score, DECIMALS) for name, score in scores_of(tp, tn, p, n).items()}
    assert possible(honest, p, n)
    assert audited(report(honest, p, n)).exit_code == 0
    for name in PLACES:
        step = int(rng.choice([-30, -7, -2, -1, 1, 2, 7]))
        changed = honest | {name: written(Fraction(honest[name]) + Fraction(step, 10**DECIMALS), DECIMALS)}
        if not 0 <= Fraction(changed[name]) <= 1:
            continue
        assert (audited(report(changed, p, n)).exit_code == 0) is possible(changed, p, n), (name, step, changed, p, n)
