"""Model files that hold the tensors of a torch network: safetensors, a state dict, or a trusted fastai pickle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch

from harness.core.errors import WeightsError
from harness.model.architectures import engine_of, own_preprocessing
from harness.model.checkpoints import below_one_name
from harness.model.classifier import Machine
from harness.model.exports import Claims, claims_of, unpickled
from harness.model.formats import Content, Format, Found, declared, preprocessing_of_file, refuse_other_claims
from harness.model.named_classes import classes_told, lists_in
from harness.model.networks import assembled, gives_features, layers_of, tensors_digest
from harness.model.records import ModelCard
from harness.model.tensorfiles import metadata_of, tensors_of, unwrapped_of
from harness.model.torch_network import ABILITIES, WITHOUT_FEATURES, TorchNetwork, WholeTorchNetwork, network_of
from harness.protocol.training import IMAGENET_MEAN, IMAGENET_STD


def _safetensors(content: Content) -> Found:
    read = unwrapped_of(content.data, suffix=content.suffix, where=content.where)
    metadata = metadata_of(content.data, where=content.where)
    claims = claims_of(metadata, where=content.where)
    return _found(content, read.tensors, read.taken_off, _with_classes(claims, lists_in(metadata), content))


def _state_dict(content: Content) -> Found:
    read = unwrapped_of(content.data, suffix=content.suffix, where=content.where)
    return _found(content, read.tensors, read.taken_off, _with_classes(Claims(), read.lists, content))


def _with_classes(claims: Claims, lists: Iterable[Sequence[str]], content: Content) -> Claims:
    """With the classes that the file names beside its weights, where it does not claim them for the harness."""
    told = classes_told(lists, content.protocol.dataset.classes)
    return claims if claims.classes is not None else replace(claims, classes=told)


def _pickle(content: Content) -> Found:
    weights, vocabulary = unpickled(content.data)
    state = tensors_of(weights, suffix=".safetensors", where=content.where)
    return _found(content, state, (), Claims(classes=vocabulary))


def _found(content: Content, state: Mapping[str, torch.Tensor], unwrapped: tuple[str, ...], claims: Claims) -> Found:
    refuse_other_claims(content.where, claims, content.protocol)  # before tensors of other classes are called misfits
    said = declared(content.protocol)
    if said["layout"] is not None or said["outputs"] == "probabilities":
        raise WeightsError(
            f'--model {content.where}: [model] of the protocol states a layout, or outputs = "probabilities", which '
            "are said of ONNX graphs. This is a torch network, whose outputs are logits: remove them."
        )
    plan, classes = content.protocol.training, content.protocol.dataset.classes
    architecture = plan.architecture
    if len({name.partition(".")[0] for name in state}) == 1:
        state, below = below_one_name(state, layers_of(architecture, len(classes)))
        unwrapped += below
    built, layout = assembled(
        state,
        architecture=architecture,
        n_classes=len(classes),
        size_px=claims.image_size_px or plan.image_size_px,
        where=content.where,
    )
    # What a training put a head of its own on is shown what the training plan says, whoever built its body.
    own = own_preprocessing(architecture) if layout == "timm" else {}
    shown = preprocessing_of_file(claims, content.protocol, own={"mean": plan.mean, "deviation": plan.deviation, **own})
    if shown.normalisation != "imagenet" and (shown.mean, shown.deviation) != (IMAGENET_MEAN, IMAGENET_STD):
        raise WeightsError(
            f"--model {content.where}: normalisation = {shown.normalisation!r} is made of pixels as ImageNet's mean "
            f'and deviation leave them, and {architecture} is shown others. Say normalisation = "imagenet".'
        )
    with_features = gives_features(built)

    def build(card: ModelCard, machine: Machine) -> WholeTorchNetwork:
        assert card.preprocessing is not None
        network = network_of(
            state, architecture=architecture, n_classes=len(classes), how=card.preprocessing, where=content.where
        )
        return (TorchNetwork if with_features else WholeTorchNetwork)(card, network, machine)

    return Found(
        claims,
        layout,
        architecture,
        tensors_digest(state.items()),
        ABILITIES if with_features else WITHOUT_FEATURES,
        build,
        shown,
        network=architecture,
        engine=engine_of(architecture),
        unwrapped=unwrapped,
    )


FORMATS = {
    ".safetensors": Format("safetensors", _safetensors),
    ".pth": Format("state dict", _state_dict),
    ".pt": Format("state dict", _state_dict),
    ".ckpt": Format("state dict", _state_dict),
    ".bin": Format("state dict", _state_dict),  # of a hub
    ".tar": Format("state dict", _state_dict),  # .pth.tar, as torch's own example and timm name what torch.save writes
    ".pkl": Format("fastai pickle", _pickle, runs_code=True),
}
