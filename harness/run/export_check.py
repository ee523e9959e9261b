"""Does the exported file say what the run's own classifier said?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from harness.metrics.predictions import Predictions
from harness.model.exports import reopened_predictions
from harness.model.images import readable_by_anybody
from harness.protocol.records import FORMATS

PROBABILITY_TOLERANCE = 1e-4


def exported_differences(path: Path, predictions: Predictions, root: Path) -> tuple[str, ...]:
    """Score `predictions`' images again with the exported file, in a fresh process without this project.

    Returns:
        One line per cell whose class differs or whose probabilities differ by more than the tolerance.
    Raises:
        TrainingError: the process could not open the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = [
            readable_by_anybody(root / each, Path(folder) / f"{index}.png", formats=FORMATS)
            for index, each in enumerate(predictions.paths)
        ]
        vocabulary, probabilities = reopened_predictions(path, pictures)
    if vocabulary != predictions.classes:
        return (f"the exported vocabulary is {list(vocabulary)}, the run's is {list(predictions.classes)}",)
    off = np.abs(probabilities - predictions.probabilities).max(axis=1)
    differs = ~(off <= PROBABILITY_TOLERANCE) | (probabilities.argmax(axis=1) != predictions.predicted)
    return tuple(f"{predictions.paths[i]}: probabilities differ by {off[i]:.2g}" for i in np.flatnonzero(differs))
