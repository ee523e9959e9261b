"""How another process opens the classifier of a run, and what it then does with a slice of images.

A classifier is opened from files that a stage keeps: a training's folder, or a model file as it was read. Both must be
where they are here. What is a process of its own, a command, is asked where it was started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from harness.core.digests import digest_of
from harness.core.errors import WorkersError
from harness.core.progress import silent
from harness.model.classifier import Classifier, Machine
from harness.model.corrupted import corrupted_predictions
from harness.model.engines import answered_by
from harness.model.images import ImageFile, images_in
from harness.model.model_file import read_model
from harness.model.records import ModelCard
from harness.model.trained import card_of, open_trained
from harness.protocol.prediction import Engine
from harness.protocol.records import Protocol
from harness.protocol.stress import RobustnessPlan


@dataclass(frozen=True, slots=True, eq=False)
class Reopened:
    """A classifier as another process opens it.

    place:      a training's folder, or a model file.
    protocol:   what a model file is read by; None of a training.
    trusted:    SHA-256 of pickles that may be opened.
    answers_by: digest of what its answers depend on, as its card has it.
    device, batch_size, engine: as of `Machine`.
    threads:    that torch computes with.
    """

    place: Path
    protocol: Protocol | None
    trusted: tuple[str, ...]
    answers_by: str
    device: str
    batch_size: int
    engine: Engine
    threads: int

    def open(self, workers: int) -> tuple[Classifier, Machine]:
        """It and what it was opened for; opened once for all slices that come one after another.

        Args:
            workers: threads that decode.
        Raises:
            WorkersError: its files are not here, or are others.
            WeightsError, EngineUnavailable: as where it is opened for the run.
        """
        # Threads first: some engines take their number when they are opened. They stand in the key of what is kept.
        torch.set_num_threads(self.threads)
        wanted = (self.place, self.answers_by, self.device, self.batch_size, self.engine, self.threads, workers)
        if wanted not in _OPEN:
            _OPEN.clear()
            _OPEN[wanted] = self._opened(Machine(self.device, self.batch_size, workers, silent, self.engine))
        return _OPEN[wanted]

    def _opened(self, machine: Machine) -> tuple[Classifier, Machine]:
        if not self.place.exists():
            raise WorkersError(
                f"a worker does not see {str(self.place)!r}, which holds the classifier. Mount the --reports folder at "
                "the same path on every worker (docs/scale.md)."
            )
        if self.protocol is None:
            self._refuse_another(card_of(self.place), machine)
            return open_trained(self.place, machine), machine
        found = read_model(self.place, self.protocol, trusted=self.trusted)
        self._refuse_another(found.card, machine)
        return found.open(machine), machine

    def _refuse_another(self, card: ModelCard, machine: Machine) -> None:
        if digest_of(answered_by(card, machine).answers_by) != self.answers_by:
            raise WorkersError(
                f"{str(self.place)!r} holds another classifier on a worker than here. Mount the same --reports folder "
                "at that path on every worker (docs/scale.md)."
            )


_OPEN: dict[tuple[object, ...], tuple[Classifier, Machine]] = {}  # at most one


@dataclass(frozen=True, slots=True)
class Shown:
    """One image of a slice. name: in messages. second: the cell that a corruption shows beside it, if one does."""

    name: str
    file: ImageFile
    second: ImageFile | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Answering:
    """The task of scoring a slice of images: (n, n_classes) float64, as the door gives it."""

    classifier: Reopened
    packages: tuple[str, ...]

    @property
    def device(self) -> str:
        return self.classifier.device

    def __call__(self, shown: Sequence[Shown], threads: int, /) -> np.ndarray:
        classifier, _ = self.classifier.open(threads)
        return classifier.predict_proba(images_in([each.file for each in shown], [each.name for each in shown]))


@dataclass(frozen=True, slots=True, eq=False)
class Corrupting:
    """The task of corrupting and scoring a slice of images: as `corrupted_predictions`."""

    classifier: Reopened
    packages: tuple[str, ...]
    plan: RobustnessPlan

    @property
    def device(self) -> str:
        return self.classifier.device

    def __call__(self, shown: Sequence[Shown], threads: int, /) -> dict[str, np.ndarray]:
        classifier, machine = self.classifier.open(threads)
        files, names = [each.file for each in shown], [each.name for each in shown]
        seconds = [each.second for each in shown if each.second is not None]
        return corrupted_predictions(
            classifier,
            images_in([*files, *seconds], [*names, *(str(each.path) for each in seconds)]),
            self.plan,
            digests=[str(file.sha256) for file in files],
            machine=machine,
            second_cells=range(len(files), len(files) + len(seconds)) if seconds else None,
        )
