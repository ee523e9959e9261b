"""What is done to every image, in training and after it alike, before the network's first layer sees it?

One image's normalisation depends on that image alone: an answer for a cell must not change with the cells beside it.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import fx, nn

from harness.protocol.training import IMAGENET_MEAN, IMAGENET_STD, Normalisation

BACKGROUND_PERCENT = 95  # of an image's pixels are at most as bright, per channel, as what is taken for its background
DARKEST = 1 / 255


class BackgroundWhite(nn.Module):
    """Divides each channel of an image by the light of its own background (Beer-Lambert's I0), so that it is white.

    Takes and gives what ImageNet networks expect. Another lamp, another white balance and a tinted slide are gains of a
    channel, and go; how much light a dye takes relative to the background stays.
    """

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        mean, std = (normalised.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        light = normalised * std + mean
        each = light.flatten(2)
        rank = (each.shape[2] * BACKGROUND_PERCENT + 99) // 100
        background = each.kthvalue(rank, dim=2).values[:, :, None, None].clamp(min=DARKEST)
        white: torch.Tensor = ((light / background).clamp(max=1.0) - mean) / std
        return white


def normalising(model: nn.Module, normalisation: Normalisation) -> nn.Module:
    """A network with the normalisation as its first layer, so that whoever has the network has it too.

    Of (body, head) it is the first layer of the body. It has no tensors, and of a body and head as `vision_learner`
    makes them all others keep their names. Nothing is added for "imagenet", which comes before the network.
    """
    if normalisation == "imagenet":
        return model
    if not isinstance(model, nn.Sequential) or len(model) != 2:
        return nn.Sequential(first_layer(), model)
    body, head = model
    layers = [*body.named_children()] if isinstance(body, nn.Sequential) else [("network", body)]
    return nn.Sequential(nn.Sequential(OrderedDict([("normalisation", first_layer()), *layers])), head)


def first_layer() -> nn.Module:
    """`BackgroundWhite` as torch.fx writes it down: export.pkl then holds its operations and needs no class of ours."""
    traced = fx.symbolic_trace(BackgroundWhite())
    for node in traced.graph.nodes:
        node.type = None  # a type hint is a name to import, and cannot be pickled where hints are strings
    traced.recompile()
    return traced
