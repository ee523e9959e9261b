"""Does the exported file say what the run's own classifier said?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness.metrics.parity import set_parity
from harness.metrics.predictions import Predictions
from harness.model.exports import reopened_predictions
from harness.model.images import readable_by_anybody
from harness.protocol.datasets import FORMATS


def exported_differences(path: Path, predictions: Predictions, root: Path) -> tuple[str, ...]:
    """Score `predictions`' images again with the exported file, in a fresh process without this project.

    Returns:
        One line for each cell that is predicted differently; see `set_parity`.
    Raises:
        TrainingError: the process could not open the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = [
            readable_by_anybody(root / each, Path(folder) / f"{index}.png", formats=FORMATS)
            for index, each in enumerate(predictions.paths)
        ]
        vocabulary, probabilities = reopened_predictions(path, pictures)
    return set_parity(predictions, vocabulary, probabilities).differing
