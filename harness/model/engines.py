"""What computes the answers of a torch network: torch as it is, torch compiled, or another library that got its graph.

The engine is part of what is judged: it stands on the card, so in every key, and what is timed is what answered. Which
one it is never depends on how fast this machine happens to be.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from torch import nn

from harness.core.errors import EngineUnavailable, HarnessError
from harness.model.classifier import Machine
from harness.model.devices import inference, n_threads
from harness.model.records import ModelCard, Preprocessing
from harness.protocol.prediction import Engine, EngineWanted

Logits = Callable[[torch.Tensor], torch.Tensor]  # (n, 3, size, size) float32 on the device -> (n, n_classes)

# "auto": by device alone, and of what every installation has, so that two machines with one device have one engine.
BY_DEVICE: dict[str, Engine] = {"cpu": "onnxruntime", "cuda": "eager", "mps": "eager"}


def engine_for(wanted: EngineWanted, device: str) -> Engine:
    """What answers on this device, given what the protocol wants."""
    return BY_DEVICE[device] if wanted == "auto" else wanted


def told(engine: Engine) -> str:
    """What a person reads of an engine: its name and version."""
    return f"eager torch {torch.__version__}" if engine == "eager" else _called(engine)


def answered_by(card: ModelCard, machine: Machine) -> ModelCard:
    """The card of a classifier as it answers on this machine: of a torch network, with its engine.

    A graph or a command computes itself, whatever the protocol wants; eager torch is what a card without engine means.

    Raises:
        EngineUnavailable: the engine is not installed.
    """
    if card.architecture is None or machine.engine == "eager":
        return card
    return replace(card, engine=", ".join(filter(None, (card.engine, _called(machine.engine)))))


def logits_by(engine: Engine, network: nn.Module, how: Preprocessing, *, n_classes: int, device: str) -> Logits:
    """The network's outputs, computed by this engine. The network stays as it is, in evaluation mode on its device.

    Raises:
        EngineUnavailable: it is not installed, does not compute on the device, or cannot take this network.
    """
    if engine == "eager":
        return network
    _called(engine)
    make = {"compile": _compiled, "onnxruntime": _by_onnxruntime, "openvino": _by_openvino}[engine]
    try:
        with warnings.catch_warnings(), inference():
            warnings.simplefilter("ignore")  # compilers and exporters call what torch itself has deprecated
            found = make(network, how, n_classes, device)
            for n in (2, 1):  # what it cannot compute, it says here and not in the middle of a set
                found(torch.zeros(n, how.size_px, how.size_px, 3, device=device).permute(0, 3, 1, 2))
    except EngineUnavailable:
        raise
    except HarnessError as error:
        raise EngineUnavailable(_refused(engine, str(error))) from None
    except Exception as error:  # whatever a compiler says of a network that it does not know
        said = " ".join(str(error).split())[:500]
        raise EngineUnavailable(_refused(engine, f"{type(error).__name__}: {said}")) from None
    return found


def _called(engine: Engine) -> str:
    if engine == "compile":
        return f"torch.compile {torch.__version__}"
    try:
        return f"{engine} {version(engine)}"
    except PackageNotFoundError:
        raise EngineUnavailable(
            f'[prediction] engine = "{engine}": {engine} is not installed. Install it (pip install {engine}), or say '
            'engine = "eager".'
        ) from None


def _refused(engine: Engine, why: str) -> str:
    return f'[prediction] engine = "{engine}" does not compute this network: {why.rstrip(".")}. Say engine = "eager".'


def _compiled(network: nn.Module, how: Preprocessing, n_classes: int, device: str) -> Logits:
    # A module of its own, as compiling leaves marks on one; and one graph for every number of images above one.
    compiled: Logits = torch.compile(copy.deepcopy(network).eval(), dynamic=True)
    return compiled


def _by_onnxruntime(network: nn.Module, how: Preprocessing, n_classes: int, device: str) -> Logits:
    from harness.model.onnx_graph import Ports, Value
    from harness.model.onnx_runtime import Session
    from harness.model.onnx_writing import INPUT, OUTPUT

    side = how.size_px
    ports = Ports(
        Value(INPUT, "float32", (None, 3, side, side)), Value(OUTPUT, "float32", (None, n_classes)), "NCHW", None
    )
    session = Session(_graph(network, how), ports, device=device, where='[prediction] engine = "onnxruntime"')
    return _of_arrays(session)


def _by_openvino(network: nn.Module, how: Preprocessing, n_classes: int, device: str) -> Logits:
    import openvino

    if device != "cpu":
        raise EngineUnavailable(
            f'[prediction] engine = "openvino" computes on the CPU here, and this run is on {device}. Use --device '
            'cpu, or say engine = "eager".'
        )
    core = openvino.Core()
    settings = {
        # Where a processor has bfloat16, openvino would compute in it: another classifier than the one in float32.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": n_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(core.read_model(model=_graph(network, how)), "CPU", settings)
    return _of_arrays(lambda given: np.array(compiled([given])[0]))  # a copy: its buffer serves the next request


def _graph(network: nn.Module, how: Preprocessing) -> bytes:
    from harness.model.exports import Claims
    from harness.model.onnx_writing import onnx_bytes

    plain: nn.Module = copy.deepcopy(network).to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return onnx_bytes(plain, Claims(image_size_px=how.size_px))


def _of_arrays(compute: Callable[[np.ndarray], np.ndarray]) -> Logits:
    return lambda given: torch.from_numpy(compute(np.ascontiguousarray(given.cpu().numpy())))
