"""Opens a classifier that already exists in a file (--model), if that is safe and the file fits the protocol.

Nothing in the file is run, unless it is a pickle whose SHA-256 somebody trusted by name; then it is opened in a process
of its own, and what comes back is tensors and text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import WeightsError
from harness.model import onnx_file, torch_files
from harness.model.classifier import Classifier, Machine
from harness.model.exports import Claims
from harness.model.formats import SHOWN, Content, Format, Found, refuse_other_claims
from harness.model.records import JudgedModel, ModelCard
from harness.model.tensorfiles import read_whole, sha256_of
from harness.protocol.records import Protocol

FORMATS: dict[str, Format] = {**torch_files.FORMATS, **onnx_file.FORMATS}
AS_A_COMMAND = "Judge it as a command, --model-command (docs/judging-a-command.md)"
LEFT_OUT = {
    ".pt2": "torch.export archives hold pickles of their own",
    ".ts": "TorchScript can hold code, and torch has deprecated it",
    ".jit": "TorchScript can hold code, and torch has deprecated it",
    ".h5": f"Keras files can hold code, and are not opened. {AS_A_COMMAND}",
    ".hdf5": f"Keras files can hold code, and are not opened. {AS_A_COMMAND}",
    ".keras": f"Keras files can hold code, and are not opened. {AS_A_COMMAND}",
    ".joblib": f"a joblib file is a pickle, which runs code when it is opened. {AS_A_COMMAND}",
    ".tflite": f"TensorFlow Lite is not opened. {AS_A_COMMAND}",
    ".npz": "an .npz of weights can start a training, and says nothing of its classes",
}
SAFE = "Have its maker save the state dict as .safetensors; docs/judging-a-model.md shows how"
CHECKED = ("classes", "architecture", "image_size_px", "resize", "normalisation", "outputs", "layout", *SHOWN)


@dataclass(frozen=True, slots=True, eq=False)
class ModelFile:
    """A classifier that was read and fits the protocol, with what its file says of itself.

    content: the bytes of its file, all of which were hashed.
    """

    record: JudgedModel
    card: ModelCard
    claims: Claims
    content: bytes
    found: Found

    @property
    def kept_as(self) -> tuple[str, ...]:
        """Its file's name in a pack: the suffix of its own, and nothing else that somebody chose."""
        return ("judged" + Path(self.record.file).suffix.lower(),)

    def keep(self, folder: Path) -> None:
        """Write the judged file as it was read."""
        (folder / self.kept_as[0]).write_bytes(self.content)

    def open(self, machine: Machine) -> Classifier:
        """The classifier, made of the bytes that were hashed and ready to predict."""
        return self.found.build(self.card, machine)


def read_model(file: Path, protocol: Protocol, *, trusted: tuple[str, ...]) -> ModelFile:
    """Read a classifier's file, once, and check it against the protocol before anything is predicted.

    Args:
        trusted: SHA-256 of pickles that the command line trusts, beside those of the protocol.
    Raises:
        WeightsError: it is not a regular file or unsafe to open, its tensors are not the whole of the protocol's
            architecture, or its classes, size or preprocessing are not the protocol's.
    """
    suffix = file.suffix.lower()
    if file.is_dir():
        raise WeightsError(
            f"--model {file} is a folder. Name the file in it that holds the model ({', '.join(FORMATS)}). A "
            f"SavedModel of TensorFlow is not opened: {AS_A_COMMAND[0].lower()}{AS_A_COMMAND[1:]}."
        )
    if suffix not in FORMATS:
        why = LEFT_OUT.get(suffix, f"this kind of file is not known; known are {', '.join(FORMATS)}. {AS_A_COMMAND}")
        raise WeightsError(f"--model {file}: {why}.{'' if AS_A_COMMAND in why else f' {SAFE}.'}")
    kind, content = FORMATS[suffix], read_whole(file)
    if not content:
        raise WeightsError(
            f"--model {file} is empty (0 bytes). Copy it again from where it was made, or save it again."
        )
    sha256 = sha256_of(content)
    trust = _trust(file, sha256, protocol, trusted) if kind.runs_code else None
    found = kind.read(Content(content, suffix, str(file), protocol))
    refuse_other_claims(str(file), found.claims, protocol)
    card = ModelCard(
        door="model file",
        name=file.name,
        digest=found.digest,
        classes=protocol.dataset.classes,
        preprocessing=found.preprocessing,
        abilities=found.abilities,
        corruptions_act_on="prepared arrays" if "prepared arrays" in found.abilities else "RGB frames",
        file_sha256=sha256,
        architecture=found.network,
        engine=found.engine,
    )
    record = JudgedModel(
        file=file.name,
        sha256=sha256,
        n_bytes=len(content),
        format=kind.name,
        layout=found.layout,
        architecture=found.architecture,
        weights_digest=found.digest,
        stated=tuple(name for name in CHECKED if getattr(found.claims, name) is not None),
        trained_by=found.claims.protocol,
        trusted=trust,
        card=card,
        unwrapped=found.unwrapped or None,
    )
    return ModelFile(record, card, found.claims, content, found)


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
