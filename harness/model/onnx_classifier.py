"""An ONNX graph as a classifier: prepared like every other's images, computed by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np

from harness.core.errors import InvalidPredictions
from harness.model.classifier import Machine
from harness.model.onnx_graph import Layout, Ports
from harness.model.prepared import PreparedClassifier
from harness.model.records import ModelCard, Preprocessing

ABILITIES = ("probabilities", "new images", "prepared arrays")
Outputs = Literal["logits", "probabilities"]
Answering = Callable[[np.ndarray], np.ndarray]


class OnnxClassifier(PreparedClassifier):
    """A graph on the CPU. Features are not offered: which of its values would be some is not known."""

    def __init__(self, card: ModelCard, open_on: Callable[[str], Answering], asking: Asking, machine: Machine) -> None:
        """
        Args:
            open_on: opens the graph on a device.
        """
        super().__init__(card, machine)
        self._asking, self._open_on = asking, open_on
        self._session = open_on(machine.device)

    def forward(self, arrays: np.ndarray) -> np.ndarray:
        return self._answers(self._session, arrays, self._machine.batch_size)

    def _answers(self, session: Answering, arrays: np.ndarray, at_once: int) -> np.ndarray:
        size = self._asking.ports.batch or at_once
        parts = [
            self._asking.probabilities(session(self._asking.given(arrays[start : start + size])))[: len(arrays) - start]
            for start in range(0, len(arrays), size)
        ]
        return np.concatenate(parts) if parts else self._none


class OnnxOnDevice(OnnxClassifier):
    """A graph on another device than the CPU, which can check it."""

    @property
    def device(self) -> str:
        return self._machine.device

    @property
    def chosen_engine(self) -> None:
        return None

    def forward_plainly(self, arrays: np.ndarray) -> np.ndarray:
        """On the CPU, one at a time."""
        return self._answers(self._plain, arrays, 1)

    @cached_property
    def _plain(self) -> Answering:
        return self._open_on("cpu")


class Asking:
    """How prepared arrays become what a graph is given, and its answer probabilities.

    how: what is done to an image; of it, the arithmetic is done here.
    """

    def __init__(self, ports: Ports, layout: Layout, outputs: Outputs, how: Preprocessing) -> None:
        self.ports, self.layout, self.outputs, self.how = ports, layout, outputs, how

    def given(self, arrays: np.ndarray) -> np.ndarray:
        """(n, side, side, 3) uint8 RGB as the graph takes it; a fixed batch is filled up with black images."""
        missing = (self.ports.batch or len(arrays)) - len(arrays)
        filled = np.concatenate([arrays, np.zeros((missing, *arrays.shape[1:]), np.uint8)]) if missing else arrays
        levels = filled[..., ::-1] if self.how.channels == "BGR" else filled
        numbers = levels if self.ports.input.dtype == "uint8" else self._scaled(levels)
        if self.layout == "NCHW":
            numbers = numbers.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(numbers.reshape(len(numbers), -1) if self.layout == "flat" else numbers)

    def _scaled(self, levels: np.ndarray) -> np.ndarray:
        """The operations of `networks.normalise`, in the same order and in float32."""
        light = levels.astype(np.float32) / np.float32(255.0)
        darkest, brightest = self.how.value_range
        if self.how.value_range != (0.0, 1.0):
            light = light * np.float32(brightest - darkest) + np.float32(darkest)
        mean, deviation = (np.array(each, np.float32) for each in (self.how.mean, self.how.deviation))
        return ((light - mean) / deviation).astype(self.ports.input.dtype)

    def probabilities(self, answer: np.ndarray) -> np.ndarray:
        """(n, n_classes) float64: softmax of logits; of probabilities, without what the file's rounding left over.

        Whatever is neither stays what it is: harness/model/classifier.py refuses it.

        Raises:
            InvalidPredictions: the answer is not rows of floating-point numbers.
        """
        if answer.ndim != 2 or answer.dtype.kind != "f":
            raise InvalidPredictions(
                f"the ONNX graph answered with {answer.dtype} of shape {answer.shape}: rows of floating-point numbers, "
                "one for each image, are needed. Export the last layer for every batch size."
            )
        found = answer.astype(np.float64)
        if self.outputs == "logits":
            found[~np.isfinite(found)] = np.nan  # an answer of a diverged network, which could pass for a 0 or 1
            raised = np.exp(found - found.max(axis=1, keepdims=True))
            softmax: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
            return softmax
        total = found.sum(axis=1, keepdims=True)
        rounded = np.abs(total - 1) <= rounding(answer)
        return np.where(rounded, found / np.where(rounded, total, 1.0), found)


def rounding(answer: np.ndarray) -> float:
    """How far from 1 a row of probabilities can add up in the numbers of the file alone."""
    return float(4 * answer.shape[1] * np.finfo(answer.dtype).eps)
