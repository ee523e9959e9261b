"""Model files that hold an ONNX graph, computed by onnxruntime: what it is asked, and what its numbers mean.

Nothing about that is guessed. Our own export says it in its metadata; of every other file the protocol says it, and a
statement that is missing is an error that prints what to write.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from onnx import ModelProto

from harness.core.errors import WeightsError
from harness.core.numbers import SUMS_TO_ONE
from harness.model.classifier import Machine
from harness.model.exports import Claims, claims_of
from harness.model.formats import Content, Format, Found, preprocessing_of_file, refuse_other_claims, stated
from harness.model.named_classes import classes_told, lists_in
from harness.model.onnx_classifier import ABILITIES, Asking, OnnxClassifier, OnnxOnDevice, rounding
from harness.model.onnx_graph import Layout, Ports, labels_in, ports_of, possible_layouts, read_graph
from harness.model.onnx_runtime import Session, engine, try_out
from harness.model.records import ModelCard
from harness.model.tensorfiles import sha256_of

MOST_AT_ONCE = 256  # images that a graph with a fixed batch may want; with fewer to score, the rest are black
TRIED = (1, 2)  # batches that are tried where the graph takes any
# What has to be stated, where in the protocol, and how.
TOLD = {
    "layout": ("model", '"NCHW"', '"NCHW" (channels first), "NHWC" (channels last) or "flat"'),
    "outputs": ("model", '"logits"', '"logits", or "probabilities" where the last layer is a softmax'),
    "filter": ("model.preprocessing", '"bilinear"', '"nearest", "bilinear", "bicubic" or "lanczos": of the resize'),
    "channels": ("model.preprocessing", '"RGB"', '"RGB" or "BGR"'),
    "value_range": ("model.preprocessing", "[0.0, 1.0]", "what the levels 0 and 255 become"),
    "mean": ("model.preprocessing", "[0.485, 0.456, 0.406]", "subtracted per channel; zeros for nothing"),
    "deviation": ("model.preprocessing", "[0.229, 0.224, 0.225]", "divided by per channel; ones for nothing"),
}


def _read(content: Content) -> Found:
    protocol, where = content.protocol, content.where
    model = read_graph(content.data, where=where)
    metadata = {field.key: field.value for field in model.metadata_props}
    claims = claims_of(metadata, where=where)
    if claims.classes is None:
        told = [*labels_in(model), *lists_in(metadata)]
        claims = replace(claims, classes=classes_told(told, protocol.dataset.classes))
    refuse_other_claims(where, claims, protocol)
    size_px, n_classes = protocol.training.image_size_px, len(protocol.dataset.classes)
    ports = ports_of(model, n_classes=n_classes, size_px=size_px, where=where)
    if ports.batch is not None and ports.batch > MOST_AT_ONCE:
        raise WeightsError(
            f"{where} takes {ports.batch:,} images at once and no other number; at most {MOST_AT_ONCE} are shown "
            "together. Export it for any number (a dynamic first dimension) or for one."
        )
    asking = _asking(claims, content, ports)
    digest = sha256_of(content.data)
    _refuse_other_answers(content.data, asking, n_classes, where)

    def build(card: ModelCard, machine: Machine) -> OnnxClassifier:
        kind = OnnxClassifier if machine.device == "cpu" else OnnxOnDevice
        return kind(card, lambda device: Session(content.data, ports, device=device, where=where), asking, machine)

    return Found(
        claims,
        layout=f"{asking.layout} {ports.input.dtype} in, {asking.outputs} out{_batch_words(ports)}",
        architecture=claims.architecture or _size_words(model),
        digest=digest,
        abilities=ABILITIES,
        build=build,
        preprocessing=asking.how,
        engine=engine(),
    )


def _asking(claims: Claims, content: Content, ports: Ports) -> Asking:
    """What the file or the protocol states of how the graph is asked; nothing is left open."""
    said: dict[str, Any] = stated(claims, content.protocol)
    size_px = content.protocol.training.image_size_px
    possible = possible_layouts(ports.input.shape or (), size_px=size_px)
    if ports.layout is not None:
        said["layout"] = said["layout"] or ports.layout
    if missing := [name for name in TOLD if said[name] is None]:
        raise WeightsError(_missing_words(content.where, missing))
    if said["layout"] not in possible or said["layout"] != (ports.layout or said["layout"]):
        raise WeightsError(
            f"{content.where}: layout = {said['layout']!r} is stated, and its input {ports.input.name!r} of shape "
            f"{list(ports.input.shape or ())} is {ports.layout or ' or '.join(possible)}. Correct it."
        )
    how = preprocessing_of_file(claims, content.protocol, own={})
    if how.normalisation != "imagenet" and claims.normalisation is None:
        raise WeightsError(
            f"--model {content.where}: normalisation = {how.normalisation!r} is the first layer of a network that is "
            "trained here. This graph does not say that it has that layer, and none is put before it. Say "
            'normalisation = "imagenet" in [training]: a graph is shown what [model.preprocessing] states.'
        )
    plain = (how.value_range, how.mean, how.deviation) == ((0.0, 255.0), (0.0,) * 3, (1.0,) * 3)
    if ports.input.dtype == "uint8" and not plain:
        raise WeightsError(
            f"{content.where}: its input takes the levels 0 to 255 as they are (uint8), and value_range, mean or "
            "deviation are stated that make others of them. State value_range = [0.0, 255.0], mean = [0.0, 0.0, 0.0] "
            "and deviation = [1.0, 1.0, 1.0], or export it for floating-point numbers."
        )
    return Asking(ports, cast(Layout, said["layout"]), said["outputs"], how)


def _missing_words(where: str, missing: list[str]) -> str:
    lines = [
        f"--model {where} does not say {', '.join(missing)}, and nothing of that is guessed. Write in the protocol, "
        "with what its maker says in place of these examples:"
    ]
    table = None
    for name in missing:
        home, example, choices = TOLD[name]
        lines += [f"[{home}]"] if home != table else []
        lines.append(f"{name} = {example}  # {choices}")
        table = home
    return "\n".join(lines)


def _refuse_other_answers(content: bytes, asking: Asking, n_classes: int, where: str) -> None:
    """Show it noise, in a process of its own: its answers must be of the shape and kind that they are said to be."""
    side = asking.how.size_px
    noise = np.random.default_rng(0).integers(0, 256, (max(TRIED), side, side, 3), dtype=np.uint8)
    sizes = TRIED if asking.ports.batch is None else (1,)
    answers = try_out(content, asking.ports, [asking.given(noise[:size]) for size in sizes], where=where)
    for size, answer in zip(sizes, answers, strict=True):
        wanted = (asking.ports.batch or size, n_classes)
        if answer.shape != wanted or answer.dtype.kind != "f":
            raise WeightsError(
                f"{where}: to {wanted[0]} images it answers with {answer.dtype} of shape {answer.shape}, the protocol "
                f"has {n_classes} classes. One row for each image and one column for each class are needed."
            )
        if not np.isfinite(answer).all():
            raise WeightsError(
                f"{where}: its answer to noise is not finite. Its training diverged, or it is damaged: take another."
            )
        found = answer.astype(np.float64)
        off = float(np.abs(found.sum(axis=1) - 1).max())
        distributions = bool((found >= 0).all()) and off <= max(SUMS_TO_ONE, rounding(answer))
        if distributions != (asking.outputs == "probabilities"):
            other = "probabilities" if distributions else "logits"
            raise WeightsError(
                f"{where}: outputs = {asking.outputs!r} is stated, and what it answers "
                f"{'is not below 0 and adds up to 1' if distributions else 'does not add up to 1 or is below 0'}: "
                f'{found[0].round(3)}. State outputs = "{other}" if its maker says so, or export it again.'
            )


def _size_words(model: ModelProto) -> str:
    made = " ".join(each for each in (model.producer_name, model.producer_version) if each)
    return f"graph of {len(model.graph.node):,} operators" + (f" by {made}" if made else "")


def _batch_words(ports: Ports) -> str:
    return "" if ports.batch is None else f", {ports.batch} at a time"


FORMATS = {".onnx": Format("ONNX", _read)}
