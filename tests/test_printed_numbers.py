"""How far printed probabilities may miss their sum, and no further."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.printed_numbers import Printing, number_of, printing_of


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.25", 0.25), (" 1e-3 ", 1e-3), (".5", 0.5), ("1.", 1.0), ("-2", -2.0), ("+0.1", 0.1), ("1E-300", 1e-300)],
)
def test_a_number_is_read_as_it_is_written(text: str, number: float):
    assert number_of(text) == number


@pytest.mark.parametrize("text", ["", "nan", "inf", "-Infinity", "0,25", "1_000", "٣", "0x1p3", "25 %", "1e99999"])
def test_what_is_no_number_of_a_table_is_none(text: str):
    assert not math.isfinite(number_of(text))


@pytest.mark.parametrize(
    ("texts", "printing", "words"),
    [
        (["0.9981", "0.0019", "0"], Printing(4, 4), "4 decimals"),
        (["1.0000", "0.0000"], Printing(4, 5), "4 decimals"),
        (["0.998", "1.23e-05"], Printing(7, 3), "3 significant digits"),
        (["1", "0"], Printing(0, 1), "0 decimals"),
        (["0.333333333333333315"], Printing(18, 18), "18 decimals"),
    ],
)
def test_the_printing_is_that_of_all_numbers_together(texts: list[str], printing: Printing, words: str):
    assert printing_of(texts) == printing
    assert str(printing) == words


def test_half_a_unit_in_the_last_place_is_what_rounding_explains():
    # Four decimals, by hand: 0.00005 whatever the value. Three significant digits: it follows the value.
    assert Printing(4, 4).rounding_of(np.array([0.9981, 0.0019])) == pytest.approx([5e-5, 5e-5])
    assert Printing(7, 3).rounding_of(np.array([0.998, 1.23e-5])) == pytest.approx([5e-4, 5e-8])


PROBABILITIES = st.lists(st.floats(1e-9, 1.0), min_size=2, max_size=12).map(lambda p: np.array(p) / math.fsum(p))


@settings(max_examples=examples(400))
@given(rows=st.lists(PROBABILITIES, min_size=1, max_size=5), digits=st.integers(1, 12), kind=st.sampled_from("fg"))
def test_no_honest_rounding_misses_the_sum_by_more(rows: list[np.ndarray], digits: int, kind: str):
    printed = [[f"{value:.{digits}{kind}}" for value in row] for row in rows]
    printing = printing_of([text for row in printed for text in row])
    for row in printed:
        values = np.array([number_of(text) for text in row])
        assert abs(math.fsum(values) - 1) <= printing.rounding_of(values).sum() + 1e-12


@pytest.mark.parametrize("kind", ["f", "g"])
def test_the_tolerance_follows_the_digits_and_is_not_just_large(kind: str):
    rows = np.random.default_rng(3).dirichlet(np.ones(5), size=200)
    for digits in (3, 5, 8):
        texts = [f"{value:.{digits}{kind}}" for value in rows.ravel()]
        values = np.array([number_of(text) for text in texts]).reshape(rows.shape)
        explained = printing_of(texts).rounding_of(values).sum(axis=1).max()
        assert np.abs(values.sum(axis=1) - 1).max() <= explained <= 5 * 0.5 * 10.0**-digits * 1.0001
