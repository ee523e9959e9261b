"""Standard deviations beside the values that they are of, and beside a mean of shares."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown
from harness.claims.spreads import impossible_spreads

SEEDS = range(4)


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def table_of(values: list[float], last: list[str], *, scale: int, decimals: int) -> str:
    rows = [f"| {k} | {scale * value:.{decimals}f} |" for k, value in enumerate(values, 1)]
    return "# Cross-validation\n\n| Fold | Accuracy |\n|---|---|\n" + "\n".join([*rows, *last]) + "\n"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("of", [statistics.pstdev, statistics.stdev])
@pytest.mark.parametrize(("scale", "decimals"), [(1, 4), (100, 2)])
@pytest.mark.parametrize("is_one_row", [True, False])
def test_a_deviation_is_one_of_the_values_beside_it(seed, of, scale, decimals, is_one_row):
    rng = np.random.default_rng(seed)
    values = [float(value) for value in np.clip(rng.normal(0.9, 0.03, size=int(rng.integers(3, 11))), 0, 1)]

    def printed(mean: float, spread: float) -> str:
        m, s = f"{scale * mean:.{decimals}f}", f"{scale * spread:.{decimals}f}"
        last = [f"| Mean ± SD | {m} ± {s} |"] if is_one_row else [f"| Mean | {m} |", f"| Std | {s} |"]
        return table_of(values, last, scale=scale, decimals=decimals)

    mean, spread = statistics.fmean(values), of(values)
    assert audited(printed(mean, spread)).exit_code == 0
    assert audited(printed(mean, 2 * spread)).exit_code == 1
    assert audited(printed(mean - 0.01, spread)).exit_code == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [2, 5, 10])
def test_no_deviation_of_shares_is_called_impossible(seed, n):
    """The widest there is: values of 0 and 1."""
    rng = np.random.default_rng(seed)
    for values in (rng.integers(0, 2, size=n), rng.beta(0.2, 0.2, size=n)):
        mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
        said = f"The accuracy of the {n} folds was {mean:.2f} ± {spread:.2f} (mean ± SD)."
        assert not list(impossible_spreads(said))


@pytest.mark.parametrize(
    ("sentence", "is_wrong"),
    [
        ("Accuracy over five folds was 0.95 ± 0.30 (mean ± SD).", True),  # at most 0.244
        ("Accuracy over five folds was 95 ± 30 % (SD).", True),
        ("Accuracy over five folds was 0.95 ± 0.03 (SD).", False),
        ("Accuracy over five folds was 0.95 ± 0.30.", False),  # a half-width of an interval, perhaps
        ("The mean age was 55 ± 30 years (SD), the accuracy 95 %.", False),
    ],
)
def test_a_deviation_that_no_shares_have(sentence, is_wrong):
    assert (audited(f"# Results\n\n20 test images\n\n{sentence}\n").exit_code == 1) is is_wrong
