"""The trained classifier as `classifier.onnx`, which says of itself how it is asked; torch is needed to write it only.

The graph ends in logits, and takes images as float32 in the range, mean and deviation that its metadata state; what the
network's own first layer does is in it. The same network gives the same bytes in one environment.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.core.files import write_atomically
from harness.model.formats import SHOWN
from harness.model.onnx_writing import ONNX, onnx_bytes
from harness.model.torch_network import network_of
from harness.model.trained import card_of, claims_of_training, weights_of
from harness.model.training import read_training_record
from harness.model.weights import read_tensors


def write_onnx(trained: Path, into: Path, *, protocol: str, train: str, validation: str) -> None:
    """Write the classifier of a training as `classifier.onnx`; arguments as of `trained.write_exports`.

    Raises:
        TrainingError: as `onnx_writing.onnx_bytes`.
    """
    record, card, file = read_training_record(trained), card_of(trained), weights_of(trained)
    how = card.preprocessing
    assert how is not None
    claims = replace(
        claims_of_training(trained, protocol=protocol, train=train, validation=validation),
        outputs="logits",
        layout="NCHW",
        **{name: getattr(how, name) for name in SHOWN},
    )
    network = network_of(
        read_tensors(file, sha256=None),
        architecture=record.architecture,
        n_classes=len(card.classes),
        how=how,
        where=str(file),
    )
    write_atomically(into / ONNX, onnx_bytes(network, claims))
