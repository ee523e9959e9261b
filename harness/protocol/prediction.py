"""How a protocol wants a torch network to be computed where it answers."""

from __future__ import annotations

from typing import Literal

from harness.protocol.record import Record

Engine = Literal["eager", "compile", "onnxruntime", "openvino"]
EngineWanted = Literal["auto", "eager", "compile", "onnxruntime", "openvino"]


class PredictionPlan(Record):
    """How the classifier computes its answers, those that are judged and those that are timed.

    engine: what computes a network of torch. "eager" is torch as it is; "compile" is torch.compile; "onnxruntime" and
            "openvino" (to be installed) compute its graph on the CPU. "auto" goes by the device alone: onnxruntime on
            the CPU, else eager. A graph or a command that is judged computes itself.
    """

    engine: EngineWanted = "eager"
