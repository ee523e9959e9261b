"""How the same cell looks in another laboratory: other stain, other background, other magnification, softer focus.

Random changes of training images only, drawn for a whole batch at once from torch's generator. The published
augmentation varies brightness, contrast and hue by little; between laboratories dyes, slide and optics differ.
"""

from __future__ import annotations

import math
from typing import Any

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import torch
from fastai.torch_core import TensorImage
from fastai.vision.augment import RandTransform
from torch.nn import functional

from harness.protocol.training import AugmentationPlan

DARKEST = 1 / 255  # a pixel of 0 has no optical density; this is the smallest step above it


def laboratory_transforms(plan: AugmentationPlan, *, size_px: int) -> list[Any]:
    """The batch transforms of the plan's fields that this module serves; none for those left at their neutral value."""
    transforms: list[Any] = []
    if (plan.min_zoom, plan.max_zoom, plan.max_shift, plan.oversampling) != (1.0, 1.0, 0.0, 1):
        transforms.append(Framing(plan.min_zoom, plan.max_zoom, plan.max_shift, size_px=size_px))
    if plan.max_blur:
        transforms.append(Defocus(plan.max_blur, p=plan.p_stain))
    if plan.max_stain_gain or plan.max_stain_mix or plan.max_tint:
        transforms.append(StainShift(plan.max_stain_gain, plan.max_stain_mix, plan.max_tint, p=plan.p_stain))
    return transforms


def in_optical_density(pixels: torch.Tensor, mixing: torch.Tensor, tint: torch.Tensor) -> torch.Tensor:
    """Apply an affine map to each image's optical densities.

    Dyes add up in optical density (Beer-Lambert: amount times spectrum) where they multiply in intensity.
    Scaling a row of `mixing` is more or less dye, mixing rows is another dye, `tint` is another slide or lamp.

    Args:
        pixels: (n, 3, h, w) intensities in [0, 1].
        mixing: (n, 3, 3); row i says what the new channel i takes of each old channel.
        tint:   (n, 3) optical density that is added everywhere.
    Returns:
        (n, 3, h, w) in [0, 1]; what would be brighter than white is white, as in a camera.
    """
    density = -pixels.clamp(min=DARKEST, max=1.0).log()
    density = torch.bmm(mixing, density.flatten(2)).view_as(pixels) + tint[:, :, None, None]
    return density.clamp(min=0.0).neg().exp()


def blurred(pixels: torch.Tensor, sigma_px: torch.Tensor) -> torch.Tensor:
    """Gaussian blur, image i with its own `sigma_px[i]`; edges are continued. A sigma of 0 changes nothing."""
    radius = max(1, math.ceil(2.5 * float(sigma_px.max())))
    at = torch.arange(-radius, radius + 1, device=pixels.device, dtype=pixels.dtype)
    weights = torch.exp(-0.5 * (at / sigma_px.clamp(min=1e-3)[:, None]) ** 2)
    weights = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(pixels.shape[1], dim=0)
    n, channels, height, width = pixels.shape
    flat = functional.pad(pixels, (radius,) * 4, mode="replicate").view(1, n * channels, height + 2 * radius, -1)
    flat = functional.conv2d(flat, weights[:, None, :, None], groups=n * channels)
    flat = functional.conv2d(flat, weights[:, None, None, :], groups=n * channels)
    return flat.view(n, channels, height, width)


def framed(pixels: torch.Tensor, zoom: torch.Tensor, shift: torch.Tensor, *, size_px: int) -> torch.Tensor:
    """Each image magnified about its centre and moved, as sharp as its pixels allow.

    Images of more than `size_px` a side are sampled between their full detail, at a zoom that uses all of it, and their
    detail averaged over pixels, at a zoom of 1 (mipmaps): a magnified cell is as sharp as one photographed larger.

    Args:
        pixels: (n, channels, side, side), side a multiple of size_px.
        zoom:   (n,) magnification; what lies outside the image mirrors it.
        shift:  (n, 2) in sides of the image, right and down.
    Returns:
        (n, channels, size_px, size_px)
    """
    n, channels, side, _ = pixels.shape
    place = torch.zeros(n, 2, 3, device=pixels.device)
    place[:, 0, 0] = place[:, 1, 1] = 1 / zoom
    place[:, :, 2] = -2 * shift / zoom[:, None]  # grid coordinates are 2 a side
    grid = functional.affine_grid(place, [n, channels, size_px, size_px], align_corners=False)

    def sampled(level: torch.Tensor) -> torch.Tensor:
        return functional.grid_sample(level, grid, padding_mode="reflection", align_corners=False)

    factor = side // size_px
    if factor == 1:
        return sampled(pixels)
    fine = ((zoom - 1) / (factor - 1)).clamp(0, 1)[:, None, None, None]
    return torch.lerp(sampled(functional.avg_pool2d(pixels, factor)), sampled(pixels), fine)


class _Drawn(RandTransform):  # type: ignore[misc]
    """A transform of training batches. fastai decides by `p` for a whole batch; here each image is drawn for itself."""

    split_idx = 0

    def __init__(self, p: float) -> None:
        super().__init__(p=1.0)
        self._share = p

    def _chosen(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n,) 1 where the image is changed, 0 where it is left alone."""
        return (torch.rand(len(pixels), device=pixels.device) < self._share).float()


class Framing(_Drawn):
    """Another magnification, uniform in its logarithm, and a cell off the centre; leaves images of `size_px`."""

    order = 20  # first of all: what follows works on `size_px`

    def __init__(self, min_zoom: float, max_zoom: float, max_shift: float, *, size_px: int) -> None:
        super().__init__(1.0)
        self._low, self._high, self._shift, self._size_px = math.log(min_zoom), math.log(max_zoom), max_shift, size_px

    def encodes(self, x: TensorImage) -> TensorImage:
        zoom = torch.exp(self._low + (self._high - self._low) * torch.rand(len(x), device=x.device))
        shift = self._shift * (2 * torch.rand(len(x), 2, device=x.device) - 1)
        return TensorImage(framed(x.as_subclass(torch.Tensor), zoom, shift, size_px=self._size_px))


class StainShift(_Drawn):
    """Other dyes, more or less of them, on another slide: a random affine map in optical density.

    max_gain: a channel's density is scaled by up to e^max_gain either way.
    max_mix:  up to this share of a channel's density comes from a random blend of all three.
    max_tint: density added to or taken from a channel everywhere.
    """

    order = 45  # after fastai's lighting and hue (40), before Normalize (99)

    def __init__(self, max_gain: float, max_mix: float, max_tint: float, *, p: float) -> None:
        super().__init__(p)
        self._gain, self._mix, self._tint = max_gain, max_mix, max_tint

    def encodes(self, x: TensorImage) -> TensorImage:
        n, device = len(x), x.device
        chosen = self._chosen(x)
        gain = torch.exp(self._gain * (2 * torch.rand(n, 3, 1, device=device) - 1) * chosen[:, None, None])
        blend = torch.rand(n, 3, 3, device=device)
        blend = blend / blend.sum(dim=2, keepdim=True)
        share = self._mix * (torch.rand(n, 1, 1, device=device) * chosen[:, None, None])
        mixing = gain * torch.lerp(torch.eye(3, device=device).expand(n, 3, 3), blend, share)
        tint = self._tint * (2 * torch.rand(n, 3, device=device) - 1) * chosen[:, None]
        return TensorImage(in_optical_density(x.as_subclass(torch.Tensor), mixing, tint))


class Defocus(_Drawn):
    """A softer image: out of focus, or enlarged from fewer pixels. max_blur: largest sigma, in sides of the frame."""

    order = 35  # after the geometry (30)

    def __init__(self, max_blur: float, *, p: float) -> None:
        super().__init__(p)
        self._blur = max_blur

    def encodes(self, x: TensorImage) -> TensorImage:
        sigma = self._blur * x.shape[-1] * torch.rand(len(x), device=x.device) * self._chosen(x)
        return TensorImage(blurred(x.as_subclass(torch.Tensor), sigma))
