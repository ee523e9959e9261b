"""Networks by name, without weights: torchvision's classifiers, and timm's behind "timm:"."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, cast, get_args

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import torch
import torchvision
from torch import nn
from torchvision.models import get_model_builder, list_models

from harness.core.errors import TrainingError, WeightsError
from harness.protocol.training import Filter

TIMM = "timm:"
# Those that a training takes apart at `networks.CUT`: their last two parts pool and classify. Others are judged whole.
TRAINABLE = (
    *("resnet18", "resnet34", "resnet50", "efficientnet_b0", "mobilenet_v3_small", "mobilenet_v3_large"),
    *("convnext_tiny", "timm:tf_efficientnet_lite0"),
)
# Tried in turn where a file is of another network than the protocol says.
COMMON = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"),
    *("efficientnet_b0", "efficientnet_v2_s", "convnext_tiny", "densenet121", "vgg16", "vit_b_16", "swin_t"),
)
COMMON_OF_TIMM = tuple(
    f"{TIMM}{name}"
    for name in (
        *("efficientnet_b0", "tf_efficientnet_lite0", "mobilenetv3_small_100", "mobilenetv3_large_100"),
        *("convnext_tiny", "vit_small_patch16_224", "vit_base_patch16_224", "swin_tiny_patch4_window7_224"),
    )
)
FILTERS = get_args(Filter)


def untrained_network(architecture: str, n_classes: int) -> nn.Module:
    """The network of this name with so many outputs.

    Raises:
        WeightsError: nobody here knows the name, or timm is not installed.
    """
    if architecture.startswith(TIMM):
        return cast(nn.Module, _timm(architecture).create_model(_known_to_timm(architecture), num_classes=n_classes))
    names = list_models(module=torchvision.models)
    if architecture not in names:
        raise WeightsError(
            f"architecture = {architecture!r} is not a classifier of torchvision{_nearest(architecture, names)}. Name "
            f'one of torchvision.models.list_models(module=torchvision.models), or one of timm as "{TIMM}NAME".'
        )
    # Two of them draw their weights for long unless told not to, and warn of it.
    quick = {"init_weights": False} if architecture in ("googlenet", "inception_v3") else {}
    return cast(nn.Module, get_model_builder(architecture)(weights=None, num_classes=n_classes, **quick))


def engine_of(architecture: str) -> str | None:
    """The library that builds a network of this name and its version, where it is not torchvision.

    Torchvision's version is in the key of everything that is kept; timm may be installed for one model alone.
    """
    return f"timm {_timm(architecture).__version__}" if architecture.startswith(TIMM) else None


def refuse_untrainable(architecture: str) -> None:
    """
    Raises:
        TrainingError: networks of this name are judged, and not trained here.
    """
    if architecture not in TRAINABLE:
        raise TrainingError(
            f"training.architecture = {architecture!r} is judged with --model, and not trained here; a training takes "
            f"{', '.join(TRAINABLE)}. Name one of them, or the file of a trained network."
        )


def own_preprocessing(architecture: str) -> dict[str, Any]:
    """What timm's weights of this name were trained with, as fields of `Preprocessing`; nothing of torchvision's.

    Its size and whether it keeps the aspect ratio are not among it: a protocol states both.

    Raises:
        WeightsError: timm resizes in a way that this harness has not.
    """
    if not architecture.startswith(TIMM):
        return {}
    timm = _timm(architecture)
    known = timm.get_pretrained_cfg(_known_to_timm(architecture)).to_dict()
    config = timm.data.resolve_data_config(pretrained_cfg=known)
    if config["interpolation"] not in FILTERS:
        raise WeightsError(
            f"architecture = {architecture!r}: timm resizes for it with {config['interpolation']!r}, which is none of "
            f"{', '.join(FILTERS)}. Judge it as a command (docs/judging-a-command.md)."
        )
    return {
        "filter": config["interpolation"],
        "crop": float(config["crop_pct"]),
        "mean": tuple(map(float, config["mean"])),
        "deviation": tuple(map(float, config["std"])),
    }


def in_two(net: nn.Module, *, size_px: int) -> nn.Sequential | None:
    """(what gives the features, the last layer) of a network; None where its outputs are not those of its last layer.

    Shown by computing: on seeded noise both must give the same.

    Raises:
        WeightsError: the network takes no images of this size.
    """
    noise = torch.rand((1, 3, size_px, size_px), generator=torch.Generator().manual_seed(0))
    net.eval()
    with torch.inference_mode():
        try:
            whole = net(noise)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise WeightsError(
                f"a {type(net).__name__} takes no images of {size_px} px ({str(error)[:200]}). State the image_size_px "
                "that it was trained for."
            ) from None
        linear = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
        if not linear:
            return None
        last = net.get_submodule(linear[-1])
        parent, _, name = linear[-1].rpartition(".")
        setattr(net.get_submodule(parent), name, nn.Identity())
        if _gives(whole, net, last, noise):
            return nn.Sequential(net, last)
    setattr(net.get_submodule(parent), name, last)
    return None


def _gives(whole: torch.Tensor, body: nn.Module, last: nn.Module, noise: torch.Tensor) -> bool:
    """Whether the last layer makes the whole network's outputs of what the body gives."""
    try:
        features = body(noise)
        return features.ndim == 2 and torch.equal(last(features), whole)
    except (RuntimeError, AttributeError, ValueError, TypeError):  # one of two heads, whose outputs are put together
        return False


def fits_elsewhere(state: Mapping[str, torch.Tensor], *, tried: str) -> str | None:
    """The name of a common architecture that these tensors are of, whatever the number of their outputs."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for architecture in (*COMMON, *_common_of_timm()):
        if architecture == tried:
            continue
        with torch.device("meta"):
            wanted = {name: tuple(each.shape) for name, each in untrained_network(architecture, 2).state_dict().items()}
        if wanted.keys() == shapes.keys():
            others = [name for name in wanted if wanted[name] != shapes[name]]
            if len(others) <= 2:  # the weight and bias of the last layer
                return architecture
    return None


def _common_of_timm() -> tuple[str, ...]:
    """None where timm is not installed: then nothing needs it."""
    try:
        _timm(TIMM)
    except WeightsError:
        return ()
    return COMMON_OF_TIMM


def _timm(architecture: str) -> Any:
    try:
        import timm
    except ImportError:
        raise WeightsError(
            f"architecture = {architecture!r} needs timm, which is not installed. Install the extra: "
            "pip install 'leukocyte-harness[timm]'."
        ) from None
    return timm


def _known_to_timm(architecture: str) -> str:
    """The name without its prefix; with a tag, such as efficientnet_b0.ra_in1k, where it has one."""
    timm, name = _timm(architecture), architecture.removeprefix(TIMM)
    plain, _, tag = name.partition(".")
    if not timm.is_model(plain):
        raise WeightsError(
            f"architecture = {architecture!r} is not a model of timm {timm.__version__}"
            f"{_nearest(plain, timm.list_models(), TIMM)}. timm.list_models() names them all."
        )
    tagged = [*timm.models.get_arch_pretrained_cfgs(plain)]
    if tag and name not in tagged:
        raise WeightsError(
            f"architecture = {architecture!r}: timm {timm.__version__} knows no such tag of {plain}; it has "
            f"{', '.join(tagged) or 'none'}."
        )
    return name


def _nearest(name: str, names: list[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name, names, n=3)
    return f" (near: {', '.join(prefix + each for each in near)})" if near else ""
