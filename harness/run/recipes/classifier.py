"""Which classifier answers: the one of a training, or the one that was given. Both doors are opened here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.model.classifier import Classifier, Machine, refuse_wrong_card
from harness.model.model_file import ModelFile
from harness.model.records import ModelCard
from harness.model.trained import card_of, open_trained


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A classifier that is opened when it is first asked for an answer.

    found: the folder of its training, or the file that was given.
    """

    found: Path | ModelFile
    machine: Machine

    @property
    def card(self) -> ModelCard:
        return self.found.card if isinstance(self.found, ModelFile) else card_of(self.found)

    def open(self) -> Classifier:
        """
        Raises:
            InvalidCard: it does not offer what its card says.
        """
        if isinstance(self.found, ModelFile):
            opened = self.found.open(self.machine)
        else:
            opened = open_trained(self.found, self.machine)
        refuse_wrong_card(opened)
        return opened
