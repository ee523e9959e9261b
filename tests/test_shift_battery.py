"""The shifts by which recipes are chosen: are they what the document says, and do they leave alone what they should?"""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

BATTERY = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "shift_battery.py"))
SHIFTS = BATTERY["SHIFTS"]


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    """Two images, (2, 3, 32, 32): smooth colours, as cells have, between 0.2 and 0.9."""
    waves = torch.linspace(0, 3, 32).sin()
    cell = 0.55 + 0.35 * torch.stack([waves[:, None] * waves, waves[:, None] * waves.flip(0), -waves[:, None] * waves])
    return torch.stack([cell, cell.flip(1)]).clamp(0.2, 0.9)


def test_there_are_26_shifts_and_those_held_out_are_among_them():
    assert len(SHIFTS) == 26
    assert set(BATTERY["HELD_OUT"]) <= set(SHIFTS)
    assert set(BATTERY["UNDONE_BY_NORMALISATION"]) < set(BATTERY["HELD_OUT"])


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_changes_images_stays_in_range_and_is_the_same_every_time(pixels, name):
    before = pixels.clone()
    found = SHIFTS[name](pixels)
    assert found.shape == pixels.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found - pixels).abs().max() > 0.01
    assert torch.equal(SHIFTS[name](pixels), found)
    assert torch.equal(pixels, before)


def test_the_neutral_value_of_each_kind_changes_nothing(pixels):
    for neutral in (
        BATTERY["gains"]((1.0, 1.0, 1.0)),
        BATTERY["restained"](BATTERY["GIEMSA"]),
        BATTERY["reframed"](1.0),
        BATTERY["hue"](0),
        BATTERY["saturation"](1.0),
        BATTERY["gamma"](1.0),
        BATTERY["coarse"](1.0),
        BATTERY["chain"](),
    ):
        assert torch.allclose(neutral(pixels), pixels, atol=1e-4)


def test_a_dye_is_shown_in_the_colour_of_the_other_one():
    """A pixel of azure alone, at density 0.9, by hand: intensities e^-(0.9 u), u the unit vector of the dye."""
    azure, eosin = (np.array(dye) / np.linalg.norm(dye) for dye in BATTERY["GIEMSA"])
    blue, _ = (np.array(dye) / np.linalg.norm(dye) for dye in BATTERY["AZAN"])

    def shown(density: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.exp(-density), dtype=torch.float32).view(1, 3, 1, 1)

    assert torch.allclose(BATTERY["restained"](BATTERY["AZAN"])(shown(0.9 * azure)), shown(0.9 * blue), atol=1e-5)
    less = BATTERY["restained"](BATTERY["GIEMSA"], blue=0.5)
    assert torch.allclose(less(shown(0.8 * azure + 0.3 * eosin)), shown(0.4 * azure + 0.3 * eosin), atol=1e-5)


def test_the_summary_is_what_the_document_says():
    """26 shifts at 90 but five at 50: M = (21 x 90 + 5 x 50) / 26, W = 50."""
    found = dict.fromkeys(SHIFTS, 90.0) | dict.fromkeys(("dark", "JPEG 15", "noise", "zoom 2.2", "pale"), 50.0)
    said = BATTERY["summary"]({"": 97.0, **found})
    assert said["S0"] == 97
    assert said["M"] == pytest.approx(2140 / 26)
    assert said["W"] == 50
    assert said["score"] == pytest.approx((2140 / 26 + 50) / 2)
    assert said["H"] == pytest.approx((9 * 90 + 3 * 50) / 12)  # JPEG, noise, pale are held out
    assert said["H-"] == pytest.approx((8 * 90 + 2 * 50) / 10)
