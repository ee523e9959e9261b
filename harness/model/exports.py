"""The classifier as a file that others open: fastai's `export.pkl`, made of stock fastai parts only, and
`classifier.safetensors`, which holds tensors and text and can run nothing.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import numpy as np
import torch
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import IndexSplitter, Normalize, get_image_files, parent_label
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.torch_core import no_random
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.data import ImageBlock
from PIL import Image
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors.torch import save
from torch import nn

from harness.core.errors import TrainingError, WeightsError
from harness.core.processes import run_isolated
from harness.model.records import Preprocessing
from harness.model.tensorfiles import read_whole
from harness.protocol.training import Filter

EXPORT = "export.pkl"
CLASSIFIER = "classifier.safetensors"
CLAIMS_KEY = "classifier"
RESIZE_METHODS = {"squish": ResizeMethod.Squish, "crop": ResizeMethod.Crop}
READER_TIMEOUT_S = 600
_READER = Path(__file__).with_name("export_reader.py")


def export_learner(model: nn.Module, *, classes: Sequence[str], how: Preprocessing, path: Path) -> None:
    """Write the network with its preprocessing and class names as a fastai Learner.

    The data pipeline in it is fastai's own (no class of ours), set up on blank images: no cell of anybody goes along.
    The same network gives the same bytes, wherever they are written: fastai's loaders draw a seed when they are made.
    A pickle runs code when it is opened: whoever opens it must trust its digest. The .pth files hold weights alone.
    """
    with tempfile.TemporaryDirectory() as folder, no_random():
        for name in classes:
            for copy in ("train", "validation"):
                blank = Path(folder) / name / f"{copy}.png"
                blank.parent.mkdir(exist_ok=True)
                Image.new("RGB", (how.size_px, how.size_px)).save(blank)
        block = DataBlock(
            blocks=(ImageBlock, CategoryBlock(vocab=list(classes), sort=False)),
            get_items=get_image_files,
            get_y=parent_label,
            splitter=IndexSplitter([0]),
            item_tfms=Resize(how.size_px, method=RESIZE_METHODS[how.resize]),
            batch_tfms=Normalize.from_stats(how.mean, how.deviation, cuda=False),
        )
        loaders = block.dataloaders(Path(folder), bs=2, num_workers=0, device="cpu")
        learner = Learner(loaders, model.cpu(), loss_func=CrossEntropyLossFlat(), metrics=accuracy, path=Path())
        learner.export(path.absolute())


def reopened_predictions(path: Path, images: Sequence[Path]) -> tuple[tuple[str, ...], np.ndarray]:
    """The vocabulary of an export.pkl and its probabilities of these images, from a fresh process.

    The process knows fastai but not this project. A file that somebody else made must be trusted first: see
    harness/model/model_file.py.

    Returns:
        The classes, and (n_images, n_classes) float64.
    Raises:
        TrainingError: the process could not open the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "probabilities.npz"
        _ask_reader(path.read_bytes(), answer=answer, images=[image.resolve() for image in images])
        with np.load(answer) as arrays:
            return tuple(arrays["vocabulary"].tolist()), arrays["probabilities"]


def unpickled(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The weights of a trusted export.pkl as bytes of a .safetensors file, and its vocabulary.

    Opening a pickle runs what is in it, with the rights of whoever started the run. The process of its own keeps it
    out of the memory of the one that judges, and gives it no environment variable that it does not need.

    Raises:
        TrainingError: the process could not open the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer, weights = Path(folder) / "vocabulary.npz", Path(folder) / CLASSIFIER
        _ask_reader(content, answer=answer, weights=weights)
        with np.load(answer) as arrays:
            vocabulary = tuple(arrays["vocabulary"].tolist())
        return read_whole(weights), vocabulary


def _ask_reader(content: bytes, *, answer: Path, images: Sequence[Path] = (), weights: Path | None = None) -> None:
    request = {"answer": str(answer), "images": [*map(str, images)], "weights": str(weights) if weights else None}
    try:
        done = run_isolated(_READER, request, content, folder=answer.parent, timeout_s=READER_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise TrainingError(f"export.pkl did not open in {READER_TIMEOUT_S} s. Is the code in it waiting?") from None
    if done.returncode != 0 or not answer.is_file():
        said = done.stderr.decode("utf-8", "replace").strip()[-2000:]
        raise TrainingError(f"export.pkl does not open with plain load_learner:\n{said}")


# --- the safe format ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claims:
    """What a classifier's file says of itself, in its metadata. None: it does not say.

    classes:         the order of the network's outputs.
    architecture, image_size_px, resize, normalisation: as in the protocol's training.
    protocol:        the id of the protocol that it was trained by.
    train, validation: digests of the cells that it was trained on and chosen with, as `Fit.cells`.
    outputs, layout: as in the protocol's [model]; of an ONNX graph.
    filter, crop, channels, value_range, mean, deviation: as in the protocol's [model.preprocessing].
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    classes: tuple[str, ...] | None = None
    architecture: str | None = None
    image_size_px: int | None = None
    resize: str | None = None
    normalisation: str | None = None
    protocol: str | None = None
    train: str | None = None
    validation: str | None = None
    outputs: Literal["logits", "probabilities"] | None = None
    layout: Literal["NCHW", "NHWC", "flat"] | None = None
    filter: Filter | None = None
    crop: float | None = None
    channels: Literal["RGB", "BGR"] | None = None
    value_range: tuple[float, float] | None = None
    mean: tuple[float, float, float] | None = None
    deviation: tuple[float, float, float] | None = None

    @property
    def as_json(self) -> str:
        """What it says, as `claims_of` reads it."""
        return json.dumps({name: each for name, each in asdict(self).items() if each is not None}, sort_keys=True)


def classifier_bytes(state: Mapping[str, torch.Tensor], claims: Claims) -> bytes:
    """A .safetensors file; the same weights and claims make the same bytes."""
    # One key: the library writes several in another order each time.
    tensors = {name: each.detach().cpu().contiguous() for name, each in state.items()}
    return save(tensors, metadata={CLAIMS_KEY: claims.as_json})


def claims_of(metadata: Mapping[str, str], *, where: str) -> Claims:
    """What a file says of itself in its metadata; nothing, where it has no such key.

    Raises:
        WeightsError: the key holds something else.
    """
    if CLAIMS_KEY not in metadata:
        return Claims()
    try:
        return TypeAdapter(Claims).validate_json(metadata[CLAIMS_KEY], strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise WeightsError(
            f"{where}: its metadata {CLAIMS_KEY!r} is not what it should be: {first['msg']} at {first['loc']}. "
            "docs/judging-a-model.md shows what belongs there."
        ) from None
