"""Model files that hold the tensors of a torch network: safetensors, a state dict, or a trusted fastai pickle."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from harness.core.errors import WeightsError
from harness.model.classifier import Machine
from harness.model.exports import Claims, claims_of, unpickled
from harness.model.formats import Content, Format, Found, declared, preprocessing_of_file, refuse_other_claims
from harness.model.networks import assembled, tensors_digest
from harness.model.records import ModelCard
from harness.model.tensorfiles import metadata_of, tensors_of
from harness.model.torch_network import ABILITIES, TorchNetwork, network_of


def _safetensors(content: Content) -> Found:
    state = tensors_of(content.data, suffix=content.suffix, where=content.where)
    return _found(content, state, claims_of(metadata_of(content.data, where=content.where), where=content.where))


def _state_dict(content: Content) -> Found:
    return _found(content, tensors_of(content.data, suffix=content.suffix, where=content.where), Claims())


def _pickle(content: Content) -> Found:
    weights, vocabulary = unpickled(content.data)
    state = tensors_of(weights, suffix=".safetensors", where=content.where)
    return _found(content, state, Claims(classes=vocabulary))


def _found(content: Content, state: Mapping[str, torch.Tensor], claims: Claims) -> Found:
    refuse_other_claims(content.where, claims, content.protocol)  # before tensors of other classes are called misfits
    said = declared(content.protocol)
    if said["layout"] is not None or said["outputs"] == "probabilities":
        raise WeightsError(
            f'--model {content.where}: [model] of the protocol states a layout, or outputs = "probabilities", which '
            "are said of ONNX graphs. This is a torch network, whose outputs are logits: remove them."
        )
    architecture, classes = content.protocol.training.architecture, content.protocol.dataset.classes
    _, layout = assembled(state, architecture=architecture, n_classes=len(classes), where=content.where)

    def build(card: ModelCard, machine: Machine) -> TorchNetwork:
        assert card.preprocessing is not None
        network = network_of(
            state, architecture=architecture, n_classes=len(classes), how=card.preprocessing, where=content.where
        )
        return TorchNetwork(card, network, machine)

    shown = preprocessing_of_file(claims, content.protocol)
    return Found(claims, layout, architecture, tensors_digest(state.items()), ABILITIES, build, shown)


FORMATS = {
    ".safetensors": Format("safetensors", _safetensors),
    ".pth": Format("state dict", _state_dict),
    ".pt": Format("state dict", _state_dict),
    ".pkl": Format("fastai pickle", _pickle, runs_code=True),
}
