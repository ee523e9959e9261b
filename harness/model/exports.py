"""The classifier as a file that others open: fastai's `export.pkl`, made of stock fastai parts only."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import IndexSplitter, Normalize, get_image_files, parent_label
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.vision.augment import Resize
from fastai.vision.data import ImageBlock
from PIL import Image
from torch import nn

from harness.errors import TrainingError
from harness.model.preprocessing import RESIZE_METHODS
from harness.model.weights import IMAGENET_MEAN, IMAGENET_STD
from harness.records import Predictions

EXPORT = "export.pkl"
# Two correct implementations of one network in float32 differ by summation order alone; observed: under 1e-5.
PROBABILITY_TOLERANCE = 1e-4
_READER = Path(__file__).with_name("export_reader.py")


def export_learner(model: nn.Module, *, classes: Sequence[str], size_px: int, resize: str, path: Path) -> None:
    """Write the network with its preprocessing and class names as a fastai Learner.

    The data pipeline in it is fastai's own (no class of ours), set up on blank images: no cell of anybody goes along.
    A pickle runs code when it is opened: whoever opens it must trust its digest. The .pth files hold weights alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in classes:
            for copy in ("train", "validation"):
                blank = Path(folder) / name / f"{copy}.png"
                blank.parent.mkdir(exist_ok=True)
                Image.new("RGB", (size_px, size_px)).save(blank)
        block = DataBlock(
            blocks=(ImageBlock, CategoryBlock(vocab=list(classes), sort=False)),
            get_items=get_image_files,
            get_y=parent_label,
            splitter=IndexSplitter([0]),
            item_tfms=Resize(size_px, method=RESIZE_METHODS[resize]),
            batch_tfms=Normalize.from_stats(IMAGENET_MEAN, IMAGENET_STD, cuda=False),
        )
        loaders = block.dataloaders(Path(folder), bs=2, num_workers=0, device="cpu")
        learner = Learner(loaders, model.cpu(), loss_func=CrossEntropyLossFlat(), metrics=accuracy, path=path.parent)
        learner.export(path)


def exported_differences(path: Path, predictions: Predictions, root: Path) -> tuple[str, ...]:
    """Open the file in a fresh process that knows fastai but not this project, and score `predictions`' images again.

    Returns:
        One line per cell whose class differs or whose probabilities differ by more than the tolerance.
    Raises:
        TrainingError: the process could not open the file.
    """
    request = {"export": str(path.resolve()), "images": [str((root / p).resolve()) for p in predictions.paths]}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "probabilities.npz"
        done = subprocess.run(
            [sys.executable, "-I", str(_READER), json.dumps({**request, "answer": str(answer)})],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise TrainingError(f"{path.name} does not open with plain load_learner:\n{done.stderr.strip()[-2000:]}")
        with np.load(answer) as arrays:
            vocabulary, probabilities = tuple(arrays["vocabulary"].tolist()), arrays["probabilities"]
    if vocabulary != predictions.classes:
        return (f"the exported vocabulary is {list(vocabulary)}, the run's is {list(predictions.classes)}",)
    off = np.abs(probabilities - predictions.probabilities).max(axis=1)
    differs = (off > PROBABILITY_TOLERANCE) | (probabilities.argmax(axis=1) != predictions.predicted)
    return tuple(f"{predictions.paths[i]}: probabilities differ by {off[i]:.2g}" for i in np.flatnonzero(differs))
