"""Finds the weights in what people save: wrapped in a dictionary, below a prefix, with an optimiser beside them.

A wrapping is taken off only where there is one way to do it; what was taken off is told.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import torch

from harness.core.errors import WeightsError
from harness.core.text import brief

# The keys under which training programs keep a network's weights: Lightning, fastai's learn.save, and most loops.
KEYS = ("state_dict", "model_state_dict", "model", "model_state", "net", "network", "weights", "params")
AVERAGED = ("model_ema", "state_dict_ema", "ema_state_dict", "ema", "params_ema")  # other weights of the same network
# What wrappers put before each name: DataParallel, torch.compile, Lightning and modules of one's own.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
MOST_PREFIXES = 4
MOST_KEYS = 3  # below each other; deeper lie states of optimisers and callbacks
COUNTER = "n_averaged"  # that torch's AveragedModel keeps beside the one network below `module.`
UNUSED_IN_ANSWERS = "num_batches_tracked"  # of a BatchNorm, which counts in training alone; older files have none
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how torch began a file before 1.6
# Names of classes of networks; what else a checkpoint may hold beside tensors is somebody's object.
MODULES = re.compile(r"^torch\.nn\.modules|^torchvision\.models|^timm\.|\.[A-Z]\w*(Net|Model|Module)\w*$|^__main__\.")
SAVE = "torch.save(model.state_dict(), 'weights.pth')"


def weights_in(loaded: Mapping[Any, Any]) -> tuple[dict[Any, Any], tuple[str, ...]]:
    """The named tensors in what was loaded, and the wrappings that were taken off.

    Raises:
        WeightsError: there are several sets of weights in it, or none.
    """
    keys, found = _place_of_weights(loaded)
    taken_off = [f"key {key!r}" for key in keys]
    if COUNTER in found and _common_prefix(others := {n: t for n, t in found.items() if n != COUNTER}) == PREFIXES[0]:
        found = others
        taken_off.append(f"counter {COUNTER!r}")
    prefixes: list[str] = []
    while (prefix := _common_prefix(found)) is not None and len(prefixes) < MOST_PREFIXES:
        found = _below(found, prefix)
        prefixes.append(prefix)
    return found, (*taken_off, *(f"prefix {prefix!r}" for prefix in prefixes))


def below_one_name(
    found: Mapping[str, torch.Tensor], layers: Collection[str]
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """The same without first steps that all names share, while no layer is called so; and what was taken off.

    A module of one's own has the network under a name of one's own, and nothing else under any: no wrapper's list of
    prefixes knows it, and the names of the layers do.

    Args:
        layers: the first steps of the names that are wanted.
    """
    bare: dict[str, torch.Tensor] = dict(found)
    taken_off: list[str] = []
    while len(taken_off) < MOST_PREFIXES:
        steps = {name.partition(".")[0] if "." in name else "" for name in bare}
        if len(steps) != 1 or (step := steps.pop()) in {"", *layers}:
            break
        bare = _below(bare, f"{step}.")
        taken_off.append(f"prefix {f'{step}.'!r}")
    return bare, tuple(taken_off)


def prefix_told(names: Collection[str], layouts: Sequence[Collection[str]]) -> str:
    """A sentence on names of which only some are below a prefix; nothing where none are.

    Args:
        layouts: the names that are wanted, in each layout that is known.
    """
    whole = _networks_below(names, layouts)
    if len(whole) > 1:
        one = whole[0]
        return (
            f"it holds {len(whole)} networks, below {' and '.join(map(repr, whole))}, and nothing says which is meant. "
            f"Save that one alone: {{n.removeprefix({one!r}): t for n, t in weights.items() if n.startswith({one!r})}}."
        )
    for prefix in (*whole, *PREFIXES):
        others = [name for name in names if not name.startswith(prefix)]
        if 0 < len(others) < len(names):
            return (
                f"{len(names) - len(others)} names begin with {prefix!r} and {len(others)} do not, first "
                f"{others[0]!r}: save the network alone, without what lies beside it ({SAVE})."
            )
    return ""


def _networks_below(names: Collection[str], layouts: Sequence[Collection[str]]) -> list[str]:
    """The prefixes below which a whole network lies."""
    wanted = [{name for name in each if not name.endswith(UNUSED_IN_ANSWERS)} for each in layouts]
    starts = {".".join(steps[:n]) + "." for name in names for n in (1, 2) if len(steps := name.split(".")) > n}
    below = {start: {name.removeprefix(start) for name in names if name.startswith(start)} for start in sorted(starts)}
    return [start for start, inside in below.items() if any(each <= inside for each in wanted)]


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


def _place_of_weights(loaded: Mapping[Any, Any]) -> tuple[tuple[str, ...], dict[Any, Any]]:
    """The keys below which the weights are, and the weights; no key where they are below none."""
    if all(isinstance(value, torch.Tensor) for value in loaded.values()):
        return (), dict(loaded)
    sets = dict(_sets(loaded, ()))
    chosen = [keys for keys in sets if keys[-1] in (*KEYS, *AVERAGED)] or [*sets]
    if not chosen:
        strange = [key for key, value in loaded.items() if not isinstance(value, torch.Tensor)]
        raise WeightsError(
            f"{brief(strange[0], 40)} is not a tensor. Save a state dict and nothing else: its keys are "
            f"{', '.join(brief(key, 40) for key in list(loaded)[:8])}, and no weights are under any of them."
        )
    # Under another key may lie the same network again: its average, its best state, the teacher that it learnt from.
    same = [keys for keys in sets if keys not in chosen and _is_again(sets[keys], sets[chosen[0]])]
    if len(chosen) > 1 or same:
        chosen += same
        listed = ", ".join(" > ".join(map(repr, keys)) for keys in chosen)
        raise WeightsError(
            f"it holds {len(chosen)} sets of weights, under {listed}, and nothing says which is meant. Save that one "
            f"alone: torch.save(torch.load(file, weights_only=True){''.join(f'[{key!r}]' for key in chosen[0])}, "
            "'weights.pth')."
        )
    return chosen[0], dict(sets[chosen[0]])


def _sets(value: object, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """(keys, the set) of every set of weights below a mapping. What an optimiser keeps of each weight is none."""
    if keys and _holds_tensors(value) and _of_a_network(keys[-1], value):
        yield keys, value
    elif keys and keys[0] in AVERAGED and isinstance(value, (list, tuple)) and len(value) > 1:
        if all(isinstance(each, torch.Tensor) for each in value):  # an average by the order of the weights, unnamed
            yield keys, {str(n): each for n, each in enumerate(value)}
    elif isinstance(value, Mapping) and len(keys) < MOST_KEYS:
        for key, each in value.items():
            if isinstance(key, str) and not key.casefold().startswith("opt"):
                yield from _sets(each, (*keys, key))


def _of_a_network(key: str, value: Mapping[str, torch.Tensor]) -> bool:
    return key in (*KEYS, *AVERAGED) or any("." in name and tensor.ndim > 1 for name, tensor in value.items())


def _is_again(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sets are of one network: by their names, below whatever prefix; or an average without names."""
    return all(name.isdigit() for name in one) or _last_steps(one) == _last_steps(other)


def _last_steps(found: Mapping[str, Any]) -> set[str]:
    names = {name for name in found if name != COUNTER}
    while names and len(firsts := {name.partition(".")[0] for name in names if "." in name}) == 1:
        first = firsts.pop()
        if not all(name.startswith(f"{first}.") for name in names):
            break
        names = {name.removeprefix(f"{first}.") for name in names}
    return names


def _holds_tensors(value: object) -> TypeGuard[Mapping[str, torch.Tensor]]:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(each, torch.Tensor) for name, each in value.items())
    )


def _common_prefix(found: Mapping[Any, Any]) -> str | None:
    if not found or not all(isinstance(name, str) for name in found):
        return None
    return next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in found)), None)


def _below(found: Mapping[Any, Any], prefix: str) -> dict[Any, Any]:
    return {name.removeprefix(prefix): value for name, value in found.items()}
