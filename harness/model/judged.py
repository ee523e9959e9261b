"""Which classifier that already exists is judged, and may its file be opened? A file in, tensors and a record out.

Nothing in the file is run, unless it is a pickle whose SHA-256 somebody trusted by name; then it is opened in a process
of its own, and what comes back is tensors and text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.core.errors import WeightsError
from harness.model.classifier import assembled, tensors_digest
from harness.model.exports import CLASSIFIER, Claims, claims_of, classifier_bytes, unpickled
from harness.model.records import JudgedModel
from harness.model.tensorfiles import metadata_of, read_whole, sha256_of, tensors_of
from harness.protocol.records import Protocol

FORMATS = {".safetensors": "safetensors", ".pth": "state dict", ".pt": "state dict", ".pkl": "fastai pickle"}
LEFT_OUT = {
    ".onnx": "ONNX models are not judged yet",
    ".pt2": "torch.export archives hold pickles of their own",
    ".ts": "TorchScript can hold code, and torch has deprecated it",
    ".jit": "TorchScript can hold code, and torch has deprecated it",
    ".h5": "Keras models are not judged",
    ".npz": "an .npz of weights can start a training, and says nothing of its classes",
}
SAFE = "Have its maker save the state dict as .safetensors; docs/judging-a-model.md shows how"


@dataclass(frozen=True, slots=True, eq=False)
class ModelFile:
    """A classifier that was read and fits the protocol, with what its file says of itself.

    content: the bytes of its file, all of which were hashed.
    state:   its tensors, under the names that the file gives them.
    """

    record: JudgedModel
    claims: Claims
    content: bytes
    state: Mapping[str, torch.Tensor]

    @property
    def stored_as(self) -> str:
        """Its file's name in a pack: the suffix of its own, and nothing else that somebody chose."""
        return "judged" + Path(self.record.file).suffix.lower()

    def keep(self, folder: Path) -> None:
        """Write the judged file as it was read, and its weights in the form that predictions are made from."""
        (folder / self.stored_as).write_bytes(self.content)
        (folder / CLASSIFIER).write_bytes(classifier_bytes(self.state, self.claims))


def read_model(file: Path, protocol: Protocol, *, trusted: tuple[str, ...]) -> ModelFile:
    """Read a classifier's file, once, and check it against the protocol before anything is predicted.

    Args:
        trusted: SHA-256 of pickles that the command line trusts, beside those of the protocol.
    Raises:
        WeightsError: it is no plain file or unsafe to open, its tensors are not the whole of the protocol's
            architecture, or its classes, size or preprocessing are not the protocol's.
    """
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        why = LEFT_OUT.get(suffix, "this kind of file is not known")
        raise WeightsError(f"--model {file}: {why}. {SAFE}.")
    content = read_whole(file)
    sha256, classes = sha256_of(content), protocol.dataset.classes
    trust, claims = None, Claims()
    if suffix == ".pkl":
        trust = _trust(file, sha256, protocol, trusted)
        weights, vocabulary = unpickled(content)
        state = tensors_of(weights, suffix=".safetensors", where=str(file))
        claims = Claims(classes=vocabulary)
    else:
        state = tensors_of(content, suffix=suffix, where=str(file))
        if suffix == ".safetensors":
            claims = claims_of(metadata_of(content, where=str(file)), where=str(file))
    architecture = protocol.training.architecture
    _refuse_other_claims(file, claims, protocol)
    _, layout = assembled(state, architecture=architecture, n_classes=len(classes), where=str(file))
    record = JudgedModel(
        file=file.name,
        sha256=sha256,
        n_bytes=len(content),
        format=FORMATS[suffix],  # type: ignore[arg-type]  # the values are those of the record
        layout=layout,
        architecture=architecture,
        weights_digest=tensors_digest(state.items()),
        stated=tuple(name for name in _CHECKED if getattr(claims, name) is not None),
        trained_by=claims.protocol,
        trusted=trust,
    )
    return ModelFile(record, claims, content, state)


_CHECKED = ("classes", "architecture", "image_size_px", "resize", "normalisation")


def _trust(file: Path, sha256: str, protocol: Protocol, trusted: tuple[str, ...]) -> str:
    """Who trusts these bytes; a refusal, where nobody does."""
    if sha256 in trusted:
        return "--trust-model on the command line"
    if protocol.model is not None and sha256 in protocol.model.trusted_models:
        return "trusted_models of the protocol"
    raise WeightsError(
        f"--model {file} is a pickle: opening it runs whatever code is in it, so it was not opened. Its SHA-256 is "
        f"{sha256}. {SAFE}. Or, if the person who made it told you this digest in some other way, trust it by name: "
        f'--trust-model {sha256}, or trusted_models = ["{sha256}"] in [model] of the protocol.'
    )


def _refuse_other_claims(file: Path, claims: Claims, protocol: Protocol) -> None:
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
    for name, value in own.items():
        claimed = getattr(claims, name)
        if claimed is not None and claimed != value:
            raise WeightsError(
                f"--model {file} was made for {name} = {claimed!r}, the protocol says {value!r}. Judge it by a "
                "protocol that shows it what it was made for (`extends` changes one line)."
            )
