"""Finds the weights in what people save: wrapped in a dictionary, below a prefix, with an optimiser beside them.

A wrapping is taken off only where there is one way to do it; what was taken off is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from harness.core.errors import WeightsError
from harness.core.text import brief

# The keys under which training programs keep a network's weights: Lightning, fastai's learn.save, and most loops.
KEYS = ("state_dict", "model_state_dict", "model", "model_state", "net", "network", "weights", "params")
AVERAGED = ("model_ema", "state_dict_ema", "ema_state_dict", "ema", "params_ema")  # other weights of the same network
# What wrappers put before each name: DataParallel, torch.compile, Lightning and modules of one's own.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
MOST_PREFIXES = 4
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how torch began a file before 1.6
# Names of classes of networks; what else a checkpoint may hold beside tensors is somebody's object.
MODULES = re.compile(r"^torch\.nn\.modules|^torchvision\.models|^timm\.|\.[A-Z]\w*(Net|Model|Module)\w*$|^__main__\.")
SAVE = "torch.save(model.state_dict(), 'weights.pth')"


def weights_in(loaded: Mapping[Any, Any]) -> tuple[dict[Any, Any], tuple[str, ...]]:
    """The named tensors in what was loaded, and the wrappings that were taken off.

    Raises:
        WeightsError: there are several sets of weights in it, or none where they are kept.
    """
    found, taken_off = dict(loaded), []
    if (key := _key_of_weights(found)) is not None:
        found = dict(found[key])
        taken_off.append(f"key {key!r}")
    while (prefix := _common_prefix(found)) is not None and len(taken_off) < MOST_PREFIXES:
        found = {name.removeprefix(prefix): value for name, value in found.items()}
        taken_off.append(f"prefix {prefix!r}")
    return found, tuple(taken_off)


def prefix_told(names: Mapping[str, object]) -> str:
    """A sentence on names of which only some have the prefix of a wrapper; nothing where none has."""
    for prefix in PREFIXES:
        others = [name for name in names if not name.startswith(prefix)]
        if 0 < len(others) < len(names):
            return (
                f" {len(names) - len(others)} names begin with {prefix!r} and {len(others)} do not, first "
                f"{others[0]!r}: save the network alone, without what lies beside it ({SAVE})."
            )
    return ""


def why_not_loaded(error: BaseException) -> str | None:
    """What a file holds instead of tensors, by what torch's weights-only unpickler says of it; None: nothing known."""
    named = re.search(r"GLOBAL ([\w.]+)|Unsupported class ([\w.]+)", str(error))
    if named is None:
        return None
    name = named[1] or named[2]
    if MODULES.search(name):
        return (
            f"it holds a whole pickled module ({name}), which is code to run, and not its tensors alone. In the "
            f"program that made it: {SAVE}."
        )
    return (
        f"beside tensors it holds an object of {name}, which would have to be run. In the program that made it, save "
        f"the weights alone: {SAVE}."
    )


def _key_of_weights(found: Mapping[Any, Any]) -> str | None:
    """The key below which the weights are; None where they are not below any."""
    if all(isinstance(value, torch.Tensor) for value in found.values()):
        return None
    holding = [key for key in (*KEYS, *AVERAGED) if _holds_tensors(found.get(key))]
    if len(holding) == 1:
        return holding[0]
    if holding:
        raise WeightsError(
            f"it holds {len(holding)} sets of weights, under {', '.join(map(repr, holding))}, and nothing says which "
            "is meant. Save that one alone: torch.save(torch.load(file, weights_only=True)"
            f"[{holding[0]!r}], 'weights.pth')."
        )
    strange = [key for key, value in found.items() if not isinstance(value, torch.Tensor)]
    raise WeightsError(
        f"{strange[0]!r} is not a tensor. Save a state dict and nothing else: its keys are "
        f"{', '.join(brief(key, 40) for key in list(found)[:8])}, and no weights are under any of {', '.join(KEYS)}."
    )


def _holds_tensors(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(each, torch.Tensor) for name, each in value.items())
    )


def _common_prefix(found: Mapping[Any, Any]) -> str | None:
    if not found or not all(isinstance(name, str) for name in found):
        return None
    return next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in found)), None)
