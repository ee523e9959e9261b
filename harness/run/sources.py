"""Defines where predictions come from: a run that asks a classifier, or a file of predictions that already exist."""

from __future__ import annotations

from typing import Protocol

from harness.metrics.predictions import Predictions


class PredictionSource(Protocol):
    """Anything that has the predictions of whole sets."""

    def predictions(self, set_name: str) -> Predictions: ...
