"""A torch network as a classifier: RGB frames in, probabilities and features out, on whatever device there is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.model.classifier import Machine
from harness.model.devices import inference, synchronise
from harness.model.engines import answered_by, logits_by
from harness.model.images import Images
from harness.model.networks import assembled, normalise
from harness.model.normalisation import normalising
from harness.model.prepared import PreparedClassifier
from harness.model.records import ModelCard, Preprocessing

WITHOUT_FEATURES = ("probabilities", "new images", "prepared arrays")
ABILITIES = ("probabilities", "new images", "features", "prepared arrays")


class WholeTorchNetwork(PreparedClassifier):
    """A network whose outputs are logits; computes in float32, whatever precision it was trained in.

    The machine's engine gives the logits. Features, and what checks the answers, are eager torch's.
    """

    def __init__(self, card: ModelCard, network: nn.Module, machine: Machine) -> None:
        super().__init__(answered_by(card, machine), machine)
        self._device = torch.device(machine.device)
        self._network = on_device(network, self._device)
        self._logits = logits_by(
            machine.engine, self._network, self._how, n_classes=len(card.classes), device=machine.device
        )

    @property
    def device(self) -> str:
        return self._machine.device

    @property
    def chosen_engine(self) -> str | None:
        return None if self._machine.engine == "eager" else self._machine.engine

    @property
    def network(self) -> nn.Module:
        """As it is on the device; whoever changes it changes a copy."""
        return self._network

    @property
    def how(self) -> Preprocessing:
        return self._how

    @property
    def torch_device(self) -> torch.device:
        return self._device

    def beside(self, network: nn.Module) -> WholeTorchNetwork:
        """Another network behind the same preprocessing, such as this one after it was adapted."""
        return WholeTorchNetwork(self._card, network, self._machine)

    def forward(self, arrays: np.ndarray) -> np.ndarray:
        """Softmax of the logits, taken in float64."""
        return _probabilities(self._outputs(self._logits, arrays)) if len(arrays) else self._none

    def forward_plainly(self, arrays: np.ndarray) -> np.ndarray:
        """On the CPU, without channels-last memory, one at a time."""
        with inference():
            alone = [self._plain(normalise(each[None], self._how).contiguous()) for each in torch.from_numpy(arrays)]
        return _probabilities(torch.cat(alone))

    @cached_property
    def _plain(self) -> nn.Module:
        plain: nn.Module = copy.deepcopy(self._network).to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return plain.eval()

    def _outputs(self, network: Callable[[torch.Tensor], torch.Tensor], arrays: np.ndarray) -> torch.Tensor:
        size, parts = self._machine.batch_size, []
        self._network.eval()
        with inference():
            for start in range(0, len(arrays), size):
                batch = torch.from_numpy(arrays[start : start + size]).to(self._device)
                parts.append(network(normalise(batch, self._how)).cpu())
        synchronise(self._device)  # the copy to the CPU waits for the device, but only this says so on every backend
        return torch.cat(parts)


class TorchNetwork(WholeTorchNetwork):
    """A body and a head, of which the body gives features."""

    def embed(self, images: Images) -> np.ndarray:
        """(n, n_features) float64: what the network's body gives, averaged over the image where it is a map."""
        return self.features(self.prepare(images))

    def features(self, arrays: np.ndarray) -> np.ndarray:
        body: Any = self._network[0]  # type: ignore[index]  # of (body, head)
        given = self._outputs(body, arrays)
        found: np.ndarray = (given.mean(dim=(2, 3)) if given.ndim == 4 else given).double().numpy()
        return found


def network_of(
    state: Mapping[str, torch.Tensor], *, architecture: str, n_classes: int, how: Preprocessing, where: str
) -> nn.Module:
    """The network with these weights, and with the first layer that its preprocessing asks for."""
    found, _ = assembled(state, architecture=architecture, n_classes=n_classes, size_px=how.size_px, where=where)
    return normalising(found, how.normalisation)


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()


def _probabilities(logits: torch.Tensor) -> np.ndarray:
    scores = logits.double()
    # An infinite logit is an answer of a diverged network, and could pass for a probability of 0 or 1.
    found: np.ndarray = scores.masked_fill(~torch.isfinite(scores), float("nan")).softmax(dim=1).numpy()
    return found
