"""Where predictions come from: a classifier that a run asks, or predictions that exist already."""

from __future__ import annotations

from typing import Protocol

from harness.metrics.predictions import Predictions


class PredictionSource(Protocol):
    """Anything that has the predictions of whole sets. A run has; so has a file of predictions that somebody made."""

    def predictions(self, set_name: str) -> Predictions: ...
