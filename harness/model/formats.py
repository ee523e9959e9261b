"""Defines a format of model files: a function from the bytes of a file to its claims and to a classifier.

A format is one module beside this one and one line in harness/model/model_file.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.errors import WeightsError
from harness.model.classifier import Classifier, Machine
from harness.model.exports import Claims
from harness.model.records import ModelCard, Preprocessing
from harness.protocol.records import Protocol
from harness.protocol.training import ModelPlan, PreprocessingPlan

SHOWN = ("filter", "crop", "channels", "value_range", "mean", "deviation")  # of a `Preprocessing`, and of its plan


@dataclass(frozen=True, slots=True)
class Content:
    """What the reader of a format is given. where: the file, for errors."""

    data: bytes
    suffix: str
    where: str
    protocol: Protocol


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the reader of a format found.

    claims:    what the file says of itself.
    layout, architecture: as in a `JudgedModel`.
    digest:    what identifies the answers, such as that of the weights.
    abilities: as on a `ModelCard`.
    build:     makes the classifier of this card.
    preprocessing: what it must be shown.
    network:   the name of the architecture that its tensors fill; None of a graph, which is one by itself.
    engine:    as on a `ModelCard`.
    unwrapped: as in a `JudgedModel`.
    """

    claims: Claims
    layout: str
    architecture: str
    digest: str
    abilities: tuple[str, ...]
    build: Callable[[ModelCard, Machine], Classifier]
    preprocessing: Preprocessing
    network: str | None = None
    engine: str | None = None
    unwrapped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of model file.

    name:      as in a `JudgedModel`.
    read:      raises WeightsError where the bytes are not such a file, are unsafe, or do not fit the protocol.
    runs_code: whether opening a file runs what is in it; then its digest must be trusted first.
    """

    name: str
    read: Callable[[Content], Found]
    runs_code: bool = False


def refuse_other_claims(file: str, claims: Claims, protocol: Protocol) -> None:
    """The file, the protocol's [model] and the protocol's data must speak of the same classes, in the same order."""
    plan, wanted = protocol.training, protocol.dataset.classes
    said = protocol.model.classes if protocol.model is not None else ()
    if claims.classes is None and not said:
        raise WeightsError(
            f"--model {file} does not say which class each of its {len(wanted)} outputs stands for. State it in the "
            f"protocol, in the order of the outputs and as its maker says, not as it would suit: [model] classes = "
            f"{list(wanted)} if it is this one."
        )
    for where, classes in (("the file", claims.classes), ("[model] of the protocol", said or None)):
        if classes is not None and tuple(classes) != wanted:
            raise WeightsError(
                f"--model {file}: the classes of {where} are {list(classes)}, those of the protocol's dataset are "
                f"{list(wanted)}. One class would be read as another: state both in the same words and order."
            )
    own = {
        "architecture": plan.architecture,
        "image_size_px": plan.image_size_px,
        "resize": plan.resize,
        "normalisation": plan.normalisation,
    }
    own |= {name: value for name, value in declared(protocol).items() if value is not None}
    for name, value in own.items():
        claimed = getattr(claims, name)
        if claimed is not None and claimed != value:
            raise WeightsError(
                f"--model {file} was made for {name} = {claimed!r}, the protocol says {value!r}. Judge it by a "
                "protocol that shows it what it was made for (`extends` changes one line)."
            )


def declared(protocol: Protocol) -> dict[str, Any]:
    """What the protocol's [model] says of a file's answers and of what the file must be shown; None: nothing."""
    plan = protocol.model or ModelPlan()
    shown = plan.preprocessing or PreprocessingPlan()
    return {"outputs": plan.outputs, "layout": plan.layout, **{name: getattr(shown, name) for name in SHOWN}}


def stated(claims: Claims, protocol: Protocol) -> dict[str, Any]:
    """The same, as the file says it or else the protocol; the two do not differ where both speak."""
    return {
        name: claimed if (claimed := getattr(claims, name)) is not None else value
        for name, value in declared(protocol).items()
    }


def preprocessing_of_file(claims: Claims, protocol: Protocol, *, own: Mapping[str, Any]) -> Preprocessing:
    """What the file says that it must be shown, else what the protocol says, else what its library says.

    own: what the library says that its weights of this architecture are shown; nothing, where there is none.
    """
    plan, said = protocol.training, stated(claims, protocol)
    return Preprocessing(
        size_px=claims.image_size_px or plan.image_size_px,
        resize=claims.resize or plan.resize,  # type: ignore[arg-type]  # refused unless it is the protocol's
        normalisation=claims.normalisation or plan.normalisation,  # type: ignore[arg-type]
        **{**own, **{name: said[name] for name in SHOWN if said[name] is not None}},
    )
