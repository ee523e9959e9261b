"""Bit strings that are nearly equal: what meets in a band is found, once; nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import banding
from harness.data.banding import Banding, banded_index, met

NARROW = Banding(n_bits=20, n_bands=5, band_bits=6)


def strings(seed: int, n: int, *, near: int = 0) -> np.ndarray:
    """(n + near, 20) bits; the last `near` differ from the first in up to five places."""
    rng = np.random.default_rng(seed)
    bits = rng.random((n, NARROW.n_bits)) < 0.7  # leaning to one side, as signs of pictures do
    flipped = np.arange(NARROW.n_bits) < rng.integers(0, 6, near)[:, None]
    return np.concatenate([bits, bits[:near] ^ rng.permuted(flipped, axis=1)])


def by_hand(asked: np.ndarray, known: np.ndarray, *, max_distance: int) -> list[tuple[int, int]]:
    """Every pair, string by string: all bits of some band agree, and few enough differ in all."""
    bands = [np.flatnonzero(weights) for weights in banding._band_weights(NARROW).T]
    assert [len(band) for band in bands] == [NARROW.band_bits] * NARROW.n_bands
    return [
        (i, j)
        for i, one in enumerate(asked)
        for j, other in enumerate(known)
        if (one != other).sum() <= max_distance and any((one[band] == other[band]).all() for band in bands)
    ]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 40), n_asked=st.integers(0, 20), distance=st.integers(0, 9))
def test_what_agrees_in_a_band_and_is_near_meets_once_and_in_order(seed, n, n_asked, distance):
    known = strings(seed, n, near=n // 2)
    asked = np.concatenate([strings(seed + 1, n_asked), known[::3]])
    pairs = zip(*met(banded_index(known, NARROW), asked, max_distance=distance), strict=True)
    assert [(int(i), int(j)) for i, j in pairs] == by_hand(asked, known, max_distance=distance)


@pytest.mark.parametrize("at_once", [1, 7, 2**16])
def test_how_many_meetings_are_looked_at_at_once_changes_nothing(monkeypatch, at_once):
    known = np.concatenate([strings(3, 60), np.zeros((30, NARROW.n_bits), dtype=bool)])  # one bucket with many alike
    expected = by_hand(known, known, max_distance=4)
    assert len(expected) > 900
    monkeypatch.setattr(banding, "MEETINGS_AT_ONCE", at_once)
    pairs = zip(*met(banded_index(known, NARROW), known, max_distance=4), strict=True)
    assert [(int(i), int(j)) for i, j in pairs] == expected
