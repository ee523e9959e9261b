"""Does the exported file say what the run's own classifier said?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from harness.data.decoding import is_plain, open_picture, read_regular
from harness.metrics.predictions import Predictions
from harness.model.exports import reopened_predictions
from harness.model.images import read_frame
from harness.protocol.records import FORMATS

PROBABILITY_TOLERANCE = 1e-4


def exported_differences(path: Path, predictions: Predictions, root: Path) -> tuple[str, ...]:
    """Score `predictions`' images again with the exported file, in a fresh process without this project.

    A picture that not every program decodes alike, such as one that is turned by EXIF alone, is handed over as a PNG of
    the pixels that were scored: what is compared is the classifier.

    Returns:
        One line per cell whose class differs or whose probabilities differ by more than the tolerance.
    Raises:
        TrainingError: the process could not open the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = [
            _readable_by_anybody(root / each, Path(folder) / f"{index}.png")
            for index, each in enumerate(predictions.paths)
        ]
        vocabulary, probabilities = reopened_predictions(path, pictures)
    if vocabulary != predictions.classes:
        return (f"the exported vocabulary is {list(vocabulary)}, the run's is {list(predictions.classes)}",)
    off = np.abs(probabilities - predictions.probabilities).max(axis=1)
    differs = ~(off <= PROBABILITY_TOLERANCE) | (probabilities.argmax(axis=1) != predictions.predicted)
    return tuple(f"{predictions.paths[i]}: probabilities differ by {off[i]:.2g}" for i in np.flatnonzero(differs))


def _readable_by_anybody(file: Path, copy: Path) -> Path:
    with open_picture(read_regular(file), formats=FORMATS) as image:
        if is_plain(image):
            return file
    Image.fromarray(read_frame(file, formats=FORMATS)).save(copy)
    return copy
