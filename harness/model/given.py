"""Defines a classifier that existed before the run: what is recorded of it, how it is kept, how it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from harness.model.classifier import Classifier, Machine
from harness.model.exports import Claims
from harness.model.records import JudgedModel, ModelCard


class GivenClassifier(Protocol):
    """A classifier that the command line names instead of a training: one module of this room for each kind."""

    @property
    def record(self) -> JudgedModel:
        """What the evidence says of it."""
        ...

    @property
    def card(self) -> ModelCard: ...

    @property
    def claims(self) -> Claims:
        """What it says of itself: its classes, and the cells that it was trained on."""
        ...

    @property
    def kept_as(self) -> tuple[str, ...]:
        """The names of the files that `keep` writes; none where there is nothing to keep."""
        ...

    def keep(self, folder: Path) -> None:
        """Write what was judged, as it was read, for the pack's `models/`."""

    def open(self, machine: Machine) -> Classifier:
        """The classifier, ready to answer.

        Raises:
            WeightsError: it cannot be opened.
        """
        ...
