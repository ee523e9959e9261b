"""What every classifier shares that answers for prepared arrays: decoding, batches, progress. A door adds `forward`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from harness.core.progress import Report, silent
from harness.model.classifier import Machine
from harness.model.images import Images
from harness.model.prefetch import fit_all, fitted_batches
from harness.model.records import ModelCard


class PreparedClassifier(ABC):
    """A classifier whose preprocessing stands on its card, so that it is done here and not by its maker."""

    def __init__(self, card: ModelCard, machine: Machine) -> None:
        assert card.preprocessing is not None  # every door that makes one of these knows it
        self._card, self._machine, self._how = card, machine, card.preprocessing

    @property
    def card(self) -> ModelCard:
        return self._card

    def predict_proba(self, images: Images) -> np.ndarray:
        """Decodes the next images while a batch is answered."""
        batches = fitted_batches(
            images,
            self._how,
            workers=self._machine.workers,
            device=self._machine.device,
            batch_size=self._machine.batch_size,
            progress=self._progress(images),
            label=f"scoring {images.label}",
        )
        return self._none if not len(images) else np.concatenate([self.forward(batch) for batch in batches])

    def prepare(self, images: Images) -> np.ndarray:
        return fit_all(
            images,
            self._how,
            workers=self._machine.workers,
            device=self._machine.device,
            progress=self._progress(images),
            label=f"decoding {images.label}",
        )

    @abstractmethod
    def forward(self, arrays: np.ndarray) -> np.ndarray:
        """As in `harness.model.classifier.Preparing`."""

    @property
    def _none(self) -> np.ndarray:
        return np.empty((0, len(self._card.classes)))

    def _progress(self, images: Images) -> Report:
        return self._machine.progress if images.label else silent
