"""Other laboratories by drawing: what the transforms keep, what they change, and that zero is nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fastai.torch_core import TensorImage
from fastai.vision.augment import setup_aug_tfms
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.model.stain import Defocus, Framing, StainShift, blurred, framed, in_optical_density, laboratory_transforms
from harness.model.training import augmentations
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.training import AugmentationPlan

PROTOCOLS = DEFAULT_PROTOCOL.parent
UNCHANGED = torch.eye(3).expand(2, 3, 3)
NO_TINT = torch.zeros(2, 3)
shares = st.floats(0.0, 1.0)


def images(n: int = 2, *, seed: int = 0, size_px: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, size_px, size_px, generator=torch.Generator().manual_seed(seed))


def applied(transforms: list[Any], pixels: torch.Tensor, *, seed: int = 1, split_idx: int = 0) -> torch.Tensor:
    """What fastai's pipeline makes of a training (0) or validation (1) batch."""
    torch.manual_seed(seed)
    batch: Any = TensorImage(pixels.clone())
    for transform in setup_aug_tfms(transforms):
        batch = transform(batch, split_idx=split_idx)
    return torch.Tensor(batch)


@pytest.fixture
def neutral() -> AugmentationPlan:
    """The published augmentation, which knows no other laboratory."""
    return read_protocol(PROTOCOLS / "leukocyte.toml").training.augmentation


@pytest.fixture
def strong(neutral: AugmentationPlan) -> AugmentationPlan:
    return neutral.model_copy(
        update={
            "min_zoom": 0.75,
            "max_zoom": 2.0,
            "max_shift": 0.1,
            "max_blur": 0.05,
            "max_stain_gain": 0.5,
            "max_stain_mix": 0.5,
            "max_tint": 0.3,
            "p_stain": 0.75,
        }
    )


def test_twice_the_dye_squares_the_transmitted_light():
    # Beer-Lambert by hand: half the light through one layer of dye, a quarter through two.
    pixels = torch.full((1, 3, 2, 2), 0.5)
    twice = in_optical_density(pixels, 2 * torch.eye(3)[None], torch.zeros(1, 3))
    assert twice == pytest.approx(torch.full((1, 3, 2, 2), 0.25))


def test_a_tint_multiplies_a_channel_and_white_is_the_brightest_there_is():
    pixels = torch.full((1, 3, 2, 2), 0.8)
    tint = torch.tensor([[0.0, torch.tensor(2.0).log(), -5.0]])
    red, green, blue = in_optical_density(pixels, torch.eye(3)[None], tint)[0]
    assert red == pytest.approx(torch.full((2, 2), 0.8))
    assert green == pytest.approx(torch.full((2, 2), 0.4))
    assert blue == pytest.approx(torch.ones(2, 2))


def test_the_identity_in_optical_density_changes_no_image_by_half_a_grey_level():
    pixels = images()
    pixels[0, 0, 0] = 0.0  # no optical density is infinite: black becomes one step above black
    assert (in_optical_density(pixels, UNCHANGED, NO_TINT) - pixels).abs().max() <= 1 / 255


@given(seed=st.integers(0, 2**32 - 1), gain=shares, mix=shares, tint=shares, p=shares)
@settings(max_examples=30, deadline=None)
def test_a_stained_image_is_still_an_image(seed: int, gain: float, mix: float, tint: float, p: float):
    pixels = images(4, seed=seed)
    stained = applied([StainShift(gain, mix, tint, p=p)], pixels, seed=seed)
    assert stained.shape == pixels.shape
    assert stained.dtype == torch.float32
    assert float(stained.min()) >= 0
    assert float(stained.max()) <= 1


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_mixing_alone_leaves_grey_grey(seed: int):
    grey = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).expand(4, 3, 8, 8) * 0.9 + 0.05
    assert torch.allclose(applied([StainShift(0.0, 1.0, 0.0, p=1.0)], grey, seed=seed), grey, atol=1e-5)


def test_each_image_of_a_batch_is_drawn_for_itself():
    same = images(1).expand(6, -1, -1, -1)
    for transform in (StainShift(0.5, 0.5, 0.3, p=1.0), Defocus(0.1, p=1.0)):
        changed = applied([transform], same)
        assert len({tuple(image.flatten().tolist()) for image in changed}) == 6


def test_about_p_of_the_images_are_changed():
    pixels = images(400, size_px=4) * 0.9 + 0.05
    changed = (applied([StainShift(0.5, 0.0, 0.3, p=0.25)], pixels) - pixels).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert 60 <= int(changed.sum()) <= 140  # binomial of 400 at 0.25, more than four standard deviations either way


def test_a_blur_keeps_the_mean_and_removes_detail():
    pixels = images(3, size_px=32)
    soft = blurred(pixels, torch.tensor([0.0, 1.0, 3.0]))
    assert torch.allclose(soft[0], pixels[0], atol=1e-6)
    assert float(pixels.mean()) == pytest.approx(float(soft.mean()), abs=0.01)
    sharp, one, three = soft.std(dim=(1, 2, 3))
    assert sharp > 2 * one > 4 * three


def test_a_blurred_point_has_the_width_that_was_asked_for():
    point = torch.zeros(1, 3, 41, 41)
    point[:, :, 20, 20] = 1.0
    row = blurred(point, torch.tensor([2.0]))[0, 0].sum(dim=0)
    at = torch.arange(41) - 20
    assert float((row * at**2).sum()) == pytest.approx(2.0**2, rel=0.1)


@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (0.5, 1.0)])
def test_a_zoom_makes_the_cell_larger_or_smaller_within_its_limits(low: float, high: float):
    disc = ((torch.arange(65) - 32)[:, None] ** 2 + (torch.arange(65) - 32)[None] ** 2 < 10**2).float()
    zoomed = applied([Framing(low, high, 0.0, size_px=65)], disc.expand(40, 3, 65, 65))
    middle = zoomed[:, 0, 16:49, 16:49] if high == 1.0 else zoomed[:, 0]  # around it lie the mirrored images
    area = middle.sum(dim=(1, 2)) / disc.sum()
    assert float(area.min()) >= low**2 * 0.93
    assert float(area.max()) <= high**2 * 1.07
    assert float(area.max() / area.min()) > 2.5  # and the limits are nearly reached


def test_a_shift_moves_the_cell_by_at_most_its_limit():
    spot = torch.zeros(40, 3, 64, 64)
    spot[:, :, 30:34, 30:34] = 1.0
    rows = applied([Framing(1.0, 1.0, 0.25, size_px=64)], spot)[:, 0].sum(dim=2)
    centre = (rows * torch.arange(64)).sum(dim=1) / rows.sum(dim=1) - 31.5
    assert 10 < float(centre.abs().max()) <= 0.25 * 64 + 1


def test_a_frame_without_zoom_or_shift_is_the_image():
    pixels = images(3)
    assert torch.allclose(framed(pixels, torch.ones(3), torch.zeros(3, 2), size_px=16), pixels, atol=1e-6)


def test_a_magnified_cell_keeps_the_detail_of_its_file():
    pixels = images(2, size_px=32)  # decoded at twice the network's size
    still = torch.zeros(2, 2)
    whole = framed(pixels, torch.ones(2), still, size_px=16)
    twice = framed(pixels, torch.full((2,), 2.0), still, size_px=16)
    assert torch.allclose(whole, torch.nn.functional.avg_pool2d(pixels, 2), atol=1e-6)
    assert torch.allclose(twice, pixels[:, :, 8:24, 8:24], atol=1e-6)


def test_the_neutral_plan_has_no_transform_of_another_laboratory(neutral: AugmentationPlan):
    assert laboratory_transforms(neutral, size_px=16) == []


def test_without_the_new_fields_the_augmentation_draws_what_it_always_drew(neutral: AugmentationPlan):
    names = [type(transform).__name__ for transform in augmentations(neutral, size_px=32)]
    assert names == ["Dihedral", "Brightness", "RandomResizedCropGPU", "Hue"]


def test_the_same_seed_draws_the_same_batch_and_another_seed_another(strong: AugmentationPlan):
    def drawn(seed: int) -> torch.Tensor:
        return applied(laboratory_transforms(strong, size_px=16), images(4), seed=seed)

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))


def test_validation_images_are_left_alone(strong: AugmentationPlan):
    pixels = images(4)
    assert torch.allclose(applied(laboratory_transforms(strong, size_px=16), pixels, split_idx=1), pixels, atol=1e-5)


@pytest.mark.parametrize("transform", [StainShift(0.5, 0.5, 0.3, p=0.0), Defocus(0.1, p=0.0)], ids=["stain", "focus"])
def test_a_probability_of_zero_changes_nothing(transform: Callable[[object], object]):
    pixels = images(4) * 0.98 + 0.01
    assert torch.allclose(applied([transform], pixels), pixels, atol=1e-6)


def test_a_stain_that_would_reach_no_image_is_refused(neutral: AugmentationPlan):
    with pytest.raises(ValidationError, match="p_stain is 0"):
        AugmentationPlan(**{**neutral.model_dump(), "max_tint": 0.2})


def test_the_offline_protocol_trains_for_other_laboratories_and_the_published_one_does_not():
    offline, published = (read_protocol(PROTOCOLS / f"{name}.toml") for name in ("leukocyte-offline", "leukocyte"))
    names = [type(t).__name__ for t in laboratory_transforms(offline.training.augmentation, size_px=96)]
    assert names == ["Framing", "Defocus", "StainShift"]
    assert laboratory_transforms(published.training.augmentation, size_px=224) == []
    assert published.training.weight_averaging == 0.0
